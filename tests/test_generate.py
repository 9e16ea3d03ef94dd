"""The main job, whole: what is asked is made, nothing is lost, and a stopped run goes on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import au_sources
from au_sources import estimator
from ganimation.checkpoints import load_generator
from mie_x import manifest, samples, shards
from mie_x.faces import Face, Rendered
from mie_x.fidelity import fidelity
from mie_x.formats import FORMATS, record_paths
from mie_x.frames import read_png
from mie_x.plan import Source
from mie_x.records import AUS, LABELS, SIZE
from mie_x.verify import verify
from pipelines import generate
from pipelines.inputs import Place, Pool
from pipelines.lock import alone
from tests.conftest import Blob, blobs

ROOT = Path(__file__).parent.parent
FILES = ["README.md", "SHA256SUMS", "data/train-00000-of-00001.parquet", "failures.parquet",
         "manifest.json", "plan.parquet"]  # fmt: skip


def sources() -> dict[str, Source]:
    return {
        "mie": au_sources.RealMie(au_sources.stand_in_clips("mie")),
        "mae": au_sources.EarlyMae(au_sources.stand_in_clips("mae")),
        "exp": au_sources.Expert(),
    }


def pool(faces: Sequence[Face]) -> Pool:
    places = tuple(Place(face.identity, face.path, face) for face in faces)
    return Pool(places, {"kind": "rendered", "ids": len(faces)}, {})


def job(
    out: Path, weights: Path, faces: Sequence[Face] | Pool = (), *, seed: int = 0, **options: Any
) -> generate.Job:
    people = faces if isinstance(faces, Pool) else pool(faces or blobs("abc"))
    given = options.pop("sources", None) or sources()
    return generate.prepare(out, people, given, seed=seed, weights=weights, **options)


def tree(folder: Path) -> dict[str, str]:
    """Every file below FOLDER and the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_counts_are_exact_and_every_frame_is_traceable(tmp_path: Path, tiny_weights: Path) -> None:
    planned = job(tmp_path / "out", tiny_weights)
    assert planned.plan is not None
    out = generate.run(planned)
    assert sorted(tree(out)) == FILES
    listed = manifest.read_manifest(out)
    assert listed["samples"] == 3 * 3 * 3 and listed["identities"] == 3
    assert listed["samples_by_source_and_label"] == {
        source: dict.fromkeys(LABELS, 3) for source in ("mie", "mae", "exp")
    }
    assert verify(out, deep=True) == []
    for row, sample in zip(planned.plan.to_pylist(), samples.read(out), strict=True):
        assert (sample.key, sample.label) == (row["sample_key"], row["label"])
        assert sample.aus is not None
        assert np.allclose(sample.aus, [row["onset_aus"], row["apex_aus"]])


def test_a_frame_is_what_the_generator_makes_of_face_and_aus(
    tmp_path: Path, tiny_weights: Path
) -> None:
    from ganimation.animation import animate

    out = generate.run(job(tmp_path / "out", tiny_weights))
    sample = next(iter(samples.read(out)))
    assert sample.aus is not None
    face = np.stack([Blob("a").image()] * 2)
    direct = animate(load_generator(tiny_weights).generator, face, sample.aus)
    assert np.abs(direct.astype(int) - sample.frames).max() <= 1


def test_frames_that_samples_share_are_made_once() -> None:
    def row(apex: float) -> dict[str, Any]:
        return {"onset_aus": [0.0] * len(AUS), "apex_aus": [apex] * len(AUS)}

    needed = generate.wanted([row(0.1), row(0.2), row(0.1)])
    assert needed.vectors.shape == (3, len(AUS))
    assert needed.index == [[0, 1], [0, 2], [0, 1]]


@pytest.mark.parametrize("batch", [8, 64])
def test_one_generator_for_many_identities_makes_the_same(
    tmp_path: Path, tiny_weights: Path, batch: int
) -> None:
    """The way of a GPU, on a CPU: faces of many identities in a batch, a worker around it."""
    faces = [*blobs("abcde"), Unreadable("f"), Blob("g")]
    asked = job(tmp_path / "out", tiny_weights, faces)
    runner = generate.Run(asked, workers=1, batch=batch, device="cpu")
    grouped = list(runner.made_in_groups(asked.pool.places))
    assert len(grouped) == 7
    for made, alone_made in zip(grouped, runner.made(asked.pool.places), strict=True):
        assert made.failures == alone_made.failures
        for ours, theirs in zip(made.rows, alone_made.rows, strict=True):
            assert ours["sample_key"] == theirs["sample_key"]
            for a, b in zip(ours["frames"], theirs["frames"], strict=True):
                assert np.abs(read_png(a).astype(int) - read_png(b)).max() <= 1


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_holds_the_same_samples(
    tmp_path: Path, tiny_weights: Path, format: str
) -> None:
    plain = generate.run(job(tmp_path / "plain", tiny_weights))
    other = generate.run(job(tmp_path / "other", tiny_weights, format=format))
    assert verify(other, deep=True) == []
    for a, b in zip(samples.read(plain), samples.read(other), strict=True):
        assert (a.key, a.label, a.subject, a.origin) == (b.key, b.label, b.subject, b.origin)
        assert (a.frames == b.frames).all()


@pytest.mark.parametrize("format", FORMATS)
def test_clips_go_from_the_onset_over_the_apex_to_the_offset(
    tmp_path: Path, tiny_weights: Path, format: str
) -> None:
    options: dict[str, Any] = {"format": format, "frames": 5}
    rise = generate.run(job(tmp_path / "rise", tiny_weights, blobs("a"), **options))
    full = generate.run(job(tmp_path / "full", tiny_weights, blobs("a"), course="full", **options))
    assert verify(rise, deep=True) == [] and verify(full, deep=True) == []
    assert manifest.read_manifest(full)["frames"] == 9 * 5
    for clip in samples.read(rise):
        assert clip.frames.shape == (5, SIZE, SIZE, 3) and clip.aus is not None
        assert clip.apex in (-1, 4) and clip.aus.shape == (5, len(AUS))
    for clip in samples.read(full, sources=["exp"]):  # neutral, half way, apex, and back
        assert clip.aus is not None and (clip.aus[0] == 0).all() and clip.apex == 2
        assert (clip.frames[1] == clip.frames[3]).all()
        assert (clip.frames[0] == clip.frames[4]).all()


def test_one_or_two_workers_give_the_same_bytes(tmp_path: Path, tiny_weights: Path) -> None:
    one = generate.run(job(tmp_path / "one", tiny_weights), workers=1)
    two = generate.run(job(tmp_path / "two", tiny_weights), workers=2)
    assert tree(one) == tree(two)


def test_other_batches_give_the_same_plan_and_pixels_within_one_level(
    tmp_path: Path, tiny_weights: Path
) -> None:
    some = generate.run(job(tmp_path / "some", tiny_weights), batch=3)
    many = generate.run(job(tmp_path / "many", tiny_weights), batch=64)
    for a, b in zip(samples.read(some), samples.read(many), strict=True):
        assert a.key == b.key
        assert np.abs(a.frames.astype(int) - b.frames).max() <= 1


def test_one_more_identity_changes_no_other_ones_samples(
    tmp_path: Path, tiny_weights: Path
) -> None:
    few = generate.run(job(tmp_path / "few", tiny_weights, blobs("ac")))
    more = generate.run(job(tmp_path / "more", tiny_weights, blobs("abc")))
    of_more = {sample.key: sample for sample in samples.read(more)}
    for sample in samples.read(few):
        assert (of_more[sample.key].frames == sample.frames).all()


def test_a_finished_run_does_nothing(tmp_path: Path, tiny_weights: Path) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    before = times(out)
    again = job(out, tiny_weights)
    assert again.complete
    generate.run(again)
    assert times(out) == before


def test_a_finished_run_is_known_without_loading_torch(tmp_path: Path) -> None:
    faces = ["--ids", 2, "--sources", "exp", "--out", tmp_path / "out", "--workers", 1]
    assert mie_x(["generate", *faces]).returncode == 0
    code = (
        "import sys\nfrom mie_x.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    print(end.code, 'torch' in sys.modules)\n"
    )
    again = [sys.executable, "-c", code, "generate", *map(str, faces), "--no-measure"]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "nothing to do" in done.stderr
    assert done.stdout.splitlines()[-1] == "0 False"


@pytest.mark.parametrize("format", FORMATS)
def test_whatever_was_deleted_is_made_again(
    tmp_path: Path, tiny_weights: Path, format: str
) -> None:
    options: dict[str, Any] = {"format": format, "sources": {"exp": au_sources.Expert()}}
    out = generate.run(job(tmp_path / "out", tiny_weights, blobs("a"), **options))
    before = tree(out)
    for gone in before:
        (out / gone).unlink()
        generate.run(job(out, tiny_weights, blobs("a"), **options))
        assert tree(out) == before, gone


def test_what_another_run_left_half_made_is_removed(tmp_path: Path, tiny_weights: Path) -> None:
    (tmp_path / "out" / "data").mkdir(parents=True)
    (tmp_path / "out" / "data" / "train-00000-of-00100.parquet.partial").write_bytes(b"half")
    out = generate.run(job(tmp_path / "out", tiny_weights))
    assert verify(out) == [] and sorted(tree(out)) == FILES


def test_two_runs_in_one_folder_are_one_too_many(tmp_path: Path, tiny_weights: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (
        alone(out),
        pytest.raises(shards.Unusable, match=rf"process {os.getpid()} on .* writes there"),
    ):
        generate.run(job(out, tiny_weights))
    assert verify(generate.run(job(out, tiny_weights))) == []


def test_a_lock_that_a_killed_run_left_is_taken_over(tmp_path: Path, tiny_weights: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / manifest.LOCK).write_text('{"host": "elsewhere", "pid": 1}')
    assert verify(generate.run(job(out, tiny_weights))) == []
    assert not (out / manifest.LOCK).exists()


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_damaged_while_the_run_was_stopped_is_named(
    tmp_path: Path, tiny_weights: Path, format: str
) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights, format=format))
    manifest.unfinish(out)
    path = next(
        path for path in sorted(out.rglob("*")) if path.is_file() and b"IDAT" in path.read_bytes()
    )
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"IDAT") + 100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(shards.Unusable, match=rf"{path.name} is damaged.* delete it and run again"):
        generate.run(job(out, tiny_weights, format=format))
    path.unlink()
    assert verify(generate.run(job(out, tiny_weights, format=format)), deep=True) == []


# --- The drift guard ------------------------------------------------------------------------------


def other_weights(weights: Path) -> Path:
    import torch

    from ganimation.checkpoints import save_generator
    from ganimation.networks import Generator

    torch.manual_seed(8)
    path = weights.with_name("other.safetensors")
    save_generator(path, Generator(width=4, blocks=1), steps=0, data="untrained", licence="none")
    return path


CHANGES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "seed": lambda _: {"seed": 1},
    "sources.exp.table": lambda _: {
        "sources": sources() | {"exp": au_sources.Expert(table="du2014")}
    },
    "sources.exp.interval": lambda _: {
        "sources": sources() | {"exp": au_sources.Expert(interval=(0.2, 0.3))}
    },
    "sources.mae.beta": lambda _: {
        "sources": sources()
        | {"mae": au_sources.EarlyMae(au_sources.stand_in_clips("mae"), beta=0.4)}
    },
    "sources.mie.clips_sha256": lambda _: {
        "sources": sources() | {"mie": au_sources.RealMie(au_sources.stand_in_clips("mie")[:-1])}
    },
    "sources.exp": lambda _: {"sources": {"mie": sources()["mie"]}},
    "frames": lambda _: {"frames": 5},
    "format": lambda _: {"format": "png"},
    "weights.sha256": lambda weights: {"weights": other_weights(weights)},
    "faces.ids": lambda _: {"faces": blobs("abcd")},
    "identity 'c' was there, 'd' is in its place": lambda _: {"faces": blobs("abd")},
}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("what", CHANGES)
def test_whatever_changes_a_sample_is_refused_by_name(
    tmp_path: Path, tiny_weights: Path, what: str, finished: bool
) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    if not finished:
        manifest.unfinish(out)
    before = tree(out)
    given = {"out": out, "weights": tiny_weights} | CHANGES[what](tiny_weights)
    with pytest.raises(ValueError, match="was begun with") as caught:
        job(**given)
    assert what in str(caught.value)
    assert tree(out) == before


def test_a_run_by_other_code_is_refused(tmp_path: Path, tiny_weights: Path) -> None:
    made = job(tmp_path / "out", tiny_weights)
    old = dataclasses.replace(made, settings=made.settings | {"code_sha256": "0" * 64})
    generate.run(old)
    with pytest.raises(ValueError, match="code_sha256 was '0000"):
        job(tmp_path / "out", tiny_weights)


def test_workers_batch_and_the_order_of_faces_in_memory_may_change(
    tmp_path: Path, tiny_weights: Path
) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights), workers=1, batch=4)
    before = tree(out)
    generate.run(job(out, tiny_weights), workers=2, batch=64)
    assert tree(out) == before


def test_a_photograph_that_changed_under_its_name_is_noticed(
    tmp_path: Path, tiny_weights: Path, pictures: Path
) -> None:
    given = ["--faces", pictures, "--align", "none", "--sources", "exp", "--workers", 1]
    arguments = ["generate", *given, "--weights", tiny_weights, "--out", tmp_path / "out"]
    assert mie_x(arguments).returncode == 0
    Image.fromarray(Blob("zz").image()).save(pictures / "001.png")
    done = mie_x(arguments)
    assert done.returncode == 2 and b"the file '001.png' has changed (SHA-256" in done.stderr


# --- Failures and retries -------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Unreadable(Blob):
    """A photograph that is cut off between planning and reading."""

    def image(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        raise OSError("cut off")


@pytest.mark.parametrize("format", FORMATS)
def test_samples_that_failed_are_recorded_and_made_by_the_next_run_alone(
    tmp_path: Path, tiny_weights: Path, format: str
) -> None:
    faces = [Blob("a"), Unreadable("b"), Blob("c")]
    out = generate.run(job(tmp_path / "out", tiny_weights, faces, format=format))
    failures = shards.read_failures(out)
    assert [(f.stage, f.identity, f.detail) for f in failures] == [("frames", "b", "cut off")] * 9
    assert {sample.subject for sample in samples.read(out)} == {"a", "c"}
    assert manifest.read_manifest(out)["samples_missing"] == 9
    assert verify(out, deep=True) == []

    before = times(out)
    generate.run(job(out, tiny_weights, faces, format=format))  # still cut off
    assert {path: before[path] for path in before if path.is_file()} == {
        path: time for path, time in times(out).items() if path.is_file()
    }

    generate.run(job(out, tiny_weights, blobs("abc"), format=format))
    assert shards.read_failures(out) == [] and verify(out, deep=True) == []
    assert (
        tree(out)
        == tree(generate.run(job(tmp_path / "whole", tiny_weights, blobs("abc"), format=format)))
        or format == "original"
    )  # whose lists hold the folder's own path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Pictures that need no detector (--align none)."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(6):
        Image.fromarray(Blob(f"{n:03d}").image()).save(folder / f"{n:03d}.png")
    return folder


def test_poisoned_photographs_cost_their_own_samples_until_they_are_mended(
    tmp_path: Path, tiny_weights: Path, pictures: Path
) -> None:
    given = ["--faces", pictures, "--align", "none", "--workers", 1, "--weights", tiny_weights]
    arguments = ["generate", *given, "--out", tmp_path / "out"]
    good = {name: (pictures / name).read_bytes() for name in ("000.png", "003.png", "005.png")}
    (pictures / "000.png").write_bytes(b"")
    (pictures / "003.png").write_bytes(good["003.png"][:-200])
    (pictures / "005.png").write_bytes(b"GIF89a")

    done = mie_x(arguments)
    assert done.returncode == 1 and b"27 samples are missing" in done.stderr
    failures = shards.read_failures(tmp_path / "out")
    assert len(failures) == 27 and {f.path for f in failures} == set(good)
    assert all(f.stage == "face" and f.reason and f.sample_key for f in failures)
    assert len(list(samples.read(tmp_path / "out"))) == 27
    assert mie_x([*arguments, "--allow-failures", 27]).returncode == 0
    assert mie_x([*arguments, "--allow-failures", 26]).returncode == 1

    kept = {sample.key: sample.frames for sample in samples.read(tmp_path / "out")}
    for name, data in good.items():
        (pictures / name).write_bytes(data)
    assert mie_x(arguments).returncode == 0
    made = {sample.key: sample.frames for sample in samples.read(tmp_path / "out")}
    assert len(made) == 54 and all((made[key] == kept[key]).all() for key in kept)
    assert verify(tmp_path / "out", deep=True) == []
    whole = ["generate", *given, "--out", tmp_path / "whole"]
    assert mie_x(whole).returncode == 0
    assert tree(tmp_path / "whole") == tree(tmp_path / "out")


def test_a_dataset_without_a_sample_is_no_success(
    tmp_path: Path, tiny_weights: Path, pictures: Path
) -> None:
    lost = pool([Unreadable("a")])
    generate.run(job(tmp_path / "out", tiny_weights, lost))
    assert manifest.read_manifest(tmp_path / "out")["samples"] == 0
    assert manifest.read_manifest(tmp_path / "out")["samples_missing"] == 9


def test_fifty_identities_make_a_shard(tmp_path: Path, tiny_weights: Path) -> None:
    faces = blobs([f"{n:03d}" for n in range(101)])
    small = job(tmp_path / "out", tiny_weights, faces, sources={"exp": au_sources.Expert()})
    generate.run(small, workers=2)
    rows = [entry["rows"] for entry in manifest.read_manifest(tmp_path / "out")["shards"]]
    assert rows == [150, 150, 3]


# --- What the machine does to a run ---------------------------------------------------------------


def command(arguments: Sequence[object]) -> list[str]:
    own = ["--no-measure"] if "generate" in arguments and "--measure" not in arguments else []
    return [sys.executable, "-m", "mie_x", *map(str, arguments), *own]


def mie_x(arguments: Sequence[object], **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own, to its end, every warning an error."""
    environment = os.environ | {"PYTHONWARNINGS": "error"}
    return subprocess.run(
        command(arguments), cwd=ROOT, env=environment, capture_output=True, check=False, **options
    )


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_stop_ends_at_once_and_says_how_to_go_on(
    tmp_path: Path, tiny_weights: Path, number: signal.Signals, code: int, workers: int
) -> None:
    out = tmp_path / "out"
    arguments = ["generate", "--ids", 400, "--sources", "exp", "--weights", tiny_weights]
    process = subprocess.Popen(
        command([*arguments, "--workers", workers, "--out", out]),
        cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    while not (out / manifest.PLAN).exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    start = time.monotonic()
    if number == signal.SIGINT:  # a terminal tells the whole group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - start < 15  # alone on the machine it takes one or two
    # Python's tracker of semaphores, a process of its own, may complain after ours has ended
    lines = [line for line in said.strip().splitlines() if "resource_tracker" not in line]
    assert lines[-1].startswith("  mie-x generate --ids 400") and "Traceback" not in said
    assert not list(out.rglob("*.partial")) and not (out / manifest.LOCK).exists()


def test_a_full_disk_ends_the_run_without_damage_and_it_goes_on_later(
    tmp_path: Path, tiny_weights: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["generate", "--ids", 3, "--weights", tiny_weights, "--workers", 1, "--out", out]

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = mie_x(arguments, preexec_fn=little_room)
    assert done.returncode == 2, done.stderr
    assert b"File too large; put that right" in done.stderr and b"Traceback" not in done.stderr
    assert sorted(tree(out)) == ["plan.parquet"]
    assert mie_x(arguments).returncode == 0
    assert verify(out, deep=True) == []


def test_too_little_room_is_said_before_the_run(tmp_path: Path, tiny_weights: Path) -> None:
    with pytest.raises(ValueError, match=r"about \d+\.\d GB are needed"):
        job(tmp_path / "out", tiny_weights, blobs("a"), frames=10**9)


def test_no_identity_is_made_twice_by_a_lost_worker(tmp_path: Path, tiny_weights: Path) -> None:
    """A worker that the system kills ends the run with a sentence, and nothing is damaged."""
    faces = [Blob("a"), Killer("b"), *blobs("cdef")]
    with pytest.raises(shards.Unusable, match="ended a worker"):
        generate.run(job(tmp_path / "out", tiny_weights, faces), workers=2)
    assert sorted(tree(tmp_path / "out")) == ["plan.parquet"]
    generate.run(job(tmp_path / "out", tiny_weights, blobs("abcdef")), workers=2)
    assert verify(tmp_path / "out", deep=True) == []


@dataclasses.dataclass(frozen=True)
class Killer(Blob):
    """A face that the system kills the process for, as it does when memory is out."""

    def image(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_surroundings_change_nothing(tmp_path: Path, tiny_weights: Path) -> None:
    def made(name: str, **environment: str) -> dict[str, str]:
        arguments = ["--ids", 1, "--weights", tiny_weights, "--out", tmp_path / name]
        subprocess.run(
            command(["generate", *arguments, "--workers", 1]),
            cwd=ROOT, env=os.environ | environment, check=True, capture_output=True,
        )  # fmt: skip
        return tree(tmp_path / name)

    there = made("there", PYTHONHASHSEED="1", LC_ALL="tr_TR.UTF-8", TZ="Asia/Kathmandu")
    assert there == made("here", PYTHONHASHSEED="2", LC_ALL="C", TZ="UTC")


def kill_after(seconds: float, arguments: Sequence[object]) -> int | None:
    """Kill -9 the command and its workers after SECONDS; its exit code if it ended before."""
    process = subprocess.Popen(
        command(arguments), cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that need no detector (--align none): 120 identities, three shards."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(120):
        Image.fromarray(Blob(f"{n:03d}").image()).save(folder / f"{n:03d}.png")
    return folder


KILLS = int(os.environ.get("MIEX_TEST_KILLS", "4"))  # docs/trust.md tells of 50


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_killed_at_random_moments_the_folder_ends_byte_identical(
    tmp_path: Path, tiny_weights: Path, photographs: Path, format: str
) -> None:
    """Kill -9 at moments spread over the whole run, imports and writing included.

    A folder is killed in until a run of it comes through, then the next is begun, in the same
    place, since the lists of the original layout hold it.
    """
    out = tmp_path / "out"

    def arguments(workers: int = 1) -> list[object]:
        faces = ["--faces", photographs, "--align", "none", "--weights", tiny_weights]
        given = ["--sources", "exp", "--format", format, "--workers", workers, "--out", out]
        return ["generate", *faces, *given]

    start = time.monotonic()
    assert mie_x(arguments()).returncode == 0
    seconds = time.monotonic() - start
    whole = tree(out)
    moments = random.Random(0)
    kills = folders = 0
    while kills < KILLS:
        out.rename(tmp_path / f"done-{folders}")
        folders += 1
        while kills < KILLS:
            code = kill_after(moments.uniform(0, seconds), arguments(1 + kills % 2))
            if code == 0:
                break
            assert code is None
            kills += 1
            now = tree(out) if out.exists() else {}
            assert {name: now[name] for name in now if name in whole}.items() <= whole.items()
            assert all(name in whole or name.endswith((".partial", ".lock")) for name in now)
        assert mie_x(arguments()).returncode == 0
        assert tree(out) == whole


def test_a_kill_between_the_last_shard_and_the_manifest_is_made_good(
    tmp_path: Path, tiny_weights: Path
) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    before = tree(out)
    for name in ("SHA256SUMS", "manifest.json", "README.md", "failures.parquet"):
        (out / name).unlink()  # in the opposite order of their writing
        generate.run(job(out, tiny_weights))
        assert tree(out) == before


def drawn(seeds: Sequence[int]) -> list[Face]:
    return [Rendered(f"person-{seed}", seed) for seed in seeds]


def test_every_sample_tells_what_it_was_measured_to_show(tmp_path: Path) -> None:
    people = pool(drawn([1, 2]))
    asked = {"seed": 0, "measure": True}
    out = generate.run(generate.prepare(tmp_path / "out", people, sources(), **asked))  # type: ignore[arg-type]
    assert verify(out, deep=True) == []
    (path,) = record_paths(out, "parquet")
    shown = []
    for row in shards.rows_of(path):
        assert 0.8 < row["identity_cosine"] <= 1 and 0 <= row["changed_outside"] < 0.6
        shown.append(fidelity(row, row["measured_delta_aus"]))
    assert np.mean(shown) > 0.3  # 0.6 on average, and 0 where nothing moves as asked
    frames = next(samples.read(out)).frames
    (deltas,) = estimator.differences(frames[:1], frames[1:])
    assert np.allclose(deltas, shards.rows_of(path)[0]["measured_delta_aus"], atol=1e-3)


@pytest.mark.parametrize("format", FORMATS)
def test_samples_that_show_too_little_are_left_out_and_counted(tmp_path: Path, format: str) -> None:
    asked: dict[str, Any] = {"seed": 0, "measure": True, "min_fidelity": 0.5, "format": format}
    given = {"exp": au_sources.Expert()}
    people = pool([*drawn([1, 2]), Unreadable("b")])
    out = generate.run(generate.prepare(tmp_path / "out", people, given, **asked))
    listed = manifest.read_manifest(out)
    below = listed["samples_below_fidelity"]
    assert 0 < below < 6 and listed["samples"] == 6 - below and listed["samples_missing"] == 3
    assert verify(out, deep=True) == []
    told = [one for one in shards.read_failures(out) if one.stage == "fidelity"]
    assert len(told) == below and all("of the asked movement" in one.detail for one in told)

    mended = pool([*drawn([1, 2]), Blob("b")])
    generate.run(generate.prepare(tmp_path / "out", mended, given, **asked))
    again = [one for one in shards.read_failures(out) if one.identity != "b"]
    assert again == told and not manifest.read_manifest(out)["samples_missing"]
    assert verify(out, deep=True) == []


def test_fidelity_without_measures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--min-fidelity needs measures"):
        job(tmp_path / "out", tmp_path / "none", min_fidelity=0.5)


def test_the_record_of_a_shard_tells_what_it_was_made_with(
    tmp_path: Path, tiny_weights: Path
) -> None:
    out = generate.run(job(tmp_path / "out", tiny_weights))
    (path,) = record_paths(out, "parquet")
    told = shards.footer(path)
    assert told["settings"] == json.loads((out / "manifest.json").read_text())["settings"]
    assert [face[0] for face in told["faces"]] == ["a", "b", "c"]
    (versions,) = told["made_with"]
    assert versions["device"] == "cpu" and versions["torch"]
