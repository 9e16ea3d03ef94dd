"""Train a generator on rendered faces, then measure it on others: ``mie-x train-generator``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ganimation.training import train
from mie_x.whole import write_json
from pipelines.measure_generator import measure
from pipelines.progress import Progress


def train_generator(out: Path, *, seed: int, identities: int, **settings: Any) -> Path:
    """Train in the folder OUT, or go on there; return the path of the weights.

    Afterwards they are measured on so many IDENTITIES (0: on none) that training never saw, into
    ``measured.json`` beside them. SETTINGS are those of ``ganimation.training.train``, which
    raises ValueError where OUT holds a run of other settings.
    """
    weights = train(out, seed=seed, progress=Progress("steps", done=None), **settings)
    if identities:
        figures = measure(weights, identities=identities, seed=seed)
        write_json(out / "measured.json", figures)
    return weights
