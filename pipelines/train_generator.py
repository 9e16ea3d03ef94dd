"""Train a generator on rendered faces and photographs, then measure it: ``mie-x train-generator``.

Of a folder of photographs the last people by name are held out: nothing of theirs is read while
training. Who is at rest, so that a known motion can be laid on the face, is told by the action
units that a table, or else the estimator, gives (``REST``); of several photographs of a person the
calmest counts. What OpenFace reads in faces at rest too is taken off, as for the estimator.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from au_sources.estimator import intensities
from ganimation.drawings import Clip
from ganimation.photographs import find_points
from ganimation.training import Mix, Photographs, train
from mie_x import faces, parallel
from mie_x.whole import write_json
from pipelines.measure_generator import measure, measure_photographs
from pipelines.progress import Progress
from pipelines.train_estimator import to_teach

REST = 0.25  # no AU of a resting face is measured higher; OpenFace's errors are of this size
HELD_OUT = 12  # photographed people who are never trained on: the last by name


def train_generator(
    out: Path,
    *,
    seed: int,
    identities: int,
    photographs: Path | None = None,
    photograph_aus: Path | None = None,
    hold_out: int = HELD_OUT,
    mix: tuple[float, float, float] = (1, 0, 0),
    **settings: Any,
) -> Path:
    """Train in the folder OUT, or go on there; return the path of the weights.

    PHOTOGRAPHS is a folder, PHOTOGRAPH_AUS OpenFace's table of it with a column ``image``. MIX
    weighs rendered faces, photographs without targets and photographs that are moved. Afterwards
    the weights are measured on so many IDENTITIES (0: on none) that training never saw, into
    ``measured.json`` beside them, and on the photographs held out, into
    ``measured-photographs.json``. SETTINGS are those of ``ganimation.training.train``, which
    raises ValueError where OUT holds a run of other settings.
    """
    material = None
    if photographs is not None:
        material = read_photographs(photographs, photograph_aus, hold_out=hold_out)
    elif any(mix[1:]):
        raise ValueError("--mix weighs photographs, but none are given; add --photographs DIR")
    weights = train(
        out,
        seed=seed,
        photographs=material,
        mixture=Mix(*mix),
        progress=Progress("steps", done=None),
        **settings,
    )
    if identities and parallel.rank() == 0:
        write_json(out / "measured.json", measure(weights, identities=identities, seed=seed))
        if photographs is not None and hold_out:
            figures = measure_photographs(weights, photographs, last=hold_out)
            write_json(out / "measured-photographs.json", figures)
    parallel.leave()
    return weights


def read_photographs(folder: Path, table: Path | None, *, hold_out: int) -> Photographs:
    """All but the last HOLD_OUT people of FOLDER, aligned, with their AUs by TABLE or estimator."""
    people = to_teach(folder, table, hold_out=hold_out) if table else estimated(folder, hold_out)
    calmest = [int(aus.max(axis=1).argmin()) for _, aus in people]
    resting = [
        images[calm]
        for (images, aus), calm in zip(people, calmest, strict=True)
        if aus[calm].max() <= REST
    ]
    still = np.stack(resting) if resting else people[0][0][:0]
    return Photographs(
        seen=(np.concatenate([i for i, _ in people]), np.concatenate([a for _, a in people])),
        resting=still,
        points=find_points(still),
        credit=f"the photographs are of {len(people)} people in a folder {folder.name}",
    )


def estimated(folder: Path, hold_out: int) -> list[Clip]:
    """A photograph of each person in FOLDER but the last HOLD_OUT, with the estimator's AUs."""
    found = faces.photographs(folder).faces
    if not hold_out < len(found):
        raise ValueError(f"{hold_out} of {len(found)} people held out: none is left to learn from")
    images = np.stack([face.image() for face in found[: len(found) - hold_out]])
    aus = intensities(images)
    return [(images[n : n + 1], aus[n : n + 1]) for n in range(len(images))]
