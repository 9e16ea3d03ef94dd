"""Formats that keep a file a frame, each whole or not there, and one table of all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mie_x.shards import ROWS_A_GROUP
from mie_x.whole import whole, write_bytes

TABLE = "metadata.parquet"
LARGEST = 1 << 20  # bytes of a frame's file: 128 x 128 x 3 and a few words are below 60,000

Places = Callable[[Mapping[str, Any], int], list[str]]


def store_files(
    out: Path, rows: Sequence[Mapping[str, Any]], places: Places
) -> tuple[list[list[dict[str, bytes | str | None]]], dict[str, str]]:
    """Write each row's frames where PLACES says."""
    images: list[list[dict[str, bytes | str | None]]] = []
    hashes = {}
    for row in rows:
        names = places(row, len(row["frames"]))
        (out / names[0]).parent.mkdir(parents=True, exist_ok=True)
        for name, data in zip(names, row["frames"], strict=True):
            write_bytes(out / name, data)
            hashes[name] = hashlib.sha256(data).hexdigest()
        images.append([{"bytes": None, "path": name} for name in names])
    return images, hashes


def load_files(
    out: Path, rows: Sequence[Mapping[str, Any]], places: Places
) -> Iterator[list[bytes]]:
    """Yield each row's files; OSError where one is not there, ValueError where one is no frame."""
    for row in rows:
        count = 2 if "onset" in row else len(row["frames"])
        yield [_read(out / name) for name in places(row, count)]


def _read(path: Path) -> bytes:
    if path.is_symlink():
        raise ValueError(f"{path} is a link; put the file itself there")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes: that is no frame")
    return path.read_bytes()


def write_table(out: Path, records: Sequence[Path]) -> None:
    """Write ``TABLE``, which Hugging Face's imagefolder looks for, a shard at a time.

    It has the records' columns, but names of files for images: onset_file_name, apex_file_name, or
    frames_file_names of longer clips.
    """
    with whole(out / TABLE) as unfinished:
        writer: pq.ParquetWriter | None = None
        for path in records:
            table = _named(pq.read_table(path, page_checksum_verification=True))
            writer = writer or pq.ParquetWriter(
                unfinished, table.schema, compression="zstd", write_page_checksum=True
            )
            if len(table):
                writer.write_table(table, row_group_size=ROWS_A_GROUP)
        if writer is not None:
            writer.close()


def table_faults(out: Path, records: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Compare ``TABLE`` with the records it was made of: name of a file, and what is wrong."""
    try:
        there = pq.read_table(out / TABLE, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        yield TABLE, f"cannot be read ({error})"
        return
    here = pa.concat_tables([_named(pq.read_table(path)) for path in records])
    if not there.equals(here, check_metadata=True):
        yield TABLE, "does not hold what the records hold"


def _named(table: pa.Table) -> pa.Table:
    """Images replaced by the columns that imagefolder looks for."""
    described = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    text = {"dtype": "string", "_type": "Value"}
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    features: dict[str, Any] = {}
    for name in table.schema.names:
        values = table[name]
        if name in ("onset", "apex"):
            paths = [image["path"] for image in values.to_pylist()]
            columns[f"{name}_file_name"] = pa.array(paths, pa.string())
            features[f"{name}_file_name"] = text
        elif name == "frames":
            clips = [[image["path"] for image in clip] for clip in values.to_pylist()]
            # the name of the list's field as Parquet has it, so that it reads back equal
            kind = pa.list_(pa.field("element", pa.string()))
            columns["frames_file_names"] = pa.array(clips, kind)
            features["frames_file_names"] = {"feature": text, "_type": "Sequence"}
        else:
            columns[name], features[name] = values, described[name]
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(told)
