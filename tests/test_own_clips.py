"""A lab's own table of clips: what it may leave out, what is told, what is refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS, standin
from mie_x.datasets.footage import Video
from mie_x.records import AUS, Clip


def film(folder: Path, count: int = 9) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        Image.new("RGB", (8, 6), (number, 0, 0)).save(folder / f"frame_{number:04d}.png")


def record(path: Path, count: int = 9, fps: int = 25) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=fps)
        stream.width, stream.height = 64, 48
        for number in range(count):
            frame = np.full((48, 64, 3), 20 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def read(root: Path, *lines: str) -> list[Clip]:
    (root / "clips.csv").write_text("\n".join(lines), "utf-8")
    return list(COLLECTIONS["clips"].read(root))


def test_subject_clip_and_path_are_enough(tmp_path: Path) -> None:
    film(tmp_path / "a/c1")
    (clip,) = read(tmp_path, "subject,clip,path", "s1,c1,a/c1")
    assert clip.origin == ("clips", "s1", "c1")
    assert (clip.onset, clip.apex, clip.offset) == (1, 5, 9)
    assert clip.apex_from == "middle"
    assert (clip.kind, clip.fps, clip.label, clip.aus) == ("micro", None, None, "")
    assert (clip.repaired, clip.odd, clip.problem) == ((), (), "")


def test_columns_come_in_any_order_and_case_and_with_others_beside_them(tmp_path: Path) -> None:
    film(tmp_path / "c1")
    (clip,) = read(
        tmp_path,
        "Offset ; notes;APEX;onset;AUs;Emotion;fps;Path;clip;Subject;kind",
        "8;nice;4;2;R12+6;Happiness;200;c1;c1;007;Macro",
    )
    assert clip.origin == ("clips", "007", "c1")
    assert (clip.onset, clip.apex, clip.offset) == (2, 4, 8)
    assert (clip.apex_from, clip.repaired) == ("coded", ())
    assert (clip.aus, clip.emotion, clip.label, clip.fps) == ("R12+6", "Happiness", 1, 200.0)
    assert clip.kind == "macro"


def test_a_video_counts_from_1_and_tells_its_frame_rate(tmp_path: Path) -> None:
    record(tmp_path / "v/s1 c1.MP4")
    own, told = read(
        tmp_path,
        "subject,clip,path,onset,apex,offset,fps",
        "s1,c1,v/s1 c1.MP4,1,4,9,",
        "s1,c2,v/s1 c1.MP4,3,5,7,60",
    )
    assert own.footage is told.footage
    assert own.footage.name == "v/s1 c1"
    assert (own.numbers, told.numbers) == ([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 4, 5, 6, 7])
    assert (own.fps, told.fps) == (25.0, 60.0)
    assert np.abs(own.footage.frame(4).astype(int) - 60).max() <= 8  # the fourth, 20 * 3


def test_a_cell_that_is_empty_where_others_are_not_is_a_repair(tmp_path: Path) -> None:
    film(tmp_path / "c1")
    (clip,) = read(tmp_path, "subject,clip,path,onset,apex,offset", "s1,c1,c1,,/,-1")
    assert (clip.onset, clip.apex, clip.offset) == (1, 5, 9)
    assert clip.repaired == (
        "onset '' is not annotated: frame 1 taken",
        "offset '-1' is not annotated: frame 9 taken",
        "apex '/' is not annotated: the middle frame 5 taken",
    )


@pytest.mark.parametrize(
    ("label", "emotion", "expected"),
    [
        ("negative", "", 0),
        ("Positive", "", 1),
        ("2", "", 2),
        ("", "Happy", 1),
        ("", "sadness", 0),
        ("", "surprise", 2),
        ("", "negative", 0),
        ("", "tense", None),
        ("negative", "tense", 0),
        ("0", "fear", 0),
        ("none", "happiness", None),
        ("", "", None),
    ],
)
def test_a_class_comes_from_the_label_or_else_the_emotion(
    tmp_path: Path, label: str, emotion: str, expected: int | None
) -> None:
    film(tmp_path / "c1")
    (clip,) = read(tmp_path, "subject,clip,path,label,emotion", f"s1,c1,c1,{label},{emotion}")
    assert (clip.label, clip.emotion) == (expected, emotion)


@pytest.mark.parametrize(
    ("columns", "cells", "told"),
    [
        ("label", "3", "label is '3'; give negative, positive, surprise, 0, 1, 2, or none"),
        ("label,emotion", "positive,fear", "emotion 'fear' is negative, but its label says posi"),
        ("kind", "mini", "kind is 'mini'; give micro or macro"),
        ("fps", "fast", "fps is 'fast'; give a number"),
        ("fps", "0", "fps is '0'; give a number"),
    ],
)
def test_a_cell_without_sense_is_refused_by_its_row(
    tmp_path: Path, columns: str, cells: str, told: str
) -> None:
    film(tmp_path / "c1")
    with pytest.raises(ValueError, match=rf"clips.csv: row 3: {told}"):
        read(tmp_path, f"subject,clip,path,{columns}", "", f"s1,c1,c1,{cells}")


@pytest.mark.parametrize("missing", ["subject", "clip", "path"])
def test_a_row_without_a_must_is_refused(tmp_path: Path, missing: str) -> None:
    cells = {"subject": "s1", "clip": "c1", "path": "c1"} | {missing: ""}
    with pytest.raises(ValueError, match=rf"row 2: no {missing}; every clip needs one"):
        read(tmp_path, ",".join([*cells, "aus"]), ",".join([*cells.values(), "4"]))


@pytest.mark.parametrize("path", [r"a\c1", "a/c1/", "./a//c1"])
def test_a_path_may_be_written_in_every_systems_way(tmp_path: Path, path: str) -> None:
    film(tmp_path / "a/c1")
    (clip,) = read(tmp_path, "subject,clip,path", f"s1,c1,{path}")
    assert (clip.footage.name, len(clip.numbers)) == ("a/c1", 9)


@pytest.mark.parametrize(
    "path",
    ["../c1", "a/../../c1", "/etc", "C:\\c1", "\\\\host\\c1", "http://127.0.0.1:9/a.mp4", "."],
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        read(tmp_path, "subject,clip,path", f"s1,c1,{path}")


def test_what_cannot_be_read_is_among_the_clips_and_says_why(tmp_path: Path) -> None:
    film(tmp_path / "c1")
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    clips = read(
        tmp_path,
        "subject,clip,path,onset,apex,offset",
        "s1,c1,c1,2,3,4",
        "s1,c2,bad.mp4,2,3,4",
        "s1,c3,gone.mp4,2,3,4",
        "s1,c4,gone,2,3,4",
        "s1,c5,c1,2,3,four",
        "s1,c1,c1,5,6,7",
        "s1,c6,c1,0,6,7",
    )
    assert clips[0].problem == ""
    assert f"{tmp_path / 'bad.mp4'}: no video that can be read" in clips[1].problem
    assert f"{tmp_path / 'gone.mp4'}: no such video" in clips[2].problem
    assert [clip.problem for clip in clips[3:]] == [
        "no frames",
        "onset '2', apex '3', offset 'four': not frame numbers",
        "in the sheet twice",
        "no frame 0, its onset",
    ]


def test_a_folder_without_the_table_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no clips.csv; write one with the columns subj"):
        list(COLLECTIONS["clips"].read(tmp_path))


def test_a_video_of_a_stand_in_loses_nothing_and_has_the_same_bytes_again(tmp_path: Path) -> None:
    aus = np.zeros((3, len(AUS)), np.float32)
    aus[1, AUS.index(12)] = 0.3
    shot = standin.Shot("ann", aus, seed=1)
    reels = [standin.VideoReel(shot, tmp_path / name, fps=60) for name in ("a.mkv", "b.mkv")]
    standin.write_reels(reels, workers=1)
    video = Video("a", reels[0].path)
    assert video.fps == 60
    for seen, filmed in zip(video.frames([1, 2, 3]), standin.film(shot), strict=True):
        np.testing.assert_array_equal(seen, filmed)
    assert reels[0].path.read_bytes() == reels[1].path.read_bytes()
