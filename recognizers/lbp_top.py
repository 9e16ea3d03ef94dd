"""LBP-TOP: local binary patterns on three orthogonal planes, the baseline of MEGC 2019.

Zhao, Pietikäinen, "Dynamic Texture Recognition Using Local Binary Patterns", TPAMI 2007. The
defaults are those of the challenge: clips of 10 frames, 5 x 5 blocks that do not overlap, radii
(1, 1, 4) in x, y and time, 4 neighbours, plain codes: 25 x 3 x 16 = 1200 numbers. The code itself
was not published; ours are: blocks share out what is left within the radii of the border, each
histogram sums to 1, neighbours off the grid are interpolated linearly.

Other settings met: radii (3, 3, 3), 8 neighbours, uniform codes, with 16 frames (MECIA's paper) or
8 x 8 blocks (the benchmark MEB, 11,328 numbers).
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

# Of (t, y, x), the axes that each plane spans, and that a circle's cosine and sine go along.
PLANES = {"xy": (2, 1), "xt": (2, 0), "yt": (1, 0)}

# Grey levels. Interpolation leaves neighbours that are equal some 1e-5 apart.
EQUAL = 1e-3


def lbp_top(
    frames: NDArray[np.uint8] | NDArray[np.float32],
    *,
    blocks: int = 5,
    radii: tuple[int, int, int] = (1, 1, 4),
    points: int = 4,
    uniform: bool = False,
) -> NDArray[np.float32]:
    """Grey FRAMES (T, H, W) in 0..255 -> (blocks^2 x 3 x codes,) float32, each histogram's sum 1.

    RADII are of x, y and time, POINTS the neighbours in each plane. Codes are 2^points, or with
    UNIFORM points (points - 1) + 3: one for each pattern that changes at most twice around the
    circle, and one for all others. Order: rows of blocks, planes XY, XT and YT, codes. ValueError
    where the clip is too short, or a block would be empty.
    """
    if frames.ndim != 3:
        raise ValueError(f"grey frames are (T, H, W), not {frames.shape}")
    reach = np.array(radii[::-1])  # of t, y, x
    left = np.array(frames.shape) - 2 * reach
    if (left < (1, blocks, blocks)).any():
        raise ValueError(
            f"clip of {frames.shape} (frames, rows, columns): radii {radii} and {blocks} x "
            f"{blocks} blocks need at least {tuple((2 * reach + (1, blocks, blocks)).tolist())}"
        )
    numbers = uniform_codes(points) if uniform else np.arange(2**points)
    bins = int(numbers.max()) + 1
    coded = [numbers[codes(frames, plane, reach, points)] for plane in PLANES]
    rows, columns = (np.array_split(np.arange(side), blocks) for side in left[1:])
    histograms = [
        np.bincount(plane[:, down][:, :, right].ravel(), minlength=bins)
        for down, right in itertools.product(rows, columns)
        for plane in coded
    ]
    counted = np.array(histograms, np.float32)
    shares: NDArray[np.float32] = (counted / counted.sum(axis=1, keepdims=True)).ravel()
    return shares


def codes(
    frames: NDArray[np.uint8] | NDArray[np.float32],
    plane: str,
    reach: NDArray[np.int64],
    points: int,
) -> NDArray[np.int64]:
    """The code of every pixel that is at least REACH (t, y, x) from all borders.

    (T, H, W) -> (T - 2 rt, H - 2 ry, W - 2 rx). Bit k is set where neighbour k, k POINTS-ths around
    the circle in PLANE, is at least as bright as the pixel.
    """
    from scipy import ndimage

    clip = frames.astype(np.float64)
    inside = tuple(slice(r, side - r) for r, side in zip(reach, clip.shape, strict=True))
    first, second = PLANES[plane]
    code = np.zeros(clip[inside].shape, np.int64)
    for k in range(points):
        angle = 2 * np.pi * k / points
        offset = np.zeros(3)
        offset[first] = reach[first] * np.cos(angle)
        offset[second] = reach[second] * np.sin(angle)
        neighbour = ndimage.shift(clip, -offset.round(9), order=1, mode="nearest")[inside]
        code |= (neighbour >= clip[inside] - EQUAL).astype(np.int64) << k
    return code


def uniform_codes(points: int) -> NDArray[np.int64]:
    """Plain code -> uniform code, (2^points,): the few smooth patterns in order, then the rest.

    >>> int(uniform_codes(8).max()) + 1, int(uniform_codes(4)[0b0101])
    (59, 14)
    """
    plain = np.arange(2**points)
    bits = plain[:, None] >> np.arange(points) & 1
    smooth = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    return np.where(smooth, np.cumsum(smooth) - 1, smooth.sum())
