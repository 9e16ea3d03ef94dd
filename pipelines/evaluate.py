"""Train and test recognizers by a protocol, so that the result cannot flatter.

An *arm* is a recognizer and what it learns from: nothing but the training fold, or a synthetic
dataset before it, or macro-expressions beside it. Every arm is run on every fold with every seed: a
*cell*. In each cell the **leak guard** (``mie_x.folds.keep_out``) drops what moves as one of the
tested people, before the training fold and beside it, and counts it; nothing is chosen by what is
tested, the last epoch counts. An ``oracle`` row, the best epoch on the test fold, is kept apart and
called so. Ours beyond that: only real people are tested, since a synthetic set shows the same faces
in every fold; what could be a tested person in another spelling is refused; no weights are taken
that were learned elsewhere, from people of whom a file of weights tells nothing.

Cells and pre-trained weights are files in OUT, named by all that they depend on::

    OUT/cells/<hash>.json                scores of the test fold, what was dropped, seconds
    OUT/pretrained/<hash>.safetensors    one for all folds that drop the same samples
    OUT/reports/<arm>.json, .csv, .png   one pooled report an arm, its predictions, its confusion;
                                         those of an earlier call's other arms are taken away
    OUT/report.md                        all arms, their differences, what was dropped and left out

so that a stopped run goes on, and a cell is run once, whatever it is asked for again with.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

import recognizers
from mie_x import folds, report
from mie_x.folds import Person, person
from mie_x.markdown import plain
from mie_x.records import LABELS, SOURCES, Origin
from mie_x.report import Comparison, Prediction, Report
from mie_x.threads import one_thread
from mie_x.whole import hashed, write_bytes, write_json, write_text
from pipelines import cams, examples
from pipelines.examples import DatasetPool, Example, Found, LeftOut
from pipelines.extract import named_collection
from pipelines.views import FORMS, VIEWS, Recipe, Seen, look
from recognizers import DESCRIPTORS, RECOGNIZERS, training, weights
from recognizers.training import Examples, Fitted
from recognizers.weights import Loaded

SEEDS = 3
READERS = 1  # threads that read beside a training: without, DTSCNN waits 40 % of its time
LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn")  # that decide a score
MOST_REASONS = 9  # told of what was left out


@dataclass(frozen=True, eq=False)
class Data:
    """Examples as one recognizer sees them, and what a report calls them.

    ``left_out`` could not be used or seen; ``part`` is what sets a part of other data apart.
    """

    name: str
    seen: Seen
    left_out: tuple[LeftOut, ...] = ()
    part: str = ""

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
        """Of all that is seen, of its labels, and of who is macro."""
        if self.part:
            return self.part
        tables = [sorted(table.folder.name for table in each.values()) for each in self.seen.tables]
        rows = [[one.key, one.row, one.label, one.kind] for one in self.seen.examples]
        return hashed({"tables": tables, "pools": self.seen.pools.tolist(), "rows": rows})

    @cached_property
    def movers(self) -> tuple[list[tuple[Origin | None, str]], NDArray[np.int64]]:
        """Every origin with its source once, and which of these each sample is of."""
        numbers: dict[tuple[Origin | None, str], int] = {}
        of = [numbers.setdefault((e.origin, e.source), len(numbers)) for e in self.seen.examples]
        return list(numbers), np.array(of, np.int64)

    def select(self, rows: NDArray[np.int64]) -> Data:
        """These of them, ascending; all of them are the data itself."""
        if len(rows) == len(self.seen):
            return self
        part = hashed({"of": self.fingerprint, "rows": rows.tolist()})
        return Data(self.name, self.seen.select(rows), self.left_out, part)


def views_of(recognizer: str) -> tuple[str, ...]:
    """What RECOGNIZER sees of a clip; ValueError on an unknown name."""
    if recognizer in DESCRIPTORS:
        return (DESCRIPTORS[recognizer].view,)
    if recognizer not in RECOGNIZERS:
        known = ", ".join((*RECOGNIZERS, *DESCRIPTORS))
        raise ValueError(f"no recognizer {recognizer!r}: choose from {known}")
    return RECOGNIZERS[recognizer].settings.views


def found_in(
    what: str,
    *,
    sources: Iterable[str] | None = None,
    kinds: Iterable[str] = ("micro",),
    classes: Sequence[str] | None = None,
) -> tuple[str, Found]:
    """Examples of WHAT, and what to call them.

    WHAT is a dataset's folder (SOURCES chooses of it), a collection, NAME=ROOT (KINDS of it, its
    emotions by CLASSES, or by the three), or flow pictures, flow_images=ROOT.
    """
    name, equals, root = what.partition("=")
    pictures = equals and name == "flow_images"
    named = None if pictures else named_collection(what)
    if sources is not None and (pictures or named is not None):
        raise ValueError(f"{what}: only a synthetic dataset has sources to choose from")
    if classes is not None and named is None:
        raise ValueError(f"{what}: only a collection, NAME=ROOT, has emotions as classes")
    if pictures:
        found = examples.of_flow_pictures(Path(root))
        told = f"{name} ({len(found.examples)} clips)"
    elif named is not None:
        found = examples.of_collection(*named, kinds=kinds, classes=classes)
        told = f"{named[0]} ({len(found.examples)} clips)"
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
    left_out: Iterable[LeftOut] = (),
    store: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Data:
    """The examples GIVEN as RECOGNIZER sees them; what is to be seen is kept in STORE.

    NAME tells of those that cannot be seen; LEFT_OUT is what was left out before.
    """
    seen = look(
        given, views_of(recognizer), recipe=recipe, cache=store, workers=workers, progress=progress
    )
    if seen.left_out:
        if not len(seen):
            first = ": ".join(seen.left_out[0])
            raise ValueError(f"{name}: nothing can be seen of it; the first: {first}")
        name = f"{name}, {len(seen.left_out)} of them not seen"
    forms = [FORMS[VIEWS[view][0]] for view in seen.views]
    framed = any(example.pool.gives == "frames" for example in seen.examples)
    if framed and recipe.flow != Recipe().flow and any("flow" in form.recipe for form in forms):
        name = f"{name}, {recipe.flow} flow"
    return Data(name, seen, (*left_out, *seen.left_out))


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
        if not self.finetune and (self.beside is not None or self.epochs is not None):
            raise ValueError(
                f"arm {self.name}: without fine-tuning nothing is beside it, and it has no epochs"
            )
        if self.before is None and self.before_epochs is not None:
            raise ValueError(f"arm {self.name}: nothing to pre-train on for some epochs")
        if self.recognizer in DESCRIPTORS:
            if self.before is not None and self.finetune:
                raise ValueError(
                    f"{self.recognizer} is an SVM, which is not fine-tuned: test it direct"
                )
            if any(given is not None for given in (self.epochs, self.before_epochs, self.weights)):
                raise ValueError(f"{self.recognizer} is an SVM: it has neither epochs nor a trunk")
        elif self.weights is not None:
            build = RECOGNIZERS[self.recognizer].build
            if "weights" not in inspect.signature(build).parameters:
                raise ValueError(f"{self.recognizer} has no trunk that {self.weights} would serve")

    @property
    def trained_on(self) -> str:
        """All that training sees, pre-training first, in words."""
        said = [] if self.before is None else [self.before.name]
        if self.weights is not None:
            said.insert(0, {"imagenet": "ImageNet"}.get(self.weights, self.weights))
        if self.finetune:
            said.append(
                " + ".join(["the training folds", *([self.beside.name] if self.beside else [])])
            )
        told = ", then ".join(said) + ("" if self.finetune else " alone")
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
    less the ``dropped`` samples that move as a tested person; ``beside`` is less those, too. Where
    it is ``drawn``, a sheet of Grad-CAM is made of the test fold; ``trained_on`` is its title.
    """

    arm: str
    trained_on: str
    drawn: bool
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
    """Of code and libraries that decide a score once the views are there."""
    paths = [*Path(recognizers.__file__).parent.glob("*.py"), Path(folds.__file__), Path(__file__)]
    libraries = json.dumps({name: version(name) for name in LIBRARIES})
    code = b"".join(path.read_bytes() for path in sorted(paths))
    return hashlib.sha256(code + libraries.encode()).hexdigest()


def _person(example: Example) -> Person:
    if example.origin is None or example.source in SOURCES:
        raise ValueError(
            f"{example.key} is synthetic: it shows a face that other folds show as well, and tests "
            "nobody; test on a collection, such as casme2=ROOT, and give the dataset as --pretrain"
        )
    return person(example.origin.corpus, example.origin.subject)


def loosely(who: Person) -> tuple[str, ...]:
    """WHO as a careless eye reads the name: mylab/S01, MyLab/s1 and my-lab/s_001 are alike."""
    parts = re.findall(r"\d+|[^\W\d_]+", who.subject.casefold())
    corpus = re.sub(r"[\W_]", "", who.corpus.casefold())
    return corpus, *(part.lstrip("0") for part in parts)


def _check_tested(real: Data, classes: Sequence[str]) -> list[Person]:
    """Who is tested in each sample; ValueError where that, or its class, cannot be told surely."""
    people = [_person(example) for example in real.seen.examples]
    try:
        folds.keep_out(real.origins, real.sources, people)
    except ValueError as error:  # a clip is named after somebody else
        raise ValueError(f"{real.name}: {error}") from error
    known: dict[tuple[str, ...], Person] = {}
    for who in sorted(set(people)):
        if (other := known.setdefault(loosely(who), who)) != who:
            raise ValueError(
                f"{'/'.join(other)} and {'/'.join(who)} look like one person, who would be trained "
                "on and tested: spell each subject one way"
            )
    keys = Counter(example.key for example in real.seen.examples)
    if twice := [key for key, count in keys.items() if count > 1]:
        raise ValueError(f"{twice[0]} is there {keys[twice[0]]} times: each clip is tested once")
    found = set(real.seen.labels.tolist())
    if strange := found - set(range(len(classes))):
        raise ValueError(f"label {min(strange)} is none of {', '.join(classes)}")
    if absent := [name for label, name in enumerate(classes) if label not in found]:
        raise ValueError(f"{real.name}: no {absent[0]} among the clips, so nothing scores it")
    return people


@dataclass(frozen=True)
class Evaluated:
    """Reports of every arm, in order; oracles, where asked for; what the cells tell beside."""

    out: Path
    reports: tuple[Report, ...]
    oracles: dict[str, Report]  # arm -> what was best on the test folds
    comparisons: tuple[Comparison, ...]
    dropped: dict[str, dict[str, int]]  # arm -> tested person -> samples that moved as they do
    sheets: dict[str, Path]  # arm -> a sheet of Grad-CAM, of networks that are shown frames


def evaluate(
    arms: Sequence[Arm],
    real: Data,
    out: Path,
    *,
    protocol: str,
    kept: Path | None = None,
    seeds: int = SEEDS,
    classes: Sequence[str] = tuple(LABELS),
    apart: Iterable[str] = (),
    oracle: bool = False,
    workers: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Evaluated:
    """Run every arm on every fold of PROTOCOL over REAL with seeds 0 to SEEDS - 1; write OUT.

    The first arm is what the others are compared with. Cells and weights lie in KEPT, else in OUT:
    calls that share it find what others have run. APART names corpora whose people nobody
    tested is among (``folds.keep_out``). Raises ValueError on a protocol that does not fit REAL,
    on a leak that cannot be ruled out, and on names of arms that are not apart.
    """
    names = [_slug(arm.name) for arm in arms]
    files = [*names, *(_slug(f"{name} oracle") for name in names if oracle)]
    if len(set(files)) < len(files) or not all(names):
        raise ValueError(f"arms {', '.join(arm.name for arm in arms)}: give each a name of its own")
    people = _check_tested(real, classes)
    split = folds.split(protocol, people)
    plan = _Plan(
        real, people, kept or out, tuple(classes), (*folds.APART, *apart), oracle, range(seeds),
        device.partition(":")[0], split[0].name,
    )  # fmt: skip
    cells, first = [], {}
    for arm in arms:  # a leak that cannot be ruled out stops everything before it begins
        for fold in split:
            for cell, begun in plan.cells(arm, fold):
                cells.append(cell)
                if begun is not None:
                    first[begun.path] = begun
    for recognizer, given in {(arm.recognizer, arm.weights) for arm in arms}:
        if given is not None:  # fetched once, before any process asks for them
            with training.repeatable("cpu"):
                RECOGNIZERS[recognizer].build(classes=len(classes), weights=given)
    for folder in (plan.kept / "cells", plan.kept / "pretrained", out / "reports"):
        folder.mkdir(parents=True, exist_ok=True)
    _run(cells, list(first.values()), workers=workers, device=device, progress=progress)

    reports, oracles, dropped = [], {}, {}
    for arm in arms:
        own = [(cell, _read(cell.path)) for cell in cells if cell.arm == arm.name]
        reports.append(_report(arm, real, own, protocol, epoch="last", scores="scores"))
        if oracle and all(told["oracle"] is not None for _, told in own):
            oracles[arm.name] = _report(arm, real, own, protocol, epoch="oracle", scores="oracle")
        dropped[arm.name] = _sum(cell.dropped for cell, _ in own if cell.seed == 0)
    comparisons = tuple(report.compare(reports[0], one, seed=0) for one in reports[1:])
    sheets = {
        cell.arm: cell.path.with_suffix(".png")
        for cell in cells
        if cell.drawn and cell.path.with_suffix(".png").is_file()
    }
    done = Evaluated(out, tuple(reports), oracles, comparisons, dropped, sheets)
    _write(done, arms, real, folds.absent(protocol, people))
    return done


@dataclass(frozen=True, eq=False)
class _Plan:
    """What all cells of a call share."""

    real: Data
    people: Sequence[Person]
    kept: Path
    classes: tuple[str, ...]
    apart: tuple[str, ...]
    oracle: bool
    seeds: range
    device: str
    drawn: str = ""  # the fold whose test samples are drawn, one an arm, with the first seed

    def _has_maps(self, arm: Arm) -> bool:
        """Whether ``cams.sheet`` can draw: a network of the three classes, on frames."""
        framed = all(example.pool.gives == "frames" for example in self.real.seen.examples)
        return arm.recognizer in RECOGNIZERS and framed and self.classes == tuple(LABELS)

    def cells(self, arm: Arm, fold: folds.Fold) -> Iterator[tuple[Cell, Pretraining | None]]:
        """The cells of ARM in FOLD, a seed each, and what each begins with."""
        tested = {self.people[row] for row in fold.test}
        before, dropped = self._kept(arm.before, tested)
        beside, dropped_beside = self._kept(arm.beside, tested)
        dropped = _sum([dropped, dropped_beside])
        if before is not None and not len(before.seen):
            raise ValueError(
                f"{before.name}: in fold {fold.name} nothing is left to pre-train on, since all of "
                "it moves as the people tested there"
            )
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
                "seed": _chance(arm, seed),
                "classes": self.classes,
                "oracle": self.oracle,
                "device": self.device,
            }
            cell = Cell(
                arm=arm.name,
                trained_on=arm.trained_on,
                drawn=seed == 0 and fold.name == self.drawn and self._has_maps(arm),
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
                path=self.kept / "cells" / f"{hashed(told)}.json",
            )
            yield cell, begun

    def _kept(
        self, data: Data | None, tested: Collection[Person]
    ) -> tuple[Data | None, dict[str, int]]:
        """DATA without the samples that move as somebody TESTED, and how many of whom those are.

        Who moved is judged once a movement, of which a dataset makes hundreds of samples.
        """
        if data is None:
            return None, {}
        movers, of = data.movers
        origins, sources = zip(*movers, strict=True)
        try:
            self._check_known(origins, tested)
            kept = folds.keep_out(origins, sources, tested, apart=self.apart).rows
        except ValueError as error:
            # "row 3" is then of the movers
            said = re.sub(r"^row (\d+)", lambda row: self._key(data, int(row[1])), str(error))
            raise ValueError(f"{data.name}: {said}") from error
        lost = np.setdiff1d(np.arange(len(movers)), kept).tolist()
        dropped: Counter[str] = Counter()
        for number, count in zip(lost, np.bincount(of, minlength=len(movers))[lost], strict=True):
            dropped["/".join(person(*origins[number][:2]))] += int(count)
        return data.select(np.flatnonzero(np.isin(of, kept))), dict(dropped)

    def _key(self, data: Data, mover: int) -> str:
        """What the first sample of the MOVER-th movement of DATA is called."""
        return data.seen.examples[int((data.movers[1] == mover).argmax())].key

    def _check_known(self, origins: Iterable[Origin | None], tested: Collection[Person]) -> None:
        """Beyond ``keep_out``: a person TESTED may move elsewhere under another name, too."""
        alike = {loosely(who): who for who in tested}
        unknown = {who.corpus for who in tested} - {*folds.COLLECTIONS, *self.apart}
        for row, origin in enumerate(origins):
            if origin is None:
                continue
            owner = person(origin.corpus, origin.subject)
            other = alike.get(loosely(owner), owner)
            if other != owner:
                raise ValueError(
                    f"row {row}: {'/'.join(owner)} could be {'/'.join(other)}, who is tested: "
                    "spell each subject one way"
                )
            if owner.corpus not in self.apart and unknown - {owner.corpus}:
                raise ValueError(
                    f"row {row}: whether the people of {min(unknown - {owner.corpus})}, who are "
                    f"tested, are among those of {owner.corpus} is not known; if not, say that the "
                    "former stand apart (--apart)"
                )

    def _pretraining(self, arm: Arm, before: Data, seed: int) -> Pretraining:
        told = {
            "code": code_sha256(),
            "recognizer": arm.recognizer,
            "weights": arm.weights,
            "examples": before.fingerprint,
            "epochs": arm.before_epochs,
            "seed": _chance(arm, seed),
            "device": self.device,
        }
        path = self.kept / "pretrained" / f"{hashed(told)}.safetensors"
        return Pretraining(
            arm.recognizer, before.seen, seed, arm.before_epochs, arm.weights, before.name, path
        )


def _chance(arm: Arm, seed: int) -> int:
    """What hangs on SEED: of an SVM, which is solved without chance, one cell serves all seeds."""
    return 0 if arm.recognizer in DESCRIPTORS else seed


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))


def _read(path: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: delete it, and run the same again") from error
    return told


def _run(
    cells: Sequence[Cell],
    first: Sequence[Pretraining],
    *,
    workers: int,
    device: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Pre-train what the missing cells begin with, each once, then run these."""
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
    with one_thread():  # the same bytes however many workers there are
        fitted = pretrain(
            what.recognizer, what.before, seed=what.seed, epochs=what.epochs, weights=what.weights,
            checkpoint=what.path.with_suffix(".checkpoint"), device=device, workers=READERS,
        )  # fmt: skip
    stand_in = any(example.stand_in for example in what.before.examples)
    weights.save(what.path, fitted, trained_on=what.trained_on, stand_in=stand_in)
    what.path.with_suffix(".checkpoint").unlink(missing_ok=True)


def pretrain(name: str, before: Examples, *, seed: int, **options: Any) -> Fitted:
    """Train the recognizer NAME on synthetic samples by its settings for these; three classes."""
    settings = None
    if name in RECOGNIZERS:
        settings = RECOGNIZERS[name].pretraining or RECOGNIZERS[name].settings
    return training.fit(
        name, before, classes=tuple(LABELS), seed=seed, settings=settings, **options
    )


def _test(cell: Cell, device: str) -> None:
    """Fine-tune on the training fold, if the arm does, and write what is said of the test fold."""
    began = time.perf_counter()
    start = None if cell.start is None else weights.load(cell.start).fitted
    test = cell.real.select(cell.fold.test)
    with one_thread():
        fitted = _finetune(cell, start, device) if cell.finetune else start
        assert fitted is not None
        scores = training.predict(fitted, test, device=device)
    if cell.drawn:
        stand_in = any(example.stand_in for example in test.examples)
        looked = Loaded(fitted, "", cell.trained_on, stand_in)
        cams.draw(looked, f"fold {cell.fold.name}", test, cell.path.with_suffix(".png"))
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
        options = {"epochs": cell.epochs, "start": start, "device": device, "workers": READERS}
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
            who = _person(real.seen.examples[row])
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


def _write(
    done: Evaluated, arms: Sequence[Arm], real: Data, absent: Sequence[tuple[str, str]]
) -> None:
    folder = done.out / "reports"
    named = {arm.name: one for arm, one in zip(arms, done.reports, strict=True)}
    named |= {f"{name} oracle": one for name, one in done.oracles.items()}
    for name, one in named.items():
        path = folder / f"{_slug(name)}.json"
        report.write_report(one, path, seed=0)
        report.write_predictions(one, path.with_suffix(".csv"))
        report.draw_confusion(one, path.with_suffix(".png"))
    written = {_slug(name) for name in named}
    maps = {_slug(f"{name} where it looked"): sheet for name, sheet in done.sheets.items()}
    for name, sheet in maps.items():
        write_bytes(folder / f"{name}.png", sheet.read_bytes())
        written.add(name)
    for path in folder.iterdir():
        if path.suffix in (".json", ".csv", ".png") and path.stem not in written:
            path.unlink()
    pictures = [f"![{stem}](reports/{stem}.png)" for stem in (*map(_slug, named), *maps)]
    lines = [
        report.markdown(list(named.values()), seed=0, comparisons=done.comparisons),
        *pictures,
        "",
        "## What the leak guard dropped\n",
    ]
    for name, people in done.dropped.items():
        said = (
            f"{sum(people.values())} samples of {len(people)} tested people" if people else "none"
        )
        lines.append(f"- {plain(name)}: {said}")
    used = {id(data): data for arm in arms for data in (real, arm.before, arm.beside) if data}
    for data in used.values():
        pools = {id(example.pool): example.pool for example in data.seen.examples}.values()
        if any(isinstance(p, DatasetPool) and _photographs(p) for p in pools):
            lines.append(
                f"- {plain(data.name)}: whose photographs it shows is not known here. Were they "
                "of tested people, their faces would be known from training"
            )
    lines.append("\n## What was left out\n")
    for data in used.values():
        reasons = Counter(reason for _, reason in data.left_out).most_common()
        some = [f"{count} x {plain(reason)}" for reason, count in reasons[:MOST_REASONS]]
        more = [f"{len(reasons) - MOST_REASONS} more reasons"] * (len(reasons) > MOST_REASONS)
        lines.append(f"- {plain(data.name)}: {'; '.join(some + more) or 'nothing'}")
    if absent:
        lines.append(f"- nobody is there of the protocol's {', '.join(map('/'.join, absent))}")
    write_text(done.out / "report.md", "\n".join(lines) + "\n")


def _photographs(pool: DatasetPool) -> bool:
    return bool(pool.settings["faces"]["kind"] == "photographs")


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
    views_of(recognizer)
    svm = recognizer in DESCRIPTORS
    for option, given in (
        ("--sources", sources),
        ("--direct", direct or None),
        ("--before-epochs", before_epochs),
    ):
        if given is not None and before is None:
            raise ValueError(f"{option} is for a synthetic dataset; add --pretrain DIR")
    if svm and before is not None and not direct:
        raise ValueError(f"{recognizer} is an SVM, which is not fine-tuned; add --direct")
    if svm and oracle:
        raise ValueError(f"{recognizer} is an SVM: without epochs there is no best one")

    def data(what: str, **chosen: Any) -> Data:
        name, found = found_in(what, **chosen)
        return data_of(
            name, found.examples, recognizer,
            recipe=Recipe(flow), left_out=found.left_out, store=store, workers=workers,
        )  # fmt: skip

    weights_of_trunks = "imagenet" if imagenet else None
    trained: dict[str, Any] = {"epochs": epochs, "weights": weights_of_trunks}
    first: dict[str, Any] = {"before_epochs": before_epochs, "weights": weights_of_trunks}
    Arm("without", recognizer, **trained)  # says what does not go together before it takes hours
    real = data(what)
    more = None if beside is None else data(beside, kinds=("macro",))
    arms = [Arm("without", recognizer, beside=more, **trained)]
    if before is not None:
        synthetic = data(before, sources=sources)
        if not svm:
            arms.append(Arm("pre-trained", recognizer, synthetic, more, **trained | first))
        if direct:
            arms.append(Arm("direct", recognizer, synthetic, finetune=False, **first))
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
