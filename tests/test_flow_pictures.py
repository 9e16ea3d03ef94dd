"""Flow pictures of a collection: written, read again, and told how they were made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from mie_x.cli import main
from mie_x.datasets import flow_images
from mie_x.datasets.collection import MARK
from pipelines import flow_pictures
from pipelines.examples import of_collection, of_flow_pictures
from recognizers.views import flow_of
from tests.test_examples import lay_out


@pytest.fixture(scope="module")
def casme2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of rendered people: look, do not touch."""
    return lay_out(tmp_path_factory.mktemp("casme2"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("flow", ["tvl1", "farneback"])
def test_what_is_written_is_read_as_the_flow_of_the_clips(
    casme2: Path, cache: Path, tmp_path: Path, flow: str
) -> None:
    done = flow_pictures.write("casme2", casme2, tmp_path / "out", flow=flow, cache=cache)
    assert done.written == 3
    clips = {example.origin: example for example in of_collection("casme2", casme2).examples}
    read = list(flow_images.read(tmp_path / "out"))
    assert [picture.origin.clip for picture in read] == ["EP01", "EP02", "EP05"]
    for picture in read:
        example = clips[picture.origin]
        assert picture.problem == ""
        assert picture.label == example.label
        wanted = flow_of(example.frames, -1, size=28, flow=flow)
        assert np.abs(picture.read() - wanted).max() <= 0.5 / 255 + 1e-6
    assert len(of_flow_pictures(tmp_path / "out").examples) == 3


def test_how_they_were_made_and_what_is_missing_lies_beside(
    casme2: Path, cache: Path, tmp_path: Path
) -> None:
    done = flow_pictures.write("casme2", casme2, tmp_path, size=56, early=0.25, cache=cache)
    told = json.loads((tmp_path / "flow.json").read_text())
    wanted = {
        "collection": "casme2", "flow": "tvl1", "normalise": "minmax", "size": 56, "early": 0.25,
        "channels": ["u", "v", "strain"], "pictures": 3, "stand_in": False,
    }  # fmt: skip
    assert told.items() >= wanted.items()
    assert [tuple(one) for one in told["left_out"]] == list(done.left_out)
    assert [tuple(one) for one in told["failed"]] == list(done.failed)
    assert dict(done.left_out).keys() == {"casme2/sub02/EP03"}
    assert dict(done.failed).keys() == {"casme2/sub03/EP04"}
    assert "no face" in done.failed[0].reason
    shapes = {np.asarray(Image.open(path)).shape for path in tmp_path.rglob("*.png")}
    assert shapes == {(56, 56, 3)}


def test_a_folder_holds_one_kind_of_flow(casme2: Path, cache: Path, tmp_path: Path) -> None:
    flow_pictures.write("casme2", casme2, tmp_path, cache=cache)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    flow_pictures.write("casme2", casme2, tmp_path, cache=cache)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before
    with pytest.raises(ValueError, match="made with flow 'tvl1', not 'farneback'"):
        flow_pictures.write("casme2", casme2, tmp_path, flow="farneback", cache=cache)


def test_pictures_of_others_are_left_alone(casme2: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / flow_images.ALL).mkdir(parents=True)
    with pytest.raises(ValueError, match="flow pictures of others"):
        flow_pictures.write("casme2", casme2, tmp_path, cache=cache)


def test_pictures_of_a_stand_in_are_a_stand_in(cache: Path, tmp_path: Path) -> None:
    root = lay_out(tmp_path / "root")
    (root / MARK).write_text("STAND-IN\n\n{}\n")
    flow_pictures.write("casme2", root, tmp_path / "out", flow="farneback", cache=cache)
    assert all(picture.stand_in for picture in flow_images.read(tmp_path / "out"))
    assert json.loads((tmp_path / "out/flow.json").read_text())["stand_in"]


# -- the command ---------------------------------------------------------------------------------


def mie_x(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_tells_what_is_missing_and_ends_with_1_where_a_clip_could_not_be_seen(
    casme2: Path, cache: Path, tmp_path: Path
) -> None:
    done = mie_x(
        "flow", "casme2", casme2, "--out", tmp_path / "out", "--flow", "farneback",
        "--size", 56, "--store", cache, "--workers", 1,
    )  # fmt: skip
    assert done.exit_code == 1, done.output
    assert done.stdout == f"{tmp_path / 'out'}\n"
    first, second, last = done.stderr.splitlines()
    assert first.startswith("casme2/sub02/EP03: its emotion 'others'")
    assert second.startswith("casme2/sub03/EP04: no face")
    assert last == "3 pictures; 1 left out, 1 failed"
    told = json.loads((tmp_path / "out" / "flow.json").read_text())
    assert (told["flow"], told["size"]) == ("farneback", 56)


def test_where_every_labelled_clip_has_its_picture_the_command_ends_with_0(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = lay_out(tmp_path / "root")
    for path in (root / "CASME2_RAW_selected" / "sub03" / "EP04").iterdir():
        path.write_bytes((root / "CASME2_RAW_selected/sub01/EP01" / path.name).read_bytes())
    monkeypatch.setenv("MIEX_CACHE", str(tmp_path / "kept"))
    done = mie_x(
        "flow", "casme2", root, "--out", tmp_path / "out", "--flow", "farneback", "--workers", 1
    )
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[-1] == "4 pictures; 1 left out, 0 failed"
    assert any((tmp_path / "kept" / "views").rglob("values.npy"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("casme9", "."), "no collection 'casme9'"),
        (("casme2", "nowhere"), "nowhere"),
        (("casme2", ".", "--flow", "dense"), "dense"),
        (("casme2", ".", "--size", "0"), "size"),
    ],
)
def test_bad_input_of_the_command_ends_with_2_and_writes_nothing(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = mie_x("flow", *arguments, "--out", "out")
    assert done.exit_code == 2
    assert says in done.stderr
    assert list(tmp_path.rglob("*.png")) == []
