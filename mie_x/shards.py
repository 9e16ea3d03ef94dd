"""Shards: fifty identities each, with a record of every sample in them.

A record is a Parquet file, a row a sample: labels, AUs, whose face, whose movement, hashes. In the
Parquet format the frames lie in the record itself; in every other format of ``mie_x.formats`` the
record says where they lie. It is written when its frames are, and has another name until it is
whole: a record that is there means a shard that is complete.

A record carries in its own footer the settings it was made with, whose faces it holds, the samples
that failed, and the hashes of the files beside it; a run that was stopped needs no other state to
go on. Nothing in it depends on the time or the machine's name: the same settings and library
versions give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mie_x import plan as plans
from mie_x.records import AUS, LABELS
from mie_x.whole import stays_below, whole

IDENTITIES_A_SHARD = 50
ROWS_A_GROUP = 100  # the Hub's viewer reads pages of 100 rows

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

FAILURES = pa.schema(
    [
        ("stage", pa.string()),  # "face", "frames", or "fidelity": made, measured, left out
        ("identity", pa.string()),
        ("path", pa.string()),
        ("sample_key", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)


MEASURED: list[tuple[str, pa.DataType]] = [  # null where nothing was measured
    ("measured_delta_aus", plans.AU_VECTOR),
    ("identity_cosine", pa.float32()),
    ("changed_outside", pa.float32()),
]


class Unusable(ValueError):
    """What lies in a dataset's folder cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Failure:
    """What was left out, and why.

    ``sample_key`` names the sample that is missing for it; None where none is, because another
    picture of the person, or another person, took the place.
    """

    stage: str
    identity: str
    path: str
    sample_key: str | None
    reason: str
    detail: str

    @property
    def missing(self) -> bool:
        """Whether a planned sample is missing that a later run may make."""
        return self.sample_key is not None and self.stage != "fidelity"


def schema(frames: int) -> pa.Schema:
    """The columns of records of samples of FRAMES frames, with what Hugging Face needs to know.

    Pairs have the columns ``onset`` and ``apex``, longer clips a list ``frames``.
    """
    columns = _columns(frames)
    # Without this metadata datasets reads raw structs and numbers, and no error says so.
    features = {"info": {"features": {name: _feature(kind, name) for name, kind in columns}}}
    return pa.schema(columns, metadata={"huggingface": json.dumps(features)})


def _columns(frames: int) -> list[tuple[str, pa.DataType]]:
    pair = frames == 2
    images = [("onset", IMAGE), ("apex", IMAGE)] if pair else [("frames", pa.list_(IMAGE))]
    hashes = (
        [("onset_sha256", pa.string()), ("apex_sha256", pa.string())]
        if pair
        else [("frame_sha256", pa.list_(pa.string()))]
    )
    planned = [(field.name, field.type) for field in plans.schema(frames)]
    # What a stranger looks at first stands first.
    first = ["label", "emotion", "source", "identity"]
    kinds = dict(planned)
    rest = [(name, kind) for name, kind in planned if name not in ("sample_key", *first)]
    return [
        ("sample_key", pa.string()),
        *images,
        *((name, kinds[name]) for name in first),
        *rest,
        ("face_sha256", pa.string()),
        ("rendered_face", pa.bool_()),
        ("stand_in_motion", pa.bool_()),
        *hashes,
        *MEASURED,
    ]


def _feature(kind: pa.DataType, name: str) -> dict[str, Any]:
    if name == "label":
        return {"names": list(LABELS), "_type": "ClassLabel"}
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        # "Sequence" is read by old and new versions of datasets; "List" by new ones alone.
        answer: dict[str, Any] = {"feature": _feature(kind.value_type, ""), "_type": "Sequence"}
        return answer | ({"length": len(AUS)} if pa.types.is_fixed_size_list(kind) else {})
    names = {pa.bool_(): "bool", pa.float32(): "float32"}
    return {"dtype": names.get(kind, str(kind)), "_type": "Value"}


def name(index: int, count: int) -> str:
    """Name a shard as the Hub does.

    >>> name(3, 100)
    'train-00003-of-00100'
    """
    return f"train-{index:05d}-of-{count:05d}"


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    frames: int,
    footer: Mapping[str, Any],
) -> None:
    """Write a shard's record; PATH appears only when it is whole.

    ROWS hold the columns of ``schema(frames)``, images as {"bytes", "path"}. FOOTER's entries are
    kept as JSON: ``settings``, ``made_with``, ``faces``, ``failures``, ``files``.
    """
    columns = _columns(frames)
    kept = {f"mie_x_{key}": _json(value) for key, value in sorted(footer.items())}
    described = schema(frames)
    table = pa.Table.from_arrays(
        [_column(kind, [row[name] for row in rows]) for name, kind in columns],
        schema=described.with_metadata(described.metadata | kept),
    )
    scalars = [name for name, kind in columns if not pa.types.is_nested(kind)]
    leaves = [leaf for name, kind in columns for leaf in _leaves(name, kind)]
    with whole(path) as unfinished:
        pq.write_table(
            table,
            unfinished,
            row_group_size=ROWS_A_GROUP,
            # PNG does not shrink further: compressing it only costs time in reading.
            compression={leaf: "none" if leaf.endswith(".bytes") else "zstd" for leaf in leaves},
            use_dictionary=[name for name in scalars if not name.endswith(("_sha256", "_key"))],
            write_statistics=scalars,
            write_page_index=True,
            write_page_checksum=True,
        )


def _leaves(name: str, kind: pa.DataType) -> list[str]:
    if kind == IMAGE:
        return [f"{name}.bytes", f"{name}.path"]
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _leaves(f"{name}.list.element", kind.value_type)
    return [name]


def _column(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if kind == IMAGE:  # a third of the time of pa.array(values, IMAGE)
        blobs = pa.array([value["bytes"] for value in values], pa.binary())
        places = pa.array([value["path"] for value in values], pa.string())
        return pa.StructArray.from_arrays([blobs, places], fields=list(IMAGE))
    return pa.array(values, kind)


def _json(content: Any) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def footer(path: Path) -> dict[str, Any]:
    """What a record tells of its shard; ValueError where PATH is none of ours or damaged."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error
    if b"mie_x_settings" not in metadata:
        raise ValueError(f"{path} was not written by mie-x; give another --out")
    try:
        told = {
            key.decode().removeprefix("mie_x_"): json.loads(value)
            for key, value in metadata.items()
            if key.startswith(b"mie_x_")
        }
    except ValueError as error:
        raise damaged(path, error) from error
    if outside := [name for name in told.get("files", ()) if not stays_below(name)]:
        raise damaged(path, ValueError(f"names {outside[0][:80]!r} as a file of its own"))
    return told


def failures_of(told: Mapping[str, Any]) -> list[Failure]:
    """The failures that a record's footer tells."""
    return [Failure(**entry) for entry in told["failures"]]


def frame_hashes(row: Mapping[str, Any]) -> list[str]:
    """SHA-256 of the pixels of each frame of a record's row, onset first."""
    if "onset_sha256" in row:
        return [row["onset_sha256"], row["apex_sha256"]]
    return list(row["frame_sha256"])


def damaged(path: Path, error: Exception) -> Unusable:
    return Unusable(f"{path} is damaged ({error}); delete it and run again")


def rows_of(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """A record's rows, read against the checksums of their pages."""
    rows: list[dict[str, Any]] = table_of(path, columns).to_pylist()
    return rows


def table_of(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The same as a table; ``Unusable`` where a page is damaged."""
    try:
        return pq.read_table(path, columns=columns, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from error


def write_failures(path: Path, failures: Iterable[Failure]) -> None:
    table = pa.Table.from_pylist([asdict(failure) for failure in failures], schema=FAILURES)
    with whole(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd", write_page_checksum=True)


def read_failures(folder: Path) -> list[Failure]:
    rows = pq.read_table(folder / "failures.parquet", schema=FAILURES).to_pylist()
    return [Failure(**row) for row in rows]
