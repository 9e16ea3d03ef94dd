"""What is written is read back the same in every format, by us and by those it was written for."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mie_x import manifest, samples, shards
from mie_x.formats import FORMATS, read_shard, record_paths
from mie_x.formats.names import clash, file_name
from mie_x.records import AUS, LABELS, SIZE, SOURCES, Frames, Origin, Sample
from mie_x.verify import verify
from tests.conftest import PEOPLE, make_dataset, noise

HOSTILE = [
    "Jo Ann",
    "a.b",
    "a%2Eb",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows",
    "-rf",
    "a\nb",
    "größe",
    "gro\u0308ße",
    "日本",
    "\U0001f600",
    "a_exp_0",
    "a_exp_0_exp_0",
    "*",
    "~",
    "$HOME",
    "x" * 110,  # longer than the 100 characters of a name in old tar files
]


def frames_of(key: str, count: int = 2) -> Frames:
    """The frames that ``make_dataset`` gave the sample KEY."""
    return np.stack([noise(n + sum(key.encode()) * 100) for n in range(count)])


def same(one: Sample, other: Sample) -> bool:
    assert one.aus is not None and other.aus is not None
    return (
        (one.key, one.label, one.subject, one.origin, one.apex)
        == (other.key, other.label, other.subject, other.origin, other.apex)
        and (one.frames == other.frames).all()
        and (one.aus == other.aus).all()
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("format", FORMATS)
def test_samples_are_read_as_they_were_written(made: Callable[[str], Path], format: str) -> None:
    read = list(samples.read(made(format)))
    plan = [
        row for row in manifest.planned(made(format)).to_pylist() if row["sample_key"] != "b_exp_2"
    ]
    assert [sample.key for sample in read] == [row["sample_key"] for row in plan]
    assert len(read) == len(PEOPLE) * 2 * len(LABELS) - 1
    for sample, row in zip(read, plan, strict=True):
        origin = Origin(row["origin_corpus"], row["origin_subject"], row["origin_clip"])
        expected = Sample(
            key=row["sample_key"],
            frames=frames_of(row["sample_key"]),
            label=row["label"],
            subject=row["identity"],
            origin=origin if row["source"] == "mie" else None,
            aus=np.array([row["onset_aus"], row["apex_aus"]], np.float32),
        )
        assert same(sample, expected)


@pytest.mark.parametrize("format", FORMATS)
def test_clips_are_read_as_they_were_written(tmp_path: Path, format: str) -> None:
    out = make_dataset(tmp_path / "d", format, frames=5, course="full")
    plan = {row["sample_key"]: row for row in manifest.planned(out).to_pylist()}
    read = list(samples.read(out))
    assert len(read) == 29
    for sample in read:
        row = plan[sample.key]
        assert sample.apex == 2 and sample.aus is not None
        assert sample.aus.tolist() == row["frame_aus"]
        assert sample.aus[2].tolist() == row["apex_aus"]
        assert (sample.frames == frames_of(sample.key, 5)).all()
    assert verify(out, deep=True) == []


def test_all_formats_hold_the_same_samples(made: Callable[[str], Path]) -> None:
    first, *others = (list(samples.read(made(format))) for format in FORMATS)
    for other in others:
        assert all(same(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("format", FORMATS)
def test_some_sources_or_every_nth_sample_are_read(
    made: Callable[[str], Path], format: str
) -> None:
    keys = [sample.key for sample in samples.read(made(format))]
    assert [sample.key for sample in samples.read(made(format), step=5)] == keys[::5]
    assert [sample.key for sample in samples.read(made(format), sources=["exp"])] == [
        key for key in keys if "_exp_" in key
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_rows_give_the_same_bytes_whatever_clock_and_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    first = contents(make_dataset(tmp_path / "d", format))
    shutil.rmtree(tmp_path / "d")
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    before = os.umask(0o077)
    try:
        assert contents(make_dataset(tmp_path / "d", format)) == first
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("format", FORMATS)
def test_hostile_names_stay_apart_and_inside_the_folder(tmp_path: Path, format: str) -> None:
    out = make_dataset(tmp_path / "deep" / "er" / "d", format, people=HOSTILE)
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["er"]
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["d"]
    read = list(samples.read(out))
    assert len(read) == len(HOSTILE) * 6
    assert list(dict.fromkeys(sample.subject for sample in read)) == HOSTILE
    assert all((sample.frames == frames_of(sample.key)).all() for sample in read)
    assert verify(out, deep=True) == []


def test_file_names_are_plain_and_as_many_as_identities() -> None:
    names = [file_name(identity) for identity in HOSTILE]
    assert len(set(names)) == len(HOSTILE)
    assert all(re.fullmatch(r"[A-Za-z0-9_%-]+", name) for name in names)
    assert clash(HOSTILE) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_identities_have_different_file_names(one: str, other: str) -> None:
    try:
        assert (file_name(one) == file_name(other)) == (one == other)
    except UnicodeEncodeError:  # a lone surrogate: no name of a person
        assert any("\ud800" <= letter <= "\udfff" for letter in one + other)


@pytest.mark.parametrize(
    ("identities", "words"),
    [
        (["Anna", "b", "anna"], "identities 'Anna' and 'anna' differ in case alone"),
        (["x" * 300], "identity 'xxx.*'... is too long for the name of a folder"),
        (["日" * 14], "is too long for the name of a folder"),
    ],
)
def test_names_that_some_file_system_cannot_tell_apart_or_hold_are_refused(
    identities: list[str], words: str
) -> None:
    assert re.search(words, clash(identities) or "")


def test_parquet_takes_any_name(tmp_path: Path) -> None:
    out = make_dataset(tmp_path / "d", "parquet", people=["Anna", "anna", "x" * 300])
    assert {sample.subject for sample in samples.read(out)} == {"Anna", "anna", "x" * 300}


def test_a_shard_is_handed_on_only_whole(dataset: Path) -> None:
    """What is read in order to be written again was not damaged in between."""
    format = manifest.read_manifest(dataset)["settings"]["format"]
    rows = read_shard(dataset, format, "train-00001-of-00002")
    assert len(rows) == 12
    for path in [path for path in dataset.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        if data.startswith(b"\x89PNG") or (path.parent.name == "data" and b"IDAT" in data):
            damaged = bytearray(data)
            damaged[data.rindex(b"IDAT") + 9] ^= 1
            path.write_bytes(damaged)
    with pytest.raises(shards.Unusable, match=r"train-00001-of-00002.parquet is damaged"):
        read_shard(dataset, format, "train-00001-of-00002")


def test_a_damaged_frame_is_never_read_as_a_good_one(dataset: Path) -> None:
    for path in [path for path in dataset.rglob("*") if path.is_file()]:
        data = path.read_bytes()
        if b"IDAT" in data:
            damaged = bytearray(data)
            damaged[data.index(b"IDAT") + 9] ^= 1
            path.write_bytes(damaged)
    with pytest.raises((ValueError, OSError)):
        list(samples.read(dataset))


def test_a_folder_that_is_no_dataset_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no finished dataset"):
        samples.read(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        samples.read(tmp_path / "none")


# --- those that the formats are for ---------------------------------------------------------------


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """Hugging Face's datasets, as a stranger calls it; without a network, from another folder."""
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def load(folder: Path) -> Any:
        return datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))

    return load


@pytest.mark.parametrize("format", ["parquet", "png", "original"])
def test_hugging_face_datasets_decodes_images_classes_and_lists(
    made: Callable[[str], Path], load: Callable[[Path], Any], format: str
) -> None:
    import datasets

    loaded = load(made(format))
    assert loaded.features["label"] == datasets.ClassLabel(names=list(LABELS))
    assert loaded.column_names == shards.schema(2).names
    written = [row for path in record_paths(made(format), format) for row in shards.rows_of(path)]
    assert len(loaded) == len(written) == 29
    for row, expected in zip(loaded, written, strict=True):
        pictures = np.stack([np.asarray(row.pop("onset")), np.asarray(row.pop("apex"))])
        assert (pictures == frames_of(row["sample_key"])).all()
        del expected["onset"], expected["apex"]
        assert row == expected


@pytest.mark.parametrize("format", ["parquet", "png", "original"])
def test_hugging_face_datasets_decodes_clips(
    tmp_path: Path, load: Callable[[Path], Any], format: str
) -> None:
    loaded = load(make_dataset(tmp_path / "d", format, frames=5, course="full"))
    assert loaded.column_names == shards.schema(5).names
    for row in loaded:
        pictures = np.stack([np.asarray(picture) for picture in row["frames"]])
        assert (pictures == frames_of(row["sample_key"], 5)).all()
        assert np.shape(row["frame_aus"]) == (5, len(AUS)) and row["apex_frame"] == 2


@pytest.mark.parametrize("frames", [2, 5])
def test_hugging_face_datasets_reads_webdataset(
    tmp_path: Path, load: Callable[[Path], Any], frames: int
) -> None:
    out = make_dataset(tmp_path / "d", "webdataset", frames=frames, course="rise")
    loaded = load(out)
    assert len(loaded) == 29
    parts = ["onset", "apex"] if frames == 2 else [f"{n:02d}" for n in range(frames)]
    for row in loaded:
        pictures = np.stack([np.asarray(row[f"{part}.png"]) for part in parts])
        assert (pictures == frames_of(row["json"]["sample_key"], frames)).all()
        assert row["json"]["label"] in LABELS.values()
        assert np.shape(row["json"]["apex_aus"]) == (len(AUS),)


@pytest.mark.parametrize("format", FORMATS)
def test_hugging_face_datasets_loads_a_single_source(
    tmp_path: Path, load: Callable[[Path], Any], format: str
) -> None:
    """Expert tables have no origin: whole columns are null."""
    assert len(load(make_dataset(tmp_path / "d", format, sources=["exp"]))) == 14


def test_plain_pyarrow_reads_frames(made: Callable[[str], Path]) -> None:
    table = pq.read_table(made("parquet") / "data")
    for row in table.to_pylist():
        pictures = [Image.open(io.BytesIO(row[name]["bytes"])) for name in ("onset", "apex")]
        assert (np.stack([np.asarray(p) for p in pictures]) == frames_of(row["sample_key"])).all()
    assert table["label"].type == pa.int64()


@pytest.mark.parametrize("frames", [2, 5])
def test_tar_files_are_those_of_webdataset(tmp_path: Path, frames: int) -> None:
    """The convention: what stands before the first dot is the key, one sample's files together."""
    out = make_dataset(tmp_path / "d", "webdataset", frames=frames, course="rise")
    written = {row["sample_key"]: row for row in manifest.planned(out).to_pylist()}
    count = 0
    for path in sorted((out / "data").glob("*.tar")):
        seen: list[str] = []
        sample: dict[str, bytes] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, kind = member.name.partition(".")
                if not seen or seen[-1] != key:
                    assert key not in seen
                    seen.append(key)
                    sample = {}
                assert member.isreg() and (member.mtime, member.uid, member.mode) == (0, 0, 0o644)
                file = tar.extractfile(member)
                assert file is not None and kind not in sample
                sample[kind] = file.read()
                if kind == "json":
                    row = json.loads(sample.pop("json"))
                    pictures = [np.asarray(Image.open(io.BytesIO(d))) for d in sample.values()]
                    assert (np.stack(pictures) == frames_of(row["sample_key"], frames)).all()
                    planned = written[row["sample_key"]]
                    assert {name: row[name] for name in planned} == planned
                    count += 1
    assert count == 29


PATTERN = re.compile(r"^(?P<stem>.+)_(?P<src>exp|mae|oulu|mmew|mie)_(?P<label>[012])$")


def read_list(path: Path) -> Iterator[tuple[str, str, int, Frames]]:
    """The samples of a list file, read as the first release's loader does: stem, source, label."""
    for line in path.read_text().split("\n"):
        if not line:
            continue
        folder, label = line.split(" ", 1)
        assert Path(folder).is_absolute()
        name = folder.rsplit("/", 1)[1]
        match = PATTERN.match(name)
        assert match is not None and int(name.split("_")[-1]) == int(label)
        pair = [np.asarray(Image.open(f"{folder}/{n}.jpg").convert("RGB")) for n in (0, 1)]
        yield match["stem"], match["src"], int(label), np.stack(pair)


def test_a_loader_of_the_first_release_reads_all_samples(tmp_path: Path) -> None:
    out = make_dataset(tmp_path / "d", "original", sources=SOURCES)
    expected = list(samples.read(out))
    stems = {file_name(identity): identity for identity in PEOPLE}
    found = {
        f"{stems[stem]}_{source}_{label}": (label, frames)
        for stem, source, label, frames in read_list(out / "lists" / "all.txt")
    }
    assert len(found) == len(expected) == 44
    for sample in expected:
        label, frames = found[sample.key]
        assert label == sample.label and (frames == sample.frames).all()
    lists = {source: list(read_list(out / "lists" / f"AU_{source}.txt")) for source in SOURCES}
    assert [len(lists[source]) for source in SOURCES] == [15, 15, 14]
    assert all(src == source for source, own in lists.items() for _, src, _, _ in own)


def test_mixing_cuts_the_list_into_one_source_each(tmp_path: Path) -> None:
    """mix_type m cuts all.txt into m equal parts; the domain label is the part's number."""
    out = make_dataset(tmp_path / "d", "original", people=PEOPLE[2:], sources=SOURCES)
    lines = (out / "lists" / "all.txt").read_text().splitlines()
    part = len(lines) // 3
    domains = [
        {PATTERN.match(line.split(" ")[0].rsplit("/", 1)[1])["src"] for line in own}  # type: ignore[index]
        for own in (lines[n * part : (n + 1) * part] for n in range(3))
    ]
    assert domains == [{"mie"}, {"mae"}, {"exp"}] and part * 3 == len(lines) == 27


def test_lists_fit_a_moved_folder_after_what_the_card_says(tmp_path: Path) -> None:
    out = make_dataset(tmp_path / "AU_d" / "d", "original", people=["a", "AU_exp", "b", "d"])
    moved = out.rename(tmp_path / "moved")
    [command] = re.findall(r"`(sed .*?)`", (moved / "README.md").read_text("utf-8"))
    subprocess.run(command, shell=True, check=True, cwd=moved)
    assert len(list(read_list(moved / "lists" / "all.txt"))) == 23


def test_files_of_png_and_original_say_what_they_are(made: Callable[[str], Path]) -> None:
    """Frames open from the folder as pictures, and no stranger's name is needed to find them."""
    for format, pattern in (("png", "frames/*/*/*.png"), ("original", "AU_*/*/*.jpg")):
        paths = sorted(made(format).glob(pattern))
        assert len(paths) == 2 * 29
        for path in paths:
            with Image.open(path) as picture:
                assert (picture.format, picture.size) == ("PNG", (SIZE, SIZE))
