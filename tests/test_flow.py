"""Optical flow, strain and flow pictures. ``python -m tests.test_flow`` writes the golden file."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.flow import (
    FLOWS,
    FULL,
    NORMALISED,
    Gray,
    Maps,
    from_picture,
    gray,
    magnitude,
    minmax,
    paint,
    resized,
    signed,
    strain,
    to_picture,
    tvl1,
    uv_strain,
)
from mie_x.records import AUS, Frames

GOLDEN = Path(__file__).parent / "golden" / "flow.npz"
INNER = slice(16, 112)  # of 128 px: the face, so that the file is small
CLOSE = 0.01
"""px that a flow may differ from the golden one, at 99 of 100 pixels. Versions of NumPy, SciPy and
compilers change the last bits, and a threshold may then fall the other way; an attachment of 36, a
warp less, an iteration more or no median filter change .013 to .09 px there. (Float16 costs .0001,
and a sixth warp is never run.)"""

gradients = st.floats(-2, 2, width=32)


def drawn(*aus: int, seed: int, flow: bool = False) -> Any:
    """A drawn person at rest and with AUs at 0.3."""
    from mie_x.renderer import draw_person, reference_view, render

    vectors = np.zeros((2, len(AUS)), np.float32)
    vectors[1, [AUS.index(au) for au in aus]] = 0.3
    return render([draw_person(seed)] * 2, [reference_view()] * 2, vectors, flow=flow)


def opencv(name: str) -> str:
    if name != "tvl1":
        pytest.importorskip("cv2.optflow")
    return name


@pytest.fixture(params=FLOWS)
def flow(request: pytest.FixtureRequest) -> str:
    return opencv(request.param)


@pytest.fixture(scope="module")
def face() -> Gray:
    face: Gray = gray(drawn(12, seed=7).images)[0]
    return face


def slopes(ux: float, uy: float, vx: float, vy: float) -> Maps:
    """u = ux x + uy y, v = vx x + vy y over 6 x 6 pixels."""
    y, x = np.mgrid[:6, :6].astype(np.float32)
    return np.stack([ux * x + uy * y, vx * x + vy * y]).astype(np.float32)


def test_gray_is_opencvs_bit_for_bit() -> None:
    cv2 = pytest.importorskip("cv2")
    picture = np.random.default_rng(1).integers(0, 256, (500, 500, 3), dtype=np.uint8)
    assert (gray(picture) == cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)).all()


def test_gray_of_a_clip_is_that_of_its_frames() -> None:
    clip = np.random.default_rng(2).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    assert (gray(clip) == np.stack([gray(frame) for frame in clip])).all()


@pytest.mark.parametrize("frames", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)])
def test_gray_refuses_what_is_no_8_bit_rgb(frames: Any) -> None:
    with pytest.raises(ValueError, match="uint8 RGB"):
        gray(frames)


def test_to_the_right_is_positive_u_and_down_is_positive_v(flow: str, face: Gray) -> None:
    before, right, down = face[8:120, 8:120], face[8:120, 6:118], face[6:118, 8:120]
    u, v = FLOWS[flow](before, right)[:, 30:90, 30:80]  # the face, not its background
    assert u.mean() == pytest.approx(2, abs=0.3)
    assert abs(v.mean()) < 0.2
    u, v = FLOWS[flow](before, down)[:, 30:90, 30:80]
    assert v.mean() == pytest.approx(2, abs=0.3)
    assert abs(u.mean()) < 0.2


def test_flow_is_two_float32_maps_and_none_where_nothing_moved(flow: str, face: Gray) -> None:
    found = FLOWS[flow](face, face)
    assert found.shape == (2, 128, 128)
    assert found.dtype == np.float32
    assert abs(found).mean() < 1e-3  # Farnebäck's has .2 px at single pixels of the edge


def test_flow_refuses_floats_colours_and_two_sizes(flow: str, face: Gray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        FLOWS[flow](np.divide(face, 255, dtype=np.float32), face)
    with pytest.raises(ValueError, match="gray"):
        FLOWS[flow](face, face[..., None].repeat(3, axis=2))
    with pytest.raises(ValueError, match="one size"):
        FLOWS[flow](face, face[:, 1:])


@pytest.mark.parametrize("name", ["tvl1", "tvl1-opencv"])
def test_tvl1_is_what_it_was(name: str) -> None:
    with np.load(GOLDEN) as golden:
        for (before, after), expected in zip(golden["frames"], golden[name], strict=True):
            apart = np.abs(FLOWS[opencv(name)](before, after) - expected)
            assert np.quantile(apart, 0.99) < CLOSE, f"file made with {golden['versions']}"


def test_both_kinds_of_tvl1_see_the_same_movement() -> None:
    with np.load(GOLDEN) as golden:
        for ours, theirs in zip(golden["tvl1"], golden["tvl1-opencv"], strict=True):
            assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.85


def test_tvl1_finds_the_direction_and_most_of_raised_brows() -> None:
    brows = drawn(1, 2, seed=102, flow=True)
    found, truth = tvl1(*gray(brows.images)), brows.flow[1]
    moved = magnitude(truth) > 0.05
    a, b = found[:, moved], truth[:, moved]
    assert (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()) > 0.95
    assert 0.75 < (a * b).sum() / (b**2).sum() < 1.05


@pytest.mark.parametrize("name", ["tvl1-opencv", "farneback"])
def test_without_opencv_one_sentence_tells_the_remedy(
    name: str, face: Gray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where it is not installed
    with pytest.raises(ValueError, match=r'pip install "mie-x\[opencv\]"'):
        FLOWS[name](face, face)


def test_opencv_computes_the_same_on_any_number_of_threads_and_keeps_that_number() -> None:
    cv2 = pytest.importorskip("cv2.optflow") and sys.modules["cv2"]
    before, after = gray(drawn(12, seed=7).images)
    threads, found = cv2.getNumThreads(), []
    try:
        for count in (1, 2):
            cv2.setNumThreads(count)
            found.append(FLOWS["tvl1-opencv"](before, after))
            assert cv2.getNumThreads() == count
    finally:
        cv2.setNumThreads(threads)
    assert (found[0] == found[1]).all()


@given(gradients, gradients)
def test_strain_of_a_stretch_is_the_length_of_its_two_slopes(a: float, b: float) -> None:
    found = strain(slopes(ux=a, uy=0, vx=0, vy=b))[1:, 1:]
    np.testing.assert_allclose(found, np.hypot(a, b), atol=1e-5)


@given(gradients)
def test_strain_of_a_shear_is_the_root_of_two_times_its_slope(c: float) -> None:
    found = strain(slopes(ux=0, uy=c, vx=c, vy=0))[1:, 1:]
    np.testing.assert_allclose(found, np.sqrt(2) * abs(c), atol=1e-5)


@given(gradients, gradients)
def test_a_shift_or_a_small_turn_strains_nothing(c: float, shift: float) -> None:
    assert strain(slopes(ux=0, uy=-c, vx=c, vy=0) + shift)[1:, 1:].max() < 1e-5


def test_differences_are_backward_and_nothing_in_the_first_row_and_column() -> None:
    step = np.zeros((2, 4, 4), np.float32)
    step[0, :, 2:] = 3  # u jumps between columns 1 and 2
    assert strain(step).tolist() == [[0, 0, 3, 0]] * 4
    step = np.ascontiguousarray(step[::-1].transpose(0, 2, 1))  # v jumps between rows 1 and 2
    assert strain(step).tolist() == [[0] * 4, [0] * 4, [3] * 4, [0] * 4]


@given(st.integers(0, 9), st.floats(0.01, 100))
def test_minmax_fills_0_to_1_and_forgets_size(seed: int, factor: float) -> None:
    maps = np.random.default_rng(seed).normal(size=(3, 5, 5)).astype(np.float32)
    scaled = minmax(maps)
    assert scaled.min(axis=(1, 2)).tolist() == [0, 0, 0]
    np.testing.assert_allclose(scaled.max(axis=(1, 2)), 1, rtol=1e-6)
    np.testing.assert_allclose(minmax(maps * np.float32(factor)), scaled, atol=1e-5)


def test_minmax_of_a_constant_channel_is_0() -> None:
    assert not minmax(np.full((2, 3, 3), -4, np.float32)).any()


def test_signed_keeps_rest_sign_and_size() -> None:
    maps = np.zeros((3, 50, 50), np.float32)
    maps[:, 0, 0] = (-1, 2, FULL[2])  # px of a map 50 px wide: .02 of it is 1 px
    scaled = signed(maps)
    assert scaled[:, 0, 0].tolist() == [-1, 2, 1]
    assert not scaled[:, 1:].any()


@pytest.mark.parametrize("normalise", NORMALISED)
def test_uv_strain_is_three_float32_maps_of_the_asked_size(normalise: str, face: Gray) -> None:
    maps = uv_strain(face, np.roll(face, 1, axis=1), size=28, normalise=normalise)
    assert maps.shape == (3, 28, 28)
    assert maps.dtype == np.float32


def test_uv_strain_at_the_pairs_own_size_is_flow_and_its_strain() -> None:
    pair = gray(drawn(12, seed=7).images)
    flow = tvl1(*pair)
    u, v, s = uv_strain(*pair, size=128, normalise="raw")
    assert (np.stack([u, v]) == flow).all()
    assert (s == strain(flow)).all()


def test_a_smaller_map_tells_movement_in_its_own_pixels_and_the_same_strain() -> None:
    pair = gray(drawn(12, seed=7).images)
    large, small = (uv_strain(*pair, size=size, normalise="raw") for size in (128, 32))
    blocks = large.reshape(3, 32, 4, 32, 4).mean(axis=(2, 4))
    for channel, scale in enumerate((0.25, 0.25, 1)):
        expected = scale * blocks[channel]
        assert np.corrcoef(small[channel].ravel(), expected.ravel())[0, 1] > 0.95
        assert abs(small[channel].mean() - expected.mean()) < 0.05 * expected.std()


def test_a_crop_that_is_not_square_is_refused(face: Gray) -> None:
    with pytest.raises(ValueError, match="square"):
        uv_strain(face[:64], face[:64], size=28)


def test_resizing_leaves_a_constant_and_averages_what_shrinks() -> None:
    assert np.allclose(resized(np.full((2, 128, 128), 0.3, np.float32), (28, 21)), 0.3)
    checks = (np.indices((1, 64, 64)).sum(axis=0) % 2).astype(np.float32)
    assert np.allclose(resized(checks, (16, 16))[:, 2:-2, 2:-2], 0.5, atol=0.01)


def test_a_flow_picture_is_red_for_u_green_for_v_blue_for_strain_and_reads_back() -> None:
    maps = np.zeros((3, 2, 3), np.float32)
    maps[0, 0, 0], maps[1, 0, 1], maps[2, 0, 2] = 4, 0.1, 9
    picture = to_picture(maps)
    assert picture[0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert (from_picture(picture) == minmax(maps)).all()


@given(st.integers(0, 99))
def test_a_flow_picture_is_minmax_to_half_a_level(seed: int) -> None:
    maps = np.random.default_rng(seed).normal(size=(3, 6, 6)).astype(np.float32)
    assert abs(from_picture(to_picture(maps)) - minmax(maps)).max() <= 0.501 / 255


def test_a_flow_picture_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="flow picture"):
        from_picture(np.zeros((28, 28), np.uint8))


def test_a_painted_flow_has_hue_by_direction_value_by_length_saturation_of_the_apex() -> None:
    flow = np.zeros((2, 1, 4), np.float32)
    flow[:, 0] = np.transpose([(2, 0), (0, 1), (-2, 0), (0, 0)])  # right, half as far down, left
    apex = np.array([[[255, 0, 0], [255, 0, 0], [128, 128, 128], [255, 0, 0]]], np.uint8)
    assert paint(flow, apex)[0].tolist() == [
        [255, 0, 0],  # hue 0
        [64, 128, 0],  # hue a quarter, value a half
        [255, 255, 255],  # a gray apex has no saturation
        [0, 0, 0],  # rest has no value
    ]
    with pytest.raises(ValueError, match="no one picture"):
        paint(flow, np.zeros((2, 4, 3), np.uint8))


def _write_golden() -> None:
    """Two drawn people: a smile and a frown; frames, both flows, and what computed them."""
    computing = ("scikit-image", "scipy", "numpy", "opencv-contrib-python-headless")
    versions = np.array([f"{name} {version(name)}" for name in computing])
    pairs = [gray(drawn(*aus, seed=seed).images) for aus, seed in (((6, 12), 100), ((4,), 101))]
    frames: Frames = np.stack(pairs)[:, :, INNER, INNER]
    flows = {
        name: np.stack([FLOWS[name](*pair) for pair in frames]).astype(np.float16)
        for name in ("tvl1", "tvl1-opencv")
    }
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, frames=frames, versions=versions, **flows)  # type: ignore[arg-type]


if __name__ == "__main__":
    _write_golden()
