"""Studies: equal sizes are equal, parts lie in one another, the paper's figures stand apart."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as holds
from hypothesis import settings as effort
from hypothesis import strategies as st
from PIL import Image

import au_sources
from mie_x import samples
from mie_x.datasets.collection import MARK
from mie_x.datasets.sheets import write_sheet
from mie_x.report import STAND_IN
from pipelines import generate
from pipelines.ablate import (
    SAMM,
    SHARES,
    STUDIES,
    Given,
    Trial,
    ablate,
)
from pipelines.evaluate import Data
from pipelines.examples import Example
from pipelines.inputs import find_faces
from pipelines.parts import FRONTAL, even, movements, part, spread, turn_of, whole_identities
from pipelines.views import Seen
from recognizers import RECOGNIZERS
from tests.conftest import make_dataset
from tests.test_cli import mie_x
from tests.test_evaluate import lay_out
from tests.test_examples import film

PEOPLE = ["a", "b", "c", "d", "e"]
MOVES = {"anger": 4, "happiness": 12, "surprise": 1, "fear": 20, "disgust": 9, "other": 17}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``flow``: nine flow pictures of three people, noise; ``data``: a dataset of 5 people, noise.

    The dataset moves as people of SMIC, and "b" lacks the surprise of exp. ``store``: what is seen.
    """
    root = tmp_path_factory.mktemp("ablate")
    lay_out(root / "flow", [("casme2", "sub01"), ("samm", "006"), ("smic", "s03")])
    make_dataset(root / "data", "parquet", people=PEOPLE, corpus="smic-hs")
    return root


@pytest.fixture
def asked(world: Path, tmp_path: Path) -> Given:
    """The smallest study that trains: one epoch of everything, by person."""
    return Given(
        out=tmp_path / "out",
        recognizer="ststnet",
        real={"flow_images": f"flow_images={world / 'flow'}"},
        synthetic=str(world / "data"),
        protocol="loso",
        epochs=1,
        before_epochs=1,
        store=world / "store",
    )


def arms_of(trials: Sequence[Trial]) -> dict[str, Data | None]:
    (trial,) = trials
    return {arm.name: arm.before for arm in trial.arms}


def keys(data: Data | None) -> set[str]:
    assert data is not None
    return {example.key for example in data.seen.examples}


# -- what the paper prints -----------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_what_the_paper_prints_is_of_known_scores_and_stands_once(name: str) -> None:
    study = STUDIES[name]
    assert study.name == name
    assert {one.recognizer for one in study.printed} <= {*RECOGNIZERS}
    assert {one.score for one in study.printed} <= set(study.scores)
    places = Counter(one[:3] + one[5:] for one in study.printed)
    assert set(places.values()) <= {1}


@pytest.mark.parametrize(
    ("recognizer", "arm", "gain"),
    [
        ("apexme", "MiE-X", 5.1),
        ("branches", "MiE-X", 7.1),
        ("branches", "MiE-X, CK+ beside", 8.7),
        ("branches", "none, CK+ beside", 1.6),
    ],
)
def test_table_1_gains_what_the_paper_says(recognizer: str, arm: str, gain: float) -> None:
    uf1 = {
        one.arm: one.value
        for one in STUDIES["table1"].printed
        if (one.recognizer, one.score) == (recognizer, "UF1")
    }
    assert uf1[arm] - uf1["none"] == pytest.approx(gain)


# -- parts of a dataset --------------------------------------------------------------------------


def drawn(people: int, seed: int) -> Data:
    """PEOPLE with every source and class, in an order by SEED."""
    pool: Any = SimpleNamespace(gives="frames")
    examples = [
        Example(f"{who}_{source}_{label}", None, source, f"{who}", label, "micro", False, pool, 0)
        for who in range(people)
        for source in ("mie", "mae", "exp")
        for label in range(3)
    ]
    order = np.random.default_rng(seed).permutation(len(examples))
    seen = Seen(tuple(examples[n] for n in order), (), (), np.zeros(len(examples), np.int64))
    return Data("drawn (all)", seen)


@effort(max_examples=30, deadline=None)
@holds(people=st.integers(8, 40), counts=st.lists(st.integers(1, 40), min_size=2, max_size=2))
def test_a_smaller_part_lies_in_a_larger_one_whatever_the_order(
    people: int, counts: list[int]
) -> None:
    few, many = sorted(min(count, people) for count in counts)
    found = []
    for count, seed in ((few, 0), (many, 0), (many, 1)):
        data = drawn(people, seed)
        groups = [example.subject for example in data.seen.examples]
        share: dict[Any, int] = {
            (source, label): count for source in ("mie", "mae", "exp") for label in range(3)
        }
        rows = spread(data, range(len(groups)), groups, share)
        taken = Counter((data.sources[row], data.seen.examples[row].label) for row in rows)
        assert taken == share
        found.append({data.seen.examples[row].key for row in rows})
    assert found[0] <= found[1] == found[2]


def test_a_ninth_of_the_samples_shows_everybody() -> None:
    """Of 40 people each has nine samples: 40 of these could be of five people."""
    data = drawn(40, 0)
    groups = [example.subject for example in data.seen.examples]
    share: dict[Any, int] = {(s, label): 5 for s in ("mie", "mae", "exp") for label in range(3)}
    rows = spread(data, range(len(groups)), groups, share)
    assert len(rows) == 45
    assert len({groups[row] for row in rows}) >= 36


def test_all_classes_have_as_many_as_the_rarest() -> None:
    data = drawn(4, 0)
    keys = [example.key for example in data.seen.examples]
    rows = [row for row, key in enumerate(keys) if key not in ("0_mie_2", "3_mie_2", "1_exp_0")]
    assert even(data, rows) == {
        **{("mie", label): 2 for label in range(3)},
        **{("mae", label): 4 for label in range(3)},
        **{("exp", label): 3 for label in range(3)},
    }
    whole = whole_identities(Data("", data.seen.select(rows)), ["mie", "mae"])
    assert sorted(whole) == ["1", "2"]


def test_a_part_is_called_by_what_it_is_and_its_size() -> None:
    data = drawn(4, 0)
    rows = [row for row, example in enumerate(data.seen.examples) if example.subject in "13"]
    assert part(data, rows, "mie").name == "mie of drawn (18 samples of 2 identities)"


# -- sources -------------------------------------------------------------------------------------


def test_every_mix_of_sources_takes_all_its_rows(asked: Given) -> None:
    arms = arms_of(STUDIES["sources"].trials(asked))
    assert list(arms) == [
        "none", "mie", "mie, direct", "exp", "exp, direct", "mie+exp", "mie+exp, direct",
    ]  # fmt: skip
    assert arms["none"] is None
    assert [len(keys(arms[name])) for name in ("mie", "exp", "mie+exp")] == [15, 14, 29]
    assert keys(arms["mie"]) | keys(arms["exp"]) == keys(arms["mie+exp"])
    assert {key.split("_")[1] for key in keys(arms["exp"])} == {"exp"}


def test_mixes_of_equal_size_are_of_whole_people_chosen_by_seed(asked: Given) -> None:
    found = []
    for seed in (0, 0, 1, 2):
        arms = arms_of(STUDIES["sources"].trials(replace(asked, samples=6, seed=seed)))
        for name, people in (("mie", 2), ("exp", 2), ("mie+exp", 1)):
            assert len(keys(arms[name])) == 6
            shown = Counter(key.split("_")[0] for key in keys(arms[name]))
            assert set(shown.values()) == {6 // people}
            assert Counter(arms[name].seen.labels.tolist()) == {0: 2, 1: 2, 2: 2}  # type: ignore[union-attr]
        assert not any(key.startswith("b_") for key in keys(arms["exp"]))
        found.append([sorted(keys(arms[name])) for name in ("mie", "exp", "mie+exp")])
    assert found[0] == found[1]
    assert len({str(one) for one in found}) > 1


def test_sizes_that_cannot_be_equal_are_refused(asked: Given) -> None:
    with pytest.raises(ValueError, match="--samples 8: give a multiple of 6"):
        STUDIES["sources"].trials(replace(asked, samples=8))
    with pytest.raises(ValueError, match="of exp 4 identities have every sample, 5 are needed"):
        STUDIES["sources"].trials(replace(asked, samples=15, sources=("exp",)))


# -- diversity -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def repeated(world: Path, tiny_weights: Path) -> Path:
    """Sixteen rendered people who move as twelve clips did, four a class, each twice or more."""
    every = au_sources.stand_in_clips("mie")
    few = [[clip for clip in every if clip.label == label][:4] for label in range(3)]
    sources = {"mie": au_sources.RealMie(clips=tuple(itertools.chain(*few)))}
    pool = find_faces(None, ids=16, seed=4)
    job = generate.prepare(world / "repeated", pool, sources, seed=4, weights=tiny_weights)
    return generate.run(job)


def test_a_movement_is_onset_apex_and_label(asked: Given, repeated: Path) -> None:
    data = asked.data(str(repeated))
    aus = [sample.aus.tobytes() for sample in samples.read(repeated) if sample.aus is not None]
    triplets = movements(data)
    labels = data.seen.labels.tolist()
    assert len(triplets) == len(aus) == 48
    assert len(set(triplets)) == len(set(zip(aus, labels, strict=True))) == 12
    assert len(set(zip(triplets, aus, labels, strict=True))) == 12
    backwards = Data("", data.seen.select(range(47, -1, -1)))
    assert movements(backwards) == triplets[::-1]


def test_identities_and_movements_vary_while_samples_stay(asked: Given, repeated: Path) -> None:
    given = replace(asked, synthetic=str(repeated), direct=False)
    arms = arms_of(STUDIES["diversity"].trials(given))
    names = ["1/8", "1/4", "1/2", "all"]
    series = ("identities", "AU triplets", "samples")
    assert [*arms] == ["none", *(f"{what} {share}" for what in series for share in names)]
    whole = given.data(str(repeated))
    moved = dict(zip((e.key for e in whole.seen.examples), movements(whole), strict=True))

    people = [{key.rsplit("_", 2)[0] for key in keys(arms[f"identities {n}"])} for n in names]
    assert [len(keys(arms[f"identities {n}"])) for n in names] == [6, 6, 6, 6]
    assert [len(some) for some in people] == [2, 4, 6, 6]  # six samples show six at most

    triplets = [{moved[key] for key in keys(arms[f"AU triplets {n}"])} for n in names]
    (size,) = {len(keys(arms[f"AU triplets {n}"])) for n in names}
    assert [len(some) for some in triplets] == [3 * min(n, size // 3) for n in (1, 1, 2, 4)]
    assert triplets[0] == triplets[1] < triplets[2]

    sizes = [len(keys(arms[f"samples {n}"])) for n in names]
    assert sizes == [3 * math.ceil(share * 16) for share in SHARES]
    for fewer, more in itertools.pairwise(names):
        assert keys(arms[f"samples {fewer}"]) < keys(arms[f"samples {more}"])


def test_movements_that_are_all_different_are_not_varied(asked: Given) -> None:
    (trial,) = STUDIES["diversity"].trials(asked)
    assert [name for name, _ in trial.not_run] == ["AU triplets"]
    assert not any(arm.name.startswith("AU") for arm in trial.arms)


# -- pose ----------------------------------------------------------------------------------------


@holds(angle=st.floats(-1, 1), size=st.floats(0.1, 10), x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_a_turn_is_not_changed_by_where_and_how_a_face_stands(
    angle: float, size: float, x: float, y: float
) -> None:
    points = np.array([(0, 0), (40, 0), (26, 25), (5, 50), (35, 50)], float)
    turned = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert turn_of(size * points @ turned + (x, y)) == pytest.approx(0.15, abs=1e-9)
    assert turn_of(points * (-1, 1) @ turned + (x, y)) == pytest.approx(0.15, abs=1e-9)


@pytest.mark.parametrize(("yaw", "frontal"), [(0, True), (-3, True), (16, False), (-20, False)])
def test_faces_turned_by_more_than_ten_degrees_are_not_frontal(yaw: float, frontal: bool) -> None:
    from mie_x.faces.detection import Detector
    from mie_x.renderer import draw_person, reference_view, render

    (image,) = render(
        [draw_person(3)], [replace(reference_view(), yaw=yaw)], np.zeros((1, 17), np.float32)
    ).images
    turn = turn_of(Detector()(image).points)
    assert (abs(turn) < FRONTAL) == frontal
    assert frontal or (turn > 0) == (yaw > 0)


def test_faces_that_are_not_found_are_told(asked: Given) -> None:
    with pytest.raises(ValueError, match=r"0 of 0 faces of .*data are frontal"):
        STUDIES["pose"].trials(asked)


@pytest.mark.slow
def test_datasets_are_made_alike_but_for_what_is_varied_and_then_taken_apart_by_pose(
    asked: Given,
) -> None:
    """Of these two people one looks to the side by 14 degrees (.10)."""
    given = replace(asked, synthetic=None, ids=2, seed=33)
    arms = arms_of(STUDIES["intensity"].trials(given))
    assert [*arms] == [
        "none", *(f"{interval}{how}" for interval in ("0.1 to 0.3", "0.3 to 0.5", "0.5 to 0.7")
                  for how in ("", ", direct")),
    ]  # fmt: skip
    made = [given.out / "datasets" / f"exp-{n}" for n in ("0.1-0.3", "0.3-0.5", "0.5-0.7")]
    rows = [list(samples.read(folder)) for folder in made]
    for weak, strong in itertools.pairwise(rows):
        for one, two in zip(weak, strong, strict=True):
            assert (one.key, one.label) == (two.key, two.label)
            assert one.aus is not None and two.aus is not None
            assert ((one.aus > 0) == (two.aus > 0)).all()
            assert two.aus[one.aus > 0] - one.aus[one.aus > 0] == pytest.approx(0.2, abs=1e-6)

    given = replace(asked, synthetic=str(made[0]))
    (trial,) = STUDIES["pose"].trials(given)
    arms = arms_of([trial])
    assert [*arms] == ["none", "frontal", "frontal, direct", "all poses", "all poses, direct"]
    assert {key.split("_")[0] for key in keys(arms["frontal"])} == {"rendered-s33-000000"}
    assert len(keys(arms["frontal"])) == len(keys(arms["all poses"])) == 3
    assert trial.notes[0].startswith("1 of 2 identities are turned by less than 0.07 distances")
    (kept,) = (given.out / "turns").iterdir()
    told = json.loads(kept.read_text())
    assert abs(told["rendered-s33-000000"]) < FRONTAL < abs(told["rendered-s33-000001"])


# -- running -------------------------------------------------------------------------------------


def test_a_study_is_told_with_the_paper_beside_and_runs_nothing_twice(asked: Given) -> None:
    folder = ablate("table1", asked, seeds=2, progress=False)
    assert folder == asked.out / "table1"
    told = json.loads((folder / "results.json").read_text())
    (trial,) = told["trials"]
    assert [one["arm"] for one in trial["arms"]] == ["none", "MiE-X", "MiE-X, direct"]
    assert {one["arm"] for one in trial["not run"]} == {
        "none, CK+ beside", "MiE-X, CK+ beside", "SMIC", "CASME II", "SAMM", "MMEW",
    }  # fmt: skip
    first, tuned, direct = trial["arms"]
    assert (first["samples before"], tuned["samples before"], direct["people before"]) == (0, 29, 5)
    assert first["less the first arm"] is None
    assert direct["less the first arm"]["score"] == "UF1"
    moved = [example.origin for example in asked.mixed().seen.examples if example.origin]
    as_tested = sum(origin.subject == "s3" for origin in moved)
    assert tuned["dropped"] == direct["dropped"] == as_tested == 3

    text = (folder / "report.md").read_text()
    assert text.startswith("# Table 1 of MiE-X, table1: what the recognizer learns from before")
    assert "Tested: 9 samples of 3 people (negative 3, positive 3, surprise 3) in 3 folds" in text
    assert "- SMIC: --real smic-hs=ROOT was not given" in text
    assert "| branches | MiE-X |  | UF1 | 0.507 ± 0.009 |" in text  # none of ours is of Branches
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["score"]) for row in rows][:3] == [
        ("none", "UF1"), ("none", "UAR"), ("MiE-X", "UF1"),
    ]  # fmt: skip
    for row in rows:
        arm = next(one for one in trial["arms"] if one["arm"] == row["arm"])
        mean = arm["figures"]["scores"][row["score"]]["mean"]
        assert float(row["mean"]) == pytest.approx(mean, abs=1e-6)
        assert row["paper"] == ""
    with Image.open(folder / "plot.png") as image:
        assert image.width > 1000

    cells = {path: path.stat().st_mtime_ns for path in asked.out.glob("cells/*")}
    assert len(cells) == 3 * 3 * 2
    again = ablate("table1", asked, seeds=2, progress=False)
    assert (again / "report.md").read_text() == text
    ablate("sources", asked, seeds=1, progress=False)
    later = {path: path.stat().st_mtime_ns for path in asked.out.glob("cells/*")}
    assert cells.items() <= later.items()
    # mie and exp alone are new, fine-tuned and direct; none and all of them are table 1's
    assert len(later) - len(cells) == 2 * 2 * 3


@pytest.fixture(scope="session")
def samm(world: Path) -> Path:
    """A SAMM in its own layout: two people of the five emotions of Table 2, and one of another."""
    root = world / "samm"
    lines = [["Subject", "Filename", "Onset Frame", "Apex Frame", "Offset Frame",
              "Action Units", "Estimated Emotion"]]  # fmt: skip
    for person, subject in ((6, "006"), (7, "007")):
        for number, (emotion, au) in enumerate(MOVES.items(), 1):
            name = f"{subject}_1_{number}"
            lines.append([subject, name, "1", "2", "2", f"{au}", emotion.capitalize()])
            folder = root / "SAMM" / subject / name
            folder.mkdir(parents=True)
            for at, frame in enumerate(film(person, au, (0, 0.4)), 1):
                Image.fromarray(frame).save(folder / f"{subject}_{at:04d}.jpg", quality=95)
    write_sheet(root / "SAMM_Micro_FACS_Codes_v2.xlsx", {"Sheet1": lines})
    (root / MARK).write_text("STAND-IN")
    return root


def test_emotions_are_told_apart_after_three_classes_and_a_stand_in_says_so(
    asked: Given, samm: Path
) -> None:
    given = replace(asked, real={**asked.real, "samm": f"samm={samm}"})
    folder = ablate("table2", given, seeds=1, progress=False)
    told = json.loads((folder / "results.json").read_text())
    assert told["title"].startswith(f"{STAND_IN}: Table 2 of MiE-X")
    (trial,) = told["trials"]
    assert (trial["tested"], trial["classes"], trial["stand_in"]) == ("samm", list(SAMM), True)
    assert [one["arm"] for one in trial["arms"]] == ["none", "MiE-X"]
    for one in trial["arms"]:
        assert {name: of["n"] for name, of in one["figures"]["by class"].items()} == dict.fromkeys(
            SAMM, 2
        )
    assert trial["arms"][1]["less the first arm"]["score"] == "accuracy"
    assert (folder / "report.md").read_text().startswith(f"# {STAND_IN}: Table 2")


@pytest.mark.slow
def test_what_the_paper_prints_has_columns_of_its_own(asked: Given, samm: Path) -> None:
    """ApexME on SAMM: 41.3 and 46.4 % at the last epoch, 54.9 and 60.3 % at the best."""
    given = replace(
        asked, recognizer="apexme", real={"samm": f"samm={samm}"}, sources=("exp",)
    )  # fmt: skip
    folder = ablate("table2", given, seeds=1, progress=False)
    lines = (folder / "report.md").read_text().splitlines()
    (head,) = [line.split(" | ") for line in lines if line.startswith("| arm |")]
    for arm, printed in (("none", "0.413 ± 0.006"), ("MiE-X", "0.464 ± 0.007")):
        (row,) = [line.split(" | ") for line in lines if line.startswith(f"| {arm} |")]
        cells = dict(zip(head, row, strict=True))
        assert cells["accuracy, paper's"] == printed
        assert cells["accuracy, ours"] != printed
        assert cells["UF1, paper's"] == "-"
    assert "| apexme | MiE-X | samm | accuracy | 0.603 ± 0.011 |  | best |" in lines
    with (folder / "results.csv").open() as file:
        papers = [(row["arm"], row["score"], row["paper"]) for row in csv.DictReader(file)]
    assert papers == [
        ("none", "accuracy", "0.413000"), ("none", "UF1", ""),
        ("MiE-X", "accuracy", "0.464000"), ("MiE-X", "UF1", ""),
    ]  # fmt: skip


def test_an_svm_is_tested_direct_and_the_rest_is_told(asked: Given, samm: Path) -> None:
    given = replace(
        asked, recognizer="lbp-top", real={"samm": f"samm={samm}"},
        epochs=None, before_epochs=None,
    )  # fmt: skip
    (trial,) = STUDIES["table1"].trials(given)
    assert [arm.name for arm in trial.arms] == ["none", "MiE-X, direct"]
    assert ("MiE-X", "an SVM is not fine-tuned") in trial.not_run
    with pytest.raises(ValueError, match="lbp-top is an SVM"):
        STUDIES["table2"].trials(given)


# -- the command ---------------------------------------------------------------------------------


def test_help_names_every_study() -> None:
    said = " ".join(mie_x("ablate", "--help").stdout.split())
    assert all(name in said for name in STUDIES)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--study", "table9"), "no study 'table9': choose from table1, table2"),
        (("--study", "table1"), "add --synthetic DIR"),
        (("--study", "table2"), "give --real mmew=ROOT"),
        (("--study", "table1", "--samples", "18"), "--samples is not for table1"),
        (("--study", "intensity", "--synthetic", "{}/data"), "--synthetic is not for intensity"),
        (("--study", "alpha-beta", "--sources", "mie,exp"), "varies mae, which --sources leaves"),
        (("--study", "sources", "--synthetic", "{}/none"), "{}/none"),
        (("--study", "table1", "--real", "flow_images={}/flow"), "each collection once"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value[:2]),
)
def test_bad_input_ends_in_one_sentence(
    world: Path, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    given = [option.format(world) for option in options]
    done = mie_x(
        "ablate", *given, "--real", f"flow_images={world}/flow", "--recognizer", "ststnet",
        "--out", tmp_path / "out", "--store", world / "store", "--workers", 1,
    )  # fmt: skip
    assert done.exit_code == 2, done.output
    assert says.format(world) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_says_where_the_report_is(world: Path, tmp_path: Path) -> None:
    done = mie_x(
        "ablate", "--study", "sources", "--synthetic", world / "data", "--sources", "exp",
        "--real", f"flow_images={world}/flow", "--protocol", "loso", "--no-direct",
        "--recognizer", "ststnet", "--epochs", 1, "--before-epochs", 1, "--seeds", 1,
        "--out", tmp_path / "out", "--store", world / "store", "--workers", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path}/out/sources/report.md\n"
    assert "| exp | 14 | 5 | 0 |" in Path(done.stdout.strip()).read_text()
