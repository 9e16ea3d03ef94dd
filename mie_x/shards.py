"""The published dataset: sharded Parquet with lossless frames, written and read here.

    OUT/
      README.md                          dataset card, with its YAML head
      data/train-00000-of-00100.parquet  50 identities a shard, 450 rows
      failures.parquet                   what was left out, and why
      manifest.json                      settings, hashes, counts; there means complete

A file has another name (``.partial``) until it is whole, so that "there" means "complete". A shard
carries in its own footer the settings it was made with and the failures of its identities; a run
that was stopped needs no other state to go on. Nothing here depends on the time or the machine's
name: the same settings and library versions give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mie_x import plan as plans
from mie_x.records import AUS, LABELS, SIZE, Frames, Origin, Sample
from mie_x.whole import whole

IDENTITIES_A_SHARD = 50
ROWS_A_GROUP = 100  # the Hub's viewer reads pages of 100 rows

DESCRIPTIONS = ("README.md", "failures.parquet")
MANIFEST = {"settings", "samples", "identities", "samples_by_source_and_label", "shards", "files"}

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("sample_key", pa.string()),
    ("onset", IMAGE),
    ("apex", IMAGE),
    ("label", pa.int64()),
    ("emotion", pa.string()),
    ("source", pa.string()),
    ("identity", pa.string()),
    ("onset_aus", plans.AU_VECTOR),
    ("apex_aus", plans.AU_VECTOR),
    ("origin_corpus", pa.string()),
    ("origin_subject", pa.string()),
    ("origin_clip", pa.string()),
    ("face", pa.string()),
    ("face_sha256", pa.string()),
    ("rendered_face", pa.bool_()),
    ("stand_in_motion", pa.bool_()),
    ("draw_seed", pa.int64()),
    ("onset_sha256", pa.string()),
    ("apex_sha256", pa.string()),
]


def _feature(kind: pa.DataType, name: str) -> dict[str, Any]:
    if name == "label":
        return {"names": list(LABELS), "_type": "ClassLabel"}
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_fixed_size_list(kind):
        # "Sequence" is read by old and new versions of datasets; "List" by new ones alone.
        value = {"dtype": "float32", "_type": "Value"}
        return {"feature": value, "length": len(AUS), "_type": "Sequence"}
    return {"dtype": "bool" if kind == pa.bool_() else str(kind), "_type": "Value"}


# The metadata by which Hugging Face datasets decodes images, class names and lists. Without it
# the columns arrive as raw structs, and no error says so.
FEATURES = {"info": {"features": {name: _feature(kind, name) for name, kind in _COLUMNS}}}
SCHEMA = pa.schema(_COLUMNS, metadata={"huggingface": json.dumps(FEATURES)})

FAILURES = pa.schema(
    [
        ("stage", pa.string()),  # "face" before the plan, "frames" after it
        ("identity", pa.string()),
        ("path", pa.string()),
        ("sample_key", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)


class Unusable(ValueError):
    """What lies in a dataset's folder cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Failure:
    """What was left out, and why."""

    stage: str
    identity: str
    path: str
    sample_key: str | None
    reason: str
    detail: str


def png(frame: Frames) -> bytes:
    """Encode a frame (H, W, 3) uint8 RGB as PNG.

    Level 1 with run-length matching: among Pillow's settings the fastest that is also smaller
    than its plain level 1 on faces.
    """
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


def read_png(data: bytes) -> Frames:
    """Decode a frame that ``png`` encoded: (H, W, 3) uint8 RGB; refuses other formats and sizes."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if image.size != (SIZE, SIZE) or image.mode != "RGB":
            raise ValueError(f"a frame is {SIZE} x {SIZE} RGB, not {image.size} {image.mode}")
        return np.asarray(image)


def pixel_sha256(frame: Frames) -> str:
    """Hash decoded pixels: PNG bytes differ between versions of the encoder, pixels do not."""
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def shard_name(index: int, count: int) -> str:
    """Name a shard as the Hub does.

    >>> shard_name(3, 100)
    'train-00003-of-00100.parquet'
    """
    return f"train-{index:05d}-of-{count:05d}.parquet"


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    with whole(path) as partial:
        partial.write_text(text, "utf-8")


def write_shard(
    path: Path,
    rows: Sequence[dict[str, Any]],
    failures: Sequence[Failure],
    settings: dict[str, Any],
    made_with: dict[str, str],
) -> None:
    """Write one shard; PATH appears only when it is whole.

    ROWS hold every column of ``SCHEMA``, with ``onset`` and ``apex`` as PNG bytes.
    """
    columns = [_column(name, kind, [row[name] for row in rows]) for name, kind in _COLUMNS]
    own = {
        "mie_x": _json(settings),
        "mie_x_failures": _json([asdict(failure) for failure in failures]),
        "mie_x_made_with": _json(made_with),
    }
    table = pa.Table.from_arrays(columns, schema=SCHEMA.with_metadata(SCHEMA.metadata | own))
    scalars = [name for name, kind in _COLUMNS if not pa.types.is_nested(kind)]
    with whole(path) as partial:
        pq.write_table(
            table,
            partial,
            row_group_size=ROWS_A_GROUP,
            # PNG does not shrink further: compressing it only costs time in reading.
            compression={leaf: "none" if leaf.endswith(".bytes") else "zstd" for leaf in _leaves()},
            use_dictionary=[name for name in scalars if not name.endswith(("_sha256", "_key"))],
            write_statistics=scalars,
            write_page_index=True,
            write_page_checksum=True,
        )
        with partial.open("rb+") as file:  # on the disk before the name says that it is whole
            os.fsync(file.fileno())


def _leaves() -> list[str]:
    leaves: list[str] = []
    for name, kind in _COLUMNS:
        if kind == IMAGE:
            leaves += [f"{name}.bytes", f"{name}.path"]
        elif pa.types.is_fixed_size_list(kind):
            leaves.append(f"{name}.list.element")
        else:
            leaves.append(name)
    return leaves


def _column(name: str, kind: pa.DataType, values: list[Any]) -> pa.Array:
    if kind == IMAGE:
        blobs = pa.array(values, pa.binary())
        return pa.StructArray.from_arrays(
            [blobs, pa.nulls(len(values), pa.string())], fields=list(IMAGE)
        )
    return pa.array(values, kind)


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def shard_settings(path: Path) -> dict[str, Any]:
    """The settings PATH was made with; ValueError where it is no shard of ours."""
    return _own(path, "mie_x")  # type: ignore[no-any-return]


def shard_failures(path: Path) -> list[Failure]:
    """What PATH's identities lost, and why."""
    return [Failure(**entry) for entry in _own(path, "mie_x_failures")]


def _own(path: Path, key: str) -> Any:
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error
    if key.encode() not in metadata:
        raise ValueError(f"{path} was not written by mie-x; give another --out")
    return json.loads(metadata[key.encode()])


def _damaged(path: Path, error: Exception) -> Unusable:
    return Unusable(f"{path} is damaged ({error}); delete it and run again")


def write_failures(path: Path, failures: Iterable[Failure]) -> None:
    table = pa.Table.from_pylist([asdict(failure) for failure in failures], schema=FAILURES)
    with whole(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_failures(folder: Path) -> list[Failure]:
    rows = pq.read_table(folder / "failures.parquet", schema=FAILURES).to_pylist()
    return [Failure(**row) for row in rows]


def paths(folder: Path) -> list[Path]:
    """The shards of a dataset, in order."""
    return sorted((folder / "data").glob("train-*.parquet"))


def manifest(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Describe the shards that lie in FOLDER: hashes, rows, and counts.

    Every page of every shard is read against its checksum, so that what was damaged while a run
    was stopped is not certified: ValueError names the shard and what to do.
    """
    shards, made_with = [], set()
    count: Counter[tuple[str, int]] = Counter()
    identities: Counter[str] = Counter()
    for path in paths(folder):
        try:
            table = pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(path, error) from error
        count.update(zip(table["source"].to_pylist(), table["label"].to_pylist(), strict=True))
        identities.update(table["identity"].to_pylist())
        made_with.add(_json(_own(path, "mie_x_made_with")))
        shards.append(
            {"file": f"data/{path.name}", "rows": len(table), "sha256": file_sha256(path)}
        )
    by_source = {
        source: {name: count[source, label] for name, label in LABELS.items()}
        for source in settings["sources"]
    }
    samples_each = Counter(identities.values())
    return {
        "format": 1,
        "settings": settings,
        "made_with": [json.loads(entry) for entry in sorted(made_with)],
        "samples": sum(count.values()),
        "frames": 2 * sum(count.values()),
        "identities": len(identities),
        "identities_by_samples": {str(n): samples_each[n] for n in sorted(samples_each)},
        "samples_by_source_and_label": by_source,
        "failures": len(read_failures(folder)),
        "shards": shards,
    }


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write what ``manifest`` said, and the hashes of the files beside it; last of all files."""
    files = {name: file_sha256(folder / name) for name in DESCRIPTIONS}
    write_json(folder / "manifest.json", content | {"files": files})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished dataset; ValueError where there is none, with what to do."""
    path = folder / "manifest.json"
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the --out of mie-x generate")
    if not path.exists():
        raise ValueError(
            f"{folder} holds no manifest.json, so it is no finished dataset; "
            "run the same mie-x generate command again to complete it"
        )
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from error
    if not isinstance(content, dict) or not content.keys() >= MANIFEST:
        raise ValueError(f"{path} is not a manifest of mie-x; give another folder")
    return content


def verify(folder: Path) -> list[str]:
    """Compare a dataset with its manifest; return every fault in words, none where all is well."""
    listed = read_manifest(folder)
    faults: list[str] = []
    expected = {entry["file"]: entry for entry in listed["shards"]}
    present = {f"data/{path.name}" for path in paths(folder)}
    faults += [
        f"{name}: in the manifest, but not there" for name in sorted(set(expected) - present)
    ]
    faults += [
        f"{name}: there, but not in the manifest" for name in sorted(present - set(expected))
    ]
    faults += [f"{path.name}: left over from a run" for path in folder.rglob("*.partial")]
    for name in DESCRIPTIONS:
        if not (folder / name).exists():
            faults.append(f"{name}: in the manifest, but not there")
        elif file_sha256(folder / name) != listed["files"].get(name):
            faults.append(f"{name}: its SHA-256 is not the manifest's")
    count: Counter[tuple[str, int]] = Counter()
    keys: Counter[str] = Counter()
    identities: set[str] = set()
    for name, entry in expected.items():
        path = folder / "data" / Path(name).name
        if name not in present:
            continue
        if file_sha256(path) != entry["sha256"]:
            faults.append(f"{name}: its SHA-256 is not the manifest's; make or fetch it again")
            continue
        table = pq.read_table(path, columns=["sample_key", "identity", "source", "label"])
        if len(table) != entry["rows"]:
            faults.append(f"{name}: {len(table)} rows, the manifest says {entry['rows']}")
        keys.update(table["sample_key"].to_pylist())
        identities.update(table["identity"].to_pylist())
        count.update(zip(table["source"].to_pylist(), table["label"].to_pylist(), strict=True))
    faults += [f"{key}: the sample is there {n} times" for key, n in keys.items() if n > 1]
    if not faults:
        for source, by_label in listed["samples_by_source_and_label"].items():
            for label, n in by_label.items():
                found = count[source, LABELS[label]]
                if found != n:
                    faults.append(f"{source}, {label}: {found} samples, the manifest says {n}")
        for name, n in (("samples", sum(count.values())), ("identities", len(identities))):
            if listed[name] != n:
                faults.append(f"{n} {name}, the manifest says {listed[name]}")
    return faults


def read(folder: Path, *, sources: Iterable[str] | None = None, step: int = 1) -> Iterator[Sample]:
    """Yield a finished dataset's samples in order: those of SOURCES where given, every STEP-th row.

    Frames are (2, 128, 128, 3) uint8 RGB, onset first; AUs (2, 17) float32. ValueError, at once,
    where FOLDER is no finished dataset.
    """
    listed = read_manifest(folder)
    wanted = set(listed["settings"]["sources"] if sources is None else sources)
    return _read(
        [folder / "data" / Path(entry["file"]).name for entry in listed["shards"]], wanted, step
    )


def _read(files: Iterable[Path], wanted: set[str], step: int) -> Iterator[Sample]:
    number = 0
    for path in files:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=ROWS_A_GROUP):
                chosen = [n for n in range(len(batch)) if (number + n) % step == 0]
                number += len(batch)
                for row in batch.take(pa.array(chosen, pa.int64())).to_pylist():
                    if row["source"] in wanted:
                        yield _sample(row)


def _sample(row: dict[str, Any]) -> Sample:
    origin = None
    if row["origin_corpus"] is not None:
        origin = Origin(row["origin_corpus"], row["origin_subject"], row["origin_clip"])
    return Sample(
        key=row["sample_key"],
        frames=np.stack([read_png(row[name]["bytes"]) for name in ("onset", "apex")]),
        label=row["label"],
        subject=row["identity"],
        origin=origin,
        aus=np.array([row["onset_aus"], row["apex_aus"]], np.float32),
    )
