"""Scores of intervals and key frames: every formula by hand, and what must hold for any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.folds import Person
from mie_x.intervals import (
    KINDS,
    MATCHINGS,
    THRESHOLDS,
    Apexes,
    Counts,
    Interval,
    KeyFrameErrors,
    SpotThenRecognize,
    Video,
    analysis_f1,
    apexes,
    average_precision,
    clip_f1,
    clip_iou,
    counted,
    f1_spread,
    greedy,
    iou,
    key_frame_errors,
    mean_class_f1,
    mean_spread,
    only,
    optimal,
    recognized,
    spot_then_recognize,
    spotting,
    strs_spread,
)

INTERVALS = st.builds(
    lambda first, more, kind, score: Interval(first, first + more, kind, score=score),
    st.integers(0, 30),
    st.integers(0, 12),
    st.sampled_from(KINDS),
    st.integers(0, 4).map(float),
)
MANY = st.lists(INTERVALS, max_size=7)


def video(
    truths: Sequence[Interval], found: Sequence[Interval], person: str = "01", fps: float = 200
) -> Video:
    return Video(f"{person}/1", Person("own", person), fps, tuple(truths), tuple(found))


def ranked(*scores: float, right: Sequence[int], truths: int) -> Video:
    """TRUTHS of 10 frames, and one found a score: on one of its own where RIGHT has its index."""
    true = [Interval(100 * n, 100 * n + 9) for n in range(truths)]
    places = [100 * right.index(n) if n in right else 50 + 100 * n for n in range(len(scores))]
    found = [Interval(at, at + 9, score=score) for at, score in zip(places, scores, strict=True)]
    return video(true, found)


def test_an_interval_has_both_its_ends() -> None:
    assert Interval(7, 7).length == 1
    assert Interval(10, 19).length == 10
    with pytest.raises(ValueError, match="from frame 5 to 4 has no frame"):
        Interval(5, 4)
    with pytest.raises(ValueError, match="no kind 'mini'"):
        Interval(1, 2, "mini")
    with pytest.raises(ValueError, match="score nan is no number"):
        Interval(1, 2, score=float("nan"))


@pytest.mark.parametrize(
    ("one", "other", "value"),
    [
        ((10, 19), (10, 19), 1),
        ((10, 19), (20, 29), 0),  # neighbours share no frame
        ((10, 19), (19, 28), 1 / 19),
        ((10, 19), (15, 24), 5 / 15),
        ((0, 9), (0, 4), 0.5),
        ((3, 3), (3, 3), 1),
        ((0, 9), (50, 59), 0),
    ],
)
def test_iou_by_hand(one: tuple[int, int], other: tuple[int, int], value: float) -> None:
    assert iou(Interval(*one), Interval(*other)) == pytest.approx(value)


@given(INTERVALS, INTERVALS)
def test_iou_is_that_of_the_sets_of_frames_both_ways(one: Interval, other: Interval) -> None:
    a, b = (set(range(it.first, it.last + 1)) for it in (one, other))
    assert iou(one, other) == iou(other, one) == len(a & b) / len(a | b)
    assert 0 <= iou(one, other) <= 1
    assert (iou(one, other) == 1) == (a == b)


@pytest.mark.parametrize("matching", MATCHINGS)
@given(truths=MANY, found=MANY, least=st.sampled_from(THRESHOLDS))
def test_pairs_are_one_to_one_of_one_kind_and_near_enough(
    matching: str, truths: list[Interval], found: list[Interval], least: float
) -> None:
    pairs = MATCHINGS[matching](truths, found, least)
    for side in zip(*pairs, strict=True):
        assert len(set(side)) == len(side)
    for t, f in pairs:
        assert truths[t].kind == found[f].kind
        assert iou(truths[t], found[f]) >= least
    left = set(range(len(truths))) - {t for t, _ in pairs}
    free = set(range(len(found))) - {f for _, f in pairs}
    for t in left:
        for f in free:
            assert truths[t].kind != found[f].kind or iou(truths[t], found[f]) < least


@given(MANY, MANY, st.sampled_from(THRESHOLDS))
def test_optimal_pairs_no_fewer_than_greedy_and_as_many_where_truths_do_not_touch(
    truths: list[Interval], found: list[Interval], least: float
) -> None:
    assert len(optimal(truths, found, least)) >= len(greedy(truths, found, least))
    asunder: list[Interval] = []
    for truth in sorted(truths, key=lambda truth: truth.first):
        if not asunder or truth.first > asunder[-1].last + 1:
            asunder.append(truth)
    assert len(optimal(asunder, found, least)) == len(greedy(asunder, found, least))


def test_greedy_loses_only_by_what_is_exactly_two_true_ones() -> None:
    truths = [Interval(0, 9), Interval(10, 19)]
    found = [Interval(0, 19, score=0.9), Interval(0, 9, score=0.5)]
    # The first is half of either and claims the earlier, which the second needed.
    assert greedy(truths, found) == [(0, 0)]
    assert optimal(truths, found) == [(0, 1), (1, 0)]


def test_the_surer_claims_first_and_of_equals_the_earlier() -> None:
    truth = [Interval(10, 19)]
    near, nearer = Interval(9, 18, score=0.9), Interval(10, 19, score=0.5)
    assert greedy(truth, [nearer, near]) == [(0, 1)]
    assert optimal(truth, [near, nearer]) == [(0, 1)], "of one pair either way, the larger overlap"
    equal = [replace(nearer, score=0.9), near]
    assert greedy(truth, equal) == [(0, 1)]
    assert greedy(truth, [replace(near, score=None), nearer]) == [(0, 1)]
    # Two true ones over each other: that which is overlapped most, or the earlier.
    assert greedy([Interval(8, 17), Interval(10, 19)], [nearer]) == [(1, 0)]
    assert greedy([Interval(11, 20), Interval(9, 18)], [nearer]) == [(1, 0)]


def test_a_threshold_that_any_two_intervals_reach_is_refused() -> None:
    for least in (0.0, 1.1):
        with pytest.raises(ValueError, match="above 0, up to 1"):
            greedy([Interval(0, 1)], [Interval(5, 6)], least)


@pytest.mark.parametrize(
    ("right", "truths", "wrong", "f1"),
    [
        # MEAN: CASME II 2 * 159 / (244 + 244); SMIC-HS, VIS, NIR; CAS(ME)^2; SAMM Long Videos
        (159, 244, 85, 0.6516),
        (60, 157, 97, 0.3822),
        (31, 71, 40, 0.4366),
        (22, 71, 49, 0.3099),
        (17, 57, 206, 0.1214),
        (26, 159, 363, 0.0949),
        # the same as the baseline of MEGC 2025: SAMM 6 of 208, CAS(ME)^3 3 of 37
        (6, 208, 217, 0.0278),
        (3, 37, 115, 0.0387),
    ],
)
def test_f1_of_published_counts(right: int, truths: int, wrong: int, f1: float) -> None:
    counts = Counts(right, truths, right + wrong)
    assert counts.f1 == pytest.approx(f1, abs=5e-5)
    precision, recall = counts.precision, counts.recall
    assert counts.f1 == pytest.approx(2 * precision * recall / (precision + recall))


def test_counts_are_pooled_over_videos_and_no_mean_of_theirs() -> None:
    true = [Interval(0, 9)]
    good = video(true, [Interval(0, 9)])  # F1 1
    bad = video(true, [Interval(n, n + 9) for n in (20, 40, 60)], "02")  # F1 0
    empty = video([], [Interval(0, 9)], "03")  # no F1 of its own
    assert counted([good, bad, empty]) == Counts(1, 2, 5)
    assert counted([good, bad, empty]).f1 == pytest.approx(2 / 7)


def test_kinds_are_scored_apart_and_together() -> None:
    micro, macro = Interval(0, 9), Interval(100, 199, "macro")
    one = video(
        [micro, macro],
        [
            micro,
            replace(macro, kind="micro"),
            Interval(110, 199, "macro"),
            Interval(300, 400, "macro"),
        ],
    )
    # A micro-expression found where a macro-expression is, is wrong.
    assert spotting([one]) == {
        "micro": Counts(1, 1, 2),
        "macro": Counts(1, 1, 2),
        "overall": Counts(2, 2, 4),
    }
    (left,) = only([one], "macro")
    assert left.truths == (macro,)
    assert {it.kind for it in left.found} == {"macro"}


def test_nothing_true_is_no_score_and_nothing_found_is_zero() -> None:
    nothing = spotting([video([], [Interval(0, 9)])])["micro"]
    assert nothing.precision == 0
    for score in ("recall", "f1"):
        with pytest.raises(ValueError, match="no true interval"):
            getattr(nothing, score)
    missed = counted([video([Interval(0, 9)], [])])
    assert (missed.precision, missed.recall, missed.f1) == (0, 0, 0)
    assert counted([]) == Counts(0, 0, 0)


def test_average_precision_by_hand() -> None:
    # Right, wrong, right, wrong of 3: precision 1 at recall 1/3, 2/3 at 2/3.
    rise = ranked(0.9, 0.8, 0.7, 0.6, right=[0, 2], truths=3)
    assert average_precision([rise]) == pytest.approx(1 / 3 + 2 / 9)
    # Wrong, right, right of 3: 1/2 at recall 1/3, but 2/3 at 2/3, which counts for both.
    late = ranked(0.9, 0.8, 0.7, right=[1, 2], truths=3)
    assert average_precision([late]) == pytest.approx(2 / 3 * 2 / 3)
    # Both videos: 2 at .9 (1 right), 2 at .8 (1 right), 2 at .7 (2 right), 1 at .6 (wrong), of 6.
    # Precisions 1/2, 2/4, 4/6, 4/7: 2/3 up to recall 4/6.
    assert average_precision([rise, late]) == pytest.approx(4 / 6 * 4 / 6)


def test_average_precision_is_the_mean_over_ten_thresholds() -> None:
    # 6 of 10 frames: at least .5, .55 and .6, not .65 and above. 3 of 10 thresholds.
    assert len(THRESHOLDS) == 10
    half = video([Interval(0, 9)], [Interval(0, 5, score=1.0)])
    assert average_precision([half]) == pytest.approx(0.3)
    assert average_precision([half], thresholds=[0.6]) == 1


def test_of_a_constant_confidence_average_precision_is_precision_times_recall() -> None:
    one = ranked(0, 0, 0, 0, right=[0, 2], truths=3)
    assert average_precision([one]) == pytest.approx(2 / 4 * 2 / 3)
    turned = replace(one, found=one.found[::-1])
    assert average_precision([turned]) == average_precision([one])


def test_average_precision_needs_truths_and_scores() -> None:
    with pytest.raises(ValueError, match="no true interval"):
        average_precision([video([], [Interval(0, 9, score=1.0)])])
    with pytest.raises(ValueError, match="frames 0 to 9 have no score"):
        average_precision([video([Interval(0, 9)], [Interval(0, 9)])])
    assert average_precision([video([Interval(0, 9)], [])]) == 0


@given(st.lists(st.tuples(MANY, MANY), min_size=1, max_size=4))
def test_average_precision_is_a_share_and_asks_for_the_order_of_scores_alone(
    pairs: list[tuple[list[Interval], list[Interval]]],
) -> None:
    videos = [video([Interval(0, 5), *truths], found) for truths, found in pairs]
    value = average_precision(videos)
    assert 0 <= value <= 1
    moved = [
        replace(one, found=tuple(replace(it, score=2.0 ** (it.score or 0) - 9) for it in one.found))
        for one in videos
    ]
    assert average_precision(moved) == value
    assert average_precision(videos[::-1]) == pytest.approx(value)
    perfect = [
        replace(one, found=tuple(replace(it, score=float(it.last % 3)) for it in one.truths))
        for one in videos
    ]
    assert average_precision(perfect) == pytest.approx(1)


def test_apexes_by_hand() -> None:
    truth = Interval(10, 30, apex=20)
    inside = video([truth], [Interval(5, 25, apex=26)], fps=200)  # 6 frames, 30 ms
    border = video([truth], [Interval(5, 25, apex=30)], fps=100)  # 10 frames, 100 ms
    lost = video([truth], [])
    # The offset is not inside; what was not found is missed, and no distance.
    assert apexes([inside, border, lost]) == Apexes(1 / 3, 8, 65, 3, 2)
    assert apexes([lost]) == Apexes(0, None, None, 1, 0)


@pytest.mark.parametrize(
    ("truths", "found", "said"),
    [
        ([], [], "0 true"),
        ([Interval(0, 9, apex=4)] * 2, [], "2 true"),
        ([Interval(0, 9, apex=4)], [Interval(0, 9, apex=4)] * 2, "2 found"),
        ([Interval(0, 9)], [Interval(0, 9, apex=4)], "an apex is not told"),
        ([Interval(0, 9, apex=4)], [Interval(0, 9)], "an apex is not told"),
    ],
)
def test_apexes_are_those_of_short_videos(
    truths: list[Interval], found: list[Interval], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        apexes([video(truths, found)])
    with pytest.raises(ValueError, match="at least one"):
        apexes([])


def test_the_analysis_f1_is_no_mean_of_class_f1() -> None:
    confusion = [[2, 1], [0, 1]]
    # Precision 2/2 and 1/2, mean 3/4; recall 2/3 and 1/1, mean 5/6.
    # 2 * 3/4 * 5/6 / (3/4 + 5/6) = (5/4) / (19/12) = 15/19
    assert analysis_f1(confusion) == pytest.approx(15 / 19)
    # F1 2 * 2 / (2 * 2 + 1) and 2 * 1 / (2 * 1 + 1), mean (4/5 + 2/3) / 2 = 11/15
    assert mean_class_f1(confusion) == pytest.approx(11 / 15)
    many = np.array([confusion, [[1, 0], [0, 0]], [[0, 0], [0, 0]]])
    # A class of which nothing was spotted is 0: precision 1/2, recall 1/2.
    assert analysis_f1(many) == pytest.approx([15 / 19, 0.5, 0])
    assert mean_class_f1(many) == pytest.approx([11 / 15, 0.5, 0])


@pytest.mark.parametrize(
    ("spotted", "analysis", "strs"),
    [
        # MEAN: CASME II .6516 * .5927; SMIC-HS, VIS, NIR; CAS(ME)^2; SAMM Long Videos
        (0.6516, 0.5927, 0.3862),
        (0.3822, 0.5149, 0.1968),
        (0.4366, 0.7470, 0.3261),
        (0.3099, 0.6667, 0.2066),
        (0.1214, 0.6667, 0.0809),
        (0.0949, 0.5263, 0.0499),
    ],
)
def test_strs_of_published_scores(spotted: float, analysis: float, strs: float) -> None:
    assert SpotThenRecognize(spotted, analysis, 0).strs == pytest.approx(strs, abs=1e-4)


def analysed() -> list[Video]:
    """Five videos of two people, classes 0 to 2; three are spotted, of these one is right."""
    cases = [  # person, truth, label, found, label
        ("01", (40, 80), 0, (200, 240), 0),  # not spotted
        ("01", (50, 80), 1, (20, 90), 1),  # 31 of 71 frames: not spotted
        ("01", (21, 70), 1, (1, 60), 1),  # 40 of 70: right
        ("02", (50, 99), 2, (30, 99), 0),  # 50 of 70: wrong
        ("02", (30, 129), 2, (60, 129), 0),  # 70 of 100: wrong
    ]
    return [
        video([Interval(*truth, label=a)], [Interval(*found, label=b, score=1.0)], person)
        for person, truth, a, found, b in cases
    ]


def test_spot_then_recognize_by_hand() -> None:
    videos = analysed()
    assert recognized(videos, classes=3).tolist() == [[0, 0, 0], [0, 1, 0], [2, 0, 0]]
    found = spot_then_recognize(videos, classes=3)
    # F1 of spotting 2 * 3 / (5 + 5). Precision 0 (of 2), 1 (of 1), 0 (of none); recall 0 (of none),
    # 1, 0 (of 2): both 1/3, and so their harmonic mean. F1 of the classes 0, 1, 0.
    assert found == pytest.approx((0.6, 1 / 3, 1 / 3))
    assert found.strs == pytest.approx(0.2)
    with pytest.raises(ValueError, match="class 3 has no true interval"):
        spot_then_recognize(videos, classes=4)


def test_what_has_no_class_is_spotted_and_not_recognized() -> None:
    here = Interval(0, 9, label=1)
    others = video([replace(here, label=None)], [here])
    assert recognized([others], classes=2).sum() == 0
    assert counted([others]).right == 1
    with pytest.raises(ValueError, match="label None for 1"):
        recognized([video([here], [replace(here, label=None)])], classes=2)
    with pytest.raises(ValueError, match="label 1 for 1, of classes 0 to 0"):
        recognized([video([here], [here])], classes=1)


def test_scores_of_a_clip_by_hand() -> None:
    # 20 frames, true 5 to 14; inferred 3 to 9 and 12: 6 of both, 12 of either.
    frames = np.arange(20)
    true = (frames >= 5) & (frames <= 14)
    said = ((frames >= 3) & (frames <= 9)) | (frames == 12)
    assert clip_iou(said, true) == pytest.approx(6 / 12)
    # TP 6, FP 2, FN 4: 12 / 18
    assert clip_f1(said, true) == pytest.approx(12 / 18)
    assert clip_iou(np.zeros(20), true) == clip_f1(np.zeros(20), true) == 0
    with pytest.raises(ValueError, match="no frame is of an expression"):
        clip_iou(said, np.zeros(20))
    with pytest.raises(ValueError, match=r"\(20,\) and \(19,\)"):
        clip_f1(said, true[1:])


@given(st.integers(1, 2**12 - 1), st.integers(0, 2**12 - 1))
def test_frame_f1_and_iou_of_a_clip_tell_the_same(true: int, said: int) -> None:
    is_so, inferred = ([bool(number >> n & 1) for n in range(12)] for number in (true, said))
    overlap = clip_iou(inferred, is_so)
    assert 0 <= overlap <= 1
    assert clip_f1(inferred, is_so) == pytest.approx(2 * overlap / (1 + overlap))


@given(INTERVALS, INTERVALS)
def test_clip_iou_of_single_runs_is_that_of_intervals(one: Interval, other: Interval) -> None:
    frames = np.arange(60)
    masks = [(frames >= it.first) & (frames <= it.last) for it in (one, other)]
    assert clip_iou(*masks) == pytest.approx(iou(one, other))


def test_key_frame_errors_by_hand() -> None:
    truth = Interval(10, 29, apex=18)
    # 4 frames early, 2 late, 5 late of 20; at 30 fps a frame is 33.3 ms
    found = key_frame_errors(Interval(6, 31, apex=23), truth, fps=30)
    assert found == pytest.approx((400 / 3, 200 / 3, 500 / 3, 0.25))
    assert key_frame_errors(Interval(10, 29), truth, fps=30) == KeyFrameErrors(0, 0, None, None)


def test_an_interval_of_f1_resamples_people() -> None:
    here = Interval(0, 9)
    right, wrong = video([here], [here], "01"), video([here], [Interval(50, 59)], "02")
    # A quarter of resamples has the first person twice, a quarter the other: F1 1 and 0.
    spread = f1_spread([right, wrong], seed=0)
    assert (spread.low, spread.high, spread.undefined) == (0, 1, 0)
    assert f1_spread([right, wrong], seed=0) == spread
    # All videos of a person go together: two people who are alike have no spread at all.
    alike = [right, wrong, replace(right, person=wrong.person), replace(wrong, person=right.person)]
    assert f1_spread(alike, seed=0)[:2] == (0.5, 0.5)
    with pytest.raises(ValueError, match="people tested: 1"):
        f1_spread([right, right], seed=0)


def test_resamples_without_a_score_are_counted_and_left_out() -> None:
    here = Interval(0, 9)
    right, empty = video([here], [here], "01"), video([], [here], "02")
    spread = f1_spread([right, empty], seed=0, draws=1000)
    # A quarter has the second person twice, and nothing true. F1 1 or 2 / 3 of the others.
    assert spread.undefined == pytest.approx(250, abs=60)
    assert (spread.low, spread.high) == pytest.approx((2 / 3, 1))
    many = [replace(empty, person=Person("own", str(n))) for n in range(9)]
    with pytest.raises(ValueError, match="too few people show an expression"):
        f1_spread(many, seed=0, draws=10)


def test_the_interval_of_strs_is_of_both_parts_at_once() -> None:
    first = analysed()
    second = [replace(one, person=Person("own", f"{one.person.subject}b")) for one in first]
    alike = [replace(one, person=Person("own", name)) for name in "ab" for one in first]
    assert strs_spread(alike, classes=3, seed=0)[:2] == pytest.approx((0.2, 0.2))
    spread = strs_spread(first + second, classes=3, seed=0, draws=400)
    # Who shows class 2 is not who shows 0 and 1: 2 of 16 resamples lack one of them.
    assert spread.undefined == pytest.approx(400 / 8, abs=25)
    assert spread.low < 0.2 < spread.high


def test_the_interval_of_a_mean_weighs_people_by_their_clips() -> None:
    values = [("01", 0.2), ("01", 0.4), ("02", 0.9)]
    spread = mean_spread(values, seed=0)
    # Means .3 of the first alone, .9 of the second alone, .5 of both.
    assert (spread.low, spread.high) == pytest.approx((0.3, 0.9))
