"""A frame at rest: a lossless PNG that says of itself that it is synthetic.

Lossless, because a micro-expression is a few grey levels and JPEG would drown it. Hashes are over
decoded pixels: the bytes of a PNG differ between versions of the encoder, pixels do not.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from mie_x.records import SIZE, Frames

KEYWORD = "Description"  # registered by the PNG specification; viewers and exiftool show it
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BEFORE_PIXELS = 33  # signature (8) and IHDR (25 bytes): text goes before the first IDAT
_MOST_TEXT = 4096  # bytes of a frame's text: a key is at most about a thousand characters


def png(frame: Frames) -> bytes:
    """Encode a frame (H, W, 3) uint8 RGB as PNG.

    Level 1 with run-length matching: among Pillow's settings the fastest that is also smaller
    than its plain level 1 on faces (docs/benchmarks.md).
    """
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


def words(key: str, number: int) -> str:
    """What frame NUMBER (the onset is 0) of the sample KEY says of itself."""
    return f"Synthetic micro-expression made with mie-x; nobody moved so. Frame {number} of {key}"


def with_words(data: bytes, key: str, number: int) -> bytes:
    """The PNG file DATA with a text chunk (iTXt, UTF-8) that names its sample.

    Put in afterwards, because samples share frames, and a frame is encoded once.
    """
    chunk = b"iTXt" + KEYWORD.encode() + b"\0\0\0\0\0" + words(key, number).encode()
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    return data[:_BEFORE_PIXELS] + length + chunk + check + data[_BEFORE_PIXELS:]


def read_png(data: bytes) -> Frames:
    """Decode a frame that ``png`` encoded: (128, 128, 3) uint8 RGB; refuses all other pictures."""
    return read_png_and_words(data)[0]


def read_png_and_words(data: bytes) -> tuple[Frames, str]:
    """A frame and what it says of itself, "" where it says nothing.

    ValueError or OSError where DATA is no PNG, damaged, or not a frame; its size is looked at
    before a pixel is decoded.
    """
    _check_chunks(data)
    width, height = struct.unpack(">II", data[16:24])
    if (width, height) != (SIZE, SIZE):  # before Pillow warns of its size
        raise ValueError(f"a frame is {SIZE} x {SIZE} RGB, not {width} x {height}")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.mode != "RGB":
                raise ValueError(f"a frame is {SIZE} x {SIZE} RGB, not {image.mode}")
            assert isinstance(image, PngImageFile)
            frame = np.asarray(image)
            return frame, str(image.text.get(KEYWORD, ""))[:_MOST_TEXT]
    except (SyntaxError, struct.error, zlib.error) as error:  # what Pillow raises on broken chunks
        raise ValueError(f"broken PNG ({error})") from error


def _check_chunks(data: bytes) -> None:
    """Hold every chunk against its check sum: Pillow decodes pixels without a look at theirs."""
    place, kinds = len(_SIGNATURE), []
    while len(data) >= place + 12:  # length, kind, content, check sum
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        check = zlib.crc32(memoryview(data)[place + 4 : end - 4])
        if end > len(data) or check.to_bytes(4, "big") != data[end - 4 : end]:
            break
        kinds.append(data[place + 4 : place + 8])
        place = end
    framed = kinds[:1] == [b"IHDR"] and kinds[-1] == b"IEND"
    if not data.startswith(_SIGNATURE) or place != len(data) or not framed:
        raise ValueError("no PNG, or a damaged one")


def pixel_sha256(frame: Frames) -> str:
    """SHA-256 of a frame's decoded pixels, row by row, RGB."""
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()
