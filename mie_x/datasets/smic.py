"""SMIC (Li et al., FG 2013): spontaneous micro-expressions, filmed by three cameras at once.

A high-speed camera (HS, 100 fps, 16 subjects, 164 clips), a usual one (VIS) and one for infrared
(NIR, gray), both 25 fps, 8 subjects, 71 clips. Nobody coded action units or, before 2019, apexes.
Two sets are handed out; here with HS, alike with VIS and NIR::

    ROOT/HS/s1/micro/negative/s1_ne_01/image084520.bmp    short set, negative, positive, surprise;
    ROOT/s1/negative/s1_ne_01/...                         its cropped copies
    ROOT/HS_long/SMIC-HS-E_annotation.xlsx                long set, SMIC-E; or _2019, or CSV
    ROOT/HS_long/SMIC-HS-E/s01/s01_ne_01/image308866.jpg

The first that is there is read; ROOT may be HS, HS_long or SMIC-HS-E itself. Subjects and clips are
spelled ``s01`` and ``s01_ne_01`` here, however a folder or a sheet spells them.

The **short set** has no sheet: a clip is all there is in its folder, from onset to offset. The
**long set** has some frames before and after: ``Subject | Filename | ... | OnsetF | OffsetF |
[Onset2F | Offset2F | Onset3F | Offset3F |] ... [ApexF |] FirstF | LastF | ... | Emotion``. All of
these are numbers of the recording, and so are those in the names of the files: OnsetF is looked for
among the names as it stands. (Loaders that subtract FirstF do so to count from the clip's first
file.) FirstF is a text in some rows; where it is a number, it is held against the first file. A
clip may hold a second or third micro-expression: its row is one clip, the first; ``odd`` tells of
the others. Lines of text stand below the data: rows are those with a subject's number.

Classes are SMIC's own: negative, positive, surprise. An apex that is not in the sheet is the middle
frame (as MiE-X and others take it), which is no apex. Of the cropped copies it is reported that
s18_sur_03 is empty and some frames of four other clips are missing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mie_x.datasets import standin
from mie_x.datasets.collection import Collection, Published, first_there, handed_out, make_clip
from mie_x.datasets.footage import Pictures, below, folders, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.datasets.sheets import Row, find_sheet, read_sheet, write_sheet
from mie_x.records import LABELS, Clip, Footage, Origin

FPS = {"HS": 100.0, "VIS": 25.0, "NIR": 25.0}
CODES = {"negative": "ne", "positive": "po", "surprise": "sur"}
LABEL_OF = {name: name for name in LABELS}
BY_SUBJECT = {
    **{"s01": (3, 2, 1), "s02": (0, 1, 5), "s03": (22, 11, 6), "s04": (10, 4, 5)},
    **{"s05": (1, 0, 1), "s06": (2, 0, 2), "s08": (9, 4, 0), "s09": (0, 1, 3)},
    **{"s11": (3, 3, 1), "s12": (0, 8, 1), "s13": (0, 10, 0), "s14": (3, 2, 5)},
    **{"s15": (1, 1, 2), "s18": (2, 0, 5), "s19": (0, 1, 1), "s20": (14, 3, 5)},
}
"""Clips of HS by class, as in MEGC 2019's list."""

_CLIP = re.compile(r"s(\d+)_(ne|po|sur)_(\d+)", re.IGNORECASE)


def subject_name(text: str) -> str:
    """``s01`` for 1, s1 and s01; other text as it is.

    >>> subject_name("1"), subject_name("s1"), subject_name("s20"), subject_name("x")
    ('s01', 's01', 's20', 'x')
    """
    found = re.fullmatch(r"[sS]?(\d+)", text)
    return f"s{int(found[1]):02d}" if found else text


def clip_name(text: str) -> str:
    """``s01_ne_01`` for s1_ne_01; other text as it is.

    >>> clip_name("s1_ne_01"), clip_name("s20_sur_03"), clip_name("x")
    ('s01_ne_01', 's20_sur_03', 'x')
    """
    found = _CLIP.fullmatch(text)
    return f"s{int(found[1]):02d}_{found[2].lower()}_{int(found[3]):02d}" if found else text


def _in_turn(name: str) -> tuple[list[int], str]:
    """Sorts names by their numbers, s9 before s10."""
    return [int(number) for number in re.findall(r"\d+", name)], name


def _is_subject(name: str) -> bool:
    return re.fullmatch(r"s\d+", subject_name(name)) is not None


def read(root: Path, *, band: str) -> Iterator[Clip]:
    """Every clip of the short set by subject, class and name; or every row of the long set's sheet.

    BAND is a key of ``FPS``.
    """
    for base in (root / band, root):
        if short := list(_short(base)):
            yield from handed_out(_clip_of_folder(base, band, *found) for found in short)
            return
    yield from handed_out(_rows(root, band))


def _short(base: Path) -> Iterator[tuple[str, str, str]]:
    """(subject, emotion, path of the clip's folder below BASE) of a short set."""
    for subject in sorted(filter(_is_subject, folders(base)), key=_in_turn):
        inside = f"{subject}/micro" if (base / subject / "micro").is_dir() else subject
        for emotion in LABELS:
            for name in sorted(folders(base / inside / emotion), key=_in_turn):
                yield subject_name(subject), emotion, f"{inside}/{emotion}/{name}"


def _clip_of_folder(base: Path, band: str, subject: str, emotion: str, path: str) -> Clip:
    footage = pictures(base / path, path)
    keys = KeyFrames(problem="no frames")
    if numbers := footage.numbers:
        keys = key_frames(str(numbers[0]), None, str(numbers[-1]), numbers, zero=True)
    name = clip_name(footage.folder.name)
    return _clip(band, subject, name, footage, keys, emotion)


def _clip(
    band: str,
    subject: str,
    name: str,
    footage: Footage,
    keys: KeyFrames,
    emotion: str,
    *,
    stand_in: bool = False,
) -> Clip:
    found = _CLIP.fullmatch(name)
    if found and CODES.get(emotion.lower()) not in (None, found[2]):
        keys.odd.append(f"{emotion} by its label, {found[2]!r} by its name")
    origin = Origin(_name(band), subject, name)
    return make_clip(origin, footage, keys, emotion, LABEL_OF, fps=FPS[band], stand_in=stand_in)


def _rows(root: Path, band: str) -> Iterator[Clip]:
    what = f"{_title(band)} (long set; the short set has its clips in {band}/s1/micro)"
    sheet = read_sheet(
        find_sheet(root, f"SMIC*{band}*annotation*", what=what),
        header=("Subject", "Filename", "OnsetF", "OffsetF", "Emotion"),
    )
    tree = f"SMIC-{band}-E"
    frames = first_there(sheet.path.parent / tree, root / f"{band}_long" / tree, root)
    spelled = {subject_name(name): name for name in folders(frames)}
    for row in sheet.rows:
        subject, name = subject_name(row["subject"]), clip_name(row["filename"])
        if not _is_subject(subject):
            continue  # text below the data
        inside = below(frames, spelled.get(subject, subject))
        clips = {clip_name(folder): folder for folder in folders(inside)}
        folder = below(inside, clips.get(name, name))
        footage = pictures(folder, f"{inside.name}/{folder.name}")
        apex = row["apexf"] if "apexf" in sheet.columns else None
        keys = key_frames(row["onsetf"], apex, row["offsetf"], footage.numbers, long=True)
        keys.odd += _odd(row, footage.numbers)
        yield _clip(band, subject, name, footage, keys, row["emotion"])


def _odd(row: Row, numbers: Sequence[int]) -> Iterator[str]:
    """What the sheet says besides: of FirstF, and of other micro-expressions."""
    first = row["firstf"]
    if first and not first.isdigit():
        yield f"its FirstF {first!r} is no number"
    elif first and numbers and int(first) != numbers[0]:
        yield f"its first frame is {numbers[0]}, {first} in the sheet"
    for count in (2, 3):
        if onset := row[f"onset{count}f"]:
            yield f"holds another micro-expression, {onset} to {row[f'offset{count}f']}"


def write_cast(
    root: Path, cast: Sequence[tuple[str, str]], *, band: str, seed: int, workers: int
) -> list[Clip]:
    """Write a stand-in of the short set in which CAST, (subject as ``s01``, emotion), plays.

    Returns what ``read`` is to find. With the original's quirks: subjects unpadded, frame numbers
    of six to eight digits that begin with 0, and hidden files.
    """
    made, takes = [], []
    for subject, emotion, name in _named(cast):
        take = _take(band, seed, subject, name, emotion)
        first, digits = 10_000 + take.seed % 80_000, 6 + take.seed % 3
        last = first + len(take.aus) - 1
        files = {n: f"image{n:0{digits}d}.bmp" for n in range(first, last + 1)}
        path = f"{_unpadded(subject)}/micro/{emotion}/{_unpadded(name)}"
        footage = Pictures(path, root / band / path, files)
        takes.append((take, footage))
        keys = KeyFrames(first, (first + last) // 2, last, apex_from="middle")
        made.append(_clip(band, subject, name, footage, keys, emotion, stand_in=True))
    _film(root, band, takes, workers=workers)
    standin.mark(root, _title(band), made, seed=seed)
    return made


def write_short(
    root: Path,
    *,
    band: str,
    subjects: int = 6,
    clips: int = 24,
    seed: int = 0,
    workers: int = 1,
) -> list[Clip]:
    """Write a stand-in of the short set: ``write_cast``, with shares of the classes as in HS."""
    return write_cast(root, _cast(subjects, clips, seed), band=band, seed=seed, workers=workers)


def write_long(
    root: Path,
    *,
    band: str,
    subjects: int = 6,
    clips: int = 24,
    seed: int = 0,
    workers: int = 1,
) -> list[Clip]:
    """Write a stand-in of the long set; returns what ``read`` is to find there.

    With the original's quirks: no apexes; FirstF of the first clip is a text; the second clip holds
    another micro-expression; subjects are numbers; lines of text below the data; hidden files.
    """
    header = ["Subject", "Filename", None, "OnsetF", "OffsetF", "Onset2F", "Offset2F"]
    lines: list[list[object]] = [[*header, "FirstF", "LastF", "TotalVL", "Emotion"]]
    folder = root / f"{band}_long"
    made, takes = [], []
    for number, (subject, emotion, name) in enumerate(_named(_cast(subjects, clips, seed))):
        take = _take(band, seed, subject, name, emotion, before=6, after=25 if number == 1 else 6)
        first = 10_000 + take.seed % 800_000
        onset, offset, last = (first + row for row in (take.onset, take.offset, len(take.aus) - 1))
        keys = KeyFrames(onset, (onset + offset) // 2, offset, apex_from="middle")
        cell: object = first
        another: tuple[object, object] = (None, None)
        if number == 0:
            cell = "not known"
            keys.odd = [f"its FirstF {cell!r} is no number"]
        elif number == 1:
            rng = np.random.default_rng(take.seed)
            acted, *_ = standin.expression(rng, emotion, kind="micro", fps=FPS[band])
            standin.play(take.aus, take.offset + 5, acted)
            another = (offset + 5, offset + 4 + len(acted))
            keys.odd = [f"holds another micro-expression, {another[0]} to {another[1]}"]
        path = f"{subject}/{name}"
        files = {n: f"image{n:06d}.jpg" for n in range(first, last + 1)}
        footage = Pictures(path, folder / f"SMIC-{band}-E" / path, files)
        takes.append((take, footage))
        told = [cell, last, len(files), emotion]
        lines.append([int(subject[1:]), name, None, onset, offset, *another, *told])
        made.append(_clip(band, subject, name, footage, keys, emotion, stand_in=True))
    _film(root, band, takes, workers=workers)
    lines += [[], ["Frames are counted from the start of each recording."], ["F: frame"]]
    write_sheet(folder / f"SMIC-{band}-E_annotation.xlsx", {"Sheet1": lines})
    standin.mark(root, _title(band), made, seed=seed)
    return made


def _cast(subjects: int, clips: int, seed: int) -> list[tuple[str, str]]:
    shares = {name: sum(cells[at] for cells in BY_SUBJECT.values()) for name, at in LABELS.items()}
    played = standin.cast(subjects, clips, shares, seed=seed)
    return [(f"s{who + 1:02d}", emotion) for who, emotion in played]


def _named(cast: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str, str]]:
    """(subject, emotion, clip) of each of CAST, in the order in which folders are read."""
    count: Counter[tuple[str, str]] = Counter()
    for subject, emotion in sorted(cast, key=lambda who: (_in_turn(who[0]), LABELS[who[1]])):
        count[subject, emotion] += 1
        yield subject, emotion, f"{subject}_{CODES[emotion]}_{count[subject, emotion]:02d}"


def _take(
    band: str, seed: int, subject: str, name: str, emotion: str, *, before: int = 0, after: int = 0
) -> standin.Take:
    """Three cameras saw the same people and movements: BAND tells only how often a second."""
    return standin.take(
        "smic",
        seed,
        subject,
        name,
        emotion,
        kind="micro",
        fps=FPS[band],
        before=before,
        after=after,
    )


def _film(
    root: Path, band: str, takes: Sequence[tuple[standin.Take, Pictures]], *, workers: int
) -> None:
    reels = []
    for take, footage in takes:
        shot = take.shot(gray=band == "NIR")
        reels.append(standin.Reel(shot, footage.folder, footage.names))
        standin.write_openface(root, footage.name, footage.names, take.aus, seed=take.seed)
    standin.write_reels(reels, workers=workers)
    (reels[0].folder.parent / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / f"._{reels[0].names[0]}").write_bytes(b"\0")


def _unpadded(name: str) -> str:
    return re.sub(r"^s0*", "s", name)


def _name(band: str) -> str:
    return f"smic-{band.lower()}"


def _title(band: str) -> str:
    return f"SMIC-{band}"


def _collection(
    band: str, write: Callable[..., list[Clip]], published: tuple[Published, ...]
) -> Collection:
    return Collection(
        _name(band),
        _title(band),
        "Center for Machine Vision and Signal Analysis, University of Oulu; licence agreement, "
        "research only",
        "negative, positive, surprise: the collection's own classes",
        partial(read, band=band),
        partial(write, band=band),
        published,
    )


HS = _collection(
    "HS",
    write_short,
    (
        Published(
            "short set, by subject as in MEGC 2019's list",
            164,
            16,
            labels={"negative": 70, "positive": 51, "surprise": 43},
            by_subject=BY_SUBJECT,
        ),
        Published(
            "SMIC-E-HS, classes as MEAN (Liong et al. 2023) counts them",
            157,
            labels={"negative": 66, "positive": 51, "surprise": 40},
        ),
    ),
)
VIS = _collection(
    "VIS",
    write_long,
    (
        Published(
            "SMIC-E-VIS, classes as MEAN (Liong et al. 2023) counts them",
            71,
            8,
            labels={"negative": 24, "positive": 28, "surprise": 19},
        ),
        Published("short set (Li et al., FG 2013)", 71, 8),
    ),
)
NIR = _collection(
    "NIR",
    write_long,
    (
        Published(
            "SMIC-E-NIR, classes as MEAN (Liong et al. 2023) counts them",
            71,
            8,
            labels={"negative": 23, "positive": 28, "surprise": 20},
        ),
        Published("short set (Li et al., FG 2013)", 71, 8),
    ),
)
