"""SAMM (Davison et al., TAC 2018): 29 subjects, 159 micro-expressions, 200 fps, grey 2040 x 1088.

::

    ROOT/SAMM_Micro_FACS_Codes_v2.xlsx        or a CSV export
    ROOT/SAMM/006/006_1_2/006_00562.jpg       padded to 4 or 5 digits, as the clip has it

ROOT may hold the folders of subjects itself, or be one folder above. The sheet has 13 lines above
its header: ``Subject | Filename | Inducement Code | Onset Frame | Apex Frame | Offset Frame |
Duration | Micro | Action Units | Estimated Emotion | Objective Classes | Notes``, and two columns
without a name. Subjects are text, some with a quote prefix, and become 6 in CSV exports.
``Duration`` is a formula that may never have been calculated, and is not read. Some apexes lie
before the onset (032_3_1, a digit error) or after the offset (028_4_1), in other releases some are
-1; 013_1_9's offset is wrong too. Such rows are found by what they hold, not by their names: see
``mie_x.datasets.key_frames``.

Classes: MEGC 2019's rule (See et al., FG 2019): happiness is positive; anger, contempt, disgust,
fear and sadness are negative; surprise is surprise; other has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mie_x.datasets import coded, standin
from mie_x.datasets.collection import Collection, Published, first_there, handed_out, make_clip
from mie_x.datasets.footage import Pictures, below, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.datasets.sheets import Sheet, find_sheet, read_sheet, write_sheet
from mie_x.records import Clip, Origin

NAME, TITLE, FPS = "samm", "SAMM", 200.0
SHEET = "SAMM_Micro_FACS_Codes_v2.xlsx"
SHEETS = "SAMM_Micro*"
HEADER = ("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame",
          "Duration", "Micro", "Action Units", "Estimated Emotion", "Objective Classes",
          "Notes")  # fmt: skip
_AROUND = 1000  # frames that a stand-in's clip is cut out of: more than anybody's movement lasts
LABEL_OF = {
    "happiness": "positive",
    "anger": "negative",
    "contempt": "negative",
    "disgust": "negative",
    "fear": "negative",
    "sadness": "negative",
    "surprise": "surprise",
}
EMOTIONS = {
    "anger": 57,
    "other": 26,
    "happiness": 26,
    "surprise": 15,
    "contempt": 12,
    "disgust": 9,
    "fear": 8,
    "sadness": 6,
}


def read(root: Path) -> Iterator[Clip]:
    """Every row of the sheet, in its order; clips without frames say so in ``problem``."""
    yield from handed_out(_rows(root))


def _rows(root: Path) -> Iterator[Clip]:
    sheet = read_codes(root)
    home = sheet.path.parent
    frames = first_there(home / "SAMM", root / "SAMM", home)
    for row in sheet.rows:
        subject, name = row["subject"].zfill(3), row["filename"]
        footage = pictures(below(frames, subject, name), f"{subject}/{name}")
        cells = (row["onset frame"], row["apex frame"], row["offset frame"])
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


def read_codes(root: Path) -> Sheet:
    """The sheet in ROOT; FileNotFoundError where there is none."""
    return read_sheet(
        find_sheet(root, SHEETS, what=TITLE),
        header=("Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame"),
    )


def write_coded(root: Path, clips: Sequence[Clip], *, by: str = coded.BY_MACHINE) -> Path:
    """Write CLIPS as a sheet of SAMM's layout to ROOT; its path: see ``coded``.

    The sheet holds micro-expressions alone, subjects of three letters or more, clips whose frames
    lie in their own folder, frame numbers from 1, and no class but that of the emotion. What is not
    annotated is -1.
    """
    lines = _above(coded.byline(clips, by))
    for clip in clips:
        _, subject, name = clip.origin
        coded.check_names(clip, NAME, footage=f"{subject}/{name}")
        coded.check_class(clip, LABEL_OF)
        if clip.kind != "micro":
            raise coded.refuse(clip, "SAMM's sheet holds micro-expressions alone")
        if subject != subject.zfill(3):
            raise coded.refuse(clip, f"SAMM's subjects are {subject.zfill(3)!r}, not {subject!r}")
        texts = [coded.text(clip, cell) for cell in (subject, name, clip.aus, clip.emotion)]
        lines.append([*texts[:2], stimulus(name), *coded.numbers(clip, untold=-1)])
        lines[-1] += [coded.duration(clip), "Micro - 1/2", *texts[2:], None]
        lines[-1].append(coded.byline([clip], by))
    return coded.write_new(root, "SAMM_Micro_FACS_Codes_mie-x.xlsx", {"MICRO_ONLY": lines}, SHEETS)


def stimulus(name: str) -> int | None:
    """The inducement code of the clip called NAME: its second part, where that is a number.

    >>> stimulus("006_1_2"), stimulus("006_a")
    (1, None)
    """
    _, _, rest = name.partition("_")
    number = rest.partition("_")[0]
    return int(number) if number.isdecimal() else None


def _above(title: str) -> list[list[object]]:
    """TITLE, twelve empty lines, and the header."""
    return [[title], *([] for _ in range(12)), [*HEADER, None, None]]


def write_standin(
    root: Path,
    *,
    subjects: int = 6,
    clips: int = 24,
    seed: int = 0,
    workers: int = 1,
    rest: float | None = None,
) -> list[Clip]:
    """Write a stand-in with the shares of the emotions: ``write_cast``.

    With REST, there are some REST seconds of frames before the onset, and as many or not after the
    offset, and people live: ``standin.live``.
    """
    played = standin.cast(subjects, clips, EMOTIONS, seed=seed)
    cast = [(f"{who + 6:03d}", emotion) for who, emotion in played]
    return write_cast(root, cast, seed=seed, workers=workers, rest=rest)


def write_cast(
    root: Path,
    cast: Sequence[tuple[str, str]],
    *,
    seed: int,
    workers: int,
    rest: float | None = None,
) -> list[Clip]:
    """Write a stand-in in which CAST, (subject as ``006``, emotion), plays, a clip each.

    Returns what ``read`` is to find in ROOT. With the original's quirks: the first clip's apex is
    -1, the second's has lost its last digit, the fourth's lies after the offset, the fifth's offset
    has lost its last digit. Odd clips are padded to 5 digits and even ones to 4, every third has
    intensity letters, a lone AU is a number, and there are hidden files.
    """
    rows: list[Sequence[object]] = []
    made, reels = [], []
    truth: dict[str, list[standin.Event]] = {}
    for count, (subject, emotion) in enumerate(cast):
        name = f"{subject}_{1 + count % 7}_{1 + count}"
        before, after = 0, 0
        if rest is not None:
            rng = np.random.default_rng(standin.seed_of(NAME, seed, name, "rest"))
            before, after = standin.pauses(rng, rest, 2, fps=FPS)
        take = standin.take(
            NAME,
            seed,
            subject,
            name,
            emotion,
            kind="micro",
            fps=FPS,
            before=before,
            after=after,
        )
        first = 400 + take.seed % 2000
        onset, apex, offset = (first + row for row in (take.onset, take.apex, take.offset))
        keys = KeyFrames(onset, apex, offset)
        numbers = range(first, first + len(take.aus))
        files = {n: f"{subject}_{n:0{5 - count % 2}d}.jpg" for n in numbers}
        cells = _code(count, keys)
        footage = Pictures(f"{subject}/{name}", root / "SAMM" / subject / name, files)
        shot = take.shot(gray=True)
        if rest is not None:
            played = [standin.Event("micro", onset, apex, offset)]
            shot, truth[footage.name] = standin.live(
                shot, played, first=first, fps=FPS, around=_AROUND
            )
        reels.append(standin.Reel(shot, footage.folder, footage.names))
        standin.write_openface(root, footage.name, footage.names, shot.shown, seed=take.seed)
        units = take.coded.replace("+", "B+") + "B" if count % 3 == 2 else take.coded
        rows.append([subject, name, *cells, units, emotion.capitalize()])
        made.append(
            make_clip(
                Origin(NAME, subject, name),
                footage,
                keys,
                emotion.capitalize(),
                LABEL_OF,
                fps=FPS,
                stand_in=True,
                aus=units,
            )
        )
    standin.write_reels(reels, workers=workers)
    (root / "SAMM" / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / f"._{reels[0].names[0]}").write_bytes(b"\0")
    write_codes(root, rows)
    if truth:
        standin.write_events(root, truth)
    standin.mark(root, TITLE, made, seed=seed)
    return made


def _code(count: int, keys: KeyFrames) -> tuple[int, int, int]:
    """Cells of the COUNTth clip's onset, apex and offset; KEYS become as these are to be read."""
    onset, apex, offset = keys.onset, keys.apex, keys.offset
    assert onset is not None and apex is not None and offset is not None
    if count == 4:
        offset //= 10
        keys.offset = apex
        why = f"offset '{offset}' is before the onset {onset}"
        keys.repaired = [f"{why}: its apex {apex} taken"]
    elif count in (0, 1, 3):
        apex = {0: -1, 1: apex // 10, 3: offset + 3}[count]
        keys.apex, keys.apex_from = (onset + offset) // 2, "middle"
        why = "not annotated" if apex == -1 else f"outside {onset} to {offset}"
        keys.repaired = [f"apex '{apex}' is {why}: the middle frame {keys.apex} taken"]
    return onset, apex, offset


def write_codes(root: Path, rows: Sequence[Sequence[object]]) -> None:
    """Write the sheet of a stand-in to ROOT, 13 lines above its header.

    ROWS are (subject, filename, onset, apex, offset, AUs, emotion). Durations are formulas that
    nobody calculated; the first row's texts have a quote prefix.
    """
    lines = _above(f"Stand-in of {TITLE}: nobody moved so")
    for subject, name, onset, apex, offset, units, emotion in rows:
        line = len(lines) + 1
        quote = "'" if len(lines) == 14 else ""
        lines.append([f"{quote}{subject}", f"{quote}{name}", stimulus(str(name))])
        lines[-1] += [
            onset,
            apex,
            offset,
            f"=F{line}-D{line}+1",
            "Micro - 1/2",
            standin.cell(str(units)),
            emotion,
        ]
    write_sheet(root / SHEET, {"MICRO_ONLY": lines})


SAMM = Collection(
    NAME,
    TITLE,
    "Manchester Metropolitan University; licence agreement, research only",
    "happiness: positive; anger, contempt, disgust, fear, sadness: negative; surprise: surprise; "
    "other: none (MEGC 2019)",
    read,
    write_standin,
    (
        Published(
            f"{SHEET}, its classes as in MEGC 2019's list",
            159,
            29,
            EMOTIONS,
            {"negative": 92, "positive": 26, "surprise": 15},
            {
                "006": (9, 0, 2),
                "007": (1, 5, 2),
                "009": (3, 0, 1),
                "010": (4, 0, 0),
                "011": (13, 7, 0),
                "012": (2, 0, 1),
                "013": (6, 0, 0),
                "014": (2, 7, 1),
                "015": (2, 0, 1),
                "016": (2, 1, 2),
                "017": (3, 0, 1),
                "018": (2, 0, 1),
                "019": (0, 1, 0),
                "020": (2, 2, 0),
                "021": (2, 0, 0),
                "022": (3, 2, 0),
                "023": (1, 0, 0),
                "024": (1, 0, 0),
                "026": (9, 0, 0),
                "028": (1, 0, 2),
                "030": (3, 0, 0),
                "031": (1, 0, 0),
                "032": (4, 0, 0),
                "033": (4, 1, 0),
                "034": (3, 0, 0),
                "035": (7, 0, 1),
                "036": (1, 0, 0),
                "037": (1, 0, 0),
            },
        ),
    ),
    lives=True,
)
