from __future__ import annotations

import csv
import hashlib
import io
import itertools
import math
import os
import pickle
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageCms

from mie_x.faces import Face, Faces, Photograph, Rendered, photographs, rendered, user_cache
from mie_x.faces.detection import TEMPLATE, Detection, Known, similarity, square
from mie_x.faces.pictures import UnusablePicture, decode, shrink, warp
from mie_x.records import AUS, SIZE, Frames
from mie_x.renderer import draw_person, reference_view, render

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEX_CACHE", str(tmp_path_factory.mktemp("cache")))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def quadrants(height: int = 48, width: int = 64) -> Frames:
    """Red and green above blue and white: no turn or mirroring leaves it as it is."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = RED
    picture[: height // 2, width // 2 :] = GREEN
    picture[height // 2 :, : width // 2] = BLUE
    picture[height // 2 :, width // 2 :] = WHITE
    return picture


def put(path: Path, colour: tuple[int, int, int] = RED, side: int = 64) -> Path:
    """A plain picture, named by its extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path, FORMATS[path.suffix.lower()])
    return path


def undetected(folder: Path, **options: Any) -> Faces:
    return photographs(folder, align="none", **options)


def names(faces: Faces) -> list[tuple[str, str]]:
    return [(face.identity, face.path) for face in faces.faces]


def reasons(faces: Faces) -> list[tuple[str, str]]:
    return [(failure.path, failure.reason) for failure in faces.failures]


# -- pictures: any file's bytes to RGB ----------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_the_four_formats_are_read(kind: str) -> None:
    picture = quadrants()
    read = decode(encoded(Image.fromarray(picture), kind))
    assert read.shape == (48, 64, 3) and read.dtype == np.uint8
    for y, x in ((8, 8), (8, 56), (40, 8), (40, 56)):
        assert np.abs(read[y, x].astype(int) - picture[y, x]).max() <= 3


def _palette() -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return image


@pytest.mark.parametrize(
    ("image", "options", "colour"),
    [
        (Image.new("1", (4, 4), 1), {}, (255, 255, 255)),
        (Image.new("L", (4, 4), 77), {}, (77, 77, 77)),
        (_palette(), {}, (10, 20, 30)),
        (_palette(), {"transparency": 1}, (128, 128, 128)),
        (_palette(), {"transparency": b"\xff\x00"}, (128, 128, 128)),
        (Image.new("RGB", (4, 4), (9, 8, 7)), {"transparency": (9, 8, 7)}, (128, 128, 128)),
        (Image.new("RGB", (4, 4), (9, 8, 7)), {"transparency": (1, 1, 1)}, (9, 8, 7)),
        (Image.new("LA", (4, 4), (200, 0)), {}, (128, 128, 128)),
        (Image.new("LA", (4, 4), (200, 255)), {}, (200, 200, 200)),
        (Image.new("RGBA", (4, 4), (200, 100, 0, 0)), {}, (128, 128, 128)),
        (Image.new("RGBA", (4, 4), (200, 100, 0, 255)), {}, (200, 100, 0)),
        (Image.new("RGBA", (4, 4), (228, 28, 128, 51)), {}, (148, 108, 128)),  # a fifth
        (Image.new("RGB", (1, 1), (9, 8, 7)), {}, (9, 8, 7)),
    ],
)
def test_every_mode_of_a_png_becomes_rgb(
    image: Image.Image, options: dict[str, Any], colour: tuple[int, int, int]
) -> None:
    read = decode(encoded(image, "PNG", **options))
    assert read.shape == (image.height, image.width, 3)
    assert np.abs(read.astype(int) - colour).max() <= 1


def test_sixteen_bit_gray_is_scaled_not_clipped() -> None:
    gray = np.array([[0, 128, 129, 257 * 100, 32768, 65407, 65535]], np.uint16)
    read = decode(encoded(Image.fromarray(gray), "PNG"))
    assert read[0, :, 0].tolist() == [0, 0, 1, 100, 128, 255, 255]
    assert (read == read[..., :1]).all()


@pytest.mark.parametrize(
    ("kind", "samples", "colour"),
    [
        (2, (65535, 32768, 300), (255, 128, 1)),
        (4, (32768, 65535), (128, 128, 128)),
        (4, (0, 0), (128, 128, 128)),
        (6, (65535, 32768, 300, 65535), (255, 128, 1)),
        (6, (65535, 32768, 300, 0), (128, 128, 128)),
    ],
)
def test_sixteen_bit_colour_and_transparency_are_scaled(
    kind: int, samples: tuple[int, ...], colour: tuple[int, int, int]
) -> None:
    row = b"\0" + struct.pack(f">{len(samples)}H", *samples)
    read = decode(png(png_head(1, 1, bits=16, kind=kind), ("IDAT", zlib.compress(row))))
    assert np.abs(read[0, 0].astype(int) - colour).max() <= 1


def test_a_colour_profile_is_not_read() -> None:
    picture = Image.fromarray(quadrants())
    for profile in (b"no profile at all", ImageCms.ImageCmsProfile(swapped()).tobytes()):
        assert (decode(encoded(picture, "PNG", icc_profile=profile)) == quadrants()).all()


def swapped() -> Any:
    """A real profile, under which these numbers would be quite other colours."""
    return ImageCms.createProfile("LAB")


def test_a_cmyk_jpeg_becomes_rgb() -> None:
    read = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(read.astype(int) - RED).max() <= 4


# What EXIF means by each orientation, in its own words, where the stored pixel (i, j) is seen:
STORED: dict[int, Callable[[Frames], Frames]] = {
    1: lambda seen: seen,  # row 0 above, column 0 left
    2: lambda seen: seen[:, ::-1],  # row 0 above, column 0 right
    3: lambda seen: seen[::-1, ::-1],  # row 0 below, column 0 right
    4: lambda seen: seen[::-1],  # row 0 below, column 0 left
    5: lambda seen: seen.transpose(1, 0, 2),  # row 0 left, column 0 above
    6: lambda seen: seen[:, ::-1].transpose(1, 0, 2),  # row 0 right, column 0 above
    7: lambda seen: seen[::-1, ::-1].transpose(1, 0, 2),  # row 0 right, column 0 below
    8: lambda seen: seen[::-1].transpose(1, 0, 2),  # row 0 left, column 0 below
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_exif_orientation_is_applied(kind: str, options: dict[str, Any], orientation: int) -> None:
    seen = quadrants()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](seen)))
    assert (decode(encoded(stored, kind, exif=exif, **options)) == seen).all()


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied_to_jpeg(orientation: int) -> None:
    seen = quadrants()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](seen)))
    read = decode(encoded(stored, "JPEG", exif=exif, quality=95, subsampling=0))
    assert read.shape == seen.shape
    assert np.abs(read[4::8, 4::8].astype(int) - seen[4::8, 4::8]).max() <= 3


@pytest.mark.parametrize("exif", [b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_damaged_exif_does_not_cost_the_picture(exif: bytes) -> None:
    assert decode(encoded(Image.fromarray(quadrants()), "JPEG", exif=exif)).shape == (48, 64, 3)


def test_an_orientation_that_exif_does_not_know_is_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    assert (decode(encoded(Image.fromarray(quadrants()), "PNG", exif=exif)) == quadrants()).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_picture_is_taken(kind: str) -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    data = encoded(first, kind, save_all=True, append_images=[second], lossless=True, duration=50)
    assert (decode(data) == RED).all()


def test_of_a_telephones_double_jpeg_the_first_picture_is_taken() -> None:
    first, second = Image.new("RGB", (16, 16), RED), Image.new("RGB", (16, 16), BLUE)
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    assert np.abs(decode(data).astype(int) - RED).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO", "PDF", "EPS", "TGA"])
def test_other_formats_are_refused(kind: str) -> None:
    with pytest.raises(UnusablePicture, match="unreadable"):
        decode(encoded(Image.new("RGB", (64, 64), RED), kind))


OTHERS = {
    "FITS": b"SIMPLE  =                    T".ljust(80)
    + b"BITPIX  =                    8".ljust(80),
    "PSD": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(12_300),
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n(x) run\n",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99),
    "AVIF": b"\0\0\0\x1cftypavif" + bytes(99),
    "ZIP": b"PK\3\4" + bytes(99),
    "GZIP": b"\x1f\x8b\x08" + bytes(99),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_other_programs_read_is_refused_whatever_it_is_called(
    tmp_path: Path, kind: str
) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(OTHERS[kind])
    found = undetected(tmp_path)
    assert reasons(found) == [("b.jpg", "unreadable")]
    assert found.failures[0].detail == "not one of JPEG, PNG, WEBP, BMP"


def png_head(width: int, height: int, *, bits: int = 8, kind: int = 2) -> tuple[str, bytes]:
    return "IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)


def png(*chunks: tuple[str, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, body in chunks:
        named = name.encode() + body
        parts.append(struct.pack(">I", len(body)) + named + struct.pack(">I", zlib.crc32(named)))
    return b"".join(parts)


def png_header(width: int, height: int) -> bytes:
    """A PNG file that ends before its first pixel."""
    return png(png_head(width, height), ("IDAT", b""))


def jpeg_header(width: int, height: int) -> bytes:
    data = encoded(Image.new("RGB", (16, 16)), "JPEG")
    at, pixels = data.index(b"\xff\xc0") + 5, data.index(b"\xff\xda")
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 : pixels]


def bmp_header(width: int, height: int) -> bytes:
    data = encoded(Image.new("RGB", (16, 16)), "BMP")
    return data[:18] + struct.pack("<ii", width, height) + data[26:]


@pytest.mark.parametrize("header", [png_header, jpeg_header, bmp_header])
@pytest.mark.parametrize("side", [(5001, 5000), (10_000, 10_000), (20_000, 20_000)])
def test_a_bomb_is_refused_by_its_header(
    header: Callable[[int, int], bytes], side: tuple[int, int]
) -> None:
    """Had a pixel been decoded, these files, which have none, were "unreadable"."""
    with pytest.raises(UnusablePicture, match="too many pixels"):
        decode(header(*side))
    with pytest.raises(UnusablePicture, match="unreadable"):
        decode(header(5000, 5000))


def black(side: int, *, bits: int, kind: int) -> bytes:
    """A whole and sound black PNG, packed row by row."""
    packer = zlib.compressobj(9)
    row = bytes(1 + (side * bits * (3 if kind == 2 else 1) + 7) // 8)
    packed = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    return png(png_head(side, side, bits=bits, kind=kind), ("IDAT", packed), ("IEND", b""))


@pytest.mark.parametrize(("side", "bits", "kind"), [(13_000, 8, 2), (13_377, 1, 0)])
def test_a_bomb_costs_neither_time_nor_memory(
    tmp_path: Path, side: int, bits: int, kind: int
) -> None:
    """Decoded, the first takes 1.5 GB; refused, 1 ms and 1 MB."""
    path = tmp_path / "bomb.png"
    path.write_bytes(black(side, bits=bits, kind=kind))
    assert path.stat().st_size < 500_000
    code = (
        "import resource, sys, time; from pathlib import Path\n"
        "from mie_x.faces.pictures import UnusablePicture, decode, read_bytes\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    decode(b'warm')\nexcept UnusablePicture:\n    pass\n"
        "before, start = peak(), time.perf_counter()\n"
        "try:\n    decode(read_bytes(Path(sys.argv[1])))\n"
        "except UnusablePicture as error:\n    print(error.reason)\n"
        "print(time.perf_counter() - start, peak() - before)"
    )
    run = [sys.executable, "-c", code, str(path)]
    said, cost = subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
    seconds, kilobytes = map(float, cost.split())
    assert said == "too many pixels"
    assert seconds < 0.2 and kilobytes < (200e3 if sys.platform == "linux" else 200e6)


@pytest.mark.parametrize("name", ["zTXt", "iTXt", "iCCP"])
@pytest.mark.parametrize("chunks", [1, 50])
def test_text_that_unpacks_to_gigabytes_is_not_unpacked(name: str, chunks: int) -> None:
    bomb = zlib.compress(bytes(64 * 2**20), 9)
    head = b"a\0\1\0\0\0" if name == "iTXt" else b"a\0\0"
    pixels = zlib.compress(bytes(8 * 25))
    data = png(png_head(8, 8), *[(name, head + bomb)] * chunks, ("IDAT", pixels), ("IEND", b""))
    start = time.perf_counter()
    with pytest.raises(UnusablePicture, match=r"unreadable: .*too large"):
        decode(data)
    assert time.perf_counter() - start < 0.2  # one alone takes 50 ms to unpack


def many_scans(count: int, *, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan is there COUNT times more."""
    data = encoded(Image.new("L", (side, side), 77), "JPEG", progressive=True)
    last, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:end] + data[last:end] * count + data[end:]


def test_a_jpeg_of_thousands_of_scans_is_refused_undecoded() -> None:
    """At 25 megapixels each of them takes 9 ms: 128 MiB of them, hours."""
    assert np.abs(decode(many_scans(80)).astype(int) - 77).max() <= 1
    data = many_scans(100_000, side=5000)
    start = time.perf_counter()
    with pytest.raises(UnusablePicture, match="unreadable: a JPEG of more than 100 scans"):
        decode(data)
    assert time.perf_counter() - start < 0.2


@pytest.mark.parametrize("marker", [0xE5, 0xFE, 0xDB])
def test_a_jpeg_of_countless_segments_is_refused_undecoded(marker: int) -> None:
    data = encoded(Image.new("L", (8, 8)), "JPEG")
    few, many = (
        data[:2] + bytes([0xFF, marker, 0, 2]) * count + data[2:] for count in (9_000, 11_000)
    )
    assert decode(few).shape == (8, 8, 3)
    with pytest.raises(UnusablePicture, match="10,000 segments"):
        decode(many)


def test_a_picture_within_or_behind_a_jpeg_counts_no_scans() -> None:
    """A thumbnail in its EXIF, and whatever a telephone appends, such as a film."""
    inner = many_scans(200)
    comment = b"\xff\xfe" + struct.pack(">H", len(inner) + 2) + inner
    data = encoded(Image.new("L", (8, 8), 77), "JPEG")
    read = decode(data[:2] + comment + data[2:] + inner)
    assert np.abs(read.astype(int) - 77).max() <= 1


def test_a_megabyte_of_padding_before_a_marker_is_read_once() -> None:
    data = encoded(Image.new("L", (8, 8)), "JPEG")
    start = time.perf_counter()
    assert decode(data[:2] + b"\xff" * 2**20 + data[2:]).shape == (8, 8, 3)
    with pytest.raises(UnusablePicture, match="unreadable"):
        decode(data[:2] + b"\xff" * 2**20 + b"\0")
    assert time.perf_counter() - start < 4


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_truncated_file_is_unreadable_or_lacks_no_pixel(kind: str) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (24, 24, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    whole, unreadable = decode(data), 0
    for length in range(0, len(data), 7):
        try:
            assert (decode(data[:length]) == whole).all()
        except UnusablePicture as error:
            assert error.reason == "unreadable"
            unreadable += 1
    assert unreadable >= len(range(0, len(data), 7)) - 3


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "BMP"]),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_give_a_picture_or_a_reason(kind: str, flips: list[tuple[int, int]]) -> None:
    data = bytearray(encoded(Image.fromarray(quadrants(16, 24)), kind))
    for at, mask in flips:
        data[at % len(data)] ^= mask
    try:
        read = decode(bytes(data))
    except UnusablePicture as error:
        assert error.reason in ("unreadable", "too many pixels")
        assert str(error).isprintable() and len(str(error)) < 200
    else:
        assert read.dtype == np.uint8 and read.ndim == 3 and read.shape[2] == 3


@given(st.binary(max_size=200))
def test_what_is_no_picture_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnusablePicture, match="unreadable"):
        decode(data)


# -- warping and the matrices -------------------------------------------------------------------


def test_the_identity_matrix_changes_no_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    assert (warp(picture, (1, 0, 0, 0, 1, 0)) == picture).all()


def test_a_shift_moves_pixels_and_repeats_the_edge() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    moved = warp(picture, (1, 0, 3, 0, 1, -2))  # 3 to the right, 2 up
    assert (moved[:-2, 3:] == picture[2:, :-3]).all()
    assert (moved[:-2, :3] == picture[2:, :1]).all()
    assert (moved[-2:, 3:] == picture[-1:, :-3]).all()


def test_a_quarter_turn_lands_where_the_formula_says() -> None:
    """(x, y) -> (128 - y, x): what is above comes to lie on the right."""
    turned = warp(quadrants(SIZE, SIZE), (0, -1, SIZE, 1, 0, 0))
    assert (turned == np.rot90(quadrants(SIZE, SIZE), -1)).all()


@pytest.mark.parametrize("scale", [2, 3, 5, 8, 11])
def test_shrinking_averages_instead_of_picking(scale: int) -> None:
    """Of a one-pixel checkerboard nothing may remain but its mean, 127.5."""
    y, x = np.indices((SIZE * scale, SIZE * scale))
    board = np.where((x + y) % 2, 255, 0).astype(np.uint8)[..., None].repeat(3, 2)
    small = warp(board, (1 / scale, 0, 0, 0, 1 / scale, 0))
    assert np.abs(small.astype(float) - 127.5).max() <= 32  # odd blocks keep 1/9 of the contrast
    assert abs(float(small.mean()) - 127.5) < 1


@settings(max_examples=30, deadline=None)
@given(
    scale=st.floats(0.08, 3),
    angle=st.floats(-math.pi, math.pi),
    at=st.tuples(*[st.floats(-9, 9)] * 2),
)
def test_a_slope_stays_a_slope_through_any_similarity(
    scale: float, angle: float, at: tuple[float, float]
) -> None:
    """value = 128 + x' / 12 + y' / 20 about the middle, so half a pixel's error would show."""
    side = 400
    y, x = np.indices((side, side)) + 0.5 - side / 2
    reach = 1 / max(1.0, side / 2 / 128)
    picture = np.clip(128 + reach * (x / 2 + y / 4), 0, 255)
    picture8 = np.rint(picture).astype(np.uint8)[..., None].repeat(3, 2)
    a, d = scale * math.cos(angle), scale * math.sin(angle)
    middle = SIZE / 2 + np.array(at)
    c, f = middle - np.array([[a, -d], [d, a]]) @ (side / 2, side / 2)
    shown = warp(picture8, (a, -d, float(c), d, a, float(f)))[..., 0].astype(float)

    ys, xs = np.indices((SIZE, SIZE)) + 0.5
    source = np.linalg.inv([[a, -d], [d, a]]) @ np.stack([xs - middle[0], ys - middle[1]]).reshape(
        2, -1
    )
    sx, sy = source.reshape(2, SIZE, SIZE)
    inside = (np.maximum(abs(sx), abs(sy)) + 2 / scale) < side / 2 - 8
    expected = 128 + reach * (sx / 2 + sy / 4)
    assert np.abs(shown - expected)[inside].max(initial=0) <= 1.1


@given(
    scale=st.floats(0.05, 20),
    angle=st.floats(-math.pi, math.pi),
    shift=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
)
def test_the_matrix_brings_any_similar_points_onto_the_template(
    scale: float, angle: float, shift: tuple[float, float]
) -> None:
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    points = np.array(TEMPLATE) @ turn.T + shift
    matrix = np.reshape(similarity(points), (2, 3))
    assert points @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(np.array(TEMPLATE), abs=1e-6)


@given(
    noise=arrays(np.float64, (5, 2), elements=st.floats(-15, 15)),
    step=arrays(np.float64, 4, elements=st.floats(-0.1, 0.1)),
)
def test_no_other_similarity_comes_nearer(
    noise: NDArray[np.float64], step: NDArray[np.float64]
) -> None:
    points = 3 * np.array(TEMPLATE) + noise
    a, b, c, d, e, f = similarity(points)
    assert (a, b) == (e, -d)  # a similarity, and no mirroring: its determinant is a^2 + b^2

    def error(a: float, d: float, c: float, f: float) -> float:
        there = points @ np.array([[a, d], [-d, a]]) + (c, f)
        return float(((there - TEMPLATE) ** 2).sum())

    other = error(a + 0.01 * step[0], d + 0.01 * step[1], c + step[2], f + step[3])
    assert error(a, d, c, f) <= other + 1e-9


def test_points_in_one_place_have_no_similarity() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity([(3, 4)] * 5)


def test_the_square_about_a_box() -> None:
    """A 60 x 80 box about (50, 60), a tenth of 80 around it: 96 px become 128, from (2, 12) on."""
    a, b, c, d, e, f = square((20, 20, 80, 100), margin=0.1)
    assert (a, b, d, e) == pytest.approx((128 / 96, 0, 0, 128 / 96))
    assert (a * 2 + c, e * 12 + f) == pytest.approx((0, 0))
    assert (a * 98 + c, e * 108 + f) == pytest.approx((128, 128))


@pytest.mark.parametrize(
    ("size", "side", "shrunk"),
    [((100, 50), 100, (100, 50)), ((100, 50), 40, (40, 20)), ((1000, 1), 10, (10, 1))],
)
def test_shrinking_keeps_the_shape(
    size: tuple[int, int], side: int, shrunk: tuple[int, int]
) -> None:
    assert shrink(np.zeros((*size, 3), np.uint8), side).shape == (*shrunk, 3)


# -- folders and identities ---------------------------------------------------------------------


def test_pictures_are_found_at_any_depth_in_code_point_order(tmp_path: Path) -> None:
    for name in ("b.png", "Z.JPG", "x/a.webp", "x/y/é.bmp", "ı.jpeg.png"):
        put(tmp_path / name)
    for name in (".hidden.png", ".folder/c.png", "x/.y/d.png"):
        put(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    found = undetected(tmp_path)
    assert names(found) == [
        ("Z", "Z.JPG"),
        ("a", "x/a.webp"),
        ("b", "b.png"),
        ("é", "x/y/é.bmp"),
        ("ı.jpeg", "ı.jpeg.png"),
    ]
    assert (found.pictures, found.failures) == (5, [])


def test_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    put(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    (tmp_path / "b.png").write_bytes(encoded(Image.new("RGB", (64, 64)), "GIF"))
    (tmp_path / "c.png").write_bytes(b"")
    (tmp_path / "d.jpg").write_text("<html>404</html>")
    found = undetected(tmp_path)
    assert names(found) == [("a", "a.jpg")]
    assert reasons(found) == [(name, "unreadable") for name in ("b.png", "c.png", "d.jpg")]


def test_both_forms_of_an_umlaut_are_one_person(tmp_path: Path) -> None:
    put(tmp_path / "1" / "Zoe\u0308.png")
    put(tmp_path / "2" / "Zo\u00eb.png")
    found = undetected(tmp_path)
    assert names(found) == [("Zo\u00eb", "1/Zoe\u0308.png")]


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_names_that_no_table_could_hold_are_failures(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    for name in (b"\xff.png", b"new\nline.png", b"\x1b[31m.png", "\u202egnp.png".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes((tmp_path / "a.png").read_bytes())
    found = undetected(tmp_path)
    assert names(found) == [("a", "a.png")]
    assert [(failure.path, failure.reason) for failure in found.failures] == [
        ("\\u202egnp.png", "bad name"),
        ("\\udcff.png", "bad name"),
        ("\\x1b[31m.png", "bad name"),
        ("new\\x0aline.png", "bad name"),
    ]


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/secret.png")
    inside = put(tmp_path / "folder/a.png")
    (tmp_path / "folder/out.png").symlink_to(tmp_path / "elsewhere/secret.png")
    (tmp_path / "folder/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder/round").symlink_to(tmp_path / "folder")
    (tmp_path / "folder/gone.png").symlink_to(tmp_path / "folder/nothing.png")
    (tmp_path / "folder/b.png").symlink_to(inside)
    found = undetected(tmp_path / "folder")
    assert names(found) == [("a", "a.png"), ("b", "b.png")]
    assert found.links == 3

    (tmp_path / "way").symlink_to(tmp_path / "folder")  # the folder itself may be a link
    assert names(undetected(tmp_path / "way")) == names(found)


@pytest.mark.skipif(sys.platform != "linux" or not os.geteuid(), reason="root may read all")
def test_a_folder_that_may_not_be_read_is_shown_without_its_escape_codes(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "\x1b[2J").mkdir(mode=0)
    with pytest.raises(PermissionError, match=r"\\x1b\[2J: cannot be listed .*; give yourself"):
        undetected(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_is_no_picture(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    assert names(undetected(tmp_path)) == [("a", "a.png")]


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda folder: None, FileNotFoundError, "no such folder"),
        (
            lambda folder: folder.write_text(""),
            NotADirectoryError,
            "is a file; give the folder .* unpacked",
        ),
        (lambda folder: folder.mkdir(), ValueError, "no picture in this folder"),
        (lambda folder: put(folder / "a.png", side=10), ValueError, r"too small: 1.*portraits"),
    ],
)
def test_a_folder_without_faces_is_an_error_that_names_it(
    tmp_path: Path, make: Callable[[Path], Any], error: type[Exception], said: str
) -> None:
    make(tmp_path / "people")
    with pytest.raises(error, match=said) as raised:
        undetected(tmp_path / "people")
    assert str(tmp_path / "people") in str(raised.value)


def test_more_people_than_there_are_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "b/a.png")
    with pytest.raises(ValueError, match=r"3 people asked for, but pictures of only 1"):
        undetected(tmp_path, count=3)


@pytest.mark.parametrize(
    "options",
    [{"count": 0}, {"count": -1}, {"workers": 0}, {"margin": math.nan}, {"align": "tilted"}],
)
def test_settings_out_of_range_are_errors(tmp_path: Path, options: dict[str, Any]) -> None:
    put(tmp_path / "a.png")
    with pytest.raises(ValueError, match=next(iter(options))[:5].rstrip("s") + "|people"):
        photographs(tmp_path, **options)


def test_the_first_usable_picture_of_a_person_serves(tmp_path: Path) -> None:
    put(tmp_path / "1/ann.png", side=10)
    put(tmp_path / "2/ann.png", BLUE)
    put(tmp_path / "3/ann.png", side=11)
    put(tmp_path / "1/bob.png", side=12)
    found = undetected(tmp_path)
    assert names(found) == [("ann", "2/ann.png")]
    assert reasons(found) == [("1/ann.png", "too small"), ("1/bob.png", "too small")]
    assert "10 px; at least 40" in found.failures[0].detail
    assert (found.faces[0].image() == BLUE).all()


def test_others_take_the_place_of_people_without_a_face(tmp_path: Path) -> None:
    for number, side in enumerate([64, 10, 64, 10, 10, 64, 64, 10]):
        put(tmp_path / f"p{number}.png", side=side)
    calls: list[tuple[int, int]] = []
    found = undetected(tmp_path, count=3, progress=lambda *numbers: calls.append(numbers))
    assert [face.identity for face in found.faces] == ["p0", "p2", "p5"]
    assert [failure.identity for failure in found.failures] == ["p1", "p3", "p4"]
    assert calls[0] == (1, 3) and calls[-1] == (6, 6)
    assert [face.identity for face in undetected(tmp_path, count=5).faces] == [
        "p0",
        "p2",
        "p5",
        "p6",
    ]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True))
def test_more_people_change_nobody_elses_face(
    tmp_path_factory: pytest.TempPathFactory, present: list[str]
) -> None:
    colours = {name: (30 * number, 255 - 30 * number, 9) for number, name in enumerate("abcdefgh")}
    some, every = tmp_path_factory.mktemp("some"), tmp_path_factory.mktemp("every")
    for name in present:
        put(some / f"{name}.png", colours[name])
    for name, colour in colours.items():
        put(every / f"{name}.png", colour)
    of = {face.identity: face.sha256 for face in undetected(every).faces}
    assert {f.identity: f.sha256 for f in undetected(some).faces} == {n: of[n] for n in present}


def test_the_middle_square_is_taken_as_it_is(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE + 20, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    face = undetected(tmp_path).faces[0]
    assert (face.image() == picture[:, 10:-10]).all()


def test_a_photograph_knows_its_file(tmp_path: Path) -> None:
    path = put(tmp_path / "x/a.png")
    face = undetected(tmp_path).faces[0]
    assert face.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (face.path, face.rendered, face.image().shape) == ("x/a.png", False, (SIZE, SIZE, 3))
    assert pickle.loads(pickle.dumps(face)) == face

    put(path, BLUE)
    with pytest.raises(ValueError, match="has changed"):
        face.image()
    path.unlink()
    with pytest.raises(FileNotFoundError, match="is gone"):
        face.image()


# -- the identity table -------------------------------------------------------------------------


@pytest.fixture
def pictured(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "x/c.png"):
        put(tmp_path / "people" / name)
    put(tmp_path / "outside.png")
    (tmp_path / "people/link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "people/linked").symlink_to(tmp_path)
    (tmp_path / "people/loop.png").symlink_to(tmp_path / "people/loop.png")
    return tmp_path / "people"


def table(
    folder: Path, *rows: tuple[str, str], head: tuple[str, ...] = ("file", "identity")
) -> Path:
    path = folder.parent / "identities.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def test_a_table_tells_who_is_seen(pictured: Path) -> None:
    path = table(pictured, ("x/c.png", "Zoe\u0308"), ("./a.png", "Ann"))
    found = undetected(pictured, identities=path)
    assert names(found) == [("Ann", "a.png"), ("Zo\u00eb", "x/c.png")]
    assert (found.pictures, found.unlisted) == (3, 1)


def test_a_table_may_give_a_person_several_pictures(pictured: Path) -> None:
    path = table(pictured, ("b.png", "Ann"), ("a.png", "Ann"))
    assert names(undetected(pictured, identities=path)) == [("Ann", "a.png")]


OUTSIDE, LEAVES, CONTROL = "is not relative", "leaves the folder", "control characters"


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("../outside.png", LEAVES),
        ("x/../../outside.png", LEAVES),
        ("x/../a.png", LEAVES),
        ("/etc/passwd", OUTSIDE),
        ("//host/share/a.png", OUTSIDE),
        ("~/a.png", OUTSIDE),
        ("~root/a.png", OUTSIDE),
        ("file:///etc/passwd", OUTSIDE),
        ("local://a.png", OUTSIDE),
        ("http://192.0.2.1/latest/meta-data", OUTSIDE),
        ("https://example.org/a.png", OUTSIDE),
        ("C:/a.png", OUTSIDE),
        ("c:a.png", OUTSIDE),
        ("\\\\host\\share\\a.png", "backslash"),
        ("x\\c.png", "backslash"),
        ("b.png\0.txt", CONTROL),
        ("x/\nb.png", CONTROL),
        ("\x1b[31mb.png", CONTROL),
        ("x" * 4096 + ".png", "longer than 1024"),
        ("", "is empty"),
        (" ", "is empty"),
        ("missing.png", "not among"),
        ("x", "not among"),
        ("link.png", "not among"),
        ("linked/outside.png", "not among"),
        ("loop.png", "not among"),
        ("a.png.", "not among"),
        ("a.png/", "listed twice"),
        ("a.png/.", "listed twice"),
        ("A.PNG", "not among"),
        ("con", "not among"),
        ("nul.png", "not among"),
        ("%2e%2e/outside.png", "not among"),
        ("..%2foutside.png", "not among"),
        ("\u2025/outside.png", "not among"),  # two dots in one character
        ("\uff0e\uff0e\uff0foutside.png", "not among"),  # full width
        ("..\u2215outside.png", "not among"),  # a division sign
        ("\u202egnp.a", CONTROL),
        ("a.png::$DATA", "not among|is not relative"),
        ("$HOME/a.png", "not among"),
        ("|id", "not among"),
        ("-", "not among"),
    ],
)
def test_a_path_that_is_not_in_the_folder_is_refused(pictured: Path, file: str, said: str) -> None:
    path = table(pictured, ("a.png", "ann"), (file, "bob"))
    with pytest.raises(ValueError, match=rf"identities\.csv, row \d: file .*{said}") as raised:
        undetected(pictured, identities=path)
    assert len(str(raised.value)) < 500 and "\x1b" not in str(raised.value)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("a.png", "ann"), ("a.png", "bob")], "row 3: file 'a.png' is listed twice"),
        ([("a.png", "")], "row 2: identity ''"),
        ([("a.png", "an\tn")], "row 2: identity"),
        ([("a.png", "\x1b[31mann")], r"row 2: identity '\\\\x1b\[31mann' must"),
        ([("a.png", "\u202eann")], "row 2: identity .*printable"),
        ([("a.png", "x" * 2000)], "row 2: identity"),
        ([("a.png",)], "row 2: identity"),
        ([], "no row below the head"),
    ],
)
def test_a_table_with_other_faults_is_refused(
    pictured: Path, rows: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        undetected(pictured, identities=table(pictured, *rows))


def test_a_table_without_its_columns_or_without_text_is_refused(pictured: Path) -> None:
    with pytest.raises(ValueError, match="no column identity"):
        undetected(pictured, identities=table(pictured, ("a.png", "x"), head=("file", "name")))
    latin = pictured.parent / "latin.csv"
    latin.write_bytes("file,identity\na.png,Zo\xeb\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.csv: not UTF-8 text; save it as CSV"):
        undetected(pictured, identities=latin)
    with pytest.raises(FileNotFoundError, match="no such table"):
        undetected(pictured, identities=pictured.parent / "none.csv")
    latin.write_text('file,identity\na.png,"open\n')
    with pytest.raises(ValueError, match=r"row 1: unexpected end.* again"):
        undetected(pictured, identities=latin)


def test_a_table_of_gigabytes_is_refused_unread(pictured: Path) -> None:
    path = table(pictured, ("a.png", "ann"))
    os.truncate(path, 513 * 2**20)
    with pytest.raises(ValueError, match=r"identities\.csv: more than 512 MiB; split"):
        undetected(pictured, identities=path)


# -- drawn faces --------------------------------------------------------------------------------


def test_drawn_people_stay_when_more_are_asked_for() -> None:
    assert rendered(20, seed=5)[:7] == rendered(7, seed=5)
    assert [face.identity for face in rendered(2, seed=5)] == [
        "rendered-s5-000000",
        "rendered-s5-000001",
    ]


def test_drawn_people_differ_between_seeds_and_their_seeds_have_63_bits() -> None:
    seeds = [face.seed for seed in range(20) for face in rendered(100, seed=seed)]
    assert len(set(seeds)) == 2000
    assert min(seeds) >= 0 and 2**62 < max(seeds) < 2**63


def test_the_seed_of_a_drawn_person_never_changes() -> None:
    digest = hashlib.blake2b(b"('generate', 7, 3)", digest_size=8).hexdigest()
    face = rendered(4, seed=7)[3]
    assert face.seed == int(digest, 16) // 2
    assert face.path == f"render:{face.seed}"
    assert face.sha256 == hashlib.sha256(face.path.encode()).hexdigest()


def test_no_drawn_people_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        rendered(0, seed=1)


def test_a_drawn_face_is_the_same_each_time_and_in_another_process() -> None:
    face = rendered(1, seed=11)[0]
    image = face.image()
    assert image.shape == (SIZE, SIZE, 3) and image.dtype == np.uint8
    assert image.std() > 10
    assert (pickle.loads(pickle.dumps(face)).image() == image).all()
    assert face.rendered


def test_both_kinds_are_faces(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    kinds: list[Face] = [*undetected(tmp_path).faces, *rendered(1, seed=1)]
    assert [type(face) for face in kinds] == [Photograph, Rendered]


# -- what is kept from run to run ---------------------------------------------------------------

FOUND = Detection((64, 64), 1, 0.99, (1.0, 2.0, 50.0, 60.0), ((1.0, 2.0),) * 5)
KEY = "0" * 64


def test_what_was_found_is_known_for_the_same_settings_only(tmp_path: Path) -> None:
    none = Detection((64, 48), 0, 0.3)
    Known(tmp_path, "one").put({KEY: FOUND, "1" * 64: none})
    assert Known(tmp_path, "one").get(KEY) == FOUND
    assert Known(tmp_path, "one").get("1" * 64) == none
    assert Known(tmp_path, "one").get("2" * 64) is None
    assert Known(tmp_path, "two").get(KEY) is None


def test_a_picture_that_cannot_be_used_is_known_too(tmp_path: Path) -> None:
    Known(tmp_path, "one").put({KEY: UnusablePicture("unreadable", "cut off")})
    known = Known(tmp_path, "one").get(KEY)
    assert isinstance(known, UnusablePicture)
    assert (known.reason, known.detail) == ("unreadable", "cut off")


@pytest.mark.parametrize("content", [b"", b"not a database at all, and longer than a header" * 9])
def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path, content: bytes) -> None:
    known = Known(tmp_path, "one")
    known.path.write_bytes(content)
    assert known.get(KEY) is None
    known.put({KEY: FOUND})
    assert known.get(KEY) == FOUND


def test_a_damaged_database_never_crashes(tmp_path: Path) -> None:
    known = Known(tmp_path, "one")
    rng = np.random.default_rng(5)
    for _ in range(30):
        known.put({f"{number:064x}": FOUND for number in range(200)})
        data = bytearray(known.path.read_bytes())
        for at in rng.integers(0, len(data), 40):
            data[at] ^= 0xFF
        known.path.write_bytes(data[: rng.integers(1, len(data) + 1)])
        for number in range(0, 200, 9):
            assert known.get(f"{number:064x}") in (None, FOUND)
    known.path.unlink(missing_ok=True)
    known.put({KEY: FOUND})
    assert known.get(KEY) == FOUND


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "7", '{"size": [1, 2], "faces": 1}', '{"reason": 1}', "null", "\0"]
)
def test_a_row_of_another_version_is_not_used(tmp_path: Path, text: str) -> None:
    known = Known(tmp_path, "one")
    known.put({KEY: FOUND})
    with sqlite3.connect(known.path) as database:
        database.execute("UPDATE detections SET found = ?", (text,))
    database.close()
    assert known.get(KEY) is None


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    known = Known(tmp_path, "one")
    known.path.mkdir()
    assert known.get(KEY) is None
    known.put({KEY: FOUND})
    assert known.get(KEY) is None


def test_four_processes_may_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mie_x.faces.detection import Detection, Known\n"
        "known, me = Known(Path(sys.argv[1]), 'one'), int(sys.argv[2])\n"
        "for n in range(40):\n"
        "    known.put({f'{me * 100 + n:064x}': Detection((me, n), 0, 0.5)})\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(me)]) for me in range(4)
    ]
    assert [run.wait() for run in runs] == [0] * 4
    known = Known(tmp_path, "one")
    for me in range(4):
        for n in range(40):
            assert known.get(f"{me * 100 + n:064x}") == Detection((me, n), 0, 0.5)


def test_the_users_cache_is_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEX_CACHE", str(tmp_path))
    assert user_cache() == tmp_path
    monkeypatch.delenv("MIEX_CACHE")
    assert user_cache().is_absolute() and "mie-x" in user_cache().parts


def test_a_cache_folder_that_cannot_be_is_an_error_only_if_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portraits: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be the cache folder"):
        photographs(portraits, count=1, cache=tmp_path / "file")
    monkeypatch.setenv("MIEX_CACHE", str(tmp_path / "file"))
    assert photographs(portraits, count=1).detected == 1


# -- finding and aligning faces -----------------------------------------------------------------


@dataclass(frozen=True)
class Drawing:
    """A drawn face whose features' places are known: (128, 128, 3) uint8 and (5, 2) px."""

    image: Frames
    points: NDArray[np.float64]


@pytest.fixture(scope="session")
def drawn() -> list[Drawing]:
    still = np.zeros((1, len(AUS)), np.float32)
    made = [render([draw_person(seed)], [reference_view()], still) for seed in range(70, 74)]
    return [Drawing(one.images[0], one.landmarks[0, :5].astype(float)) for one in made]


def canvas(height: int, width: int, *faces: tuple[Drawing, int, int, int]) -> Image.Image:
    """Gray, with each (face, side, left, top) on it."""
    image = Image.new("RGB", (width, height), (120, 125, 130))
    for face, side, left, top in faces:
        image.paste(
            Image.fromarray(face.image).resize((side, side), Image.Resampling.BICUBIC), (left, top)
        )
    return image


@pytest.fixture(scope="session")
def portraits(tmp_path_factory: pytest.TempPathFactory, drawn: list[Drawing]) -> Path:
    """ann, 256 px at (100, 40); bob and, smaller, cy; dee upside up by EXIF only; nobody."""
    folder = tmp_path_factory.mktemp("portraits")
    canvas(400, 500, (drawn[0], 256, 100, 40)).save(folder / "ann.png")
    canvas(300, 500, (drawn[1], 240, 10, 30), (drawn[0], 140, 320, 80)).save(folder / "bob.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = canvas(400, 300, (drawn[3], 256, 22, 72)).transpose(Image.Transpose.ROTATE_90)
    stored.save(folder / "dee.jpg", exif=exif, quality=95)
    Image.new("RGB", (200, 200), WHITE).save(folder / "nobody.png")
    return folder


def landed(face: Face, drawing: Drawing, side: int, left: int, top: int) -> NDArray[np.float64]:
    """Where a drawn face's features come to lie after it was pasted at (left, top) and found."""
    assert isinstance(face, Photograph)
    matrix = np.reshape(face.matrix, (2, 3))
    pasted = drawing.points * side / SIZE + (left, top)
    return np.asarray(pasted @ matrix[:, :2].T + matrix[:, 2])


def test_faces_come_to_lie_on_the_template(portraits: Path, drawn: list[Drawing]) -> None:
    found = photographs(portraits)
    assert names(found) == [("ann", "ann.png"), ("bob", "bob.png"), ("dee", "dee.jpg")]
    assert reasons(found) == [("nobody.png", "no face")]
    places = [(drawn[0], 256, 100, 40), (drawn[1], 240, 10, 30), (drawn[3], 256, 22, 72)]
    for face, place in zip(found.faces, places, strict=True):
        assert np.abs(landed(face, *place) - TEMPLATE).max() < 5
        assert face.image().shape == (SIZE, SIZE, 3)


def test_several_faces_are_counted(portraits: Path) -> None:
    faces = photographs(portraits).faces
    assert [face.faces for face in faces if isinstance(face, Photograph)] == [1, 2, 1]


def test_of_several_faces_the_largest_is_taken(tmp_path: Path, drawn: list[Drawing]) -> None:
    """And not the surest: of all pairs, some have a surer small one."""
    pairs = list(itertools.permutations(range(4), 2))
    for large, small in pairs:
        both = canvas(300, 500, (drawn[large], 240, 10, 30), (drawn[small], 140, 320, 80))
        both.save(tmp_path / f"{large}{small}.png")
    for (large, _), face in zip(pairs, photographs(tmp_path).faces, strict=True):
        assert np.abs(landed(face, drawn[large], 240, 10, 30) - TEMPLATE).max() < 8


def test_a_photographed_drawing_looks_like_the_drawing(
    portraits: Path, drawn: list[Drawing]
) -> None:
    ann = photographs(portraits, count=1).faces[0].image()
    middle = slice(30, 110)
    difference = np.abs(ann[middle, middle].astype(int) - drawn[0].image[middle, middle])
    other = np.abs(ann[middle, middle].astype(int) - drawn[1].image[middle, middle])
    assert difference.mean() < 12 and difference.mean() < other.mean() / 1.5


def test_a_tilted_head_is_set_upright(tmp_path: Path, drawn: list[Drawing]) -> None:
    straight = canvas(400, 400, (drawn[0], 256, 72, 72))
    for angle in (0, 20, -20):
        straight.rotate(angle, Image.Resampling.BICUBIC, fillcolor=(120, 125, 130)).save(
            tmp_path / f"tilt{angle:+d}.png"
        )
    turns = {}
    for face in photographs(tmp_path).faces:
        assert isinstance(face, Photograph)
        turns[face.identity] = math.degrees(math.atan2(face.matrix[3], face.matrix[0]))
    # Pillow turns against the clock, so the face is brought back with it (y points down)
    assert turns == {
        "tilt+0": pytest.approx(0, abs=3),
        "tilt+20": pytest.approx(20, abs=4),
        "tilt-20": pytest.approx(-20, abs=4),
    }
    crop = photographs(tmp_path, align="crop").faces[0]
    assert isinstance(crop, Photograph) and crop.matrix[1] == crop.matrix[3] == 0


def test_a_crop_shows_as_much_as_its_margin_says(portraits: Path) -> None:
    tight, wide = (
        photographs(portraits, count=1, align="crop", margin=margin).faces[0]
        for margin in (0.0, 0.5)
    )
    assert isinstance(tight, Photograph) and isinstance(wide, Photograph)
    assert tight.matrix[0] == pytest.approx(2 * wide.matrix[0])


def test_a_small_face_in_a_large_picture_is_found_at_the_second_look(
    tmp_path: Path, drawn: list[Drawing]
) -> None:
    canvas(1000, 1500, (drawn[0], 140, 900, 500)).save(tmp_path / "far.png")
    face = photographs(tmp_path).faces[0]
    assert np.abs(landed(face, drawn[0], 140, 900, 500) - TEMPLATE).max() < 6
    crop = photographs(tmp_path, align="crop").faces[0]
    assert np.abs(landed(crop, drawn[0], 140, 900, 500) - TEMPLATE).max() < 16


def test_faces_of_too_few_pixels_are_not_blown_up(tmp_path: Path, drawn: list[Drawing]) -> None:
    canvas(200, 200, (drawn[0], 44, 80, 80)).save(tmp_path / "far.png")
    canvas(200, 200, (drawn[0], 180, 10, 10)).save(tmp_path / "near.png")
    canvas(39, 300).save(tmp_path / "strip.png")
    found = photographs(tmp_path)
    assert names(found) == [("near", "near.png")]
    assert reasons(found) == [("far.png", "too small"), ("strip.png", "too small")]


@pytest.mark.parametrize("size", [(40, 40), (40, 4000), (4000, 40), (41, 700)])
def test_odd_shapes_do_not_upset_the_detector(
    tmp_path: Path, portraits: Path, size: tuple[int, int]
) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "b.png")
    (tmp_path / "a.png").write_bytes((portraits / "ann.png").read_bytes())
    assert reasons(photographs(tmp_path)) == [("b.png", "no face")]


def test_a_folder_is_searched_once(portraits: Path, tmp_path: Path) -> None:
    first = photographs(portraits, cache=tmp_path)
    again = photographs(portraits, cache=tmp_path)
    assert (first.detected, first.cached) == (4, 0)
    assert (again.detected, again.cached) == (0, 4)
    assert (again.faces, again.failures) == (first.faces, first.failures)
    crops = photographs(portraits, cache=tmp_path, align="crop")
    assert (crops.detected, crops.cached) == (0, 4)
    without = photographs(portraits, cache=None)
    assert (without.detected, without.faces) == (4, first.faces)


def test_the_cache_holds_no_name_and_no_pixel(portraits: Path, tmp_path: Path) -> None:
    photographs(portraits, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    content = file.read_bytes()
    assert len(content) < 32_768
    assert not any(word in content for word in (b"ann", b"bob", b".png", str(portraits).encode()))


def test_the_detector_leaves_torchs_threads_as_they_were(portraits: Path) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    photographs(portraits, count=1, cache=None)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_device_that_is_not_there_is_no_failure_of_the_pictures(portraits: Path) -> None:
    with pytest.raises(RuntimeError, match="nowhere"):
        photographs(portraits, cache=None, device="nowhere")


@pytest.mark.slow
def test_any_number_of_workers_finds_the_same(portraits: Path) -> None:
    alone = photographs(portraits, cache=None)
    assert photographs(portraits, cache=None, workers=2) == alone
    assert photographs(portraits, cache=None, workers=3, count=3).faces == alone.faces


@pytest.mark.slow
def test_torch_is_loaded_for_a_new_photograph_only(portraits: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mie_x import faces\n"
        "heavy = lambda: {'torch', 'facenet_pytorch', 'skimage'} & set(sys.modules)\n"
        "assert not heavy()\n"
        "found = faces.photographs(Path(sys.argv[1]), cache=Path(sys.argv[2]))\n"
        "faces.rendered(3, seed=1)\n"
        "print(found.detected, sorted(heavy()))\n"
    )
    run = [sys.executable, "-c", code, str(portraits), str(tmp_path)]
    photographs(portraits, cache=tmp_path)
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout == "0 []\n"
