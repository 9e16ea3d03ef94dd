"""Where a dataset's frames lie: one file a format, its writer beside its reader.

Each module says in its docstring how it lays its files out, and has

- ``RECORDS``: the folder of the shards' records (``mie_x.shards``);
- ``store(out, shard, rows)``: write the frames of a shard, and return what its record says of
  them: an image {"bytes", "path"} for each frame of each row, and the SHA-256 of each file;
- ``load(out, shard, rows)``: yield the PNG files of each row of a record, in its order;
- ``finish(out, records)``: write what describes the whole beside manifest and card, and return
  the files' names;
- ``faults(out, records)``: where that, or a row told again beside its frames, is not what the
  records say: pairs of a file's name and words;
- ``DATA_FILES``: what the card's YAML head tells the Hub, and ``HOW``: how to read the format.

Rows are dicts of a record's columns without images; PNG files of their frames are under ``frames``.
Where a frame lies follows from its row's key alone, so that no path of a data file is ever opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mie_x import shards
from mie_x.formats import original, parquet, png, webdataset
from mie_x.frames import pixel_sha256, read_png

Row = Mapping[str, Any]
Image = dict[str, bytes | str | None]


class Format(Protocol):
    """One of the modules here, as a type."""

    RECORDS: str
    DATA_FILES: str
    HOW: str

    def store(
        self, out: Path, shard: str, rows: Sequence[Row]
    ) -> tuple[list[list[Image]], dict[str, str]]: ...
    def load(self, out: Path, shard: str, rows: Sequence[Row]) -> Iterator[list[bytes]]: ...
    def finish(self, out: Path, records: Sequence[Path]) -> list[str]: ...
    def faults(self, out: Path, records: Sequence[Path]) -> Iterator[tuple[str, str]]: ...


FORMATS: dict[str, Format] = {
    "parquet": parquet,
    "png": png,
    "original": original,
    "webdataset": webdataset,
}


def record_paths(out: Path, format: str) -> list[Path]:
    """The records that lie in OUT, in order."""
    return sorted((out / FORMATS[format].RECORDS).glob("train-*.parquet"))


def write_shard(
    out: Path,
    format: str,
    shard: str,
    rows: Sequence[Row],
    *,
    frames: int,
    footer: Mapping[str, Any],
) -> set[str]:
    """Write a shard's frames, then its record; return the names of the files beside the record.

    FOOTER is the record's, without ``files``. Files of an earlier shard of this name that are not
    among the new ones are removed between the two.
    """
    layout = FORMATS[format]
    path = out / layout.RECORDS / f"{shard}.parquet"
    images, files = layout.store(out, shard, rows)
    if path.exists():
        for name in shards.footer(path)["files"].keys() - files.keys():
            _remove(out, name)
    path.parent.mkdir(exist_ok=True)
    pair = frames == 2
    shards.write_record(
        path,
        [
            {**row, "onset": own[0], "apex": own[1]} if pair else {**row, "frames": own}
            for row, own in zip(rows, images, strict=True)
        ],
        frames=frames,
        footer={**footer, "files": files},
    )
    return set(files)


def _remove(out: Path, name: str) -> None:
    """Remove a file and the folders that it leaves empty: their names may be a person's."""
    path = out / name
    path.unlink(missing_ok=True)
    for folder in path.relative_to(out).parents[:-1]:
        if (out / folder).is_dir() and not any((out / folder).iterdir()):
            (out / folder).rmdir()


def read_shard(
    out: Path, format: str, shard: str, *, without: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """The rows of a shard with their frames, as ``write_shard`` takes them.

    Rows of the identities WITHOUT are left out, and their frames not looked for. ``Unusable`` where
    a frame is not the one that was written: what is read here is written, and certified, again.
    """
    banned, layout = set(without), FORMATS[format]
    path = out / layout.RECORDS / f"{shard}.parquet"
    rows = [row for row in shards.rows_of(path) if row["identity"] not in banned]
    whole = []
    for row, files in zip(rows, layout.load(out, shard, rows), strict=True):
        try:
            same = [pixel_sha256(read_png(data)) for data in files] == shards.frame_hashes(row)
        except (ValueError, OSError):
            same = False
        if not same:
            raise shards.damaged(path, ValueError(f"the frames of {row['sample_key']}"))
        own = {name: value for name, value in row.items() if name not in ("onset", "apex")}
        whole.append({**own, "frames": files})
    return whole
