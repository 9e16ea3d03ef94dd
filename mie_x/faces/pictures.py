"""From the bytes of a picture file, trusted by nobody, to 8-bit RGB, and from there to 128 px."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mie_x.records import SIZE, Frames

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""What is opened, whatever the file is called: the rest of Pillow's decoders stay out of reach."""

MAX_PIXELS = 25_000_000  # read from the header; a 500 kB file can ask for a gigabyte
MAX_BYTES = 128 * 2**20  # 25 megapixels as an uncompressed 32-bit BMP are 95 MiB
MAX_SCANS = 100
"""Of a JPEG: each is a pass over all pixels and can be had for 12 bytes. Encoders write some 10."""
MAX_SEGMENTS = 10_000
"""Of a JPEG: 4 bytes of the file can cost 130 of memory. A colour profile takes up to 255."""
BACKDROP = (128, 128, 128)
"""What lies behind transparent pixels. Mid-gray is the zero of networks that see [-1, 1], and
unlike white or black it leaves the outline of light skin and of dark hair alone."""

Matrix = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): source (x, y) lands at (a x + b y + c, d x + e y + f). Continuous
coordinates: the centre of the first pixel is (0.5, 0.5), on both sides."""

_UPRIGHT = {  # EXIF orientation -> what turns the stored picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112

# What begins a segment of a JPEG, or ends the picture; not its start, restarts or stuffed zeros.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_END, _SCAN = 0xD9, 0xDA


class UnusablePicture(ValueError):
    """Why a picture cannot be used: ``reason`` is a short code, ``detail`` the sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture file; ``UnusablePicture`` when empty, too large or not readable."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnusablePicture("unreadable", error.strerror or type(error).__name__) from error
    if not data:
        raise UnusablePicture("unreadable", "the file is empty")
    if len(data) > MAX_BYTES:
        raise UnusablePicture("too large", f"more than {MAX_BYTES // 2**20} MiB")
    return data


def decode(data: bytes) -> Frames:
    """The bytes of a JPEG, PNG, WebP or BMP file -> (H, W, 3) uint8 RGB, upright.

    EXIF rotation is applied, transparency laid over mid-gray, 16-bit gray scaled to 8 bits, the
    first picture of an animation taken. Colours are taken for sRGB: a profile is not read, so that
    the same numbers come out everywhere and a hostile one meets no parser; Display P3 skin loses a
    little colour. Raises ``UnusablePicture``: "too many pixels" (known from the header, before
    anything is decoded), or "unreadable" for other formats, for truncated and damaged files, and
    for JPEGs in more parts than a camera writes.
    """
    _check_parts(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures and of damaged EXIF
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                pixels = image.width * image.height
                if pixels <= MAX_PIXELS:
                    image.load()
                    return np.asarray(_rgb(_upright(image)))
        except Image.DecompressionBombError as error:
            raise UnusablePicture("too many pixels", f"more than {MAX_PIXELS:,}") from error
        except UnidentifiedImageError as error:
            raise UnusablePicture("unreadable", f"not one of {', '.join(FORMATS)}") from error
        except MemoryError:
            raise
        except Exception as error:  # hostile bytes raise whatever they please inside a decoder
            raise UnusablePicture("unreadable", f"{type(error).__name__}: {error}") from error
    raise UnusablePicture("too many pixels", f"{pixels:,}; the limit is {MAX_PIXELS:,}")


def _check_parts(data: bytes) -> None:
    """Refuse a JPEG whose many scans or segments would take hours or gigabytes."""
    scans = segments = at = 0
    while data.startswith(b"\xff\xd8") and (marker := _MARKER.search(data, at)):
        kind, at = data[marker.start() + 1], marker.end()
        if kind == _END:
            return
        scans += kind == _SCAN
        segments += 1
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            raise UnusablePicture(
                "unreadable", f"a JPEG of more than {MAX_SCANS} scans or {MAX_SEGMENTS:,} segments"
            )
        at += max(2, int.from_bytes(data[at : at + 2], "big"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF of a sound picture: as if it had none
        return image
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB; ``convert`` alone would clip 16-bit gray and drop transparency to black."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        gray = np.asarray(image, np.int64)
        return Image.fromarray(np.clip((gray + 128) // 257, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, (*BACKDROP, 255))
        opaque.alpha_composite(image.convert("RGBA"))
        return opaque.convert("RGB")
    return image.convert("RGB")


def shrink(picture: Frames, side: int) -> Frames:
    """(H, W, 3) -> the same picture with its longer side at most ``side`` px, antialiased."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = Image.fromarray(picture)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))


def warp(picture: Frames, matrix: Matrix, *, size: int = SIZE) -> Frames:
    """(H, W, 3) uint8 -> (size, size, 3) uint8: the picture as seen through ``matrix``.

    Antialiased when it shrinks: whole source pixels are averaged first, then several bicubic
    samples for each pixel of the result. Beyond the picture's edge its last pixels repeat.
    """
    from skimage.transform import warp as resample

    forward = np.vstack([np.reshape(matrix, (2, 3)), (0, 0, 1)])
    back = np.linalg.inv(forward)  # px of the result -> source px
    step = math.sqrt(abs(np.linalg.det(back)))  # source px to a px of the result

    left, top, right, bottom = part_seen(back, size, picture.shape, around=math.ceil(2 * step) + 2)
    part = picture[top:bottom, left:right]
    block = max(1, int(step / 2))
    if block > 1:
        part = np.asarray(Image.fromarray(part).reduce(block))
    samples = max(1, math.ceil(step / block))

    # skimage puts the first pixel's centre at (0, 0)
    fine = np.diag([1 / samples, 1 / samples, 1]) @ _shift(0.5, 0.5)
    coarse = _shift(-0.5, -0.5) @ np.diag([1 / block, 1 / block, 1]) @ _shift(-left, -top)
    result: NDArray[np.float32] = resample(  # type: ignore[no-untyped-call]
        part.astype(np.float32),
        coarse @ back @ fine,
        output_shape=(size * samples, size * samples),
        order=3,
        mode="edge",
        preserve_range=True,
    )
    mean = result.reshape(size, samples, size, samples, 3).mean(axis=(1, 3))
    shown: Frames = np.clip(np.rint(mean), 0, 255).astype(np.uint8)
    return shown


def _shift(x: float, y: float) -> NDArray[np.float64]:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def part_seen(
    back: NDArray[np.float64], size: int, shape: Sequence[int], *, around: int
) -> tuple[int, int, int, int]:
    """The part of the picture that the result shows: left, top, right, bottom; never empty."""
    corners = np.array([(0, 0, 1), (size, 0, 1), (0, size, 1), (size, size, 1)]) @ back.T
    low = np.floor(corners.min(axis=0)[:2]).astype(int) - around
    high = np.ceil(corners.max(axis=0)[:2]).astype(int) + around
    height, width = shape[:2]
    left, top = (int(v) for v in np.clip(low, 0, (width - 1, height - 1)))
    right, bottom = (int(v) for v in np.clip(high, (left + 1, top + 1), (width, height)))
    return left, top, right, bottom
