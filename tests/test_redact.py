"""Who is taken out of a dataset is gone from every byte of it, and nobody else changes."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from au_sources import Expert
from mie_x import manifest, samples, shards
from mie_x.formats import FORMATS, record_paths
from mie_x.formats.names import file_name
from mie_x.frames import png
from mie_x.records import Sample
from mie_x.verify import verify
from pipelines.generate import prepare, run
from pipelines.inputs import Place, Pool
from pipelines.redact import redact
from tests.conftest import PEOPLE, blobs, copied, make_dataset, noise

WHO = "größe"  # in the first shard; one picture of hers is among those left out
OTHERS = [identity for identity in PEOPLE if identity != WHO]


def forms(identity: str) -> list[bytes]:
    """How a name may be written down."""
    escaped = json.dumps(identity)[1:-1]
    return [form.encode() for form in {identity, escaped, file_name(identity)}]


def pixels(identity: str) -> list[bytes]:
    """What PNG files of the identity's frames hold of pixels, and the pixels themselves."""
    found = []
    for source in ("mie", "exp"):
        for label in range(3):
            key = f"{identity}_{source}_{label}"
            for number in (0, 1):
                picture = noise(number + sum(key.encode()) * 100)
                data = png(picture)
                start = data.index(b"IDAT") + 4
                found += [data[start : data.index(b"IEND") - 8], picture.tobytes()]
    return found


def tells(folder: Path, identity: str) -> list[str]:
    """Files that tell of an identity: by name, bytes, rows, or the head of a table."""
    found = []
    needles = forms(identity) + pixels(identity)
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        texts = [name.encode()]
        if path.is_file():
            texts.append(path.read_bytes())
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            texts.append(repr(table.to_pylist()).encode())
            texts += (table.schema.metadata or {}).values()
            texts += [
                image["bytes"]
                for column in ("onset", "apex")
                if column in table.column_names
                for image in table[column].to_pylist()
                if image["bytes"] is not None
            ]
        if path.suffix == ".tar":
            with tarfile.open(path) as tar:
                texts += [member.name.encode() for member in tar]
        if any(needle in text for needle in needles for text in texts):
            found.append(name)
    return found


def by_key(folder: Path) -> dict[str, Sample]:
    return {sample.key: sample for sample in samples.read(folder)}


def test_the_search_finds_who_is_there(dataset: Path) -> None:
    """Or else the tests below would prove nothing."""
    found = tells(dataset, WHO)
    assert {manifest.PLAN, manifest.FAILURES} <= set(found)
    format = manifest.read_manifest(dataset)["settings"]["format"]
    assert f"{FORMATS[format].RECORDS}/train-00000-of-00002.parquet" in found
    assert tells(dataset, "Nobody There") == []
    assert all(tells(dataset, identity) for identity in OTHERS)


def test_no_byte_tells_of_who_was_taken_out(dataset: Path) -> None:
    before = by_key(dataset)
    assert redact(dataset, WHO) == 6
    assert tells(dataset, WHO) == []
    assert verify(dataset, deep=True) == []
    after = by_key(dataset)
    assert list(after) == [key for key, sample in before.items() if sample.subject != WHO]
    for key, sample in after.items():
        assert (sample.frames == before[key].frames).all()


def test_counts_and_card_tell_of_it_and_failures_do_not(dataset: Path) -> None:
    redact(dataset, WHO)
    listed = manifest.read_manifest(dataset)
    assert (listed["samples"], listed["identities"], listed["left_out"]) == (23, 4, 1)
    assert listed["redacted"] == [manifest.redacted_name(WHO)]
    card = (dataset / manifest.CARD).read_text("utf-8")
    assert "Identities taken out after the fact: 1." in card
    assert "23 samples" in card
    redact(dataset, "b")  # of whom a sample had failed
    listed = manifest.read_manifest(dataset)
    assert (listed["samples"], listed["samples_missing"], listed["left_out"]) == (18, 0, 0)
    assert tells(dataset, WHO) == [] and verify(dataset, deep=True) == []


def test_files_of_others_are_not_written_anew(tmp_path: Path, made: Callable[[str], Path]) -> None:
    out = copied(made("parquet"), tmp_path)
    second = record_paths(out, "parquet")[1]
    before = (second.read_bytes(), second.stat().st_mtime_ns)
    redact(out, WHO)
    assert (second.read_bytes(), second.stat().st_mtime_ns) == before


@pytest.mark.parametrize("format", FORMATS)
def test_what_stays_is_what_a_dataset_of_the_others_holds(tmp_path: Path, format: str) -> None:
    """Bit for bit, frames of a shard without the person are those never made with them."""
    out = make_dataset(tmp_path / "d", format)
    redact(out, WHO)
    alone = make_dataset(tmp_path / "others", format, people=OTHERS)
    one, other = by_key(out), by_key(alone)
    assert list(one) == list(other)
    assert all((one[key].frames == other[key].frames).all() for key in one)


def test_everybody_can_be_taken_out(dataset: Path) -> None:
    assert [redact(dataset, identity) for identity in PEOPLE] == [6, 5, 6, 6, 6]
    # of the other two any file tells: "b" and "-f" stand in many words
    assert [tells(dataset, identity) for identity in ("Jo Ann.2", WHO, "d/e")] == [[], [], []]
    assert verify(dataset, deep=True) == [] and by_key(dataset) == {}


def test_clips_are_taken_out(tmp_path: Path) -> None:
    for format in FORMATS:
        out = make_dataset(tmp_path / format, format, frames=5, course="full")
        redact(out, WHO)
        assert tells(out, WHO) == [] and verify(out, deep=True) == []


def test_who_was_only_left_out_can_be_taken_out_too(tmp_path: Path) -> None:
    """Of ``WHO`` nothing is planned, but a picture is named among the failures."""
    out = make_dataset(tmp_path / "d", "parquet", people=OTHERS)
    assert sorted(tells(out, WHO)) == [manifest.FAILURES, manifest.PLAN]
    assert redact(out, WHO) == 0
    assert tells(out, WHO) == [] and verify(out, deep=True) == []


# --- refused --------------------------------------------------------------------------------------


def test_twice_unknown_and_unfinished_are_a_sentence_each(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nobody is called 'Größe' there; see column identity"):
        redact(dataset, "Größe")
    redact(dataset, WHO)
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="identity 'größe' was taken out already"):
        redact(dataset, WHO)
    assert before == {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    manifest.unfinish(dataset)
    with pytest.raises(ValueError, match=r"no finished dataset; run the same mie-x generate"):
        redact(dataset, "b")
    with pytest.raises(ValueError, match="is not a folder"):
        redact(tmp_path / "none", WHO)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no finished dataset"):
        redact(tmp_path / "empty", WHO)


def test_a_damaged_frame_of_another_is_not_certified(dataset: Path) -> None:
    """Redaction writes others' frames again; what the disk did to them must not become truth."""
    key = "b_mie_1"
    data = png(noise(sum(key.encode()) * 100))
    needle = data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8]
    [path] = [p for p in dataset.rglob("*") if p.is_file() and needle in p.read_bytes()]
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(needle) + len(needle) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"train-00000-of-00002.parquet is damaged"):
        redact(dataset, WHO)
    assert not (dataset / manifest.SUMS).exists()


def test_a_missing_shard_is_not_passed_over(dataset: Path) -> None:
    format = manifest.read_manifest(dataset)["settings"]["format"]
    record_paths(dataset, format)[1].unlink()
    with pytest.raises(ValueError, match="shards of 2 identities are missing; run the same"):
        redact(dataset, WHO)
    assert (dataset / manifest.SUMS).exists()


# --- stopped --------------------------------------------------------------------------------------


WRITTEN = (
    manifest.PLAN,
    "data/train-00000-of-00002.tar",
    "data/train-00000-of-00002.parquet",
    "records/train-00000-of-00002.parquet",
    manifest.FAILURES,
    "metadata.parquet",
    "lists/AU_exp.txt",
    "lists/all.txt",
    manifest.CARD,
    manifest.MANIFEST,
    manifest.SUMS,
)
"""What a redaction writes anew, in order; not every format has all of it."""


def test_a_redaction_stopped_at_any_file_is_gone_on_with(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder in the place of a file's unfinished form stops it: what comes before is done."""
    monkeypatch.setattr("secrets.token_hex", lambda _: "drawn")  # so that the place is known
    untouched = copied(dataset, tmp_path / "untouched")
    redact(dataset, WHO)
    expected = {
        path.relative_to(dataset): path.read_bytes()
        for path in dataset.rglob("*")
        if path.is_file()
    }
    stops = [name for name in WRITTEN if (untouched / name).exists()]
    assert len(stops) >= 6
    for name in stops:
        shutil.rmtree(dataset)
        copied(untouched, tmp_path)  # to the same place, which the lists name
        block = dataset / f"{name}.drawn.partial"
        block.mkdir()
        with pytest.raises(OSError, match=f"{name}.drawn.partial"):
            redact(dataset, WHO)
        with pytest.raises(ValueError, match="no finished dataset"):
            manifest.read_manifest(dataset)
        block.rmdir()
        redact(dataset, WHO)
        assert tells(dataset, WHO) == [] and verify(dataset, deep=True) == []
        assert expected == {
            path.relative_to(dataset): path.read_bytes()
            for path in dataset.rglob("*")
            if path.is_file()
        }, name


def test_left_over_files_of_a_stopped_redaction_go_too(dataset: Path) -> None:
    format = manifest.read_manifest(dataset)["settings"]["format"]
    first = record_paths(dataset, format)[0]
    left_over = first.with_name(first.name + ".0123abcd.partial")
    shutil.copy(first, left_over)
    redact(dataset, WHO)
    assert not left_over.exists()
    assert tells(dataset, WHO) == [] and verify(dataset, deep=True) == []


def test_a_redaction_stopped_before_anything_was_written_is_gone_on_with(dataset: Path) -> None:
    (dataset / manifest.SUMS).unlink()
    assert redact(dataset, WHO) == 6
    assert tells(dataset, WHO) == [] and verify(dataset, deep=True) == []


def test_a_redaction_stopped_after_the_plan_is_gone_on_with(dataset: Path) -> None:
    plan, told = manifest.planned(dataset), manifest.begun(dataset)
    assert told is not None
    manifest.unfinish(dataset)
    told["redacted"] = [manifest.redacted_name(WHO)]
    for entry in ("faces", "left_out"):
        told[entry] = [one for one in told[entry] if WHO not in _values(one)]
    manifest.begin(dataset, plan.filter(pc.not_equal(plan["identity"], WHO)), told)
    assert redact(dataset, WHO) == 6
    assert tells(dataset, WHO) == [] and verify(dataset, deep=True) == []


def _values(entry: Any) -> list[Any]:
    return list(entry.values()) if isinstance(entry, dict) else entry


def test_rows_of_others_keep_every_column(dataset: Path) -> None:
    format = manifest.read_manifest(dataset)["settings"]["format"]

    def table() -> pa.Table:
        whole = pa.concat_tables(pq.read_table(path) for path in record_paths(dataset, format))
        return whole.filter(pc.not_equal(whole["identity"], WHO)).replace_schema_metadata(None)

    before = table()
    redact(dataset, WHO)
    assert table().equals(before) and np.unique(before["identity"].to_pylist()).size == 4


@pytest.mark.parametrize("name", ["../victim", "/etc/hostname", "data/../../victim", "C:victim"])
def test_a_record_cannot_name_files_of_others_as_its_own(
    made: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    out = copied(made("webdataset"), tmp_path)
    (tmp_path / "victim").write_text("mine")
    path = record_paths(out, "webdataset")[0]
    told = {**shards.footer(path), "files": {name: "0" * 64}}
    shards.write_record(path, shards.rows_of(path), frames=2, footer=told)
    with pytest.raises(shards.Unusable, match="as a file of its own"):
        redact(out, WHO)
    assert (tmp_path / "victim").read_text() == "mine"
    assert path.relative_to(out).as_posix() in {fault.file for fault in verify(out, deep=True)}


def test_a_run_does_not_go_on_from_a_stopped_redaction(tmp_path: Path, tiny_weights: Path) -> None:
    people = tuple(Place(face.identity, face.path, face) for face in blobs("ab"))
    pool = Pool(people, {"kind": "rendered", "ids": 2}, {})
    asked = {"seed": 0, "weights": tiny_weights}
    out = run(prepare(tmp_path / "out", pool, {"exp": Expert()}, **asked))  # type: ignore[arg-type]
    told = manifest.begun(out)
    assert told is not None
    plan = manifest.planned(out)
    manifest.unfinish(out)
    told |= {"redacted": [manifest.redacted_name("a")], "faces": told["faces"][1:]}
    manifest.begin(out, plan.filter(pc.not_equal(plan["identity"], "a")), told)
    with pytest.raises(ValueError, match="run the same mie-x redact again"):
        prepare(out, pool, {"exp": Expert()}, **asked)  # type: ignore[arg-type]
    redact(out, "a")
    assert verify(out, deep=True) == []


def test_files_of_strangers_are_not_certified(made: Callable[[str], Path], tmp_path: Path) -> None:
    out = copied(made("parquet"), tmp_path)
    (out / "notes.txt").write_text("mine")
    redact(out, WHO)
    assert [str(fault) for fault in verify(out)] == ["notes.txt: does not belong here"]
