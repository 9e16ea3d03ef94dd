"""From a score a frame to the micro-expressions of a video: what MEAN does around its network.

Liong, See, Chan, "Spot-then-Recognize: a micro-expression analysis network for seamless evaluation
of long videos", Signal Processing: Image Communication 2023, and its public code; where they
differ, each is there by name. Frames are counted from 0. The flow of frame i is that from i to
i + k, so a video of n frames has n - k scores; ``half`` is k', half of a usual micro-expression.

Labels: frame i is 1 where the window of k' frames from i on, [i, i + k' - 1], shares a frame with a
micro-expression (paper and code alike). Spotting: smooth, take local maxima that reach
``threshold``, k' or more apart, and k' frames to either side of each. Emotion: the most frequent
class in the k' frames before the peak.

MEAN spots "offline": mean and maximum are of the whole video. "online" is ours: a peak is judged by
what was seen until it is known to be one. It is known when k' smoothed values have come after it,
each of which waits for k' scores and each of these for k frames: 2 k' + k frames. A peak that is
given is never taken back. (A level top waits for its end.) Early on there is little to compare
with, so the first peaks of a video pass easily; offline results are no promise of online ones.

Ours, too: where no face was seen a video has no score, NaN ("gaps"). What is left is smoothed as if
each stretch were a video; no peak is at the edge of one, and mean and maximum are of all that was
seen: of the whole video, or until then.

Ours, too: the confidence of an interval is how far the smoothed peak is above the threshold of its
video. (MEAN's code has the same for all.) A video without a peak has no interval, where MEAN's code
counts one at its first frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from mie_x.intervals import Interval

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]

P = 0.55
"""Where between mean and maximum the threshold is."""

NEGATIVES = {"paper": 8, "code": 5}
"""Frames outside of micro-expressions that training keeps, to each one inside."""


def flow_step(fps: float) -> int:
    """k, the frames from one picture of a flow to the other: a tenth of a second, halves up.

    >>> flow_step(200), flow_step(25)
    (20, 3)
    """
    if not fps > 0:
        raise ValueError(f"{fps} frames per second: the frame rate of a video is above 0")
    return max(1, int(fps / 10 + 0.5))


def half_length(lengths: Iterable[int]) -> int:
    """k', half of the mean of LENGTHS, rounded down: frames from onset to offset, both included.

    MEAN takes the mean of all of a collection, those tested on too; to test on nobody who was
    measured, give the lengths of training.

    >>> half_length([60, 75])
    33
    """
    counts = list(lengths)
    if not counts or min(counts) < 1:
        raise ValueError(
            "give the lengths of one or more micro-expressions, each of a frame or more"
        )
    return max(1, sum(counts) // (2 * len(counts)))


def pseudo_labels(count: int, truths: Iterable[Interval], *, half: int) -> Labels:
    """(COUNT,) int64: 1 where the window [i, i + HALF - 1] shares a frame with one of TRUTHS."""
    labels = np.zeros(count, np.int64)
    for truth in truths:
        labels[max(0, truth.first - half + 1) : max(0, truth.last + 1)] = 1
    return labels


def sampled(labels: ArrayLike, *, negatives: int, rng: np.random.Generator) -> Labels:
    """Ascending indices of all frames of LABELS 1, and of NEGATIVES times as many of 0.

    The latter are drawn without replacement; all are kept where there are no more. ValueError where
    no label is 1.
    """
    ones, zeros = (np.flatnonzero(np.asarray(labels) == label) for label in (1, 0))
    if not len(ones):
        raise ValueError("no frame of a micro-expression: there is nothing to train on")
    kept = rng.choice(zeros, min(len(zeros), negatives * len(ones)), replace=False)
    return np.sort(np.concatenate([ones, kept]))


class Curve(NamedTuple):
    """Smoothed ``values`` of the frames from ``first`` on, NaN where there are none.

    So many of them are ``settled``: scores that are still to come cannot change these.
    """

    first: int
    values: Scores
    settled: int


def whole_windows(scores: Scores, half: int) -> Curve:
    """Means over [i - HALF, i + HALF], of frames that have all of them."""
    size = 2 * half + 1
    if len(scores) < size:
        return Curve(half, np.zeros(0), 0)
    values = sliding_window_view(scores, size).mean(axis=-1)
    return Curve(half, values, len(values))


def padded_box(scores: Scores, half: int) -> Curve:
    """Means over [i - HALF, i + HALF - 1] of every frame; what is outside of the video is 0."""
    values = np.full(len(scores), np.nan)
    for first, last in stretches(scores):
        padded = np.pad(scores[first : last + 1], (half, half - 1))
        values[first : last + 1] = sliding_window_view(padded, 2 * half).mean(axis=-1)
    return Curve(0, values, max(0, len(scores) - half + 1))


def stretches(scores: Scores) -> list[tuple[int, int]]:
    """First and last frame of each run of SCORES that are numbers.

    >>> stretches(np.array([0.5, 0.1, np.nan, 0.2]))
    [(0, 1), (3, 3)]
    """
    seen = np.pad(~np.isnan(scores), 1).astype(np.int8)
    edges = np.diff(seen)
    starts, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) - 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


SMOOTHINGS: dict[str, Callable[[Scores, int], Curve]] = {
    "paper": whole_windows,
    "code": padded_box,
}


class Peak(NamedTuple):
    """A frame that stands out: its smoothed score, and the threshold of its video or until then."""

    frame: int
    score: float
    threshold: float


def threshold(values: Scores, p: float = P) -> float:
    """mean + P (max - mean)."""
    return _between(float(np.nanmean(values)), float(np.nanmax(values)), p)


def _between(mean: float, highest: float, p: float) -> float:
    return min(mean, highest) + p * max(0.0, highest - mean)  # the mean of equals may be above them


def offline(curve: Curve, half: int, p: float) -> list[Peak]:
    """Local maxima that reach the threshold of the whole video, HALF or more frames apart.

    Of two that are nearer the lower goes, from the highest down. By scipy: the middle of a level
    top is its maximum, and the first and last value of a curve are none.
    """
    from scipy.signal import find_peaks

    _check(curve, half)
    least = threshold(curve.values, p)
    places, _ = find_peaks(curve.values, height=least, distance=half)
    return [Peak(curve.first + int(n), float(curve.values[n]), least) for n in places]


def highest(curve: Curve, half: int, p: float) -> list[Peak]:
    """The highest value, the first of equals, whether it reaches the threshold or not.

    MEAN's rule for short videos, which hold one micro-expression.
    """
    _check(curve, half)
    n = int(np.nanargmax(curve.values))
    return [Peak(curve.first + n, float(curve.values[n]), threshold(curve.values, p))]


def _check(curve: Curve, half: int) -> None:
    if not np.isnan(curve.values).all():
        return
    if not curve.first:  # nothing was dropped at the ends
        raise ValueError("no frame has a score: nothing was seen in this video; leave it out")
    raise ValueError(
        f"fewer than {2 * half + 1} scores on end: the paper's smoothing drops {half} at each end, "
        "so all of these; smooth as the code does, if there are any, or leave the video out"
    )


def online(curve: Curve, half: int, p: float) -> list[Peak]:
    """Local maxima that no value nearer than HALF frames is above, as soon as that is known.

    Each is judged by mean and maximum of the values known by then. Scores that come later add peaks
    and change none. Of equals the first stays. Unlike offline, what is outdone still outdoes what
    is near to it: how far a chain of ever higher maxima goes on is not known in time.
    """
    from scipy.signal import find_peaks

    values = curve.values[: curve.settled]
    means = np.nancumsum(values) / np.maximum((~np.isnan(values)).cumsum(), 1)
    tops = np.fmax.accumulate(values)
    places, edges = find_peaks(values, plateau_size=1)
    peaks = []
    for n, left, right in zip(places, edges["left_edges"], edges["right_edges"], strict=True):
        known = max(right + 1, n + half - 1)
        if known >= len(values):
            break
        before, after = values[max(0, n - half + 1) : left], values[right + 1 : n + half]
        least = _between(float(means[known]), float(tops[known]), p)
        if values[n] >= least and not ((before >= values[n]).any() or (after > values[n]).any()):
            peaks.append(Peak(curve.first + int(n), float(values[n]), least))
    return peaks


WAYS: dict[str, Callable[[Curve, int, float], list[Peak]]] = {
    "offline": offline,
    "online": online,
    "highest": highest,
}
"""How peaks are chosen: by all of a video, by what was seen so far, or the one of a short video."""


def peaks(
    scores: ArrayLike,
    *,
    half: int,
    way: str = "offline",
    smoothing: str = "paper",
    p: float = P,
    gaps: bool = False,
) -> list[Peak]:
    """Peaks of SCORES (n,), one a frame, by ascending frame; WAY and SMOOTHING by name.

    With GAPS they may be NaN. Raises ValueError for scores that are not finite, and where smoothing
    leaves none of a video (online: no peak, yet).
    """
    each = np.asarray(scores, np.float64)
    known = np.isfinite(each) | (np.isnan(each) & gaps)
    if each.ndim != 1 or not len(each) or not known.all():
        raise ValueError(f"scores {each.shape}: one finite score a frame, of one frame or more")
    if half < 1 or not 0 <= p <= 1:
        raise ValueError(f"half {half}, p {p}: half is 1 or more, p is from 0 to 1")
    return WAYS[way](SMOOTHINGS[smoothing](each, half), half, p)


BOUNDS: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "paper": lambda peak, half: (peak - half, peak + half - 1),
    "code": lambda peak, half: (peak - half, peak + half),
}
"""First and last frame of the interval around a peak."""


def spot(
    scores: ArrayLike,
    *,
    frames: int,
    half: int,
    way: str = "offline",
    smoothing: str = "paper",
    bounds: str = "paper",
    p: float = P,
    gaps: bool = False,
) -> list[Interval]:
    """Micro-expressions in a video of so many FRAMES, as ``peaks`` has them; apexes are the peaks.

    Intervals end where the video does (ours; only smoothing as the code does comes near its ends).
    Their ``score`` is the peak's less its threshold, 0 or more, in the unit of SCORES: ours, to
    rank what was found, surest first. Labels are for ``emotion`` to tell.
    """
    if frames < len(np.asarray(scores)):
        raise ValueError(
            f"{len(np.asarray(scores))} scores of {frames} frames: one a frame at most"
        )
    found = []
    for peak in peaks(scores, half=half, way=way, smoothing=smoothing, p=p, gaps=gaps):
        first, last = BOUNDS[bounds](peak.frame, half)
        found.append(
            Interval(
                max(0, first),
                min(frames - 1, last),
                score=peak.score - peak.threshold,
                apex=peak.frame,
            )
        )
    return found


PHASES: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "onset phase": lambda peak, half: (peak - half, peak - 1),
    "peak": lambda peak, half: (peak, peak),
    "interval": lambda peak, half: (peak - half, peak + half - 1),
}
"""First and last frame that are asked for the emotion; the paper's cases 1, 2 and 3."""


def emotion(classes: Sequence[int], peak: int, *, half: int, phase: str = "onset phase") -> int:
    """The most frequent of CLASSES, one a frame, in a PHASE of the interval around PEAK.

    Those below 0 are of frames where nothing was seen, and do not count. Of equals that which is
    seen first, as in MEAN's code; the peak's own where nothing is before.

    >>> emotion([0, 2, 1, 2, 1, 0, 0, 0], 5, half=4)
    2
    """
    if not 0 <= peak < len(classes):
        raise ValueError(f"peak {peak} of {len(classes)} frames, which count from 0")
    first, last = PHASES[phase](peak, half)
    seen = [int(one) for one in classes[max(0, first) : max(1, last + 1)] if one >= 0]
    return Counter(seen or [int(classes[peak])]).most_common(1)[0][0]
