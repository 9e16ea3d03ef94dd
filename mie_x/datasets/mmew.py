"""MMEW (Ben et al., TPAMI 2021): 300 micro-expressions of 30 subjects, 90 fps, and 900 stills.

::

    ROOT/MMEW_Micro_Exp.xlsx                             or a CSV export; one folder below, too
    ROOT/Micro_Expression/anger/S13-07-001/15.jpg        not padded; or S13/anger/S13-07-001/
    ROOT/Macro_Expression/S01/anger/S01-07-001.jpg

Copies nest: the two trees are looked for beside the sheet, then in ``MMEW`` and ``MMEW_Final``
there. The sheet: ``Subject | Filename | OnsetFrame | ApexFrame | OffsetFrame | Action Units |
Estimated Emotion | remarks``, subjects 1 to 30; some rows have a bad apex or no offset. Its word
for the emotion counts; a folder of another one is told. Some copies call "others" "repression".

All names are person-emotion-sample. So ``S01-07-001.jpg`` is the first *sample* of anger of the
first person, as the collection's page has it (dpailab.com), not the first frame of a clip: the 900
macro samples are stills. A still is handed on with its picture as the apex and says in ``problem``
that it shows no movement: there is no early frame of a macro-expression in MMEW. Where further
numbers follow the sample's (``S01-07-001-12.jpg``), they are read as the frames of one clip. Macro
clips are named ``S01-07-001-macro``: micro clips have the same names.

Classes: MiE-X's rule (Liu et al., ECCV 2022): anger, disgust, fear, sadness are negative, happiness
is positive, surprise is surprise; others have none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from mie_x.datasets import standin
from mie_x.datasets.collection import Collection, Published, handed_out, make_clip
from mie_x.datasets.footage import PICTURES, Pictures, below, folders, listed, pictures, walk
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.datasets.sheets import Sheet, find_sheet, read_sheet, write_sheet
from mie_x.records import Clip, Origin

NAME, TITLE, FPS = "mmew", "MMEW", 90.0
TREES = (".", "MMEW", "MMEW_Final")
MICRO, MACRO = "Micro_Expression", "Macro_Expression"
STILL = "a still picture: it shows no movement"
LABEL_OF = {
    "happiness": "positive",
    "surprise": "surprise",
    "disgust": "negative",
    "fear": "negative",
    "sadness": "negative",
    "anger": "negative",
}
_EMOTIONS = {
    "happiness": 36,
    "surprise": 89,
    "disgust": 72,
    "others": 66,
    "fear": 16,
    "sadness": 13,
    "anger": 8,
}
_CODES = {emotion: code for code, emotion in enumerate(_EMOTIONS, 1)}  # happiness 1 .. anger 7
_CLIP = re.compile(r"S\d+-\d+-\d+", re.IGNORECASE)
_PICTURE = re.compile(r"(?P<clip>S\d+-\d+-(?P<sample>\d+))(?:[-_ ]+(?P<frame>\d+))?", re.IGNORECASE)


def read(root: Path) -> Iterator[Clip]:
    """Every row of the sheet in its order, then the macro samples in the order of their names."""
    sheet = read_sheet(
        find_sheet(root, "MMEW*Micro*", what=TITLE),
        header=("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame"),
    )
    home = sheet.path.parent
    tree = next((home / name for name in TREES if (home / name / MICRO).is_dir()), home)
    yield from handed_out(chain(_micro(sheet, tree), _macro(tree)))


def _micro(sheet: Sheet, tree: Path) -> Iterator[Clip]:
    places = _places(tree / MICRO)
    for row in sheet.rows:
        subject, name = _subject(row["subject"]), row["filename"]
        emotion = row["estimated emotion"]
        there = places.get(name.upper(), [])
        agreeing = [folder for folder in there if _word(folder.parent.name) == _word(emotion)]
        folder = next(iter(agreeing or there), below(tree, MICRO, name))
        footage = pictures(folder, folder.relative_to(tree).as_posix())
        cells = (row["onsetframe"], row["apexframe"], row["offsetframe"])
        keys = key_frames(*cells, footage.numbers)
        if there and not agreeing:
            keys.odd.append(f"lies in {folder.parent.name!r}, its row says {emotion!r}")
        if len(there) > 1:
            keys.odd.append(f"{len(there)} folders have its name")
        if _CLIP.fullmatch(name) and _subject(name.partition("-")[0]) != subject:
            keys.odd.append(f"its name tells of another person than its row: {subject}")
        yield make_clip(
            Origin(NAME, subject, name),
            footage,
            keys,
            emotion,
            LABEL_OF,
            fps=FPS,
            aus=row["action units"],
        )


def _places(micro: Path) -> dict[str, list[Path]]:
    """Clip's name in upper case -> its folders, wherever they lie below MICRO."""
    places: dict[str, list[Path]] = {}
    for here, inside, _ in walk(micro):
        for name in filter(_CLIP.fullmatch, inside):
            places.setdefault(name.upper(), []).append(here / name)
        inside[:] = [name for name in inside if not _CLIP.fullmatch(name)]
    return places


def _macro(tree: Path) -> Iterator[Clip]:
    for subject in folders(tree / MACRO):
        for emotion in folders(tree / MACRO / subject):
            folder = tree / MACRO / subject / emotion
            for name, footage in _samples(folder, f"{MACRO}/{subject}/{emotion}").items():
                yield _macro_clip(_subject(subject), name, footage, emotion)


def _samples(folder: Path, path: str) -> dict[str, Pictures]:
    """The samples of a flat folder by name; what is not named as one is left alone."""
    files: dict[str, dict[int, str]] = {}
    for file in listed(folder):
        found = _PICTURE.fullmatch(Path(file).stem)
        if found and Path(file).suffix.lower() in PICTURES:
            frames = files.setdefault(found["clip"], {})
            frames.setdefault(int(found["frame"] or found["sample"]), file)
    return {name: Pictures(f"{path}/{name}", folder, files[name]) for name in files}


def _macro_clip(
    subject: str, name: str, footage: Pictures, emotion: str, *, stand_in: bool = False
) -> Clip:
    first, last = footage.numbers[0], footage.numbers[-1]
    still = first == last
    keys = (
        KeyFrames(apex=first, problem=STILL)
        if still
        else key_frames(str(first), None, str(last), footage.numbers, zero=True)
    )
    return make_clip(
        Origin(NAME, subject, f"{name}-macro"),
        footage,
        keys,
        emotion,
        LABEL_OF,
        fps=None if still else FPS,
        stand_in=stand_in,
        kind="macro",
    )


def _subject(cell: str) -> str:
    """``1`` and ``S01`` -> ``S01``."""
    return f"S{cell.upper().removeprefix('S').zfill(2)}"


def _word(emotion: str) -> str:
    word = emotion.strip().lower()
    return "others" if word == "repression" else word


def write_standin(
    root: Path, *, subjects: int = 6, clips: int = 24, seed: int = 0, workers: int = 1
) -> list[Clip]:
    """Write a stand-in to ROOT, CLIPS micro clips and some stills; what ``read`` is to find there.

    With the original's quirks: the first clip has no offset, the second an apex after its offset,
    the fourth lies in another emotion's folder; flat folders of stills; subjects and lone AUs are
    numbers; hidden files.
    """
    lines: list[list[object]] = [
        ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units",
         "Estimated Emotion", "remarks"]
    ]  # fmt: skip
    made, reels = [], []
    samples: Counter[tuple[int, str]] = Counter()
    for number, (who, emotion) in enumerate(standin.cast(subjects, clips, _EMOTIONS, seed=seed)):
        samples[who, emotion] += 1
        subject = f"S{who + 1:02d}"
        name = f"{subject}-{_CODES[emotion]:02d}-{samples[who, emotion]:03d}"
        take = standin.take(
            NAME, seed, subject, name, emotion, kind="micro", fps=FPS, before=3, after=2
        )
        keys = KeyFrames(take.onset + 1, take.apex + 1, take.offset + 1)
        cells: list[object] = [keys.onset, keys.apex, keys.offset]
        place = emotion
        if number == 0:
            cells[2], keys.offset = None, keys.apex
            keys.repaired = [f"offset '' is not annotated: its apex {keys.apex} taken"]
        elif number == 1:
            cells[1], first, last = take.offset + 40, take.onset + 1, take.offset + 1
            keys.apex, keys.apex_from = (first + last) // 2, "middle"
            outside = f"apex '{cells[1]}' is outside {first} to {last}"
            keys.repaired = [f"{outside}: the middle frame {keys.apex} taken"]
        elif number == 3:
            place = "fear" if emotion == "surprise" else "surprise"
            keys.odd = [f"lies in {place!r}, its row says {emotion!r}"]
        path = f"{MICRO}/{place}/{name}"
        footage = Pictures(path, root / path, {n: f"{n}.jpg" for n in range(1, len(take.aus) + 1)})
        reels.append(standin.Reel(take.shot(), footage.folder, footage.names))
        standin.write_openface(root, footage.name, footage.names, take.aus, seed=take.seed)
        units = standin.cell(take.coded)
        lines.append([who + 1, name, *cells, units, emotion, None])
        made.append(
            make_clip(
                Origin(NAME, subject, name),
                footage,
                keys,
                emotion,
                LABEL_OF,
                fps=FPS,
                stand_in=True,
                aus=take.coded,
            )
        )
    for who in range(subjects):
        subject = f"S{who + 1:02d}"
        for emotion, sample in [(word, 1) for word in sorted(LABEL_OF)] + [("surprise", 2)]:
            name = f"{subject}-{_CODES[emotion]:02d}-{sample:03d}"
            path = f"{MACRO}/{subject}/{emotion}"
            take = standin.take(
                NAME, seed, subject, f"{name}-macro", emotion, kind="macro", fps=FPS, fall=False
            )
            still = Pictures(f"{path}/{name}", root / path, {sample: f"{name}.jpg"})
            shot = replace(take.shot(), aus=take.aus[-1:])
            reels.append(standin.Reel(shot, still.folder, still.names))
            standin.write_openface(root, still.name, still.names, shot.aus, seed=take.seed)
            made.append(_macro_clip(subject, name, still, emotion, stand_in=True))
    standin.write_reels(reels, workers=workers)
    (root / MACRO / "S01" / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / "._1.jpg").write_bytes(b"\0")
    write_sheet(root / "MMEW_Micro_Exp.xlsx", {"Sheet1": lines})
    standin.mark(root, TITLE, made, seed=seed)
    return made


MMEW = Collection(
    NAME,
    TITLE,
    "Shandong University; licence agreement, research only",
    "happiness: positive; anger, disgust, fear, sadness: negative; surprise: surprise; "
    "others: none (MiE-X)",
    read,
    write_standin,
    (
        Published("MMEW_Micro_Exp.xlsx", 300, 30, _EMOTIONS),
        Published("Ben et al., TPAMI 2021", 900, kind="macro"),
    ),
)
