"""Training faces: drawn people, each seen once, in several action units with everything else still.

The renderer gives what photographs cannot: source, target AUs and the true target frame. Drawing
takes longer than training on what is drawn, so it is done once, by a process of its own, into a
folder with a file a person; a file is there when it is whole. Training takes what is there.
(Photographs that are moved by a drawn person's field, ``photographs``, are kept in the same way.)
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mie_x.records import AUS, Aus, Frames

FRAMES = 8  # of each person, the neutral one first

# What faces do together (du2014's rows and the coded table's, facts of emotion research); each AU
# of a row is kept with probability KEPT, so that the parts are learned too.
TOGETHER = (
    (6, 12, 25),
    (12, 25),
    (1, 4, 15, 17),
    (4, 15, 6),
    (1, 2, 5, 25, 26),
    (1, 4, 20, 25, 5),
    (4, 7, 23, 17),
    (4, 5, 7, 10),
    (9, 10, 17, 4),
    (14,),
    (14, 12),
    (45, 7),
)
KEPT = 0.8

Clip = tuple[Frames, Aus]  # (K, H, W, 3) uint8 RGB, (K, 17) float32 in [0, 1]


def identity_seed(purpose: str, number: int) -> int:
    """The renderer's seed of person NUMBER for a PURPOSE: "train" or "held-out".

    Hashed to 63 bits: no person seen in training is met again in evaluation, or in a dataset,
    whose seeds are small numbers or other hashes.
    """
    digest = hashlib.blake2b(f"{purpose} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def draw_aus(rng: np.random.Generator, number: int) -> Aus:
    """AU vectors of person NUMBER's frames: (FRAMES, 17) float32 in [0, 1], the first neutral.

    Two single AUs in U(.05, .5) and one in U(.2, .8), counted through so that all 17 come equally
    often; two sets of TOGETHER in U(.05, .4); one to four any AUs in U(.05, .4); and in turn one
    to five in U(.1, .8) or, as measured vectors are, a little of everything.
    """
    aus = np.zeros((FRAMES, len(AUS)), np.float32)
    for frame, (low, high) in enumerate([(0.05, 0.5), (0.05, 0.5), (0.2, 0.8)], start=1):
        aus[frame, (3 * number + frame) % len(AUS)] = rng.uniform(low, high)
    for frame in (4, 5):
        row = TOGETHER[rng.integers(len(TOGETHER))]
        kept = [AUS.index(au) for au in row if rng.random() < KEPT]
        aus[frame, kept] = rng.uniform(0.05, 0.4, len(kept))
    few = rng.choice(len(AUS), rng.integers(1, 5), replace=False)
    aus[6, few] = rng.uniform(0.05, 0.4, len(few))
    if number % 2:
        several = rng.choice(len(AUS), rng.integers(1, 6), replace=False)
        aus[7, several] = rng.uniform(0.1, 0.8, len(several))
    else:
        aus[7] = np.minimum(rng.exponential(0.06, len(AUS)), 0.5)
    return aus


def draw_clip(purpose: str, number: int) -> Clip:
    """Draw person NUMBER of PURPOSE in FRAMES action unit vectors, seen from one place."""
    from mie_x.renderer import draw_person, draw_view, render

    seed = identity_seed(purpose, number)
    aus = draw_aus(np.random.default_rng(seed), number)
    people, views = [draw_person(seed)] * FRAMES, [draw_view(seed)] * FRAMES
    return render(people, views, aus).images, aus


def clip_path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.npz"


def fill(folder: Path, people: int, draw: Callable[[int], Clip], *, parent: int = 0) -> None:
    """Draw PEOPLE into FOLDER, a file each; who is there already is not drawn again.

    PARENT: stop when the process of that number is no longer the parent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(people):
        path = clip_path(folder, number)
        if path.exists():
            continue
        if parent and os.getppid() != parent:
            return
        images, aus = draw(number)
        # Of this process alone: another run may be drawing the same person into the same folder.
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez(file, images=images, aus=aus)
        partial.replace(path)


def start_filling(
    folder: Path, people: int, draw: Callable[[int], Clip]
) -> multiprocessing.process.BaseProcess:
    """Fill FOLDER from a process of its own, which ends with this one."""
    process = multiprocessing.get_context("spawn").Process(
        target=fill, args=(folder, people, draw), kwargs={"parent": os.getpid()}, daemon=True
    )
    process.start()
    return process


def count_drawn(folder: Path, people: int, *, start: int = 0) -> int:
    """How many of PEOPLE are there without a gap, when START are known to be."""
    number = start
    while number < people and clip_path(folder, number).exists():
        number += 1
    return number


@dataclass(slots=True, eq=False)
class Pool:
    """A FOLDER of PEOPLE, DRAWN of which are there without a gap; PROCESS may be drawing more."""

    folder: Path
    people: int
    drawn: int = 0
    process: multiprocessing.process.BaseProcess | None = None

    def open(self, draw: Callable[[int], Clip]) -> None:
        """Let those who are missing be drawn."""
        self.drawn = count_drawn(self.folder, self.people)
        if self.drawn < self.people:
            self.process = start_filling(self.folder, self.people, draw)

    def wait(self, people: int) -> None:
        """Go on when so many PEOPLE, or all, are there; RuntimeError when that will never be."""
        while True:
            code = None if self.process is None else self.process.exitcode  # None: still drawing
            self.drawn = count_drawn(self.folder, self.people, start=self.drawn)
            if self.drawn < self.people and code is not None:
                raise RuntimeError(
                    f"{self.folder}: drawing people stopped at {self.drawn} of {self.people} (exit "
                    f"code {code}, its error is above); mend that and run again to go on"
                )
            if self.drawn >= min(self.people, people):
                return
            time.sleep(0.2)


def read_clip(folder: Path, number: int) -> Clip:
    """Person NUMBER as ``fill`` wrote it."""
    with np.load(clip_path(folder, number)) as arrays:
        return arrays["images"], arrays["aus"]


def draw_pair(rng: np.random.Generator, frames: int) -> tuple[int, int]:
    """Choose source and target among FRAMES, of which the first is neutral.

    The source is neutral in 9 of 10, as the faces to be animated mostly are; in 1 of 12 the
    target is the source, so that asking for what is there changes nothing.
    """
    source = 0 if rng.random() < 0.9 else int(rng.integers(frames))
    if rng.random() < 1 / 12:
        return source, source
    return source, (source + int(rng.integers(1, frames))) % frames
