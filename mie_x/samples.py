"""The samples of a finished dataset, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mie_x.formats import FORMATS, Format, record_paths
from mie_x.frames import read_png
from mie_x.manifest import read_manifest
from mie_x.records import Origin, Sample
from mie_x.shards import ROWS_A_GROUP


def read(folder: Path, *, sources: Iterable[str] | None = None, step: int = 1) -> Iterator[Sample]:
    """Yield a finished dataset's samples in order: those of SOURCES where given, every STEP-th row.

    Frames are (T, 128, 128, 3) uint8 RGB, onset first; AUs (T, 17) float32; T is 2 unless the
    dataset holds longer clips. ValueError, at once, where FOLDER is no finished dataset.
    """
    listed = read_manifest(folder)
    wanted = set(listed["settings"]["sources"] if sources is None else sources)
    name = listed["settings"]["format"]
    return _read(folder, record_paths(folder, name), FORMATS[name], wanted, step)


def _read(
    folder: Path, records: Iterable[Path], layout: Format, wanted: set[str], step: int
) -> Iterator[Sample]:
    number = 0
    for path in records:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
                chosen = [n for n in range(len(batch)) if (number + n) % step == 0]
                number += len(batch)
                rows = batch.take(pa.array(chosen, pa.int64())).to_pylist()
                rows = [row for row in rows if row["source"] in wanted]
                for row, frames in zip(rows, layout.load(folder, path.stem, rows), strict=True):
                    yield _sample(row, frames)


def _sample(row: dict[str, Any], frames: list[bytes]) -> Sample:
    origin = None
    if row["origin_corpus"] is not None:
        origin = Origin(row["origin_corpus"], row["origin_subject"], row["origin_clip"])
    aus = row["frame_aus"] if "frame_aus" in row else [row["onset_aus"], row["apex_aus"]]
    return Sample(
        key=row["sample_key"],
        frames=np.stack([read_png(data) for data in frames]),
        label=row["label"],
        subject=row["identity"],
        origin=origin,
        aus=np.array(aus, np.float32),
        apex=row.get("apex_frame", -1),
    )
