"""Optical flow, optical strain, and what recognizers make of them: the part papers leave out.

Between two gray frames (H, W) uint8 a flow is (2, H, W) float32: u, right, then v, down, in pixels,
of what is seen at a pixel of the first frame on its way to the second. ``docs/preprocessing.md``
has what each paper does, and how near the kinds of flow are to one another and to the truth.

The recipe, where a paper is silent: flow at the size of the crop, strain at that size, then u, v
and strain shrunk together, then normalised.

1. C. Zach, T. Pock, H. Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow",
   DAGM 2007; J. Sánchez Pérez, E. Meinhardt-Llopis, G. Facciolo, IPOL 2013.
2. G. Farnebäck, "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003.
3. M. Shreve et al., "Macro- and Micro-Expression Spotting in Long Videos Using Spatio-Temporal
   Strain", FG 2011.
4. G. B. Liong, J. See, C. S. Chan, "Spot-then-Recognize" (MEAN), 2022.
5. S.-T. Liong et al., "Shallow Triple Stream Three-Dimensional CNN" (STSTNet), FG 2019.
6. Y. Liu et al., "A Neural Micro-Expression Recognizer" (EMR), FG 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mie_x.records import Frames

Gray = NDArray[np.uint8]
Maps = NDArray[np.float32]

LUMA = (9798, 19235, 3735)  # .299, .587, .114 of 2**15: ITU-R BT.601 in OpenCV's fixed point

FULL = (0.02, 0.02, 0.5)
"""What "signed" divides by: u and v in widths of the map (2.56 px of 128), strain as it is. The
largest flow that "tvl1" finds in a drawn face with one AU at 0.3 is .1 to 1.0 of it, the largest
strain .6 to 1.0, but 4 where lips or lids open (AU 25, 26, 45: what is uncovered has no flow)."""


def gray(frames: Frames) -> Gray:
    """(..., 3) uint8 RGB -> (...) uint8: BT.601 luma, halves rounded up, bit for bit OpenCV's.

    >>> gray(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)).tolist()
    [76, 150, 29]
    """
    if frames.dtype != np.uint8 or frames.shape[-1:] != (3,):
        raise ValueError(f"frames are uint8 RGB, not {frames.dtype} {frames.shape}")
    luma: Gray = ((frames.astype(np.int32) @ np.array(LUMA, np.int32) + 2**14) >> 15).astype(
        np.uint8
    )
    return luma


def tvl1(first: Gray, second: Gray) -> Maps:
    """TV-L1 of scikit-image, which every installation has: flow (2, H, W) in pixels.

    The energy is that of OpenCV's defaults: lambda .15 for levels of 0 to 255 is an attachment of
    38.25 for 0 to 1, theta .3 is the tightness, tau .25 is built in; so are 5 warps and the
    tolerance of .01 px. Different are the pyramid (halves down to 16 px; OpenCV 5 steps of .8), the
    median filter (3 px once a warp; 5 px up to ten times), interpolation (linear; cubic) and the
    number of iterations (10 of the data term with 2 of the dual each; up to 300 of both).
    """
    from skimage.registration import optical_flow_tvl1

    _check_pair(first, second)
    rows_columns: Maps = optical_flow_tvl1(  # type: ignore[no-untyped-call]
        first,
        second,
        attachment=0.15 * 255,
        tightness=0.3,
        num_warp=5,
        num_iter=10,
        tol=1e-4,  # mean square, px: OpenCV's epsilon .01, squared
        prefilter=True,
        dtype=np.float32,
    )
    return np.ascontiguousarray(rows_columns[::-1])


def tvl1_opencv(first: Gray, second: Gray) -> Maps:
    """TV-L1 of OpenCV-contrib with its defaults, as MEAN's and MEB's code has it: (2, H, W) px.

    tau .25, lambda .15, theta .3, 5 scales of .8, 5 warps, epsilon .01, 30 inner and 10 outer
    iterations, median filter 5. Needs the extra ``opencv``.
    """
    _check_pair(first, second)
    with opencv() as cv2:
        flow = cv2.optflow.DualTVL1OpticalFlow_create().calc(first, second, None)
    return _channels_first(flow)


def farneback(first: Gray, second: Gray) -> Maps:
    """Farnebäck's flow [2] as public code for micro-expressions sets it: (2, H, W) px.

    Pyramid of halves with 3 levels, window 15, 3 iterations, neighbourhood 5, sigma 1.2. Some forty
    times as fast as TV-L1 and much coarser. Needs the extra ``opencv``.
    """
    _check_pair(first, second)
    with opencv() as cv2:
        flow = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    return _channels_first(flow)


FLOWS: dict[str, Callable[[Gray, Gray], Maps]] = {
    "tvl1": tvl1,
    "tvl1-opencv": tvl1_opencv,
    "farneback": farneback,
}
"""Flow from the first to the second of two gray frames, by name."""


def strain(flow: Maps) -> Maps:
    """Optical strain (H, W) of a flow (2, H, W): sqrt(ux^2 + vy^2 + (uy + vx)^2 / 2) [3].

    Backward differences, 0 in the first column (of d/dx) and row (of d/dy), as in MEAN's code [4].

    >>> columns = np.broadcast_to(np.arange(3, dtype=np.float32), (3, 3))
    >>> strain(np.stack([0.5 * columns, 0 * columns]))[0].tolist()
    [0.0, 0.5, 0.5]
    """
    (ux, vx), (uy, vy) = (np.diff(flow, axis=a, prepend=flow.take([0], axis=a)) for a in (2, 1))
    amount: Maps = np.sqrt(ux**2 + vy**2 + (uy + vx) ** 2 / 2)
    return amount


def magnitude(flow: Maps) -> Maps:
    """How far each pixel moves: (2, H, W) -> (H, W), same unit."""
    length: Maps = np.hypot(flow[0], flow[1])
    return length


def raw(maps: Maps) -> Maps:
    """Maps as they are: u and v in pixels of the map, strain without a unit."""
    return maps


def minmax(maps: Maps) -> Maps:
    """Each channel of (C, H, W) to [0, 1] by its own least and largest value, a constant one to 0.

    The habit of MEAN, and of the flow pictures of STSTNet and HTNet. Size and sign are lost: rest
    is not 0 (nor .5), a trace of a movement looks like a large one, and a pair in which nothing
    moved becomes a picture of its noise.
    """
    least = maps.min(axis=(1, 2), keepdims=True)
    span = maps.max(axis=(1, 2), keepdims=True) - least
    scaled: Maps = (maps - least) / np.where(span > 0, span, 1)
    return scaled


def signed(maps: Maps) -> Maps:
    """u, v and strain (3, S, S) divided by ``FULL``: rest stays 0, size and sign are kept. Ours."""
    width = maps.shape[2]
    full = np.array([FULL[0] * width, FULL[1] * width, FULL[2]], np.float32)
    return maps / full[:, None, None]


NORMALISED: dict[str, Callable[[Maps], Maps]] = {"raw": raw, "minmax": minmax, "signed": signed}
"""What is done to u, v and strain before a network sees them, by name."""


def uv_strain(
    first: Gray, second: Gray, *, size: int, flow: str = "tvl1", normalise: str = "minmax"
) -> Maps:
    """u, v and strain of a square pair (H, H) uint8 -> (3, size, size) float32.

    FLOW is one of ``FLOWS``, NORMALISE one of ``NORMALISED``. Flow and strain are computed at the
    pair's own size, where movements of tenths of a pixel can be found, and resized afterwards
    (``resized``). u and v are scaled with the size, so that they are pixels of the map and depend
    on how far the face moved, not on how large it was cropped; strain has no unit and is not.
    """
    if first.ndim == 2 and first.shape[0] != first.shape[1]:
        raise ValueError(f"a crop is square, not {first.shape}: anything else would be squeezed")
    return maps_of(FLOWS[flow](first, second), size=size, normalise=normalise)


def maps_of(flow: Maps, *, size: int, normalise: str = "minmax") -> Maps:
    """u, v and strain (3, size, size) of a flow (2, H, H) in px, as ``uv_strain`` makes them."""
    maps = resized(np.concatenate([flow, strain(flow)[None]]), (size, size))
    maps[:2] *= size / flow.shape[1]
    return NORMALISED[normalise](maps)


def resized(maps: Maps, shape: tuple[int, int]) -> Maps:
    """(C, H, W) float32 -> (C, *shape): linear where it grows, antialiased where it shrinks.

    Pillow's triangle filter, as wide as the step between the result's pixels.
    """
    height, width = shape
    images = (Image.fromarray(channel) for channel in maps)
    return np.stack(
        [np.asarray(i.resize((width, height), Image.Resampling.BILINEAR)) for i in images]
    )


def to_picture(maps: Maps) -> Frames:
    """u, v, strain (3, H, W) -> the flow picture (H, W, 3) uint8: R = u, G = v, B = strain.

    Each channel by its own minimum and maximum to 0..255, as in the 28 x 28 pictures that STSTNet
    and HTNet are trained on; see ``minmax`` for what that loses. Code that reads such a file with
    OpenCV gets blue first, so that its networks see strain, v, u: weights trained there want
    ``to_picture(maps)[:, :, ::-1]``.
    """
    return np.ascontiguousarray(np.rint(255 * minmax(maps)).astype(np.uint8).transpose(1, 2, 0))


def from_picture(picture: Frames) -> Maps:
    """A flow picture (H, W, 3) uint8, R = u -> (3, H, W) float32 in [0, 1], as ``minmax`` has it.

    The picture as Pillow opens it; one read by OpenCV has its channels the other way round.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a flow picture is (H, W, 3) uint8, not {picture.shape} {picture.dtype}")
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32) / np.float32(255)


def paint(flow: Maps, apex: Frames) -> Frames:
    """EMR's picture of a flow (2, H, W) [6]: (H, W, 3) uint8 RGB.

    Hue is the direction (red right, then by yellow-green to down), value the length by its least
    and largest to 0..1, saturation that of the apex frame, (H, W, 3) uint8 RGB.
    """
    from skimage.color import hsv2rgb, rgb2hsv

    if apex.shape != (*flow.shape[1:], 3):
        raise ValueError(f"the apex is {apex.shape}, the flow {flow.shape}: no one picture")
    hue = np.arctan2(flow[1], flow[0]) / (2 * np.pi) % 1
    value = minmax(magnitude(flow)[None])[0]
    saturation = rgb2hsv(apex)[:, :, 1]
    painted = hsv2rgb(np.stack([hue, saturation, value], axis=2))
    picture: Frames = np.rint(255 * painted).astype(np.uint8)
    return picture


def _check_pair(first: Gray, second: Gray) -> None:
    for frame in (first, second):
        if frame.dtype != np.uint8 or frame.ndim != 2:
            raise ValueError(
                f"flow is between gray frames (H, W) uint8, not {frame.dtype} {frame.shape}: "
                "the weight of the data term depends on the levels; gray() makes them"
            )
    if first.shape != second.shape:
        raise ValueError(f"flow is between frames of one size, not {first.shape}, {second.shape}")


def _channels_first(flow: Any) -> Maps:
    return np.ascontiguousarray(np.asarray(flow, np.float32).transpose(2, 0, 1))


@contextmanager
def opencv() -> Iterator[Any]:
    """OpenCV with its contributed modules, on one thread: results do not depend on cores.

    ValueError where it is not installed: it is an extra, and a kind of flow is the user's choice.
    """
    try:
        import cv2
        import cv2.optflow
    except ImportError as error:
        raise ValueError(
            "this kind of flow needs OpenCV with its contributed modules: "
            'pip install "mie-x[opencv]" (and remove opencv-python, which takes the same place)'
        ) from error
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield cv2
    finally:
        cv2.setNumThreads(threads)
