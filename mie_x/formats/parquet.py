"""Parquet: the frames lie in the records.

    OUT/data/train-00000-of-00100.parquet   50 identities, 450 samples, about 30 MB

Columns ``onset`` and ``apex`` (longer clips: ``frames``) are {"bytes", "path"} with the metadata
by which Hugging Face's datasets decodes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

RECORDS = "data"
DATA_FILES = "data/train-*.parquet"
HOW = """\
Any Parquet reader opens the shards; `load_dataset(FOLDER)` of Hugging Face's `datasets` decodes the
frames."""


def store(
    out: Path, shard: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[list[dict[str, bytes | str | None]]], dict[str, str]]:
    """Hand the frames on to the record."""
    return [[{"bytes": data, "path": None} for data in row["frames"]] for row in rows], {}


def load(out: Path, shard: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[list[bytes]]:
    """Yield the frames that the rows themselves hold."""
    for row in rows:
        images = [row["onset"], row["apex"]] if "onset" in row else row["frames"]
        yield [image["bytes"] for image in images]


def finish(out: Path, records: Sequence[Path]) -> list[str]:
    """Nothing: the shards describe themselves."""
    return []


def faults(out: Path, records: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """None: nothing is said twice."""
    yield from ()
