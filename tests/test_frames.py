"""A frame comes back as it was, and says of itself that it is synthetic."""

from __future__ import annotations

import hashlib
import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mie_x.frames import pixel_sha256, png, read_png, read_png_and_words, with_words, words
from mie_x.records import SIZE, Frames
from tests.conftest import noise

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file (PNG specification, section 5.3)."""
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of every chunk; fails on a wrong length or check sum."""
    assert data.startswith(SIGNATURE)
    found, place = [], len(SIGNATURE)
    while place < len(data):
        [length] = struct.unpack(">I", data[place : place + 4])
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert data[place : place + 12 + length] == chunk(kind, content)
        found.append((kind, content))
        place += 12 + length
    return found


def picture(size: tuple[int, int], mode: str, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, kind)
    return buffer.getvalue()


@given(byte=st.integers(0, 10**9), bit=st.integers(0, 7))
def test_png_keeps_every_pixel(byte: int, bit: int) -> None:
    frame = np.random.default_rng(byte).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    frame.reshape(-1)[byte % frame.size] ^= 1 << bit
    assert (read_png(png(frame)) == frame).all()
    assert (read_png(with_words(png(frame), "a_exp_1", 0)) == frame).all()


def test_a_frame_says_what_it_is_and_whose() -> None:
    frame, said = read_png_and_words(with_words(png(noise(1)), "a_exp_1", 1))
    assert said == (
        "Synthetic micro-expression made with mie-x; nobody moved so. Frame 1 of a_exp_1"
    )
    assert (frame == noise(1)).all()
    assert read_png_and_words(png(noise(1)))[1] == ""


KEYS = ["größe 日本_exp_1", "e\u0301/..\\\n_mie_0", "\U0001f600", "x" * 1000]


@pytest.mark.parametrize("key", KEYS)
def test_text_survives_any_key(key: str) -> None:
    assert read_png_and_words(with_words(png(noise(1)), key, 9))[1] == words(key, 9)


@pytest.mark.parametrize("key", KEYS)
def test_the_text_is_one_that_any_reader_of_png_finds(key: str) -> None:
    """By the PNG specification: its check sums, its order of chunks, and iTXt of section 11.3."""
    found = chunks(with_words(png(noise(1)), key, 1))
    kinds = [kind for kind, _ in found]
    assert kinds[:2] == [b"IHDR", b"iTXt"] and set(kinds[2:-1]) == {b"IDAT"}
    assert kinds[-1] == b"IEND"
    keyword, _, rest = found[1][1].partition(b"\0")
    assert keyword == b"Description" and rest[:2] == b"\0\0"  # not compressed
    language, translated, text = rest[2:].split(b"\0", 2)
    assert language == translated == b"" and text.decode() == words(key, 1)


def test_pixels_and_not_bytes_are_hashed() -> None:
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    assert pixel_sha256(frame) == hashlib.sha256(bytes(SIZE * SIZE * 3)).hexdigest()
    mirrored = noise(1)[:, ::-1]  # not contiguous
    assert pixel_sha256(mirrored) == hashlib.sha256(mirrored.tobytes()).hexdigest()
    frame[5, 6, 2] = 1
    assert pixel_sha256(frame) != hashlib.sha256(bytes(SIZE * SIZE * 3)).hexdigest()


@pytest.mark.parametrize("size", [(SIZE, SIZE + 1), (1, 1), (SIZE // 2, SIZE * 2)])
def test_a_frame_of_another_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"128 x 128 RGB, not {size[0]} x {size[1]}"):
        read_png(picture(size, "RGB"))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16", "LA"])
def test_a_frame_of_another_mode_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match="128 x 128 RGB, not"):
        read_png(picture((SIZE, SIZE), mode))


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "GIF", "WEBP"])
def test_a_frame_of_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="no PNG"):
        read_png(picture((SIZE, SIZE), "RGB", kind))


@pytest.mark.parametrize("side", [13_000, 20_000, 2**31 - 1])
def test_size_is_looked_at_before_a_pixel_is_decoded(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(10**6)))
    data = SIGNATURE + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(ValueError, match=f"not {side} x {side}"):
        read_png(data)
    assert time.process_time() - start < 0.05
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_every_flipped_bit_of_a_file_is_refused() -> None:
    data = with_words(png(noise(1)), "a_exp_1", 1)
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 1000):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(ValueError, match="no PNG, or a damaged one"):
            read_png(bytes(damaged))


def test_a_file_cut_off_anywhere_or_with_more_behind_it_is_refused() -> None:
    data = with_words(png(noise(1)), "a_exp_1", 1)
    for part in [*(data[:length] for length in range(len(data))), data + b"x", data + data]:
        with pytest.raises(ValueError, match="no PNG, or a damaged one"):
            read_png(part)


def test_pixels_that_lie_behind_good_check_sums_but_are_none_are_refused() -> None:
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    for pixels in (b"no zlib", zlib.compress(bytes(100)), b""):
        data = SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
        with pytest.raises((ValueError, OSError)):
            read_png(data)


def test_frames_are_arrays_of_bytes() -> None:
    frame: Frames = read_png(png(noise(3)))
    assert frame.shape == (SIZE, SIZE, 3) and frame.dtype == np.uint8
