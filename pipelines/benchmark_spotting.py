"""How fast a long video is spotted, and what it takes.

``python -m pipelines.benchmark_spotting --out FILE.json`` prints a Markdown table. As with
``pipelines.benchmark``, seconds are this machine's; ratios are of things measured in turn in the
same run. MEAN's paper has 714 frames a second for its network, on its own machine and GPU: what it
takes before the network, the flow above all, is not in that figure. So both are told here:

- the network alone, on maps that are there already, by frames that it is asked about together;
- the whole way, from the file to the scores, by kind of flow and number of workers; decoding alone;
- peak memory of ``mie-x spot`` for videos of growing length.

The video shows one drawn person who lives (``mie_x.datasets.standin``), at 30 frames a second; the
network's weights are of no worth, which its speed does not depend on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from mie_x.datasets import standin
from mie_x.folds import Person
from mie_x.intervals import Interval
from mie_x.threads import one_thread
from mie_x.whole import write_json
from pipelines import courses
from pipelines.benchmark import machine, table
from pipelines.benchmark_clips import alone, in_turn
from pipelines.courses import SHAPE, Look
from pipelines.recordings import Recording, of_path
from pipelines.spotters import Lesson, ask, teach
from recognizers import weights
from recognizers.mean import MEAN
from recognizers.spotting import flow_step
from recognizers.training import Fitted
from recognizers.weights import Spotter

FPS = 30
EVERY = 5.0  # seconds from one micro-expression to the next
PUBLISHED = 714  # frames a second of the network, MEAN's paper
TOGETHER = (1, 32, 256)
KINDS = ("tvl1", "tvl1-opencv", "farneback")


def write_video(path: Path, seconds: float) -> Path:
    """Draw a person who lives for SECONDS, with a micro-expression every ``EVERY`` of them."""
    rng = np.random.default_rng(0)
    aus = standin.rest("benchmark", round(seconds * FPS))
    for at in np.arange(EVERY / 2, seconds - 1, EVERY):
        acted, _, _ = standin.expression(rng, "surprise", kind="micro", fps=FPS)
        standin.play(aus, round(at * FPS), acted)
    shot, _ = standin.live(standin.Shot("benchmark", aus, 0), (), first=1, fps=FPS)
    standin.write_reels([standin.VideoReel(shot, path, FPS)], workers=1)
    return path


def untaught() -> Fitted:
    """MEAN after a step of noise: as fast as any."""
    rng = np.random.default_rng(0)
    maps = rng.random((32, *SHAPE)).astype(np.float16)
    lesson = Lesson(
        Person("benchmark", "nobody"), FPS, maps, np.ones(32, bool), (Interval(8, 16, apex=12),),
        maps[:2].astype(np.float32), np.array([0, 1]),
    )  # fmt: skip
    return teach(
        [lesson], classes=("negative", "surprise"), recipe="code", seed=0, epochs=(1, 1)
    ).fitted


def write_weights(path: Path, fitted: Fitted, kind: str) -> None:
    people = (Person("benchmark", "nobody"),)
    told = Spotter(
        people=people, half=6, fps=FPS, kind="micro", recipe="code", epochs=(1, 1),
        face_every=None, recognizes=True,
    )  # fmt: skip
    weights.save(path, fitted, trained_on="noise", stand_in=True, flow=kind, spotter=told)


def network_alone(fitted: Fitted, *, seconds: float) -> dict[str, float]:
    """Frames a second of both heads, maps in memory, one thread."""
    network = fitted.network
    assert isinstance(network, MEAN)
    maps = torch.rand(max(TOGETHER), *SHAPE, generator=torch.Generator().manual_seed(0))

    def answer(together: int, times: int) -> None:
        with torch.inference_mode():
            for _ in range(times):
                shared = network.shared(maps[:together], frozen=False)
                network.spotting(shared)
                network.head(shared)

    rates = {}
    for together in TOGETHER:
        once = in_turn({"": partial(answer, together, 1)}, repeats=3)[""]
        times = max(1, round(seconds / once))
        taken = in_turn({"": partial(answer, together, times)}, repeats=2)[""]
        rates[f"{together} together"] = together * times / taken
    return rates


def _score(recording: Recording, fitted: Fitted, kind: str, workers: int) -> None:
    step = flow_step(recording.fps)
    for part in courses.stream(recording, Look(kind), step=step, workers=workers):
        ask(fitted, part.maps, part.seen, recognizes=True)


def whole_way(
    video: Path, fitted: Fitted, kinds: Sequence[str], workers: int, *, repeats: int
) -> dict[str, float]:
    """Frames a second from the file to the scores, and of decoding alone."""
    recording = of_path(video, fps=None)
    frames = len(recording.numbers)
    works: dict[str, Any] = {
        "decoding": lambda: sum(1 for _ in recording.footage.frames(recording.numbers))
    }
    for kind in kinds:
        for count in (1, workers):
            name = f"{kind}, {count} worker{'s' * (count > 1)}"
            works[name] = partial(_score, recording, fitted, kind, count)
            _score(of_path(video, fps=None), fitted, kind, count)  # processes, libraries
    taken = in_turn(works, repeats=repeats)
    return {name: frames / seconds for name, seconds in taken.items()}


def memory(folder: Path, fitted: Fitted, kind: str, lengths: Sequence[float]) -> dict[str, Any]:
    """Peak memory in MB and frames a second of ``mie-x spot`` over videos of so many seconds."""
    write_weights(folder / "any.safetensors", fitted, kind)
    peaks, rates = {}, {}
    for seconds in lengths:
        video = write_video(folder / f"{seconds:g}s.mkv", seconds)
        command = ["-m", "mie_x", "spot", str(video), "--workers", "1"]
        command += ["--weights", str(folder / "any.safetensors"), "--out", str(folder / video.stem)]
        taken, peaks[f"{seconds:g} s"] = alone(command)
        rates[f"{seconds:g} s"] = seconds * FPS / taken
    return {"peak MB": peaks, "frames a second": rates}


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option("--seconds", type=click.FloatRange(min=1), default=20.0, show_default=True)
@click.option("--lengths", default="10,60,600", show_default=True, metavar="SECONDS")
@click.option("--kind", "kinds", type=click.Choice(KINDS), multiple=True, help="Default: all.")
@click.option("--workers", type=click.IntRange(min=2), default=2, show_default=True, metavar="N")
@click.option("--repeats", type=click.IntRange(min=1), default=2, show_default=True, metavar="N")
def main(
    out: Path, seconds: float, lengths: str, kinds: tuple[str, ...], workers: int, repeats: int
) -> None:
    """Measure, write FILE as JSON, and print a Markdown table.

    Memory is that of the last kind of flow, which is the quickest of all.
    """
    kinds = kinds or KINDS
    with tempfile.TemporaryDirectory() as name, one_thread():
        folder = Path(name)
        fitted = untaught()
        video = write_video(folder / "video.mkv", seconds)
        told: dict[str, Any] = {"machine": machine(), "frames": round(seconds * FPS)}
        told["network, frames a second"] = network_alone(fitted, seconds=1.0)
        told["frames a second"] = whole_way(video, fitted, kinds, workers, repeats=repeats)
        rates = told["frames a second"]
        told["ratios"] = {
            f"network, {together} / published": rate / PUBLISHED
            for together, rate in told["network, frames a second"].items()
        } | {
            f"{kind}, {workers} workers / 1 worker": rates[f"{kind}, {workers} workers"]
            / rates[f"{kind}, 1 worker"]
            for kind in kinds
        }
        wanted = [float(length) for length in lengths.split(",") if length]
        told[f"memory, {kinds[-1]}"] = memory(folder, fitted, kinds[-1], wanted)
    told["load after"] = round(os.getloadavg()[0], 2)
    write_json(out, told)
    for line in table(told):
        click.echo(line)


if __name__ == "__main__":
    main()
