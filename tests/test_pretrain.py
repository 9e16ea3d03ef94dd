"""Weights of a recognizer say what they learned from, are whole or not there, and go on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from mie_x.faces import rendered
from pipelines import evaluate
from pipelines.evaluate import data_of, found_in
from pipelines.views import Recipe
from recognizers import weights
from recognizers.weights import Loaded
from tests.conftest import make_dataset
from tests.test_cli import mie_x
from tests.test_evaluate import ROOT, StopAt, lay_out

NET = "ststnet"
FLOW = "farneback"  # the quickest


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, flow pictures, what is kept of them, and weights of an epoch: do not touch."""
    root = tmp_path_factory.mktemp("world")
    make_dataset(root / "made", "parquet", people=["b", "d/e"])
    lay_out(root / "pictures")
    (root / "empty").mkdir()
    (root / "text").write_text("no weights")
    for recognizer in (NET, "lbp-top"):
        done = train(root, root / f"{recognizer}.safetensors", recognizer=recognizer)
        assert done.exit_code == 0, done.output
    return root


def options(world: Path, recognizer: str, out: Path) -> list[object]:
    given = ["--recognizer", recognizer, "--out", out, "--flow", FLOW, "--store", world / "store"]
    epochs = [] if recognizer == "lbp-top" else ["--epochs", 2]
    return [*given, *epochs, "--workers", 1, "--device", "cpu"]


def train(world: Path, out: Path, *more: object, recognizer: str = NET) -> Result:
    return mie_x("pretrain", world / "made", *options(world, recognizer, out), *more)


def tune(world: Path, out: Path, *more: object, start: str = f"{NET}.safetensors") -> Result:
    what = f"flow_images={world / 'pictures'}"
    return mie_x("finetune", world / start, what, *options(world, NET, out), *more)


def loaded(done: Result, out: Path) -> Loaded:
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{out}\n"
    assert list(out.parent.iterdir()) == [out]  # no checkpoint is left
    return weights.load(out)


def test_pretraining_writes_weights_that_tell_of_their_data(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "new/folder/x.safetensors"
    told = loaded(train(world, out, "--seed", 3), out)
    assert told.trained_on == "made (exp, mie; 11 samples), stand-in, farneback flow"
    assert told.stand_in
    assert (told.fitted.recognizer, told.fitted.seed, told.fitted.epoch) == (NET, 3, 2)
    assert told.fitted.classes == ("negative", "positive", "surprise")
    again = tmp_path / "again/x.safetensors"
    assert loaded(train(world, again, "--seed", 3), again).sha256 == told.sha256
    other = tmp_path / "other/x.safetensors"
    assert loaded(train(world, other, "--seed", 4), other).sha256 != told.sha256


def test_a_part_by_sources_is_told(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "x/x.safetensors"
    told = loaded(train(world, out, "--sources", "exp"), out)
    assert told.trained_on == "made (exp; 5 samples), farneback flow"
    assert not told.stand_in


def test_a_descriptor_is_trained_at_once(world: Path) -> None:
    told = weights.load(world / "lbp-top.safetensors")
    assert told.trained_on == "made (exp, mie; 11 samples), stand-in"  # it sees no flow
    assert (told.fitted.recognizer, told.fitted.epoch) == ("lbp-top", 0)


def test_finetuning_tells_of_both_and_stays_a_stand_in(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "x/x.safetensors"
    told = loaded(tune(world, out), out)
    assert told.trained_on == (
        "made (exp, mie; 11 samples), stand-in, farneback flow, then flow_images (9 clips)"
    )
    assert told.stand_in
    before = weights.load(world / f"{NET}.safetensors").fitted.network.state_dict()  # type: ignore[union-attr]
    after = told.fitted.network.state_dict()  # type: ignore[union-attr]
    learned = [name for name in before if "running" not in name and "num" not in name]
    moved = [float((after[name] - before[name]).abs().max()) for name in learned]
    assert 0 < max(moved) < 0.001  # two steps of 5e-5 from where it began, not from elsewhere


def test_pretraining_goes_on_from_its_checkpoint(world: Path, tmp_path: Path) -> None:
    name, found = found_in(str(world / "made"))
    data = data_of(name, found.examples, NET, recipe=Recipe(FLOW), store=world / "store")
    out = tmp_path / "x.safetensors"
    run: dict[str, Any] = {"seed": 0, "epochs": 2, "weights": None}
    with pytest.raises(KeyboardInterrupt):
        evaluate.pretrain(
            NET, data.seen, **run, save_seconds=0, progress=StopAt(1),
            checkpoint=tmp_path / "x.safetensors.checkpoint",
        )  # fmt: skip
    done = train(world, out, "--seed", 1)
    assert done.exit_code == 2
    assert "the state of another computation (seed 0 there, 1 now)" in done.stderr
    assert not out.exists()
    assert (
        loaded(train(world, out), out).sha256 == weights.load(world / f"{NET}.safetensors").sha256
    )


def test_weights_that_are_there_are_left_alone(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    out.write_bytes(b"mine")
    for done in (train(world, out), tune(world, out)):
        assert done.exit_code == 2
        assert done.stderr.strip().endswith("is there already; give another --out")
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("pretrain", "{}/nowhere"), "nowhere"),
        (("pretrain", "{}/empty"), "empty"),
        (("pretrain", "{}/made", "--recognizer", "resnet"), "no recognizer 'resnet': choose from"),
        (("pretrain", "{}/made", "--sources", "mae"), "has no samples of mae; there are exp, mie"),
        (("pretrain", "{}/made", "--sources", "mea"), "unknown source 'mea'"),
        (("pretrain", "{}/made", "--imagenet"), "ststnet has no trunk that"),
        (("pretrain", "{}/made", "--recognizer", "lbp-top"), "an SVM, it has no epochs"),
        (("pretrain", "{}/made", "--device", "cuda:99"), "give --device cpu"),
        (
            ("pretrain", "flow_images={}/pictures", "--sources", "mie"),
            "only a synthetic dataset has sources to choose from",
        ),
        (("finetune", "{}/nowhere", "flow_images={}/pictures"), "nowhere: no such weights file"),
        (("finetune", "{}/text", "flow_images={}/pictures"), "text: not safetensors"),
        (("finetune", "{}/ststnet.safetensors", "flow_images={}/nowhere"), "nowhere"),
        (("finetune", "{}/ststnet.safetensors", "casme9={}/made"), "no collection 'casme9'"),
        (
            ("finetune", "{}/ststnet.safetensors", "flow_images={}/pictures", "--imagenet"),
            "they begin with the weights given",
        ),
        (
            ("finetune", "{}/lbp-top.safetensors", "{}/made", "--recognizer", "lbp-top"),
            "only networks are fine-tuned",
        ),
        (
            ("finetune", "{}/lbp-top.safetensors", "flow_images={}/pictures"),
            "a start of lbp-top, but ststnet is to be trained",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    command: tuple[str, ...], said: str, world: Path, tmp_path: Path
) -> None:
    verb, *given = (text.format(world) for text in command)
    done = mie_x(verb, *options(world, NET, tmp_path / "out/x.safetensors"), *given)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_recognizers_are_listed_with_where_they_come_from() -> None:
    done = mie_x("recognizers")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert next(line for line in lines if line.startswith("ststnet ")).split()[1:3] == [
        "sees", "flow_28;"
    ]  # fmt: skip
    assert {"branches", "emr", "mecia", "bi-woof"} <= {line.split()[0] for line in lines if line}
    assert mie_x("recognizers", "ststnet").exit_code == 2


@pytest.mark.slow
def test_a_training_that_is_stopped_says_how_it_goes_on(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.safetensors"
    store = tmp_path / "store"
    given = map(str, [*options(world, NET, out), "--store", store, "--epochs", 100_000])
    process = subprocess.Popen(
        [sys.executable, "-m", "mie_x", "pretrain", str(world / "made"), *given],
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    while process.poll() is None and not list(store.glob("*/done.npy")):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 143
    assert "stopped; what was learned up to the last minute's end is kept, and the same" in said
    assert "mie-x pretrain " in said
    assert "Traceback" not in said
    assert not out.exists()


def test_weights_tell_which_flow_they_know_and_see_no_other(world: Path, tmp_path: Path) -> None:
    file = world / f"{NET}.safetensors"
    assert weights.load(file).flow == FLOW
    done = tune(world, tmp_path / "x.safetensors", "--flow", "tvl1")
    assert done.exit_code == 2 and "trained on farneback flow" in done.stderr
    frames = [tmp_path / "onset.png", tmp_path / "apex.png"]
    for number, path in enumerate(frames):
        Image.fromarray(rendered(1, seed=number)[0].image()).save(path)
    asked = mie_x("predict", file, *frames, "--flow", "tvl1")
    assert asked.exit_code == 2 and "trained on farneback flow" in asked.stderr
    assert mie_x("predict", file, *frames).exit_code == 0
