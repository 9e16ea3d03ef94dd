"""Fit the generator where source, target action units and target frame are known, and beyond.

The paper trains on photographs whose target is never seen, so that a critic must tell whether an
image is real and which AUs it shows. Drawn faces come in pairs, and the error to the true frame,
as a share of what a copy of the source would have (``losses.paired_error``), is a far stronger
signal: it carries the training here. The paper's terms (critic, AU regression, cycle, mask mean
and smoothness) are kept with their weights, but taken only every ``paper_every`` steps, unscaled:
a touch on the paired terms, because they cost as much again. 0 leaves them out.

There are three kinds of faces, and ``mix`` weighs them:

- rendered: drawn people, with true target frames;
- seen: photographs, with what a table or an estimator says of their AUs. They have no target
  frame: they join only the steps that take the paper's terms, beside the pairs;
- warped: pairs made of photographs of people at rest (``photographs``).

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
      pool/warped-<photographs' SHA-256>/...  moved photographs: private as these are
      state.safetensors           weights, averages, optimisers; settings and progress as JSON
      log.jsonl                   means since the last such line, every LOG_EVERY steps (the first
                                  after resuming: since then); the gain, with every saved state
      sheet.png                   source | target | generated | true change | generated change, x10
      photographs.png             the same of moved photographs that are trained on
      generator.safetensors       the average so far, in the format of ``checkpoints``

Every random choice of step n depends on (seed, n) alone: on a CPU a resumed run is the
uninterrupted one to the bit, once the pool is complete (before, it also depends on how much was
drawn when). On CUDA it is not: the gradient of ``grid_sample`` is summed there in any order. Of
several processes (``parallel``) each but the first draws by its rank as well.
"""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ganimation import losses
from ganimation.animation import to_levels, to_signed
from ganimation.augmentation import augment
from ganimation.checkpoints import load_generator, save_generator
from ganimation.drawings import Clip, Pool, draw_clip, draw_pair, fill, read_clip
from ganimation.networks import Discriminator, Generator, mix
from ganimation.photographs import Points, move_person
from mie_x import parallel
from mie_x.records import Frames
from mie_x.resumable import adam_tensors, cut_log, refill, save_state
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
WARPINGS = 10  # clips made of each photograph at rest
DRAWN_ALONE = "faces drawn by mie_x.renderer alone, no photographs"
LICENCE = "Apache-2.0"


@dataclass(slots=True, eq=False)
class Run:
    """All that changes while training; what ``save_state`` writes of it."""

    generator: Generator
    average: Generator
    critic: Discriminator
    optimiser: torch.optim.Adam
    critic_optimiser: torch.optim.Adam
    step: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each kind of face is taken: weights, of which only the ratios count.

    Of a batch of pairs ``warped / (rendered + warped)`` are warped, by chance; where the paper's
    terms are taken, ``seen / (rendered + warped)`` times as many photographs as pairs join them.
    """

    rendered: float = 1.0
    seen: float = 0.0
    warped: float = 0.0

    def __post_init__(self) -> None:
        if min(self.rendered, self.seen, self.warped) < 0 or not self.rendered + self.warped > 0:
            raise ValueError(f"mix {self}: no weight is negative, and some are of pairs")


@dataclass(frozen=True, slots=True, eq=False)
class Photographs:
    """Aligned photographs and what is known of them.

    ``seen`` are (N, 128, 128, 3) uint8 RGB and their AUs (N, 17) float32 in [0, 1]; ``resting``
    (M, 128, 128, 3) those of people at rest, with their five ``points`` (M, 5, 2) px. ``credit``
    names them in the weights' metadata.
    """

    seen: Clip
    resting: Frames
    points: Points
    credit: str

    def sha256(self) -> str:
        arrays = (*self.seen, self.resting, self.points)
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


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
    photographs: Photographs | None = None,
    mixture: Mix | None = None,
    start: Path | None = None,
    device: str = "cpu",
    save_minutes: float = 5,
    draw: Callable[[str, int], Clip] = draw_clip,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Train to STEPS, or on from where OUT's run stands, and return the exported generator's path.

    PEOPLE are drawn into POOL while training. PAPER_EVERY 0 leaves the paper's terms out. MIXTURE
    weighs what is drawn and the PHOTOGRAPHS. A new run begins with the weights of START, in the
    format of ``checkpoints``. DRAW (purpose, number) gives the clip of a person, SIZE px square.
    PROGRESS is told (steps done, STEPS) at the start and after every step. Raises RuntimeError when
    the drawing has failed.
    """
    device = parallel.join(device)
    mixture = mixture or Mix()
    out.mkdir(parents=True, exist_ok=True)
    pool = pool or out / "pool"
    settings: dict[str, Any] = {
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
    if photographs is not None:
        settings |= {"photographs": photographs.sha256(), "mix": list(astuple(mixture))}
    run = new_run(
        seed, width=width, blocks=blocks, motion=motion, critic_width=critic_width, size=size
    )
    data = describe(photographs, mixture)
    if start is not None:
        settings["start"], learned_from = begin_with(run, start)
        data += f"; begun with {start.name} ({settings['start'][:12]}): {learned_from}"
    if (out / "state.safetensors").exists():
        told = refill(out / "state.safetensors", _tensors(run), settings=settings)
        run.step, run.seconds = int(told["step"]), float(told["seconds"])
    for network in (run.generator, run.average, run.critic):
        network.to(device)
    _move_optimisers(run, device)
    pools = open_pools(pool, people=people, photographs=photographs, mixture=mixture, draw=draw)
    writes = parallel.rank() == 0
    if writes:
        cut_log(out / "log.jsonl", run.step)
        fill(pool / "held-out", HELD_OUT, functools.partial(draw, "held-out"))

    saved = time.monotonic()
    started = saved - run.seconds
    window: list[dict[str, float]] = []
    if progress is not None and writes:
        progress(run.step, steps)
    with (out / "log.jsonl").open("a") as log:
        while run.step < steps:
            for kind, _ in pools:
                kind.wait(2 * batch)
            rng = np.random.default_rng([seed, run.step, parallel.rank()][: 2 + (not writes)])
            pairs, aus = draw_batch(pools, batch, rng)
            draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
            pairs = augment(pairs, draws).to(device)
            for group in run.optimiser.param_groups:
                group["lr"] = rate * schedule(run.step, steps)
            with_paper = paper_every > 0 and run.step % paper_every == 0
            seen = None
            if with_paper and photographs is not None and mixture.seen:
                seen = draw_seen(photographs, mixture, batch, rng, draws, device)
            terms = train_step(run, pairs, aus.to(device), draws, with_paper=with_paper, seen=seen)
            run.step += 1
            run.seconds = time.monotonic() - started
            window.append(terms)
            if not writes:
                continue
            if progress is not None:
                progress(run.step, steps)
            if run.step % LOG_EVERY == 0 or run.step == steps:
                line = {
                    "step": run.step,
                    "seconds": round(run.seconds, 1),
                    "people": sum(kind.drawn for kind, _ in pools),
                    "rate": group["lr"],
                    **_means(window),
                }
                window.clear()
                log.write(json.dumps(line) + "\n")
                log.flush()
            if time.monotonic() - saved > 60 * save_minutes or run.step == steps:
                saved = time.monotonic()
                so_far = {"step": run.step, "seconds": run.seconds}
                state = out / "state.safetensors"
                save_state(state, _tensors(run), settings=settings, progress=so_far)
                export(out / "generator.safetensors", run, data)
                gain = write_sheet(out / "sheet.png", run.average, pool / "held-out", HELD_OUT)
                log.write(json.dumps({"step": run.step, "held_out_gain_db": gain}) + "\n")
                log.flush()
                if mixture.warped:
                    write_sheet(out / "photographs.png", run.average, pools[-1][0].folder, 8)
    if writes and not (out / "generator.safetensors").exists():
        export(out / "generator.safetensors", run, data)
    parallel.wait()
    return out / "generator.safetensors"


def open_pools(
    folder: Path,
    *,
    people: int,
    photographs: Photographs | None,
    mixture: Mix,
    draw: Callable[[str, int], Clip],
) -> list[tuple[Pool, float]]:
    """FOLDER's clips that pairs are taken from, with their weights; the missing are being drawn."""
    pools: list[tuple[Pool, float]] = []
    drawing: list[Callable[[int], Clip]] = []
    if mixture.rendered:
        pools.append((Pool(folder / "train", people), mixture.rendered))
        drawing.append(functools.partial(draw, "train"))
    if mixture.warped:
        if photographs is None or not len(photographs.resting):
            raise ValueError("pairs of photographs asked for, but none of people at rest is there")
        resting = photographs.resting
        warped = folder / f"warped-{photographs.sha256()[:16]}"
        pools.append((Pool(warped, WARPINGS * len(resting)), mixture.warped))
        drawing.append(functools.partial(move_person, resting, photographs.points))
    for (pool, _), drawn in zip(pools, drawing, strict=True):
        # One process draws for all; the others, on the same machine, find what it has drawn.
        if parallel.rank() == 0:
            pool.open(drawn)
    return pools


def describe(photographs: Photographs | None, mixture: Mix) -> str:
    """What the weights were trained on, for their metadata."""
    if photographs is None or not (mixture.seen or mixture.warped):
        return DRAWN_ALONE
    parts = ["faces drawn by mie_x.renderer"] if mixture.rendered else []
    if mixture.seen:
        parts.append(f"{len(photographs.seen[0])} photographs without targets")
    if mixture.warped:
        parts.append(f"{len(photographs.resting)} photographs moved by the renderer's field")
    return "; ".join([*parts, photographs.credit])


def begin_with(run: Run, weights: Path) -> tuple[str, str]:
    """Fill RUN's generator and average from WEIGHTS; their SHA-256, and what they learned from."""
    loaded = load_generator(weights)
    for network in (run.generator, run.average):
        try:
            network.load_state_dict(loaded.generator.state_dict())
        except RuntimeError as error:
            raise ValueError(f"{weights}: a network of another size ({error})") from None
    return loaded.sha256, str(loaded.metadata.get("data", "unknown"))


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
    pools: Sequence[tuple[Pool, float]], batch: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """BATCH pairs out of weighted POOLS: (N, 2, 3, H, W) in [-1, 1]; their AUs (N, 2, 17)."""
    weights = np.array([weight for _, weight in pools])
    pairs, vectors = [], []
    for kind in rng.choice(len(pools), batch, p=weights / weights.sum()):
        pool = pools[kind][0]
        images, aus = read_clip(pool.folder, int(rng.integers(pool.drawn)))
        chosen = list(draw_pair(rng, len(images)))
        pairs.append(to_signed(torch.from_numpy(images[chosen])).contiguous())
        vectors.append(torch.from_numpy(aus[chosen]))
    return torch.stack(pairs), torch.stack(vectors)


def draw_seen(
    photographs: Photographs,
    mixture: Mix,
    batch: int,
    rng: np.random.Generator,
    draws: torch.Generator,
    device: str,
) -> tuple[Tensor, Tensor]:
    """Photographs (N, 3, H, W) in [-1, 1], varied, and their AUs (N, 17)."""
    count = max(1, round(batch * mixture.seen / (mixture.rendered + mixture.warped)))
    images, aus = photographs.seen
    which = rng.integers(len(images), size=count)
    once = to_signed(torch.from_numpy(images[which])).contiguous()
    varied = augment(once[:, None].expand(-1, 2, -1, -1, -1), draws)[:, 0]
    return varied.to(device), torch.from_numpy(aus[which]).to(device)


def train_step(
    run: Run,
    pairs: Tensor,
    aus: Tensor,
    draws: torch.Generator,
    *,
    with_paper: bool,
    seen: tuple[Tensor, Tensor] | None = None,
) -> dict[str, float]:
    """One step on PAIRS (N, 2, 3, H, W) and their AUS (N, 2, 17); returns the terms' values.

    With the paper's terms join those photographs that are SEEN: (M, 3, H, W), their AUs (M, 17).
    """
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
        terms_of_paper, values = paper_terms(run, pairs, aus, frame, draws, seen)
        loss = loss + torch.stack(list(terms_of_paper.values())).sum()
        terms |= values | {name: term.item() for name, term in terms_of_paper.items()}
    run.optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    parallel.average(p.grad for p in run.generator.parameters() if p.grad is not None)
    torch.nn.utils.clip_grad_norm_(run.generator.parameters(), CLIP)
    run.optimiser.step()
    # While young the average forgets faster, or it would be made of the first, random weights.
    memory = min(AVERAGE, (1 + run.step) / (10 + run.step))
    with torch.no_grad():
        for kept, current in zip(run.average.parameters(), run.generator.parameters(), strict=True):
            kept.lerp_(current, 1 - memory)
    return terms


def paper_terms(
    run: Run,
    pairs: Tensor,
    aus: Tensor,
    frame: Tensor,
    draws: torch.Generator,
    seen: tuple[Tensor, Tensor] | None,
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The paper's terms for the generator, after a step of the critic; that step's values.

    FRAME are the frames made of PAIRS' sources. The photographs SEEN have no targets: they are
    asked for what the pairs are asked for.
    """
    real, shown = pairs.flatten(0, 1), aus.flatten(0, 1)  # (2N, 3, H, W), (2N, 17)
    source, before, wanted, made = pairs[:, 0], aus[:, 0], aus[:, 1], frame
    beside = pairs[:, 1]  # real images, one for each that is made
    regular = frame.new_zeros(())
    if seen is not None:
        photos, theirs = seen
        asked = wanted[torch.arange(len(photos), device=wanted.device) % len(wanted)]
        moved, _, mask = animate_pair(run.generator, photos, asked)
        regular = losses.MASK_MEAN * losses.mask_mean(mask)
        regular = regular + losses.MASK_SMOOTHNESS * losses.mask_smoothness(mask)
        real, shown, beside = (
            torch.cat([real, photos]), torch.cat([shown, theirs]), torch.cat([beside, photos])
        )  # fmt: skip
        source, before = torch.cat([source, photos]), torch.cat([before, theirs])
        wanted, made = torch.cat([wanted, asked]), torch.cat([made, moved])
    values = critic_step(run, real, shown, beside, made.detach(), draws)
    scores, found = run.critic(made)
    back, _, back_mask = animate_pair(run.generator, made, before)
    terms = {
        "adversarial": losses.CRITIC * losses.adversarial_loss(scores),
        "aus": losses.AU_REGRESSION * losses.au_regression(found, wanted),
        "cycle": losses.CYCLE * losses.cycle_loss(back, source),
        "mask_mean": losses.MASK_MEAN * losses.mask_mean(back_mask),
        "mask_smoothness": losses.MASK_SMOOTHNESS * losses.mask_smoothness(back_mask),
    }
    if seen is not None:
        terms["photographs_mask"] = regular
    return terms, values


def critic_step(
    run: Run, real: Tensor, shown: Tensor, beside: Tensor, fake: Tensor, draws: torch.Generator
) -> dict[str, float]:
    """One step of the critic on REAL images (R, 3, H, W) with AUs SHOWN (R, 17) and FAKE ones.

    The penalty is taken between each of FAKE (N, 3, H, W) and the real image BESIDE it.
    """
    scores, found = run.critic(real)
    penalty = losses.gradient_penalty(
        lambda images: run.critic(images)[0].mean(dim=(1, 2)), beside, fake, draws
    )
    terms = {
        "critic": losses.CRITIC * losses.critic_loss(scores, run.critic(fake)[0]),
        "critic_penalty": losses.PENALTY * penalty,
        "critic_aus": losses.AU_REGRESSION * losses.au_regression(found, shown),
    }
    run.critic_optimiser.zero_grad()
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    parallel.average(p.grad for p in run.critic.parameters() if p.grad is not None)
    run.critic_optimiser.step()
    return {name: term.item() for name, term in terms.items()}


def animate_pair(
    generator: Generator, source: Tensor, aus: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mixed frame, colour picture and mask, float32; the convolutions run in bfloat16."""
    with torch.autocast(source.device.type, torch.bfloat16):
        colour, mask = generator(source, aus)
    return mix(source, colour, mask), colour, mask


def _tensors(run: Run) -> dict[str, Tensor]:
    """Name -> the very tensors of RUN's networks and optimisers."""
    tensors = {}
    for part in ("generator", "average", "critic"):
        for name, tensor in getattr(run, part).state_dict().items():
            tensors[f"{part}.{name}"] = tensor
    for part in ("optimiser", "critic_optimiser"):
        for name, tensor in adam_tensors(getattr(run, part)).items():
            tensors[f"{part}.{name}"] = tensor
    return tensors


def _move_optimisers(run: Run, device: str) -> None:
    for optimiser in (run.optimiser, run.critic_optimiser):
        for state in optimiser.state.values():
            for name in ("exp_avg", "exp_avg_sq"):
                state[name] = state[name].to(device)


def _means(window: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each term over the steps that took it."""
    names = {name: None for terms in window for name in terms}
    return {
        name: round(float(np.mean([terms[name] for terms in window if name in terms])), 5)
        for name in names
    }


def export(path: Path, run: Run, data: str) -> str:
    """Write the averaged generator, trained on DATA; returns its SHA-256."""
    return save_generator(path, run.average, steps=run.step, data=data, licence=LICENCE)


@torch.inference_mode()
def write_sheet(path: Path, generator: Generator, folder: Path, people: int) -> float:
    """Draw GENERATOR's frames of the first PEOPLE in FOLDER beside the true ones.

    Returns how many decibels (PSNR, mean over pairs) it is nearer to the true frame than a copy of
    the source is; below 0 copying is better.
    """
    device = next(generator.parameters()).device
    rows, gains = [], []
    for number in range(people):
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
