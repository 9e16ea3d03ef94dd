"""Train and test recognizers by a protocol, so that the result cannot flatter.

An *arm* is a recognizer and what it learns from: nothing but the training fold, or a synthetic
dataset before it, or macro-expressions beside it. Every arm is run on every fold with every seed: a
*cell*. In each cell the **leak guard** (``mie_x.folds.keep_out``) drops the synthetic samples that
move as one of the tested people, and counts them; nothing is chosen by what is tested, the last
epoch counts. An ``oracle`` row, the best epoch on the test fold, is kept apart and called so.

Cells and pre-trained weights are files in OUT, named by all that they depend on::

    OUT/cells/<hash>.json                scores of the test fold, what was dropped, seconds
    OUT/pretrained/<hash>.safetensors    one for all folds that drop the same samples
    OUT/reports/<arm>.json, .csv, .png   one pooled report an arm, its predictions, its confusion
    OUT/report.md                        all arms, and their differences

so that a stopped run goes on, and a cell is run once, whatever it is asked for again with.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

import recognizers
from mie_x import folds, report
from mie_x.records import LABELS, Origin
from mie_x.report import Comparison, Prediction, Report
from mie_x.whole import write_json, write_text
from pipelines import examples
from pipelines.examples import Example, Found
from pipelines.extract import named_collection
from pipelines.views import Recipe, Seen, look
from recognizers import DESCRIPTORS, RECOGNIZERS, training, weights
from recognizers.training import Examples, Fitted

Rows = Sequence[int] | NDArray[np.int64]
SEEDS = 3


@dataclass(frozen=True, eq=False)
class Data:
    """Examples as one recognizer sees them, and what a report calls them."""

    name: str
    seen: Seen

    @property
    def origins(self) -> list[Origin | None]:
        return [example.origin for example in self.seen.examples]

    @property
    def sources(self) -> list[str]:
        return [example.source for example in self.seen.examples]

    @property
    def stand_in(self) -> bool:
        return any(example.stand_in for example in self.seen.examples)

    @cached_property
    def fingerprint(self) -> str:
        """Of all that is seen, and of its labels."""
        tables = [sorted(table.folder.name for table in each.values()) for each in self.seen.tables]
        rows = [[example.key, example.row, example.label] for example in self.seen.examples]
        return _hash({"tables": tables, "pools": self.seen.pools.tolist(), "rows": rows})


def views_of(recognizer: str) -> tuple[str, ...]:
    """What RECOGNIZER sees of a clip; ValueError on an unknown name."""
    if recognizer in DESCRIPTORS:
        return (DESCRIPTORS[recognizer].view,)
    if recognizer not in RECOGNIZERS:
        known = ", ".join((*RECOGNIZERS, *DESCRIPTORS))
        raise ValueError(f"no recognizer {recognizer!r}: choose from {known}")
    return RECOGNIZERS[recognizer].settings.views


def found_in(
    what: str, *, sources: Iterable[str] | None = None, kinds: Iterable[str] = ("micro",)
) -> tuple[str, Found]:
    """Examples of WHAT, and what to call them.

    WHAT is a dataset's folder (SOURCES chooses of it), a collection, NAME=ROOT (KINDS of it), or
    flow pictures, flow_images=ROOT.
    """
    name, equals, root = what.partition("=")
    if equals and name == "flow_images":
        found, told = examples.of_flow_pictures(Path(root)), name
    elif (named := named_collection(what)) is not None:
        found, told = examples.of_collection(*named, kinds=kinds), named[0]
    else:
        found = examples.of_dataset(Path(what), sources=sources)
        there = sorted({example.source for example in found.examples})
        told = f"{Path(what).name} ({', '.join(there)}; {len(found.examples)} samples)"
    if not found.examples:
        first = f"; the first: {': '.join(found.left_out[0])}" if found.left_out else ""
        raise ValueError(f"{what}: no labelled clip that can be used{first}")
    stand_in = any(example.stand_in for example in found.examples)
    return (f"{told}, stand-in" if stand_in else told), found


def data_of(
    name: str,
    given: Sequence[Example],
    recognizer: str,
    *,
    recipe: Recipe,
    store: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Data:
    """The examples GIVEN as RECOGNIZER sees them; what is to be seen is kept in STORE."""
    seen = look(
        given, views_of(recognizer), recipe=recipe, cache=store, workers=workers, progress=progress
    )
    return Data(name, seen)


@dataclass(frozen=True, eq=False)
class Arm:
    """A recognizer, and what it learns from besides the training fold.

    ``before`` are synthetic samples, for pre-training; ``beside`` clips that are added to every
    training fold (CK+ in MiE-X's Table 1). Without ``finetune`` it is tested as it was pre-trained.
    ``epochs`` and ``before_epochs`` replace the published ones: a report says so.
    """

    name: str
    recognizer: str
    before: Data | None = None
    beside: Data | None = None
    finetune: bool = True
    epochs: int | None = None
    before_epochs: int | None = None
    weights: str | None = None

    def __post_init__(self) -> None:
        views_of(self.recognizer)
        if self.before is None and not self.finetune:
            raise ValueError(f"arm {self.name}: without fine-tuning it has nothing to learn from")
        if self.recognizer in DESCRIPTORS and self.before is not None and self.finetune:
            raise ValueError(
                f"{self.recognizer} is an SVM, which is not fine-tuned: test it direct"
            )

    @property
    def trained_on(self) -> str:
        """All that training sees, pre-training first, in words."""
        said = [] if self.before is None else [self.before.name]
        if self.finetune:
            said.append(
                " + ".join(["the training folds", *([self.beside.name] if self.beside else [])])
            )
        told = ", then ".join(said) if self.finetune else f"{said[0]} alone"
        changed = [
            f"{count} epochs of {what}"
            for what, count in (("pre-training", self.before_epochs), ("fine-tuning", self.epochs))
            if count is not None
        ]
        return f"{told} ({', '.join(changed)})" if changed else told


@dataclass(frozen=True, eq=False)
class Cell:
    """One fold of one arm with one seed; all that its scores depend on, and nothing of others'.

    ``start`` is the file of the weights that it begins with, ``before`` what these learned from,
    less the ``dropped`` samples that move as a tested person; ``beside`` is less those, too.
    """

    arm: str
    recognizer: str
    real: Seen
    fold: folds.Fold
    seed: int
    classes: tuple[str, ...]
    finetune: bool
    epochs: int | None
    weights: str | None
    beside: Seen | None
    dropped: Mapping[str, int]
    start: Path | None
    oracle: bool
    path: Path


@dataclass(frozen=True, eq=False)
class Pretraining:
    """Weights that one or more cells begin with."""

    recognizer: str
    before: Seen
    seed: int
    epochs: int | None
    weights: str | None
    trained_on: str
    path: Path


@cache
def code_sha256() -> str:
    """Of the code that decides a score once the views are there."""
    paths = [*Path(recognizers.__file__).parent.glob("*.py"), Path(folds.__file__), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(paths))).hexdigest()


def _person(origin: Origin | None) -> tuple[str, str]:
    if origin is None:
        raise ValueError("a sample of nobody cannot be tested: its origin must name its subject")
    return origin.corpus, origin.subject


def _hash(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Evaluated:
    """Reports of every arm, in order; oracles, where asked for; what the cells tell beside."""

    out: Path
    reports: tuple[Report, ...]
    oracles: tuple[Report, ...]
    comparisons: tuple[Comparison, ...]
    dropped: dict[str, dict[str, int]]  # arm -> tested person -> synthetic samples left out


def evaluate(
    arms: Sequence[Arm],
    real: Data,
    out: Path,
    *,
    protocol: str,
    seeds: int = SEEDS,
    classes: Sequence[str] = tuple(LABELS),
    apart: Iterable[str] = (),
    oracle: bool = False,
    workers: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluated:
    """Run every arm on every fold of PROTOCOL over REAL with seeds 0 to SEEDS - 1; write OUT.

    The first arm is what the others are compared with. APART names corpora whose people nobody
    tested is among (``folds.keep_out``). Raises ValueError on a protocol that does not fit REAL,
    on a leak that cannot be ruled out, and on names of arms that are not apart.
    """
    names = [_slug(arm.name) for arm in arms]
    if len(set(names)) < len(names) or not all(names):
        raise ValueError(f"arms {', '.join(arm.name for arm in arms)}: give each a name of its own")
    people = [_person(origin) for origin in real.origins]
    plan = _Plan(real, out, tuple(classes), (*folds.APART, *apart), oracle, range(seeds))
    cells, first = [], {}
    for arm in arms:  # a leak that cannot be ruled out stops everything before it begins
        for fold in folds.split(protocol, people):
            for cell, begun in plan.cells(arm, fold):
                cells.append(cell)
                if begun is not None:
                    first[begun.path] = begun
    _run(cells, list(first.values()), out, workers=workers, device=device, progress=progress)

    reports, oracles, dropped = [], [], {}
    for arm in arms:
        own = [(cell, _read(cell.path)) for cell in cells if cell.arm == arm.name]
        reports.append(_report(arm, real, own, protocol, epoch="last", scores="scores"))
        if oracle and all(told["oracle"] is not None for _, told in own):
            oracles.append(_report(arm, real, own, protocol, epoch="oracle", scores="oracle"))
        dropped[arm.name] = _sum(cell.dropped for cell, _ in own if cell.seed == 0)
    comparisons = tuple(report.compare(reports[0], one, seed=0) for one in reports[1:])
    done = Evaluated(out, tuple(reports), tuple(oracles), comparisons, dropped)
    _write(done, arms)
    return done


@dataclass(frozen=True, eq=False)
class _Plan:
    """What all cells of a call share."""

    real: Data
    out: Path
    classes: tuple[str, ...]
    apart: tuple[str, ...]
    oracle: bool
    seeds: range

    def cells(self, arm: Arm, fold: folds.Fold) -> Iterator[tuple[Cell, Pretraining | None]]:
        """The cells of ARM in FOLD, a seed each, and what each begins with."""
        tested = [_person(self.real.seen.examples[row].origin) for row in fold.test]
        before, dropped = self._kept(arm.before, tested)
        beside, _ = self._kept(arm.beside, tested)
        for seed in self.seeds:
            begun = None if before is None else self._pretraining(arm, before, seed)
            told = {
                "code": code_sha256(),
                "recognizer": arm.recognizer,
                "start": None if begun is None else begun.path.name,
                "weights": arm.weights,
                "epochs": arm.epochs,
                "beside": None if beside is None else beside.fingerprint,
                "finetune": arm.finetune,
                "real": self.real.fingerprint,
                "train": fold.train.tolist(),
                "test": fold.test.tolist(),
                "seed": seed,
                "classes": self.classes,
                "oracle": self.oracle,
            }
            cell = Cell(
                arm=arm.name,
                recognizer=arm.recognizer,
                real=self.real.seen,
                fold=fold,
                seed=seed,
                classes=self.classes,
                finetune=arm.finetune,
                epochs=arm.epochs,
                weights=arm.weights,
                beside=None if beside is None else beside.seen,
                dropped=dropped,
                start=None if begun is None else begun.path,
                oracle=self.oracle,
                path=self.out / "cells" / f"{_hash(told)}.json",
            )
            yield cell, begun

    def _kept(
        self, data: Data | None, tested: Sequence[tuple[str, str]]
    ) -> tuple[Data | None, dict[str, int]]:
        """DATA without the samples that move as somebody TESTED, and how many of whom those are."""
        if data is None:
            return None, {}
        kept = folds.keep_out(data.origins, data.sources, tested, apart=self.apart)
        whole_of = len(kept.rows) == len(data.seen)
        there = data if whole_of else Data(data.name, data.seen.select(kept.rows))
        return there, {"/".join(who): count for who, count in kept.dropped.items()}

    def _pretraining(self, arm: Arm, before: Data, seed: int) -> Pretraining:
        told = {
            "code": code_sha256(),
            "recognizer": arm.recognizer,
            "weights": arm.weights,
            "examples": before.fingerprint,
            "epochs": arm.before_epochs,
            "seed": seed,
        }
        path = self.out / "pretrained" / f"{_hash(told)}.safetensors"
        return Pretraining(
            arm.recognizer, before.seen, seed, arm.before_epochs, arm.weights, before.name, path
        )


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))


def _read(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return told


def _run(
    cells: Sequence[Cell],
    first: Sequence[Pretraining],
    out: Path,
    *,
    workers: int,
    device: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Pre-train what the missing cells begin with, each once, then run these."""
    for folder in ("cells", "pretrained", "reports"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    missing = {cell.path: cell for cell in cells if not cell.path.is_file()}
    wanted = {cell.start for cell in missing.values()}
    starts = [one for one in first if one.path in wanted and not one.path.is_file()]
    total, done = len(starts) + len(missing), 0
    with Parallel(n_jobs=workers, return_as="generator") as parallel:
        for stage in (
            (delayed(_pretrain)(one, device) for one in starts),
            (delayed(_test)(cell, device) for cell in missing.values()),
        ):
            for _ in parallel(stage):
                done += 1
                if progress is not None:
                    progress(done, total)


def _pretrain(what: Pretraining, device: str) -> None:
    fitted = pretrain(
        what.recognizer, what.before, seed=what.seed, epochs=what.epochs, weights=what.weights,
        checkpoint=what.path.with_suffix(".checkpoint"), device=device,
    )  # fmt: skip
    stand_in = any(example.stand_in for example in what.before.examples)
    weights.save(what.path, fitted, trained_on=what.trained_on, stand_in=stand_in)
    what.path.with_suffix(".checkpoint").unlink(missing_ok=True)


def pretrain(name: str, before: Examples, *, seed: int, **options: Any) -> Fitted:
    """Train the recognizer NAME on synthetic samples by its settings for these; three classes."""
    if name in DESCRIPTORS:
        return training.fit(name, before, classes=tuple(LABELS), seed=seed)
    recognizer = RECOGNIZERS[name]
    settings = recognizer.pretraining or recognizer.settings
    return training.fit(
        name, before, classes=tuple(LABELS), seed=seed, settings=settings, **options
    )


def _test(cell: Cell, device: str) -> None:
    """Fine-tune on the training fold, if the arm does, and write what is said of the test fold."""
    began = time.perf_counter()
    start = None if cell.start is None else weights.load(cell.start).fitted
    fitted = _finetune(cell, start, device) if cell.finetune else start
    assert fitted is not None
    test = cell.real.select(cell.fold.test)
    scores = training.predict(fitted, test, device=device)
    write_json(
        cell.path,
        {
            "recognizer": cell.recognizer,
            "fold": cell.fold.name,
            "seed": cell.seed,
            "keys": [example.key for example in test.examples],
            "truth": test.labels.tolist(),
            "scores": scores.tolist(),
            "oracle": _oracle(fitted, test),
            "dropped": dict(cell.dropped),
            "pretrained_on": fitted.pretrained_on,
            "seconds": round(time.perf_counter() - began, 3),
            "waited": fitted.waited,
        },
    )


def _finetune(cell: Cell, start: Fitted | None, device: str) -> Fitted:
    train: Examples = cell.real.select(cell.fold.train)
    if cell.beside is not None:
        train = Joined((train, cell.beside))
    options: dict[str, Any] = {}
    if cell.recognizer not in DESCRIPTORS:
        options = {"epochs": cell.epochs, "start": start, "device": device}
        options["weights"] = cell.weights if start is None else None
        options["oracle"] = cell.real.select(cell.fold.test) if cell.oracle else None
    return training.fit(cell.recognizer, train, classes=cell.classes, seed=cell.seed, **options)


def _oracle(fitted: Fitted, test: Seen) -> list[list[float]] | None:
    """Scores at the epoch that is right most often about the test fold: what papers print."""
    if fitted.oracle is None:
        return None
    right = (fitted.oracle.argmax(axis=2) == test.labels).sum(axis=1)
    best: list[list[float]] = fitted.oracle[int(right.argmax())].tolist()
    return best


@dataclass(frozen=True, eq=False)
class Joined:
    """Examples one after the other."""

    parts: tuple[Examples, ...]

    @property
    def labels(self) -> NDArray[np.int64]:
        return np.concatenate([part.labels for part in self.parts])

    @property
    def macro(self) -> NDArray[np.bool_] | None:
        told = [
            np.zeros(len(part), bool) if part.macro is None else part.macro for part in self.parts
        ]
        return np.concatenate(told) if any(p.macro is not None for p in self.parts) else None

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def inputs(self, index: int, augmentation: Any) -> tuple[NDArray[np.float32], ...]:
        for part in self.parts:
            if index < len(part):
                return part.inputs(index, augmentation)
            index -= len(part)
        raise IndexError(index)


def _report(
    arm: Arm,
    real: Data,
    cells: Sequence[tuple[Cell, Mapping[str, Any]]],
    protocol: str,
    *,
    epoch: str,
    scores: str,
) -> Report:
    rows = []
    for cell, told in cells:
        for row, key, truth, score in zip(
            cell.fold.test.tolist(), told["keys"], told["truth"], told[scores], strict=True
        ):
            who = _person(real.seen.examples[row].origin)
            best = max(range(len(score)), key=score.__getitem__)
            rows.append(Prediction(key, *who, truth, best, cell.fold.name, cell.seed, tuple(score)))
    return Report(
        recognizer=arm.recognizer,
        trained_on=arm.trained_on,
        data=real.name,
        protocol=protocol,
        epoch=epoch,
        stand_in=real.stand_in,
        rows=tuple(rows),
        classes=cells[0][0].classes,
    )


def _write(done: Evaluated, arms: Sequence[Arm]) -> None:
    folder = done.out / "reports"
    named = [(arm.name, one) for arm, one in zip(arms, done.reports, strict=True)]
    named += [(f"{arm.name} oracle", one) for arm, one in zip(arms, done.oracles, strict=False)]
    for name, one in named:
        path = folder / f"{_slug(name)}.json"
        report.write_report(one, path, seed=0)
        report.write_predictions(one, path.with_suffix(".csv"))
        report.draw_confusion(one, path.with_suffix(".png"))
    text = report.markdown([*done.reports, *done.oracles], seed=0, comparisons=done.comparisons)
    text += "\n## What the leak guard dropped\n\n"
    for name, people in done.dropped.items():
        said = (
            f"{sum(people.values())} samples of {len(people)} tested people" if people else "none"
        )
        text += f"- {name}: {said}\n"
    write_text(done.out / "report.md", text)


def evaluate_collection(
    what: str,
    out: Path,
    *,
    recognizer: str,
    before: str | None,
    sources: Iterable[str] | None,
    beside: str | None,
    direct: bool,
    protocol: str,
    seeds: int,
    epochs: int | None,
    before_epochs: int | None,
    oracle: bool,
    apart: Iterable[str],
    flow: str,
    imagenet: bool,
    store: Path | None,
    workers: int,
    device: str,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluated:
    """``mie-x evaluate``: without the synthetic dataset BEFORE, and with it; DIRECT, as it is."""
    for option, given in (("--sources", sources), ("--direct", direct or None)):
        if given is not None and before is None:
            raise ValueError(f"{option} is for a synthetic dataset; add --pretrain DIR")
    weights_of_trunks = "imagenet" if imagenet else None

    def data(what: str, **chosen: Any) -> Data:
        name, found = found_in(what, **chosen)
        return data_of(
            name, found.examples, recognizer, recipe=Recipe(flow), store=store, workers=workers
        )

    real = data(what)
    more = None if beside is None else data(beside, kinds=("macro",))
    own: dict[str, Any] = {"epochs": epochs, "weights": weights_of_trunks}
    arms = []
    if recognizer not in DESCRIPTORS or before is None or not direct:
        arms.append(Arm("without", recognizer, beside=more, **own))
    if before is not None:
        synthetic = data(before, sources=sources)
        own["before_epochs"] = before_epochs
        if recognizer not in DESCRIPTORS:
            arms.append(Arm("pre-trained", recognizer, synthetic, more, **own))
        if direct:
            arms.append(Arm("direct", recognizer, synthetic, finetune=False, **own))
    return evaluate(
        arms,
        real,
        out,
        protocol=protocol,
        seeds=seeds,
        apart=apart,
        oracle=oracle,
        workers=workers,
        device=device,
        progress=progress,
    )


def listed() -> Iterator[str]:
    """A line or two on every recognizer."""
    for name, recognizer in RECOGNIZERS.items():
        own = recognizer.settings
        trained = f"{own.epochs} epochs, batches of {own.batch}, rate {own.rate:g}"
        yield f"{name:13} sees {', '.join(own.views)}; {trained}"
        yield f"{'':13} {own.source}"
    for name, descriptor in DESCRIPTORS.items():
        yield f"{name:13} sees {descriptor.view}; {descriptor.length} numbers and a linear SVM"
