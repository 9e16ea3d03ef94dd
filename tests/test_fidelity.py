"""Measures of a clip: by hand where one can, and on drawn people, whose truth is known."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from mie_x import fidelity
from mie_x.fidelity import (
    NEAR_COPY,
    NEAR_HASH,
    asked_aus,
    bands,
    changed_inside,
    changed_outside,
    identity_cosine,
    identity_vector,
    is_near_copy,
    measured,
    motion,
    perceptual_hash,
)
from mie_x.records import AUS, SIZE, Aus, Frames
from mie_x.renderer import draw_person, draw_view, reference_view, render

REST = np.zeros(len(AUS))
GREY = np.full((SIZE, SIZE, 3), 100, np.uint8)


@cache
def drawn(
    seed: int, aus: tuple[int, ...] = (), value: float = 0.3, pose: int | None = None
) -> Frames:
    """A drawn person with AUS at VALUE, frontal unless there is a POSE."""
    view = reference_view() if pose is None else draw_view(pose)
    vector = value * np.isin(AUS, aus)
    frame: Frames = render([draw_person(seed)], [view], vector[None]).images[0]
    return frame


def test_bands_lie_where_their_muscles_act() -> None:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    where = dict(zip(AUS, bands(), strict=True))
    assert bands().shape == (17, SIZE, SIZE)
    assert rows[where[1]].max() < 65 < 85 < rows[where[25]].min()  # brow, eyes, mouth
    for band in where.values():
        assert 0.05 < band.mean() < 0.35
        assert columns[band].mean() == pytest.approx(63.5, abs=1.5)  # as far to either side


def test_changes_are_grey_levels_inside_and_outside_of_the_bands() -> None:
    band = bands()[AUS.index(12)]
    apex = GREY.copy()
    apex[band] += 6
    apex[~band] -= 2
    assert changed_inside(GREY, apex, [12]) == 6
    assert changed_outside(GREY, apex, [12]) == 2
    assert changed_inside(GREY, apex, [12, 45]) < 6
    assert changed_outside(GREY, apex, []) == pytest.approx(motion(GREY, apex))
    with pytest.raises(ValueError, match="no AU"):
        changed_inside(GREY, apex, [])


@pytest.mark.parametrize("au", AUS)
def test_what_the_renderer_moves_lies_inside_of_the_bands_in_any_pose(au: int) -> None:
    onset, apex = drawn(3, pose=9), drawn(3, (au,), pose=9)
    inside = changed_inside(onset, apex, [au])
    assert inside > 0.3
    assert changed_outside(onset, apex, [au]) < 0.1 * inside


def test_the_wrong_au_is_seen_outside() -> None:
    onset, apex = drawn(3), drawn(3, (26,))
    assert changed_outside(onset, apex, [1, 2]) > 10 * changed_outside(onset, apex, [26])
    assert changed_inside(onset, apex, [1, 2]) < 0.05


def test_asked_are_the_aus_that_differ() -> None:
    onset, apex = REST.copy(), REST.copy()
    onset[0] = apex[0] = 0.4
    onset[1], apex[16] = 0.1, 0.2
    assert asked_aus(onset, apex) == [2, 45]


def test_a_near_copy_is_one_that_hardly_differs_anywhere() -> None:
    apex = GREY.copy()
    apex.reshape(-1)[: int(NEAR_COPY * apex.size) - 1] += 1
    assert is_near_copy(GREY, apex)
    apex.reshape(-1)[: int(NEAR_COPY * apex.size) + 1] = 101
    assert not is_near_copy(GREY, apex)
    assert not is_near_copy(drawn(3), drawn(3, (7,), 0.1))  # the faintest of all


def test_people_are_told_apart_whatever_they_do() -> None:
    still = np.stack([identity_vector(drawn(seed)) for seed in range(40, 48)])
    moved = np.stack([identity_vector(drawn(seed, (6, 12, 25), 0.5)) for seed in range(40, 48)])
    assert np.linalg.norm(still, axis=1) == pytest.approx(1)
    cosines = still @ moved.T
    same, others = cosines.diagonal(), cosines[~np.eye(8, dtype=bool)]
    assert cosines.argmax(axis=1).tolist() == list(range(8))
    assert same.min() > 0.7 > 0.6 > others.max()
    assert others.mean() < 0.2
    assert identity_cosine(drawn(40), drawn(40)) == pytest.approx(1)
    assert identity_cosine(drawn(40), drawn(41)) == pytest.approx(float(still[0] @ still[1]))


def test_a_face_without_texture_is_nobody_s_and_no_error() -> None:
    assert np.isfinite(identity_cosine(GREY, drawn(40)))


def test_hashes_hold_on_to_a_picture_and_tell_people_apart() -> None:
    own = perceptual_hash(drawn(50))
    brighter = (drawn(50) * 1.15).clip(0, 255).astype(np.uint8)
    halved = drawn(50).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
    halved = halved.repeat(2, axis=0).repeat(2, axis=1)
    assert own.shape == (255,)
    for same in (brighter, halved, drawn(50, (12,))):
        assert (own != perceptual_hash(same)).sum() <= NEAR_HASH
    others = [(own != perceptual_hash(drawn(seed))).sum() for seed in range(40, 48)]
    assert min(others) > NEAR_HASH


def test_what_is_measured_of_a_person_fits_each_row() -> None:
    def rise(onsets: Frames, apexes: Frames) -> Aus:
        change = (apexes.astype(np.float32) - onsets).mean(axis=(1, 2, 3), dtype=np.float32)
        risen: Aus = np.repeat(change[:, None] / np.float32(255), len(AUS), axis=1)
        return risen

    face = drawn(3)
    smile, drop = drawn(3, (12,)), drawn(3, (26,))
    pair = {"onset_aus": REST, "apex_aus": 0.3 * (np.array(AUS) == 12)}
    clip = {"onset_aus": REST, "apex_aus": 0.3 * (np.array(AUS) == 26), "apex_frame": 1}
    one, two = measured(
        face,
        [np.stack([face, smile]), np.stack([face, drop, face])],
        [pair, clip],
        differences=rise,
    )
    assert one["measured_delta_aus"] == rise(face[None], smile[None])[0].tolist()
    assert two["measured_delta_aus"] == rise(face[None], drop[None])[0].tolist()
    assert one["identity_cosine"] == pytest.approx(identity_cosine(face, smile))
    assert two["changed_outside"] == changed_outside(face, drop, [26])
    assert json.loads(json.dumps(one)) == one
    assert np.float32(one["identity_cosine"]) == one["identity_cosine"]
    assert one.keys() == {"measured_delta_aus", "identity_cosine", "changed_outside"}


def test_the_usual_face_is_drawn_once() -> None:
    assert fidelity._usual() is fidelity._usual()
    assert bands() is bands()
