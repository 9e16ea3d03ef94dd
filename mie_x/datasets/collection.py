"""What is known of a collection: reader, stand-in, published counts, merging rule."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mie_x.datasets.footage import Pictures, Video
from mie_x.datasets.key_frames import KeyFrames
from mie_x.records import LABELS, Clip, Footage, Origin

MARK = "STAND-IN.txt"


@dataclass(frozen=True)
class Published:
    """Counts of one kind of clips ("micro" or "macro") as ``source`` tells them.

    ``emotions`` are in lower case; ``labels`` by class name, after the merging rule; ``by_subject``
    (negative, positive, surprise). None or empty where ``source`` does not tell.
    """

    source: str
    clips: int | None = None
    subjects: int | None = None
    emotions: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    by_subject: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    kind: str = "micro"


@dataclass(frozen=True)
class Collection:
    """A collection of real clips. ``read(root)`` hands out every row of its sheets, in their order.

    ``write_standin(root, *, subjects, clips, seed, workers)`` writes rendered clips in the same
    layout and returns what ``read`` is to find; where the collection ``lives``, it takes ``rest``
    too: seconds around expressions in which people blink and move (``standin.live``). ``published``
    holds one entry a release; a copy matches if it matches one entry of each kind. ``merging`` is
    the rule of the three classes in words, ``access`` who gives the collection out and under which
    terms. ``gaps``: whether frames are missing in the collection as it is handed out.
    """

    name: str
    title: str
    access: str
    merging: str
    read: Callable[[Path], Iterator[Clip]]
    write_standin: Callable[..., list[Clip]]
    published: tuple[Published, ...] = ()
    gaps: bool = False
    lives: bool = False


def make_clip(
    origin: Origin,
    footage: Footage,
    keys: KeyFrames,
    emotion: str,
    label_of: Mapping[str, str],
    *,
    fps: float | None,
    stand_in: bool = False,
    aus: str = "",
    kind: str = "micro",
) -> Clip:
    """A row of a sheet, read; LABEL_OF is the merging rule: emotion in lower case -> class."""
    label = label_of.get(emotion.strip().lower())
    return Clip(
        origin,
        footage,
        keys.onset,
        keys.apex,
        keys.offset,
        emotion,
        None if label is None else LABELS[label],
        aus=aus,
        kind=kind,
        fps=fps,
        apex_from=keys.apex_from,
        repaired=tuple(keys.repaired),
        odd=tuple(keys.odd),
        problem=keys.problem,
        stand_in=stand_in,
    )


def handed_out(clips: Iterable[Clip]) -> Iterator[Clip]:
    """CLIPS as a reader hands them out: they say what lies in a stand-in, and what was told before.

    Frames are a stand-in's wherever ROOT points: above its folder, into it, or to links to it.
    """
    seen: set[Origin] = set()
    for clip in clips:
        if clip.origin in seen:
            clip = replace(clip, problem="in the sheet twice")
        seen.add(clip.origin)
        yield replace(clip, stand_in=standin_mark(place(clip.footage)) is not None)


def first_there(*folders: Path) -> Path:
    """The first of FOLDERS that is there; the last where none is."""
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


def place(footage: Footage) -> Path:
    """Where the frames lie, or would lie: a folder, or a video file."""
    assert isinstance(footage, Pictures | Video)
    return footage.folder if isinstance(footage, Pictures) else footage.path


def standin_mark(path: Path) -> Path | None:
    """``STAND-IN.txt`` of the stand-in that PATH is or lies in, links followed; None if in none."""
    above = (path, *path.absolute().parents, *Path(os.path.realpath(path)).parents)
    return next((folder / MARK for folder in above if (folder / MARK).is_file()), None)


def counts(clips: Iterable[Clip], *, kind: str) -> dict[str, Any]:
    """What CLIPS of KIND count, in the fields of ``Published``; JSON-able, keys sorted.

    Every row of the sheet counts, usable or not: that is how collections are published.
    """
    names = {value: name for name, value in LABELS.items()}
    some = [clip for clip in clips if clip.kind == kind]
    emotions = Counter(clip.emotion.lower() for clip in some if clip.emotion)
    labels = Counter(names[clip.label] for clip in some if clip.label is not None)
    by_subject: dict[str, list[int]] = {}
    for clip in some:
        of_subject = by_subject.setdefault(clip.origin.subject, [0, 0, 0])
        if clip.label is not None:
            of_subject[clip.label] += 1
    return {
        "clips": len(some),
        "subjects": len(by_subject),
        "emotions": dict(sorted(emotions.items())),
        "labels": dict(sorted(labels.items())),
        "by_subject": {name: tuple(by_subject[name]) for name in sorted(by_subject)},
    }
