"""CASME II's sheet with its quirks, on invented rows: no picture is rendered here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

HEADER = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None]
HEADER_2019 = [*HEADER, "Action Units", "Estimated Emotion", "Objective Classes"]


def lay_out(
    root: Path,
    *rows: Sequence[object],
    header: Sequence[object] = HEADER_2019,
    name: str = "CASME2-coding-20190701.xlsx",
    frames: range = range(46, 56),
) -> list[Clip]:
    """The rows as a sheet; frames img46 .. img55 for each clip that lies in a folder; read."""
    write_sheet(root / name, {"Sheet1": [header, *rows], "Sheet2": []})
    for row in rows:
        folder = root / "CASME2_RAW_selected" / f"sub{str(row[0]).strip(chr(39)).zfill(2)}"
        folder = folder / str(row[1])
        folder.mkdir(parents=True, exist_ok=True)
        for number in frames:
            tone = (number, sum(str(folder.relative_to(root)).encode()) % 256, 0)
            Image.new("RGB", (8, 6), tone).save(folder / f"img{number}.jpg")
    return list(COLLECTIONS["casme2"].read(root))


def row(
    subject: object = "01",
    name: str = "EP02_01f",
    onset: object = 46,
    apex: object = 50,
    offset: object = 55,
    aus: object = "4+7+L10",
    emotion: object = "happiness",
) -> list[object]:
    return [subject, name, None, onset, apex, offset, None, aus, emotion, None]


@pytest.mark.parametrize("subject", ["01", 1, 1.0, "'01", "sub01", " 01 "])
def test_a_subject_is_text_with_two_digits_however_it_was_exported(
    tmp_path: Path, subject: object
) -> None:
    (tmp_path / "CASME2_RAW_selected/sub01/EP02_01f").mkdir(parents=True)
    write_sheet(tmp_path / "CASME2-coding.xlsx", {"Sheet1": [HEADER_2019, row(subject)]})
    (clip,) = COLLECTIONS["casme2"].read(tmp_path)
    assert clip.origin == ("casme2", "sub01", "EP02_01f")


def test_an_apex_of_a_stroke_is_the_middle_and_says_so(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row(apex="/"))
    assert (clip.apex, clip.apex_from) == (50, "middle")  # (46 + 55) // 2
    assert clip.repaired == ("apex '/' is not annotated: the middle frame 50 taken",)
    assert clip.problem == ""


@pytest.mark.parametrize(
    ("apex", "odd"),
    [(46, "apex and onset are one frame"), (55, "apex and offset are one frame")],
)
def test_an_apex_at_either_end_is_kept_and_told(tmp_path: Path, apex: int, odd: str) -> None:
    (clip,) = lay_out(tmp_path, row(apex=apex))
    assert (clip.apex, clip.odd, clip.repaired) == (apex, (odd,), ())


def test_frames_are_sorted_by_number_and_hidden_files_left_alone(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row(onset=8, apex=9, offset=11), frames=range(8, 12))
    (tmp_path / "CASME2_RAW_selected/sub01/EP02_01f/._img9.jpg").write_bytes(b"x")
    (again,) = COLLECTIONS["casme2"].read(tmp_path)
    assert list(again.footage.numbers) == list(clip.footage.numbers) == [8, 9, 10, 11]
    assert list(again.footage.names) == ["img8.jpg", "img9.jpg", "img10.jpg", "img11.jpg"]


@pytest.mark.parametrize(
    ("tree", "file"),
    [("CASME2_RAW_selected", "img46.jpg"), ("CASME2-RAW", "img1.jpg"), ("Cropped", "reg_img46.jpg"),
     (".", "img46.jpg")],
)  # fmt: skip
def test_frames_lie_in_any_of_the_trees_that_are_handed_out(
    tmp_path: Path, tree: str, file: str
) -> None:
    folder = tmp_path / tree / "sub01/EP06_02_01"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(folder / file)
    rows = [row(name="EP06_02_01"), row(name="EP06_02_02")]
    write_sheet(tmp_path / "CASME2_label_Ver_2.xlsx", {"Sheet1": [HEADER_2019, *rows]})
    clip, other = COLLECTIONS["casme2"].read(tmp_path)
    assert clip.footage.names == (file,)
    assert other.problem == "no frames"


def test_of_the_trees_the_selected_frames_come_first(tmp_path: Path) -> None:
    lay_out(tmp_path, row())
    folder = tmp_path / "Cropped/sub01/EP02_01f"
    folder.mkdir(parents=True)
    Image.new("RGB", (8, 6)).save(folder / "reg_img46.jpg")
    (clip,) = COLLECTIONS["casme2"].read(tmp_path)
    assert len(clip.numbers) == 10


@pytest.mark.parametrize(
    ("cell", "read"), [(12, "12"), ("12", "12"), ("?", "?"), (None, ""), ("R4+R10", "R4+R10")]
)
def test_action_units_stay_as_they_are_coded(tmp_path: Path, cell: object, read: str) -> None:
    (clip,) = lay_out(tmp_path, row(aus=cell))
    assert clip.aus == read


@pytest.mark.parametrize(
    ("emotion", "label"),
    [
        ("happiness", 1),
        ("Happiness ", 1),
        ("disgust", 0),
        ("REPRESSION", 0),
        ("surprise", 2),
        ("sadness", None),
        ("fear", None),
        ("others", None),
    ],
)
def test_classes_follow_the_rule_of_megc2019(
    tmp_path: Path, emotion: str, label: int | None
) -> None:
    (clip,) = lay_out(tmp_path, row(emotion=emotion))
    assert (clip.label, clip.emotion) == (label, emotion.strip())


def test_headers_without_blank_columns_with_trailing_blanks_or_as_csv_are_read(
    tmp_path: Path,
) -> None:
    header = ["Subject ", "Filename", "OnsetFrame ", "ApexFrame", "OffsetFrame", "Action Units",
              "Estimated Emotion "]  # fmt: skip
    cells = ["1", "EP02_01f", 46, 50, 55, "'4+7", "disgust"]
    (tmp_path / "CASME2-RAW/sub01/EP02_01f").mkdir(parents=True)
    write_sheet(tmp_path / "CASME2-coding-20140508.csv", {"Sheet1": [header, cells]})
    (clip,) = COLLECTIONS["casme2"].read(tmp_path)
    assert (clip.origin.subject, clip.onset, clip.apex, clip.offset) == ("sub01", 46, 50, 55)
    assert (clip.aus, clip.emotion) == ("4+7", "disgust")


def test_missing_frames_and_rows_given_twice_are_told_not_dropped(tmp_path: Path) -> None:
    clips = lay_out(tmp_path, row(), row(), row(name="EP03_02", offset=120))
    assert [clip.problem for clip in clips] == ["", "in the sheet twice", ""]
    assert clips[2].odd == ("65 frames missing between onset and offset",)  # 56 .. 120


def test_a_clip_without_a_folder_is_among_the_clips(tmp_path: Path) -> None:
    lay_out(tmp_path, row())
    write_sheet(tmp_path / "CASME2-coding.xlsx", {"Sheet1": [HEADER_2019, row(name="EP77")]})
    (tmp_path / "CASME2-coding-20190701.xlsx").unlink()
    (clip,) = COLLECTIONS["casme2"].read(tmp_path)
    assert clip.problem == "no frames"


def test_a_root_one_folder_above_is_read(tmp_path: Path) -> None:
    lay_out(tmp_path / "CASME2", row())
    (clip,) = COLLECTIONS["casme2"].read(tmp_path)
    assert (clip.problem, len(clip.numbers)) == ("", 10)


def test_a_cell_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    (tmp_path / "CASME2_RAW_selected").mkdir()
    write_sheet(tmp_path / "CASME2-coding.xlsx", {"S": [HEADER_2019, row(name="../../etc")]})
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        list(COLLECTIONS["casme2"].read(tmp_path))


def test_a_folder_without_the_sheet_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no label sheet CASME2.*put it there"):
        list(COLLECTIONS["casme2"].read(tmp_path))
