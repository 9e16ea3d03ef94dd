"""What was measured, with what it was measured on: scores that cannot flatter.

Everything is computed from one record, ``Report``: a row a test sample, of a whole protocol. Each
seed's rows make one confusion matrix, pooled over all folds (rows truth, columns predicted), and
every score is the mean, over the seeds, of the score of that matrix. UF1 and UAR as in MEGC 2019
(See et al., FG 2019): the mean of the classes' F1 and recall; WF1 weighs F1 by the classes' sizes.

- A class that nothing is predicted to be scores F1 and precision 0. One that nothing truly is has
  no score: whole reports raise, parts of them (a corpus, a fold) are None with the reason, "-" in
  tables.
- MiE-X prints the mean of the folds' own scores; here that figure has its own name, and is None
  where a fold lacks a class.
- An epoch chosen on the people it is tested on is called an oracle, stands apart from results, and
  is compared with nothing.
- Samples of one person are not independent: intervals resample people, and the test between two
  arms swaps people.
- What was tested on, and that it is a stand-in, is part of the title, and the title of every file.

Files, each with its reader beside its writer::

    report.json      title, settings, every figure, every prediction
    predictions.csv  # {"title": ..., settings}
                     key,corpus,subject,truth,predicted,fold,seed[,score <class> ...]
"""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mie_x.cells import as_it_was, inert
from mie_x.folds import person
from mie_x.markdown import plain, table
from mie_x.records import LABELS
from mie_x.whole import whole, write_json, write_text

if TYPE_CHECKING:  # matplotlib takes a second
    from matplotlib.figure import Figure

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

EPOCHS = {
    "last": "last epoch",
    "inner": "epoch chosen on people held back from training",
    "oracle": "ORACLE: epoch chosen on the people tested, an upper bound and no result",
}
"""How the epoch was chosen whose predictions are reported."""

STAND_IN = "STAND-IN DATA, says nothing about micro-expressions"
DRAWS = 2000  # resamples of a bootstrap
PERMUTATIONS = 10_000
MARGIN = 2.5  # percent on either side of an interval
REDRAWN = 20  # resamples that may lack a class, for each that is used


class Prediction(NamedTuple):
    """What was predicted of one sample by a recognizer that never saw its subject.

    ``truth`` and ``predicted`` are indices of the report's classes; ``scores`` one number a class,
    the predicted one's the largest, or None.
    """

    key: str
    corpus: str
    subject: str
    truth: int
    predicted: int
    fold: str
    seed: int
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Predictions of a whole protocol, and what made them.

    ``data`` is what was tested on, ``trained_on`` all that training saw, pre-training first;
    ``stand_in`` says that what was tested on is no micro-expression of a real person. ``epoch`` is
    one of ``EPOCHS``. Raises ValueError where the rows are no such protocol: a sample predicted
    twice or not at all by a seed, a person tested in two folds, a truth that differs between seeds,
    a prediction that is not where its scores are largest.
    """

    recognizer: str
    trained_on: str
    data: str
    protocol: str
    epoch: str
    stand_in: bool
    rows: tuple[Prediction, ...]
    classes: tuple[str, ...] = tuple(LABELS)

    def __post_init__(self) -> None:
        if self.epoch not in EPOCHS:
            raise ValueError(f"no epoch {self.epoch!r}: choose from {', '.join(EPOCHS)}")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes {self.classes}: two or more, each with a name of its own")
        if not self.rows:
            raise ValueError("no predictions: evaluate at least one fold")
        keys: dict[int, set[str]] = defaultdict(set)
        samples: dict[str, tuple[str, str, int]] = {}
        tested: dict[Hashable, str] = {}
        for row in self.rows:
            _check(row, len(self.classes), scored=self.rows[0].scores is not None)
            if row.key in keys[row.seed]:
                raise ValueError(f"{row.key} is predicted twice with seed {row.seed}")
            keys[row.seed].add(row.key)
            told = (row.corpus, row.subject, row.truth)
            if samples.setdefault(row.key, told) != told:
                raise ValueError(
                    f"{row.key} has another truth or subject with seed {row.seed}; "
                    "are truth and prediction swapped?"
                )
            if tested.setdefault(_who(row), row.fold) != row.fold:
                raise ValueError(f"{'/'.join(_who(row))} is tested in two folds, and so trained on")
        for seed, found in keys.items():
            if lost := samples.keys() - found:
                raise ValueError(f"seed {seed} predicts no {min(lost)}; run all folds of it")

    @property
    def seeds(self) -> list[int]:
        return sorted({row.seed for row in self.rows})

    @property
    def confusion(self) -> Counts:
        """(C, C), rows truth; pooled over folds, and summed over seeds."""
        total: Counts = _tables(self, lambda _: 0)[1][0].sum(axis=0)
        return total

    @property
    def title(self) -> str:
        """Recognizer, training, protocol, data, epoch; a stand-in says so first."""
        seeds = len(self.seeds)
        said = [
            f"{self.recognizer}, trained on {self.trained_on}",
            f"{self.protocol} on {self.data}",
            EPOCHS[self.epoch],
            f"{seeds} seed{'s' * (seeds > 1)}",
        ]
        return "; ".join([STAND_IN, *said] if self.stand_in else said)


def _check(row: Prediction, classes: int, *, scored: bool) -> None:
    numbers = (row.truth, row.predicted, row.seed, *(row.scores or ()))
    if {type(number) for number in numbers} - {int, float}:
        raise ValueError(f"{row.key}: give plain int and float, which files hold exactly")
    if not (0 <= row.truth < classes and 0 <= row.predicted < classes):
        raise ValueError(f"{row.key}: classes are numbered 0 to {classes - 1}")
    if (row.scores is not None) != scored:
        raise ValueError(f"{row.key}: either all predictions have scores, or none")
    if row.scores is None:
        return
    if len(row.scores) != classes or not all(map(math.isfinite, row.scores)):
        raise ValueError(f"{row.key}: {classes} finite scores are needed, one a class")
    if row.scores[row.predicted] < max(row.scores):
        raise ValueError(f"{row.key}: the prediction is not where its scores are largest")


def _who(row: Prediction) -> tuple[str, str]:
    return person(row.corpus, row.subject)


def _tables(
    report: Report, group: Callable[[Prediction], Hashable]
) -> tuple[list[Hashable], NDArray[np.int64]]:
    """Names of the groups of rows, sorted, and their confusions (groups, seeds, C, C)."""
    names = sorted({group(row) for row in report.rows}, key=str)
    seeds, classes = report.seeds, len(report.classes)
    numbers = {name: number for number, name in enumerate(names)}
    tables = np.zeros((len(names), len(seeds), classes, classes), np.int64)
    places = [
        (numbers[group(row)], seeds.index(row.seed), row.truth, row.predicted)
        for row in report.rows
    ]
    np.add.at(tables, tuple(np.array(places).T), 1)
    return names, tables


# Scores of confusion matrices (..., C, C), rows truth. All but accuracy raise ValueError where a
# class has no true sample.


def f1s(confusion: ArrayLike) -> Values:
    """F1 of each class, (..., C): 2 TP / (2 TP + FP + FN)."""
    truth, found, right = _margins(confusion)
    return 2 * right / (truth + found)


def recalls(confusion: ArrayLike) -> Values:
    """Recall of each class, (..., C): TP / n."""
    truth, _, right = _margins(confusion)
    return right / truth


def precisions(confusion: ArrayLike) -> Values:
    """Precision of each class, (..., C): TP / (TP + FP); 0 where nothing is predicted."""
    _, found, right = _margins(confusion)
    return right / np.maximum(found, 1)


def uf1(confusion: ArrayLike) -> Values:
    """Unweighted F1, (...): the mean of the classes' F1.

    >>> round(float(uf1([[219, 22, 9], [40, 62, 7], [21, 3, 59]])), 6)
    0.735301
    """
    return np.asarray(f1s(confusion).mean(axis=-1))


def uar(confusion: ArrayLike) -> Values:
    """Unweighted average recall, (...)."""
    return np.asarray(recalls(confusion).mean(axis=-1))


def macro_precision(confusion: ArrayLike) -> Values:
    """Mean of the classes' precision, (...): what UAR becomes where truth and prediction swap."""
    return np.asarray(precisions(confusion).mean(axis=-1))


def wf1(confusion: ArrayLike) -> Values:
    """F1 weighted by the classes' share of the truth, (...)."""
    truth, _, _ = _margins(confusion)
    return np.asarray((f1s(confusion) * truth).sum(axis=-1) / truth.sum(axis=-1))


def accuracy(confusion: ArrayLike) -> Values:
    """Share of right predictions, (...): defined where a class is absent, too."""
    table = np.asarray(confusion, np.float64)
    return np.asarray(np.trace(table, axis1=-2, axis2=-1) / table.sum(axis=(-2, -1)))


SCORES: dict[str, Callable[[ArrayLike], Values]] = {
    "UF1": uf1,
    "UAR": uar,
    "accuracy": accuracy,
    "WF1": wf1,
    "macro precision": macro_precision,
}

BY_CLASS: dict[str, Callable[[ArrayLike], Values]] = {
    "F1": f1s,
    "recall": recalls,
    "precision": precisions,
}


def _margins(confusion: ArrayLike) -> tuple[Values, Values, Values]:
    """What is truly of each class, what is predicted to be, and what is both: (..., C) each."""
    table = np.asarray(confusion, np.float64)
    if table.ndim < 2 or table.shape[-1] != table.shape[-2] or (table < 0).any():
        raise ValueError(f"a confusion matrix is (C, C) counts, not {table.shape}")
    truth = table.sum(axis=-1)
    if (truth == 0).any():
        absent = int(np.argwhere(truth == 0)[0, -1])
        raise ValueError(
            f"class {absent} has no true sample, so no score: pool all folds and corpora before "
            "scoring, or leave the class out of the protocol"
        )
    return truth, table.sum(axis=-2), np.diagonal(table, axis1=-2, axis2=-1)


def check_truth(confusion: ArrayLike, counts: Sequence[int]) -> None:
    """Raise ValueError where the rows do not hold the COUNTS of each class that the data has.

    Says so where the columns do: then truth and predictions are swapped.
    """
    table = np.asarray(confusion)
    rows, columns = table.sum(axis=1).tolist(), table.sum(axis=0).tolist()
    if rows == list(counts):
        return
    if columns == list(counts):
        raise ValueError(f"rows hold {rows}, columns {columns}: truth and predictions are swapped")
    raise ValueError(f"{rows} samples a class were scored, the data has {list(counts)}")


def by_seed(report: Report, score: str) -> Values:
    """SCORE, one of ``SCORES``, of each seed's pooled confusion matrix, (seeds,)."""
    return SCORES[score](_tables(report, lambda _: 0)[1][0])


def mean_of_folds(report: Report, score: str) -> float | None:
    """Mean over folds and seeds of each fold's own SCORE, as MiE-X prints it.

    None where a fold lacks a class: the mean of what is left would hang on the split.
    """
    _, tables = _tables(report, lambda row: row.fold)
    if score != "accuracy" and (tables.sum(axis=-1) == 0).any():
        return None
    return float(SCORES[score](tables).mean())


class Intervals(NamedTuple):
    """95 % intervals, score -> (low, high), of a subject bootstrap.

    ``redrawn`` resamples lacked a class and were drawn again: intervals are those of data that
    hold every class.
    """

    of: dict[str, tuple[float, float]]
    draws: int
    redrawn: int
    seed: int


def intervals(report: Report, *, seed: int, draws: int = DRAWS) -> Intervals:
    """Resample people with replacement, DRAWS times, of all corpora alike; all seeds of a person.

    The interval is of the mean over seeds and tells of the choice of people; what another seed
    would give is told by the standard deviation over seeds.

    Raises ValueError with fewer than two people, and where nearly no resample holds every class.
    """
    _, people = _tables(report, _who)
    weights, redrawn = _resamples(people, seed=seed, draws=draws)
    tables = _weighed(weights, people)
    of = {name: _middle(score(tables).mean(axis=-1)) for name, score in SCORES.items()}
    return Intervals(of, draws, redrawn, seed)


def _resamples(people: Counts, *, seed: int, draws: int) -> tuple[Counts, int]:
    """How often each person is in each resample, (DRAWS, people); how many lacked a class."""
    count = len(people)
    if count < 2:
        raise ValueError("one person is tested: an interval needs two or more")
    truths = people[:, 0].sum(axis=-1)
    rng = np.random.default_rng(seed)
    kept: list[Counts] = []
    lacking, redrawn = draws, 0
    while lacking:
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=lacking)
        whole_ones = drawn[((drawn @ truths) > 0).all(axis=1)]
        kept.append(whole_ones)
        lacking -= len(whole_ones)
        redrawn += lacking
        if redrawn > REDRAWN * draws:
            raise ValueError("too few people show a class: their resamples hardly ever hold it")
    return np.concatenate(kept), redrawn


def _weighed(weights: NDArray[Any], people: NDArray[Any]) -> Values:
    """Sums of people's tables, (draws, people) x (people, seeds, C, C) -> (draws, seeds, C, C)."""
    flat = people.reshape(len(people), -1).astype(np.float64)  # floats multiply fast, and exactly
    return (weights.astype(np.float64) @ flat).reshape(len(weights), *people.shape[1:])


def _middle(values: Values) -> tuple[float, float]:
    low, high = np.percentile(values, [MARGIN, 100 - MARGIN])
    return float(low), float(high)


class Comparison(NamedTuple):
    """Second arm less the first, with a 95 % interval of it and the p of a two-sided test."""

    arms: tuple[str, str]
    score: str
    difference: float
    low: float
    high: float
    p: float
    permutations: int
    draws: int
    redrawn: int
    seed: int


def compare(
    first: Report,
    second: Report,
    *,
    seed: int,
    score: str = "UF1",
    permutations: int = PERMUTATIONS,
    draws: int = DRAWS,
) -> Comparison:
    """Test whether two arms differ in SCORE on the same samples.

    Each permutation swaps the arms' predictions, of all seeds, of half of the people or so; p is
    (1 + permutations at least as far apart) / (1 + PERMUTATIONS). The interval is of a bootstrap
    that gives both arms the same people. A large p is no proof that arms are equal: look at the
    interval.

    Raises ValueError where the arms are not two results of one protocol on the same samples with
    the same seeds.
    """
    _check_pair(first, second)
    one, other = (_tables(report, _who)[1] for report in (first, second))
    value = SCORES[score]
    difference = float((value(other.sum(axis=0)) - value(one.sum(axis=0))).mean())
    swapped = np.random.default_rng([seed, 0]).random((permutations, len(one))) < 0.5
    moved = _weighed(swapped, other - one)
    apart = (value(other.sum(axis=0) - moved) - value(one.sum(axis=0) + moved)).mean(axis=-1)
    # sums in another order may differ in their last digits
    extreme = int((np.abs(apart) >= abs(difference) - 1e-12).sum())
    weights, redrawn = _resamples(one, seed=seed, draws=draws)
    low, high = _middle(
        (value(_weighed(weights, other)) - value(_weighed(weights, one))).mean(axis=-1)
    )
    return Comparison(
        (_arm(first), _arm(second)),
        score,
        difference,
        low,
        high,
        (1 + extreme) / (1 + permutations),
        permutations,
        draws,
        redrawn,
        seed,
    )


def _arm(report: Report) -> str:
    return f"{report.recognizer}, {report.trained_on}"


def _check_pair(first: Report, second: Report) -> None:
    def samples(report: Report) -> set[tuple[Any, ...]]:
        return {(row.key, *_who(row), row.truth, row.fold, row.seed) for row in report.rows}

    if "oracle" in (first.epoch, second.epoch):
        raise ValueError("an oracle is no result: compare what an honest choice of epoch gives")
    for what in ("epoch", "protocol", "data", "classes", "stand_in"):
        if getattr(first, what) != getattr(second, what):
            raise ValueError(f"the arms differ in {what}: evaluate both alike")
    if samples(first) != samples(second):
        raise ValueError("the arms predict other samples, folds or seeds: evaluate both alike")


def figures(report: Report, *, seed: int, draws: int = DRAWS) -> dict[str, Any]:
    """Every figure of REPORT in JSON's types; what is not defined is None, with a reason.

    SEED is the bootstrap's. Raises ValueError where a class has no true sample in all the data.
    """
    undefined: dict[str, str] = {}
    whole_tables = _tables(report, lambda _: 0)[1][0]
    values = {name: by_seed(report, name) for name in SCORES}
    try:
        spread: Intervals | None = intervals(report, seed=seed, draws=draws)
    except ValueError as reason:
        spread = None
        undefined["interval"] = str(reason)
    folds, tables = _tables(report, lambda row: row.fold)
    if lacks := _lacking(report, folds, tables):
        undefined["mean of folds"] = lacks
    if len(report.seeds) == 1:
        undefined["sd"] = "one seed"
    classes = {name: of(whole_tables).mean(axis=0) for name, of in BY_CLASS.items()}
    counts = whole_tables[0].sum(axis=1).tolist()
    return {
        "title": report.title,
        **_settings(report),
        "samples": sum(counts),
        "people": len({_who(row) for row in report.rows}),
        "folds": len(folds),
        "seeds": report.seeds,
        "confusion": report.confusion.tolist(),
        "scores": {
            name: {
                "mean": float(each.mean()),
                "sd": float(each.std(ddof=1)) if len(each) > 1 else None,
                "by seed": each.tolist(),
                "interval": list(spread.of[name]) if spread else None,
                "mean of folds": mean_of_folds(report, name),
            }
            for name, each in values.items()
        },
        "bootstrap": {
            "seed": seed,
            "draws": draws,
            "redrawn": spread.redrawn if spread else None,
        },
        "by class": {
            name: {"n": counts[c], **{key: float(of[c]) for key, of in classes.items()}}
            for c, name in enumerate(report.classes)
        },
        "by corpus": _parts(report, undefined),
        "undefined": undefined,
    }


def _parts(report: Report, undefined: dict[str, str]) -> dict[str, Any]:
    """Scores of each corpus, from the same predictions; reasons go into UNDEFINED."""
    corpora, tables = _tables(report, lambda row: _who(row)[0])
    parts: dict[str, Any] = {}
    for corpus, pooled in zip(map(str, corpora), tables, strict=True):
        lacks = _lacking(report, [corpus], pooled[None])
        if lacks:
            undefined[f"by corpus {corpus}"] = lacks
        parts[corpus] = {
            "n": dict(zip(report.classes, pooled[0].sum(axis=1).tolist(), strict=True)),
            "scores": {
                name: None if lacks and name != "accuracy" else float(score(pooled).mean())
                for name, score in SCORES.items()
            },
        }
    return parts


def _lacking(report: Report, names: Sequence[Hashable], tables: Counts) -> str:
    """Which groups (groups, seeds, C, C) have no true sample of which class, in words, or ""."""
    lost = np.argwhere(tables[:, 0].sum(axis=-1) == 0).tolist()
    return ", ".join(f"no {report.classes[c]} in {names[group]}" for group, c in lost)


def _settings(report: Report) -> dict[str, Any]:
    told = asdict(report)
    del told["rows"]
    return told | {"classes": list(report.classes)}


def write_report(report: Report, path: Path, *, seed: int, draws: int = DRAWS) -> None:
    """Write every figure and every prediction as JSON; SEED is the bootstrap's."""
    rows = [list(row) for row in report.rows]
    predictions = {"columns": list(Prediction._fields), "rows": rows}
    write_json(path, {**figures(report, seed=seed, draws=draws), "predictions": predictions})


def read_report(path: Path) -> Report:
    """Read what ``write_report`` wrote; ValueError where it is something else.

    That is so, too, where its scores are not those that its predictions give.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
        rows = told["predictions"]["rows"]
        report = _report(
            told, (Prediction._make([*row[:-1], row[-1] and tuple(row[-1])]) for row in rows)
        )
        scores = [told["scores"][name] for name in SCORES]
        written = [told["confusion"], *([*of["by seed"], of["mean"]] for of in scores)]
    except (KeyError, TypeError, IndexError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a report: write one with write_report") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    seeds = [by_seed(report, name) for name in SCORES]
    given = [report.confusion, *(np.append(each, each.mean()) for each in seeds)]
    if told["title"] != report.title or not all(
        np.shape(a) == b.shape and np.allclose(a, b, rtol=0, atol=1e-9)
        for a, b in zip(written, given, strict=True)
    ):
        raise ValueError(f"{path}: its figures are not those of its predictions; evaluate anew")
    return report


def _report(told: Mapping[str, Any], rows: Iterable[Prediction]) -> Report:
    return Report(
        recognizer=told["recognizer"],
        trained_on=told["trained_on"],
        data=told["data"],
        protocol=told["protocol"],
        epoch=told["epoch"],
        stand_in=told["stand_in"],
        rows=tuple(rows),
        classes=tuple(told["classes"]),
    )


def write_predictions(report: Report, path: Path) -> None:
    """Write a row a prediction as CSV, classes by name, below a line that tells the title.

    Text that a spreadsheet would run as a formula has an apostrophe before it, and so has text that
    begins with one.
    """
    file = io.StringIO()
    about = json.dumps({"title": report.title, **_settings(report)}, ensure_ascii=False)
    file.write(f"# {about}\n")
    writer = csv.writer(file, lineterminator="\n")
    scored = report.rows[0].scores is not None
    writer.writerow(
        [*Prediction._fields[:-1], *(f"score {name}" for name in report.classes if scored)]
    )
    for row in report.rows:
        truth, predicted = report.classes[row.truth], report.classes[row.predicted]
        told = [row.key, row.corpus, row.subject, truth, predicted, row.fold]
        writer.writerow([*map(inert, told), row.seed, *(row.scores or ())])
    write_text(path, file.getvalue())


def read_predictions(path: Path) -> Report:
    """Read what ``write_predictions`` wrote; ValueError where it is something else."""
    with path.open(encoding="utf-8", newline="") as file:
        try:
            told = json.loads(file.readline().removeprefix("# "))
            names = {name: number for number, name in enumerate(told["classes"])}
            lines = csv.reader(file)
            scored = len(next(lines)) > len(Prediction._fields) - 1
            rows = []
            for line in lines:
                key, corpus, subject, truth, predicted, fold = map(as_it_was, line[:6])
                scores = tuple(map(float, line[7:])) if scored else None
                classes = names[truth], names[predicted]
                rows.append(Prediction(key, corpus, subject, *classes, fold, int(line[6]), scores))
        except (KeyError, TypeError, IndexError, StopIteration, csv.Error, ValueError) as error:
            raise ValueError(
                f"{path} holds no predictions: write them with write_predictions"
            ) from error
    try:
        return _report(told, rows)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def markdown(
    reports: Sequence[Report],
    comparisons: Sequence[Comparison] = (),
    *,
    seed: int,
    draws: int = DRAWS,
) -> str:
    """Tables of REPORTS: one a protocol and data, oracles apart, then classes, corpora, matrix.

    SEED is the bootstraps'. Figures are means over seeds, ± their standard deviation; in brackets
    is the interval.
    """
    told = [figures(report, seed=seed, draws=draws) for report in reports]
    protocols: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for one in told:
        about = f"{one['protocol']} on {one['data']}"
        head = f"{STAND_IN}: {about}" if one["stand_in"] else about
        if one["epoch"] == "oracle":
            head = f"{EPOCHS['oracle']}: {head}"
        protocols[one["epoch"] == "oracle", head, tuple(one["classes"])].append(one)
    # oracles come last: sorting is stable, and False is before True
    parts = [
        f"## {plain(head)}\n\n{_overview(every)}"
        for (_, head, _), every in sorted(protocols.items(), key=lambda item: item[0][0])
    ]
    if comparisons:
        parts.append(f"## Second arm less first\n\n{_compared(comparisons)}")
    parts += [_details(one) for one in told]
    return "\n\n".join(parts) + "\n"


def _overview(every: Sequence[Mapping[str, Any]]) -> str:
    head = ["recognizer", "trained on", "epoch", *SCORES, "seeds"]
    rows = [[*head, *(f"n {name}" for name in every[0]["classes"])]]
    for one in every:
        scores = one["scores"]
        rows.append(
            [
                one["recognizer"],
                one["trained_on"],
                one["epoch"],
                *(_score(scores[name]) for name in SCORES),
                str(len(one["seeds"])),
                *(str(of["n"]) for of in one["by class"].values()),
            ]
        )
    return table(rows)


def _details(one: Mapping[str, Any]) -> str:
    scores = [["score", "mean", "sd over seeds", "95 % interval", "mean of the folds' own"]] + [
        [
            name,
            _number(of["mean"]),
            _number(of["sd"]),
            _bracketed(of["interval"]),
            _number(of["mean of folds"]),
        ]
        for name, of in one["scores"].items()
    ]
    classes = [["class", "n", *BY_CLASS]] + [
        [name, str(of["n"]), *(_number(of[score]) for score in BY_CLASS)]
        for name, of in one["by class"].items()
    ]
    corpora = [["corpus", *SCORES, *(f"n {name}" for name in one["classes"])]] + [
        [name, *map(_number, part["scores"].values()), *map(str, part["n"].values())]
        for name, part in one["by corpus"].items()
    ]
    matrix = [["truth, by prediction", *one["classes"]]] + [
        [name, *map(str, row)] for name, row in zip(one["classes"], one["confusion"], strict=True)
    ]
    said = (
        f"{one['samples']} samples of {one['people']} people in {one['folds']} folds. Each seed's "
        "predictions of all folds make one confusion matrix; figures are the mean of its scores "
        "over the seeds, the matrix below is their sum. The mean of the folds' own scores is what "
        "MiE-X prints; it is not the pooled score."
    )
    boot = one["bootstrap"]
    if boot["redrawn"] is not None:
        said += (
            f" Intervals: 95 %, {boot['draws']} resamples of people (seed {boot['seed']}; "
            f"{boot['redrawn']} lacked a class and were drawn again)."
        )
    lines = [f"- not defined, {what}: {reason}" for what, reason in one["undefined"].items()]
    blocks = [f"### {plain(one['title'])}", said, *map(table, (scores, classes, corpora, matrix))]
    return "\n\n".join([*blocks, *(["\n".join(map(plain, lines))] if lines else [])])


def _compared(comparisons: Sequence[Comparison]) -> str:
    rows = [
        ["first arm", "second arm", "score", "difference", "95 % interval", "p", "permutations"]
    ]
    for one in comparisons:
        interval = f"{one.low:+.4f} to {one.high:+.4f}"
        told = [f"{one.difference:+.4f}", interval, f"{one.p:.4f}", str(one.permutations)]
        rows.append([*one.arms, one.score, *told])
    return table(rows)


def _score(of: Mapping[str, Any]) -> str:
    text = _number(of["mean"])
    if of["sd"] is not None:
        text += f" ± {of['sd']:.4f}"
    if of["interval"] is not None:
        text += f" {_bracketed(of['interval'])}"
    return text


def _bracketed(interval: Sequence[float] | None) -> str:
    return "-" if interval is None else "[{:.4f}, {:.4f}]".format(*interval)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def confusion_figure(report: Report) -> Figure:
    """Draw the pooled confusion matrix: counts over all seeds, coloured by share of the truth."""
    from matplotlib.figure import Figure

    confusion, classes = report.confusion, report.classes
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 6), layout="constrained")
    figure.suptitle("\n".join(textwrap.wrap(report.title, 70)), fontsize=9, parse_math=False)
    axes = figure.add_subplot()
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(range(len(classes)), classes, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    for (row, column), count in np.ndenumerate(confusion):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{count}\n{share:.0%}",
            ha="center",
            va="center",
            color="white" if share > 0.5 else "black",
        )
    figure.colorbar(shown, ax=axes, label="share of the class's samples")
    return figure


def draw_confusion(report: Report, path: Path) -> None:
    """Write ``confusion_figure`` as PNG."""
    figure = confusion_figure(report)
    with whole(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=150)
