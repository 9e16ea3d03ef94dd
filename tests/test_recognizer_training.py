"""One loop trains all recognizers: to the bit again, stopped or not, and as their settings say."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from mie_x.resumable import load_state, save_state
from recognizers import DESCRIPTORS, RECOGNIZERS
from recognizers.descriptor_svm import Descriptor, DescriptorSvm
from recognizers.settings import VIEWS, Batch, Settings, cross_entropy, steps, told
from recognizers.training import AUGMENTATIONS, Fitted, Inputs, fit, predict
from recognizers.views import Augmentation
from recognizers.weights import ENTRY, load, save

ROOT = Path(__file__).resolve().parent.parent
THREE = ("negative", "positive", "surprise")
QUICK = Settings("a test", ("flow_28",), rate=1e-3, epochs=3, batch=4)
VARIED = "resize 256, rotate 10 degrees, jitter 0.2, crop 224"


@dataclass(frozen=True)
class Memory:
    """Examples in memory: ``views`` holds (N, ...) arrays, ``asked`` what was asked for."""

    views: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.int64]
    macro: NDArray[np.bool_] | None = None
    seconds: float = 0.0
    asked: list[tuple[int, Augmentation | None]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, index: int, augmentation: Augmentation | None) -> Inputs:
        self.asked.append((index, augmentation))
        time.sleep(self.seconds)
        bright = np.float32(1 if augmentation is None else augmentation.brightness)
        return tuple(bright * view[index] for view in self.views)


def flows(number: int = 10, *, seed: int = 0, view: str = "flow_28", classes: int = 3) -> Memory:
    """A third of the maps' rows is brighter in each class, under some noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % classes
    maps = rng.uniform(0, 0.3, (number, *VIEWS[view])).astype(np.float32)
    third = VIEWS[view][-1] // classes
    for row, label in zip(maps, labels, strict=True):
        row[..., label * third : (label + 1) * third, :] += 1
    return Memory((maps,), labels)


def state(fitted: Fitted) -> dict[str, torch.Tensor]:
    assert isinstance(fitted.network, nn.Module)
    return fitted.network.state_dict()


def same(one: Fitted, other: Fitted) -> bool:
    """Whether their weights are the same to the bit."""
    first, second = state(one), state(other)
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def train(name: str = "ststnet", examples: Memory | None = None, **options: Any) -> Fitted:
    given: dict[str, Any] = {"classes": THREE, "seed": 1, "settings": QUICK}
    return fit(name, examples or flows(), **given | options)


@pytest.mark.parametrize(("name", "view"), [("off-apexnet", "flow_28"), ("mean", "mean_roi")])
def test_what_can_be_learned_is_learned(name: str, view: str) -> None:
    settings = dataclasses.replace(QUICK, views=(view,), rate=3e-3)
    fitted = train(name, flows(12, view=view), settings=settings, epochs=12)
    scores = predict(fitted, flows(9, seed=5, view=view), batch=4, workers=2)
    assert scores.dtype == np.float32
    assert scores.argmax(axis=1).tolist() == [0, 1, 2] * 3
    assert scores.sum(axis=1) == pytest.approx(np.ones(9), abs=1e-6)
    assert fitted.log[-1].loss < fitted.log[0].loss / 3
    assert (fitted.epoch, fitted.steps) == (12, 36)


def test_the_same_seed_gives_the_same_weights_however_many_read() -> None:
    settings = dataclasses.replace(QUICK, augmentation=VARIED)
    alone = train(settings=settings)
    for workers in (1, 3):
        assert same(alone, train(settings=settings, workers=workers))
    assert not same(alone, train(settings=settings, seed=2))
    assert not same(alone, train())


def test_the_caller_s_random_numbers_and_ways_are_left_alone() -> None:
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train(progress=stop_at(2))
    train()
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_sample_is_varied_by_seed_and_epoch_whatever_its_batch() -> None:
    def draws(batch: int) -> list[list[tuple[int, Augmentation]]]:
        examples = flows()
        settings = dataclasses.replace(QUICK, augmentation=VARIED, batch=batch)
        train(examples=examples, settings=settings, epochs=2)
        varied = [(index, drawn) for index, drawn in examples.asked if drawn is not None]
        return [varied[:10], varied[10:]]

    small, large = draws(3), draws(10)
    assert small == large  # the order of samples depends on the epoch alone as well
    first, second = (dict(epoch) for epoch in small)
    assert sorted(first) == sorted(second) == list(range(10))
    assert len({*first.values(), *second.values()}) == 20
    assert list(first) != list(second)


def test_training_is_adam_with_the_rates_decays_schedule_and_clips_of_the_settings() -> None:
    examples = flows(6)
    settings = dataclasses.replace(
        QUICK, batch=6, epochs=3, weight_decay=0.1, rates={"head": 1e-2}, clip=1e-2,
        schedule=functools.partial(steps, factor=0.5, every=2),
    )  # fmt: skip
    fitted = train("off-apexnet", examples, settings=settings)

    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = RECOGNIZERS["off-apexnet"].build(classes=3)
    children = list(network.children())  # streams, hidden, head
    optimiser = torch.optim.Adam(
        [{"params": child.parameters()} for child in children], weight_decay=0.1
    )
    maps, labels = torch.from_numpy(examples.views[0]), torch.from_numpy(examples.labels)
    for factor in (1, 0.5, 0.5):
        for group, rate in zip(optimiser.param_groups, (1e-3, 1e-3, 1e-2), strict=True):
            group["lr"] = factor * rate
        optimiser.zero_grad()
        F.cross_entropy(network(maps), labels).backward()  # type: ignore[no-untyped-call]
        for child in children:
            gradients = [p.grad for p in child.parameters() if p.grad is not None]
            norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
            assert norm > 1e-2
            for gradient in gradients:
                gradient *= 1e-2 / norm
        optimiser.step()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(state(fitted)[key], value, rtol=1e-3, atol=2e-5)
    assert [epoch.rate for epoch in fitted.log] == [1e-3, 5e-4, 5e-4]


def test_the_last_short_batch_counts_and_the_loss_is_the_mean_of_samples() -> None:
    examples, told_of = flows(5), list[tuple[int, int]]()
    settings = dataclasses.replace(QUICK, rate=1e-12, epochs=2, batch=2)
    fitted = train(
        "off-apexnet", examples, settings=settings, progress=lambda *n: told_of.append(n)
    )
    assert told_of == [(n, 6) for n in range(7)]
    scores = predict(fitted, examples)
    mean = -np.log(scores[np.arange(5), examples.labels]).mean()
    assert [epoch.loss for epoch in fitted.log] == pytest.approx([mean, mean], rel=1e-4)


def stop_at(step: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        del total
        if done == step:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("stops", [(3,), (4, 5, 12), (0, 1), (15,)])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_fit_that_was_stopped_ends_as_if_it_had_not_been(
    stops: tuple[int, ...], workers: int, tmp_path: Path
) -> None:
    """Of five epochs of three steps; ststnet has dropout and batch norms."""
    options: dict[str, Any] = {
        "settings": dataclasses.replace(QUICK, augmentation=VARIED), "epochs": 5,
        "validate": flows(4, seed=2), "choose": "inner", "oracle": flows(3, seed=3),
    }  # fmt: skip
    whole = train(**options)
    options |= {"checkpoint": tmp_path / "fit.state", "save_seconds": 0, "workers": workers}
    for step in stops:
        with pytest.raises(KeyboardInterrupt):
            train(**options, progress=stop_at(step))
    again = train(**options)
    assert same(whole, again)
    assert again.epoch == whole.epoch
    assert [(e.loss, e.validation) for e in again.log] == [
        (e.loss, e.validation) for e in whole.log
    ]
    assert again.oracle is not None
    assert whole.oracle is not None
    assert np.array_equal(again.oracle, whole.oracle)


def test_a_finished_fit_is_read_and_not_done_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "fit.state"
    first = train(checkpoint=path)
    content, told_of = path.read_bytes(), list[tuple[int, int]]()
    second = train(checkpoint=path, progress=lambda *n: told_of.append(n))
    assert told_of == [(9, 9)]
    assert same(first, second)
    assert second.log == first.log
    assert path.read_bytes() == content


def test_a_checkpoint_is_written_when_time_has_passed(tmp_path: Path) -> None:
    path = tmp_path / "fit.state"
    with pytest.raises(KeyboardInterrupt):
        train(checkpoint=path, save_seconds=3600, progress=stop_at(6))
    assert not path.exists()


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"seed": 2}, "seed 1 there, 2 now"),
        ({"epochs": 4}, "epochs 3 there, 4 now"),
        ({"classes": (*THREE, "others")}, "classes"),
        ({"settings": dataclasses.replace(QUICK, rate=2e-3)}, r"rate 0.001 there, 0.002 now"),
        ({"examples": flows(seed=9)}, "examples"),
        ({"validate": flows(seed=9)}, "validate null there"),
        ({"name": "off-apexnet"}, 'recognizer "ststnet" there, "off-apexnet" now'),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(
    other: dict[str, Any], word: str, tmp_path: Path
) -> None:
    path = tmp_path / "fit.state"
    train(checkpoint=path)
    with pytest.raises(ValueError, match=rf"fit.state: the state of another .*{word}.*; do the"):
        train(checkpoint=path, **other)


def test_a_damaged_checkpoint_says_so(tmp_path: Path) -> None:
    path = tmp_path / "fit.state"
    train(checkpoint=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(ValueError, match=r"a damaged state \(.*\); delete it to begin again"):
        train(checkpoint=path)
    path.write_bytes(whole)
    with safetensors.safe_open(path, framework="pt") as file:
        entry = json.loads(file.metadata()["mie-x state"])
    tensors, progress = load_state(path, settings=entry["settings"])
    del tensors["network.head.bias"]
    save_state(path, tensors, settings=entry["settings"], progress=progress)
    with pytest.raises(
        ValueError, match="a damaged state, not that of such a network; delete it to begin again"
    ):
        train(checkpoint=path)


def contrary(number: int = 6) -> Memory:
    """Examples with the labels of others: the more is learned, the worse."""
    examples = flows(number, seed=4)
    return Memory(examples.views, (examples.labels + 1) % 3)


def test_an_inner_choice_is_the_epoch_of_lowest_loss_on_people_held_back() -> None:
    held_back = contrary()
    fitted = train("off-apexnet", validate=held_back, choose="inner")
    losses = [epoch.validation["loss"] or 0 for epoch in fitted.log if epoch.validation]
    assert losses == sorted(losses)
    assert (fitted.epoch, fitted.steps, len(losses)) == (1, 3, 3)
    assert same(fitted, train("off-apexnet", epochs=1))
    scores = predict(fitted, held_back)
    right = (scores.argmax(axis=1) == held_back.labels).mean()
    validation = fitted.log[fitted.epoch - 1].validation
    assert validation is not None
    assert validation["accuracy"] == pytest.approx(right)
    assert validation["UAR"] == pytest.approx(right)  # two samples of each class
    last = train("off-apexnet", validate=held_back)
    assert (last.epoch, len(last.log)) == (3, 3)
    assert same(last, train("off-apexnet"))


def test_the_best_epoch_is_kept_where_a_fit_was_stopped_after_it(tmp_path: Path) -> None:
    options: dict[str, Any] = {"validate": contrary(), "choose": "inner"}
    whole = train("off-apexnet", **options)
    assert whole.epoch == 1
    options |= {"checkpoint": tmp_path / "fit.state", "save_seconds": 0}
    with pytest.raises(KeyboardInterrupt):
        train("off-apexnet", **options, progress=stop_at(6))
    assert same(whole, train("off-apexnet", **options))


def test_a_class_that_nobody_held_back_shows_has_no_score() -> None:
    held_back = flows(2)
    validation = train(validate=held_back, epochs=1).log[0].validation
    assert validation is not None
    assert (validation["UF1"], validation["UAR"]) == (None, None)


def test_an_oracle_is_told_apart_and_changes_nothing() -> None:
    tested = flows(4, seed=8)
    fitted = train(oracle=tested)
    assert same(fitted, train())
    assert fitted.oracle is not None
    assert fitted.oracle.shape == (3, 4, 3)
    assert np.array_equal(fitted.oracle[-1], predict(fitted, tested))
    with pytest.raises(ValueError, match="no epoch is chosen on a test"):
        train(oracle=tested, validate=flows(4, seed=8))


def test_other_classes_get_a_fresh_head_and_keep_the_rest() -> None:
    before = train()
    still = dataclasses.replace(QUICK, rate=1e-12, epochs=1)
    five = train(examples=flows(10, classes=5), classes="abcde", start=before, settings=still)
    assert five.replaced == ("head",)
    assert state(five)["head.weight"].shape == (5, 400)
    drawn = train(examples=flows(10, classes=5), classes="abcde", settings=still)
    for key, value in state(before).items():
        if "running" in key or "tracked" in key:
            continue
        other = drawn if key.startswith("head") else before
        torch.testing.assert_close(state(five)[key], state(other)[key], rtol=0, atol=1e-9)
        assert key.startswith("head") or not torch.equal(value, state(drawn)[key])
    renamed = train(classes=("a", "b", "c"), start=before, settings=still)
    assert renamed.replaced == ("head",)  # as many classes, but other ones
    kept = train(start=before, settings=still)
    assert kept.replaced == ()
    torch.testing.assert_close(
        state(kept)["head.weight"], state(before)["head.weight"], rtol=0, atol=1e-9
    )


def test_all_three_heads_of_emr_are_of_its_classes() -> None:
    before = Fitted("emr", RECOGNIZERS["emr"].build(classes=3), THREE, 0, {})
    wanted = RECOGNIZERS["emr"].build(classes=5)
    from recognizers.training import begin_with

    assert begin_with(wanted, before, "emr", tuple("abcde")) == ("bottom_head", "head", "top_head")
    for key in ("trunk.maps.0.weight", "domain.4.bias"):
        assert torch.equal(wanted.state_dict()[key], state(before)[key])


def test_a_start_of_another_recognizer_is_refused() -> None:
    with pytest.raises(ValueError, match="a start of ststnet, but off-apexnet is to be trained"):
        train("off-apexnet", start=train(epochs=1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "sstnet"}, "no recognizer 'sstnet': choose from branches, .*bi-woof"),
        ({"classes": ("a", "a")}, "each with a name of its own"),
        ({"classes": ("a", "b")}, "labels 0 to 2, but classes 0 to 1: a, b"),
        ({"epochs": 0}, "at least 1"),
        ({"weights": "imagenet"}, "ststnet has no trunk that could begin with imagenet"),
        ({"choose": "best"}, "choose 'last', or 'inner'"),
        ({"choose": "inner"}, "'inner' with examples to validate"),
        ({"name": "branches", "settings": RECOGNIZERS["branches"].pretraining, "epochs": 21},
         r"epoch 21 has a rate of 0.0: .*fall\(flat=10, falling=10\) is made for fewer epochs"),
        ({"name": "mean"}, r"settings for \('flow_28',\), but mean sees \('mean_roi',\)"),
        ({"settings": dataclasses.replace(QUICK, optimiser="lion")}, "'lion': choose from adam"),
        ({"settings": dataclasses.replace(QUICK, augmentation="cut")}, "'cut': choose from none;"),
        ({"examples": flows(view="mean_roi")}, r"is \[\(3, 42, 42\)\]; flow_28 are \[\(3, 28, 28"),
        ({"settings": dataclasses.replace(QUICK, rate=1e30)}, "loss of epoch .* lower rate"),
        ({"name": "lbp-top", "settings": None, "epochs": 5}, "an SVM, it has no epochs"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        train(**options)


def test_what_is_no_number_is_not_predicted() -> None:
    fitted, examples = train(epochs=1), flows()
    examples.views[0][7] = np.nan
    with pytest.raises(ValueError, match="example 7 gives no number"):
        predict(fitted, examples)


def test_an_error_of_a_reading_thread_ends_the_fit() -> None:
    @dataclass(frozen=True)
    class Torn(Memory):
        def inputs(self, index: int, augmentation: Augmentation | None) -> Inputs:
            if index == 3:
                raise OSError("flow.npy: cut short")
            return super().inputs(index, augmentation)

    examples = flows()
    with pytest.raises(OSError, match="cut short"):
        train(examples=Torn(examples.views, examples.labels), workers=2)


def test_time_spent_waiting_for_data_is_told() -> None:
    examples = flows(8)
    slow = Memory(examples.views, examples.labels, seconds=0.01)
    fitted = train(examples=slow, epochs=2)
    for epoch in fitted.log:
        assert 0.08 <= epoch.waiting <= epoch.seconds
    read_ahead = train(examples=slow, epochs=2, workers=8)
    assert sum(e.waiting for e in read_ahead.log) < sum(e.waiting for e in fitted.log) / 2
    assert fitted.waited == pytest.approx(
        sum(e.waiting for e in fitted.log) / sum(e.seconds for e in fitted.log)
    )


def test_a_sequence_is_mirrored_and_cut_in_time_alike_in_both_streams() -> None:
    """u is 3 t (1 + column), v 4 t (1 + column): magnitude 5 t (1 + column), t from 0 to 1."""
    columns = 1 + np.arange(4, dtype=np.float32)
    both = []
    for frames in (6, 11):
        t = np.linspace(0, 1, frames, dtype=np.float32)[:, None, None]
        both.append(np.stack([c * t * np.tile(columns, (4, 1)) for c in (3, 4, 5)])[None])
    examples = Memory(tuple(both), np.zeros(1, np.int64))
    vary = AUGMENTATIONS["flip, jitter in time"]
    mirrored = []
    for seed in range(8):
        short, long = vary(examples, 0, np.random.default_rng(seed))
        assert short.shape == (3, 6, 4, 4)
        assert short.dtype == np.float32
        sign = np.sign(short[0, -1, 0, 0])
        row = columns if sign > 0 else columns[::-1]
        begin, end = (short[1, at, 0] / row / 4 for at in (0, -1))
        assert 0 <= begin[0] <= 0.1
        assert 0.9 <= end[0] <= 1
        t = np.linspace(begin[0], end[0], 6)[:, None, None]
        expected = np.stack([sign * 3 * t * row, 4 * t * row, 5 * t * row])
        assert short == pytest.approx(np.broadcast_to(expected, short.shape), abs=1e-5)
        assert long[:, [0, -1]] == pytest.approx(short[:, [0, -1]], abs=1e-5)
        mirrored.append(sign < 0)
    assert 0 < sum(mirrored) < 8


@pytest.mark.slow
@pytest.mark.parametrize("name", RECOGNIZERS)
def test_every_recognizer_learns_from_one_sample_at_a_time(name: str) -> None:
    settings = dataclasses.replace(RECOGNIZERS[name].settings, batch=1)
    rng = np.random.default_rng(0)
    views = tuple(
        rng.uniform(-1, 1, (2, *VIEWS[view])).astype(np.float32) for view in settings.views
    )
    examples = Memory(views, np.array([0, 2]), np.array([True, False]))
    fitted = fit(name, examples, classes=THREE, seed=0, settings=settings, epochs=1)
    assert fitted.steps == 2
    scores = predict(fitted, examples)
    assert np.isfinite(scores).all()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = RECOGNIZERS[name].build(classes=3)
    learned = dict(before.named_parameters())
    for key, value in state(fitted).items():
        if key in learned and not key.startswith("spotting"):  # MEAN's, which has nothing to spot
            assert not torch.equal(value, learned[key]), key


def clips(name: str, number: int = 6) -> Memory:
    """Each class moves another way."""
    rng = np.random.default_rng(0)
    labels = np.arange(number) % 3
    shape = VIEWS[DESCRIPTORS[name].view]
    made = rng.uniform(0, 0.1, (number, *shape)).astype(np.float32)
    for clip, label in zip(made, labels, strict=True):
        if name == "bi-woof":
            clip[: 1 + (label > 0)] += 1 - 2 * (label == 2)
            clip[2] = 0.01
        else:
            clip += np.linspace(0, 50 * label, shape[0], dtype=np.float32)[:, None, None]
    return Memory((made,), labels)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_an_svm_goes_the_same_way_as_networks(name: str, tmp_path: Path) -> None:
    examples = clips(name)
    fitted = fit(name, examples, classes=(*THREE, "others"), seed=0, workers=2)
    scores = predict(fitted, examples)
    assert np.array_equal(scores, np.eye(4, dtype=np.float32)[examples.labels])
    assert (fitted.epoch, fitted.log, fitted.oracle, fitted.waited) == (0, (), None, None)
    sha256 = save(tmp_path / "svm.safetensors", fitted, trained_on="clips", stand_in=True)
    loaded = load(tmp_path / "svm.safetensors")
    assert loaded.sha256 == sha256
    assert isinstance(loaded.fitted.network, DescriptorSvm)
    assert isinstance(fitted.network, DescriptorSvm)
    assert loaded.fitted.network.planes is not None
    assert fitted.network.planes is not None
    for ours, theirs in zip(loaded.fitted.network.planes, fitted.network.planes, strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_an_svm_by_its_planes_answers_as_libsvm_does(classes: int) -> None:
    from sklearn.svm import SVC

    rng = np.random.default_rng(classes)
    itself = Descriptor(lambda view: view, view="gray_10", length=6)
    learned = rng.normal(size=(60, 6)).astype(np.float32)
    labels = 2 * (np.arange(60) % classes) + 1  # classes need not count from 0
    asked = rng.normal(size=(500, 6)).astype(np.float32)
    theirs = SVC(kernel="linear", C=1).fit(learned, labels).predict(asked)
    assert DescriptorSvm(itself).fit(learned, labels).predict(asked).tolist() == theirs.tolist()
    with pytest.raises(ValueError, match="learned nothing: fit it first"):
        DescriptorSvm(itself).predict(asked)


def test_settings_are_told_as_json_with_functions_by_name() -> None:
    settings = RECOGNIZERS["emr"].settings
    entry = told(settings)
    assert json.loads(json.dumps(entry)) == entry
    assert entry["schedule"] == "recognizers.settings.steps(factor=0.5, every=10, floor=1e-05)"
    assert entry["loss"] == "recognizers.branches.emr_loss"
    assert entry["rates"] == {"trunk": 1e-5}
    assert train(epochs=2).settings["epochs"] == 2


def test_what_was_fitted_is_read_as_it_was_written(tmp_path: Path) -> None:
    path, examples = tmp_path / "a.safetensors", flows()
    fitted = train(start=train(classes="abc"))
    sha256 = save(path, fitted, trained_on="ten flows", stand_in=True)
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    before = torch.get_rng_state()
    loaded = load(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(loaded.fitted.network, nn.Module)
    assert not loaded.fitted.network.training
    assert (loaded.sha256, loaded.trained_on, loaded.stand_in) == (sha256, "ten flows", True)
    assert np.array_equal(predict(loaded.fitted, examples), predict(fitted, examples))
    for name in ("recognizer", "classes", "seed", "settings", "epoch", "steps", "replaced"):
        assert getattr(loaded.fitted, name) == getattr(fitted, name)
    assert loaded.fitted.replaced == ("head",)
    assert same(train(start=loaded.fitted), train(start=fitted))
    again = tmp_path / "b.safetensors"
    assert sha256 == save(again, train(start=train(classes="abc")), trained_on="ten flows",
                          stand_in=True)  # fmt: skip
    assert sha256 == save(again, loaded.fitted, trained_on="ten flows", stand_in=True)


def rewritten(
    path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], None]
) -> None:
    """Write PATH's file anew after CHANGE to its tensors and what it says."""
    with safetensors.safe_open(path, framework="pt") as file:
        entry = json.loads(file.metadata()[ENTRY])
    tensors = load_file(path)
    change(tensors, entry)
    save_file(tensors, path, metadata={ENTRY: json.dumps(entry)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t, e: t.update({"head.bias": torch.zeros(4)}), "not the tensors of ststnet"),
        (lambda t, e: t.update({"head.bias": torch.zeros(3).half()}), "not the tensors of"),
        (lambda t, e: t.update({"more": torch.zeros(3)}), "not the tensors of ststnet"),
        (lambda t, e: t.pop("head.bias"), "not the tensors of ststnet"),
        (lambda t, e: t["head.bias"].fill_(torch.nan), "head.bias holds numbers that are not fin"),
        (lambda t, e: e.update(recognizer="sstnet"), "a recognizer 'sstnet', of which there is"),
        (lambda t, e: e.update(recognizer=["ststnet"]), "of which there is none"),
        (lambda t, e: e.update(recognizer="mean"), "views is not true"),
        (lambda t, e: e.update(recognizer="bi-woof"), "views is not true"),
        (lambda t, e: e.update(version=2), "version 2 .*update mie-x"),
        (lambda t, e: e.update(classes=["a", "a", "b"]), "classes is not true"),
        (lambda t, e: e.update(classes=["a"]), "classes is not true"),
        (lambda t, e: e.update(classes=["a", "b"]), "not the tensors of"),
        (lambda t, e: e.update(classes=[str(i) for i in range(1001)]), "classes is not true"),
        (lambda t, e: e.update(stand_in=1), "stand_in is not true"),
        (lambda t, e: e.update(settings=[]), "settings is not true"),
        (lambda t, e: e.update(replaced=[1]), "replaced is not true"),
        (lambda t, e: e.pop("trained_on"), "cannot be read"),
    ],
)
def test_weights_that_are_not_what_they_say_are_refused(
    change: Callable[[dict[str, torch.Tensor], dict[str, Any]], None], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save(path, train(epochs=1), trained_on="ten flows", stand_in=True)
    rewritten(path, change)
    with pytest.raises(ValueError, match=rf"a.safetensors: .*{sentence}"):
        load(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t, e: t.update(classes=torch.tensor([0, 1, 3])), r"\[0, 1, 3\] are not of its own"),
        (lambda t, e: t.update(classes=torch.tensor([1, 0, 2])), "are not of its own"),
        (lambda t, e: t.update(classes=torch.tensor(3)), "not the tensors of bi-woof"),
        (lambda t, e: t.update(classes=torch.arange(4)), "not the tensors of bi-woof"),
        (lambda t, e: t["normals"].fill_(torch.inf), "normals holds numbers that are not finite"),
        (lambda t, e: t.clear(), "not the tensors of bi-woof"),
    ],
)
def test_planes_that_are_not_what_they_say_are_refused(
    change: Callable[[dict[str, torch.Tensor], dict[str, Any]], None], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    fitted = fit("bi-woof", clips("bi-woof"), classes=THREE, seed=0)
    save(path, fitted, trained_on="clips", stand_in=True)
    rewritten(path, change)
    with pytest.raises(ValueError, match=rf"a.safetensors: .*{sentence}"):
        load(path)


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="not a mie-x recognizer"):
        load(path)
    fitted = train(epochs=1)
    save(path, fitted, trained_on="ten flows", stand_in=True)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="cut short"):
        load(path)
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)  # sparse
    with pytest.raises(ValueError, match="more than 1024 MiB"):
        load(path)
    state(fitted)["head.bias"].fill_(torch.inf)
    with pytest.raises(ValueError, match="not finite; not written"):
        save(path, fitted, trained_on="ten flows", stand_in=True)


def test_who_is_macro_reaches_the_loss() -> None:
    seen: list[tuple[int, bool]] = []

    def loss(network: nn.Module, batch: Batch) -> torch.Tensor:
        assert batch.macro is not None
        seen.extend(zip(batch.labels.tolist(), batch.macro.tolist(), strict=True))
        return cross_entropy(network, batch)

    examples = flows(6)
    marked = Memory(examples.views, examples.labels, examples.labels == 1)
    train(examples=marked, settings=dataclasses.replace(QUICK, loss=loss), epochs=1)
    assert sorted(seen) == [(0, False), (0, False), (1, True), (1, True), (2, False), (2, False)]


def fit_and_save(folder: Path) -> None:
    """What the processes of the test below do, and one alone: batches of 5 (3 and 2), 5 and 1."""
    from mie_x import parallel

    folder.mkdir(exist_ok=True)
    for name in ("off-apexnet", "ststnet"):
        checkpoint = folder / f"{name}.state"
        fitted = train(
            name, flows(11), settings=dataclasses.replace(QUICK, batch=5),
            checkpoint=checkpoint, validate=flows(4, seed=2),
        )  # fmt: skip
        save(folder / f"{name}-{parallel.rank()}", fitted, trained_on="ten flows", stand_in=True)
        losses = [epoch.loss for epoch in fitted.log]
        (folder / f"{name}-{parallel.rank()}.json").write_text(json.dumps(losses))
    parallel.leave()


@pytest.mark.slow
def test_two_processes_share_each_batch(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys; from pathlib import Path;"
        "from tests.test_recognizer_training import fit_and_save;"
        "fit_and_save(Path(sys.argv[1]))"
    )
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(script), str(tmp_path)),
        ],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    fit_and_save(tmp_path / "alone")
    for name in ("off-apexnet", "ststnet"):
        first, second, alone = (
            tmp_path / file for file in (f"{name}-0", f"{name}-1", f"alone/{name}-0")
        )
        assert first.read_bytes() == second.read_bytes()
        losses = [json.loads(Path(f"{file}.json").read_text()) for file in (first, second, alone)]
        assert losses[0] == losses[1]
        if name == "off-apexnet":  # neither dropout nor batch norm: one process's, up to rounding
            assert losses[0] == pytest.approx(losses[2], rel=1e-4)
            for key, value in load_file(alone).items():
                torch.testing.assert_close(load_file(first)[key], value, rtol=1e-3, atol=1e-4)
        assert (tmp_path / f"{name}.state").exists()
