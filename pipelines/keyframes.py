"""Onset, apex and offset from one labelled frame of each clip: ``mie-x keyframes``.

Wang et al., "Micro-Expression Key Frame Inference" (MECIA), whose algorithm and network are in
``recognizers.key_frames``. What is given is one clip and a frame of it, or a collection, each of
whose micro-expressions has a frame chosen as a coder may have chosen it (``STARTS``). All clips of
a call are inferred together by one network; it learns from no other frame than these, and the
first and last of each clip. So what it is tested on is what it has learned from, as published.

Where a clip begins and ends is part of what is given (``CUTS``). The paper cuts clips twice as long
as a micro-expression with that in the middle, which nobody can who does not know it; ``halfway``,
which sees no pixel, profits most. Ours are "drawn", where the cut tells nothing, and "whole", for
collections that have neutral frames around their expressions anyway.

Inference gets frames, one labelled frame and a class: ``MarkedClip`` has room for no more. Onset
and offset as coded are for scores alone, but where rounds are to stop by them (``STOPS``), as the
paper's do: then all that is written says so. ::

    OUT/keyframes.csv     a row a clip and set of modules: frame given, found, as coded; IoU, errors
    OUT/baselines.csv     the same of what MECIA has to beat
    OUT/results.json      settings, figures, rounds, what was left out and why
    OUT/report.md         the same to read
    OUT/pictures/         clips over time, the first ``DRAWN`` of each set of modules
    OUT/state/            of each set of modules, after every round: a stopped run goes on
    OUT/views/            clips as they are seen, if no other store is given

Ours: faces are found on the first frame of each clip, and seen through that matrix to its end.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import re
import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from mie_x import __version__
from mie_x.datasets import COLLECTIONS
from mie_x.datasets.sheets import write_sheet
from mie_x.faces import MARGIN
from mie_x.faces.aligned import Alignment, aligned, find_alignment
from mie_x.flow import FLOWS, Gray, gray
from mie_x.folds import Person, person
from mie_x.intervals import (
    Interval,
    KeyFrameErrors,
    Spread,
    clip_f1,
    clip_iou,
    key_frame_errors,
    mean_spread,
    resampled,
)
from mie_x.markdown import plain, table
from mie_x.records import LABELS, SIZE, Clip, Frames, Origin
from mie_x.report import STAND_IN
from mie_x.whole import whole, write_json, write_text
from pipelines import recordings, timeline
from pipelines.examples import LeftOut, files_of
from pipelines.extract import named_collection
from recognizers.key_frames import (
    EPOCHS,
    MODULES,
    RANDOM_IOU,
    Epochs,
    Inference,
    Inferred,
    MarkedClip,
    by_difference,
    by_threshold,
    halfway,
    infer,
    overlap,
    random_iou,
    runs,
    view,
)
from recognizers.mecia import MECIANet
from recognizers.views import five_to_68, mean_roi

VIEW = 224  # px, as published
LONGEST = 600  # frames of a clip: 3 s at 200 a second
DRAWN = 20
MOST_REASONS = 10
GOOD = 0.75  # IoU
REACH_FPS = 77.0
"""From this frame rate on labels reach as far as in SAMM (200), below as in CAS(ME)^2 (30)."""

CUTS = {
    "whole": "all of the footage, up to the expressions before and after",
    "centred": "twice the mean length of the collection's micro-expressions, the expression as "
    "central as can be; the paper's, and made by what is to be inferred",
    "drawn": "as long, the expression anywhere in it",
}
STOPS = {
    "unchanged": "rounds end when no label changes",
    "truth": "USES THE TRUTH: rounds end when the IoU with the coded frames stays the same",
}
OTHERS = len(LABELS)
"""The category of clips whose emotion is of no class: negative, positive, surprise, others."""


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
        return self.clip.apex is not None and self.clip.apex_from == "coded"

    @property
    def truth(self) -> Interval:
        """What is coded, by positions in ``numbers``; the apex where one is."""
        assert self.clip.onset is not None and self.clip.offset is not None
        return Interval(
            bisect_left(self.numbers, self.clip.onset),
            bisect_right(self.numbers, self.clip.offset) - 1,
            apex=bisect_left(self.numbers, self.clip.apex or 0) if self.has_apex else None,
        )


# -- which frames are looked at ------------------------------------------------------------------


def cuts(clips: Sequence[Clip], *, cut: str, seed: int) -> tuple[list[Cut], list[LeftOut]]:
    """The micro-expressions among CLIPS of a collection, each cut as CUT says; what is left out.

    Macro-expressions are neighbours, that a cut keeps out of.
    """
    micro = [clip for clip in clips if clip.kind == "micro"]
    lengths = [len(clip.numbers) for clip in micro if not clip.problem]
    length = int(2 * np.mean(lengths)) if lengths else 0  # SAMM: 2 x 75.3; CAS(ME)^2: 2 x 13.6
    by_footage: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_footage[clip.footage.name].append(clip)
    found, left_out = [], []
    for clip in micro:
        key = "/".join(clip.origin)
        others = [one for one in by_footage[clip.footage.name] if one is not clip]
        try:
            numbers = _cut(clip, others, cut=cut, length=length, rng=_rng(seed, "cut", key))
        except (ValueError, OSError) as error:
            left_out.append(LeftOut(key, " ".join(str(error).split())))
        else:
            found.append(Cut(clip, numbers))
    return found, left_out


def _cut(
    clip: Clip, others: Sequence[Clip], *, cut: str, length: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """Frame numbers around CLIP; ValueError with the reason where there are none."""
    if clip.problem or clip.onset is None or clip.offset is None:
        raise ValueError(clip.problem or "its onset or offset is not told")
    after, before = -math.inf, math.inf
    for other in others:
        if other.onset is None or other.offset is None:
            continue
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
    if cut == "whole":
        if len(room) > LONGEST:
            raise ValueError(
                f"{len(room)} frames, of which {LONGEST} can be looked at; cut it centred or drawn"
            )
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


def usual_cut(clips: Sequence[Clip]) -> str:
    """ "centred" for long videos, footage that several clips share or that is too long to be looked
    at; else "whole"."""
    names = [clip.footage.name for clip in clips]
    shared = len(set(names)) < len(names)
    long = any(len(clip.footage.numbers) > LONGEST for clip in clips if not clip.problem)
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
        """Where the views of CUT are kept, and its flow."""
        told = [files_of(cut.clip.footage, cut.numbers), cut.key, cut.numbers, self.margin]
        name = hashlib.sha256(json.dumps([__version__, *told]).encode()).hexdigest()[:32]
        flow = None if self.flow is None else store / f"{name}-{self.flow}.npz"
        return store / f"{name}-{self.size}.npz", flow

    def keep(self, cut: Cut, store: Path) -> str:
        """See CUT and keep it in STORE, unless it is there; "", or why it cannot be seen."""
        try:
            self._keep(cut, *self.paths(cut, store))
        except (ValueError, OSError, KeyError) as error:
            return " ".join(str(error.args[0] if error.args else error).split())
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
        """What ``keep`` has put into STORE."""
        path, flow_path = self.paths(cut, store)
        with np.load(path) as told:
            frames, faces = told["frames"], int(told["faces"])
        if flow_path is None:
            return Seen(frames, None, faces)
        with np.load(flow_path) as told:
            return Seen(frames, told["strength"], faces)


def _save(path: Path, **arrays: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


# -- what MECIA has to beat ----------------------------------------------------------------------


def _by_flow(seen: Seen, frame: int) -> Inferred:
    assert seen.strength is not None
    return by_threshold(seen.strength, frame)


BASELINES: dict[str, Callable[[Seen, int], Inferred]] = {
    "halfway, no pixel seen": lambda seen, frame: halfway(len(seen.frames), frame),
    "pixel difference": lambda seen, frame: by_difference(
        seen.frames.reshape(len(seen.frames), -1), frame
    ),
    "flow threshold": _by_flow,
}
FORMULA, CHANCE = "random, the paper's formula", "random, mean of all intervals"


# -- what comes out ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Key frames that METHOD found in a clip from the frame GIVEN; positions in the cut's numbers.

    ``iou``, ``f1`` and ``errors`` are None where nothing is coded.
    """

    method: str
    cut: Cut
    given: int
    inferred: Inferred
    iou: float | None = None
    f1: float | None = None
    errors: KeyFrameErrors | None = None

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Onset, apex and offset as frame numbers of the footage."""
        onset, apex, offset = (self.cut.numbers[at] for at in self.inferred)
        return onset, apex, offset


def compare(method: str, cut: Cut, given: int, inferred: Inferred) -> Found:
    """What METHOD INFERRED, scored where the key frames of CUT are coded.

    IoU and F1 are of frames; errors of time, where the frame rate is known.
    """
    found = Found(method, cut, given, inferred)
    if not cut.told:
        return found
    truth, frames = cut.truth, np.arange(len(cut.numbers))
    said = (inferred.onset <= frames) & (frames <= inferred.offset)
    is_so = (truth.first <= frames) & (frames <= truth.last)
    errors = None
    if cut.clip.fps is not None:
        assert cut.clip.onset is not None and cut.clip.offset is not None
        onset, at, offset = found.numbers
        errors = key_frame_errors(
            Interval(onset, offset, apex=at),
            Interval(cut.clip.onset, cut.clip.offset, apex=cut.clip.apex if cut.has_apex else None),
            fps=cut.clip.fps,
        )
    return replace(found, iou=clip_iou(said, is_so), f1=clip_f1(said, is_so), errors=errors)


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What a call came to. ``found`` are MECIA's, of each set of modules in turn; ``figures`` by
    method; ``left_out`` cannot be used, ``failed`` could not be seen."""

    out: Path
    found: tuple[Found, ...]
    figures: dict[str, dict[str, Any]]
    left_out: tuple[LeftOut, ...]
    failed: tuple[LeftOut, ...]
    stand_in: bool

    def clips(self) -> list[Clip]:
        """The clips with the key frames that the last set of modules found."""
        last = self.found[-1].method
        return [
            replace(one.cut.clip, onset=onset, apex=apex, offset=offset, apex_from="inferred")
            for one in self.found
            if one.method == last
            for onset, apex, offset in [one.numbers]
        ]


def keyframes(
    what: str | Path,
    out: Path,
    *,
    frame: int | None,
    seed: int,
    first: int | None = None,
    last: int | None = None,
    fps: float | None = None,
    start: str = "third",
    cut: str | None = None,
    modules: Sequence[str] | None = None,
    reach: str | None = None,
    epochs: str | Epochs = "published",
    stop: str = "unchanged",
    size: int = VIEW,
    margin: float = MARGIN,
    flow: str | None = "tvl1",
    imagenet: bool = False,
    build: Callable[..., Any] = MECIANet,
    store: Path | None = None,
    workers: int = 1,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> Done:
    """Find the key frames of WHAT, a video file, a folder of frames or NAME=ROOT; write OUT.

    Of one clip FRAME is given, a number within its micro-expression, and FIRST and LAST where it is
    looked at; FPS is that of a folder. Of a collection START chooses the frame and CUT where it is
    looked at (None: ``usual_cut``). MODULES are sets of losses, each inferred by itself (None: the
    published one, of one clip "A+C", in which there is nothing to identify). REACH None is that of
    the nearer published frame rate; EPOCHS one of ``EPOCHS``, or counts. FLOW None leaves out the
    baseline of flow, which takes a tenth of a second a frame. IMAGENET begins with its weights.

    PROGRESS is told what is done, how far, and of how much. ValueError where nothing can be
    inferred, with the first reason.
    """
    choices: list[tuple[str, str | None, Iterable[str]]] = [
        ("start", start, STARTS), ("cut", cut, CUTS), ("stop", stop, STOPS), ("flow", flow, FLOWS)
    ]  # fmt: skip
    choices += [("modules", module, MODULES) for module in modules or ()]
    for of, name, known in choices:
        if name is not None and name not in known:
            raise ValueError(f"{of} {name!r}: choose from {', '.join(known)}")
    counts = EPOCHS[epochs] if isinstance(epochs, str) else epochs
    collection = named_collection(str(what))
    cut_as: str | None = None
    left_out: list[LeftOut] = []
    if collection is None:
        if frame is None:
            raise ValueError(f"{what}: give --frame, the number of a frame in its micro-expression")
        if stop == "truth":
            raise ValueError(f"{what}: nobody knows its truth, to stop by; --stop unchanged")
        found = [of_path(Path(what), frame=frame, first=first, last=last, fps=fps)]
        modules = tuple(modules or ("A+C",))
        if any("I" in module for module in modules):
            raise ValueError(
                f"{what}: one clip has one category, there is nothing to identify; "
                "give the modules A or A+C"
            )
    else:
        if frame is not None or first is not None or last is not None:
            raise ValueError("--frame, --first and --last are of one clip; --start of a collection")
        corpus, root = collection
        clips = list(COLLECTIONS[corpus].read(root))
        cut_as = cut or usual_cut(clips)
        found, left_out = cuts(clips, cut=cut_as, seed=seed)
        if start in BY_APEX:
            left_out += [LeftOut(o.key, "nobody coded its apex") for o in found if not o.has_apex]
            found = [one for one in found if one.has_apex]
        modules = tuple(modules or ("A+I+C",))
    _some(found, left_out, what)
    look, store = Look(size, margin, flow if collection else None), store or out / "views"
    seen, failed = _look(found, look, store, workers, progress)
    _some(seen, failed, what)
    marked: list[tuple[Cut, Seen, int]] = []
    for one, shown in seen:
        if frame is not None:
            given = bisect_left(one.numbers, frame)
        else:
            given = STARTS[start](one.truth, shown.frames, _rng(seed, "start", one.key))
        marked.append((one, shown, given))
    rates = [one.clip.fps for one, _, _ in marked if one.clip.fps is not None]
    if reach is None:
        if not rates:
            raise ValueError(f"{what}: no frame rate is told; give --reach")
        reach = "samm" if float(np.median(rates)) >= REACH_FPS else "casme2sq"
    # all that inference gets
    inputs = [MarkedClip(shown.frames, given, _category(one.clip)) for one, shown, given in marked]
    truths = (
        [(one.truth.first, one.truth.last) for one, _, _ in marked] if stop == "truth" else None
    )
    network = functools.partial(build, weights="imagenet") if imagenet else build
    inferences: dict[str, Inference] = {}
    seconds: dict[str, float] = {}
    for module in modules:
        began = time.perf_counter()
        inferences[module] = infer(
            inputs,
            classes=1 if collection is None else OTHERS + 1,
            seed=seed,
            reach=reach,
            build=network,
            modules=module,
            epochs=counts,
            truths=truths,
            checkpoint=out / "state" / f"{module}.safetensors",
            device=device,
            progress=None if progress is None else functools.partial(progress, module),
        )
        seconds[module] = round(time.perf_counter() - began, 3)
    rows = [
        compare(f"MECIA {module}", one, given, inferred)
        for module, inference in inferences.items()
        for (one, _, given), inferred in zip(marked, inference.inferred, strict=True)
    ]
    baselines = [
        compare(name, one, given, baseline(shown, given))
        for name, baseline in BASELINES.items()
        if collection is not None and (flow is not None or name != "flow threshold")
        for one, shown, given in marked
    ]
    done = Done(
        out,
        tuple(rows),
        _figures(rows, baselines, seed=seed),
        tuple(left_out),
        tuple(failed),
        any(one.clip.stand_in for one, _, _ in marked),
    )
    told = {
        "mie_x": __version__,
        "what": str(what),
        "stand_in": done.stand_in,
        "start": "given" if collection is None else start,
        "cut": cut_as or "given",
        "modules": list(modules),
        "reach": reach,
        "epochs": list(counts),
        "stop": stop,
        "uses_truth": stop == "truth",
        "size": size,
        "published_size": VIEW,
        "margin": margin,
        "flow": look.flow,
        "imagenet": imagenet,
        "seed": seed,
        "device": device,
    }
    _write(done, baselines, marked, inferences, seconds, told)
    return done


def of_path(
    path: Path, *, frame: int, first: int | None, last: int | None, fps: float | None
) -> Cut:
    """The video or folder at PATH, from FIRST to LAST (None: all of it), which holds FRAME."""
    told = recordings.of_path(path, fps=fps)
    ends = told.numbers[0] if first is None else first, told.numbers[-1] if last is None else last
    numbers = tuple(number for number in told.numbers if ends[0] <= number <= ends[1])
    if frame not in numbers[1:-1]:
        raise ValueError(
            f"{path}: no frame {frame} between the first and last that are looked at, "
            f"{ends[0]} and {ends[1]}: these two are taken as not of the micro-expression"
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


def _some(found: Sequence[object], lost: Sequence[LeftOut], what: str | Path) -> None:
    """ValueError with the first reason where nothing was FOUND."""
    if not found:
        first = f"; the first: {lost[0].key}: {lost[0].reason}" if lost else ""
        raise ValueError(f"{what}: no clip whose key frames can be inferred{first}")


def _look(
    found: Sequence[Cut],
    look: Look,
    store: Path,
    workers: int,
    progress: Callable[[str, int, int], None] | None,
) -> tuple[list[tuple[Cut, Seen]], list[LeftOut]]:
    """What is seen of each; those that cannot be."""
    kept = Parallel(n_jobs=workers, return_as="generator")(
        delayed(look.keep)(cut, store) for cut in found
    )
    failed, whole_ones = [], []
    for count, (cut, reason) in enumerate(zip(found, kept, strict=True), 1):
        if reason:
            failed.append(LeftOut(cut.key, reason))
        else:
            whole_ones.append(cut)
        if progress is not None:
            progress("seen", count, len(found))
    return [(cut, look.kept(cut, store)) for cut in whole_ones], failed


def _category(clip: Clip) -> int:
    """Of a collection's clip its class, or ``OTHERS``; 0 of a clip that nobody coded."""
    if clip.onset is None:
        return 0
    return OTHERS if clip.label is None else clip.label


# -- figures -------------------------------------------------------------------------------------

Values = list[tuple[Person, float]]
"""A number a clip, with its person."""


def median_spread(values: Values, *, seed: int) -> Spread:
    """The interval of the median of VALUES, people resampled as in ``mean_spread``."""
    ranked = np.unique([value for _, value in values])
    counts: dict[Person, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(ranked)))
    for who, value in values:
        counts[who][np.searchsorted(ranked, value)] += 1

    def score(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        below, half = sums.cumsum(axis=1), sums.sum(axis=1, keepdims=True) / 2
        lower, upper = (below >= half).argmax(axis=1), (below > half).argmax(axis=1)
        return np.asarray((ranked[lower] + ranked[upper]) / 2)

    return resampled(counts.values(), score, seed=seed)


def figure(values: Values, *, seed: int) -> dict[str, Any]:
    """Mean and median of VALUES, None of none, and their 95 % intervals over two people or more."""
    numbers = [value for _, value in values]
    people = len({who for who, _ in values})
    mean, median = (
        (None, None)
        if people < 2
        else (mean_spread(values, seed=seed), median_spread(values, seed=seed))
    )
    return {
        "clips": len(numbers),
        "people": people,
        "mean": float(np.mean(numbers)) if numbers else None,
        "interval": mean and [mean.low, mean.high],
        "median": float(np.median(numbers)) if numbers else None,
        "median_interval": median and [median.low, median.high],
    }


MEASURES: dict[str, Callable[[Found], float | None]] = {
    "iou": lambda one: one.iou,
    "f1": lambda one: one.f1,
    "iou_good": lambda one: None if one.iou is None else float(one.iou >= GOOD),
    "onset_ms": lambda one: one.errors and one.errors.onset,
    "apex_ms": lambda one: one.errors and one.errors.apex,
    "offset_ms": lambda one: one.errors and one.errors.offset,
    "apex_share": lambda one: one.errors and one.errors.apex_share,
}
"""What is measured of a clip; None where it cannot be told."""


def _who(cut: Cut) -> Person:
    return person(cut.clip.origin.corpus, cut.clip.origin.subject)


def _figures(
    rows: Sequence[Found], baselines: Sequence[Found], *, seed: int
) -> dict[str, dict[str, Any]]:
    """Of each method every one of ``MEASURES``; of MECIA's also the IoU less that of halfway."""
    methods: dict[str, list[Found]] = defaultdict(list)
    for one in (*rows, *baselines):
        if one.cut.told:
            methods[one.method].append(one)
    figures: dict[str, dict[str, Any]] = {}
    for method, found in methods.items():
        figures[method] = {}
        for name, measure in MEASURES.items():
            told = [(_who(one.cut), measure(one)) for one in found]
            values = [(who, value) for who, value in told if value is not None]
            figures[method][name] = figure(values, seed=seed)
    by_halfway = methods.get(next(iter(BASELINES)), [])
    for method in dict.fromkeys(one.method for one in rows if one.cut.told):
        found = methods[method]
        less = [
            (_who(one.cut), (one.iou or 0) - (other.iou or 0))
            for one, other in zip(found, by_halfway, strict=True)
        ]
        figures[method]["iou_less_halfway"] = figure(less, seed=seed)
        by_formula, by_chance = [], []
        for one in found:
            truth, length = one.cut.truth, len(one.cut.numbers)
            ends = truth.first, truth.last
            formula = RANDOM_IOU[overlap(one.inferred, ends)]
            by_formula.append((_who(one.cut), formula(truth.length, length)))
            by_chance.append((_who(one.cut), random_iou(length, one.given, ends)))
        figures[f"{FORMULA}, where {method} lies"] = {"iou": figure(by_formula, seed=seed)}
        figures[CHANCE] = {"iou": figure(by_chance, seed=seed)}
    return figures


# -- files ---------------------------------------------------------------------------------------

COLUMNS = (
    "stand_in", "uses_truth", "method", "corpus", "subject", "clip", "fps", "frame",
    "onset", "apex", "offset", "true_onset", "true_apex", "true_offset", "iou", "f1",
    "onset_ms", "apex_ms", "offset_ms", "apex_share",
)  # fmt: skip


def _line(one: Found, *, uses_truth: bool) -> list[object]:
    clip, errors = one.cut.clip, one.errors
    coded = clip.apex if one.cut.has_apex else None
    measured = [one.iou, one.f1]
    if errors is None:
        measured += [None] * 4
    else:
        measured += [errors.onset, errors.apex, errors.offset, errors.apex_share]
    return [
        clip.stand_in, uses_truth, one.method, *clip.origin, clip.fps, one.cut.numbers[one.given],
        *one.numbers, clip.onset, coded, clip.offset,
        *(None if value is None else round(value, 6) for value in measured),
    ]  # fmt: skip


def _write(
    done: Done,
    baselines: Sequence[Found],
    marked: Sequence[tuple[Cut, Seen, int]],
    inferences: Mapping[str, Inference],
    seconds: Mapping[str, float],
    told: dict[str, Any],
) -> None:
    out, uses_truth = done.out, told["uses_truth"]
    for name, rows in (("keyframes", done.found), ("baselines", baselines)):
        if rows:
            lines = [_line(one, uses_truth=uses_truth and name == "keyframes") for one in rows]
            write_sheet(out / f"{name}.csv", {name: [COLUMNS, *lines]})
    odd = {
        one.key: [*one.clip.odd, *one.clip.repaired]
        + [f"{shown.faces} faces on its first frame, the largest is taken"] * (shown.faces > 1)
        for one, shown, _ in marked
    }
    drawn = _draw(done, inferences, told)
    results = told | {
        "clips": len(marked),
        "figures": done.figures,
        "rounds": {name: [r._asdict() for r in one.log] for name, one in inferences.items()},
        "seconds": dict(seconds),
        "left_out": [list(one) for one in done.left_out],
        "failed": [list(one) for one in done.failed],
        "odd": {key: remarks for key, remarks in odd.items() if remarks},
        "pictures": drawn,
    }
    write_json(out / "results.json", results)
    write_text(out / "report.md", _report(done, results))


def _draw(done: Done, inferences: Mapping[str, Inference], told: Mapping[str, Any]) -> list[str]:
    """Draw the first ``DRAWN`` clips of each set of modules; the pictures' places in OUT."""
    drawn = []
    for module, inference in inferences.items():
        method = f"MECIA {module}"
        rows = [one for one in done.found if one.method == method]
        for number, (one, scores) in enumerate(
            zip(rows[:DRAWN], inference.scores, strict=False), 1
        ):
            if one.cut.clip.fps is None:
                continue
            name = re.sub(r"[^\w.-]", "_", one.cut.key)
            path = done.out / "pictures" / module / f"{number:02d}_{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            title = f"{one.cut.key}: key frames by {method} from frame {one.cut.numbers[one.given]}"
            if one.iou is not None:
                title += f", IoU {one.iou:.2f}"
            if told["uses_truth"]:
                title += f"; {STOPS['truth']}"
            timeline.write(
                timeline.draw(
                    title,
                    fps=one.cut.clip.fps,
                    scores=scores.annotation,
                    threshold=0.5,
                    found=[Interval(one.inferred.onset, one.inferred.offset,
                                    apex=one.inferred.apex)],
                    truths=[one.cut.truth] if one.cut.told else None,
                    marks=[("the frame given", one.given, one.given)],
                    stand_in=one.cut.clip.stand_in,
                    score="probability of a micro-expression",
                ),
                path,
            )  # fmt: skip
            drawn.append(path.relative_to(done.out).as_posix())
    return drawn


def _report(done: Done, told: Mapping[str, Any]) -> str:
    blocks = [f"# {STAND_IN}: key frames" if done.stand_in else "# Key frames"]
    if told["uses_truth"]:
        blocks.append(f"**{STOPS['truth']}.** For comparison with the paper alone.")
    blocks.append(_how(told))
    if done.figures:
        blocks += ["## How near", _near(done.figures), _table(done.figures)]
    blocks += ["## What was found", _key_frames(done.found)]
    blocks += ["## Rounds", _rounds(told)]
    for title, lost in (("left out", done.left_out), ("not seen", done.failed)):
        if lost:
            reasons = [f"- {plain(one.key)}: {plain(one.reason)}" for one in lost[:MOST_REASONS]]
            more = len(lost) - MOST_REASONS
            reasons += [f"- {more} more, in results.json"] * (more > 0)
            blocks += [f"## {len(lost)} {title}", "\n".join(reasons)]
    if told["odd"]:
        lines = [
            f"- {plain(key)}: {plain('; '.join(remarks))}"
            for key, remarks in list(told["odd"].items())[:MOST_REASONS]
        ]
        more = len(told["odd"]) - MOST_REASONS
        blocks += [
            f"## {len(told['odd'])} odd",
            "\n".join(lines + [f"- {more} more, in results.json"] * (more > 0)),
        ]
    if told["pictures"]:
        blocks.append(f"## Pictures\n\nOf the first {DRAWN} clips at most.")
        blocks += [f"![{plain(Path(path).stem)}]({path})" for path in told["pictures"]]
    return "\n\n".join(blocks) + "\n"


def _how(told: Mapping[str, Any]) -> str:
    """What was given and how it was inferred, in a few sentences."""
    cut = "from its first to its last frame" if told["cut"] == "given" else CUTS[told["cut"]]
    first, later = told["epochs"]
    said = [
        f"{plain(told['what'])}: {told['clips']} clips, inferred together by one network, which "
        "learns from them alone",
        f"given of each: one frame ({told['start']}) and where it is looked at ({cut})",
        f"{STOPS[told['stop']]}",
        f"at most {first} epochs in the first round and {later} in later ones"
        + ("" if [first, later] == list(EPOCHS["published"]) else " (published: 2000 and 200)"),
        f"faces of {told['size']} px"
        + ("" if told["size"] == VIEW else f" (published: {VIEW}; fewer are quicker, not it)"),
        f"reach as published for {told['reach']}; "
        + ("the network began with ImageNet's weights" if told["imagenet"] else
           "the network's weights were drawn")
        + f"; seed {told['seed']}",
    ]  # fmt: skip
    return "\n".join(f"- {one}" for one in said)


def _near(figures: Mapping[str, Mapping[str, Any]]) -> str:
    (first, *_) = figures.values()
    blocks = [
        f"{first['iou']['clips']} clips of {first['iou']['people']} people whose key frames are "
        "coded. Means, the IoU's median too, with their 95 % intervals over people; errors of the "
        "apex where one was coded. Halfway sees no pixel: what does not beat it has shown nothing "
        "but where the clip was cut."
    ]
    for method, of in figures.items():
        if less := of.get("iou_less_halfway"):
            mean, interval = less["mean"], less["interval"]
            blocks.append(
                f"{method} less halfway, mean IoU: {mean:+.3f}"
                + ("" if interval is None else " [{:+.3f}, {:+.3f}]".format(*interval))
            )
    return "\n\n".join(blocks)


def _table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    head = ["method", "IoU", "median", f"IoU from {GOOD} on", "F1", "onset, ms", "apex, ms"]
    rows = [[*head, "offset, ms", "apex / length"]]
    for method, of in figures.items():
        median = {"mean": of["iou"]["median"], "interval": of["iou"]["median_interval"]}
        rows.append([method, _cell(of["iou"], 3), _cell(median, 3)])
        for name, digits in (("iou_good", 2), ("f1", 3), ("onset_ms", 0), ("apex_ms", 0),
                             ("offset_ms", 0), ("apex_share", 2)):  # fmt: skip
            rows[-1].append(_cell(of[name], digits) if name in of else "-")
    return table(rows)


def _cell(of: Mapping[str, Any], digits: int) -> str:
    if of["mean"] is None:
        return "-"
    text = f"{of['mean']:.{digits}f}"
    if of["interval"] is not None:
        low, high = of["interval"]
        text += f" [{low:.{digits}f}, {high:.{digits}f}]"
    return text


def _key_frames(found: Sequence[Found]) -> str:
    rows = [["clip", "modules", "frame given", "onset", "apex", "offset", "coded", "IoU"]]
    for one in found[:DRAWN]:
        clip = one.cut.clip
        coded_apex = clip.apex if one.cut.has_apex else "-"
        coded = f"{clip.onset}, {coded_apex}, {clip.offset}" if one.cut.told else "-"
        numbers = (one.cut.numbers[one.given], *one.numbers)
        iou = "-" if one.iou is None else f"{one.iou:.3f}"
        method = one.method.removeprefix("MECIA ")
        rows.append([one.cut.key, method, *map(str, numbers), coded, iou])
    more = f"\n\n{len(found) - DRAWN} more in keyframes.csv." if len(found) > DRAWN else ""
    return table(rows) + more


def _rounds(told: Mapping[str, Any]) -> str:
    rows = [["modules", "rounds", "epochs", "last loss", "agreed, least", "seconds"]]
    for name, log in told["rounds"].items():
        epochs, agreed = sum(one["epochs"] for one in log), min(one["agreed"] for one in log)
        told_of = [
            len(log),
            epochs,
            f"{log[-1]['loss']:.4f}",
            f"{agreed:.3f}",
            told["seconds"][name],
        ]
        rows.append([name, *map(str, told_of)])
    return table(rows) + (
        "\n\nAgreed is the share of learned frames that a round then scores as they are labelled; "
        "below 1 its epochs were too few."
    )
