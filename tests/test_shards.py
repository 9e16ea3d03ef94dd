"""A record tells of its shard, reads back as it was written, and never damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mie_x import shards
from mie_x.formats import FORMATS, record_paths
from mie_x.records import AUS, LABELS
from mie_x.shards import Failure
from tests.conftest import PEOPLE, make_dataset

FOOTER: dict[str, Any] = {
    "settings": {"seed": 1, "word": "größe"},
    "made_with": [{"torch": "2"}],
    "faces": [["a", "a.jpg", "f" * 64, [1.0, 0.5]]],
    "failures": [],
    "files": {},
}


def row(key: str, *, frames: int = 2) -> dict[str, Any]:
    """A row whose values differ in every column."""
    vectors = np.linspace(0, 1, frames * len(AUS), dtype=np.float32).reshape(frames, len(AUS))
    image = [{"bytes": f"{key}{n}".encode(), "path": None} for n in range(frames)]
    clip = {
        "frames": image,
        "frame_sha256": [f"{n}" for n in range(frames)],
        "frame_aus": vectors.tolist(),
        "apex_frame": frames // 2,
        "fall": None,
    }
    pair = {"onset": image[0], "apex": image[-1], "onset_sha256": "1", "apex_sha256": "2"}
    return {
        "sample_key": key,
        "label": 2,
        "emotion": "surprise",
        "source": "mie",
        "identity": "größe",
        "face": "a b/ü.jpg",
        "onset_aus": vectors[0].tolist(),
        "apex_aus": vectors[-1].tolist(),
        "origin_corpus": None,
        "origin_subject": "7",
        "origin_clip": "c",
        "draw_seed": 2**62,
        "face_sha256": "f" * 64,
        "rendered_face": False,
        "stand_in_motion": True,
        "measured_delta_aus": vectors[-1].tolist(),
        "identity_cosine": 0.5,
        "changed_outside": 0.25,
        **(pair if frames == 2 else clip),
    }


@pytest.mark.parametrize("frames", [2, 5])
def test_rows_are_read_as_they_were_written(tmp_path: Path, frames: int) -> None:
    rows = [row(f"größe_mie_{n}", frames=frames) for n in range(3)]
    shards.write_record(tmp_path / "r.parquet", rows, frames=frames, footer=FOOTER)
    assert shards.rows_of(tmp_path / "r.parquet") == rows
    assert shards.rows_of(tmp_path / "r.parquet", ["label"]) == [{"label": 2}] * 3


@pytest.mark.parametrize("frames", [2, 5])
def test_an_empty_record_is_a_record(tmp_path: Path, frames: int) -> None:
    shards.write_record(tmp_path / "r.parquet", [], frames=frames, footer=FOOTER)
    assert pq.read_table(tmp_path / "r.parquet").schema.equals(shards.schema(frames))


def test_a_record_tells_of_its_settings_and_failures(tmp_path: Path) -> None:
    lost = {
        "stage": "frames",
        "identity": "d",
        "path": "d.jpg",
        "sample_key": "d_exp_0",
        "reason": "unreadable",
        "detail": "cut off",
    }
    told = {**FOOTER, "failures": [lost]}
    shards.write_record(tmp_path / "r.parquet", [], frames=2, footer=told)
    assert shards.footer(tmp_path / "r.parquet") == told
    assert shards.failures_of(told) == [
        Failure("frames", "d", "d.jpg", "d_exp_0", "unreadable", "cut off")
    ]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        shards.write_record(tmp_path / name, [row("k")], frames=2, footer=FOOTER)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_record_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        shards.write_record(tmp_path / "r", [{"label": 1}], frames=2, footer=FOOTER)
    with pytest.raises(pa.ArrowInvalid):
        bad = {**row("k"), "onset_aus": [0.5]}
        shards.write_record(tmp_path / "r", [bad], frames=2, footer=FOOTER)
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_bit_of_the_rows_is_named(tmp_path: Path) -> None:
    """Pages have check sums; what lies behind them is covered by SHA256SUMS."""
    path = tmp_path / "r.parquet"
    big = row("k") | {"onset": {"bytes": bytes(9999), "path": None}}
    shards.write_record(path, [big], frames=2, footer=FOOTER)
    data = path.read_bytes()
    start = data.index(bytes(9999))
    for place in range(start, start + 9999, 101):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(shards.Unusable, match=r"r\.parquet is damaged .* delete it"):
            shards.rows_of(path)


def test_a_file_cut_off_anywhere_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    shards.write_record(path, [row("k")], frames=2, footer=FOOTER)
    data = path.read_bytes()
    for length in [*range(0, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(shards.Unusable, match="damaged"):
            shards.footer(path)


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    with pytest.raises(ValueError, match="not written by mie-x"):
        shards.footer(tmp_path / "foreign.parquet")


def test_pages_are_small_enough_for_the_viewer_of_the_hub(tmp_path: Path) -> None:
    """At most 100 rows and 100 MB a group, with an index of the pages."""
    rows = [row(f"k{n}") for n in range(250)]
    shards.write_record(tmp_path / "r.parquet", rows, frames=2, footer=FOOTER)
    metadata = pq.read_metadata(tmp_path / "r.parquet")
    groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
    assert [group.num_rows for group in groups] == [100, 100, 50]
    # a frame of noise, which no encoder shrinks, has 49,152 bytes and a little
    assert all(group.num_rows * 2 * 50_000 < 100e6 for group in groups)
    assert groups[0].column(0).has_offset_index and groups[0].column(0).has_column_index


def test_failures_are_read_as_they_were_written(tmp_path: Path) -> None:
    failures = [
        Failure("face", "größe", "a/1.jpg", None, "no face", "none\nfound"),
        Failure("frames", "d", "d.jpg", "d_exp_0", "unreadable", ""),
    ]
    for some in ([], failures):
        shards.write_failures(tmp_path / "failures.parquet", some)
        assert shards.read_failures(tmp_path) == some


@pytest.mark.parametrize("format", FORMATS)
def test_every_column_says_what_it_is_to_hugging_face(
    made: Callable[[str], Path], format: str
) -> None:
    [described] = {
        pq.read_schema(path).metadata[b"huggingface"] for path in record_paths(made(format), format)
    }
    features = json.loads(described)["info"]["features"]
    assert list(features) == shards.schema(2).names
    assert features["label"] == {"names": list(LABELS), "_type": "ClassLabel"}
    assert features["onset"] == {"_type": "Image"}


def test_shards_are_numbered_as_the_hub_does(tmp_path: Path) -> None:
    out = make_dataset(tmp_path / "d", "parquet", people=PEOPLE[:4])
    assert [path.stem for path in record_paths(out, "parquet")] == [
        "train-00000-of-00002",
        "train-00001-of-00002",
    ]
