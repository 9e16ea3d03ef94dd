"""A filmed face, framed once: found on the onset frame, seen through the same matrix to the end.

The step that papers on micro-expressions leave out, though results hang on it. Ours: the face is
looked for on the onset frame alone, since the apex shows the very movement that is to be seen, and
a frame aligned by itself loses part of it: the mouth's corners are two of the five points. What the
head moves in the clip is left in; that is little in the half second of a micro-expression.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mie_x.faces import MARGIN, Align, matrix_of
from mie_x.faces.detection import Detector
from mie_x.faces.pictures import Matrix, part_seen
from mie_x.records import SIZE, Frames


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where a clip's face is, and how it comes to a square of ``SIZE`` px.

    ``size`` is (width, height) of its frames; ``box`` (left, top, right, bottom) and ``points``
    (left and right eye, nose tip, left and right corner of the mouth, as seen) are px of them.
    ``matrix`` leads from there to ``SIZE`` px (see ``Matrix``). ``faces`` counts those that were
    found, of which this is the largest; ``probability`` is the detector's.
    """

    size: tuple[int, int]
    matrix: Matrix
    box: tuple[float, ...]
    points: tuple[tuple[float, float], ...]
    faces: int
    probability: float

    def points_in(self, size: int = SIZE) -> NDArray[np.float64]:
        """The five points (5, 2) as (x, y) px of what ``aligned`` makes, SIZE px wide."""
        a, b, c, d, e, f = _scaled(self.matrix, size)
        return np.array(self.points) @ [[a, d], [b, e]] + (c, f)


def find_alignment(
    frame: Frames, *, align: Align = "similarity", margin: float = MARGIN, device: str = "cpu"
) -> Alignment:
    """Find the largest face of an onset frame (H, W, 3) uint8 RGB.

    ALIGN and MARGIN as ``faces.photographs`` takes them, "none" excepted. Raises
    ``UnusablePicture``, a ValueError, where there is no face or too small a one.
    """
    if align not in ("similarity", "crop"):
        raise ValueError(f"align is {align!r}; a clip's can be similarity or crop")
    found = _detector(device)(frame)
    matrix = matrix_of(found, align, margin)
    return Alignment(found.size, matrix, found.box, found.points, found.faces, found.probability)


def aligned(frames: Iterable[Frames], alignment: Alignment, *, size: int = SIZE) -> Frames:
    """FRAMES (H, W, 3) uint8 RGB through one matrix: (T, size, size, 3) uint8.

    Another SIZE shows the same part of the frames in other detail. Raises ValueError where a frame
    is not as large as the one that the face was found on.
    """
    width, height = alignment.size
    resampled = _resampling(_scaled(alignment.matrix, size), (height, width), size)
    pictures = []
    for number, frame in enumerate(frames):
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(
                f"frame {number} of the clip is {frame.dtype} of shape {frame.shape}, the face was "
                f"found in {width} x {height} px; give uint8 RGB of shape ({height}, {width}, 3)"
            )
        pictures.append(resampled(frame))
    return np.array(pictures, np.uint8).reshape(-1, size, size, 3)


def sureness(pictures: Frames, *, device: str = "cpu") -> NDArray[np.float32]:
    """How sure the detector is that each of (T, H, W, 3) pictures shows a face: (T,) in [0, 1]."""
    return np.array(_detector(device).probabilities(pictures), np.float32)


class _Resampling:
    """``pictures.warp`` through one matrix, for many frames: a tenth of the time for each.

    Every pixel of the result is a weighted sum of the frame's, so that the weights of all samples
    are found once. On film one value in some 2,000 differs from ``warp``'s, nearly always by a
    level: that one cuts its samples off at what it sees of darkest and brightest.
    """

    def __init__(self, matrix: Matrix, shape: tuple[int, int], size: int) -> None:
        from scipy.sparse import csr_array

        back = np.linalg.inv(np.vstack([np.reshape(matrix, (2, 3)), (0, 0, 1)]))
        step = math.sqrt(abs(np.linalg.det(back)))
        seen = part_seen(back, size, shape, around=math.ceil(2 * step) + 2)
        self.part = np.s_[seen[1] : seen[3], seen[0] : seen[2]]
        self.block = max(1, int(step / 2))
        samples = max(1, math.ceil(step / self.block))
        width, height = (-(-(seen[k + 2] - seen[k]) // self.block) for k in (0, 1))

        row, column = np.mgrid[: size * samples, : size * samples].reshape(2, -1)
        x, y, _ = back @ ((column + 0.5) / samples, (row + 0.5) / samples, np.ones(row.size))
        x, x_weights = _taps((x - seen[0]) / self.block - 0.5, width)
        y, y_weights = _taps((y - seen[1]) / self.block - 0.5, height)
        sources = y[:, :, None] * width + x[:, None, :]
        weights = y_weights[:, :, None] * x_weights[:, None, :] / np.float32(samples**2)
        results = np.repeat((row // samples * size + column // samples).astype(np.int32), 16)
        self.size = size
        self.weights = csr_array(
            (weights.ravel(), (results, sources.ravel())),
            shape=(size * size, width * height),
        )

    def __call__(self, frame: Frames) -> Frames:
        part = frame[self.part]
        if self.block > 1:
            part = np.asarray(Image.fromarray(part).reduce(self.block))
        sums = self.weights @ part.reshape(-1, 3).astype(np.float32)
        shown: Frames = np.clip(np.rint(sums), 0, 255).astype(np.uint8)
        return shown.reshape(self.size, self.size, 3)


@lru_cache(maxsize=2)  # a long clip comes in parts, and each as those before it saw it
def _resampling(matrix: Matrix, shape: tuple[int, int], size: int) -> _Resampling:
    return _Resampling(matrix, shape, size)


def _taps(at: NDArray[np.float64], length: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The four pixels (N, 4) of a row around each place, and their weights (Catmull-Rom)."""
    first = np.floor(at)
    t = at - first
    weights = np.array(
        [[0, -0.5, 1, -0.5], [1, 0, -2.5, 1.5], [0, 0.5, 2, -1.5], [0, 0, -0.5, 0.5]]
    ) @ [np.ones_like(t), t, t**2, t**3]
    pixels = np.clip(first[:, None] + np.arange(-1, 3), 0, length - 1)
    return pixels.astype(np.int32), weights.T.astype(np.float32)


def _scaled(matrix: Matrix, size: int) -> Matrix:
    """MATRIX to ``SIZE`` px as one to SIZE px."""
    a, b, c, d, e, f = (value * size / SIZE for value in matrix)
    return a, b, c, d, e, f


@lru_cache(maxsize=1)
def _detector(device: str) -> Detector:
    return Detector(device)
