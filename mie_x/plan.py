"""The plan: one table, a row a sample, complete before a single frame is made.

Everything random is decided here. A row depends on (seed, identity, source, label), on the
source's own clips or tables, and on nothing else: not on the number or order of the faces, on
workers or batches. Ablations, fold safety and resuming are filters on this table.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mie_x.cells import inert
from mie_x.records import AUS, LABELS, Aus, Motion, Origin
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
"""A plan of pairs: onset and apex."""

CLIP_SCHEMA = pa.schema(
    [
        *SCHEMA,
        ("frame_aus", pa.list_(AU_VECTOR)),  # one a frame; the first is onset_aus
        ("apex_frame", pa.int64()),  # index of apex_aus in frame_aus
        ("fall", pa.string()),  # measured, mirrored, or null: the clip ends at its apex
    ]
)
"""A plan of clips: more than two frames a sample."""

COURSES = {"rise": 2, "full": 3}
"""What a clip shows, onset to apex or on to the offset, and the fewest frames that can show it."""


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


def schema(frames: int) -> pa.Schema:
    """Columns of a plan of FRAMES frames a sample: ``SCHEMA`` of two, ``CLIP_SCHEMA`` of more."""
    return SCHEMA if frames == 2 else CLIP_SCHEMA


def frame_aus(motion: Motion, *, frames: int, course: str) -> tuple[Aus, int, str | None]:
    """AUs of a clip's FRAMES frames, (FRAMES, 17) float32 in [0, 1]; its apex frame; its fall.

    COURSE "rise": from onset to apex, at equal times and linear between the measured frames; a
    straight line where only onset and apex are known, vector i of 10 being apex * i / 9 for an
    onset at rest (MiE-X). The apex is the last frame, the fall None.

    COURSE "full": onset to apex as before, with the apex at frame FRAMES // 2, then on to the
    offset, the last frame. The fall is "measured" where MOTION tells it, else "mirrored": the rise
    backwards, frame by frame where FRAMES is odd.

    Raises ValueError on an unknown COURSE and on fewer frames than it needs (``COURSES``).

    >>> rest, smile = np.zeros(17, np.float32), np.full(17, 0.5, np.float32)
    >>> smiles = Motion(rest, smile, 1, "happiness", "exp")
    >>> frame_aus(smiles, frames=3, course="rise")[0][:, 0].tolist()
    [0.0, 0.25, 0.5]
    >>> aus, apex, fall = frame_aus(smiles, frames=5, course="full")
    >>> aus[:, 0].tolist(), apex, fall
    ([0.0, 0.25, 0.5, 0.25, 0.0], 2, 'mirrored')
    """
    _check(frames, course)
    rise = np.stack([motion.onset, motion.apex]) if motion.rise is None else motion.rise
    if course == "rise":
        return _resampled(rise, frames), frames - 1, None
    apex = frames // 2
    up = _resampled(rise, apex + 1)
    if motion.fall is None:
        # resampled before it is turned round, so that the halves agree to the last bit
        return np.concatenate([up, _resampled(rise, frames - apex)[-2::-1]]), apex, "mirrored"
    return np.concatenate([up, _resampled(motion.fall, frames - apex)[1:]]), apex, "measured"


def _check(frames: int, course: str) -> None:
    if course not in COURSES:
        raise ValueError(f"no course {course!r}: choose from {', '.join(COURSES)}")
    if frames < COURSES[course]:
        raise ValueError(f"{frames} frames: the course {course!r} needs {COURSES[course]} or more")


def _resampled(aus: Aus, count: int) -> Aus:
    """(T, 17) -> (COUNT, 17) at equal times, the first and the last row exactly as they were."""
    before, after, share = _times(len(aus), count)
    start = aus[before].astype(np.float64)
    return (start + (aus[after] - start) * share).astype(np.float32)


@cache
def _times(
    length: int, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """COUNT equal times along LENGTH rows: rows before and after each (COUNT,), share of the way.

    The share is (COUNT, 1), 0 where a time falls on a row.
    """
    times = np.arange(count) * (length - 1) / (count - 1)
    before, after = np.floor(times).astype(np.int64), np.ceil(times).astype(np.int64)
    return before, after, (times - before)[:, None]


def make_plan(
    faces: Sequence[Face],
    sources: Mapping[str, Source],
    *,
    seed: int,
    frames: int = 2,
    course: str = "rise",
) -> pa.Table:
    """Plan one sample of FRAMES frames for every face, source and label; rows in FACES' order.

    What is drawn does not depend on FRAMES and COURSE (see ``frame_aus``): clips of any length have
    the onsets and apexes of the plan of pairs. Raises ValueError on a COURSE or FRAMES that
    ``frame_aus`` refuses, and when two faces claim one identity, since their samples would share
    keys.
    """
    _check(frames, course)
    times = Counter(face.identity for face in faces)
    if len(times) < len(faces):
        [(twice, _)] = times.most_common(1)
        raise ValueError(f"two faces have the identity {twice!r}; identities must be unique")
    rows = [(face, name, label) for face in faces for name in sources for label in LABELS.values()]
    seeds = [draw_seed(seed, face.identity, name, label) for face, name, label in rows]
    emotions: list[str] = []
    origins: list[Origin | tuple[None, None, None]] = []
    pairs = np.empty((2, len(rows), len(AUS)), np.float32)
    clips = np.empty((len(rows), frames if frames > 2 else 0, len(AUS)), np.float32)
    apexes: list[int] = []
    falls: list[str | None] = []
    for row, ((_, name, label), drawn) in enumerate(zip(rows, seeds, strict=True)):
        motion = sources[name].draw(label, np.random.default_rng(drawn))
        emotions.append(motion.emotion)
        origins.append(motion.origin or (None, None, None))
        pairs[0, row], pairs[1, row] = motion.onset, motion.apex
        if frames > 2:
            clips[row], apex, fall = frame_aus(motion, frames=frames, course=course)
            apexes.append(apex)
            falls.append(fall)
    columns = {
        "sample_key": [sample_key(face.identity, name, label) for face, name, label in rows],
        "identity": [face.identity for face, _, _ in rows],
        "face": [face.path for face, _, _ in rows],
        "source": [name for _, name, _ in rows],
        "label": [label for _, _, label in rows],
        "emotion": emotions,
        "onset_aus": _vectors(pairs[0]),
        "apex_aus": _vectors(pairs[1]),
        "origin_corpus": [corpus for corpus, _, _ in origins],
        "origin_subject": [subject for _, subject, _ in origins],
        "origin_clip": [clip for _, _, clip in origins],
        "draw_seed": seeds,
    }
    if frames > 2:
        starts = pa.array(np.arange(len(rows) + 1, dtype=np.int32) * frames)
        columns |= {
            "frame_aus": pa.ListArray.from_arrays(starts, _vectors(clips)),
            "apex_frame": apexes,
            "fall": falls,
        }
    return pa.table(columns, schema=schema(frames))


def _vectors(aus: Aus) -> pa.Array:
    """(..., 17) -> an array of AU vectors, without a Python number an AU."""
    return pa.FixedSizeListArray.from_arrays(pa.array(aus.reshape(-1)), type=AU_VECTOR)


def plan_sha256(plan: pa.Table) -> str:
    """Hash the plan's content: the same rows give the same hash, whatever file they were in."""
    digest = hashlib.sha256()
    for column in plan.schema.names:
        values = plan[column].combine_chunks()
        digest.update(column.encode())
        if pa.types.is_list(values.type):  # vectors of frames
            digest.update(values.value_lengths().to_numpy().astype("<i4").tobytes())
            values = values.flatten()
        if pa.types.is_fixed_size_list(values.type):
            digest.update(values.flatten().to_numpy().astype("<f4").tobytes())
        else:
            digest.update(json.dumps(values.to_pylist()).encode())
    return digest.hexdigest()


def write_plan(plan: pa.Table, path: Path) -> None:
    """Write PLAN as Parquet, or as CSV where PATH ends in .csv.

    In CSV an AU is a column: ``onset_AU01``, ``apex_AU01``, and of clips ``frame0_AU01`` and so on.
    Text that a spreadsheet would run as a formula has an apostrophe before it, and so has text that
    begins with one.
    """
    with whole(path) as partial:
        if path.suffix == ".csv":
            pa.csv.write_csv(_spread(plan), partial)
        else:
            pq.write_table(plan, partial, compression="zstd")


def read_plan(path: Path) -> pa.Table:
    """Read a plan that ``write_plan`` wrote as Parquet; ValueError where it is something else."""
    table = pq.read_table(path)
    if not any(table.schema.equals(known) for known in (SCHEMA, CLIP_SCHEMA)):
        raise ValueError(f"{path} is not a plan: write one with mie-x plan")
    return table


def _spread(plan: pa.Table) -> pa.Table:
    columns: dict[str, Any] = {}
    for name in plan.schema.names:
        values = plan[name].combine_chunks()
        if values.type == AU_VECTOR:
            columns |= _by_au(name.removesuffix("_aus"), values)
        elif name == "frame_aus":
            frames = len(values.flatten()) // max(len(values), 1)
            for frame in range(frames):
                columns |= _by_au(f"frame{frame}", values.flatten()[frame::frames])
        else:
            columns[name] = values
            if values.type == pa.string():
                texts = [text and inert(text) for text in values.to_pylist()]
                columns[name] = pa.array(texts, pa.string())
    return pa.table(columns)


def _by_au(name: str, vectors: pa.Array) -> dict[str, pa.Array]:
    """An array of AU vectors -> a column an AU."""
    aus = vectors.flatten().to_numpy().reshape(-1, len(AUS))
    return {f"{name}_AU{au:02d}": pa.array(v) for au, v in zip(AUS, aus.T, strict=True)}
