"""How well generator weights move faces: on drawn people never trained on, whose truth is known.

For every person the neutral face is animated as in a dataset: the onset with all action units 0,
every AU alone at 0.2, and a set of AUs that occur together at 0.1 to 0.3. Measured are

- PSNR to the true frame, beside that of a copy of the source: below it the generator does harm;
- per AU, how well the movement seen between onset and frame agrees with the true displacement:
  the cosine of the two fields inside the AU's part of the face (large displacements count more).
  The movement is estimated (TV-L1), so the same is done with the true frames: the ceiling;
- what changes inside and outside of that part, in grey levels; and the mean of the mask.

``python -m pipelines.measure_generator WEIGHTS --out FILE.json``. These are drawn faces: what is
measured here says nothing of photographs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.registration import optical_flow_tvl1

from ganimation.animation import animate, to_signed
from ganimation.checkpoints import load_generator
from ganimation.drawings import TOGETHER, identity_seed
from mie_x.records import AUS, Aus
from mie_x.renderer import band_mask, draw_person, draw_view, render
from mie_x.whole import write_json
from pipelines.progress import counted

ALONE = 0.2  # intensity of single AUs
TOGETHER_RANGE = (0.1, 0.3)  # the expert table's interval of micro-expressions
BEST = 60.0  # dB; a frame equal to the truth is counted so
LEAST = 0.05  # px; where the truth nowhere moves further (hidden by hair, say) no cosine is taken

Grey = NDArray[np.float32]
Field = NDArray[np.float32]


def measure(
    weights: Path | None, *, identities: int = 50, seed: int, unsafe_pickle: bool = False
) -> dict[str, Any]:
    """Measure WEIGHTS (None: those shipped) on drawn people chosen by SEED; figures by name."""
    loaded = load_generator(weights, unsafe_pickle=unsafe_pickle)
    psnr: dict[str, list[tuple[float, float]]] = {"alone": [], "together": []}
    per_au: dict[int, list[dict[str, float]]] = {au: [] for au in AUS}
    masks, onset_changes = [], []
    for number in counted(range(identities), identities, "people measured"):
        person_seed = identity_seed(f"measure {seed}", number)
        person, view = draw_person(person_seed), draw_view(person_seed)
        aus = measured_aus(np.random.default_rng(person_seed))
        truth = render([person] * len(aus), [view] * len(aus), aus, flow=True)
        assert truth.flow is not None
        face = truth.images[0]
        frames = animate(loaded.generator, face[None], aus)
        onset_changes.append(change(face, frames[0]).mean())
        with torch.inference_mode():
            source = to_signed(torch.from_numpy(face[None])).expand(2, -1, -1, -1)
            masks.append(loaded.generator(source, torch.from_numpy(aus[[1, -1]]))[1].mean().item())
        for row in range(1, len(aus)):
            kind = "alone" if row <= len(AUS) else "together"
            true = truth.images[row]
            psnr[kind].append((decibels(frames[row], true), decibels(face, true)))
            if kind == "together":
                continue
            au, wanted = AUS[row - 1], truth.flow[row]
            band = band_mask(person, view, au)
            moved = change(frames[0], frames[row])
            figures = {
                "gain_db": psnr[kind][-1][0] - psnr[kind][-1][1],
                "change_inside": float(moved[band].mean()),
                "true_change_inside": float(change(face, true)[band].mean()),
                "change_outside": float(moved[~band].mean()),
            }
            if np.hypot(*wanted)[band].max() > LEAST:
                figures["cosine"] = cosine(movement(frames[0], frames[row]), wanted, band)
                figures["ceiling"] = cosine(movement(face, true), wanted, band)
            per_au[au].append(figures)
    return {
        "weights": loaded.name,
        "sha256": loaded.sha256,
        "measured_on": "drawn faces (stand-in): no statement about photographs",
        "identities": identities,
        "seed": seed,
        "psnr_db": {
            kind: {
                "generated": _mean([made for made, _ in values]),
                "copied": _mean([copied for _, copied in values]),
                "gain": _mean([made - copied for made, copied in values]),
                "share_above_copy": _mean([float(made > copied) for made, copied in values]),
            }
            for kind, values in psnr.items()
        },
        "cosine": _mean([_of(per_au[au], "cosine") for au in AUS]),
        "ceiling": _mean([_of(per_au[au], "ceiling") for au in AUS]),
        "mask": _mean(masks),
        "onset_change": _mean(onset_changes),
        "aus": {
            str(au): {
                name: _of(per_au[au], name)
                for name in (
                    "cosine",
                    "ceiling",
                    "gain_db",
                    "change_inside",
                    "true_change_inside",
                    "change_outside",
                )
            }
            for au in AUS
        },
    }


def measured_aus(rng: np.random.Generator) -> Aus:
    """Neutral, every AU alone, and one set together: (1 + 17 + 1, 17) float32 in [0, 1]."""
    together = np.zeros((1, len(AUS)), np.float32)
    for au in TOGETHER[rng.integers(len(TOGETHER))]:
        together[0, AUS.index(au)] = rng.uniform(*TOGETHER_RANGE)
    alone = ALONE * np.eye(len(AUS), dtype=np.float32)
    return np.concatenate([np.zeros_like(together), alone, together]).astype(np.float32)


def change(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Grey:
    """(H, W, 3) uint8, twice -> (H, W) float32: mean absolute difference in grey levels."""
    difference: Grey = np.abs(after.astype(np.float32) - before).mean(axis=2)
    return difference


def decibels(frame: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """PSNR of FRAME, at most BEST.

    >>> grey = np.zeros((2, 2, 3), np.uint8)
    >>> round(decibels(grey + np.uint8(1), grey), 2)
    48.13
    """
    error = float(np.square(frame.astype(np.float32) - true).mean())
    return BEST if error == 0 else min(BEST, float(10 * np.log10(255**2 / error)))


def movement(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> Field:
    """Where each pixel of BEFORE is in AFTER: (2, H, W) float32 pixels, dx then dy."""
    luma = np.array([0.299, 0.587, 0.114], np.float32) / 255
    # Few warps: the displacements are below two pixels, and further ones only fit the noise.
    settings = {"num_warp": 2, "num_iter": 6}
    found: Field = optical_flow_tvl1(before @ luma, after @ luma, **settings)  # type: ignore[no-untyped-call]
    return found[::-1]


def cosine(found: Field, wanted: Field, band: NDArray[np.bool_]) -> float:
    """Cosine between two fields (2, H, W) inside BAND, taken as vectors of all its components."""
    a, b = found[:, band].ravel(), wanted[:, band].ravel()
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _of(figures: list[dict[str, float]], name: str) -> float:
    return _mean([row[name] for row in figures if name in row])


def _mean(values: list[Any]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")


@click.command()
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json")
@click.option("--identities", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--unsafe-pickle", is_flag=True, help="Read a PyTorch pickle that you trust.")
def main(
    weights: Path, *, out: Path | None, identities: int, seed: int, unsafe_pickle: bool
) -> None:
    """Measure the generator in the file WEIGHTS on drawn faces."""
    figures = measure(weights, identities=identities, seed=seed, unsafe_pickle=unsafe_pickle)
    if out is not None:
        write_json(out, figures)
    click.echo(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
