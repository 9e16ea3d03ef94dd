"""The card says what a stranger must know, and its head what the Hub must."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from mie_x import manifest, shards
from mie_x.card import dataset_card
from mie_x.formats import FORMATS
from tests.conftest import make_dataset


def card(folder: Path) -> str:
    return " ".join((folder / manifest.CARD).read_text("utf-8").split())


@pytest.mark.parametrize("format", FORMATS)
def test_its_head_names_files_that_are_there_and_hold_the_samples(
    made: Callable[[str], Path], format: str
) -> None:
    head: dict[str, Any] = DatasetCard.load(made(format) / manifest.CARD).data.to_dict()
    assert head["size_categories"] == ["n<1K"] and "synthetic" in head["tags"]
    [config] = head["configs"]
    [split] = config["data_files"]
    assert (config["config_name"], split["split"]) == ("default", "train")
    patterns = split["path"] if isinstance(split["path"], list) else [split["path"]]
    for pattern in patterns:
        named = {path.relative_to(made(format)).as_posix() for path in made(format).glob(pattern)}
        assert named and named < set(manifest.present(made(format)))
        assert not named & {manifest.PLAN, manifest.FAILURES}


@pytest.mark.parametrize("format", FORMATS)
def test_it_says_that_frames_are_synthetic_and_motions_stand_ins(
    made: Callable[[str], Path], format: str
) -> None:
    text = card(made(format))
    assert "**Every frame of this dataset is synthetic**" in text
    assert "29 samples, each an onset and an apex frame of 128 x 128 pixels" in text
    assert "**Stand-in motions** in mie: invented AU curves, measured on nobody" in text
    assert "| mie | 5 | 5 | 5 | **stand-in** |" in text
    assert "| exp | 5 | 5 | 4 | table of experts |" in text
    assert "1 planned samples are missing. 2 entries in `failures.parquet` say what" in text
    assert " ".join(FORMATS[format].HOW.split()) in text


def test_every_column_it_explains_is_there(tmp_path: Path) -> None:
    for frames, course in ((2, "rise"), (5, "full")):
        out = make_dataset(tmp_path / course, "parquet", frames=frames, course=course)
        text = card(out)
        columns = text[text.index("## Columns") : text.index("## What it must not")]
        named = set(re.findall(r"`([a-z_]+)`", columns))
        assert named <= set(shards.schema(frames).names)
        assert {"label", "source", "identity", "onset_aus"} <= named


def test_whose_faces_they_are_decides_what_it_warns_of(made: Callable[[str], Path]) -> None:
    listed = manifest.read_manifest(made("parquet"))
    assert "**The people stay recognisable**" in dataset_card(listed)
    assert "**not stated**" in dataset_card(listed)
    listed["settings"]["faces"]["licence"] = "CC0, consent given"
    assert "photographs: CC0, consent given." in dataset_card(listed)
    listed["settings"]["faces"] = {"kind": "rendered"}
    assert "**Rendered.**" in dataset_card(listed)
    assert "recognisable" not in dataset_card(listed)


def test_nothing_left_out_is_said_so(tmp_path: Path, made: Callable[[str], Path]) -> None:
    listed = manifest.read_manifest(made("parquet"))
    text = dataset_card({**listed, "samples_missing": 0, "left_out": 0})
    assert text.endswith("Nothing was left out.\n")
