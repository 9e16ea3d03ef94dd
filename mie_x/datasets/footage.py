"""Frames on the disk: the pictures of a folder by the numbers in their names, or a video file.

Nothing is decoded before it is asked for. Files come from the folder's own listing, never from a
cell of a sheet; ``below`` is the way from a cell to a path, and does not leave the root.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mie_x.faces.pictures import MAX_PIXELS, UnusablePicture, decode, read_bytes
from mie_x.records import Frames
from mie_x.whole import stays_below

PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".wmv")
CONTAINERS = "mov,matroska,avi,mpeg,mpegts,asf"  # FFmpeg's names: no playlists, no scripts
LAST_NUMBER = re.compile(r"(\d+)\D*$")  # of a file's stem: img46, reg_img46, 006_00562, image0001
COPY = re.compile(r" \(\d+\)(\.\w+)$")  # "img46 (1).jpg" beside img46.jpg is no frame 1
DEEPEST = 12  # folders below a root; collections have five
MAX_FRAMES = 1_000_000  # of a folder or a video: over an hour at 200 a second
JITTER = 0.1  # of the time between frames: what cameras of a constant rate are off by, and more
SLOPPY = 0.1  # s by which headers tell of more than there is, where sound goes with a video


class Unreadable(ValueError):
    """A frame or a video that is there and cannot be decoded; names the file and the reason."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one clip. ``files`` maps a frame number to its file name below ``folder``.

    ``twice`` are files whose number another file has too (``img1.jpg`` beside ``img001.jpg``): they
    are not used.
    """

    name: str
    folder: Path
    files: Mapping[int, str]
    twice: tuple[str, ...] = ()

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        return tuple(sorted(self.files))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.files[number] for number in self.numbers)

    def path(self, number: int) -> Path:
        return self.folder / self.files[number]

    def frame(self, number: int) -> Frames:
        path = self.path(number)
        try:
            return decode(read_bytes(path))
        except UnusablePicture as error:
            raise Unreadable(f"{path}: {error}") from error

    def frames(self, numbers: Sequence[int]) -> Iterator[Frames]:
        """These frames, ascending, each once; KeyError where there is no such."""
        for number in sorted(set(numbers)):
            yield self.frame(number)


def pictures(folder: Path, name: str) -> Pictures:
    """The pictures right in FOLDER; none where there is no folder.

    A frame's number is the last in the file's stem, by int(): padding tells nothing. Hidden
    files (``.DS_Store``, ``._img1.jpg``) and what has no number are left alone.
    """
    files: dict[int, str] = {}
    twice = []
    names = listed(folder)
    there = set(names)
    for file in names:
        if Path(file).suffix.lower() not in PICTURES:
            continue
        if (found := LAST_NUMBER.search(Path(file).stem)) is None:
            continue
        copied = COPY.sub(r"\1", file)
        if int(found[1]) in files or (copied != file and copied in there):
            twice.append(file)
        else:
            files[int(found[1])] = file
    return Pictures(name, folder, files, tuple(twice))


def listed(folder: Path) -> list[str]:
    """Names of the files in FOLDER that are not hidden, sorted; [] where there is no folder."""
    if not folder.is_dir():
        return []
    names = _names(folder, os.DirEntry.is_file)
    if len(names) > MAX_FRAMES:
        raise ValueError(f"{folder}: more than {MAX_FRAMES:,} files; not a clip's folder")
    return sorted(names)


def folders(folder: Path) -> list[str]:
    """Names of the folders in FOLDER that are not hidden, sorted; [] where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(_names(folder, os.DirEntry.is_dir))


def _names(folder: Path, kind: Callable[[os.DirEntry[str]], bool]) -> list[str]:
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # a link that leads to itself
                if not entry.name.startswith(".") and kind(entry):
                    names.append(entry.name)
    return names


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folder, the folders in it and the files in it, sorted, hidden ones left out, from TOP down.

    Links are not followed, and nothing deeper than ``DEEPEST`` is looked at. Folders that the
    caller takes off the list are not entered.
    """
    for here, inside, files in os.walk(top):
        folder = Path(here)
        deep = len(folder.relative_to(top).parts) >= DEEPEST
        inside[:] = [] if deep else sorted(name for name in inside if not name.startswith("."))
        yield folder, inside, sorted(name for name in files if not name.startswith("."))


def below(root: Path, *cells: str) -> Path:
    """ROOT / CELLS, where these are cells of a sheet; ValueError where they lead elsewhere."""
    for cell in cells:
        if not stays_below(cell) or any(len(os.fsencode(p)) > 255 for p in cell.split("/")):
            raise ValueError(
                f"{root}: {cell[:60]!r} in its sheet is no name of a file or folder; mend the cell"
            )
    return root.joinpath(*cells)


class _Told(NamedTuple):
    """What the packets of a video tell without being decoded."""

    frames: int
    rate: float | None
    uneven: str


def _seconds(container: Any, stream: Any) -> float:
    """How long STREAM is by its header; 0 where that does not tell."""
    ticks = stream.duration or 0
    if container.format.name == "avi":  # of one that is cut, FFmpeg takes the file's length
        ticks = max(ticks, stream.frames)
    return float(ticks * stream.time_base)


def _uneven(steps: NDArray[np.float64], tick: float) -> str:
    """What is to be said of STEPS between frames, in seconds; "" of a constant rate.

    A step may be a TICK off, for times are rounded to ticks (to ms by Matroska: 33, 33, 34), and
    ``JITTER`` of the usual step.
    """
    if not len(steps):
        return ""
    usual = float(np.median(steps))
    if np.abs(steps - usual).max() <= 1.01 * tick + JITTER * usual:
        return ""
    least, most = (f"{1000 * step:.3g}" for step in (steps.min(), steps.max()))
    return f"its frames are {least} to {most} ms apart (variable frame rate)"


@dataclass(frozen=True, eq=False)
class Video:
    """A video file; its frames are counted from 1, as OpenFace and MECIA's coders do."""

    name: str
    path: Path

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    @cached_property
    def _told(self) -> _Told:
        with self._opened() as (container, stream):
            rate = float(stream.average_rate) if stream.average_rate else None
            times: list[int | None] = []
            end = end_of_all = 0.0
            for packet in container.demux():
                till = float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base)
                end_of_all = max(end_of_all, till)
                if packet.stream.index == stream.index and packet.size > 0:
                    end = max(end, till)
                    if not packet.is_discard:  # else an edit list cuts it off: it is not shown
                        times.append(packet.pts)
                if len(times) > MAX_FRAMES:
                    raise Unreadable(f"{self.path}: more than {MAX_FRAMES:,} frames; cut it up")
            two = 2 * end / max(1, len(times))  # frames: the last one's time is not always told
            if (whole := _seconds(container, stream)) > end + two:
                raise self._cut(f"{whole:.2f} s by its header, {end:.2f} s are there")
            sound = SLOPPY if len(container.streams) > 1 else 0.0
            if (whole := (container.duration or 0) / 1e6) > end_of_all + two + sound:
                raise self._cut(f"{whole:.2f} s by its header, {end_of_all:.2f} s are there")
            tick = float(stream.time_base)
        known = [time for time in times if time is not None]
        steps = tick * np.diff(np.sort(known if len(known) == len(times) else []))
        each = float(steps.mean()) if len(steps) else 0.0
        if each and (not rate or abs(1 / rate - each) > tick + JITTER * each):
            rate = 1 / each  # of AVI with empty frames, the header tells of these too
        return _Told(len(times), rate, _uneven(steps, tick))

    def _cut(self, why: str) -> Unreadable:
        return Unreadable(f"{self.path}: damaged or cut short ({why}); copy it again, whole")

    @property
    def numbers(self) -> range:
        return range(1, self._told.frames + 1)

    @property
    def fps(self) -> float | None:
        """Mean frames a second, as the file tells, or its frames' times where these disagree."""
        return self._told.rate

    @property
    def uneven(self) -> str:
        """How its frame rate varies, in a few words; "" where it is constant or nobody tells."""
        return self._told.uneven

    def frame(self, number: int) -> Frames:
        return next(self.frames([number]))

    def frames(self, numbers: Sequence[int]) -> Iterator[Frames]:
        """These frames, ascending, in one pass from the start; KeyError where the video ends."""
        wanted = iter(sorted(set(numbers)))
        number = next(wanted, None)
        with self._opened() as (container, stream):
            for count, frame in enumerate(container.decode(stream), 1):
                if number is None:
                    return
                if count == number:
                    if frame.is_corrupt:
                        raise self._cut(f"frame {number} is not whole")
                    yield _upright(frame)
                    number = next(wanted, None)
        if number in self.numbers:
            raise self._cut(f"frame {number} cannot be decoded")
        if number is not None:
            raise KeyError(f"{self.path}: no frame {number}")

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        """The file and its first video stream; what FFmpeg says of damage becomes Unreadable."""
        import av

        if not self.path.is_file():
            raise FileNotFoundError(f"{self.path}: no such video; check the path")
        # A playlist inside a video file must not make FFmpeg open anything else.
        only = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
        try:
            container = av.open(str(self.path.resolve()), options=only)
        except (av.FFmpegError, OSError) as error:
            raise Unreadable(
                f"{self.path}: no video that can be read ({error.strerror}); "
                "give MP4, AVI, MOV, MKV, WebM, MPEG or WMV, whole"
            ) from error
        with container:
            stream = next(iter(container.streams.video), None)
            if stream is None or stream.codec_context is None:
                raise Unreadable(f"{self.path}: nothing to be seen in it; is the file whole?")
            if stream.width * stream.height > MAX_PIXELS:
                raise Unreadable(f"{self.path}: {stream.width} x {stream.height} px are too many")
            # for later frames, which may be larger than the first
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            stream.codec_context.thread_count = 1
            try:
                yield container, stream
            except av.FFmpegError as error:
                raise self._cut(str(error.strerror)) from error


def footage_at(path: Path, name: str) -> Pictures | Video:
    """The video file, or the folder of pictures, at PATH; nothing of it is read yet.

    ValueError where it is neither, or two of its pictures have one number.
    """
    if path.is_dir():
        found = pictures(path, name)
        if found.twice:
            raise ValueError(f"{path}: {found.twice[0]} has the number of another; rename one")
        return found
    if path.suffix.lower() in VIDEOS:
        return Video(name, path)
    if path.exists():
        raise ValueError(f"{path}: no video by its name; give {', '.join(VIDEOS)} or a folder")
    raise FileNotFoundError(f"{path}: no such video or folder; check the path")


def _upright(frame: Any) -> Frames:
    turned = np.rot90(frame.to_ndarray(format="rgb24"), k=int(frame.rotation) // 90)
    return np.ascontiguousarray(turned)
