"""Recordings to spot in: the footage of a collection with its truths, or one that nobody coded.

An expression's place is told by position, not by number: numbers may begin anywhere, and some may
be missing. What is missing does not make a recording useless, as the flow of a tenth of a second
spans at most one tenth more; so a gap up to ``GAP`` is told in ``odd``, and a longer one, or more
than ``MISSING`` of all frames, leaves the recording out: its times would not be what they are said
to be. A recording one of whose expressions cannot be placed is left out as a whole, since finding
it would count as false.

A collection's sheet lists expressions, so that a video without any is not among its recordings.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.collection import place, standin_mark
from mie_x.datasets.footage import Video, footage_at
from mie_x.folds import Person, person
from mie_x.intervals import Interval
from mie_x.records import Clip, Footage
from pipelines.examples import LeftOut

GAP = 0.1  # s, the step of MEAN's flow
MISSING = 0.1  # of the frames from the first to the last

MEANS = ("its apex", "before the recording")  # what a repair says that leaves a truth one

CONSTANT = "make its rate constant: ffmpeg -i IN -fps_mode cfr -c:v ffv1 OUT.mkv"


@dataclass(frozen=True, eq=False)
class Recording:
    """Footage of one person, and the expressions that are known in it.

    ``name`` is "samm-lv/006_1", corpus and footage, or that of a file. ``numbers`` are all frame
    numbers of the footage, of a lone video those between its given ends; ``truths`` count positions
    in these, from 0. A truth has an apex where one was coded. ``told``: whether the expressions are
    known at all. ``odd`` is what is strange and was left as it is.
    """

    name: str
    subject: Person
    footage: Footage
    numbers: Sequence[int]
    fps: float
    truths: tuple[Interval, ...]
    stand_in: bool = False
    told: bool = True
    odd: tuple[str, ...] = ()


def of_collection(
    name: str, root: Path, *, fps: float | None = None, kind: str | None = None
) -> tuple[list[Recording], list[LeftOut]]:
    """The recordings of the collection NAME in ROOT, in the order of its sheet; what is none.

    Clips that share footage are the truths of one recording, in the order of their onsets. FPS is
    the frame rate where the collection tells none. Where one KIND alone is looked for, a clip of
    another that cannot be placed is told in ``odd``, and no truth. ValueError where two recordings
    have one name.
    """
    films: dict[Footage, list[Clip]] = {}
    for clip in COLLECTIONS[name].read(root):
        films.setdefault(clip.footage, []).append(clip)
    found: list[Recording] = []
    left_out = []
    for footage, clips in films.items():
        key = f"{clips[0].origin.corpus}/{footage.name}"
        try:
            found.append(_recording(key, footage, clips, fps, kind))
        except (ValueError, OSError) as error:
            left_out.append(LeftOut(key, " ".join(str(error).split())))
    _once(recording.name for recording in found)
    return found, left_out


def _once(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two recordings are called {name!r}; rename one")
        seen.add(name)


def _recording(
    name: str, footage: Footage, clips: Sequence[Clip], fps: float | None, kind: str | None
) -> Recording:
    """ValueError with the reason where it cannot be used."""
    if not len(footage.numbers):
        raise ValueError(clips[0].problem or "no frames")
    truths, odd = [], []
    for clip in clips:
        try:
            truths.append(_truth(clip))
        except ValueError as error:
            if kind in (None, clip.kind):
                raise
            odd.append(str(error))
    people = {person(clip.origin.corpus, clip.origin.subject) for clip in clips}
    if len(people) > 1:
        raise ValueError(f"its clips are of {' and '.join(sorted(who.subject for who in people))}")
    rates = {clip.fps or fps for clip in clips}
    if None in rates:
        raise ValueError("its frame rate is not told")
    if len(rates) > 1:
        raise ValueError(f"its clips tell of {' and '.join(map(str, rates))} frames a second")
    rate = float(rates.pop() or 0)
    odd += odd_times(footage, footage.numbers, rate)
    odd += [
        f"{clip.origin.clip}: all of its video, so that finding it says little"
        for clip in clips
        if _all_of_it(clip)
    ]
    odd += [f"{c.origin.clip}: {what}" for c in clips for what in (*c.repaired, *c.odd)]
    return Recording(
        name,
        people.pop(),
        footage,
        footage.numbers,
        rate,
        tuple(sorted(truths, key=lambda one: (one.first, one.last))),
        stand_in=any(clip.stand_in for clip in clips),
        odd=tuple(odd),
    )


def _all_of_it(clip: Clip) -> bool:
    """Whether CLIP has no frame before its onset, nor after its offset."""
    return (clip.onset, clip.offset) == (clip.footage.numbers[0], clip.footage.numbers[-1])


def _truth(clip: Clip) -> Interval:
    """CLIP by positions in its footage; its last is the last frame that is there.

    An offset that was not annotated may be the apex, as in MEAN, and an onset before the recording
    its first frame; any other guess of a reader is no truth.
    """
    if clip.problem or clip.onset is None or clip.offset is None:
        raise ValueError(f"{clip.origin.clip}: {clip.problem or 'its onset or offset is not told'}")
    for repair in clip.repaired:
        if repair.startswith(("onset", "offset")) and not any(rule in repair for rule in MEANS):
            raise ValueError(f"{clip.origin.clip}: {repair}")
    if _all_of_it(clip) and not has_apex(clip):
        raise ValueError(f"{clip.origin.clip}: all of its video, without an apex: nothing is coded")
    return placed(clip, clip.footage.numbers)


def has_apex(clip: Clip) -> bool:
    """Whether an apex of CLIP was coded."""
    return clip.apex is not None and clip.apex_from == "coded"


def placed(clip: Clip, numbers: Sequence[int]) -> Interval:
    """CLIP, whose onset and offset are told, by positions in NUMBERS, ascending."""
    assert clip.onset is not None and clip.offset is not None
    return Interval(
        bisect_left(numbers, clip.onset),
        bisect_right(numbers, clip.offset) - 1,
        kind=clip.kind,
        label=clip.label,
        apex=bisect_left(numbers, clip.apex or 0) if has_apex(clip) else None,
    )


def of_path(
    path: Path, *, fps: float | None, first: int | None = None, last: int | None = None
) -> Recording:
    """The video file, or folder of frames, at PATH, of which nothing is known.

    FIRST and LAST are the numbers of the frames that it begins and ends with, None where it does.
    FPS overrides what a video tells, as that of a quick camera played slowly, and ``odd`` says so;
    a folder tells nothing. ValueError, naming PATH, where it cannot be used.
    """
    name = path.absolute().name
    footage = footage_at(path, name)
    if not footage.numbers:
        raise ValueError(f"{path}: no pictures with a number in their names")
    numbers = [
        number
        for number in footage.numbers
        if (first is None or number >= first) and (last is None or number <= last)
    ]
    if not numbers:
        raise ValueError(
            f"{path}: none of its frames, {footage.numbers[0]} to {footage.numbers[-1]}, is from "
            f"{first} to {last}"
        )
    told = footage.fps if isinstance(footage, Video) else None
    fps = told if fps is None else fps
    if fps is None:
        raise ValueError(f"{path}: its frames a second are not told; give --fps")
    try:
        odd = odd_times(footage, numbers, fps)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if told is not None and told != fps:
        odd.append(f"taken for {fps:g} frames a second, not its own {told:g}")
    return Recording(
        name,
        Person("", str(path)),
        footage,
        numbers,
        fps,
        (),
        stand_in=standin_mark(place(footage)) is not None,
        told=False,
        odd=tuple(odd),
    )


def odd_times(footage: Footage, numbers: Sequence[int], fps: float | None) -> list[str]:
    """What is odd about the times of FOOTAGE's frames of NUMBERS; ValueError where they cannot be
    used. FPS None is not known: then a gap is judged by what share of the frames it is, alone."""
    if fps is not None and not fps > 0:
        raise ValueError(f"{fps} frames a second; the rate of a video is above 0")
    if isinstance(footage, Video) and footage.uneven:
        raise ValueError(f"{footage.uneven}; {CONSTANT}")
    steps = np.diff(numbers)
    missing = int((steps - 1).sum())
    if not missing:
        return []
    longest = int(steps.argmax())
    if fps is not None and steps[longest] > max(1, GAP * fps):
        raise ValueError(
            f"no frames between {numbers[longest]} and {numbers[longest + 1]}, "
            f"{steps[longest] / fps:.2f} s at {fps:g} frames a second"
        )
    if missing > MISSING * steps.sum():
        raise ValueError(f"{missing} of {steps.sum()} frames are missing: its times are not true")
    return [f"{missing} frames are missing, {steps[longest] - 1} in a row at most"]
