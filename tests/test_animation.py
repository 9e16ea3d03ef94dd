"""Frames depend on face and action units alone, not on how they were batched."""

import numpy as np
import pytest
import torch

from ganimation.animation import animate
from ganimation.networks import Generator
from mie_x.records import Aus, Frames


def strong_generator() -> Generator:
    """Drawn weights large enough that colours and mask spread over their range."""
    torch.manual_seed(3)
    generator = Generator(width=8, blocks=2)
    with torch.no_grad():
        generator.colour.weight.mul_(20)
        generator.mask.weight.mul_(20)
    return generator


def faces_and_aus(number: int) -> tuple[Frames, Aus]:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (number, 128, 128, 3), dtype=np.uint8)
    return faces, rng.random((number, 17), dtype=np.float32)


def test_batch_size_changes_no_frame_by_more_than_a_level() -> None:
    generator, (faces, aus) = strong_generator(), faces_and_aus(5)
    frames = animate(generator, faces, aus, batch=5)
    for batch in (1, 2, 16):
        other = animate(generator, faces, aus, batch=batch)
        assert np.abs(frames.astype(int) - other).max() <= 1
    assert np.abs(frames.astype(int) - faces).max() > 20  # the frames are not the faces


def test_the_same_input_gives_the_same_frames() -> None:
    generator, (faces, aus) = strong_generator(), faces_and_aus(3)
    assert np.array_equal(animate(generator, faces, aus), animate(generator, faces, aus))


def test_a_mask_of_one_returns_the_faces_exactly() -> None:
    class KeepsAll(Generator):
        def forward(
            self, image: torch.Tensor, aus: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.zeros_like(image), torch.ones_like(image[:, :1])

    faces, aus = faces_and_aus(2)
    faces[0, 0, :128, 0] = range(128)
    faces[0, 1, :128, 0] = range(128, 256)  # every grey level is there
    assert np.array_equal(animate(KeepsAll(width=2, blocks=0), faces, aus), faces)


def test_levels_are_rounded_not_truncated() -> None:
    class Grey(Generator):
        def forward(
            self, image: torch.Tensor, aus: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            colour = (torch.arange(128.0) + 0.6) / 127.5 - 1  # 0.6, 1.6, ... grey levels
            return colour.expand_as(image), torch.zeros_like(image[:, :1])

    faces, aus = faces_and_aus(1)
    frames = animate(Grey(width=2, blocks=0), faces, aus)
    assert np.array_equal(frames[0, 0, :, 0], np.arange(1, 129))


def test_no_faces_give_no_frames() -> None:
    faces, aus = faces_and_aus(0)
    assert animate(strong_generator(), faces, aus).shape == (0, 128, 128, 3)


@pytest.mark.parametrize(
    ("faces", "aus", "message"),
    [
        (np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 17), np.float32), "128"),
        (np.zeros((1, 128, 128, 3), np.float32), np.zeros((1, 17), np.float32), "uint8"),
        (np.zeros((1, 128, 128, 3), np.uint8), np.zeros((2, 17), np.float32), r"\(1, 17\)"),
        (
            np.zeros((1, 128, 128, 3), np.uint8),
            np.full((1, 17), np.nan, np.float32),
            "face 0 are not finite",
        ),
    ],
)
def test_wrong_shapes_types_and_values_are_refused(faces: Frames, aus: Aus, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        animate(strong_generator(), faces, aus)
