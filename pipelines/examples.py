"""Examples to train and test recognizers on: of a synthetic dataset, a collection, flow pictures.

One record for all three, so that what is synthetic and what is real goes one way. An example shows
a clip from its onset to its apex, 128 x 128 px; its frames are read when they are asked for:

- of a dataset (``of_dataset``) as they lie there;
- of a collection (``of_collection``) through one matrix, by the face on the onset frame
  (``mie_x.faces.aligned``), as synthetic faces are framed. Clips end at the apex, since those of a
  dataset do: what a sequence would show of the fall, it would show on one side alone;
- flow pictures (``of_flow_pictures``) have no frames; ``pipelines.views`` takes them as they are.

What cannot be used is handed on as ``LeftOut``, with the reason. Not left out are the few
micro-expressions whose onset and apex are one frame: they belong to the published counts, show the
same frame twice, and every flow of them is 0.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mie_x import shards
from mie_x.datasets import COLLECTIONS, flow_images
from mie_x.datasets.flow_images import FlowPicture
from mie_x.datasets.footage import Pictures
from mie_x.faces.aligned import aligned, find_alignment
from mie_x.formats import FORMATS, record_paths
from mie_x.frames import read_png
from mie_x.manifest import SUMS, read_manifest
from mie_x.records import Clip, Footage, Frames, Origin

EARLY = 0.35
"""How far into the rise of a macro-expression its frame is taken that looks like a
micro-expression's apex: the middle of 0.25 to 0.45, from where MiE-X's scripts draw it."""

MOST = 64
"""Frames of a clip at most: the rise of a micro-expression, a quarter of a second, at 200 fps.
Longer ones are macro; of those as many are shown, at equal steps."""

Rows = NDArray[np.int64]
Read = tuple[int, NDArray[Any] | str]
"""A row and what it shows, or why it shows nothing."""


class LeftOut(NamedTuple):
    """What is no example, or cannot be seen, and why."""

    key: str
    reason: str


class Pool(Protocol):
    """Where examples come from, as a whole; an example is a row of it.

    ``gives`` is what its parts give: "frames" (T, 128, 128, 3) uint8, or "flow_28" (3, 28, 28)
    float32. ``lengths`` (N,) is each row's T. ``sha256`` changes when anything it gives may have
    changed. ``on_template``: whether its faces were laid on the template of ``mie_x.faces``.
    """

    @property
    def gives(self) -> str: ...
    @property
    def lengths(self) -> Rows: ...
    @property
    def sha256(self) -> str: ...
    @property
    def on_template(self) -> bool: ...

    def parts(self, rows: Sequence[int], *, ends: bool) -> Iterator[Callable[[], Iterator[Read]]]:
        """Work on ascending ROWS, to be shared out among processes; in the order of ROWS.

        With ENDS the frames are onset and apex alone, (2, 128, 128, 3).
        """


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One labelled expression. ``origin`` is whose movement it is, None if nobody's.

    ``source`` is "mie", "mae" or "exp" of a dataset, "real" of a collection, "flow" of a flow
    picture; ``subject`` who is seen: an identity, or corpus/subject; ``kind`` "micro" or "macro".
    ``row`` is its place in ``pool``. ``stand_in``: whether movement or face are invented.
    ``emotion`` is the source's own word, "" where there is none.
    """

    key: str
    origin: Origin | None
    source: str
    subject: str
    label: int
    kind: str
    stand_in: bool
    pool: Pool
    row: int
    emotion: str = ""

    @property
    def frames(self) -> Frames:
        """From onset to apex, (T, 128, 128, 3) uint8 RGB; ValueError where there is nothing."""
        if self.pool.gives != "frames":
            raise ValueError(f"{self.key}: a flow picture has no frames")
        ((_, frames),) = next(self.pool.parts([self.row], ends=False))()
        if isinstance(frames, str):
            raise ValueError(f"{self.key}: {frames}")
        return frames


class Found(NamedTuple):
    """Examples in the order of their pool, and what is none."""

    examples: list[Example]
    left_out: list[LeftOut]


def _sha256(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


# -- of a synthetic dataset ----------------------------------------------------------------------


def of_dataset(folder: Path, *, sources: Iterable[str] | None = None) -> Found:
    """The samples of a finished dataset, in order: those of SOURCES where given, else all.

    ValueError where FOLDER is no finished dataset, or lacks one of SOURCES. Every part of a dataset
    shares the views that ``pipelines.views`` keeps of it.
    """
    pool = DatasetPool(folder)
    there = list(pool.settings["sources"])
    wanted = set(there if sources is None else sources)
    if absent := sorted(wanted - set(there)):
        raise ValueError(f"{folder} has no samples of {absent[0]}; there are {', '.join(there)}")
    columns = ["sample_key", "identity", "source", "label", "emotion"]
    columns += ["stand_in_motion", "rendered_face"]
    columns += [f"origin_{name}" for name in Origin._fields]
    tables = [shards.table_of(path, columns) for path in pool.records]
    rows = itertools.chain.from_iterable(table.to_pylist() for table in tables)
    examples = [
        Example(
            row["sample_key"],
            Origin(*(row[f"origin_{name}"] for name in Origin._fields))
            if row["origin_corpus"] is not None
            else None,
            row["source"],
            row["identity"],
            row["label"],
            "micro",
            row["stand_in_motion"] or row["rendered_face"],
            pool,
            number,
            row["emotion"],
        )
        for number, row in enumerate(rows)
        if row["source"] in wanted
    ]
    return Found(examples, [])


@dataclass(frozen=True, eq=False)
class DatasetPool:
    """A finished dataset; its rows are those of its records, one after another."""

    folder: Path
    gives = "frames"

    @cached_property
    def settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = read_manifest(self.folder)["settings"]
        return settings

    @cached_property
    def records(self) -> list[Path]:
        return record_paths(self.folder, self.settings["format"])

    @cached_property
    def groups(self) -> list[tuple[Path, int, int]]:
        """Every row group: its record, its number there, its first row in the pool."""
        found, first = [], 0
        for path in self.records:
            told = pq.read_metadata(path)
            for group in range(told.num_row_groups):
                found.append((path, group, first))
                first += told.row_group(group).num_rows
        return found

    @cached_property
    def lengths(self) -> Rows:
        """The apex may stand before the last frame: then the clip goes on to the offset."""
        if self.settings["frames"] == 2:
            return np.full(sum(pq.read_metadata(path).num_rows for path in self.records), 2)
        apexes = [shards.table_of(path, ["apex_frame"])["apex_frame"] for path in self.records]
        lengths: Rows = np.concatenate([apex.to_numpy() for apex in apexes]).astype(np.int64) + 1
        return lengths

    @cached_property
    def sha256(self) -> str:
        """Of its list of checksums, which tells of every byte."""
        return hashlib.sha256((self.folder / SUMS).read_bytes()).hexdigest()

    @cached_property
    def on_template(self) -> bool:
        """Drawn faces are, photographs where they were aligned by similarity."""
        return bool(self.settings["faces"].get("align", "similarity") == "similarity")

    def parts(self, rows: Sequence[int], *, ends: bool) -> Iterator[Callable[[], Iterator[Read]]]:
        wanted = np.asarray(rows)
        firsts = [first for _, _, first in self.groups]
        group_of = np.searchsorted(firsts, wanted, side="right") - 1
        for number in np.unique(group_of).tolist():
            path, group, first = self.groups[number]
            inside = (wanted[group_of == number] - first).tolist()
            layout = self.settings["format"]
            yield _RowGroup(self.folder, layout, path, group, first, tuple(inside), ends)


@dataclass(frozen=True)
class _RowGroup:
    """Some rows of a row group: their frames."""

    folder: Path
    format: str
    path: Path
    group: int
    first: int
    inside: tuple[int, ...]
    ends: bool

    def __call__(self) -> Iterator[Read]:
        with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
            rows = file.read_row_group(self.group).take(list(self.inside)).to_pylist()
        files = FORMATS[self.format].load(self.folder, self.path.stem, rows)
        for number, row, pngs in zip(self.inside, rows, files, strict=True):
            apex = row.get("apex_frame", len(pngs) - 1)
            chosen = [pngs[0], pngs[apex]] if self.ends else pngs[: apex + 1]
            yield self.first + number, np.stack([read_png(data) for data in chosen])


# -- of a collection -----------------------------------------------------------------------------


def of_collection(
    name: str,
    root: Path,
    *,
    kinds: Iterable[str] = ("micro", "macro"),
    classes: Sequence[str] | None = None,
    early: float = EARLY,
    most: int = MOST,
) -> Found:
    """The labelled clips of the collection NAME in ROOT, of KINDS, in the order of its sheet.

    With CLASSES, names of emotions, these are the labels, in this order, instead of the three; a
    clip of another emotion is no example.

    Of a macro-expression the last frame is the one at EARLY of its rise (1: the apex), but never
    the onset; of a rise of more than MOST frames as many are shown. Whether a face is found is
    seen when frames are read.
    """
    kinds = tuple(kinds)
    clips = [_classed(clip, classes) for clip in COLLECTIONS[name].read(root)]
    usable: list[_Shown] = []
    left_out = []
    for clip in clips:
        try:
            usable.append(_shown(clip, len(usable), early=early, most=most))
        except (ValueError, OSError) as error:
            if clip.kind in kinds:
                left_out.append(LeftOut("/".join(clip.origin), " ".join(str(error).split())))
    pool = ClipPool(tuple(usable))
    examples = [
        Example(
            "/".join(shown.clip.origin),
            shown.clip.origin,
            "real",
            f"{shown.clip.origin.corpus}/{shown.clip.origin.subject}",
            shown.clip.label,
            shown.clip.kind,
            shown.clip.stand_in,
            pool,
            shown.row,
            shown.clip.emotion,
        )
        for shown in usable
        if shown.clip.kind in kinds and shown.clip.label is not None
    ]
    return Found(examples, left_out)


@dataclass(frozen=True, eq=False)
class _Shown:
    """A clip, and the numbers of the frames that are shown of it, ascending."""

    clip: Clip
    row: int
    numbers: tuple[int, ...]
    ends: bool = False

    def __call__(self) -> Iterator[Read]:
        numbers = (self.numbers[0], self.numbers[-1]) if self.ends else self.numbers
        try:
            frames = self.clip.footage.frames(sorted(set(numbers)))
            onset = next(iter(frames))
            shown = aligned(itertools.chain([onset], frames), find_alignment(onset))
        except (ValueError, OSError, KeyError) as error:
            yield self.row, " ".join(str(error).split())
            return
        yield self.row, shown if len(numbers) == len(shown) else shown[[0, 0]]


def _classed(clip: Clip, classes: Sequence[str] | None) -> Clip:
    """CLIP labelled by its place in CLASSES, None where its emotion is none of them."""
    if classes is None:
        return clip
    word = clip.emotion.strip().lower()
    return replace(clip, label=classes.index(word) if word in classes else None)


def _shown(clip: Clip, row: int, *, early: float, most: int) -> _Shown:
    """CLIP as an example shows it; ValueError with the reason where it can be none."""
    if clip.problem:
        raise ValueError(clip.problem)
    if clip.label is None:
        raise ValueError(f"its emotion {clip.emotion!r} is of no class")
    assert clip.onset is not None and clip.apex is not None
    rise = [n for n in clip.footage.numbers if clip.onset <= n <= clip.apex]
    if clip.kind == "macro":
        if len(rise) < 2:
            raise ValueError("onset and apex are one frame: nothing moves")
        rise = rise[: min(max(1, int(early * len(rise))), len(rise) - 1) + 1]
    if len(rise) > most:
        rise = [rise[at] for at in np.linspace(0, len(rise) - 1, most).round().astype(int)]
    return _Shown(clip, row, tuple(rise * 2 if len(rise) == 1 else rise))


@dataclass(frozen=True, eq=False)
class ClipPool:
    """Clips of a collection, labelled and without a problem."""

    shown: tuple[_Shown, ...]
    gives = "frames"
    on_template = True

    @cached_property
    def lengths(self) -> Rows:
        return np.array([len(one.numbers) for one in self.shown], np.int64)

    @cached_property
    def sha256(self) -> str:
        """Of clips, frame numbers, and name, size and time of every file that is read."""
        return _sha256(
            [[one.clip.origin, one.numbers, files_of(one.clip.footage, one.numbers)]
             for one in self.shown]
        )  # fmt: skip

    def parts(self, rows: Sequence[int], *, ends: bool) -> Iterator[Callable[[], Iterator[Read]]]:
        for row in rows:
            one = self.shown[row]
            yield _Shown(one.clip, row, one.numbers, ends)


def files_of(footage: Footage, numbers: Iterable[int]) -> list[tuple[str, int, int]]:
    """Name, bytes and time of last change in nanoseconds of FOOTAGE's files of NUMBERS."""
    if isinstance(footage, Pictures):
        paths = [footage.path(number) for number in dict.fromkeys(numbers)]
    else:
        paths = [footage.path]  # type: ignore[attr-defined]  # a video's
    return [_file(path) for path in paths]


def _file(path: Path) -> tuple[str, int, int]:
    told = path.stat()
    return path.name, told.st_size, told.st_mtime_ns


# -- of flow pictures ----------------------------------------------------------------------------


def of_flow_pictures(root: Path) -> Found:
    """The flow pictures in ROOT (``mie_x.datasets.flow_images``), in the order of their index."""
    usable, left_out = [], []
    for picture in flow_images.read(root):
        if picture.problem or picture.label is None:
            left_out.append(LeftOut("/".join(picture.origin), picture.problem or "no label"))
        else:
            usable.append(picture)
    pool = PicturePool(tuple(usable))
    examples = [
        Example(
            "/".join(picture.origin),
            picture.origin,
            "flow",
            f"{picture.origin.corpus}/{picture.origin.subject}",
            picture.label,
            "micro",
            picture.stand_in,
            pool,
            row,
        )
        for row, picture in enumerate(usable)
        if picture.label is not None
    ]
    return Found(examples, left_out)


@dataclass(frozen=True, eq=False)
class PicturePool:
    """Flow pictures: u, v and strain, each by its own least and largest value to 0..1."""

    pictures: tuple[FlowPicture, ...]
    gives = "flow_28"
    on_template = False

    @cached_property
    def lengths(self) -> Rows:
        return np.ones(len(self.pictures), np.int64)

    @cached_property
    def sha256(self) -> str:
        return _sha256([[picture.origin, _file(picture.path)] for picture in self.pictures])

    def parts(self, rows: Sequence[int], *, ends: bool) -> Iterator[Callable[[], Iterator[Read]]]:
        del ends
        for row in rows:
            yield _Picture(self.pictures[row], row)


@dataclass(frozen=True)
class _Picture:
    picture: FlowPicture
    row: int

    def __call__(self) -> Iterator[Read]:
        try:
            yield self.row, self.picture.read()
        except (ValueError, OSError) as error:
            yield self.row, " ".join(str(error).split())
