"""A clip's face: found once, on the onset frame, and framed alike to the end."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mie_x.faces import rendered
from mie_x.faces.aligned import Alignment, aligned, find_alignment, sureness
from mie_x.faces.detection import TEMPLATE
from mie_x.faces.pictures import Matrix, UnusablePicture, warp
from mie_x.records import SIZE, Frames

FACE, OTHER = (face.image() for face in rendered(2, seed=4))
WIDTH, HEIGHT = 400, 300


def scene(*places: tuple[Frames, int, int, int]) -> Frames:
    """Gray, 400 x 300, with each (face, side, left, top) on it."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (120, 125, 130))
    for face, side, left, top in places:
        pasted = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
        image.paste(pasted, (left, top))
    return np.asarray(image)


ONSET = scene((FACE, 200, 90, 50))
SMOOTH = np.asarray(
    Image.fromarray(np.random.default_rng(2).integers(0, 256, (9, 12, 3), np.uint8)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    )
)


def under(matrix: Matrix, height: int = HEIGHT, width: int = WIDTH) -> Alignment:
    """An alignment that nobody had to find."""
    return Alignment((width, height), matrix, (), (), 1, 1.0)


def test_the_five_points_come_to_lie_on_the_template() -> None:
    found = find_alignment(ONSET)
    assert found.size == (WIDTH, HEIGHT)
    assert np.abs(found.points_in() - TEMPLATE).max() < 4
    assert np.allclose(found.points_in(256), 2 * found.points_in())


def test_in_the_aligned_picture_the_face_is_found_where_its_points_are_said_to_be() -> None:
    found = find_alignment(ONSET)
    again = find_alignment(aligned([ONSET], found)[0])
    assert np.abs(np.array(again.points) - found.points_in()).max() < 3


def test_a_face_that_moves_after_the_onset_moves_in_the_aligned_clip_too() -> None:
    moved = scene((FACE, 200, 100, 50))
    found = find_alignment(ONSET)
    still, later = aligned([ONSET, moved], found).astype(int)
    differences = [
        np.abs(later[30:100, 30 + by : 100 + by] - still[30:100, 30:100]).mean() for by in range(12)
    ]
    assert int(np.argmin(differences)) == round(10 * found.matrix[0])


def test_of_several_faces_the_largest_is_taken_and_all_are_counted() -> None:
    found = find_alignment(scene((OTHER, 110, 10, 20), (FACE, 200, 180, 60)))
    left, top, right, bottom = found.box
    assert found.faces == 2
    assert 180 < left < right < 380
    assert 60 < top < bottom < 260


def test_a_crop_shows_the_box_with_its_margin_upright() -> None:
    found = find_alignment(ONSET, align="crop", margin=0.25)
    a, b, c, d, e, f = found.matrix
    left, top, right, bottom = found.box
    assert (b, d, a) == (0, 0, e)
    assert a * max(right - left, bottom - top) == pytest.approx(SIZE / 1.5)
    assert a * (left + right) / 2 + c == pytest.approx(SIZE / 2)
    assert e * (top + bottom) / 2 + f == pytest.approx(SIZE / 2)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [(scene(), "no face"), (np.zeros((30, 30, 3), np.uint8), "too small")],
)
def test_an_onset_without_a_usable_face_says_why(frame: Frames, reason: str) -> None:
    with pytest.raises(UnusablePicture) as error:
        find_alignment(frame)
    assert error.value.reason == reason


def test_a_clip_cannot_go_unaligned() -> None:
    with pytest.raises(ValueError, match="similarity or crop"):
        find_alignment(ONSET, align="none")


@pytest.mark.parametrize("wrong", [ONSET[:-1], ONSET[..., 0], ONSET / 255])
def test_a_frame_unlike_the_onset_is_an_error_that_counts(wrong: Frames) -> None:
    with pytest.raises(ValueError, match=r"frame 1 of the clip .* 400 x 300 px"):
        aligned([ONSET, wrong], find_alignment(ONSET))


def test_no_frames_are_a_clip_of_none() -> None:
    assert aligned(iter([]), find_alignment(ONSET), size=64).shape == (0, 64, 64, 3)


def test_another_size_shows_the_same_part() -> None:
    found = find_alignment(ONSET)
    small, large = aligned([ONSET], found, size=64)[0], aligned([ONSET], found)[0]
    halved = large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - halved).mean() < 1


@settings(max_examples=100, deadline=None)
@given(
    scale=st.floats(0.12, 2),
    turn=st.floats(-math.pi, math.pi),
    x=st.floats(0, WIDTH),
    y=st.floats(0, HEIGHT),
)
def test_pixels_are_those_of_a_single_picture_warped(
    scale: float, turn: float, x: float, y: float
) -> None:
    a, b = scale * math.cos(turn), -scale * math.sin(turn)
    matrix = (a, b, 32 - a * x - b * y, -b, a, 32 + b * x - a * y)
    to_128: Matrix = tuple(2 * value for value in matrix)  # type: ignore[assignment]
    by_one = warp(SMOOTH, matrix, size=64).astype(int)
    difference = np.abs(aligned([SMOOTH], under(to_128), size=64)[0] - by_one)
    assert difference.max() <= 1  # of rounding; half a pixel off makes more


def test_a_face_is_seen_as_in_a_single_picture_but_for_what_warp_cuts_off() -> None:
    found = find_alignment(ONSET)
    difference = np.abs(aligned([ONSET], found)[0] - warp(ONSET, found.matrix).astype(int))
    assert (difference > 0).mean() < 0.002


def test_the_matrix_that_changes_nothing_changes_nothing() -> None:
    assert (aligned([FACE], under((1, 0, 0, 0, 1, 0), SIZE, SIZE))[0] == FACE).all()


def test_the_detector_is_sure_of_faces_and_of_nothing_else() -> None:
    blank = np.full((SIZE, SIZE, 3), 90, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, blank.shape, np.uint8)
    sure = sureness(np.stack([FACE, blank, OTHER, noise]))
    assert sure.dtype == np.float32
    assert (sure > 0.9).tolist() == [True, False, True, False]


def test_an_alignment_goes_from_process_to_process() -> None:
    found = find_alignment(ONSET)
    assert pickle.loads(pickle.dumps(found)) == found


def test_frames_looked_at_together_are_as_sure_as_one_by_one() -> None:
    """Blank, noisy and faceless ones among them: each as if it were alone."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    faces = [rendered(6, seed=9)[n].image() for n in range(6)]
    pictures = np.stack([*faces[:3], np.zeros_like(noise), noise, *faces[3:], faces[0][::-1]])
    together = sureness(pictures)
    alone = np.concatenate([sureness(picture[None]) for picture in pictures])
    assert together == pytest.approx(alone, abs=2e-4)
