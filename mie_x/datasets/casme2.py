"""CASME II (Yan et al., PLoS ONE 2014): 26 subjects, 255 micro-expressions, 200 fps, 640 x 480.

::

    ROOT/CASME2-coding-20140508.xlsx            or -20190701.xlsx, or a CSV export
    ROOT/CASME2_RAW_selected/sub01/EP02_01f/img46.jpg    not padded, the first is the onset
    ROOT/CASME2-RAW/sub01/EP02_01f/img1.jpg              likewise, from the clip's first frame
    ROOT/Cropped/sub01/EP02_01f/reg_img46.jpg

Of these folders the first in this order that is there is read; ROOT may be one of them, with the
sheet in it, or one folder above. The sheet: ``Subject | Filename | (blank) | OnsetFrame | ApexFrame
| OffsetFrame | (blank) | Action Units | Estimated Emotion [| Objective Classes]``. Blank columns
are missing in some copies; subjects become 1 in CSV exports.

Classes: MEGC 2019's rule (See et al., FG 2019): happiness is positive, disgust and repression are
negative, surprise is surprise; sadness, fear and others have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mie_x.datasets import coded, standin
from mie_x.datasets.collection import Collection, Published, first_there, handed_out, make_clip
from mie_x.datasets.footage import Pictures, below, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.datasets.sheets import find_sheet, read_sheet, write_sheet
from mie_x.records import Clip, Origin

NAME, TITLE, FPS = "casme2", "CASME II", 200.0
FRAMES = ("CASME2_RAW_selected", "CASME2-RAW", "Cropped")
SHEETS = ("CASME2*cod*", "CASME2*label*", "CASME2*.csv")
HEADER = ("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None,
          "Action Units", "Estimated Emotion ", None)  # fmt: skip
LABEL_OF = {
    "happiness": "positive",
    "disgust": "negative",
    "repression": "negative",
    "surprise": "surprise",
}
_EMOTIONS = {"happiness": 32, "others": 99, "disgust": 63, "repression": 27, "fear": 2}


def subject_name(text: str) -> str:
    """``sub01`` for 1, 01 and sub01."""
    return f"sub{text.removeprefix('sub').zfill(2)}"


def read(root: Path) -> Iterator[Clip]:
    """Every row of the sheet, in its order; clips without frames say so in ``problem``."""
    yield from handed_out(_rows(root))


def _rows(root: Path) -> Iterator[Clip]:
    sheet = read_sheet(
        find_sheet(root, *SHEETS, what=TITLE),
        header=("Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame"),
    )
    home = sheet.path.parent
    frames = first_there(*(base / name for base in (home, root) for name in FRAMES), home)
    for row in sheet.rows:
        subject, name = subject_name(row["subject"]), row["filename"]
        footage = pictures(below(frames, subject, name), f"{subject}/{name}")
        cells = (row["onsetframe"], row["apexframe"], row["offsetframe"])
        keys = key_frames(*cells, footage.numbers)
        keys.odd += coded.by_machine(row.all)
        yield make_clip(
            Origin(NAME, subject, name),
            footage,
            keys,
            row["estimated emotion"],
            LABEL_OF,
            fps=FPS,
            aus=row["action units"],
        )


def write_coded(root: Path, clips: Sequence[Clip], *, by: str = coded.BY_MACHINE) -> Path:
    """Write CLIPS as a sheet of CASME II's layout to ROOT; its path: see ``coded``.

    The sheet holds micro-expressions alone, subjects like ``sub01``, clips whose frames lie in
    their own folder, frame numbers from 1, and no class but that of the emotion. What is not
    annotated is "/".
    """
    lines: list[list[object]] = [[*HEADER[:-1], "Objective Classes", "Coded by"]]
    for clip in clips:
        _, subject, name = clip.origin
        coded.check_names(clip, NAME, footage=f"{subject}/{name}")
        coded.check_class(clip, LABEL_OF)
        if clip.kind != "micro":
            raise coded.refuse(clip, "CASME II's sheet holds micro-expressions alone")
        number = subject.removeprefix("sub")
        if subject_name(number) != subject:
            raise coded.refuse(clip, f"CASME II's subjects are {subject_name(number)!r}")
        texts = [coded.text(clip, cell) for cell in (number, name, clip.aus, clip.emotion)]
        lines.append([*texts[:2], None, *coded.numbers(clip, untold="/"), None, *texts[2:]])
        lines[-1] += [None, coded.byline([clip], by)]
    return coded.write_new(root, "CASME2-coding-mie-x.xlsx", {"Sheet1": lines}, *SHEETS)


def write_standin(
    root: Path, *, subjects: int = 6, clips: int = 24, seed: int = 0, workers: int = 1
) -> list[Clip]:
    """Write a stand-in of the 2019 release, with its shares of the emotions: ``write_cast``."""
    shares = {**_EMOTIONS, "surprise": 28, "sadness": 4}
    played = standin.cast(subjects, clips, shares, seed=seed)
    cast = [(f"sub{who + 1:02d}", emotion) for who, emotion in played]
    return write_cast(root, cast, seed=seed, workers=workers)


def write_cast(
    root: Path, cast: Sequence[tuple[str, str]], *, seed: int, workers: int
) -> list[Clip]:
    """Write a stand-in in which CAST, (subject as ``sub01``, emotion), plays, a clip each.

    Returns what ``read`` is to find in ROOT. With the original's quirks: the first clip has no apex
    ("/"), the second has it at its offset; clip names of three patterns; blank columns, a trailing
    blank in a header, a lone AU as a number, an unknown AU cell, two empty sheets, and hidden files
    between the frames.
    """
    lines: list[list[object]] = [[*HEADER]]
    made, reels = [], []
    for number, (subject, emotion) in enumerate(cast):
        name = ("EP01_2", "EP08_1", "EP09f")[number] if number < 3 else f"EP{number + 1:02d}_01f"
        take = standin.take(NAME, seed, subject, name, emotion, kind="micro", fps=FPS)
        onset = 1 + take.seed % 120  # the first of the selected frames
        offset = onset + take.offset
        keys = KeyFrames(onset, onset + take.apex, offset)
        cell: object = keys.apex
        if number == 0:
            cell, keys.apex, keys.apex_from = "/", (onset + offset) // 2, "middle"
            keys.repaired = [f"apex '/' is not annotated: the middle frame {keys.apex} taken"]
        elif number == 1:
            cell = keys.apex = offset
            keys.odd = ["apex and offset are one frame"]
        files = {n: f"img{n}.jpg" for n in range(onset, offset + 1)}
        footage = Pictures(f"{subject}/{name}", root / FRAMES[0] / subject / name, files)
        reels.append(standin.Reel(take.shot(), footage.folder, footage.names))
        standin.write_openface(root, footage.name, footage.names, take.aus, seed=take.seed)
        units = standin.cell(take.coded or "?")
        lines.append([subject[3:], name, None, onset, cell, offset, None, units, emotion, None])
        made.append(
            make_clip(
                Origin(NAME, subject, name),
                footage,
                keys,
                emotion,
                LABEL_OF,
                fps=FPS,
                stand_in=True,
                aus=str(units),
            )
        )
    standin.write_reels(reels, workers=workers)
    (reels[0].folder.parent / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / "._img1.jpg").write_bytes(b"\0")
    write_sheet(root / "CASME2-coding-20190701.xlsx", {"Sheet1": lines, "Sheet2": [], "Sheet3": []})
    standin.mark(root, TITLE, made, seed=seed)
    return made


CASME2 = Collection(
    NAME,
    TITLE,
    "Institute of Psychology, Chinese Academy of Sciences; licence agreement, research only",
    "happiness: positive; disgust, repression: negative; surprise: surprise; sadness, fear and "
    "others: none (MEGC 2019)",
    read,
    write_standin,
    (
        Published(
            "CASME2-coding-20140508.xlsx", 255, 26, {**_EMOTIONS, "surprise": 25, "sadness": 7}
        ),
        Published(
            "CASME2-coding-20190701.xlsx", 255, 26, {**_EMOTIONS, "surprise": 28, "sadness": 4}
        ),
    ),
)
