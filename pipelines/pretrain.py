"""Weights of a recognizer: learned from a synthetic dataset, then from real clips.

Whether they are worth anything is for ``pipelines.evaluate`` to say, which trains its own, fold by
fold, and takes none of these: what they have learned from is in the file, its ``trained_on`` and
``stand_in``, but not of which people.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mie_x.records import LABELS
from pipelines import evaluate
from pipelines.evaluate import data_of, found_in
from pipelines.progress import Progress
from pipelines.views import Recipe
from recognizers import DESCRIPTORS, training, weights
from recognizers.weights import Loaded


def pretrain(
    what: str,
    out: Path,
    *,
    recognizer: str,
    sources: Iterable[str] | None,
    seed: int,
    epochs: int | None,
    flow: str,
    imagenet: bool,
    store: Path | None,
    workers: int,
    device: str,
) -> Path:
    """Train RECOGNIZER on the synthetic dataset WHAT, those of SOURCES, and write OUT.

    A stopped run goes on from OUT.checkpoint. ValueError where OUT is there already.
    """
    _refuse_what_is_there(out)
    name, found = found_in(what, sources=sources)
    data = data_of(
        name, found.examples, recognizer, recipe=Recipe(flow), store=store, workers=workers
    )
    options: dict[str, Any] = {"epochs": epochs, "weights": "imagenet" if imagenet else None}
    fitted = evaluate.pretrain(
        recognizer, data.seen, seed=seed, **(options | _run(out, device, workers))
    )
    return _write(out, fitted, trained_on=data.name, stand_in=data.stand_in, flow=flow)


def finetune(
    start: Path,
    what: str,
    out: Path,
    *,
    recognizer: str,
    seed: int,
    epochs: int | None,
    flow: str | None,
    imagenet: bool,
    store: Path | None,
    workers: int,
    device: str,
) -> Path:
    """Train the weights START of RECOGNIZER on all of WHAT, and write OUT.

    FLOW is that of START where None is given.
    """
    _refuse_what_is_there(out)
    if recognizer in DESCRIPTORS or imagenet:
        raise ValueError("only networks are fine-tuned, and they begin with the weights given")
    before = weights.load(start)
    flow = of_training(before, flow)
    name, found = found_in(what)
    data = data_of(
        name, found.examples, recognizer, recipe=Recipe(flow), store=store, workers=workers
    )
    fitted = training.fit(
        recognizer,
        data.seen,
        classes=tuple(LABELS),
        seed=seed,
        start=before.fitted,
        epochs=epochs,
        **_run(out, device, workers),
    )
    told = f"{before.trained_on}, then {data.name}"
    stand_in = before.stand_in or data.stand_in
    return _write(out, fitted, trained_on=told, stand_in=stand_in, flow=flow)


def of_training(loaded: Loaded, flow: str | None) -> str:
    """The kind of flow that LOADED has learned to see; ValueError where FLOW is another one."""
    if flow is not None and loaded.flow is not None and flow != loaded.flow:
        raise ValueError(f"--flow {flow}: these weights were trained on {loaded.flow} flow")
    return flow or loaded.flow or Recipe().flow


def _refuse_what_is_there(out: Path) -> None:
    if out.exists():
        raise ValueError(f"{out} is there already; give another --out")


def _run(out: Path, device: str, workers: int) -> dict[str, Any]:
    return {
        "checkpoint": out.with_name(out.name + ".checkpoint"),
        "device": device,
        "workers": max(0, workers - 1),
        "progress": Progress("steps", done=None),
    }


def _write(out: Path, fitted: training.Fitted, **told: Any) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    weights.save(out, fitted, **told)
    out.with_name(out.name + ".checkpoint").unlink(missing_ok=True)
    return out
