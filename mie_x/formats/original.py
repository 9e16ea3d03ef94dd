"""The layout of the first MiE-X release, so that its training scripts read it.

    OUT/AU_exp/<identity>_exp_<label>/0.jpg, 1.jpg         onset, apex (longer clips: 0 ... 9.jpg)
    OUT/AU_mie/..., OUT/AU_mae/...                         the other AU sources
    OUT/lists/AU_exp.txt, AU_mie.txt, AU_mae.txt          a line a sample: <absolute folder> <label>
    OUT/lists/all.txt                                      the three one after the other
    OUT/metadata.parquet                                   as of the format png
    OUT/records/train-00000-of-00100.parquet               what each shard was made with

Two things are not as they look. The files are **PNG**, under the names that the scripts open: they
read pictures by content, and JPEG would drown a micro-expression. And the lists hold absolute
paths, as the scripts need them: after moving the folder, ``sed`` them (the card says how).
``all.txt`` is what ``mix_type`` cuts into equal parts, one AU source each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mie_x import shards
from mie_x.formats.names import file_name
from mie_x.formats.tree import TABLE, load_files, store_files, table_faults, write_table
from mie_x.records import SOURCES
from mie_x.whole import write_text

RECORDS = "records"
DATA_FILES = '[metadata.parquet, "AU_*/**/*.jpg"]'
HOW = r"""Folders and lists are those of the first MiE-X release: `0.jpg` in
`AU_exp/<identity>_exp_<label>` is an onset, `1.jpg` its apex, and the last `_` part of a folder's
name is its label. **The files are PNG in spite of their names**: the release's scripts open these
names, and read pictures by content.
`lists/*.txt` hold the absolute paths of the machine that made them; after moving the folder, run
`sed -i "s|^.*/\(AU_[a-z]*/\)|$PWD/\1|" lists/*.txt` in it (`SHA256SUMS` then no longer fits them).
`metadata.parquet` has a row a sample; `load_dataset(FOLDER)` of Hugging Face's `datasets` reads it
and the pictures."""


def folder(row: Mapping[str, Any]) -> str:
    """A sample's folder, below OUT.

    >>> folder({"identity": "N_01", "source": "exp", "label": 2})
    'AU_exp/N_01_exp_2'
    """
    return f"AU_{row['source']}/{file_name(row['identity'])}_{row['source']}_{row['label']}"


def places(row: Mapping[str, Any], count: int) -> list[str]:
    """Where the COUNT frames of a row lie, below OUT."""
    return [f"{folder(row)}/{n}.jpg" for n in range(count)]


def store(
    out: Path, shard: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[list[dict[str, bytes | str | None]]], dict[str, str]]:
    """Write a file a frame."""
    return store_files(out, rows, places)


def load(out: Path, shard: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[list[bytes]]:
    """Yield what ``store`` wrote."""
    return load_files(out, rows, places)


def finish(out: Path, records: Sequence[Path]) -> list[str]:
    """Write the table, and the lists: one a source, and all in the order of ``SOURCES``."""
    write_table(out, records)
    root = out.resolve().as_posix()
    (out / "lists").mkdir(exist_ok=True)
    for stale in (out / "lists").glob("*.txt"):  # of a source that has no sample left
        stale.unlink()
    lists = _lists(records)
    for name, lines in lists.items():
        write_text(out / name, "".join(f"{root}{line}\n" for line in lines))
    return [TABLE, *lists]


def _lists(records: Sequence[Path]) -> dict[str, list[str]]:
    """Each list's lines, without the path of the dataset's folder."""
    lines: dict[str, list[str]] = {source: [] for source in SOURCES}
    for path in records:
        for row in shards.rows_of(path, ["identity", "source", "label"]):
            lines[row["source"]].append(f"/{folder(row)} {row['label']}")
    lists = {f"lists/AU_{source}.txt": own for source, own in lines.items() if own}
    return lists | {"lists/all.txt": [line for own in lines.values() for line in own]}


def faults(out: Path, records: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Compare table and lists with the records, wherever the folder lay when they were written."""
    yield from table_faults(out, records)
    for name, lines in _lists(records).items():
        try:
            there = (out / name).read_bytes().decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            yield name, f"cannot be read ({error})"
            continue
        roots = {line.removesuffix(own) for line, own in zip(there, lines, strict=False)}
        if len(there) != len(lines) or len(roots) > 1 or {*there} & roots:
            yield name, "does not list what the records hold"
