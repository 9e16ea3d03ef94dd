"""Clips with one labelled frame: where they are cut, which frame is given, what is seen of them.

The paper of MECIA cuts clips twice as long as a micro-expression, with that in the middle, which
nobody can who does not know it. Ours are "drawn" and "whole", for collections that have neutral
frames around their expressions anyway. "drawn" does not tell where in the cut an expression is, but
it does tell how long expressions are on average, and that both ends are neutral: of 75 frames drawn
in 150, a "third" given, ``halfway`` finds a mean IoU of .78 without a pixel (an interval at random
.57). Likewise with the labelled
frame: the paper's are the apex as coded and the ends of the frames that look like it; a coder who
looks for no more than some frame of the expression gives one of the "third" around its apex, or any
"inside".

Faces are found on the first frame of each clip, and seen through that matrix to its end (ours).
What is seen is kept: faces are found once, whatever is inferred from it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import math
import sys
import zipfile
import zlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from mie_x.datasets import footage
from mie_x.faces.aligned import Alignment, aligned, find_alignment
from mie_x.flow import FLOWS, Gray, gray, opencv
from mie_x.intervals import Interval
from mie_x.records import SIZE, Clip, Frames, Origin
from mie_x.whole import hashed, whole
from pipelines import recordings, views
from pipelines.examples import LeftOut, files_of
from recognizers.key_frames import runs, view
from recognizers.views import five_to_68, mean_roi

LONGEST = 600  # frames of a clip: 3 s at 200 a second

CUTS = {
    "whole": "all of the footage, up to the expressions before and after",
    "centred": "twice as long as the collection's micro-expressions are on average, the expression "
    "as central as can be: the paper's, and made by what is to be inferred",
    "drawn": "twice as long as the collection's micro-expressions are on average, the expression "
    "anywhere in it: not where in the cut it is, but how long it is on average, and that both ends "
    "are neutral, the cut tells",
}
BY_LENGTH = set(CUTS) - {"whole"}  # made of onsets and offsets as coded


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A clip, and the NUMBERS of the frames of its footage that are looked at, ascending."""

    clip: Clip
    numbers: tuple[int, ...]

    @property
    def key(self) -> str:
        return "/".join(part for part in self.clip.origin if part)

    @property
    def told(self) -> bool:
        """Whether onset and offset are coded."""
        return self.clip.onset is not None and self.clip.offset is not None

    @property
    def has_apex(self) -> bool:
        """Whether an apex is coded."""
        return recordings.has_apex(self.clip)

    @property
    def truth(self) -> Interval:
        """What is coded, by positions in ``numbers``; the apex where one is."""
        return recordings.placed(self.clip, self.numbers)


# -- which frames are looked at ------------------------------------------------------------------


def cuts(clips: Sequence[Clip], *, cut: str, seed: int) -> tuple[list[Cut], list[LeftOut]]:
    """The micro-expressions among CLIPS of a collection, each cut as CUT says; what is left out.

    Macro-expressions are neighbours, that a cut keeps out of.
    """
    micro = [clip for clip in clips if clip.kind == "micro"]
    lengths = [len(clip.numbers) for clip in micro if not _untold(clip)]
    length = int(2 * np.mean(lengths)) if lengths else 0  # SAMM: 2 x 75.3; CAS(ME)^2: 2 x 13.6
    by_footage: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_footage[clip.footage.name].append(clip)
    found, left_out = [], []
    for clip in micro:
        key = "/".join(clip.origin)
        others = [one for one in by_footage[clip.footage.name] if one.origin != clip.origin]
        try:
            numbers = _cut(clip, others, cut=cut, length=length, rng=_rng(seed, "cut", key))
            odd = recordings.odd_times(clip.footage, numbers, clip.fps)
        except (ValueError, OSError) as error:
            left_out.append(LeftOut(key, " ".join(str(error).split())))
        else:
            found.append(Cut(replace(clip, odd=(*clip.odd, *odd)), numbers))
    return found, left_out


def _cut(
    clip: Clip, others: Sequence[Clip], *, cut: str, length: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """Frame numbers around CLIP; ValueError with the reason where there are none."""
    if untold := _untold(clip):
        raise ValueError(untold)
    assert clip.onset is not None and clip.offset is not None
    after, before = -math.inf, math.inf
    for other in others:
        if other.onset is None or other.offset is None:
            continue
        if other.problem and other.offset > clip.footage.numbers[-1]:
            continue  # a digit too many
        if other.onset <= clip.offset and clip.onset <= other.offset:
            raise ValueError(f"{other.origin.clip} overlaps with it")
        if other.offset < clip.onset:
            after = max(after, other.offset)
        else:
            before = min(before, other.onset)
    room = [number for number in clip.footage.numbers if after < number < before]
    first, last = bisect_left(room, clip.onset), bisect_right(room, clip.offset) - 1
    if first == 0 or last == len(room) - 1:
        raise ValueError(
            "no neutral frame before its onset" if first == 0 else "none after its offset"
        )
    if (frames := len(room) if cut == "whole" else length) > LONGEST:
        remedy = "; cut it centred or drawn" if cut == "whole" else ""
        raise ValueError(f"{frames} frames, of which {LONGEST} can be looked at{remedy}")
    if cut == "whole":
        return tuple(room)
    if last - first + 3 > length:
        raise ValueError(f"{last - first + 1} frames long, too long for a clip of {length}")
    if len(room) < length:
        raise ValueError(
            f"{len(room)} frames from what is before it to what is after it, not {length}"
        )
    least, most = max(0, last + 2 - length), min(first - 1, len(room) - length)
    middle = first - (length - (last - first + 1)) // 2
    start = int(rng.integers(least, most + 1)) if cut == "drawn" else min(max(least, middle), most)
    return tuple(room[start : start + length])


def _untold(clip: Clip) -> str:
    """Why nobody told onset and offset of CLIP; "" where they are coded."""
    if clip.problem or clip.onset is None or clip.offset is None:
        return clip.problem or "its onset or offset is not told"
    # a guess of the reader is no truth
    return next((one for one in clip.repaired if one.startswith(("onset", "offset"))), "")


def usual_cut(clips: Sequence[Clip]) -> str:
    """ "centred" for long videos, footage that several clips share or that is too long to be looked
    at; else "whole"."""
    usable = [clip for clip in clips if not clip.problem]
    shared = len({clip.footage.name for clip in usable}) < len(usable)
    long = any(len(clip.footage.numbers) > LONGEST for clip in usable)
    return "centred" if shared or long else "whole"


def _rng(seed: int, *what: str) -> np.random.Generator:
    """Random numbers of one clip, whatever others there are."""
    digest = hashlib.sha256(json.dumps(what).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


# -- which frame is given ------------------------------------------------------------------------


def third(truth: Interval, frames: Gray, rng: np.random.Generator) -> int:
    """One frame, all equally likely, of the third of the expression that is around its apex."""
    del frames
    assert truth.apex is not None
    length = max(1, round(truth.length / 3))
    first = min(max(truth.first, truth.apex - length // 2), truth.last + 1 - length)
    return int(rng.integers(first, first + length))


def inside(truth: Interval, frames: Gray, rng: np.random.Generator) -> int:
    """One frame, all equally likely, of the whole expression, onset and offset included."""
    del frames
    return int(rng.integers(truth.first, truth.last + 1))


def apex_interval(truth: Interval, frames: Gray, rng: np.random.Generator) -> tuple[int, int]:
    """First and last frame around the apex that look like it, the expression's own alone.

    The paper's: k-means of all FRAMES (T, S, S) in three clusters, of which one has the apex. Ours:
    the unbroken stretch of it.
    """
    from sklearn.cluster import KMeans

    assert truth.apex is not None
    clusters = KMeans(3, n_init=10, random_state=int(rng.integers(2**31))).fit_predict(
        frames.reshape(len(frames), -1).astype(np.float32)
    )
    alike = runs(clusters == clusters[truth.apex])
    ((first, last),) = [run for run in alike if run[0] <= truth.apex <= run[1]]
    return max(first, truth.first), min(last, truth.last)


def apex(truth: Interval, frames: Gray, rng: np.random.Generator) -> int:
    """The apex."""
    del frames, rng
    assert truth.apex is not None
    return truth.apex


STARTS: dict[str, Callable[[Interval, Gray, np.random.Generator], int]] = {
    "third": third,
    "apex": apex,
    "left": lambda truth, frames, rng: apex_interval(truth, frames, rng)[0],
    "right": lambda truth, frames, rng: apex_interval(truth, frames, rng)[1],
    "inside": inside,
}
"""The frame that is given of a coded expression. "apex", "left" and "right" end of the apex
interval are the paper's; its random starts lie in that interval, ours in a "third" or "inside"."""

BY_APEX = set(STARTS) - {"inside"}  # of expressions whose apex is coded


# -- what is seen --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A clip as it is looked at: ``frames`` (T, S, S) uint8; ``strength`` (T,) float32, the mean
    length of the flow from the first frame in MEAN's parts of the face, px of 128, or None where
    no flow was asked for; ``faces`` on the first frame, of which the largest is taken."""

    frames: Gray
    strength: NDArray[np.float32] | None
    faces: int


@dataclass(frozen=True, slots=True)
class Look:
    """How clips are looked at: faces with MARGIN, SIZE px; FLOW is one of ``FLOWS``, or None."""

    size: int
    margin: float
    flow: str | None

    def paths(self, cut: Cut, store: Path) -> tuple[Path, Path | None]:
        """Where the views of CUT are kept, and its flow; OSError where its frames are gone."""
        name = hashed(
            {
                "clip": cut.key,
                "files": files_of(cut.clip.footage, cut.numbers),
                "numbers": cut.numbers,
                "margin": self.margin,
                "code_sha256": _code_sha256(),
                "libraries": {name: version(name) for name in (*views.LIBRARIES, "av")},
            }
        )
        path = store / f"{name}-{self.size}.npz"
        if self.flow is None:
            return path, None
        if self.flow == "tvl1":
            return path, store / f"{name}-{self.flow}.npz"
        with opencv() as cv2:
            return path, store / f"{name}-{self.flow}-{cv2.__version__}.npz"

    def keep(self, cut: Cut, store: Path) -> str:
        """See CUT and keep it in STORE, unless it is there; "", or why it cannot be seen."""
        try:
            self._keep(cut, *self.paths(cut, store))
        except (ValueError, OSError, KeyError) as error:
            return _reason(error)
        return ""

    def _keep(self, cut: Cut, path: Path, flow_path: Path | None) -> None:
        if not path.exists():
            frames, alignment = self._framed(cut, self.size)
            _save(path, frames=view(frames, size=self.size), faces=np.array(alignment.faces))
        if flow_path is not None and not flow_path.exists():
            assert self.flow is not None
            frames, alignment = self._framed(cut, SIZE)
            first, *later = gray(frames)
            points = five_to_68(alignment.points_in(SIZE))
            lengths = (np.hypot(*FLOWS[self.flow](first, frame)) for frame in later)
            strength = [0.0, *(mean_roi(length[None], points).mean() for length in lengths)]
            _save(flow_path, strength=np.array(strength, np.float32))

    def _framed(self, cut: Cut, size: int) -> tuple[Frames, Alignment]:
        frames = cut.clip.footage.frames(cut.numbers)
        first = next(frames)
        alignment = find_alignment(first, margin=self.margin)
        return aligned(itertools.chain([first], frames), alignment, size=size), alignment

    def kept(self, cut: Cut, store: Path) -> Seen:
        """What ``keep`` has put into STORE; ValueError, naming the file, where it is damaged."""
        path, flow_path = self.paths(cut, store)
        told = _load(path)
        strength = None if flow_path is None else _load(flow_path)["strength"]
        return Seen(told["frames"], strength, int(told["faces"]))


def _reason(error: BaseException) -> str:
    return " ".join(str(error.args[0] if type(error) is KeyError else error).split())


@functools.cache
def _code_sha256() -> str:
    """Of our code that decides what is seen of a clip."""
    own = "".join(inspect.getsource(one) for one in (footage, view, sys.modules[__name__]))
    return hashlib.sha256((views.code_sha256() + own).encode()).hexdigest()


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file) as told:
            return dict(told)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: damaged ({error}); delete it, to see the clip again") from error


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def seen_all(
    found: Sequence[Cut],
    look: Look,
    store: Path,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[tuple[Cut, Seen]], list[LeftOut]]:
    """What is seen of each of FOUND, in their order, kept in STORE; those that cannot be seen."""
    reasons = Parallel(n_jobs=workers, return_as="generator")(
        delayed(look.keep)(cut, store) for cut in found
    )
    seen, failed = [], []
    for count, (cut, reason) in enumerate(zip(found, reasons, strict=True), 1):
        try:
            kept = None if reason else look.kept(cut, store)
        except (ValueError, OSError) as error:
            kept, reason = None, _reason(error)
        if kept is None:
            failed.append(LeftOut(cut.key, reason))
        else:
            seen.append((cut, kept))
        if progress is not None:
            progress(count, len(found))
    return seen, failed


class Marked(NamedTuple):
    """A clip, what is seen of it, and the position of the frame that is given."""

    cut: Cut
    seen: Seen
    given: int


def mark(cut: Cut, seen: Seen, *, start: str, seed: int) -> Marked:
    """CUT with the frame that START, of ``STARTS``, chooses."""
    rng = _rng(seed, "start", cut.key)
    return Marked(cut, seen, STARTS[start](cut.truth, seen.frames, rng))


# -- one clip that nobody coded ------------------------------------------------------------------


def of_path(
    path: Path, *, frame: int, first: int | None, last: int | None, fps: float | None
) -> Cut:
    """The video or folder at PATH, from FIRST to LAST (None: all of it), which holds FRAME."""
    told = recordings.of_path(path, fps=fps, first=first, last=last)
    numbers = tuple(told.numbers)
    if frame not in numbers[1:-1]:
        raise ValueError(
            f"{path}: no frame {frame} between the first and last that are looked at, "
            f"{numbers[0]} and {numbers[-1]}: these two are taken as not of the micro-expression"
        )
    if len(numbers) > LONGEST:
        raise ValueError(
            f"{path}: {len(numbers)} frames, of which {LONGEST} can be looked at; say where the "
            "micro-expression is, with --first and --last"
        )
    clip = Clip(
        Origin("", "", told.name), told.footage, None, None, None, "", None,
        fps=told.fps, odd=told.odd, stand_in=told.stand_in,
    )  # fmt: skip
    return Cut(clip, numbers)
