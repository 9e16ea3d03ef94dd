"""DFME (Zhao et al., TAFFC 2023): micro-expressions filmed at 200, 300 or 500 fps.

::

    ROOT/training_full_with_AU.xlsx   testA_full_with_AU.xlsx   testB_full_with_AU.xlsx
    ROOT/train_data/sub0003_01/00012.png   test_data_A/...   test_data_B/...

The challenge's three parts; those whose sheet is there are read, in this order. Sheets may lie one
folder below ROOT (``full_release_annotation``) and be CSV; of several of one part the last by name
is read. Frames may lie one folder deeper, as archives unpack (``train_data/train_data``), or all
clips right in ROOT; numbers are padded and begin at 0. The sheet: ``Subject | Filename |
OnsetFrame | ApexFrame | OffsetFrame | Emotion | EmotionId | Fps | AU``. The frame rate is a row's
own. A clip that two sheets tell of is handed out twice, the second time with that as its problem.

Classes: anger, contempt, disgust, fear and sadness are negative, happiness positive, surprise is
surprise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mie_x.datasets import standin
from mie_x.datasets.collection import Collection, Published, first_there, handed_out, make_clip
from mie_x.datasets.footage import Pictures, below, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.datasets.sheets import Row, find_sheets, positive, read_sheet, write_sheet
from mie_x.records import LABEL_OF_EMOTION, Clip, Origin

NAME, TITLE = "dfme", "DFME"
PARTS = {  # folder of the frames -> what the name of its sheet holds
    "train_data": re.compile(r"train", re.IGNORECASE),
    "test_data_A": re.compile(r"test_?a(?!u)", re.IGNORECASE),
    "test_data_B": re.compile(r"test_?b", re.IGNORECASE),
}
SHEETS = ("training_full_with_AU.xlsx", "testA_full_with_AU.xlsx", "testB_full_with_AU.xlsx")
EMOTIONS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
"""In the order of EmotionId, 0 to 6."""
RATES = (500, 200, 300)  # frames a second


def read(root: Path) -> Iterator[Clip]:
    """Every row of the sheets that are there; clips without frames say so in ``problem``."""
    yield from handed_out(_rows(root))


def _rows(root: Path) -> Iterator[Clip]:
    sheets = find_sheets(root, "*train*", "*test*", what=TITLE)
    of_parts = {part: [p for p in sheets if told.search(p.name)] for part, told in PARTS.items()}
    if not any(of_parts.values()):
        raise ValueError(f"{sheets[-1]}: testA or testB? Call the sheets {', '.join(SHEETS)}")
    for part, some in of_parts.items():
        if not some:
            continue
        sheet = read_sheet(
            some[-1], header=("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame")
        )
        home = sheet.path.parent
        inner = (base / name for base in (home, root) for name in (f"{part}/{part}", part))
        frames = first_there(*inner, root)
        for row in sheet.rows:
            yield _clip(row, frames)


def _clip(row: Row, frames: Path) -> Clip:
    name = row["filename"]
    footage = pictures(below(frames, name), name)
    cells = (row["onsetframe"], row["apexframe"], row["offsetframe"])
    keys = key_frames(*cells, footage.numbers, zero=True)
    emotion, told, number = row["emotion"], row["emotionid"], None
    if told in map(str, range(len(EMOTIONS))):
        number = EMOTIONS[int(told)]
        if not emotion:
            emotion = number
            keys.repaired.append(f"no emotion: its number {told} says {emotion}")
        elif emotion.lower() != number:
            keys.odd.append(f"its emotion is {emotion!r}, its number {told} says {number}")
    fps = None
    try:
        fps = positive(row["fps"])
    except ValueError:
        keys.odd.append(f"its frame rate is {row['fps']!r}")
    return make_clip(
        Origin(NAME, row["subject"], name),
        footage,
        keys,
        emotion,
        LABEL_OF_EMOTION,
        fps=fps,
        aus=row["au"],
    )


def write_standin(
    root: Path, *, subjects: int = 6, clips: int = 12, seed: int = 0, workers: int = 1
) -> list[Clip]:
    """Write a stand-in of the challenge's parts to ROOT; returns what ``read`` is to find there.

    Every third subject is in a part. With the original's quirks: each clip has its own frame rate,
    frames begin at 0, a lone AU is a number, and there are hidden files. Frames of 200 and more a
    second make a clip long: expect 5 MB of each.
    """
    header = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion"]
    lines: dict[str, list[list[object]]] = {}
    made: dict[str, list[Clip]] = {}
    reels = []
    for number, (who, emotion) in enumerate(
        standin.cast(subjects, clips, dict.fromkeys(EMOTIONS, 1), seed=seed)
    ):
        part, fps = list(PARTS)[who % len(PARTS)], RATES[number % len(RATES)]
        subject, name = f"sub{who + 1:04d}", f"sub{who + 1:04d}_{number // subjects + 1:02d}"
        take = standin.take(
            NAME, seed, subject, name, emotion, kind="micro", fps=fps, before=4, after=3
        )
        files = {n: f"{n:05d}.png" for n in range(len(take.aus))}
        footage = Pictures(name, root / part / name, files)
        reels.append(standin.Reel(take.shot(), footage.folder, footage.names))
        standin.write_openface(root, name, footage.names, take.aus, seed=take.seed)
        units = standin.cell(take.coded)
        cells = [subject, name, take.onset, take.apex, take.offset, emotion]
        lines.setdefault(part, [[*header, "EmotionId", "Fps", "AU"]]).append(
            [*cells, EMOTIONS.index(emotion), fps, units]
        )
        made.setdefault(part, []).append(
            make_clip(
                Origin(NAME, subject, name),
                footage,
                KeyFrames(take.onset, take.apex, take.offset),
                emotion,
                LABEL_OF_EMOTION,
                fps=float(fps),
                stand_in=True,
                aus=take.coded,
            )
        )
    standin.write_reels(reels, workers=workers)
    (root / "train_data" / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / "._00000.png").write_bytes(b"\0")
    for part, sheet in zip(PARTS, SHEETS, strict=True):
        if part in lines:
            write_sheet(root / sheet, {"Sheet1": lines[part]})
    found = [clip for part in PARTS for clip in made.get(part, ())]
    standin.mark(root, TITLE, found, seed=seed)
    return found


DFME = Collection(
    NAME,
    TITLE,
    "its authors' group; signed agreement, research only",
    "anger, contempt, disgust, fear, sadness: negative; happiness: positive; surprise: surprise",
    read,
    write_standin,
    (
        Published("training_full_with_AU.xlsx", 1856),
        Published("the sheets of train and testA", 1856 + 474),
        Published("the sheets of train, testA and testB", 1856 + 474 + 299, 259),
        Published("the whole collection, as its paper tells", 7526, 656),
    ),
)
