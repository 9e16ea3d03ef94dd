"""Eulerian magnification: what grows, what stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mie_x.records import Frames
from recognizers.magnification import magnify, magnify_pair

FPS = 40.0
TIME = np.arange(80) / FPS


def waves(amount: NDArray[np.float64], length: float = 0) -> Frames:
    """(T, 64, 64, 3): gray 128 plus amounts (T,), everywhere or as stripes of LENGTH px."""
    stripes = np.cos(2 * np.pi * np.arange(64) / length) if length else np.ones(64)
    levels = 128 + amount[:, None, None, None] * stripes[:, None]
    frames: Frames = np.rint(np.broadcast_to(levels, (len(amount), 64, 64, 3))).astype(np.uint8)
    return frames


def swing(frames: Frames) -> float:
    """Half of what the middle of the picture varies by."""
    middle = frames[:, 32, 32, 0].astype(float)
    return float(middle.max() - middle.min()) / 2


@pytest.mark.parametrize("length", [0, 64])
def test_an_oscillation_in_the_band_grows_by_one_plus_alpha(length: float) -> None:
    frames = waves(8 * np.sin(2 * np.pi * 4 * TIME), length)
    assert swing(frames) == 8
    assert swing(magnify(frames, alpha=4, low=3, high=5, fps=FPS)) == pytest.approx(5 * 8, abs=2.5)


@pytest.mark.parametrize("hertz", [0.5, 2, 6, 15])
def test_an_oscillation_outside_of_the_band_stays(hertz: float) -> None:
    frames = waves(20 * np.sin(2 * np.pi * hertz * TIME))
    moved = magnify(frames, alpha=10, low=3, high=5, fps=FPS).astype(int) - frames
    assert abs(moved).max() <= 2  # of 20 levels, rounded to whole ones beforehand


def test_of_two_oscillations_the_one_in_the_band_grows() -> None:
    slow, quick = 30 * np.sin(2 * np.pi * TIME), 3 * np.sin(2 * np.pi * 4 * TIME)
    found = magnify(waves(slow + quick), alpha=9, low=3, high=5, fps=FPS)[:, 0, 0, 0]
    np.testing.assert_allclose(found, 128 + slow + 10 * quick, atol=5)  # rounding grows too


def test_short_wavelengths_grow_less() -> None:
    swings = [
        swing(
            magnify(
                waves(4 * np.sin(2 * np.pi * 4 * TIME), length), alpha=9, low=3, high=5, fps=FPS
            )
        )
        for length in (4, 8, 16, 64)
    ]
    assert swings == sorted(swings)
    assert swings[0] < 3 * 4 < 9 * 4 < swings[-1]


@given(st.integers(0, 20))
def test_alpha_0_gives_the_frames_back(seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    assert (magnify(frames, alpha=0, low=3, high=10, fps=30) == frames).all()
    assert (magnify_pair(frames[0], frames[1], alpha=0) == frames[1]).all()


def test_a_pair_moves_one_plus_alpha_times_as_far() -> None:
    def shifted(pixels: float) -> Frames:
        wave = 100 * np.cos(2 * np.pi * (np.arange(128) - pixels) / 64)
        levels = np.broadcast_to(128 + wave[:, None], (128, 128, 3))
        frame: Frames = np.rint(levels).astype(np.uint8)
        return frame

    found = magnify_pair(shifted(0), shifted(0.5), alpha=3).astype(float)
    inner = slice(32, 96)  # the bands' Gaussians see past the picture's edge
    assert abs(found - shifted(2))[inner].max() < 4  # of 200 levels: a first-order expansion
    assert abs(shifted(0.5).astype(float) - shifted(2))[inner].max() > 12


def test_a_pair_in_which_nothing_moves_stays() -> None:
    frame = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert (magnify_pair(frame, frame, alpha=20) == frame).all()


def test_what_is_magnified_stays_within_8_bits() -> None:
    frames = waves(120 * np.sin(2 * np.pi * 4 * TIME))
    found = magnify(frames, alpha=4, low=3, high=5, fps=FPS)
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize("band", [(0, 5), (5, 3), (3, 21)])
def test_an_impossible_band_is_refused(band: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="fps / 2"):
        magnify(waves(TIME), alpha=1, low=band[0], high=band[1], fps=FPS)


def test_a_clip_too_short_for_the_band_is_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 20: widen"):
        magnify(waves(TIME[:10]), alpha=1, low=1, high=10, fps=200)


def test_floats_single_frames_and_shrinking_are_refused() -> None:
    frames = waves(TIME)
    with pytest.raises(ValueError, match="uint8"):
        magnify(frames.astype(np.float32), alpha=1, low=3, high=5, fps=FPS)
    with pytest.raises(ValueError, match="uint8"):
        magnify(frames[:1], alpha=1, low=3, high=5, fps=FPS)
    with pytest.raises(ValueError, match="alpha"):
        magnify_pair(frames[0], frames[1], alpha=-1)
