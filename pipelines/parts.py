"""Parts of a synthetic dataset, for studies of what in it does what.

Chosen by hashes of names, so that smaller parts lie in larger ones, and nothing hangs on the order
of rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike

from mie_x import shards
from mie_x.faces.detection import Detector
from mie_x.faces.pictures import UnusablePicture
from mie_x.records import LABELS
from mie_x.whole import write_json
from pipelines.evaluate import Data
from pipelines.examples import DatasetPool, Read

FRONTAL = 0.07
"""Least turn (``turn_of``) of a face that is not frontal: 10 degrees to a side. Measured on four
rendered people, turned by 5, 10, 15, 20, 30 degrees: .03, .07, .11, .16, .21 (means)."""


def place(seed: int, *what: str) -> int:
    """Where WHAT comes among others: a hash, so that it hangs on no order."""
    recipe = json.dumps(["part", seed, *what]).encode()
    return int.from_bytes(hashlib.blake2b(recipe, digest_size=8).digest(), "big")


def in_turn(names: Iterable[str], seed: int) -> list[str]:
    """NAMES, each once, in the order of their hashes."""
    return sorted(set(names), key=lambda name: (place(seed, name), name))


def part(data: Data, rows: ArrayLike, said: str) -> Data:
    """ROWS of DATA, a dataset, under a name of their own: what they are, and how many."""
    chosen = data.select(np.sort(np.asarray(rows, np.int64)))
    seen = chosen.seen.examples
    people = len({example.subject for example in seen})
    folder = data.name.partition(" (")[0]
    name = f"{said} of {folder} ({len(seen)} samples of {people} identities)"
    return replace(chosen, name=f"{name}, stand-in" if chosen.stand_in else name)


def whole_identities(data: Data, sources: Sequence[str]) -> dict[str, list[int]]:
    """Identity -> its rows of SOURCES, of those who have one of every source and class."""
    rows: dict[str, list[int]] = {}
    for row, example in enumerate(data.seen.examples):
        if example.source in sources:
            rows.setdefault(example.subject, []).append(row)
    count = len(sources) * len(LABELS)
    return {name: own for name, own in rows.items() if len(own) == count}


def spread(
    data: Data, rows: Iterable[int], groups: Sequence[Hashable], share: Mapping[Hashable, int]
) -> list[int]:
    """Of ROWS as many of each source and class as SHARE tells, from as many GROUPS as can be.

    GROUPS are of every row of DATA. A group's second sample comes after the first ones of all
    groups, hashes of keys decide the rest: what a smaller SHARE gives is in what a larger one does.
    """
    times: Counter[Hashable] = Counter()
    strata: dict[Hashable, list[tuple[int, int]]] = {}
    for row in sorted(rows, key=lambda row: place(0, data.seen.examples[row].key)):
        strata.setdefault(stratum(data, row), []).append((times[groups[row]], row))
        times[groups[row]] += 1
    return [
        row
        for stratum, own in strata.items()
        for _, row in sorted(own, key=lambda one: one[0])[: share[stratum]]
    ]


def stratum(data: Data, row: int) -> tuple[str, int]:
    return data.seen.examples[row].source, data.seen.examples[row].label


def even(data: Data, rows: Iterable[int]) -> dict[Hashable, int]:
    """How many of ROWS each source has of each class, the same of all classes: of the rarest."""
    counts = Counter(stratum(data, row) for row in rows)
    sources = {source for source, _ in counts}
    fewest = {s: min(counts[s, label] for label in LABELS.values()) for s in sources}
    return {(s, label): fewest[s] for s in sources for label in LABELS.values()}


def movements(data: Data) -> list[str]:
    """The triplet of every row of DATA, a dataset: onset AUs, apex AUs, label; as a hash."""
    pool = data.seen.examples[0].pool
    assert isinstance(pool, DatasetPool)
    every: list[str] = []
    for path in pool.records:
        table = shards.table_of(path, ["onset_aus", "apex_aus", "label"]).to_pylist()
        every += [hashlib.sha256(json.dumps(list(row.values())).encode()).hexdigest()
                  for row in table]  # fmt: skip
    return [every[example.row] for example in data.seen.examples]


def turn_of(points: ArrayLike) -> float:
    """How far a face is turned to a side, by its five points (5, 2): 0 is frontal.

    The tip of the nose from the middle of the eyes, along the line through both, in distances of
    the eyes. Neither place, size nor roll of the face changes it, and a nod hardly does.

    >>> turn_of([(0, 0), (40, 0), (26, 25), (5, 50), (35, 50)])
    0.15
    """
    left, right, nose = np.asarray(points, np.float64)[:3]
    axis = right - left
    return float((nose - (left + right) / 2) @ axis / (axis @ axis))


def turns(data: Data, out: Path, *, workers: int) -> dict[str, float | None]:
    """Identity -> ``turn_of`` the first onset frame of its own, None where no face is found there.

    DATA is of a dataset. What was found is kept in OUT, since it takes a while to find.
    """
    pool = data.seen.examples[0].pool
    onset: dict[str, int] = {}
    for example in data.seen.examples:
        onset.setdefault(example.subject, example.row)
    told = [pool.sha256, Detector().settings, sorted(onset.items())]
    path = out / f"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]}.json"
    if not path.is_file():
        parts = pool.parts(sorted(onset.values()), ends=True)
        told_by_part = Parallel(n_jobs=workers)(delayed(_turns_in)(one) for one in parts)
        of_row = dict(itertools.chain.from_iterable(told_by_part))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {name: of_row[row] for name, row in onset.items()})
    found: dict[str, float | None] = json.loads(path.read_text("utf-8"))
    return found


def _turns_in(part: Callable[[], Iterable[Read]]) -> list[tuple[int, float | None]]:
    """Row -> the turn of the face on its onset frame."""
    detector, found = Detector(), []
    for row, frames in part():
        points: Sequence[tuple[float, float]] = ()
        if not isinstance(frames, str):
            # a candidate that is none may make the detector stumble: then there is no face either
            with contextlib.suppress(UnusablePicture):
                points = detector(frames[0]).points
        found.append((row, round(turn_of(points), 4) if points else None))
    return found
