"""Nobody is tested on what they trained: published folds by their counts, and planted leaks."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mie_x.folds import (
    APART,
    PROTOCOLS,
    PUBLISHED,
    Fold,
    Person,
    _lists,
    absent,
    check,
    inner,
    keep_out,
    person,
    split,
)
from mie_x.records import Origin

# MEGC 2019 composite: samples of each subject, negative / positive / surprise.
COUNTS = {
    "casme2": """01 2/1/0, 02 5/1/3, 03 4/0/1, 04 2/0/0, 05 0/1/5, 06 1/1/2, 07 5/0/0, 08 1/0/0,
        09 5/5/0, 11 4/0/0, 12 5/2/4, 13 0/2/0, 14 0/3/0, 15 1/1/1, 16 1/2/0, 17 23/7/1, 19 3/3/5,
        20 2/0/0, 21 1/0/0, 22 2/0/0, 23 7/1/0, 24 2/0/1, 25 3/0/2, 26 9/2/0""",
    "smic-hs": """01 3/2/1, 02 0/1/5, 03 22/11/6, 04 10/4/5, 05 1/0/1, 06 2/0/2, 08 9/4/0, 09 0/1/3,
        11 3/3/1, 12 0/8/1, 13 0/10/0, 14 3/2/5, 15 1/1/2, 18 2/0/5, 19 0/1/1, 20 14/3/5""",
    "samm": """006 9/0/2, 007 1/5/2, 009 3/0/1, 010 4/0/0, 011 13/7/0, 012 2/0/1, 013 6/0/0,
        014 2/7/1, 015 2/0/1, 016 2/1/2, 017 3/0/1, 018 2/0/1, 019 0/1/0, 020 2/2/0, 021 2/0/0,
        022 3/2/0, 023 1/0/0, 024 1/0/0, 026 9/0/0, 028 1/0/2, 030 3/0/0, 031 1/0/0, 032 4/0/0,
        033 4/1/0, 034 3/0/0, 035 7/0/1, 036 1/0/0, 037 1/0/0""",
}


def composite() -> list[tuple[Person, int]]:
    """Who is seen in each of the composite's 442 samples, and its class."""
    rows = []
    for corpus, table in COUNTS.items():
        for entry in table.split(","):
            subject, counts = entry.split()
            for label, count in enumerate(counts.split("/")):
                rows += [(person(corpus, subject), label)] * int(count)
    return rows


PEOPLE = [who for who, _ in composite()]
LABELS = np.array([label for _, label in composite()])


def tally(rows: np.ndarray[tuple[int], np.dtype[np.int64]], corpus: str | None = None) -> list[int]:
    """Negative, positive and surprise among ROWS, of one CORPUS or of all."""
    chosen = [row for row in rows if corpus in (None, PEOPLE[row].corpus)]
    return [int((LABELS[chosen] == label).sum()) for label in range(3)]


def test_the_composite_has_442_samples_of_68_people() -> None:
    everything = np.arange(442)
    assert len(PEOPLE) == 442
    assert len(set(PEOPLE)) == 68
    assert tally(everything) == [250, 109, 83]
    assert tally(everything, "casme2") == [88, 32, 25]
    assert tally(everything, "samm") == [92, 26, 15]
    assert tally(everything, "smic-hs") == [70, 51, 43]


@pytest.mark.parametrize(
    ("number", "trained", "people", "pooled", "samm", "smic", "casme2"),
    [
        (0, 270, 24, [91, 48, 33], [24, 8, 2], [31, 25, 15], [36, 15, 16]),
        (1, 281, 23, [93, 42, 26], [55, 16, 10], [30, 21, 16], [8, 5, 0]),
        (2, 333, 21, [66, 19, 24], [13, 2, 3], [9, 5, 12], [44, 12, 9]),
    ],
)
def test_compmie3_has_the_counts_of_the_published_lists(
    number: int,
    trained: int,
    people: int,
    pooled: list[int],
    samm: list[int],
    smic: list[int],
    casme2: list[int],
) -> None:
    fold = split("compmie3", PEOPLE)[number]
    assert fold.name == str(number)
    assert len(fold.train) == trained
    assert len({PEOPLE[row] for row in fold.test}) == people
    assert tally(fold.test) == pooled
    assert [tally(fold.test, corpus) for corpus in ("samm", "smic-hs", "casme2")] == [
        samm,
        smic,
        casme2,
    ]


def test_mmew5_tests_six_subjects_a_fold_and_trains_subject_30_in_the_others() -> None:
    people = [("mmew", f"S{n:02d}") for n in range(1, 31)]
    folds = split("mmew5", people)
    assert [(fold.test + 1).tolist() for fold in folds] == [
        list(range(6 * k + 1, 6 * k + 7)) for k in range(5)
    ]
    assert [29 in fold.train for fold in folds] == [True, True, True, True, False]


def test_samm5_tests_the_subjects_that_have_clips() -> None:
    sizes = Counter(PUBLISHED["samm5"].values())
    assert [sizes[str(fold)] for fold in range(5)] == [6, 5, 5, 6, 6]
    assert set(PUBLISHED["samm5"]) == {who for who in PEOPLE if who.corpus == "samm"}


def test_loso_has_a_fold_a_person_and_lodo_one_a_collection() -> None:
    assert len(split("loso", PEOPLE)) == 68
    assert [(fold.name, len(fold.test)) for fold in split("lodo", PEOPLE)] == [
        ("casme2", 145),
        ("samm", 133),
        ("smic-hs", 164),
    ]


def test_the_same_number_in_two_collections_is_two_people() -> None:
    folds = split("loso", [("samm", "006"), ("smic-hs", "s06"), ("casme2", "sub06")])
    assert [fold.test.tolist() for fold in folds] == [[2], [0], [1]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_everybody_is_tested_once_and_trains_otherwise(protocol: str) -> None:
    listed = list(PUBLISHED.get(protocol, {})) or PEOPLE
    rng = np.random.default_rng(0)
    people = [listed[n] for n in rng.permutation(np.repeat(np.arange(len(listed)), 2))]
    folds = split(protocol, people)
    assert sorted(chain.from_iterable(fold.test.tolist() for fold in folds)) == list(
        range(len(people))
    )
    for who in set(listed):
        rows = {n for n, one in enumerate(people) if one == who}
        assert sum(rows <= set(fold.test.tolist()) for fold in folds) == 1
        assert sum(rows <= set(fold.train.tolist()) for fold in folds) == len(folds) - 1


@pytest.mark.parametrize(
    ("corpus", "spellings", "written"),
    [
        ("casme2", ["sub01", "01", "1", "SUB1", " 01"], "sub01"),
        ("samm", ["006", "6", "06"], "006"),
        ("smic-hs", ["s01", "s1", "1", "S01"], "s01"),
        ("mmew", ["S07", "7", "07", "s7"], "S07"),
    ],
)
def test_spellings_of_a_subject_are_one_person(
    corpus: str, spellings: list[str], written: str
) -> None:
    assert {person(corpus, subject) for subject in spellings} == {(corpus, written)}


def test_parts_of_a_collection_film_the_same_people() -> None:
    assert {person(name, "3") for name in ("SMIC", "smic-vis", "SMIC_NIR", "SMIC-E-HS")} == {
        ("smic-hs", "s03")
    }
    assert person("SAMM-LV", "6") == person("samm", "006")
    assert person("CASME II", "1") == person("CASME2", "sub01")
    assert person("CAS(ME)^2", "1") == ("CAS(ME)^2", "1"), "another collection than CASME II"


@pytest.mark.parametrize(
    ("corpus", "subject"), [("casme2", "s01"), ("samm", "6.0"), ("mmew", ""), ("smic-hs", "s1_ne")]
)
def test_what_is_no_subject_is_refused(corpus: str, subject: str) -> None:
    with pytest.raises(ValueError, match="is no subject; write it like"):
        person(corpus, subject)


@pytest.mark.parametrize(
    ("protocol", "stranger"),
    [
        ("compmie3", ("casme2", "sub10")),
        ("compmie3", ("mmew", "S01")),
        ("mmew5", ("mmew", "S31")),
        ("samm5", ("samm", "008")),
    ],
)
def test_a_subject_in_no_published_fold_is_named(protocol: str, stranger: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{'/'.join(stranger)} is in no fold of {protocol}"):
        split(protocol, [*PUBLISHED[protocol], stranger])


def test_an_incomplete_collection_is_told_of() -> None:
    some = [who for who in PEOPLE if who != ("samm", "019")]
    assert absent("compmie3", some) == [("samm", "019")]
    assert absent("loso", some) == []
    with pytest.raises(ValueError, match="nobody to test in fold 2"):
        split("compmie3", [("samm", "010"), ("samm", "006")])
    with pytest.raises(ValueError, match="needs two folds"):
        split("lodo", [("samm", "010"), ("samm", "006")])
    with pytest.raises(ValueError, match="choose from loso"):
        split("looso", PEOPLE)


def fold(name: str, train: list[int], test: list[int]) -> Fold:
    return Fold(name, np.array(train, np.int64), np.array(test, np.int64))


@pytest.mark.parametrize(
    ("folds", "said"),
    [
        ([fold("a", [1, 2], [0, 3]), fold("b", [0, 3], [1, 2])], "samm/001 is trained on and test"),
        ([fold("a", [2, 3], [0, 1]), fold("b", [2, 3], [0, 1])], "tested in fold a and b"),
        ([fold("a", [2, 3], [0, 1])], "samm/002 is tested in no fold"),
        ([fold("a", [2], [0, 1]), fold("b", [0, 1], [2, 3])], "fold a does not have every sample"),
    ],
)
def test_a_person_in_two_folds_is_found(folds: list[Fold], said: str) -> None:
    """The first two samples are of one person, in two spellings, the last two of another."""
    with pytest.raises(ValueError, match=said):
        check(folds, [("samm", "1"), ("SAMM", "001"), ("samm", "2"), ("samm", "2")])


def test_a_list_that_holds_a_subject_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="samm/001 is listed in two folds"):
        _lists([{"samm": "001"}, {"samm": "2 1"}])


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.2, 0.5]))
def test_people_held_back_show_nowhere_else(seed: int, share: float) -> None:
    train = split("compmie3", PEOPLE)[0].train
    found = inner(train, PEOPLE, LABELS.tolist(), seed=seed, share=share)
    held = {PEOPLE[row] for row in found.validate}
    assert not held & {PEOPLE[row] for row in found.fit}
    assert len(held) == round(share * 44)
    assert sorted([*found.fit, *found.validate]) == train.tolist()
    assert len(found.left_out) == 0
    assert set(LABELS[found.fit]) == set(LABELS[found.validate]) == {0, 1, 2}


def test_a_seed_holds_the_same_people_back() -> None:
    rows, labels = np.arange(442), LABELS.tolist()
    one, again, other = (inner(rows, PEOPLE, labels, seed=seed) for seed in (1, 1, 2))
    assert one.validate.tolist() == again.validate.tolist() != other.validate.tolist()


def test_neither_faces_nor_movements_cross_an_inner_split() -> None:
    rng = np.random.default_rng(0)
    movers = [None, *(Person("samm", f"{n:03d}") for n in range(1, 11))]
    people = [movers[n] for n in rng.integers(len(movers), size=900)]
    faces = [f"face{n}" for n in rng.integers(30, size=900)]
    labels = rng.integers(3, size=900).tolist()
    found = inner(np.arange(900), people, labels, faces=faces, seed=0)
    for owners in (people, faces):
        sides = [{owners[row] for row in rows} - {None} for rows in (found.fit, found.validate)]
        assert not sides[0] & sides[1]
        assert all(sides)
    assert all(None in {people[row] for row in side} for side in (found.fit, found.validate))
    assert len(found.left_out) > 0
    assert sorted(chain(*map(np.ndarray.tolist, found))) == list(range(900))


def test_an_inner_split_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="one person"):
        inner(np.arange(2), [("samm", "1")] * 2, [0, 1], seed=0)
    with pytest.raises(ValueError, match="hold every class"):
        inner(np.arange(3), [("samm", "1"), ("samm", "2"), ("samm", "3")], [0, 0, 1], seed=0)
    with pytest.raises(ValueError, match="give their faces"):
        inner(np.arange(2), [None, ("samm", "2")], [0, 1], seed=0)


def test_a_tested_persons_movements_are_dropped_and_counted() -> None:
    origins = [
        Origin("samm", "006", "006_1_2"),
        Origin("SAMM", "6", "006_1_3"),  # from the unpadded list
        Origin("samm", "007", "007_3_1"),
        None,
        Origin("smic", "s6", "s6_ne_01"),
        Origin("SAMM_LV", "006", "macro"),  # the long video's macro-expression
    ]
    sources = ["mie", "mie", "mie", "exp", "mie", "mae"]
    kept = keep_out(origins, sources, [("samm", "006"), ("samm", "009")])
    assert kept.rows.tolist() == [2, 3, 4]
    assert kept.dropped == {("samm", "006"): 3}


@pytest.mark.parametrize("protocol", ["loso", "compmie3", "lodo"])
def test_no_fold_trains_on_its_test_subjects_aus(protocol: str) -> None:
    origins = [Origin(*who, f"clip {n}") for n, who in enumerate(PEOPLE)]
    for one in split(protocol, PEOPLE):
        tested = {PEOPLE[row] for row in one.test}
        kept = keep_out(origins, ["mie"] * 442, tested)
        assert kept.rows.tolist() == one.train.tolist()
        assert sum(kept.dropped.values()) == len(one.test)


@pytest.mark.parametrize("source", ["mie", "mae", "macro"])
def test_a_movement_that_could_be_anybodys_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=f"row 1: source {source} without an origin"):
        keep_out([None, None], ["exp", source], [("samm", "006")])


def test_a_corpus_that_is_not_known_has_to_be_said_to_stand_apart() -> None:
    origins = [Origin("my table", "6", "a"), Origin("stand-in-mie", "invented-01", "01")]
    with pytest.raises(ValueError, match="row 0: whether the people of corpus 'my table'"):
        keep_out(origins, ["mie", "mie"], [("samm", "006")])
    kept = keep_out(origins, ["mie", "mie"], [("samm", "006")], apart=[*APART, "my table"])
    assert kept.rows.tolist() == [0, 1]
    kept = keep_out(origins, ["mie", "mie"], [("my table", "6")])
    assert kept.rows.tolist() == [1]


@pytest.mark.parametrize(
    "origin",
    [
        Origin("samm", "1", "006_1_2"),
        Origin("smic-hs", "s02", "s1_ne_01"),
        Origin("mmew", "S01", "S13-07-001"),
    ],
)
def test_a_clip_of_a_tested_person_under_another_number_is_found(origin: Origin) -> None:
    with pytest.raises(ValueError, match="the clip's name tells of subject"):
        keep_out([origin], ["mie"], [("samm", "006"), ("smic-hs", "s01"), ("mmew", "S13")])
