"""Spotters: MEAN trained to see expressions in long videos, and what it says of other videos.

Liong, See, Chan (MEAN, 2022; see ``recognizers.spotting`` and ``recognizers.mean``), in two steps:

1. the frames of all videos, 1 where the window of k' frames from there on shares a frame with an
   expression, 0 elsewhere, of which so many are drawn; mean squared error to the spotting head;
2. with what both heads share left as it is, the flow from onset to apex of each expression that has
   a class; cross-entropy to the recognition head.

k' comes from the expressions that are trained on, and from no other. Ours: frames on which no face
was seen are not learned from; where less than two classes are shown the second step is left out;
a video of another frame rate is looked at with k' of as many seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mie_x.folds import Person
from mie_x.intervals import Interval
from recognizers import mean, training
from recognizers.mean import MEAN
from recognizers.spotting import NEGATIVES, half_length, pseudo_labels, sampled
from recognizers.training import Fitted, Inputs
from recognizers.views import Augmentation
from recognizers.weights import Spotter

EPOCHS = {"paper": (mean.SPOTTING.epochs, mean.RECOGNITION.epochs), "code": (10, 100)}
"""Recipe -> epochs of the two steps; ``spotting.NEGATIVES``, ``SMOOTHINGS`` and ``BOUNDS`` have the
same names."""

PLACES = ("elsewhere", "in an expression")  # what the first step tells apart
AT_ONCE = 256  # frames that a network is asked about together
READERS = 1  # threads that read beside a training
DRAWN = 0  # what a random choice is for: the first of its seeds

Maps = NDArray[np.float16] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What can be learned from one recording.

    ``maps`` (n, 3, 42, 42) and ``seen`` (n,) are its course's; ``truths`` the expressions of the
    kind that is learned, by position; ``pairs`` (M, 3, 42, 42) the maps from onset to apex of those
    that have a class, and ``labels`` (M,) their classes.
    """

    person: Person
    fps: float
    maps: Maps
    seen: NDArray[np.bool_]
    truths: tuple[Interval, ...]
    pairs: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of maps as ``training.fit`` takes them: read when they are asked for."""

    maps: Sequence[Maps]
    places: NDArray[np.int64]  # (N, 2): which maps, which row
    labels: NDArray[np.int64]
    macro: None = None

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, index: int, augmentation: Augmentation | None) -> Inputs:
        del augmentation
        which, row = self.places[index].tolist()
        return (self.maps[which][row].astype(np.float32),)


class Taught(NamedTuple):
    """A spotter that has learned.

    ``half`` is k' at ``fps``; ``recognizes`` whether the second step was taken. ``positives`` and
    ``negatives`` are frames of the first step, ``shown`` expressions of each class in the second.
    """

    fitted: Fitted
    half: int
    fps: float
    recognizes: bool
    positives: int
    negatives: int
    shown: tuple[int, ...]


def usual_half(lessons: Iterable[Lesson]) -> tuple[int, float]:
    """k' of the expressions in LESSONS, and at how many frames a second: the most frequent rate.

    Lengths at another rate are converted. ValueError where there is no expression.
    """
    lengths = [(truth.length, lesson.fps) for lesson in lessons for truth in lesson.truths]
    if not lengths:
        raise ValueError("no expression of this kind: there is nothing to train on")
    rate = Counter(fps for _, fps in lengths).most_common(1)[0][0]
    return half_length(max(1, round(n * rate / fps)) for n, fps in lengths), rate


def half_at(half: int, trained: float, fps: float) -> int:
    """HALF frames at TRAINED frames a second, in a video of FPS; halves up.

    >>> half_at(37, 200, 200), half_at(37, 200, 30)
    (37, 6)
    """
    return max(1, int(half * fps / trained + 0.5))


def frames_to_learn(lessons: Sequence[Lesson]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every frame of LESSONS that was seen: (N, 2) which lesson and row, (N,) its pseudo-label.

    ValueError where none is of an expression.
    """
    half, rate = usual_half(lessons)
    places, labels = [], []
    for which, lesson in enumerate(lessons):
        rows = np.flatnonzero(lesson.seen)
        places.append(np.stack([np.full_like(rows, which), rows], axis=1))
        own = half_at(half, rate, lesson.fps)
        labels.append(pseudo_labels(len(lesson.seen), lesson.truths, half=own)[rows])
    if not any(one.any() for one in labels):
        raise ValueError("no frame of an expression shows a face: there is nothing to train on")
    return np.concatenate(places), np.concatenate(labels)


def teach(
    lessons: Sequence[Lesson],
    *,
    classes: Sequence[str],
    recipe: str,
    seed: int,
    epochs: tuple[int, int] | None = None,
    device: str = "cpu",
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Taught:
    """Train MEAN on LESSONS, whose labels count CLASSES, by RECIPE or for other EPOCHS.

    It learns in the order of LESSONS. CHECKPOINT, with a suffix for each step, is where a stopped
    run goes on from; the caller takes both away. ValueError as ``frames_to_learn``.
    """
    spotting, recognition = EPOCHS[recipe] if epochs is None else epochs
    half, rate = usual_half(lessons)
    places, labels = frames_to_learn(lessons)
    rng = np.random.default_rng([DRAWN, seed])
    chosen = sampled(labels, negatives=NEGATIVES[recipe], rng=rng)
    frames = Rows([lesson.maps for lesson in lessons], places[chosen], labels[chosen])
    steps = [None, None] if checkpoint is None else checkpoints(checkpoint)
    fitted = training.fit(
        "mean", frames, classes=PLACES, seed=seed, settings=mean.SPOTTING, epochs=spotting,
        checkpoint=steps[0], device=device, workers=READERS, progress=progress,
    )  # fmt: skip
    pairs = np.concatenate([lesson.pairs for lesson in lessons])
    learned = np.concatenate([lesson.labels for lesson in lessons])
    shown = np.bincount(learned, minlength=len(classes)).tolist()
    recognizes = sum(count > 0 for count in shown) > 1
    if recognizes:
        numbers = np.arange(len(pairs))
        of_one = Rows([pairs], np.stack([np.zeros_like(numbers), numbers], axis=1), learned)
        fitted = training.fit(
            "mean", of_one, classes=tuple(classes), seed=seed, settings=mean.RECOGNITION,
            epochs=recognition, start=fitted, checkpoint=steps[1], device=device, workers=READERS,
            progress=progress,
        )  # fmt: skip
    positives = int(frames.labels.sum())
    return Taught(fitted, half, rate, recognizes, positives, len(frames) - positives, tuple(shown))


def checkpoints(path: Path) -> list[Path]:
    """Where the states of the two steps lie while PATH is not written yet."""
    return [path.with_name(f"{path.name}.{step}.checkpoint") for step in ("spotting", "emotions")]


class Said(NamedTuple):
    """What a spotter says of the n - k rows of a course.

    ``scores`` (n - k,) float32 are NaN, and ``classes`` (n - k,) int8 -1, where nothing was seen;
    classes are -1 everywhere of one that does not recognize.
    """

    scores: NDArray[np.float32]
    classes: NDArray[np.int8]


def ask(
    fitted: Fitted, maps: Maps, seen: NDArray[np.bool_], *, recognizes: bool, device: str = "cpu"
) -> Said:
    """What FITTED says of MAPS (n, 3, 42, 42), where SEEN (n,)."""
    scores = np.full(len(maps), np.nan, np.float32)
    classes = np.full(len(maps), -1, np.int8)
    assert isinstance(fitted.network, MEAN)
    network = fitted.network.to(device)
    try:
        with training.repeatable(device), torch.inference_mode():
            for first in range(0, len(maps), AT_ONCE):
                rows = first + np.flatnonzero(seen[first : first + AT_ONCE])
                if not len(rows):
                    continue
                shown = torch.from_numpy(maps[rows].astype(np.float32)).to(device)
                shared = network.shared(shown, frozen=False)
                scores[rows] = network.spotting(shared).squeeze(1).cpu().numpy()
                if recognizes:
                    classes[rows] = network.head(shared).argmax(dim=1).cpu().numpy()
    finally:
        network.cpu()
    if not np.isfinite(scores[seen]).all():
        raise ValueError("a frame's score is no number; is what was seen of it?")
    return Said(scores, classes)


def spotter(
    taught: Taught,
    people: Iterable[Person],
    *,
    kind: str,
    recipe: str,
    epochs: tuple[int, int] | None,
    face_every: float | None,
) -> Spotter:
    """What the file of TAUGHT has to tell of it, that learned from PEOPLE."""
    return Spotter(
        people=tuple(sorted(set(people))),
        half=taught.half,
        fps=taught.fps,
        kind=kind,
        recipe=recipe,
        epochs=EPOCHS[recipe] if epochs is None else epochs,
        face_every=face_every,
        recognizes=taught.recognizes,
    )
