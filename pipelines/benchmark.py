"""How fast the dataset is made, and what it takes: ratios from one run on one machine.

``python -m pipelines.benchmark --out FILE.json`` prints a Markdown table. Seconds are this
machine's and of this hour; what carries over are the ratios, each of two things measured in turn in
the same run:

- the whole command against the generator alone, as it is run and as it was published (every frame
  through all layers);
- the whole command against the obvious loop: one frame at a time, PNG written inside the loop;
- encoders of a frame against each other;
- peak memory at growing numbers of identities; the rate at the end of a run against its start;
- where there is a GPU, how much of the time it is busy.
"""

from __future__ import annotations

import io
import itertools
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image

from ganimation.animation import animate
from ganimation.checkpoints import load_generator
from mie_x.formats import record_paths
from mie_x.frames import png
from mie_x.plan import make_plan
from mie_x.records import Aus, Frames
from mie_x.whole import write_json
from pipelines.generate import wanted
from pipelines.inputs import find_faces, make_sources

REPEATS = 3
TELL_PEAK = (
    "import resource, subprocess, sys;"
    "subprocess.run(sys.argv[1:], check=True, stdout=2, stderr=subprocess.DEVNULL);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)
SOME = 8  # identities in what is measured frame by frame


def seconds(work: Callable[[], object], *, repeats: int = REPEATS) -> float:
    """The least of REPEATS wall times: what others do on the machine only ever adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def generate(out: Path, ids: int, workers: int, *more: str) -> tuple[float, float]:
    """Run the whole command in a process of its own; its wall time and peak memory in MB."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "mie_x", "generate", "--ids", str(ids), "--out", str(out)]
    # By way of a small process: a child's peak begins with its parent's size at the fork.
    teller = [sys.executable, "-c", TELL_PEAK, *command, "--workers", str(workers), *more]
    start = time.perf_counter()
    done = subprocess.run(teller, check=True, capture_output=True, text=True)
    scale = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes on Linux
    return time.perf_counter() - start, int(done.stdout) / scale


def work_of(ids: int) -> list[tuple[Frames, list[Aus]]]:
    """IDS rendered faces, each with the AU vectors of its distinct frames, and of all frames."""
    sources, pool = make_sources(), find_faces(None, ids=ids, seed=0)
    plan = make_plan(pool.places, sources, seed=0)
    each = len(plan) // len(pool.places)
    work = []
    for number, place in enumerate(pool.places):
        assert place.face is not None
        rows = plan.slice(number * each, each).to_pylist()
        work.append((place.face.image(), [wanted(rows).vectors, _both(rows)]))
    return work


def _both(rows: Sequence[dict[str, Any]]) -> Aus:
    return np.array([row[name] for row in rows for name in ("onset_aus", "apex_aus")], np.float32)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def speed(workers: int, ids: int, folder: Path) -> dict[str, float]:
    """Identities a second: the whole command, the generator alone, the obvious loop."""
    generator = load_generator(None).generator.eval()
    work = work_of(SOME)
    seeds = itertools.count(1)  # other people every time: a face that was drawn is remembered

    def fresh_faces() -> Iterator[Frames]:
        for place in find_faces(None, ids=SOME, seed=next(seeds)).places:
            assert place.face is not None
            yield place.face.image()

    def alone() -> None:
        for face, (vectors, _) in work:
            animate(generator, face[None], vectors, batch=32)

    def published() -> None:  # every frame brings its own face: all layers run for each
        for face, (vectors, _) in work:
            animate(generator, np.repeat(face[None], len(vectors), 0), vectors, batch=16)

    def faces() -> None:
        for _ in fresh_faces():
            pass

    def obvious() -> None:
        for face, (_, (_, both)) in zip(fresh_faces(), work, strict=True):
            for number, aus in enumerate(both):
                frame = animate(generator, face[None], aus[None], batch=1)[0]
                Image.fromarray(frame).save(folder / f"{number}.png")

    def encoded() -> None:
        for face, (vectors, _) in work:
            for _ in vectors:
                png(face)

    with threads(1):
        told = {
            "generator alone, one thread": SOME / seconds(alone),
            "generator alone as published, one thread": SOME / seconds(published),
            "faces drawn, one thread": SOME / seconds(faces),
            "frames encoded, one thread": SOME / seconds(encoded),
        }
    with threads(os.cpu_count() or 1):
        told["the obvious loop, all threads"] = SOME / seconds(obvious, repeats=2)
    bare = "--no-measure"  # what the generator and the obvious loop do not do either
    start, _ = generate(folder / "one", 1, workers, bare)  # a run's cost before its first identity
    measured, _ = generate(folder / "whole", ids, workers)
    whole, _ = generate(folder / "whole", ids, workers, bare)
    again = seconds(lambda: _again(folder / "whole", ids, workers), repeats=2)
    told["whole command"] = ids / whole
    told["whole command, every sample measured"] = ids / measured
    told["whole command without its start"] = (ids - 1) / (whole - start)
    told["seconds before the first identity"] = start
    told["seconds to see that all is done"] = again
    return told


def _again(out: Path, ids: int, workers: int) -> None:
    command = [sys.executable, "-m", "mie_x", "generate", "--ids", str(ids), "--out", str(out)]
    subprocess.run(
        [*command, "--workers", str(workers), "--no-measure"], check=True, capture_output=True
    )


def encoders(frames: Sequence[Frames]) -> dict[str, dict[str, float]]:
    """Frames a second and mean kB of each way to write a lossless frame with what is installed."""

    def pillow(**options: Any) -> Callable[[Frames], bytes]:
        def encode(frame: Frames) -> bytes:
            buffer = io.BytesIO()
            Image.fromarray(frame).save(buffer, "PNG", **options)
            return buffer.getvalue()

        return encode

    def torchvision(level: int) -> Callable[[Frames], bytes]:
        from torchvision.io import encode_png

        def encode(frame: Frames) -> bytes:
            planes = torch.from_numpy(frame.copy()).permute(2, 0, 1).contiguous()
            return bytes(encode_png(planes, compression_level=level).numpy())

        return encode

    ways: dict[str, Callable[[Frames], bytes]] = {
        "ours: Pillow, level 1, run lengths": png,
        "Pillow, level 1": pillow(compress_level=1),
        "Pillow, as it comes (level 6)": pillow(),
        "Pillow, level 0": pillow(compress_level=0),
        "torchvision, level 1": torchvision(1),
        "torchvision, as it comes (level 6)": torchvision(6),
    }
    told = {}
    for name, encode in ways.items():
        sizes = [len(encode(frame)) for frame in frames]
        taken = seconds(lambda encode=encode: [encode(frame) for frame in frames])  # type: ignore[misc]
        told[name] = {"frames a second": len(frames) / taken, "kB": float(np.mean(sizes)) / 1e3}
    return told


def memory(counts: Sequence[int], folder: Path) -> dict[str, Any]:
    """Peak memory in MB of runs with one worker; of the last, the end's rate over the start's."""
    peaks = {}
    for ids in counts:
        _, peaks[str(ids)] = generate(folder / "memory", ids, 1)
    ends = [path.stat().st_mtime for path in record_paths(folder / "memory", "parquet")]
    steps = np.diff(ends)
    part = max(1, len(steps) // 4)
    rates = float(np.median(steps[:part]) / np.median(steps[-part:])) if len(steps) else 1.0
    return {"peak MB": peaks, "rate at the end over rate at the start": rates}


def gpu(folder: Path, ids: int, workers: int) -> dict[str, float]:
    """The whole command on the GPU: identities a second, and how much of the time it is busy."""
    busy: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not stop.wait(0.5):
            done = subprocess.run(query, capture_output=True, text=True, check=True)
            busy.append(float(done.stdout.split()[0]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    taken, peak = generate(folder / "gpu", ids, workers, "--device", "cuda")
    stop.set()
    watcher.join()
    warm = busy[len(busy) // 10 :]
    return {"identities a second": ids / taken, "busy %": float(np.mean(warm)), "peak MB": peak}


def machine() -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), name)
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option("--ids", type=click.IntRange(min=2), default=200, show_default=True, metavar="N")
@click.option("--counts", default="20,200,1000", show_default=True, metavar="NUMBERS")
@click.option("--workers", type=click.IntRange(min=1), default=os.cpu_count(), metavar="N")
@click.option("--gpu-ids", type=click.IntRange(min=1), default=5000, show_default=True, metavar="N")
def main(out: Path, ids: int, counts: str, workers: int, gpu_ids: int) -> None:
    """Measure, write FILE as JSON, and print a Markdown table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told: dict[str, Any] = {"machine": machine(), "workers": workers, "identities": ids}
        rates = told["identities a second"] = speed(workers, ids, folder)
        # The whole command has WORKERS processes of one thread each.
        steady, whole = rates["whole command without its start"], rates["whole command"]
        per_worker = steady / workers
        told["ratios"] = {
            "whole command / generator alone": per_worker / rates["generator alone, one thread"],
            "whole command / generator alone as published": per_worker
            / rates["generator alone as published, one thread"],
            "whole command / the obvious loop": whole / rates["the obvious loop, all threads"],
            "generator alone / as published": rates["generator alone, one thread"]
            / rates["generator alone as published, one thread"],
        }
        frames = [face for face, _ in work_of(SOME)]
        told["encoders"] = encoders(frames * 4)
        if counts:
            told["memory"] = memory([int(count) for count in counts.split(",")], folder)
        if torch.cuda.is_available():
            told["gpu"] = gpu(folder, gpu_ids, workers)
    told["peak MB of this process"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    write_json(out, told)
    for line in table(told):
        click.echo(line)


def table(told: dict[str, Any], name: str = "") -> Iterator[str]:
    """TOLD as lines of a Markdown table.

    >>> list(table({"a": {"b": 1.0, "c": "x"}}))
    ['| a: b | 1.00 |', '| a: c | x |']
    """
    for key, value in told.items():
        full = f"{name}: {key}" if name else key
        if isinstance(value, dict):
            yield from table(value, full)
        else:
            yield f"| {full} | {f'{value:.2f}' if isinstance(value, float) else value} |"


if __name__ == "__main__":
    main()
