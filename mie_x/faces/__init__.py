"""Who: the faces of a folder of photographs, found and aligned, or faces that the renderer draws.

``photographs`` and ``rendered`` give records that know how to make their picture, and that is small
enough to be handed between processes by the thousand: pixels appear only in ``image()``. Both kinds
are 128 x 128 and framed alike.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from mie_x.faces import folder as folders
from mie_x.faces.detection import (
    Detection,
    Detector,
    Known,
    detect,
    similarity,
    square,
    user_cache,
)
from mie_x.faces.pictures import Matrix, UnusablePicture, decode, read_bytes, warp
from mie_x.records import AUS, Frames

__all__ = [
    "Face",
    "FaceFailure",
    "Faces",
    "Photograph",
    "Rendered",
    "photographs",
    "rendered",
    "user_cache",
]

SMALLEST = 40  # px in the photograph: with less, 128 px would be invented rather than seen
MARGIN = 0.1
"""Of a face box's longer side, added on each side by ``align="crop"``: 10 % put the eyes of an
upright face about as far apart as the template does."""

Align = Literal["similarity", "crop", "none"]


class Face(Protocol):
    """What the plan and the generator need of a face."""

    @property
    def identity(self) -> str: ...

    @property
    def path(self) -> str:
        """Posix path below the folder of photographs, or ``render:<seed>``."""

    @property
    def sha256(self) -> str:
        """Of the photograph's file bytes, or of a rendered face's ``path``."""

    @property
    def rendered(self) -> bool: ...

    def image(self) -> Frames:
        """(128, 128, 3) uint8 RGB."""


@dataclass(frozen=True)
class Photograph:
    """A person's face in a photograph, and the way from there to 128 x 128 px.

    ``matrix`` is (a, b, c, d, e, f): px (x, y) of the upright photograph land at (a x + b y + c,
    d x + e y + f), with the first pixel's centre at (0.5, 0.5). ``faces`` counts the faces that
    were found (the largest is used) and ``probability`` is the detector's; 0 where none looked.
    """

    identity: str
    path: str
    sha256: str
    root: Path
    matrix: Matrix
    probability: float = 0.0
    faces: int = 0

    @property
    def rendered(self) -> bool:
        return False

    def image(self) -> Frames:
        """(128, 128, 3) uint8 RGB; ValueError when the file has changed since it was searched."""
        file = self.root / self.path
        if not file.is_file():
            raise FileNotFoundError(
                f"{self.path}: this photograph is gone since its face was found"
            )
        data = read_bytes(file)
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError(f"{self.path} has changed since its face was found: start again")
        return warp(decode(data), self.matrix)


@dataclass(frozen=True)
class Rendered:
    """A face that the renderer draws from ``seed``: at rest, in a pose and light of its own."""

    identity: str
    seed: int

    @property
    def path(self) -> str:
        return f"render:{self.seed}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.encode()).hexdigest()

    @property
    def rendered(self) -> bool:
        return True

    def image(self) -> Frames:
        """(128, 128, 3) uint8 RGB."""
        from mie_x.renderer import draw_person, draw_view, render

        still = np.zeros((1, len(AUS)), np.float32)
        image: Frames = render([draw_person(self.seed)], [draw_view(self.seed)], still).images[0]
        return image


@dataclass(frozen=True)
class FaceFailure:
    """A photograph that gives no face. ``reason`` is one of "bad name", "unreadable", "too large"
    (bytes), "too many pixels", "too small", "no face", "detector failed"."""

    path: str
    identity: str
    reason: str
    detail: str


@dataclass
class Faces:
    """The faces of a folder, sorted by identity, and what was left out.

    ``failures`` are sorted by path. The ``pictures`` in the folder show ``people``; ``unlisted``
    are not in the identity table, ``detected`` went through the detector in this run and
    ``cached`` were known from an earlier one. ``links`` to folders, or to files outside, were not
    followed.
    """

    faces: list[Face]
    failures: list[FaceFailure]
    pictures: int = 0
    people: int = 0
    unlisted: int = 0
    detected: int = 0
    cached: int = 0
    links: int = 0


def rendered(count: int, *, seed: int) -> list[Rendered]:
    """``count`` drawn faces; the first ones stay the same when more are asked for.

    A face's own seed is 63 bits of blake2b of ("generate", ``seed``, number), so that these people
    are not those that the generator was trained on, whatever ``seed`` was chosen there.
    """
    if count < 1:
        raise ValueError(f"{count} faces asked for; at least 1 is needed")
    return [
        Rendered(f"rendered-s{seed}-{number:06d}", _face_seed(seed, number))
        for number in range(count)
    ]


def _face_seed(seed: int, number: int) -> int:
    recipe = repr(("generate", int(seed), number)).encode()
    return int.from_bytes(hashlib.blake2b(recipe, digest_size=8).digest(), "big") >> 1


def photographs(
    folder: Path,
    *,
    count: int | None = None,
    align: Align = "similarity",
    margin: float = MARGIN,
    identities: Path | None = None,
    cache: Path | Literal["user"] | None = "user",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    device: str = "cpu",
) -> Faces:
    """Find a face of each person in ``folder``: the first ``count`` people that have one, or all.

    The pictures are the folder's .jpg, .jpeg, .png, .webp and .bmp files at any depth, without
    hidden ones and without links that leave the folder. Who is seen is told by the file's name
    without its extension, or by ``identities``, a CSV table ``file,identity``. People are taken in
    order of their identity; of several pictures of a person the first, by path, that has a usable
    face. So a face depends on that person's pictures only, and the result neither on the order of
    the disk nor on ``workers`` (processes). When some people have no usable face there may be
    fewer than ``count``: ``failures`` says why.

    ``align``: "similarity" turns, scales and shifts the five points onto the template; "crop" takes
    an upright square of the face box's longer side plus ``margin`` of it on each side (``margin``
    concerns this one alone); "none" takes the picture's middle square as it is, undetected.

    ``cache`` is the folder where detections are kept from run to run, "user" for ``user_cache()``,
    None for none. ``progress`` is called with (people searched, people to search); the second
    number grows as others take the place of those without a face. ``device`` as torch names it.

    Raises FileNotFoundError, NotADirectoryError or ValueError, saying what to do, when there is no
    such folder or table, no picture, no face in any, or when fewer people than ``count`` are there.
    """
    _check_settings(count, align, margin, workers)
    root = Path(folder)
    found = folders.listing(root)
    if not found.pictures:
        raise ValueError(
            f"{root}: no picture in this folder ({found.links} links were not followed, "
            f"{len(found.unnameable)} names are not Unicode); "
            f"it needs {' '.join(folders.EXTENSIONS)} files"
        )
    root = root.resolve()
    if identities is None:
        people = folders.people(found.pictures)
        failures = [_bad_name(name) for name in found.unnameable]
    else:
        people = folders.people_listed(found.pictures, Path(identities))
        failures = []
    if not people:
        raise ValueError(f"{identities}: no row below the head; list the photographs to use")
    if count is not None and len(people) < count:
        raise ValueError(
            f"{identities or folder}: {count} people asked for, but pictures of only "
            f"{len(people)}; lower the number or add photographs"
        )

    result = Faces([], failures, len(found.pictures), len(people), links=found.links)
    result.unlisted = result.pictures - sum(map(len, people.values()))
    search = _Search(root, align, margin, device, _cache_folder(cache) if align != "none" else None)
    queue = list(people.items())
    searched = 0
    while queue and (count is None or len(result.faces) < count):
        wave = len(queue) if count is None else count - len(result.faces)
        now, queue = queue[:wave], queue[wave:]
        total = searched + len(now)
        for outcome in _searched(search, now, workers):
            if outcome.face is not None:
                result.faces.append(outcome.face)
            result.failures += outcome.failures
            result.detected += outcome.detected
            result.cached += outcome.cached
            searched += 1
            if progress is not None:
                progress(searched, total)
    result.failures.sort(key=lambda failure: failure.path)
    if not result.faces:
        reasons = Counter(failure.reason for failure in result.failures).most_common()
        told = ", ".join(f"{reason}: {number}" for reason, number in reasons)
        raise ValueError(
            f"{folder}: no usable face in any photograph ({told}); "
            'check that it holds portraits, or take face crops as they are with align "none"'
        )
    return result


def _check_settings(count: int | None, align: str, margin: float, workers: int) -> None:
    if count is not None and count < 1:
        raise ValueError(f"{count} people asked for; at least 1 is needed")
    if align not in ("similarity", "crop", "none"):
        raise ValueError(f"align is {align!r}; it can be similarity, crop or none")
    if not -0.25 <= margin <= 2:
        raise ValueError(f"margin is {margin}; it can be -0.25 to 2 of the face box")
    if workers < 1:
        raise ValueError(f"{workers} workers asked for; at least 1 is needed")


def _bad_name(name: str) -> FaceFailure:
    detail = "not Unicode, or with control characters: rename the file"
    return FaceFailure(name, folders.identity_of(name), "bad name", detail)


def _cache_folder(cache: Path | Literal["user"] | None) -> Path | None:
    """The cache folder, made if need be; the user's own is done without where it cannot be made."""
    if cache is None:
        return None
    folder = user_cache() if cache == "user" else Path(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if cache == "user":
            return None
        raise type(error)(f"{folder}: cannot be the cache folder ({error.strerror})") from error
    return folder


@dataclass
class _Outcome:
    """What became of one person's pictures."""

    face: Photograph | None = None
    failures: list[FaceFailure] = field(default_factory=list)
    detected: int = 0
    cached: int = 0


@dataclass(frozen=True)
class _Search:
    """The settings of a search, as handed to the worker processes."""

    root: Path
    align: Align
    margin: float
    device: str
    cache: Path | None

    def __call__(self, people: Sequence[tuple[str, list[str]]]) -> list[_Outcome]:
        """Each person's first usable face."""
        detector = Detector(self.device)
        known = None if self.cache is None else Known(self.cache, detector.settings)
        fresh: dict[str, Detection | UnusablePicture] = {}
        outcomes = []
        for identity, paths in people:
            outcome = _Outcome()
            for path in paths:
                try:
                    outcome.face = self._face(identity, path, detector, known, fresh, outcome)
                    break
                except UnusablePicture as error:
                    outcome.failures.append(FaceFailure(path, identity, error.reason, error.detail))
            outcomes.append(outcome)
        if known is not None and fresh:
            known.put(fresh)
        return outcomes

    def _face(
        self,
        identity: str,
        path: str,
        detector: Detector,
        known: Known | None,
        fresh: dict[str, Detection | UnusablePicture],
        outcome: _Outcome,
    ) -> Photograph:
        """The face of one picture; ``UnusablePicture`` when there is none."""
        data = read_bytes(self.root / path)
        sha256 = hashlib.sha256(data).hexdigest()
        if self.align == "none":
            height, width = decode(data).shape[:2]
            return Photograph(identity, path, sha256, self.root, _middle(width, height))

        found = known.get(sha256) if known is not None else None
        if found is not None:
            outcome.cached += 1
        else:
            found = detect(data, detector)
            outcome.detected += 1
            if not (isinstance(found, UnusablePicture) and found.reason == "detector failed"):
                fresh[sha256] = found
        if isinstance(found, UnusablePicture):
            raise found
        matrix = matrix_of(found, self.align, self.margin)
        return Photograph(identity, path, sha256, self.root, matrix, found.probability, found.faces)


def _middle(width: int, height: int) -> Matrix:
    """The largest square in the picture's middle."""
    side = min(width, height)
    _check_side("the picture", side)
    left, top = (width - side) / 2, (height - side) / 2
    return square((left, top, left + side, top + side), margin=0)


def matrix_of(found: Detection, align: Align, margin: float) -> Matrix:
    """How a detected face comes to 128 px; ``UnusablePicture`` where there is too little of it."""
    _check_side("the picture", min(found.size))
    if not found.faces:
        best = f"the best guess has probability {found.probability:.2f}"
        raise UnusablePicture("no face", best if found.probability else "nothing like a face")
    left, top, right, bottom = found.box
    _check_side("the face", max(right - left, bottom - top))
    return similarity(found.points) if align == "similarity" else square(found.box, margin=margin)


def _check_side(what: str, side: float) -> None:
    if side < SMALLEST:
        raise UnusablePicture("too small", f"{what} has {side:.0f} px; at least {SMALLEST} needed")


def _searched(
    search: _Search, people: Sequence[tuple[str, list[str]]], workers: int
) -> Iterator[_Outcome]:
    """The outcome of each of ``people``, in their order."""
    size = max(1, min(16, len(people) // (4 * workers)))
    chunks = [people[start : start + size] for start in range(0, len(people), size)]
    done: Iterable[list[_Outcome]]
    if workers == 1 or len(chunks) == 1:
        done = map(search, chunks)
    else:
        from joblib import Parallel, delayed

        done = Parallel(n_jobs=workers, return_as="generator")(delayed(search)(c) for c in chunks)
    for outcomes in done:
        yield from outcomes
