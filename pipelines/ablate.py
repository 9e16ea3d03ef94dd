"""Studies of the paper, run again: which part of the synthetic set does what (``mie-x ablate``).

A *study* is a table or a figure of MiE-X (Liu et al., ECCV 2022): what it varies, what the paper
prints, and a function that makes its arms of what the user gives (``STUDIES``). All arms go through
``pipelines.evaluate``, with its leak guard, and are compared with the first, which sees nothing but
the training folds.

The paper's figures stand beside ours, never among them: they are means of the folds' own scores
over 3 runs, on other data of another generator. Ours are pooled over folds; the mean of the folds'
own scores has a column of its own. The paper does not say whether its ablations fine-tune. Table
3's 47.7 is what Table 1 prints of direct use, and the figures are of that height: so what it prints
of ablations is put beside our direct arms (ours).

Ours, too: how parts of a dataset are chosen (``pipelines.parts``). Where identities or movements
are varied, the number of samples of each class and source is held, which a larger number of either
would raise as well.

    OUT/<study>/report.md, results.json, results.csv, plot.png
    OUT/<study>/<tested>/               what ``pipelines.evaluate`` tells of every arm
    OUT/cells/, OUT/pretrained/         shared by all studies: nothing is run twice
    OUT/datasets/<source>-<low>-<high>/ datasets that a study has made
    OUT/turns/<hash>.json               how far the faces of a dataset are turned
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import textwrap
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mie_x import report
from mie_x.markdown import table
from mie_x.records import LABELS, SOURCES
from mie_x.report import Comparison
from mie_x.whole import whole, write_json, write_text
from pipelines import generate
from pipelines.evaluate import Arm, Data, Evaluated, data_of, evaluate, found_in
from pipelines.inputs import find_faces, make_sources
from pipelines.parts import (
    FRONTAL,
    even,
    in_turn,
    movements,
    part,
    spread,
    stratum,
    turns,
    whole_identities,
)  # fmt: skip
from pipelines.progress import Progress
from pipelines.views import Recipe
from recognizers import DESCRIPTORS

if TYPE_CHECKING:  # matplotlib takes a second
    from matplotlib.figure import Figure

Rows = NDArray[np.int64]

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
"""Of identities, movements or samples, in ``diversity``. An identity has at most nine samples: in
an eighth of all samples hardly anybody is lost, so that these vary and identities do not."""

MMEW = ("happiness", "surprise", "anger", "disgust", "fear", "sadness")
SAMM = ("anger", "happiness", "surprise", "fear", "disgust")
"""Classes of the paper's Table 2, in the order of its lists."""


class Printed(NamedTuple):
    """What the paper prints of an arm, in percent, as printed.

    With ``against`` it is a difference from that arm. ``epoch`` is "last", or "best": chosen on the
    test fold. ``tested`` is a collection; "": the study's only one.
    """

    arm: str
    recognizer: str
    score: str
    value: float
    sd: float | None = None
    against: str = ""
    epoch: str = "last"
    tested: str = ""


@dataclass(frozen=True, eq=False)
class Trial:
    """Arms on one tested set. ``not_run`` are arms of the paper without their data, and why."""

    name: str
    real: Data
    protocol: str
    arms: Sequence[Arm]
    not_run: Sequence[tuple[str, str]] = ()
    classes: tuple[str, ...] = tuple(LABELS)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Study:
    """A table or figure of the paper. ``said`` are findings that it gives no figure of.

    The first of ``scores`` is the one that arms are compared in. ``takes`` are what of ``Given``
    not every study takes.
    """

    name: str
    varies: str
    place: str
    printed: tuple[Printed, ...]
    said: tuple[str, ...]
    trials: Callable[[Given], list[Trial]]
    takes: tuple[str, ...] = ("synthetic",)
    scores: tuple[str, ...] = ("UF1", "UAR")


@dataclass(frozen=True, eq=False)
class Given:
    """What the user gives. ``real`` are collections by name, NAME=ROOT each, the tested one first.

    ``protocol`` None: the study's. ``direct``: also test what was pre-trained as it is. ``sources``
    None: all of ``synthetic``, or the one that the study varies. ``samples``: of each mix of
    sources. ``ids``, ``faces``, ``mie``, ``mae`` are of datasets that the study has to make.
    """

    out: Path
    recognizer: str
    real: Mapping[str, str]
    synthetic: str | None = None
    beside: str | None = None
    sources: tuple[str, ...] | None = None
    protocol: str | None = None
    direct: bool = True
    epochs: int | None = None
    before_epochs: int | None = None
    imagenet: bool = False
    samples: int | None = None
    seed: int = 0
    ids: int | None = None
    faces: Path | None = None
    mie: Sequence[Path] = ()
    mae: Sequence[Path] = ()
    flow: str = "tvl1"
    store: Path | None = None
    workers: int = 1
    device: str = "cpu"

    @property
    def svm(self) -> bool:
        return self.recognizer in DESCRIPTORS

    def data(self, what: str, **chosen: Any) -> Data:
        """WHAT as the recognizer sees it; CHOSEN as ``found_in`` takes it."""
        name, found = found_in(what, **chosen)
        return data_of(
            name, found.examples, self.recognizer,
            recipe=Recipe(self.flow), left_out=found.left_out, store=self.store,
            workers=self.workers,
        )  # fmt: skip

    @property
    def tested(self) -> str:
        """The name of the collection that is tested."""
        return next(iter(self.real))

    def mixed(self) -> Data:
        """The synthetic dataset; ValueError where none is given."""
        if self.synthetic is None:
            raise ValueError("this study takes a dataset apart: add --synthetic DIR")
        return self.data(self.synthetic, sources=self.sources)

    def arm(self, name: str, **learns: Any) -> Arm:
        """An arm of the recognizer, with the epochs and the trunk that are asked for."""
        if learns.get("before") is not None:
            learns["before_epochs"] = self.before_epochs
        if learns.get("finetune", True):
            learns["epochs"] = self.epochs
        trunk = "imagenet" if self.imagenet else None
        return Arm(name, self.recognizer, weights=trunk, **learns)

    def pretrained(self, name: str, before: Data) -> list[Arm]:
        """Arms that learn from BEFORE: fine-tuned, which an SVM is not, and direct."""
        arms = [] if self.svm else [self.arm(name, before=before)]
        if self.direct or self.svm:
            arms.append(self.arm(f"{name}, direct", before=before, finetune=False))
        return arms

    def trial(self, arms: Iterable[Arm], **more: Any) -> list[Trial]:
        """ARMS on the tested collection, behind one that sees nothing but the training folds."""
        real = self.data(self.real[self.tested])
        every = [self.arm("none"), *arms]
        return [Trial(self.tested, real, self.protocol or "compmie3", every, **more)]


# -- studies -------------------------------------------------------------------------------------


def _table1(given: Given) -> list[Trial]:
    """Every real set before, CK+ beside, and the synthetic set in every place."""
    no_tuning = "an SVM is not fine-tuned"
    mixed = given.mixed()
    arms, not_run = [], []
    beside = None
    if given.beside is None:
        not_run += [(name, "--beside ckplus=ROOT was not given")
                    for name in ("none, CK+ beside", "MiE-X, CK+ beside")]  # fmt: skip
    else:
        beside = given.data(given.beside, kinds=("macro",))
        arms.append(given.arm("none, CK+ beside", beside=beside))
    for name, collection in REAL_SETS.items():
        if collection == given.tested:
            not_run.append((name, "it is tested"))
        elif collection not in given.real:
            not_run.append((name, f"--real {collection}=ROOT was not given"))
        elif given.svm:
            not_run.append((name, no_tuning))
        else:
            arms.append(given.arm(name, before=given.data(given.real[collection])))
    arms += given.pretrained("MiE-X", mixed)
    if given.svm:
        not_run.append(("MiE-X", no_tuning))
    if beside is not None and not given.svm:
        arms.append(given.arm("MiE-X, CK+ beside", before=mixed, beside=beside))
    return given.trial(arms, not_run=not_run)


def _table2(given: Given) -> list[Trial]:
    """Emotions as classes: the head of what was pre-trained on three is replaced."""
    if given.svm:
        raise ValueError(f"{given.recognizer} is an SVM, which cannot take other classes on")
    there = [name for name in EMOTIONS if name in given.real]
    if not there:
        raise ValueError("table2 tests on MMEW and SAMM: give --real mmew=ROOT, samm=ROOT, or both")
    arms = [given.arm("none"), given.arm("MiE-X", before=given.mixed())]
    trials = []
    for name in there:
        protocol, classes = EMOTIONS[name]
        real = given.data(given.real[name], classes=classes)
        trials.append(Trial(name, real, given.protocol or protocol, arms, classes=classes))
    return trials


def _sources(given: Given) -> list[Trial]:
    """Every mix of the AU sources, alone, in pairs, and all."""
    mixed = given.mixed()
    there = [name for name in SOURCES if name in set(mixed.sources)]
    arms = []
    for count in range(1, len(there) + 1):
        for mix in itertools.combinations(there, count):
            rows = _of_mix(mixed, mix, there, samples=given.samples, seed=given.seed)
            arms += given.pretrained("+".join(mix), part(mixed, rows, "+".join(mix)))
    held = "all rows of each mix: sizes differ" if given.samples is None else "equal sizes"
    return given.trial(arms, notes=[held])


def _of_mix(
    data: Data, mix: Sequence[str], there: Sequence[str], *, samples: int | None, seed: int
) -> list[int]:
    """Rows of the sources in MIX: all, or SAMPLES of whole identities, chosen by SEED."""
    if samples is None:
        return [row for row, source in enumerate(data.sources) if source in mix]
    step = len(LABELS) * math.lcm(*range(1, len(there) + 1))
    if samples % step:
        raise ValueError(
            f"--samples {samples}: give a multiple of {step}, so that every mix is of whole people"
        )
    people = whole_identities(data, mix)
    count = samples // (len(mix) * len(LABELS))
    if count > len(people):
        raise ValueError(
            f"--samples {samples}: of {'+'.join(mix)} {len(people)} identities have every sample, "
            f"{count} are needed; give fewer, or make a larger dataset"
        )
    return [row for name in in_turn(people, seed)[:count] for row in people[name]]


def _diversity(given: Given) -> list[Trial]:
    """Fewer movements, fewer identities, fewer samples; the rest held as far as can be."""
    data = given.mixed()
    everything = list(range(len(data.seen)))
    people = [example.subject for example in data.seen.examples]
    triplets = movements(data)
    arms, not_run, notes = [], [], []

    held = _subsets(data, people, given.seed)
    each = even(data, held[0])
    for share, rows in zip(SHARES, held, strict=True):
        chosen = spread(data, rows, people, each)
        arms += given.pretrained(_share("identities", share), part(data, chosen, "a part"))

    held = _subsets(data, triplets, given.seed)
    each = even(data, held[0])
    parts = [spread(data, rows, triplets, each) for rows in held]
    counts = [len({triplets[row] for row in chosen}) for chosen in parts]
    if counts[-1] == counts[0]:
        why = "nearly every sample moves in a way of its own: fewer movements are fewer samples"
        not_run.append(("AU triplets", f"{why}; try --sources mie"))
    else:
        for share, chosen, count in zip(SHARES, parts, counts, strict=True):
            said = f"a part with {count} movements"
            arms += given.pretrained(_share("AU triplets", share), part(data, chosen, said))

    most = even(data, everything)
    for share in SHARES:
        chosen = spread(
            data, everything, people, {s: math.ceil(share * n) for s, n in most.items()}
        )
        arms += given.pretrained(_share("samples", share), part(data, chosen, "a part"))
    notes.append("as many samples in every arm of identities, and in every arm of AU triplets")
    return given.trial(arms, not_run=not_run, notes=notes)


def _share(what: str, share: float) -> str:
    return f"{what} 1/{round(1 / share)}" if share < 1 else f"{what} all"


def _subsets(data: Data, groups: Sequence[str], seed: int) -> list[list[int]]:
    """Rows of a share of the GROUPS, for each of ``SHARES``; smaller ones lie in larger ones.

    Shares are of the groups of each source and class, whose rows all are taken.
    """
    strata: dict[Hashable, list[str]] = {}
    for row, group in enumerate(groups):
        strata.setdefault(stratum(data, row), []).append(group)
    order = {stratum: in_turn(own, seed) for stratum, own in strata.items()}
    subsets = []
    for share in SHARES:
        kept = {s: set(own[: math.ceil(share * len(own))]) for s, own in order.items()}
        subsets.append(
            [row for row, group in enumerate(groups) if group in kept[stratum(data, row)]]
        )
    return subsets


def _pose(given: Given) -> list[Trial]:
    """Frontal faces against all, as many identities of each."""
    data = given.mixed()
    found = turns(data, given.out / "turns", workers=given.workers)
    people = whole_identities(data, sorted(set(data.sources)))
    seen = [name for name in people if found[name] is not None]
    frontal = [name for name in seen if abs(found[name] or 0) < FRONTAL]
    if not 0 < len(frontal) < len(seen):
        raise ValueError(
            f"{len(frontal)} of {len(seen)} faces of {given.synthetic} are frontal: there is "
            "nothing to compare"
        )
    arms = []
    for said, names in (("frontal", frontal), ("all poses", seen)):
        chosen = in_turn(names, given.seed)[: len(frontal)]
        rows = [row for name in chosen for row in people[name]]
        arms += given.pretrained(said, part(data, rows, said))
    note = (
        f"{len(frontal)} of {len(people)} identities are turned by less than {FRONTAL} distances "
        f"of their eyes; on {len(people) - len(seen)} no face is found, and they are in no arm"
    )
    return given.trial(arms, notes=[note])


def _made(source: str, option: str, values: Sequence[tuple[float, float]]) -> Any:
    """A study of datasets that differ in an OPTION of one SOURCE, the same faces and draws."""

    def trials(given: Given) -> list[Trial]:
        names = given.sources or (source,)
        if source not in names:
            raise ValueError(f"this study varies {source}, which --sources leaves out")
        pool = find_faces(given.faces, ids=given.ids, seed=given.seed, workers=given.workers)
        arms = []
        for low, high in values:
            folder = given.out / "datasets" / f"{source}-{low:g}-{high:g}"
            varied: dict[str, Any] = {option: (low, high)}
            made = make_sources(names, mie=given.mie, mae=given.mae, **varied)
            job = generate.prepare(folder, pool, made, seed=given.seed)
            batch = 32 if given.device == "cpu" else 512
            generate.run(job, workers=given.workers, batch=batch, device=given.device)
            arms += given.pretrained(f"{low:g} to {high:g}", given.data(str(folder)))
        return given.trial(arms, notes=[f"datasets of {'+'.join(names)}, made for this study"])

    return trials


REAL_SETS = {"SMIC": "smic-hs", "CASME II": "casme2", "SAMM": "samm", "MMEW": "mmew"}
"""Rows of Table 1 -> collections."""

EMOTIONS = {"mmew": ("mmew5", MMEW), "samm": ("samm5", SAMM)}
"""Collections of Table 2 -> protocol and classes."""


def _pairs(
    recognizer: str, rows: Mapping[str, tuple[float, float, float, float]]
) -> tuple[Printed, ...]:
    """Rows of Table 1: UF1, its sd, UAR, its sd."""
    return tuple(
        Printed(arm, recognizer, score, value, sd)
        for arm, (f1, f1_sd, recall, recall_sd) in rows.items()
        for score, value, sd in (("UF1", f1, f1_sd), ("UAR", recall, recall_sd))
    )


def _accuracies(
    tested: str, recognizer: str, rows: Mapping[str, tuple[float, float, float, float]]
) -> tuple[Printed, ...]:
    """Rows of Table 2: accuracy of the last epoch, its sd, of the best one, its sd."""
    return tuple(
        Printed(arm, recognizer, "accuracy", value, sd, epoch=epoch, tested=tested)
        for arm, (last, last_sd, best, best_sd) in rows.items()
        for epoch, value, sd in (("last", last, last_sd), ("best", best, best_sd))
    )


_ALL = "mie+mae+exp, direct"
_MAKERS = "The paper plots it: no figures are printed. Its default, {}, is the best of three."

STUDIES: dict[str, Study] = {
    "table1": Study(
        "table1",
        "what the recognizer learns from before it is fine-tuned, and beside",
        "Table 1",
        _pairs("apexme", {
            "none": (41.8, 0.7, 41.9, 0.7),
            "none, CK+ beside": (45.0, 0.5, 45.5, 1.0),
            "SMIC": (45.0, 1.7, 44.8, 1.9),
            "CASME II": (44.0, 1.2, 45.1, 0.5),
            "SAMM": (43.7, 0.7, 42.8, 0.5),
            "MMEW": (43.3, 0.8, 44.4, 1.2),
            "MiE-X, direct": (45.2, 0.5, 46.3, 0.5),
            "MiE-X": (46.9, 0.9, 48.3, 0.9),
            "MiE-X, CK+ beside": (47.0, 0.8, 48.2, 0.4),
        }) + _pairs("branches", {
            "none": (43.6, 0.5, 44.6, 0.6),
            "none, CK+ beside": (45.2, 0.5, 47.0, 0.6),
            "SMIC": (42.8, 0.8, 41.4, 0.9),
            "CASME II": (40.7, 0.9, 41.4, 0.9),
            "SAMM": (42.3, 1.4, 42.9, 1.7),
            "MMEW": (43.3, 1.3, 44.1, 1.5),
            "MiE-X, direct": (47.7, 0.5, 48.9, 0.8),
            "MiE-X": (50.7, 0.9, 52.1, 1.4),
            "MiE-X, CK+ beside": (52.3, 0.7, 52.3, 0.4),
        }),
        (),
        _table1,
        takes=("synthetic", "beside"),
    ),
    "table2": Study(
        "table2",
        "the synthetic set, where single emotions are told apart",
        "Table 2",
        _accuracies("mmew", "apexme", {"none": (48.5, 0.6, 58.3, 0.9),
                                       "MiE-X": (55.9, 2.0, 61.4, 0.8)})
        + _accuracies("mmew", "branches", {"none": (50.1, 0.6, 58.3, 0.6),
                                           "MiE-X": (56.8, 1.1, 61.5, 1.0)})
        + _accuracies("mmew", "dtscnn", {"none": (60.9, 1.3, 71.1, 1.1),
                                         "MiE-X": (63.1, 1.0, 74.3, 0.5)})
        + _accuracies("samm", "apexme", {"none": (41.3, 0.6, 54.9, 0.7),
                                         "MiE-X": (46.4, 0.7, 60.3, 1.1)})
        + _accuracies("samm", "branches", {"none": (44.5, 0.7, 53.3, 0.5),
                                           "MiE-X": (48.7, 1.0, 56.3, 0.8)})
        + _accuracies("samm", "dtscnn", {"none": (51.6, 1.8, 60.6, 1.1),
                                         "MiE-X": (55.5, 1.4, 73.9, 0.9)}),
        (
            "The paper counts 72 samples of SAMM, its lists 115; 33 of MMEW never train in four "
            "folds of its lists.",
            "Its DTSCNN was not published: ours is another network.",
        ),
        _table2,
        scores=("accuracy", "UF1"),
    ),
    "sources": Study(
        "sources",
        "the AU sources",
        "Fig. 5",
        (
            Printed(_ALL, "branches", "UF1", 1.7, against="none, CK+ beside"),
            Printed(_ALL, "branches", "UAR", 2.0, against="none, CK+ beside"),
            Printed("mae+exp, direct", "branches", "UF1", -1.6, against=_ALL),
            Printed("mie+exp, direct", "branches", "UF1", -1.0, against=_ALL),
            Printed("mie+mae, direct", "branches", "UF1", -1.6, against=_ALL),
        ),
        (
            "All three sources are best; two are better than one.",
            "mae or exp alone are better than mie alone.",
            "Which of its differences belongs to which source is read from the order of its list.",
        ),
        _sources,
        takes=("synthetic", "samples"),
    ),
    "diversity": Study(
        "diversity",
        "how many AU triplets, identities and samples there are",
        "Fig. 6",
        (
            Printed("700 identities", "branches", "UF1", 44.4),
            Printed("1,700 identities", "branches", "UF1", 45.8),
            Printed("10,000 AU triplets", "branches", "UF1", 1.8, against="4,000 AU triplets"),
            Printed("36,000 samples", "branches", "UF1", 1.0, against="9,000 samples"),
            Printed("54,000 samples", "branches", "UF1", 0.2, against="36,000 samples"),
        ),
        ("From 1,700 identities and from 10,000 AU triplets on it stays as it is.",),
        _diversity,
    ),
    "pose": Study(
        "pose",
        "whether faces are frontal",
        "Table 3",
        (
            Printed("frontal, direct", "branches", "UF1", 47.4, 0.8),
            Printed("all poses, direct", "branches", "UF1", 47.7, 0.5),
        ),
        (),
        _pose,
    ),
    "alpha-beta": Study(
        "alpha-beta",
        "where in a macro-expression the apex of mae lies",
        "Fig. 7",
        (),
        (_MAKERS.format("0.25 to 0.5"),
         "The other two pairs are read from names of its lists."),
        _made("mae", "early", ((0.1, 0.3), (0.2, 0.4), (0.25, 0.5))),
        takes=("ids", "faces", "mie", "mae"),
    ),
    "intensity": Study(
        "intensity",
        "how strong the AUs of exp are",
        "Fig. 7",
        (),
        (_MAKERS.format("0.1 to 0.3"),
         "The third interval is not known; 0.5 to 0.7 is ours."),
        _made("exp", "interval", ((0.1, 0.3), (0.3, 0.5), (0.5, 0.7))),
        takes=("ids", "faces", "mie", "mae"),
    ),
}  # fmt: skip


# -- running and telling -------------------------------------------------------------------------


class Told(NamedTuple):
    """An arm: its figures, the second less the first arm, and samples that the leak guard dropped.

    ``dropped`` counts over all folds, before the training folds and beside them.
    """

    arm: Arm
    figures: dict[str, Any]
    compared: Comparison | None
    dropped: int

    @property
    def sizes(self) -> dict[str, int]:
        """Samples and people that are seen before and beside the training folds."""
        return {
            f"{what} {place}": count
            for place, data in (("before", self.arm.before), ("beside", self.arm.beside))
            for what, count in (
                ("samples", 0 if data is None else len(data.seen)),
                ("people", len({e.subject for e in data.seen.examples} if data else ())),
            )
        }


def ablate(
    name: str, given: Given, *, seeds: int, apart: Iterable[str] = (), progress: bool = True
) -> Path:
    """Run the study NAME of ``STUDIES`` on what is GIVEN, with SEEDS seeds; return its folder.

    APART as ``evaluate`` takes it. Cells that are there, of whatever study, are not run again.
    ValueError on an unknown study, and where it lacks what it is made of.
    """
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}: choose from {', '.join(STUDIES)}")
    study, folder = STUDIES[name], given.out / name
    for option in sorted({option for each in STUDIES.values() for option in each.takes}):
        if getattr(given, option) and option not in study.takes:
            raise ValueError(f"--{option} is not for {name}: leave it out")
    done = []
    for trial in study.trials(given):
        evaluated = evaluate(
            trial.arms,
            trial.real,
            folder / trial.name,
            protocol=trial.protocol,
            kept=given.out,
            seeds=seeds,
            classes=trial.classes,
            apart=apart,
            workers=given.workers,
            device=given.device,
            progress=Progress(f"cells of {trial.name}", done=None) if progress else None,
        )
        done.append((trial, _told(study, trial, evaluated)))
    _write(folder, study, given, done)
    return folder


Done = Sequence[tuple[Trial, Sequence[Told]]]


def _told(study: Study, trial: Trial, done: Evaluated) -> list[Told]:
    first = done.reports[0]
    return [
        Told(
            arm,
            report.figures(one, seed=0),
            None if one is first else report.compare(first, one, seed=0, score=study.scores[0]),
            sum(done.dropped[arm.name].values()),
        )
        for arm, one in zip(trial.arms, done.reports, strict=True)
    ]


def _printed(study: Study, recognizer: str, trial: Trial) -> dict[tuple[str, str], Printed]:
    """(arm, score) -> what the paper prints of it: of the last epoch, no differences."""
    return {
        (one.arm, one.score): one
        for one in study.printed
        if (one.recognizer, one.epoch, one.against) == (recognizer, "last", "")
        and one.tested in ("", trial.name)
    }


def _write(folder: Path, study: Study, given: Given, done: Done) -> None:
    title = f"{study.place} of MiE-X, {study.name}: {study.varies}; {given.recognizer}"
    if any(trial.real.stand_in for trial, _ in done):
        title = f"{report.STAND_IN}: {title}"
    write_json(folder / "results.json", _json(study, given, title, done))
    write_text(folder / "results.csv", _csv(study, given.recognizer, done))
    write_text(folder / "report.md", _markdown(study, given.recognizer, title, done))
    with whole(folder / "plot.png") as unfinished:
        _drawn(study, given.recognizer, title, done).savefig(unfinished, format="png", dpi=150)


def _json(study: Study, given: Given, title: str, done: Done) -> dict[str, Any]:
    return {
        "title": title,
        "study": study.name,
        "varies": study.varies,
        "recognizer": given.recognizer,
        "seed": given.seed,
        "trials": [
            {
                "tested": trial.name,
                "data": trial.real.name,
                "stand_in": trial.real.stand_in,
                "protocol": trial.protocol,
                "classes": list(trial.classes),
                "notes": list(trial.notes),
                "not run": [{"arm": name, "why": why} for name, why in trial.not_run],
                "arms": [
                    {
                        "arm": one.arm.name,
                        **one.sizes,
                        "dropped": one.dropped,
                        "less the first arm": one.compared and one.compared._asdict(),
                        "figures": one.figures,
                    }
                    for one in told
                ],
            }
            for trial, told in done
        ],
        "paper": {
            "source": f"Liu et al., ECCV 2022, {study.place}",
            "unit": "percent; mean of the folds' own scores, 3 runs",
            "printed": [one._asdict() for one in study.printed],
            "said": list(study.said),
        },
    }


def _csv(study: Study, recognizer: str, done: Done) -> str:
    """A row an arm and score; ours are shares of 1, and so is what the paper prints."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    sizes = list(done[0][1][0].sizes)
    ours = ["mean", "sd", "low", "high", "mean_of_folds", "less_first", "less_low", "less_high"]
    head = ["study", "tested", "stand_in", "protocol", "recognizer", "arm", *sizes, "dropped"]
    writer.writerow([*head, "tested_samples", "score", *ours, "p", "paper", "paper_sd"])
    for trial, told in done:
        printed = _printed(study, recognizer, trial)
        for one in told:
            for score in study.scores:
                of = one.figures["scores"][score]
                pair = one.compared if score == study.scores[0] else None
                paper = printed.get((one.arm.name, score))
                numbers = [
                    of["mean"], of["sd"], *(of["interval"] or (None, None)), of["mean of folds"],
                    *([pair.difference, pair.low, pair.high, pair.p] if pair else [None] * 4),
                    *([paper.value / 100, paper.sd and paper.sd / 100] if paper else [None] * 2),
                ]  # fmt: skip
                writer.writerow(
                    [study.name, trial.name, trial.real.stand_in, trial.protocol, recognizer,
                     one.arm.name, *one.sizes.values(), one.dropped, one.figures["samples"], score,
                     *("" if n is None else f"{n:.6f}" for n in numbers)]
                )  # fmt: skip
    return file.getvalue()


def _markdown(study: Study, recognizer: str, title: str, done: Done) -> str:
    blocks = [
        f"# {title}",
        "Ours: pooled over folds, mean over the seeds ± standard deviation, and its 95 % interval; "
        "beside it the mean of the folds' own scores, which is what the paper prints (-: a fold "
        f"lacks a class). The paper's ({study.place}, Liu et al., ECCV 2022) are of other data: "
        "compare differences, not heights.",
    ]
    beside: set[Printed] = set()
    for trial, told in done:
        printed = _printed(study, recognizer, trial)
        beside |= {printed[key] for key in printed if key[0] in {one.arm.name for one in told}}
        blocks += [f"## {trial.protocol} on {trial.real.name}", _tested(told[0].figures)]
        blocks.append(table(_rows(study, told, printed)))
        blocks.append("What each arm learns from:")
        blocks.append("\n".join(f"- {one.arm.name}: {one.arm.trained_on}" for one in told))
        if trial.not_run:
            blocks.append("Not run:")
            blocks.append("\n".join(f"- {name}: {why}" for name, why in trial.not_run))
        blocks.append(f"More of every arm, and what was left out: {trial.name}/report.md.")
        blocks += [f"{note[0].upper()}{note[1:]}." for note in trial.notes]
    if rest := [one for one in study.printed if one not in beside]:
        blocks.append("## What else the paper prints")
        head = ["recognizer", "arm", "tested", "score", "the paper's", "less", "epoch"]
        blocks.append(table([head, *(_rest(one) for one in rest)]))
    if study.said:
        blocks += ["## What else the paper says", "\n".join(f"- {said}" for said in study.said)]
    return "\n\n".join(blocks) + "\n"


def _tested(figures: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{name} {of['n']}" for name, of in figures["by class"].items())
    seeds = len(figures["seeds"])
    return (
        f"Tested: {figures['samples']} samples of {figures['people']} people ({counts}) in "
        f"{figures['folds']} folds; {seeds} seed{'s' * (seeds > 1)}."
    )


def _rows(
    study: Study, told: Sequence[Told], printed: Mapping[tuple[str, str], Printed]
) -> list[list[str]]:
    main = study.scores[0]
    columns = [(score, what) for score in study.scores for what in ("ours", "folds'", "paper's")]
    sizes = [name for name in told[0].sizes if any(one.sizes[name] for one in told)]
    head = ["arm", *sizes, "dropped", *(f"{score}, {what}" for score, what in columns)]
    rows = [[*head, f"{main} less the first arm's", "p"]]
    for one in told:
        row = [one.arm.name, *(str(one.sizes[name]) for name in sizes), str(one.dropped)]
        for score in study.scores:
            of = one.figures["scores"][score]
            interval = "" if of["interval"] is None else " [{:.4f}, {:.4f}]".format(*of["interval"])
            folds = "-" if of["mean of folds"] is None else f"{of['mean of folds']:.4f}"
            paper = printed.get((one.arm.name, score))
            row += [_number(of["mean"], of["sd"], 4) + interval, folds, _share_of_1(paper)]
        pair = one.compared
        row += (
            [f"{pair.difference:+.4f} [{pair.low:+.4f}, {pair.high:+.4f}]", f"{pair.p:.4f}"]
            if pair
            else ["-", "-"]
        )
        rows.append(row)
    return rows


def _rest(one: Printed) -> list[str]:
    return [
        one.recognizer,
        one.arm,
        one.tested,
        one.score,
        _share_of_1(one),
        one.against,
        one.epoch,
    ]


def _share_of_1(printed: Printed | None) -> str:
    """What the paper prints in percent as ours is printed, with its own digits."""
    if printed is None:
        return "-"
    sign = "+" if printed.against and printed.value > 0 else ""
    return sign + _number(printed.value / 100, printed.sd and printed.sd / 100, 3)


def _number(mean: float, sd: float | None, digits: int) -> str:
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


def _drawn(study: Study, recognizer: str, title: str, done: Done) -> Figure:
    """Every arm's main score and its interval; what the paper prints has axes of its own."""
    from matplotlib.figure import Figure

    score = study.scores[0]
    most = max(len(told) for _, told in done)
    printed = [_printed(study, recognizer, trial) for trial, _ in done]
    panels = 2 if any(printed) else 1
    figure = Figure(figsize=(9, (1.5 + 0.35 * most) * len(done) + 0.6), layout="constrained")
    figure.suptitle("\n".join(textwrap.wrap(title, 100)), fontsize=9, parse_math=False)
    rows = figure.subplots(len(done), panels, squeeze=False, sharey="row")
    for axes, (trial, told), papers in zip(rows, done, printed, strict=True):
        axes[0].set_yticks(range(len(told)), [one.arm.name for one in told], parse_math=False)
        axes[0].invert_yaxis()
        axes[0].set_title(f"ours, {trial.name}, {trial.protocol}: pooled, 95 %", fontsize=8)
        if panels == 2:
            axes[1].set_title(f"the paper's, {study.place}: mean of folds, ± sd", fontsize=8)
        for panel in axes:
            panel.set_xlabel(score)
        for place, one in enumerate(told):
            of, paper = one.figures["scores"][score], papers.get((one.arm.name, score))
            low, high = of["interval"] or (of["mean"], of["mean"])
            axes[0].plot([low, high], [place, place], color="tab:blue", linewidth=1)
            axes[0].plot(of["mean"], place, "o", color="tab:blue")
            if paper is not None:
                sd = (paper.sd or 0) / 100
                axes[1].errorbar(paper.value / 100, place, xerr=sd, fmt="s", color="tab:gray")
    return figure
