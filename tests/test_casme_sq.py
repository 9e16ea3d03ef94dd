"""CAS(ME)^2's sheets without a header, on invented rows: no picture is rendered here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.collection import MARK
from mie_x.datasets.facs import action_units
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

SHEET = "CAS(ME)^2code_final.xlsx"
PEOPLE: list[list[object]] = [[15, "s15", 1], [16, "s16", 2], [23, "s23", 7]]
FILMS: list[list[object]] = [["0101", "disgust1"], [401, "anger1"], ["0502", "happy2"]]


def row(
    subject: object = 1,
    name: str = "anger1_1",
    onset: object = 98,
    apex: object = 101,
    offset: object = 105,
    aus: object = "4+10",
    valence: str = "negative",
    kind: str = "micro-expression",
    emotion: object = "anger",
) -> list[object]:
    return [subject, name, onset, apex, offset, aus, valence, kind, emotion]


def film(root: Path, place: str, *, last: int = 120) -> None:
    """Frames img095.jpg, as the original pads them, to LAST of a video."""
    folder = root / "rawpic" / place
    folder.mkdir(parents=True)
    for number in range(95, last + 1):
        Image.new("RGB", (8, 6), (number % 256, 0, 0)).save(folder / f"img{number:03d}.jpg")


def lay_out(root: Path, *rows: Sequence[object], first: str = "CASFEcode_final") -> list[Clip]:
    """The rows and both naming rules as a workbook, s15's video of anger1; read."""
    if not (root / "rawpic").exists():
        film(root, "s15/15_0401girlcrashing")
    write_sheet(root / SHEET, {first: rows, "naming rule1": PEOPLE, "naming rule2": FILMS})
    return read(root)


def read(root: Path) -> list[Clip]:
    return list(COLLECTIONS["casme-sq"].read(root))


@pytest.mark.parametrize("first", ["CASFEcode_final", "CASMEcode_final ", "Sheet1"])
def test_the_naming_rules_tell_whose_video_and_which(tmp_path: Path, first: str) -> None:
    (clip,) = lay_out(tmp_path, row(), first=first)
    assert clip.origin == ("casme-sq", "s15", "anger1_1")
    assert clip.footage.name == "s15/15_0401girlcrashing"
    assert (clip.onset, clip.apex, clip.offset, clip.apex_from) == (98, 101, 105, "coded")
    assert (clip.aus, clip.fps, clip.problem, clip.odd) == ("4+10", 30.0, "", ())


def test_frames_are_padded_to_three_digits_and_sorted_by_number(tmp_path: Path) -> None:
    film(tmp_path, "s15/15_0401girlcrashing", last=1001)
    (tmp_path / "rawpic/s15/15_0401girlcrashing/._img095.jpg").write_bytes(b"x")
    (clip,) = lay_out(tmp_path, row())
    assert clip.footage.names[:6:5] == ("img095.jpg", "img100.jpg")
    assert clip.footage.names[-2:] == ("img1000.jpg", "img1001.jpg")
    assert clip.numbers == list(range(98, 106))


def test_clips_of_one_video_share_its_footage(tmp_path: Path) -> None:
    one, two = lay_out(tmp_path, row(), row(name="anger1_2", kind="macro-expression"))
    assert one.footage is two.footage
    assert (one.kind, two.kind) == ("micro", "macro")


def test_an_offset_of_0_is_the_apex_and_an_apex_of_0_the_middle(tmp_path: Path) -> None:
    no_offset, no_apex = lay_out(
        tmp_path, row(offset=0), row(name="anger1_2", apex=0, offset="107")
    )
    assert (no_offset.apex, no_offset.offset, no_offset.apex_from) == (101, 101, "coded")
    assert no_offset.repaired == ("offset '0' is not annotated: its apex 101 taken",)
    assert (no_apex.apex, no_apex.apex_from) == (102, "middle")  # (98 + 107) // 2
    assert no_apex.repaired == ("apex '0' is not annotated: the middle frame 102 taken",)


@pytest.mark.parametrize("apex", [0, 90])
def test_a_clip_does_not_last_to_the_end_of_its_video(tmp_path: Path, apex: int) -> None:
    (clip,) = lay_out(tmp_path, row(apex=apex, offset=0))
    assert (clip.apex, clip.offset) == (None, None)
    assert clip.problem == f"its offset is not annotated ('0'), nor its apex ('{apex}')"


@pytest.mark.parametrize(
    ("valence", "label"),
    [("negative", 0), ("Positive", 1), ("surprise ", 2), ("others", None)],
)
def test_the_valence_gives_the_class_and_the_report_the_emotion(
    tmp_path: Path, valence: str, label: int | None
) -> None:
    (clip,) = lay_out(tmp_path, row(valence=valence, emotion="Helpless"))
    assert (clip.label, clip.emotion, clip.odd) == (label, "Helpless", ())


def test_an_emotion_that_nobody_reported_leaves_the_class(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, row(emotion=None))
    assert (clip.label, clip.emotion) == (0, "")


def test_an_unknown_valence_or_kind_is_told(tmp_path: Path) -> None:
    valence, kind = lay_out(tmp_path, row(valence="negativ"), row(name="anger1_2", kind="blink"))
    assert (valence.label, valence.odd) == (None, ("its valence is 'negativ'",))
    assert kind.problem == "'blink' is neither micro nor macro"


@pytest.mark.parametrize(
    ("cell", "text", "units"),
    [
        ("NULL", "NULL", []),
        ("null", "null", []),
        (38, "38", [38]),
        ("4,24,6+12+15", "4,24,6+12+15", [4, 24, 6, 12, 15]),
        ("14or23", "14or23", [14, 23]),
        ("L1+L2", "L1+L2", [1, 2]),
    ],
)
def test_action_units_stay_as_they_are_coded(
    tmp_path: Path, cell: object, text: str, units: list[int]
) -> None:
    (clip,) = lay_out(tmp_path, row(aus=cell))
    assert clip.aus == text
    assert [unit.au for unit in action_units(text)] == units


def test_the_updated_copy_is_preferred_and_tells_its_paths(tmp_path: Path) -> None:
    lay_out(tmp_path, row(apex=99))
    rows = [[*row(), 7, "s15/15_0401girlcrashing"], [*row(2, "anger1_1"), 7, None]]
    pages = {"CASFEcode_final": rows, "naming rule1": PEOPLE, "naming rule2": FILMS}
    write_sheet(tmp_path / "CAS(ME)^2code_final(Updated).xlsx", pages)
    one, two = read(tmp_path)
    assert (one.apex, one.origin.subject, one.problem) == (101, "s15", "")
    assert (two.origin.subject, two.problem) == ("s16", "no frames")


def test_a_csv_export_without_a_final_newline_is_read_by_its_paths(tmp_path: Path) -> None:
    film(tmp_path, "s15/15_0401girlcrashing")
    line = "1,anger1_1,98,101,105,4+10,negative,macro-expression,anger,7,s15/15_0401girlcrashing"
    (tmp_path / "CAS(ME)^2code_final(Updated).csv").write_text(line)
    (clip,) = read(tmp_path)
    assert (clip.origin.subject, clip.apex, clip.kind, clip.problem) == ("s15", 101, "macro", "")


def test_without_path_and_naming_rules_a_row_says_so(tmp_path: Path) -> None:
    film(tmp_path, "s15/15_0401girlcrashing")
    line = "1,anger1_1,98,101,105,4+10,negative,macro-expression,anger,7\n"
    (tmp_path / "CAS(ME)^2code_final(Updated).csv").write_text(line)
    (clip,) = read(tmp_path)
    assert clip.problem == "neither its row nor the naming rules tell the video of 'anger1_1'"


def test_a_video_in_anothers_folder_is_found_by_its_own_name(tmp_path: Path) -> None:
    film(tmp_path, "s19/23_0502funnyerrors")
    (clip,) = lay_out(tmp_path, row(7, "happy2_1"))
    assert (clip.origin.subject, clip.footage.name) == ("s23", "s19/23_0502funnyerrors")
    assert clip.odd == ("its video lies in the folder of s19",)
    film(tmp_path, "s23/23_0502funnyerrors")
    (own,) = read(tmp_path)
    assert (own.footage.name, own.odd) == ("s23/23_0502funnyerrors", ())


def test_a_header_and_remarks_below_the_rows_are_no_rows(tmp_path: Path) -> None:
    header = row("participant", "video_name", "onset", "apex", "offset")
    clips = lay_out(tmp_path, header, row(), [], ["checked by two coders"], [None, None, 300])
    assert [clip.origin.clip for clip in clips] == ["anger1_1"]


def test_missing_videos_missing_frames_and_rows_given_twice_are_told(tmp_path: Path) -> None:
    clips = lay_out(tmp_path, row(2), row(onset=119, apex=120, offset=122), row())
    assert [clip.problem for clip in clips] == ["no frames", "", "in the sheet twice"]
    assert clips[1].odd == ("2 frames missing between onset and offset",)


def test_a_path_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        lay_out(tmp_path, [*row(), 7, "../../etc/15_0402x"])


def test_a_workbook_without_rows_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no row like 1 .* give the collection's own sheet"):
        lay_out(tmp_path, ["nothing", "here"])


def test_a_stand_in_one_folder_below_the_root_still_says_so(tmp_path: Path) -> None:
    lay_out(tmp_path / "inner", row())
    assert not read(tmp_path)[0].stand_in
    (tmp_path / "inner" / MARK).write_text("STAND-IN\n")
    assert read(tmp_path)[0].stand_in


def test_the_published_classes_leave_the_others_out() -> None:
    micro, macro = COLLECTIONS["casme-sq"].published
    assert (micro.clips, sum(micro.labels.values()), macro.clips) == (57, 57 - 19, 300)
