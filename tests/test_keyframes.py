"""Key frames from one labelled frame: where clips are cut, which frame is given, what is told."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from mie_x.datasets.collection import MARK
from mie_x.datasets.footage import Pictures, Video
from mie_x.datasets.standin import Event, Shot, film, write_events
from mie_x.faces import MARGIN
from mie_x.folds import Person
from mie_x.intervals import Interval
from mie_x.records import AUS, Clip, Origin
from mie_x.report import STAND_IN
from pipelines.inferred import STOPS, Done, compare, figure, happening, median_spread
from pipelines.keyframes import keyframes
from pipelines.labelled import (
    BY_APEX,
    CUTS,
    LONGEST,
    STARTS,
    Cut,
    Look,
    cuts,
    of_path,
    seen_all,
    usual_cut,
)
from recognizers.key_frames import Epochs, Inferred
from tests.test_footage import UNEVEN, record, steps
from tests.test_key_frame_inference import Tiny


def footage(numbers: Sequence[int], name: str = "film") -> Pictures:
    return Pictures(name, Path(), {number: f"{number}.png" for number in numbers})


def clip(
    onset: int, offset: int, *, of: Pictures, name: str = "a", apex: int | None = None, **other: Any
) -> Clip:
    middle = (onset + offset) // 2 if apex is None else apex
    return Clip(Origin("own", "s1", name), of, onset, middle, offset, "", 0, fps=100, **other)


HUNDRED = footage(range(1, 101))
TEN = clip(41, 50, of=HUNDRED)


def numbers_of(clips: Sequence[Clip], cut: str, *, seed: int = 0) -> tuple[int, ...]:
    found, left_out = cuts(clips, cut=cut, seed=seed)
    assert not [one for one in left_out if one.key == "own/s1/a"], left_out
    (numbers,) = [one.numbers for one in found if one.clip.origin.clip == "a"]
    return numbers


# Where a clip is cut


@pytest.mark.parametrize(
    ("onset", "offset", "first", "last"),
    [
        (41, 50, 36, 55),  # 5 frames before it and 5 after it
        (3, 12, 1, 20),
        (90, 99, 81, 100),
        (41, 49, 37, 54),  # 9 frames, 4 before it
    ],
)
def test_a_centred_cut_is_twice_as_long_and_stays_within_the_footage(
    onset: int, offset: int, first: int, last: int
) -> None:
    numbers = numbers_of([clip(onset, offset, of=HUNDRED)], "centred")
    assert numbers == tuple(range(first, last + 1))


def test_a_cut_keeps_out_of_its_neighbours_whatever_their_kind() -> None:
    neighbour = clip(52, 60, of=HUNDRED, name="b", kind="macro")
    assert numbers_of([TEN, neighbour], "centred") == tuple(range(32, 52))
    assert numbers_of([TEN, neighbour], "whole") == tuple(range(1, 52))
    elsewhere = clip(52, 60, of=footage(range(1, 101), "other"), name="b", kind="macro")
    assert numbers_of([TEN, elsewhere], "centred") == tuple(range(36, 56))


@pytest.mark.parametrize(
    ("clips", "cut", "reason"),
    [
        ([clip(1, 10, of=HUNDRED)], "whole", "no neutral frame before its onset"),
        ([clip(91, 100, of=HUNDRED)], "whole", "none after its offset"),
        ([TEN, clip(50, 60, of=HUNDRED, name="b", kind="macro")], "whole", "b overlaps with it"),
        ([TEN, clip(20, 35, of=HUNDRED, name="b", kind="macro"),
          clip(53, 60, of=HUNDRED, name="c", kind="macro")], "centred",
         "17 frames from what is before it to what is after it, not 20"),
        ([clip(41, 80, of=HUNDRED), clip(5, 8, of=footage(range(1, 30), "x"), name="b"),
          clip(5, 8, of=footage(range(1, 30), "y"), name="c")], "drawn",
         "40 frames long, too long for a clip of 32"),  # of 40, 4 and 4 frames: mean 16
        ([clip(41, 50, of=footage(range(1, LONGEST + 2)))], "whole",
         "601 frames, of which 600 can be looked at; cut it centred or drawn"),
        ([clip(401, 720, of=footage(range(1, 2001)))], "centred",
         "640 frames, of which 600 can be looked at"),
        ([clip(41, 50, of=footage([*range(1, 61), *range(75, 101)]))], "whole",
         "no frames between 60 and 75, 0.15 s at 100 frames a second"),
        ([clip(41, 50, of=footage([*range(1, 41, 2), *range(41, 101)]))], "whole",
         "20 of 99 frames are missing: its times are not true"),
        ([clip(41, 50, of=HUNDRED, problem="no frames")], "whole", "no frames"),
        ([clip(41, 50, of=HUNDRED, repaired=("offset '0' is not annotated: its apex 50 taken",))],
         "whole", "offset '0' is not annotated: its apex 50 taken"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut_is_left_out_with_the_reason(
    clips: list[Clip], cut: str, reason: str
) -> None:
    _, left_out = cuts(clips, cut=cut, seed=0)
    assert ("own/s1/a", reason) in left_out


def test_what_is_missing_elsewhere_is_nothing_to_a_cut_and_a_little_in_it_is_told() -> None:
    elsewhere = clip(41, 50, of=footage([*range(1, 61), *range(75, 101)]))
    assert numbers_of([elsewhere], "centred") == tuple(range(36, 56))
    ((_, odd),) = [
        (one.clip, one.clip.odd)
        for one in cuts([clip(41, 50, of=footage([*range(1, 53), *range(54, 101)]))],
                        cut="centred", seed=0)[0]
    ]  # fmt: skip
    assert odd == ("1 frames are missing, 1 in a row at most",)


def test_a_video_whose_rate_varies_is_left_out(tmp_path: Path) -> None:
    video = Video("v", record(tmp_path / "v.mkv", steps(6), UNEVEN))
    one = Clip(Origin("own", "s1", "a"), video, 3, 3, 4, "", 0, fps=30)
    found, ((key, reason),) = cuts([one], cut="whole", seed=0)
    assert (found, key) == ([], "own/s1/a")
    assert "ms apart (variable frame rate)" in reason


def test_rows_that_cannot_be_used_are_nothing_to_other_clips() -> None:
    twice = clip(41, 50, of=HUNDRED, problem="in the sheet twice")
    found, left_out = cuts([TEN, twice], cut="centred", seed=0)
    assert [one.numbers for one in found] == [tuple(range(36, 56))]
    assert left_out == [("own/s1/a", "in the sheet twice")]
    assert usual_cut([TEN, twice]) == "whole"
    absurd = clip(20, 10**6, of=HUNDRED, name="b", problem="no frame 500020, its apex")
    assert numbers_of([TEN, absurd], "centred") == tuple(range(36, 56))
    guessed = clip(31, 70, of=footage(range(1, 101), "other"), name="b",
                   repaired=("offset '0' is not annotated: its apex 70 taken",))  # fmt: skip
    assert numbers_of([TEN, guessed], "centred") == tuple(range(36, 56))


def test_macro_expressions_are_no_clips_of_their_own() -> None:
    found, left_out = cuts([clip(5, 8, of=HUNDRED, kind="macro")], cut="whole", seed=0)
    assert not found and not left_out


@given(
    onset=st.integers(2, 90),
    length=st.integers(1, 30),
    others=st.lists(st.tuples(st.integers(1, 95), st.integers(1, 20)), max_size=3),
    gaps=st.sets(st.integers(1, 100), max_size=10),
    cut=st.sampled_from(sorted(CUTS)),
    seed=st.integers(0, 3),
)
def test_a_cut_holds_its_expression_neutral_ends_and_nothing_of_another(
    onset: int,
    length: int,
    others: list[tuple[int, int]],
    gaps: set[int],
    cut: str,
    seed: int,
) -> None:
    offset = onset + length - 1
    film_ = footage(sorted(set(range(1, 101)) - gaps | {onset}))
    clips = [clip(onset, offset, of=film_)]
    clips += [
        clip(first, first + size - 1, of=film_, name=f"b{number}", kind="macro")
        for number, (first, size) in enumerate(others)
    ]
    found, left_out = cuts(clips, cut=cut, seed=seed)
    assert len(found) + len(left_out) == 1
    assume(found)
    ((_, numbers),) = [(one.clip, one.numbers) for one in found]
    assert set(clips[0].numbers) <= set(numbers)
    assert numbers[0] < onset and numbers[-1] > offset
    at = film_.numbers.index(numbers[0])
    assert numbers == film_.numbers[at : at + len(numbers)]
    for other in clips[1:]:
        assert not set(other.numbers) & set(numbers)
    if cut != "whole":
        assert len(numbers) == 2 * len(clips[0].numbers)
    truth = found[0].truth
    assert (truth.first, truth.length) == (numbers.index(onset), len(clips[0].numbers))


def test_a_drawn_cut_lies_anywhere_and_depends_on_nothing_but_seed_and_clip() -> None:
    begins = {numbers_of([TEN], "drawn", seed=seed)[0] for seed in range(200)}
    assert begins == set(range(32, 41))  # a neutral frame, at least, at either end of 20
    other = clip(41, 50, of=footage(range(1, 101), "other"), name="b")
    for seed in range(5):
        assert numbers_of([other, TEN], "drawn", seed=seed) == numbers_of([TEN], "drawn", seed=seed)


def test_long_videos_are_cut_centred_and_clips_are_left_whole() -> None:
    assert usual_cut([TEN]) == "whole"
    assert usual_cut([TEN, clip(60, 70, of=HUNDRED, name="b")]) == "centred"
    assert usual_cut([clip(41, 50, of=footage(range(1, LONGEST + 2)))]) == "centred"


# Which frame is given


def levels(*counts: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """COUNTS of frames each 60 levels brighter than the ones before, 4 x 4 px with some noise."""
    level = np.repeat(60 * np.arange(len(counts)), counts)
    noise = np.random.default_rng(0).integers(0, 5, (len(level), 4, 4))
    return (level[:, None, None] + noise).astype(np.uint8)


def starts(name: str, truth: Interval, frames: Any = None) -> set[int]:
    """Whatever may be given, over 100 seeds, or 2 where frames are clustered."""
    shown, seeds = (np.zeros((40, 4, 4), np.uint8), 100) if frames is None else (frames, 2)
    return {STARTS[name](truth, shown, np.random.default_rng(seed)) for seed in range(seeds)}


@pytest.mark.parametrize(
    ("truth", "third"),
    [
        (Interval(10, 18, apex=14), {13, 14, 15}),
        (Interval(10, 18, apex=10), {10, 11, 12}),
        (Interval(10, 18, apex=18), {16, 17, 18}),
        (Interval(10, 10, apex=10), {10}),
    ],
)
def test_any_frame_of_the_third_around_the_apex_may_be_given(
    truth: Interval, third: set[int]
) -> None:
    assert starts("third", truth) == third


def test_the_apex_is_given_as_coded_and_inside_may_be_any_frame_of_the_expression() -> None:
    assert starts("apex", Interval(10, 18, apex=14)) == {14}
    assert starts("inside", Interval(10, 13)) == {10, 11, 12, 13}
    assert {"third", "apex", "left", "right"} == BY_APEX


def test_the_apex_interval_is_the_unbroken_stretch_that_looks_like_the_apex() -> None:
    frames = levels(5, 6, 5)  # dark, brighter from 5 to 10, bright
    frames[13] = frames[7]  # as bright as the apex, and apart from it
    assert starts("left", Interval(2, 12, apex=7), frames) == {5}
    assert starts("right", Interval(2, 12, apex=7), frames) == {10}
    assert starts("left", Interval(6, 9, apex=7), frames) == {6}  # never outside of what is coded
    assert starts("right", Interval(6, 9, apex=7), frames) == {9}


# How near


def test_frames_are_counted_and_times_are_told_by_frame_numbers() -> None:
    numbers = (10, 11, 12, 15, 16, 17, 18, 19)  # 13 and 14 are missing
    cut = Cut(clip(11, 17, of=footage(numbers), apex=15), numbers)
    assert cut.truth == Interval(1, 5, label=0, apex=3)
    found = compare("by hand", cut, 3, Inferred(2, 4, 6))
    assert found.numbers == (12, 16, 18)
    assert found.iou == 4 / 6 and found.f1 == 8 / 10
    assert found.errors == (10, 10, 10, 1 / 7)  # ms at 100 fps; of 7 frame numbers


def test_an_apex_that_nobody_coded_and_a_rate_that_nobody_tells_give_no_errors() -> None:
    cut = Cut(clip(11, 17, of=HUNDRED, apex_from="middle"), tuple(range(5, 25)))
    errors = compare("by hand", cut, 9, Inferred(6, 9, 12)).errors
    assert errors == (0, 0, None, None)
    unknown = Clip(Origin("", "", "a"), HUNDRED, None, None, None, "", None, fps=100)
    found = compare("by hand", Cut(unknown, tuple(range(5, 25))), 9, Inferred(6, 9, 12))
    assert (found.iou, found.f1, found.errors) == (None, None, None)
    assert found.numbers == (11, 14, 17)


def test_medians_and_their_intervals_are_over_people() -> None:
    one, other = Person("own", "1"), Person("own", "2")
    values = [(one, 0.0), (one, 0.0), (other, 1.0), (other, 1.0)]
    spread = median_spread(values, seed=0)  # of the two: 0 and 0, 0 and 1, 1 and 1
    assert (spread.low, spread.high) == (0, 1)
    told = figure(values, seed=0)
    assert (told["mean"], told["median"], told["interval"]) == (0.5, 0.5, [0, 1])
    assert (told["clips"], told["people"]) == (4, 2)
    same = median_spread([(one, 0.3), (other, 0.3), (other, 0.3)], seed=0)
    assert (same.low, same.high) == (0.3, 0.3)
    alone = figure([(one, 0.2), (one, 0.6), (one, 0.7)], seed=0)
    assert (alone["mean"], alone["median"], alone["interval"]) == (0.5, 0.6, None)
    assert figure([], seed=0)["mean"] is None


# The whole way, from files to files


ONSET, APEX, OFFSET, COUNT = 6, 9, 12, 18
EMOTIONS = {"01": "surprise", "02": "happiness", "03": "tense"}
HEAD = ["subject", "clip", "path", "onset", "apex", "offset", "fps", "emotion"]


def write_table(root: Path, rows: Sequence[Sequence[object]]) -> None:
    with (root / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *rows])


ROWS = [
    [f"s{who}", "c", f"frames/{who}", ONSET, APEX, OFFSET, 30, emotion]
    for who, emotion in EMOTIONS.items()
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people who are surprised within 7 of 18 frames, numbered from 1, 160 px wide."""
    folder = tmp_path_factory.mktemp("own")
    surprise = [0.8 if au in (1, 2, 5, 25, 26) else 0.0 for au in AUS]
    strength = np.interp(np.arange(1, COUNT + 1), [ONSET, APEX, OFFSET], [0, 1, 0])
    aus = (strength[:, None] * surprise).astype(np.float32)
    for who in EMOTIONS:
        place = folder / "frames" / who
        place.mkdir(parents=True)
        for number, frame in enumerate(film(Shot(f"own {who}", aus, int(who))), 1):
            Image.fromarray(frame).save(place / f"{number:03d}.png")
    write_table(folder, ROWS)
    (folder / MARK).write_text("drawn for a test")
    return folder


def run(root: Path, out: Path, **other: Any) -> Done:
    torch.set_num_threads(1)
    given: dict[str, Any] = {
        "frame": None, "seed": 0, "size": 32, "epochs": Epochs(20, 5), "build": Tiny, "flow": None,
        "start": "apex",
    }  # fmt: skip
    return keyframes(f"clips={root}", out, **(given | other))


@pytest.fixture(scope="module")
def done(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    out = tmp_path_factory.mktemp("done") / "out"
    return run(root, out, modules=["A", "A+I+C"], flow="tvl1", export="clips")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_clip_has_a_row_for_each_set_of_modules(done: Done) -> None:
    rows = rows_of(done.out / "keyframes.csv")
    assert [(row["method"], row["subject"]) for row in rows] == [
        (f"MECIA {module}", f"s{who}") for module in ("A", "A+I+C") for who in EMOTIONS
    ]
    for row, found in zip(rows, done.found, strict=True):
        assert (int(row["frame"]), int(row["true_onset"]), int(row["true_offset"])) == (9, 6, 12)
        assert tuple(int(row[name]) for name in ("onset", "apex", "offset")) == found.numbers
        assert 1 < int(row["onset"]) <= 9 <= int(row["offset"]) < COUNT
        assert int(row["onset"]) <= int(row["apex"]) <= int(row["offset"])
        assert row["stand_in"] == "True"
        how = [row[name] for name in ("uses_truth", "start", "cut", "stop")]
        assert how == ["start", "apex", "whole", "unchanged"]
        assert (int(row["first_looked"]), int(row["last_looked"])) == (1, COUNT)


def test_what_mecia_has_to_beat_is_measured_on_the_same_clips_and_frames(done: Done) -> None:
    methods = ["halfway, no pixel seen", "pixel difference", "flow threshold"]
    rows = rows_of(done.out / "baselines.csv")
    assert [row["method"] for row in rows] == [method for method in methods for _ in EMOTIONS]
    assert {row["frame"] for row in rows} == {"9"}
    halfway = [float(row["iou"]) for row in rows if row["method"] == methods[0]]
    # frame 9 of 1 to 18: 5 to 13, 9 frames, 7 of them true
    assert halfway == pytest.approx([7 / 9] * 3, abs=1e-6)
    figures = json.loads((done.out / "results.json").read_text())["figures"]
    assert figures[methods[0]]["iou"]["median"] == pytest.approx(7 / 9)
    assert figures[methods[0]]["onset_ms"]["mean"] == pytest.approx(1000 / 30)
    less = figures["MECIA A"]["iou_less_halfway"]["mean"]
    assert less == pytest.approx(figures["MECIA A"]["iou"]["mean"] - 7 / 9)
    assert any(name.startswith("random, our formula for the paper's floors") for name in figures)
    chance = figures["random, mean of all intervals"]["iou"]
    assert (chance["clips"], chance["people"]) == (3, 3)


def test_moved_lips_and_brows_are_found_by_their_flow(done: Done) -> None:
    flown = [row for row in rows_of(done.out / "baselines.csv") if row["method"].startswith("flow")]
    assert all(float(row["iou"]) >= 0.4 for row in flown)  # half strength or more: 8 to 10 of 7


def test_what_else_a_stand_in_shows_is_marked_within_the_frames_that_are_looked_at(
    tmp_path: Path,
) -> None:
    film_ = Pictures(
        "film", tmp_path / "film", {number: f"{number}.png" for number in range(1, 50)}
    )
    cut = Cut(clip(11, 17, of=film_), tuple(range(5, 25)))
    assert happening(cut) == []
    (tmp_path / MARK).write_text("drawn for a test")
    shown = [Event("blink", 1, 2, 4), Event("head", 3, 5, 6), Event("micro", 11, 14, 17),
             Event("mouth", 24, 26, 30), Event("blink", 25, 26, 30)]  # fmt: skip
    write_events(tmp_path, {"film": shown, "other": [Event("blink", 10, 11, 12)]})
    assert happening(cut) == [("head", 0, 1), ("mouth", 19, 19)]
    lone = Clip(Origin("", "", "film"), film_, None, None, None, "", None, fps=30)
    shown = [Event("blink", 10, 11, 12)]
    write_events(tmp_path, {"film": shown, "other": shown, "lm": [Event("head", 8, 9, 10)]})
    assert happening(Cut(lone, tuple(range(5, 25)))) == [("blink", 5, 7)]


def test_all_that_is_written_says_that_it_is_of_a_stand_in(done: Done) -> None:
    report = (done.out / "report.md").read_text()
    assert report.startswith(f"# {STAND_IN}")
    results = json.loads((done.out / "results.json").read_text())
    assert results["stand_in"] is True and done.stand_in
    assert results["clips"] == 3 and results["size"] == 32 and results["published_size"] == 224
    assert (results["network"], results["backbone"], results["cut_frames"]) == ("Tiny", None, None)
    assert (
        0 <= results["saturated"]["A"] <= 1
        and "errors of the apex are large for that reason" in report
    )
    pictures = results["pictures"]
    assert len(pictures) == 6 and all(path in report for path in pictures)
    for path in pictures:
        with Image.open(done.out / path) as picture:
            assert picture.format == "PNG"


def test_clips_are_handed_on_with_the_key_frames_of_the_last_set_of_modules(done: Done) -> None:
    clips = done.clips()
    last = [found.numbers for found in done.found if found.method == "MECIA A+I+C"]
    assert [(one.onset, one.apex, one.offset) for one in clips] == last
    assert [one.emotion for one in clips] == list(EMOTIONS.values())
    rows = rows_of(done.out / "sheet" / "clips.csv")
    assert [tuple(int(row[name]) for name in ("onset", "apex", "offset")) for row in rows] == last
    assert all("STAND-IN" in row["coded by mie-x"] for row in rows)
    assert all(one.stand_in for one in clips)


def test_a_call_that_is_made_again_goes_on_from_what_is_there(done: Done, root: Path) -> None:
    def times() -> dict[str, int]:
        kept = [*(done.out / "views").iterdir(), *(done.out / "state").iterdir()]
        return {path.name: path.stat().st_mtime_ns for path in kept}

    def told() -> dict[str, Any]:
        results: dict[str, Any] = json.loads((done.out / "results.json").read_text())
        return results

    before, learned = times(), told()["rounds"]
    assert len(before) == 3 * 2 + 2
    again = run(root, done.out, modules=["A", "A+I+C"], flow="tvl1", export="clips")
    assert times() == before
    assert told()["rounds"] == learned
    spent = sum(row["seconds"] for row in learned["A"])
    assert told()["seconds"]["A"] == pytest.approx(spent, abs=1e-9) and spent > 0
    assert [one.numbers for one in again.found] == [one.numbers for one in done.found]
    with pytest.raises(ValueError, match="state of another computation"):
        run(root, done.out, modules=["A"], flow="tvl1", seed=1)


NAME = "=" + 300 * "x"  # longer than a file's can be, and what a spreadsheet would run


def test_onset_offset_and_emotion_as_coded_change_nothing_that_is_inferred(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "frames", tmp_path / "own" / "frames")
    rows = [[row[0], NAME, row[2], 3, APEX, 16, 30, row[7]] for row in ROWS]
    write_table(tmp_path / "own", rows)
    told = [
        run(place, tmp_path / place.name, modules=["A+C"]) for place in (root, tmp_path / "own")
    ]
    assert [one.numbers for one in told[0].found] == [one.numbers for one in told[1].found]
    assert [one.iou for one in told[0].found] != [one.iou for one in told[1].found]
    assert {row["clip"] for row in rows_of(told[1].out / "keyframes.csv")} == {f"'{NAME}"}
    assert len(list((told[1].out / "pictures").rglob("*.png"))) == 3
    assert told[0].stand_in and not told[1].stand_in
    assert STAND_IN not in (told[1].out / "report.md").read_text()


def test_what_the_truth_has_decided_is_told_everywhere(root: Path, tmp_path: Path) -> None:
    told = run(root, tmp_path, stop="truth", cut="centred", modules=["A"], export="clips")
    report = (tmp_path / "report.md").read_text()
    assert STOPS["truth"] in report and "where clips are cut, when rounds end" in report
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["uses_truth"] == ["start", "cut", "stop"] and results["cut_frames"] == 14
    rows = {name: rows_of(tmp_path / f"{name}.csv") for name in ("keyframes", "baselines")}
    assert {(row["uses_truth"], row["stop"]) for row in rows["keyframes"]} == {
        ("start+cut+stop", "truth")
    }
    assert {(row["uses_truth"], row["stop"]) for row in rows["baselines"]} == {("start+cut", "")}
    # 7 frames from 6, 3 of 14 before them
    assert {(row["first_looked"], row["last_looked"]) for row in rows["keyframes"]} == {("3", "16")}
    for row in rows_of(tmp_path / "sheet" / "clips.csv"):
        assert "start apex, cut centred, stop truth" in row["coded by mie-x"]
        assert "emotion, class and AUs as the collection has them" in row["coded by mie-x"]
    assert len(told.found) == 3


def test_files_of_an_earlier_call_go_and_those_of_others_stay(root: Path, tmp_path: Path) -> None:
    place, out = tmp_path / "own", tmp_path / "out"
    shutil.copytree(root, place)
    write_events(place, {f"frames/{who}": [Event("blink", 3, 4, 5)] for who in EMOTIONS})
    run(place, out, modules=["A", "A+C"], export="clips")
    first = set(json.loads((out / "results.json").read_text())["pictures"])
    (out / "pictures" / "mine.png").touch()
    (out / "sheet" / "mine.csv").touch()
    (place / "STAND-IN.csv").write_text("video,what,first,apex,last\nframes/01,blink,a,b,c\n")
    run(place, out, modules=["A"])
    results = json.loads((out / "results.json").read_text())
    assert "STAND-IN.csv: row 2" in results["odd"]["clips/s01/c"][0]
    kept = {path.relative_to(out).as_posix() for path in (out / "pictures").rglob("*.png")}
    assert kept == {*results["pictures"], "pictures/mine.png"}
    assert set(results["pictures"]) < first
    assert [path.name for path in (out / "sheet").iterdir()] == ["mine.csv"]


def test_what_a_sheet_cannot_hold_is_refused_before_anything_is_learned(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "frames" / "01", tmp_path / "'01")
    write_table(tmp_path, [["s01", "c", "./'01", ONSET, APEX, OFFSET, 30, "fear"]])
    with pytest.raises(ValueError, match=r"clips/s01/c: .* no text that a cell can hold"):
        run(tmp_path, tmp_path / "out", modules=["A"], export="clips")
    assert not (tmp_path / "out" / "state").exists()


def test_where_all_clips_are_of_one_category_there_is_nothing_to_identify(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "frames", tmp_path / "frames")
    write_table(tmp_path, [[*row[:7], "tense"] for row in ROWS])
    for modules in (None, ["A", "A+I"]):
        with pytest.raises(ValueError, match=r"one category, .* give the modules A or A\+C"):
            run(tmp_path, tmp_path / "out", modules=modules)
    assert not (tmp_path / "out").exists()


def test_clips_that_cannot_be_seen_or_used_are_told_and_the_others_go_on(
    root: Path, tmp_path: Path
) -> None:
    place = tmp_path / "own"
    shutil.copytree(root / "frames", place / "frames")
    shutil.copytree(place / "frames" / "03", place / "frames" / "04")
    Image.new("RGB", (160, 160), (90, 90, 90)).save(place / "frames" / "02" / "001.png")
    (place / "frames" / "03" / f"{APEX:03d}.png").write_bytes(b"no picture")
    write_table(place, [*ROWS, ["s04", "c", "frames/04", ONSET, "", OFFSET, 30, "fear"]])
    told = run(place, tmp_path / "out", modules=["A"])
    assert [found.cut.key for found in told.found] == ["clips/s01/c"]
    (no_face, no_picture) = told.failed
    assert no_face.key == "clips/s02/c" and "no face" in no_face.reason
    assert no_picture.key == "clips/s03/c" and "009.png" in no_picture.reason
    assert told.left_out == (("clips/s04/c", "nobody coded its apex"),)
    report = (tmp_path / "out" / "report.md").read_text()
    assert "## 2 not seen" in report and "## 1 left out" in report and "no face" in report
    every = run(place, tmp_path / "inside", modules=["A"], start="inside")
    assert [found.cut.key for found in every.found] == ["clips/s01/c", "clips/s04/c"]
    assert ", n 1 |" in (tmp_path / "inside" / "report.md").read_text()  # one apex is coded


def test_a_frame_that_vanishes_and_a_damaged_view_cost_their_clip_alone(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "frames", tmp_path / "frames")
    found = [of_path(tmp_path / "frames" / who, frame=9, first=None, last=None, fps=30)
             for who in EMOTIONS]  # fmt: skip
    look, store = Look(32, MARGIN, None), tmp_path / "views"
    seen, failed = seen_all(found, look, store, workers=1, progress=None)
    assert (len(seen), failed) == (3, [])
    kept, _ = look.paths(found[1], store)
    kept.write_bytes(kept.read_bytes()[:100])
    (tmp_path / "frames" / "03" / "004.png").unlink()
    seen, (damaged, gone) = seen_all(found, look, store, workers=1, progress=None)
    assert [cut.key for cut, _ in seen] == ["01"]
    assert damaged.key == "02" and f"{kept}: damaged" in damaged.reason
    assert gone.key == "03" and "004.png" in gone.reason


def test_one_clip_needs_a_frame_and_tells_no_score(root: Path, tmp_path: Path) -> None:
    told = keyframes(
        root / "frames" / "01", tmp_path, frame=8, first=2, last=15, fps=30, seed=0, size=32,
        epochs=Epochs(20, 5), build=Tiny,
    )  # fmt: skip
    (found,) = told.found
    assert found.method == "MECIA A+C" and found.cut.numbers == tuple(range(2, 16))
    assert 2 < found.numbers[0] <= 8 <= found.numbers[2] < 15
    assert not told.figures and not (tmp_path / "baselines.csv").exists()
    (row,) = rows_of(tmp_path / "keyframes.csv")
    assert (row["frame"], row["true_onset"], row["iou"]) == ("8", "", "")
    assert told.stand_in and STAND_IN in (tmp_path / "report.md").read_text()
    (one,) = told.clips()
    assert (one.onset, one.apex, one.offset) == found.numbers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": None}, "give --frame"),
        ({"frame": 1}, "no frame 1 between the first and last .* 1 and 18"),
        ({"frame": 40}, "no frame 40"),
        ({"frame": 8, "last": 8}, "no frame 8 between .* 1 and 8"),
        ({"frame": 8, "fps": None}, "frames a second are not told"),
        ({"frame": 8, "modules": ["A+I"]}, "one category"),
        ({"frame": 8, "stop": "truth"}, "nobody knows its truth"),
        ({"frame": 8, "modules": ["B"]}, "modules 'B': choose from A, A[+]I"),
        ({"frame": 8, "start": "end"}, "start 'end': choose from third"),
        ({"frame": 8, "export": "clips"}, "export 'clips': choose from nothing here"),
    ],
)
def test_what_cannot_be_inferred_of_one_clip_is_told(
    root: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {"fps": 30, "seed": 0, "build": Tiny}
    with pytest.raises(ValueError, match=message):
        keyframes(root / "frames" / "01", tmp_path / "out", **(given | options))
    assert not (tmp_path / "out").exists()


def test_a_collection_without_any_clip_to_use_tells_the_first_reason(
    root: Path, tmp_path: Path
) -> None:
    shutil.copytree(root / "frames", tmp_path / "frames")
    write_table(tmp_path, [[*row[:3], 1, APEX, COUNT, 30, "fear"] for row in ROWS])
    with pytest.raises(ValueError, match="clips/s01/c: no neutral frame before its onset"):
        run(tmp_path, tmp_path / "out")
    with pytest.raises(ValueError, match="--frame, --first and --last are of one clip"):
        run(tmp_path, tmp_path / "out", frame=3)
