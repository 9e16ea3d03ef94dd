"""Scores that cannot flatter: by hand, against scikit-learn, and where they must refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from mie_x.folds import PROTOCOLS, person
from mie_x.report import (
    EPOCHS,
    SCORES,
    STAND_IN,
    Prediction,
    Report,
    accuracy,
    by_seed,
    check_truth,
    compare,
    confusion_figure,
    draw_confusion,
    f1s,
    figures,
    intervals,
    macro_precision,
    markdown,
    mean_of_folds,
    precisions,
    read_predictions,
    read_report,
    recalls,
    uar,
    uf1,
    wf1,
    write_predictions,
    write_report,
)
from tests.test_folds import LABELS, PEOPLE

STSTNET = [[219, 22, 9], [40, 62, 7], [21, 3, 59]]  # its own log, pooled over 68 folds


def report(rows: Sequence[Prediction], **settings: Any) -> Report:
    told: dict[str, Any] = {
        "recognizer": "branches",
        "trained_on": "CompMiE",
        "data": "CompMiE, 442 samples",
        "protocol": "loso",
        "epoch": "last",
        "stand_in": False,
    }
    return Report(**told | settings, rows=tuple(rows))


def predictions(
    predicted: Sequence[int] | NDArray[np.int64], *, seed: int = 0, protocol: str = "loso"
) -> list[Prediction]:
    """What was PREDICTED of the composite's 442 samples, in their order."""
    return [
        Prediction(f"{n:03d}", *who, int(truth), int(found), PROTOCOLS[protocol](who), seed)
        for n, (who, truth, found) in enumerate(zip(PEOPLE, LABELS, predicted, strict=True))
    ]


def by_subject(*people: tuple[Sequence[int], Sequence[int]], seed: int = 0) -> list[Prediction]:
    """People of an own collection by (truths, predictions), a fold each."""
    return [
        Prediction(f"{n}-{m}", "own", str(n), truth, found, str(n), seed)
        for n, (truths, predicted) in enumerate(people)
        for m, (truth, found) in enumerate(zip(truths, predicted, strict=True))
    ]


def guessed(seed: int, right: float = 0.6) -> NDArray[np.int64]:
    """Predictions that are right in so many cases, and otherwise chance."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(442) < right, LABELS, rng.integers(3, size=442))


def test_scores_of_the_ststnet_log() -> None:
    assert uf1(STSTNET) == pytest.approx(0.735301, abs=5e-7)
    assert uar(STSTNET) == pytest.approx(0.718550, abs=5e-7)
    assert macro_precision(STSTNET) == pytest.approx(0.760484, abs=5e-7)
    assert accuracy(STSTNET) == pytest.approx(0.769231, abs=5e-7)
    assert wf1(STSTNET) == pytest.approx(0.763688, abs=5e-7)
    assert f1s(STSTNET) == pytest.approx([0.826415, 0.632653, 0.746835], abs=5e-7)
    assert recalls(STSTNET) == pytest.approx([0.876, 0.568807, 0.710843], abs=5e-7)
    assert precisions(STSTNET) == pytest.approx([0.782143, 0.712644, 0.786667], abs=5e-7)


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support

    rng = np.random.default_rng(0)
    never = 0
    for _ in range(1000):
        classes = int(rng.integers(2, 7))
        confusion = rng.integers(0, 9, (classes, classes)) * (rng.random((classes, classes)) < 0.5)
        confusion[:, rng.random(classes) < 0.2] = 0
        confusion[confusion.sum(axis=1) == 0, rng.integers(classes)] += 1
        never += bool((confusion.sum(axis=0) == 0).any())
        truth, found = np.divmod(np.repeat(np.arange(classes**2), confusion.ravel()), classes)
        precision, recall, f1, counts = precision_recall_fscore_support(
            truth, found, zero_division=0
        )
        assert precisions(confusion) == pytest.approx(precision, abs=1e-12)
        assert recalls(confusion) == pytest.approx(recall, abs=1e-12)
        assert uf1(confusion) == pytest.approx(f1.mean(), abs=1e-12)
        assert uar(confusion) == pytest.approx(balanced_accuracy_score(truth, found), abs=1e-12)
        assert macro_precision(confusion) == pytest.approx(precision.mean(), abs=1e-12)
        assert wf1(confusion) == pytest.approx(np.average(f1, weights=counts), abs=1e-12)
        assert accuracy(confusion) == pytest.approx((truth == found).mean(), abs=1e-12)
    assert never > 100, "classes that nothing is predicted to be are among them"


def test_scores_of_many_matrices_are_those_of_each() -> None:
    many = np.random.default_rng(0).integers(1, 9, (4, 2, 3, 3))
    for score in SCORES.values():
        each = [[float(score(matrix)) for matrix in row] for row in many]
        assert score(many) == pytest.approx(np.array(each))


def test_one_answer_for_everybody_scores_as_little_as_it_is_worth() -> None:
    always = report(predictions(np.zeros(442, np.int64)))
    assert always.confusion.tolist() == [[250, 0, 0], [109, 0, 0], [83, 0, 0]]
    assert uf1(always.confusion) == pytest.approx(0.240848, abs=5e-7)
    assert uar(always.confusion) == pytest.approx(1 / 3)
    assert accuracy(always.confusion) == pytest.approx(0.565611, abs=5e-7)
    assert wf1(always.confusion) == pytest.approx(0.408678, abs=5e-7)
    parts = figures(always, seed=0, draws=10)["by corpus"]
    told = {corpus: part["scores"] for corpus, part in parts.items()}
    assert [told[corpus]["UF1"] for corpus in ("smic-hs", "casme2", "samm")] == pytest.approx(
        [0.199430, 0.251788, 0.272593], abs=5e-7
    )
    assert [told[corpus]["accuracy"] for corpus in ("smic-hs", "casme2", "samm")] == pytest.approx(
        [0.426829, 0.606897, 0.691729], abs=5e-7
    )


@pytest.mark.parametrize(
    "score", [uf1, uar, wf1, macro_precision, f1s, recalls, precisions], ids=lambda f: f.__name__
)
def test_a_class_that_nothing_is_has_no_score(score: Callable[[ArrayLike], Any]) -> None:
    with pytest.raises(ValueError, match=r"class 1 has no true sample.*pool all folds"):
        score([[3, 1], [0, 0]])
    assert accuracy([[3, 1], [0, 0]]) == 0.75


def test_what_is_no_confusion_matrix_is_refused() -> None:
    for wrong in ([1, 2], [[1, 2, 3], [1, 2, 3]], [[1, -1], [2, 2]]):
        with pytest.raises(ValueError, match="a confusion matrix is"):
            uf1(wrong)


def test_swapped_truth_and_prediction_are_told_by_the_row_sums() -> None:
    counts = [250, 109, 83]
    check_truth(STSTNET, counts)
    with pytest.raises(ValueError, match="truth and predictions are swapped"):
        check_truth(np.transpose(STSTNET), counts)
    with pytest.raises(ValueError, match="the data has"):
        check_truth(STSTNET, [250, 110, 82])
    assert uar(np.transpose(STSTNET)) == macro_precision(STSTNET), "what a swap would print"


@given(st.integers(0, 2**32))
def test_the_matrix_is_pooled_over_folds_whatever_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = guessed(seed)
    rows = predictions(found)
    shuffled = report([rows[n] for n in rng.permutation(442)])
    expected = np.zeros((3, 3), int)
    for truth, one in zip(LABELS, found, strict=True):
        expected[truth, one] += 1
    assert (shuffled.confusion == expected).all()


@pytest.mark.parametrize("names", [("no", "yes"), tuple("abcde"), tuple("abcdef")])
def test_other_numbers_of_classes_are_scored(names: tuple[str, ...], tmp_path: Path) -> None:
    count = len(names)
    told = report(by_subject(*[(range(count), [*range(1, count), 0])] * 3), classes=names)
    assert told.confusion.shape == (count, count)
    assert uf1(told.confusion) == 0
    write_report(told, tmp_path / "report.json", seed=0, draws=10)
    assert read_report(tmp_path / "report.json") == told
    assert list(figures(told, seed=0, draws=10)["by class"]) == list(names)


ROW = Prediction("a", "own", "1", 0, 0, "x", 0)
OF_NUMPY: Any = np.int64(0)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no predictions"),
        ([ROW, ROW], "a is predicted twice with seed 0"),
        ([ROW, ROW._replace(key="b", fold="y")], "own/1 is tested in two folds"),
        ([ROW, ROW._replace(key="b"), ROW._replace(seed=1)], "seed 1 predicts no b"),
        ([ROW, ROW._replace(seed=1, truth=1)], "a has another truth.*swapped"),
        ([ROW._replace(predicted=3)], "numbered 0 to 2"),
        ([ROW._replace(truth=-1)], "numbered 0 to 2"),
        ([ROW._replace(truth=OF_NUMPY)], "plain int"),
        ([ROW._replace(scores=(0.2, 0.5, 0.3))], "not where its scores are largest"),
        ([ROW._replace(scores=(1.0, 0.0))], "3 finite scores"),
        ([ROW._replace(scores=(1.0, 0.0, float("nan")))], "3 finite scores"),
        ([ROW, ROW._replace(key="b", scores=(1.0, 0.0, 0.0))], "or none"),
    ],
)
def test_rows_that_are_no_whole_protocol_are_refused(rows: list[Prediction], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        report(rows)


def test_a_person_in_two_spellings_is_one_person() -> None:
    rows = [ROW._replace(corpus="smic", subject="s1"), ROW._replace(key="b", fold="y")]
    with pytest.raises(ValueError, match="smic-hs/s01 is tested in two folds"):
        report([rows[0], rows[1]._replace(corpus="SMIC-HS", subject="s01")])


def test_settings_that_would_mislead_are_refused() -> None:
    with pytest.raises(ValueError, match="choose from last, inner, oracle"):
        report([ROW], epoch="best")
    with pytest.raises(ValueError, match="each with a name of its own"):
        report([ROW], classes=("a", "a", "b"))


def test_seeds_are_scored_one_by_one_by_hand() -> None:
    """Two classes; seed 0 all right (UF1 1), seed 1 half right (UF1 1/2): .75 ± sqrt(1/8)."""
    rows = by_subject(([0, 1], [0, 1]), ([0, 1], [0, 1]))
    rows += by_subject(([0, 1], [1, 0]), ([0, 1], [0, 1]), seed=1)
    told = report(rows, classes=("no", "yes"))
    assert told.seeds == [0, 1]
    assert told.confusion.tolist() == [[3, 1], [1, 3]], "seeds summed"
    assert by_seed(told, "UF1").tolist() == [1, 0.5]
    found = figures(told, seed=0, draws=10)
    assert found["scores"]["UF1"]["mean"] == 0.75
    assert found["scores"]["UF1"]["sd"] == pytest.approx(np.sqrt(0.125))
    assert found["samples"] == 4, "a sample is one, however many seeds predict it"
    assert found["by class"]["yes"] == {"n": 2, "F1": 0.75, "recall": 0.75, "precision": 0.75}


def test_the_mean_of_folds_is_not_the_pooled_score() -> None:
    """Fold 0: [[1, 0], [0, 1]], UF1 1. Fold 1: [[2, 0], [1, 0]], UF1 (4/5 + 0) / 2 = .4."""
    told = report(by_subject(([0, 1], [0, 1]), ([0, 0, 1], [0, 0, 0])), classes=("no", "yes"))
    assert mean_of_folds(told, "UF1") == pytest.approx(0.7)
    assert mean_of_folds(told, "UAR") == pytest.approx(0.75)
    assert by_seed(told, "UF1") == pytest.approx((6 / 7 + 2 / 3) / 2)


def test_folds_that_lack_a_class_have_no_mean() -> None:
    folds = report(predictions(guessed(0), protocol="compmie3"), protocol="compmie3")
    assert mean_of_folds(folds, "UF1") is not None
    alone = report(predictions(guessed(0)))
    assert mean_of_folds(alone, "UF1") is None
    assert mean_of_folds(alone, "accuracy") is not None
    reason = figures(alone, seed=0, draws=10)["undefined"]["mean of folds"]
    assert "no surprise in casme2/sub04" in reason


def test_a_part_without_a_class_is_said_to_have_no_score() -> None:
    some = [row for row in predictions(guessed(0)) if row.corpus != "samm" or row.truth != 2]
    told = report(some)
    found = figures(told, seed=0, draws=10)
    samm = found["by corpus"]["samm"]
    assert samm["n"] == {"negative": 92, "positive": 26, "surprise": 0}
    assert samm["scores"]["UF1"] is None
    assert samm["scores"]["accuracy"] > 0
    assert found["undefined"]["by corpus samm"] == "no surprise in samm"
    text = markdown([told], seed=0, draws=10)
    assert "| samm | - | - | 0." in text
    assert "not defined, by corpus samm: no surprise in samm" in text


def test_a_report_without_a_class_has_no_figures() -> None:
    with pytest.raises(ValueError, match="class 2 has no true sample"):
        figures(report(by_subject(([0, 1], [0, 1]))), seed=0)


def test_an_interval_of_independent_people_is_the_binomial_one() -> None:
    """100 people, 80 right: .8 ± 1.96 sqrt(.8 * .2 / 100) = .8 ± .078."""
    people = [([n % 2], [n % 2 if n < 80 else 1 - n % 2]) for n in range(100)]
    found = intervals(report(by_subject(*people), classes=("no", "yes")), seed=0)
    low, high = found.of["accuracy"]
    assert low == pytest.approx(0.722, abs=0.011)
    assert high == pytest.approx(0.878, abs=0.011)
    assert (found.draws, found.redrawn) == (2000, 0)


def test_more_samples_of_the_same_people_do_not_narrow_an_interval() -> None:
    people = [([n % 2], [n % 2 if n < 80 else 1 - n % 2]) for n in range(100)]
    often = [(truths * 5, found * 5) for truths, found in people]
    once, again = (
        intervals(report(by_subject(*rows), classes=("no", "yes")), seed=0)
        for rows in (people, often)
    )
    assert once.of == again.of


def test_resamples_that_lack_a_class_are_drawn_again_and_counted() -> None:
    """Of two people one shows class 1: (3/4) of the resamples hold it, so 1 in 3 is redrawn."""
    told = report(by_subject(([0], [0]), ([0, 1], [0, 1])), classes=("no", "yes"))
    found = intervals(told, seed=0)
    assert found.redrawn == pytest.approx(2000 / 3, abs=120)
    assert found.of["UF1"] == (1, 1)
    assert found == intervals(told, seed=0)
    assert found != intervals(told, seed=1)


def test_an_interval_of_one_person_is_not_defined() -> None:
    told = report(by_subject(([0, 1], [0, 1])), classes=("no", "yes"))
    with pytest.raises(ValueError, match="one person is tested"):
        intervals(told, seed=0)
    found = figures(told, seed=0)
    assert found["scores"]["UF1"]["interval"] is None
    assert "one person" in found["undefined"]["interval"]


def arms(*people: tuple[Sequence[int], Sequence[int], Sequence[int]]) -> tuple[Report, Report]:
    """Two arms by each person's truths and what either predicts."""
    return (
        report(by_subject(*[(t, a) for t, a, _ in people]), classes=("no", "yes")),
        report(
            by_subject(*[(t, b) for t, _, b in people]), classes=("no", "yes"), trained_on="MiE-X"
        ),
    )


def test_the_permutation_test_agrees_with_every_permutation_counted() -> None:
    rng = np.random.default_rng(3)
    people = []
    for _ in range(6):
        truths = [0, 1, *rng.integers(2, size=3).tolist()]
        first = rng.integers(2, size=5).tolist()
        second = [t if rng.random() < 0.7 else f for t, f in zip(truths, first, strict=True)]
        people.append((truths, first, second))
    one, other = arms(*people)

    def apart(swaps: tuple[bool, ...]) -> float:
        swapped = [
            (t, b, a) if s else (t, a, b) for s, (t, a, b) in zip(swaps, people, strict=True)
        ]
        a, b = arms(*swapped)
        return float(uf1(b.confusion) - uf1(a.confusion))

    seen = apart((False,) * 6)
    every = [apart(swaps) for swaps in product([False, True], repeat=6)]
    exact = np.mean([abs(value) >= abs(seen) - 1e-12 for value in every])
    found = compare(one, other, seed=0)
    assert found.difference == pytest.approx(seen)
    assert 0.02 < exact < 0.9
    assert found.p == pytest.approx(exact, abs=0.02)
    assert found.p == (1 + round(found.p * 10_001 - 1)) / 10_001


def test_people_are_swapped_and_not_samples() -> None:
    """One person, however many samples: swapped or not is as far apart, so p is 1."""
    truths = [0, 1] * 30
    one, other = arms((truths, [0] * 60, truths), ([0, 1], [0, 1], [0, 1]))
    assert compare(one, other, seed=0, permutations=99).p == 1


def test_an_arm_that_is_better_with_everybody_is_found_better() -> None:
    one = report(predictions(guessed(1, right=0.3)))
    other = report(predictions(LABELS), trained_on="MiE-X, then CompMiE")
    found = compare(one, other, seed=0, permutations=999)
    assert found.p == 1 / 1000
    assert found.difference == pytest.approx(1 - float(uf1(one.confusion)))
    assert 0 < found.low < found.difference < found.high
    back = compare(other, one, seed=0, permutations=999)
    assert (back.difference, back.p) == (-found.difference, found.p)
    same = compare(one, replace(one, trained_on="again"), seed=0, permutations=99)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_arms_that_were_not_evaluated_alike_are_not_compared() -> None:
    one = report(predictions(guessed(1)))
    for changed in ({"protocol": "compmie3"}, {"data": "MMEW"}, {"stand_in": True}):
        with pytest.raises(ValueError, match=f"the arms differ in {next(iter(changed))}"):
            compare(one, replace(one, **changed), seed=0)
    with pytest.raises(ValueError, match="an oracle is no result"):
        compare(one, replace(one, epoch="oracle"), seed=0)
    with pytest.raises(ValueError, match="other samples, folds or seeds"):
        compare(one, report(predictions(guessed(1), seed=1)), seed=0)


def scored(told: Report) -> Report:
    """The same predictions with scores that have all their digits."""
    rng = np.random.default_rng(0)
    rows = []
    for row in told.rows:
        scores = rng.random(len(told.classes))
        scores[row.predicted] += 1
        rows.append(row._replace(scores=tuple(scores.tolist())))
    return replace(told, rows=tuple(rows))


@pytest.mark.parametrize("with_scores", [False, True])
def test_what_is_written_is_read_again(with_scores: bool, tmp_path: Path) -> None:
    told = report(
        predictions(guessed(0)) + predictions(guessed(1), seed=1),
        data='CompMiE "442", | ü\n',
        classes=("negative", "positive, or so", "=surprise"),
    )
    told = scored(told) if with_scores else told
    write_report(told, tmp_path / "report.json", seed=0, draws=10)
    assert read_report(tmp_path / "report.json") == told
    write_predictions(told, tmp_path / "predictions.csv")
    assert read_predictions(tmp_path / "predictions.csv") == told


def test_odd_names_come_back_and_are_no_formulas(tmp_path: Path) -> None:
    names = ["=1+1", "'quoted", "a,b", 'a"b', "two\r\nlines", "-", "#"]
    told = report([Prediction(name, "own", name, 0, 1, name, 0) for name in names])
    write_predictions(told, tmp_path / "predictions.csv")
    assert read_predictions(tmp_path / "predictions.csv") == told
    assert "\n'=1+1,own,'=1+1," in (tmp_path / "predictions.csv").read_bytes().decode()


def test_predictions_are_a_plain_table_below_their_title(tmp_path: Path) -> None:
    import pandas as pd

    told = scored(report(predictions(guessed(0)), stand_in=True))
    path = tmp_path / "predictions.csv"
    write_predictions(told, path)
    about = json.loads(path.read_text("utf-8").split("\n", 1)[0].removeprefix("# "))
    assert about["title"].startswith(STAND_IN)
    table = pd.read_csv(path, skiprows=1)
    assert list(table)[-4:] == ["seed", "score negative", "score positive", "score surprise"]
    right = (table["truth"] == table["predicted"]).mean()
    assert right == pytest.approx(float(accuracy(told.confusion)))


def edited(text: str, change: Callable[[dict[str, Any]], None]) -> str:
    content = json.loads(text)
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda told: told["scores"]["UF1"].update({"by seed": [0.9]}), "not those of its predict"),
        (lambda told: told["scores"]["UAR"].update(mean=0.9), "not those of its predictions"),
        (lambda told: told["confusion"][0].__setitem__(0, 250), "not those of its predictions"),
        (lambda told: told.update(title="a fine result"), "not those of its predictions"),
        (lambda told: told.update(stand_in=False), "not those of its predictions"),
        (lambda told: told["predictions"]["rows"].pop().clear(), "not those of its predictions"),
        (lambda told: told["predictions"]["rows"][0].__setitem__(4, 7), "numbered 0 to 2"),
        (lambda told: told["predictions"]["rows"][0].__setitem__(4, "7"), "plain int"),
        (lambda told: told["predictions"]["rows"][0].pop(), "is not a report"),
        (lambda told: told.pop("classes"), "is not a report"),
    ],
)
def test_a_report_that_was_edited_is_not_believed(
    change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    write_report(report(predictions(guessed(0)), stand_in=True), path, seed=0, draws=10)
    path.write_text(edited(path.read_text("utf-8"), change))
    with pytest.raises(ValueError, match=said) as refusal:
        read_report(path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '# {"classes": ["a"]}\nkey\n1\n', "# {}\n\n"])
def test_other_files_are_no_reports(content: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    for read in (read_report, read_predictions):
        with pytest.raises(ValueError, match=f"{path}.*: write"):
            read(path)


def test_stand_ins_say_so_in_every_output(tmp_path: Path) -> None:
    told = report(predictions(guessed(0)), data="drawn faces", stand_in=True)
    assert told.title.startswith(f"{STAND_IN}; ")
    assert "drawn faces" in told.title
    text = markdown([told], seed=0, draws=10)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert all(STAND_IN in heading and "drawn faces" in heading for heading in headings)
    write_report(told, tmp_path / "report.json", seed=0, draws=10)
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["title"] == told.title
    assert STAND_IN in " ".join(confusion_figure(told).get_suptitle().split())


def test_oracles_stand_apart_and_are_named_so() -> None:
    result = report(predictions(guessed(0)))
    oracle = report(predictions(LABELS), epoch="oracle")
    text = markdown([oracle, result], seed=0, draws=10)
    first, second, *_ = [part for part in text.split("## ") if part.startswith(("loso", "ORACLE"))]
    assert "| last |" in first
    assert "oracle" not in first.lower()
    assert second.startswith(EPOCHS["oracle"])
    assert "| 1.0000 [" in second
    assert "1.0000" not in first
    assert "**" not in text


def test_protocols_and_data_are_never_in_one_table() -> None:
    told = [
        report(predictions(guessed(0))),
        report(predictions(guessed(0), protocol="compmie3"), protocol="compmie3"),
        report(predictions(guessed(0)), stand_in=True),
        report(predictions(guessed(1)), trained_on="MiE-X, then CompMiE"),
    ]
    text = markdown(told, [compare(told[0], told[3], seed=0, permutations=99)], seed=0, draws=10)
    tables = [part for part in text.split("\n\n") if part.startswith("| recognizer |")]
    assert [table.count("\n") - 1 for table in tables] == [2, 1, 1]
    assert "| branches, CompMiE | branches, MiE-X, then CompMiE | UF1 | " in text


def test_the_table_holds_what_the_figures_say() -> None:
    told = report(predictions(guessed(0)) + predictions(guessed(1), seed=1))
    uf1_ = figures(told, seed=0)["scores"]["UF1"]
    low, high = uf1_["interval"]
    text = markdown([told], seed=0)
    assert f"| {uf1_['mean']:.4f} ± {uf1_['sd']:.4f} [{low:.4f}, {high:.4f}] |" in text
    assert "| 2 | 250 | 109 | 83 |" in text
    assert "| mean of the folds' own |" in text
    corpora = [line.split(" | ")[0] for line in text.splitlines() if line.endswith("| 25 |")]
    assert corpora == ["| casme2"]


def test_a_name_cannot_break_a_table() -> None:
    told = report(predictions(guessed(0)), recognizer="a|b\n\n# c")
    line = next(line for line in markdown([told], seed=0, draws=9).splitlines() if "a\\|b" in line)
    assert line.startswith("| a\\|b # c | CompMiE | last |")


def test_the_confusion_is_drawn_without_a_window(tmp_path: Path) -> None:
    told = report(predictions(guessed(0)), classes=("a$b$", "positive", "surprise"), stand_in=True)
    texts = [text.get_text() for text in confusion_figure(told).axes[0].texts]
    assert texts[0] == f"{told.confusion[0, 0]}\n{told.confusion[0, 0] / 250:.0%}"
    draw_confusion(told, tmp_path / "confusion.png")
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 10


def test_neither_a_report_nor_its_picture_brings_a_plotting_state() -> None:
    code = (
        "import sys, mie_x.report as r\n"
        "heavy = {'matplotlib', 'pandas', 'scipy', 'sklearn', 'torch'} & set(sys.modules)\n"
        "rows = tuple(r.Prediction(str(n), 'own', '1', n, n, 'x', 0) for n in range(3))\n"
        "r.confusion_figure(r.Report('a', 'b', 'c', 'd', 'last', True, rows))\n"
        "print(heavy, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() False"


def test_people_of_the_composite_are_spelled_as_the_collections_spell_them() -> None:
    assert {person(*who) for who in PEOPLE} == set(PEOPLE)
