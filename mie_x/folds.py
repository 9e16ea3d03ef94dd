"""Folds: who is tested when, and that nobody is tested on what they trained.

A person is (corpus, subject), spelled as ``person`` spells it: the micro and the macro part of a
collection, its short and its long videos, show the same people. Protocols split people, never
samples, and every person is tested in exactly one fold and trains in all others.

The published folds are lists of subjects, counted from the lists that belong to MiE-X (Liu et al.,
ECCV 2022): three folds of CompMiE (the composite of MEGC 2019: SAMM, SMIC-HS and CASME II), five
of MMEW, five of SAMM. Their training lists of MMEW omit subject 30 in four folds; here nobody is.

``keep_out`` is the fold safety of MiE-X for what trains a recognizer: no synthetic sample moves as
a tested person did. Ours is that it refuses what it cannot judge: a movement without an origin, a
corpus it does not know, a clip whose name tells of another person than its row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mie_x.records import Origin

Rows = NDArray[np.int64]


class Person(NamedTuple):
    """Somebody filmed, by the name that ``person`` gives them."""

    corpus: str
    subject: str


class Fold(NamedTuple):
    """``train`` and ``test`` are ascending indices of samples, together all of them."""

    name: str
    train: Rows
    test: Rows


class Inner(NamedTuple):
    """Ascending indices: to train on, to choose by, and those that belong on neither side."""

    fit: Rows
    validate: Rows
    left_out: Rows


class Kept(NamedTuple):
    """``rows``: ascending indices of what may train; ``dropped``: how many rows of whom may not."""

    rows: Rows
    dropped: dict[Person, int]


class _Spelling(NamedTuple):
    read: str  # a subject, in any of the collection's spellings; its number in parentheses
    written: str
    clip: str | None = None  # how a clip begins where its name tells the subject


COLLECTIONS = {
    "casme2": _Spelling(r"(?:sub)?(\d+)", "sub{:02d}"),
    "samm": _Spelling(r"(\d+)", "{:03d}", r"(\d+)_"),
    "smic-hs": _Spelling(r"s?(\d+)", "s{:02d}", r"s(\d+)_"),
    "mmew": _Spelling(r"s?(\d+)", "S{:02d}", r"s(\d+)-"),
}
"""The collections of the published folds, and how their subjects are written in lists, folders and
sheets, in upper or lower case."""

# Other names, without case, blanks, - and _. Parts of a collection film the same people: SMIC's
# three cameras looked at one session; SAMM's long videos are where its clips were cut from.
# CAS(ME)^2 is another collection than CASME II and must not become it: ( ) ^ are kept.
_CORPUS = {
    **dict.fromkeys(("casme2", "casmeii"), "casme2"),
    **dict.fromkeys(("samm", "sammlv", "sammlong", "sammlongvideos"), "samm"),
    **dict.fromkeys(("smic", "smichs", "smicvis", "smicnir"), "smic-hs"),
    **dict.fromkeys(("smice", "smicehs", "smicevis", "smicenir"), "smic-hs"),
    **dict.fromkeys(("mmew", "mmewmicro", "mmewmacro"), "mmew"),
}

APART = ("stand-in-mie", "stand-in-mae", "ckplus")
"""Corpora none of whose people are in another: invented ones, and CK+'s, filmed in Pittsburgh.
Whether CASME's later collections filmed anybody of CASME II is not known here."""

WITHOUT_ORIGIN = ("exp",)
"""Sources whose movements are nobody's."""


def person(corpus: str, subject: str) -> Person:
    """Spell a person one way; corpora that ``COLLECTIONS`` does not know stay as they are.

    Raises ValueError where the SUBJECT of a known collection is none of its spellings.

    >>> person("SMIC", "s1") == person("smic-hs", "s01"), person("samm", "6")
    (True, Person(corpus='samm', subject='006'))
    """
    known = _CORPUS.get(re.sub(r"[\s_-]", "", corpus.casefold()))
    if known is None:
        return Person(corpus, subject)
    spelling = COLLECTIONS[known]
    number = re.fullmatch(spelling.read, subject.strip(), re.IGNORECASE | re.ASCII)
    if number is None:
        raise ValueError(
            f"{corpus}: {subject!r} is no subject; write it like {spelling.written.format(1)!r}"
        )
    return Person(known, spelling.written.format(int(number[1])))


def _owner(origin: Origin) -> Person:
    """Whose movement ORIGIN is; ValueError where its clip's name tells of another person."""
    owner = person(origin.corpus, origin.subject)
    begins = COLLECTIONS[owner.corpus].clip if owner.corpus in COLLECTIONS else None
    told = re.match(begins, origin.clip, re.IGNORECASE | re.ASCII) if begins else None
    if told and person(owner.corpus, told[1]) != owner:
        raise ValueError(
            f"origin {'/'.join(origin)}: the clip's name tells of subject {told[1]}, its row of "
            f"{origin.subject}; write the collection's own subject into the AU table"
        )
    return owner


def _lists(folds: Sequence[Mapping[str, str]]) -> dict[Person, str]:
    """Subjects of each corpus, a mapping a fold -> the fold of each person."""
    pairs = [
        (person(corpus, subject), str(number))
        for number, subjects in enumerate(folds)
        for corpus, listed in subjects.items()
        for subject in listed.split()
    ]
    tested = dict(pairs)
    if twice := [who for who, fold in pairs if tested[who] != fold]:
        raise ValueError(f"{'/'.join(twice[0])} is listed in two folds")
    return tested


PUBLISHED = {
    "compmie3": _lists(
        [
            {
                "samm": "010 014 018 021 023 026 033",
                "smic-hs": "2 3 8 9 12",
                "casme2": "02 03 04 07 09 12 14 15 19 20 21 25",
            },
            {
                "samm": "006 007 011 012 015 017 020 022 024 028 030 031 032 034 035",
                "smic-hs": "1 4 13 14 20",
                "casme2": "13 16 23",
            },
            {
                "samm": "009 013 016 019 036 037",
                "smic-hs": "5 6 11 15 18 19",
                "casme2": "01 05 06 08 11 17 22 24 26",
            },
        ]
    ),
    "mmew5": {person("mmew", str(n)): str((n - 1) // 6) for n in range(1, 31)},
    "samm5": _lists(
        [
            {"samm": "018 020 028 033 034 035"},
            {"samm": "011 022 030 032 036"},
            {"samm": "006 007 010 021 031"},
            {"samm": "009 012 013 015 024 026"},
            {"samm": "014 016 017 019 023 037"},
        ]
    ),
}
"""Protocol -> person -> the fold that tests them. SAMM's subject 008 is in no list: that person has
long videos, but no clip."""


def _listed(protocol: str, who: Person) -> str:
    try:
        return PUBLISHED[protocol][who]
    except KeyError:
        raise ValueError(
            f"{'/'.join(who)} is in no fold of {protocol}: leave the subject out, or choose loso"
        ) from None


PROTOCOLS: dict[str, Callable[[Person], str]] = {
    "loso": "/".join,
    "compmie3": partial(_listed, "compmie3"),
    "mmew5": partial(_listed, "mmew5"),
    "samm5": partial(_listed, "samm5"),
    "lodo": lambda who: who.corpus,
}
"""Protocol -> the name of the fold that tests a person: leave one subject out, the published folds,
leave one dataset out."""


def split(protocol: str, people: Sequence[tuple[str, str]]) -> list[Fold]:
    """Folds of PROTOCOL, by name, for samples of these PEOPLE: (corpus, subject) of each sample.

    Raises ValueError on an unknown PROTOCOL, on a person whom its published lists do not hold (who
    is named), and where a fold would have nobody to train on or a published one nobody to test.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"no protocol {protocol!r}: choose from {', '.join(PROTOCOLS)}")
    tested_in = np.array([PROTOCOLS[protocol](person(*one)) for one in people])
    names = sorted(set(tested_in.tolist()))
    if lost := set(PUBLISHED.get(protocol, {}).values()) - set(names):
        raise ValueError(f"{protocol}: nobody to test in fold {min(lost)}; choose loso")
    if len(names) < 2:
        raise ValueError(f"{protocol} needs two folds, and these samples make {len(names)}")
    folds = [
        Fold(name, np.flatnonzero(tested_in != name), np.flatnonzero(tested_in == name))
        for name in names
    ]
    check(folds, people)
    return folds


def absent(protocol: str, people: Iterable[tuple[str, str]]) -> list[Person]:
    """Whom the published lists of PROTOCOL hold and PEOPLE do not: a report has to say so."""
    return sorted(set(PUBLISHED.get(protocol, {})) - {person(*one) for one in people})


def check(folds: Iterable[Fold], people: Sequence[tuple[str, str]]) -> None:
    """Raise ValueError unless everybody is tested in one fold and trains in all others.

    PEOPLE are (corpus, subject) of each sample; the message names the person and the fold.
    """
    who = [person(*one) for one in people]
    tested: dict[Person, str] = {}
    for fold in folds:
        if sorted([*fold.train.tolist(), *fold.test.tolist()]) != list(range(len(who))):
            raise ValueError(f"fold {fold.name} does not have every sample once: train or test")
        inside = {who[row] for row in fold.test}
        if both := inside & {who[row] for row in fold.train}:
            raise ValueError(f"{'/'.join(min(both))} is trained on and tested in fold {fold.name}")
        if again := inside & tested.keys():
            twice = min(again)
            raise ValueError(f"{'/'.join(twice)} is tested in fold {tested[twice]} and {fold.name}")
        tested |= dict.fromkeys(inside, fold.name)
    if never := set(who) - tested.keys():
        raise ValueError(f"{'/'.join(min(never))} is tested in no fold")


def inner(
    rows: Rows,
    people: Sequence[tuple[str, str] | None],
    labels: Sequence[int],
    *,
    seed: int,
    share: float = 0.2,
    faces: Sequence[str] | None = None,
) -> Inner:
    """Hold a SHARE of the people in ROWS back, to choose an epoch or a setting by.

    PEOPLE and LABELS are of every sample, ROWS the indices of a training fold. Of synthetic
    samples PEOPLE are those who moved (None: nobody), FACES those who are seen, of whom a SHARE is
    held back, too; what would show a held-back person beside another is left out, so that neither
    movements nor identities cross. Drawn anew until both sides hold every class that ROWS hold.

    Raises ValueError where there is nobody to hold back, or no such draw in 1,000.
    """
    kinds: list[list[Hashable]] = [[one and person(*one) for one in (people[r] for r in rows)]]
    if faces is not None:
        kinds.append([faces[r] for r in rows])
    if any(all(owner is None for owner in owners) for owners in zip(*kinds, strict=True)):
        raise ValueError("samples of nobody cannot be held back by person: give their faces")
    everybody = [sorted(set(owners) - {None}, key=str) for owners in kinds]
    if min(len(names) for names in everybody if names) < 2:
        raise ValueError("one person cannot be held back and trained on; train for fixed epochs")
    classes = {labels[r] for r in rows}
    rng = np.random.default_rng(seed)
    for _ in range(1000):
        fit, validate = np.ones(len(rows), bool), np.ones(len(rows), bool)
        for owners, names in zip(kinds, everybody, strict=True):
            count = min(max(round(share * len(names)), 1), len(names) - 1)
            held = {names[n] for n in rng.choice(len(names), count, replace=False)} if names else ()
            nobody = np.array([owner is None for owner in owners])
            back = np.array([owner in held for owner in owners])
            fit &= nobody | ~back
            validate &= nobody | back
        sides = [{labels[r] for r in rows[side]} for side in (fit, validate)]
        if sides == [classes, classes]:
            return Inner(rows[fit], rows[validate], rows[~fit & ~validate])
    raise ValueError(
        f"no {share:.0%} of these people hold every class and leave every class to the others; "
        "hold back more, or train for fixed epochs"
    )


def keep_out(
    origins: Sequence[Origin | None],
    sources: Sequence[str],
    tested: Iterable[tuple[str, str]],
    *,
    apart: Collection[str] = APART,
) -> Kept:
    """Leave out the rows that move as one of the TESTED people, (corpus, subject), once moved.

    ORIGINS and SOURCES are of each row of a plan, of shards, or of real clips added to a training
    set (their source is anything but "exp"). A person is left out with micro- and macro-expressions
    alike. APART names further corpora none of whose people are tested under another name; a tested
    corpus need not be named. Who is *seen* is not looked at: identities of one's own photographs
    tell no origin, so do not animate the people of a collection that one tests on.

    Raises ValueError, with the row, where a source other than "exp" tells no origin, where a corpus
    is neither known nor in APART, and where a clip's name contradicts its subject.
    """
    banned = {person(*one) for one in tested}
    known = {*COLLECTIONS, *apart, *(one.corpus for one in banned)}
    rows: list[int] = []
    dropped: Counter[Person] = Counter()
    for row, (origin, source) in enumerate(zip(origins, sources, strict=True)):
        if origin is None:
            if source not in WITHOUT_ORIGIN:
                raise ValueError(
                    f"row {row}: source {source} without an origin could move as a tested person; "
                    "make the dataset anew from AU tables that name corpus, subject and clip"
                )
            rows.append(row)
            continue
        owner = _owner(origin)
        if owner.corpus not in known:
            raise ValueError(
                f"row {row}: whether the people of corpus {owner.corpus!r} are tested is not "
                f"known; name it as {', '.join(COLLECTIONS)}, or say that it stands apart"
            )
        if owner in banned:
            dropped[owner] += 1
        else:
            rows.append(row)
    return Kept(np.array(rows, np.int64), dict(dropped))
