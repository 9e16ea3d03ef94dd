"""The ``mie-x`` command: a click function a verb; each imports its pipeline inside.

Bad input ends in one sentence with the path and the remedy, and exit code 2. An error that is
ours keeps its traceback.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mie_x import __version__

PATH = click.Path(path_type=Path)  # whether it is there is said by the reader, with a remedy
MOST_WORKERS = 256


def cores() -> int:
    """How many cores this process may use: in a container fewer than the machine has."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return min(MOST_WORKERS, len(allowed) or os.cpu_count() or 1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mie-x")
def main() -> None:
    """Synthesize large, trainable micro-expression datasets."""


class BadInput(click.ClickException):
    """What the user gave cannot be used: one sentence, exit code 2."""

    exit_code = 2


@contextlib.contextmanager
def bad_input(
    kinds: tuple[type[Exception], ...] = (ValueError, OSError),
) -> Iterator[None]:
    """Turn errors of KINDS (all that input can raise) into one sentence and exit code 2."""
    try:
        yield
    except kinds as error:
        raise BadInput(" ".join(_words(error).split())) from error


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def device_named(name: str) -> str:
    """Resolve ``auto`` and refuse a device that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {name} cannot be used here; give --device cpu") from error
    return name


def split_sources(text: str) -> tuple[str, ...]:
    """Read the value of --sources, in the order of SOURCES."""
    from mie_x.records import SOURCES

    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in SOURCES]
    if unknown or not names:
        said = f"unknown source {unknown[0]!r}" if unknown else "no source named"
        raise ValueError(f"--sources: {said}; name some of {','.join(SOURCES)}")
    return tuple(name for name in SOURCES if name in names)


def what_to_make(command: Any) -> Any:
    """Options of every verb that plans: who moves, and how."""
    for option in reversed(
        [
            click.option(
                "--ids",
                type=click.IntRange(min=1),
                metavar="N",
                help="Identities. Default: every photograph's, or 20 rendered.",
            ),
            click.option(
                "--faces",
                "folder",
                type=PATH,
                metavar="DIR",
                help="Folder of photographs. Default: rendered faces.",
            ),
            click.option(
                "--align",
                type=click.Choice(["similarity", "crop", "none"]),
                default="similarity",
                show_default=True,
                help="How a photograph's face is brought to 128 x 128.",
            ),
            click.option(
                "--margin",
                type=click.FloatRange(-0.25, 2),
                metavar="SHARE",
                help="With --align crop: room around the face box, as a share of it. Default: 0.1.",
            ),
            click.option(
                "--identities",
                type=PATH,
                metavar="CSV",
                help="CSV with columns file, identity. Default: the file's stem is its identity.",
            ),
            click.option(
                "--cache",
                type=PATH,
                metavar="DIR",
                help="Where found faces' places are kept (never pixels).",
            ),
            click.option(
                "--faces-licence",
                metavar="TEXT",
                help="Licence and consent of the photographs, for the dataset card.",
            ),
            click.option(
                "--sources",
                default="mie,mae,exp",
                show_default=True,
                metavar="NAMES",
                help="AU sources, with commas.",
            ),
            click.option(
                "--mie",
                type=PATH,
                multiple=True,
                metavar="PATH",
                help="AU table of real micro-expressions (repeatable). Default: stand-in motions.",
            ),
            click.option(
                "--mae",
                type=PATH,
                multiple=True,
                metavar="PATH",
                help="AU table of macro-expressions (repeatable). Default: stand-in motions.",
            ),
            click.option(
                "--table",
                type=click.Choice(["miex_coded", "du2014"]),
                default="miex_coded",
                show_default=True,
                help="Expert table of exp.",
            ),
            click.option(
                "--interval",
                type=(float, float),
                default=(0.1, 0.3),
                show_default=True,
                metavar="LOW HIGH",
                help="Intensities of exp, in [0, 1].",
            ),
            click.option(
                "--early",
                type=(float, float),
                default=(0.25, 0.5),
                show_default=True,
                metavar="ALPHA BETA",
                help="Where mae's apex lies in its clip.",
            ),
            click.option(
                "--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N"
            ),
            click.option(
                "--workers",
                type=click.IntRange(1, MOST_WORKERS),
                default=cores,
                metavar="N",
                help="Processes (on a GPU: threads). Default: as many as cores.",
            ),
        ]
    ):
        command = option(command)
    return command


def _inputs(options: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    from pipelines.generate import find_faces, make_sources

    sources = make_sources(
        split_sources(options["sources"]),
        mie=options["mie"],
        mae=options["mae"],
        table=options["table"],
        interval=options["interval"],
        early=options["early"],
    )
    faces, left_out, settings = find_faces(
        options["folder"],
        ids=options["ids"],
        seed=options["seed"],
        align=options["align"],
        margin=options["margin"],
        identities=options["identities"],
        cache=options["cache"],
        licence=options["faces_licence"],
        workers=options["workers"],
    )
    return sources, faces, left_out, settings


@main.command()
@what_to_make
@click.option("--out", type=PATH, default=Path("mie-x-data"), show_default=True, metavar="DIR")
@click.option("--weights", type=PATH, metavar="FILE", help="Generator. Default: the shipped.")
@click.option("--unsafe-pickle", is_flag=True, help="Read --weights even if it is a pickle.")
@click.option("--device", default="auto", show_default=True, metavar="NAME")
@click.option("--batch", type=click.IntRange(min=1), default=32, show_default=True, metavar="N")
def generate(
    out: Path, weights: Path | None, unsafe_pickle: bool, device: str, batch: int, **options: Any
) -> None:
    """Make a dataset: faces and AU sources in, Parquet shards out.

    The same command run again goes on where it was; on a finished dataset it does nothing.
    """
    from mie_x import shards
    from pipelines.generate import is_complete, prepare, run, summary

    with bad_input():
        device = device_named(device)
        sources, faces, left_out, settings = _inputs(options)
        job = prepare(
            out,
            faces,
            sources,
            seed=options["seed"],
            faces_settings=settings,
            left_out=left_out,
            weights=weights,
            unsafe_pickle=unsafe_pickle,
        )
        complete = is_complete(job)
    click.echo(summary(job), err=True)
    if complete:
        click.echo("nothing to do: the dataset is complete", err=True)
    else:
        with bad_input((shards.Unusable,)):
            run(job, workers=options["workers"], batch=batch, device=device)
    if failures := shards.read_failures(out):
        click.echo(
            f"{len(failures)} left out: see {out / 'failures.parquet'}; the first: "
            f"{failures[0].path}: {failures[0].reason}",
            err=True,
        )
    if not shards.read_manifest(out)["samples"]:
        raise click.ClickException(f"{out} holds no sample: every face failed")
    click.echo(out)


@main.command()
@what_to_make
@click.option(
    "--out",
    type=PATH,
    default=Path("plan.parquet"),
    show_default=True,
    metavar="FILE",
    help="Parquet, or CSV by its name.",
)
def plan(out: Path, **options: Any) -> None:
    """Write the plan alone: who would move how, a row a sample."""
    from mie_x.plan import make_plan, write_plan

    with bad_input():
        sources, faces, left_out, _ = _inputs(options)
        table = make_plan(faces, sources, seed=options["seed"])
        write_plan(table, out)
    if left_out:
        click.echo(f"{len(left_out)} photographs left out, the first: {left_out[0].path}", err=True)
    click.echo(f"{len(table)} rows", err=True)
    click.echo(out)


@main.command()
@click.argument("folder", type=PATH)
def verify(folder: Path) -> None:
    """Compare the dataset in FOLDER with its manifest. Exit code 1 on a fault."""
    from mie_x import shards

    with bad_input():
        listed = shards.read_manifest(folder)
        faults = shards.verify(folder)
    for fault in faults:
        click.echo(fault)
    if faults:
        raise SystemExit(1)
    click.echo(f"{folder}: {len(listed['shards'])} shards, {listed['samples']} samples, all well")


@main.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, default=Path("sheet.png"), show_default=True, metavar="FILE")
@click.option("--count", type=click.IntRange(1, 400), default=24, show_default=True, metavar="N")
def preview(folder: Path, out: Path, count: int) -> None:
    """Draw samples of the dataset in FOLDER: onset, apex, difference x 10, AUs, source, label."""
    from pipelines.preview import preview as draw

    with bad_input():
        click.echo(draw(folder, out, count=count))


@main.command("train-generator")
@click.argument("out", type=PATH)
@click.option("--steps", type=click.IntRange(min=1), required=True, metavar="N")
@click.option("--width", type=click.IntRange(1, 1024), default=32, show_default=True, metavar="N")
@click.option(
    "--motion/--no-motion",
    default=True,
    show_default=True,
    help="Move the source, or paint anew as the paper does.",
)
@click.option(
    "--people",
    type=click.IntRange(min=1),
    default=3000,
    show_default=True,
    metavar="N",
    help="Rendered people to learn from.",
)
@click.option("--pool", type=PATH, metavar="DIR", help="Where they are kept. Default: OUT/pool.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True, metavar="PAIRS")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=1e-3,
    show_default=True,
    metavar="RATE",
)
@click.option(
    "--paper-every",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="STEPS",
    help="How often the paper's own terms are taken; 0: never.",
)
@click.option(
    "--save-minutes", type=click.FloatRange(min=0), default=5, show_default=True, metavar="MINUTES"
)
@click.option(
    "--measure",
    "identities",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="N",
    help="Unseen people to measure the result on.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@click.option("--device", default="auto", show_default=True, metavar="NAME")
def train_generator(out: Path, device: str, **settings: Any) -> None:
    """Train a generator on rendered faces in the folder OUT, or go on with the run there."""
    from pipelines.train_generator import train_generator as train

    with bad_input():
        weights = train(out, device=device_named(device), **settings)
    click.echo(weights)


@main.command()
def doctor() -> None:
    """Say what is installed, what runs where, what is missing and how to get it."""
    from pipelines.doctor import findings

    found = findings()
    for finding in found:
        click.echo(f"{'ok     ' if finding.well else 'MISSING'} {finding.name}: {finding.detail}")
    if not all(finding.well for finding in found):
        raise SystemExit(1)
