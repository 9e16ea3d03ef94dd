"""MEAN's spotting around the network: every rule by hand, and online that never looks ahead."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.intervals import Interval
from recognizers.spotting import (
    BOUNDS,
    NEGATIVES,
    PHASES,
    SMOOTHINGS,
    WAYS,
    Curve,
    Peak,
    emotion,
    flow_step,
    half_length,
    offline,
    padded_box,
    peaks,
    pseudo_labels,
    sampled,
    spot,
    stretches,
    threshold,
    whole_windows,
)

# Two bumps, 1 and half as high once smoothed over 5 frames (half 2), at frames 6 and 14 of 20.
BUMPS = np.zeros(20)
BUMPS[6], BUMPS[14] = 5, 2.5

# few heights, so that many are equal, or any at all
HEIGHTS = st.one_of(
    st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=1, max_size=60),
    st.lists(st.floats(-3, 3), min_size=1, max_size=60),
)


@pytest.mark.parametrize(
    ("collection", "fps", "k"),
    [
        ("CASME II", 200, 20),
        ("SMIC-HS", 100, 10),
        ("SMIC-VIS", 25, 3),
        ("SMIC-NIR", 25, 3),
        ("CAS(ME)^2", 30, 3),
        ("SAMM Long Videos", 200, 20),
    ],
)
def test_k_is_that_of_each_published_collection(collection: str, fps: float, k: int) -> None:
    assert flow_step(fps) == k


@pytest.mark.parametrize(
    ("lengths", "half"),
    [
        # Mean lengths as MECIA tells them: SAMM 75.3, CAS(ME)^2 13.6.
        ([75] * 7 + [76] * 3, 37),
        ([13] * 4 + [14] * 6, 6),
        # CASME II's 34 is any mean from 68 to below 70; SMIC's 17 and 4 are 34 to 36 and 8 to 10.
        ([68, 68], 34),
        ([69, 70, 70], 34),
        ([70], 35),
        ([34], 17),
        ([9, 10], 4),
        ([1], 1),
    ],
)
def test_half_of_a_micro_expression_is_rounded_down(lengths: list[int], half: int) -> None:
    assert half_length(lengths) == half


def test_k_and_half_ask_for_frames_that_there_are() -> None:
    for fps in (0, -25, float("nan")):
        with pytest.raises(ValueError, match="frame rate"):
            flow_step(fps)
    for lengths in ([], [10, 0]):
        with pytest.raises(ValueError, match="lengths"):
            half_length(lengths)


def test_pseudo_labels_by_hand() -> None:
    # Windows of 3: [2, 4] ends before 5 and [3, 5] touches it; [6, 8] touches 6 and [7, 9] does
    # not. So 3 to 6.
    found = pseudo_labels(10, [Interval(5, 6)], half=3)
    assert found.tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    # Two in one video; one that began before it, one after its last flow.
    many = [Interval(-3, 0), Interval(4, 4), Interval(12, 20)]
    assert pseudo_labels(10, many, half=2).tolist() == [1, 0, 0, 1, 1, 0, 0, 0, 0, 0]


@given(st.integers(0, 40), st.integers(-9, 45), st.integers(0, 20), st.integers(1, 9))
def test_a_frame_is_positive_if_its_window_and_the_expression_share_a_frame(
    count: int, first: int, more: int, half: int
) -> None:
    labels = pseudo_labels(count, [Interval(first, first + more)], half=half)
    expression = set(range(first, first + more + 1))
    assert labels.tolist() == [bool(expression & set(range(i, i + half))) for i in range(count)]


def test_all_positives_and_so_many_negatives_for_each_are_kept() -> None:
    labels = np.zeros(100, np.int64)
    labels[[3, 50]] = 1
    for negatives in NEGATIVES.values():
        kept, again, other = (
            sampled(labels, negatives=negatives, rng=np.random.default_rng(seed)).tolist()
            for seed in (1, 1, 2)
        )
        assert {3, 50} <= set(kept)
        assert kept == sorted(set(kept))
        assert len(kept) == len(other) == 2 + 2 * negatives
        assert kept == again != other


def test_fewer_negatives_than_asked_for_are_all_kept_and_none_is_drawn_twice() -> None:
    rng = np.random.default_rng(0)
    assert sampled([0, 1, 1, 0], negatives=8, rng=rng).tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no frame of a micro-expression"):
        sampled([0, 0], negatives=8, rng=rng)


def test_smoothing_by_hand() -> None:
    scores = np.array([0, 0, 3, 0, 0, 6, 0], float)
    # Paper, half 1: means of 3 frames, from frame 1 to 5.
    first, values, _ = whole_windows(scores, 1)
    assert (first, values.tolist()) == (1, [1, 1, 1, 2, 2])
    # Code, half 1: means of 2 frames, this and the one before; before the first is 0.
    first, values, _ = padded_box(scores, 1)
    assert (first, values.tolist()) == (0, [0, 0, 1.5, 1.5, 0, 3, 3])
    # Code, half 2: means of 4 frames, 2 before, this and 1 after.
    assert padded_box(scores, 2).values.tolist() == [0, 0.75, 0.75, 0.75, 2.25, 1.5, 1.5]


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=40), st.integers(1, 6))
def test_the_box_is_a_convolution_of_the_same_length(scores: list[float], half: int) -> None:
    box = np.full(2 * half, 0.5 / half)
    whole = np.convolve(scores, box)[half - 1 : half - 1 + len(scores)]
    assert padded_box(np.array(scores), half).values == pytest.approx(whole, abs=1e-12)
    if len(scores) >= 2 * half:  # numpy's "same" is as long as the longer of the two
        assert whole == pytest.approx(np.convolve(scores, box, "same"), abs=1e-12)


@given(HEIGHTS, st.integers(1, 4), st.sampled_from(sorted(SMOOTHINGS)), st.data())
def test_settled_values_are_those_that_later_scores_cannot_change(
    scores: list[float], half: int, smoothing: str, data: st.DataObject
) -> None:
    smooth = SMOOTHINGS[smoothing]
    early = smooth(np.array(scores[: data.draw(st.integers(1, len(scores)))]), half)
    late = smooth(np.array(scores), half)
    assert early.first == late.first
    assert early.values[: early.settled].tolist() == late.values[: early.settled].tolist()


def test_the_threshold_is_between_mean_and_maximum() -> None:
    # mean 1, maximum 3: 1 + .55 * 2
    assert threshold(np.array([0.0, 0, 1, 3])) == pytest.approx(2.1)
    assert threshold(np.array([0.0, 0, 1, 3]), 0) == 1
    assert threshold(np.array([0.0, 0, 1, 3]), 1) == 3


def test_spotting_by_hand() -> None:
    # Smoothed: 1 in frames 4 to 8, .5 in 12 to 16, of the 16 frames 2 to 17. Mean 7.5 / 16 =
    # .46875; threshold .46875 + .55 * .53125 = .7609375; only the first is above, middle 6.
    assert spot(BUMPS, frames=22, half=2) == [Interval(4, 7, score=1 - 0.7609375, apex=6)]
    # p = 0: the threshold is the mean, both are above.
    both = spot(BUMPS, frames=22, half=2, p=0)
    assert [(one.first, one.apex, one.last) for one in both] == [(4, 6, 7), (12, 14, 15)]
    assert [one.score for one in both] == pytest.approx([1 - 0.46875, 0.5 - 0.46875])
    (code,) = spot(BUMPS, frames=22, half=2, bounds="code")
    assert (code.first, code.last) == (4, 8)
    # Smoothed as in the code: 5 / 4 in frames 5 to 8, middle 6 (of 6.5, rounded down).
    (code,) = spot(BUMPS, frames=22, half=2, smoothing="code")
    assert code.apex == 6
    # 20 frames; mean 7.5 / 20 = .375, threshold .375 + .55 * .875 = .85625
    assert code.score == pytest.approx(1.25 - 0.85625)


def test_a_short_video_has_its_highest_frame_whatever_the_threshold() -> None:
    (one,) = spot(BUMPS, frames=22, half=2, way="highest", p=1)
    assert (one.apex, one.score) == (4, 0)  # the first of the equals 4 to 8
    rising = np.arange(9.0)
    assert not spot(rising, frames=9, half=1)
    (one,) = spot(rising, frames=9, half=1, way="highest", smoothing="code")
    # (7 + 8) / 2 at the last frame; the interval ends with the video
    assert (one.first, one.last, one.apex) == (7, 8, 8)
    (flat,) = spot([0.1] * 9, frames=9, half=1, way="highest")
    assert flat.score == 0


def test_intervals_end_where_the_video_does() -> None:
    # Smoothed as in the code, over [i - 2, i + 1]: 0 1 0 0 0 -1 0 0 0 0 0.
    scores = [0, 0, 4, -4, 0, 0, 0, 0, 0, 0, 0]
    (one,) = spot(scores, frames=11, half=2, smoothing="code")
    assert (one.first, one.apex, one.last) == (0, 1, 2)
    with pytest.raises(ValueError, match="11 scores of 10 frames"):
        spot(scores, frames=10, half=2)


def apart(found: Sequence[int], half: int) -> bool:
    return all(later - earlier >= half for earlier, later in pairwise(found))


@given(HEIGHTS, st.integers(1, 6), st.floats(0, 1))
def test_peaks_are_the_highest_maxima_above_the_threshold_that_are_apart(
    scores: list[float], half: int, p: float
) -> None:
    curve = padded_box(np.array(scores), half)
    least = threshold(curve.values, p)
    heights = {peak.frame: peak.score for peak in offline(curve, half, p)}
    assert apart(list(heights), half)
    assert all(score >= least for score in heights.values())
    assert all(curve.values[n] == score for n, score in heights.items())
    for n in range(1, len(curve.values) - 1):
        before, here, after = curve.values[n - 1 : n + 2]
        if before < here > after and here >= least and n not in heights:
            assert any(abs(n - m) < half and score >= here for m, score in heights.items())


def test_peaks_exactly_half_apart_are_two_and_nearer_ones_are_one() -> None:
    scores = np.zeros(30)
    scores[[10, 14]] = 2, 3
    curve = whole_windows(scores, 1)._replace(first=0, values=scores)
    assert [peak.frame for peak in offline(curve, 4, 0.0)] == [10, 14]
    assert [peak.frame for peak in offline(curve, 5, 0.0)] == [14]


@given(HEIGHTS, st.integers(1, 6), st.floats(0, 1))
def test_online_never_takes_back_or_changes_what_it_gave(
    heights: list[float], half: int, p: float
) -> None:
    values = np.array(heights)
    told: list[Peak] = []
    for now in range(1, len(values) + 1):
        found = WAYS["online"](Curve(0, values[:now], now), half, p)
        assert found[: len(told)] == told
        told = found
    assert apart([peak.frame for peak in told], half)


@given(HEIGHTS, st.integers(1, 4), st.sampled_from(sorted(SMOOTHINGS)), st.floats(0, 1))
def test_nor_does_it_when_scores_are_smoothed(
    scores: list[float], half: int, smoothing: str, p: float
) -> None:
    intervals: list[Interval] = []
    for now in range(1, len(scores) + 1):
        found = spot(
            scores[:now], frames=now + 1, half=half, way="online", smoothing=smoothing, p=p
        )
        assert found[: len(intervals)] == intervals
        intervals = found


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("half", [1, 2, 5])
def test_online_knows_a_peak_when_twice_half_its_length_has_come_after_it(
    smoothing: str, half: int
) -> None:
    scores = np.random.default_rng(half).random(200)  # no two are equal: no level tops
    given_at: dict[int, int] = {}
    for now in range(1, len(scores) + 1):
        for peak in peaks(scores[:now], half=half, way="online", smoothing=smoothing, p=0.2):
            given_at.setdefault(peak.frame, now - 1)
    assert len(given_at) >= 5
    assert max(now - frame for frame, now in given_at.items()) <= 2 * half


def test_offline_lets_the_future_hide_a_peak_and_online_does_not() -> None:
    late = BUMPS.copy()
    late[14] = 50
    assert [peak.frame for peak in peaks(late, half=2)] == [14]
    first, second = peaks(late, half=2, way="online")
    # Known when frame 9, the first after the top, is smoothed: mean 5 / 8 of the frames 2 to 9,
    # threshold .625 + .55 * .375 = .83125, where offline has 3.4375 + .55 * 6.5625.
    assert (first.frame, first.score) == (6, 1)
    assert first.threshold == pytest.approx(0.83125)
    assert second.frame == 14
    assert second.threshold == pytest.approx(55 / 16 + 0.55 * (10 - 55 / 16))


def test_a_chain_of_higher_and_higher_maxima_is_one_peak_online() -> None:
    scores = np.zeros(40)
    scores[[10, 13, 16]] = 1, 2, 3
    curve = whole_windows(scores, 1)._replace(first=0, values=scores, settled=40)
    # Offline 13 goes first, and 10 is far enough from 16.
    assert [peak.frame for peak in WAYS["offline"](curve, 5, 0.0)] == [10, 16]
    assert [peak.frame for peak in WAYS["online"](curve, 5, 0.0)] == [16]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bounds", BOUNDS)
def test_confidence_is_what_a_peak_has_above_the_threshold(way: str, bounds: str) -> None:
    scores = np.random.default_rng(0).random(300)
    found = spot(scores, frames=310, half=4, way=way, bounds=bounds, p=0.3)
    told = peaks(scores, half=4, way=way, p=0.3)
    assert [one.score for one in found] == [peak.score - peak.threshold for peak in told]
    assert all(one.score is not None and one.score >= 0 for one in found)
    assert len({one.score for one in found}) == len(found) > 0
    assert [one.apex for one in found] == [peak.frame for peak in told]
    length = {"paper": 8, "code": 9}[bounds]
    assert {one.length for one in found} == {length}


def test_scores_that_are_none_and_videos_too_short_are_told() -> None:
    for scores in ([], [0.1, np.nan], [[0.1], [0.2]]):
        with pytest.raises(ValueError, match="one finite score a frame"):
            peaks(scores, half=1)
    for half, p in ((0, 0.5), (1, 1.5), (1, -0.1)):
        with pytest.raises(ValueError, match="half is 1 or more"):
            peaks([0.1, 0.2], half=half, p=p)
    for way in ("offline", "highest"):
        with pytest.raises(ValueError, match="fewer than 9 scores"):
            peaks([0.1] * 8, half=4, way=way)
    assert peaks([0.1] * 8, half=4, way="online") == []  # not yet


def test_the_emotion_is_the_most_frequent_class_of_the_phase() -> None:
    classes = [0, 0, 0, 1, 1, 2, 2, 2, 2, 0]
    # Peak 5, half 4: frames 1 to 4 have 0 0 1 1, and 0 is seen first.
    assert emotion(classes, 5, half=4) == 0
    # Half 3: frames 2 to 4 have 0 1 1.
    assert emotion(classes, 5, half=3) == 1
    assert emotion(classes, 5, half=3, phase="peak") == 2
    # Frames 1 to 8 have 0 0 1 1 2 2 2 2.
    assert emotion(classes, 5, half=4, phase="interval") == 2


@pytest.mark.parametrize("phase", PHASES)
def test_the_emotion_of_the_first_frame_is_its_own_and_none_is_asked_for_beyond_the_last(
    phase: str,
) -> None:
    assert emotion([1, 1, 0], 0, half=2, phase=phase) == 1
    with pytest.raises(ValueError, match="peak 3 of 3 frames"):
        emotion([1, 1, 0], 3, half=2, phase=phase)


NAN = float("nan")
GAPPED = st.lists(st.sampled_from([0.0, 0.25, 1.0, NAN]), min_size=1, max_size=60)


def test_each_stretch_is_smoothed_as_if_it_were_a_video() -> None:
    scores = np.array([1.0, 2, 3, NAN, NAN, 5, 7])
    assert stretches(scores) == [(0, 2), (5, 6)]
    # Half 1: three frames (paper), or two and what is outside is 0 (code).
    np.testing.assert_equal(whole_windows(scores, 1).values, [2, NAN, NAN, NAN, NAN])
    np.testing.assert_equal(padded_box(scores, 1).values, [0.5, 1.5, 2.5, NAN, NAN, 2.5, 6])


def test_mean_and_maximum_are_of_all_that_was_seen_of_a_video() -> None:
    scores = np.full(41, NAN)
    scores[:20], scores[21:] = BUMPS, BUMPS / 2
    (first,) = peaks(scores, half=2, gaps=True)
    # Smoothed over 5 frames 16 values of each stretch are left: five of 1 and five of .5, then
    # half of these; the mean is 11.25 of 32, and no second bump reaches .55 of the way to 1.
    assert (first.frame, first.score) == (6, 1)
    assert first.threshold == pytest.approx(11.25 / 32 + 0.55 * (1 - 11.25 / 32))
    assert [peak.frame for peak in peaks(scores, half=2, p=0, gaps=True)] == [6, 14, 27]
    assert [peak.frame for peak in peaks(scores, half=2, way="highest", gaps=True)] == [4]
    with pytest.raises(ValueError, match="one finite score a frame"):
        peaks(scores, half=2)
    with pytest.raises(ValueError, match="one finite score a frame"):
        peaks([0.1, np.inf, NAN], half=1, gaps=True)
    with pytest.raises(ValueError, match="fewer than 5 scores on end"):
        peaks([0.1, 0.2, NAN, 0.3, 0.4, 0.2], half=2, gaps=True)
    for way in ("offline", "highest"):
        with pytest.raises(ValueError, match="no frame has a score: nothing was seen"):
            peaks([NAN] * 9, half=2, way=way, smoothing="code", gaps=True)
    assert peaks([NAN] * 9, half=2, way="online", smoothing="code", gaps=True) == []


@given(GAPPED, st.integers(1, 4), st.sampled_from(sorted(SMOOTHINGS)), st.floats(0, 1))
def test_online_takes_nothing_back_where_a_face_is_lost(
    scores: list[float], half: int, smoothing: str, p: float
) -> None:
    told: list[Peak] = []
    for now in range(1, len(scores) + 1):
        found = peaks(scores[:now], half=half, way="online", smoothing=smoothing, p=p, gaps=True)
        assert found[: len(told)] == told
        told = found
    assert all(np.isfinite(scores[peak.frame]) for peak in told)


@given(HEIGHTS, st.integers(1, 4), st.sampled_from(sorted(SMOOTHINGS)), st.sampled_from([*WAYS]))
def test_a_video_without_gaps_is_spotted_alike_whether_it_might_have_them(
    scores: list[float], half: int, smoothing: str, way: str
) -> None:
    options = {"half": half, "smoothing": smoothing, "way": way}
    if len(scores) > 2 * half:
        assert peaks(scores, **options, gaps=True) == peaks(scores, **options)  # type: ignore[arg-type]


def test_what_was_not_seen_has_no_say_in_the_emotion() -> None:
    assert emotion([2, -1, -1, 1], 3, half=3) == 2
    assert emotion([-1, -1, 1], 2, half=2) == 1
