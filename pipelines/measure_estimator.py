"""How well estimator weights measure action units, on faces that they were not trained on.

- Drawn people (truth known): the AU vectors of training (``wide_aus``), and from the neutral face
  to every AU alone at 0.1, 0.2 and 0.3: how much of it is seen, whether its sign is right, whether
  its answer is the strongest, and what the others answer; beside it the same by subtracting two
  absolute answers, and by ``filmed`` pairs, whose second frame has sensor noise of its own and is
  moved by half a millimetre. ``still`` is the neutral face filmed again: what is answered is noise.
- Photographs, if given: those of the people held out from training (the last by name), against the
  table, which is OpenFace's word and no truth.
- A film, if given, as a folder of frames: every AU over time against OpenFace's.

``python -m pipelines.measure_estimator [WEIGHTS] --out FILE.json``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from au_sources.estimator import differences, intensities, load_estimator
from au_sources.tables import read_openface
from ganimation.drawings import identity_seed
from mie_x.records import AUS, Aus, Frames
from mie_x.renderer import draw_person, draw_view, render
from mie_x.whole import write_json
from pipelines.progress import counted
from pipelines.train_estimator import HELD_OUT, aligned, read_photographs, split, wide_aus

ALONE = (0.1, 0.2, 0.3)
STILL_MM = 0.5


def measure(
    weights: Path | None,
    *,
    identities: int,
    seed: int,
    photographs: Path | None = None,
    aus: Path | None = None,
    hold_out: int = HELD_OUT,
    film: Path | None = None,
    film_aus: Path | None = None,
) -> dict[str, Any]:
    """Measure WEIGHTS (None: those shipped); figures by name. Tables go with their pictures."""
    loaded = load_estimator(weights)
    figures: dict[str, Any] = {
        "sha256": loaded.sha256,
        "parameters": sum(parameter.numel() for parameter in loaded.estimator.parameters()),
        "seed": seed,
        "rendered": measure_rendered(weights, identities=identities, seed=seed),
    }
    if photographs is not None and aus is not None:
        figures["photographs"] = measure_photographs(weights, photographs, aus, hold_out=hold_out)
    if film is not None and film_aus is not None:
        figures["film"] = measure_film(weights, film, film_aus)
    return figures


def measure_rendered(weights: Path | None, *, identities: int, seed: int) -> dict[str, Any]:
    """On so many drawn IDENTITIES that training never saw."""
    wide: list[tuple[Aus, Aus]] = []
    rose, subtracted, filmed, still = [], [], [], []
    alone = np.concatenate([level * np.eye(len(AUS), dtype=np.float32) for level in ALONE])
    for number in counted(range(identities), identities, "people measured"):
        person_seed = identity_seed(f"measure estimator {seed}", number)
        person, view = draw_person(person_seed), draw_view(person_seed)
        vectors = wide_aus(np.random.default_rng(person_seed), number)
        asked = np.concatenate([vectors, alone])
        images = render([person] * len(asked), [view] * len(asked), asked).images
        wide.append((vectors, intensities(images[: len(vectors)], weights=weights)))
        neutral, faces = images[:1], images[len(vectors) :]
        onsets = neutral.repeat(len(faces), axis=0)
        rose.append(differences(onsets, faces, weights=weights))
        absolute = intensities(np.concatenate([neutral, faces]), weights=weights)
        subtracted.append(absolute[1:] - absolute[:1])
        again = replace(view, seed=view.seed ^ 1, x=view.x + STILL_MM)
        rest = np.zeros((1, len(AUS)), np.float32)
        asked = np.concatenate([alone, rest])
        moved = render([person] * len(asked), [again] * len(asked), asked).images
        answers = differences(neutral.repeat(len(asked), axis=0), moved, weights=weights)
        filmed.append(answers[:-1])
        still.append(answers[-1])
    truth, found = (np.concatenate(side) for side in zip(*wide, strict=True))
    return {
        "people": identities,
        "frames": len(truth),
        "absolute": agreement(truth, found)
        | {"mae_of_always_0": _round(truth.mean()), "mae_of_the_mean": _round(_spread(truth))},
        "differences": of_alone(np.stack(rose)),
        "filmed": of_alone(np.stack(filmed)),
        "subtracted": of_alone(np.stack(subtracted)),
        "still": {"mean": _round(np.abs(still).mean()), "p95": _round(_p95(np.array(still)))},
    }


def of_alone(found: NDArray[np.float32]) -> dict[str, Any]:
    """FOUND (people, 3 x 17, 17), the answers where each AU rose alone to each of ALONE."""
    out: dict[str, Any] = {}
    for row, level in enumerate(ALONE):
        block = found[:, row * len(AUS) : (row + 1) * len(AUS)]  # (people, asked, answered)
        own = block.diagonal(axis1=1, axis2=2)  # (people, asked)
        others = block[:, ~np.eye(len(AUS), dtype=bool)]
        out[f"{level:g}"] = {
            "mae": _round(np.abs(own - level).mean()),
            "sign": _round((own > 0).mean()),
            "strongest": _round((block.argmax(axis=2) == np.arange(len(AUS))).mean()),
            "others": _round(np.abs(others).mean()),
            "aus": {
                str(au): {
                    "mean": _round(own[:, k].mean()),
                    "mae": _round(np.abs(own[:, k] - level).mean()),
                    "sign": _round((own[:, k] > 0).mean()),
                }
                for k, au in enumerate(AUS)
            },
        }
    return out


def measure_photographs(
    weights: Path | None, folder: Path, table: Path, *, hold_out: int
) -> dict[str, Any]:
    """On the photographs of the HOLD_OUT people who were not learned from."""
    people = split(read_photographs(folder, table), hold_out)[1]
    images = np.concatenate([clip[0] for clip in people.values()])
    truth = np.concatenate([clip[1] for clip in people.values()])
    pairs = [(clip[0][:1], clip[0][-1:], clip[1]) for clip in people.values()]
    rose = np.concatenate([differences(a, b, weights=weights) for a, b, _ in pairs])
    rose_truth = np.stack([aus[-1] - aus[0] for _, _, aus in pairs])
    return {
        "people": len(people),
        "photographs": len(images),
        "absolute": agreement(truth, intensities(images, weights=weights)),
        "differences": agreement(rose_truth, rose),
    }


def measure_film(weights: Path | None, folder: Path, table: Path) -> dict[str, Any]:
    """On the frames in FOLDER, in order of their names, against OpenFace's TABLE of the film."""
    paths = sorted(path.name for path in folder.iterdir() if path.suffix == ".png")
    truth = read_openface(table)[1]
    if len(paths) != len(truth):
        raise ValueError(f"{folder}: {len(paths)} PNG frames, but {table} has {len(truth)} rows")
    seen = aligned(folder, paths)
    there = [n for n, path in enumerate(paths) if path in seen and np.isfinite(truth[n]).all()]
    frames: Frames = np.stack([seen[paths[n]] for n in there])
    rose = differences(frames[:1].repeat(len(frames), axis=0), frames, weights=weights)
    return {
        "frames": len(frames),
        "absolute": agreement(truth[there], intensities(frames, weights=weights)),
        "since_the_first": agreement(truth[there] - truth[there][0], rose),
    }


def agreement(truth: Aus, found: Aus) -> dict[str, Any]:
    """Errors and correlations of FOUND (N, 17); an AU that never varies has no correlation."""
    aus: dict[str, dict[str, float]] = {}
    for k, au in enumerate(AUS):
        aus[str(au)] = {"mae": _round(np.abs(found[:, k] - truth[:, k]).mean())}
        if truth[:, k].std() > 0 and found[:, k].std() > 0:
            aus[str(au)]["correlation"] = _round(np.corrcoef(truth[:, k], found[:, k])[0, 1])
    correlations = [figures["correlation"] for figures in aus.values() if "correlation" in figures]
    return {
        "mae": _round(np.abs(found - truth).mean()),
        "correlation": _round(np.mean(correlations)) if correlations else None,
        "aus": aus,
    }


def _spread(truth: Aus) -> Any:
    """Mean absolute error of answering each AU's own mean."""
    return np.abs(truth - truth.mean(axis=0)).mean()


def _p95(values: NDArray[np.float32]) -> Any:
    return np.quantile(np.abs(values), 0.95)


def _round(value: Any) -> float:
    return round(float(value), 4)


@click.command()
@click.argument("weights", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.json")
@click.option("--identities", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--photographs", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--aus", type=click.Path(path_type=Path), metavar="CSV")
@click.option("--film", type=click.Path(path_type=Path), metavar="DIR", help="Frames as PNG.")
@click.option("--film-aus", type=click.Path(path_type=Path), metavar="CSV")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def main(weights: Path | None, *, out: Path | None, **options: Any) -> None:
    """Measure the estimator in the file WEIGHTS (default: the one shipped)."""
    for pictures, table in (("photographs", "aus"), ("film", "film_aus")):
        if (options[pictures] is None) != (options[table] is None):
            raise click.UsageError(f"--{pictures} goes with --{table.replace('_', '-')}")
    figures = measure(weights, **options)
    if out is not None:
        write_json(out, figures)
    click.echo(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
