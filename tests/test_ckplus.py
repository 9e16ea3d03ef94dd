"""CK+'s folders with their quirks, on invented sequences: no picture is rendered here."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.facs import action_units
from mie_x.records import Clip

THIRD = "   3.0000000e+00\n"


def lay_out(
    root: Path,
    *,
    emotion: str | None = THIRD,
    facs: str | None = None,
    subject: str = "S005",
    frames: range = range(1, 12),
    named: int = 11,
    mode: str = "RGB",
) -> list[Clip]:
    """Sequence 001 of SUBJECT with these label files, None for an empty folder; read ROOT."""
    for tree in ("cohn-kanade-images", "Emotion", "FACS"):
        (root / tree / subject / "001").mkdir(parents=True)
    for number in frames:
        name = f"{subject}_001_{number:08d}.png"
        Image.new(mode, (8, 6), 99).save(root / "cohn-kanade-images" / subject / "001" / name)
    for tree, ending, text in (("Emotion", "emotion", emotion), ("FACS", "facs", facs)):
        if text is not None:
            name = f"{subject}_001_{named:08d}_{ending}.txt"
            (root / tree / subject / "001" / name).write_text(text)
    return read(root)


def read(root: Path) -> list[Clip]:
    return list(COLLECTIONS["ckplus"].read(root))


def test_a_sequence_goes_from_the_neutral_frame_to_the_peak(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path)
    assert clip.origin == ("ckplus", "S005", "S005_001")
    assert clip.footage.name == "S005/001"
    assert (clip.onset, clip.apex, clip.offset, clip.apex_from) == (1, 11, 11, "last")
    assert (clip.kind, clip.fps) == ("macro", None)
    assert (clip.repaired, clip.odd, clip.problem) == ((), (), "")


@pytest.mark.parametrize(
    ("code", "emotion", "label"),
    [
        (0, "neutral", None),
        (1, "anger", 0),
        (2, "contempt", 0),
        (3, "disgust", 0),
        (4, "fear", 0),
        (5, "happy", 1),
        (6, "sadness", 0),  # positive in MiE-X's lists, by mistake
        (7, "surprise", 2),
    ],
)
def test_codes_of_emotions_and_their_classes(
    tmp_path: Path, code: int, emotion: str, label: int | None
) -> None:
    (clip,) = lay_out(tmp_path, emotion=f"   {code:.7e}")  # without a final newline
    assert (clip.emotion, clip.label) == (emotion, label)


def test_an_empty_emotion_folder_is_a_clip_without_a_label(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, emotion=None)
    (tmp_path / "Emotion/S005/001/.DS_Store").write_bytes(b"\0")
    (again,) = read(tmp_path)
    for one in (clip, again):
        assert (one.emotion, one.label, one.odd, one.problem) == ("", None, (), "")


@pytest.mark.parametrize("text", ["   8.0000000e+00\n", "2.5", "-1", "nan", "inf", "3 4"])
def test_what_is_no_code_is_told_and_gives_no_label(tmp_path: Path, text: str) -> None:
    (clip,) = lay_out(tmp_path, emotion=text)
    assert (clip.emotion, clip.label, clip.problem) == ("", None, "")
    assert len(clip.odd) == 1
    assert "no code of an emotion" in clip.odd[0]


def test_a_label_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, emotion="happy")
    assert clip.odd == ("S005_001_00000011_emotion.txt holds no numbers",)


def test_action_units_are_written_with_their_intensity_and_none_where_it_is_not_coded(
    tmp_path: Path,
) -> None:
    lines = "   1.0000000e+00   3.0000000e+00\n   2.0000000e+00   0.0000000e+00\n"
    (clip,) = lay_out(tmp_path, facs=lines + "   2.5000000e+01   5.0000000e+00")
    assert clip.aus == "1C+2+25E"
    assert [(unit.au, unit.intensity) for unit in action_units(clip.aus)] == [
        (1, "C"),
        (2, ""),
        (25, "E"),
    ]


@pytest.mark.parametrize("text", ["1.0 3.0 2.0", "1.5 2.0", "4.0 6.0", "0 1", "nan 1", "1 nan"])
def test_a_facs_file_that_cannot_be_is_told(tmp_path: Path, text: str) -> None:
    (clip,) = lay_out(tmp_path, facs=text)
    assert (clip.aus, clip.emotion, len(clip.odd)) == ("", "disgust", 1)
    assert "no units and intensities" in clip.odd[0]


def test_grey_frames_are_handed_out_in_rgb_and_hidden_files_left_alone(tmp_path: Path) -> None:
    lay_out(tmp_path, subject="S999", mode="L")
    for name in ("cohn-kanade-images/.DS_Store", "cohn-kanade-images/S999/.DS_Store",
                 "cohn-kanade-images/S999/001/.DS_Store", "Emotion/S999/.DS_Store"):  # fmt: skip
        (tmp_path / name).write_bytes(b"\0")
    (clip,) = read(tmp_path)
    assert clip.origin.subject == "S999"
    assert list(clip.footage.numbers) == list(range(1, 12))
    assert clip.footage.frame(11).shape == (6, 8, 3)


def test_a_peak_that_the_labels_tell_of_and_that_is_lost_cannot_be_used(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, frames=range(1, 10))
    assert (clip.apex, clip.problem) == (11, "no frame 11, its apex")


def test_a_sequence_without_its_neutral_frame_cannot_be_used(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, frames=range(2, 12))
    assert (clip.onset, clip.problem) == (1, "no frame 1, its onset")


def test_a_label_of_an_earlier_frame_and_missing_frames_are_told(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, frames=range(1, 13))
    assert clip.apex == 12
    assert clip.odd == ("S005_001_00000011_emotion.txt is not named for its last frame 12",)
    (tmp_path / "cohn-kanade-images/S005/001/S005_001_00000004.png").unlink()
    assert "1 frames missing between onset and offset" in read(tmp_path)[0].odd


def test_labels_without_frames_and_frames_without_labels_are_clips(tmp_path: Path) -> None:
    lay_out(tmp_path, frames=range(0))
    lay_out(tmp_path, subject="S010", emotion=None)
    one, other = read(tmp_path)
    assert (one.emotion, one.label, one.problem) == ("disgust", 0, "no frames")
    assert (other.origin.subject, other.emotion, other.problem) == ("S010", "", "")


def test_a_sequence_of_one_frame_shows_no_movement(tmp_path: Path) -> None:
    (clip,) = lay_out(tmp_path, frames=range(1, 2), named=1)
    assert clip.odd == ("onset and offset are one frame",)


@pytest.mark.parametrize("missing", ["cohn-kanade-images", "Emotion"])
def test_without_frames_or_labels_nothing_is_read(tmp_path: Path, missing: str) -> None:
    lay_out(tmp_path)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"no folder {missing} .*unpack"):
        read(tmp_path)


def test_without_facs_the_clips_have_no_action_units(tmp_path: Path) -> None:
    lay_out(tmp_path, facs="1.0 1.0")
    (tmp_path / "FACS").rename(tmp_path / "elsewhere")
    (clip,) = read(tmp_path)
    assert (clip.aus, clip.emotion, clip.odd) == ("", "disgust", ())


def test_the_published_classes_are_those_of_all_labelled_sequences() -> None:
    (published,) = COLLECTIONS["ckplus"].published
    assert (published.clips, sum(published.labels.values())) == (593, 593 - 266)
