"""The procedural faces: what moves when an action unit acts, and what must never move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mie_x.records import AUS
from mie_x.renderer import (
    BANDS,
    LANDMARKS,
    Person,
    band_mask,
    draw_person,
    draw_view,
    reference_view,
    render,
)
from mie_x.renderer.action_units import Action, displacement

PERSON = draw_person(2, glasses=False, beards=False)
GEOMETRIC = tuple(au for au in AUS if au not in (25, 45))  # these two uncover what was hidden


def only(au: int, value: float) -> NDArray[np.float32]:
    return np.where(np.array(AUS) == au, value, 0).astype(np.float32)


def frames(*aus: NDArray[np.float32], person: Person = PERSON) -> NDArray[np.float64]:
    view = reference_view()
    rendering = render([person] * len(aus), [view] * len(aus), np.stack(aus))
    return rendering.images.astype(np.float64)


def mark(points: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    point: NDArray[np.float32] = points[LANDMARKS.index(name)]
    return point


REST = only(1, 0)


def test_a_rendering_states_its_shapes_and_types() -> None:
    r = render([PERSON], [reference_view()], REST[None], flow=True)
    assert r.images.shape == (1, 128, 128, 3)
    assert r.images.dtype == np.uint8
    assert r.landmarks.shape == (1, len(LANDMARKS), 2)
    assert r.landmarks.dtype == np.float32
    assert r.flow is not None
    assert r.flow.shape == (1, 2, 128, 128)
    assert r.flow.dtype == np.float32
    assert not r.flow.any()


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_outside_its_range_is_an_error(seed: int) -> None:
    with pytest.raises(ValueError, match="seed lies in"):
        draw_person(seed)
    with pytest.raises(ValueError, match="seed lies in"):
        draw_view(seed)


def test_the_largest_seed_draws_somebody() -> None:
    assert draw_person(2**63 - 1).seed == 2**63 - 1
    assert draw_view(2**63 - 1).seed == 2**63 - 1


@pytest.mark.parametrize("bad", [np.full((1, 17), 1.2), np.zeros((1, 16)), np.zeros((2, 17))])
def test_impossible_action_units_are_an_error(bad: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match=r"0, 1|shape"):
        render([PERSON], [reference_view()], bad)


def test_one_frame_has_the_bits_it_has_in_a_batch_and_after_other_frames() -> None:
    people = [draw_person(s) for s in (3, 4, 3)]
    views = [draw_view(s) for s in (5, 6, 7)]
    aus = np.stack([only(12, 0.7), only(26, 1.0), REST])
    batch = render(people, views, aus, flow=True)
    assert batch.flow is not None
    for k in (2, 0, 1):
        one = render(
            people[k : k + 1], views[k : k + 1], torch.from_numpy(aus[k : k + 1]), flow=True
        )
        assert one.flow is not None
        assert (one.images[0] == batch.images[k]).all()
        assert (one.landmarks[0] == batch.landmarks[k]).all()
        assert (one.flow[0] == batch.flow[k]).all()


def test_the_same_seeds_give_the_same_bytes_when_nothing_is_remembered() -> None:
    from mie_x.renderer.picture import stage
    from mie_x.renderer.skin import skin_maps, strands

    aus = (only(12, 0.4) + only(4, 0.3))[None]
    first = render([draw_person(8)], [draw_view(9)], aus)
    threads = torch.get_num_threads()
    for memory in (stage, skin_maps, strands):
        memory.cache_clear()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        again = render([draw_person(8)], [draw_view(9)], aus)
        assert torch.get_num_threads() == (2 if threads == 1 else 1)
    finally:
        torch.set_num_threads(threads)
    assert first.images.tobytes() == again.images.tobytes()
    assert first.landmarks.tobytes() == again.landmarks.tobytes()


def test_an_action_unit_of_zero_is_rest_and_a_trace_of_one_is_hardly_more() -> None:
    rest, zero = frames(np.zeros(17, np.float32), only(12, 0.0))
    assert (rest == zero).all()
    for au in AUS:
        assert abs(frames(only(au, 1e-6))[0] - rest).max() <= 1


def test_nothing_but_skin_flows() -> None:
    person = draw_person(next(s for s in range(99) if draw_person(s).hair.style == "short"))
    flow = render([person], [reference_view()], np.full((1, 17), 0.3), flow=True).flow
    assert flow is not None
    assert not flow[0, :, :8].any()  # background and hair
    assert not flow[0, :, :, :8].any()
    assert np.hypot(*flow[0, :, 60:90, 40:88]).mean() > 0.3


def test_sensor_noise_is_frozen_within_a_view_and_differs_between_views() -> None:
    here, there = draw_view(1), draw_view(2)
    aus = np.stack([REST, only(17, 0.5), REST])
    r = render([PERSON] * 3, [here, here, there], aus)
    a, b, c = r.images[:, :20].astype(int)  # above the head's middle no chin is raised
    assert (a == b).all()
    assert (a != c).any()


def test_different_seeds_are_different_people() -> None:
    view = reference_view()
    people = [draw_person(s, glasses=False) for s in range(8)]
    looks = render(people, [view] * 8, np.zeros((8, 17))).images.astype(float)
    apart = [abs(looks[i] - looks[j]).mean() for i in range(8) for j in range(i)]
    assert min(apart) > 4


def test_taking_off_glasses_and_beard_leaves_the_person() -> None:
    seed = next(s for s in range(200) if draw_person(s).glasses and draw_person(s).beard.beard)
    bare = draw_person(seed, glasses=False, beards=False)
    assert bare.glasses is None
    assert bare.beard.beard == 0
    assert bare.skull == draw_person(seed).skull


@pytest.mark.parametrize("au", AUS)
def test_every_au_changes_its_own_part_of_the_face(au: int) -> None:
    for seed in (2, 7):
        person = draw_person(seed, glasses=False, beards=False)
        rest, weak = frames(REST, only(au, 0.2), person=person)
        change = abs(weak - rest).mean(-1)
        band = band_mask(person, reference_view(), au)
        assert change[band].mean() > 0.12, "grey levels, mean over the band"
        assert change[~band].sum() < 0.05 * change.sum()


def test_bands_are_known_for_all_aus_and_lie_where_they_say() -> None:
    assert set(BANDS) == set(AUS)
    view = reference_view()
    brow, mouth = band_mask(PERSON, view, 1), band_mask(PERSON, view, 12)
    rows = np.arange(128)
    assert rows[brow.any(1)].mean() < rows[mouth.any(1)].mean()
    assert band_mask(PERSON, view, 1, size=64).shape == (64, 64)


def warp_back(picture: NDArray[np.float64], flow: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the rest grid sees in PICTURE (H, W, 3) at the end of FLOW (2, H, W)."""
    size = picture.shape[0]
    line = np.arange(size) + 0.5
    x = torch.from_numpy((line[None] + flow[0]) / size * 2 - 1)
    y = torch.from_numpy((line[:, None] + flow[1]) / size * 2 - 1)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    grid = torch.stack([x, y], -1)[None].to(image)
    out = torch.nn.functional.grid_sample(image, grid, align_corners=False)
    return out[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("au", GEOMETRIC)
def test_the_flow_leads_to_the_same_skin(au: int) -> None:
    view = reference_view()
    r = render([PERSON] * 2, [view] * 2, np.stack([REST, only(au, 0.6)]), flow=True)
    assert r.flow is not None
    rest, posed = r.images.astype(float)
    flow = r.flow[1]
    moved = np.hypot(*flow) > 0.3
    assert moved.sum() > 60
    before = abs(posed - rest)[moved].mean()
    after = abs(warp_back(posed, flow) - rest)[moved].mean()
    assert after < 0.9 * before


def test_landmarks_move_with_the_flow() -> None:
    view = draw_view(3, spread=0.5)
    names = {1: "left_brow_inner", 4: "right_brow_inner", 12: "right_mouth", 17: "chin"}
    for au, name in names.items():
        r = render([PERSON] * 2, [view] * 2, np.stack([REST, only(au, 0.4)]), flow=True)
        assert r.flow is not None
        start, end = (mark(points, name) for points in r.landmarks)
        x, y = (int(v) for v in start)
        there = r.flow[1][:, y, x]
        assert np.hypot(*(end - start)) > 0.4
        assert there == pytest.approx(end - start, abs=0.25)


def test_landmarks_move_as_the_action_unit_says() -> None:
    """One pixel is 218 / 128 = 1.7 mm: 2.4 mm of brow raise at .4 are about 1.5 pixels."""
    view = reference_view()

    def move(au: int, name: str) -> tuple[float, float]:
        r = render([PERSON] * 2, [view] * 2, np.stack([REST, only(au, 0.4)]))
        dx, dy = mark(r.landmarks[1], name) - mark(r.landmarks[0], name)
        return float(dx), float(dy)

    assert -2.2 < move(1, "left_brow_inner")[1] < -0.9
    assert abs(move(1, "left_brow_outer")[1]) < 0.3
    assert move(2, "left_brow_outer")[1] < -0.8
    assert move(4, "left_brow_inner")[0] > 0.3
    assert move(4, "right_brow_inner")[1] > 0.5
    out, down = move(12, "right_mouth")
    assert out > 0.8
    assert down < -0.8
    assert move(15, "left_mouth")[1] > 0.8
    assert move(26, "chin")[1] > 1.5
    assert move(45, "left_eye_upper")[1] > 1.0
    assert move(25, "lower_lip_top")[1] - move(25, "upper_lip_bottom")[1] > 0.8


@pytest.mark.parametrize("au", AUS)
def test_a_ramp_of_intensity_moves_smoothly(au: int) -> None:
    view = reference_view()
    ramp = np.stack([only(au, v) for v in np.linspace(0, 0.6, 7)])
    r = render([PERSON] * 7, [view] * 7, ramp, flow=True)
    assert r.flow is not None
    way = np.hypot(r.flow[:, 0], r.flow[:, 1]).sum((1, 2))
    steps = np.diff(way)
    assert (steps > 0).all()
    assert steps.max() < 1.25 * steps.min()
    change = np.abs(r.images.astype(float) - r.images[0]).mean((1, 2, 3))
    assert (np.diff(change) > 0).all()


@pytest.mark.parametrize("au", AUS)
def test_the_skin_never_folds_over(au: int) -> None:
    """The Jacobian determinant of the pulls at intensity 1 stays above .2."""
    line = torch.arange(-90, 90, 0.5)
    x, y = (c.contiguous() for c in torch.meshgrid(line, line + 10, indexing="xy"))
    dx, dy = displacement(PERSON, Action.of(torch.from_numpy(only(au, 1.0))), x, y)
    xx, xy = (torch.diff(d, dim=1)[:-1] / 0.5 for d in (dx, dy))
    yx, yy = (torch.diff(d, dim=0)[:, :-1] / 0.5 for d in (dx, dy))
    assert float(((1 + xx) * (1 + yy) - xy * yx).min()) > 0.2


@pytest.mark.slow
def test_a_face_detector_finds_the_faces() -> None:
    from facenet_pytorch import MTCNN

    people = [draw_person(s) for s in range(70_000, 70_060)]
    views = [draw_view(s) for s in range(80_000, 80_060)]
    images = render(people, views, np.zeros((60, 17))).images
    detector = MTCNN(min_face_size=20)
    found = 0
    for image in images:
        _, scores = detector.detect(image)
        found += bool(scores[0] is not None and max(scores) >= 0.9)
    assert found >= 57
