"""Every fault of a dataset is found and named, whether the disk made it, a bug, or a forger."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mie_x import manifest, shards
from mie_x.formats import FORMATS, read_shard, write_shard
from mie_x.frames import pixel_sha256, png, with_words
from mie_x.records import SIZE
from mie_x.verify import Fault, verify
from mie_x.whole import write_json, write_text
from tests.conftest import copied, make_dataset, noise

FIRST, SECOND = "train-00000-of-00002", "train-00001-of-00002"


def files(folder: Path) -> list[str]:
    return [*manifest.present(folder), manifest.SUMS]


def named(faults: Iterable[Fault]) -> set[str]:
    return {fault.file for fault in faults}


def said(faults: Iterable[Fault], file: str) -> str:
    return "; ".join(fault.what for fault in faults if fault.file == file)


def record(folder: Path, shard: str) -> str:
    """The file of a shard's record."""
    format = manifest.read_manifest(folder)["settings"]["format"]
    return f"{FORMATS[format].RECORDS}/{shard}.parquet"


def test_an_untouched_dataset_is_all_well(dataset: Path) -> None:
    told: list[tuple[int, int]] = []
    assert verify(dataset) == []
    assert verify(dataset, deep=True, progress=lambda *n: told.append(n)) == []
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize("format", FORMATS)
def test_two_workers_find_what_one_finds(made: Callable[[str], Path], format: str) -> None:
    assert verify(made(format), deep=True, workers=2) == []


def test_a_dataset_is_well_wherever_it_lies(dataset: Path, tmp_path: Path) -> None:
    assert verify(dataset.rename(tmp_path / "mo ved"), deep=True) == []


# --- the disk: bytes ------------------------------------------------------------------------------


def lines_at(data: bytes, place: int) -> set[str]:
    """Names in the line of SHA256SUMS that holds the byte PLACE, and in the line after it."""
    start = data.rfind(b"\n", 0, place) + 1
    return {line[66:].decode() for line in data[start:].split(b"\n")[:2]}


def flips(folder: Path, count: int) -> int:
    """Flip COUNT random bits, one at a time; how many of them verify found and named."""
    rng = np.random.default_rng(0)
    names, found = files(folder), 0
    for number in range(count):
        # all files in turn, the large ones once more: a random place in the folder
        name = names[number % len(names)] if number % 2 else str(rng.choice(names))
        path = folder / name
        data = path.read_bytes()
        place = int(rng.integers(len(data)))
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        expected = {name} | (lines_at(data, place) if name == manifest.SUMS else set())
        found += bool(named(verify(folder)) & expected)
        path.write_bytes(data)
    return found


@pytest.mark.parametrize(
    ("format", "count"),
    [("parquet", 1000), ("png", 250), ("original", 250), ("webdataset", 250)],
)
def test_every_flipped_bit_is_found_and_named(tmp_path: Path, format: str, count: int) -> None:
    out = make_dataset(tmp_path / "d", format)
    assert flips(out, count) == count
    assert verify(out) == []


def boundaries(path: Path) -> list[int]:
    """Where a tar file can be cut without being damaged: after every file in it."""
    with tarfile.open(path) as tar:
        return [member.offset for member in tar]


@pytest.mark.parametrize("format", FORMATS)
def test_every_truncation_is_found_and_named(tmp_path: Path, format: str) -> None:
    """Fifty places in each format, every file cut to nothing, and tar files between samples."""
    out = make_dataset(tmp_path / "d", format)
    rng = np.random.default_rng(1)
    names = files(out)
    cuts = [(name, 0) for name in names]
    for name in rng.choice(names, 50):
        cuts.append((str(name), int(rng.integers((out / name).stat().st_size))))
    tars = [name for name in names if name.endswith(".tar")]
    cuts += [(name, place) for name in tars for place in boundaries(out / name)]
    for name, length in cuts:
        data = (out / name).read_bytes()
        (out / name).write_bytes(data[:length])
        faults = named(verify(out))
        if name == manifest.SUMS:  # what is no longer listed does not belong there
            assert faults, length
        else:
            assert name in faults, (name, length)
        (out / name).write_bytes(data)
    print(f"{format}: {len(cuts)} truncations, all found and named")
    assert verify(out) == []


# --- the disk: files ------------------------------------------------------------------------------


def test_a_missing_file_is_found_whichever_it_is(dataset: Path) -> None:
    for name in files(dataset):
        (dataset / name).rename(dataset.parent / "away")
        faults = verify(dataset, deep=name.endswith(".parquet"))
        assert "is missing" in said(faults, name), name
        (dataset.parent / "away").rename(dataset / name)
    assert verify(dataset) == []


def test_an_extra_file_is_found(dataset: Path) -> None:
    (dataset / "notes.txt").write_text("mine")
    assert verify(dataset) == [Fault("notes.txt", "does not belong here")]


def test_a_renamed_shard_is_found(dataset: Path) -> None:
    name = record(dataset, FIRST)
    other = name.replace("00000-of-00002", "00007-of-00008")
    (dataset / name).rename(dataset / other)
    faults = verify(dataset)
    assert said(faults, other) == f"does not belong here; it is {name} under another name"
    assert "is missing" in said(faults, name)


def test_swapped_shards_are_found(dataset: Path) -> None:
    one, two = record(dataset, FIRST), record(dataset, SECOND)
    (dataset / one).rename(dataset / "x")
    (dataset / two).rename(dataset / one)
    (dataset / "x").rename(dataset / two)
    faults = verify(dataset)
    assert said(faults, one) == f"holds what belongs into {two}"
    assert said(faults, two) == f"holds what belongs into {one}"


def test_a_duplicated_shard_is_found(dataset: Path) -> None:
    one = record(dataset, FIRST)
    other = one.replace("00000-of-00002", "00002-of-00003")
    shutil.copy(dataset / one, dataset / other)
    assert said(verify(dataset), other) == f"does not belong here; it is a copy of {one}"
    (dataset / other).rename(dataset / record(dataset, SECOND))
    assert said(verify(dataset), record(dataset, SECOND)) == f"holds what belongs into {one}"


def test_a_gap_in_the_numbering_is_found_though_every_hash_fits(dataset: Path) -> None:
    (dataset / record(dataset, FIRST)).unlink()
    manifest.finish(dataset)
    faults = verify(dataset)
    assert Fault(record(dataset, FIRST), "is missing: there is a gap in the numbering") in faults


def test_a_shard_that_claims_thousands_of_others_is_one_of_few_faults(dataset: Path) -> None:
    one = dataset / record(dataset, FIRST)
    one.rename(one.with_name("train-00000-of-99999.parquet"))
    faults = verify(dataset)
    assert len(faults) < 15
    assert any(fault.what == "99990 more shards are missing" for fault in faults)


def test_a_left_over_file_is_found(dataset: Path) -> None:
    name = record(dataset, FIRST) + ".partial"
    (dataset / name).write_bytes(b"half")
    assert verify(dataset) == [Fault(name, "left over from a run")]


def test_a_link_instead_of_a_file_is_found(dataset: Path, tmp_path: Path) -> None:
    for name in (record(dataset, FIRST), manifest.CARD, manifest.PLAN, manifest.FAILURES):
        (dataset / name).rename(tmp_path / "away")
        (dataset / name).symlink_to(tmp_path / "away")
        assert verify(dataset) == [Fault(name, "is a link; put the file itself there")]
        (tmp_path / "away").unlink()
        assert "is a link" in said(verify(dataset), name)  # to nowhere
        shutil.rmtree(dataset)
        format = dataset.name
        make_dataset(dataset, format)


def test_a_link_to_a_folder_is_found(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "away").mkdir()
    (dataset / "more").symlink_to(tmp_path / "away")
    assert verify(dataset) == [Fault("more", "is a link; put the file itself there")]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_named_and_not_read(dataset: Path) -> None:
    os.mkfifo(dataset / "pipe")
    assert verify(dataset) == [Fault("pipe", "is no file, but a pipe, a socket or a device")]


# --- what describes it ----------------------------------------------------------------------------


def test_no_checksums_and_no_manifest_is_no_dataset(dataset: Path, tmp_path: Path) -> None:
    manifest.unfinish(dataset)
    with pytest.raises(ValueError, match=r"no manifest.json, so it is no finished dataset"):
        verify(dataset)
    with pytest.raises(ValueError, match="is not a folder"):
        verify(tmp_path / "none")
    with pytest.raises(ValueError, match="is not a folder"):
        verify(dataset / manifest.PLAN)


def test_deleted_checksums_or_manifest_are_one_fault(dataset: Path) -> None:
    sums = (dataset / manifest.SUMS).read_bytes()
    (dataset / manifest.SUMS).unlink()
    missing = Fault(manifest.SUMS, "is missing; no byte can be checked without it")
    assert verify(dataset) == [missing]
    (dataset / manifest.SUMS).write_bytes(sums)
    (dataset / manifest.MANIFEST).unlink()
    assert verify(dataset, deep=True) == [Fault(manifest.MANIFEST, "is missing")]


def certify(folder: Path) -> None:
    """Make SHA256SUMS anew, as a forger would."""
    sums = manifest.sha256_of(folder, manifest.present(folder))
    write_text(folder / manifest.SUMS, "".join(f"{sums[n]}  {n}\n" for n in sorted(sums)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"", "is damaged"),
        (b"[]", "is not a manifest of mie-x"),
        (b'{"format": 2}', "is not a manifest of mie-x"),
    ],
)
def test_an_unreadable_manifest_is_named(dataset: Path, content: bytes, words: str) -> None:
    (dataset / manifest.MANIFEST).write_bytes(content)
    assert named(verify(dataset, deep=True)) == {manifest.MANIFEST}
    certify(dataset)
    assert words in said(verify(dataset, deep=True), manifest.MANIFEST)


NONSENSE: list[dict[str, Any]] = [
    {"shards": 7},
    {"shards": ["a"]},
    {"shards": []},
    {"samples": "many"},
    {"samples_by_source_and_label": []},
    {"samples_by_source_and_label": {"mie": {"angry": 1}}},
    {"settings": {"format": "parquet"}},
    {"settings": "none"},
    {"settings": {"format": []}},
    {"format": 1},
    {"identities": 4},
    {"samples_missing": 0},
    {"left_out": 0},
    {"plan_sha256": "0" * 64},
]


@pytest.mark.parametrize("change", NONSENSE)
def test_a_manifest_that_says_something_else_is_named(
    made: Callable[[str], Path], tmp_path: Path, change: dict[str, Any]
) -> None:
    out = copied(made("parquet"), tmp_path)
    listed = manifest.read_manifest(out) | change
    write_json(out / manifest.MANIFEST, listed)
    certify(out)
    assert verify(out, deep=True)


@pytest.mark.parametrize(
    "sums",
    ["", "\n", "x", "0" * 64 + "  ../../etc/passwd\n", "0" * 64 + "  /etc/passwd\n", "é" * 99],
)
def test_odd_checksums_are_named(made: Callable[[str], Path], tmp_path: Path, sums: str) -> None:
    out = copied(made("parquet"), tmp_path)
    (out / manifest.SUMS).write_text(sums, "utf-8")
    faults = verify(out)
    assert faults and "passwd" not in "".join(fault.file for fault in faults)


# --- bugs and forgers: every hash fits ------------------------------------------------------------

Change = Callable[[list[dict[str, Any]], dict[str, Any]], None]


def tamper(folder: Path, change: Change, shard: str = SECOND) -> None:
    """CHANGE a shard's rows and footer; write it, and all that describes it, as a run would."""
    format = manifest.read_manifest(folder)["settings"]["format"]
    told = shards.footer(folder / record(folder, shard))
    del told["files"]
    rows = read_shard(folder, format, shard)
    change(rows, told)
    write_shard(folder, format, shard, rows, frames=2, footer=told)
    manifest.finish(folder)
    assert [fault for fault in verify(folder) if "SHA-256" in fault.what] == []


def repaint(row: dict[str, Any], number: int, picture: np.ndarray, *, hashed: bool) -> None:
    row["frames"][number] = with_words(png(picture), row["sample_key"], number)
    if hashed:
        row[("onset_sha256", "apex_sha256")[number]] = pixel_sha256(picture)


def one_pixel(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    picture = noise(0 + sum(rows[4]["sample_key"].encode()) * 100)
    picture[64, 64, 1] ^= 1
    repaint(rows[4], 0, picture, hashed=False)


def same_frames(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    repaint(rows[4], 0, noise(5), hashed=True)
    repaint(rows[4], 1, noise(5), hashed=True)


def small(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    repaint(rows[4], 1, noise(5)[: SIZE // 2], hashed=True)


def other_words(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    picture = noise(1 + sum(rows[4]["sample_key"].encode()) * 100)
    rows[4]["frames"][1] = with_words(png(picture), "somebody else", 1)


def no_words(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    rows[4]["frames"][1] = png(noise(1 + sum(rows[4]["sample_key"].encode()) * 100))


def no_picture(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    rows[4]["frames"][1] = b"nothing"


def swapped(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    rows[4]["frames"] = rows[4]["frames"][::-1]


def put(column: str, value: object) -> Change:
    return lambda rows, told: rows[4].update({column: value})


def aus(place: int, value: float) -> Change:
    def change(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        rows[4]["apex_aus"][place] = value

    return change


def no_motion(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    rows[4]["onset_aus"] = rows[4]["apex_aus"]


def label(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
    rows[4]["label"] = 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (one_pixel, "frame 0 has other pixels than its SHA-256 says"),
        (put("apex_sha256", "0" * 64), "frame 1 has other pixels than its SHA-256 says"),
        (put("apex_sha256", None), "frame 1 has other pixels than its SHA-256 says"),
        (same_frames, "onset and apex frame are the same picture"),
        (small, "frame 1 cannot be decoded (a frame is 128 x 128 RGB, not 128 x 64)"),
        (other_words, "frame 1 says of itself 'Synthetic"),
        (no_words, "frame 1 says of itself ''"),
        (no_picture, "frame 1 cannot be decoded"),
        (swapped, "frame 0 has other pixels than its SHA-256 says"),
        (aus(3, 1.5), "AUs outside [0, 1]"),
        (aus(3, -0.1), "AUs outside [0, 1]"),
        (aus(3, float("nan")), "AUs outside [0, 1]"),
        (aus(3, 0.5), "apex_aus is "),
        (no_motion, "onset and apex have the same AUs: a label without a motion"),
        (put("draw_seed", 5), "draw seed 5 is not that of seed 7 and this sample"),
        (put("face_sha256", "0" * 64), "face and face_sha256 are not those of its identity"),
        (put("face", "b/1.jpg"), "face is 'b/1.jpg', planned was 'd/e/1.jpg'"),
        (put("stand_in_motion", True), "stand_in_motion is not what the settings say"),
        (put("rendered_face", True), "rendered_face is not what the settings say of the faces"),
        (put("rendered_face", None), "rendered_face is not what the settings say of the faces"),
        (put("origin_subject", "s1"), "origin_subject is 's1', planned was None"),
        (put("emotion", "joy"), "emotion is 'joy', planned was 'word'"),
        (put("sample_key", "x"), "sample x is not planned"),
    ],
)
def test_a_tampered_row_is_found_though_every_hash_fits(
    dataset: Path, change: Change, words: str
) -> None:
    tamper(dataset, change)
    faults = verify(dataset, deep=True)
    mine = [fault for fault in faults if fault.row == 4]
    assert {fault.file for fault in mine} == {record(dataset, SECOND)}
    assert any(fault.what.startswith(words) for fault in mine), list(map(str, faults))
    # what is wrong with one row is said of no other
    assert {fault.row for fault in faults} <= {4, None}
    assert str(mine[0]).startswith(f"{record(dataset, SECOND)}, row 4: ")


@pytest.mark.parametrize("value", [2, 3, -1, None])
def test_a_changed_label_is_found(made: Callable[[str], Path], tmp_path: Path, value: int) -> None:
    out = copied(made("parquet"), tmp_path)
    tamper(out, put("label", value))
    faults = [fault for fault in verify(out, deep=True) if fault.row == 4]
    assert f"label is {value}, planned was 1" in said(faults, record(out, SECOND))


@pytest.mark.parametrize("format", FORMATS)
def test_a_changed_label_is_found_in_every_format(
    made: Callable[[str], Path], tmp_path: Path, format: str
) -> None:
    """Where a frame lies follows from the label, so that it finds nothing, or another's."""
    out = copied(made(format), tmp_path)

    def exchange(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        rows[4]["label"], rows[5]["label"] = rows[5]["label"], rows[4]["label"]

    tamper(out, exchange)
    faults = verify(out, deep=True)
    assert {fault.row for fault in faults} >= {4, 5}
    assert "label is 2, planned was 1" in said(faults, record(out, SECOND))


def test_a_row_missing_without_a_failure_is_found(dataset: Path) -> None:
    def change(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        gone.append(rows.pop(4)["sample_key"])

    gone: list[str] = []
    tamper(dataset, change)
    assert verify(dataset, deep=True) == [
        Fault(
            record(dataset, SECOND), f"sample {gone[0]} is planned, but neither there nor a failure"
        )
    ]


def test_a_row_there_twice_is_found(made: Callable[[str], Path], tmp_path: Path) -> None:
    out = copied(made("parquet"), tmp_path)
    tamper(out, lambda rows, told: rows.insert(4, rows[4]))
    assert said(verify(out), manifest.MANIFEST) == "the sample d/e_exp_1 is there 2 times"
    rows = [fault.row for fault in verify(out, deep=True) if "more than once" in fault.what]
    assert rows == [4, 5]


def test_an_identity_in_two_shards_is_found(made: Callable[[str], Path], tmp_path: Path) -> None:
    out = copied(made("parquet"), tmp_path)
    rows = read_shard(out, "parquet", FIRST)[:6]
    [face] = [face for face in manifest.begun(out)["faces"] if face[0] == "Jo Ann.2"]  # type: ignore[index]

    def change(own: list[dict[str, Any]], told: dict[str, Any]) -> None:
        own += rows
        told["faces"].append(face)

    tamper(out, change)
    assert "is there 2 times" in said(verify(out), manifest.MANIFEST)
    faults = verify(out, deep=True)
    assert said(faults, manifest.PLAN) == "identity 'Jo Ann.2' is in 2 shards"


def test_a_stranger_is_found(dataset: Path) -> None:
    """Somebody in a shard whom nobody planned."""

    def change(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        told["faces"][0][0] = "stranger"

    tamper(dataset, change)
    faults = verify(dataset, deep=True)
    assert "the face of 'stranger' is not the one" in said(faults, record(dataset, SECOND))
    assert "identity 'd/e' is planned, but in no shard" in said(faults, manifest.PLAN)


def test_a_face_exchanged_in_row_and_footer_is_found(dataset: Path) -> None:
    def change(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        told["faces"][0][2] = "0" * 64
        for row in rows[:6]:
            row["face_sha256"] = "0" * 64

    tamper(dataset, change)
    assert verify(dataset, deep=True) == [
        Fault(record(dataset, SECOND), "the face of 'd/e' is not the one it was begun with")
    ]


def test_a_failure_that_did_not_happen_is_found(dataset: Path) -> None:
    def change(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        failure = shards.Failure("frames", "d/e", "d/e/1.jpg", "d/e_exp_1", "unreadable", "")
        told["failures"].append(vars(failure))

    tamper(dataset, change)
    assert verify(dataset, deep=True) == [
        Fault(record(dataset, SECOND), "sample d/e_exp_1 is there, and a failure")
    ]


def test_changed_failures_are_found(dataset: Path) -> None:
    failures = shards.read_failures(dataset)
    assert [failure.identity for failure in failures] == ["größe", "b"]
    shards.write_failures(dataset / manifest.FAILURES, failures[::-1])
    certify(dataset)
    assert verify(dataset, deep=True) == [
        Fault(manifest.FAILURES, "its entries are not those of the plan and the shards")
    ]


def test_a_changed_plan_is_found(dataset: Path) -> None:
    plan, told = manifest.planned(dataset), manifest.begun(dataset)
    assert told is not None
    at = plan.schema.get_field_index("emotion")
    emotions = ["joy", *plan["emotion"].to_pylist()[1:]]
    manifest.begin(dataset, plan.set_column(at, "emotion", pa.array(emotions)), told)
    certify(dataset)
    row = Fault(record(dataset, FIRST), "emotion is 'word', planned was 'joy'", 0)
    assert verify(dataset, deep=True) == [
        Fault(manifest.PLAN, "is not the plan that the manifest names"),
        row,
    ]
    manifest.finish(dataset)
    assert verify(dataset, deep=True) == [row]


@pytest.mark.parametrize("format", ["png", "original"])
@pytest.mark.parametrize("column", ["label", "apex_file_name"])
def test_a_table_that_says_something_else_than_the_records_is_found(
    made: Callable[[str], Path], tmp_path: Path, format: str, column: str
) -> None:
    out = copied(made(format), tmp_path)
    table = pq.read_table(out / "metadata.parquet")
    at = table.schema.get_field_index(column)
    values = table[column].to_pylist()
    values[3], values[4] = values[4], values[3]
    table = table.set_column(at, table.schema.field(at), pa.array(values))
    pq.write_table(table, out / "metadata.parquet")
    certify(out)
    assert verify(out, deep=True) == [
        Fault("metadata.parquet", "does not hold what the records hold")
    ]


def _relabel(lines: list[str]) -> list[str]:
    return [f"{lines[0][:-1]}2", *lines[1:]]


@pytest.mark.parametrize("name", ["lists/all.txt", "lists/AU_exp.txt"])
@pytest.mark.parametrize(
    "change",
    [
        _relabel,
        lambda lines: lines[1:],
        lambda lines: lines + lines[:1],
        lambda lines: lines[::-1],
        lambda lines: [f"/elsewhere{lines[0]}", *lines[1:]],
        lambda lines: [line.replace("AU_", "XX_") for line in lines],
    ],
)
def test_a_list_that_says_something_else_than_the_records_is_found(
    made: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    change: Callable[[list[str]], list[str]],
) -> None:
    out = copied(made("original"), tmp_path)
    lines = change((out / name).read_text().splitlines())
    (out / name).write_text("".join(f"{line}\n" for line in lines))
    certify(out)
    assert verify(out, deep=True) == [Fault(name, "does not list what the records hold")]


def _retar(path: Path, change: Callable[[list[tuple[str, bytes]]], None]) -> None:
    """Write a tar file anew with its files CHANGEd."""
    with tarfile.open(path) as tar:
        held = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    change(held)
    with tarfile.open(path, "w") as tar:
        for name, data in held:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def test_json_that_says_something_else_than_the_record_is_found(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    def change(held: list[tuple[str, bytes]]) -> None:
        name, data = held[2]
        held[2] = name, data.replace(b'"label": 0', b'"label": 2')

    out = copied(made("webdataset"), tmp_path)
    _retar(out / "data" / f"{SECOND}.tar", change)
    certify(out)
    what = "says something else of d/e_mie_0 than its record"
    assert verify(out, deep=True) == [Fault(f"data/{SECOND}.tar", what)]


@pytest.mark.parametrize(
    "change",
    [
        lambda held: held.append(("../../x", b"hidden")),
        lambda held: held.append(held[0]),
        lambda held: held.reverse(),
        lambda held: held.insert(0, held.pop(5)),
    ],
)
def test_a_tar_file_that_holds_something_else_than_its_record_is_found(
    made: Callable[[str], Path],
    tmp_path: Path,
    change: Callable[[list[tuple[str, bytes]]], None],
) -> None:
    out = copied(made("webdataset"), tmp_path)
    _retar(out / "data" / f"{SECOND}.tar", change)
    certify(out)
    what = "does not hold the files of its record, in their order"
    assert verify(out, deep=True) == [Fault(f"data/{SECOND}.tar", what)]


def test_a_plan_of_other_columns_is_found(dataset: Path) -> None:
    told = manifest.begun(dataset)
    assert told is not None
    manifest.begin(dataset, pa.table({"a": [1]}), told)
    certify(dataset)
    assert manifest.PLAN in named(verify(dataset, deep=True))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["seed"], 8, "seed is 8, not 7"),
        (["sources", "mie", "stand_in"], False, "sources.mie.stand_in is False, not True"),
        (["weights", "sha256"], "1", f"weights.sha256 is '1', not '{'0' * 64}'"),
        (["faces", "kind"], "rendered", "faces.kind is 'rendered', not 'photographs'"),
    ],
)
def test_other_settings_in_one_shard_are_found(
    dataset: Path, path: list[str], value: object, words: str
) -> None:
    def change(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        settings = told["settings"]
        for key in path[:-1]:
            settings = settings[key]
        settings[path[-1]] = value

    tamper(dataset, change)
    assert verify(dataset) == [Fault(record(dataset, SECOND), f"made with other settings: {words}")]


def test_stand_ins_that_are_passed_off_as_measured_are_found(dataset: Path) -> None:
    """The flag flipped in the settings of plan and shards, and so in manifest and card."""

    def change(rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        told["settings"]["sources"]["mie"]["stand_in"] = False

    told = manifest.begun(dataset)
    assert told is not None
    change([], told)
    manifest.begin(dataset, manifest.planned(dataset), told)
    for shard in (FIRST, SECOND):
        tamper(dataset, change, shard)
    faults = verify(dataset, deep=True)
    assert len(faults) == 15
    assert {fault.what for fault in faults} == {
        "stand_in_motion is not what the settings say of its source"
    }


@pytest.mark.parametrize("format", FORMATS)
def test_a_record_of_other_columns_is_found(
    made: Callable[[str], Path], tmp_path: Path, format: str
) -> None:
    out = copied(made(format), tmp_path)
    path = out / record(out, SECOND)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["emotion"]), path)
    certify(out)
    odd = Fault(record(out, SECOND), "has other columns than this version of mie-x writes")
    assert odd in verify(out, deep=True)


def test_rows_that_hold_nothing_are_found(made: Callable[[str], Path], tmp_path: Path) -> None:
    out = copied(made("parquet"), tmp_path)
    path = out / record(out, SECOND)
    table = pq.read_table(path)
    nothing = pa.table(
        [pa.nulls(len(table), field.type) for field in table.schema], schema=table.schema
    )
    pq.write_table(nothing, path)
    certify(out)
    faults = verify(out, deep=True)
    assert {fault.row for fault in faults if fault.file == record(out, SECOND)} >= set(range(12))


@pytest.mark.parametrize("entry", ["faces", "failures", "settings"])
def test_a_footer_that_holds_nothing_is_found(
    made: Callable[[str], Path], tmp_path: Path, entry: str
) -> None:
    out = copied(made("parquet"), tmp_path)
    path = out / record(out, SECOND)
    table = pq.read_table(path)
    for value in (b"null", b"{", b"[1]"):
        metadata = {**table.schema.metadata, f"mie_x_{entry}".encode(): value}
        pq.write_table(table.replace_schema_metadata(metadata), path)
        certify(out)
        assert named(verify(out, deep=True)) & {record(out, SECOND), manifest.MANIFEST}


def test_a_clip_of_fewer_frames_is_found(tmp_path: Path) -> None:
    out = make_dataset(tmp_path / "d", "parquet", frames=5, course="full")
    told = shards.footer(out / record(out, SECOND))
    del told["files"]
    rows = read_shard(out, "parquet", SECOND)
    for name in ("frames", "frame_sha256"):
        rows[4][name] = rows[4][name][:3]
    write_shard(out, "parquet", SECOND, rows, frames=5, footer=told)
    manifest.finish(out)
    assert verify(out, deep=True) == [
        Fault(record(out, SECOND), "has 3 frames and 3 hashes of them, not 5 each", 4)
    ]


def test_faults_name_file_and_row() -> None:
    assert str(Fault("a.parquet", "is odd")) == "a.parquet: is odd"
    assert str(Fault("a.parquet", "is odd", 0)) == "a.parquet, row 0: is odd"
    assert json.dumps(vars(Fault("a", "b", 1))) == '{"file": "a", "what": "b", "row": 1}'
