"""Recordings: which of a collection's clips are in one film, where in it, and what is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.datasets.collection import MARK
from mie_x.datasets.footage import Pictures, Unreadable
from mie_x.folds import Person
from mie_x.intervals import Interval
from mie_x.records import LABELS, Clip, Origin
from pipelines.examples import LeftOut
from pipelines.recordings import Recording, _truth, of_collection, of_path
from tests.test_examples import lay_out
from tests.test_footage import UNEVEN, record, steps

HEAD = "subject,clip,path,onset,apex,offset,fps,emotion,label,aus,kind"


def folder(path: Path, numbers: Iterable[int]) -> Path:
    """Frames that nobody opens."""
    path.mkdir(parents=True)
    for number in numbers:
        (path / f"img{number}.png").touch()
    return path


def read(root: Path, *rows: str) -> tuple[list[Recording], list[LeftOut]]:
    (root / "clips.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return of_collection("clips", root)


# -- of a collection -----------------------------------------------------------------------------


def test_clips_of_one_film_are_the_truths_of_one_recording_by_position(tmp_path: Path) -> None:
    folder(tmp_path / "long", range(100, 160))
    folder(tmp_path / "short", range(1, 10))
    found, left_out = read(
        tmp_path,
        "s1,late,long,140,145,150,200,happy,,,macro",
        "s2,other,short,3,,5,100,tense,,,micro",
        "s1,early,long,100,103,110,200,surprise,,,micro",
    )
    assert left_out == []
    assert [one.name for one in found] == ["clips/long", "clips/short"]
    long, short = found
    assert long.truths == (
        Interval(0, 10, "micro", LABELS["surprise"], apex=3),
        Interval(40, 50, "macro", LABELS["positive"], apex=45),
    )
    assert short.truths == (Interval(2, 4),)  # its word has no class, its middle is no apex
    assert (long.subject, long.fps, long.told) == (Person("clips", "s1"), 200.0, True)
    assert (list(long.numbers), long.stand_in) == (list(range(100, 160)), False)
    assert long.odd == ()
    assert short.odd == ("other: apex '' is not annotated: the middle frame 4 taken",)


@given(
    st.sets(st.integers(0, 400), min_size=3, max_size=30).map(sorted),
    st.lists(st.integers(0, 29), min_size=3, max_size=3).map(sorted),
)
def test_whatever_is_missing_a_truth_is_where_its_frames_are(
    numbers: list[int], places: list[int]
) -> None:
    onset, apex, offset = (numbers[min(place, len(numbers) - 1)] for place in places)
    footage = Pictures("c", Path(), {n: f"{n}.png" for n in numbers})
    clip = Clip(Origin("c", "s", "c"), footage, onset, apex, offset, "", None)
    truth = _truth(clip)
    assert (numbers[truth.first], numbers[truth.last]) == (onset, offset)
    assert truth.apex is not None
    assert numbers[truth.apex] == apex


def test_an_offset_that_is_not_there_is_the_last_frame_before_it(tmp_path: Path) -> None:
    folder(tmp_path / "c", [*range(1, 20), *range(21, 30)])
    found, _ = read(tmp_path, "s1,c1,c,5,9,20,100,,,,", "s1,c2,c,25,27,40,100,,,,")
    assert found[0].truths == (Interval(4, 18, apex=8), Interval(23, 27, apex=25))
    assert found[0].odd[1:] == (
        "c1: 1 frames missing between onset and offset",
        "c2: 11 frames missing between onset and offset",
    )


def test_a_tenth_of_a_second_may_be_missing_and_is_told(tmp_path: Path) -> None:
    """At 40 frames a second, from 19 to 23."""
    folder(tmp_path / "c", [*range(1, 20), *range(23, 51)])
    (one,), left_out = read(tmp_path, "s1,c1,c,1,5,9,40,,,,")
    assert one.odd == ("3 frames are missing, 3 in a row at most",)
    assert left_out == []


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (
            [*range(1, 50), *range(54, 101)],
            "no frames between 49 and 54, 0.12 s at 40 frames a second",
        ),
        (range(1, 41, 2), "19 of 38 frames are missing: its times are not true"),
    ],
)
def test_where_more_is_missing_the_recording_is_left_out(
    tmp_path: Path, numbers: Sequence[int], reason: str
) -> None:
    folder(tmp_path / "c", numbers)
    found, left_out = read(tmp_path, "s1,c1,c,1,5,9,40,,,,")
    assert (found, left_out) == ([], [LeftOut("clips/c", reason)])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["s1,c1,c,1,5,9,40,,,,", "s1,c2,c,50,55,59,40,,,,"], "c2: no frame 50, its onset"),
        (["s1,c1,c,1,5,9,40,,,,", "s1,c1,c,11,15,19,40,,,,"], "c1: in the sheet twice"),
        (["s1,c1,c,1,5,9,40,,,,", "s2,c2,c,11,15,19,40,,,,"], "its clips are of s1 and s2"),
        (["s1,c1,c,1,5,9,,,,,"], "its frame rate is not told"),
        (
            ["s1,c1,c,1,5,9,40,,,,", "s1,c2,c,11,15,19,50,,,,"],
            "its clips tell of 40.0 and 50.0 frames a second",
        ),
    ],
)
def test_a_recording_whose_truth_is_not_whole_is_left_out(
    tmp_path: Path, rows: list[str], reason: str
) -> None:
    folder(tmp_path / "c", range(1, 41))
    folder(tmp_path / "good", range(1, 41))
    found, left_out = read(tmp_path, *rows, "s9,fine,good,1,5,9,40,,,,")
    assert [one.name for one in found] == ["clips/good"]
    assert left_out == [LeftOut("clips/c", reason)]


def test_a_frame_rate_that_the_collection_does_not_tell_can_be_given(tmp_path: Path) -> None:
    folder(tmp_path / "c", range(1, 41))
    read(tmp_path, "s1,c1,c,1,5,9,,,,,")
    (one,), left_out = of_collection("clips", tmp_path, fps=50)
    assert (one.fps, left_out) == (50.0, [])


def test_a_video_is_left_out_where_its_rate_varies_or_it_is_cut_short(tmp_path: Path) -> None:
    record(tmp_path / "even.mkv", steps(6))
    record(tmp_path / "uneven.mkv", steps(6), UNEVEN)
    cut = record(tmp_path / "cut.mkv", steps(12))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    found, left_out = read(
        tmp_path,
        *(f"s1,{name},{name}.mkv,1,2,3,,,,," for name in ("even", "uneven", "cut")),
    )
    assert [(one.name, one.fps, one.truths) for one in found] == [
        ("clips/even", 25.0, (Interval(0, 2, apex=1),))
    ]
    uneven, short = left_out
    assert uneven.reason == (
        "its frames are 17 to 83 ms apart (variable frame rate); "
        "make its rate constant: ffmpeg -i IN -fps_mode cfr -c:v ffv1 OUT.mkv"
    )
    assert "cut.mkv: damaged or cut short" in short.reason
    assert short.key == "clips/cut"


def test_two_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    folder(tmp_path / "c", range(1, 41))
    record(tmp_path / "c.mkv", steps(6))
    with pytest.raises(ValueError, match="two recordings are called 'clips/c'; rename one"):
        read(tmp_path, "s1,c1,c,1,5,9,40,,,,", "s1,c2,c.mkv,1,2,3,,,,,")


def test_clips_of_a_collection_of_short_films_are_a_recording_each(tmp_path: Path) -> None:
    root = lay_out(tmp_path / "casme2")
    found, left_out = of_collection("casme2", root)
    assert [(one.name, one.subject.subject) for one in found] == [
        (f"casme2/sub{subject}/EP{clip}", f"sub{subject}")
        for subject, clip in [("01", "01"), ("02", "02"), ("02", "03"), ("03", "04"), ("03", "05")]
    ]
    assert [one.truths[0].label for one in found] == [1, 0, None, 2, 2]
    assert {(one.truths[0].first, one.truths[0].last) for one in found} == {(0, 3)}
    assert [one.truths[0].apex for one in found] == [2, 2, 2, 2, 0]
    assert left_out == []


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("s1,c1,c,10,,,40,,,,", "c1: offset '' is not annotated: frame 60 taken"),
        ("s1,c1,c,,,20,40,,,,", "c1: onset '' is not annotated: frame 1 taken"),
        ("s1,c1,c,1,,60,40,,,,", "c1: all of its video, without an apex: nothing is coded"),
    ],
)
def test_what_a_reader_takes_for_want_of_a_number_is_no_truth(
    tmp_path: Path, row: str, reason: str
) -> None:
    folder(tmp_path / "c", range(1, 61))
    found, (lost,) = read(tmp_path, row, "s1,c2,c,30,35,40,40,,,,")
    assert (found, lost.reason) == ([], reason)


def test_a_clip_of_another_kind_that_cannot_be_placed_costs_no_recording(tmp_path: Path) -> None:
    folder(tmp_path / "c", range(1, 61))
    assert read(tmp_path, "s1,c1,c,10,,,40,,,,macro", "s1,c2,c,30,35,40,40,,,,micro")[0] == []
    (one,), left_out = of_collection("clips", tmp_path, kind="micro")
    assert (one.truths, left_out) == ((Interval(29, 39, apex=34),), [])
    assert "c1: offset '' is not annotated: frame 60 taken" in one.odd


def test_recordings_of_a_stand_in_say_so(tmp_path: Path) -> None:
    folder(tmp_path / "c", range(1, 41))
    (tmp_path / MARK).touch()
    (one,), _ = read(tmp_path, "s1,c1,c,1,5,9,40,,,,")
    assert one.stand_in
    assert of_path(tmp_path / "c", fps=40).stand_in


# -- of a path -----------------------------------------------------------------------------------


def test_a_video_tells_its_frame_rate_and_nothing_of_what_is_in_it(tmp_path: Path) -> None:
    one = of_path(record(tmp_path / "v.mkv", steps(6)), fps=None)
    assert (one.name, one.subject) == ("v.mkv", Person("", str(tmp_path / "v.mkv")))
    assert (one.fps, list(one.numbers)) == (25.0, [1, 2, 3, 4, 5, 6])
    assert (one.truths, one.told, one.stand_in, one.odd) == ((), False, False, ())
    slow = of_path(tmp_path / "v.mkv", fps=200)  # a high-speed camera's, played slowly
    assert (slow.fps, slow.odd) == (200, ("taken for 200 frames a second, not its own 25",))


def test_a_folder_of_frames_needs_a_frame_rate(tmp_path: Path) -> None:
    folder(tmp_path / "c", range(7, 20))
    one = of_path(tmp_path / "c", fps=100)
    assert (one.name, one.fps, list(one.numbers)) == ("c", 100, list(range(7, 20)))
    with pytest.raises(ValueError, match=r"/c: its frames a second are not told; give --fps"):
        of_path(tmp_path / "c", fps=None)


def test_what_is_missing_counts_between_the_given_ends_alone(tmp_path: Path) -> None:
    folder(tmp_path / "c", [*range(1, 20), *range(40, 60)])
    assert list(of_path(tmp_path / "c", fps=100, first=45).numbers) == list(range(45, 60))
    assert list(of_path(tmp_path / "c", fps=100, first=5, last=25).numbers) == list(range(5, 20))
    with pytest.raises(ValueError, match=r"/c: no frames between 19 and 40"):
        of_path(tmp_path / "c", fps=100, last=40)
    with pytest.raises(ValueError, match=r"/c: none of its frames, 1 to 59, is from 20 to 39"):
        of_path(tmp_path / "c", fps=100, first=20, last=39)


def test_what_cannot_be_spotted_in_says_which_and_why(tmp_path: Path) -> None:
    record(tmp_path / "v.mkv", steps(6), UNEVEN)
    with pytest.raises(ValueError, match=r"v\.mkv: its frames are 17 to 83 ms apart .*-fps_mode"):
        of_path(tmp_path / "v.mkv", fps=30)
    folder(tmp_path / "c", [*range(1, 20), *range(40, 60)])
    with pytest.raises(ValueError, match=r"/c: no frames between 19 and 40, 0\.21 s at 100"):
        of_path(tmp_path / "c", fps=100)
    with pytest.raises(ValueError, match=r"/c: 0 frames a second; the rate of a video is above 0"):
        of_path(tmp_path / "c", fps=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no pictures with a number in their names"):
        of_path(tmp_path / "empty", fps=25)
    (tmp_path / "cut.avi").write_bytes(b"RIFF")
    with pytest.raises(Unreadable, match=r"cut\.avi: no video that can be read"):
        of_path(tmp_path / "cut.avi", fps=25)
    with pytest.raises(FileNotFoundError, match="gone: no such video or folder"):
        of_path(tmp_path / "gone", fps=25)
