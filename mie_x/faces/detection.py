"""Where the face of a picture is: MTCNN (Zhang et al., 2016; facenet-pytorch brings its weights).

What was found is kept in a small SQLite file, so that a folder is searched once: numbers only (box,
five points, probability), never pixels, names or paths, under the SHA-256 of the picture's bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mie_x.faces.pictures import Matrix, UnusablePicture, decode, shrink
from mie_x.records import SIZE, Frames
from mie_x.threads import one_thread

TEMPLATE = ((45.3, 59.9), (82.7, 59.9), (64.0, 82.2), (48.4, 101.0), (79.6, 101.0))
"""Where the eyes, the nose tip and the corners of the mouth come to lie in 128 x 128 px (left in
the picture first): the renderer's frontal view, so that both kinds of faces are framed alike."""

PROBABILITY = 0.9
LOOKS = ((320, 40), (640, 20))
"""(longer side that the picture is shrunk to, smallest face) in px. The first look finds faces from
an eighth of the longer side on; only if there is none, the second those down to a thirty-second."""


@dataclass(frozen=True)
class Detection:
    """The largest face of a picture, in px of the upright picture; or none.

    ``box`` is (left, top, right, bottom), ``points`` left and right eye, nose tip, left and right
    corner of the mouth, as seen. ``faces`` counts those of at least ``PROBABILITY``. Where there
    is none, box and points are empty and ``probability`` is that of the best guess.
    """

    size: tuple[int, int]
    faces: int
    probability: float
    box: tuple[float, ...] = ()
    points: tuple[tuple[float, float], ...] = ()


class Detector:
    """MTCNN on one thread, built at the first picture. ``device`` as torch names it."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._networks: dict[bool, Any] = {}

    @property
    def settings(self) -> str:
        """What a result depends on besides the picture."""
        return (
            f"mtcnn facenet-pytorch {version('facenet-pytorch')} looks {LOOKS} "
            f"probability {PROBABILITY} device {self.device.partition(':')[0]}"
        )

    def __call__(self, picture: Frames) -> Detection:
        """(H, W, 3) uint8 RGB -> the largest face that is certain enough."""
        height, width = picture.shape[:2]
        best = 0.0
        for side, smallest in LOOKS:
            seen = shrink(picture, side)
            if min(seen.shape[:2]) < smallest:  # MTCNN fails where no face fits
                continue
            boxes, probabilities, points = self._detect(seen, smallest)
            best = max(best, *probabilities, 0.0)
            if (largest := _largest(boxes, probabilities)) is not None:
                scale = np.array((width, height)) / (seen.shape[1], seen.shape[0])
                return Detection(
                    size=(width, height),
                    faces=int((probabilities >= PROBABILITY).sum()),
                    probability=round(float(probabilities[largest]), 4),
                    box=_rounded(boxes[largest] * np.tile(scale, 2)),
                    points=tuple((x, y) for x, y in map(_rounded, points[largest] * scale)),
                )
        return Detection(size=(width, height), faces=0, probability=round(best, 4))

    def probabilities(self, pictures: Frames) -> list[float]:
        """``probability`` of each of (N, H, W, 3) pictures, of at most 320 px, looked at together.

        The same as one by one, several times as fast. ``UnusablePicture`` counts as 0.
        """
        side, smallest = LOOKS[0]
        found: list[float | None] = [None] * len(pictures)
        if len(pictures) > 1 and smallest <= max(pictures.shape[1:3]) <= side:
            try:
                with one_thread():
                    network = self._network(smallest, together=True)
                    boxes, probabilities = network.detect(pictures)
            except (IndexError, ValueError, RuntimeError):  # a candidate of one spoils all
                pass
            else:
                found = [_sureness(*each) for each in zip(boxes, probabilities, strict=True)]
        return [
            self._alone(picture) if probability is None else probability
            for picture, probability in zip(pictures, found, strict=True)
        ]

    def _alone(self, picture: Frames) -> float:
        try:
            return self(picture).probability
        except UnusablePicture:  # it stumbled over what it took for a face beyond the edge
            return 0.0

    def _network(self, smallest: int, *, together: bool = False) -> Any:
        """MTCNN; for many pictures TOGETHER one of its own, with its memory laid out for them."""
        if together not in self._networks:
            import torch
            from facenet_pytorch import MTCNN

            network = MTCNN(keep_all=True, device=torch.device(self.device))
            for part in (network.pnet, network.rnet, network.onet) if together else ():
                part.to(memory_format=torch.channels_last)  # half the time on a CPU
            self._networks[together] = network
        self._networks[together].min_face_size = smallest
        return self._networks[together]

    def _detect(
        self, picture: Frames, smallest: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Boxes (N, 4), probabilities (N,) and points (N, 5, 2) of all candidates."""
        network = self._network(smallest)
        try:
            with one_thread():
                boxes, probabilities, points = network.detect(picture, landmarks=True)
        except (IndexError, ValueError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "non-empty list" not in str(error):
                raise  # the device's trouble, not the picture's
            # facenet-pytorch stumbles over candidates that lie outside the picture altogether
            raise UnusablePicture("detector failed", f"{type(error).__name__}: {error}") from error
        if boxes is None:
            return np.empty((0, 4)), np.empty(0), np.empty((0, 5, 2))
        return boxes.astype(float), probabilities.astype(float), points.astype(float)


def _largest(boxes: NDArray[np.float64], probabilities: NDArray[np.float64]) -> int | None:
    """Which of a picture's candidates is its largest certain face; None where none is certain."""
    certain = probabilities >= PROBABILITY
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return int(np.where(certain, areas, -np.inf).argmax()) if certain.any() else None


def _sureness(boxes: Any, probabilities: Any) -> float | None:
    """Probability of the largest certain face, of what MTCNN says of one of several pictures."""
    if boxes is None:
        return None
    probabilities = probabilities.astype(float)
    largest = _largest(boxes.astype(float), probabilities)
    return None if largest is None else round(float(probabilities[largest]), 4)


def _rounded(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for value in values)


def similarity(points: ArrayLike, template: ArrayLike = TEMPLATE) -> Matrix:
    """The shift, turn and scale, never a mirroring, that brings (N, 2) points to the template.

    Least squares in px of the template. Points that all coincide raise ValueError.
    """
    source = np.asarray(points, float) @ (1, 1j)
    target = np.asarray(template, float) @ (1, 1j)
    source, middle = source - source.mean(), source.mean()
    spread = float((abs(source) ** 2).sum())
    if not spread > 1e-9:
        raise ValueError("all points coincide: there is no scale to find")
    turn = complex((source.conj() * target).sum() / spread)
    shift = complex(target.mean() - turn * middle)
    return (turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag)


def square(box: ArrayLike, *, margin: float) -> Matrix:
    """An upright square about the box's middle: its longer side, ``margin`` of it on each side."""
    left, top, right, bottom = (float(value) for value in np.asarray(box, float))
    scale = SIZE / (max(right - left, bottom - top) * (1 + 2 * margin))
    x, y = (left + right) / 2, (top + bottom) / 2
    return (scale, 0.0, SIZE / 2 - scale * x, 0.0, scale, SIZE / 2 - scale * y)


def user_cache() -> Path:
    """``$MIEX_CACHE``, or this user's cache folder as the system has it."""
    if named := os.environ.get("MIEX_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "mie-x/Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/mie-x"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mie-x"


class Known:
    """What earlier runs found: a table (settings, SHA-256) -> detection in ``faces.sqlite``.

    Several processes may use it at once. A file that is no database, or a damaged one, is made
    anew; one that can be neither read nor written (full disk, lost rights) is done without:
    losing it costs time only.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self.path = folder / "faces.sqlite"
        self.settings = hashlib.sha256(settings.encode()).hexdigest()[:16]

    def get(self, sha256: str) -> Detection | UnusablePicture | None:
        rows = self._run(
            "SELECT found FROM detections WHERE settings = ? AND sha256 = ?",
            [(self.settings, sha256)],
        )
        try:
            return _from_json(rows[0][0]) if rows else None
        except (ValueError, KeyError, TypeError):
            return None  # a row that nobody of this version wrote: detect again

    def put(self, found: dict[str, Detection | UnusablePicture]) -> None:
        """All of ``found`` in one transaction."""
        self._run(
            "INSERT OR REPLACE INTO detections VALUES (?, ?, ?)",
            [(self.settings, sha256, _to_json(one)) for sha256, one in found.items()],
        )

    def _run(self, statement: str, rows: list[tuple[str, ...]]) -> list[tuple[str]]:
        try:
            return self._once(statement, rows)
        except sqlite3.OperationalError:
            return []
        except sqlite3.DatabaseError:  # not a database, or a damaged one
            pass
        try:
            for path in (self.path, self.path.with_name(f"{self.path.name}-journal")):
                path.unlink(missing_ok=True)
            return self._once(statement, rows)
        except (sqlite3.DatabaseError, OSError):
            return []

    def _once(self, statement: str, rows: list[tuple[str, ...]]) -> list[tuple[str]]:
        with closing(sqlite3.connect(self.path, timeout=30)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS detections (settings TEXT, sha256 TEXT, found TEXT, "
                "PRIMARY KEY (settings, sha256)) WITHOUT ROWID"
            )
            if statement.startswith("SELECT"):
                return database.execute(statement, rows[0]).fetchall()
            database.executemany(statement, rows)
            return []


def _to_json(found: Detection | UnusablePicture) -> str:
    if isinstance(found, UnusablePicture):
        return json.dumps({"reason": found.reason, "detail": found.detail})
    return json.dumps(asdict(found))


def _from_json(text: str) -> Detection | UnusablePicture:
    """Inverse of ``_to_json``; ValueError, KeyError or TypeError for any other text."""
    found = json.loads(text)
    if "reason" in found:
        return UnusablePicture(str(found["reason"]), str(found["detail"]))
    width, height = found["size"]
    box = tuple(float(value) for value in found["box"])
    points = tuple((float(x), float(y)) for x, y in found["points"])
    numbers = [*box, *(value for point in points for value in point)]
    if len(numbers) != (14 if found["faces"] else 0) or not all(map(math.isfinite, numbers)):
        raise ValueError("not a box and five points")
    return Detection(
        (int(width), int(height)), int(found["faces"]), float(found["probability"]), box, points
    )


def detect(data: bytes, detector: Detector) -> Detection | UnusablePicture:
    """What is in a picture file's bytes; a picture that cannot be used is an answer, too."""
    try:
        return detector(decode(data))
    except UnusablePicture as error:
        return error
