"""MEGC 2019's composite (See et al., FG 2019), MiE-X's CompMiE: CASME II, SAMM and SMIC-HS.

442 clips of 68 subjects in three classes::

    ROOT/combined_3class_gt.csv     no header: dataset, subject, filename, label
    ROOT/casme2, samm, smic         roots of ``casme2``, ``samm`` and ``smic-hs``; may be links

Labels are 0 negative, 1 positive, 2 surprise. Subjects are ``sub01`` in CASME II, ``6`` in SAMM
(006 elsewhere) and ``s01`` in SMIC, whose clips are ``s01_ne_01`` even where folders are
``s1_ne_01``: both sides are brought to one spelling.

**The list is the truth** for who is in and for the class. The rule behind it (happiness: positive;
CASME II's disgust and repression, SAMM's anger, contempt, disgust, fear and sadness: negative;
surprise: surprise) would take some more clips of CASME II; where it gives a listed clip another
class, ``odd`` says so. A list with other counts than the published ones, subject by subject, is
refused: one is about that lacks SAMM's 032_3_1. A stand-in's list must have the stand-in's counts.

Origins name the member collection, not the composite: a clip is the same clip in both.
"""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

from mie_x.datasets import casme2, samm, smic, standin
from mie_x.datasets.collection import Collection, Published, handed_out
from mie_x.datasets.footage import Pictures, below
from mie_x.datasets.sheets import tables
from mie_x.records import LABELS, Clip, Origin
from mie_x.whole import whole

NAME, TITLE = "megc2019", "MEGC 2019 composite"
LIST = "combined_3class_gt.csv"

Cells = Mapping[str, tuple[int, int, int]]
"""Subject -> clips that are negative, positive, surprise."""


@dataclass(frozen=True)
class Member:
    """One of the three. ``subject`` and ``clip`` bring a spelling to the reader's own.

    ``emotions`` are words of the collection for each class, for stand-ins.
    """

    collection: Collection
    subject: Callable[[str], str]
    clip: Callable[[str], str]
    write_cast: Callable[..., list[Clip]]
    emotions: Mapping[str, Sequence[str]]
    cells: Cells

    @property
    def corpus(self) -> str:
        return self.collection.name


def _padded(name: str) -> str:
    """``006_1_2`` for 6_1_2."""
    subject, line, rest = name.partition("_")
    return subject.zfill(3) + line + rest


MEMBERS = {
    "casme2": Member(
        casme2.CASME2,
        casme2.subject_name,
        str,
        casme2.write_cast,
        {
            "negative": ("disgust", "repression"),
            "positive": ("happiness",),
            "surprise": ("surprise",),
        },
        {
            **{"sub01": (2, 1, 0), "sub02": (5, 1, 3), "sub03": (4, 0, 1), "sub04": (2, 0, 0)},
            **{"sub05": (0, 1, 5), "sub06": (1, 1, 2), "sub07": (5, 0, 0), "sub08": (1, 0, 0)},
            **{"sub09": (5, 5, 0), "sub11": (4, 0, 0), "sub12": (5, 2, 4), "sub13": (0, 2, 0)},
            **{"sub14": (0, 3, 0), "sub15": (1, 1, 1), "sub16": (1, 2, 0), "sub17": (23, 7, 1)},
            **{"sub19": (3, 3, 5), "sub20": (2, 0, 0), "sub21": (1, 0, 0), "sub22": (2, 0, 0)},
            **{"sub23": (7, 1, 0), "sub24": (2, 0, 1), "sub25": (3, 0, 2), "sub26": (9, 2, 0)},
        },
    ),
    "samm": Member(
        samm.SAMM,
        _padded,
        _padded,
        samm.write_cast,
        {
            "negative": ("anger", "contempt", "disgust", "fear", "sadness"),
            "positive": ("happiness",),
            "surprise": ("surprise",),
        },
        samm.SAMM.published[0].by_subject,
    ),
    "smic": Member(
        smic.HS,
        smic.subject_name,
        smic.clip_name,
        partial(smic.write_cast, band="HS"),
        {name: (name,) for name in LABELS},
        smic.BY_SUBJECT,
    ),
}
"""The word in the list, which is the folder too -> the collection."""

BY_SUBJECT: Cells = {s: cells for member in MEMBERS.values() for s, cells in member.cells.items()}
TOTALS = {name: sum(cells[at] for cells in BY_SUBJECT.values()) for name, at in LABELS.items()}


class Listed(NamedTuple):
    """A row of the list, in the readers' spelling."""

    dataset: str
    subject: str
    clip: str
    label: int


def read(root: Path) -> Iterator[Clip]:
    """Every clip of the list, in its order; one that its collection does not hold says so.

    ValueError where the list is not the published one.
    """
    yield from handed_out(_rows(root))


def _rows(root: Path) -> Iterator[Clip]:
    rows = _listed(root)
    held: dict[tuple[str, str, str], Clip] = {}
    for dataset in dict.fromkeys(row.dataset for row in rows):
        member = MEMBERS[dataset]
        for clip in member.collection.read(root / dataset):
            spelled = member.subject(clip.origin.subject), member.clip(clip.origin.clip)
            held.setdefault((dataset, *spelled), clip)
    names = {value: name for name, value in LABELS.items()}
    for row in rows:
        clip = held.get(row[:3]) or _not_held(root, row)
        odd = clip.odd
        if clip.emotion and clip.label != row.label:
            rule = "of no class" if clip.label is None else names[clip.label]
            odd += (f"{names[row.label]} in the list, {rule} by the rule ({clip.emotion})",)
        yield replace(clip, label=row.label, odd=odd)


def _not_held(root: Path, row: Listed) -> Clip:
    member = MEMBERS[row.dataset].collection
    name = f"{row.subject}/{row.clip}"
    footage = Pictures(name, below(root / row.dataset, row.subject, row.clip), {})
    origin = Origin(member.name, row.subject, row.clip)
    problem = f"in the list, and not in {member.title} as it lies in {row.dataset}"
    return Clip(origin, footage, None, None, None, "", row.label, problem=problem)


def _listed(root: Path) -> list[Listed]:
    path = root / LIST
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such list; put MEGC 2019's there, and beside it the collections, or links "
            f"to them, as {', '.join(MEMBERS)}"
        )
    rows = []
    for _, lines in tables(path):
        for number, cells in enumerate(lines, 1):
            if not any(cells):
                continue
            if len(cells) != 4 or cells[0] not in MEMBERS or cells[3] not in ("0", "1", "2"):
                raise ValueError(
                    f"{path}: row {number} is {','.join(cells)[:80]!r}, not dataset "
                    f"({', '.join(MEMBERS)}), subject, filename, label (0 to 2); give MEGC 2019's "
                    "own list"
                )
            member = MEMBERS[cells[0]]
            spelled = member.subject(cells[1]), member.clip(cells[2])
            rows.append(Listed(cells[0], *spelled, int(cells[3])))
    told = standin.told_counts(root) if standin.is_standin(root) else None
    _check(path, rows, BY_SUBJECT if told is None else told.get("micro", {}).get("by_subject", {}))
    return rows


def _check(path: Path, rows: Sequence[Listed], wanted: Cells) -> None:
    """ValueError unless ROWS have the counts of WANTED, cell by cell."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        found[row.subject][row.label] += 1
    none = (0, 0, 0)
    wrong = {
        name: f"subject {name} has {tuple(found.get(name, none))}, not {wanted.get(name, none)}"
        for name in sorted({*found, *wanted})
        if tuple(found.get(name, none)) != tuple(wanted.get(name, none))
    }
    if not wrong:
        return
    clips = sum(map(sum, wanted.values()))
    told = list(wrong.values())[:3]
    if set(wrong) == {"032"} and len(rows) == clips - 1:
        told = ["it is the list that lacks SAMM's 032_3_1"]
    raise ValueError(
        f"{path}: {len(rows)} clips of {len(found)} subjects, not {clips} of {len(wanted)}; "
        f"{'; '.join(told)}; give MEGC 2019's own list"
    )


def write_standin(
    root: Path,
    *,
    subjects: int = len(BY_SUBJECT),
    clips: int = sum(TOTALS.values()),
    seed: int = 0,
    workers: int = 1,
) -> list[Clip]:
    """Write stand-ins of the members and a list of all their clips; returns what ``read`` finds.

    As many subjects and clips as published give the published composition, cell by cell; fewer,
    its shares of the classes among people of the three in turn. Quirks are the members' own.
    """
    played = casts(subjects, clips, seed=seed)
    made: list[Clip] = []
    rows: list[tuple[str, str, str, int]] = []
    for dataset, member in MEMBERS.items():
        if not played[dataset]:
            continue
        for clip in member.write_cast(root / dataset, played[dataset], seed=seed, workers=workers):
            assert clip.label is not None
            subject = clip.origin.subject.lstrip("0") if dataset == "samm" else clip.origin.subject
            rows.append((dataset, subject, clip.origin.clip, clip.label))
            made.append(clip)
        shutil.copytree(root / dataset / "openface", root / "openface", dirs_exist_ok=True)
    with whole(root / LIST) as unfinished, unfinished.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    standin.mark(root, TITLE, made, seed=seed)
    return made


def casts(subjects: int, clips: int, *, seed: int) -> dict[str, list[tuple[str, str]]]:
    """Who shows what in a stand-in: dataset -> (subject, emotion) of each of its clips."""
    if subjects > len(BY_SUBJECT):
        raise ValueError(f"{subjects} subjects: {TITLE} has {len(BY_SUBJECT)}")
    # SMIC first: of the three it has the fewest quirks, and small stand-ins need a sound clip
    in_turn = (MEMBERS[name].cells for name in ("smic", "casme2", "samm"))
    people = [who for who in chain.from_iterable(zip_longest(*in_turn)) if who]
    if (subjects, clips) == (len(BY_SUBJECT), sum(TOTALS.values())):
        played = [
            (subject, name)
            for subject, cells in BY_SUBJECT.items()
            for name, at in LABELS.items()
            for _ in range(cells[at])
        ]
    else:
        drawn = standin.cast(subjects, clips, TOTALS, seed=seed)
        played = [(people[who], name) for who, name in drawn]
    parts = {}
    for dataset, member in MEMBERS.items():
        own = [(who, name) for who, name in played if who in member.cells]
        words = (member.emotions[name] for _, name in own)
        parts[dataset] = [
            (who, some[count % len(some)])
            for count, ((who, _), some) in enumerate(zip(own, words, strict=True))
        ]
    return parts


MEGC2019 = Collection(
    NAME,
    TITLE,
    "the list: organizers of the Facial Micro-Expressions Grand Challenge 2019; the clips: see "
    "CASME II, SAMM and SMIC",
    "as the list says; its rule: happiness, positive: positive; disgust, repression (CASME II), "
    "anger, contempt, disgust, fear, sadness (SAMM), negative: negative; surprise: surprise",
    read,
    write_standin,
    (
        Published(
            LIST,
            sum(TOTALS.values()),
            len(BY_SUBJECT),
            labels=TOTALS,
            by_subject=BY_SUBJECT,
        ),
    ),
)
