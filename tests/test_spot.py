"""Spotting end to end: nobody is spotted by what learned from them, and what is told is so."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mie_x.datasets import casme_sq, standin
from mie_x.folds import Person
from mie_x.intervals import Interval
from mie_x.records import LABELS, Frames
from mie_x.report import STAND_IN
from mie_x.whole import safe
from pipelines.courses import Look, course
from pipelines.examples import LeftOut
from pipelines.predict import predict
from pipelines.recordings import Recording, of_collection
from pipelines.spot import known_events, leave_one_out, refuse_known, spot
from pipelines.spotted import (
    Done,
    Found,
    How,
    Scored,
    Spotted,
    assess,
    at_random,
    everywhere,
    mistaken,
)
from pipelines.spotters import (
    PLACES,
    Lesson,
    Said,
    Watched,
    ask,
    frames_to_learn,
    half_at,
    named_only,
    teach,
    train,
    usual_half,
)
from recognizers import weights
from recognizers.training import Fitted
from recognizers.weights import Spotter

FPS, STEP = 30.0, 3
NEGATIVE, POSITIVE = LABELS["negative"], LABELS["positive"]


@dataclass(frozen=True)
class Dark:
    """Footage that nobody looks at: frames numbered from 11 on."""

    name: str
    count: int

    @property
    def numbers(self) -> range:
        return range(11, 11 + self.count)

    @property
    def names(self) -> Sequence[str]:
        return ()

    def frame(self, number: int) -> Frames:
        raise NotImplementedError

    def frames(self, numbers: Sequence[int]) -> Any:
        raise NotImplementedError


def recording(
    subject: str, truths: Sequence[Interval], *, count: int = 150, **options: Any
) -> Recording:
    footage = Dark(f"{subject}_1", count)
    given: dict[str, Any] = {"fps": FPS} | options
    return Recording(
        f"planted/{subject}_1", Person("planted", subject), footage, footage.numbers,
        truths=tuple(truths), **given,
    )  # fmt: skip


def watched(
    subject: str, truths: Sequence[Interval], *, seed: int = 0, count: int = 150, **options: Any
) -> Watched:
    """A recording whose maps show its expressions: of one class above, of the other below."""
    rng = np.random.default_rng([seed, *subject.encode()])
    one = recording(subject, truths, count=count, **options)
    maps = rng.uniform(0.4, 0.6, (count - STEP, 3, 42, 42)).astype(np.float16)
    strength = rng.uniform(0, 0.2, count - STEP).astype(np.float32)
    pairs = rng.uniform(0.4, 0.6, (len(truths), 3, 42, 42)).astype(np.float32)
    for number, truth in enumerate(truths):
        part = slice(0, 21) if truth.label == NEGATIVE else slice(21, 42)
        maps[truth.first : truth.last + 1, :, part] += 0.4
        pairs[number, :, part] += 0.4
        strength[truth.first : truth.last + 1] += 1
    seen = np.ones(count - STEP, bool)
    labels = np.array([0 if truth.label == NEGATIVE else 1 for truth in truths], np.int64)
    own = Lesson(one.subject, one.fps, maps, seen, one.truths, pairs, labels)
    return Watched(one, own, STEP, strength, "planted")


def expression(first: int, label: int, *, length: int = 12) -> Interval:
    return Interval(first, first + length - 1, label=label, apex=first + length // 2)


def planted() -> list[Watched]:
    return [
        watched("s1", [expression(40, NEGATIVE), expression(100, POSITIVE)]),
        watched("s2", [expression(60, POSITIVE), expression(110, NEGATIVE)]),
        watched("s3", [expression(30, NEGATIVE), expression(90, POSITIVE)]),
    ]


CLASSES = ("negative", "positive")
CODE = How(smoothing="code", bounds="code")
SETTINGS: dict[str, Any] = {
    "what": ["planted"],
    "protocol": "leave one subject out",
    "kind": "micro",
    "way": "offline",
    "trained_stand_in": None,
}


def scored_by_others(
    given: Sequence[Watched], out: Path, *, epochs: tuple[int, int] = (1, 1), seeds: int = 1
) -> dict[str, list[Scored]]:
    """Each subject's videos as networks of the others score them."""
    (out / "cells").mkdir(parents=True, exist_ok=True)
    made, lost, _ = leave_one_out(
        given, out, classes=CLASSES, recipe="code", epochs=epochs, seeds=range(seeds), workers=1,
        device="cpu",
    )  # fmt: skip
    assert not lost
    found: dict[str, list[Scored]] = {}
    for answered in made:
        for one in answered.scored:
            found.setdefault(one.recording.subject.subject, []).append(one)
    return found


def assessed(
    out: Path, scored: Sequence[Scored], given: Sequence[Recording] | None = None, **options: Any
) -> Done:
    own: dict[str, Any] = {
        "settings": SETTINGS, "classes": (), "how": CODE, "marks": {}, "remarks": [],
        "left_out": [], "failed": [],
    }  # fmt: skip
    out.mkdir(exist_ok=True)
    return assess(out, scored, given or [one.recording for one in scored], **own | options)


def bumps(
    subject: str, places: Sequence[int], truths: Sequence[Interval] = (), **options: Any
) -> Scored:
    """A video whose scores stand out at PLACES, k' 6."""
    one = recording(subject, truths, **options)
    scores = np.zeros(len(one.numbers) - STEP, np.float32)
    scores[list(places)] = 1
    said = Said(scores, np.zeros(len(scores), np.int8))
    return Scored(one, 0, 6, STEP, said, scores)


# -- leave one subject out -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Scored]]:
    """Three people, each scored by what learned enough from the two others: do not touch."""
    out = tmp_path_factory.mktemp("learned")
    found = scored_by_others(planted(), out, epochs=(5, 10))
    return out, [one for own in found.values() for one in own]


def test_what_is_plain_to_see_is_found_and_named_by_networks_of_others(
    learned: tuple[Path, list[Scored]],
) -> None:
    out, scored = learned
    done = assessed(out, scored, classes=CLASSES)
    mean, flow, random, tiles = done.results["scores"]
    assert (mean["TP"], mean["FP"], mean["FN"], mean["F1"]) == (6, 0, 0, 1)
    assert mean["confusion"] == [[3, 0], [0, 3]]
    assert mean["STRS"] == 1
    # The planted flow is longer there, too: what learned nothing finds it as well, and is told.
    assert (flow["what"], flow["F1"]) == ("flow length", 1)
    assert (random["what"], random["F1"] < 0.4) == ("at random", True)
    assert (tiles["what"], tiles["F1"] < 0.4) == ("everywhere", True)
    assert {one.scored.half for one in done.spotted} == {6}


def test_no_score_of_a_video_hangs_on_what_is_told_or_seen_of_its_person(tmp_path: Path) -> None:
    before = scored_by_others(planted(), tmp_path / "before")
    others = planted()[1:]
    long = [expression(20, POSITIVE, length=40), expression(80, POSITIVE, length=40)]
    told = watched("s1", long)
    same = planted()[0]  # what is seen stays, or nobody could compare scores
    lesson = dataclasses.replace(told.lesson, maps=same.lesson.maps)
    after = scored_by_others(
        [dataclasses.replace(told, lesson=lesson), *others], tmp_path / "after"
    )
    (one,), (other,) = before["s1"], after["s1"]
    assert one.said.scores.tobytes() == other.said.scores.tobytes()
    assert one.said.classes.tobytes() == other.said.classes.tobytes()
    assert one.half == other.half == 6
    # While the others learned from somebody else: lengths 12, 12, 40, 40.
    assert [own[0].half for own in after.values()] == [6, 13, 13]
    assert before["s2"][0].said.scores.tobytes() != after["s2"][0].said.scores.tobytes()


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    given = planted()
    whole = scored_by_others(given, tmp_path, seeds=2)
    assessed(tmp_path / "whole", [one for own in whole.values() for one in own], classes=CLASSES)
    cells = sorted((tmp_path / "cells").iterdir())
    assert [path.suffix for path in cells] == [".npz"] * 6
    cells[2].unlink()
    written = {path: path.stat().st_mtime_ns for path in cells if path != cells[2]}
    again = scored_by_others(given, tmp_path, seeds=2)
    assessed(tmp_path / "again", [one for own in again.values() for one in own], classes=CLASSES)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    for name in ("intervals.csv", "results.json", "report.md"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_person_without_anybody_to_learn_from_is_told_of_and_counts_as_missed(
    tmp_path: Path,
) -> None:
    (tmp_path / "cells").mkdir()
    given = [planted()[0], watched("s2", [])]
    made, lost, _ = leave_one_out(
        given, tmp_path, classes=CLASSES, recipe="code", epochs=(1, 1), seeds=[0], workers=1,
        device="cpu",
    )  # fmt: skip
    assert [one.key for one in lost] == ["planted/s1_1"]
    assert "without planted/s1, no expression of this kind" in lost[0].reason
    scored = [one for answered in made for one in answered.scored]
    done = assessed(tmp_path, scored, [one.recording for one in given], failed=lost)
    assert done.results["scores"][0]["FN"] == 2
    assert any("the 2 micro-expressions in them count as missed" in r for r in
               done.results["remarks"])  # fmt: skip
    assert [one["key"] for one in done.results["failed"]] == ["planted/s1_1"]


def test_one_person_in_two_spellings_is_refused(tmp_path: Path) -> None:
    two = [*planted(), watched("S01", [expression(40, NEGATIVE)])]
    with pytest.raises(ValueError, match="planted/S01 and planted/s1 look like one person"):
        scored_by_others(two, tmp_path)


# -- learning ------------------------------------------------------------------------------------


def test_frames_without_a_face_teach_nothing() -> None:
    one = watched("s1", [expression(40, NEGATIVE)], count=100).lesson
    seen = one.seen.copy()
    seen[30:45] = False
    places, labels = frames_to_learn([dataclasses.replace(one, seen=seen)])
    # k' 6: the windows [i, i + 5] of frames 35 to 51 meet 40 to 51; 45 to 51 were seen.
    assert len(places) == 97 - 15
    assert places[labels == 1, 1].tolist() == list(range(45, 52))
    with pytest.raises(ValueError, match="no frame of an expression shows a face"):
        frames_to_learn([dataclasses.replace(one, seen=np.zeros(97, bool))])


def test_half_a_length_is_as_many_seconds_at_another_rate() -> None:
    slow = watched("s1", [expression(40, NEGATIVE), expression(80, NEGATIVE)]).lesson
    fast = dataclasses.replace(slow, fps=200.0, truths=(Interval(100, 199),))
    # 12, 12 and 100 frames at 200 a second, which are 15 at 30: mean 13, half 6.
    assert usual_half([slow, fast]) == (6, 30.0)
    assert half_at(6, 30.0, 200.0) == 40
    assert half_at(1, 200.0, 10.0) == 1


def test_a_single_emotion_is_spotted_and_none_is_told() -> None:
    lesson = watched("s1", [expression(40, NEGATIVE), expression(80, NEGATIVE)]).lesson
    taught = teach([lesson], classes=CLASSES, recipe="code", seed=0, epochs=(1, 1))
    assert (taught.recognizes, taught.shown, taught.half) == (False, (2, 0), 6)
    assert taught.fitted.classes == PLACES
    assert (taught.positives, taught.negatives) == (34, 113)  # of 5 x 34 there are 113
    seen = lesson.seen.copy()
    seen[[0, 50]] = False
    said = ask(taught.fitted, lesson.maps, seen, recognizes=False)
    assert np.flatnonzero(np.isnan(said.scores)).tolist() == [0, 50]
    assert (said.classes == -1).all()
    # Every frame is learned from, so that the draw of frames is not what sets seeds apart.
    other = teach([lesson], classes=CLASSES, recipe="code", seed=1, epochs=(1, 1))
    mine = ask(other.fitted, lesson.maps, seen, recognizes=False)
    assert not np.isclose(mine.scores, said.scores, atol=1e-6).all()


# -- weights -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    lesson = planted()[0].lesson
    return teach([lesson], classes=CLASSES, recipe="code", seed=0, epochs=(1, 1)).fitted


SPOTTER = Spotter(
    people=(Person("samm", "006"), Person("samm", "007")),
    half=37,
    fps=200.0,
    kind="micro",
    recipe="paper",
    epochs=(200, 800),
    face_every=None,
    recognizes=True,
)


def saved(path: Path, fitted: Fitted, spotter: Spotter) -> Path:
    weights.save(path, fitted, trained_on="samm-lv", stand_in=False, flow="tvl1", spotter=spotter)
    return path


def test_weights_tell_how_they_spot(tmp_path: Path, fitted: Fitted) -> None:
    assert weights.load(saved(tmp_path / "w", fitted, SPOTTER)).spotter == SPOTTER
    weights.save(tmp_path / "v", fitted, trained_on="", stand_in=False)
    assert weights.load(tmp_path / "v").spotter is None


def test_who_learned_no_emotions_is_not_asked_for_one(tmp_path: Path, fitted: Fitted) -> None:
    path = saved(tmp_path / "w", fitted, replace(SPOTTER, recognizes=False))
    with pytest.raises(ValueError, match="w: learned to spot and not to tell emotions"):
        predict(path, [tmp_path], onset=None, apex=None, flow=None, picture=None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": ()},
        {"half": 0},
        {"half": 3.5},
        {"fps": float("nan")},
        {"kind": "small"},
        {"recipe": "mine"},
        {"epochs": (1,)},
        {"face_every": -1.0},
        {"recognizes": 1},
        {"people": (("samm", 6),)},
    ],
)
def test_weights_that_tell_nonsense_of_it_are_refused(
    tmp_path: Path, fitted: Fitted, wrong: dict[str, Any]
) -> None:
    path = saved(tmp_path / "w", fitted, dataclasses.replace(SPOTTER, **wrong))
    with pytest.raises(ValueError, match="what it says of how it spots is not true"):
        weights.load(path)


@pytest.mark.parametrize("who", [("samm", "006"), ("samm-lv", "6"), ("SAMM", "007")])
def test_whom_weights_know_they_do_not_spot(
    tmp_path: Path, fitted: Fitted, who: tuple[str, str]
) -> None:
    loaded = weights.load(saved(tmp_path / "w", fitted, SPOTTER))
    known = dataclasses.replace(recording("x", []), subject=Person(*who))
    with pytest.raises(ValueError, match=r"planted/x_1: these weights have learned from samm/00"):
        refuse_known(loaded, [recording("s1", []), known])


def test_whether_collections_share_people_is_said_where_nobody_knows(
    tmp_path: Path, fitted: Fitted
) -> None:
    loaded = weights.load(saved(tmp_path / "w", fitted, SPOTTER))
    other = dataclasses.replace(recording("x", []), subject=Person("samm", "011"))
    assert refuse_known(loaded, [other]) == []
    (remark,) = refuse_known(loaded, [recording("s1", [])])
    assert "whether anybody of planted was filmed for samm, too, is not known" in remark
    (remark,) = refuse_known(loaded, [recording("s1", [], told=False)])
    assert remark.startswith("Who is seen here is not known")


# -- what it is worth ----------------------------------------------------------------------------


def test_scores_are_of_all_videos_and_worked_out_by_hand(tmp_path: Path) -> None:
    truth = expression(40, NEGATIVE)  # 40 to 51; a bump at 46 is 40 to 52 in the code's bounds
    scored = [
        bumps("s1", [46, 100], [truth, Interval(90, 110, kind="macro")]),
        bumps("s2", [30], [expression(90, POSITIVE)]),
        bumps("s3", [70]),
    ]
    done = assessed(tmp_path, scored)
    row = done.results["scores"][0]
    assert (row["TP"], row["FP"], row["FN"]) == (1, 3, 1)
    assert (row["precision"], row["recall"]) == (0.25, 0.5)
    assert row["F1"] == pytest.approx(2 / 6)
    assert "STRS" not in row  # nobody told an emotion
    assert (done.results["online"], done.results["delay_seconds"]) == (False, None)


def test_a_false_one_is_called_after_what_most_of_it_shows() -> None:
    macro = Interval(100, 130, kind="macro")
    one = bumps("s1", [], [expression(40, NEGATIVE), macro])
    found = [Interval(10, 20), Interval(50, 60), Interval(95, 105), Interval(38, 49),
             Interval(140, 146)]  # fmt: skip
    spotted = Spotted(one, tuple(Found(f, 0.0) for f in found), (False, False, False, True, False))
    marks = {"planted/s1_1": [("blink", 0, 12), ("head", 14, 40)]}
    # 3 frames of a blink and 7 of a head; 2 of the micro-expression; 6 of 11 of the macro.
    assert mistaken([spotted], marks, "micro") == {
        "head": 1,
        "micro-expression, met by less than half, or again": 1,
        "macro-expression": 1,
        "nothing known": 1,
    }


def test_intervals_everywhere_cover_each_frame_once() -> None:
    tiles = list(everywhere(bumps("s1", [], count=100), kind="macro"))
    assert [tile.first for tile in tiles] == list(range(0, 100, 12))
    assert [frame for tile in tiles for frame in range(tile.first, tile.last + 1)] == [*range(100)]
    assert {tile.kind for tile in tiles} == {"macro"}


def test_what_is_put_anywhere_is_as_long_as_what_is_found() -> None:
    longest = next(iter(everywhere(bumps("s1", [], count=100), kind="micro", bounds="code")))
    assert longest.length == 13  # 6 frames to either side of a peak, and itself


def test_intervals_at_random_hit_as_often_as_there_is_room() -> None:
    # 12 of 24 frames, the true ones 6 to 17: IoU is .5 from 8 shared frames on, so that 9 of the 13
    # places, 2 to 10, hit; one found and one true, so that F1 is 1 or 0.
    truth = Interval(6, 17)
    one = bumps("s1", [], [truth], count=24)
    spotted = Spotted(one, (Found(truth, 0.0),), (True,))
    told = at_random([spotted], kind="micro", seed=0, draws=2000)
    assert told["F1"] == told["recall"] == pytest.approx(9 / 13, abs=0.03)
    assert told == at_random([spotted], kind="micro", seed=0, draws=2000)


def test_each_stretch_with_a_face_is_spotted_by_itself_and_drawn(tmp_path: Path) -> None:
    one = bumps("s1", [46, 100], [expression(40, NEGATIVE)])
    one.said.scores[60:90] = np.nan
    done = assessed(tmp_path, [one])
    assert [found.interval.apex for found in done.spotted[0].found] == [46, 100]
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["planted+s1_1.png"]


def test_a_video_too_short_to_be_smoothed_fails_and_the_rest_goes_on(tmp_path: Path) -> None:
    short = bumps("s2", [5], [Interval(2, 8)], count=12)
    done = assessed(tmp_path, [bumps("s1", [46], [expression(40, NEGATIVE)]), short], how=How())
    assert [one.key for one in done.failed] == ["planted/s2_1"]
    assert "fewer than 13 scores" in done.failed[0].reason
    row = done.results["scores"][0]
    assert (row["TP"], row["FN"]) == (1, 1)


def test_short_videos_are_scored_by_their_apexes(tmp_path: Path) -> None:
    scored = [bumps("s1", [46], [expression(40, NEGATIVE)]), bumps("s2", [9], [Interval(60, 70)])]
    how = dataclasses.replace(CODE, way="highest")
    done = assessed(tmp_path, scored, how=how, settings=SETTINGS | {"way": "highest"})
    ((seed, apexes),) = [(one["seed"], one["apexes"]) for one in done.results["apexes"]]
    # A level top of 12 frames, 41 to 52, whose first is the peak, 5 from the apex at 46; nobody
    # coded the second's apex, so that it has no part in this.
    assert (seed, apexes["videos"], apexes["rate"], apexes["frames"]) == (0, 1, 1, 5)
    assert [clip.origin.clip for clip in done.clips(0)] == ["s1_1", "s2_1"]


def test_online_tells_how_late_it_is(tmp_path: Path) -> None:
    how = dataclasses.replace(CODE, way="online")
    done = assessed(tmp_path, [bumps("s1", [46], [expression(40, NEGATIVE)])], how=how)
    # (2 x 6 + 3) frames at 30 a second.
    assert (done.results["online"], done.results["delay_seconds"]) == (True, 0.5)
    assert "0.50 s after it at the latest" in (tmp_path / "report.md").read_text()


# -- what is written -----------------------------------------------------------------------------


def table(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# ")]
    return list(csv.DictReader(lines))


def test_intervals_have_the_frame_numbers_of_the_footage(tmp_path: Path) -> None:
    done = assessed(tmp_path, [bumps("s1", [46, 100], [expression(40, NEGATIVE)])], classes=CLASSES)
    first, second = table(tmp_path / "intervals.csv")
    (one, _), (other, _) = done.spotted[0].found
    assert (one.first, one.last, other.first) == (40, 52, 94)
    assert (first["first"], first["apex"], first["last"]) == ("51", "57", "63")  # from 11 on
    assert (first["first_seconds"], first["apex_seconds"]) == ("1.333", "1.533")
    assert (first["class"], first["right"], second["right"]) == ("negative", "1", "0")
    clips = done.clips(0)
    assert [(clip.onset, clip.apex, clip.offset) for clip in clips] == [
        (51, 57, 63),
        (105, 111, 117),
    ]
    assert [clip.origin.clip for clip in clips] == ["s1_1_1", "s1_1_2"]
    assert [(clip.emotion, clip.label) for clip in clips] == [("negative", NEGATIVE)] * 2


def test_a_stand_in_says_so_everywhere(tmp_path: Path) -> None:
    one = bumps("s1", [46], [expression(40, NEGATIVE)], stand_in=True)
    done = assessed(tmp_path, [one])
    assert done.results["stand_in"] is True
    assert all(clip.stand_in for clip in done.clips(0))
    assert json.loads((tmp_path / "results.json").read_text())["stand_in"] is True
    for name in ("report.md", "intervals.csv"):
        assert STAND_IN in (tmp_path / name).read_text()


def test_what_nobody_coded_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    done = assessed(tmp_path, [bumps("s1", [46], told=False)])
    (row,) = table(tmp_path / "intervals.csv")
    assert (row["right"], row["corpus"], row["subject"]) == ("", "", "")
    assert done.results["scores"] == []
    assert "not known" in (tmp_path / "report.md").read_text()


def test_pictures_of_an_earlier_call_go_and_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine.png").touch()
    for subject in ("s1", "s2"):
        assessed(tmp_path, [bumps(subject, [60])])
        names = {path.name for path in (tmp_path / "pictures").iterdir()}
        assert names == {"mine.png", f"planted+{subject}_1.png"}


def test_what_is_odd_about_a_video_is_in_the_report(tmp_path: Path) -> None:
    one = replace(bumps("s1", [60], odd=("2 frames are missing",)), odd=("two faces",))
    done = assessed(tmp_path, [one])
    report = (tmp_path / "report.md").read_text()
    assert "planted/s1_1: 2 frames are missing\n" in report
    assert "planted/s1_1: two faces\n" in report
    assert done.odd == [("planted/s1_1", "2 frames are missing"), ("planted/s1_1", "two faces")]


def test_names_from_outside_do_nothing(tmp_path: Path) -> None:
    name = "=cmd()|<b>/../.."
    one = bumps("s1", [46], told=False)
    bad = dataclasses.replace(one, recording=dataclasses.replace(one.recording, name=name))
    assessed(tmp_path, [bad], failed=[LeftOut(name, "![x](y)")])
    assert table(tmp_path / "intervals.csv")[0]["video"] == f"'{name}"
    (picture,) = (tmp_path / "pictures").iterdir()
    assert set(picture.stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789_+-.")
    assert "<b>" not in (tmp_path / "report.md").read_text()
    assert len({safe(name) for name in ("a/b", "a+b", "a_b", "a b", ".a", "a" * 99, "a" * 98)}) == 7


def test_collections_and_videos_are_not_spotted_together() -> None:
    assert named_only(["a.mp4", "b.mp4"]) is None
    assert named_only(["samm-lv=/x"]) == ("samm-lv", Path("/x"))
    with pytest.raises(ValueError, match="one collection"):
        named_only(["samm-lv=/x", "b.mp4"])
    with pytest.raises(ValueError, match="nothing to look at"):
        named_only([])


# -- end to end ----------------------------------------------------------------------------------

QUICK = Look("farneback")


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people of a stand-in of CAS(ME)^2 who live while they are filmed: do not touch."""
    root = tmp_path_factory.mktemp("casme-sq")
    casme_sq.write_standin(root, subjects=2, clips=5, seed=3, rest=1.0)
    return root


@pytest.mark.slow
def test_a_collection_is_spotted_leaving_everybody_out_and_then_its_weights_know_them(
    filmed: Path, tmp_path: Path
) -> None:
    what, store = f"casme-sq={filmed}", tmp_path / "store"
    short: dict[str, Any] = {"recipe": "code", "epochs": (1, 1), "look": QUICK, "store": store}
    whole = "Videos that are not in the sheet, as those without any expression, were not looked at."
    out = tmp_path / "out"
    done = spot([what], out, weights=None, seeds=1, export="casme-sq", **short)
    assert not done.failed
    assert whole in done.results["remarks"]
    assert {one.scored.recording.subject.subject for one in done.spotted} == {"s15", "s16"}
    assert done.results["stand_in"] is True
    true = sum(clip.kind == "micro" for clip in casme_sq.read(filmed))
    assert {row["TP"] + row["FN"] for row in done.results["scores"]} == {true}
    # What was found is a sheet of the collection, beside its frames.
    (sheet,) = (out / "sheet").iterdir()
    (tmp_path / "again").mkdir()
    shutil.copy(sheet, tmp_path / "again")
    (tmp_path / "again" / casme_sq.FRAMES).symlink_to(filmed / casme_sq.FRAMES)
    read = sorted((clip.origin, clip.onset, clip.apex, clip.offset) for clip in
                  casme_sq.read(tmp_path / "again"))  # fmt: skip
    told = sorted((clip.origin, clip.onset, clip.apex, clip.offset) for clip in done.clips(0))
    assert read == told
    # Blinks, heads and mouths are known by position, which is a frame's number less 1.
    given, _ = of_collection("casme-sq", filmed)
    marks = known_events(("casme-sq", filmed), given)
    events = standin.events(filmed)
    for one in given:
        assert marks[one.name] == tuple(
            (event.what, event.first - 1, event.last - 1)
            for event in events[one.footage.name]
            if event.what in ("blink", "head", "mouth")
        )
    assert any(marks.values())

    path, *lost = train(what, tmp_path / "w.safetensors", **short)
    assert (path.name, lost) == ("w.safetensors", [[], []])
    assert not list(tmp_path.glob("*.checkpoint"))
    loaded = weights.load(path)
    assert loaded.spotter is not None
    assert loaded.spotter.people == (Person("casme-sq", "s15"), Person("casme-sq", "s16"))
    assert (loaded.stand_in, loaded.flow, loaded.spotter.fps) == (True, "farneback", 30)
    with pytest.raises(ValueError, match="have learned from casme-sq/s1"):
        spot([what], tmp_path / "refused", weights=path)
    with pytest.raises(ValueError, match="--seeds is for training"):
        spot([what], tmp_path / "refused", weights=path, seeds=1)
    with pytest.raises(ValueError, match="learned from Look"):
        spot([what], tmp_path / "refused", weights=path, look=Look("tvl1"))

    # A video of which nobody tells anything, and one that is not there.
    one = given[0]
    folder = filmed / casme_sq.FRAMES / one.footage.name
    lone = spot(
        [str(folder), str(tmp_path / "gone.mp4")], tmp_path / "lone", weights=path, fps=30,
        way="online",
    )  # fmt: skip
    assert [failed.key for failed in lone.failed] == [str(tmp_path / "gone.mp4")]
    assert (lone.results["stand_in"], lone.results["online"]) == (True, True)
    # Streamed, part by part, it scores as its stored course does.
    stored = course(one, QUICK, step=STEP, store=store, workers=1)
    said = ask(loaded.fitted, stored.maps, stored.seen, recognizes=loaded.spotter.recognizes)
    np.testing.assert_array_equal(lone.spotted[0].scored.said.scores, said.scores)
    assert [clip.origin.corpus for clip in lone.clips(0)] == ["clips"] * len(lone.clips(0))


def test_what_does_not_go_together_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    root = f"casme-sq={tmp_path}"
    for options, said in (
        ({"export": "smic-hs"}, "no sheet of 'smic-hs'"),
        ({"export": "samm-lv"}, "export casme-sq"),
        ({"way": "sideways"}, "no way 'sideways'"),
        ({"recipe": "mine"}, "no recipe 'mine'"),
        ({"p": 1.5}, "p is from 0 to 1"),
    ):
        given: dict[str, Any] = {"weights": None} | options
        with pytest.raises(ValueError, match=said):
            spot([root], tmp_path / "out", **given)
    with pytest.raises(ValueError, match="choose highest"):
        spot([f"samm={tmp_path}"], tmp_path / "out", weights=None, export="samm")
    with pytest.raises(ValueError, match="give --weights"):
        spot([str(tmp_path)], tmp_path / "out", weights=None)
    assert not (tmp_path / "out").exists()
