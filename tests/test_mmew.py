"""MMEW's sheet and its two trees with their quirks, on invented rows: no picture is rendered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.collection import MARK
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units",
          "Estimated Emotion", "remarks"]  # fmt: skip
SHEET = "MMEW_Micro_Exp.xlsx"


def row(
    subject: object = 13,
    name: object = "S13-07-001",
    onset: object = 2,
    apex: object = 9,
    offset: object = 11,
    aus: object = "4+7",
    emotion: object = "anger",
) -> list[object]:
    return [subject, name, onset, apex, offset, aus, emotion, None]


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (90, 0, 0)).save(path)


def lay_out(
    root: Path, *rows: Sequence[object], place: str = "Micro_Expression/anger", sheet: str = SHEET
) -> list[Clip]:
    """The rows as a sheet, frames 1.jpg .. 12.jpg for each of them in PLACE; read."""
    write_sheet(root / sheet, {"Sheet1": [HEADER, *rows]})
    for cells in rows:
        for number in range(1, 13):
            draw(root / place / str(cells[1]) / f"{number}.jpg")
    return read(root)


def read(root: Path) -> list[Clip]:
    return list(COLLECTIONS["mmew"].read(root))


def test_a_clip_is_found_in_its_emotions_folder_with_its_frames_by_number(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row())
    assert clip.origin == ("mmew", "S13", "S13-07-001")
    assert clip.footage.name == "Micro_Expression/anger/S13-07-001"
    assert list(clip.footage.names)[7:] == ["8.jpg", "9.jpg", "10.jpg", "11.jpg", "12.jpg"]
    assert (clip.onset, clip.apex, clip.offset, clip.fps) == (2, 9, 11, 90.0)
    assert (clip.kind, clip.repaired, clip.odd, clip.problem) == ("micro", (), (), "")


@pytest.mark.parametrize("subject", [3, "3", "03", "S03", "s3", "'03"])
def test_a_subject_is_spelled_as_in_the_names(tmp_path: Path, subject: object) -> None:
    (clip,) = lay_out(tmp_path, row(subject, "S03-07-002"))
    assert (clip.origin.subject, clip.odd) == ("S03", ())


@pytest.mark.parametrize(
    ("emotion", "label"),
    [("happiness", 1), ("surprise", 2), ("disgust", 0), ("fear", 0), ("Sadness ", 0), ("ANGER", 0),
     ("others", None)],
)  # fmt: skip
def test_classes_follow_the_rule_of_miex(tmp_path: Path, emotion: str, label: int | None) -> None:
    (clip,) = lay_out(tmp_path, row(emotion=emotion))
    assert (clip.label, clip.emotion) == (label, emotion.strip())


def test_a_missing_offset_is_the_apex_and_a_bad_apex_the_middle(tmp_path: Path) -> None:
    none, outside, neither = lay_out(
        tmp_path,
        row(name="S13-07-001", offset=None),
        row(name="S13-07-002", apex=40),
        row(name="S13-07-003", apex=None, offset=None),
    )
    assert (none.apex, none.offset, none.apex_from) == (9, 9, "coded")
    assert none.repaired == ("offset '' is not annotated: its apex 9 taken",)
    assert (outside.apex, outside.apex_from) == (6, "middle")  # (2 + 11) // 2
    assert outside.repaired == ("apex '40' is outside 2 to 11: the middle frame 6 taken",)
    assert (neither.apex, neither.offset) == (7, 12)  # the folder's last; (2 + 12) // 2


def test_a_folder_of_another_emotion_is_used_and_told(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row(emotion="disgust"))
    assert (clip.emotion, clip.label) == ("disgust", 0)
    assert clip.odd == ("lies in 'anger', its row says 'disgust'",)
    assert len(clip.footage.numbers) == 12


def test_of_two_folders_the_one_of_the_rows_emotion_is_taken(tmp_path: Path) -> None:
    lay_out(tmp_path, row(emotion="fear"), place="Micro_Expression/fear")
    draw(tmp_path / "Micro_Expression/anger/S13-07-001/1.jpg")
    (clip,) = read(tmp_path)
    assert clip.footage.name == "Micro_Expression/fear/S13-07-001"
    assert clip.odd == ("2 folders have its name",)


def test_repression_is_another_word_for_others(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row(emotion="others"), place="Micro_Expression/repression")
    assert (clip.odd, clip.label) == ((), None)


def test_subjects_may_lie_on_top(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row(), place="Micro_Expression/S13/anger")
    assert clip.footage.name == "Micro_Expression/S13/anger/S13-07-001"
    assert len(clip.footage.numbers) == 12


@pytest.mark.parametrize("nest", ["MMEW", "MMEW_Final"])
def test_nested_copies_are_read(tmp_path: Path, nest: str) -> None:
    (clip,) = lay_out(tmp_path, row(), place=f"{nest}/Micro_Expression/anger")
    assert (clip.problem, clip.footage.name) == ("", "Micro_Expression/anger/S13-07-001")


def test_a_root_one_folder_above_is_read_and_a_stand_in_there_still_says_so(
    tmp_path: Path,
) -> None:
    lay_out(tmp_path / "MMEW_Final", row(), sheet="MMEW_Micro_Exp (20).xlsx")
    (clip,) = read(tmp_path)
    assert (clip.problem, clip.stand_in) == ("", False)
    (tmp_path / "MMEW_Final" / MARK).write_text("STAND-IN\n")
    assert read(tmp_path)[0].stand_in


def test_a_name_of_another_person_is_told(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row(subject=14))
    assert clip.origin.subject == "S14"
    assert clip.odd == ("its name tells of another person than its row: S14",)


def test_rows_without_frames_and_rows_given_twice_are_among_the_clips(tmp_path: Path) -> None:
    lay_out(tmp_path, row())
    write_sheet(tmp_path / SHEET, {"Sheet1": [HEADER, row(name="S13-07-009"), row(), row()]})
    assert [clip.problem for clip in read(tmp_path)] == ["no frames", "", "in the sheet twice"]


@pytest.mark.parametrize(("cell", "aus"), [(12, "12"), ("4+L10", "4+L10"), (None, "")])
def test_action_units_stay_as_they_are_coded(tmp_path: Path, cell: object, aus: str) -> None:
    (clip,) = lay_out(tmp_path, row(aus=cell))
    assert clip.aus == aus


def test_macro_pictures_are_stills_that_show_no_movement(tmp_path: Path) -> None:
    lay_out(tmp_path, row(1, "S01-07-001"))
    for name in ("S01-07-001.jpg", "S01-07-002.jpg", ".DS_Store", "notes.txt"):
        draw(tmp_path / "Macro_Expression/S01/anger/x.jpg")
        (tmp_path / "Macro_Expression/S01/anger/x.jpg").rename(
            tmp_path / "Macro_Expression/S01/anger" / name
        )
    micro, one, two = read(tmp_path)
    assert [clip.origin.clip for clip in (micro, one, two)] == [
        "S01-07-001",
        "S01-07-001-macro",
        "S01-07-002-macro",
    ]
    assert (two.kind, two.emotion, two.label) == ("macro", "anger", 0)
    assert (two.onset, two.apex, two.offset, two.fps) == (None, 2, None, None)
    assert two.problem == "a still picture: it shows no movement"
    assert two.footage.names == ("S01-07-002.jpg",)
    assert two.footage.frame(2).shape == (6, 8, 3)


def test_frames_of_several_macro_clips_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    lay_out(tmp_path, row())
    for name in ("S01-01-001-2", "S01-01-001-10", "S01-01-001-9", "S01-01-0011-1", "S01-01-0011-2"):
        draw(tmp_path / f"Macro_Expression/S01/happiness/{name}.jpg")
    _, one, eleven = read(tmp_path)
    assert list(one.footage.numbers) == [2, 9, 10]
    assert (one.onset, one.apex, one.offset, one.apex_from) == (2, 9, 10, "middle")
    assert (one.label, one.problem, one.fps) == (1, "", 90.0)
    assert eleven.origin.clip == "S01-01-0011-macro"
    assert list(eleven.footage.numbers) == [1, 2]


def test_a_folder_without_the_sheet_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no label sheet MMEW.*put it there"):
        read(tmp_path)


def test_the_published_counts_add_up() -> None:
    micro, macro = COLLECTIONS["mmew"].published
    assert sum(micro.emotions.values()) == micro.clips == 300
    assert (macro.kind, macro.clips) == ("macro", 900)
