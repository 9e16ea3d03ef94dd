"""PNG: a folder a sample, and one table.

    OUT/frames/<identity>/<source>_<label>/0_onset.png, 1_apex.png     (longer clips: 00.png ...)
    OUT/metadata.parquet                                   a row a sample; *_file_name its frames
    OUT/records/train-00000-of-00100.parquet               what each shard was made with

``metadata.parquet`` is what Hugging Face's imagefolder looks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mie_x.formats.names import file_name
from mie_x.formats.tree import load_files, store_files
from mie_x.whole import whole

RECORDS = "records"
TABLE = "metadata.parquet"
DATA_FILES = "metadata.parquet"
HOW = """\
`metadata.parquet` has a row a sample and names its PNG files; Hugging Face's `datasets` reads
both: `load_dataset("imagefolder", data_dir=...)`."""


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
    """Write the table, a shard at a time."""
    with whole(out / TABLE) as unfinished:
        writer: pq.ParquetWriter | None = None
        for path in records:
            table = _named(pq.read_table(path, page_checksum_verification=True))
            writer = writer or pq.ParquetWriter(
                unfinished, table.schema, compression="zstd", write_page_checksum=True
            )
            if len(table):
                writer.write_table(table)
        if writer is not None:
            writer.close()
    return [TABLE]


def _named(table: pa.Table) -> pa.Table:
    """Images replaced by the columns that imagefolder looks for."""
    for name in ("onset", "apex"):
        if name in table.schema.names:
            paths = pa.array([image["path"] for image in table[name].to_pylist()], pa.string())
            at = table.schema.get_field_index(name)
            table = table.set_column(at, f"{name}_file_name", paths)
    if "frames" in table.schema.names:
        clips = [[image["path"] for image in clip] for clip in table["frames"].to_pylist()]
        at = table.schema.get_field_index("frames")
        table = table.set_column(at, "frames_file_names", pa.array(clips, pa.list_(pa.string())))
    return table.replace_schema_metadata({})
