"""DFME's sheets with their quirks, on invented rows: no picture is rendered here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.check import check
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "EmotionId",
          "Fps", "AU"]  # fmt: skip


def film(folder: Path, numbers: Iterable[int] = range(12)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / f"{number:05d}.png")


def write(root: Path, *rows: Sequence[object], name: str = "training_full_with_AU.xlsx") -> None:
    write_sheet(root / name, {"Sheet1": [HEADER, *rows]})


def read(root: Path) -> list[Clip]:
    return list(COLLECTIONS["dfme"].read(root))


def row(
    name: str = "sub0003_01",
    onset: object = 0,
    apex: object = 4,
    offset: object = 11,
    *,
    emotion: object = "disgust",
    number: object = 2,
    fps: object = 500,
    aus: object = "4+7",
) -> list[object]:
    return [name[:7], name, onset, apex, offset, emotion, number, fps, aus]


def test_frames_are_padded_and_the_first_is_0(tmp_path: Path) -> None:
    film(tmp_path / "train_data/sub0003_01")
    write(tmp_path, row())
    (clip,) = read(tmp_path)
    assert clip.origin == ("dfme", "sub0003", "sub0003_01")
    assert (clip.onset, clip.apex, clip.offset) == (0, 4, 11)
    assert clip.footage.names[:2] == ("00000.png", "00001.png")
    assert (clip.footage.name, clip.problem, clip.odd) == ("sub0003_01", "", ())


@pytest.mark.parametrize("cell", [500, "200", 300.0])
def test_the_frame_rate_is_a_rows_own(tmp_path: Path, cell: object) -> None:
    film(tmp_path / "train_data/sub0003_01")
    write(tmp_path, row(fps=cell), row("sub0003_02", fps=200))
    assert [clip.fps for clip in read(tmp_path)] == [float(str(cell)), 200.0]


@pytest.mark.parametrize("cell", [None, "fast", 0, "nan", -200])
def test_a_frame_rate_that_is_none_is_told_and_not_guessed(tmp_path: Path, cell: object) -> None:
    film(tmp_path / "train_data/sub0003_01")
    write(tmp_path, row(fps=cell))
    (clip,) = read(tmp_path)
    assert clip.fps is None
    assert clip.odd == (f"its frame rate is {'' if cell is None else str(cell)!r}",)
    assert clip.problem == ""


def test_the_sheets_that_are_there_are_read_in_the_order_of_the_parts(tmp_path: Path) -> None:
    film(tmp_path / "train_data/train_data/sub0003_01")
    film(tmp_path / "test_data_A/sub0004_01")
    film(tmp_path / "test_data_B/test_data_B/sub0005_01")
    write(tmp_path, row("sub0005_01"), name="annotation/testB_full_with_AU.xlsx")
    write(tmp_path, row("sub0003_01"), name="annotation/training_full_with_AU.xlsx")
    assert [clip.origin.clip for clip in read(tmp_path)] == ["sub0003_01", "sub0005_01"]
    write(tmp_path, row("sub0004_01"), name="annotation/DFME_test_A_full_with_AU.csv")
    clips = read(tmp_path)
    assert [clip.origin.clip for clip in clips] == ["sub0003_01", "sub0004_01", "sub0005_01"]
    assert [len(clip.numbers) for clip in clips] == [12, 12, 12]


def test_all_clips_may_lie_side_by_side(tmp_path: Path) -> None:
    film(tmp_path / "sub0003_01")
    write(tmp_path, row(), name="train.csv")
    (clip,) = read(tmp_path)
    assert (len(clip.numbers), clip.problem) == (12, "")


@pytest.mark.parametrize("inner", ["train_data", "train_data/train_data"])
def test_a_root_one_folder_above_is_read_and_so_are_doubled_folders(
    tmp_path: Path, inner: str
) -> None:
    write(tmp_path / "DFME", row())
    film(tmp_path / "DFME" / inner / "sub0003_01")
    (clip,) = read(tmp_path)
    assert (clip.problem, len(clip.numbers)) == ("", 12)


def test_of_two_sheets_of_a_part_the_full_one_is_read(tmp_path: Path) -> None:
    write(tmp_path, row(aus=None), name="training.xlsx")
    write(tmp_path, row(aus="4"), name="training_full_with_AU.xlsx")
    (clip,) = read(tmp_path)
    assert clip.aus == "4"


def test_a_clip_in_two_sheets_is_told(tmp_path: Path) -> None:
    film(tmp_path / "train_data/sub0003_01")
    film(tmp_path / "test_data_A/sub0003_01")
    write(tmp_path, row())
    write(tmp_path, row(), row("sub0004_01"), name="testA_full_with_AU.xlsx")
    assert [(clip.origin.clip, clip.problem) for clip in read(tmp_path)] == [
        ("sub0003_01", ""),
        ("sub0003_01", "in the sheet twice"),
        ("sub0004_01", "no frames"),
    ]


@pytest.mark.parametrize(
    ("emotion", "number", "label"),
    [
        ("anger", 0, 0),
        ("contempt", 1, 0),
        ("disgust", 2, 0),
        ("fear", 3, 0),
        ("happiness", 4, 1),
        ("sadness", 5, 0),
        ("Surprise", 6, 2),
        ("others", None, None),
    ],
)
def test_seven_emotions_make_three_classes(
    tmp_path: Path, emotion: str, number: int | None, label: int | None
) -> None:
    film(tmp_path / "train_data/sub0003_01")
    write(tmp_path, row(emotion=emotion, number=number))
    (clip,) = read(tmp_path)
    assert (clip.emotion, clip.label, clip.odd, clip.repaired) == (emotion, label, (), ())


def test_an_emotion_and_its_number_that_differ_are_told_and_the_word_counts(tmp_path: Path) -> None:
    film(tmp_path / "train_data/sub0003_01")
    write(tmp_path, row(emotion="happiness", number=6))
    (clip,) = read(tmp_path)
    assert clip.label == 1
    assert clip.odd == ("its emotion is 'happiness', its number 6 says surprise",)


def test_an_emotion_that_is_a_number_alone_is_found_by_it(tmp_path: Path) -> None:
    film(tmp_path / "train_data/sub0003_01")
    write(tmp_path, row(emotion=None, number=6))
    (clip,) = read(tmp_path)
    assert (clip.emotion, clip.label) == ("surprise", 2)
    assert clip.repaired == ("no emotion: its number 6 says surprise",)


@pytest.mark.parametrize(("cell", "text"), [(4, "4"), ("4+L12", "4+L12"), (None, "")])
def test_action_units_stay_as_they_are_coded(tmp_path: Path, cell: object, text: str) -> None:
    write(tmp_path, row(aus=cell))
    (clip,) = read(tmp_path)
    assert clip.aus == text


def test_counts_are_held_against_what_was_published(tmp_path: Path) -> None:
    write(tmp_path, row(), row("sub0004_01"))
    found = [finding.what for finding in check(COLLECTIONS["dfme"], tmp_path).faults]
    assert "2 found, 1856 in training_full_with_AU.xlsx" in found


def test_sheets_of_no_part_are_refused_with_the_remedy(tmp_path: Path) -> None:
    write(tmp_path, row(), name="test_full_with_AU.xlsx")
    with pytest.raises(ValueError, match=r"testA or testB\? Call the sheets training_full"):
        read(tmp_path)


def test_a_folder_without_a_sheet_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no label sheet .*train.* of DFME; put it there"):
        read(tmp_path)


def test_a_cell_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    write(tmp_path, row("/etc/passwd"))
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        read(tmp_path)
