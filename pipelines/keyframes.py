"""Onset, apex and offset from one labelled frame of each clip: ``mie-x keyframes``.

Wang et al., "Micro-Expression Key Frame Inference" (MECIA), whose algorithm and network are in
``recognizers.key_frames``. What is given is one clip and a frame of it, or a collection, each of
whose micro-expressions has a frame chosen as a coder may have chosen it (``pipelines.labelled``).
All clips of a call are inferred together by one network; it learns from no other frame than these,
and the first and last of each clip. So what it is tested on is what it has learned from, as
published.

Inference gets frames, one labelled frame and a class: ``MarkedClip`` has room for no more. Onset
and offset as coded are for scores alone, but where rounds are to stop by them (``inferred.STOPS``),
as the paper's do. Before that they choose the frame, and may decide where clips are cut
(``labelled.CUTS``): whatever they decided, all that is written says (``inferred.TRUTH``). ::

    OUT/keyframes.csv     a row a clip and set of modules: frame given, found, as coded; IoU, errors
    OUT/baselines.csv     the same of what MECIA has to beat
    OUT/results.json      settings, figures, rounds, what was left out and why
    OUT/report.md         the same to read
    OUT/pictures/A+C/     clips over time, the first ``inferred.DRAWN`` of each set of modules
    OUT/sheet/            what was found as a sheet of the collection's layout, if asked for
    OUT/state/            of each set of modules, after every round: a stopped run goes on
    OUT/views/            clips as they are seen, if no other store is given
"""

from __future__ import annotations

import functools
import inspect
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mie_x import __version__
from mie_x.datasets import COLLECTIONS, EXPORTS, coded
from mie_x.datasets.coded import KEY_FRAMES
from mie_x.faces import MARGIN
from mie_x.flow import FLOWS
from mie_x.records import LABELS, Clip
from pipelines.examples import LeftOut
from pipelines.extract import named_collection
from pipelines.inferred import HALFWAY, STOPS, TRUTH, VIEW, Done, compare, figures_of, write
from pipelines.labelled import (
    BY_APEX,
    BY_LENGTH,
    CUTS,
    STARTS,
    Cut,
    Look,
    Marked,
    Seen,
    cuts,
    mark,
    of_path,
    seen_all,
    usual_cut,
)
from recognizers.key_frames import (
    EPOCHS,
    MODULES,
    Epochs,
    Inference,
    Inferred,
    MarkedClip,
    by_difference,
    by_threshold,
    halfway,
    infer,
)
from recognizers.mecia import MECIANet

REACH_FPS = 77.0
"""From this frame rate on labels reach as far as in SAMM (200), below as in CAS(ME)^2 (30)."""

SHEET = "sheet"  # folder in OUT

OTHERS = len(LABELS)
"""The category of clips whose emotion is of no class: negative, positive, surprise, others."""


def _by_flow(seen: Seen, frame: int) -> Inferred:
    assert seen.strength is not None
    return by_threshold(seen.strength, frame)


BASELINES: dict[str, Callable[[Seen, int], Inferred]] = {
    HALFWAY: lambda seen, frame: halfway(len(seen.frames), frame),
    "pixel difference": lambda seen, frame: by_difference(
        seen.frames.reshape(len(seen.frames), -1), frame
    ),
    "flow threshold": _by_flow,
}
"""What MECIA has to beat, beside chance."""


def keyframes(
    what: str | Path,
    out: Path,
    *,
    frame: int | None,
    seed: int,
    first: int | None = None,
    last: int | None = None,
    fps: float | None = None,
    start: str = "third",
    cut: str | None = None,
    modules: Sequence[str] | None = None,
    reach: str | None = None,
    epochs: str | tuple[int, int] = "published",
    stop: str = "unchanged",
    size: int = VIEW,
    margin: float = MARGIN,
    flow: str | None = "tvl1",
    imagenet: bool = False,
    build: Callable[..., Any] = MECIANet,
    export: str | None = None,
    store: Path | None = None,
    workers: int = 1,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> Done:
    """Find the key frames of WHAT, a video file, a folder of frames or NAME=ROOT; write OUT.

    Of one clip FRAME is given, a number within its micro-expression, and FIRST and LAST where it is
    looked at; FPS is that of a folder. Of a collection START chooses the frame and CUT where it is
    looked at (None: ``usual_cut``). MODULES are sets of losses, each inferred by itself (None: the
    published one, of one clip "A+C", in which there is nothing to identify). REACH None is that of
    the nearer published frame rate; EPOCHS one of ``EPOCHS``, or counts. FLOW None leaves out the
    baseline of flow, which takes a tenth of a second a frame. IMAGENET begins with its weights.
    EXPORT is the collection's name, for a sheet in its layout. What is seen is kept in STORE.

    PROGRESS is told what is done, how far, and of how much. ValueError where nothing can be
    inferred, with the first reason.
    """
    collection = named_collection(str(what))
    name = None if collection is None else collection[0]
    choices: list[tuple[str, str | None, Iterable[str]]] = [
        ("start", start, STARTS), ("cut", cut, CUTS), ("stop", stop, STOPS), ("flow", flow, FLOWS),
        ("export", export, [one for one in EXPORTS if one == name]),
    ]  # fmt: skip
    choices += [("modules", module, MODULES) for module in modules or ()]
    choices += [("epochs", epochs, EPOCHS)] if isinstance(epochs, str) else []
    for of, chosen, known in choices:
        if chosen is not None and chosen not in known:
            raise ValueError(f"{of} {chosen!r}: choose from {', '.join(known) or 'nothing here'}")
    counts = EPOCHS[epochs] if isinstance(epochs, str) else Epochs(*epochs)
    left_out: list[LeftOut] = []
    if collection is None:
        if frame is None:
            raise ValueError(f"{what}: give --frame, the number of a frame in its micro-expression")
        if stop == "truth":
            raise ValueError(f"{what}: nobody knows its truth, to stop by; --stop unchanged")
        if any("I" in module for module in modules or ()):
            raise ValueError(
                f"{what}: one clip has one category, there is nothing to identify; "
                "give the modules A or A+C"
            )
        found = [of_path(Path(what), frame=frame, first=first, last=last, fps=fps)]
        modules, start, cut, flow = modules or ("A+C",), "given", "given", None
    else:
        if frame is not None or first is not None or last is not None:
            raise ValueError("--frame, --first and --last are of one clip; --start of a collection")
        clips = list(COLLECTIONS[collection[0]].read(collection[1]))
        modules, cut = modules or (MODULES[-1],), cut or usual_cut(clips)
        found, left_out = cuts(clips, cut=cut, seed=seed)
        if start in BY_APEX:
            left_out += [LeftOut(o.key, "nobody coded its apex") for o in found if not o.has_apex]
            found = [one for one in found if one.has_apex]
    _some(found, left_out, what)
    _identifiable(modules, [one.clip for one in found], what)
    reach = reach or _reach(found, what)
    looks, failed = seen_all(
        found,
        Look(size, margin, flow),
        store or out / "views",
        workers=workers,
        progress=None if progress is None else functools.partial(progress, "seen"),
    )
    _some(looks, failed, what)
    if frame is None:
        marked = [mark(one, seen, start=start, seed=seed) for one, seen in looks]
    else:
        marked = [Marked(one, seen, one.numbers.index(frame)) for one, seen in looks]
    _identifiable(modules, [one.cut.clip for one in marked], what)
    sheet = None if export is None else _sheet(export, marked)
    # all that inference gets
    inputs = [MarkedClip(one.seen.frames, one.given, _category(one.cut.clip)) for one in marked]
    ends = (
        [(one.cut.truth.first, one.cut.truth.last) for one in marked] if stop == "truth" else None
    )
    inferences: dict[str, Inference] = {}
    for module in modules:
        inferences[module] = infer(
            inputs,
            classes=1 if collection is None else OTHERS + 1,
            seed=seed,
            reach=reach,
            build=functools.partial(build, weights="imagenet") if imagenet else build,
            modules=module,
            epochs=counts,
            truths=ends,
            checkpoint=out / "state" / f"{module}.safetensors",
            device=device,
            progress=None if progress is None else functools.partial(progress, module),
        )
    rows = [
        compare(f"MECIA {module}", one.cut, one.given, inferred)
        for module, inference in inferences.items()
        for one, inferred in zip(marked, inference.inferred, strict=True)
    ]
    baselines = [
        compare(method, one.cut, one.given, baseline(one.seen, one.given))
        for method, baseline in BASELINES.items()
        for one in marked
        if collection is not None and (baseline is not _by_flow or flow is not None)
    ]
    done = Done(
        out=out,
        found=tuple(rows),
        baselines=tuple(baselines),
        figures=figures_of(rows, baselines, seed=seed),
        left_out=tuple(left_out),
        failed=tuple(failed),
        stand_in=any(one.cut.clip.stand_in for one in marked),
    )
    decided = {"start": collection is not None, "cut": cut in BY_LENGTH, "stop": stop == "truth"}
    uses_truth = [use for use in TRUTH if decided[use]]
    backbone = inspect.signature(build).parameters.get("backbone")
    told = {
        "mie_x": __version__,
        "what": str(what),
        "stand_in": done.stand_in,
        "start": start,
        "cut": cut,
        "cut_frames": len(marked[0].cut.numbers) if cut in BY_LENGTH else None,
        "modules": list(modules),
        "reach": reach,
        "epochs": list(counts),
        "stop": stop,
        "uses_truth": uses_truth,
        "size": size,
        "published_size": VIEW,
        "margin": margin,
        "flow": flow,
        "network": type(next(iter(inferences.values())).network).__name__,
        "backbone": None if backbone is None else backbone.default,
        "imagenet": imagenet,
        "seed": seed,
        "device": device,
        "seconds": {
            name: round(sum(each.seconds for each in one.log), 3)
            for name, one in inferences.items()
        },
        "sheet": sheet and f"{SHEET}/{sheet}",
    }
    write(done, marked, inferences, told)
    if export is not None:
        by = f"{KEY_FRAMES}; from one frame each (start {start}, cut {cut}, stop {stop}), decided "
        by += f"by the truth: {', '.join(TRUTH[use] for use in uses_truth)}"
        coded.write(out / SHEET, EXPORTS[export], done.clips(), by=by)
    return done


def _identifiable(modules: Sequence[str], clips: Sequence[Clip], what: str | Path) -> None:
    """ValueError where one of MODULES identifies, and CLIPS are all of one category."""
    told = {_category(clip) for clip in clips}
    some = [module for module in modules if "I" in module]
    if some and len(told) < 2:
        raise ValueError(
            f"{what}: all clips that can be used are of one category, there is nothing to identify "
            f"by {some[0]}; give the modules A or A+C"
        )


def _sheet(export: str, marked: Sequence[Marked]) -> str:
    """The name of the sheet that EXPORT writes; ValueError now where it would refuse the clips."""
    clips = []
    for one in marked:
        frame = one.cut.numbers[one.given]
        clips.append(replace(one.cut.clip, onset=frame, apex=frame, offset=frame))
    with tempfile.TemporaryDirectory() as folder:
        return EXPORTS[export](Path(folder), clips).name


def _some(found: Sequence[object], lost: Sequence[LeftOut], what: str | Path) -> None:
    """ValueError with the first reason where nothing was FOUND."""
    if not found:
        first = f"; the first: {lost[0].key}: {lost[0].reason}" if lost else ""
        raise ValueError(f"{what}: no clip whose key frames can be inferred{first}")


def _reach(found: Sequence[Cut], what: str | Path) -> str:
    """The name of the reach published for the frame rate nearest to FOUND's."""
    rates = [one.clip.fps for one in found if one.clip.fps is not None]
    if not rates:
        raise ValueError(f"{what}: no frame rate is told; give --reach")
    return "samm" if float(np.median(rates)) >= REACH_FPS else "casme2sq"


def _category(clip: Clip) -> int:
    """Of a collection's clip its class, or ``OTHERS``; 0 of a clip that nobody coded."""
    if clip.onset is None:
        return 0
    return OTHERS if clip.label is None else clip.label
