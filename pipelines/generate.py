"""Faces and AU sources in, a published dataset out: ``mie-x generate``.

``prepare`` reads everything the user named and decides everything random; it raises on bad input
and writes nothing. ``run`` then only makes frames. The unit of work is an identity: its face, the
frames of its samples in batches of its own. Pixels therefore depend on the identity alone, and
neither workers nor a stopped and resumed run change a byte.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

import joblib
import numpy as np
import pyarrow as pa
import torch

import au_sources
from ganimation.animation import animate
from ganimation.checkpoints import load_generator
from ganimation.networks import Generator
from mie_x import __version__, card, shards
from mie_x.faces import MARGIN, Align, Face, photographs, rendered
from mie_x.plan import Source, make_plan, plan_sha256
from mie_x.records import LABELS, SIZE, SOURCES, Aus, Frames
from mie_x.threads import one_thread
from pipelines.progress import Progress, counted

RENDERED_IDENTITIES = 20  # when the user gives neither faces nor a number


@dataclass(frozen=True)
class Job:
    """Everything a run needs, checked: see ``prepare``."""

    out: Path
    faces: tuple[Face, ...]
    plan: pa.Table
    settings: dict[str, Any]
    weights: Path | None
    unsafe_pickle: bool
    left_out: tuple[shards.Failure, ...]


def make_sources(
    names: Sequence[str] = SOURCES,
    *,
    mie: Sequence[Path] = (),
    mae: Sequence[Path] = (),
    table: str = "miex_coded",
    interval: tuple[float, float] = (0.1, 0.3),
    early: tuple[float, float] = (0.25, 0.5),
) -> dict[str, Source]:
    """Build the AU sources in NAMES; built-in stand-ins where the user gives no table.

    Raises ValueError or FileNotFoundError naming the table and the remedy.
    """
    for name, given in (("mie", mie), ("mae", mae)):
        if given and name not in names:
            raise ValueError(f"--{name} {given[0]} is given, but --sources leaves {name} out")
    both = bool(mie and mae)  # then one person may be in both, and must be known to be one
    clips = {
        name: tuple(
            clip
            for path in given
            for clip in au_sources.read_clips(path, source=name, need_corpus=both)
        )
        if given
        else au_sources.stand_in_clips(name)
        for name, given in (("mie", mie), ("mae", mae))
        if name in names
    }
    options: dict[str, dict[str, Any]] = {
        "mie": {"clips": clips.get("mie")},
        "mae": {"clips": clips.get("mae"), "alpha": early[0], "beta": early[1]},
        "exp": {"table": table, "interval": interval},
    }
    made: dict[str, Source] = {}
    for name in names:
        source = au_sources.SOURCES[name](**options[name])
        if missing := source.missing_labels():
            tables = ", ".join(map(str, {"mie": mie, "mae": mae}.get(name, ())))
            raise ValueError(
                f"{tables}: no clip labelled {' or '.join(missing)} that {name} can use; "
                f"add some, or leave {name} out of --sources"
            )
        made[name] = source
    return made


def find_faces(
    folder: Path | None,
    *,
    ids: int | None,
    seed: int,
    align: Align = "similarity",
    margin: float | None = None,
    identities: Path | None = None,
    cache: Path | None = None,
    licence: str | None = None,
    workers: int = 1,
) -> tuple[list[Face], list[shards.Failure], dict[str, Any]]:
    """Return faces, what was left out, and the settings that say which faces they are."""
    if folder is None:
        for option, given in (
            ("--identities", identities),
            ("--cache", cache),
            ("--margin", margin),
            ("--faces-licence", licence),
        ):
            if given is not None:
                raise ValueError(f"{option} is for photographs; add --faces DIR")
        faces: list[Face] = list(rendered(ids or RENDERED_IDENTITIES, seed=seed))
        return faces, [], {"kind": "rendered", "ids": len(faces), "sha256": _pool_sha256(faces)}
    margin = MARGIN if margin is None else margin
    found = photographs(
        folder,
        count=ids,
        align=align,
        margin=margin,
        identities=identities,
        cache=cache or "user",
        workers=workers,
        progress=Progress("photographs searched"),
    )
    left_out = [
        shards.Failure("face", failure.identity, failure.path, None, failure.reason, failure.detail)
        for failure in found.failures
    ]
    settings = {
        "kind": "photographs",
        "align": align,
        "margin": margin,
        "licence": licence,
        "ids": len(found.faces),
        "pictures": found.pictures,
        "people_in_pictures": found.people,
        "pictures_not_listed": found.unlisted,
        "links_not_followed": found.links,
        "sha256": _pool_sha256(found.faces),
    }
    return list(found.faces), left_out, settings


def _pool_sha256(faces: Iterable[Face]) -> str:
    """Hash who the faces are, what their files hold, and how they are cut out."""
    recipe = json.dumps(
        [[face.identity, face.path, face.sha256, getattr(face, "matrix", None)] for face in faces]
    )
    return hashlib.sha256(recipe.encode()).hexdigest()


def prepare(
    out: Path,
    faces: Sequence[Face],
    sources: Mapping[str, Source],
    *,
    seed: int,
    faces_settings: dict[str, Any],
    left_out: Sequence[shards.Failure] = (),
    weights: Path | None = None,
    unsafe_pickle: bool = False,
) -> Job:
    """Plan the dataset and check that OUT, the weights and an earlier run in OUT agree with it.

    Writes nothing. Raises ValueError or FileNotFoundError with the path and the remedy.
    """
    _check_folder(out)
    loaded = load_generator(weights, unsafe_pickle=unsafe_pickle)
    plan = make_plan(faces, sources, seed=seed)
    settings = {
        "mie_x": __version__,
        "seed": seed,
        "size": SIZE,
        "faces": faces_settings,
        "sources": {name: source.settings for name, source in sources.items()},
        "weights": {
            "name": loaded.name,
            "sha256": loaded.sha256,
            "width": loaded.metadata["width"],
            "motion": loaded.metadata["motion"],
            "trained_on": loaded.metadata.get("data", "not known"),
        },
        "plan_sha256": plan_sha256(plan),
    }
    for path in shards.paths(out):
        made_with = shards.shard_settings(path)
        for name in settings.keys() | made_with.keys():
            if made_with.get(name) != settings.get(name):
                there, here = _differing(made_with.get(name), settings.get(name))
                raise ValueError(
                    f"{out} holds shards made with another {name} ({there} there, {here} now); "
                    "give another --out, or the settings it was begun with"
                )
    return Job(
        out=out,
        faces=tuple(faces),
        plan=plan,
        settings=settings,
        weights=weights,
        unsafe_pickle=unsafe_pickle,
        left_out=tuple(left_out),
    )


def _check_folder(out: Path) -> None:
    """Refuse a place that cannot be written to, and one that holds what is not ours."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file; give a folder as --out")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written to; give another --out")
    if (out / "manifest.json").exists():
        shards.read_manifest(out)
    elif there == out and not shards.paths(out):
        # A run stopped before its first shard leaves data/ with a partial file, nothing else.
        strangers = [path for path in out.rglob("*") if path != out / "data"]
        strangers = [path for path in strangers if path.suffix != ".partial"]
        if strangers:
            raise ValueError(
                f"{out} holds {strangers[0].relative_to(out)}, which is no dataset of mie-x; "
                "give a new or an empty folder as --out"
            )


def _differing(there: Any, here: Any) -> tuple[Any, Any]:
    """Cut two settings down to the first entries in which they differ."""
    while isinstance(there, dict) and isinstance(here, dict):
        name = next(key for key in [*there, *here] if there.get(key) != here.get(key))
        there, here = there.get(name), here.get(name)
    return there, here


def is_complete(job: Job) -> bool:
    """Say whether OUT holds this very dataset already, all of it."""
    if not all((job.out / name).exists() for name in ("manifest.json", *shards.DESCRIPTIONS)):
        return False
    listed = shards.read_manifest(job.out)
    here = {f"data/{path.name}" for path in shards.paths(job.out)}
    return bool(
        listed["settings"] == job.settings and here == {e["file"] for e in listed["shards"]}
    )


def run(job: Job, *, workers: int = 1, batch: int = 32, device: str = "cpu") -> Path:
    """Make what is missing of JOB's dataset in its folder; return the folder.

    On a CPU, WORKERS processes make an identity each, one thread a process. On CUDA this process
    drives the GPU, and WORKERS threads load faces and encode frames around it.
    """
    if is_complete(job):
        return job.out
    data = job.out / "data"
    data.mkdir(parents=True, exist_ok=True)
    with _alone(job.out):
        _make_missing(job, data, workers=workers, batch=batch, device=device)
    return job.out


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Let no second run write into OUT; the lock ends with the process, however it ends."""
    if fcntl is None:  # on Windows
        yield
        return
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        message = f"{out}: another run writes there; wait for it, or give another --out"
        raise shards.Unusable(message) from error
    finally:
        os.close(folder)


def _make_missing(job: Job, data: Path, *, workers: int, batch: int, device: str) -> None:
    (job.out / "manifest.json").unlink(missing_ok=True)
    for stale in [*job.out.glob("*.partial"), *data.glob("*.partial")]:
        stale.unlink()
    step = shards.IDENTITIES_A_SHARD
    count = -(-len(job.faces) // step)
    paths = [data / shards.shard_name(index, count) for index in range(count)]
    missing = [index for index, path in enumerate(paths) if not path.exists()]
    rows_of = _rows_by_identity(job.plan)
    tasks = [
        (face, rows_of[face.identity])
        for index in missing
        for face in job.faces[index * step : (index + 1) * step]
    ]
    made = counted(
        _make_all(tasks, job, workers=workers, batch=batch, device=device),
        total=len(job.faces),
        unit="identities",
        done=len(job.faces) - len(tasks),
    )
    for index in missing:
        rows: list[dict[str, Any]] = []
        failures: list[shards.Failure] = []
        for _ in job.faces[index * step : (index + 1) * step]:
            more_rows, more_failures = next(made)
            rows += more_rows
            failures += more_failures
        shards.write_shard(paths[index], rows, failures, job.settings, _made_with(device))
    for _ in made:  # lets the progress line end
        pass
    _finish(job, paths)


def _finish(job: Job, paths: Sequence[Path]) -> None:
    """Write what describes the whole; the manifest last, since it means complete."""
    failures = [*job.left_out, *(f for path in paths for f in shards.shard_failures(path))]
    shards.write_failures(job.out / "failures.parquet", failures)
    listed = shards.manifest(job.out, job.settings)
    shards.write_text(job.out / "README.md", card.dataset_card(listed))
    shards.write_manifest(job.out, listed)


def _rows_by_identity(plan: pa.Table) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in plan.to_pylist():
        rows.setdefault(row["identity"], []).append(row)
    return rows


Task = tuple[Face, list[dict[str, Any]]]
Made = tuple[list[dict[str, Any]], list[shards.Failure]]


def _make_all(
    tasks: Sequence[Task], job: Job, *, workers: int, batch: int, device: str
) -> Iterator[Made]:
    """Make the tasks' identities, in order."""
    make = functools.partial(
        make_identity,
        weights=job.weights,
        sha256=job.settings["weights"]["sha256"],
        unsafe_pickle=job.unsafe_pickle,
        stand_in={name: source["stand_in"] for name, source in job.settings["sources"].items()},
        batch=batch,
        device=device,
    )
    yield from joblib.Parallel(
        n_jobs=workers,
        prefer="threads" if device.startswith("cuda") else "processes",
        return_as="generator",
        batch_size=1,
        pre_dispatch="2*n_jobs",
        max_nbytes=None,  # tasks hold no arrays: no folder for shared memory is needed
    )(joblib.delayed(make)(face, rows) for face, rows in tasks)


@functools.lru_cache(maxsize=1)
def _generator(weights: Path | None, sha256: str, unsafe_pickle: bool, device: str) -> Generator:
    """Load the generator once a process."""
    loaded = load_generator(weights, unsafe_pickle=unsafe_pickle)
    if loaded.sha256 != sha256:
        raise ValueError(f"{weights or 'the shipped weights'} changed while the run was going on")
    return loaded.generator.to(device).eval()


@one_thread()
def make_identity(
    face: Face,
    rows: list[dict[str, Any]],
    *,
    weights: Path | None,
    sha256: str,
    unsafe_pickle: bool,
    stand_in: Mapping[str, bool],
    batch: int,
    device: str,
) -> Made:
    """Make the samples of one identity; a face that cannot be read any more is a failure.

    Frames that samples share (the same face with the same AUs, as the onsets of the three expert
    samples) are made once.
    """
    generator = _generator(weights, sha256, unsafe_pickle, device)
    try:
        image = face.image()
    except (OSError, ValueError) as error:
        return [], [
            shards.Failure(
                "frames", face.identity, face.path, row["sample_key"], "unreadable", str(error)
            )
            for row in rows
        ]
    onsets = np.array([row["onset_aus"] for row in rows], np.float32)
    apexes = np.array([row["apex_aus"] for row in rows], np.float32)
    frames = animate_once(generator, image, np.concatenate([onsets, apexes]), batch, device)
    encoded = [(shards.png(frame), shards.pixel_sha256(frame)) for frame in frames.unique]
    made = []
    for row, onset, apex in zip(
        rows, frames.index[: len(rows)], frames.index[len(rows) :], strict=True
    ):
        sample = {**row, "onset": encoded[onset][0], "apex": encoded[apex][0]}
        sample |= {"onset_sha256": encoded[onset][1], "apex_sha256": encoded[apex][1]}
        sample |= {"face_sha256": face.sha256, "rendered_face": face.rendered}
        made.append(sample | {"stand_in_motion": stand_in[row["source"]]})
    return made, []


@dataclass(frozen=True, eq=False)
class Shared:
    """Frames made once: ``unique`` (U, 128, 128, 3) uint8, ``index`` (N,) says whose is whose."""

    unique: Frames
    index: list[int]


def animate_once(generator: Generator, face: Frames, aus: Aus, batch: int, device: str) -> Shared:
    """Animate FACE (128, 128, 3) by AUS (N, 17), equal AU vectors once."""
    vectors, index = np.unique(aus, axis=0, return_inverse=True)
    faces = np.repeat(face[None], len(vectors), axis=0)
    frames = animate(generator, faces, vectors, batch=batch, device=device)
    return Shared(frames, index.reshape(-1).tolist())


def _made_with(device: str) -> dict[str, str]:
    """Versions that can change a byte: of the network's arithmetic and of the encoders."""
    names = ("torch", "numpy", "pillow", "pyarrow")
    kind = torch.device(device).type
    return {name: version(name) for name in names} | {
        "device": kind,
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def summary(job: Job) -> str:
    """Say in a few lines what a job makes, and what of it is a stand-in."""
    made = (
        f"{len(job.faces)} identities x {len(job.settings['sources'])} sources x "
        f"{len(LABELS)} labels = {len(job.plan)} samples"
    )
    lines = [made]
    invented = [
        f"motions of {name}"
        for name, source in job.settings["sources"].items()
        if source["stand_in"]
    ]
    faces = job.settings["faces"]
    if faces["kind"] == "rendered":
        invented.insert(0, "faces (rendered)")
    else:
        lines.insert(
            0,
            f"{faces['pictures']} pictures of {faces['people_in_pictures']} people (told by "
            "--identities, or else by the name of the file)",
        )
    return "\n".join(lines + ([f"not real: {', '.join(invented)}"] if invented else []))
