"""What judges the weights: figures worked out by hand, and a generator that only copies."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganimation.checkpoints import save_generator
from ganimation.networks import Generator
from mie_x.faces import rendered
from mie_x.faces.detection import TEMPLATE
from mie_x.records import AUS
from pipelines.measure_generator import (
    LEVELS,
    along,
    cosine,
    decibels,
    expect,
    measure,
    measure_photographs,
    measured_aus,
    movement,
)


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

    shown = np.zeros((64, 64), np.bool_)
    shown[28:37, 26:35] = True
    field = movement(blob(0, 0), blob(1, -0.5), shown)
    assert field[:, shown].mean(axis=1) == pytest.approx([1, -0.5], abs=0.15)
    assert not field[:, 50:].any()  # nobody asked


def test_a_tenth_of_a_pixel_is_found() -> None:
    rng = np.random.default_rng(0)
    large = np.kron(rng.uniform(50, 200, (13, 13)), np.ones((50, 50)))
    for axis in (0, 1):  # a smooth picture at ten times the size
        kernel = np.hanning(101) / np.hanning(101).sum()
        large = np.apply_along_axis(np.convolve, axis, large, kernel, "same")

    def seen(shift: int) -> np.ndarray:
        rolled = np.roll(large, shift, axis=1)[5:645, 5:645]
        small = rolled.reshape(64, 10, 64, 10).mean(axis=(1, 3))
        return np.repeat(small[:, :, None], 3, axis=2).round().astype(np.uint8)

    shown = np.zeros((64, 64), np.bool_)
    shown[10:54, 10:54] = True
    found = movement(seen(0), seen(2), shown)[:, shown].mean(axis=1)
    assert found == pytest.approx([0.2, 0], abs=0.06)


def test_amounts_that_fall_once_do_not_rise() -> None:
    expected = np.ones((2, 3, 3), np.float32)
    shown = expected[0] > 0
    assert along([n * expected for n in (0, 1, 2, 3, 4)], expected, shown)["rises"] == 1
    falling = along([n * expected for n in (0, 1, -2, 3, 4)], expected, shown)
    assert falling["rises"] == 0
    assert falling["sign"] == 0
    assert falling["amount_0.2"] == -2


def test_a_face_moved_by_a_drawn_persons_field_moves_as_expected() -> None:
    face = rendered(1, seed=3)[0].image()  # as a photograph: nothing is known of it
    field, skin, moved = expect(face, np.array(TEMPLATE), witnesses=1)
    assert field.shape == (len(AUS), 2, 128, 128)
    assert moved.shape == (len(AUS), 128, 128, 3)
    brows = AUS.index(1)
    shown = skin & (np.hypot(*field[brows]) > 0.2)
    assert shown.any()
    assert field[brows, 1][shown].mean() < 0  # up
    assert cosine(movement(face, moved[brows], shown), field[brows], shown) > 0.8


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


@pytest.mark.slow
def test_a_generator_that_copies_moves_no_photograph(tmp_path: Path) -> None:
    for number in range(2):
        picture = Image.fromarray(rendered(2, seed=5)[number].image())
        (tmp_path / "faces").mkdir(exist_ok=True)
        picture.resize((256, 256)).save(tmp_path / "faces" / f"{number}.png")
    generator = Generator(width=4, blocks=0, motion=True)
    path = tmp_path / "copies.safetensors"
    save_generator(path, generator, steps=0, data="none", licence="CC0-1.0")
    figures = measure_photographs(path, tmp_path / "faces", last=1, witnesses=1)
    assert figures["aus"].keys() == {str(au) for au in AUS}
    assert figures["ceiling"] > 0.6
    assert abs(figures["amount_0.5"]) < 0.05
    assert figures["rises"] == 0
    assert figures["own_nearest"] == 1
    assert {f"amount_{level}" for level in LEVELS} <= figures.keys()
    with pytest.raises(ValueError, match=r"3 people asked for, but .* has 2 with a face"):
        measure_photographs(path, tmp_path / "faces", last=3)
