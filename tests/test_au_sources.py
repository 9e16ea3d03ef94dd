"""The three AU sources: what they draw, from what, and what they leave out."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import au_sources
from au_sources import SOURCES, AuClip, AuSource, EarlyMae, Expert, RealMie, stand_in_clips
from au_sources.clips import bridged
from au_sources.early_mae import early_frames
from au_sources.expert import TABLES
from mie_x import records
from mie_x.records import AUS, LABEL_OF_EMOTION, LABELS, Aus, Motion, Origin

EVERY_SOURCE: dict[str, AuSource] = {
    "mie": RealMie(stand_in_clips("mie")),
    "mae": EarlyMae(stand_in_clips("mae")),
    "exp": Expert(),
}


def clip(
    *first_au: float,
    label: int | None = 1,
    onset: int | None = 0,
    apex: int | None = -1,
    offset: int | None = None,
    subject: str = "s1",
    name: str = "c1",
    problem: str = "",
) -> AuClip:
    """An invented clip by its AU01, a value a frame (NaN: a failed frame); the other AUs are 0."""
    aus = np.zeros((len(first_au), len(AUS)), np.float32)
    aus[:, 0] = first_au
    aus[np.isnan(aus[:, 0])] = np.nan
    return AuClip(
        Origin("invented", subject, name),
        label,
        "happiness" if label == 1 else "others",
        aus,
        onset,
        len(first_au) - 1 if apex == -1 else apex,
        offset,
        problem=problem,
    )


NAN = float("nan")


def first_au(aus: Aus | None) -> list[float]:
    """AU01 of every frame, to three decimals."""
    assert aus is not None
    assert not aus[:, 1:].any()
    return [round(float(value), 3) for value in aus[:, 0]]


def same(one: Motion, other: Motion) -> bool:
    return (
        (one.onset == other.onset).all()
        and (one.apex == other.apex).all()
        and all(
            (mine is None and theirs is None) or np.array_equal(mine, theirs)  # type: ignore[arg-type]
            for mine, theirs in ((one.rise, other.rise), (one.fall, other.fall))
        )
        and (one.label, one.emotion, one.source, one.origin)
        == (other.label, other.emotion, other.source, other.origin)
    )


# every source


def test_the_sources_are_those_of_the_records() -> None:
    assert tuple(SOURCES) == records.SOURCES
    assert all(isinstance(source, SOURCES[name]) for name, source in EVERY_SOURCE.items())


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("label", LABELS.values())
def test_a_motion_is_what_the_records_say(name: str, label: int) -> None:
    rng = np.random.default_rng(label)
    for _ in range(200):
        motion = EVERY_SOURCE[name].draw(label, rng)
        for aus in (motion.onset, motion.apex):
            assert aus.shape == (17,)
            assert aus.dtype == np.float32
            assert aus.min() >= 0
            assert aus.max() <= 1
        assert (motion.onset != motion.apex).any()
        assert motion.label == label == LABELS[LABEL_OF_EMOTION[motion.emotion]]
        assert motion.source == name
        assert (motion.origin is None) == (name == "exp")
        assert (motion.rise is None) == (name == "exp")
        assert (motion.fall is None) == (name != "mie")
        for course in (motion.rise, motion.fall):
            if course is not None:
                assert len(course) >= 2
                assert course.shape[1:] == (17,)
                assert course.dtype == np.float32
                assert course.min() >= 0
                assert course.max() <= 1
        if motion.rise is not None:
            assert (motion.rise[[0, -1]] == [motion.onset, motion.apex]).all()
        if motion.fall is not None:
            assert (motion.fall[0] == motion.apex).all()


@pytest.mark.parametrize("name", SOURCES)
def test_a_draw_depends_on_the_generator_alone(name: str) -> None:
    source = EVERY_SOURCE[name]
    again = pickle.loads(pickle.dumps(source))
    for seed in range(20):
        first = source.draw(seed % 3, np.random.default_rng(seed))
        source.draw(1, np.random.default_rng(99))
        assert same(first, again.draw(seed % 3, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", SOURCES)
def test_settings_are_json_and_say_what_is_a_stand_in(name: str) -> None:
    source = EVERY_SOURCE[name]
    assert json.loads(json.dumps(source.settings)) == source.settings
    assert source.stand_in == source.settings["stand_in"] == (name != "exp")
    assert source.missing_labels() == ()


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("label", [3, -1])
def test_an_unknown_label_is_an_error(name: str, label: int) -> None:
    with pytest.raises(ValueError, match=f"label {label}: labels are .*negative"):
        EVERY_SOURCE[name].draw(label, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["mie", "mae"])
def test_what_is_drawn_can_be_changed_without_changing_the_clip(name: str) -> None:
    source = EVERY_SOURCE[name]
    first = source.draw(1, np.random.default_rng(0))
    onset, apex = first.onset.copy(), first.apex.copy()
    first.onset[:] = first.apex[:] = 0.9
    second = source.draw(1, np.random.default_rng(0))
    assert (second.onset == onset).all()
    assert (second.apex == apex).all()


# expert tables


def test_the_coded_table_is_the_one_of_the_code() -> None:
    table = TABLES["miex_coded"]
    assert {p for row in table.values() for p in row.values()} == {0.5, 1.0}
    assert sum(len(row) for row in table.values()) == 22
    assert sum(p == 1 for row in table.values() for p in row.values()) == 8
    assert table["surprise"] == {1: 1, 2: 1, 5: 0.5, 25: 0.5, 26: 0.5}
    assert table["fear"] == {5: 0.5, 20: 0.5, 25: 0.5, 26: 0.5}
    assert table["contempt"] == {14: 1}


def test_the_table_of_du_et_al_is_the_published_one_without_au11_and_au24() -> None:
    table = TABLES["du2014"]
    assert "contempt" not in table
    assert table["happiness"] == {12: 1, 25: 1, 6: 0.51}
    assert table["sadness"] == {4: 1, 15: 1, 1: 0.6, 6: 0.5, 17: 0.67}
    assert table["anger"] == {4: 1, 7: 1, 10: 0.26, 17: 0.52, 23: 0.29}
    assert table["fear"][26] == 0.33
    notes = " ".join(Expert("du2014").settings["notes"])
    assert "AU11 and AU24 are left out" in notes
    assert "'always'" in notes


@pytest.mark.parametrize("table", TABLES)
def test_every_au_and_emotion_of_a_table_is_one_of_ours(table: str) -> None:
    for emotion, row in TABLES[table].items():
        assert emotion in LABEL_OF_EMOTION
        assert set(row) <= set(AUS)
        assert all(0 < probability <= 1 for probability in row.values())


@pytest.mark.parametrize("table", TABLES)
def test_aus_take_part_as_often_as_the_table_says(table: str) -> None:
    source, rng = Expert(table), np.random.default_rng(5)
    drawn: dict[str, list[Motion]] = {}
    for label in LABELS.values():
        for _ in range(6000):
            motion = source.draw(label, rng)
            drawn.setdefault(motion.emotion, []).append(motion)
    assert set(drawn) == set(TABLES[table])
    for emotion, motions in drawn.items():
        row = TABLES[table][emotion]
        # fear as coded is drawn again in 1 of 16: each AU's share rises by 16/15
        empty = float(np.prod([1 - p for p in row.values()]))
        expected = np.array([row.get(au, 0) for au in AUS]) / (1 - empty)
        found = np.mean([motion.apex > 0 for motion in motions], axis=0)
        sigma = np.sqrt(expected * (1 - expected) / len(motions))
        assert (np.abs(found - expected) <= 3 * sigma + 1e-12).all(), emotion


def test_negative_emotions_are_equally_likely() -> None:
    source, rng = Expert(), np.random.default_rng(3)
    counts = Counter(source.draw(0, rng).emotion for _ in range(10_000))
    assert set(counts) == {"sadness", "fear", "anger", "disgust", "contempt"}
    sigma = np.sqrt(10_000 * 0.2 * 0.8)
    assert all(abs(count - 2000) <= 3 * sigma for count in counts.values())


def test_no_apex_is_empty_and_every_onset_is_at_rest() -> None:
    source, rng = Expert(), np.random.default_rng(0)
    for _ in range(10_000):
        motion = source.draw(0, rng)
        assert motion.apex.any()
        assert not motion.onset.any()


@pytest.mark.parametrize("interval", [(0.1, 0.3), (0.3, 0.8), (0.0, 1.0)])
def test_intensities_are_uniform_in_the_interval(interval: tuple[float, float]) -> None:
    source, rng = Expert(interval=interval), np.random.default_rng(8)
    apexes = np.array([source.draw(2, rng).apex for _ in range(5000)])
    low, high = interval
    values = np.sort(apexes[apexes > 0])
    assert values[0] >= np.float32(low)
    assert values[-1] <= np.float32(high)
    n = len(values)
    expected = (values - low) / (high - low)
    distance = np.abs(expected - (np.arange(n) + 0.5) / n).max() + 0.5 / n
    assert distance < 1.63 / np.sqrt(n)  # Kolmogorov-Smirnov, 1 %


def test_each_active_au_has_its_own_intensity() -> None:
    source, rng = Expert(), np.random.default_rng(8)
    pairs = np.array([source.draw(2, rng).apex[:2] for _ in range(4000)])  # AU1, AU2: always
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 3 / np.sqrt(4000)


@pytest.mark.parametrize("interval", [(0.3, 0.1), (0.2, 0.2), (-0.1, 0.3), (0.5, 1.5), (NAN, 1.0)])
def test_an_interval_outside_the_scale_is_refused(interval: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"need 0 <= low < high <= 1, on the scale where 1 is"):
        Expert(interval=interval)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no expert table 'ekman': choose from miex_coded, du2014"):
        Expert("ekman")


# real micro-expressions


def test_a_real_motion_is_the_onset_and_apex_of_its_clip() -> None:
    source = RealMie((clip(0.1, 0.2, 0.4, 0.3, onset=1, apex=2),))
    motion = source.draw(1, np.random.default_rng(0))
    assert (motion.onset[0], motion.apex[0]) == (np.float32(0.2), np.float32(0.4))
    assert motion.origin == ("invented", "s1", "c1")
    assert motion.emotion == "happiness"


def test_a_real_motion_rises_through_all_frames_and_failed_ones_are_bridged() -> None:
    # two frames failed between 0.2 and 0.5: a third of the way each
    source = RealMie((clip(NAN, 0.2, NAN, NAN, 0.5, 0.3, onset=1, apex=4),))
    motion = source.draw(1, np.random.default_rng(0))
    assert first_au(motion.rise) == [0.2, 0.3, 0.4, 0.5]
    assert motion.fall is None


@pytest.mark.parametrize(
    ("offset", "fall"),
    [
        (6, [0.5, 0.3, 0.1]),  # its second frame failed
        (None, None),
        (4, None),  # the apex itself
        (2, None),
        (5, None),  # failed
    ],
)
def test_a_fall_goes_from_the_apex_to_a_measured_offset_behind_it(
    offset: int | None, fall: list[float] | None
) -> None:
    only = clip(0.1, 0.2, 0.3, 0.4, 0.5, NAN, 0.1, onset=1, apex=4, offset=offset)
    motion = RealMie((only,)).draw(1, np.random.default_rng(0))
    assert first_au(motion.rise) == [0.2, 0.3, 0.4, 0.5]
    assert motion.fall is None if fall is None else first_au(motion.fall) == fall


def test_all_clips_of_a_class_are_equally_likely() -> None:
    clips = tuple(clip(0, 0.1 * n, name=str(n)) for n in range(1, 6))
    source, rng = RealMie(clips), np.random.default_rng(1)
    counts = Counter(source.draw(1, rng).origin for _ in range(5000))
    assert len(counts) == 5
    assert all(abs(count - 1000) <= 3 * np.sqrt(800) for count in counts.values())


def test_the_order_of_clips_does_not_matter() -> None:
    clips = stand_in_clips("mie")
    shuffled = tuple(
        pickle.loads(pickle.dumps(clips[i]))
        for i in np.random.default_rng(0).permutation(len(clips))
    )
    one, other = RealMie(clips), RealMie(shuffled)
    assert one.settings == other.settings
    for seed in range(20):
        assert same(
            one.draw(0, np.random.default_rng(seed)), other.draw(0, np.random.default_rng(seed))
        )


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (clip(0, 0.2, name="x", onset=None), "its onset is not annotated"),
        (clip(0, 0.2, name="x", apex=None), "its apex is not annotated"),
        (clip(NAN, 0.2, name="x"), "the AUs of its onset frame failed"),
        (clip(0, NAN, name="x"), "the AUs of its apex frame failed"),
        (clip(0.2, 0.1, name="x", apex=0), "its apex does not come after its onset"),
        (clip(0.2, 0.1, name="x", onset=1, apex=0), "its apex does not come after its onset"),
        (clip(0.2, 0.3, 0.2, name="x"), "its apex has the same AUs as its onset"),
        (clip(0, 0.2, name="x", label=None), "emotion 'others' has no class"),
        (clip(0, 0.2, name="x", problem="its video is damaged"), "its video is damaged"),
    ],
)
def test_a_clip_that_cannot_be_used_is_left_out_by_name(left_out: AuClip, reason: str) -> None:
    source = RealMie((left_out, clip(0, 0.5, name="good")))
    told = source.settings
    assert told["clips"] == 1
    assert told["left_out"] == [{"clip": "invented/s1/x", "reason": reason}]
    assert told["left_out_by_reason"] == {reason: 1}
    rng = np.random.default_rng(0)
    assert {source.draw(1, rng).origin for _ in range(20)} == {("invented", "s1", "good")}


@pytest.mark.parametrize("make", [RealMie, EarlyMae])
@pytest.mark.parametrize("label", [1, None])
def test_a_clip_given_twice_is_refused_by_name(
    make: type[RealMie] | type[EarlyMae], label: int | None
) -> None:
    one, again = clip(0, 0.2, 0.3, 0.4), clip(0, 0.5, 0.6, 0.7, label=label)
    with pytest.raises(ValueError, match=r"clip invented/s1/c1 is there twice; .*column corpus"):
        make((one, clip(0, 0.2, name="c2"), again)).missing_labels()  # before the work begins


@pytest.mark.parametrize("make", [RealMie, EarlyMae])
def test_a_class_without_clips_is_known_before_the_work_begins(
    make: type[RealMie] | type[EarlyMae],
) -> None:
    still = [clip(0.1, 0.1, 0.1, 0.1, label=0, name=str(n)) for n in range(2)]
    source = make((*still, clip(0, 0.1, 0.2, 0.3)))
    assert source.missing_labels() == ("negative", "surprise")
    with pytest.raises(ValueError, match=r"no clip labelled negative .*\(2 left out: .* same AUs"):
        source.draw(0, np.random.default_rng(0))
    assert make(()).missing_labels() == tuple(LABELS)


def test_settings_count_what_is_drawn_from() -> None:
    settings = EVERY_SOURCE["mie"].settings
    assert settings["clips"] == 60
    assert settings["subjects"] == 12
    assert settings["clips_by_label"] == {"negative": 30, "positive": 15, "surprise": 15}
    assert settings["corpora"] == ["stand-in-mie"]
    assert settings["measured"] == ["invented, not measured"]
    assert settings["left_out"] == []


def test_the_fingerprint_changes_with_any_au() -> None:
    one = RealMie((clip(0, 0.2),)).settings["clips_sha256"]
    assert one == RealMie((clip(0, 0.2),)).settings["clips_sha256"]
    assert one != RealMie((clip(0, 0.20001),)).settings["clips_sha256"]
    assert one != RealMie((clip(0, 0.2, subject="s2"),)).settings["clips_sha256"]
    falls = [clip(0, 0.2, 0.1, 0.1, apex=1, offset=offset) for offset in (None, 2, 3)]
    assert len({RealMie((each,)).settings["clips_sha256"] for each in falls}) == 3


# early macro-expressions


def test_the_index_rule_by_hand() -> None:
    # 10 frames: u * n in [2.5, 5): frame 2 for 2.5 to 3, frames 3 and 4 for a whole 1 each
    frames, chances = early_frames(10, 0.25, 0.5)
    assert frames.tolist() == [2, 3, 4]
    np.testing.assert_allclose(chances, [0.2, 0.4, 0.4])
    assert early_frames(20, 0.25, 0.5)[0].tolist() == [5, 6, 7, 8, 9]
    assert early_frames(100, 0.29, 0.3)[0].tolist() == [29]  # 0.29 * 100 is 28.999999999999996
    assert early_frames(5, 0.8, 1.0)[0].tolist() == [4]  # never past the end
    assert early_frames(1, 0.0, 1.0)[0].tolist() == [0]


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(1, 200),
    bounds=st.tuples(st.integers(0, 99), st.integers(1, 100)).filter(lambda b: b[0] < b[1]),
    seed=st.integers(0, 2**32),
)
def test_the_index_rule_is_int_of_u_times_n(n: int, bounds: tuple[int, int], seed: int) -> None:
    alpha, beta = bounds[0] / 100, bounds[1] / 100
    frames, chances = early_frames(n, alpha, beta)
    assert chances.sum() == pytest.approx(1)
    assert frames.min() >= 0
    assert frames.max() < n
    drawn = np.random.default_rng(seed).uniform(alpha, beta, 200) * n
    assert set(drawn.astype(int)) <= set(frames.tolist())


def test_the_apex_frame_is_distributed_as_the_rule_says() -> None:
    source, rng = EarlyMae((clip(*np.linspace(0, 0.9, 10)),)), np.random.default_rng(4)
    apexes = Counter(round(float(source.draw(1, rng).apex[0]) * 10) for _ in range(5000))
    for frame, share in ((2, 0.2), (3, 0.4), (4, 0.4)):
        assert abs(apexes[frame] - 5000 * share) <= 3 * np.sqrt(5000 * share * (1 - share))
    assert sum(apexes.values()) == 5000


def test_failed_and_motionless_frames_are_drawn_again_and_counted() -> None:
    early = clip(0.1, 0.1, 0.1, NAN, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    source, rng = EarlyMae((early,)), np.random.default_rng(0)
    assert {float(source.draw(1, rng).apex[0]) for _ in range(100)} == {float(np.float32(0.4))}
    assert source.settings["frames_drawn_again"] == {
        "failed": 1,
        "not after the onset": 0,
        "same AUs as the onset": 1,
    }


def test_the_onset_is_the_first_frame_that_did_not_fail() -> None:
    source = EarlyMae((clip(NAN, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7),))
    motion = source.draw(1, np.random.default_rng(0))
    assert motion.onset[0] == np.float32(0.1)


def test_an_early_motion_rises_to_the_frame_that_was_drawn_and_has_no_fall() -> None:
    # 12 frames, 0.25 to 0.5: 3, 4, 5; the first measured frame is 1, frames 2 and 4 are bridged
    values = [NAN, 0.1, NAN, 0.3, NAN, 0.7, 0.8, 0.8, 0.8, 0.8, 0.9, 0.9]
    source, rng = EarlyMae((clip(*values, offset=11),)), np.random.default_rng(0)
    drawn = [source.draw(1, rng) for _ in range(50)]
    assert {tuple(first_au(motion.rise)) for motion in drawn} == {
        (0.1, 0.2, 0.3),
        (0.1, 0.2, 0.3, 0.5, 0.7),
    }
    assert {motion.fall is None for motion in drawn} == {True}


@settings(max_examples=30, deadline=None)
@given(values=st.lists(st.floats(0, 1, width=32), min_size=8, max_size=40), seed=st.integers(0))
def test_an_early_apex_is_what_numpys_choice_would_draw(values: list[float], seed: int) -> None:
    early = clip(0, *(max(value, 0.01) for value in values))
    frames, chances = early_frames(len(early.aus), 0.25, 0.5)
    motion = EarlyMae((early,)).draw(1, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    rng.integers(1)  # the draw of the clip
    assert motion.apex[0] == early.aus[int(rng.choice(frames, p=chances)), 0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([NAN] * 8, "the AUs of all its frames failed"),
        ([0.1, 0.2], "no frame between 0.25 and 0.5 of the clip comes after its onset"),
        ([NAN] * 4 + [0.5] * 4, "no frame between 0.25 and 0.5 of the clip comes after its onset"),
        ([0, 0, NAN, NAN, 0.4, 0.5, 0.6, 0.7], "the AUs of all its frames between 0.25 and 0.5"),
        ([0, 0, 0, 0, 0.4, 0.5, 0.6, 0.7], "all its frames between 0.25 and 0.5 of the clip have"),
    ],
)
def test_a_clip_without_an_early_frame_is_left_out_by_name(
    values: list[float], reason: str
) -> None:
    told = EarlyMae((clip(*values),)).settings
    assert told["clips"] == 0
    (left_out,) = told["left_out"]
    assert left_out["clip"] == "invented/s1/c1"
    assert left_out["reason"].startswith(reason)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.25), (0.3, 0.3), (-0.1, 0.5), (0.5, 1.1)])
def test_parts_outside_the_clip_are_refused(alpha: float, beta: float) -> None:
    with pytest.raises(ValueError, match=r"need 0 <= alpha < beta <= 1, parts of a clip's length"):
        EarlyMae((), alpha, beta)


# clips and stand-ins


@pytest.mark.parametrize(
    ("aus", "label", "onset", "said"),
    [
        (np.zeros((3, 16)), 1, 0, r"AUs of shape \(3, 16\), need \(T, 17\)"),
        (np.zeros((0, 17)), 1, None, r"need \(T, 17\), T >= 1"),
        (np.full((3, 17), 1.5), 1, 0, "outside .0, 1.; divide OpenFace's intensities by 5"),
        (np.array([[NAN, *[0] * 16]]), 1, 0, "some AUs only; make all 17 NaN or none"),
        (np.zeros((3, 17)), 3, 0, "label 3, labels are"),
        (np.zeros((3, 17)), 1, 3, "onset is row 3 of 3 rows"),
    ],
)
def test_a_clip_is_checked_when_it_is_made(
    aus: np.ndarray[tuple[int, int], np.dtype[np.float32]], label: int, onset: int | None, said: str
) -> None:
    with pytest.raises(ValueError, match=f"clip a/b/c: .*{said}"):
        AuClip(Origin("a", "b", "c"), label, "fear", aus, onset)


def test_an_offset_beyond_the_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="clip invented/s1/c1: offset is row 3 of 3 rows"):
        clip(0, 0.2, 0.1, apex=1, offset=3)


def test_frames_that_failed_at_the_ends_of_a_clip_are_not_made_up() -> None:
    made = clip(NAN, 0.2, NAN, 0.4, NAN, onset=1, apex=3)
    np.testing.assert_allclose(made.bridged[:, 0], [NAN, 0.2, 0.3, 0.4, NAN], rtol=1e-6)
    assert np.isnan(made.aus[:, 0]).tolist() == [True, False, True, False, True]
    assert np.isnan(made.bridged).any(axis=1).tolist() == [True, False, False, False, True]
    with pytest.raises(ValueError, match="read-only"):
        made.bridged[:] = 0.5


@given(
    st.lists(st.none() | st.floats(0, 1, width=32), min_size=1, max_size=30).filter(any),
)
def test_bridging_changes_failed_frames_only_and_stays_between_their_neighbours(
    cells: list[float | None],
) -> None:
    au01 = np.array([NAN if cell is None else cell for cell in cells], np.float32)
    filled = bridged(np.repeat(au01[:, None], 17, axis=1))[:, 0]
    known = np.flatnonzero(~np.isnan(au01))
    assert (filled[known] == au01[known]).all()
    assert np.isnan(filled[: known[0]]).all()
    assert np.isnan(filled[known[-1] + 1 :]).all()
    for one, other in pairwise(known):
        low, high = sorted((au01[one], au01[other]))
        assert ((low <= filled[one:other]) & (filled[one:other] <= high)).all()


def test_a_clip_keeps_its_own_copy_of_the_aus() -> None:
    aus = np.zeros((3, 17), np.float32)
    made = AuClip(Origin("a", "b", "c"), 1, "happiness", aus)
    aus[:] = 0.5
    assert not made.aus.any()
    with pytest.raises(ValueError, match="read-only"):
        made.aus[:] = 0.5


@pytest.mark.parametrize("source", ["mie", "mae"])
def test_stand_ins_are_always_the_same_and_called_so(source: str) -> None:
    first = stand_in_clips(source)
    au_sources.stand_in_clips.cache_clear()
    for one, other in zip(first, stand_in_clips(source), strict=True):
        assert one.origin == other.origin
        assert (one.aus == other.aus).all()
        assert one.stand_in
        assert one.origin.corpus == f"stand-in-{source}"
        assert one.origin.subject.startswith("invented")
    assert {one.label for one in first} == set(LABELS.values())
    assert len({one.origin for one in first}) == 60


def test_stand_in_micro_expressions_are_small_and_peak_at_the_apex() -> None:
    for one in stand_in_clips("mie"):
        assert one.onset is not None
        assert one.apex is not None
        moved = one.aus[one.apex] - one.aus[one.onset]
        assert 0.05 < moved.max() <= 0.35
        assert one.aus.max() < 0.4
        assert one.aus[one.onset].max() < 0.1
        strongest = one.aus[:, moved.argmax()]
        assert abs(int(strongest.argmax()) - one.apex) <= 2
        assert one.offset == len(one.aus) - 1
        assert one.aus[one.offset, moved.argmax()] < one.aus[one.apex, moved.argmax()] / 2


def test_stand_in_macro_expressions_are_micro_like_early_and_full_at_the_end() -> None:
    for one in stand_in_clips("mae"):
        n = len(one.aus)
        assert 20 <= n <= 60
        assert one.aus[0].max() < 0.1
        assert 0.5 < one.aus[-1].max() <= 1
        assert 0.02 < one.aus[n // 4].max() < 0.25
        assert one.aus[n // 2].max() < 0.45


def test_there_are_no_stand_ins_for_the_expert_tables() -> None:
    with pytest.raises(ValueError, match="there are stand-ins for 'mie' and 'mae'"):
        stand_in_clips("exp")


def test_one_invented_clip_makes_a_source_a_stand_in() -> None:
    assert not RealMie((clip(0, 0.2),)).stand_in
    assert RealMie((clip(0, 0.2), *stand_in_clips("mie"))).stand_in
