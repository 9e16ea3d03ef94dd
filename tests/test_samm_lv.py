"""SAMM Long Videos: their sheet with its quirks, on invented rows; nothing is rendered here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets.samm_lv import HEADER, SAMM_LV
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

SHEET = "SAMM_LongVideos_V3_Release.xlsx"


def row(
    name: str = "006_1_2",
    onset: object = 3,
    apex: object = 5,
    offset: object = 9,
    type_: object = "Micro - 1/2",
    aus: object = "4+7",
) -> list[object]:
    return [name[:3], name, 1, onset, apex, offset, "=F11-D11+1", type_, aus, None]


def write(root: Path, *rows: Sequence[object], preamble: int = 9, name: str = SHEET) -> None:
    above: list[Sequence[object]] = [["Coded by nobody"]] * preamble
    write_sheet(root / name, {"codes": [*above, list(HEADER), *rows]})


def write_emotions(root: Path, emotions: dict[str, str]) -> None:
    """SAMM's own sheet: Filename -> emotion, under other frame numbers."""
    header = ["Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame"]
    rows = [[name[:3], name, 1003, 1005, 1009, word] for name, word in emotions.items()]
    lines: list[Sequence[object]] = [[]] * 13
    lines += [[*header, "Estimated Emotion"], *rows]
    write_sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", {"MICRO_ONLY": lines})


def film(folder: Path, digits: int = 5, numbers: range = range(1, 21)) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        Image.new("L", (8, 6), number).save(folder / f"{folder.name}_{number:0{digits}d}.jpg")


def read(root: Path, *rows: Sequence[object]) -> list[Clip]:
    """The rows as a sheet, and a video 006_1 of frames 1 to 20; read."""
    write(root, *rows)
    film(root / "SAMM_longvideos/006_1")
    return list(SAMM_LV.read(root))


def test_clips_of_a_video_share_its_footage_and_are_told_apart_by_type(tmp_path: Path) -> None:
    macro = row("006_1_3", 10, 12, 19, "Macro", "12")
    one, other = read(tmp_path, row(), macro)
    assert one.origin == ("samm-lv", "006", "006_1_2") and one.kind == "micro"
    assert other.origin == ("samm-lv", "006", "006_1_3") and other.kind == "macro"
    assert one.footage is other.footage and one.footage.name == "006_1"
    assert (other.onset, other.apex, other.offset) == (10, 12, 19)
    assert (one.numbers, len(one.footage.numbers)) == (list(range(3, 10)), 20)
    assert (one.fps, one.repaired, one.odd, one.problem) == (200.0, (), (), "")


@pytest.mark.parametrize("preamble", [0, 9, 10])
@pytest.mark.parametrize("name", [SHEET, "SAMM_LongVideos_V1_Release.csv"])
def test_the_header_may_stand_in_any_line(tmp_path: Path, preamble: int, name: str) -> None:
    write(tmp_path, row(), preamble=preamble, name=name)
    film(tmp_path / "006_1")  # and ROOT may hold the videos' folders itself
    (clip,) = SAMM_LV.read(tmp_path)
    assert (clip.origin.subject, clip.onset, clip.problem) == ("006", 3, "")


def test_a_root_one_folder_above_is_read(tmp_path: Path) -> None:
    read(tmp_path / "inner", row())
    (clip,) = SAMM_LV.read(tmp_path)
    assert (clip.problem, len(clip.numbers)) == ("", 7)


def test_the_newest_release_is_read(tmp_path: Path) -> None:
    write(tmp_path, row("006_1_2"), name="SAMM_LongVideos_V2_Release.xlsx")
    write(tmp_path, row("006_1_3"))
    assert [clip.origin.clip for clip in SAMM_LV.read(tmp_path)] == ["006_1_3"]


@pytest.mark.parametrize("digits", [1, 4, 5])
def test_frames_are_found_by_number_whatever_their_padding(tmp_path: Path, digits: int) -> None:
    write(tmp_path, row())
    film(tmp_path / "SAMM_longvideos/006_1", digits)
    (tmp_path / "SAMM_longvideos/006_1/.DS_Store").write_bytes(b"\0")
    (clip,) = SAMM_LV.read(tmp_path)
    assert list(clip.footage.numbers) == list(range(1, 21))


def test_an_onset_of_zero_began_before_the_recording(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row(onset=0))
    assert (clip.onset, clip.apex, clip.offset, clip.problem) == (1, 5, 9, "")
    assert clip.repaired == ("onset 0, before the recording: its first frame 1 taken",)


def test_an_apex_of_minus_one_is_the_middle_and_says_so(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row(apex=-1))
    assert (clip.apex, clip.apex_from) == (6, "middle")  # (3 + 9) // 2
    assert clip.repaired == ("apex '-1' is not annotated: the middle frame 6 taken",)


def test_the_end_of_a_video_is_nobodys_offset(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row(apex=-1, offset=-1))
    assert clip.problem == "its offset is not annotated ('-1'), nor its apex ('-1')"


@pytest.mark.parametrize(
    ("type_", "kind"),
    [("Macro", "macro"), ("macro ", "macro"), ("Micro - 1/2", "micro"), ("MICRO -  1/2", "micro")],
)
def test_the_type_tells_the_kind(tmp_path: Path, type_: str, kind: str) -> None:
    (clip,) = read(tmp_path, row(type_=type_))
    assert (clip.kind, clip.problem) == (kind, "")


@pytest.mark.parametrize("type_", ["", "Micro/Macro"])
def test_a_row_of_no_type_cannot_be_used(tmp_path: Path, type_: str) -> None:
    (clip,) = read(tmp_path, row(type_=type_))
    assert clip.problem == f"its type {type_!r} is neither macro nor micro"


def test_a_name_of_a_macro_and_a_micro_row_names_two_clips(tmp_path: Path) -> None:
    rows = [row(type_="Macro"), row(), row("006_1_4", type_="Macro"), row()]
    clips = read(tmp_path, *rows)
    assert [clip.origin.clip for clip in clips] == [
        "006_1_2_macro",
        "006_1_2",
        "006_1_4",
        "006_1_2",
    ]
    assert [clip.problem for clip in clips] == ["", "", "", "in the sheet twice"]


@pytest.mark.parametrize("cell", ["4+glare", "Chewing", "(loses 1+2) or (4(B/C))", "4"])
def test_action_units_stay_as_they_are_coded(tmp_path: Path, cell: str) -> None:
    (clip,) = read(tmp_path, row(aus=int(cell) if cell.isdigit() else cell))
    assert clip.aus == cell


def test_without_samms_own_sheet_nobody_tells_an_emotion(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row())
    assert (clip.emotion, clip.label, clip.odd) == ("", None, ())


def test_emotions_of_micro_rows_are_those_of_samms_own_sheet(tmp_path: Path) -> None:
    write_emotions(tmp_path, {"006_1_2": "Anger", "006_1_3": "Happiness", "006_1_4": "Other"})
    names = ("006_1_4", "006_1_3", "006_1_2")
    clips = read(tmp_path, *map(row, names), row("006_1_2", type_="Macro"))
    assert [(clip.emotion, clip.label) for clip in clips] == [
        ("Other", None),
        ("Happiness", 1),
        ("Anger", 0),
        ("", None),
    ]
    assert [clip.onset for clip in clips] == [3] * 4  # not the 1003 of the other sheet


def test_a_micro_row_that_samms_own_sheet_does_not_know_says_so(tmp_path: Path) -> None:
    write_emotions(tmp_path, {"006_1_3": "Happiness"})
    clips = read(tmp_path, row(), row("006_1_5", type_="Macro"))
    assert [clip.odd for clip in clips] == [("SAMM's own sheet tells no emotion of 006_1_2",), ()]


def test_videos_that_are_not_there_are_told_not_dropped(tmp_path: Path) -> None:
    clips = read(tmp_path, row(), row("008_3_1"), row("008_3_2", onset=0))
    assert [clip.origin.subject for clip in clips] == ["006", "008", "008"]
    assert [clip.problem for clip in clips] == ["", "no frames", "no frames"]


def test_a_clip_that_goes_on_after_the_recording_says_what_is_missing(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row(offset=23))
    assert clip.odd == ("3 frames missing between onset and offset",)  # 21, 22, 23


def test_a_cell_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    write(tmp_path, row("../.."))
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        list(SAMM_LV.read(tmp_path))


def test_a_folder_without_the_sheet_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write_emotions(tmp_path, {"006_1_2": "Anger"})
    with pytest.raises(FileNotFoundError, match=r"no label sheet SAMM_LongVideos.*put it there"):
        list(SAMM_LV.read(tmp_path))
