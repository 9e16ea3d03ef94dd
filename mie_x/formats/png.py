"""PNG: a folder a sample, and one table.

    OUT/frames/<identity>/<source>_<label>/0_onset.png, 1_apex.png     (longer clips: 00.png ...)
    OUT/metadata.parquet                                   a row a sample; *_file_name its frames
    OUT/records/train-00000-of-00100.parquet               what each shard was made with

``metadata.parquet`` is what Hugging Face's imagefolder looks for; the card names a picture beside
it, since datasets takes a table without pictures for a plain one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mie_x.formats.names import file_name
from mie_x.formats.tree import TABLE, load_files, store_files, table_faults, write_table

RECORDS = "records"
DATA_FILES = '[metadata.parquet, "frames/**/*.png"]'
HOW = """\
`metadata.parquet` has a row a sample and names its PNG files; `load_dataset(FOLDER)` of Hugging
Face's `datasets` reads both."""


def places(row: Mapping[str, Any], count: int) -> list[str]:
    """Where the COUNT frames of a row lie, below OUT."""
    folder = f"frames/{file_name(row['identity'])}/{row['source']}_{row['label']}"
    names = ["0_onset", "1_apex"] if count == 2 else [f"{n:02d}" for n in range(count)]
    return [f"{folder}/{name}.png" for name in names]


def store(
    out: Path, shard: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[list[dict[str, bytes | str | None]]], dict[str, str]]:
    """Write a PNG file a frame."""
    return store_files(out, rows, places)


def load(out: Path, shard: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[list[bytes]]:
    """Yield what ``store`` wrote."""
    return load_files(out, rows, places)


def finish(out: Path, records: Sequence[Path]) -> list[str]:
    """Write the table."""
    write_table(out, records)
    return [TABLE]


def faults(out: Path, records: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Compare the table with the records."""
    return table_faults(out, records)
