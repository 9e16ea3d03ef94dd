"""What is written is read back; what is damaged is named; the Hub's library decodes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x import card, shards
from mie_x.records import AUS, LABELS, SIZE, Frames, Origin
from mie_x.whole import partial

SETTINGS: dict[str, Any] = {
    "mie_x": "0.1.0",
    "seed": 0,
    "size": SIZE,
    "faces": {"kind": "rendered"},
    "sources": {"mie": {"stand_in": True}, "exp": {"stand_in": False}},
    "weights": {"name": "tiny", "sha256": "0" * 64, "motion": True, "trained_on": "nothing"},
}
MADE_WITH = {"torch": "2"}


def noise(seed: int) -> Frames:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def row(identity: str, source: str, label: int) -> dict[str, Any]:
    seed = label + sum(identity.encode())
    onset, apex = noise(seed), noise(seed + 1000)
    origin = ("corpus", "subject", "clip") if source == "mie" else (None, None, None)
    return {
        "sample_key": f"{identity}_{source}_{label}",
        "onset": shards.png(onset),
        "apex": shards.png(apex),
        "label": label,
        "emotion": "happiness",
        "source": source,
        "identity": identity,
        "onset_aus": np.zeros(len(AUS), np.float32),
        "apex_aus": np.linspace(0, 1, len(AUS), dtype=np.float32),
        **dict(zip(("origin_corpus", "origin_subject", "origin_clip"), origin, strict=True)),
        "face": "a b/ü.jpg",
        "face_sha256": "f" * 64,
        "rendered_face": False,
        "stand_in_motion": source == "mie",
        "draw_seed": 2**62,
        "onset_sha256": shards.pixel_sha256(onset),
        "apex_sha256": shards.pixel_sha256(apex),
    }


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two shards of two identities, two sources, three labels."""
    (tmp_path / "data").mkdir()
    failures = [shards.Failure("frames", "d", "d.jpg", "d_exp_0", "unreadable", "cut off")]
    for index, identities in enumerate(("ab", "cd")):
        rows = [row(i, s, n) for i in identities for s in ("mie", "exp") for n in LABELS.values()]
        path = tmp_path / "data" / shards.shard_name(index, 2)
        shards.write_shard(path, rows, failures * index, SETTINGS, MADE_WITH)
    shards.write_failures(tmp_path / "failures.parquet", failures)
    listed = shards.manifest(tmp_path, SETTINGS)
    shards.write_text(tmp_path / "README.md", card.dataset_card(listed))
    shards.write_manifest(tmp_path, listed)
    return tmp_path


def test_samples_are_read_as_they_were_written(dataset: Path) -> None:
    samples = list(shards.read(dataset))
    assert [s.key for s in samples[:2]] == ["a_mie_0", "a_mie_1"]
    assert len(samples) == 24
    first = samples[0]
    assert first.frames.shape == (2, SIZE, SIZE, 3)
    assert (first.frames[0] == noise(97)).all() and (first.frames[1] == noise(1097)).all()
    assert first.origin == Origin("corpus", "subject", "clip")
    assert samples[3].origin is None
    assert first.aus is not None and first.aus[1, -1] == 1
    assert {s.key[-5:-2] for s in shards.read(dataset, sources=["exp"])} == {"exp"}


def test_the_same_rows_give_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    path = shards.paths(dataset)[0]
    rows = [row(i, s, n) for i in "ab" for s in ("mie", "exp") for n in LABELS.values()]
    shards.write_shard(tmp_path / "again.parquet", rows, [], SETTINGS, MADE_WITH)
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_a_shard_tells_its_settings_and_failures(dataset: Path) -> None:
    first, second = shards.paths(dataset)
    assert shards.shard_settings(first) == SETTINGS
    assert shards.shard_failures(first) == []
    assert [f.sample_key for f in shards.shard_failures(second)] == ["d_exp_0"]


def test_an_empty_shard_is_a_shard(tmp_path: Path) -> None:
    shards.write_shard(tmp_path / "none.parquet", [], [], SETTINGS, MADE_WITH)
    assert pq.read_table(tmp_path / "none.parquet").schema.names == shards.SCHEMA.names


def test_the_manifest_counts(dataset: Path) -> None:
    listed = shards.read_manifest(dataset)
    assert listed["samples"] == 24 and listed["frames"] == 48 and listed["identities"] == 4
    four_each = {"negative": 4, "positive": 4, "surprise": 4}
    assert listed["samples_by_source_and_label"] == {"mie": four_each, "exp": four_each}
    assert listed["failures"] == 1
    assert shards.verify(dataset) == []


def test_hugging_face_datasets_decodes_images_classes_and_lists(
    dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import datasets

    cache = str(tmp_path_factory.mktemp("cache"))
    loaded = datasets.load_dataset(str(dataset), split="train", cache_dir=cache)
    assert len(loaded) == 24
    assert loaded.features["label"].names == list(LABELS)
    first = loaded[0]
    assert first["onset"].size == (SIZE, SIZE) and first["apex"].mode == "RGB"
    assert (np.asarray(first["onset"]) == noise(97)).all()
    assert len(first["apex_aus"]) == len(AUS) and first["rendered_face"] is False


def test_the_card_says_that_frames_are_synthetic_and_motions_stand_ins(dataset: Path) -> None:
    text = (dataset / "README.md").read_text("utf-8")
    assert text.startswith("---\n")
    assert "Every frame of this dataset is synthetic" in text
    assert "**Rendered.**" in text and "**Stand-in motions** in mie:" in text
    assert "1 entries in `failures.parquet`" in text


@given(byte=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_png_keeps_every_pixel(byte: int, bit: int) -> None:
    frame = noise(byte)
    frame.reshape(-1)[byte % frame.size] ^= 1 << bit
    assert (shards.read_png(shards.png(frame)) == frame).all()


@pytest.mark.parametrize(
    "frame", [np.zeros((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE + 1, 3), np.uint8)]
)
def test_a_frame_of_another_shape_is_refused(frame: Frames) -> None:
    with pytest.raises(ValueError, match="128 x 128 RGB"):
        shards.read_png(shards.png(frame))


def test_verify_finds_any_flipped_bit_of_a_shard(dataset: Path) -> None:
    path = shards.paths(dataset)[1]
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place, bit in zip(rng.integers(0, len(whole), 100), rng.integers(0, 8, 100), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        assert any("SHA-256" in fault for fault in shards.verify(dataset)), place
    path.write_bytes(whole[:-1])
    assert any("SHA-256" in fault for fault in shards.verify(dataset))


def test_verify_names_missing_extra_and_left_over_files(dataset: Path) -> None:
    first, second = shards.paths(dataset)
    first.rename(first.with_name("train-00007-of-00008.parquet"))
    partial(second).write_bytes(b"")
    faults = shards.verify(dataset)
    assert f"data/{first.name}: in the manifest, but not there" in faults
    assert "data/train-00007-of-00008.parquet: there, but not in the manifest" in faults
    assert f"{second.name}.partial: left over from a run" in faults


@pytest.mark.parametrize("name", shards.DESCRIPTIONS)
def test_verify_finds_a_changed_or_missing_card_and_list_of_failures(
    dataset: Path, name: str
) -> None:
    with (dataset / name).open("ab") as file:
        file.write(b" ")
    assert shards.verify(dataset) == [f"{name}: its SHA-256 is not the manifest's"]
    (dataset / name).unlink()
    assert shards.verify(dataset) == [f"{name}: in the manifest, but not there"]


def test_a_damaged_page_is_not_certified(dataset: Path) -> None:
    path = shards.paths(dataset)[0]
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"IDAT") + 100] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(shards.Unusable, match=r"00000-of-00002.parquet is damaged .* delete it"):
        shards.manifest(dataset, SETTINGS)


def test_reading_a_folder_that_is_no_dataset_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished dataset"):
        shards.read(tmp_path)


def test_every_nth_sample_is_read(dataset: Path) -> None:
    keys = [sample.key for sample in shards.read(dataset)]
    assert [sample.key for sample in shards.read(dataset, step=5)] == keys[::5]


def test_verify_finds_rows_that_changed_places(dataset: Path) -> None:
    listed = shards.read_manifest(dataset)
    listed["shards"][0]["rows"] -= 1
    listed["samples_by_source_and_label"]["mie"]["negative"] += 1
    (dataset / "manifest.json").write_text(json.dumps(listed))
    assert shards.verify(dataset) == [
        "data/train-00000-of-00002.parquet: 12 rows, the manifest says 11"
    ]


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no finished dataset"), ("{", "damaged"), ("[]", "not a man")]
)
def test_a_folder_without_a_good_manifest_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        shards.read_manifest(tmp_path)


def test_a_foreign_parquet_file_is_refused(dataset: Path, tmp_path: Path) -> None:
    table = pq.read_table(shards.paths(dataset)[0]).replace_schema_metadata({})
    pq.write_table(table, tmp_path / "foreign.parquet")
    with pytest.raises(ValueError, match="not written by mie-x"):
        shards.shard_settings(tmp_path / "foreign.parquet")
