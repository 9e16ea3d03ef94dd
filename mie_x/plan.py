"""The plan: one table, a row a sample, complete before a single frame is made.

Everything random is decided here. A row depends on (seed, identity, source, label), on the
source's own clips or tables, and on nothing else: not on the number or order of the faces, on
workers or batches. Ablations, fold safety and resuming are filters on this table.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from mie_x.records import AUS, LABELS, Motion
from mie_x.whole import whole

AU_VECTOR = pa.list_(pa.float32(), len(AUS))

SCHEMA = pa.schema(
    [
        ("sample_key", pa.string()),
        ("identity", pa.string()),
        ("face", pa.string()),  # path below the faces' folder, or render:<seed>
        ("source", pa.string()),
        ("label", pa.int64()),
        ("emotion", pa.string()),
        ("onset_aus", AU_VECTOR),
        ("apex_aus", AU_VECTOR),
        ("origin_corpus", pa.string()),
        ("origin_subject", pa.string()),
        ("origin_clip", pa.string()),
        ("draw_seed", pa.int64()),
    ]
)


class Face(Protocol):
    """As much of a face as a plan needs."""

    @property
    def identity(self) -> str: ...
    @property
    def path(self) -> str: ...


class Source(Protocol):
    """Where motions come from: what is drawn depends on the label and the generator alone.

    ``settings`` say in JSON's types all that decides what is drawn; ``stand_in`` says that no
    real face was measured for it.
    """

    @property
    def settings(self) -> dict[str, Any]: ...
    @property
    def stand_in(self) -> bool: ...
    def draw(self, label: int, rng: np.random.Generator) -> Motion: ...


def draw_seed(seed: int, identity: str, source: str, label: int) -> int:
    """Return the seed of one row's draws, in [0, 2**63): a hash, so that it needs no order.

    >>> draw_seed(0, "001", "exp", 2)
    5390038178310494833
    """
    recipe = json.dumps(["draw", seed, identity, source, label]).encode()
    return int.from_bytes(hashlib.blake2b(recipe, digest_size=8).digest(), "big") >> 1


def sample_key(identity: str, source: str, label: int) -> str:
    """Name a sample: unique in a dataset, because an identity has one sample a source and label."""
    return f"{identity}_{source}_{label}"


def make_plan(faces: Sequence[Face], sources: Mapping[str, Source], *, seed: int) -> pa.Table:
    """Plan one sample for every face, source and label; rows in the order of FACES.

    Raises ValueError when two faces claim one identity, since their samples would share keys.
    """
    names = [face.identity for face in faces]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two faces have the identity {twice!r}; identities must be unique")
    rows = [
        _row(face, name, source, label, seed)
        for face in faces
        for name, source in sources.items()
        for label in LABELS.values()
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _row(face: Face, name: str, source: Source, label: int, seed: int) -> dict[str, Any]:
    drawn = draw_seed(seed, face.identity, name, label)
    motion = source.draw(label, np.random.default_rng(drawn))
    corpus, subject, clip = motion.origin or (None, None, None)
    return {
        "sample_key": sample_key(face.identity, name, label),
        "identity": face.identity,
        "face": face.path,
        "source": name,
        "label": label,
        "emotion": motion.emotion,
        "onset_aus": motion.onset,
        "apex_aus": motion.apex,
        "origin_corpus": corpus,
        "origin_subject": subject,
        "origin_clip": clip,
        "draw_seed": drawn,
    }


def without_origins(plan: pa.Table, subjects: Iterable[tuple[str, str]]) -> pa.Table:
    """Drop the rows whose movement was measured on one of SUBJECTS, as (corpus, subject).

    This is the fold safety of MiE-X: what trains a recognizer must not hold the AUs of the
    people it is tested on. Rows without an origin (expert tables) stay.
    """
    banned = set(subjects)
    owners = zip(plan["origin_corpus"].to_pylist(), plan["origin_subject"].to_pylist(), strict=True)
    return plan.filter(pa.array([owner not in banned for owner in owners], pa.bool_()))


def plan_sha256(plan: pa.Table) -> str:
    """Hash the plan's content: the same rows give the same hash, whatever file they were in."""
    digest = hashlib.sha256()
    for column in plan.schema.names:
        values = plan[column].combine_chunks()
        digest.update(column.encode())
        if pa.types.is_fixed_size_list(values.type):
            digest.update(values.flatten().to_numpy().astype("<f4").tobytes())
        else:
            digest.update(json.dumps(values.to_pylist()).encode())
    return digest.hexdigest()


def write_plan(plan: pa.Table, path: Path) -> None:
    """Write PLAN as Parquet, or as CSV (AU vectors spread over columns) where PATH ends in .csv."""
    with whole(path) as partial:
        if path.suffix == ".csv":
            pa.csv.write_csv(_spread(plan), partial)
        else:
            pq.write_table(plan, partial, compression="zstd")


def read_plan(path: Path) -> pa.Table:
    """Read a plan that ``write_plan`` wrote as Parquet; ValueError where it is something else."""
    table = pq.read_table(path)
    if not table.schema.equals(SCHEMA):
        raise ValueError(f"{path} is not a plan: write one with mie-x plan")
    return table


def _spread(plan: pa.Table) -> pa.Table:
    columns: dict[str, Any] = {}
    for name in plan.schema.names:
        if name.endswith("_aus"):
            vectors = plan[name].combine_chunks().flatten().to_numpy().reshape(-1, len(AUS))
            for au, values in zip(AUS, vectors.T, strict=True):
                columns[f"{name.removesuffix('_aus')}_AU{au:02d}"] = pa.array(values)
        else:
            columns[name] = plan[name]
    return pa.table(columns)
