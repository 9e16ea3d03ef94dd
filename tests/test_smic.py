"""SMIC's two sets with their quirks, on invented clips: no picture is rendered here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS
from mie_x.datasets.sheets import write_sheet
from mie_x.records import Clip

HEADER = ["Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F", "FirstF",
          "LastF", "Emotion"]  # fmt: skip


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 6)).save(path)


def short(root: Path, *folders: str, numbers: Iterable[int] = range(84520, 84531)) -> None:
    """Clips of the short set: a folder and frames image084520.bmp to image084530.bmp each."""
    for folder in folders:
        for number in numbers:
            picture(root / folder / f"image{number:06d}.bmp")


def row(
    subject: object = 1,
    name: object = "s01_ne_01",
    onset: object = 308866,
    offset: object = 308871,
    second: tuple[object, object] = (None, None),
    first: object = 308860,
    emotion: object = "negative",
) -> list[object]:
    return [subject, name, None, onset, offset, *second, first, 308880, emotion]


def long(
    root: Path,
    *rows: Sequence[object],
    header: Sequence[object] = HEADER,
    folder: str = "SMIC-HS-E/s01/s01_ne_01",
) -> list[Clip]:
    """The rows as a sheet; image308860.jpg to image308880.jpg of one clip; read."""
    write_sheet(root / "HS_long/SMIC-HS-E_annotation.xlsx", {"Sheet1": [header, *rows]})
    for number in range(308860, 308881):
        picture(root / "HS_long" / folder / f"image{number}.jpg")
    return list(COLLECTIONS["smic-hs"].read(root))


def test_a_folder_of_the_short_set_is_a_clip_from_onset_to_offset(tmp_path: Path) -> None:
    short(tmp_path, "HS/s1/micro/negative/s1_ne_01")
    (clip,) = COLLECTIONS["smic-hs"].read(tmp_path)
    assert clip.origin == ("smic-hs", "s01", "s01_ne_01")
    assert (clip.onset, clip.apex, clip.offset) == (84520, 84525, 84530)
    assert (clip.apex_from, clip.repaired, clip.odd, clip.problem) == ("middle", (), (), "")
    assert (clip.emotion, clip.label, clip.aus, clip.fps) == ("negative", 0, "", 100.0)
    assert clip.footage.name == "s1/micro/negative/s1_ne_01"


@pytest.mark.parametrize("root", [".", "HS"])
def test_the_root_may_be_the_camera_s_folder(tmp_path: Path, root: str) -> None:
    short(tmp_path, "HS/s1/micro/positive/s1_po_01")
    (clip,) = COLLECTIONS["smic-hs"].read(tmp_path / root)
    assert (clip.origin.clip, clip.label) == ("s01_po_01", 1)


def test_cropped_copies_lack_a_folder_in_between(tmp_path: Path) -> None:
    short(tmp_path, "s11/surprise/s11_sur_02")
    (clip,) = COLLECTIONS["smic-hs"].read(tmp_path)
    assert (clip.origin.subject, clip.origin.clip, clip.label) == ("s11", "s11_sur_02", 2)


def test_clips_come_by_subject_class_and_number_not_by_spelling(tmp_path: Path) -> None:
    short(
        tmp_path,
        "HS/s11/micro/negative/s11_ne_01",
        "HS/s2/micro/surprise/s2_sur_01",
        "HS/s2/micro/negative/s2_ne_10",
        "HS/s2/micro/negative/s2_ne_09",
        "HS/readme/micro/negative/x",
        numbers=[1, 2],
    )
    found = [clip.origin.clip for clip in COLLECTIONS["smic-hs"].read(tmp_path)]
    assert found == ["s02_ne_09", "s02_ne_10", "s02_sur_01", "s11_ne_01"]


def test_numbers_have_six_to_eight_digits_and_hidden_files_none(tmp_path: Path) -> None:
    folder = tmp_path / "HS/s1/micro/negative/s1_ne_01"
    for name in ("image099999.bmp", "image00100000.bmp", "image0100001.bmp"):
        picture(folder / name)
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "._image000001.bmp").write_bytes(b"\0")
    (clip,) = COLLECTIONS["smic-hs"].read(tmp_path)
    assert list(clip.footage.numbers) == [99999, 100000, 100001]
    assert clip.footage.frame(100000).shape == (6, 8, 3)


def test_missing_frames_are_told_and_the_middle_is_one_that_is_there(tmp_path: Path) -> None:
    short(tmp_path, "HS/s3/micro/surprise/s3_sur_01", numbers=[10, 11, 12, 16, 17, 18])
    (clip,) = COLLECTIONS["smic-hs"].read(tmp_path)
    assert clip.apex == 12  # 14 is the middle; 12 and 16 are as near, the first is taken
    assert clip.odd == ("3 frames missing between onset and offset",)
    assert clip.problem == ""


def test_an_empty_folder_is_a_clip_without_frames(tmp_path: Path) -> None:
    short(tmp_path, "HS/s18/micro/surprise/s18_sur_02")
    (tmp_path / "HS/s18/micro/surprise/s18_sur_03").mkdir()
    clips = list(COLLECTIONS["smic-hs"].read(tmp_path))
    assert [clip.problem for clip in clips] == ["", "no frames"]
    assert clips[1].origin.clip == "s18_sur_03"


def test_a_clip_in_another_class_s_folder_is_odd(tmp_path: Path) -> None:
    short(tmp_path, "HS/s1/micro/positive/s1_ne_01")
    (clip,) = COLLECTIONS["smic-hs"].read(tmp_path)
    assert (clip.label, clip.odd) == (1, ("positive by its label, 'ne' by its name",))


def test_the_sheet_of_the_long_set_has_the_numbers_of_the_files(tmp_path: Path) -> None:
    (clip,) = long(tmp_path, row())
    assert clip.origin == ("smic-hs", "s01", "s01_ne_01")
    assert (clip.onset, clip.apex, clip.offset) == (308866, 308868, 308871)
    assert (clip.apex_from, clip.repaired, clip.odd, clip.problem) == ("middle", (), (), "")
    assert len(clip.footage.numbers) == 21  # 308860 to 308880, before and after too
    assert clip.footage.names[0] == "image308860.jpg"


@pytest.mark.parametrize("root", [".", "HS_long"])
@pytest.mark.parametrize(
    ("subject", "name", "folder"),
    [
        (1, "s1_ne_01", "SMIC-HS-E/s01/s01_ne_01"),
        ("01", "s01_ne_01", "SMIC-HS-E/s01/s1_ne_01"),
        ("s01", "S1_NE_01", "SMIC-HS-E/s1/s1_ne_01"),
    ],
)
def test_subject_and_clip_are_found_however_they_are_padded(
    tmp_path: Path, subject: object, name: str, folder: str, root: str
) -> None:
    long(tmp_path, row(subject, name), folder=folder)
    (clip,) = COLLECTIONS["smic-hs"].read(tmp_path / root)
    assert clip.origin == ("smic-hs", "s01", "s01_ne_01")
    assert (len(clip.footage.numbers), clip.problem) == (21, "")


def test_text_below_the_data_is_no_clip(tmp_path: Path) -> None:
    clips = long(tmp_path, row(), [], ["157 samples of 16 subjects"], [None, "F: frame", None, 3])
    assert len(clips) == 1


def test_a_first_frame_that_is_a_text_or_another_is_odd(tmp_path: Path) -> None:
    (text,) = long(tmp_path, row(first="see mail"))
    assert (text.odd, text.onset) == (("its FirstF 'see mail' is no number",), 308866)
    (other,) = long(tmp_path, row(first="308859"))
    assert other.odd == ("its first frame is 308860, 308859 in the sheet",)


def test_a_second_micro_expression_is_told(tmp_path: Path) -> None:
    (clip,) = long(tmp_path, row(second=(308874, 308878)))
    assert clip.odd == ("holds another micro-expression, 308874 to 308878",)
    assert clip.offset == 308871


def test_the_sheet_of_2019_is_taken_first_and_its_apex_is_coded(tmp_path: Path) -> None:
    long(tmp_path, row())
    write_sheet(
        tmp_path / "HS_long/SMIC-HS-E_annotation_2019.xlsx",
        {"Sheet1": [[*HEADER, "ApexF "], [*row(), 308867], [*row(name="s01_ne_02"), "-1"]]},
    )
    first, second = COLLECTIONS["smic-hs"].read(tmp_path)
    assert (first.apex, first.apex_from, first.repaired) == (308867, "coded", ())
    assert second.repaired == ("apex '-1' is not annotated: the middle frame 308868 taken",)
    assert second.problem == "no frames"


@pytest.mark.parametrize("emotion", ["negative", "Negative", " negative "])
def test_emotions_are_classes_in_any_case(tmp_path: Path, emotion: str) -> None:
    (clip,) = long(tmp_path, row(emotion=emotion))
    assert (clip.label, clip.emotion, clip.odd) == (0, emotion.strip(), ())


def test_a_row_given_twice_is_told(tmp_path: Path) -> None:
    clips = long(tmp_path, row(), row(name="s1_ne_01"))
    assert [clip.problem for clip in clips] == ["", "in the sheet twice"]


@pytest.mark.parametrize("cell", ["../../etc", "..", "s01_ne_01/.."])
def test_a_cell_that_leads_out_of_the_root_is_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        long(tmp_path, row(name=cell))


def test_the_short_set_is_read_where_both_are(tmp_path: Path) -> None:
    short(tmp_path, "HS/s2/micro/positive/s2_po_01")
    (clip,) = long(tmp_path, row())
    assert clip.origin.clip == "s02_po_01"


@pytest.mark.parametrize("name", ["smic-hs", "smic-vis", "smic-nir"])
def test_a_folder_with_neither_set_is_refused_with_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / "s1").mkdir()
    band = name[5:].upper()
    with pytest.raises(
        FileNotFoundError, match=rf"no label sheet SMIC\*{band}\*.*{band}/s1/micro.*put it there"
    ):
        list(COLLECTIONS[name].read(tmp_path))


def test_three_cameras_have_a_folder_each(tmp_path: Path) -> None:
    short(tmp_path, *(f"{band}/s1/micro/negative/s1_ne_01" for band in ("HS", "VIS", "NIR")))
    found = [next(COLLECTIONS[f"smic-{band}"].read(tmp_path)) for band in ("hs", "vis", "nir")]
    assert [(clip.origin.corpus, clip.fps) for clip in found] == [
        ("smic-hs", 100.0),
        ("smic-vis", 25.0),
        ("smic-nir", 25.0),
    ]


def test_published_subjects_add_up_to_the_published_classes() -> None:
    release = COLLECTIONS["smic-hs"].published[0]
    assert len(release.by_subject) == release.subjects == 16
    by_class = [sum(cells) for cells in zip(*release.by_subject.values(), strict=True)]
    assert by_class == [70, 51, 43] == list(release.labels.values())
    assert release.by_subject["s03"] == (22, 11, 6)


@pytest.mark.slow
def test_the_infrared_stand_in_is_gray_and_moves_as_the_others(tmp_path: Path) -> None:
    made = {
        name: COLLECTIONS[name].write_standin(
            tmp_path / name, subjects=1, clips=1, seed=2, workers=1
        )[0]
        for name in ("smic-vis", "smic-nir")
    }
    vis, nir = made["smic-vis"], made["smic-nir"]
    assert vis.numbers == nir.numbers and vis.onset is not None
    with Image.open(tmp_path / "smic-nir/NIR_long/SMIC-NIR-E" / nir.footage.name
                    / nir.footage.names[0]) as image:  # fmt: skip
        assert image.mode == "L"
    frame = vis.footage.frame(vis.onset)
    assert (frame[..., 0] != frame[..., 2]).any()
