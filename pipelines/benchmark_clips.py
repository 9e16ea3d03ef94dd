"""How fast a collection's clips are measured, and what it takes: ratios from one run.

``python -m pipelines.benchmark_clips --out FILE.json`` prints a Markdown table. As with
``pipelines.benchmark``, seconds are this machine's and of this hour; what carries over are ratios
of things measured in turn in the same run:

- ``mie-x extract`` with several workers against one, and against its instrument alone;
- flow pictures by each TV-L1 likewise; how much of their time is reading and aligning;
- the parts of a clip's way through the estimator;
- peak memory at growing numbers of clips.

The clips are drawn, a fraction of a second at 20 frames a second, in the layout of
``mie_x.datasets.own_clips``: a table that names the same few folders many times. A clip is read and
measured anew whenever it is named; only the folders' listings are shared.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from au_sources import estimator
from au_sources.extract import BuiltIn
from mie_x.datasets import standin
from mie_x.datasets.own_clips import CLIPS, TABLE
from mie_x.datasets.sheets import write_sheet
from mie_x.faces.aligned import aligned, find_alignment, sureness
from mie_x.records import Clip, Frames
from mie_x.whole import write_json
from pipelines import flow_pictures
from pipelines.benchmark import TELL_PEAK, machine, table
from pipelines.examples import of_collection
from pipelines.extract import extract, extractor

FILMS = 6
FPS = 20  # 5 to 10 frames from onset to offset
KINDS = ("tvl1", "tvl1-opencv")
FLOW_ALONE = (  # for a process of its own
    "import sys; from pathlib import Path; from pipelines.benchmark_clips import flow_anew;"
    "flow_anew(Path(sys.argv[1]), 'tvl1', 1)"
)


def write_films(root: Path) -> list[list[object]]:
    """Draw ``FILMS`` films, with OpenFace's tables, below ROOT: path, apex and emotion of each."""
    told: list[list[object]] = []
    reels = []
    for number, emotion in zip(range(FILMS), standin.SHAPES, strict=False):
        take = standin.take("benchmark", 0, f"s{number}", "c", emotion, kind="micro", fps=FPS)
        path = f"frames/s{number}"
        names = tuple(f"img{count}.png" for count in range(1, len(take.aus) + 1))
        reels.append(standin.Reel(take.shot(), root / path, names))
        standin.write_openface(root, path, names, take.aus, seed=take.seed)
        told.append([path, take.apex + 1, emotion])
    standin.write_reels(reels, workers=1)
    standin.mark(root, "clips of a benchmark", [], seed=0)
    return told


def name_clips(root: Path, films: Sequence[Sequence[object]], count: int) -> None:
    """Make COUNT clips of FILMS, which come again and again under other names."""
    lines: list[list[object]] = [["subject", "clip", "path", "apex", "emotion"]]
    for number in range(count):
        lines.append([f"s{number % FILMS}", f"c{number}", *films[number % FILMS]])
    write_sheet(root / TABLE, {"clips": lines})


def in_turn(works: Mapping[str, Callable[[], object]], *, repeats: int) -> dict[str, float]:
    """Seconds of each of WORKS, the least of REPEATS; round by round, so that all meet the same."""
    least = dict.fromkeys(works, float("inf"))
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def extract_anew(root: Path, instrument: str, workers: int) -> None:
    out = root / "aus.parquet"
    out.unlink(missing_ok=True)
    extracted = extract(CLIPS, root, out, extractor(instrument), workers=workers)
    if extracted.failed or extracted.left_out:
        raise ValueError(f"not measured: {(*extracted.failed, *extracted.left_out)[0]}")


def _onset(clip: Clip) -> Frames:
    assert clip.onset is not None
    return clip.footage.frame(clip.onset)


def estimate_alone(clips: Sequence[Clip]) -> None:
    instrument = BuiltIn()
    for clip in clips:
        instrument.measure(clip.footage.frames(clip.numbers), _onset(clip))


def flow_anew(root: Path, kind: str, workers: int) -> None:
    out, cache = root / "flow", root / "cache"
    for folder in (out, cache):
        shutil.rmtree(folder, ignore_errors=True)
    made = flow_pictures.write("clips", root, out, flow=kind, cache=cache, workers=workers)
    if made.left_out:
        raise ValueError(f"no flow: {made.left_out[0]}")


def read_pairs(root: Path) -> None:
    """What flow pictures begin with: onset and apex of every clip, read and aligned."""
    pool = of_collection("clips", root).examples[0].pool
    for part in pool.parts(range(len(pool.lengths)), ends=True):
        list(part())


def parts(clips: Sequence[Clip], *, repeats: int) -> dict[str, float]:
    """The share of each part of what the estimator does with CLIPS."""
    faces = [find_alignment(_onset(clip)) for clip in clips]
    films = [list(clip.footage.frames(clip.numbers)) for clip in clips]
    pictures = [aligned(film, face) for film, face in zip(films, faces, strict=True)]

    def each(work: Callable[..., object], *rows: Sequence[Any]) -> Callable[[], object]:
        return lambda: [work(*row) for row in zip(*rows, strict=True)]

    taken = in_turn(
        {
            "reading": each(lambda clip: list(clip.footage.frames(clip.numbers)), clips),
            "finding the onset's face": each(lambda film: find_alignment(film[0]), films),
            "aligning": each(aligned, films, faces),
            "looking for a face in every frame": each(sureness, pictures),
            "the network": each(estimator.intensities, pictures),
        },
        repeats=repeats,
    )
    return {name: least / sum(taken.values()) for name, least in taken.items()}


def speed(
    root: Path, films: Sequence[Sequence[object]], clips: int, workers: int, *, repeats: int
) -> dict[str, dict[str, float]]:
    """Clips and frames a second, their ratios, and shares of the time.

    OpenFace's tables are read of ten times CLIPS, since each takes milliseconds.
    """
    one, more = "1 worker", f"{workers} workers"
    processes = {one: 1, more: workers}

    def by_each(what: str, work: Callable[..., None], kind: str) -> dict[str, Callable[[], None]]:
        return {f"{what}, {name}": partial(work, root, kind, n) for name, n in processes.items()}

    estimate, read = "extract --with estimator", "extract --with openface-csv"
    flow = {kind: f"flow, {kind}" for kind in KINDS}
    bare, pairs = "the estimator alone", "reading and aligning onset and apex"

    name_clips(root, films, clips)
    named = list(CLIPS.read(root))
    works = by_each(estimate, extract_anew, "estimator") | {bare: partial(estimate_alone, named)}
    taken = in_turn(works, repeats=repeats)
    works = {pairs: partial(read_pairs, root)}
    for kind, what in flow.items():
        works |= by_each(what, flow_anew, kind)
    taken |= in_turn(works, repeats=repeats)
    rates = {name: clips / seconds for name, seconds in taken.items()}

    name_clips(root, films, 10 * clips)
    tables = in_turn(by_each(read, extract_anew, "openface-csv"), repeats=repeats)
    rates |= {name: 10 * clips / seconds for name, seconds in tables.items()}

    against = {
        f"{what}: {more} / {one}": (f"{what}, {more}", f"{what}, {one}")
        for what in (estimate, read, *flow.values())
    } | {
        f"{estimate}, {one} / {bare}": (f"{estimate}, {one}", bare),
        f"extract, {one}: openface-csv / estimator": (f"{read}, {one}", f"{estimate}, {one}"),
        f"flow, {one}: tvl1-opencv / tvl1": (f"flow, tvl1-opencv, {one}", f"flow, tvl1, {one}"),
    }
    frames = float(np.mean([len(clip.numbers) for clip in named]))
    return {
        "clips a second": rates,
        "frames a second": {
            f"{what}, {name}": rates[f"{what}, {name}"] * frames
            for what in (estimate, read)
            for name in processes
        },
        "ratios": {name: rates[a] / rates[b] for name, (a, b) in against.items()},
        "shares of flow": {
            f"{what}: {pairs}": taken[pairs] / taken[f"{what}, {one}"] for what in flow.values()
        },
        "shares of the estimator": parts(named[:FILMS], repeats=repeats),
    }


def alone(command: Sequence[str]) -> tuple[float, float]:
    """Wall time and peak memory in MB of Python with the arguments COMMAND, a process apart."""
    start = time.perf_counter()
    # By way of a small process: a child's peak begins with its parent's size at the fork.
    done = subprocess.run(
        [sys.executable, "-c", TELL_PEAK, sys.executable, *command],
        check=True,
        capture_output=True,
        text=True,
    )
    scale = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes on Linux
    return time.perf_counter() - start, int(done.stdout) / scale


def memory(
    root: Path, films: Sequence[Sequence[object]], counts: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Peak memory in MB, and seconds, of runs with one worker over COUNTS of clips."""
    out = root / "aus.parquet"
    measure = ["-m", "mie_x", "extract", "clips", str(root), "--out", str(out)]
    commands = {
        "extract --with estimator": [*measure, "--with", "estimator", "--workers", "1"],
        "flow, tvl1": ["-c", FLOW_ALONE, str(root)],
    }
    told: dict[str, dict[str, float]] = {}
    for what, command in commands.items():
        runs = {}
        for count in counts:
            out.unlink(missing_ok=True)
            name_clips(root, films, count)
            runs[f"{count} clips"] = alone(command)
        told[f"{what}, seconds"] = {name: seconds for name, (seconds, _) in runs.items()}
        told[f"{what}, peak MB"] = {name: peak for name, (_, peak) in runs.items()}
    return told


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option("--clips", type=click.IntRange(min=1), default=42, show_default=True, metavar="N")
@click.option("--counts", default="50,200,1000", show_default=True, metavar="NUMBERS")
@click.option("--workers", type=click.IntRange(min=2), default=2, show_default=True, metavar="N")
@click.option("--repeats", type=click.IntRange(min=1), default=3, show_default=True, metavar="N")
def main(out: Path, clips: int, counts: str, workers: int, repeats: int) -> None:
    """Measure, write FILE as JSON, and print a Markdown table."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        films = write_films(root)
        told: dict[str, Any] = {"machine": machine(), "clips": clips}
        told |= speed(root, films, clips, workers, repeats=repeats)
        told["memory"] = memory(root, films, [int(count) for count in counts.split(",")])
    told["load after"] = round(os.getloadavg()[0], 2)
    write_json(out, told)
    for line in table(told):
        click.echo(line)


if __name__ == "__main__":
    main()
