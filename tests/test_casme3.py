"""CAS(ME)^3's sheet with its quirks, on invented rows: no picture is rendered here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.check import check
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
SHEET = "annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"


def film(folder: Path, numbers: Iterable[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", (8, 6), (number % 256, 0, 0)).save(folder / f"{number}.jpg")


def read(root: Path, *rows: Sequence[object], name: str = SHEET) -> list[Clip]:
    write_sheet(root / name, {"label": [HEADER, *rows]})
    return list(COLLECTIONS["casme3"].read(root))


def row(
    onset: object = 175,
    apex: object = 178,
    offset: object = 184,
    *,
    video: str = "b",
    aus: object = "4+7",
    emotion: str = "disgust",
) -> list[object]:
    return ["spNO.1", video, onset, apex, offset, aus, "IV", emotion]


def test_clips_of_one_video_share_its_frames_and_are_named_by_their_onsets(tmp_path: Path) -> None:
    film(tmp_path / "part_A/spNO.1/b/color", range(170, 220))
    film(tmp_path / "part_A/spNO.1/b/depth", [175])
    first, second = read(tmp_path, row(), row(200, 204, 210))
    assert first.origin == ("casme3", "spNO.1", "b-175")
    assert second.origin == ("casme3", "spNO.1", "b-200")
    assert first.footage is second.footage
    assert first.footage.name == "spNO.1/b/color"
    assert list(first.footage.numbers) == list(range(170, 220))
    assert first.numbers == list(range(175, 185))
    assert (first.fps, first.kind, first.problem) == (30.0, "micro", "")


def test_one_folder_a_row_is_read_too(tmp_path: Path) -> None:
    film(tmp_path / "Part_A_ME_clip/frame/spNO.1_b_175", range(175, 185))
    film(tmp_path / "Part_A_ME_clip/frame/spNO.1_b_200", range(200, 211))
    first, second = read(tmp_path, row("0175"), row(200, 204, 210))
    assert (first.footage.name, second.footage.name) == ("spNO.1_b_175", "spNO.1_b_200")
    assert first.numbers == list(range(175, 185))
    assert second.origin.clip == "b-200"


def test_part_a_itself_may_be_the_root(tmp_path: Path) -> None:
    film(tmp_path / "spNO.1/b/color", range(175, 185))
    (clip,) = read(tmp_path, row(), name="cas(me)3_part_A_ME_label_JpgIndex_v2.csv")
    assert clip.numbers == list(range(175, 185))


@pytest.mark.parametrize("cell", ["175", "175.0", " 175 ", 175, 175.0])
def test_a_number_stored_as_text_is_that_number(tmp_path: Path, cell: object) -> None:
    film(tmp_path / "part_A/spNO.1/b/color", range(175, 185))
    (clip,) = read(tmp_path, row(cell, "178", "184"))
    assert (clip.onset, clip.apex, clip.offset) == (175, 178, 184)
    assert clip.origin.clip == "b-175"


def test_an_offset_before_the_apex_leaves_a_middle_frame_and_says_so(tmp_path: Path) -> None:
    film(tmp_path / "part_A/spNO.1/b/color", range(170, 220))
    between, before = read(tmp_path, row(175, 184, 178), row(200, 204, 190))
    assert (between.onset, between.apex, between.offset) == (175, 176, 178)  # (175 + 178) // 2
    assert between.apex_from == "middle"
    assert between.repaired == ("apex '184' is outside 175 to 178: the middle frame 176 taken",)
    assert (before.onset, before.apex, before.offset) == (200, 204, 204)
    assert before.repaired == ("offset '190' is before the onset 200: its apex 204 taken",)
    assert (between.problem, before.problem) == ("", "")


def test_an_onset_that_is_the_apex_is_kept_and_told(tmp_path: Path) -> None:
    film(tmp_path / "part_A/spNO.1/b/color", range(170, 220))
    (clip,) = read(tmp_path, row(175, 175, 184))
    assert (clip.onset, clip.apex, clip.offset) == (175, 175, 184)
    assert clip.odd == ("apex and onset are one frame",)


def test_missing_frames_are_no_fault_of_the_copy(tmp_path: Path) -> None:
    film(tmp_path / "part_A/spNO.1/b/color", [n for n in range(170, 220) if n not in (176, 183)])
    (clip,) = read(tmp_path, row())
    assert clip.odd == ("2 frames missing between onset and offset",)
    assert clip.problem == ""
    found = check(COLLECTIONS["casme3"], tmp_path).findings
    (gap,) = (finding for finding in found if "missing from onset to offset" in finding.what)
    assert (gap.level, gap.what) == ("odd", "2 frames missing from onset to offset: 176, 183")


def test_a_missing_onset_cannot_be_used_and_is_handed_on(tmp_path: Path) -> None:
    film(tmp_path / "part_A/spNO.1/b/color", range(176, 185))
    absent, elsewhere = read(tmp_path, row(), row(video="c"))
    assert absent.problem == "no frame 175, its onset"
    assert elsewhere.problem == "no frames"


@pytest.mark.parametrize(
    ("emotion", "label"),
    [
        ("happy", 1),
        ("Happy", 1),
        ("disgust", 0),
        ("fear", 0),
        ("anger", 0),
        ("sad", 0),
        ("surprise", 2),
        ("others", None),
        ("Others", None),
    ],
)
def test_classes_are_found_by_the_collections_own_words(
    tmp_path: Path, emotion: str, label: int | None
) -> None:
    (clip,) = read(tmp_path, row(emotion=emotion))
    assert (clip.label, clip.emotion) == (label, emotion)


@pytest.mark.parametrize(("cell", "text"), [(4, "4"), ("4+L12", "4+L12"), (None, "")])
def test_action_units_stay_as_they_are_coded(tmp_path: Path, cell: object, text: str) -> None:
    (clip,) = read(tmp_path, row(aus=cell))
    assert clip.aus == text


def test_a_ghost_sheet_and_an_expression_type_change_nothing(tmp_path: Path) -> None:
    header = [*HEADER[:6], "Objective class", "Expression type", "emotion"]
    line = [*row()[:7], "Micro-expression", "sad"]
    pages: dict[str, list[list[object]]] = {
        "Sheet3": [[None], [" ", None]],
        "label": [list(header), line],
        "Sheet2": [[None, " "]],
    }
    write_sheet(tmp_path / SHEET, pages)
    (clip,) = COLLECTIONS["casme3"].read(tmp_path)
    assert (clip.emotion, clip.onset) == ("sad", 175)


def test_a_row_given_twice_is_told_and_the_macro_sheet_left_alone(tmp_path: Path) -> None:
    write_sheet(tmp_path / SHEET.replace("_ME_", "_MaE_"), {"label": [HEADER, row(1, 2, 3)]})
    first, second = read(tmp_path, row(), row())
    assert (first.onset, first.problem) == (175, "no frames")
    assert second.problem == "in the sheet twice"


def test_a_cell_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        read(tmp_path, row(video="../../etc"))


def test_a_folder_without_the_sheet_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no label sheet .*part_A_ME.*put it there"):
        list(COLLECTIONS["casme3"].read(tmp_path))
