"""Fit the generator on drawn faces, where source, target action units and target frame are known.

The paper trains on photographs whose target is never seen, so that a critic must tell whether an
image is real and which AUs it shows. Drawn faces come in pairs, and the error to the true frame,
as a share of what a copy of the source would have (``losses.paired_error``), is a far stronger
signal: it carries the training here. The paper's terms (critic, AU regression, cycle, mask mean
and smoothness) are kept with their weights, but taken only every ``paper_every`` steps, unscaled:
a touch on the paired terms, because they cost as much again. 0 leaves them out.

The failure to be feared is the mask at 1 everywhere, a generator that copies (users of both public
implementations report it). Against it the colour picture is judged by itself, so that it learns
whatever the mask hides; the mask is judged by the mixed frame, for the colours as they are. And the
generator moves its source (``networks.Generator``, MOTION) rather than paint a face anew, so that
it starts from a copy; on drawn faces that learns within minutes what the paper's own head does not
within an hour.

The schedule is a short warm-up, a flat rate, and a linear fall to zero over the last part; so a run
may be cut short or prolonged by resuming it with another number of steps. What is exported is the
moving average of the weights.

Run folder::

    out/
      pool/train/000000.npz ...   the drawn people (elsewhere, if asked)
      pool/held-out/...           people for the sheet and the log's gain, never trained on
      state.safetensors           weights, averages, optimisers; settings and progress as JSON
      log.jsonl                   means since the last such line, every LOG_EVERY steps (the first
                                  after resuming: since then); the gain, with every saved state
      sheet.png                   source | target | generated | true change | generated change, x10
      generator.safetensors       the average so far, in the format of ``checkpoints``

Every random choice of step n depends on (seed, n) alone: on a CPU a resumed run is the
uninterrupted one to the bit, once the pool is complete (before, it also depends on how much was
drawn when). On CUDA it is not: the gradient of ``grid_sample`` is summed there in any order.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from ganimation import losses
from ganimation.animation import to_levels, to_signed
from ganimation.augmentation import augment
from ganimation.checkpoints import save_generator
from ganimation.drawings import (
    Clip,
    count_drawn,
    draw_clip,
    draw_pair,
    fill,
    read_clip,
    start_filling,
)
from ganimation.networks import Discriminator, Generator, mix
from mie_x.whole import whole

PAIRED = 10.0  # weight of the paired terms; the paper's are in ``losses``
EDGES = 0.3
WARM_UP = 100  # steps
FALL = 0.4  # last part of the steps, over which the rate falls to zero
CLIP = 50.0  # gradient norm; usually near 25, in the first steps ten times that
AVERAGE = 0.998  # memory of the moving average of the weights
CRITIC_RATE = 1e-4  # the paper's
LOG_EVERY = 50
HELD_OUT = 12  # people
DATA = "faces drawn by mie_x.renderer; no photographs, nobody's likeness"
LICENCE = "Apache-2.0"


@dataclass(slots=True, eq=False)
class Run:
    """All that changes while training; what ``save_state`` writes."""

    generator: Generator
    average: Generator
    critic: Discriminator
    optimiser: torch.optim.Adam
    critic_optimiser: torch.optim.Adam
    step: int = 0
    seconds: float = 0.0


def train(
    out: Path,
    *,
    steps: int,
    seed: int,
    width: int = 32,
    blocks: int = 6,
    motion: bool = True,
    batch: int = 8,
    rate: float = 1e-3,
    paper_every: int = 20,
    critic_width: int = 16,
    people: int = 3000,
    size: int = 128,
    pool: Path | None = None,
    device: str = "cpu",
    save_minutes: float = 5,
    draw: Callable[[str, int], Clip] = draw_clip,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train to STEPS, or on from where OUT's run stands, and return the exported generator's path.

    PEOPLE are drawn into POOL while training. PAPER_EVERY 0 leaves the paper's terms out. DRAW
    (purpose, number) gives the clip of a person, SIZE px square. PROGRESS is told (steps done,
    STEPS) at the start and after every step. Raises RuntimeError when the drawing has failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    pool = pool or out / "pool"
    settings = {
        "seed": seed,
        "width": width,
        "blocks": blocks,
        "motion": motion,
        "batch": batch,
        "rate": rate,
        "paper_every": paper_every,
        "critic_width": critic_width,
        "people": people,
        "size": size,
    }
    run = new_run(
        seed, width=width, blocks=blocks, motion=motion, critic_width=critic_width, size=size
    )
    if (out / "state.safetensors").exists():
        load_state(out / "state.safetensors", run, settings)
    for network in (run.generator, run.average, run.critic):
        network.to(device)
    _move_optimisers(run, device)
    _cut_log(out / "log.jsonl", run.step)

    fill(pool / "held-out", HELD_OUT, functools.partial(draw, "held-out"))
    drawn = count_drawn(pool / "train", people)
    filling = None
    if drawn < people:
        filling = start_filling(pool / "train", people, functools.partial(draw, "train"))
    saved = time.monotonic()
    started = saved - run.seconds
    window: list[dict[str, float]] = []
    if progress is not None:
        progress(run.step, steps)
    with (out / "log.jsonl").open("a") as log:
        while run.step < steps:
            while True:
                code = None if filling is None else filling.exitcode  # None: still drawing
                drawn = count_drawn(pool / "train", people, start=drawn)
                if drawn < people and code is not None:
                    raise RuntimeError(
                        f"{pool / 'train'}: drawing people stopped at {drawn} of {people} (exit "
                        f"code {code}, its error is above); mend that and run again to go on"
                    )
                if drawn >= min(people, 2 * batch):
                    break
                time.sleep(0.2)
            rng = np.random.default_rng([seed, run.step])
            pairs, aus = draw_batch(pool / "train", drawn, batch, rng)
            draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
            pairs = augment(pairs, draws).to(device)
            for group in run.optimiser.param_groups:
                group["lr"] = rate * schedule(run.step, steps)
            with_paper = paper_every > 0 and run.step % paper_every == 0
            terms = train_step(run, pairs, aus.to(device), draws, with_paper=with_paper)
            run.step += 1
            run.seconds = time.monotonic() - started
            window.append(terms)
            if progress is not None:
                progress(run.step, steps)
            if run.step % LOG_EVERY == 0 or run.step == steps:
                line = {
                    "step": run.step,
                    "seconds": round(run.seconds, 1),
                    "people": drawn,
                    "rate": group["lr"],
                    **_means(window),
                }
                window.clear()
                log.write(json.dumps(line) + "\n")
                log.flush()
            if time.monotonic() - saved > 60 * save_minutes or run.step == steps:
                saved = time.monotonic()
                save_state(out / "state.safetensors", run, settings)
                export(out / "generator.safetensors", run)
                gain = write_sheet(out / "sheet.png", run.average, pool / "held-out")
                log.write(json.dumps({"step": run.step, "held_out_gain_db": gain}) + "\n")
                log.flush()
    if not (out / "generator.safetensors").exists():
        export(out / "generator.safetensors", run)
    return out / "generator.safetensors"


def new_run(
    seed: int, *, width: int, blocks: int, motion: bool, critic_width: int, size: int
) -> Run:
    """Networks with weights drawn from SEED, and their optimisers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = Generator(width=width, blocks=blocks, motion=motion)
        critic = Discriminator(width=critic_width, size=size)
    average = Generator(width=width, blocks=blocks, motion=motion).requires_grad_(False).eval()
    average.load_state_dict(generator.state_dict())
    return Run(
        generator,
        average,
        critic,
        torch.optim.Adam(generator.parameters(), betas=(0.9, 0.999)),
        torch.optim.Adam(critic.parameters(), lr=CRITIC_RATE, betas=(0.5, 0.999)),
    )


def schedule(step: int, steps: int) -> float:
    """Share of the full rate at STEP of STEPS."""
    return min(1.0, (step + 1) / WARM_UP, (steps - step) / (FALL * steps))


def draw_batch(
    folder: Path, people: int, batch: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """BATCH pairs of PEOPLE's frames: (N, 2, 3, H, W) in [-1, 1]; their AUs (N, 2, 17)."""
    pairs, vectors = [], []
    for number in rng.integers(people, size=batch):
        images, aus = read_clip(folder, int(number))
        chosen = list(draw_pair(rng, len(images)))
        pairs.append(to_signed(torch.from_numpy(images[chosen])).contiguous())
        vectors.append(torch.from_numpy(aus[chosen]))
    return torch.stack(pairs), torch.stack(vectors)


def train_step(
    run: Run, pairs: Tensor, aus: Tensor, draws: torch.Generator, *, with_paper: bool
) -> dict[str, float]:
    """One step on PAIRS (N, 2, 3, H, W) and their AUS (N, 2, 17); returns the terms' values."""
    source, target = pairs[:, 0], pairs[:, 1]
    frame, colour, mask = animate_pair(run.generator, source, aus[:, 1])
    # The colour picture is judged by itself, so that it learns whatever the mask hides; the mask
    # by the mixed frame, for the colours as they are.
    seen_frame = mix(source, colour.detach(), mask)
    error, colour_error = (losses.paired_error(m, target, source) for m in (seen_frame, colour))
    edges, colour_edges = (losses.paired_edges(m, target, source) for m in (seen_frame, colour))
    regular = losses.MASK_MEAN * losses.mask_mean(mask)
    regular = regular + losses.MASK_SMOOTHNESS * losses.mask_smoothness(mask)
    loss = PAIRED * (error + colour_error + EDGES * (edges + colour_edges)) + regular
    terms = {
        "error": error.item(),
        "edges": edges.item(),
        "colour_error": colour_error.item(),
        "of_a_copy": losses.paired_error(source, target, source).item(),
        "mask": mask.mean().item(),
    }
    if with_paper:
        terms |= critic_step(run, pairs, aus, frame.detach(), draws)
        scores, seen = run.critic(frame)
        back, _, back_mask = animate_pair(run.generator, frame, aus[:, 0])
        paper = {
            "adversarial": losses.CRITIC * losses.adversarial_loss(scores),
            "aus": losses.AU_REGRESSION * losses.au_regression(seen, aus[:, 1]),
            "cycle": losses.CYCLE * losses.cycle_loss(back, source),
            "mask_mean": losses.MASK_MEAN * losses.mask_mean(back_mask),
            "mask_smoothness": losses.MASK_SMOOTHNESS * losses.mask_smoothness(back_mask),
        }
        loss = loss + torch.stack(list(paper.values())).sum()
        terms |= {name: term.item() for name, term in paper.items()}
    run.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.generator.parameters(), CLIP)
    run.optimiser.step()
    # While young the average forgets faster, or it would be made of the first, random weights.
    memory = min(AVERAGE, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for kept, current in zip(run.average.parameters(), run.generator.parameters(), strict=True):
            kept.lerp_(current, 1 - memory)
    return terms


def critic_step(
    run: Run, pairs: Tensor, aus: Tensor, fake: Tensor, draws: torch.Generator
) -> dict[str, float]:
    """One step of the critic; it learns AUs on both true frames of each pair."""
    real = pairs.flatten(0, 1)  # (2N, 3, H, W)
    scores, seen = run.critic(real)
    penalty = losses.gradient_penalty(
        lambda images: run.critic(images)[0].mean(dim=(1, 2)), pairs[:, 1], fake, draws
    )
    terms = {
        "critic": losses.CRITIC * losses.critic_loss(scores, run.critic(fake)[0]),
        "critic_penalty": losses.PENALTY * penalty,
        "critic_aus": losses.AU_REGRESSION * losses.au_regression(seen, aus.flatten(0, 1)),
    }
    run.critic_optimiser.zero_grad()
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    run.critic_optimiser.step()
    return {name: term.item() for name, term in terms.items()}


def animate_pair(
    generator: Generator, source: Tensor, aus: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mixed frame, colour picture and mask, float32; the convolutions run in bfloat16."""
    with torch.autocast(source.device.type, torch.bfloat16):
        colour, mask = generator(source, aus)
    return mix(source, colour, mask), colour, mask


def save_state(path: Path, run: Run, settings: dict[str, Any]) -> None:
    """Write RUN to PATH, whole or not at all: tensors, and the rest as JSON in the header."""
    progress = {"step": run.step, "seconds": run.seconds, "settings": settings}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(run).items()}
    with whole(path) as partial:
        partial.write_bytes(save(tensors, metadata={"progress": json.dumps(progress)}))


def load_state(path: Path, run: Run, settings: dict[str, Any]) -> None:
    """Fill RUN from PATH; ValueError where it is damaged or of a run of other settings."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            progress = json.loads(file.metadata()["progress"])
            step, seconds = int(progress["step"]), float(progress["seconds"])
            before = dict(progress["settings"])
            saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: a damaged state ({error}); delete it to begin again") from None
    differences = [
        f"{name} {before.get(name)} there, {value} now"
        for name, value in settings.items()
        if before.get(name) != value
    ]
    if differences:
        raise ValueError(
            f"{path}: a run of other settings ({'; '.join(differences)}); "
            "use them again, or another folder"
        )
    tensors = _tensors(run)
    if {name: tensor.shape for name, tensor in saved.items()} != {
        name: tensor.shape for name, tensor in tensors.items()
    }:
        raise ValueError(f"{path}: a state of other networks; delete it to begin again")
    run.step, run.seconds = step, seconds
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])


def _tensors(run: Run) -> dict[str, Tensor]:
    """Name -> the very tensors of RUN's networks and optimisers."""
    tensors = {}
    for part in ("generator", "average", "critic"):
        for name, tensor in getattr(run, part).state_dict().items():
            tensors[f"{part}.{name}"] = tensor
    for part in ("optimiser", "critic_optimiser"):
        optimiser = getattr(run, part)
        _make_adam_state(optimiser)
        for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
            for name, tensor in optimiser.state[parameter].items():
                tensors[f"{part}.{index}.{name}"] = tensor
    return tensors


def _make_adam_state(optimiser: torch.optim.Adam) -> None:
    """What Adam keeps a parameter, as it is before the first step, where it is not there yet."""
    for parameter in optimiser.param_groups[0]["params"]:
        if not optimiser.state[parameter]:
            optimiser.state[parameter] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }


def _move_optimisers(run: Run, device: str) -> None:
    for optimiser in (run.optimiser, run.critic_optimiser):
        for state in optimiser.state.values():
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = state[name].to(device)


def _cut_log(path: Path, step: int) -> None:
    """Drop the lines of steps that were lost after the last saved state, and torn lines."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, LookupError, TypeError):  # torn when the run was killed
            continue
    with whole(path) as partial:
        partial.write_text("".join(kept))


def _means(window: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each term over the steps that took it."""
    names = {name: None for terms in window for name in terms}
    return {
        name: round(float(np.mean([terms[name] for terms in window if name in terms])), 5)
        for name in names
    }


def export(path: Path, run: Run) -> str:
    """Write the averaged generator; returns its SHA-256."""
    return save_generator(path, run.average, steps=run.step, data=DATA, licence=LICENCE)


@torch.inference_mode()
def write_sheet(path: Path, generator: Generator, folder: Path) -> float:
    """Draw GENERATOR's frames of held-out people beside the true ones.

    Returns how many decibels (PSNR, mean over pairs) it is nearer to the true frame than a copy of
    the source is; below 0 copying is better.
    """
    device = next(generator.parameters()).device
    rows, gains = [], []
    for number in range(HELD_OUT):
        images, aus = read_clip(folder, number)
        targets = [1, 4]
        source = to_signed(torch.from_numpy(images[:1])).to(device)
        whose = torch.zeros(len(targets), dtype=torch.int64, device=device)
        vectors = torch.from_numpy(aus[targets]).to(device)
        colour, mask = generator.frames(generator.features(source), vectors, whose)
        frames = to_levels(mix(source, colour, mask)).cpu().numpy().astype(np.int16)
        neutral = images[0].astype(np.int16)
        for frame, true in zip(frames, images[targets].astype(np.int16), strict=True):
            copied, made = (np.square(true - other).mean() for other in (neutral, frame))
            if copied > 0:
                gains.append(10 * np.log10(copied / max(made, 1e-3)))
            changes = [128 + 10 * (other - neutral) for other in (true, frame)]
            rows.append(np.concatenate([neutral, true, frame, *changes], axis=1))
    sheet = np.concatenate(rows[: min(len(rows), 16)]).clip(0, 255).astype(np.uint8)
    with whole(path) as partial:
        Image.fromarray(sheet).save(partial, format="PNG")
    return round(float(np.mean(gains)), 3) if gains else 0.0
