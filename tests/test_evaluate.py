"""The evaluator cannot flatter: planted leaks, epochs chosen on a test, cells of another run."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mie_x import folds
from mie_x.datasets import flow_images
from mie_x.datasets.collection import MARK
from mie_x.datasets.sheets import write_sheet
from mie_x.records import LABELS, Origin
from mie_x.report import STAND_IN, Report, confusion_figure, read_predictions, read_report
from mie_x.threads import one_thread
from pipelines.evaluate import (
    Arm,
    Data,
    Evaluated,
    _check_tested,
    _Plan,
    data_of,
    evaluate,
    found_in,
)
from pipelines.examples import Example, LeftOut, of_flow_pictures
from pipelines.views import Recipe, Seen
from recognizers import DESCRIPTORS, RECOGNIZERS, training, weights
from tests.conftest import make_dataset
from tests.test_cli import mie_x
from tests.test_examples import film
from tests.test_folds import composite

ROOT = Path(__file__).resolve().parent.parent
PEOPLE = (("casme2", "sub01"), ("samm", "006"), ("smic", "s01"))
NET = "off-apexnet"  # the fastest that learns


def lay_out(
    root: Path, people: Sequence[tuple[str, str]] = PEOPLE, *, each: int = 3, seed: int = 0
) -> Path:
    """Flow pictures of nothing but noise: EACH of everybody, classes in turn."""
    rng = np.random.default_rng(seed)
    lines: list[list[object]] = [[*flow_images.COLUMNS]]
    (root / flow_images.ALL).mkdir(parents=True)
    for corpus, subject in people:
        for number in range(each):
            noise = rng.integers(0, 256, (28, 28, 3), dtype=np.uint8)
            clip = f"c{number}"
            Image.fromarray(noise).save(root / flow_images.ALL / f"{subject}_{clip} .png")
            label = number % 3
            lines.append([corpus, subject, clip, label, None, f"{subject}_{clip}.png", None])
    write_sheet(root / flow_images.INDEX, {"index": lines})
    return root


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of one person of three collections each: look, do not touch."""
    return lay_out(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what is seen is kept for all tests."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def real(pictures: Path, store: Path) -> Data:
    return data("flow_images", of_flow_pictures(pictures).examples, store)


def data(name: str, examples: Sequence[Example], store: Path) -> Data:
    return data_of(name, examples, NET, recipe=Recipe(), store=store)


def moved(real: Data, origins: Sequence[Origin | None], source: str = "mie") -> Data:
    """Synthetic samples that show what REAL shows, one for each of ORIGINS (None: of "exp")."""
    examples = [
        replace(example, key=f"made {n}", origin=origin, source=source if origin else "exp")
        for n, (example, origin) in enumerate(zip(real.seen.examples, origins, strict=False))
    ]
    part = real.seen.select(range(len(examples)))
    return Data("made", replace(part, examples=tuple(examples)))


def run(arms: Sequence[Arm], real: Data, out: Path, **options: Any) -> Evaluated:
    given: dict[str, Any] = {"protocol": "loso", "seeds": 1}
    return evaluate(arms, real, out, **given | options)


def quick(name: str = "without", before: Data | None = None, **options: Any) -> Arm:
    """An arm of one epoch."""
    own: dict[str, Any] = {"epochs": 1, "before_epochs": None if before is None else 1}
    return Arm(name, NET, before, **own | options)


def cells(out: Path) -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text()) for path in (out / "cells").glob("*.json")}


def contents(out: Path) -> dict[str, bytes]:
    """What a run is for, byte by byte; cells tell seconds as well."""
    paths = [out / "report.md", *(out / "reports").iterdir(), *(out / "pretrained").iterdir()]
    return {path.name: path.read_bytes() for path in paths}


# -- planted leaks -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_leak_would_give_everything_and_the_guard_leaves_chance(
    tmp_path: Path, store: Path
) -> None:
    """Noise can only be learned by heart. The control calls the same movements nobody's."""
    people = [
        *(("casme2", f"sub{n:02d}") for n in range(1, 5)),
        *(("samm", f"{n:03d}") for n in range(6, 10)),
        *(("smic", f"s{n:02d}") for n in range(1, 5)),
    ]
    real = data("noise", of_flow_pictures(lay_out(tmp_path / "p", people)).examples, store)
    origins = [example.origin for example in real.seen.examples]
    nobody = [Origin("stand-in-mie", *origin[1:]) for origin in origins if origin]

    def accuracy(which: Sequence[Origin | None], *, finetune: bool) -> float:
        arm = Arm("it", NET, moved(real, which), finetune=finetune, before_epochs=60,
                  epochs=1 if finetune else None)  # fmt: skip
        done = run([arm], real, tmp_path / "out", protocol="lodo")
        confusion = done.reports[0].confusion
        return float(np.trace(confusion) / confusion.sum())

    for finetune in (False, True):
        assert accuracy(nobody, finetune=finetune) == 1
        assert accuracy(origins, finetune=finetune) < 0.6


ALIASES = [
    Origin("CASME II", "1", "EP01_01f"),  # sub01 by another name
    Origin("casme2", "SUB01", "EP02"),
    Origin("SMIC-NIR", "1", "s1_ne_01"),  # the same session, another camera
    Origin("SAMM_LV", "6", "006_1"),  # the long videos that SAMM was cut from
    Origin("samm", "007", "007_3_1"),  # nobody who is tested
    None,
]


def test_whoever_moves_as_a_tested_person_is_dropped_in_that_fold_alone_and_counted(
    real: Data, tmp_path: Path
) -> None:
    done = run([quick(), quick("made", moved(real, ALIASES))], real, tmp_path)
    assert done.dropped == {
        "without": {},
        "made": {"casme2/sub01": 2, "samm/006": 1, "smic-hs/s01": 1},
    }
    told = {cell["fold"]: cell["dropped"] for cell in cells(tmp_path).values() if cell["dropped"]}
    assert told == {
        "casme2/sub01": {"casme2/sub01": 2},
        "samm/006": {"samm/006": 1},
        "smic-hs/s01": {"smic-hs/s01": 1},
    }
    text = (tmp_path / "report.md").read_text()
    assert "- without: none\n- made: 4 samples of 3 tested people\n" in text


def test_micro_and_macro_of_one_person_go_together(real: Data, tmp_path: Path) -> None:
    mae = moved(real, [Origin("smic", "s1", "macro"), Origin("ckplus", "S005", "x")] * 2, "mae")
    assert run([quick("made", mae)], real, tmp_path).dropped["made"] == {"smic-hs/s01": 2}


def test_clips_beside_are_dropped_as_well(real: Data, tmp_path: Path) -> None:
    beside = moved(real, [Origin("samm-lv", "006", "m"), Origin("ckplus", "S005", "x")], "real")
    done = run([quick("beside", beside=beside)], real, tmp_path)
    assert done.dropped["beside"] == {"samm/006": 1}
    assert "- beside: 1 samples of 1 tested people\n" in (tmp_path / "report.md").read_text()
    assert done.reports[0].trained_on.startswith("the training folds + made (")


def test_what_is_dropped_is_not_learned_from(real: Data, tmp_path: Path) -> None:
    plan = _Plan(
        real, _check_tested(real, tuple(LABELS)), tmp_path, tuple(LABELS), folds.APART, False,
        range(1), "cpu",
    )  # fmt: skip
    arm = quick("made", moved(real, ALIASES), beside=moved(real, ALIASES, "real"))
    for fold in folds.split("loso", plan.people):
        ((cell, begun),) = plan.cells(arm, fold)
        assert begun is not None
        assert cell.beside is not None
        for seen in (begun.before, cell.beside):
            owners = {folds.person(*e.origin[:2]) for e in seen.examples if e.origin}
            assert "/".join(("samm", "007")) in {"/".join(who) for who in owners}
            assert not owners & {plan.people[row] for row in fold.test}
            assert any(e.origin is None for e in seen.examples)


@pytest.mark.parametrize(
    ("origins", "source", "said"),
    [
        ([Origin("my table", "6", "a")], "mie", "made: made 0: whether the people of corpus 'my t"),
        ([None, Origin("casme3", "spNO.1", "a")], "mie", "made 1: whether the people of corpus 'c"),
        ([Origin("samm", "1", "006_1_2")], "mie", "the clip's name tells of subject 006"),
        ([Origin("samm", "six", "a")], "mie", "'six' is no subject"),
    ],
)
@pytest.mark.parametrize("place", ["before", "beside"])
def test_who_cannot_be_judged_stops_the_run_before_it_begins(
    place: str, origins: list[Origin | None], source: str, said: str, real: Data, tmp_path: Path
) -> None:
    arm = quick("made", **{place: moved(real, origins, source)})
    with pytest.raises(ValueError, match=re.escape(said)):
        run([quick(), arm], real, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_movement_without_an_origin_is_refused_and_called_by_its_key(
    real: Data, tmp_path: Path
) -> None:
    made = moved(real, [None, None, None])
    examples = [replace(e, source=s) for e, s in zip(made.seen.examples, ("exp", "exp", "mie"))]  # noqa: B905
    made = Data("made", replace(made.seen, examples=tuple(examples)))
    with pytest.raises(ValueError, match="made: made 2: source mie without an origin"):
        run([quick("made", made)], real, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_who_stands_apart_has_to_be_said_and_saves_nobody_who_is_tested(
    real: Data, tmp_path: Path
) -> None:
    made = moved(real, [Origin("casme3", "spNO.1", "a"), Origin("casme2", "1", "b")])
    done = run([quick("made", made)], real, tmp_path, apart=["casme3", "casme2"])
    assert done.dropped["made"] == {"casme2/sub01": 1}


def own(real: Data, corpus: str, subjects: Sequence[str]) -> Data:
    """REAL as of a lab's own CORPUS: three clips of each of SUBJECTS."""
    examples = [
        replace(e, key=f"{n}", origin=Origin(corpus, subjects[n // 3], f"c{n}"))
        for n, e in enumerate(real.seen.examples)
    ]
    return Data("own", replace(real.seen, examples=tuple(examples)))


def test_a_person_of_an_own_corpus_in_another_spelling_is_no_other_person(
    real: Data, tmp_path: Path
) -> None:
    tested = own(real, "mylab", ["S01", "S02", "S03"])
    made = moved(real, [Origin("mylab", "s_1", "a")])
    with pytest.raises(ValueError, match="mylab/s_1 could be mylab/S01, who is tested"):
        run([quick("made", made)], tested, tmp_path / "out")
    with pytest.raises(ValueError, match="MyLab/S1 could be mylab/S01"):
        run([quick("made", moved(real, [Origin("MyLab", "S1", "a")]))], tested, tmp_path / "out",
            apart=["MyLab"])  # fmt: skip
    with pytest.raises(ValueError, match="mylab/S01 and mylab/s1 look like one person"):
        run([quick()], own(real, "mylab", ["S01", "S02", "s1"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    told = run([quick("made", moved(real, [Origin("mylab", "S01", "a"), None]))], tested, tmp_path)
    assert told.dropped["made"] == {"mylab/S01": 1}


def test_people_of_an_own_corpus_may_have_been_filmed_elsewhere(real: Data, tmp_path: Path) -> None:
    """casme3's people, tested, could be casme2's: as little is known as the other way round."""
    tested = own(real, "casme3", ["spNO.1", "spNO.2", "spNO.3"])
    made = moved(real, [Origin("casme2", "01", "a"), Origin("stand-in-mie", "x", "b"), None])
    with pytest.raises(ValueError, match="made 0: whether the people of casme3, who are tested"):
        run([quick("made", made)], tested, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    done = run([quick("made", made)], tested, tmp_path, apart=["casme3"])
    assert done.dropped["made"] == {}


def test_clips_under_the_name_of_somebody_else_are_not_tested(real: Data, tmp_path: Path) -> None:
    examples = list(real.seen.examples)
    examples[0] = replace(examples[0], origin=Origin("samm", "007", "006_1_2"))
    with pytest.raises(ValueError, match="flow_images: origin samm/007/006_1_2: the clip's"):
        run(
            [quick()], Data(real.name, replace(real.seen, examples=tuple(examples))), tmp_path / "o"
        )
    assert not (tmp_path / "o").exists()


def test_what_is_synthetic_is_not_tested(real: Data, tmp_path: Path) -> None:
    made = moved(real, [Origin("samm", "006", "a"), Origin("casme2", "1", "b"), None])
    with pytest.raises(ValueError, match="made 0 is synthetic: it shows a face that other folds"):
        run([quick()], made, tmp_path / "out")


def test_a_clip_that_is_there_twice_or_a_class_that_is_not_stops_the_run(
    real: Data, tmp_path: Path
) -> None:
    twice = real.seen.select([*range(9), 4])
    with pytest.raises(ValueError, match="samm/006/c1 is there 2 times"):
        run([quick()], Data("twice", twice), tmp_path / "out")
    some = real.seen.select([0, 1, 3, 4])
    with pytest.raises(ValueError, match="some: no surprise among the clips"):
        run([quick()], Data("some", some), tmp_path / "out")
    with pytest.raises(ValueError, match="label 2 is none of negative, positive"):
        run([quick()], real, tmp_path / "out", classes=("negative", "positive"))
    assert not (tmp_path / "out").exists()


def test_a_fold_that_leaves_nothing_to_learn_from_stops_the_run(real: Data, tmp_path: Path) -> None:
    made = moved(real, [Origin("casme2", "1", "a"), Origin("casme2", "sub01", "b")])
    with pytest.raises(ValueError, match="made: in fold casme2/sub01 nothing is left"):
        run([quick("made", made)], real, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recognizer", [NET, "apexme"])
def test_no_weights_that_were_learned_elsewhere_are_taken(
    recognizer: str, real: Data, tmp_path: Path
) -> None:
    """A file of weights tells nobody of whom they learned from: no arm begins with one."""
    path = tmp_path / "learned.safetensors"
    fitted = training.fit(NET, real.seen, classes=tuple(LABELS), seed=0, epochs=1)
    weights.save(path, fitted, trained_on="everybody", stand_in=True)
    with pytest.raises(ValueError, match=r"no trunk that|choose None or 'imagenet'"):
        run([Arm("it", recognizer, weights=str(path), epochs=1)], real, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_of_weights_is_no_dataset_to_pre_train_on(
    pictures: Path, store: Path, tmp_path: Path
) -> None:
    path = tmp_path / "learned.safetensors"
    path.write_bytes(b"weights")
    done = mie_x(*asked(pictures, store, tmp_path / "out", "--pretrain", path))
    assert (done.exit_code, len(done.stderr.strip().splitlines())) == (2, 1), done.output
    assert not (tmp_path / "out").exists()


def test_weights_are_shared_by_folds_that_drop_the_same(real: Data, tmp_path: Path) -> None:
    apart = moved(real, [Origin("stand-in-mie", "x", "a"), None])
    run([quick("made", apart)], real, tmp_path / "one")
    assert len(list((tmp_path / "one/pretrained").iterdir())) == 1
    leak = moved(real, [Origin("casme2", "1", "a"), Origin("ckplus", "S005", "b"), None])
    run([quick("made", leak), quick("direct", leak, finetune=False, epochs=None)], real,
        tmp_path / "two", seeds=2)  # fmt: skip
    assert len(list((tmp_path / "two/pretrained").iterdir())) == 2 * 2  # with and without, a seed
    assert len(cells(tmp_path / "two")) == 3 * 2 * 2


# -- which epoch ---------------------------------------------------------------------------------


def test_the_last_epoch_is_reported_and_the_best_is_apart(real: Data, tmp_path: Path) -> None:
    arms = [
        quick("first", epochs=8),
        quick("direct", moved(real, ALIASES), finetune=False, epochs=None),
        quick("made", moved(real, ALIASES), epochs=8),
    ]
    done = run(arms, real, tmp_path, oracle=True)
    assert list(done.oracles) == ["first", "made"]  # what is not trained on has no epoch to choose
    people = [folds.person(*e.origin[:2]) for e in real.seen.examples if e.origin]
    best, last = {}, {}
    for fold in folds.split("loso", people):
        test = real.seen.select(fold.test)
        train = real.seen.select(fold.train)
        with one_thread():  # as every cell is run
            fitted = training.fit(NET, train, classes=tuple(LABELS), seed=0, epochs=8, oracle=test)
        assert fitted.oracle is not None
        right = (fitted.oracle.argmax(2) == test.labels).sum(1)
        for key, *scores in zip(
            [e.key for e in test.examples], fitted.oracle[-1], fitted.oracle[right.argmax()],
            strict=True,
        ):  # fmt: skip
            last[key], best[key] = (tuple(of.tolist()) for of in scores)
    assert {row.key: row.scores for row in done.reports[0].rows} == last
    assert {row.key: row.scores for row in done.oracles["first"].rows} == best
    assert best != last
    assert {report.epoch for report in done.reports} == {"last"}
    assert len(done.comparisons) == 2  # first with direct and made, no oracle
    text = (tmp_path / "report.md").read_text()
    results, oracles = text.split("## ORACLE")[:2]
    assert "oracle" not in results.lower()
    assert oracles.count("| oracle |") == 2
    assert "oracle" not in text.split("## Second arm less first")[1].split("###")[0].lower()
    assert read_report(tmp_path / "reports/made-oracle.json") == done.oracles["made"]
    assert not (tmp_path / "reports/direct-oracle.json").exists()


def test_without_asking_there_is_no_oracle(real: Data, tmp_path: Path) -> None:
    done = run([quick()], real, tmp_path)
    assert done.oracles == {}
    assert "ORACLE" not in (tmp_path / "report.md").read_text()
    assert {cell["oracle"] for cell in cells(tmp_path).values()} == {None}


def test_an_arm_cannot_take_the_name_of_an_oracle(real: Data, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give each a name of its own"):
        run([quick("a"), quick("A oracle")], real, tmp_path, oracle=True)


# -- again, and going on -------------------------------------------------------------------------


def arms_of(real: Data) -> list[Arm]:
    return [quick(), quick("made", moved(real, ALIASES), beside=moved(real, ALIASES, "real"))]


class StopAt:
    """Progress that is stopped after so many cells."""

    def __init__(self, stop: int | None = None) -> None:
        self.stop, self.calls = stop, [(0, 0)]

    def __call__(self, done: int, total: int) -> None:
        self.calls.append((done, total))
        if done == self.stop:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_one_worker_and_two_write_the_same_bytes(real: Data, tmp_path: Path) -> None:
    run(arms_of(real), real, tmp_path / "one", seeds=2)
    run(arms_of(real), real, tmp_path / "two", seeds=2, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert cells(tmp_path / "one").keys() == cells(tmp_path / "two").keys()


def test_a_stopped_run_goes_on_and_ends_as_one_that_was_not(real: Data, tmp_path: Path) -> None:
    told = StopAt()
    run(arms_of(real), real, tmp_path / "whole", progress=told)
    total = 4 + 6  # weights for three folds and none, cells of two arms
    assert told.calls[-1] == (total - 1, total - 1)  # every fold drops somebody
    out = tmp_path / "stopped"
    finished: dict[Path, int] = {}
    for stop in range(1, total):
        stopped = StopAt(stop=1)
        with pytest.raises(KeyboardInterrupt):
            run(arms_of(real), real, out, progress=stopped)
        assert stopped.calls[-1] == (1, total - stop)
        assert not (out / "report.md").exists()
        there = {
            path: path.stat().st_mtime_ns
            for folder in ("cells", "pretrained")
            for path in (out / folder).iterdir()
        }
        assert finished.items() <= there.items()  # nothing is done again
        finished = there
    told = StopAt()
    run(arms_of(real), real, out, progress=told)
    assert told.calls == [(0, 0)]
    assert contents(out) == contents(tmp_path / "whole")


def predictions(out: Path, arm: str = "without") -> Report:
    return read_report(out / f"reports/{arm}.json")


def test_cells_of_another_setting_are_never_mixed_in(real: Data, tmp_path: Path) -> None:
    run([quick()], real, tmp_path / "old")
    options: dict[str, Any] = {"seeds": 2, "oracle": True}
    run([quick(epochs=3)], real, tmp_path / "old", **options)
    run([quick(epochs=3)], real, tmp_path / "new", **options)
    assert contents(tmp_path / "old") == contents(tmp_path / "new")
    assert len(cells(tmp_path / "old")) == 3 + 6


def test_reports_of_another_call_do_not_lie_beside(real: Data, tmp_path: Path) -> None:
    run([quick(), quick("made", moved(real, ALIASES))], real, tmp_path, oracle=True)
    assert len(list((tmp_path / "reports").iterdir())) == 4 * 3
    run([Arm("without", "ststnet", epochs=1)], real, tmp_path)
    names = ["without.csv", "without.json", "without.png"]
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == names
    assert predictions(tmp_path).recognizer == "ststnet"


def changed(real: Data, **options: Any) -> Data:
    """REAL, but for its first example."""
    first = replace(real.seen.examples[0], **options)
    return Data(real.name, replace(real.seen, examples=(first, *real.seen.examples[1:])))


def planned(
    arm: Arm, real: Data, *, classes: Sequence[str] = tuple(LABELS), **options: Any
) -> _Plan:
    told: dict[str, Any] = {"oracle": False, "seeds": range(1), "device": "cpu"}
    people = _check_tested(real, classes)
    return _Plan(real, people, Path(), tuple(classes), folds.APART, **told | options)


def paths(arm: Arm, real: Data, **options: Any) -> set[Path]:
    """Of the cells of ARM and the weights that they begin with."""
    plan = planned(arm, real, **options)
    each = [plan.cells(arm, fold) for fold in folds.split("loso", plan.people)]
    both = [(cell.path, begun) for of in each for cell, begun in of]
    return {path for path, _ in both} | {begun.path for _, begun in both if begun}


def test_what_a_cell_depends_on_is_in_its_name(
    real: Data, tmp_path: Path, pictures: Path, store: Path
) -> None:
    other = Path(shutil.copytree(pictures, tmp_path / "p"))
    Image.new("RGB", (28, 28), "gray").save(other / flow_images.ALL / "006_c1 .png")
    frame = data("flow_images", of_flow_pictures(other).examples, store)
    made = moved(real, ALIASES)
    variants = [
        paths(quick(), real),
        paths(quick(), changed(real, label=1)),
        paths(quick(), changed(real, kind="macro")),
        paths(quick(), frame),
        paths(quick(epochs=2), real),
        paths(Arm("without", "ststnet", epochs=1), real),
        paths(quick(), real, oracle=True),
        paths(quick(), real, device="cuda"),
        paths(quick(), real, seeds=range(1, 2)),
        paths(quick(), real, classes=("a", "b", "c")),
        paths(quick(beside=made), real),
        paths(quick("made", made), real),
        paths(quick("made", made, before_epochs=2), real),
        paths(quick("made", changed(made, label=2)), real),
    ]
    assert sum(map(len, variants)) == len(set().union(*variants))
    assert paths(quick("other name", made), real) == variants[-3]  # no cell is run for a name


@pytest.mark.slow
def test_other_code_makes_other_cells(tmp_path: Path) -> None:
    for name in ("mie_x", "recognizers", "pipelines", "au_sources", "ganimation"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors")
        )
    changed = ["recognizers/off_apexnet.py", "mie_x/folds.py", "pipelines/evaluate.py"]
    code = (
        "from pipelines.evaluate import code_sha256\n"
        "found = [code_sha256()]\n"
        f"for name in {changed}:\n"
        "    open(name, 'a').write('# changed\\n')\n"
        "    code_sha256.cache_clear()\n"
        "    found.append(code_sha256())\n"
        "print(len(set(found)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.strip() == "4"


def test_a_damaged_cell_is_named(real: Data, tmp_path: Path) -> None:
    run([quick()], real, tmp_path)
    path = next((tmp_path / "cells").iterdir())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=f"{path.name} is damaged: delete it"):
        run([quick()], real, tmp_path)


# -- what is told --------------------------------------------------------------------------------


@pytest.mark.parametrize("stand_in", [True, False])
def test_a_stand_in_is_called_one_in_every_file(
    stand_in: bool, pictures: Path, store: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(pictures, tmp_path / "p"))
    if stand_in:
        (root / MARK).write_text("STAND-IN")
    name, found = found_in(f"flow_images={root}")
    assert name == "flow_images (9 clips)" + ", stand-in" * stand_in
    out = tmp_path / "out"
    run([quick()], data(name, found.examples, store), out)
    told = [
        (out / "report.md").read_text(),
        json.loads((out / "reports/without.json").read_text())["title"],
        (out / "reports/without.csv").read_text().splitlines()[0],
        " ".join(confusion_figure(predictions(out)).get_suptitle().split()),
    ]
    assert [STAND_IN in one for one in told] == [stand_in] * 4
    assert ["flow_images (9 clips)" in one for one in told] == [True] * 4
    assert read_predictions(out / "reports/without.csv") == predictions(out)
    if stand_in:  # every table and every part has it above
        heads = [line for line in told[0].splitlines() if re.match("##.* loso on ", line)]
        assert heads
        assert all(STAND_IN in head for head in heads)


def test_what_was_learned_from_is_told_with_its_sources_and_sizes(
    tmp_path: Path, pictures: Path, store: Path, real: Data
) -> None:
    folder = make_dataset(tmp_path / "made", "parquet", people=["b"])
    name, _ = found_in(str(folder))
    assert name == "made (exp, mie; 5 samples), stand-in"
    name, _ = found_in(str(folder), sources=["exp"])
    assert name == "made (exp; 2 samples)"
    with pytest.raises(ValueError, match="only a synthetic dataset has sources"):
        found_in(f"flow_images={pictures}", sources=["mie"])
    before = replace(moved(real, ALIASES), name=name)
    assert quick("x", before).trained_on == (
        "made (exp; 2 samples), then the training folds (1 epochs of pre-training, "
        "1 epochs of fine-tuning)"
    )
    assert Arm("x", "apexme", before, finetune=False, weights="imagenet").trained_on == (
        "ImageNet, then made (exp; 2 samples) alone"
    )


def test_a_report_counts_each_class_and_tells_what_is_missing(
    real: Data, tmp_path: Path, store: Path
) -> None:
    left_out = [LeftOut("a", "no face"), LeftOut("b", "no face"), LeftOut("c", "others")]
    whole = data_of(
        "some", real.seen.examples, NET, recipe=Recipe(), left_out=left_out, store=store
    )
    run([quick("made", moved(real, ALIASES))], whole, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "- some: 2 x no face; 1 x others\n- made: nothing\n" in text
    assert "| 1 | 3 | 3 | 3 |" in text  # seeds, n of each class
    people = [who for who in folds.PUBLISHED["samm5"] if who != ("samm", "037")]
    everybody = lay_out(tmp_path / "samm", people)
    found = of_flow_pictures(everybody).examples
    run([quick()], data("samm", found, store), tmp_path / "out", protocol="samm5")
    assert (
        "- nobody is there of the protocol's samm/037" in (tmp_path / "out/report.md").read_text()
    )


def test_a_dataset_of_photographs_is_told_of_since_nobody_knows_their_people(
    real: Data, tmp_path: Path, store: Path
) -> None:
    folder = make_dataset(tmp_path / "made", "parquet", people=["b"])
    before = data("made", found_in(str(folder), sources=["exp"])[1].examples, store)
    run([quick(), quick("made", before)], real, tmp_path / "out")
    text = (tmp_path / "out/report.md").read_text()
    assert text.count("whose photographs it shows is not known here") == 1
    assert "- made: whose photographs" in text


def test_pictures_that_cannot_be_seen_are_in_the_name(
    tmp_path: Path, pictures: Path, store: Path
) -> None:
    root = Path(shutil.copytree(pictures, tmp_path / "p"))
    (root / flow_images.ALL / "006_c1 .png").write_bytes(b"no picture")
    name, found = found_in(f"flow_images={root}")
    seen = data(name, found.examples, store)
    assert seen.name == "flow_images (9 clips), 1 of them not seen"
    assert [one.key for one in seen.left_out] == ["samm/006/c1"]
    for path in (root / flow_images.ALL).iterdir():
        path.write_bytes(b"no picture")
    name, found = found_in(f"flow_images={root}")
    with pytest.raises(ValueError, match=r"nothing can be seen of it; the first: casme2/sub01/c0"):
        data(name, found.examples, store)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"finetune": False}, "nothing to learn from"),
        ({"before_epochs": 3}, "nothing to pre-train on"),
        ({"recognizer": "lbp-top", "epochs": 3}, "is an SVM: it has neither epochs nor a trunk"),
        ({"recognizer": "bi-woof", "weights": "imagenet"}, "is an SVM"),
        ({"recognizer": "resnet"}, "no recognizer 'resnet': choose from branches"),
    ],
)
def test_an_arm_that_would_not_do_what_it_says_is_refused(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Arm(**{"name": "it", "recognizer": NET} | options)


def test_an_arm_with_a_synthetic_set_says_what_it_does_with_it(real: Data) -> None:
    made = moved(real, ALIASES)
    with pytest.raises(ValueError, match="an SVM, which is not fine-tuned"):
        Arm("it", "lbp-top", made)
    for option in ({"epochs": 1}, {"beside": made}):
        with pytest.raises(ValueError, match="without fine-tuning nothing is beside it"):
            Arm("it", NET, made, finetune=False, **option)


def test_a_plan_of_45000_samples_takes_seconds() -> None:
    """68 folds and 3 seeds of MiE-X's own size, as CPU seconds: others may be at work here."""

    def seen(examples: list[Example]) -> Seen:
        return Seen(tuple(examples), ("flow_28",), ({},), np.zeros(len(examples), np.int64))

    def example(number: int, origin: Origin | None, source: str, label: int) -> Example:
        pool: Any = None  # no sample is read
        return Example(
            f"{number}", origin, source, "x", label, "micro", False, pool, number
        )  # fmt: skip

    tested = composite()
    clips = [Origin(*who, f"clip {n}") for n, (who, _) in enumerate(tested)]
    real = Data(
        "composite",
        seen([example(n, clips[n], "real", label) for n, (_, label) in enumerate(tested)]),
    )
    sources: list[list[Origin | None]] = [
        [*clips], [Origin("ckplus", f"S{n % 123:03d}", f"{n}") for n in range(327)], [None]
    ]  # fmt: skip
    synthetic = Data("made", seen([
        example(n, sources[n % 3][n // 3 % len(sources[n % 3])], ("mie", "mae", "exp")[n % 3], 0)
        for n in range(45_000)
    ]))  # fmt: skip
    arm = quick("made", synthetic)
    start = time.process_time()
    plan = planned(arm, real, seeds=range(3))
    each = [plan.cells(arm, fold) for fold in folds.split("loso", plan.people)]
    begun = {one.path: len(one.before) for of in each for _, one in of if one}
    assert len(begun) == 68 * 3  # every fold drops somebody else
    assert 2 * 45_000 * 68 * 3 / 3 < sum(begun.values()) < 45_000 * 68 * 3
    assert time.process_time() - start < 30


# -- the commands --------------------------------------------------------------------------------


def asked(pictures: Path, store: Path, out: Path, *options: object) -> tuple[object, ...]:
    return (
        "evaluate", f"flow_images={pictures}", "--recognizer", NET, "--store", store,
        "--out", out, "--workers", 1, "--device", "cpu", "--epochs", 1, "--seeds", 1, *options,
    )  # fmt: skip


def test_evaluate_by_command(pictures: Path, store: Path, tmp_path: Path) -> None:
    done = mie_x(*asked(pictures, store, tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'out/report.md'}\n"
    assert (
        predictions(tmp_path / "out").trained_on == "the training folds (1 epochs of fine-tuning)"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--recognizer", "resnet"), "no recognizer 'resnet'"),
        (("--recognizer", "branches"), "onset_apex is made of frames; flow pictures are flow_28"),
        (("--recognizer", "lbp-top"), "lbp-top is an SVM: it has neither epochs nor a trunk"),
        (("--pretrain", "{}/nowhere"), "nowhere"),
        (("--pretrain", "flow_images={p}", "--sources", "mie"), "only a synthetic dataset"),
        (("--sources", "mie"), "--sources is for a synthetic dataset; add --pretrain DIR"),
        (("--direct",), "--direct is for a synthetic dataset"),
        (("--before-epochs", "2"), "--before-epochs is for a synthetic dataset"),
        (("--beside", "ckplus={}/nowhere"), "nowhere"),
        (("--protocol", "mmew5"), "casme2/sub01 is in no fold of mmew5"),
        (("--imagenet",), "off-apexnet has no trunk that imagenet would serve"),
        (("--device", "cuda:99"), "--device cuda:99 cannot be used here; give --device cpu"),
        (("--pretrain", "{}/made"), "whether the people of corpus 'corpus' are tested"),
    ],
)
def test_what_evaluate_cannot_do_is_one_sentence_and_nothing_is_written(
    options: tuple[str, ...], said: str, pictures: Path, store: Path, tmp_path: Path
) -> None:
    if "{}/made" in options:
        make_dataset(tmp_path / "made", "parquet", people=["b"])
    given = [text.format(tmp_path, p=pictures) for text in options]
    done = mie_x(*asked(pictures, store, tmp_path / "out", *given))
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_evaluation_that_is_stopped_says_how_it_goes_on(
    pictures: Path, store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [str(one) for one in asked(pictures, store, out)]
    command += ["--epochs", "300", "--seeds", "3"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mie_x", *command], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    while process.poll() is None and not list(out.glob("cells/*.json")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "stopped; finished folds are kept, and the same command goes on:" in said
    assert "mie-x evaluate flow_images=" in said
    assert "Traceback" not in said
    assert 1 <= len(cells(out)) < 9
    assert not (out / "report.md").exists()
    assert not list(out.rglob("*.partial"))


@pytest.fixture(scope="session")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of two drawn people, the second half of them smiling early: a lab's own."""
    root = tmp_path_factory.mktemp("filmed")
    lines = ["subject,clip,path,onset,apex,offset,label"]
    for number in range(6):
        au = {0: 4, 1: 12, 2: 1}[number % 3]
        folder = root / f"c{number}"
        folder.mkdir()
        for at, frame in enumerate(film(20 + number // 3, au, (0, 0.3, 0.6)), 1):
            Image.fromarray(frame).save(folder / f"{at}.png")
        lines.append(f"s{number // 3},c{number},c{number},1,3,3,{number % 3}")
    (root / "clips.csv").write_text("\n".join(lines) + "\n")
    (root / MARK).write_text("STAND-IN")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("recognizer", [*RECOGNIZERS, *DESCRIPTORS])
def test_the_whole_chain(recognizer: str, filmed: Path, chain: Path, tmp_path: Path) -> None:
    """Of a synthetic dataset and clips of two people, an epoch each: all arms, and a report."""
    svm = recognizer in DESCRIPTORS
    epochs = () if svm else ("--epochs", 1, "--before-epochs", 1)
    done = mie_x(
        "evaluate", f"clips={filmed}", "--recognizer", recognizer, "--pretrain", chain / "made",
        "--direct", "--seeds", 3 if svm else 1, *epochs, "--flow", "farneback", "--workers", 1,
        "--device", "cpu", "--store", chain / "store", "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    names = ["without", "direct"] if svm else ["without", "pre-trained", "direct"]
    for name in names:
        told = predictions(tmp_path / "out", name)
        assert (told.recognizer, told.stand_in, len(told.rows)) == (
            recognizer,
            True,
            18 if svm else 6,
        )
        other = recognizer not in ("branches", "apexme", "mecia", "lbp-top")  # these see frames
        assert told.data == "clips (6 clips), stand-in" + ", farneback flow" * other
        assert ("made (exp, mie; " in told.trained_on) == (name != "without")
    assert len(list((tmp_path / "out/pretrained").iterdir())) == 1
    assert len(cells(tmp_path / "out")) == 2 * len(names)  # an SVM has one for all seeds
    looked = {path.name for path in (tmp_path / "out/reports").glob("*-where-it-looked.png")}
    assert looked == (set() if svm else {f"{name}-where-it-looked.png" for name in names})
    text = (tmp_path / "out/report.md").read_text()
    assert all(f"](reports/{name})" in text for name in looked)
    assert text.count("## Second arm less first") == 1
    assert text.count(f"### {STAND_IN}") == len(names)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of six samples, of two faces and stand-in motions, and a store."""
    root = tmp_path_factory.mktemp("chain")
    done = mie_x(
        "generate", "--ids", 1, "--sources", "mie,exp", "--no-measure", "--workers", 1,
        "--device", "cpu", "--out", root / "made",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return root


def test_a_flow_that_is_not_installed_is_one_sentence(
    filmed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where the extra is not installed
    done = mie_x(
        "evaluate", f"clips={filmed}", "--recognizer", NET, "--flow", "tvl1-opencv",
        "--store", tmp_path / "store", "--out", tmp_path / "out", "--device", "cpu",
    )  # fmt: skip
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1 and 'pip install "mie-x[opencv]"' in done.stderr
