"""CAS(ME)^2 (Qu et al., TAC 2018): 57 micro- and 300 macro-expressions in long videos, 30 fps.

::

    ROOT/CAS(ME)^2code_final.xlsx                           or one folder below; "(Updated)" first
    ROOT/rawpic/s15/15_0101disgustingteeth/img001.jpg       padded to three digits, from 1

A clip is a part of a video, and its footage the whole of it. The sheet ``CASFEcode_final`` has no
header: ``1 | anger1_1 | onset | apex | offset | AU | valence | macro-expression | self-reported
emotion [| duration] [| s15/15_0401girlcrashing]``. Where a row does not tell its video's path, two
more sheets do: ``naming rule1`` (``15 | s15 | 1``) whose it is, and ``naming rule2``
(``0401 | anger1``, or 401) which one. A video belongs to whom its own name tells, also where it
lies in another's folder: ``s19/23_0502...`` is s23's, and its clips say so in ``odd``.

An offset of 0 is missing, and the apex taken; an apex of 0 is missing, and the middle taken. The
emotion is what the subjects reported; the class is the coders' valence: negative, positive or
surprise; others have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from mie_x.datasets import coded, standin
from mie_x.datasets.collection import Collection, Published, handed_out, make_clip
from mie_x.datasets.footage import Pictures, below, folders, pictures
from mie_x.datasets.key_frames import KeyFrames, key_frames
from mie_x.datasets.sheets import find_sheet, tables, write_sheet
from mie_x.records import LABELS, Clip, Origin

NAME, TITLE, FPS = "casme-sq", "CAS(ME)^2", 30.0
FRAMES = "rawpic"
SHEETS = ("*code_final*", "*code_final*(Updated)*")
KINDS = ("micro", "macro")
OTHERS = "others"
FILMS = (("0101", "disgust1", "disgustingteeth"), ("0401", "anger1", "girlcrashing"),
         ("0502", "happy2", "funnyerrors"))  # fmt: skip
"""What subjects of a stand-in watch: code, word of the sheet, title in the folder's name."""

_VIDEO = re.compile(r"(\d+)_(\d{4})")  # 15_0101disgustingteeth: whose, and which

Video = tuple[str, str]
"""Number of the subject as in ``s15``, code of the film as in ``0101``."""


def read(root: Path) -> Iterator[Clip]:
    """Every row of the sheet, in its order; ValueError where the file has no rows."""
    yield from handed_out(_rows(root))


def _rows(root: Path) -> Iterator[Clip]:
    path = find_sheet(root, *SHEETS, what=TITLE)
    pages = dict(tables(path))
    people = _rule(pages, "namingrule1", told=2, wanted=1)
    films = _rule(pages, "namingrule2", told=1, wanted=0)
    lines = [
        (line + [""] * 9, _told_path(line))
        for name, page in pages.items()
        if not _squeezed(name).startswith("namingrule")
        for line in page
        if len(line) > 4 and line[0].isdigit() and "_" in line[1]  # no header, no remark
    ]
    if not lines:
        raise ValueError(
            f"{path}: no row like 1 | anger1_1 | onset | apex | offset; give the collection's own "
            "sheet"
        )
    frames = path.parent / FRAMES
    places = _places(frames)
    # a video's folder has thousands of files, and its clips share them
    look = cache(lambda place: pictures(below(frames, place), place))
    for cells, told in lines:
        number, name = cells[:2]
        video = _video(told.rpartition("/")[2])
        if not told and number in people:
            film = films.get(name.partition("_")[0].lower(), "")
            video = (people[number].lower().removeprefix("s"), film.zfill(4) if film else "")
        subject = f"s{video[0] or number.zfill(2)}"
        place = places.get(video, told or f"{subject}/{'_'.join(video)}")
        footage = look(place)
        keys = key_frames(cells[2], cells[3], cells[4], footage.numbers, long=True)
        keys.odd += coded.by_machine(cells)
        if not all(video):
            keys.problem = f"neither its row nor the naming rules tell the video of {name!r}"
        elif footage.numbers and not place.startswith(f"{subject}/"):
            keys.odd.append(f"its video lies in the folder of {place.partition('/')[0]}")
        yield _clip(Origin(NAME, subject, name), footage, keys, cells)


def _clip(
    origin: Origin,
    footage: Pictures,
    keys: KeyFrames,
    cells: Sequence[str],
    *,
    stand_in: bool = False,
) -> Clip:
    units, valence, expression, emotion = cells[5:9]
    valence = valence.lower()
    kind = next((kind for kind in KINDS if expression.lower().startswith(kind)), "")
    if not kind:
        keys.problem = f"{expression!r} is neither micro nor macro"
    if valence not in (*LABELS, OTHERS):
        keys.odd.append(f"its valence is {valence!r}")
    return make_clip(
        origin,
        footage,
        keys,
        emotion,
        {emotion.lower(): valence} if valence in LABELS else {},
        fps=FPS,
        stand_in=stand_in,
        aus=units,
        kind=kind or "micro",
    )


def _squeezed(name: str) -> str:
    return "".join(name.split()).lower()


def _rule(
    pages: Mapping[str, list[list[str]]], name: str, *, told: int, wanted: int
) -> dict[str, str]:
    """Column TOLD -> column WANTED of the sheet NAME; {} where there is none (a CSV export)."""
    return {
        line[told].lower(): line[wanted]
        for page, lines in pages.items()
        if _squeezed(page) == name
        for line in lines
        if len(line) > max(told, wanted) and line[told] and line[wanted]
    }


def _told_path(line: Sequence[str]) -> str:
    """``s15/15_0401girlcrashing`` behind the nine columns of a row, "" where there is none."""
    return next((cell for cell in line[9:] if "/" in cell), "")


def _video(name: str) -> Video:
    """A video by its folder's name, ("", "") where that does not tell."""
    found = _VIDEO.match(name)
    return (found[1], found[2]) if found else ("", "")


def _places(frames: Path) -> dict[Video, str]:
    """Video -> its folder below FRAMES; of two, the one among its subject's own."""
    places: dict[Video, str] = {}
    for subject in folders(frames):
        for name in folders(frames / subject):
            video = _video(name)
            if all(video) and (video not in places or subject == f"s{video[0]}"):
                places[video] = f"{subject}/{name}"
    return places


def write_coded(root: Path, clips: Sequence[Clip], *, by: str = coded.BY_MACHINE) -> Path:
    """Write CLIPS as a sheet of CAS(ME)^2's layout to ROOT; its path: see ``coded``.

    Every row tells its video's path, and the naming rules whose and which it is. The people of
    CLIPS are numbered from 1, in order: as in the original where none is left out. A clip's name
    has a ``_``, its video's name tells whose it is (``s15`` of ``15_0401girlcrashing``) and which,
    as the reader's do; frame numbers are from 1, and what is not annotated is 0. The class is the
    valence, "others" where there is none.
    """
    lines: list[list[object]] = []
    valences = {value: name for name, value in LABELS.items()}
    subjects = sorted({clip.origin.subject for clip in clips}, key=lambda name: (len(name), name))
    films: dict[tuple[str, str], list[object]] = {}
    for clip in clips:
        _, subject, name = clip.origin
        coded.check_names(clip, NAME)
        place = clip.footage.name
        video = _video(place.rpartition("/")[2])
        if "/" not in place or not all(video) or subject != f"s{video[0]}":
            raise coded.refuse(clip, f"its video {place!r} is not called as {subject}'s")
        if "_" not in name:
            raise coded.refuse(clip, "without a _ in its name its row is none")
        onset, apex, offset = coded.numbers(clip, untold=0)
        texts = [coded.text(clip, cell) for cell in (name, clip.aus, clip.emotion, place)]
        valence = OTHERS if clip.label is None else valences[clip.label]
        films[video[1], name.partition("_")[0]] = [video[1], texts[0].partition("_")[0]]
        lines.append([subjects.index(subject) + 1, texts[0], onset, apex, offset])
        lines[-1] += [texts[1], valence]
        lines[-1] += [f"{clip.kind}-expression", texts[2], coded.duration(clip), texts[3]]
        lines[-1].append(coded.byline([clip], by))
    pages = {
        "CASFEcode_final": lines,
        "naming rule1": [
            [int(subject.removeprefix("s")), subject, number]
            for number, subject in enumerate(subjects, 1)
        ],
        "naming rule2": [films[told] for told in sorted(films)],
    }
    return coded.write_new(root, "CAS(ME)^2code_final(mie-x).xlsx", pages, *SHEETS)


def write_standin(
    root: Path,
    *,
    subjects: int = 6,
    clips: int = 24,
    seed: int = 0,
    workers: int = 1,
    rest: float | None = None,
) -> list[Clip]:
    """Write a stand-in to ROOT; returns what ``read`` is to find there.

    Everybody is filmed in front of three films at most, at rest for a second or more between two
    expressions; with REST, some REST seconds, and people live meanwhile: ``standin.live``.
    With the original's quirks: no header; the first clip has no offset, the second no apex; unknown
    units, alternatives, commas, a lone unit as a number; codes of films as text and as a number; of
    three or more subjects the last one's first video lies with the first one's.
    """
    lines: list[list[object]] = []
    made: list[Clip] = []
    reels = []
    truth: dict[str, list[standin.Event]] = {}
    for who, watched, acts in _showings(subjects, clips, seed):
        subject, (code, film, title) = f"s{15 + who}", FILMS[watched]
        away = 1 < who == subjects - 1 and watched == 0
        place = f"{'s15' if away else subject}/{15 + who}_{code}{title}"
        own_seed = standin.seed_of(NAME, seed, place)
        rng = np.random.default_rng(own_seed)
        shown = [
            standin.expression(rng, emotion, kind=kind, fps=FPS)[:2] for kind, _, emotion in acts
        ]
        pauses = (
            rng.integers(30, 50, len(acts) + 1).tolist()
            if rest is None
            else standin.pauses(rng, rest, len(acts) + 1, fps=FPS)
        )
        person, length = f"{NAME}-{seed}-{subject}", sum(pauses) + sum(len(aus) for aus, _ in shown)
        film_aus = standin.rest(person, length)
        files = {n: f"img{n:03d}.jpg" for n in range(1, length + 1)}
        footage = Pictures(place, root / FRAMES / place, files)
        end = 0
        played = []
        for count, ((kind, valence, emotion), (aus, apex)) in enumerate(
            zip(acts, shown, strict=True), 1
        ):
            start = end + pauses[count - 1]
            end = start + len(aus)
            standin.play(film_aus, start, aus)
            keys = KeyFrames(start + 1, start + 1 + apex, end)
            played.append(standin.Event(kind, start + 1, start + 1 + apex, end))
            told = _told(len(made), keys, standin.coded(aus[apex], 0.0))
            if away:
                keys.odd = ["its video lies in the folder of s15"]
            origin = Origin(NAME, subject, f"{film}_{count}")
            lines.append([who + 1, origin.clip, *told, valence, f"{kind}-expression", emotion])
            cells = [str(cell) for cell in lines[-1]]
            made.append(_clip(origin, footage, keys, cells, stand_in=True))
        shot = standin.Shot(person, film_aus, own_seed)
        if rest is not None:
            shot, truth[place] = standin.live(shot, played, first=1, fps=FPS)
        reels.append(standin.Reel(shot, footage.folder, footage.names))
        standin.write_openface(root, place, footage.names, shot.shown, seed=own_seed)
    standin.write_reels(reels, workers=workers)
    (reels[0].folder / ".DS_Store").write_bytes(b"\0")
    pages: dict[str, list[list[object]]] = {
        "CASFEcode_final": lines,
        "naming rule1": [[15 + who, f"s{15 + who}", who + 1] for who in range(subjects)],
        "naming rule2": [[int(code) if code > "0500" else code, film] for code, film, _ in FILMS],
    }
    write_sheet(root / "CAS(ME)^2code_final.xlsx", pages)
    if truth:
        standin.write_events(root, truth)
    standin.mark(root, TITLE, made, seed=seed)
    return made


def _showings(
    subjects: int, clips: int, seed: int
) -> Iterator[tuple[int, int, list[tuple[str, str, str]]]]:
    """(subject, film, [(kind, valence, emotion) of what they show meanwhile]), subject by subject.

    The shares of the valences are those of the original's micro-expressions; that there are as many
    macro-expressions is ours.
    """
    shares = {"micro negative": 21, "macro positive": 8, "micro surprise": 9, "macro others": 19,
              "macro negative": 21, "micro positive": 8, "macro surprise": 9,
              "micro others": 19}  # fmt: skip
    reported = {"negative": "disgust", "positive": "happiness", "surprise": "surprise"}
    acts: dict[int, list[tuple[str, str, str]]] = {who: [] for who in range(subjects)}
    for who, act in standin.cast(subjects, clips, shares, seed=seed):
        kind, valence = act.split()
        acts[who].append((kind, valence, reported.get(valence, "confused")))
    for who, own in acts.items():
        each = -(-len(own) // len(FILMS))  # clips a video, so that the films do
        for watched, first in enumerate(range(0, len(own), each)):
            yield who, watched, own[first : first + each]


def _told(number: int, keys: KeyFrames, units: str) -> list[object]:
    """Four cells of the stand-in's clip NUMBER, quirks included; mends KEYS as ``read`` will."""
    cells: list[object] = [keys.onset, keys.apex, keys.offset]
    if number == 0:
        cells[2], keys.offset = 0, keys.apex
        keys.repaired = [f"offset '0' is not annotated: its apex {keys.apex} taken"]
    elif number == 1:
        assert keys.onset is not None and keys.offset is not None
        cells[1], keys.apex, keys.apex_from = 0, (keys.onset + keys.offset) // 2, "middle"
        keys.repaired = [f"apex '0' is not annotated: the middle frame {keys.apex} taken"]
    units = {3: "NULL", 4: "14or23", 5: "4,24,6+12"}.get(number, units)
    return [*cells, standin.cell(units) or ""]


CASME_SQ = Collection(
    NAME,
    TITLE,
    "Institute of Psychology, Chinese Academy of Sciences; licence agreement, research only",
    "by the coders' valence, not by the emotion: negative, positive, surprise; others: none",
    read,
    write_standin,
    (
        Published(
            "CAS(ME)^2code_final.xlsx, classes as counted in MEAN",
            57,
            labels={"negative": 21, "positive": 8, "surprise": 9},
        ),
        Published("Qu et al., TAC 2018", 300, kind="macro"),
    ),
    lives=True,
)
