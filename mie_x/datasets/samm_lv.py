"""SAMM Long Videos (Yap, Kendrick and Yap, FG 2020): 32 subjects, 147 videos, 200 fps, grey.

::

    ROOT/SAMM_LongVideos_V3_Release.xlsx             or V1, V2, or a CSV export
    ROOT/SAMM_longvideos/006_1/006_1_00001.jpg       however padded
    ROOT/SAMM_Micro_FACS_Codes_v2.xlsx               SAMM's own sheet, for emotions

ROOT may hold the videos' folders itself, or be one folder above. The sheet has 9 lines above its
header: ``Subject | Filename | Inducement Code | Onset | Apex | Offset | Duration | Type | Action
Units | Notes``. The first part of a Filename is the subject, the first two are the video; a
Filename may be a macro and a micro row, so such a macro clip is named ``006_1_2_macro``. Type is
``Macro`` or ``Micro - 1/2``. An apex of -1 is not annotated; an onset of 0 began before the
recording. Action units are free text (``4+glare``, ``Chewing``).

The sheet tells no emotion. That of a micro row is the one that SAMM's own sheet tells of the same
Filename (as Liong et al.'s MEAN joins them); where this sheet is not in ROOT, no clip has emotion
or class, and macro clips never have. The people are SAMM's, and so are the micro-expressions, under
other frame numbers.

Classes: MEGC 2019's rule, as for SAMM.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mie_x.datasets import coded, samm, standin
from mie_x.datasets.collection import Collection, Published, first_there, handed_out, make_clip
from mie_x.datasets.footage import Pictures, below, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.datasets.sheets import find_sheet, read_sheet, write_sheet
from mie_x.records import Clip, Origin

NAME, TITLE, FPS = "samm-lv", "SAMM Long Videos", 200.0
FRAMES = "SAMM_longvideos"
SHEETS = "SAMM_LongVideos*"
HEADER = ("Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type",
          "Action Units", "Notes")  # fmt: skip
_KIND = {"micro - 1/2": "micro", "micro": "micro", "macro": "macro"}
_TYPE = {"micro": "Micro - 1/2", "macro": "Macro"}
_REST = 40  # frames of a stand-in's video before, between and after its expressions


def read(root: Path) -> Iterator[Clip]:
    """Every row of the sheet, in its order; clips without frames say so in ``problem``."""
    yield from handed_out(_rows(root))


def _rows(root: Path) -> Iterator[Clip]:
    sheet = read_sheet(
        find_sheet(root, SHEETS, what=TITLE),
        header=("Filename", "Onset", "Apex", "Offset", "Type"),
    )
    home = sheet.path.parent
    frames = first_there(home / FRAMES, root / FRAMES, home)
    emotions = _emotions(root)
    micro = {row["filename"] for row in sheet.rows if _kind(row["type"]) == "micro"}
    videos: dict[str, Pictures] = {}  # thousands of frames each, and several rows
    for row in sheet.rows:
        name, kind = row["filename"], _kind(row["type"])
        video = "_".join(name.split("_")[:2])
        if video not in videos:
            videos[video] = pictures(below(frames, video), video)
        footage = videos[video]
        clip = f"{name}_macro" if kind == "macro" and name in micro else name
        cells = (row["onset"], row["apex"], row["offset"])
        keys = key_frames(*cells, footage.numbers, before_recording=True, long=True)
        keys.odd += coded.by_machine(row.all)
        emotion = emotions.get(name, "") if kind == "micro" else ""
        if kind == "micro" and emotions and not emotion:
            keys.odd.append(f"SAMM's own sheet tells no emotion of {name}")
        if not kind:
            keys.problem = f"its type {row['type']!r} is neither macro nor micro"
        yield make_clip(
            Origin(NAME, name.split("_")[0], clip),
            footage,
            keys,
            emotion,
            samm.LABEL_OF,
            fps=FPS,
            aus=row["action units"],
            kind=kind or "macro",
        )


def _kind(cell: str) -> str:
    """A row's kind, "micro" or "macro"; "" where its type is neither."""
    return _KIND.get(" ".join(cell.lower().split()), "")


def _emotions(root: Path) -> dict[str, str]:
    """Filename -> emotion, of SAMM's own sheet; {} where it is not in ROOT."""
    try:
        sheet = samm.read_codes(root)
    except FileNotFoundError:
        return {}
    return {row["filename"]: row["estimated emotion"] for row in sheet.rows}


def write_coded(root: Path, clips: Sequence[Clip], *, by: str = coded.BY_MACHINE) -> Path:
    """Write CLIPS as a sheet of SAMM Long Videos' layout to ROOT; its path: see ``coded``.

    A clip is called by its video (006_1 of ``006_1_2``), that by its subject; frame numbers are
    from 1, and what is not annotated is -1. The sheet holds no emotion and no class: those of
    micro-expressions are read from SAMM's own sheet, where it is in ROOT.
    """
    lines = _above(coded.byline(clips, by))
    micro = {clip.origin.clip for clip in clips if clip.kind == "micro"}
    for clip in clips:
        name = clip.origin.clip
        if clip.kind == "macro" and name.removesuffix("_macro") in micro:
            name = name.removesuffix("_macro")
        coded.check_names(clip, NAME, footage="_".join(name.split("_")[:2]))
        if clip.origin.subject != name.split("_")[0]:
            raise coded.refuse(clip, f"its name says that it is of {name.split('_')[0]!r}")
        texts = [coded.text(clip, cell) for cell in (clip.origin.subject, name, clip.aus)]
        lines.append([*texts[:2], samm.stimulus(name), *coded.numbers(clip, untold=-1)])
        lines[-1] += [
            coded.duration(clip),
            _TYPE[clip.kind],
            texts[2],
            coded.byline([clip], by),
        ]
    return coded.write_new(root, "SAMM_LongVideos_mie-x.xlsx", {"SAMM_LongVideos": lines}, SHEETS)


def _above(title: str) -> list[list[object]]:
    """TITLE, eight empty lines, and the header."""
    return [[title], *([] for _ in range(8)), [*HEADER]]


def write_standin(
    root: Path,
    *,
    subjects: int = 6,
    clips: int = 24,
    seed: int = 0,
    workers: int = 1,
    rest: float | None = None,
) -> list[Clip]:
    """Write a stand-in, SAMM's own sheet included; returns what ``read`` is to find in ROOT.

    A video holds a micro-expression and, from a subject's second clip on, a macro-expression, at
    rest for 0.2 s before, between and after them. With REST these are some REST seconds, and people
    live meanwhile: ``standin.live``. With the original's quirks: the first clip's apex is not
    annotated, the second video begins within its first clip, the third clip's action units
    hold a word, a lone one is a number; other frame numbers in SAMM's own sheet; hidden files.
    """
    acts: dict[str, list[str]] = {}
    for who, emotion in standin.cast(subjects, clips, samm.EMOTIONS, seed=seed):
        acts.setdefault(f"{who + 6:03d}", []).append(emotion)
    played = [
        (subject, f"{subject}_{1 + first // 2}", own[first : first + 2])
        for subject, own in acts.items()
        for first in range(0, len(own), 2)
    ]
    lines = _above(f"Stand-in of {TITLE}: nobody moved so")
    codes: list[list[object]] = []
    made: list[Clip] = []
    reels: list[standin.Reel] = []
    truth: dict[str, list[standin.Event]] = {}
    for subject, video, emotions in played:
        own_seed = standin.seed_of(NAME, seed, video)
        rng = np.random.default_rng(own_seed)
        acted = [
            (emotion, kind, *standin.expression(rng, emotion, kind=kind, fps=FPS)[:2])
            for emotion, kind in zip(emotions, ("micro", "macro"), strict=False)
        ]
        person = f"{NAME}-{seed}-{subject}"
        stretches = [_REST] * (len(acted) + 1)
        if rest is not None:
            stretches = standin.pauses(rng, rest, len(stretches), fps=FPS)
        aus = standin.rest(person, sum(stretches) + sum(len(rows) for *_, rows, _ in acted))
        # rows before the recording: up to the middle of the second video's first rise
        cut = stretches[0] + acted[0][3] // 2 if len(reels) == 1 else 0
        files = {n: f"{video}_{n:05d}.jpg" for n in range(1, len(aus) - cut + 1)}
        footage = Pictures(video, root / FRAMES / video, files)
        end = 0
        shown = []
        for count, (emotion, kind, rows, apex) in enumerate(acted, 1):
            start = end + stretches[count - 1]
            end = start + len(rows)
            standin.play(aus, start, rows)
            onset, offset = start + 1 - cut, end - cut
            shown.append(standin.Event(kind, max(onset, 1), onset + apex, offset))
            name, units = f"{video}_{count}", standin.coded(rows[apex], 0.0)
            word = emotion.capitalize() if kind == "micro" else ""
            if kind == "micro":
                codes.append([subject, name, *(n + 300 for n in (onset, onset + apex, offset))])
                codes[-1] += [units, word]
            keys = KeyFrames(onset, onset + apex, offset)
            cells = [onset, onset + apex, offset]
            if not made:
                cells[1], keys.apex, keys.apex_from = -1, (onset + offset) // 2, "middle"
                keys.repaired = [f"apex '-1' is not annotated: the middle frame {keys.apex} taken"]
            elif onset < 1:
                cells[0], keys.onset = 0, 1
                keys.repaired = ["onset 0, before the recording: its first frame 1 taken"]
            elif len(made) == 2:
                units += "+glare"
            lines.append([subject, name, samm.stimulus(video), *cells, cells[2] - cells[0] + 1])
            lines[-1] += [_TYPE[kind], standin.cell(units), None]
            made.append(
                make_clip(
                    Origin(NAME, subject, name),
                    footage,
                    keys,
                    word,
                    samm.LABEL_OF,
                    fps=FPS,
                    stand_in=True,
                    aus=units,
                    kind=kind,
                )
            )
        shot = standin.Shot(person, aus[cut:], own_seed, gray=True)
        if rest is not None:
            shot, truth[video] = standin.live(shot, shown, first=1, fps=FPS)
        reels.append(standin.Reel(shot, footage.folder, footage.names))
        standin.write_openface(root, video, footage.names, shot.shown, seed=own_seed)
    standin.write_reels(reels, workers=workers)
    (root / FRAMES / ".DS_Store").write_bytes(b"\0")
    (reels[0].folder / f"._{reels[0].names[0]}").write_bytes(b"\0")
    write_sheet(root / "SAMM_LongVideos_V3_Release.xlsx", {"SAMM_LongVideos": lines})
    samm.write_codes(root, codes)
    if truth:
        standin.write_events(root, truth)
    standin.mark(root, TITLE, made, seed=seed)
    return made


SAMM_LV = Collection(
    NAME,
    TITLE,
    "Manchester Metropolitan University; licence agreement, research only",
    "happiness: positive; anger, contempt, disgust, fear, sadness: negative; surprise: surprise; "
    "other: none (MEGC 2019); macro-expressions: none, their emotion is not told",
    read,
    write_standin,
    (
        Published("Yap et al., FG 2020", 159),
        Published("Yap et al., FG 2020", 343, kind="macro"),
    ),
    lives=True,
)
