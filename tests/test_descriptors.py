"""LBP-TOP and Bi-WOOF of clips whose descriptors can be told by hand, and the SVM behind both."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizers import DESCRIPTORS
from recognizers.bi_woof import bi_woof
from recognizers.descriptor_svm import DescriptorSvm
from recognizers.lbp_top import codes, lbp_top, uniform_codes

# LBP's bits in XY; in the planes with time, DOWN is later and UP earlier.
RIGHT, DOWN, LEFT, UP = (1 << k for k in range(4))
ALL = RIGHT | DOWN | LEFT | UP


def edge(*, speed: int) -> np.ndarray:
    """A clip (10, 16, 16): dark left of a vertical edge at column 4 that goes right at SPEED."""
    columns = np.arange(16)
    return np.stack(
        [np.tile(np.where(columns < 4 + speed * t, 0, 200), (16, 1)) for t in range(10)]
    ).astype(np.uint8)


def planes(frames: np.ndarray, **options: int) -> np.ndarray:
    """Descriptor as blocks x planes x codes."""
    blocks = options.get("blocks", 5)
    return lbp_top(frames, **options).reshape(blocks**2, 3, -1)  # type: ignore[arg-type]


def test_a_constant_clip_is_as_bright_as_its_neighbours_everywhere() -> None:
    histograms = planes(np.full((10, 32, 32), 77, np.uint8))
    assert histograms.shape == (25, 3, 16)
    expected = np.zeros(16)
    expected[ALL] = 1
    assert (histograms == expected).all()


def test_a_still_edge_is_an_edge_in_space_and_nothing_in_time() -> None:
    histograms = planes(edge(speed=0), blocks=1)[0]
    # Of 14 columns within the border one is the edge's first bright one: darker to its left.
    assert histograms[0][ALL - LEFT] == pytest.approx(1 / 14)
    assert histograms[0][ALL] == pytest.approx(13 / 14)
    assert histograms[1][ALL - LEFT] == pytest.approx(1 / 14)  # still left of it in XT
    assert histograms[2].tolist() == [0] * ALL + [1]  # YT sees no change


def test_a_moving_edge_is_seen_by_the_planes_with_time() -> None:
    frames = edge(speed=1)
    reach = np.array([4, 1, 1])
    code = codes(frames, "yt", reach, 4)
    assert code.shape == (2, 14, 14)
    # At t = 4 the edge is at column 8, at t = 0 at 4, at t = 8 at 12. Bright now, dark later:
    # columns 8 to 11. Bit 1 is the later frame, bit 3 the earlier. Dark now: no less than others.
    seen = code[0, 0]  # columns 1 to 14
    assert seen.tolist() == [ALL if not 8 <= x < 12 else ALL - DOWN for x in range(1, 15)]


def test_the_planes_turn_with_the_clip() -> None:
    frames = edge(speed=1)
    upright, lying = (planes(clip, blocks=1)[0] for clip in (frames, frames.transpose(0, 2, 1)))
    assert lying[2].tolist() == upright[1].tolist()  # YT, whose bits go down and later
    assert lying[1].tolist() == upright[2].tolist()


def test_what_brightens_is_told_from_what_darkens() -> None:
    frames = np.zeros((10, 8, 8), np.uint8)
    frames[5:] = 100
    reach = np.array([4, 1, 1])
    # Frame 4 is dark, and no neighbour is darker; frame 5 is bright, and 4 frames before was not.
    dark, bright = codes(frames, "xt", reach, 4)
    assert (dark == ALL).all()
    assert (bright == ALL - UP).all()
    bright, dark = codes(frames[::-1], "xt", reach, 4)
    assert (bright == ALL - DOWN).all()
    assert (dark == ALL).all()


def test_neighbours_off_the_grid_are_interpolated() -> None:
    # Brighter to the right by 10 a column. Of 8 neighbours 0, 1 and 7 lie right of the pixel,
    # 2 and 6 below and above it, equal; at 45 degrees 3 cos(45) = 2.12 columns away.
    slope = np.tile(10 * np.arange(12), (7, 12, 1)).astype(np.uint8)
    code = codes(slope, "xy", np.array([3, 3, 3]), 8)
    assert (code == 0b11000111).all()
    level = slope.astype(np.float32)
    level[3, 6, 6] += 25  # more than 2.12 columns to the right, less than 3
    assert codes(level, "xy", np.array([3, 3, 3]), 8)[0, 3, 3] == 0b00000001


def test_the_sizes_of_the_published_settings() -> None:
    clip = np.zeros((10, 40, 40), np.uint8)
    assert lbp_top(clip).shape == (1200,)
    assert lbp_top(clip, uniform=True).shape == (25 * 3 * 15,)
    meb = lbp_top(clip, blocks=8, radii=(3, 3, 3), points=8, uniform=True)
    assert meb.shape == (11_328,)


@pytest.mark.parametrize(("points", "number"), [(4, 15), (8, 59)])
def test_uniform_codes_are_p_p_minus_1_plus_3(points: int, number: int) -> None:
    assert sorted(set(uniform_codes(points).tolist())) == list(range(number))


@given(st.integers(0, 255), st.integers(0, 2**32 - 1), st.booleans())
def test_histograms_sum_to_one_and_brightness_does_not_matter(
    more: int, seed: int, uniform: bool
) -> None:
    clip = np.random.default_rng(seed).integers(0, 256, (9, 8, 9)).astype(np.float32)
    options = {"blocks": 2, "points": 8, "uniform": uniform}
    described = planes(clip, **options)
    np.testing.assert_allclose(described.sum(axis=2), 1, atol=1e-6)
    np.testing.assert_array_equal(described, planes(clip + more, **options))


def test_a_clip_too_short_for_the_radius_in_time_says_so() -> None:
    with pytest.raises(ValueError, match=r"need at least \(9, 7, 7\)"):
        lbp_top(np.zeros((8, 40, 40), np.uint8))


def test_a_block_that_moves_right_fills_one_direction() -> None:
    maps = np.zeros((3, 16, 16), np.float32)
    maps[0, 2:4, 4:6] = 0.5  # block (1, 2), 2 x 2 px
    maps[2, 2:4, 4:6] = [[1, 2], [3, 6]]
    described = bi_woof(maps).reshape(8, 8, 8)
    assert described[1, 2].tolist() == [4 * 0.5 * 3, 0, 0, 0, 0, 0, 0, 0]
    assert described.sum() == 6


@pytest.mark.parametrize("octant", range(8))
def test_directions_go_round_from_right_to_down(octant: int) -> None:
    angle = (octant + 0.5) * np.pi / 4
    maps = np.empty((3, 8, 8), np.float32)
    maps[0], maps[1], maps[2] = 2 * np.cos(angle), 2 * np.sin(angle), 1
    expected = np.zeros(8)
    expected[octant] = 2
    np.testing.assert_allclose(bi_woof(maps).reshape(64, 8), np.tile(expected, (64, 1)), rtol=1e-6)


def test_no_strain_and_no_flow_weigh_nothing() -> None:
    assert bi_woof(np.zeros((3, 8, 8), np.float32)).tolist() == [0] * 512
    moved = np.ones((3, 8, 8), np.float32)
    moved[2] = 0
    assert bi_woof(moved).tolist() == [0] * 512


def test_a_negative_zero_angle_stays_within_the_bins() -> None:
    maps = np.ones((3, 8, 8), np.float32)
    maps[1] = -1e-30
    assert bi_woof(maps).reshape(64, 8)[:, 0].tolist() == [1] * 64


@pytest.mark.parametrize("shape", [(2, 16, 16), (3, 7, 16), (16, 16)])
def test_maps_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="u, v and strain of at least 8 x 8"):
        bi_woof(np.zeros(shape, np.float32))


def views(name: str, label: int, rng: np.random.Generator) -> np.ndarray:
    """A noisy view of an edge that goes right, or of a flow to the right or down."""
    if name == "lbp-top":
        noisy: np.ndarray = edge(speed=label) + rng.integers(0, 20, (10, 16, 16)).astype(np.uint8)
        return noisy
    maps = rng.normal(0, 0.1, (3, 16, 16)).astype(np.float32)
    maps[label] += 1
    maps[2] = 0.5
    return maps


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_an_svm_learns_which_way_things_move(name: str) -> None:
    rng = np.random.default_rng(0)
    labels = [0, 1] * 5
    clips = [views(name, label, rng) for label in labels]
    svm = DescriptorSvm(DESCRIPTORS[name]).fit(clips, labels)
    described = svm.describe(clips)
    assert described.shape == (10, DESCRIPTORS[name].length)
    assert described.dtype == np.float32
    assert svm.predict([views(name, label, rng) for label in labels]).tolist() == labels


def test_an_svm_of_one_class_says_so() -> None:
    with pytest.raises(ValueError, match="at least two classes"):
        DescriptorSvm(DESCRIPTORS["bi-woof"]).fit([np.zeros((3, 8, 8), np.float32)], [1])
