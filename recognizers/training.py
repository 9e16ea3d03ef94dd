"""One loop that trains every recognizer as its ``Settings`` say, and its predictions.

``fit`` learns from ``Examples``, ``predict`` answers about others; ``weights`` writes and reads
what was fitted. Descriptors (LBP-TOP, Bi-WOOF) go the same way, without epochs.

- Every random choice depends on the seed and on where it is made: the order of samples on (seed,
  epoch), augmentation on (seed, epoch, sample), dropout on (seed, epoch, batch). So on a CPU the
  same seed gives the same bytes of weights, however many threads read data and wherever a run was
  stopped and went on. (With as many threads of PyTorch, and the same PyTorch.) The caller's random
  numbers are left as they were. On CUDA convolutions run in bfloat16, and PyTorch warns of what it
  cannot repeat there.
- The last short batch counts as well. Where it is one sample, batch norms see the pixels of its
  maps: no network here has a batch norm behind its pooling, which alone could not do that.
- Under ``torchrun`` (``mie_x.parallel``) every process takes its share of each batch, so that the
  batch stays the published one, and gradients are averaged by what each has seen; a batch of less
  than two samples a process is taken whole by all. Promised is: all processes end with the same
  weights, the same in every run of as many processes. They are those of one process up to rounding
  where the loss is a mean over samples and the network has neither dropout nor batch norm
  (OFF-ApexNet, DTSCNN); elsewhere dropout is drawn and batches are normalised in each share by
  itself, and the norms' statistics are averaged after each epoch.
- The last epoch counts, or, with ``choose="inner"``, the one of lowest cross-entropy on people held
  back from training (the first of equals). What a network said of tested people after each epoch
  (``oracle``) is kept apart and chooses nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import json
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mie_x import parallel
from mie_x.report import accuracy, uar, uf1
from mie_x.resumable import load_state, save_state
from recognizers import DESCRIPTORS, RECOGNIZERS
from recognizers.backbones import pretrained_on
from recognizers.descriptor_svm import DescriptorSvm
from recognizers.settings import VIEWS, Batch, Settings, groups, told
from recognizers.views import Augmentation, draw_augmentation

Inputs = tuple[NDArray[np.float32], ...]

CHOICES = ("last", "inner")  # as in ``mie_x.report.EPOCHS``
AHEAD = 1  # batches that are read while another is learned from
AT_ONCE = 32  # samples that are predicted together
SHUFFLED, VARIED, DROPPED = range(3)  # what a random choice is for: the first of its seeds
COUNTER = "num_batches_tracked"  # of a batch norm, for averages that nothing here takes
TIME_LEFT_OUT = 0.1  # of a sequence, at most, at either end

OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam}


class Examples(Protocol):
    """What a recognizer is trained and tested on; ``inputs`` may be asked by several threads."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) classes from 0."""

    @property
    def macro(self) -> NDArray[np.bool_] | None:
        """(N,), who shows a macro-expression; None where nobody tells. EMR alone learns from it."""

    def __len__(self) -> int: ...

    def inputs(self, index: int, augmentation: Augmentation | None) -> Inputs:
        """One sample's views, float32 of the shapes in ``VIEWS``; None: the fixed view of testing.

        In the order of the recognizer's ``settings.views``.
        """


class Epoch(NamedTuple):
    """What happened in an epoch: rate, mean loss, seconds of training, of which waiting for data.

    ``rate`` is that of layers without one of their own; the loss is that in training mode.
    ``validation`` is loss (mean cross-entropy), UF1, UAR and accuracy on the examples held back,
    None without such; UF1 and UAR are None where a class is absent from these.
    """

    rate: float
    loss: float
    seconds: float
    waiting: float
    validation: dict[str, float | None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A recognizer that has learned; a network is on the CPU, in eval mode.

    ``settings`` are JSON. ``pretrained_on`` is what its trunks had learned from before any clip.
    ``epoch`` is the one whose weights these are, after ``steps`` batches, counted from 1; both are
    0 for an SVM. ``replaced`` names the layers of the start that were made anew for other classes.
    ``log`` has a row an epoch, and is not kept in files; nor is ``oracle``, scores (epochs, N, C).
    """

    recognizer: str
    network: nn.Module | DescriptorSvm
    classes: tuple[str, ...]
    seed: int
    settings: Mapping[str, Any]
    pretrained_on: str | None = None
    epoch: int = 0
    steps: int = 0
    replaced: tuple[str, ...] = ()
    log: tuple[Epoch, ...] = ()
    oracle: NDArray[np.float32] | None = None

    @property
    def waited(self) -> float | None:
        """Share of the time of training that was spent waiting for data; None without a log."""
        if not self.log:
            return None
        return sum(epoch.waiting for epoch in self.log) / sum(epoch.seconds for epoch in self.log)


@dataclass(slots=True, eq=False)
class Run:
    """All that changes while training; what a checkpoint holds."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    log: list[Epoch] = dataclasses.field(default_factory=list)
    oracle: list[NDArray[np.float32]] = dataclasses.field(default_factory=list)
    best: dict[str, Tensor] = dataclasses.field(default_factory=dict)  # weights of an inner choice


def fit(
    name: str,
    examples: Examples,
    *,
    classes: Sequence[str],
    seed: int,
    settings: Settings | None = None,
    epochs: int | None = None,
    start: Fitted | None = None,
    weights: str | None = None,
    validate: Examples | None = None,
    choose: str = "last",
    oracle: Examples | None = None,
    checkpoint: Path | None = None,
    save_seconds: float = 60,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Train the recognizer NAME to tell CLASSES, the names of the labels 0, 1, ....

    SETTINGS are its own unless others are given, with EPOCHS instead of theirs. It begins with the
    weights of START, of the same recognizer, or at random from SEED, or with "imagenet" WEIGHTS
    (``backbones``). Where START's classes are other ones, layers that depend on their number are
    made anew. VALIDATE is logged and may CHOOSE the epoch: "last" or "inner". ORACLE is predicted
    after each epoch.

    CHECKPOINT is written at the end of an epoch when SAVE_SECONDS have passed, and at the very end;
    where it is there the run goes on from it. WORKERS threads read data; 0 reads between steps.
    PROGRESS is told (steps done, all steps) at the start and after every step.

    An SVM is fitted at once: whatever it cannot take is a ValueError, DEVICE and CHECKPOINT are
    left alone. ValueError as well for labels outside of CLASSES, a START of another recognizer, a
    checkpoint of other settings or data, a loss that is not a number.
    """
    names = tuple(classes)
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"classes {names}: two or more, each with a name of its own")
    for each in (examples, validate, oracle):
        if each is not None:
            _check(each, names)
    if choose not in CHOICES or (choose == "inner" and validate is None):
        raise ValueError(f"epoch {choose!r}: choose 'last', or 'inner' with examples to validate")
    if name in DESCRIPTORS:
        given = {
            "settings": settings, "epochs": epochs, "start": start, "weights": weights,
            "examples to validate": validate, "oracle": oracle,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise ValueError(f"{name} is a descriptor and an SVM, it has no {option}")
        return _fit_svm(name, examples, names, seed)
    if name not in RECOGNIZERS:
        known = ", ".join((*RECOGNIZERS, *DESCRIPTORS))
        raise ValueError(f"no recognizer {name!r}: choose from {known}")
    own = settings or RECOGNIZERS[name].settings
    own = dataclasses.replace(own, epochs=own.epochs if epochs is None else epochs)
    _check_settings(name, own)
    marks = [None if e is None else fingerprint(e) for e in (examples, validate, oracle)]
    if validate is not None and marks[1] == marks[2]:
        raise ValueError("validate and oracle are the same examples: no epoch is chosen on a test")

    device = parallel.join(device)
    with repeatable(device):
        torch.manual_seed(seed)
        network = _build(name, len(names), weights=weights)
        learned_before = pretrained_on(network)
        replaced: tuple[str, ...] = ()
        if start is not None:
            if weights is not None:
                raise ValueError("start has weights of its own; give these, or imagenet's")
            replaced = begin_with(network, start, name, names)
            learned_before = start.pretrained_on
        network.to(device)
        run = Run(network, OPTIMISERS[own.optimiser](groups(network, own)))
        save = None
        if checkpoint is not None:
            same = told(own) | {
                "recognizer": name,
                "classes": names,
                "seed": seed,
                "weights": weights,
                "start": None if start is None else _digest(start),
                "choose": choose,
                **dict(zip(("examples", "validate", "oracle"), marks, strict=True)),
                "device": torch.device(device).type,
                "processes": parallel.size(),
            }
            if checkpoint.exists():
                resume(checkpoint, run, same)
            save = functools.partial(_save, checkpoint, run, same)
        train(
            run, examples, own,
            seed=seed, validate=validate, choose=choose, oracle=oracle,
            save=save, save_seconds=save_seconds, device=device, workers=workers,
            progress=progress,
        )  # fmt: skip
    counted = best_epoch(run.log) if choose == "inner" else own.epochs
    return Fitted(
        recognizer=name,
        network=network.cpu().eval(),
        classes=names,
        seed=seed,
        settings=told(own),
        pretrained_on=learned_before,
        epoch=counted,
        steps=counted * -(-len(examples) // own.batch),
        replaced=replaced,
        log=tuple(run.log),
        oracle=np.stack(run.oracle) if run.oracle else None,
    )


def predict(
    fitted: Fitted,
    examples: Examples,
    *,
    batch: int = AT_ONCE,
    device: str = "cpu",
    workers: int = 0,
) -> NDArray[np.float32]:
    """Scores (N, C) float32 of EXAMPLES, seen in the fixed view: a row sums to 1.

    They are the softmax of a network in eval mode, in float32 on every DEVICE; an SVM gives 1 to
    one class.
    """
    if isinstance(fitted.network, DescriptorSvm):
        answers = fitted.network.predict(_single_views(examples))
        return np.eye(len(fitted.classes), dtype=np.float32)[answers]
    network = fitted.network.to(device)
    try:
        with repeatable(device):
            found = logits(
                network, fitted.settings["views"], examples,
                batch=batch, device=device, workers=workers,
            )  # fmt: skip
    finally:
        network.cpu()
    scores: NDArray[np.float32] = found.softmax(dim=1).numpy()
    return scores


def _fit_svm(name: str, examples: Examples, classes: tuple[str, ...], seed: int) -> Fitted:
    svm = DescriptorSvm(DESCRIPTORS[name])
    settings = {"views": [svm.descriptor.view], "cost": svm.cost}
    svm.fit(_single_views(examples), examples.labels)
    return Fitted(name, svm, classes, seed, settings)


def _single_views(examples: Examples) -> Iterator[NDArray[np.float32]]:
    for index in range(len(examples)):
        (view,) = examples.inputs(index, None)
        yield view


def begin_with(
    network: nn.Module, start: Fitted, name: str, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Fill NETWORK, of the recognizer NAME, with START's weights; the layers that keep their own.

    These are the outermost layers in which a shape depends on the number of classes, whole: their
    hidden layers learned to serve the old classes. None where START's classes are CLASSES.
    """
    if start.recognizer != name:
        raise ValueError(f"a start of {start.recognizer}, but {name} is to be trained")
    assert isinstance(start.network, nn.Module)  # SVMs have no start
    fresh: set[str] = set()
    if start.classes != classes:
        with torch.device("meta"):
            few, many = (_build(name, number).state_dict() for number in (2, 3))
        fresh = {key.split(".")[0] for key in few if few[key].shape != many[key].shape}
    before, own = start.network.state_dict(), network.state_dict()
    kept = {key for key in own if key.split(".")[0] not in fresh and not key.endswith(COUNTER)}
    network.load_state_dict({key: before[key] if key in kept else own[key] for key in own})
    return tuple(sorted(fresh))


def _build(name: str, classes: int, *, weights: str | None = None) -> nn.Module:
    build = RECOGNIZERS[name].build
    if weights is None:
        return build(classes=classes)
    if "weights" not in inspect.signature(build).parameters:
        raise ValueError(f"{name} has no trunk that could begin with {weights}: leave weights out")
    return build(classes=classes, weights=weights)


def _check(examples: Examples, classes: tuple[str, ...]) -> None:
    labels = examples.labels
    if not len(examples) or labels.shape != (len(examples),):
        raise ValueError(f"{len(examples)} examples with labels {labels.shape}: one each, some")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(
            f"labels {labels.min()} to {labels.max()}, but classes 0 to {len(classes) - 1}: "
            f"{', '.join(classes)}"
        )


def _check_settings(name: str, settings: Settings) -> None:
    if settings.views != (views := RECOGNIZERS[name].settings.views):
        raise ValueError(f"settings for {settings.views}, but {name} sees {views}")
    for of, value, known in (
        ("optimiser", settings.optimiser, OPTIMISERS),
        ("augmentation", settings.augmentation, AUGMENTATIONS),
    ):
        if value not in known:
            raise ValueError(f"{of} {value!r}: choose from {'; '.join(known)}")
    if settings.epochs < 1 or settings.batch < 1:
        raise ValueError(f"{settings.epochs} epochs of batches of {settings.batch}: at least 1")
    for epoch in range(1, settings.epochs + 1):
        rate = settings.schedule(settings.rate, epoch)
        if not rate > 0:
            raise ValueError(
                f"epoch {epoch} has a rate of {rate}: {told(settings)['schedule']} is made for "
                "fewer epochs; take fewer, or settings with another schedule"
            )


@contextmanager
def repeatable(device: str) -> Iterator[None]:
    """Seeds set inside stay inside, and PyTorch takes repeatable ways, on CUDA where it has them.

    Where it has none it warns there, and raises on a CPU.
    """
    on_gpu = torch.device(device).type == "cuda"
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[torch.device(device)] if on_gpu else []):
        torch.use_deterministic_algorithms(True, warn_only=on_gpu)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warned)


def shares(
    number: int, batch: int, *, seed: int, epoch: int
) -> Iterator[tuple[NDArray[np.int64], float]]:
    """EPOCH's batches of NUMBER samples in random order: this process's part, and its weight.

    Weighted gradients, averaged over the processes, are the gradient of the mean over the batch.
    """
    order = np.random.default_rng([SHUFFLED, seed, epoch]).permutation(number)
    rank, size = parallel.rank(), parallel.size()
    for first in range(0, number, batch):
        chosen = order[first : first + batch]
        if len(chosen) < 2 * size:
            yield chosen, 1.0
        else:
            part = chosen[rank::size]
            yield part, len(part) * size / len(chosen)


Plan = Iterator[tuple[NDArray[np.int64], Callable[[int], Inputs]]]
"""Batches to come: indices of samples, and what gives one sample's inputs."""


def planned(examples: Examples, settings: Settings, seed: int, *, first: int) -> Plan:
    """This process's batches of the epochs from FIRST to the last."""
    vary = AUGMENTATIONS[settings.augmentation]

    def varied(epoch: int, index: int) -> Inputs:
        return vary(examples, index, np.random.default_rng([VARIED, seed, epoch, index]))

    for epoch in range(first, settings.epochs + 1):
        for chosen, _ in shares(len(examples), settings.batch, seed=seed, epoch=epoch):
            yield chosen, functools.partial(varied, epoch)


def read(
    examples: Examples, plan: Plan, *, views: Sequence[str], workers: int, device: str
) -> Generator[Batch, None, None]:
    """The batches of PLAN, in its order; WORKERS threads read the next while one is worked on.

    In memory that CUDA copies from without waiting, where DEVICE is such.
    """
    pinned = torch.device(device).type == "cuda"
    wanted = [VIEWS[view] for view in views]

    def put(
        arrays: list[NDArray[np.float32]],
        inputs: Callable[[int], Inputs],
        places: list[tuple[int, int]],
    ) -> None:
        for row, index in places:
            found = inputs(index)
            if (shapes := [view.shape for view in found]) != wanted:
                raise ValueError(f"example {index} is {shapes}; {', '.join(views)} are {wanted}")
            for array, view in zip(arrays, found, strict=True):
                array[row] = view

    def begin(
        indices: NDArray[np.int64], inputs: Callable[[int], Inputs]
    ) -> tuple[Batch, list[Callable[[], None]]]:
        tensors = tuple(torch.empty(len(indices), *shape, pin_memory=pinned) for shape in wanted)
        macro = None if examples.macro is None else torch.from_numpy(examples.macro[indices])
        batch = Batch(tensors, torch.from_numpy(examples.labels[indices]), macro)
        arrays = [tensor.numpy() for tensor in tensors]
        places = list(enumerate(indices.tolist()))
        parts = (places[first :: max(1, workers)] for first in range(max(1, workers)))
        return batch, [functools.partial(put, arrays, inputs, part) for part in parts]

    if not workers:
        for chosen in plan:
            batch, tasks = begin(*chosen)
            for task in tasks:
                task()
            yield batch
        return
    pool = ThreadPoolExecutor(workers)
    waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
    try:
        for chosen in plan:
            batch, tasks = begin(*chosen)
            waiting.append((batch, [pool.submit(task) for task in tasks]))
            if len(waiting) > AHEAD:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(batch: Batch, tasks: list[Future[None]]) -> Batch:
    for task in tasks:
        task.result()
    return batch


def _to(batch: Batch, device: str) -> Batch:
    macro = None if batch.macro is None else batch.macro.to(device)
    inputs = tuple(tensor.to(device, non_blocking=True) for tensor in batch.inputs)
    return Batch(inputs, batch.labels.to(device), macro)


def train(
    run: Run,
    examples: Examples,
    settings: Settings,
    *,
    seed: int,
    validate: Examples | None,
    choose: str,
    oracle: Examples | None,
    save: Callable[[], None] | None,
    save_seconds: float,
    device: str,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Train RUN from where it stands to the last epoch; options as ``fit`` has them.

    One process calls SAVE and tells PROGRESS: the state is saved before an epoch's end is told.
    """
    if parallel.rank() > 0:
        save = progress = None
    batches = -(-len(examples) // settings.batch)
    total = settings.epochs * batches
    if progress is not None:
        progress(len(run.log) * batches, total)
    saved = time.monotonic()
    plan = planned(examples, settings, seed, first=len(run.log) + 1)
    look = functools.partial(logits, run.network, settings.views, device=device, workers=workers)
    with closing(
        read(examples, plan, views=settings.views, workers=workers, device=device)
    ) as data:
        while len(run.log) < settings.epochs:
            train_epoch(
                run, data, len(examples), settings, seed=seed, device=device, progress=progress
            )
            if validate is not None:
                scores = _scores(look(validate), validate.labels)
                run.log[-1] = run.log[-1]._replace(validation=scores)
                if choose == "inner" and best_epoch(run.log) == len(run.log):
                    weights = run.network.state_dict()
                    run.best = {name: value.clone() for name, value in weights.items()}
            if oracle is not None:
                run.oracle.append(look(oracle).softmax(dim=1).numpy())
            due = time.monotonic() - saved >= save_seconds or len(run.log) == settings.epochs
            if save is not None and due:
                save()
                saved = time.monotonic()
            if progress is not None:
                progress(len(run.log) * batches, total)
    if run.best:
        run.network.load_state_dict(run.best)
    parallel.wait()


def train_epoch(
    run: Run,
    data: Iterator[Batch],
    number: int,
    settings: Settings,
    *,
    seed: int,
    device: str,
    progress: Callable[[int, int], None] | None,
) -> None:
    """One more epoch of NUMBER samples, whose batches come next in DATA; it is logged in RUN.

    PROGRESS is told of all steps but the last, after which there is more to be done.
    """
    epoch = len(run.log) + 1
    for group, first in zip(run.optimiser.param_groups, groups(run.network, settings), strict=True):
        group["lr"] = settings.schedule(first["lr"], epoch)
    run.network.train()
    kind = torch.device(device).type
    batches = -(-number // settings.batch)
    losses = []
    waiting, started = 0.0, time.perf_counter()
    parts = shares(number, settings.batch, seed=seed, epoch=epoch)
    for step, (_, weight) in enumerate(parts):
        asked = time.perf_counter()
        batch = next(data)
        waiting += time.perf_counter() - asked
        draws = np.random.default_rng([DROPPED, seed, epoch, step, parallel.rank()])
        torch.manual_seed(int(draws.integers(2**63)))
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            loss = weight * settings.loss(run.network, _to(batch, device))
        run.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parallel.average(p.grad for p in run.network.parameters() if p.grad is not None)
        if settings.clip is not None:
            for child in run.network.children():
                if parameters := list(child.parameters()):
                    nn.utils.clip_grad_norm_(parameters, settings.clip)
        run.optimiser.step()
        losses.append(loss.detach() * min(settings.batch, number - step * settings.batch))
        if progress is not None and step + 1 < batches:
            progress((epoch - 1) * batches + step + 1, settings.epochs * batches)
    total = torch.stack(losses).sum()
    parallel.average([total, *(b for b in run.network.buffers() if b.is_floating_point())])
    mean = total.item() / number
    if not np.isfinite(mean):
        raise ValueError(
            f"the loss of epoch {epoch} is {mean}: look for examples that are not numbers, "
            "or take a lower rate"
        )
    rate = settings.schedule(settings.rate, epoch)
    run.log.append(Epoch(rate, mean, time.perf_counter() - started, waiting))


def logits(
    network: nn.Module,
    views: Sequence[str],
    examples: Examples,
    *,
    batch: int = AT_ONCE,
    device: str,
    workers: int,
) -> Tensor:
    """What NETWORK, in eval mode, says of EXAMPLES in the fixed view: (N, C) float32, on the CPU.

    ValueError where that is not a number.
    """
    indices = np.split(np.arange(len(examples)), range(batch, len(examples), batch))
    fixed = functools.partial(examples.inputs, augmentation=None)
    plan = ((part, fixed) for part in indices)
    network.eval()
    found = []
    with torch.inference_mode():
        for each in read(examples, plan, views=views, workers=workers, device=device):
            found.append(network(*_to(each, device).inputs).float().cpu())
    answers = torch.cat(found)
    if not (finite := answers.isfinite().all(dim=1)).all():
        raise ValueError(f"example {int(finite.int().argmin())} gives no number; is it one?")
    return answers


def _scores(found: Tensor, labels: NDArray[np.int64]) -> dict[str, float | None]:
    """How well the logits FOUND (N, C) meet LABELS, as ``Epoch.validation`` has it."""
    table = np.zeros((found.shape[1], found.shape[1]), np.int64)
    np.add.at(table, (labels, found.argmax(dim=1).numpy()), 1)
    whole = bool(table.any(axis=1).all())
    return {
        "loss": float(F.cross_entropy(found, torch.from_numpy(labels))),
        "UF1": float(uf1(table)) if whole else None,
        "UAR": float(uar(table)) if whole else None,
        "accuracy": float(accuracy(table)),
    }


def best_epoch(log: Sequence[Epoch]) -> int:
    """The epoch of lowest validation loss, the first of equals, counted from 1."""
    losses = [epoch.validation["loss"] for epoch in log if epoch.validation is not None]
    return 1 + int(np.argmin(np.array(losses, np.float64)))


def fingerprint(examples: Examples) -> str:
    """SHA-256 of the labels, who is macro, and the inputs of the first, middle and last sample."""
    digest = hashlib.sha256(json.dumps(examples.labels.tolist()).encode())
    digest.update(json.dumps(None if examples.macro is None else examples.macro.tolist()).encode())
    for index in sorted({0, len(examples) // 2, len(examples) - 1}):
        for view in examples.inputs(index, None):
            digest.update(np.ascontiguousarray(view).tobytes())
    return digest.hexdigest()


def _digest(fitted: Fitted) -> str:
    assert isinstance(fitted.network, nn.Module)
    digest = hashlib.sha256(json.dumps(fitted.classes).encode())
    for key, tensor in fitted.network.state_dict().items():
        if not key.endswith(COUNTER):
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _save(path: Path, run: Run, settings: Mapping[str, Any]) -> None:
    log = [list(epoch) for epoch in run.log]
    save_state(path, _tensors(run), settings=settings, progress={"log": log})


def _tensors(run: Run) -> dict[str, Tensor]:
    """Name -> the tensors of RUN, the oracle's predictions among them."""
    tensors = {f"network.{name}": value for name, value in run.network.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in run.best.items()}
    for index, state in run.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": value for name, value in state.items()}
    if run.oracle:
        tensors["oracle"] = torch.from_numpy(np.stack(run.oracle))
    return tensors


def resume(path: Path, run: Run, settings: Mapping[str, Any]) -> None:
    """Fill RUN, as it is before its first step, from the checkpoint PATH of the same SETTINGS."""
    tensors, progress = load_state(path, settings=settings)
    try:
        run.network.load_state_dict(_below("network", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimiser", tensors).items():
            index, _, part = name.partition(".")
            state.setdefault(int(index), {})[part] = value
        run.optimiser.load_state_dict(run.optimiser.state_dict() | {"state": state})
        run.log = [Epoch(*epoch) for epoch in progress["log"]]
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path}: a damaged state, not that of such a network; delete it to begin again"
        ) from error
    run.best = _below("best", tensors)
    run.oracle = list(tensors["oracle"].numpy()) if "oracle" in tensors else []


def _below(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.partition(".")[2]: value
        for name, value in tensors.items()
        if name.partition(".")[0] == part
    }


def _as_it_is(examples: Examples, index: int, rng: np.random.Generator) -> Inputs:
    del rng
    return examples.inputs(index, None)


def _by_the_view(examples: Examples, index: int, rng: np.random.Generator) -> Inputs:
    return examples.inputs(index, draw_augmentation(rng))


def flipped_and_jittered(examples: Examples, index: int, rng: np.random.Generator) -> Inputs:
    """A sample's sequences of flow (3, T, H, W), mirrored half of the time, cut short in time.

    Up to ``TIME_LEFT_OUT`` of the length is left out at either end, and the rest interpolated to T,
    as if onset and offset had been marked a little too late, or too early. u changes its sign in a
    mirror; the magnitude is that of the new u and v. All sequences alike: they are of one clip.
    """
    mirrored = rng.random() < 0.5
    begin, end = rng.uniform(0, TIME_LEFT_OUT), rng.uniform(1 - TIME_LEFT_OUT, 1)
    made = []
    for sequence in examples.inputs(index, None):
        last = sequence.shape[1] - 1
        times = np.linspace(begin, end, last + 1) * last
        before = np.minimum(times.astype(np.int64), last - 1)
        share = (times - before).astype(np.float32)[:, None, None]
        u, v = sequence[:2, before] * (1 - share) + sequence[:2, before + 1] * share
        if mirrored:
            u, v = -u[..., ::-1], v[..., ::-1]
        made.append(np.stack([u, v, np.hypot(u, v)]))
    return tuple(made)


AUGMENTATIONS: dict[str, Callable[[Examples, int, np.random.Generator], Inputs]] = {
    "none": _as_it_is,
    "resize 256, rotate 10 degrees, jitter 0.2, crop 224": _by_the_view,
    "flip, jitter in time": flipped_and_jittered,
}
"""``Settings.augmentation`` -> a sample as training sees it, drawn from its own generator."""
