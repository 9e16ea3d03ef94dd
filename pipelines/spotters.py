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

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from mie_x.folds import Person
from mie_x.intervals import Interval
from mie_x.records import LABELS
from mie_x.threads import one_thread
from mie_x.whole import hashed, whole
from pipelines import courses, recordings
from pipelines.courses import Look
from pipelines.examples import LeftOut
from pipelines.extract import named_collection
from pipelines.progress import Progress
from pipelines.recordings import Recording
from recognizers import mean, training, weights
from recognizers.mean import MEAN
from recognizers.spotting import NEGATIVES, flow_step, half_length, pseudo_labels, sampled
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
LIBRARIES = ("torch", "numpy", "scipy", "av")  # that decide a score
UNUSABLE = (ValueError, KeyError, FileNotFoundError)  # what a video that is no good raises

Maps = NDArray[np.float16] | NDArray[np.float32]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What can be learned from one recording.

    ``maps`` (n, 3, 42, 42) and ``seen`` (n,) are its course's; ``truths`` the expressions of the
    kind that is learned, by position; ``pairs`` (M, 3, 42, 42) the maps from onset to apex of those
    that have a class and begin where a face is followed, and ``labels`` (M,) their classes.
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


def _spotter(
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


# -- looking at a collection -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A recording that was looked at: its course, and what can be learned from it.

    ``mark`` is a hash of all that a network can see of it and is told of it; ``looked`` that of
    all which the course and the pairs depend on, our code and its libraries among it.
    """

    recording: Recording
    lesson: Lesson
    step: int
    strength: NDArray[np.float32]  # NaN where nothing was seen
    looked: str
    odd: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        one = self.recording
        told = [
            one.name, one.subject, one.fps, self.step, list(map(repr, self.lesson.truths)),
            self.lesson.labels.tolist(), self.looked,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(told).encode())
        for array in (self.strength, self.lesson.seen, self.lesson.pairs):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


class Gathered(NamedTuple):
    """Recordings of a collection, those that could be looked at, and what could not be used."""

    recordings: list[Recording]
    watched: list[Watched]
    classes: tuple[str, ...]
    left_out: list[LeftOut]
    failed: list[LeftOut]


def gather(
    name: str,
    root: Path,
    *,
    kind: str,
    look: Look,
    fps: float | None,
    store: Path,
    workers: int,
    check: Callable[[Iterable[Person]], None] | None = None,
) -> Gathered:
    """Look at all recordings of the collection NAME in ROOT; courses are kept in STORE.

    ``classes`` are those that an expression of KIND has. ValueError where there is none of KIND,
    nothing can be looked at, or CHECK refuses who is seen, before anything is looked at.
    """
    given, left_out = recordings.of_collection(name, root, fps=fps, kind=kind)
    own = [truth for one in given for truth in one.truths if truth.kind == kind]
    if not own:
        first = f"; the first left out: {': '.join(left_out[0])}" if left_out else ""
        raise ValueError(f"{name}={root}: no {kind}-expression that can be used{first}")
    if check is not None:
        check(one.subject for one in given)
    courses.libraries(look)  # refused for all videos, not one by one
    labels = {truth.label for truth in own}
    classes = tuple(word for word, label in LABELS.items() if label in labels)
    watched, failed = [], []
    total, before = sum(len(one.numbers) for one in given), 0
    tell = Progress("frames", done=None)
    for one in given:
        step = flow_step(one.fps)
        begun = before

        def progress(done: int, _: int, begun: int = begun) -> None:
            tell(begun + done, total)

        try:
            seen = courses.course(
                one, look, step=step, store=store, workers=workers, progress=progress
            )
            told = courses.told_of(one, look, step=step)
            lesson, unseen = _lesson(one, seen, kind, look, classes, store, told)
        except UNUSABLE as error:
            failed.append(lost(one.name, error))
        else:
            strength = where_seen(seen.strength, seen.seen)
            odd = (*seen.odd, *unseen)
            watched.append(Watched(one, lesson, step, strength, hashed(told), odd))
        before += len(one.numbers)
    if not watched:
        reason = first_of(failed, left_out)
        raise ValueError(f"{name}={root}: nothing could be looked at; {reason}")
    return Gathered(given, watched, classes, left_out, failed)


def where_seen(values: NDArray[np.float32], seen: NDArray[np.bool_]) -> NDArray[np.float32]:
    """VALUES (n,), NaN where nothing was SEEN (n,)."""
    return np.where(seen, values, np.float32(np.nan))


def _lesson(
    one: Recording,
    seen: courses.Course,
    kind: str,
    look: Look,
    classes: Sequence[str],
    store: Path,
    told: Mapping[str, Any],
) -> tuple[Lesson, list[str]]:
    """What can be learned from ONE, and what of it cannot; its pairs are kept in STORE, too.

    They depend on what is TOLD of its course.
    An apex that nobody coded is taken in the middle, as ``mie_x.datasets`` does.
    """
    truths = tuple(truth for truth in one.truths if truth.kind == kind)
    labels = classes_of(classes)
    shown = [truth for truth in truths if truth.label is not None]
    ends = [(t.first, (t.first + t.last) // 2 if t.apex is None else t.apex) for t in shown]
    path = store / f"{hashed({**told, 'pairs': ends})}.npz"

    def make() -> dict[str, Array]:
        maps, which = [], []
        for number, pair in enumerate(ends):
            with suppress(courses.NoFace):
                maps.append(courses.pair(one, look, *pair))
                which.append(number)
        pairs = np.array(maps, np.float32).reshape(-1, *courses.SHAPE)
        return {"pairs": pairs, "which": np.array(which, np.int64)}

    arrays = kept(path, make) if ends else make()
    which = arrays["which"].tolist()
    unseen = [
        f"frame {one.numbers[first]}, the onset of an expression: no face, so that nothing is "
        "learned of its emotion"
        for number, (first, _) in enumerate(ends)
        if number not in which
    ]
    classed = [labels[truth.label] for truth in shown if truth.label is not None]
    lesson = Lesson(
        person=one.subject,
        fps=one.fps,
        maps=seen.maps,
        seen=seen.seen,
        truths=truths,
        pairs=arrays["pairs"],
        labels=np.array(classed, np.int64)[which],
    )
    return lesson, unseen


def classes_of(classes: Sequence[str]) -> dict[int, int]:
    """Labels of the collections -> places in CLASSES, of those that are there."""
    return {LABELS[word]: place for place, word in enumerate(classes) if word in LABELS}


def kept(path: Path, make: Callable[[], dict[str, Array]]) -> dict[str, Array]:
    """The arrays of PATH; made and written where they are not there; ValueError where damaged."""
    if not path.is_file():
        arrays = make()
        with whole(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        return dict(arrays)
    try:
        with path.open("rb") as content, np.load(content) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} is damaged: delete it, and run the same again") from error


def lost(name: str, error: Exception) -> LeftOut:
    """What is NAME, and ERROR on one line, which may begin with the name and need not.

    A KeyError's own words stand in quotation marks otherwise.
    """
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return LeftOut(name, " ".join(str(text).split()).removeprefix(f"{name}: "))


def named_only(what: Sequence[str]) -> tuple[str, Path] | None:
    """The only collection in WHAT; None where they are paths."""
    if not what:
        raise ValueError("nothing to look at: give a collection, NAME=ROOT, or videos")
    named = [named_collection(one) for one in what]
    if len(what) > 1 and any(named):
        raise ValueError("one collection, NAME=ROOT, or videos and folders: not both, not two")
    return named[0]


def train(
    what: str,
    out: Path,
    *,
    recipe: str = "paper",
    seed: int = 0,
    kind: str = "micro",
    look: Look | None = None,
    fps: float | None = None,
    store: Path | None = None,
    workers: int = 1,
    device: str = "cpu",
    epochs: tuple[int, int] | None = None,
) -> tuple[Path, list[LeftOut], list[LeftOut]]:
    """Train a spotter on all people of the collection WHAT, NAME=ROOT, and write its weights OUT.

    Options as in ``spot``; courses are kept in STORE, else beside OUT. Returned with the path is
    what is no recording, and what could not be looked at. A stopped run goes on. ValueError where
    OUT is there.
    """
    if out.exists():
        raise ValueError(f"{out} is there already; give another --out")
    named, look = named_only([what]), look or Look()
    if named is None:
        raise ValueError(f"{what}: give a collection, NAME=ROOT: what nobody coded teaches nothing")
    store = store or out.with_name(f"{out.name}.courses")
    found = gather(*named, kind=kind, look=look, fps=fps, store=store, workers=workers)
    out.parent.mkdir(parents=True, exist_ok=True)
    with one_thread():
        taught = teach(
            [one.lesson for one in found.watched], classes=found.classes, recipe=recipe, seed=seed,
            epochs=epochs, device=device, checkpoint=out, progress=Progress("steps", done=None),
        )  # fmt: skip
    spotter = _spotter(
        taught, (one.recording.subject for one in found.watched), kind=kind, recipe=recipe,
        epochs=epochs, face_every=look.face_every,
    )  # fmt: skip
    videos = f"{named[0]} ({len(found.watched)} videos, {len(spotter.people)} people)"
    weights.save(
        out,
        taught.fitted,
        trained_on=videos,
        stand_in=any(one.recording.stand_in for one in found.watched),
        flow=look.flow,
        spotter=spotter,
    )
    for path in checkpoints(out):
        path.unlink(missing_ok=True)
    return out, found.left_out, found.failed


def first_of(*reasons: Sequence[LeftOut]) -> str:
    """The first of REASONS, in words."""
    every = [reason for some in reasons for reason in some]
    return f"the first: {': '.join(every[0])}" if every else "there is no video"
