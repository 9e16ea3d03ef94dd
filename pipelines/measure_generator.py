"""How well generator weights move faces: drawn people, whose truth is known, and photographs.

On drawn people never trained on (``measure``). The neutral face is animated as in a dataset: the
onset with all action units 0, every AU alone at 0.2, and a set of AUs that occur together at 0.1
to 0.3. Measured are

- PSNR to the true frame, beside that of a copy of the source: below it the generator does harm;
- per AU, how well the movement seen between onset and frame agrees with the true displacement:
  the cosine of the two fields, mean over people, where the AU's part of the face shows skin
  (elsewhere, on the eyeball say, there is no truth), large displacements counting more. The
  movement is estimated (``movement``), so the same is done with the true frames: the ceiling.
  And the amount: the part of the movement along the true one, as a share of the latter;
- what changes inside and outside of that part, in grey levels; and the mean of the mask.

On photographs (``measure_photographs``) the truth is not known. Expected is what the renderer's
field does to drawn people, laid on the photograph by its five points (``ganimation.photographs``),
mean of several people. Every AU is asked for alone, at 0 to 0.5, and measured are, per AU and mean
over the photographs,

- the cosine as above, at 0.2, and its ceiling: that of the photograph moved by the field, and
  light, of yet another drawn person;
- the amount at each intensity, as a share of what is expected at 0.2; so 1 at 0.2 is as much as
  the renderer's people move; whether its sign is right at 0.2, and whether it rises every time;
- the share of the change that lies in the AU's part of the face at 0.2, and the change elsewhere;
- identity: whether the frame at 0.5 is still nearest to its own photograph, among all people of
  the folder (``mie_x.fidelity``), and the cosine between the two;
- what the AU estimator says rose between the frames at 0 and at each intensity, if it is there.

The renderer's idea of an AU is also what the generator was trained on: agreement with it says that
motion carried over to photographs, not that people move so. The estimator has, in part, the same
teacher.

``python -m pipelines.measure_generator WEIGHTS --out FILE.json [--photographs DIR --last 12]``
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
from skimage.transform import rescale

from au_sources import estimator
from ganimation.animation import animate, to_signed
from ganimation.checkpoints import Loaded, load_generator
from ganimation.drawings import TOGETHER, identity_seed
from ganimation.photographs import Points, find_points, lay, move
from mie_x import faces
from mie_x.fidelity import bands, identity_vector
from mie_x.records import AUS, Aus, Frames
from mie_x.renderer import band_mask, draw_person, draw_view, render
from mie_x.whole import write_json
from pipelines.progress import counted

ALONE = 0.2  # intensity of single AUs
TOGETHER_RANGE = (0.1, 0.3)  # the expert table's interval of micro-expressions
LEVELS = (0.0, 0.1, 0.2, 0.3, 0.5)  # intensities asked of photographs
WITNESSES = 6  # drawn people whose mean field is expected of a photograph
BEST = 60.0  # dB; a frame equal to the truth is counted so
LEAST = 0.05  # px; where the truth nowhere moves further (hidden by hair, say) no cosine is taken
ENLARGED = 2  # times: displacements of tenths of a pixel are found better
AROUND = 10  # px around what is shown, in which movement is looked for

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
        # One row more, in which everything moves: where not even that does, no skin is seen.
        rows = np.concatenate([aus, np.full_like(aus[:1], 0.1)])
        truth = render([person] * len(rows), [view] * len(rows), rows, flow=True)
        assert truth.flow is not None
        skin = np.hypot(*truth.flow[-1]) > 0
        face = truth.images[0]
        frames = animate(loaded.generator, face[None], aus)
        onset_changes.append(change(face, frames[0]).mean())
        masks.append(mask_mean(loaded, face, aus[[1, -1]]))
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
                shown = band & skin
                found, possible = (
                    movement(frames[0], frames[row], shown), movement(face, true, shown)
                )  # fmt: skip
                figures["cosine"] = cosine(found, wanted, shown)
                figures["ceiling"] = cosine(possible, wanted, shown)
                figures["amount"] = amount(found, wanted, shown)
                figures["ceiling_amount"] = amount(possible, wanted, shown)
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
        "mask": _mean(masks),
        "onset_change": _mean(onset_changes),
        **_summary(per_au),
    }


def measure_photographs(
    weights: Path | None,
    folder: Path,
    *,
    last: int = 12,
    witnesses: int = WITNESSES,
    unsafe_pickle: bool = False,
) -> dict[str, Any]:
    """Measure WEIGHTS (None: those shipped) on the LAST people of FOLDER, by name; figures by name.

    The photographs are best of people at rest.
    """
    loaded = load_generator(weights, unsafe_pickle=unsafe_pickle)
    found = faces.photographs(folder).faces
    everybody = np.stack([face.image() for face in found])
    if not 0 < last <= len(found):
        raise ValueError(f"{last} people asked for, but {folder} has {len(found)} with a face")
    gallery = np.stack([identity_vector(face) for face in everybody])
    asked = np.concatenate([level * np.eye(len(AUS)) for level in LEVELS]).astype(np.float32)
    points = find_points(everybody[-last:])
    per_au: dict[int, list[dict[str, float]]] = {au: [] for au in AUS}
    for number in counted(range(last), last, "photographs measured"):
        own = len(found) - last + number
        face = everybody[own]
        frames = animate(loaded.generator, face[None], asked).reshape(len(LEVELS), -1, *face.shape)
        expected, skin, moved_face = expect(face, points[number], witnesses=witnesses)
        rose = estimated(frames)
        for column, au in enumerate(AUS):
            shown = bands()[column] & skin
            fields = [movement(face, frame, shown) for frame in frames[:, column]]
            figures = along(fields, expected[column], shown)
            true = movement(face, moved_face[column], shown)
            asked_for = LEVELS.index(ALONE)
            change_here = change(frames[0, column], frames[asked_for, column])
            likeness = gallery @ identity_vector(frames[-1, column])
            figures |= {
                "cosine": cosine(fields[asked_for], expected[column], shown),
                "ceiling": cosine(true, expected[column], shown),
                "ceiling_amount": amount(true, expected[column], shown),
                "share_inside": float(
                    change_here[bands()[column]].sum() / max(float(change_here.sum()), 1e-9)
                ),
                "change_inside": float(change_here[bands()[column]].mean()),
                "change_outside": float(change_here[~bands()[column]].mean()),
                "onset_change": float(change(face, frames[0, column]).mean()),
                "own_nearest": float(likeness.argmax() == own),
                "identity_cosine": float(likeness[own]),
            }
            if rose is not None:
                figures |= {
                    f"estimated_{level}": float(rise)
                    for level, rise in zip(LEVELS, rose[:, column, column], strict=True)
                }
                figures["estimated_sign"] = float(rose[asked_for, column, column] > 0)
                figures["estimated_rises"] = float((np.diff(rose[:, column, column]) > 0).all())
            per_au[au].append(figures)
    return {
        "weights": loaded.name,
        "sha256": loaded.sha256,
        "measured_on": f"photographs of {last} people held out",
        "people": last,
        **_summary(per_au),
    }


def expect(
    face: Frames, points: Points, *, witnesses: int = WITNESSES
) -> tuple[Field, NDArray[np.bool_], Frames]:
    """What is expected of a photographed FACE with its POINTS, for every AU alone at ALONE.

    The mean field (17, 2, H, W) of so many WITNESSES, drawn people; where most of them show skin
    (H, W); and FACE moved by the field of one more (17, H, W, 3).
    """
    aus = ALONE * np.eye(len(AUS), dtype=np.float32)
    seeds = [identity_seed("witness", number) for number in range(witnesses + 1)]
    laid = [lay(points, aus, seed=seed) for seed in seeds[:-1]]
    field: Field = np.mean([one.field for one in laid], axis=0, dtype=np.float32)
    skin = np.mean([one.skin for one in laid], axis=0) > 0.5
    return field, skin, move(face, points, aus, seed=seeds[-1])


def along(fields: list[Field], expected: Field, shown: NDArray[np.bool_]) -> dict[str, float]:
    """How far FIELDS, one for each of LEVELS, go along the EXPECTED one, as a share of it.

    >>> expected = np.ones((2, 1, 1), np.float32)
    >>> figures = along([level * expected for level in LEVELS], expected, expected[0] > 0)
    >>> figures["amount_0.3"], figures["sign"], figures["rises"]
    (0.3, 1.0, 1.0)
    """
    amounts = [amount(field, expected, shown) for field in fields]
    return {
        **{f"amount_{level}": round(a, 6) for level, a in zip(LEVELS, amounts, strict=True)},
        "sign": float(amounts[LEVELS.index(ALONE)] > 0),
        "rises": float((np.diff(amounts) > 0).all()),
    }


def amount(found: Field, expected: Field, shown: NDArray[np.bool_]) -> float:
    """The part of FOUND along the EXPECTED field where skin is SHOWN, as a share of the latter."""
    a, b = found[:, shown].ravel(), expected[:, shown].ravel()
    return float(a @ b / (b @ b))


def estimated(frames: Frames) -> Aus | None:
    """What rose from FRAMES (levels, 17, H, W, 3) at the first level: (levels, 17 asked, 17).

    None where no estimator ships with the package.
    """
    if not estimator.SHIPPED.is_file():
        return None
    onsets = np.broadcast_to(frames[:1], frames.shape).reshape(-1, *frames.shape[2:])
    rose = estimator.differences(onsets, frames.reshape(onsets.shape))
    return rose.reshape(*frames.shape[:2], len(AUS))


def mask_mean(loaded: Loaded, face: Frames, aus: Aus) -> float:
    """Mean of the generator's mask for one FACE (H, W, 3) with AUS (N, 17)."""
    with torch.inference_mode():
        source = to_signed(torch.from_numpy(face[None])).expand(len(aus), -1, -1, -1)
        mask: float = loaded.generator(source, torch.from_numpy(aus))[1].mean().item()
    return mask


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


def movement(
    before: NDArray[np.uint8], after: NDArray[np.uint8], shown: NDArray[np.bool_]
) -> Field:
    """Where each pixel of BEFORE is in AFTER: (2, H, W) float32 pixels, dx then dy.

    Looked for only around what is SHOWN (H, W); 0 beyond. TV-L1 on frames enlarged by ENLARGED:
    chosen for the ceiling on true frames of four people of the training pool, as was the number of
    iterations (mean cosine .87 at single size, .90 and .91 enlarged with 6 and 10). Other weights
    of the terms, a matched brightness and Lucas-Kanade with a term for light gave less.
    """
    luma = np.array([0.299, 0.587, 0.114], np.float32) / 255
    box = tuple(
        slice(max(0, places.min() - AROUND), places.max() + 1 + AROUND)
        for places in np.nonzero(shown)
    )
    large = [rescale(frame[box] @ luma, ENLARGED, order=3) for frame in (before, after)]
    # Few warps: the displacements are below four pixels, and further ones only fit the noise.
    settings = {"num_warp": 2, "num_iter": 10}
    found: Field = optical_flow_tvl1(*large, dtype=np.float32, **settings)  # type: ignore[no-untyped-call]
    height, width = large[0].shape
    small = found.reshape(2, height // ENLARGED, ENLARGED, width // ENLARGED, ENLARGED)
    field = np.zeros((2, *shown.shape), np.float32)
    field[(slice(None), *box)] = small.mean(axis=(2, 4))[::-1] / ENLARGED
    return field


def cosine(found: Field, wanted: Field, band: NDArray[np.bool_]) -> float:
    """Cosine between two fields (2, H, W) inside BAND, taken as vectors of all its components."""
    a, b = found[:, band].ravel(), wanted[:, band].ravel()
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


def _summary(per_au: dict[int, list[dict[str, float]]]) -> dict[str, Any]:
    """Means of the figures: per AU over people, and over the AUs."""
    names = list(dict.fromkeys(name for rows in per_au.values() for row in rows for name in row))
    aus = {
        str(au): {name: _mean([row[name] for row in rows if name in row]) for name in names}
        for au, rows in per_au.items()
    }
    return {**{name: _mean([aus[au][name] for au in aus]) for name in names}, "aus": aus}


def _mean(values: list[Any]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")


@click.command()
@click.argument("weights", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json")
@click.option("--identities", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--photographs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Measure on photographs instead.",
)
@click.option(
    "--last",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    metavar="N",
    help="People in DIR, the last by name, who were never trained on.",
)
@click.option("--unsafe-pickle", is_flag=True, help="Read a PyTorch pickle that you trust.")
def main(
    weights: Path,
    *,
    out: Path | None,
    identities: int,
    seed: int,
    photographs: Path | None,
    last: int,
    unsafe_pickle: bool,
) -> None:
    """Measure the generator in the file WEIGHTS on drawn faces, or on photographs."""
    if photographs is None:
        figures = measure(weights, identities=identities, seed=seed, unsafe_pickle=unsafe_pickle)
    else:
        figures = measure_photographs(weights, photographs, last=last, unsafe_pickle=unsafe_pickle)
    if out is not None:
        write_json(out, figures)
    click.echo(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
