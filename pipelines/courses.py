"""What MEAN sees of a whole recording: its flow of a tenth of a second, from frame to frame.

Liong, See, Chan (MEAN, 2022; see ``recognizers.spotting``): the flow of frame i is that to frame
i + k. Its u, v and strain are those of ``pipelines.views``' "mean_roi", so that a course looks like
the clips that MEAN learns expressions from. As published, the face is found on the first frame and
all frames are seen through the same matrix. Ours is to find it anew every few seconds, for heads
that move; both frames of a pair are then seen through the matrix of the first, since a pair across
two matrices would have a jump in it.

Frames are decoded one after the other, and nothing is kept but k small gray pictures and the pairs
that are being worked on: memory does not grow with the length of the video. What is kept::

    STORE/5d1e.../maps.npy, strength.npy, seen.npy    see Course
    STORE/5d1e.../told.json                           what it was made of and how; what is odd

The folder's name is a hash of all that decides what is in it, as in ``pipelines.views``; it has its
name when it is whole. Nothing is ever deleted, and anything may be.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.typing import NDArray

from mie_x import flow
from mie_x.datasets import footage
from mie_x.faces.aligned import Alignment, aligned, find_alignment
from mie_x.faces.detection import TEMPLATE
from mie_x.faces.pictures import UnusablePicture
from mie_x.records import SIZE, Frames
from mie_x.shards import Unusable
from mie_x.whole import hashed, whole, write_json
from pipelines import views
from pipelines.examples import files_of
from pipelines.generate import without_interrupts
from pipelines.recordings import Recording
from recognizers.views import five_to_68, mean_roi

Gray = flow.Gray
Pair = tuple[Gray, Gray] | None
Made = tuple[NDArray[np.float16], NDArray[np.float32], NDArray[np.bool_]]

PAIRS = 16  # that a process works on at a time: half a megabyte, about a second of TV-L1
IDLE = 300  # s until a worker without work ends, as joblib's; loky's own 10 pass on a slow disk
PART = 128  # rows of a part: some seconds of work
SHAPE = (3, 42, 42)
MAPS, STRENGTH, SEEN, TOLD = "maps.npy", "strength.npy", "seen.npy", "told.json"


class Course(NamedTuple):
    """What MEAN sees of a recording of n frames with step k, a row a pair: n - k rows.

    ``maps`` (n - k, 3, 42, 42) are u, v and strain in [0, 1], a read-only memory map where it is
    stored. ``strength`` (n - k,) is the mean length of the flow in MEAN's parts of the face, in px
    of 128. ``seen`` (n - k,) is whether a face was found; where not, the others are 0. ``odd`` is
    what to know of it, a sentence each.
    """

    maps: NDArray[np.float16]
    strength: NDArray[np.float32]
    seen: NDArray[np.bool_]
    odd: tuple[str, ...]


class Part(NamedTuple):
    """Rows of a course, from ``first`` on. ``odd`` is told with the last part."""

    first: int
    maps: NDArray[np.float16]
    strength: NDArray[np.float32]
    seen: NDArray[np.bool_]
    odd: tuple[str, ...]


class NoFace(ValueError):
    """Two frames between which nothing is seen, for no face is followed at the first."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a recording is looked at: the kind of flow, one of ``flow.FLOWS``, and every how many
    seconds the face is found anew; None: once, on the first frame, as published."""

    flow: str = "tvl1"
    face_every: float | None = None

    def __post_init__(self) -> None:
        if self.flow not in flow.FLOWS:
            raise ValueError(f"no flow {self.flow!r}; there are {', '.join(flow.FLOWS)}")
        if self.face_every is not None and not self.face_every > 0:
            raise ValueError(f"a face every {self.face_every} seconds; give more than 0")


def course(
    recording: Recording,
    look: Look,
    *,
    step: int,
    store: Path | None,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> Course:
    """See RECORDING with STEP frames between the two of a pair, in WORKERS processes.

    Kept in STORE, and taken from there, where it is given; PROGRESS is told frames done and all.
    ValueError or OSError, naming the recording or a file of it, where it is too short, cannot be
    read or shows no face.
    """
    rows = _rows(recording, step)
    if store is None:
        parts = list(_parts(recording, look, step, workers, progress))
        maps, strength, seen = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("maps", "strength", "seen")
        )
        return Course(maps, strength, seen, parts[-1].odd)
    told = told_of(recording, look, step=step)
    folder = store / hashed(told)
    if not folder.exists():
        store.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(".partial", f"{folder.name}.", store))
        try:
            _write(unfinished, _parts(recording, look, step, workers, progress), rows, told)
            try:
                unfinished.rename(folder)
            except OSError:
                if not folder.exists():  # else another run was as quick, and wrote the same
                    raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    elif progress is not None:
        progress(len(recording.numbers), len(recording.numbers))
    return _read(folder)


def told_of(recording: Recording, look: Look, *, step: int) -> dict[str, Any]:
    """Everything that a stored course depends on; JSON-able."""
    own = "".join(inspect.getsource(module) for module in (footage, sys.modules[__name__]))
    return {
        "recording": recording.name,
        "files": files_of(recording.footage, recording.numbers),
        "numbers": list(recording.numbers),
        "look": asdict(look) | ({} if look.face_every is None else {"fps": recording.fps}),
        "step": step,
        "code_sha256": [views.code_sha256(), hashlib.sha256(own.encode()).hexdigest()],
        "libraries": libraries(look),
    }


def libraries(look: Look) -> dict[str, str]:
    """Versions of what decides how LOOK sees; ValueError where an extra is not installed."""
    found = {name: version(name) for name in (*views.LIBRARIES, "av")}
    if look.flow != "tvl1":
        with flow.opencv() as cv2:
            found["opencv"] = cv2.__version__
    return found


def _parts(
    recording: Recording,
    look: Look,
    step: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Part]:
    """``stream``, telling PROGRESS; with the last rows the frames that they lead to are done."""
    frames = len(recording.numbers)
    for part in stream(recording, look, step=step, workers=workers):
        yield part
        if progress is not None:
            done = part.first + len(part.maps)
            progress(done if done + step < frames else frames, frames)


def _write(folder: Path, parts: Iterable[Part], rows: int, told: Mapping[str, Any]) -> None:
    """Keep PARTS in FOLDER. Written as a file: where the disk is full, a map would end us."""
    strength, seen = [], []
    odd: tuple[str, ...] = ()
    with (folder / MAPS).open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (rows, *SHAPE)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(part.maps.astype("<f2").tobytes())
            strength.append(part.strength)
            seen.append(part.seen)
            odd = part.odd
        file.flush()
        os.fsync(file.fileno())
    for name, array in ((STRENGTH, strength), (SEEN, seen)):
        with whole(folder / name) as unfinished, unfinished.open("wb") as file:
            np.save(file, np.concatenate(array))
    shown = {name: value for name, value in told.items() if name not in ("files", "numbers")}
    write_json(folder / TOLD, shown | {"odd": list(odd)})


def _read(folder: Path) -> Course:
    """The course that ``_write`` has put into FOLDER."""
    try:
        return Course(
            np.load(folder / MAPS, mmap_mode="r"),
            np.load(folder / STRENGTH),
            np.load(folder / SEEN),
            tuple(json.loads((folder / TOLD).read_text())["odd"]),
        )
    except (ValueError, LookupError, OSError, EOFError) as error:
        raise ValueError(f"{folder} is damaged: delete it, and run the same again") from error


def stream(recording: Recording, look: Look, *, step: int, workers: int) -> Iterator[Part]:
    """The rows of ``course``, some hundred at a time, while they are made; ValueError as there.

    The same bytes for any number of WORKERS.
    """
    _rows(recording, step)
    told = _Found(recording, look)
    pairs = _pairs(recording, look, step, told)
    chunks = iter(lambda: list(itertools.islice(pairs, PAIRS)), [])
    first = 0
    made = _in_order(chunks, look.flow, workers)
    while some := list(itertools.islice(made, PART // PAIRS)):
        maps, strength, seen = (np.concatenate(each) for each in zip(*some, strict=True))
        last = first + len(maps) == len(recording.numbers) - step
        yield Part(first, maps, strength, seen, told.odd() if last else ())
        first += len(maps)


def pair(recording: Recording, look: Look, first: int, second: int) -> NDArray[np.float16]:
    """The maps (3, 42, 42) of the flow from position FIRST to SECOND, seen as in ``course``.

    NoFace, naming the recording, where no face is followed at FIRST.
    """
    every, again = _steps(recording, look)
    looks = [0] if every is None else list(range(first - first % every, first + 1, again))
    places = sorted({*looks, first, second})
    numbers = [recording.numbers[place] for place in places]
    frames = dict(zip(places, recording.footage.frames(numbers), strict=True))
    told = _Found(recording, look)
    alignment = next(filter(None, (told.find(frames[place], place) for place in looks)), None)
    if alignment is None:
        raise NoFace(f"{recording.name}: no face about frame {recording.numbers[first]}")
    seen = _shown(frames[first], alignment), _shown(frames[second], alignment)
    made, _, _ = _made([seen], look.flow)
    maps: NDArray[np.float16] = made[0]
    return maps


def _rows(recording: Recording, step: int) -> int:
    """How many pairs there are; ValueError where nothing could be seen to come and go."""
    if step < 1:
        raise ValueError(f"a step of {step} frames; give 1 or more")
    frames = len(recording.numbers)
    if frames <= step + 1:
        raise ValueError(
            f"{recording.name}: {frames} frames are too few for a flow from a frame to the "
            f"{step}th after it; give at least {step + 2}"
        )
    return frames - step


class _Found:
    """What is learned of a recording while it is looked through."""

    def __init__(self, recording: Recording, look: Look) -> None:
        self.recording, self.look = recording, look
        self.faces: list[tuple[int, int]] = []  # position, how many: of each look that found some
        self.lost: list[list[int]] = []  # first and last position of frames without a face

    def find(self, frame: Frames, at: int) -> Alignment | None:
        """Where the face is on the frame at position AT; None where there is none."""
        try:
            found = find_alignment(frame)
        except UnusablePicture as error:
            if self.look.face_every is None:
                raise ValueError(
                    f"{self.recording.name}: no face in its first frame ({error.detail}); cut it "
                    "so that it begins with one, or have the face found anew (--face-every)"
                ) from error
            return None
        self.faces.append((at, found.faces))
        return found

    def lose(self, at: int) -> None:
        """Nobody was seen on the frame at position AT."""
        if not self.lost or self.lost[-1][1] != at - 1:
            self.lost.append([at, at])
        self.lost[-1][1] = at

    def odd(self) -> tuple[str, ...]:
        """In sentences; ValueError where no face was found."""
        numbers = self.recording.numbers
        if not self.faces:
            raise ValueError(
                f"{self.recording.name}: no face in it, looked for each second; a face is found "
                "from in front, upright, and from a thirty-second of the picture's longer side on"
            )
        said = []
        if several := [(at, count) for at, count in self.faces if count > 1]:
            at, count = several[0]
            said.append(f"{count} faces on frame {numbers[at]}: the largest is followed")
            if len(self.faces) > 1:
                said[-1] += f" (more than one on {len(several)} of {len(self.faces)} looks)"
        said += [f"frames {numbers[a]} to {numbers[b]}: no face" for a, b in self.lost]
        return tuple(said)


def _pairs(recording: Recording, look: Look, step: int, told: _Found) -> Iterator[Pair]:
    """Each frame and that STEP after it, through the alignment of the first; None without one."""
    every, again = _steps(recording, look)
    before: deque[tuple[Gray, Alignment] | None] = deque()
    alignment = None
    for at, frame in enumerate(_frames(recording)):
        within = at if every is None else at % every
        if within == 0:
            alignment = None
        if alignment is None and within % again == 0:
            alignment = told.find(frame, at)
        own = None if alignment is None else (_shown(frame, alignment), alignment)
        if own is None:
            told.lose(at)
        before.append(own)
        if at < step:
            continue
        first = before.popleft()
        if first is None:
            yield None
        elif own is not None and own[1] is first[1]:
            yield first[0], own[0]
        else:
            yield first[0], _shown(frame, first[1])


def _steps(recording: Recording, look: Look) -> tuple[int | None, int]:
    """After how many frames the face is found anew, and looked for again where there is none."""
    seconds = look.face_every
    every = None if seconds is None else max(1, round(seconds * recording.fps))
    return every, max(1, round(recording.fps))


def _frames(recording: Recording) -> Iterator[Frames]:
    size = None
    found = zip(recording.numbers, recording.footage.frames(recording.numbers), strict=True)
    for number, frame in found:
        size = size or frame.shape
        if frame.shape != size:
            (height, width), (h, w) = frame.shape[:2], size[:2]
            raise ValueError(
                f"{recording.name}: frame {number} is {width} x {height} px, those before it "
                f"{w} x {h}; cut the recording there"
            )
        yield frame


def _shown(frame: Frames, alignment: Alignment) -> Gray:
    shown: Gray = flow.gray(aligned([frame], alignment))[0]
    return shown


@lru_cache(maxsize=1)
def _pool(workers: int) -> ProcessPoolExecutor:
    """Processes for all courses of a run. Not joblib's reusable ones, which ``Parallel`` has, too,
    and takes for its own."""
    return ProcessPoolExecutor(max_workers=workers, timeout=IDLE)


def _in_order(chunks: Iterable[list[Pair]], kind: str, workers: int) -> Iterator[Made]:
    """``_made`` of CHUNKS, by WORKERS processes that are never more than two chunks ahead each.

    Frames are read by the caller's own thread: joblib reads its input in one of its own, where an
    error is lost.
    """
    if workers == 1:
        yield from (_made(chunk, kind) for chunk in chunks)
        return
    pool = _pool(workers)
    waiting: deque[Any] = deque()
    try:
        for chunk in chunks:
            with without_interrupts():  # a task may start a worker
                waiting.append(pool.submit(_made, chunk, kind))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except TerminatedWorkerError as error:
        _pool.cache_clear()
        raise Unusable(
            "the system ended a worker (out of memory?); give fewer --workers"
        ) from error
    finally:
        for future in waiting:
            future.cancel()


def _made(pairs: list[Pair], kind: str) -> Made:
    """Maps, strength and seen of PAIRS."""
    maps = np.zeros((len(pairs), *SHAPE), np.float16)
    strength = np.zeros(len(pairs), np.float32)
    seen = np.array([pair is not None for pair in pairs], bool)
    for row, pair in enumerate(pairs):
        if pair is not None:
            moved = flow.FLOWS[kind](*pair)
            both = [flow.maps_of(moved, size=SIZE), flow.magnitude(moved)[None]]
            parts = mean_roi(np.concatenate(both), five_to_68(TEMPLATE))
            maps[row], strength[row] = parts[:3], parts[3].mean()
    return maps, strength, seen
