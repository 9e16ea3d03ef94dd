"""What judges the weights: figures worked out by hand, and a generator that only copies."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ganimation.checkpoints import save_generator
from ganimation.networks import Generator
from mie_x.records import AUS
from pipelines.measure_generator import cosine, decibels, measure, measured_aus, movement


def test_decibels_by_hand() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)
    assert decibels(grey + np.uint8(2), grey) == pytest.approx(20 * np.log10(255 / 2))
    assert decibels(grey, grey) == 60


def test_cosine_counts_large_displacements_more_and_only_the_band() -> None:
    wanted = np.zeros((2, 2, 2), np.float32)
    wanted[0, 0] = 3, 1
    found = np.zeros_like(wanted)
    found[0, 0] = 3, -1
    found[1, 1] = 100  # outside of the band
    band = np.array([[True, True], [False, False]])
    assert cosine(found, wanted, band) == pytest.approx((9 - 1) / 10)


def test_movement_is_found_in_pixels_x_first() -> None:
    y, x = np.mgrid[:64, :64]

    def blob(right: float, down: float) -> np.ndarray:
        bright = 200 * np.exp(-((x - 30 - right) ** 2 + (y - 32 - down) ** 2) / 60)
        return np.repeat(bright[:, :, None], 3, axis=2).astype(np.uint8)

    field = movement(blob(0, 0), blob(1, -0.5))[:, 28:37, 26:35].mean(axis=(1, 2))
    assert field == pytest.approx([1, -0.5], abs=0.15)


def test_measured_aus_show_each_unit_alone_and_some_together() -> None:
    aus = measured_aus(np.random.default_rng(0))
    assert aus.shape == (19, 17)
    assert not aus[0].any()
    assert (aus[1:18] > 0).sum(axis=0).tolist() == [1] * 17
    assert 0.1 <= aus[18][aus[18] > 0].min() <= aus[18].max() <= 0.3


@pytest.mark.slow
def test_a_generator_that_copies_gains_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = Generator(width=4, blocks=0, motion=True)  # untrained: its colour is its source
    path = tmp_path / "copies.safetensors"
    save_generator(path, generator, steps=0, data="none", licence="CC0-1.0")
    figures = measure(path, identities=1, seed=0)
    assert figures["psnr_db"]["alone"]["gain"] == pytest.approx(0, abs=0.05)
    assert figures["psnr_db"]["together"]["share_above_copy"] == 0
    assert figures["mask"] == pytest.approx(0.5, abs=1e-3)
    assert figures["onset_change"] == pytest.approx(0, abs=0.05)
    assert figures["aus"].keys() == {str(au) for au in AUS}
    assert figures["ceiling"] > 0.6
    assert abs(figures["cosine"]) < 0.2
