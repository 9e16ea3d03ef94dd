"""Train the AU estimator on rendered faces, and on photographs that OpenFace has measured.

Rendered faces come with their true AUs, as many as wanted; photographs teach what skin, hair and
lenses look like. A photograph's AUs are what OpenFace reads above its median of the people's most
neutral photographs: it reads AU02, AU05, AU17 and AU26 in faces at rest too, and that floor is
not taught. The last people of the folder are held out: nothing of theirs is read here.

Each step shows both branches of the network (``au_sources.estimator_network``) the same batch of
varied pairs (``vary``): the absolute one every frame by itself, the relative one each pair.

Run folder::

    out/
      pool/000000.npz ...     drawn people (elsewhere, if asked)
      state.safetensors       weights, averages, optimiser; settings and progress as JSON
      log.jsonl               errors since the last line, every LOG_EVERY steps: 1 is as bad as
                              answering 0, 0 is perfect
      estimator.safetensors   the average so far, in the format of ``au_sources.estimator``

Every random choice of step n depends on (seed, n) alone, as in ``ganimation.training``; the
average of the weights and the schedule are also as there.
"""

from __future__ import annotations

import csv
import io
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from au_sources.estimator import save_estimator, to_planes
from au_sources.estimator_network import Estimator
from au_sources.tables import intensities, read_table
from ganimation.drawings import (
    FRAMES,
    KEPT,
    TOGETHER,
    Clip,
    count_drawn,
    identity_seed,
    read_clip,
    start_filling,
)
from ganimation.training import schedule
from mie_x import faces
from mie_x.records import AUS, Aus, Frames
from mie_x.resumable import adam_tensors, cut_log, refill, save_state

OF_PHOTOGRAPHS = 1 / 6  # of each batch
HELD_OUT = 12  # people whose photographs are never trained on: the last by name
CORNER = 0.3  # of the loss: above it errors count linearly
DECAY = 0.01
AVERAGE = 0.998  # memory of the moving average of the weights
LOG_EVERY = 50
LICENCE = "Apache-2.0"

Terms = dict[str, tuple[float, float]]  # name -> squared error, and that of answering 0

# Shares of pairs that are varied in each way (``vary``).
PASTED, GREY, BLURRED, MOVED, LIT, NOISY, COMPRESSED = 0.25, 0.15, 0.3, 0.6, 0.5, 0.5, 0.15


@dataclass(slots=True, eq=False)
class Run:
    """All that changes while training; what ``save_state`` writes of it."""

    estimator: Estimator
    average: Estimator
    optimiser: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0


def train_estimator(
    out: Path,
    *,
    steps: int,
    seed: int,
    photographs: Path | None = None,
    aus: Path | None = None,
    hold_out: int = HELD_OUT,
    width: int = 32,
    batch: int = 32,
    rate: float = 2e-3,
    people: int = 5000,
    pool: Path | None = None,
    device: str = "cpu",
    save_minutes: float = 5,
    draw: Callable[[int], Clip] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train to STEPS, or on from where OUT's run stands, and return the exported weights' path.

    PEOPLE are drawn into POOL while training, by DRAW (their number). PHOTOGRAPHS are a folder, AUS
    its table, as ``read_photographs`` takes them. PROGRESS is told (steps done, STEPS). Raises
    RuntimeError when the drawing has failed.
    """
    if (photographs is None) != (aus is None):
        raise ValueError(f"{photographs or aus}: photographs and a table of their AUs go together")
    out.mkdir(parents=True, exist_ok=True)
    pool = pool or out / "pool"
    pool.mkdir(parents=True, exist_ok=True)
    settings = {
        "seed": seed,
        "width": width,
        "batch": batch,
        "rate": rate,
        "people": people,
        "photographs": photographs is not None,
        "hold_out": hold_out,
    }
    run = new_run(seed, width=width)
    run.estimator.to(device)
    run.average.to(device)
    if (out / "state.safetensors").exists():
        told = refill(out / "state.safetensors", _tensors(run), settings=settings)
        run.step, run.seconds = int(told["step"]), float(told["seconds"])
    cut_log(out / "log.jsonl", run.step)
    taught: list[Clip] = []
    if photographs is not None and aus is not None:
        taught = to_teach(photographs, aus, hold_out=hold_out)
    data = "faces drawn by mie_x.renderer"
    if taught:
        data += f"; photographs of {len(taught)} people with OpenFace's AUs"

    filling = None
    drawn = count_drawn(pool, people)
    if drawn < people:
        filling = start_filling(pool, people, draw or draw_clip)
    saved = time.monotonic()
    started = saved - run.seconds
    window: list[Terms] = []
    if progress is not None:
        progress(run.step, steps)
    with (out / "log.jsonl").open("a") as log:
        while run.step < steps:
            while True:
                code = None if filling is None else filling.exitcode  # None: still drawing
                drawn = count_drawn(pool, people, start=drawn)
                if drawn < people and code is not None:
                    raise RuntimeError(
                        f"{pool}: drawing people stopped at {drawn} of {people} (exit code {code}, "
                        "its error is above); mend that and run again to go on"
                    )
                if drawn >= min(people, 2 * batch):
                    break
                time.sleep(0.2)
            rng = np.random.default_rng([seed, run.step])
            pairs, vectors = draw_batch(pool, drawn, taught, batch, rng)
            for group in run.optimiser.param_groups:
                group["lr"] = rate * schedule(run.step, steps)
            photos = photographs_of(batch, taught)
            terms = train_step(run, pairs.to(device), vectors.to(device), photos=photos)
            run.step += 1
            run.seconds = time.monotonic() - started
            window.append(terms)
            if progress is not None:
                progress(run.step, steps)
            if run.step % LOG_EVERY == 0 or run.step == steps:
                line = {"step": run.step, "seconds": round(run.seconds, 1), "people": drawn}
                log.write(json.dumps(line | {"rate": group["lr"]} | shares(window)) + "\n")
                log.flush()
                window.clear()
            if time.monotonic() - saved > 60 * save_minutes or run.step == steps:
                saved = time.monotonic()
                so_far = {"step": run.step, "seconds": run.seconds}
                state = out / "state.safetensors"
                save_state(state, _tensors(run), settings=settings, progress=so_far)
                export(out / "estimator.safetensors", run, data)
    if not (out / "estimator.safetensors").exists():
        export(out / "estimator.safetensors", run, data)
    return out / "estimator.safetensors"


def new_run(seed: int, *, width: int) -> Run:
    """A network with weights drawn from SEED, and its optimiser."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        estimator = Estimator(width=width)
    average = Estimator(width=width).requires_grad_(False).eval()
    average.load_state_dict(estimator.state_dict())
    return Run(estimator, average, torch.optim.AdamW(estimator.parameters(), weight_decay=DECAY))


def export(path: Path, run: Run, data: str) -> str:
    """Write the averaged network; returns its SHA-256."""
    return save_estimator(path, run.average, steps=run.step, data=data, licence=LICENCE)


def train_step(run: Run, pairs: Tensor, aus: Tensor, *, photos: int) -> Terms:
    """One step on PAIRS (N, 2, 3, H, W) in [0, 1] with AUS (N, 2, 17).

    The last PHOTOS pairs are photographs. Returns the squared errors, on drawn faces and on
    photographs, and those of answering 0.
    """
    run.estimator.train()
    with torch.autocast(pairs.device.type, torch.bfloat16):
        found = run.estimator.intensities(pairs.flatten(0, 1)).reshape(aus.shape)
        rose = run.estimator.rise(pairs[:, 0], pairs[:, 1])
    change = aus[:, 1] - aus[:, 0]
    wanted = {
        "absolute": (found, aus),
        # Who is seen is the same in both, so that this is easier learned, and the first by it.
        "subtracted": (found[:, 1] - found[:, 0], change),
        "relative": (rose, change),
    }
    loss = torch.stack([F.smooth_l1_loss(a, b, beta=CORNER) for a, b in wanted.values()]).sum()
    run.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    run.optimiser.step()
    # While young the average forgets faster, or it would be made of the first, random weights.
    memory = min(AVERAGE, (1 + run.step) / (10 + run.step))
    current = run.estimator.state_dict()
    with torch.no_grad():
        for name, kept in run.average.state_dict().items():
            if kept.is_floating_point():
                kept.lerp_(current[name], 1 - memory)
    terms = {}
    for name, (answer, truth) in wanted.items():
        parts = {name: slice(len(pairs) - photos), f"{name}_photographs": slice(-photos, None)}
        for part, rows in parts.items() if photos else [(name, slice(None))]:
            error = (answer.detach()[rows] - truth[rows]).square().sum().item()
            terms[part] = (error, truth[rows].square().sum().item())
    return terms


def shares(window: list[Terms]) -> dict[str, float]:
    """Squared error over the steps of WINDOW as a share of that of answering 0.

    >>> shares([{"relative": (1, 3)}, {"relative": (2, 3)}])
    {'relative': 0.5}
    """
    sums = {name: np.sum([terms[name] for terms in window], axis=0) for name in window[0]}
    return {name: round(float(error / max(of_0, 1e-9)), 4) for name, (error, of_0) in sums.items()}


def photographs_of(batch: int, taught: list[Clip]) -> int:
    """How many pairs of a batch are photographs."""
    return round(OF_PHOTOGRAPHS * batch) if taught else 0


def draw_batch(
    pool: Path, people: int, taught: list[Clip], batch: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """BATCH varied pairs (N, 2, 3, H, W) in [0, 1] and their AUs (N, 2, 17); photographs last."""
    photos = photographs_of(batch, taught)
    clips = [read_clip(pool, int(n)) for n in rng.integers(people, size=batch - photos)]
    clips += [taught[n] for n in rng.integers(len(taught), size=photos)] if photos else []
    images, vectors = [], []
    for frames, aus in clips:
        chosen = draw_pair(rng, len(frames))
        images.append(to_planes(frames[chosen]))
        vectors.append(torch.from_numpy(aus[chosen]))
    draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
    return vary(torch.stack(images), draws, rng), torch.stack(vectors)


def draw_pair(rng: np.random.Generator, frames: int) -> list[int]:
    """Two of FRAMES: one is the neutral first half of the time; 1 in 16 is a frame twice."""
    first = 0 if rng.random() < 0.5 else int(rng.integers(frames))
    second = int(rng.integers(frames)) if rng.random() > 1 / 16 else first
    return [first, second] if rng.random() < 0.5 else [second, first]


def vary(pairs: Tensor, draws: torch.Generator, rng: np.random.Generator) -> Tensor:
    """Vary pairs (N, 2, 3, H, W) in [0, 1], each in its own way, so that drawings suffice.

    Both frames alike: flip, rotation to 6 degrees, scale 0.92 to 1.1, shift to 4 %; background;
    gamma, gain and offset, contrast; grey; blur. Each frame by itself, as in a film: shift of
    deviation 0.4 px, rotation 0.15 degrees, scale 0.15 %; gain 2 % and offset 1 %; noise to 2
    levels; JPEG of quality 60 to 95.
    """
    number = len(pairs)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(number, *shape, generator=draws) * (high - low) + low

    def normal(deviation: float, *shape: int) -> Tensor:
        return torch.randn(number, *shape, generator=draws) * deviation

    def chosen(share: float) -> NDArray[np.int64]:
        return np.flatnonzero(rng.random(number) < share)

    moved = (uniform(0, 1, 1) < MOVED).float()
    pairs = _place(
        pairs,
        angle=(uniform(-6, 6, 1) + moved * normal(0.15, 2)) * math.pi / 180,
        scale=uniform(0.92, 1.1, 1) * (1 + moved * normal(0.0015, 2)),
        shift=uniform(-0.08, 0.08, 1, 2) + moved[:, None] * normal(0.4 / 64, 2, 2),
        sign=(uniform(0, 1, 1) < 0.5).float() * 2 - 1,
    )
    for index in chosen(PASTED):
        pairs[index] = _paste(pairs[index], draws)
    gamma = (normal(0.2, 1, 1, 1, 1) + normal(0.08, 1, 3, 1, 1)).exp()
    pairs = pairs.clamp_(1e-3, 1) ** gamma
    gain = (normal(0.15, 1, 1, 1, 1) + normal(0.08, 1, 3, 1, 1)).exp()
    contrast = normal(0.15, 1, 1, 1, 1).exp()
    offset = 0.5 - 0.5 * contrast + normal(0.06, 1, 1, 1, 1)
    lit = (uniform(0, 1, 1, 1, 1, 1) < LIT).float()
    gain = gain * contrast * (lit * normal(0.02, 2, 1, 1, 1)).exp()
    pairs.mul_(gain).add_(offset + lit * normal(0.01, 2, 1, 1, 1))
    for index in chosen(GREY):
        pairs[index] = pairs[index].mean(dim=1, keepdim=True)
    for index in chosen(BLURRED):
        pairs[index] = F.avg_pool2d(pairs[index], 3, 1, 1, count_include_pad=False)
    for index in chosen(NOISY):
        noise = torch.randn(pairs.shape[1:], generator=draws)
        pairs[index] += rng.uniform(0, 2) / 255 * noise
    pairs.clamp_(0, 1)
    for index in chosen(COMPRESSED):
        quality = int(rng.integers(60, 96))
        pairs[index] = torch.stack([_compressed(frame, quality) for frame in pairs[index]])
    return pairs


def _place(pairs: Tensor, *, angle: Tensor, scale: Tensor, shift: Tensor, sign: Tensor) -> Tensor:
    """Turn, scale, mirror frames; (N, 2) or (N, 1) each. SHIFT (N, 2, 2), of the half image."""
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = [
        torch.stack([sign * cosine, -sine, shift[..., 0]], dim=-1),
        torch.stack([sign * sine, cosine, shift[..., 1]], dim=-1),
    ]
    frames = pairs.flatten(0, 1)
    matrix = torch.stack(rows, dim=-2).flatten(0, 1)
    grid = F.affine_grid(matrix, list(frames.shape), align_corners=False)
    placed = F.grid_sample(frames, grid, padding_mode="border", align_corners=False)
    return placed.reshape(pairs.shape)


def _paste(pair: Tensor, draws: torch.Generator) -> Tensor:
    """PAIR (2, 3, H, W) with clouds of any colours around an ellipse larger than a face."""
    _, channels, height, width = pair.shape
    colours = torch.rand(1, channels, 4, 4, generator=draws)
    cloud = F.interpolate(colours, (height, width), mode="bilinear", align_corners=False)
    y = torch.linspace(-1, 1, height)[:, None]
    x = torch.linspace(-1, 1, width)
    size = 0.72 + 0.2 * torch.rand((), generator=draws)
    radius = torch.sqrt((x / size) ** 2 + ((y - 0.08) / (1.2 * size)) ** 2)
    return torch.lerp(cloud, pair, torch.sigmoid((1 - radius) * 25))


def _compressed(frame: Tensor, quality: int) -> Tensor:
    """FRAME (3, H, W) in [0, 1] as JPEG gives it back."""
    levels = (frame * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255


def draw_clip(number: int) -> Clip:
    """Draw person NUMBER of the estimator's training, seen from one place, in FRAMES AU vectors."""
    return draw_person_in(identity_seed("estimator", number), number)


def draw_person_in(seed: int, number: int) -> Clip:
    """The person and view of SEED in the AU vectors of ``wide_aus``."""
    from mie_x.renderer import draw_person, draw_view, render

    aus = wide_aus(np.random.default_rng(seed), number)
    people, views = [draw_person(seed)] * len(aus), [draw_view(seed)] * len(aus)
    return render(people, views, aus).images, aus


def wide_aus(rng: np.random.Generator, number: int) -> Aus:
    """AU vectors of person NUMBER's frames: (FRAMES, 17) float32 in [0, 1], the first neutral.

    A single AU in U(.05, .4) and one in U(.3, 1), counted through so that all 17 come equally
    often; two sets of what faces do together, in U(.05, .4) and in U(.3, 1); one to five any AUs in
    U(.1, 1); that again and some AUs a micro-expression apart, U(-.3, .3); a little of everything.
    """
    aus = np.zeros((FRAMES, len(AUS)), np.float32)
    for frame, (low, high) in enumerate([(0.05, 0.4), (0.3, 1.0)], start=1):
        aus[frame, (2 * number + frame) % len(AUS)] = rng.uniform(low, high)
    for frame, (low, high) in enumerate([(0.05, 0.4), (0.3, 1.0)], start=3):
        row = TOGETHER[rng.integers(len(TOGETHER))]
        kept = [AUS.index(au) for au in row if rng.random() < KEPT]
        aus[frame, kept] = rng.uniform(low, high, len(kept))
    few = rng.choice(len(AUS), rng.integers(1, 6), replace=False)
    aus[5, few] = rng.uniform(0.1, 1.0, len(few))
    near = rng.choice(len(AUS), rng.integers(1, 6), replace=False)
    aus[6] = aus[5]
    aus[6, near] += rng.uniform(-0.3, 0.3, len(near)).astype(np.float32)
    aus[7] = rng.exponential(0.08, len(AUS))
    return aus.clip(0, 1)


def read_photographs(folder: Path, table: Path) -> dict[str, Clip]:
    """Person -> aligned faces and AUs / 5 as TABLE has them, sorted by name of the person.

    TABLE is OpenFace's, a row a picture, with a column ``image``: the path below FOLDER. Pictures
    of the same file name in several folders are of the same person.
    """
    paths = _image_column(table)
    measured = intensities(read_table(table))
    seen = aligned(folder, paths)
    people: dict[str, list[tuple[Frames, Aus]]] = {}
    for path, aus in zip(paths, measured, strict=True):
        if path in seen and np.isfinite(aus).all():
            people.setdefault(PurePosixPath(path).stem, []).append((seen[path], aus))
    return {
        name: (np.stack([image for image, _ in rows]), np.stack([aus for _, aus in rows]))
        for name, rows in sorted(people.items())
    }


def aligned(folder: Path, paths: Sequence[str]) -> dict[str, Frames]:
    """Path below FOLDER -> (128, 128, 3) uint8, for the PATHS in which a face was found."""
    with tempfile.TemporaryDirectory() as temporary:
        listed = Path(temporary) / "listed.csv"
        with listed.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("file", "identity"), *((path, path) for path in paths)])
        found = faces.photographs(folder, identities=listed)
    return {face.path: face.image() for face in found.faces}


def _image_column(table: Path) -> list[str]:
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        if "image" not in (rows.fieldnames or ()):
            raise ValueError(f"{table}: no column image; add one, with the path of each picture")
        return [row["image"] for row in rows]


def split(people: dict[str, Clip], hold_out: int) -> tuple[dict[str, Clip], dict[str, Clip]]:
    """The people to learn from, and the last HOLD_OUT by name."""
    if not 0 <= hold_out < len(people):
        raise ValueError(f"{hold_out} of {len(people)} people held out: none is left to learn from")
    names = list(people)
    learned = names[: len(names) - hold_out]
    return (
        {name: people[name] for name in learned},
        {name: people[name] for name in names[len(learned) :]},
    )


def to_teach(folder: Path, table: Path, *, hold_out: int) -> list[Clip]:
    """The photographs to learn from, their AUs less OpenFace's floor (head of this file)."""
    clips = list(split(read_photographs(folder, table), hold_out)[0].values())
    rest = np.median([aus[aus.sum(axis=1).argmin()] for _, aus in clips], axis=0)
    return [(images, (aus - rest).clip(0, 1).astype(np.float32)) for images, aus in clips]


def _tensors(run: Run) -> dict[str, Tensor]:
    """Name -> the very tensors of RUN's networks and optimiser."""
    tensors = {f"estimator.{name}": t for name, t in run.estimator.state_dict().items()}
    tensors |= {f"average.{name}": t for name, t in run.average.state_dict().items()}
    optimiser = adam_tensors(run.optimiser)
    tensors |= {f"optimiser.{name}": tensor for name, tensor in optimiser.items()}
    return tensors
