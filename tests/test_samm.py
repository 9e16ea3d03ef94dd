"""SAMM's sheet with its quirks, on invented rows: no picture is rendered here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mie_x.datasets.samm import LABEL_OF, SAMM
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

HEADER = ["Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame",
          "Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes", "Notes",
          None, None]  # fmt: skip


def row(
    subject: object = "006",
    name: str = "006_1_2",
    onset: object = 562,
    apex: object = 566,
    offset: object = 571,
    aus: object = "4A/B+7B",
    emotion: object = "Anger",
) -> list[object]:
    codes = [subject, name, 1, onset, apex, offset, "=F15-D15+1", "Micro - 1/2"]
    return [*codes, aus, emotion, "2", None, None, None]


def write(root: Path, *rows: Sequence[object], preamble: int = 13, suffix: str = ".xlsx") -> None:
    above: list[Sequence[object]] = [["Coded by nobody"], *([] for _ in range(preamble - 1))]
    lines = [*above[:preamble], HEADER, *rows]
    write_sheet(root / f"SAMM_Micro_FACS_Codes_v2{suffix}", {"MICRO_ONLY": lines})


def film(folder: Path, numbers: range = range(562, 572), digits: int = 5) -> None:
    folder.mkdir(parents=True)
    for number in numbers:
        name = f"{folder.parent.name}_{number:0{digits}d}.jpg"
        Image.new("L", (8, 6), number % 256).save(folder / name)


def read(root: Path, *rows: Sequence[object]) -> list[Clip]:
    """The rows as a sheet, and frames 562 to 571 of each clip; read."""
    write(root, *rows)
    for _, name, *_ in rows:
        if not (root / "SAMM" / str(name)[:3] / str(name)).exists():
            film(root / "SAMM" / str(name)[:3] / str(name))
    return list(SAMM.read(root))


def test_a_row_is_read_below_thirteen_lines_of_preamble(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row())
    assert clip.origin == ("samm", "006", "006_1_2")
    assert (clip.onset, clip.apex, clip.offset, clip.apex_from) == (562, 566, 571, "coded")
    assert (clip.emotion, clip.label, clip.aus, clip.kind) == ("Anger", 0, "4A/B+7B", "micro")
    assert (clip.fps, clip.repaired, clip.odd, clip.problem) == (200.0, (), (), "")
    assert clip.numbers == list(range(562, 572))


@pytest.mark.parametrize("preamble", [0, 13, 14])
@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
def test_the_header_may_stand_in_any_line(tmp_path: Path, preamble: int, suffix: str) -> None:
    write(tmp_path, row(), preamble=preamble, suffix=suffix)
    film(tmp_path / "SAMM/006/006_1_2")
    (clip,) = SAMM.read(tmp_path)
    assert (clip.onset, clip.problem) == (562, "")


@pytest.mark.parametrize("subject", ["006", "'006", 6, "6", " 006 "])
def test_a_subject_is_text_of_three_digits_however_it_was_exported(
    tmp_path: Path, subject: object
) -> None:
    (clip,) = read(tmp_path, row(subject))
    assert (clip.origin.subject, clip.problem) == ("006", "")


def test_the_root_may_hold_the_folders_of_subjects_itself(tmp_path: Path) -> None:
    write(tmp_path, row())
    film(tmp_path / "006/006_1_2")
    (clip,) = SAMM.read(tmp_path)
    assert (clip.footage.name, len(clip.footage.numbers)) == ("006/006_1_2", 10)


def test_a_root_one_folder_above_is_read_also_where_it_is_called_alike(tmp_path: Path) -> None:
    read(tmp_path / "SAMM", row())
    (clip,) = SAMM.read(tmp_path)
    assert (clip.problem, len(clip.numbers)) == ("", 10)


@pytest.mark.parametrize("digits", [4, 5])
def test_frames_are_found_by_number_whatever_their_padding(tmp_path: Path, digits: int) -> None:
    write(tmp_path, row(onset=998, apex=1000, offset=1002))
    film(tmp_path / "SAMM/006/006_1_2", range(998, 1003), digits)
    (tmp_path / "SAMM/006/006_1_2/._006_00998.jpg").write_bytes(b"\0")
    (tmp_path / "SAMM/006/006_1_2/.DS_Store").write_bytes(b"\0")
    (clip,) = SAMM.read(tmp_path)
    assert list(clip.footage.numbers) == [998, 999, 1000, 1001, 1002]
    assert clip.footage.names[0] == f"006_{998:0{digits}d}.jpg"
    assert (clip.odd, clip.problem) == ((), "")


def test_grey_frames_are_handed_out_as_rgb(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row())
    frame = clip.footage.frame(562)
    assert frame.shape == (6, 8, 3) and frame.dtype == np.uint8
    assert (frame == frame[..., :1]).all()


@pytest.mark.parametrize(
    ("apex", "why"),
    [
        (56, "outside 562 to 571"),  # 032_3_1: a digit is missing
        (575, "outside 562 to 571"),  # 028_4_1: after the offset
        (-1, "not annotated"),
        ("-1", "not annotated"),
        (None, "not annotated"),
    ],
)
def test_an_apex_that_cannot_be_is_the_middle_and_says_so(
    tmp_path: Path, apex: object, why: str
) -> None:
    (clip,) = read(tmp_path, row(apex=apex))
    cell = "" if apex is None else str(apex)
    assert (clip.apex, clip.apex_from) == (566, "middle")  # (562 + 571) // 2
    assert clip.repaired == (f"apex {cell!r} is {why}: the middle frame 566 taken",)
    assert (clip.label, clip.problem) == (0, "")


def test_an_apex_right_after_the_onset_is_one(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row("032", "032_3_2", apex=563))
    assert (clip.apex, clip.apex_from, clip.repaired, clip.odd) == (563, "coded", (), ())


def test_an_offset_before_the_onset_is_the_apex_and_says_so(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row("013", "013_1_9", offset=57))
    assert (clip.apex, clip.offset, clip.apex_from) == (566, 566, "coded")
    assert clip.repaired == ("offset '57' is before the onset 562: its apex 566 taken",)


def test_an_offset_before_the_apex_leaves_the_middle_of_what_is_left(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row("013", "013_1_9", offset=564))
    assert (clip.onset, clip.apex, clip.offset, clip.apex_from) == (562, 563, 564, "middle")


def test_an_offset_with_a_digit_too_many_is_told(tmp_path: Path) -> None:
    (clip,) = read(tmp_path, row("013", "013_1_9", offset=5710))
    assert clip.odd == ("5139 frames missing between onset and offset",)  # 572 .. 5710
    assert clip.numbers == list(range(562, 572))


@pytest.mark.parametrize(
    ("emotion", "label"),
    [
        ("Happiness", 1),
        ("happiness ", 1),
        ("Surprise", 2),
        ("Anger", 0),
        ("Contempt", 0),
        ("Disgust", 0),
        ("Fear", 0),
        ("SADNESS", 0),
        ("Other", None),
        (None, None),
    ],
)
def test_classes_follow_the_rule_of_megc2019(
    tmp_path: Path, emotion: str | None, label: int | None
) -> None:
    (clip,) = read(tmp_path, row(emotion=emotion))
    assert (clip.label, clip.emotion) == (label, (emotion or "").strip())


def test_the_rule_gives_the_published_classes_of_the_published_emotions() -> None:
    (published,) = SAMM.published
    for name, count in {"negative": 92, "positive": 26, "surprise": 15}.items():
        words = [word for word, label in LABEL_OF.items() if label == name]
        assert sum(published.emotions[word] for word in words) == count
    assert sum(published.emotions.values()) == published.clips == 159
    assert [sum(row) for row in zip(*published.by_subject.values(), strict=True)] == [92, 26, 15]


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [
        (12, "12"),
        ("7B", "7B"),
        ("A9+12", "A9+12"),
        ("L12 or L14", "L12 or L14"),
        ("(R6 or R12)+R15", "(R6 or R12)+R15"),
        ("ref(7B)+43C", "ref(7B)+43C"),
        ("R14+17+soft focus", "R14+17+soft focus"),
        (None, ""),
    ],
)
def test_action_units_stay_as_they_are_coded(tmp_path: Path, cell: object, read_as: str) -> None:
    (clip,) = read(tmp_path, row(aus=cell))
    assert clip.aus == read_as


def test_rows_given_twice_and_rows_without_frames_are_told_not_dropped(tmp_path: Path) -> None:
    write(tmp_path, row(), row(), row(name="006_1_9"))
    film(tmp_path / "SAMM/006/006_1_2")
    clips = list(SAMM.read(tmp_path))
    assert [clip.problem for clip in clips] == ["", "in the sheet twice", "no frames"]


def test_a_cell_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    write(tmp_path, row(name="../../etc"))
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        list(SAMM.read(tmp_path))


def test_a_folder_without_the_sheet_or_with_another_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no label sheet SAMM_Micro.*put it there"):
        list(SAMM.read(tmp_path))
    write_sheet(tmp_path / "SAMM_Micro.xlsx", {"S": [["Subject", "Filename", "Onset"]]})
    with pytest.raises(ValueError, match=r"no line with the columns Subject, .*Onset Frame"):
        list(SAMM.read(tmp_path))
