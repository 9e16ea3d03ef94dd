"""What a recognizer sees of a clip: arrays in, arrays out, one way to look for each paper.

A clip is frames (T, H, W, 3) uint8 RGB and the index of its apex (negative counts from the end),
as in ``mie_x.records.Sample``. A view that is part of training takes an ``Augmentation``: one draw
for a whole clip, since frames that are turned apart move more by that than any face does. Without
one it is the fixed view of testing.

1. Z. Zhou, G. Zhao, M. Pietikäinen, "Towards a Practical Lipreading System", CVPR 2011.
2. X. Liu et al., "MiE-X", ECCV 2022. 3. G. B. Liong, J. See, C. S. Chan, MEAN, 2022.
4. M. Peng et al., "Dual Temporal Scale Convolutional Neural Network", Frontiers in Psychology 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from mie_x.faces.detection import similarity
from mie_x.flow import Gray, Maps, gray, paint, uv_strain
from mie_x.records import SIZE, Frames

RESIZED, CROPPED = 256, 224  # MiE-X and what its trunks were pre-trained at
TURN = 10.0  # degrees, either way
JITTER = 0.2  # of brightness, contrast and saturation, either way

Points = NDArray[np.float32]
Clip = NDArray[np.float32]

MARGIN = 12  # px around MEAN's parts of the face
PART = (21, 42)  # height, width of each of the two
MEAN_POINTS = {
    17: (33.6, 51.9),  # outer end of the left brow (left in the picture)
    19: (44.8, 48.9),  # middle of the left brow
    24: (83.2, 48.9),  # middle of the right brow
    26: (94.4, 51.9),  # outer end of the right brow
    41: (45.2, 62.3),  # under the left eye
    46: (82.8, 62.3),  # under the right eye
    50: (64.0, 97.3),  # upper edge of the lips; only its row is used
    57: (64.0, 108.2),  # lower edge of the lips; only its row is used
    60: (49.4, 101.0),  # left corner of the mouth: the outer one, iBUG's is a little further in
    64: (78.6, 101.0),  # right corner of the mouth
}
"""The iBUG points (from 0) that MEAN needs, in the px of ``mie_x.faces``' template: the mean of the
first 200 drawn people at rest in the reference view, laid on the template by their five points.
They scatter by .5 to 1.6 px there."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How a whole clip is changed: degrees, factors around 1, and the corner of the crop in px."""

    angle: float
    brightness: float
    contrast: float
    saturation: float
    left: int
    top: int


def draw_augmentation(rng: np.random.Generator) -> Augmentation:
    """Draw uniformly: angle within ``TURN``, factors within ``JITTER`` of 1, any corner.

    MiE-X [2] draws so too, but for each frame anew, hue besides, and at testing as well.
    """
    brightness, contrast, saturation = rng.uniform(1 - JITTER, 1 + JITTER, 3)
    left, top = rng.integers(RESIZED - CROPPED + 1, size=2)
    return Augmentation(
        angle=float(rng.uniform(-TURN, TURN)),
        brightness=float(brightness),
        contrast=float(contrast),
        saturation=float(saturation),
        left=int(left),
        top=int(top),
    )


FIXED = Augmentation(0, 1, 1, 1, (RESIZED - CROPPED) // 2, (RESIZED - CROPPED) // 2)
"""The view of testing: resized to 256 px, the middle 224 px, nothing else."""


def augment(frames: Frames, augmentation: Augmentation = FIXED) -> Frames:
    """(T, H, W, 3) uint8 -> (T, 224, 224, 3) uint8, every frame changed alike.

    Resized to 256 px, turned about the middle (what comes into sight is black), multiplied in
    brightness, contrast and saturation, cropped. Contrast is about the mean gray of the first
    frame: each frame's own would turn a movement into a change of light.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or not len(frames):
        raise ValueError(f"frames are (T, H, W, 3) uint8, not {frames.shape} {frames.dtype}")
    bilinear = Image.Resampling.BILINEAR
    images = (Image.fromarray(frame).resize((RESIZED, RESIZED), bilinear) for frame in frames)
    large = np.stack([np.asarray(i.rotate(augmentation.angle, bilinear)) for i in images])
    rows, columns = (slice(at, at + CROPPED) for at in (augmentation.top, augmentation.left))
    picture = large[:, rows, columns].astype(np.float32) * augmentation.brightness
    level = augmentation.brightness * gray(large[0]).mean(dtype=np.float32)
    picture = level + augmentation.contrast * (picture - level)
    luma = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    picture = luma[..., None] + augmentation.saturation * (picture - luma[..., None])
    changed: Frames = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return changed


COLOURS: dict[str, Callable[[Frames], Frames]] = {
    "rgb": lambda frames: frames,
    "gray": lambda frames: gray(frames)[..., None].repeat(3, axis=-1),
}
"""Colours, or gray three times over for networks that were pre-trained on colours (MECIA-Net)."""


def onset_apex(
    frames: Frames, at: int, *, augmentation: Augmentation = FIXED, colour: str = "rgb"
) -> Clip:
    """Onset and apex of a clip, as Branches sees them: (2, 3, 224, 224) float32 in [-1, 1]."""
    return _signed(COLOURS[colour](augment(frames[[0, at]], augmentation)))


def apex(
    frames: Frames, at: int, *, augmentation: Augmentation = FIXED, colour: str = "rgb"
) -> Clip:
    """The apex of a clip, as ApexME sees it: (3, 224, 224) float32 in [-1, 1]."""
    signed: Clip = _signed(COLOURS[colour](augment(frames[[at]], augmentation)))[0]
    return signed


def flow_of(
    frames: Frames, at: int, *, size: int, flow: str = "tvl1", normalise: str = "minmax"
) -> Maps:
    """u, v and strain from onset to apex: (3, size, size) float32, see ``mie_x.flow.uv_strain``."""
    onset, peak = gray(frames[[0, at]])
    return uv_strain(onset, peak, size=size, flow=flow, normalise=normalise)


def painted(frames: Frames, at: int, *, size: int = CROPPED, flow: str = "tvl1") -> Frames:
    """EMR's picture of onset and apex: (size, size, 3) uint8 RGB, see ``mie_x.flow.paint``."""
    peak = Image.fromarray(frames[at]).resize((size, size), Image.Resampling.BILINEAR)
    maps = flow_of(frames, at, size=size, flow=flow, normalise="raw")
    return paint(maps[:2], np.asarray(peak))


def flow_sequence(
    frames: Frames,
    count: int,
    *,
    size: int,
    flow: str = "tvl1",
    from_onset: bool = True,
    tim: str = "linear",
) -> Maps:
    """u, v and magnitude over time, as a DTSCNN sees them: (3, count, size, size) float32, T >= 2.

    Each frame's flow from the onset, or from the frame before it, in px of the map; the onset's own
    is 0. The flows are interpolated in time, not the frames as in [4]: between frames that were
    interpolated there is so little movement that 8 bits and a flow of tenths of a pixel lose it,
    and 9 flows cost less than 127. Flows from the frame before are those of the given frame rate.
    """
    course = flow_course(gray(frames), size=size, flow=flow, from_onset=from_onset)
    return over_time(course, count, tim=tim)


def flow_course(views: Gray, *, size: int, flow: str = "tvl1", from_onset: bool = True) -> Maps:
    """The flows of ``flow_sequence`` at the frames (T, H, H) that there are: (T, 2, size, size)."""
    pairs = [(views[0] if from_onset else views[t - 1], views[t]) for t in range(1, len(views))]
    found = [uv_strain(*pair, size=size, flow=flow, normalise="raw")[:2] for pair in pairs]
    return np.stack([np.zeros((2, size, size), np.float32), *found])


def over_time(course: ArrayLike, count: int, *, tim: str = "linear") -> Maps:
    """Flows (T, 2, S, S) interpolated to COUNT, with magnitude: (3, count, S, S) float32.

    As ``temporal`` does it, but a frame is made of those with a weight alone: of two, if linear.
    """
    from scipy.sparse import csr_array

    given = np.asarray(course, np.float32)
    if len(given) < 2 or count < 2:
        raise ValueError(f"{len(given)} flows to {count}: below two there is no course of time")
    weights = csr_array(TIMS[tim](len(given), count).T.astype(np.float32))
    moved = (weights @ given.reshape(len(given), -1)).reshape(count, *given.shape[1:])
    maps = np.empty((3, count, *given.shape[2:]), np.float32)
    maps[0], maps[1] = moved[:, 0], moved[:, 1]
    np.sqrt(maps[0] ** 2 + maps[1] ** 2, out=maps[2])
    return maps


def _graph(length: int, count: int) -> NDArray[np.float64]:
    """TIM [1]: a clip as a path graph; its frames in terms of the Laplacian's eigenvectors.

    The k-th eigenvector is y_k(t) = sin(pi k t + pi (T - k) / (2 T)) at t = 1/T ... 1, and read at
    any t between. The linear map from these back to frames, which [1] learns by an SVD of the
    frames less their mean, is exact, and the eigenvectors of k = 1 ... T - 1 are orthogonal, with
    squared length T / 2: so it is known beforehand, the same for every clip.
    """
    order = np.arange(1, length)[:, None]

    def eigenvectors(t: NDArray[np.float64]) -> NDArray[np.float64]:
        waves: NDArray[np.float64] = np.sin(
            np.pi * order * t + np.pi * (length - order) / (2 * length)
        )
        return waves

    given = eigenvectors(np.arange(1, length + 1) / length)
    wanted = eigenvectors(np.linspace(1 / length, 1, count))
    return 1 / length + 2 / length * (given.T @ wanted)


def _linear(length: int, count: int) -> NDArray[np.float64]:
    """Straight lines between neighbours."""
    places = np.linspace(0, length - 1, count)
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(np.arange(length)[:, None] - places))
    return weights


TIMS: dict[str, Callable[[int, int], NDArray[np.float64]]] = {"graph": _graph, "linear": _linear}
"""Temporal interpolation: (T, count) -> the weight (T, count) of each given frame in each new."""


def temporal(frames: ArrayLike, count: int, *, how: str = "graph") -> Clip:
    """Interpolate (T, ...) in time to (count, ...) float32, same unit; T and COUNT at least 2.

    First and last frame stay what they are, and COUNT = T gives the frames back. HOW is one of
    ``TIMS``: "graph", that of LBP-TOP's and DTSCNN's papers, is smooth, so that it swings over
    (outside of the given range, by up to a fifth of a sudden step) and gives a steady movement only
    nearly (to 4 % of its length for 3 frames, .6 % for 10); "linear" is exact there, with a kink at
    each given frame.
    """
    given = np.asarray(frames)
    if len(given) < 2 or count < 2:
        raise ValueError(f"{len(given)} frames to {count}: below two there is no course of time")
    return np.tensordot(TIMS[how](len(given), count).T, given, axes=1).astype(np.float32)


def five_to_68(points: ArrayLike) -> Points:
    """MTCNN's five points (5, 2) -> (68, 2) float32 iBUG points; NaN but for ``MEAN_POINTS``.

    A deviation: MEAN finds all 68 with dlib (whose weights are not free for every use). Ours are
    those of a usual face, brought to the five by a similarity, so that they follow pose in the
    picture and size, not the face's own proportions.
    """
    a, b, c, d, e, f = similarity(points)
    linear = np.linalg.inv([[a, b], [d, e]])
    found = np.full((68, 2), np.nan, np.float32)
    found[list(MEAN_POINTS)] = (np.array(list(MEAN_POINTS.values())) - (c, f)) @ linear.T
    return found


def mean_roi(maps: Maps, landmarks: ArrayLike) -> Maps:
    """MEAN's parts of the face: (C, 128, 128) and points (68, 2) -> (C, 42, 42) float32.

    Above brows and eyes, below the mouth, each with ``MARGIN`` px around, within the picture, and
    resized to 42 x 21 px, linear and not antialiased (OpenCV's usual way; MEAN's is not told). Of
    a point its pixel counts. The maps are normalised *before*, over the whole face.
    """
    from skimage.transform import resize

    if maps.ndim != 3 or maps.shape[1:] != (SIZE, SIZE):
        raise ValueError(f"maps are (C, {SIZE}, {SIZE}), not {maps.shape}")
    at = np.floor(np.asarray(landmarks))
    (x, y), height = at.T, maps.shape[1]
    parts = {
        "brows and eyes": (min(y[19], y[24]), max(y[41], y[46]), x[17], x[26]),
        "mouth": (y[50], y[57], x[60], x[64]),
    }
    made = []
    for name, (top, bottom, left, right) in parts.items():
        if not np.isfinite([top, bottom, left, right]).all():
            raise ValueError(f"{name}: a landmark is not a number; is this the iBUG order, from 0?")
        r0, r1, c0, c1 = (
            int(np.clip(v, 0, height))
            for v in (top - MARGIN, bottom + MARGIN, left - MARGIN, right + MARGIN)
        )
        if r1 <= r0 or c1 <= c0:
            raise ValueError(
                f"{name}: nothing lies in rows {r0} to {r1}, columns {c0} to {c1}; "
                f"the landmarks belong to a face of {SIZE} x {SIZE} px, x then y"
            )
        piece = np.moveaxis(maps[:, r0:r1, c0:c1], 0, 2)
        made.append(
            resize(piece, PART, order=1, mode="edge", anti_aliasing=False)  # type: ignore[no-untyped-call]
        )
    return np.moveaxis(np.concatenate(made), 2, 0).astype(np.float32)


def _signed(frames: Frames) -> Clip:
    """(T, H, W, 3) uint8 -> (T, 3, H, W) float32 in [-1, 1]."""
    return np.ascontiguousarray(frames.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - 1
