"""Intervals of videos: what was found of what is true, and how near its key frames are.

Frames are counted as the video counts them; an interval has both its first and its last frame, so
its length is last - first + 1. A ``Video`` holds what is true and what was found; every score is of
all videos together, never a mean over videos: one without an expression counts by what was falsely
found in it. (MEAN's code [1] leaves such videos out, so its published F1 are of easier data.)

An interval is found if the intersection over union with a true one of its kind is at least .5 [2].
Pairs are one to one. MEGC says no more. In MEAN's evaluation what was found claims true intervals
in turn, and so it is here: the surest first ("greedy"), which is the order that average precision
is defined by, so that the last point of its curve is this F1. (The STRS script of MEAN's authors
counts a true interval as often as it is hit, and no video without one.) "optimal" pairs as many as
can be. Where true intervals share no frame, greedy pairs as many, but for one case: what was found
is exactly two true intervals of equal length, side by side, and claims that which another needed.

Ours: of equally sure intervals the earlier claims first, and the true interval it overlaps most, or
the earlier of two; average precision has one point for all equally sure intervals, so that it hangs
on no order (of a constant confidence it is one precision times one recall).

1. Liong, See, Chan, "Spot-then-Recognize: a micro-expression analysis network for seamless
   evaluation of long videos", Signal Processing: Image Communication 2023 (MEAN).
2. He, Wang, Li, Yap, "Spotting macro- and micro-expression intervals in long video sequences",
   FG 2020 (MEGC 2020).
3. Wang et al., "Micro-Expression Key Frame Inference" (MECIA).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mie_x.folds import Person

Values = NDArray[np.float64]
Counted = NDArray[np.int64]
Mask = NDArray[np.bool_]
Pairs = list[tuple[int, int]]

KINDS = ("micro", "macro")
ENOUGH = 0.5  # intersection over union of MEGC
THRESHOLDS = tuple(percent / 100 for percent in range(50, 100, 5))
"""Those of AP@[.5:.05:.95]; hundredths, so that 3 of 5 frames reach .6."""

DRAWS = 2000  # resamples of a bootstrap
MARGIN = 2.5  # percent on either side of an interval


@dataclass(frozen=True, slots=True)
class Interval:
    """An expression from its ``first`` to its ``last`` frame, both included.

    ``kind`` is one of ``KINDS``; ``label`` a class, or None where nobody tells it; ``score`` says
    how sure who found it is, the larger the surer, None of a true one; ``apex`` is a frame, or
    None. Raises ValueError where it ends before it starts, and for another kind or no number.
    """

    first: int
    last: int
    kind: str = "micro"
    label: int | None = None
    score: float | None = None
    apex: int | None = None

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"an interval from frame {self.first} to {self.last} has no frame")
        if self.kind not in KINDS:
            raise ValueError(f"no kind {self.kind!r}: choose from {', '.join(KINDS)}")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"frames {self.first} to {self.last}: score {self.score} is no number")

    @property
    def length(self) -> int:
        """How many frames it has."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Video:
    """The intervals of one video of ``person``: ``truths`` and what was ``found``."""

    name: str
    person: Person
    fps: float
    truths: tuple[Interval, ...]
    found: tuple[Interval, ...]


def only(videos: Iterable[Video], kind: str) -> list[Video]:
    """VIDEOS with the intervals of this KIND alone, true and found; none is left out."""

    def of(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
        return tuple(one for one in intervals if one.kind == kind)

    return [replace(video, truths=of(video.truths), found=of(video.found)) for video in videos]


def iou(one: Interval, other: Interval) -> float:
    """Frames in both over frames in either, in [0, 1]; kinds do not matter.

    >>> iou(Interval(10, 19), Interval(15, 24))  # 5 frames of 15
    0.3333333333333333
    """
    both = max(0, min(one.last, other.last) - max(one.first, other.first) + 1)
    return both / (one.length + other.length - both)


def _overlaps(
    truths: Sequence[Interval], found: Sequence[Interval], least: float
) -> dict[tuple[int, int], float]:
    """``iou`` of each (truth, found) of one kind where it is at least LEAST."""
    if not 0 < least <= 1:
        raise ValueError(f"intersection over union of {least}: give one above 0, up to 1")
    return {
        (t, f): overlap
        for t, truth in enumerate(truths)
        for f, one in enumerate(found)
        if truth.kind == one.kind and (overlap := iou(truth, one)) >= least
    }


def greedy(truths: Sequence[Interval], found: Sequence[Interval], least: float = ENOUGH) -> Pairs:
    """(truth, found) indices, one to one: the surest claims first, those without a score last."""
    overlaps = _overlaps(truths, found, least)

    def turn(f: int) -> tuple[float, int, int]:
        score = found[f].score
        return (math.inf if score is None else -score, found[f].first, found[f].last)

    pairs: Pairs = []
    free = set(range(len(truths)))
    for f in sorted(range(len(found)), key=turn):
        if fits := [t for t in free if (t, f) in overlaps]:
            t = min(fits, key=lambda t: (-overlaps[t, f], truths[t].first, t))
            free.remove(t)
            pairs.append((t, f))
    return sorted(pairs)


def optimal(truths: Sequence[Interval], found: Sequence[Interval], least: float = ENOUGH) -> Pairs:
    """(truth, found) indices, one to one: as many as can be, and of these the largest overlaps."""
    from scipy.optimize import linear_sum_assignment

    overlaps = _overlaps(truths, found, least)
    worth = np.zeros((len(truths), len(found)))
    for (t, f), overlap in overlaps.items():
        worth[t, f] = min(worth.shape) + 1 + overlap  # one pair more is worth all overlaps
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [pair for pair in zip(rows.tolist(), columns.tolist(), strict=True) if pair in overlaps]


Matching = Callable[[Sequence[Interval], Sequence[Interval], float], Pairs]

MATCHINGS: dict[str, Matching] = {"greedy": greedy, "optimal": optimal}
"""Who is paired with whom; "greedy" is MEGC's, see above."""


class Counts(NamedTuple):
    """A ``right`` of N ``found`` intervals, and M ``truths``; sums over videos.

    Recall and F1 raise ValueError where nothing is true.
    """

    right: int
    truths: int
    found: int

    @property
    def precision(self) -> float:
        """A / N; 0 where nothing was found."""
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        """A / M."""
        self._check()
        return self.right / self.truths

    @property
    def f1(self) -> float:
        """2 A / (M + N).

        >>> round(Counts(159, 244, 244).f1, 4)  # MEAN on CASME II
        0.6516
        """
        self._check()
        return 2 * self.right / (self.truths + self.found)

    def _check(self) -> None:
        if not self.truths:
            raise ValueError("no true interval, so no score: pool all videos before scoring")


def counted(videos: Iterable[Video], *, least: float = ENOUGH, matching: str = "greedy") -> Counts:
    """Pairs, true and found intervals of all VIDEOS; kinds are never paired with one another."""
    match = MATCHINGS[matching]
    each = [
        (len(match(video.truths, video.found, least)), len(video.truths), len(video.found))
        for video in videos
    ]
    return Counts(*map(sum, zip(*each, strict=True))) if each else Counts(0, 0, 0)


def spotting(
    videos: Sequence[Video], *, least: float = ENOUGH, matching: str = "greedy"
) -> dict[str, Counts]:
    """``counted`` of each of ``KINDS``, and of all of them: "overall"."""
    counts = {kind: counted(only(videos, kind), least=least, matching=matching) for kind in KINDS}
    return counts | {"overall": counted(videos, least=least, matching=matching)}


def average_precision(
    videos: Sequence[Video], *, thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """Mean over THRESHOLDS of the area under precision by recall, in [0, 1].

    All found intervals of all videos are ranked by score. The precision at a recall is the best one
    at that recall or more (all-point interpolation). Scores of any two videos are compared: they
    must mean the same. Raises ValueError without true intervals, and for one found without a score.
    """
    truths = sum(len(video.truths) for video in videos)
    if not truths:
        raise ValueError("no true interval, so no score: pool all videos before scoring")
    scores = []
    for video in videos:
        for one in video.found:
            if one.score is None:
                raise ValueError(
                    f"{video.name}: frames {one.first} to {one.last} have no score to be ranked by"
                )
            scores.append(one.score)
    if not scores:
        return 0.0
    ranks = np.argsort(-np.array(scores), kind="stable")
    ranked = np.array(scores)[ranks]
    ends = np.append(ranked[1:] < ranked[:-1], True)
    areas = []
    for least in thresholds:
        right = np.concatenate([_right(video, least) for video in videos])[ranks].cumsum()[ends]
        precision = right / (np.flatnonzero(ends) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        areas.append((np.diff(right, prepend=0) / truths * best).sum())
    return float(np.mean(areas))


def _right(video: Video, least: float) -> Mask:
    """Which of what was found is a true interval's, (found,)."""
    right = np.zeros(len(video.found), bool)
    right[[f for _, f in greedy(video.truths, video.found, least)]] = True
    return right


class Apexes(NamedTuple):
    """Apexes of short videos, one expression each.

    ``rate`` (ASR) is the share of ``videos`` whose found apex lies after onset and before offset.
    ``frames`` and ``milliseconds`` are means of how far it is from the true apex, over the videos
    where one was ``found``; None where there is none.
    """

    rate: float
    frames: float | None
    milliseconds: float | None
    videos: int
    found: int


def apexes(videos: Sequence[Video]) -> Apexes:
    """How well the apex of each video's only expression was found.

    A video where nothing was found counts as missed in the rate. Raises ValueError without videos,
    and for one that has not one true interval with an apex, or in which more than one was found.
    """
    if not videos:
        raise ValueError("no videos: give at least one")
    inside, apart, times = 0, [], []
    for video in videos:
        if len(video.truths) != 1 or len(video.found) > 1:
            raise ValueError(
                f"{video.name}: {len(video.truths)} true and {len(video.found)} found intervals; "
                "apexes are scored in short videos, of one expression each"
            )
        (truth,) = video.truths
        for one in video.found:
            if truth.apex is None or one.apex is None:
                raise ValueError(f"{video.name}: an apex is not told, true or found")
            inside += truth.first < one.apex < truth.last
            apart.append(abs(one.apex - truth.apex))
            times.append(1000 * apart[-1] / video.fps)
    return Apexes(
        inside / len(videos),
        float(np.mean(apart)) if apart else None,
        float(np.mean(times)) if times else None,
        len(videos),
        len(apart),
    )


def recognized(
    videos: Iterable[Video], *, classes: int, least: float = ENOUGH, matching: str = "greedy"
) -> Counted:
    """What true intervals that were found are said to be: (C, C) counts, rows truth.

    True intervals without a label (MEAN: "others" of CAS(ME)^2) are spotted, not recognized. Raises
    ValueError where a label is missing of what was found, or is none of CLASSES.
    """
    table = np.zeros((classes, classes), np.int64)
    for video in videos:
        for t, f in MATCHINGS[matching](video.truths, video.found, least):
            truth, found = video.truths[t].label, video.found[f].label
            if truth is None:
                continue
            if found is None or not (0 <= truth < classes and 0 <= found < classes):
                raise ValueError(
                    f"{video.name}: label {found} for {truth}, of classes 0 to {classes - 1}"
                )
            table[truth, found] += 1
    return table


def analysis_f1(confusion: ArrayLike) -> Values:
    """F1 of the analysis as MEAN has it: the harmonic mean of macro precision and macro recall.

    Of counts (..., C, C), rows truth, -> (...). A class of which nothing was found, or that nothing
    is said to be, adds 0 to its mean, as in MEAN's STRS code: what is not spotted is not
    recognized. It is not ``mean_class_f1``.
    """
    truth, said, right = _margins(confusion)
    precision = (right / np.maximum(said, 1)).mean(axis=-1)
    recall = (right / np.maximum(truth, 1)).mean(axis=-1)
    both = precision + recall
    return np.asarray(2 * precision * recall / np.where(both > 0, both, 1))


def mean_class_f1(confusion: ArrayLike) -> Values:
    """Mean of the classes' F1, 0 where nothing is right; counts (..., C, C), rows truth -> (...)

    UF1, but that a class of which nothing was found does not raise.
    """
    truth, said, right = _margins(confusion)
    return np.asarray((2 * right / np.maximum(truth + said, 1)).mean(axis=-1))


def _margins(confusion: ArrayLike) -> tuple[Values, Values, Values]:
    table = np.asarray(confusion, np.float64)
    return table.sum(axis=-1), table.sum(axis=-2), np.diagonal(table, axis1=-2, axis2=-1)


class SpotThenRecognize(NamedTuple):
    """F1 of spotting; F1 of the analysis of what was spotted, MEAN's and the mean of classes."""

    spotting: float
    analysis: float
    class_f1: float

    @property
    def strs(self) -> float:
        """Spotting F1 times analysis F1, MEAN's.

        >>> round(SpotThenRecognize(0.6516, 0.5927, 0.0).strs, 4)  # MEAN on CASME II
        0.3862
        """
        return self.spotting * self.analysis


def spot_then_recognize(
    videos: Sequence[Video], *, classes: int, least: float = ENOUGH, matching: str = "greedy"
) -> SpotThenRecognize:
    """Score both parts; MEAN and MEGC do so of micro-expressions alone (``only``).

    Raises ValueError where a class has no true interval in all VIDEOS.
    """
    labels = {truth.label for video in videos for truth in video.truths}
    if absent := set(range(classes)) - labels:
        raise ValueError(
            f"class {min(absent)} has no true interval, so no score: pool all videos before "
            "scoring, or leave the class out"
        )
    table = recognized(videos, classes=classes, least=least, matching=matching)
    found = counted(videos, least=least, matching=matching).f1
    return SpotThenRecognize(found, float(analysis_f1(table)), float(mean_class_f1(table)))


# Key frames of a clip that holds one expression [3]. Scores of many clips are their means.


def clip_iou(inferred: ArrayLike, true: ArrayLike) -> float:
    """Frames inferred and true over frames inferred or true; (T,) booleans, in [0, 1].

    What is inferred may be more than one run. Raises ValueError where no frame is true.
    """
    said, is_so = _masks(inferred, true)
    return float((said & is_so).sum() / (said | is_so).sum())


def clip_f1(inferred: ArrayLike, true: ArrayLike) -> float:
    """2 TP / (2 TP + FP + FN) of a clip's frames; (T,) booleans, in [0, 1].

    Raises ValueError where no frame is true.
    """
    said, is_so = _masks(inferred, true)
    return float(2 * (said & is_so).sum() / (said.sum() + is_so.sum()))


def _masks(inferred: ArrayLike, true: ArrayLike) -> tuple[Mask, Mask]:
    said, is_so = np.asarray(inferred, bool), np.asarray(true, bool)
    if said.ndim != 1 or said.shape != is_so.shape:
        raise ValueError(f"masks of {said.shape} and {is_so.shape}: one boolean a frame, each")
    if not is_so.any():
        raise ValueError("no frame is of an expression: a clip for key frames has one")
    return said, is_so


class KeyFrameErrors(NamedTuple):
    """How far key frames are from the true ones, whichever way.

    ``onset``, ``apex`` and ``offset`` in ms; ``apex_share`` in lengths of the true expression, as
    MECIA has it. None without an apex.
    """

    onset: float
    offset: float
    apex: float | None
    apex_share: float | None


def key_frame_errors(found: Interval, truth: Interval, *, fps: float) -> KeyFrameErrors:
    """Compare one FOUND interval with the TRUTH of its clip.

    >>> key_frame_errors(Interval(8, 22, apex=16), Interval(10, 19, apex=13), fps=200)
    KeyFrameErrors(onset=10.0, offset=15.0, apex=15.0, apex_share=0.3)
    """
    onset, offset = (
        1000 * abs(one - other) / fps
        for one, other in ((found.first, truth.first), (found.last, truth.last))
    )
    if found.apex is None or truth.apex is None:
        return KeyFrameErrors(onset, offset, None, None)
    apart = abs(found.apex - truth.apex)
    return KeyFrameErrors(onset, offset, 1000 * apart / fps, apart / truth.length)


class Spread(NamedTuple):
    """A 95 % interval over DRAWS resamples of people.

    ``undefined`` of them had no score (nothing true, a class without a true interval) and are left
    out: the interval is that of data that have one.
    """

    low: float
    high: float
    draws: int
    undefined: int
    seed: int


def f1_spread(
    videos: Iterable[Video], *, seed: int, draws: int = DRAWS, least: float = ENOUGH
) -> Spread:
    """The interval of the F1 of spotting."""

    def score(sums: Values) -> Values:
        right, truths, found = np.moveaxis(sums, -1, 0)
        return np.where(truths > 0, 2 * right / np.maximum(truths + found, 1), np.nan)

    parts = (counted(theirs, least=least) for theirs in _by_person(videos))
    return resampled(parts, score, seed=seed, draws=draws)


def strs_spread(
    videos: Iterable[Video], *, classes: int, seed: int, draws: int = DRAWS, least: float = ENOUGH
) -> Spread:
    """The interval of STRS."""

    def part(theirs: list[Video]) -> Counted:
        labels = [truth.label for video in theirs for truth in video.truths]
        truths = [labels.count(label) for label in range(classes)]
        table = recognized(theirs, classes=classes, least=least)
        return np.array([*counted(theirs, least=least), *truths, *table.ravel()])

    def score(sums: Values) -> Values:
        right, all_truths, found = np.moveaxis(sums[..., :3], -1, 0)
        truths, table = sums[..., 3 : 3 + classes], sums[..., 3 + classes :]
        spotted = 2 * right / np.maximum(all_truths + found, 1)
        strs = spotted * analysis_f1(table.reshape(*table.shape[:-1], classes, classes))
        return np.where((truths > 0).all(axis=-1), strs, np.nan)

    return resampled(map(part, _by_person(videos)), score, seed=seed, draws=draws)


def mean_spread(
    values: Iterable[tuple[Hashable, float]], *, seed: int, draws: int = DRAWS
) -> Spread:
    """The interval of the mean of VALUES, one a clip, each with its person."""
    parts: dict[Hashable, Values] = defaultdict(lambda: np.zeros(2))
    for person, value in values:
        parts[person] += (value, 1)
    return resampled(
        parts.values(), lambda sums: sums[..., 0] / sums[..., 1], seed=seed, draws=draws
    )


def _by_person(videos: Iterable[Video]) -> list[list[Video]]:
    people: dict[Person, list[Video]] = defaultdict(list)
    for video in videos:
        people[video.person].append(video)
    return list(people.values())


def resampled(
    parts: Iterable[ArrayLike],
    score: Callable[[Values], Values],
    *,
    seed: int,
    draws: int = DRAWS,
) -> Spread:
    """Resample people with replacement, DRAWS times: all of a person or nothing.

    PARTS are what each person adds to sums, (K,); SCORE makes (draws,) of such sums (draws, K), NaN
    where it has none. Raises ValueError with fewer than two people, and where most resamples have
    no score.
    """
    table = np.array([np.asarray(part, np.float64) for part in parts])
    people = len(table)
    if people < 2:
        raise ValueError(f"people tested: {people}; an interval needs two or more")
    drawn = np.random.default_rng(seed).multinomial(people, np.full(people, 1 / people), draws)
    scores = score(drawn @ table)
    defined = scores[~np.isnan(scores)]
    if 2 * len(defined) < draws:
        raise ValueError("too few people show an expression: most resamples have no score")
    low, high = np.percentile(defined, [MARGIN, 100 - MARGIN])
    return Spread(float(low), float(high), draws, draws - len(defined), seed)
