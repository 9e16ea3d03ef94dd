"""Onset, apex and offset of any three cells: in order, or a reason why not, and all of it told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.datasets.key_frames import UNKNOWN, KeyFrames, key_frames, number

FRAMES = range(10, 21)


def three(found: KeyFrames) -> tuple[int | None, int | None, int | None]:
    return found.onset, found.apex, found.offset


@pytest.mark.parametrize(
    ("cell", "frame"),
    [("562", 562), ("00562", 562), ("562.0", 562), (" 562 ", 562), ("0", 0), ("-5", -5)],
)
def test_a_number_is_read_however_it_is_written(cell: str, frame: int) -> None:
    assert number(cell) == frame


@pytest.mark.parametrize("cell", [*UNKNOWN, "NaN", " NULL ", " / ", "None"])
def test_what_stands_for_nothing_is_no_number(cell: str) -> None:
    assert number(cell) is None


@pytest.mark.parametrize("cell", ["5.5", "a", "5/6", "1e12", "inf", "5,6", "Chewing"])
def test_what_is_no_frame_number_is_the_problem_of_its_row(cell: str) -> None:
    with pytest.raises(ValueError):
        number(cell)
    found = key_frames("10", cell, "20", FRAMES)
    assert found.problem == f"onset '10', apex {cell!r}, offset '20': not frame numbers"


def test_cells_in_order_are_taken_as_they_are_and_nothing_is_said() -> None:
    assert key_frames("10", "14", "20", FRAMES) == KeyFrames(10, 14, 20)


def test_zero_is_a_frame_only_where_a_collection_counts_from_it() -> None:
    assert three(key_frames("0", "4", "9", range(10), zero=True)) == (0, 4, 9)
    found = key_frames("0", "4", "9", range(10))
    assert found.problem == "its onset is not annotated ('0')"


def test_an_onset_of_zero_may_be_before_the_recording() -> None:
    found = key_frames("0", "14", "20", FRAMES, before_recording=True)
    assert three(found) == (10, 14, 20)
    assert found.repaired == ["onset 0, before the recording: its first frame 10 taken"]


@pytest.mark.parametrize("onset", ["", "-1", "/"])
def test_an_onset_that_nobody_tells_is_not_guessed(onset: str) -> None:
    found = key_frames(onset, "14", "20", FRAMES, before_recording=True)
    assert found.problem == f"its onset is not annotated ({onset!r})"


@pytest.mark.parametrize(
    ("offset", "why"),
    [("", "not annotated"), ("0", "not annotated"), ("9", "before the onset 10")],
)
def test_an_offset_that_cannot_be_is_the_apex(offset: str, why: str) -> None:
    found = key_frames("10", "14", offset, FRAMES)
    assert (three(found), found.apex_from) == ((10, 14, 14), "coded")
    assert found.repaired == [f"offset {offset!r} is {why}: its apex 14 taken"]
    assert found.odd == []


def test_without_apex_too_the_last_frame_of_a_clip_is_its_offset() -> None:
    found = key_frames("10", "-1", "-1", FRAMES)
    assert (three(found), found.apex_from) == ((10, 15, 20), "middle")
    assert found.repaired == [
        "offset '-1' is not annotated: the last frame 20 taken",
        "apex '-1' is not annotated: the middle frame 15 taken",
    ]


@pytest.mark.parametrize(("numbers", "long"), [(FRAMES, True), ((), False), (range(5), False)])
def test_the_last_frame_of_a_long_video_or_of_none_is_nobodys_offset(
    numbers: Sequence[int], long: bool
) -> None:
    found = key_frames("10", "/", "", numbers, long=long)
    assert found.problem == "its offset is not annotated (''), nor its apex ('/')"


@pytest.mark.parametrize(
    ("apex", "offset", "middle", "why"),
    [
        ("/", "20", 15, "not annotated"),
        ("/", "19", 14, "not annotated"),  # 29 / 2, rounded down
        ("0", "20", 15, "not annotated"),
        ("9", "20", 15, "outside 10 to 20"),
        ("21", "20", 15, "outside 10 to 20"),
        ("140", "20", 15, "outside 10 to 20"),
    ],
)
def test_an_apex_that_cannot_be_is_the_middle(
    apex: str, offset: str, middle: int, why: str
) -> None:
    found = key_frames("10", apex, offset, FRAMES)
    assert (three(found), found.apex_from) == ((10, middle, int(offset)), "middle")
    assert found.repaired == [f"apex {apex!r} is {why}: the middle frame {middle} taken"]


def test_a_middle_that_is_not_there_gives_way_to_its_neighbour() -> None:
    found = key_frames("10", "", "20", [10, 11, 12, 13, 18, 19, 20])
    assert (found.apex, found.apex_from) == (13, "middle")  # 2 from 15, 18 is 3 from it
    assert found.odd == ["4 frames missing between onset and offset"]


def test_a_middle_is_no_repair_where_a_collection_has_no_apexes() -> None:
    found = key_frames("10", None, "20", FRAMES)
    assert (found.apex, found.apex_from, found.repaired) == (15, "middle", [])


def test_how_a_told_apex_was_set_is_handed_on_unless_it_is_replaced() -> None:
    assert key_frames("10", "20", "20", FRAMES, apex_from="last").apex_from == "last"
    assert key_frames("10", "21", "20", FRAMES, apex_from="last").apex_from == "middle"


@pytest.mark.parametrize(
    ("apex", "offset", "odd"),
    [
        ("10", "20", "apex and onset are one frame"),
        ("20", "20", "apex and offset are one frame"),
        ("10", "10", "onset and offset are one frame"),
    ],
)
def test_key_frames_that_are_one_are_kept_and_told(apex: str, offset: str, odd: str) -> None:
    found = key_frames("10", apex, offset, FRAMES)
    assert three(found) == (10, int(apex), int(offset))
    assert (found.odd, found.repaired, found.problem) == ([odd], [], "")


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ((), "no frames"),
        (range(11, 21), "no frame 10, its onset"),
        ([10, 11, 12, 13, 15], "no frame 14, its apex"),
    ],
)
def test_a_clip_without_its_onset_or_apex_cannot_be_used(
    numbers: Sequence[int], problem: str
) -> None:
    assert key_frames("10", "14", "20", numbers).problem == problem
    if not numbers:
        assert key_frames("0", "14", "20", (), before_recording=True).problem == problem


def test_missing_frames_are_counted_however_many() -> None:
    assert key_frames("10", "14", "25", FRAMES).odd == ["5 frames missing between onset and offset"]
    assert key_frames("10", "14", "900000000", FRAMES).odd == [
        "899999980 frames missing between onset and offset"
    ]


CELLS = st.one_of(
    st.integers(-3, 40).map(str),
    st.integers(-(10**12), 10**12).map(str),
    st.sampled_from(UNKNOWN),
    st.floats().map(str),
    st.text(max_size=4),
)


@given(
    onset=CELLS,
    apex=st.none() | CELLS,
    offset=CELLS,
    numbers=st.sets(st.integers(0, 40)).map(sorted),
    zero=st.booleans(),
    before_recording=st.booleans(),
    long=st.booleans(),
)
def test_any_cells_give_key_frames_in_order_or_a_problem_and_tell_what_was_changed(
    onset: str,
    apex: str | None,
    offset: str,
    numbers: list[int],
    zero: bool,
    before_recording: bool,
    long: bool,
) -> None:
    found = key_frames(
        onset, apex, offset, numbers, zero=zero, before_recording=before_recording, long=long
    )
    if found.problem:
        return
    assert found.onset is not None and found.apex is not None and found.offset is not None
    assert found.onset <= found.apex <= found.offset
    assert {found.onset, found.apex} <= set(numbers)
    coded = (number(onset), found.apex if apex is None else number(apex), number(offset))
    if coded != three(found):
        assert found.repaired
    told = None if apex is None else number(apex, zero=zero)
    assert (found.apex_from == "coded") == (told == found.apex)
