"""Stand-ins of people who live: what they do beside expressions, and the truth about all of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mie_x import cli
from mie_x.datasets import COLLECTIONS, standin
from mie_x.datasets.collection import MARK
from mie_x.datasets.standin import Event
from mie_x.records import AUS, Clip

LIVING = sorted(name for name, collection in COLLECTIONS.items() if collection.lives)
CAST = {"casme-sq": (1, 3), "samm": (1, 2), "samm-lv": (2, 2)}  # subjects, clips
REST = {"casme-sq": 0.7, "samm": 0.15, "samm-lv": 0.3}
BLINK = AUS.index(45)


def shot(rows: int, seed: int = 1, *, lean: float = 0.0) -> standin.Shot:
    return standin.Shot("ann", np.zeros((rows, len(AUS)), np.float32), seed, lean, noise=0.0)


def lived(rows: int, seed: int, *, fps: float) -> tuple[standin.Life, list[Event]]:
    filmed, events = standin.live(shot(rows, seed), [], first=0, fps=fps)
    assert filmed.life is not None
    return filmed.life, events


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40), st.sampled_from([30.0, 200.0]), st.floats(0.3, 20))
def test_every_event_ends_within_the_shot_and_at_both_its_ends_nothing_is_seen(
    seed: int, fps: float, seconds: float
) -> None:
    rows = round(seconds * fps)
    life, events = lived(rows, seed, fps=fps)
    for what, first, apex, last in events:
        assert 0 <= first < apex <= last < rows
        if what == "blink":
            assert life.aus[first, BLINK] == 0 == life.aus[last, BLINK]
            assert 0.85 <= life.aus[apex, BLINK] <= 1
    firsts = [event.first for event in events]
    assert firsts == sorted(firsts)
    busy = np.zeros(rows, bool)
    for event in events:
        if event.what != "head":
            busy[event.first : event.last + 1] = True
    assert not life.aus[~busy].any()  # the truth is all of the truth


@pytest.mark.parametrize(("what", "minute"), [("blink", 16.2), ("head", 8.3), ("mouth", 6.0)])
def test_of_every_kind_there_are_as_many_a_minute_as_the_constants_say(
    what: str, minute: float
) -> None:
    assert 60 / sum(standin.EVERY[what]) == pytest.approx(minute, abs=0.1)
    _, events = lived(60 * 60 * 10, 3, fps=10)
    assert sum(event.what == what for event in events) == pytest.approx(60 * minute, rel=0.15)


def test_events_of_a_kind_never_overlap_and_blinks_come_after_the_least_time() -> None:
    _, events = lived(600 * 200, 5, fps=200)
    for kind in standin.EVERY:
        own = [event for event in events if event.what == kind]
        assert all(one.last < other.first for one, other in pairwise(own))
    blinks = [event.first for event in events if event.what == "blink"]
    assert min(np.diff(blinks)) >= 1.5 * 200 - 1


def test_the_mouth_shows_one_thing_at_a_time_and_eyes_and_heads_do_not_care() -> None:
    played = [Event("micro", first, first + 20, first + 50) for first in range(0, 60_000, 400)]
    _, events = standin.live(shot(60_000), played, first=0, fps=200)
    within = {
        event.what
        for event in events
        for one in played
        if event.what != "micro" and event.first <= one.last and one.first <= event.last
    }
    assert within == {"blink", "head"}
    assert [event for event in events if event.what == "micro"] == played
    assert any(event.what == "mouth" for event in events)


def test_a_head_stays_or_comes_back_and_never_goes_far() -> None:
    life, events = lived(600 * 30, 7, fps=30)
    heads = [event for event in events if event.what == "head"]
    assert {event.apex == event.last for event in heads} == {True, False}
    assert (np.abs(life.head) <= np.add(standin.FARTHEST, standin.SWAY)).all()
    for event in heads:
        moved = np.abs(life.head[event.apex] - life.head[event.first])
        assert np.hypot(*moved[:2]) > 0.3  # px, whatever the posture's drift does meanwhile


def test_the_number_of_the_first_frame_is_added_to_every_event() -> None:
    _, events = standin.live(shot(900), [], first=401, fps=30)
    _, rows = lived(900, 1, fps=30)
    assert events == [Event(what, *(401 + row for row in at)) for what, *at in rows]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40))
@example(2075)  # two that have begun before
def test_a_shot_cut_out_of_a_recording_begins_and_ends_within_what_somebody_does(seed: int) -> None:
    rows, around = 200, 1000
    cut, events = standin.live(shot(rows, seed), [], first=7, fps=200, around=around)
    whole, everything = standin.live(shot(rows + 2 * around, seed), [], first=7 - around, fps=200)
    assert cut.life is not None and whole.life is not None
    assert (cut.life.aus == whole.life.aus[around:-around]).all()
    assert (cut.life.head == whole.life.head[around:-around]).all()
    last = 7 + rows - 1
    within = [e for e in everything if e.first < last and e.last > 7]
    assert sorted((e.what, e.first, e.last) for e in events) == sorted(
        (e.what, max(e.first, 7), min(e.last, last)) for e in within
    )
    assert [e.first for e in events] == sorted(e.first for e in events)


def test_a_head_that_moves_three_px_to_the_right_is_its_picture_shifted() -> None:
    still = shot(1)
    head = np.array([[3.0, 0.0, 0.0]])
    moved = standin.Shot("ann", still.aus, 1, noise=0.0, life=standin.Life(still.aus, head))
    (before,), (after,) = standin.film(still), standin.film(moved)
    shifted = np.roll(before.astype(int), 3, axis=1)
    assert np.abs(after - shifted)[:, 3:].max() <= 1


@pytest.mark.parametrize("lean", [0.0, 0.6])
def test_a_blink_shuts_both_eyes_alike_and_moves_nothing_else(lean: float) -> None:
    aus = np.zeros((2, len(AUS)), np.float32)
    aus[1, BLINK] = 1
    smile = np.zeros((2, len(AUS)), np.float32)
    smile[:, AUS.index(12)] = 0.2
    still = standin.Life(aus, np.zeros((2, 3)))
    filmed = standin.Shot("ann", smile, 1, lean, noise=0.0, life=still)
    # jitter is the same of the same seed: only the lids differ
    (_, shut) = standin.film(filmed)
    (_, still_open) = standin.film(standin.Shot("ann", smile, 1, lean, noise=0.0))
    change = np.abs(shut.astype(int) - still_open).sum(axis=2)
    eyes = change[60:95]
    assert eyes.sum() > 0.9 * change.sum() > 0
    left, right = eyes[:, : standin.SIZE // 2].sum(), eyes[:, standin.SIZE // 2 :].sum()
    assert 0.6 < left / right < 1.7


@pytest.mark.parametrize("rest", [0.0, -1.0, float("inf"), float("nan")])
def test_a_rest_of_no_time_is_refused(rest: float) -> None:
    with pytest.raises(ValueError, match="give a number above 0"):
        standin.pauses(np.random.default_rng(0), rest, 3, fps=30)


def test_pauses_last_from_half_to_one_and_a_half_times_the_rest() -> None:
    drawn = standin.pauses(np.random.default_rng(0), 2, 1000, fps=30)
    assert (min(drawn), max(drawn)) == (30, 90)  # 1 s and 3 s
    assert np.mean(drawn) == pytest.approx(60, rel=0.03)


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    told = {"s15/15_0101": [Event("blink", 3, 5, 9), Event("head", 4, 20, 20)], "006_1": []}
    standin.write_events(tmp_path, told)
    assert standin.events(tmp_path) == {"s15/15_0101": told["s15/15_0101"]}
    (tmp_path / "inner").mkdir()
    (tmp_path / MARK).write_text("STAND-IN")
    assert standin.events(tmp_path / "inner") == standin.events(tmp_path)


def test_a_stand_in_without_rest_has_no_events_to_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"STAND-IN\.csv: not there.*--rest"):
        standin.events(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "what,first\nblink,3\n", "video,what,first,apex,last\na,b,c,d,e\n"]
)
def test_a_damaged_table_of_events_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / standin.TRUTH).write_text(text)
    with pytest.raises(ValueError, match=r"STAND-IN\.csv"):
        standin.events(tmp_path)


def test_collections_without_neutral_stretches_refuse_rest_in_a_sentence(tmp_path: Path) -> None:
    arguments = ["standin", "casme2", str(tmp_path / "x"), "--rest", "1"]
    told = CliRunner().invoke(cli.main, arguments)
    assert told.exit_code != 0 and "Traceback" not in told.output
    assert "--rest is not for casme2" in told.output and not (tmp_path / "x").exists()
    assert LIVING == ["casme-sq", "samm", "samm-lv"]


@pytest.fixture(scope="module", params=LIVING)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[Clip]]:
    name, root = request.param, tmp_path_factory.mktemp("living") / request.param
    subjects, clips = CAST[name]
    made = COLLECTIONS[name].write_standin(
        root, subjects=subjects, clips=clips, seed=2, workers=1, rest=REST[name]
    )
    return name, root, made


@pytest.mark.slow
def test_truth_is_what_the_reader_finds_but_for_the_sheets_quirks(
    written: tuple[str, Path, list[Clip]],
) -> None:
    name, root, made = written
    found = list(COLLECTIONS[name].read(root))
    told = standin.events(root)
    assert [(c.origin, c.onset, c.apex, c.offset, c.repaired) for c in found] == [
        (c.origin, c.onset, c.apex, c.offset, c.repaired) for c in made
    ]
    assert set(told) == {clip.footage.name for clip in found}
    assert sum(e.what in ("micro", "macro") for own in told.values() for e in own) == len(found)
    for clip in found:
        (event,) = (
            e for e in told[clip.footage.name] if e.what == clip.kind and e.first == clip.onset
        )
        if clip.repaired:
            continue
        assert event[2:] == (clip.apex, clip.offset)
        half = REST[name] / 2 * (clip.fps or 0) - 1  # neutral frames on both sides
        assert event.first - clip.footage.numbers[0] >= half
        assert clip.footage.numbers[-1] - event.last >= half


@pytest.mark.slow
@pytest.mark.parametrize("written", ["samm"], indirect=True)
def test_any_number_of_workers_writes_the_same_bytes(
    written: tuple[str, Path, list[Clip]], tmp_path: Path
) -> None:
    name, one, _ = written
    two, (subjects, clips) = tmp_path / "two", CAST[name]
    COLLECTIONS[name].write_standin(
        two, subjects=subjects, clips=clips, seed=2, workers=2, rest=REST[name]
    )
    files = [path.relative_to(one) for path in sorted(one.rglob("*")) if path.is_file()]
    assert Path(standin.TRUTH) in files
    assert [path.relative_to(two) for path in sorted(two.rglob("*")) if path.is_file()] == files
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)
