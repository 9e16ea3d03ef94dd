"""CAS(ME)^3, part A (Li et al., TPAMI 2022): micro-expressions in long videos, 30 fps, with depth.

::

    ROOT/annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx   or right in ROOT, .xls, or CSV
    ROOT/part_A/spNO.1/b/color/175.jpg                   a video's frames, not padded
    ROOT/Part_A_ME_clip/frame/spNO.1_b_175/175.jpg       or one folder a row, named by its onset

The first of the two that is there is read; ROOT may be ``part_A``, with the sheet in it. ``depth``
pictures are not read. The sheet: ``Subject | Filename | Onset | Apex | Offset | AU | Objective
class | emotion``; a second sheet may hold blanks. One copy has its numbers as text. A video has
several rows: a clip is named by Filename and onset, ``b-175``. Some offsets lie before their apex,
some onsets are apexes too, and frames are missing here and there.

Part C (``sub, count, onset, offset, au``) is not read: it tells neither emotion nor apex.

Classes: happy is positive; disgust, fear, anger and sad are negative; surprise is surprise; others
have none (the three classes of the papers that use it: 449, 54 and 184 of 687).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from mie_x.datasets import standin
from mie_x.datasets.collection import Collection, Published, handed_out, make_clip
from mie_x.datasets.footage import Pictures, below, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames, number
from mie_x.datasets.sheets import find_sheet, read_sheet, write_sheet
from mie_x.records import Clip, Origin

NAME, TITLE, FPS = "casme3", "CAS(ME)^3 part A", 30.0
VIDEOS, CLIPS = "part_A", "Part_A_ME_clip/frame"
LABEL_OF = {
    "happy": "positive",
    "disgust": "negative",
    "fear": "negative",
    "anger": "negative",
    "sad": "negative",
    "surprise": "surprise",
}
_EMOTIONS = {"disgust": 247, "surprise": 184, "fear": 83, "anger": 64, "sad": 55, "happy": 54}
_REST = 8  # frames of a stand-in's video before, between and after its expressions


def read(root: Path) -> Iterator[Clip]:
    """Every row of the sheet, in its order; clips without frames say so in ``problem``."""
    yield from handed_out(_rows(root))


def _rows(root: Path) -> Iterator[Clip]:
    sheet = read_sheet(
        find_sheet(root, "*part_A_ME_label*", what=TITLE),
        header=("Subject", "Filename", "Onset", "Apex", "Offset"),
    )
    listed: dict[Path, Pictures] = {}  # a video has thousands of frames and several rows
    for row in sheet.rows:
        subject, video, onset = row["subject"], row["filename"], _bare(row["onset"])
        folder, name = _place(root, subject, video, onset)
        if folder not in listed:
            listed[folder] = pictures(folder, name)
        footage = listed[folder]
        cells = (row["onset"], row["apex"], row["offset"])
        yield make_clip(
            Origin(NAME, subject, f"{video}-{onset}"),
            footage,
            key_frames(*cells, footage.numbers, zero=True, long=True),
            row["emotion"],
            LABEL_OF,
            fps=FPS,
            aus=row["au"],
        )


def _bare(onset: str) -> str:
    """An onset as it names a clip: "0175" and "175.0" are "175"; what is no number stays."""
    try:
        found = number(onset)
    except ValueError:
        return onset
    return onset if found is None else str(found)


def _place(root: Path, subject: str, video: str, onset: str) -> tuple[Path, str]:
    """Folder and name of the footage that a row tells of."""
    if not (root / VIDEOS).is_dir() and (root / CLIPS).is_dir():
        name = f"{subject}_{video}_{onset}"
        return below(root / CLIPS, name), name
    videos = root / VIDEOS if (root / VIDEOS).is_dir() else root
    return below(videos, subject, video, "color"), f"{subject}/{video}/color"


def write_standin(
    root: Path, *, subjects: int = 6, clips: int = 24, seed: int = 0, workers: int = 1
) -> list[Clip]:
    """Write a stand-in of the second release to ROOT; returns what ``read`` is to find there.

    Videos of two expressions each. With the original's quirks: the first clip's offset lies before
    its apex, the second's apex is its onset, the fourth lacks a frame, and so does the start of
    every video; numbers are text, "others" is also "Others", a lone AU is a number; a ghost sheet
    holds a blank, and there are hidden files.
    """
    acts: dict[int, list[str]] = {}
    emotions = {**_EMOTIONS, "others": 173}  # what 687 rows without others are short of 860
    for who, emotion in standin.cast(subjects, clips, emotions, seed=seed):
        acts.setdefault(who, []).append(emotion)
    header = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
    lines: list[list[object]] = [[*header]]
    made: list[Clip] = []
    reels = []
    for who, acted in sorted(acts.items()):
        subject = f"spNO.{who + 1}"
        for first in range(0, len(acted), 2):
            video = f"b{first // 2 + 1}" if first else "b"
            takes = [
                standin.take(NAME, seed, subject, f"{video}{n}", emotion, kind="micro", fps=FPS)
                for n, emotion in enumerate(acted[first : first + 2])
            ]
            # frames are numbered from 1: of a video at rest, then a take, then at rest again
            onsets = list(accumulate((len(t.aus) + _REST for t in takes), initial=_REST + 1))
            aus = standin.rest(takes[0].person, onsets.pop() - 1)
            missing = {3}
            for onset, take in zip(onsets, takes, strict=True):
                aus[onset - 1 : onset - 1 + len(take.aus)] = take.aus
                if len(made) + onsets.index(onset) == 3:
                    missing.add(onset + 1)
            kept = [n for n in range(1, len(aus) + 1) if n not in missing]
            shot = replace(takes[0].shot(), aus=aus[[n - 1 for n in kept]])
            folder = root / VIDEOS / subject / video / "color"
            footage = Pictures(f"{subject}/{video}/color", folder, {n: f"{n}.jpg" for n in kept})
            reels.append(standin.Reel(shot, folder, footage.names))
            standin.write_openface(root, footage.name, footage.names, shot.aus, seed=shot.seed)
            for onset, take in zip(onsets, takes, strict=True):
                cells, keys = _coded(len(made), onset, take)
                emotion = "Others" if take.emotion == "others" and len(made) % 2 else take.emotion
                units = standin.coded(take.aus[take.apex], shot.lean)
                lines.append(
                    [subject, video, *map(str, cells), standin.cell(units), "VII", emotion]
                )
                made.append(
                    make_clip(
                        Origin(NAME, subject, f"{video}-{onset}"),
                        footage,
                        keys,
                        emotion,
                        LABEL_OF,
                        fps=FPS,
                        stand_in=True,
                        aus=units,
                    )
                )
    standin.write_reels(reels, workers=workers)
    (root / VIDEOS / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / "._1.jpg").write_bytes(b"\0")
    book = root / "annotation" / "cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"
    write_sheet(book, {"label": lines, "Sheet1": [[], [None, " "]]})
    standin.mark(root, TITLE, made, seed=seed)
    return made


def _coded(count: int, onset: int, take: standin.Take) -> tuple[list[int], KeyFrames]:
    """Cells of the COUNTth clip's onset, apex and offset, and how they are to be read."""
    keys = KeyFrames(onset, onset + take.apex, onset + take.offset)
    cells = [onset, onset + take.apex, onset + take.offset]
    if count == 0:
        cells[2] = keys.offset = onset + take.apex - 1
        keys.apex, keys.apex_from = (onset + keys.offset) // 2, "middle"
        outside = f"apex '{cells[1]}' is outside {onset} to {keys.offset}"
        keys.repaired = [f"{outside}: the middle frame {keys.apex} taken"]
    elif count == 1:
        cells[1] = keys.apex = onset
        keys.odd = ["apex and onset are one frame"]
    elif count == 3:
        keys.odd = ["1 frames missing between onset and offset"]
    return cells, keys


CASME3 = Collection(
    NAME,
    TITLE,
    "Institute of Psychology, Chinese Academy of Sciences; licence agreement, research only",
    "happy: positive; disgust, fear, anger, sad: negative; surprise: surprise; others: none",
    read,
    write_standin,
    (
        Published("cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", 860, 94),
        Published(
            "the same without others",
            687,
            87,
            _EMOTIONS,
            {"negative": 449, "positive": 54, "surprise": 184},
        ),
    ),
    gaps=True,
)
