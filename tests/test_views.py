"""What recognizers see of a clip: frames, interpolated frames, flows, parts of the face."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mie_x.faces.detection import TEMPLATE, similarity
from mie_x.flow import gray, strain, uv_strain
from mie_x.records import AUS, Frames
from recognizers.views import (
    FIXED,
    JITTER,
    MEAN_POINTS,
    TIMS,
    TURN,
    Augmentation,
    apex,
    augment,
    draw_augmentation,
    five_to_68,
    flow_of,
    flow_sequence,
    mean_roi,
    onset_apex,
    painted,
    temporal,
)

NAMES = {  # of the renderer's landmarks, for the iBUG points that MEAN needs
    17: "left_brow_outer", 19: "left_brow_mid", 24: "right_brow_mid", 26: "right_brow_outer",
    41: "left_eye_lower", 46: "right_eye_lower", 50: "upper_lip_top", 57: "lower_lip_bottom",
    60: "left_mouth", 64: "right_mouth",
}  # fmt: skip


def clip(length: int = 3, size: int = 128, seed: int = 1) -> Frames:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (length, size, size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def smile() -> Frames:
    """A drawn person at rest, half way, and smiling a little."""
    from mie_x.renderer import draw_person, reference_view, render

    aus = np.zeros((3, len(AUS)), np.float32)
    aus[:, AUS.index(12)] = 0, 0.15, 0.3
    images: Frames = render([draw_person(7)] * 3, [reference_view()] * 3, aus).images
    return images


def drawn_points(seeds: range, *, posed: bool) -> NDArray[np.float32]:
    """Landmarks (N, K, 2) of drawn people at rest: MTCNN's five first."""
    from mie_x.renderer import draw_person, draw_view, reference_view, render

    views = [draw_view(seed) if posed else reference_view() for seed in seeds]
    people = [draw_person(seed) for seed in seeds]
    points: NDArray[np.float32] = render(people, views, np.zeros((len(seeds), 17))).landmarks
    return points


def points_68(**rows_and_columns: int) -> NDArray[np.float32]:
    """The ten points that MEAN needs: y19=..., x17=..."""
    points = np.full((68, 2), np.nan, np.float32)
    points[list(MEAN_POINTS)] = 0
    for name, value in rows_and_columns.items():
        points[int(name[1:]), "xy".index(name[0])] = value
    return points


UNSCALED = {  # pieces of exactly 42 x 21 px: rows 31 to 52 and 81 to 102
    "y19": 43, "y24": 44, "y41": 39, "y46": 40, "x17": 42, "x26": 60,
    "y50": 93, "y57": 90, "x60": 40, "x64": 58,
}  # fmt: skip


@pytest.mark.parametrize("how", TIMS)
@given(length=st.integers(2, 20), count=st.integers(2, 40), seed=st.integers(0, 99))
def test_interpolation_keeps_first_and_last_frame_and_a_still_clip(
    how: str, length: int, count: int, seed: int
) -> None:
    frames = clip(length, size=2, seed=seed)
    more = temporal(frames, count, how=how)
    assert more.shape == (count, 2, 2, 3)
    assert more.dtype == np.float32
    np.testing.assert_allclose(more[[0, -1]], frames[[0, -1]], atol=1e-3)
    still = temporal(frames[:1].repeat(length, axis=0), count, how=how)
    np.testing.assert_allclose(still, frames[:1].repeat(count, axis=0), atol=1e-3)


@pytest.mark.parametrize("how", TIMS)
@pytest.mark.parametrize("length", [2, 3, 10, 33])
def test_as_many_frames_as_there_are_are_those_frames(how: str, length: int) -> None:
    frames = clip(length, size=3)
    np.testing.assert_allclose(temporal(frames, length, how=how), frames, atol=1e-4)


@given(st.integers(2, 20), st.integers(2, 64))
def test_steady_movement_stays_steady(length: int, count: int) -> None:
    steady = np.linspace(10, 20, length)
    expected = np.linspace(10, 20, count)
    np.testing.assert_allclose(temporal(steady, count, how="linear"), expected, rtol=1e-5)
    # the graph's eigenvectors are level at both ends, a steady movement is not
    np.testing.assert_allclose(temporal(steady, count), expected, atol=0.04 * 10)
    if length >= 10:
        np.testing.assert_allclose(temporal(steady, count), expected, atol=0.006 * 10)


def test_the_graph_is_what_zhou_learns_from_the_clip() -> None:
    """The model as published: SVD, Laplacian, generalized eigenvectors, scales, and back."""
    length, count = 7, 19
    frames = np.random.default_rng(3).normal(size=(length, 30))
    middle = frames.mean(axis=0)
    u, s, vt = np.linalg.svd((frames - middle).T, full_matrices=False)
    q = (s[:, None] * vt)[: length - 1]  # frames less their mean span T - 1 dimensions
    path = np.diag(np.ones(length - 1), 1)
    laplacian = np.diag((path + path.T).sum(axis=0)) - path - path.T
    values, w = np.linalg.eig(np.linalg.solve(q @ q.T, q @ laplacian @ q.T))
    w = w.real[:, np.argsort(values.real)]

    def curve(t: NDArray[np.float64]) -> NDArray[np.float64]:
        k = np.arange(1, length)[:, None]
        wave: NDArray[np.float64] = np.sin(
            np.pi * k * t + np.pi * (length - k) / (2 * length),
        )
        return wave

    m = (w.T @ q)[:, 0] / curve(np.array([1 / length]))[:, 0]
    back = u[:, : length - 1] @ np.linalg.inv(w.T) @ np.diag(m)
    expected = (back @ curve(np.linspace(1 / length, 1, count))).T + middle
    np.testing.assert_allclose(temporal(frames, count), expected, atol=1e-5)


@pytest.mark.parametrize(("length", "count"), [(1, 10), (10, 1)])
def test_a_single_frame_has_no_course(length: int, count: int) -> None:
    with pytest.raises(ValueError, match="no course"):
        temporal(clip(length, size=2), count)


@given(st.integers(0, 2**32))
def test_augmentation_stays_in_its_ranges_and_is_its_seeds(seed: int) -> None:
    drawn = draw_augmentation(np.random.default_rng(seed))
    assert abs(drawn.angle) <= TURN
    for factor in (drawn.brightness, drawn.contrast, drawn.saturation):
        assert 1 - JITTER <= factor <= 1 + JITTER
    assert 0 <= drawn.left <= 32
    assert 0 <= drawn.top <= 32
    assert drawn == draw_augmentation(np.random.default_rng(seed))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_a_clip_in_which_nothing_moves_is_still_after_augmentation(seed: int) -> None:
    still = clip(1).repeat(3, axis=0)
    changed = augment(still, draw_augmentation(np.random.default_rng(seed)))
    assert changed.shape == (3, 224, 224, 3)
    assert (changed == changed[0]).all()


def test_what_changes_in_one_place_changes_nothing_elsewhere() -> None:
    moved = clip(1, size=256).repeat(2, axis=0)
    moved[1, 200:] = 0  # a mouth falls open: the frame's mean gray is another
    onset, peak = augment(moved, Augmentation(0, 1.2, 0.8, 1.2, left=5, top=7))
    assert (onset[: 200 - 7] == peak[: 200 - 7]).all()
    assert (onset[200 - 7 :] != peak[200 - 7 :]).any()


def test_the_view_of_testing_is_the_middle_of_256_pixels() -> None:
    frames = clip(2, size=256)
    assert (augment(frames) == frames[:, 16:240, 16:240]).all()
    assert (augment(frames, FIXED) == augment(frames)).all()


def test_augmentation_turns_brightens_and_pulls_to_gray() -> None:
    bar = np.zeros((1, 256, 256, 3), np.uint8)
    bar[:, :, 120:136] = 100
    turned = augment(bar, Augmentation(10, 1, 1, 1, 16, 16))[0, :, :, 0]
    at = [int(turned[row].argmax()) for row in (20, 200)]
    assert at[1] - at[0] == pytest.approx(180 * np.tan(np.radians(10)), abs=2)
    flat = np.full((1, 256, 256, 3), (50, 100, 150), np.uint8)
    assert augment(flat, Augmentation(0, 1.2, 1, 1, 0, 0))[0, 0, 0].tolist() == [60, 120, 180]
    level = int(gray(flat)[0, 0, 0])
    grayed = augment(flat, Augmentation(0, 1, 1, 0, 0, 0))[0, 0, 0]
    assert abs(grayed.astype(int) - level).max() <= 1
    half = augment(flat, Augmentation(0, 1, 0.5, 1, 0, 0))[0, 0, 0]
    assert abs(half - (np.array([50, 100, 150]) + level) / 2).max() <= 1


def test_branches_sees_onset_then_apex_and_apexme_the_apex() -> None:
    frames = np.zeros((3, 128, 128, 3), np.uint8)
    frames[0], frames[1] = 255, (0, 255, 0)
    pair = onset_apex(frames, 1)
    assert pair.shape == (2, 3, 224, 224)
    assert pair.dtype == np.float32
    assert (pair[0] == 1).all()
    assert pair[1, :, 0, 0].tolist() == [-1, 1, -1]
    assert (apex(frames, 1) == pair[1]).all()
    assert (apex(frames, -1) == -1).all()
    seen = apex(frames, 1, colour="gray")[:, 0, 0]
    assert seen.tolist() == [seen[0]] * 3
    assert seen[0] == pytest.approx(150 / 127.5 - 1)


def test_a_pair_is_augmented_by_one_draw() -> None:
    frames = clip(1).repeat(2, axis=0)
    pair = onset_apex(frames, -1, augmentation=draw_augmentation(np.random.default_rng(4)))
    assert (pair[0] == pair[1]).all()
    assert (pair != onset_apex(frames, -1)).any()


def test_an_apex_that_is_not_there_is_an_error() -> None:
    with pytest.raises(IndexError):
        apex(clip(2), 2)
    with pytest.raises(ValueError, match="uint8"):
        augment(clip(2).astype(np.float32))


def test_the_flow_view_is_that_of_onset_and_apex(smile: Frames) -> None:
    onset, _, peak = gray(smile)
    expected = uv_strain(onset, peak, size=28)
    assert (flow_of(smile, -1, size=28) == expected).all()
    assert (flow_of(smile, 2, size=28, normalise="signed") != expected).any()


def test_emrs_picture_is_dark_where_nothing_moves(smile: Frames) -> None:
    picture = painted(smile, -1)
    assert picture.shape == (224, 224, 3)
    assert picture.dtype == np.uint8
    value = picture.max(axis=2)
    assert value.max() == 255
    assert value[:30].mean() < 10 < value[120:200, 60:160].mean()  # above the head; cheeks, mouth


def test_a_sequence_of_flows_begins_at_rest_and_ends_with_the_apex(smile: Frames) -> None:
    found = flow_sequence(smile, 9, size=32)
    assert found.shape == (3, 9, 32, 32)
    assert found.dtype == np.float32
    assert not found[:, 0].any()
    u, v, _ = flow_of(smile, -1, size=32, normalise="raw")
    np.testing.assert_allclose(found[:, -1], [u, v, np.hypot(u, v)], atol=1e-6)
    half = flow_of(smile, 1, size=32, normalise="raw")
    np.testing.assert_allclose(found[:2, 4], half[:2], atol=1e-6)
    np.testing.assert_allclose(found[:2, 2], half[:2] / 2, atol=1e-6)


def test_flows_from_the_frame_before_are_of_neighbours(smile: Frames) -> None:
    found = flow_sequence(smile, 3, size=32, from_onset=False)
    expected = flow_of(smile[1:], -1, size=32, normalise="raw")[:2]
    np.testing.assert_allclose(found[:2, 2], expected, atol=1e-6)


def test_means_parts_are_brows_and_eyes_above_and_mouth_below() -> None:
    maps = np.random.default_rng(5).random((3, 128, 128)).astype(np.float32)
    parts = mean_roi(maps, points_68(**UNSCALED))
    assert parts.shape == (3, 42, 42)
    assert parts.dtype == np.float32
    np.testing.assert_allclose(parts[:, :21], maps[:, 31:52, 30:72], rtol=1e-6)
    np.testing.assert_allclose(parts[:, 21:], maps[:, 81:102, 28:70], rtol=1e-6)


def test_means_parts_end_at_the_pictures_edge() -> None:
    columns = np.broadcast_to(np.arange(128, dtype=np.float32), (1, 128, 128))
    points = points_68(**(UNSCALED | {"x17": 4, "x26": 72, "x60": 98, "x64": 125}))
    parts = mean_roi(columns, points)
    # columns 0 to 84 are halved: the first pixel is the mean of columns 0 and 1
    np.testing.assert_allclose(parts[0, :21, 0], 0.5, atol=1e-5)
    np.testing.assert_allclose(parts[0, :21, -1], 82.5, atol=1e-5)
    np.testing.assert_allclose(parts[0, 21:, -1], 127, atol=1e-5)  # 86 to 128, as they are


def test_means_parts_are_resized_as_opencv_does() -> None:
    cv2: Any = pytest.importorskip("cv2")
    maps = np.random.default_rng(6).random((3, 128, 128)).astype(np.float32)
    landmarks = five_to_68(TEMPLATE)
    x, y = np.floor(np.nan_to_num(landmarks)).astype(int).T
    upper = maps[:, y[19] - 12 : y[41] + 12, x[17] - 12 : x[26] + 12]
    lower = maps[:, y[50] - 12 : y[57] + 12, x[60] - 12 : x[64] + 12]
    expected = [
        np.vstack([cv2.resize(part, (42, 21)) for part in parts])
        for parts in zip(upper, lower, strict=True)
    ]
    np.testing.assert_allclose(mean_roi(maps, landmarks), expected, atol=1e-5)


def test_a_part_without_a_pixel_or_point_is_refused() -> None:
    maps = np.zeros((1, 128, 128), np.float32)
    with pytest.raises(ValueError, match="mouth: nothing lies in rows"):
        mean_roi(maps, points_68(**(UNSCALED | {"y50": 120, "y57": 90})))
    with pytest.raises(ValueError, match="brows and eyes: nothing"):
        mean_roi(maps, points_68(**UNSCALED) + 200)
    with pytest.raises(ValueError, match="not a number"):
        mean_roi(maps, np.full((68, 2), np.nan))
    with pytest.raises(ValueError, match="128"):
        mean_roi(maps[:, :64], points_68(**UNSCALED))


def test_five_points_on_the_template_give_the_usual_face_and_no_other_points() -> None:
    found = five_to_68(TEMPLATE)
    for index, place in MEAN_POINTS.items():
        np.testing.assert_allclose(found[index], place, atol=1e-4)
    assert np.isfinite(found).all(axis=1).sum() == len(MEAN_POINTS)


@given(st.floats(-0.5, 0.5), st.floats(0.3, 3), st.floats(-50, 50))
def test_points_follow_the_face_as_it_turns_grows_and_shifts(
    turn: float, scale: float, shift: float
) -> None:
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = five_to_68(np.array(TEMPLATE) @ matrix.T + (shift, 2))
    expected = five_to_68(TEMPLATE) @ matrix.T + (shift, 2)
    np.testing.assert_allclose(moved, expected, atol=1e-3)


def test_the_usual_face_is_the_mean_of_drawn_ones() -> None:
    from mie_x.renderer import LANDMARKS

    found = []
    for points in drawn_points(range(40), posed=False):
        linear, shift = np.split(np.reshape(similarity(points[:5]), (2, 3)), [2], axis=1)
        found.append(points @ linear.T + shift.T)
    mean = np.mean(found, axis=0)
    for index, name in NAMES.items():
        allowed = 1 if index in (50, 57) else 0.6  # lips differ most; 40 of the 200 people
        assert np.hypot(*(mean[LANDMARKS.index(name)] - MEAN_POINTS[index])) < allowed


def test_guessed_points_are_near_those_of_drawn_people_in_any_pose() -> None:
    from mie_x.renderer import LANDMARKS

    apart = [
        np.hypot(*(five_to_68(points[:5])[index] - points[LANDMARKS.index(name)]))
        for points in drawn_points(range(500, 520), posed=True)
        for index, name in NAMES.items()
    ]
    assert np.mean(apart) < 2  # px; 1.4 over 100 people, 3.4 at the 95th percentile


def test_mean_sees_42_pixels_of_a_drawn_smile(smile: Frames) -> None:
    maps = flow_of(smile, -1, size=128)
    parts = mean_roi(maps, five_to_68(drawn_points(range(7, 8), posed=False)[0, :5]))
    assert parts.shape == (3, 42, 42)
    assert 0 <= parts.min() < parts.max() <= 1
    raw = flow_of(smile, -1, size=128, normalise="raw")
    assert (raw[2] == strain(raw[:2])).all()
