"""A lab's own recordings: video files or folders of frames, and one table that tells of them.

::

    ROOT/clips.csv
    ROOT/frames/s01/c01/frame_0001.png      or any other place below ROOT
    ROOT/videos/s02_c07.mp4

``clips.csv`` (UTF-8) has a row a clip. Its columns may come in any order and case; others beside
them are ignored::

    subject, clip, path,            onset, apex, offset, fps, emotion,   label, aus,  kind
    s01,     c01,  frames/s01/c01,  12,    19,   31,     200, happiness, ,      6+12, micro
    s02,     c07,  videos/s02_c07.mp4, 40, ,     66,     ,    tense,     negative, ,  micro

- ``subject`` (who is seen), ``clip`` (its name, once a subject) and ``path`` must be told. A path
  is relative to ROOT and stays inside: no address is ever opened. Clips may share a long video.
- ``onset``, ``apex``, ``offset`` are the numbers in the names of the pictures; frames of a video
  count from 1. Without them a clip is all that its path holds; where there is no apex, the middle
  frame is taken, and ``apex_from`` says so. A single cell that is empty is told as a repair.
- ``fps`` is frames a second, by default what the video tells.
- ``label`` is negative, positive, surprise, their number 0, 1, 2, or none. Where it is empty,
  ``emotion`` tells the class: ``LABEL_OF_EMOTION``, happy, sad, or one of the three classes; other
  words have none. Where both tell one, they must agree.
- ``kind`` is micro, by default, or macro.

What makes no sense in a cell raises ValueError, naming the row: the table is your own to mend.
``au_sources`` reads AUs from a ``clips.csv`` as well: with a column ``openface`` one file is both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mie_x.datasets import coded, standin
from mie_x.datasets.collection import Collection, handed_out, make_clip, place
from mie_x.datasets.footage import VIDEOS, Pictures, Unreadable, Video, below, pictures
from mie_x.datasets.key_frames import UNKNOWN, KeyFrames, key_frames
from mie_x.datasets.sheets import Row, Sheet, positive, read_sheet, write_sheet
from mie_x.records import LABEL_OF_EMOTION, LABELS, Clip, Origin

NAME, TITLE = "clips", "clips of your own"
TABLE = "clips.csv"
MUSTS = ("subject", "clip", "path")
COLUMNS = ("onset", "apex", "offset", "fps", "emotion", "label", "aus", "kind")
KINDS = ("micro", "macro")
LABEL_OF = {**LABEL_OF_EMOTION, "happy": "positive", "sad": "negative", **{n: n for n in LABELS}}


def read(root: Path) -> Iterator[Clip]:
    """Every row of the table, in its order; clips that cannot be used say so in ``problem``."""
    if not (root / TABLE).is_file():
        raise FileNotFoundError(
            f"{root}: no {TABLE}; write one with the columns {', '.join(MUSTS)} and, if you know "
            "them, onset, apex, offset, fps, emotion, label, aus, kind"
        )
    sheet = read_sheet(root / TABLE, header=MUSTS)
    yield from handed_out(_rows(root, sheet))


def _rows(root: Path, sheet: Sheet) -> Iterator[Clip]:
    listed: dict[str, tuple[Pictures | Video, str]] = {}  # a long video is looked through once
    for row in sheet.rows:
        for column in MUSTS:
            if not row[column]:
                raise ValueError(f"{sheet.at(row)}: no {column}; every clip needs one")
        path = PurePosixPath(row["path"].replace("\\", "/"))
        if path.as_posix() not in listed:
            listed[path.as_posix()] = _footage(root, path)
        footage, damage = listed[path.as_posix()]
        keys = _key_frames(row, sheet, footage.numbers)
        keys.problem = damage or keys.problem
        keys.odd += coded.by_machine(row.all)
        name, kind = _class(row, sheet), row["kind"].lower() or "micro"
        if kind not in KINDS:
            raise ValueError(f"{sheet.at(row)}: kind is {kind!r}; give {' or '.join(KINDS)}")
        fps = footage.fps if isinstance(footage, Video) else None
        try:
            fps = positive(row["fps"]) if row["fps"] else fps
        except ValueError as error:
            raise ValueError(f"{sheet.at(row)}: fps is {row['fps']!r}; give a number") from error
        yield make_clip(
            Origin(NAME, row["subject"], row["clip"]),
            footage,
            keys,
            row["emotion"],
            {row["emotion"].lower(): name} if name else {},
            fps=fps,
            aus=row["aus"],
            kind=kind,
        )


def _footage(root: Path, path: PurePosixPath) -> tuple[Pictures | Video, str]:
    """What lies at PATH, and why it cannot be read, or ""."""
    lies = below(root, path.as_posix())
    if not _is_video(path.as_posix()):
        return pictures(lies, path.as_posix()), ""
    video = Video(path.with_suffix("").as_posix(), lies)  # OpenFace calls its table so
    try:
        return video, "" if video.numbers else "no frames"
    except (Unreadable, FileNotFoundError) as error:
        return Pictures(video.name, lies, {}), str(error)


def _is_video(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in VIDEOS


def _key_frames(row: Row, sheet: Sheet, numbers: Sequence[int]) -> KeyFrames:
    """The row's key frames; the clip's ends are those of its footage where nobody tells them."""
    cells, told = {}, []
    for name, end in (("onset", 0), ("offset", -1)):
        cells[name] = row[name]
        if cells[name].lower() in UNKNOWN and len(numbers):
            cells[name] = str(numbers[end])
            if name in sheet.columns:
                told.append(f"{name} {row[name]!r} is not annotated: frame {cells[name]} taken")
    apex = row["apex"] if "apex" in sheet.columns else None
    keys = key_frames(cells["onset"], apex, cells["offset"], numbers, zero=True)
    keys.repaired[:0] = told
    return keys


def _class(row: Row, sheet: Sheet) -> str | None:
    """The name of the row's class, or None."""
    by_emotion = LABEL_OF.get(row["emotion"].lower())
    cell = row["label"].lower()
    if not cell:
        return by_emotion
    if cell == "none":
        return None
    named = {**{str(value): name for name, value in LABELS.items()}, **{n: n for n in LABELS}}
    if cell not in named:
        raise ValueError(
            f"{sheet.at(row)}: label is {row['label']!r}; give {', '.join(LABELS)}, "
            f"{', '.join(map(str, LABELS.values()))}, or none"
        )
    if by_emotion not in (None, named[cell]):
        raise ValueError(
            f"{sheet.at(row)}: emotion {row['emotion']!r} is {by_emotion}, but its label says "
            f"{named[cell]}; mend one of them"
        )
    return named[cell]


def write_coded(root: Path, clips: Sequence[Clip], *, by: str = coded.BY_MACHINE) -> Path:
    """Write CLIPS as ROOT/clips.csv; its path: see ``coded``. What is not annotated is empty.

    Frames count from 0. A class that its emotion denies is refused, as by the reader.
    """
    lines: list[list[object]] = [[*MUSTS, *COLUMNS, "coded by mie-x"]]
    names = {value: name for name, value in LABELS.items()}
    for clip in clips:
        coded.check_names(clip, NAME)
        label = "none" if clip.label is None else names[clip.label]
        if label not in (LABEL_OF.get(clip.emotion.lower(), label), "none"):
            raise coded.refuse(clip, f"its class {label} is not that of {clip.emotion!r}")
        path = clip.footage.name
        lies = place(clip.footage)
        if lies.name != PurePosixPath(path).name:  # of a video's name its suffix is left out
            path += lies.suffix
        if isinstance(clip.footage, Video) != _is_video(path):
            raise coded.refuse(clip, f"{path!r} is {'a video' if _is_video(path) else 'a folder'}")
        musts = [coded.text(clip, cell) for cell in (*clip.origin[1:], path)]
        if not all(musts):
            raise coded.refuse(clip, f"one of {', '.join(MUSTS)} is empty")
        emotion, units = coded.text(clip, clip.emotion), coded.text(clip, clip.aus)
        lines.append([*musts, *coded.numbers(clip, untold=None, least=0), clip.fps])
        lines[-1] += [emotion, label, units, clip.kind, coded.byline([clip], by)]
    return coded.write_new(root, TABLE, {"clips": lines}, TABLE)


def write_standin(
    root: Path, *, subjects: int = 4, clips: int = 12, seed: int = 0, workers: int = 1
) -> list[Clip]:
    """Write clips of an invented lab to ROOT, 60 fps; returns what ``read`` is to find there.

    Folders of pictures and video files (FFV1) in turn; every fourth clip is a macro-expression; the
    second lacks its apex, the third's path is written as on Windows; hidden files.
    """
    fps = 60
    header = [*MUSTS, "onset", "apex", "offset", "fps", "emotion", "aus", "kind "]
    lines: list[list[object]] = [[*header]]
    made: list[Clip] = []
    reels: list[standin.Reel | standin.VideoReel] = []
    emotions = ("happiness", "disgust", "surprise", "sadness", "anger", "fear", "contempt")
    for number, (who, emotion) in enumerate(
        standin.cast(subjects, clips, dict.fromkeys(emotions, 1), seed=seed)
    ):
        subject, name, kind = f"s{who + 1:02d}", f"c{number + 1:02d}", KINDS[number % 4 == 3]
        take = standin.take(
            NAME, seed, subject, name, emotion, kind=kind, fps=fps, before=5, after=5
        )
        frames = [f"frame_{n:04d}.png" for n in range(1, len(take.aus) + 1)]
        footage: Pictures | Video
        if number % 2:
            path = f"videos/{subject}_{name}.mkv"
            footage = Video(f"videos/{subject}_{name}", root / path)
            reels.append(standin.VideoReel(take.shot(), root / path, fps))
        else:
            path = f"frames/{subject}/{name}"
            footage = Pictures(path, root / path, dict(enumerate(frames, 1)))
            reels.append(standin.Reel(take.shot(), root / path, footage.names))
        standin.write_openface(root, footage.name, frames, take.aus, seed=take.seed)
        keys = KeyFrames(take.onset + 1, take.apex + 1, take.offset + 1)
        cells: list[object] = [keys.onset, keys.apex, keys.offset]
        if number == 1:
            cells[1], keys.apex_from = None, "middle"
            keys.apex = (take.onset + take.offset + 2) // 2
            keys.repaired = [f"apex '' is not annotated: the middle frame {keys.apex} taken"]
        elif number == 2:
            path = path.replace("/", "\\")
        rate = None if number % 2 else fps
        lines.append([subject, name, path, *cells, rate, emotion, take.coded, kind])
        made.append(
            make_clip(
                Origin(NAME, subject, name),
                footage,
                keys,
                emotion,
                LABEL_OF,
                fps=float(fps),
                stand_in=True,
                aus=take.coded,
                kind=kind,
            )
        )
    standin.write_reels(reels, workers=workers)
    (root / "frames" / ".DS_Store").write_bytes(b"\0")
    write_sheet(root / TABLE, {"clips": lines})
    standin.mark(root, TITLE, made, seed=seed)
    return made


CLIPS = Collection(
    NAME,
    TITLE,
    "whoever recorded them; those who are seen must have agreed",
    "the column label; else happiness: positive; sadness, fear, anger, disgust, contempt, "
    "repression: negative; surprise: surprise; others: none",
    read,
    write_standin,
)
