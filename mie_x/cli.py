"""The ``mie-x`` command: a click function a verb; each imports its pipeline inside.

Bad input ends in one sentence with the path and the remedy, and exit code 2. An error that is
ours keeps its traceback.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from mie_x import __version__

PATH = click.Path(path_type=Path)  # whether it is there is said by the reader, with a remedy
MOST_WORKERS = 256
MOST_SAID = 10  # remarks on a terminal; the rest are in a report


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
        raise BadInput(plain(" ".join(_words(error).split()))) from error


def plain(text: str) -> str:
    """TEXT without what a terminal would obey: control characters are shown as \\x1b and the like.

    >>> plain("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def say(text: str) -> None:
    """Tell the user on standard error; standard output holds results alone."""
    click.echo(plain(text), err=True)


def say_lost(left_out: Iterable[tuple[str, str]], failed: Iterable[tuple[str, str]]) -> None:
    """Tell which clips, and why: those that cannot be used, and those that could not be read."""
    from mie_x.datasets.check import Finding, in_few_lines

    for level, some in (("excluded", left_out), ("fault", failed)):
        for line in in_few_lines([Finding(level, *which) for which in some]):
            say(" ".join(line.split()))


def say_odd(odd: Iterable[tuple[str, str]]) -> None:
    """Tell what is strange about which video, and was left as it is."""
    from mie_x.datasets.check import Finding, in_few_lines

    lines = list(in_few_lines([Finding("odd", *which) for which in odd]))
    for line in lines[:MOST_SAID]:
        say(" ".join(line.split()))
    if len(lines) > MOST_SAID:
        say(f"and {len(lines) - MOST_SAID} more, in the report")


@contextlib.contextmanager
def stoppable(kept: str = "whole shards are kept") -> Iterator[None]:
    """End on Ctrl-C or SIGTERM with what to do next, and the exit code that a shell expects."""
    codes = {signal.SIGINT: 130, signal.SIGTERM: 143}
    received = [signal.SIGINT]

    def stop(number: int, _: object) -> None:
        received[0] = signal.Signals(number)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in codes}
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped; {kept}, and the same command goes on:")
        say(f"  {shlex.join(['mie-x', *sys.argv[1:]])}")
        raise SystemExit(codes[received[0]]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


def two_counts(text: str) -> str | tuple[int, int]:
    """Read the value of --epochs of keyframes: a name, or two numbers.

    >>> two_counts("60,10"), two_counts("short")
    ((60, 10), 'short')
    """
    parts = text.split(",")
    if not all(part.strip().isdigit() for part in parts):
        return text
    if len(parts) != 2:
        raise ValueError(f"--epochs {text}: give two numbers, as 60,10, or a name")
    return int(parts[0]), int(parts[1])


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
                metavar="WHAT",
                help="AU table of real micro-expressions, or a collection, such as casme2=ROOT "
                "(repeatable). Default: stand-in motions.",
            ),
            click.option(
                "--mae",
                type=PATH,
                multiple=True,
                metavar="WHAT",
                help="AU table of macro-expressions, or a collection, such as ckplus=ROOT "
                "(repeatable). Default: stand-in motions.",
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
                "--frames",
                type=click.IntRange(2, 64),
                default=2,
                show_default=True,
                metavar="N",
                help="Frames a sample: onset and apex, or a clip between them.",
            ),
            click.option(
                "--course",
                type=click.Choice(["rise", "full"]),
                default="rise",
                show_default=True,
                help="Clips end at the apex, or go on to the offset.",
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


def _inputs(options: dict[str, Any]) -> tuple[Any, Any]:
    from pipelines.inputs import find_faces, make_sources

    sources = make_sources(
        split_sources(options["sources"]),
        mie=options["mie"],
        mae=options["mae"],
        table=options["table"],
        interval=options["interval"],
        early=options["early"],
    )
    pool = find_faces(
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
    return sources, pool


@main.command()
@what_to_make
@click.option("--out", type=PATH, default=Path("mie-x-data"), show_default=True, metavar="DIR")
@click.option(
    "--format",
    "layout",
    type=click.Choice(["parquet", "png", "original", "webdataset"]),
    default="parquet",
    show_default=True,
    help="How the dataset is laid out.",
)
@click.option("--weights", type=PATH, metavar="FILE", help="Generator. Default: the shipped.")
@click.option("--unsafe-pickle", is_flag=True, help="Read --weights even if it is a pickle.")
@click.option("--device", default="auto", show_default=True, metavar="NAME")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Frames at a time. Default: 32, on a GPU 512.",
)
@click.option(
    "--measure/--no-measure",
    default=True,
    show_default=True,
    help="Measure what each sample shows with the AU estimator.",
)
@click.option(
    "--min-fidelity",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="SHARE",
    help="Leave out samples that show less than this share of the asked movement.",
)
@click.option(
    "--allow-failures",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Samples that may be missing in the end; with more, the exit code is 1.",
)
def generate(
    out: Path,
    layout: str,
    weights: Path | None,
    unsafe_pickle: bool,
    device: str,
    batch: int | None,
    allow_failures: int,
    measure: bool,
    min_fidelity: float | None,
    **options: Any,
) -> None:
    """Make a dataset: faces and AU sources in, labelled frames out.

    The same command run again goes on where it was, and tries again what failed; on a finished
    dataset it does nothing.
    """
    from mie_x import manifest, shards
    from pipelines.generate import check_folder, prepare, run, summary

    with stoppable():
        with bad_input():
            check_folder(out)
            sources, pool = _inputs(options)
            job = prepare(
                out,
                pool,
                sources,
                seed=options["seed"],
                weights=weights,
                unsafe_pickle=unsafe_pickle,
                format=layout,
                frames=options["frames"],
                course=options["course"],
                measure=measure,
                min_fidelity=min_fidelity,
            )
            if not job.complete:  # a finished dataset does not wait for torch
                device = device_named(device)
            say(summary(job))
            if job.complete:
                say("nothing to do: the dataset is complete")
        with bad_input((shards.Unusable,)):
            batch = batch or (32 if device == "cpu" else 512)
            run(job, workers=options["workers"], batch=batch, device=device)
    failures = shards.read_failures(out)
    missing = [failure for failure in failures if failure.missing]
    if below := sum(failure.stage == "fidelity" for failure in failures):
        say(f"{below} samples left out by --min-fidelity: see {out / manifest.FAILURES}")
    if unused := len(failures) - len(missing) - below:
        say(f"{unused} pictures not used, without a loss: see {out / manifest.FAILURES}")
    if missing:
        say(
            f"{len(missing)} samples are missing: see {out / manifest.FAILURES}; the first: "
            f"{missing[0].path}: {missing[0].reason} ({missing[0].detail})"
        )
        say("run the same command again to try them again")
    if not manifest.read_manifest(out)["samples"]:
        raise click.ClickException(f"{out} holds no sample: every face failed")
    click.echo(out)
    if len(missing) > allow_failures:
        raise SystemExit(1)


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
        sources, pool = _inputs(options)
        table = make_plan(
            pool.places,
            sources,
            seed=options["seed"],
            frames=options["frames"],
            course=options["course"],
        )
        write_plan(table, out)
    if faceless := [place for place in pool.places if place.face is None]:
        say(f"{len(faceless)} people without a usable face, the first: {faceless[0].path}")
    say(f"{len(table)} rows")
    click.echo(out)


@main.command()
@click.argument("folder", type=PATH)
@click.option("--deep", is_flag=True, help="Decode every frame, hold every row against the plan.")
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=cores,
    metavar="N",
    help="Processes of --deep. Default: as many as cores.",
)
def verify(folder: Path, deep: bool, workers: int) -> None:
    """Does the dataset in FOLDER hold what it says? Exit code 1 on a fault."""
    from mie_x import manifest
    from mie_x.verify import verify as faults_of
    from pipelines.progress import Progress

    with bad_input():
        faults = faults_of(folder, deep=deep, workers=workers, progress=Progress("shards"))
    for fault in faults:
        click.echo(plain(str(fault)))
    if faults:
        raise SystemExit(1)
    listed = manifest.read_manifest(folder)
    count = f"{len(listed['shards'])} shards, {listed['samples']} samples"
    looked = "bytes, rows and frames" if deep else "bytes and counts"
    click.echo(f"{folder}: {count}, {looked} all well")


@main.command()
@click.argument("folder", type=PATH)
@click.option("--identity", required=True, metavar="ID", help="As in the column identity.")
def redact(folder: Path, identity: str) -> None:
    """Take a person out of the dataset in FOLDER: samples, frames, plan, counts and card.

    What stays is a hash of the name, so that a later run of the same command leaves the person out.
    """
    from pipelines.redact import redact as take_out

    with bad_input():
        gone = take_out(folder, identity)
    say(f"{gone} samples taken out; copies made earlier, here or elsewhere, still hold them")
    click.echo(folder)


@main.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, default=Path("sheet.png"), show_default=True, metavar="FILE")
@click.option("--count", type=click.IntRange(1, 400), default=24, show_default=True, metavar="N")
def preview(folder: Path, out: Path, count: int) -> None:
    """Draw samples of the dataset in FOLDER: onset, apex, difference x 10, AUs, source, label."""
    from pipelines.preview import preview as draw

    with bad_input():
        click.echo(draw(folder, out, count=count))


@main.command()
@click.argument("folder", type=PATH)
@click.option("--out", type=PATH, default=Path("quality"), show_default=True, metavar="DIR")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Samples. Default: all.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores, metavar="N")
def quality(folder: Path, out: Path, count: int | None, workers: int) -> None:
    """Measure whether the dataset in FOLDER shows what it asked for: tables and pictures."""
    from pipelines.quality import quality as report

    with bad_input():
        click.echo(report(folder, out, count=count, workers=workers))


def collection_named(name: str) -> Any:
    """The collection called NAME; ValueError with all names where there is none."""
    from mie_x.datasets import COLLECTIONS

    if name not in COLLECTIONS:
        raise ValueError(f"no collection {name!r}; there are {', '.join(COLLECTIONS)}")
    return COLLECTIONS[name]


@main.command()
@click.argument("name", required=False)
def collections(name: str | None) -> None:
    """List the collections that are read, or tell the folders and classes of NAME."""
    from mie_x.datasets import COLLECTIONS, layout

    with bad_input():
        if name is not None:
            collection = collection_named(name)
            click.echo(f"{layout(collection)}\nGiven out by: {collection.access}")
            return
    for collection in COLLECTIONS.values():
        click.echo(f"{collection.name:10} {collection.title}: {collection.access}")


@main.command()
@click.argument("name")
@click.argument("root", type=PATH)
@click.option("--deep", is_flag=True, help="Decode every frame from onset to offset.")
@click.option("--out", type=PATH, metavar="CSV", help="Write the findings as a table.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores, metavar="N")
def check(name: str, root: Path, deep: bool, out: Path | None, workers: int) -> None:
    """Is the copy of the collection NAME in ROOT whole? Counts, and what is odd; 1 on a fault.

    Compared with what was published. Rows that cannot be used, and those that were repaired, are
    told with the reason.
    """
    from mie_x.datasets.check import check as look
    from mie_x.datasets.check import lines, write_findings
    from pipelines.progress import Progress

    with bad_input():
        collection = collection_named(name)
        done = Progress("clips looked at")
        checked = look(collection, root, deep=deep, workers=workers, progress=done)
        if out is not None:
            write_findings(out, checked.findings)
    for line in lines(collection, checked):
        click.echo(plain(line))
    if checked.faults:
        raise SystemExit(1)


@main.command()
@click.argument("name")
@click.argument("root", type=PATH)
@click.option("--subjects", type=click.IntRange(1, 999), metavar="N", help="Rendered people.")
@click.option("--clips", type=click.IntRange(1, 99_999), metavar="N", help="Of all together.")
@click.option(
    "--rest",
    type=click.FloatRange(0, 600, min_open=True),
    metavar="SECONDS",
    help="Neutral before and after expressions, of people who blink and move: long videos, samm.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores, metavar="N")
def standin(name: str, root: Path, seed: int, workers: int, **sizes: float | None) -> None:
    """Write rendered clips in the layout of the collection NAME to ROOT, so that all else runs."""
    with stoppable(), bad_input():
        collection = collection_named(name)
        if root.exists() and any(root.iterdir()):
            raise ValueError(f"{root} is not empty; give a new folder")
        given = {option: size for option, size in sizes.items() if size is not None}
        if "rest" in given and not collection.lives:
            raise ValueError(f"--rest is not for {name}: its stand-in has no neutral stretches")
        made = collection.write_standin(root, seed=seed, workers=workers, **given)
    say(f"stand-in of {collection.title}: {len(made)} clips of rendered people; nobody moved so")
    click.echo(root)


@main.command()
@click.argument("name")
@click.argument("root", type=PATH)
@click.option("--out", type=PATH, default=Path("aus.parquet"), show_default=True, metavar="FILE")
@click.option(
    "--with",
    "instrument",
    type=click.Choice(["openface-csv", "pyfeat", "estimator"]),
    required=True,
    help="OpenFace's tables, py-feat (its own weights), or the estimator that ships.",
)
@click.option("--openface", type=PATH, metavar="DIR", help="Its tables. Default: ROOT/openface.")
@click.option(
    "--openface-order",
    type=click.Choice(["names", "numbers"]),
    help="Which frame a row is of: a folder's file names as text (default), or in time (a video).",
)
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores, metavar="N")
def extract(
    name: str,
    root: Path,
    out: Path,
    instrument: str,
    openface: Path | None,
    openface_order: str | None,
    workers: int,
) -> None:
    """Measure AUs of every frame, onset to offset, of the collection NAME in ROOT: a table.

    --mie and --mae of generate take it. The same command run again goes on where it was, and tries
    again what failed; exit code 1 where a clip could not be measured.
    """
    from pipelines.extract import extract as measure
    from pipelines.extract import extractor
    from pipelines.progress import Progress

    with stoppable(), bad_input():
        collection = collection_named(name)
        if instrument != "openface-csv" and openface is not None:
            raise ValueError(f"--openface is not for --with {instrument}")
        extracted = measure(
            collection,
            root,
            out,
            extractor(instrument, order=openface_order),
            openface=openface,
            workers=workers,
            progress=Progress("clips", done=None),
        )
    say_lost(extracted.left_out, extracted.failed)
    if extracted.stand_in:
        say(f"STAND-IN: rendered people in {root}, and nothing about micro-expressions")
    counted = (extracted.clips, extracted.rows, len(extracted.left_out), len(extracted.failed))
    say("{} clips measured, {} frames; {} left out, {} failed".format(*counted))
    click.echo(out)
    if extracted.failed:
        raise SystemExit(1)


FLOWS = ("tvl1", "tvl1-opencv", "farneback")  # as in mie_x.flow, which takes numpy to load
FLOW = click.option(
    "--flow",
    type=click.Choice(FLOWS),
    default="tvl1",
    show_default=True,
    help="Kind of optical flow, for recognizers that see it.",
)
FLOW_OF_WEIGHTS = click.option(
    "--flow",
    type=click.Choice(FLOWS),
    help="Kind of optical flow. Default: that of the weights.",
)


def training_options(command: Any, *, flow: Any = FLOW) -> Any:
    """Options of every verb that trains a recognizer or tests one."""
    for option in reversed(
        [
            click.option("--recognizer", required=True, metavar="NAME", help="See: recognizers."),
            click.option("--epochs", type=click.IntRange(min=1), metavar="N", help=PUBLISHED),
            flow,
            click.option(
                "--imagenet", is_flag=True, help="Begin trunks with torchvision's weights."
            ),
            click.option(
                "--store", type=PATH, metavar="DIR", help="Where what is seen of clips is kept."
            ),
            click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores),
            click.option("--device", default="auto", show_default=True, metavar="NAME"),
        ]
    ):
        command = option(command)
    return command


PUBLISHED = "Default: as published."
EPOCHS_KEPT = "what was learned up to the last minute's end is kept"


@main.command()
def recognizers() -> None:
    """List the recognizers: where each comes from, and how it is trained."""
    from pipelines.evaluate import listed

    for line in listed():
        click.echo(line)


@main.command()
@click.argument("dataset", type=PATH)
@click.option("--out", type=PATH, default=Path("pretrained.safetensors"), show_default=True)
@click.option("--sources", metavar="NAMES", help="AU sources of it, with commas. Default: all.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@training_options
def pretrain(dataset: Path, out: Path, sources: str | None, seed: int, **options: Any) -> None:
    """Train a recognizer on the synthetic dataset in DATASET; stopped, it goes on.

    To test what it is worth use evaluate, which pre-trains for each fold without the samples that
    move as the people tested there.
    """
    from pipelines.pretrain import pretrain as train

    with stoppable(EPOCHS_KEPT), bad_input():
        chosen = None if sources is None else split_sources(sources)
        options["device"] = device_named(options["device"])
        weights = train(str(dataset), out, sources=chosen, seed=seed, **options)
    click.echo(weights)


@main.command()
@click.argument("weights", type=PATH)
@click.argument("what")
@click.option("--out", type=PATH, default=Path("finetuned.safetensors"), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@functools.partial(training_options, flow=FLOW_OF_WEIGHTS)
def finetune(weights: Path, what: str, out: Path, seed: int, **options: Any) -> None:
    """Train on with the pre-trained WEIGHTS on all of WHAT, such as casme2=ROOT.

    Nothing is left to test the result on: see evaluate.
    """
    from pipelines.pretrain import finetune as train

    with stoppable(EPOCHS_KEPT), bad_input():
        options["device"] = device_named(options["device"])
        click.echo(train(weights, what, out, seed=seed, **options))


@main.command()
@click.argument("what")
@click.option("--out", type=PATH, default=Path("evaluation"), show_default=True, metavar="DIR")
@click.option("--pretrain", "before", metavar="DIR", help="Synthetic dataset to pre-train on.")
@click.option("--sources", metavar="NAMES", help="AU sources of it, with commas. Default: all.")
@click.option("--beside", metavar="WHAT", help="Macro-expressions in every fold: ckplus=ROOT.")
@click.option("--direct", is_flag=True, help="Test what was pre-trained as it is, too.")
@click.option(
    "--protocol",
    type=click.Choice(["loso", "compmie3", "mmew5", "samm5", "lodo"]),
    default="loso",
    show_default=True,
    help="Who is tested when.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N")
@click.option("--before-epochs", type=click.IntRange(min=1), metavar="N", help=PUBLISHED)
@click.option("--oracle", is_flag=True, help="Also the best epoch on each test fold, kept apart.")
@click.option(
    "--apart",
    multiple=True,
    metavar="CORPUS",
    help="Corpus whose people no other corpus here has filmed (repeatable).",
)
@training_options
def evaluate(what: str, out: Path, **options: Any) -> None:
    """Train and test a recognizer on WHAT (casme2=ROOT, megc2019=ROOT, flow_images=ROOT, ...).

    With --pretrain both arms, without and with the synthetic dataset, and their difference. Scores
    are pooled over folds; the last epoch counts; samples that move as a tested person are dropped.
    """
    from pipelines.evaluate import evaluate_collection
    from pipelines.progress import Progress

    with stoppable("finished folds are kept"), bad_input():
        options["device"] = device_named(options["device"])
        if options["sources"] is not None:
            options["sources"] = split_sources(options["sources"])
        progress = Progress("cells", done=None)
        done = evaluate_collection(what, out, progress=progress, **options)
    click.echo(done.out / "report.md")


@main.command()
@click.option(
    "--study",
    required=True,
    metavar="NAME",
    help="table1, table2, sources, diversity, pose, alpha-beta or intensity.",
)
@click.option(
    "--real",
    multiple=True,
    required=True,
    metavar="NAME=ROOT",
    help="Collection; the first is tested, others are pre-trained on in table1. In table2 mmew and "
    "samm are tested (repeatable).",
)
@click.option("--synthetic", metavar="DIR", help="Synthetic dataset that the study takes apart.")
@click.option("--beside", metavar="WHAT", help="In table1, macro-expressions: ckplus=ROOT.")
@click.option("--sources", metavar="NAMES", help="AU sources to take, with commas. Default: all.")
@click.option("--out", type=PATH, default=Path("studies"), show_default=True, metavar="DIR")
@click.option(
    "--protocol",
    type=click.Choice(["loso", "compmie3", "mmew5", "samm5", "lodo"]),
    help="Who is tested when. Default: compmie3; in table2 mmew5 and samm5.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N")
@click.option("--before-epochs", type=click.IntRange(min=1), metavar="N", help=PUBLISHED)
@click.option(
    "--direct/--no-direct",
    default=True,
    show_default=True,
    help="Test what was pre-trained as it is, too.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    metavar="N",
    help="In sources, of every mix; whole identities. Default: all, so that sizes differ.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Of what is chosen, and of datasets that are made.",
)
@click.option(
    "--ids",
    type=click.IntRange(min=1),
    metavar="N",
    help="In alpha-beta and intensity, identities of the datasets that are made.",
)
@click.option("--faces", type=PATH, metavar="DIR", help="Their photographs. Default: rendered.")
@click.option(
    "--mie", type=PATH, multiple=True, metavar="WHAT", help="Their AUs, as generate takes them."
)
@click.option(
    "--mae", type=PATH, multiple=True, metavar="WHAT", help="Their AUs, as generate takes them."
)
@click.option(
    "--apart",
    multiple=True,
    metavar="CORPUS",
    help="Corpus of the AUs that films none of the people tested (repeatable).",
)
@training_options
def ablate(
    study: str, real: tuple[str, ...], seeds: int, apart: tuple[str, ...], **options: Any
) -> None:
    """Run a study of the paper: which part of the synthetic set does what.

    Without the synthetic set, and with it in parts; the paper's figures beside ours. The same
    command run again goes on; what one study has run is not run again by another.
    """
    from mie_x.shards import Unusable
    from pipelines.ablate import Given
    from pipelines.ablate import ablate as run

    with stoppable("finished folds are kept"), bad_input((ValueError, OSError, Unusable)):
        named = {what.partition("=")[0]: what for what in real}
        if len(named) < len(real):
            raise ValueError("--real: give each collection once, NAME=ROOT")
        options["device"] = device_named(options["device"])
        if options["sources"] is not None:
            options["sources"] = split_sources(options["sources"])
        given = Given(real=named, **options)
        folder = run(study, given, seeds=seeds, apart=apart)
    click.echo(folder / "report.md")


@main.command()
@click.argument("weights", type=PATH)
@click.argument("clip", type=PATH, nargs=-1, required=True, metavar="{ONSET APEX | CLIP}")
@click.option("--onset", type=int, metavar="N", help="Frame of CLIP. Default: its first.")
@click.option(
    "--apex", type=int, metavar="N", help="Frame of CLIP. Default: where strain is largest."
)
@FLOW_OF_WEIGHTS
@click.option("--picture", type=PATH, metavar="PNG", help="Draw onset, apex, and Grad-CAM.")
@click.option("--json", "as_json", is_flag=True, help="All that is told, as JSON.")
def predict(weights: Path, clip: tuple[Path, ...], as_json: bool, **options: Any) -> None:
    """Say what the recognizer in WEIGHTS takes a clip for: classes and scores, the largest first.

    The clip is two pictures, ONSET and APEX, or CLIP, a video (frames count from 1) or a folder of
    frames (by the numbers in their names). Scores are no probabilities.
    """
    import json
    from dataclasses import asdict

    from pipelines.predict import predict as ask
    from pipelines.progress import Progress

    with bad_input():
        answer = ask(weights, clip, progress=Progress("flows", done=None), **options)
    for remark in answer.remarks():
        say(remark)
    if as_json:
        click.echo(json.dumps(asdict(answer), indent=2))
        return
    for name, score in answer.scores.items():
        click.echo(plain(f"{score:.3f} {name}"))


def spotting_options(command: Any) -> Any:
    """Options of both verbs that look at long videos."""
    for option in reversed(
        [
            click.option(
                "--kind",
                type=click.Choice(["micro", "macro"]),
                help="Default: micro, or of weights.",
            ),
            click.option(
                "--recipe",
                type=click.Choice(["paper", "code"]),
                help="200 and 800 epochs, 8 frames elsewhere to one inside; or 10 and 100, 5. "
                "Default: paper.",
            ),
            click.option(
                "--epochs",
                type=(click.IntRange(min=1), click.IntRange(min=1)),
                metavar="SPOT RECOGNIZE",
                help="In place of the recipe's.",
            ),
            click.option(
                "--flow",
                type=click.Choice(FLOWS),
                help="Kind of optical flow. Default: tvl1, or that of the weights.",
            ),
            click.option(
                "--face-every",
                type=click.FloatRange(min=0, min_open=True),
                metavar="SECONDS",
                help="Find the face anew so often. Default: once, on the first frame.",
            ),
            click.option(
                "--fps",
                type=click.FloatRange(min=0, min_open=True),
                metavar="N",
                help="Frames a second of what tells none, such as a folder of frames.",
            ),
            click.option(
                "--store", type=PATH, metavar="DIR", help="Where what is seen of videos is kept."
            ),
            click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores),
            click.option("--device", default="auto", show_default=True, metavar="NAME"),
        ]
    ):
        command = option(command)
    return command


def _spotting(options: dict[str, Any]) -> dict[str, Any]:
    """OPTIONS with ``look`` for --flow and --face-every, None where neither was given."""
    from pipelines.courses import Look

    flow, every = options.pop("flow"), options.pop("face_every")
    asked = flow is not None or every is not None
    look = Look(flow or Look().flow, every) if asked else None
    return options | {"look": look, "device": device_named(options["device"])}


@main.command()
@click.argument("what", nargs=-1, required=True, metavar="{NAME=ROOT | VIDEO...}")
@click.option("--weights", type=PATH, metavar="FILE", help="Of train-spotter; videos need them.")
@click.option("--out", type=PATH, default=Path("spotted"), show_default=True, metavar="DIR")
@click.option(
    "--way",
    type=click.Choice(["offline", "online", "highest"]),
    default="offline",
    show_default=True,
    help="Peaks against the whole video, against what was seen so far, or the highest alone.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Networks for each person left out. Default: 3; --weights are one.",
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="The first. Default: 0.")
@click.option(
    "--p",
    type=click.FloatRange(0, 1),
    default=0.55,
    show_default=True,
    help="Threshold, from the mean (0) to the maximum (1) of the scores.",
)
@click.option(
    "--smoothing", type=click.Choice(["paper", "code"]), help="Default: that of the recipe."
)
@click.option("--bounds", type=click.Choice(["paper", "code"]), help="Default: of the recipe.")
@click.option("--export", metavar="NAME", help="Write OUT/sheet too, as this collection's sheet.")
@spotting_options
def spot(what: tuple[str, ...], out: Path, **options: Any) -> None:
    """Spot micro-expressions in long videos with MEAN, and say which emotion they show.

    A collection (samm-lv=ROOT, casme-sq=ROOT) is tested leave one subject out, beside spotters that
    learned nothing; with --weights as a whole. Videos (files, or folders of frames) are spotted
    with --weights. Exit code 1 where a video could not be looked at; the rest goes on.
    """
    from pipelines.spot import spot as run

    with stoppable("what was looked at and learned is kept"), bad_input():
        done = run(what, out, **_spotting(options))
    say_lost(done.left_out, done.failed)
    say_odd(done.odd)
    if done.results["stand_in"]:
        say("STAND-IN: rendered people, and nothing about micro-expressions")
    click.echo(out / "report.md")
    if done.failed:
        raise SystemExit(1)


@main.command("train-spotter")
@click.argument("what", metavar="NAME=ROOT")
@click.option("--out", type=PATH, default=Path("spotter.safetensors"), show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@spotting_options
def train_spotter(what: str, out: Path, **options: Any) -> None:
    """Train MEAN on all long videos of a collection: weights for spot.

    Nobody is left to test them on: spot without --weights does that, person by person. Stopped, the
    same command goes on; exit code 1 where a video could not be looked at.
    """
    from pipelines.spotters import train

    with stoppable("what was looked at and learned is kept"), bad_input():
        given = {name: value for name, value in _spotting(options).items() if value is not None}
        weights, left_out, failed = train(what, out, **given)
    say_lost(left_out, failed)
    click.echo(weights)
    if failed:
        raise SystemExit(1)


@main.command()
@click.argument("what", metavar="{NAME=ROOT | CLIP}")
@click.option("--frame", type=int, metavar="N", help="Of CLIP: a frame of its micro-expression.")
@click.option("--first", type=int, metavar="N", help="Of CLIP: where to look from. Default: all.")
@click.option("--last", type=int, metavar="N", help="Of CLIP: where to look to. Default: all.")
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Of a folder of frames: frames a second.",
)
@click.option("--out", type=PATH, default=Path("keyframes"), show_default=True, metavar="DIR")
@click.option(
    "--start",
    default="third",
    show_default=True,
    metavar="NAME",
    help="Of a collection, the frame that is given: third, inside, apex, left or right.",
)
@click.option(
    "--cut",
    metavar="NAME",
    help="Of a collection, what is looked at: whole footage; centred, twice the mean length with "
    "the expression in the middle (the paper's); drawn, as long, the expression anywhere. Default: "
    "centred of long videos, else whole.",
)
@click.option(
    "--modules",
    multiple=True,
    metavar="A+I+C",
    help="Losses: annotation, identification, contrast (repeatable: one after the other).",
)
@click.option(
    "--reach", type=click.Choice(["samm", "casme2sq"]), help="Default: of the nearer frame rate."
)
@click.option(
    "--epochs",
    default="published",
    show_default=True,
    metavar="NAME|N,N",
    help="published (2000,200), short (100,20), or at most so many in the first round and each "
    "later one.",
)
@click.option(
    "--stop",
    type=click.Choice(["unchanged", "truth"]),
    default="unchanged",
    show_default=True,
    help="When labels no longer change; or, as in the paper, when their IoU does not.",
)
@click.option(
    "--size",
    type=click.IntRange(min=32),
    default=224,
    show_default=True,
    metavar="PX",
    help="What the network sees; 224 is published, 64 is for a CPU.",
)
@click.option(
    "--flow",
    type=click.Choice([*FLOWS, "none"]),
    default="tvl1",
    show_default=True,
    help="Of the baseline; none leaves it out.",
)
@click.option("--imagenet", is_flag=True, help="Begin the trunk with torchvision's weights.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")
@click.option("--export", metavar="NAME", help="Write OUT/sheet too, as this collection's sheet.")
@click.option("--store", type=PATH, metavar="DIR", help="Where what is seen of clips is kept.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores)
@click.option("--device", default="auto", show_default=True, metavar="NAME")
def keyframes(what: str, **options: Any) -> None:
    """Find onset, apex and offset of a micro-expression from one labelled frame, with MECIA.

    CLIP is a video or a folder of frames, of which --frame is labelled. Of a collection one frame
    each is given, and what is found is held against its sheet, beside ways that learn nothing.
    """
    from pipelines.keyframes import keyframes as run
    from pipelines.progress import Progress

    options["modules"] = options["modules"] or None
    options["flow"] = None if options["flow"] == "none" else options["flow"]
    told: dict[str, Progress] = {}

    def progress(part: str, done: int, total: int) -> None:
        unit = "clips seen" if part == "seen" else f"frames labelled by {part}"
        told.setdefault(part, Progress(unit, done=None))(done, total)

    with stoppable("finished rounds are kept"), bad_input():
        options["epochs"] = two_counts(options["epochs"])
        options["device"] = device_named(options["device"])
        done = run(what, progress=progress, **options)
    say_lost(done.left_out, done.failed)
    if done.stand_in:
        say("STAND-IN: rendered people, and nothing about micro-expressions")
    click.echo(options["out"] / "report.md")
    if done.failed:
        raise SystemExit(1)


@main.command()
@click.argument("name")
@click.argument("root", type=PATH)
@click.option("--out", type=PATH, default=Path("flow"), show_default=True, metavar="DIR")
@FLOW
@click.option("--size", type=click.IntRange(1, 128), default=28, show_default=True, metavar="PX")
@click.option("--store", type=PATH, metavar="DIR", help="Where what is seen of clips is kept.")
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=cores, metavar="N")
def flow(
    name: str, root: Path, out: Path, flow: str, size: int, store: Path | None, workers: int
) -> None:
    """Write a flow picture (u, v, strain) of each labelled clip of the collection NAME in ROOT.

    flow_images=DIR of evaluate takes them. The same command run again goes on where it was; exit
    code 1 where a clip could not be seen.
    """
    from pipelines.flow_pictures import write
    from pipelines.progress import Progress

    with stoppable("computed flow is kept"), bad_input():
        done = write(
            collection_named(name).name,
            root,
            out,
            flow=flow,
            size=size,
            cache=store,
            workers=workers,
            progress=Progress("flows", done=None),
        )
    say_lost(done.left_out, done.failed)
    if done.stand_in:
        say(f"STAND-IN: rendered people in {root}, and nothing about micro-expressions")
    counted = (done.written, len(done.left_out), len(done.failed))
    say("{} pictures; {} left out, {} failed".format(*counted))
    click.echo(out)
    if done.failed:
        raise SystemExit(1)


# Options that both trainings have.
HOLD_OUT = click.option(
    "--hold-out",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    metavar="N",
    help="Photographed people, the last by name, not to learn from.",
)
SAVE_MINUTES = click.option(
    "--save-minutes", type=click.FloatRange(min=0), default=5, show_default=True, metavar="MINUTES"
)
POOL = click.option(
    "--pool", type=PATH, metavar="DIR", help="Where they are kept. Default: OUT/pool."
)
SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N")


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
@POOL
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
@click.option("--photographs", type=PATH, metavar="DIR", help="To learn from as well; see --mix.")
@click.option("--photograph-aus", type=PATH, metavar="CSV", help="OpenFace's; else: estimated.")
@HOLD_OUT
@click.option(
    "--mix",
    type=click.FloatRange(min=0),
    nargs=3,
    default=(1, 0, 0),
    show_default=True,
    metavar="R S W",
    help="Weights of rendered pairs, photographs as seen, photographs moved.",
)
@click.option("--from", "start", type=PATH, metavar="FILE", help="Weights to begin with.")
@SAVE_MINUTES
@click.option(
    "--measure",
    "identities",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    metavar="N",
    help="Unseen people to measure the result on.",
)
@SEED
@click.option("--device", default="auto", show_default=True, metavar="NAME")
def train_generator(out: Path, device: str, **settings: Any) -> None:
    """Train a generator in the folder OUT, or go on with the run there.

    On rendered faces; with --photographs and --mix on photographs too. Of torchrun's processes
    each takes a batch of its own: torchrun --nproc-per-node 2 -m mie_x train-generator ...
    """
    from pipelines.train_generator import train_generator as train

    with bad_input():
        weights = train(out, device=device_named(device), **settings)
    click.echo(weights)


@main.command("train-estimator")
@click.argument("out", type=PATH)
@click.option("--steps", type=click.IntRange(min=1), required=True, metavar="N")
@click.option("--photographs", type=PATH, metavar="DIR", help="To learn from as well.")
@click.option("--aus", type=PATH, metavar="CSV", help="OpenFace's table of them: column image.")
@HOLD_OUT
@click.option(
    "--people",
    type=click.IntRange(min=1),
    default=5000,
    show_default=True,
    metavar="N",
    help="Rendered people to learn from.",
)
@POOL
@click.option("--batch", type=click.IntRange(min=2), default=32, show_default=True, metavar="PAIRS")
@SAVE_MINUTES
@SEED
@click.option("--device", default="auto", show_default=True, metavar="NAME")
def train_estimator(out: Path, device: str, **settings: Any) -> None:
    """Train an AU estimator in the folder OUT, or go on with the run there."""
    from pipelines.progress import Progress
    from pipelines.train_estimator import train_estimator as train

    with bad_input():
        progress = Progress("steps", done=None)
        weights = train(out, device=device_named(device), progress=progress, **settings)
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
