"""Does a finished dataset show what it asked for? ``mie-x quality``.

    OUT/
      README.md       what was found, in tables
      quality.json    every figure
      aus.png         requested and measured change of each AU
      motion.png      how large the movements are
      place.png       change outside of the asked AUs' part of the face, and inside
      identity.png    is an apex still its own person

Each sample is measured between its onset and apex frame. Whatever the data, the frames are
synthetic; where faces are rendered or motions stand-ins, every title and table says so.
"""

from __future__ import annotations

import itertools
import math
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from numpy.typing import NDArray

from ganimation import SHIPPED
from mie_x import fidelity
from mie_x.frames import pixel_sha256
from mie_x.manifest import planned, read_manifest
from mie_x.records import AUS, SOURCES, Aus, Sample
from mie_x.samples import read
from mie_x.shards import file_sha256
from mie_x.threads import one_thread
from mie_x.whole import whole, write_json, write_text
from pipelines.progress import counted

if TYPE_CHECKING:  # matplotlib takes a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPORT, FIGURES = "README.md", "quality.json"
PICTURES = ("aus.png", "motion.png", "place.png", "identity.png")
BATCH = 32  # samples handed to a process at a time
CLEAR = 0.05  # a requested change whose sign has to be seen: a quarter of an OpenFace unit
FEWEST = 8  # clear changes of which a slope or a correlation is told
OTHERS = 200  # identities that are compared with one another by texture
LETTERS_AN_INCH = 11  # of a plot's title
DRAWN = 600  # samples that the renderer draws, too, where it knows the face
NAMED = 10  # samples or identities named in a list
LEAST = 0.001  # grey levels: where logarithmic axes begin
MASKED = 20  # faces whose masks are looked at
SATURATED = 0.99
DOTS = 3000  # samples shown in a plot
COLOURS = {"mie": "#d55e00", "mae": "#0072b2", "exp": "#009e73"}  # told apart by everybody
ALIGNED = "the photographs were not aligned by their five points (--align similarity)"

Table = list[list[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What one sample shows. ``asked`` and ``found`` are (17,) changes of AUs.

    ``found``, ``inside`` and ``outside`` are None where faces are not aligned; ``drawn`` is what is
    found in frames that the renderer drew of the same person and AUs, of some samples. ``bits`` and
    ``textures`` (onset, apex) are kept of the first sample of each identity.
    """

    key: str
    identity: str
    source: str
    asked: Aus
    found: Aus | None
    drawn: Aus | None
    motion: float
    near_copy: bool
    inside: float | None
    outside: float | None
    cosine: float
    hashes: tuple[str, str]
    bits: NDArray[np.bool_] | None
    textures: NDArray[np.float32] | None


def quality(
    folder: Path,
    out: Path,
    *,
    count: int | None = None,
    workers: int = 1,
    differences: fidelity.Differences | None = None,
) -> Path:
    """Measure the finished dataset in FOLDER and write a report into the folder OUT.

    COUNT: measure about so many samples, spread over it; None: all. DIFFERENCES measures AUs, by
    default our own estimator; another one must be a function that processes can be sent.
    """
    listed = read_manifest(folder)
    if not listed["samples"]:
        raise ValueError(f"{folder} holds no sample; failures.parquet says why")
    _check_out(folder, out)
    instrument, differences = _instrument(differences)
    step = _step(listed, count)
    faces = listed["settings"]["faces"]
    aligned = faces["kind"] == "rendered" or faces["align"] == "similarity"
    total = -(-listed["samples"] // step)
    seeds = _seeds(folder, range(0, listed["samples"], step)) if faces["kind"] == "rendered" else {}
    tasks = joblib.Parallel(
        n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs", max_nbytes=None
    )(
        joblib.delayed(measure)(
            samples,
            new=new,
            seeds=[seeds.get(sample.key) for sample in samples],
            differences=differences if aligned else None,
        )
        for samples, new in _batches(read(folder, step=step))
    )
    every = _thinned(itertools.chain.from_iterable(tasks))
    found = list(counted(every, total, "samples measured"))
    figures = {
        "dataset": {
            "data": _data(listed["settings"]),
            "note": _note(listed["settings"]),
            "samples": listed["samples"],
            "measured": len(found),
            "every": step,
            "identities": len({one.identity for one in found}),
            "weights": listed["settings"]["weights"],
            "seed": listed["settings"]["seed"],
        },
        "instrument": instrument,
        "aus": _aus(found) if aligned else None,
        "motion": _motion(found, listed["settings"]),
        "duplicates": _duplicates(found),
        "place": _place(found) if aligned else None,
        "identity": _identity(found),
        "mask": mask_of(folder, listed),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name in (REPORT, FIGURES, *PICTURES):  # of an earlier report, which this one replaces
        (out / name).unlink(missing_ok=True)
    _draw(out, found, figures)
    write_json(out / FIGURES, figures)
    write_text(out / REPORT, _report(figures, listed["settings"]))
    return out


@one_thread()
def mask_of(folder: Path, listed: Mapping[str, Any]) -> dict[str, Any] | None:
    """How much of its source the generator keeps: figures of its mask, 1 where it copies.

    A dataset does not hold masks, so the generator is asked again, with the onset frames of about
    ``MASKED`` samples as faces. None where its weights are not those that the package brings.
    """
    if listed["settings"]["weights"]["sha256"] != file_sha256(SHIPPED):
        return None
    import torch

    from ganimation.animation import to_signed
    from ganimation.checkpoints import load_generator

    generator = load_generator(None).generator.eval()
    some = list(read(folder, step=max(1, listed["samples"] // MASKED)))[:MASKED]
    faces = np.stack([sample.frames[0] for sample in some])
    asked = np.stack([sample.aus[sample.apex] for sample in some if sample.aus is not None])
    with torch.inference_mode():
        _, mask = generator(to_signed(torch.from_numpy(faces)), torch.from_numpy(asked))
    return {
        "faces": len(some),
        "mean": float(mask.mean()),
        "copies": float((mask > SATURATED).float().mean()),
        "replaces": float((mask < 1 - SATURATED).float().mean()),
    }


def _check_out(folder: Path, out: Path) -> None:
    """Refuse a place that is no folder of ours, before hours of work."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{out} lies in the dataset, which it does not belong to; give --out")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give a folder as --out")
    strangers = {path.name for path in out.glob("*")} - {REPORT, FIGURES, *PICTURES}
    if strangers:
        raise ValueError(
            f"{out} holds {min(strangers)!r}, and is no report of mie-x; "
            "give a new or an empty folder as --out"
        )


def _step(listed: Mapping[str, Any], count: int | None) -> int:
    """Measure every so many rows: each source and label has its turn."""
    step = 1 if count is None else max(1, listed["samples"] // count)
    rows_each = 3 * len(listed["settings"]["sources"])
    while math.gcd(step, rows_each) > 1:
        step -= 1
    return step


def _instrument(
    differences: fidelity.Differences | None,
) -> tuple[dict[str, str], fidelity.Differences]:
    """What measures AUs, in words, and the function."""
    if differences is not None:
        return {"name": f"{differences.__module__}.{differences.__qualname__}"}, differences
    from au_sources.estimator import differences as ours
    from au_sources.estimator import load_estimator

    loaded = load_estimator(None)
    told = {
        "name": "the estimator of mie-x",
        "sha256": loaded.sha256,
        "learned_from": str(loaded.metadata["data"]),
    }
    return told, ours


def _seeds(folder: Path, rows: Sequence[int]) -> dict[str, int]:
    """Sample key -> the seed of its face, of about ``DRAWN`` of the measured samples.

    ROWS are those of the dataset, which are the plan's but for samples that failed.
    """
    plan = planned(folder)
    chosen = np.random.default_rng(0).permutation(len(rows))[:DRAWN]
    some = plan.select(["sample_key", "face"]).take(sorted(rows[n] for n in chosen)).to_pylist()
    return {row["sample_key"]: int(row["face"].removeprefix("render:")) for row in some}


def _batches(samples: Iterable[Sample]) -> Iterator[tuple[list[Sample], list[bool]]]:
    """Samples, and whether each is the first that is met of its identity."""
    met: set[str] = set()
    rest = iter(samples)
    while batch := list(itertools.islice(rest, BATCH)):
        new = []
        for sample in batch:
            new.append(sample.subject not in met)
            met.add(sample.subject)
        yield batch, new


def measure(
    samples: Sequence[Sample],
    *,
    new: Sequence[bool],
    seeds: Sequence[int | None],
    differences: fidelity.Differences | None,
) -> list[Measured]:
    """Measure SAMPLES: NEW ones are the first of their identity, those with SEEDS drawn faces.

    Without DIFFERENCES faces are not aligned, and what depends on the place is not measured.
    """
    onsets = np.stack([sample.frames[0] for sample in samples])
    apexes = np.stack([sample.frames[sample.apex] for sample in samples])
    found = None if differences is None else differences(onsets, apexes)
    drawn = _drawn(samples, seeds, differences)
    answer = []
    for number, (sample, onset, apex) in enumerate(zip(samples, onsets, apexes, strict=True)):
        assert sample.aus is not None
        asked = fidelity.asked_aus(sample.aus[0], sample.aus[sample.apex])
        textures = np.stack([fidelity.identity_vector(frame) for frame in (onset, apex)])
        inside = outside = None
        if found is not None:
            inside = fidelity.changed_inside(onset, apex, asked)
            outside = fidelity.changed_outside(onset, apex, asked)
        answer.append(
            Measured(
                key=sample.key,
                identity=sample.subject,
                source=sample.key.rsplit("_", 2)[1],
                asked=sample.aus[sample.apex] - sample.aus[0],
                found=None if found is None else found[number],
                drawn=drawn.get(number),
                motion=fidelity.motion(onset, apex),
                near_copy=fidelity.is_near_copy(onset, apex),
                inside=inside,
                outside=outside,
                cosine=float(textures[0] @ textures[1]),
                hashes=(pixel_sha256(onset), pixel_sha256(apex)),
                bits=fidelity.perceptual_hash(onset) if new[number] else None,
                textures=textures if new[number] else None,
            )
        )
    return answer


def _thinned(found: Iterable[Measured], *, most: int = OTHERS) -> Iterator[Measured]:
    """What was FOUND, with the textures of the first MOST identities only: each takes 26 kB."""
    left = most
    for one in found:
        if one.textures is not None:
            left -= 1
        yield one if left >= 0 else replace(one, textures=None)


def _drawn(
    samples: Sequence[Sample],
    seeds: Sequence[int | None],
    differences: fidelity.Differences | None,
) -> dict[int, Aus]:
    """Place -> what is found in the renderer's own frames of the same people and AUs."""
    from mie_x.renderer import draw_person, draw_view, render  # torch

    known = {place: seed for place, seed in enumerate(seeds) if seed is not None}
    if differences is None or not known:
        return {}
    pairs = []
    for place, seed in known.items():
        aus = samples[place].aus
        assert aus is not None
        vectors = aus[[0, samples[place].apex]]
        pairs.append(render([draw_person(seed)] * 2, [draw_view(seed)] * 2, vectors).images)
    onsets, apexes = np.stack(pairs, axis=1)
    return dict(zip(known, differences(onsets, apexes), strict=True))


def _data(settings: Mapping[str, Any]) -> str:
    """Whose faces and movements, for titles: "rendered faces, stand-in motions (mie, mae)"."""
    sources = settings["sources"]
    kinds: dict[str, list[str]] = defaultdict(list)
    for name in (name for name in SOURCES if name in sources):
        kinds[_kind(name, sources[name]["stand_in"])].append(name)
    faces = "rendered faces" if settings["faces"]["kind"] == "rendered" else "animated photographs"
    return ", ".join([faces, *(f"{kind} ({', '.join(names)})" for kind, names in kinds.items())])


def _kind(source: str, stand_in: bool) -> str:
    if stand_in:
        return "stand-in motions"
    return "motions of an expert table" if source == "exp" else "motions measured on real clips"


def _note(settings: Mapping[str, Any]) -> str:
    """What none of the figures is."""
    sources = settings["sources"]
    invented = [name for name in SOURCES if name in sources and sources[name]["stand_in"]]
    reasons = ["every frame is synthetic"]
    if settings["faces"]["kind"] == "rendered":
        reasons.append("the faces are rendered")
    if invented:
        reasons.append(f"the motions of {' and '.join(invented)} are stand-ins")
    return f"No figure here is one on micro-expressions: {', '.join(reasons)}."


def _aus(found: Sequence[Measured]) -> dict[str, Any]:
    asked = np.stack([one.asked for one in found])
    answers = np.stack([np.asarray(one.found) for one in found])
    told: dict[str, Any] = {
        **_by_au(asked, answers),
        "by_source": {
            source: agreement(asked[rows].ravel(), answers[rows].ravel())
            for source, rows in _rows(found).items()
        },
        "drawn": None,
    }
    drawn = [(one.asked, one.drawn) for one in found if one.drawn is not None]
    if drawn:
        told["drawn"] = _by_au(*(np.stack(vectors) for vectors in zip(*drawn, strict=True)))
    return told


def _by_au(asked: Aus, answers: Aus) -> dict[str, Any]:
    """Agreement of changes (N, 17), of each AU and of all."""
    return {
        "all": agreement(asked.ravel(), answers.ravel()),
        "by_au": {str(au): agreement(asked[:, n], answers[:, n]) for n, au in enumerate(AUS)},
    }


def _rows(found: Sequence[Measured]) -> dict[str, list[int]]:
    """Places of each source's samples."""
    there = {
        source: [n for n, one in enumerate(found) if one.source == source] for source in SOURCES
    }
    return {source: rows for source, rows in there.items() if rows}


def agreement(asked: NDArray[Any], found: NDArray[Any]) -> dict[str, float | int | None]:
    """How far what was FOUND (N,) is what was ASKED (N,); None where too few samples tell it.

    ``clear`` ones were asked to change by ``CLEAR`` or more. ``slope``, with its standard error: of
    the line through the origin that fits them. ``right_sign``: share of them that changed in the
    direction asked for. ``correlation``: over all samples. ``unasked``: mean absolute change found
    where none was asked for.

    >>> half = agreement(np.tile([0.0, 0.2, 0.4], 4), np.tile([0.0, 0.1, 0.2], 4))
    >>> half["slope"], half["right_sign"], half["unasked"]
    (0.5, 1.0, 0.0)
    """
    asked, found = asked.astype(np.float64), found.astype(np.float64)
    clear = np.abs(asked) >= CLEAR
    a, f = asked[clear], found[clear]
    slope = error = correlation = None
    if len(a) >= FEWEST:
        slope = float(a @ f / (a @ a))
        error = float(np.sqrt(np.square(f - slope * a).sum() / (len(a) - 1) / (a @ a)))
        if asked.std() > 0 and found.std() > 0:
            correlation = float(np.corrcoef(asked, found)[0, 1])
    return {
        "asked": int((asked != 0).sum()),
        "clear": len(a),
        "slope": slope,
        "slope_error": error,
        "correlation": correlation,
        "right_sign": _mean(a * f > 0),
        "unasked": _mean(np.abs(found)[asked == 0]),
    }


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _motion(found: Sequence[Measured], settings: Mapping[str, Any]) -> dict[str, Any]:
    by_source = {}
    for source, rows in _rows(found).items():
        sizes = [found[n].motion for n in rows]
        by_source[source] = {
            "motions": _kind(source, settings["sources"][source]["stand_in"]),
            "samples": len(rows),
            "mean": float(np.mean(sizes)),
            "percentiles_5_50_95": [float(size) for size in np.percentile(sizes, (5, 50, 95))],
            "asked": float(np.mean([np.abs(found[n].asked).sum() for n in rows])),
            "near_copies": sum(found[n].near_copy for n in rows),
        }
    return {
        "by_source": by_source,
        "near_copies": sum(one.near_copy for one in found),
        "near_copies_named": [one.key for one in found if one.near_copy][:NAMED],
    }


def _duplicates(found: Sequence[Measured]) -> dict[str, Any]:
    """Samples of the same pixels, identities with a frame in common, and that look the same."""
    pairs = Counter(one.hashes for one in found)
    whose: dict[str, set[str]] = defaultdict(set)
    for one in found:
        for sha256 in one.hashes:
            whose[sha256].add(one.identity)
    shared = {identity for people in whose.values() if len(people) > 1 for identity in people}
    new = [one for one in found if one.bits is not None]
    near = list(_near([one.bits for one in new if one.bits is not None]))
    return {
        "samples_with_the_pixels_of_another": sum(n for n in pairs.values() if n > 1),
        "identities_that_share_a_frame": len(shared),
        "identities_that_share_a_frame_named": sorted(shared)[:NAMED],
        "pairs_of_identities_that_look_the_same": len(near),
        "pairs_of_identities_that_look_the_same_named": [
            [new[a].identity, new[b].identity] for a, b in near[:NAMED]
        ],
    }


def _near(bits: Sequence[NDArray[np.bool_]]) -> Iterator[tuple[int, int]]:
    """Pairs of hashes that differ by ``NEAR_HASH`` bits at most, a thousand rows at a time."""
    signs = np.where(np.stack(bits), 1, -1).astype(np.float32)
    for start in range(0, len(signs), 1000):
        distances = (signs.shape[1] - signs[start : start + 1000] @ signs.T) / 2
        for a, b in np.argwhere(distances <= fidelity.NEAR_HASH):
            if start + a < b:
                yield int(start + a), int(b)


def _place(found: Sequence[Measured]) -> dict[str, Any]:
    inside, outside = _inside_outside(found)
    worst = np.argsort(-outside, kind="stable")[:NAMED]
    return {
        "inside": float(inside.mean()),
        "outside": float(outside.mean()),
        "outside_percentile_95": float(np.percentile(outside, 95)),
        "more_outside_than_inside": float((outside > inside).mean()),
        "most_outside_named": [[found[n].key, float(outside[n])] for n in worst],
    }


def _inside_outside(found: Sequence[Measured]) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.array([one.inside for one in found]), np.array([one.outside for one in found])


def _identity(found: Sequence[Measured]) -> dict[str, Any]:
    """Cosines of onsets with their apexes, and with the apexes of others."""
    own = np.array([one.cosine for one in found])
    cosines = _cosines(found)
    others = cosines[~np.eye(len(cosines), dtype=bool)]
    same = cosines.diagonal()
    least = np.argsort(own, kind="stable")[:NAMED]
    return {
        "same": float(own.mean()),
        "same_percentile_5": float(np.percentile(own, 5)),
        "same_least": float(own.min()),
        "compared": len(cosines),
        "others": _mean(others),
        "others_most": float(others.max()) if len(others) else None,
        "rank_1": _mean(cosines.argmax(axis=1) == np.arange(len(cosines))),
        "auc": _mean(same[:, None] > others[None]) if len(others) else None,
        "least_named": [[found[n].key, float(own[n])] for n in least],
    }


def _cosines(found: Sequence[Measured]) -> NDArray[np.float32]:
    """Onsets of the first identities, a row each, with their apexes: (K, K)."""
    textures = [one.textures for one in found if one.textures is not None]
    onsets, apexes = np.stack(textures, axis=1)
    cosines: NDArray[np.float32] = onsets @ apexes.T
    return cosines


def _draw(out: Path, found: Sequence[Measured], figures: Mapping[str, Any]) -> None:
    """Write the pictures; those of what could not be measured are left out."""
    drawings: dict[str, Callable[[Sequence[Measured], Mapping[str, Any]], Figure]] = {
        "aus.png": _draw_aus,
        "motion.png": _draw_motion,
        "place.png": _draw_place,
        "identity.png": _draw_identity,
    }
    shown = np.random.default_rng(0).permutation(len(found))[:DOTS]
    for name in PICTURES:
        if figures.get(name.removesuffix(".png")) is None:
            continue
        some = found if name == "identity.png" else [found[n] for n in sorted(shown)]
        figure = drawings[name](some, figures)
        with whole(out / name) as partial:
            figure.savefig(partial, format="png", dpi=100)


def _figure(title: str, figures: Mapping[str, Any], width: float, height: float) -> Figure:
    """A picture without pyplot, so that nothing of it stays behind. Its title says what data."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    data = textwrap.wrap(figures["dataset"]["data"], int(LETTERS_AN_INCH * width))
    figure.suptitle("\n".join([title, *data]), fontsize=11)
    return figure


def _draw_aus(found: Sequence[Measured], figures: Mapping[str, Any]) -> Figure:
    figure = _figure(
        f"Change of each AU, requested (across) and found by {figures['instrument']['name']}",
        figures,
        15,
        8.4,
    )
    asked = np.stack([one.asked for one in found])
    answers = np.stack([np.asarray(one.found) for one in found])
    axes = figure.subplots(3, 6, sharex=True, sharey=True)
    for n, (au, axis) in enumerate(zip(AUS, axes.flat, strict=False)):
        axis.axline((0, 0), slope=1, color="0.75", linewidth=1)
        for source, rows in _rows(found).items():
            axis.plot(
                asked[rows, n],
                answers[rows, n],
                ".",
                markersize=3,
                color=COLOURS[source],
                alpha=0.5,
            )
        told = figures["aus"]["by_au"][str(au)]
        said = "too few changes"
        if told["slope"] is not None:
            axis.axline((0, 0), slope=told["slope"], color="black", linewidth=1)
            said = f"slope {_number(told['slope'])}, r {_number(told['correlation'])}"
        axis.set_title(f"AU{au}: {said}", fontsize=9)
    margin = max(0.05 * float(np.ptp(asked)), 1e-3)
    axes[0, 0].set_xlim(asked.min() - margin, asked.max() + margin)
    low, high = min(asked.min(), answers.min()), max(asked.max(), answers.max())
    axes[0, 0].set_ylim(low - margin, high + margin)
    _legend(axes[2, 5], _rows(found), [("0.75", "as requested"), ("black", "as found (slope)")])
    return figure


def _legend(axis: Axes, sources: Iterable[str], lines: Sequence[tuple[str, str]] = ()) -> None:
    """A legend in the place of a plot."""
    from matplotlib.lines import Line2D

    axis.axis("off")
    entries = [
        Line2D([], [], color=COLOURS[source], marker="o", linestyle="", label=source)
        for source in sources
    ]
    entries += [Line2D([], [], color=colour, label=label) for colour, label in lines]
    axis.legend(handles=entries, loc="center", frameon=False)


def _draw_motion(found: Sequence[Measured], figures: Mapping[str, Any]) -> Figure:
    figure = _figure("How large the movements are", figures, 11, 4.6)
    left, right = figure.subplots(1, 2)
    bins = int(np.clip(2 * math.sqrt(len(found) / 3), 10, 60))
    edges = np.linspace(0, max(*(one.motion for one in found), 1e-6), bins + 1).tolist()
    for source, rows in _rows(found).items():
        motions = [found[n].motion for n in rows]
        told = figures["motion"]["by_source"][source]["motions"]
        left.hist(
            motions,
            edges,
            histtype="step",
            linewidth=1.5,
            color=COLOURS[source],
            label=f"{source}: {told}",
        )
        size = [np.abs(found[n].asked).sum() for n in rows]
        right.plot(size, motions, ".", markersize=4, color=COLOURS[source], alpha=0.5)
    left.axvline(fidelity.NEAR_COPY, color="black", linewidth=1, linestyle=":", label="near copies")
    left.set(xlabel="mean |apex - onset|, grey levels", ylabel="samples", xlim=(0, None))
    left.legend(frameon=False, fontsize=8)
    right.set(
        xlabel="requested change: sum of |AU apex - AU onset|",
        ylabel="mean |apex - onset|, grey levels",
        xlim=(0, None),
        ylim=(0, None),
    )
    return figure


def _draw_place(found: Sequence[Measured], figures: Mapping[str, Any]) -> Figure:
    figure = _figure("Where faces change", figures, 6.4, 5.6)
    axis = figure.subplots()
    inside, outside = (np.maximum(values, LEAST) for values in _inside_outside(found))
    for source, rows in _rows(found).items():
        axis.loglog(
            inside[rows],
            outside[rows],
            ".",
            markersize=5,
            color=COLOURS[source],
            alpha=0.5,
            label=source,
        )
    most = 1.5 * max(inside.max(), outside.max(), 1)
    for share, colour in ((1, "0.3"), (0.1, "0.6"), (0.01, "0.8")):
        axis.plot((LEAST, most), (LEAST * share, most * share), color=colour, linewidth=1)
        axis.annotate(f"{share:.0%}", (most, most * share), color=colour, ha="right", va="bottom")
    axis.set(
        xlabel="mean |apex - onset| in the asked AUs' part of the face, grey levels",
        ylabel=f"outside of it, grey levels ({LEAST}: or less)",
        xlim=(min(0.1, inside.min() / 1.5), most),
        ylim=(LEAST * 0.8, most),
    )
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_formatter("{x:g}")
        ticks.set_minor_formatter("")
    axis.legend(frameon=False, loc="upper left")
    return figure


def _draw_identity(found: Sequence[Measured], figures: Mapping[str, Any]) -> Figure:
    figure = _figure("Is an apex still its own person (texture; 1: the same)", figures, 7.2, 4.6)
    axis = figure.subplots()
    cosines = _cosines(found)
    others = cosines[~np.eye(len(cosines), dtype=bool)]
    own = np.array([one.cosine for one in found])
    edges = np.linspace(min(0, own.min(), *others), 1, 61).tolist()
    for values, label, colour in (
        (others, "onset and another identity's apex", "0.6"),
        (own, "onset and its own apex", "#0072b2"),
    ):
        if len(values):
            weights = np.full(len(values), 100 / len(values))
            axis.hist(values, edges, weights=weights, color=colour, alpha=0.8, label=label)
    axis.set(xlabel="cosine of the faces' textures", ylabel="% of comparisons")
    axis.legend(frameon=False, loc="upper center")
    return figure


_REPORT = """\
# What a dataset of {data} shows of what it asked for

**{note}**

{measured:,} of {samples:,} samples measured{every}, of {identities:,} identities, between onset
and apex frame. Generator `{weights}`, trained on: {trained_on}. Every figure is in
`{figures}`.

## Does each AU change as requested

{aus}

## How large are the movements

Mean absolute difference of onset and apex, in grey levels of 255, over the whole frame.

{motion}

{near_copies} of {measured:,} apexes ({near_share}) are near copies of their onsets: they differ by
less than {near_limit} grey levels on average.{near_named}

![How large the movements are]({motion_png})

## Duplicates

{duplicates}

## Do faces change where they should

{place}

## Is an apex still its own person

Cosine of the textures (local binary patterns) of two faces: 1 for the same picture. It compares
frames seen alike, and recognises nobody across photographs.

{identity}

![Is an apex still its own person]({identity_png})

The least alike: {least}.

## Does the mask let anything through

{mask}
"""

_AUS = """\
As seen by {instrument}. Clearly: requested to change by {clear} or more, on the scale of 0 to 1.
Slope of those, with its standard error: 1 where the change found is as large as the one requested,
0 where nothing is found. Right sign: of those, too. Correlation: over all samples, those with no
change requested among them. Found unasked: mean change found where none was requested; a slope
means little where that is as large as the changes requested. The instrument errs, too: what is
missing here may be missing in it. "-": fewer than {fewest} clear changes.{drawn}

{table}

![Change of each AU, requested and found](aus.png)"""

_AUS_DRAWN = """

Slope, drawn: what it finds in frames that the renderer itself drew of the same people and AUs (of
{count} samples at most), and so the slope that a generator without a fault would have."""

_PLACE = """\
Mean absolute difference in grey levels, in the part of the face that the requested AUs may change,
and outside of it.

{table}

Most outside: {named}.

![Where faces change](place.png)"""


def _report(figures: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The README: Markdown."""
    dataset, motion, identity = figures["dataset"], figures["motion"], figures["identity"]
    named = motion["near_copies_named"]
    return _REPORT.format(
        note=dataset["note"],
        data=dataset["data"],
        measured=dataset["measured"],
        samples=dataset["samples"],
        every="" if dataset["every"] == 1 else f" (one in {dataset['every']})",
        identities=dataset["identities"],
        weights=escaped(dataset["weights"]["name"]),
        trained_on=escaped(str(dataset["weights"]["trained_on"])),
        figures=FIGURES,
        aus=_report_aus(figures) if figures["aus"] else f"Not measured: {ALIGNED}.",
        motion=_markdown(_motion_table(motion)),
        near_copies=motion["near_copies"],
        near_share=_percent(motion["near_copies"] / dataset["measured"]),
        near_limit=fidelity.NEAR_COPY,
        near_named=f" The first: {_listed(named)}." if named else "",
        motion_png="motion.png",
        duplicates=_report_duplicates(figures["duplicates"], dataset["identities"]),
        place=_report_place(figures["place"]) if figures["place"] else f"Not measured: {ALIGNED}.",
        identity=_markdown(
            [
                ["", "mean", "extreme"],
                [
                    "onset and its own apex",
                    _number(identity["same"]),
                    f"least {_number(identity['same_least'])}",
                ],
                [
                    f"onset and the apex of another of {identity['compared']} identities",
                    _number(identity["others"]),
                    f"most {_number(identity['others_most'])}",
                ],
                ["onsets whose most similar apex is their own", _percent(identity["rank_1"]), ""],
            ]
        ),
        identity_png="identity.png",
        mask=_report_mask(figures["mask"]),
        least=_listed([f"{key} ({cosine:.2f})" for key, cosine in identity["least_named"][:5]]),
    )


def _report_aus(figures: Mapping[str, Any]) -> str:
    instrument = figures["instrument"]
    said = escaped(instrument["name"])
    if "sha256" in instrument:
        said += f" (SHA-256 {instrument['sha256'][:16]}..., learned from: "
        said += f"{escaped(instrument['learned_from'])})"
    rows = [["", "requested", "clearly", "slope", "correlation", "right sign", "found unasked"]]
    told = {f"AU{au}": one for au, one in figures["aus"]["by_au"].items()}
    told |= {f"all of {source}": one for source, one in figures["aus"]["by_source"].items()}
    for name, one in (told | {"all": figures["aus"]["all"]}).items():
        rows.append(
            [
                name,
                f"{one['asked']:,}",
                f"{one['clear']:,}",
                _slope(one),
                _number(one["correlation"]),
                _percent(one["right_sign"]),
                _number(one["unasked"], 3),
            ]
        )
    drawn = figures["aus"]["drawn"]
    if drawn is not None:
        ideal = {f"AU{au}": one for au, one in drawn["by_au"].items()} | {"all": drawn["all"]}
        rows[0].append("slope, drawn")
        for row in rows[1:]:
            row.append(_slope(ideal[row[0]]) if row[0] in ideal else "")
    return _AUS.format(
        instrument=said,
        clear=CLEAR,
        fewest=FEWEST,
        drawn="" if drawn is None else _AUS_DRAWN.format(count=DRAWN),
        table=_markdown(rows),
    )


def _slope(one: Mapping[str, Any]) -> str:
    return "-" if one["slope"] is None else f"{one['slope']:.2f} ± {one['slope_error']:.2f}"


def _motion_table(motion: Mapping[str, Any]) -> Table:
    rows = [["source", "motions", "samples", "mean", "5 %, 50 %, 95 %", "AU change", "near copies"]]
    for source, one in motion["by_source"].items():
        rows.append(
            [
                source,
                one["motions"],
                f"{one['samples']:,}",
                _number(one["mean"], 3),
                ", ".join(f"{size:.2f}" for size in one["percentiles_5_50_95"]),
                _number(one["asked"]),
                f"{one['near_copies']:,}",
            ]
        )
    return rows


def _report_duplicates(duplicates: Mapping[str, Any], identities: int) -> str:
    shared = duplicates["identities_that_share_a_frame_named"]
    alike = duplicates["pairs_of_identities_that_look_the_same_named"]
    return _markdown(
        [
            ["among what was measured", "", "the first"],
            [
                "samples with the pixels of another sample",
                f"{duplicates['samples_with_the_pixels_of_another']:,}",
                "",
            ],
            [
                "identities that have a frame in common with another",
                f"{duplicates['identities_that_share_a_frame']:,} of {identities:,}",
                _listed(shared),
            ],
            [
                f"pairs of identities that look the same (a perceptual hash of one onset each; "
                f"{fidelity.NEAR_HASH} of 255 bits or fewer differ)",
                f"{duplicates['pairs_of_identities_that_look_the_same']:,}",
                _listed([f"{a} and {b}" for a, b in alike]),
            ],
        ]
    )


def _report_place(place: Mapping[str, Any]) -> str:
    ratio = place["outside"] / place["inside"] if place["inside"] else None
    table = [
        ["inside", "outside", "outside / inside", "outside, 95 %", "more outside than inside"],
        [
            _number(place["inside"], 3),
            _number(place["outside"], 3),
            _number(ratio, 3),
            _number(place["outside_percentile_95"], 3),
            _percent(place["more_outside_than_inside"]),
        ],
    ]
    named = [f"{key} ({value:.2f})" for key, value in place["most_outside_named"][:5]]
    return _PLACE.format(table=_markdown(table), named=_listed(named))


def _report_mask(mask: Mapping[str, Any] | None) -> str:
    if mask is None:
        return "Not measured: the generator's weights are not those that mie-x brings."
    return (
        f"A frame is mask x source + (1 - mask) x colour. Of {mask['faces']} faces the mask is "
        f"{mask['mean']:.2f} on average; it copies the source (above {SATURATED}) in "
        f"{_percent(mask['copies'])} of the pixels, and the colour picture, which here is the "
        f"source moved, has all to say (below {1 - SATURATED:.2f}) in {_percent(mask['replaces'])}."
    )


def _markdown(rows: Table) -> str:
    """A table of ready cells, its first row the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(escaped(name) for name in names)


def escaped(text: str) -> str:
    """TEXT from outside as Markdown shows it letter by letter, on one line.

    >>> print(escaped("a|b <i>![x](y)"))
    a\\|b \\<i\\>\\!\\[x\\](y)
    """
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*_{}\[\]<>|!&~#$])", r"\\\1", " ".join(shown.split()))


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
