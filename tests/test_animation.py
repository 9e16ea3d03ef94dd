"""Frames depend on face and action units alone, not on how they were batched."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ganimation.animation import animate
from ganimation.networks import Features, Generator
from mie_x.records import Aus, Frames


def strong_generator(motion: bool = False) -> Generator:
    """Drawn weights large enough that colours and mask spread over their range."""
    torch.manual_seed(3)
    generator = Generator(width=8, blocks=2, motion=motion)
    with torch.no_grad():
        for head in (generator.colour, generator.mask, generator.motion, generator.shade):
            if head is not None:
                head.weight.normal_(0, 0.4)
    return generator


def faces_and_aus(number: int) -> tuple[Frames, Aus]:
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (number, 128, 128, 3), dtype=np.uint8)
    return faces, rng.random((number, 17), dtype=np.float32)


@pytest.mark.parametrize("motion", [False, True])
def test_batch_size_changes_no_frame_by_more_than_a_level(motion: bool) -> None:
    generator, (faces, aus) = strong_generator(motion), faces_and_aus(5)
    frames = animate(generator, faces, aus, batch=5)
    for batch in (1, 2, 16):
        other = animate(generator, faces, aus, batch=batch)
        assert np.abs(frames.astype(int) - other).max() <= 1
    assert np.abs(frames.astype(int) - faces).max() > 20  # the frames are not the faces


@pytest.mark.parametrize("motion", [False, True])
def test_the_same_input_gives_the_same_frames(motion: bool) -> None:
    generator, (faces, aus) = strong_generator(motion), faces_and_aus(3)
    assert np.array_equal(animate(generator, faces, aus), animate(generator, faces, aus))


@pytest.mark.parametrize("motion", [False, True])
def test_one_face_serves_all_action_units(motion: bool) -> None:
    generator, (faces, aus) = strong_generator(motion), faces_and_aus(5)
    of_one = animate(generator, faces[:1], aus, batch=2)
    repeated = animate(generator, np.repeat(faces[:1], 5, axis=0), aus)
    assert np.abs(of_one.astype(int) - repeated).max() <= 1
    assert (of_one[0] != of_one[1]).any()


@pytest.mark.parametrize("motion", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 16])
def test_rows_name_their_faces_in_any_order(motion: bool, batch: int) -> None:
    generator, (faces, aus) = strong_generator(motion), faces_and_aus(5)
    whose = np.array([3, 0, 3, 4, 0])
    frames = animate(generator, faces, aus, whose, batch=batch)
    assert np.abs(frames.astype(int) - animate(generator, faces[whose], aus)).max() <= 1


def test_a_moving_generator_looks_at_a_face_once() -> None:
    seen: list[int] = []
    generator, (faces, aus) = strong_generator(motion=True), faces_and_aus(5)
    generator.first.register_forward_hook(lambda _, images, __: seen.append(len(images[0])))
    animate(generator, faces, aus, np.array([1, 1, 4, 1, 4]), batch=2)
    assert seen == [2, 1]  # faces 0 and 1 together, face 4; nobody asks for 2 and 3


def test_a_mask_of_one_returns_the_faces_exactly() -> None:
    class KeepsAll(Generator):
        def frames(
            self, faces: Features, aus: torch.Tensor, whose: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            image = faces.image[whose]
            return torch.zeros_like(image), torch.ones_like(image[:, :1])

    faces, aus = faces_and_aus(2)
    faces[0, 0, :128, 0] = range(128)
    faces[0, 1, :128, 0] = range(128, 256)  # every grey level is there
    assert np.array_equal(animate(KeepsAll(width=2, blocks=0), faces, aus), faces)


def test_levels_are_rounded_not_truncated() -> None:
    class Grey(Generator):
        def frames(
            self, faces: Features, aus: torch.Tensor, whose: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            image = faces.image[whose]
            colour = (torch.arange(128.0) + 0.6) / 127.5 - 1  # 0.6, 1.6, ... grey levels
            return colour.expand_as(image), torch.zeros_like(image[:, :1])

    faces, aus = faces_and_aus(1)
    frames = animate(Grey(width=2, blocks=0), faces, aus)
    assert np.array_equal(frames[0, 0, :, 0], np.arange(1, 129))


def test_no_faces_give_no_frames() -> None:
    faces, aus = faces_and_aus(0)
    assert animate(strong_generator(), faces, aus).shape == (0, 128, 128, 3)


def test_a_face_that_nobody_asks_for_gives_no_frame() -> None:
    faces, aus = faces_and_aus(2)
    frames = animate(strong_generator(), faces, aus[:0], np.zeros(0, int))
    assert frames.shape == (0, 128, 128, 3)


FACE, NEUTRAL = np.zeros((1, 128, 128, 3), np.uint8), np.zeros((1, 17), np.float32)


@pytest.mark.parametrize(
    ("faces", "aus", "whose", "message"),
    [
        (FACE[:, :64, :64], NEUTRAL, None, "128"),
        (FACE.astype(np.float32), NEUTRAL, None, "uint8"),
        (FACE, NEUTRAL[:, :16], None, r"\(N, 17\)"),
        (FACE, NEUTRAL + np.float32(np.nan), None, "row 0 are not finite"),
        (np.repeat(FACE, 2, axis=0), np.repeat(NEUTRAL, 3, axis=0), None, "3 rows .* for 2 faces"),
        (FACE[:0], NEUTRAL, None, "for 0 faces"),
        (FACE, NEUTRAL, np.array([1]), "one of 1 faces"),
        (FACE, NEUTRAL, np.array([-1]), "one of 1 faces"),
        (FACE, NEUTRAL, np.array([0, 0]), "each of 1 rows"),
    ],
)
def test_wrong_shapes_types_and_values_are_refused(
    faces: Frames, aus: Aus, whose: NDArray[np.int64] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        animate(strong_generator(), faces, aus, whose)
