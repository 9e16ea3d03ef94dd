"""The command line: bad input ends in one sentence with a remedy, exit code 2, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from mie_x import manifest, samples, shards
from mie_x.cli import main
from mie_x.records import AUS
from tests.conftest import Blob

NAMES = [f"AU{au:02d}" for au in AUS]


def mie_x(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def table(folder: Path, name: str, *, columns: list[str] = NAMES, value: str = "0.1") -> Path:
    """A plain AU table of one clip of three frames, whose apex moves AU12 to VALUE."""
    lines = [",".join(["subject", "clip", "frame", "label", "onset", "apex", *columns])]
    for frame in (1, 2, 3):
        aus = [value if frame == 3 and au == "AU12" else "0" for au in columns]
        lines.append(",".join(["s1", "c1", str(frame), "positive", "1", "3", *aus]))
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


@pytest.fixture
def world(tmp_path: Path, tiny_weights: Path) -> Path:
    """A folder with everything a user can get wrong."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "faceless").mkdir()
    Image.new("RGB", (200, 200), "gray").save(tmp_path / "faceless" / "wall.png")
    (tmp_path / "faces").mkdir()
    Image.fromarray(Blob("a").image()).save(tmp_path / "faces" / "a.png")
    table(tmp_path, "short.csv", columns=NAMES[:-1])
    table(tmp_path, "nan.csv", value="")
    table(tmp_path, "percent.csv", value="35")
    table(tmp_path, "negative.csv", value="-0.2")
    table(tmp_path, "positive-only.csv")
    (tmp_path / "text.safetensors").write_text("not weights")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "net.pth")
    (tmp_path / "file").write_text("")
    (tmp_path / "website").mkdir()
    (tmp_path / "website" / "manifest.json").write_text('{"shards": []}')
    with safe_open(tiny_weights, "pt") as file:
        header = json.loads(file.metadata()["mie-x generator"]) | {"width": 8}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, tmp_path / "wide.safetensors", {"mie-x generator": json.dumps(header)})
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--faces", "{}/nowhere"), "nowhere"),
        (("--faces", "{}/empty"), "no picture in this folder"),
        (("--faces", "{}/faceless", "--cache", "{}/cache"), "no face"),
        (("--faces", "{}/faces", "--align", "none", "--ids", "2"), "lower the number"),
        (("--mie", "{}/nowhere.csv"), "nowhere.csv"),
        (("--mie", "{}/short.csv"), "AU45"),
        (("--mie", "{}/nan.csv"), "AU12"),
        (("--mae", "{}/percent.csv"), "percent"),
        (("--mae", "{}/negative.csv"), "negative"),
        (
            ("--mie", "{}/positive-only.csv"),
            "positive-only.csv: no clip labelled negative or surprise",
        ),
        (("--mie", "{}/positive-only.csv", "--sources", "exp"), "--sources"),
        (("--weights", "{}/nowhere.safetensors"), "nowhere.safetensors"),
        (("--weights", "{}/text.safetensors"), "text.safetensors"),
        (("--weights", "{}/other.safetensors"), "other.safetensors"),
        (("--weights", "{}/net.pth"), "--unsafe-pickle"),
        (("--sources", "mie,mei"), "'mei'"),
        (("--sources", ","), "no source"),
        (("--interval", "0.3", "0.1"), "interval"),
        (("--early", "0.5", "1.5"), "0.5"),
        (("--device", "cuda:99"), "--device cpu"),
        (("--identities", "{}/people.csv"), "--faces"),
        (
            ("--weights", "{}/wide.safetensors"),
            "blocks.0.body.0.weight is (16, 16, 3, 3), not (32, 32, 3, 3)",
        ),
        (("--out", "{}/website"), "no SHA256SUMS"),
        (("--out", "{}/file"), "--out"),
        (("--out", "{}"), "--out"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_bad_input_ends_in_one_sentence(
    world: Path, tiny_weights: Path, arguments: tuple[str, ...], says: str
) -> None:
    before = sorted(path for path in world.rglob("*") if "cache" not in path.parts)
    given = [argument.format(world) for argument in arguments]
    if "--weights" not in given:
        given += ["--weights", str(tiny_weights)]
    if "--out" not in given:
        given += ["--out", str(world / "out")]
    done = mie_x("generate", *given)
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("Error: ")
    assert done.stdout == ""
    assert sorted(path for path in world.rglob("*") if "cache" not in path.parts) == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("spot", "{}/nowhere.mp4"), "give --weights"),
        (("spot", "{}/file", "--weights", "{}/nowhere.safetensors"), "nowhere.safetensors"),
        (("spot", "{}/file", "--weights", "{}/other.safetensors"), "not a mie-x recognizer"),
        (("spot", "samm-lv={}/empty"), "no label sheet"),
        (("spot", "samm-lv={}/empty", "--export", "excel"), "no sheet of 'excel'"),
        (("spot", "samm-lv={}/empty", "casme-sq={}/empty"), "not two"),
        (("train-spotter", "{}/file"), "give a collection"),
        (("keyframes", "{}/faces"), "give --frame"),
        (("keyframes", "{}/nowhere.mp4", "--frame", "3"), "nowhere.mp4"),
        (("keyframes", "{}/faces", "--frame", "3"), "no pictures with a number"),
        (("keyframes", "samm={}/empty", "--start", "peak"), "'peak'"),
        (("keyframes", "samm={}/empty", "--modules", "I"), "'I'"),
        (("keyframes", "samm={}/empty", "--epochs", "few"), "'few'"),
        (("keyframes", "samm={}/empty", "--epochs", "1,2,3"), "two numbers"),
        (("keyframes", "samm={}/empty", "--frame", "3"), "--start"),
        (("keyframes", "samm={}/empty"), "no label sheet"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:3]),
)
def test_what_nobody_could_look_at_is_refused_in_one_sentence(
    world: Path, arguments: tuple[str, ...], says: str
) -> None:
    before = sorted(world.rglob("*"))
    given = [argument.format(world) for argument in arguments]
    done = mie_x(*given, "--out", world / "out")
    assert done.exit_code == 2, done.output
    assert says in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("Error: ")
    assert done.stdout == ""
    assert sorted(world.rglob("*")) == before


def test_generate_verify_and_preview_in_a_row(
    world: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    out = tmp_path_factory.mktemp("with blank ü") / "data set"
    arguments = ("--weights", tiny_weights, "--out", out, "--workers", 1)
    made = mie_x("generate", "--faces", world / "faces", "--align", "none", *arguments)
    assert made.exit_code == 0, made.output
    assert made.stdout == f"{out}\n"
    assert "1 identities x 3 sources x 3 labels = 9 samples" in made.stderr
    assert "not real: motions of mie, motions of mae" in made.stderr
    again = mie_x("generate", "--faces", world / "faces", "--align", "none", *arguments)
    assert again.exit_code == 0 and "nothing to do" in again.stderr

    well = mie_x("verify", out)
    said = f"{out}: 1 shards, 9 samples, bytes and counts all well\n"
    assert (well.exit_code, well.stdout) == (0, said)
    deep = mie_x("verify", out, "--deep", "--workers", 1)
    assert deep.exit_code == 0 and "bytes, rows and frames all well" in deep.stdout
    sheet = out.parent / "sheet.png"
    assert mie_x("preview", out, "--out", sheet).exit_code == 0
    with Image.open(sheet) as image:
        assert image.height == 18 + 5 * 128  # nine panels, two a row, below the head

    (path,) = (out / "data").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    ill = mie_x("verify", out)
    assert ill.exit_code == 1
    assert ill.stdout.startswith(f"data/{path.name}: its SHA-256 is not that of SHA256SUMS")


def test_a_damaged_shard_is_named_on_resume(
    world: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    arguments = ("--weights", tiny_weights, "--out", tmp_path / "out", "--workers", 1)
    faces = ("--faces", world / "faces", "--align", "none")
    assert mie_x("generate", *faces, *arguments).exit_code == 0
    (path,) = (tmp_path / "out" / "data").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    done = mie_x("generate", *faces, *arguments)
    assert done.exit_code == 2 and path.name in done.stderr and "delete it" in done.stderr


def test_what_is_left_out_is_said(world: Path, tiny_weights: Path, tmp_path: Path) -> None:
    (world / "faces" / "b.png").write_bytes(b"broken")
    out = tmp_path / "out"
    done = mie_x(
        *("generate", "--faces", world / "faces", "--align", "none", "--workers", 1),
        *("--weights", tiny_weights, "--out", out),
    )
    assert done.exit_code == 1, done.output
    assert "9 samples are missing" in done.stderr and "b.png: unreadable" in done.stderr
    assert {(f.stage, f.path) for f in shards.read_failures(out)} == {("face", "b.png")}


def test_a_picture_whose_place_another_took_costs_nothing(
    world: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    (world / "faces" / "0.png").write_bytes(b"broken")
    out = tmp_path / "out"
    done = mie_x(
        *("generate", "--faces", world / "faces", "--align", "none", "--workers", 1),
        *("--ids", 1, "--weights", tiny_weights, "--out", out),
    )
    assert done.exit_code == 0, done.output
    assert "1 pictures not used, without a loss" in done.stderr
    (left_out,) = shards.read_failures(out)
    assert (left_out.path, left_out.sample_key) == ("0.png", None)


def test_a_person_is_taken_out_and_stays_out(
    world: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    Image.fromarray(Blob("b").image()).save(world / "faces" / "b.png")
    given = ("--faces", world / "faces", "--align", "none", "--workers", 1)
    arguments = ("generate", *given, "--weights", tiny_weights, "--out", tmp_path / "out")
    assert mie_x(*arguments).exit_code == 0
    done = mie_x("redact", tmp_path / "out", "--identity", "a")
    assert done.exit_code == 0, done.output
    assert "9 samples taken out" in done.stderr
    assert {sample.subject for sample in samples.read(tmp_path / "out")} == {"b"}
    again = mie_x(*arguments)
    assert again.exit_code == 0 and "nothing to do" in again.stderr
    (path,) = (tmp_path / "out" / "data").iterdir()
    path.unlink()
    assert mie_x(*arguments).exit_code == 0
    assert {sample.subject for sample in samples.read(tmp_path / "out")} == {"b"}
    assert mie_x("verify", tmp_path / "out", "--deep").exit_code == 0
    nobody = mie_x("redact", tmp_path / "out", "--identity", "c")
    assert nobody.exit_code == 2 and "nobody is called 'c'" in nobody.stderr


def test_what_a_terminal_would_obey_is_shown_instead() -> None:
    done = mie_x("generate", "--faces", "no\x1b[2Jwhere")
    assert done.exit_code == 2 and "\x1b" not in done.stderr
    assert "no\\x1b[2Jwhere" in done.stderr


def test_plan_writes_the_table_alone(tmp_path: Path) -> None:
    done = mie_x("plan", "--ids", 4, "--sources", "exp,mie", "--out", tmp_path / "plan.parquet")
    assert done.exit_code == 0, done.output
    rows = pq.read_table(tmp_path / "plan.parquet")
    assert len(rows) == 4 * 2 * 3
    assert [path.name for path in tmp_path.iterdir()] == ["plan.parquet"]
    clips = mie_x("plan", "--ids", 1, "--frames", 5, "--out", tmp_path / "clips.parquet")
    assert clips.exit_code == 0, clips.output
    assert len(pq.read_table(tmp_path / "clips.parquet")["frame_aus"][0]) == 5


@pytest.mark.parametrize("verb", ["verify", "preview"])
def test_what_is_no_dataset_is_refused(verb: str, tmp_path: Path) -> None:
    done = mie_x(verb, tmp_path)
    assert done.exit_code == 2
    assert "no finished dataset" in done.stderr
    assert mie_x(verb, tmp_path / "nowhere").exit_code == 2


@pytest.mark.slow
def test_weights_are_trained_measured_and_used(tmp_path: Path) -> None:
    run = ("train-generator", tmp_path / "run", "--width", 4, "--people", 2, "--batch", 2)
    done = mie_x(*run, "--steps", 2, "--measure", 1)
    assert done.exit_code == 0, done.output
    weights = Path(done.stdout.splitlines()[-1])
    figures = json.loads((tmp_path / "run" / "measured.json").read_text())
    assert figures["identities"] == 1 and "stand-in" in figures["measured_on"]
    again = mie_x(*run, "--steps", 2, "--measure", 0, "--rate", 0.5)
    assert again.exit_code == 2 and "0.001 there, 0.5 now" in again.stderr
    made = mie_x("generate", "--ids", 1, "--weights", weights, "--out", tmp_path / "out")
    assert made.exit_code == 0, made.output
    assert manifest.read_manifest(tmp_path / "out")["samples"] == 9


def test_doctor_names_versions_device_and_weights() -> None:
    done = mie_x("doctor")
    for name in ("torch", "facenet-pytorch", "device", "weights", "AU estimator", "face detector"):
        assert f"ok      {name}: " in done.stdout
    assert done.exit_code == 0 and "MISSING" not in done.stdout


@pytest.mark.parametrize("verb", list(main.commands))
def test_every_verb_explains_itself(verb: str) -> None:
    done = mie_x(verb, "--help")
    assert done.exit_code == 0 and len(done.stdout) > 80


def test_the_sheet_shows_every_label(tmp_path: Path, tiny_weights: Path) -> None:
    """Twelve of 36 samples: every third one would be of one label."""
    from pipelines.preview import chosen

    arguments = ("--ids", 4, "--weights", tiny_weights, "--workers", 1, "--out", tmp_path / "out")
    assert mie_x("generate", *arguments).exit_code == 0
    labels = [sample.label for sample in chosen(tmp_path / "out", 12)]
    assert len(labels) == 9 and set(labels) == {0, 1, 2}


def test_the_sheet_exaggerates_the_difference_ten_times() -> None:
    from pipelines.preview import difference

    onset = np.full((1, 4, 3), 100, np.uint8)
    apex = onset + np.array([0, 1, 5, 60], np.uint8)[None, :, None]
    assert difference(onset, apex)[0, :, 0].tolist() == [128, 138, 178, 255]
