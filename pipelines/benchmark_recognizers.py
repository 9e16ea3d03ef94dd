"""How fast recognizers learn and answer, and whether they ever wait for what they see.

``python -m pipelines.benchmark_recognizers --out FILE.json`` prints Markdown tables. Every
recognizer learns by ``recognizers.training.fit`` as it does elsewhere, in one thread of PyTorch,
from views that are kept (``pipelines.views``), a batch an epoch; the first batch, before which
nothing can be read ahead, is not counted. What carries over to other machines is the share of the
time that is spent waiting for data: reading and learning are timed in one run.

Batches are the published ones, but never more than learn in a part of the time given, and at least
``FEW``. Their samples come again in every batch, so that files are in memory, as they are from a
run's second epoch on where memory is large enough. A descriptor has neither batches nor threads: it
reads a sample, then describes it, and its share of waiting is what reading alone takes. On CUDA a
batch an epoch means that the device is waited for after each.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from torch import nn

from mie_x.records import LABELS
from mie_x.threads import one_thread
from mie_x.whole import write_json
from pipelines.benchmark import generate, machine, seconds
from pipelines.benchmark_clips import name_clips, write_films
from pipelines.evaluate import data_of, found_in
from pipelines.views import Recipe, Seen, look, milliseconds_a_sample
from recognizers import DESCRIPTORS, RECOGNIZERS, training
from recognizers.descriptor_svm import DescriptorSvm
from recognizers.settings import VIEWS
from recognizers.training import Examples, Fitted

READERS = {"no reader": 0, "a reader": 1}  # threads that read; without, between steps
FEW = 8  # samples in a batch at least
STEPS = 3  # batches that count, at least


class Pace(NamedTuple):
    """Samples a second, and the share of the time that was spent waiting for data."""

    rate: float
    waited: float


def learn(
    name: str, examples: Examples, *, steps: int, readers: int = 0, device: str = "cpu"
) -> Fitted:
    """Train the network NAME with all EXAMPLES as a batch, STEPS times and once before."""
    return training.fit(
        name,
        examples,
        classes=tuple(LABELS),
        seed=0,
        settings=dataclasses.replace(RECOGNIZERS[name].settings, batch=len(examples)),
        epochs=1 + steps,
        device=device,
        workers=readers,
    )


def pace(fitted: Fitted, samples: int) -> Pace:
    """That of all epochs of SAMPLES but the first."""
    log = fitted.log[1:]
    taken = sum(epoch.seconds for epoch in log)
    return Pace(samples * len(log) / taken, sum(epoch.waiting for epoch in log) / taken)


def repeated(seen: Seen, count: int) -> Seen:
    """COUNT samples of SEEN, from the first again where they end."""
    return seen.select(np.arange(count) % len(seen))


def of_network(name: str, seen: Seen, *, span: float, device: str) -> dict[str, Any]:
    """What the network NAME does on DEVICE; SPAN is for how many seconds it learns, about."""
    few = repeated(seen, FEW)
    rough = pace(learn(name, few, steps=1, device=device), FEW).rate
    batch = min(RECOGNIZERS[name].settings.batch, max(FEW, int(rough * span / STEPS)))
    steps = max(STEPS, int(rough * span / batch))
    samples = repeated(seen, batch)
    told: dict[str, Any] = {"batch": batch, "ms to read a sample": drawn_milliseconds(name, seen)}
    for who, readers in READERS.items():
        fitted = learn(name, samples, steps=steps, readers=readers, device=device)
        told |= _said(pace(fitted, batch), who)
    answered = seconds(lambda: training.predict(fitted, samples, device=device), repeats=2)
    assert isinstance(fitted.network, nn.Module)
    parameters = sum(one.numel() for one in fitted.network.parameters())
    return {"parameters": parameters, **told, "answers a second": batch / answered}


def of_descriptor(name: str, seen: Seen) -> dict[str, Any]:
    """What the descriptor NAME and its SVM do, all samples at once."""
    fitted = training.fit(name, seen, classes=tuple(LABELS), seed=0)  # loads its libraries
    taken, reading, answered = (
        seconds(work, repeats=1)
        for work in (
            lambda: training.fit(name, seen, classes=tuple(LABELS), seed=0),
            lambda: milliseconds_a_sample(seen, None),
            lambda: training.predict(fitted, seen),
        )
    )
    assert isinstance(fitted.network, DescriptorSvm) and fitted.network.planes is not None
    _, normals, offsets = fitted.network.planes
    return {
        "parameters": normals.size + offsets.size,
        "batch": len(seen),
        "ms to read a sample": 1e3 * reading / len(seen),
        **_said(Pace(len(seen) / taken, reading / taken), "no reader"),
        "answers a second": len(seen) / answered,
    }


def _said(found: Pace, who: str) -> dict[str, float]:
    return {f"learns a second, {who}": found.rate, f"share waiting, {who}": found.waited}


def of_view(name: str, seen: Seen) -> dict[str, Any]:
    """Milliseconds a sample of a view takes as it is tested."""
    milliseconds_a_sample(seen, None)  # opens files
    return {
        "view": name,
        "kB": 4e-3 * float(np.prod(VIEWS[name])),
        "ms to read a sample": milliseconds_a_sample(seen, None),
    }


def drawn_milliseconds(name: str, seen: Seen) -> float:
    """What a sample of SEEN takes as the network NAME learns from it: all its views, augmented."""
    vary = training.AUGMENTATIONS[RECOGNIZERS[name].settings.augmentation]
    rng = np.random.default_rng(0)
    count = min(len(seen), FEW)
    taken = seconds(lambda: [vary(seen, index, rng) for index in range(count)])
    return 1e3 * taken / count


def measure(
    what: str,
    names: Sequence[str],
    *,
    samples: int,
    span: float,
    devices: Sequence[str],
    store: Path,
) -> dict[str, Any]:
    """What the recognizers NAMES do on SAMPLES of WHAT, evenly from all of it, by DEVICES.

    Their views are made before, in STORE.
    """
    name, found = found_in(what)
    places = np.linspace(0, len(found.examples) - 1, min(samples, len(found.examples)))
    chosen = [found.examples[place] for place in places.round().astype(int).tolist()]
    rows: dict[str, list[dict[str, Any]]] = {device: [] for device in devices}
    views: dict[str, dict[str, Any]] = {}
    for recognizer in names:
        seen = data_of(name, chosen, recognizer, recipe=Recipe(), store=store).seen
        for view in seen.views:
            if view not in views:
                views[view] = of_view(view, look(seen.examples, [view], cache=store))
        for device, own in rows.items():
            if recognizer in RECOGNIZERS:
                told = of_network(recognizer, seen, span=span, device=device)
            elif device == "cpu":
                told = of_descriptor(recognizer, seen)
            else:
                continue
            own.append({"recognizer": recognizer} | told)
    return {"data": name, "samples": len(chosen), **rows, "views": list(views.values())}


def write_own(folder: Path, samples: int) -> list[str]:
    """A rendered dataset of SAMPLES or a few more, and as many drawn clips; as ``found_in`` asks.

    The clips are a fraction of a second at 20 frames a second: short courses of time.
    """
    generate(folder / "rendered", -(-samples // 9), 1, "--no-measure")
    (folder / "clips").mkdir()
    name_clips(folder / "clips", write_films(folder / "clips"), samples)
    return [str(folder / "rendered"), f"clips={folder / 'clips'}"]


def markdown(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """ROWS as the lines of a table, with the columns that any row has.

    >>> list(markdown([{"a": 1234.5}, {"a": 0.25, "b": "x"}]))
    ['| a | b |', '|---|---|', '| 1234 | |', '| 0.25 | x |']
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        cells = (_cell(row[key]) if key in row else "" for key in columns)
        yield "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 100 else f"{value:.2g}"
    return str(value)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option(
    "--data",
    multiple=True,
    metavar="WHAT",
    help="A dataset's folder, or NAME=ROOT of a collection (repeatable). Default: both, drawn.",
)
@click.option("--samples", type=click.IntRange(min=6), default=32, show_default=True, metavar="N")
@click.option(
    "--seconds",
    "span",
    type=click.FloatRange(min=0),
    default=3.0,
    show_default=True,
    metavar="S",
    help="How long each recognizer learns at a time, about; large ones take longer.",
)
@click.option(
    "--recognizer",
    "names",
    type=click.Choice((*RECOGNIZERS, *DESCRIPTORS)),
    multiple=True,
    help="Only this one (repeatable).",
)
def main(out: Path, data: Sequence[str], samples: int, span: float, names: Sequence[str]) -> None:
    """Measure on SAMPLES of each WHAT, write FILE as JSON, and print Markdown tables."""
    begun = time.perf_counter()
    told: dict[str, Any] = {"machine": machine()}
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    with tempfile.TemporaryDirectory() as folder, one_thread():
        told["measured"] = [
            measure(
                what, names or (*RECOGNIZERS, *DESCRIPTORS),
                samples=samples, span=span, devices=devices, store=Path(folder) / "views",
            )
            for what in data or write_own(Path(folder), samples)
        ]  # fmt: skip
    told["load after"] = round(os.getloadavg()[0], 2)
    told["seconds"] = round(time.perf_counter() - begun)
    write_json(out, told)
    for line in tables(told):
        click.echo(line)


def tables(told: Mapping[str, Any]) -> Iterator[str]:
    """All that was TOLD, as Markdown."""
    yield from markdown([told["machine"] | {key: told[key] for key in ("load after", "seconds")}])
    for one in told["measured"]:
        for part in ("cpu", "cuda", "views"):
            if part in one:
                yield from ("", f"{one['samples']} of {one['data']}: {part}", "")
                yield from markdown(one[part])


if __name__ == "__main__":
    main()
