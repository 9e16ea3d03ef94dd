"""AUs frame by frame, as ``mie-x extract`` writes them: a table that ``--mie`` and ``--mae`` take.

Parquet, a row a frame, in the columns that ``au_sources.clips`` reads: ``corpus, subject, clip,
kind, label, emotion, frame, onset, apex, offset, fps, stand_in, confidence, success`` and ``AU01``
to ``AU45`` in [0, 1], all 17 null where the frame failed. ``label`` is a class, or "no class" where
the collection's merging rule gives none. The footer's entry ``mie_x`` is a JSON object:
``measured``, what measured it (``Extractor.settings``), the collection, and which clips are not in
the table, and why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from au_sources.clips import NO_CLASS
from au_sources.extract import Measured
from mie_x.records import AUS, LABELS, Clip
from mie_x.whole import whole

ENTRY = b"mie_x"
COLUMNS = [f"AU{au:02d}" for au in AUS]
CLIPS_A_GROUP = 100
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("corpus", "subject", "clip", "kind", "label")),
        ("emotion", pa.string()),
        *((name, pa.int64()) for name in ("frame", "onset", "apex", "offset")),
        ("fps", pa.float64()),
        ("stand_in", pa.bool_()),
        ("confidence", pa.float32()),
        ("success", pa.int8()),
        *((name, pa.float32()) for name in COLUMNS),
    ]
)


def rows(clip: Clip, numbers: Sequence[int], measured: Measured) -> pa.Table:
    """What was MEASURED on the frames NUMBERS of CLIP."""
    label = next((name for name, value in LABELS.items() if value == clip.label), NO_CLASS)
    count = len(numbers)
    if len(measured.aus) != count:
        raise ValueError(f"{'/'.join(clip.origin)}: {len(measured.aus)} rows of {count} frames")
    failed = np.isnan(measured.aus[:, 0])
    sure = measured.confidence
    once: dict[str, Any] = {
        **clip.origin._asdict(),
        "kind": clip.kind,
        "label": label,
        "emotion": clip.emotion,
        "onset": clip.onset,
        "apex": clip.apex,
        "offset": clip.offset,
        "fps": clip.fps,
        "stand_in": clip.stand_in,
    }
    columns = {name: [value] * count for name, value in once.items()} | {
        "frame": list(numbers),
        "confidence": None if sure is None else sure.tolist(),
        "success": (~failed).astype(int).tolist(),
    }
    for column, values in zip(COLUMNS, measured.aus.T, strict=True):
        columns[column] = [None if lost else v for v, lost in zip(values, failed, strict=True)]
    columns["confidence"] = columns["confidence"] or [None] * count
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def write_parts(path: Path, parts: Iterable[Path], told: dict[str, Any]) -> int:
    """Write the tables of PARTS, one after the other, as PATH; TOLD goes into the footer.

    Only ``CLIPS_A_GROUP`` clips are in memory at a time. Returns the number of rows.
    """
    schema = SCHEMA.with_metadata({ENTRY: json.dumps(told, sort_keys=True).encode()})
    count, waiting = 0, list[pa.Table]()
    with whole(path) as unfinished, pq.ParquetWriter(unfinished, schema, compression="zstd") as to:
        for part in parts:
            waiting.append(pq.read_table(part, schema=SCHEMA))
            count += waiting[-1].num_rows
            if len(waiting) == CLIPS_A_GROUP:
                to.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            to.write_table(pa.concat_tables(waiting))
    return count


def read_told(path: Path) -> dict[str, Any] | None:
    """What the footer of PATH says; None where it is no table of ours. ValueError if damaged."""
    try:
        entry = (pq.read_schema(path).metadata or {}).get(ENTRY)
        told = None if entry is None else json.loads(entry)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path}: no Parquet table, or a damaged one; delete it") from error
    return told if isinstance(told, dict) and "measured" in told else None
