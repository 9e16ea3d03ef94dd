"""Flow pictures of a collection's clips: ``mie-x flow``, in the layout that others hand them on in.

A picture a clip, onset to apex: u, v and strain as red, green and blue, each by its own least and
largest value (``mie_x.datasets.flow_images``, which reads them again)::

    OUT/combined_3_class2_for_optical_flow.csv     the index, a row a picture
    OUT/datasets/STSNet_whole_norm_u_v_os/006_006_1_2 .png
    OUT/flow.json                                  how they were made, and what was left out

The folders of each fold, which hold every picture once for each subject, are not written: index and
pictures tell the folds. Flow comes out of ``pipelines.views``, where every clip's is kept when it
is computed, so that a run that is stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from PIL import Image

from mie_x import __version__
from mie_x.datasets import flow_images
from mie_x.datasets.collection import MARK
from mie_x.datasets.sheets import write_sheet
from mie_x.flow import maps_of, to_picture
from mie_x.whole import stays_below, whole, write_json, write_text
from pipelines import examples, views
from pipelines.examples import Example, LeftOut

TOLD = "flow.json"
STAND_IN = "STAND-IN. Flow pictures of rendered people; they say nothing about anybody.\n\n{}\n"


@dataclass(frozen=True)
class Pictures:
    """What a run came to: ``left_out`` cannot have a picture, ``failed`` could not be seen."""

    out: Path
    written: int
    left_out: tuple[LeftOut, ...]
    failed: tuple[LeftOut, ...]
    stand_in: bool


def write(
    name: str,
    root: Path,
    out: Path,
    *,
    flow: str = "tvl1",
    size: int = flow_images.SIDE,
    early: float = examples.EARLY,
    cache: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Pictures:
    """Write SIZE x SIZE px pictures of the labelled clips of collection NAME in ROOT to OUT.

    FLOW is one of ``mie_x.flow.FLOWS``. Of macro-expressions the frame at EARLY of the rise stands
    for the apex. ValueError where OUT holds pictures that were made otherwise, or no clip has one.
    """
    told: dict[str, Any] = {
        "mie_x": __version__,
        "scikit_image": version("scikit-image"),
        "collection": name,
        "flow": flow,
        "normalise": "minmax",
        "size": size,
        "channels": ["u", "v", "strain"],
        "early": early,
    }
    _refuse_others(out, told)
    found = examples.of_collection(name, root, early=early)
    recipe = views.Recipe(flow)
    named = [example for example in found.examples if _can_be_named(example)]
    seen = views.look(
        named, ["flow_raw"], recipe=recipe, cache=cache, workers=workers, progress=progress
    )
    left_out = (
        *found.left_out,
        *(
            LeftOut(example.key, "its name cannot be that of a file")
            for example in found.examples
            if not _can_be_named(example)
        ),
    )
    if not len(seen):
        lost = (*seen.left_out, *left_out)
        first = f"; the first: {lost[0].key}: {lost[0].reason}" if lost else ""
        raise ValueError(f"{root}: no clip of {name} makes a flow picture{first}")
    folder = out / flow_images.ALL
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / TOLD, told)  # before the first picture: they are known to be ours
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[list[object]] = [[*flow_images.COLUMNS]]
    for index, example in enumerate(seen.examples):
        assert example.origin is not None
        corpus, subject, clip = example.origin
        (maps,) = seen.inputs(index, None)
        with whole(folder / f"{subject}_{clip} .png") as unfinished:
            Image.fromarray(to_picture(maps_of(maps[:2], size=size))).save(unfinished, "PNG")
        lines.append([corpus, subject, clip, example.label, None, f"{subject}_{clip}.png", None])
    write_sheet(out / flow_images.INDEX, {"index": lines})
    stand_in = any(example.stand_in for example in seen.examples)
    if stand_in:
        write_text(out / MARK, STAND_IN)
    write_json(
        out / TOLD,
        told
        | {
            "pictures": len(seen),
            "stand_in": stand_in,
            "left_out": [list(one) for one in left_out],
            "failed": [list(one) for one in seen.left_out],
        },
    )
    return Pictures(out, len(seen), left_out, seen.left_out, stand_in)


def _refuse_others(out: Path, told: dict[str, Any]) -> None:
    """ValueError where OUT was made in another way."""
    path = out / TOLD
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        for name, value in told.items():
            if before.get(name) != value:
                raise ValueError(
                    f"{out} holds pictures made with {name} {before.get(name)!r}, not {value!r}; "
                    "give another --out, or delete it"
                )
    elif (out / flow_images.INDEX).exists() or (out / flow_images.ALL).exists():
        raise ValueError(f"{out} holds flow pictures of others; give another --out")


def _can_be_named(example: Example) -> bool:
    assert example.origin is not None
    name = f"{example.origin.subject}_{example.origin.clip}"
    return stays_below(name) and "/" not in name
