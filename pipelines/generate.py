"""Faces and AU sources in, a published dataset out: ``mie-x generate``.

``prepare`` reads what the user named and checks everything; it raises on bad input and writes
nothing. ``run`` then only makes frames. On a CPU the unit of work is an identity: its face, the
frames of its samples in batches of its own. Pixels therefore depend on the identity alone, and
neither workers nor a stopped and resumed run change a byte. On a GPU many identities share a batch.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import platform
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
import pyarrow as pa
from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError

from au_sources import estimator
from ganimation import SHIPPED
from mie_x import __version__, manifest, shards
from mie_x.fidelity import fidelity, measured
from mie_x.formats import FORMATS, read_shard, write_shard
from mie_x.formats.names import clash
from mie_x.frames import pixel_sha256, png, with_words
from mie_x.plan import Source, make_plan
from mie_x.records import LABELS, SIZE, Aus, Frames
from mie_x.threads import one_thread
from pipelines import drift
from pipelines.inputs import Place, Pool, code_sha256
from pipelines.lock import alone
from pipelines.progress import counted

if TYPE_CHECKING:  # torch takes seconds, and a finished run does not need it
    from ganimation.networks import Generator

FRAMES_AN_IDENTITY = 16  # of 9 pairs; the three expert onsets are one
GROUPS_AHEAD = 3  # whose faces are loaded while the generator works
BYTES_A_FRAME = 24_000  # of PNG: what drawn faces take; photographs take more


@dataclass(frozen=True)
class Job:
    """Everything a run needs, checked: see ``prepare``. ``plan`` is None where all is done."""

    out: Path
    pool: Pool
    sources: Mapping[str, Source]
    settings: dict[str, Any]
    redacted: tuple[str, ...]
    plan: pa.Table | None
    weights: Path | None
    unsafe_pickle: bool

    @property
    def complete(self) -> bool:
        """Whether OUT holds this very dataset already, all of it."""
        return self.plan is None


def prepare(
    out: Path,
    pool: Pool,
    sources: Mapping[str, Source],
    *,
    seed: int,
    weights: Path | None = None,
    unsafe_pickle: bool = False,
    format: str = "parquet",
    frames: int = 2,
    course: str = "rise",
    measure: bool = False,
    min_fidelity: float | None = None,
) -> Job:
    """Check that OUT, the weights and an earlier run in OUT agree with what is asked; plan it.

    MEASURE has every sample measured with the built-in AU estimator; MIN_FIDELITY leaves out those
    that show less than this share of the asked movement (``mie_x.fidelity.fidelity``). Writes
    nothing. Raises ValueError or FileNotFoundError with the path and the remedy.
    """
    check_folder(out)
    if min_fidelity is not None and not measure:
        raise ValueError("--min-fidelity needs measures; leave --no-measure out")
    _check_names(out, format, pool)
    told = manifest.begun(out)
    settings = {
        "mie_x": __version__,
        "code_sha256": code_sha256(),
        "seed": seed,
        "size": SIZE,
        "frames": frames,
        "course": course,
        "format": format,
        "faces": pool.settings,
        "sources": {name: source.settings for name, source in sources.items()},
        "weights": _weights(told, weights, unsafe_pickle),
        "measured_with": shards.file_sha256(estimator.SHIPPED) if measure else None,
        "min_fidelity": min_fidelity,
    }
    redacted = tuple(told["redacted"]) if told is not None else ()
    kept = [place for place in pool.places if not _is_redacted(place, redacted)]
    drift.refuse(out, settings, kept)
    complete = (
        told is not None
        and manifest.is_finished(out)
        and not manifest.read_manifest(out)["samples_missing"]
    )
    job = Job(out, pool, sources, settings, redacted, None, weights, unsafe_pickle)
    if complete:
        return job
    _check_room(out, len(kept) * len(sources) * len(LABELS) * frames)
    plan = make_plan(kept, sources, seed=seed, frames=frames, course=course)
    return dataclasses.replace(job, plan=plan)


def check_folder(out: Path) -> None:
    """Refuse a place that cannot be written to, and one that holds what is not ours."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file; give a folder as --out")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{there} cannot be written to; give another --out")
    if there != out or manifest.begun(out) is not None:
        return
    if (out / manifest.MANIFEST).exists():
        manifest.read_manifest(out)
        return
    ours = {manifest.LOCK, "data", "records"}
    strangers = [path for path in out.iterdir() if path.name not in ours]
    strangers = [path for path in strangers if path.suffix != ".partial"]
    if strangers:
        raise ValueError(
            f"{out} holds {strangers[0].name!r}, and is no dataset of mie-x; "
            "give a new or an empty folder as --out"
        )


def _check_names(out: Path, format: str, pool: Pool) -> None:
    if format not in FORMATS:
        raise ValueError(f"--format {format}: there are {', '.join(FORMATS)}")
    if format == "parquet":
        return
    if clashing := clash([place.identity for place in pool.places]):
        raise ValueError(f"--format {format}: {clashing}; rename, or give --format parquet")
    if format == "original" and any(letter.isspace() for letter in str(out.resolve())):
        raise ValueError(
            f"--format original: {out.resolve()} has a blank in it, where the lists of MiE-X end "
            "a path; give another --out"
        )


def _weights(
    told: Mapping[str, Any] | None, weights: Path | None, unsafe_pickle: bool
) -> dict[str, Any]:
    """What the generator is; its file is read only where what is TOLD of a run knows no such."""
    path = weights or SHIPPED
    if told is not None and path.is_file() and path.suffix == ".safetensors":
        known: dict[str, Any] = told["settings"]["weights"]
        if known["sha256"] == shards.file_sha256(path):
            return known
    from ganimation.checkpoints import load_generator

    loaded = load_generator(weights, unsafe_pickle=unsafe_pickle)
    return {
        "name": loaded.name,
        "sha256": loaded.sha256,
        "width": loaded.metadata["width"],
        "motion": loaded.metadata["motion"],
        "trained_on": loaded.metadata.get("data", "not known"),
    }


def _check_room(out: Path, frames: int) -> None:
    """Refuse to begin what cannot end: ``BYTES_A_FRAME``, less what is there already."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    taken = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) if out.exists() else 0
    needed = frames * BYTES_A_FRAME - taken
    if needed > free:
        raise ValueError(
            f"{there}: about {needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; "
            "make room, or give another --out"
        )


def _is_redacted(place: Place, redacted: Sequence[str]) -> bool:
    return bool(redacted) and manifest.redacted_name(place.identity) in redacted


def run(job: Job, *, workers: int = 1, batch: int = 32, device: str = "cpu") -> Path:
    """Make what is missing of JOB's dataset in its folder; return the folder.

    On a CPU, WORKERS processes make an identity each, one thread a process. Raises ``Unusable``
    where the folder or the disk does not let it go on; what is there by then stays, and the same
    job goes on with it.
    """
    if job.plan is None:
        return job.out
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        with alone(job.out):
            Run(job, workers=workers, batch=batch, device=device).make_missing()
    except TerminatedWorkerError as error:
        raise shards.Unusable(
            f"{job.out}: the system ended a worker (out of memory?); give fewer --workers, and "
            "the same command goes on where it was"
        ) from error
    except OSError as error:
        raise shards.Unusable(
            f"{error.filename or job.out}: {error.strerror or error}; put that right, and the same "
            "command goes on where it was"
        ) from error
    except KeyboardInterrupt:
        get_reusable_executor().shutdown(wait=False, kill_workers=True)
        raise
    return job.out


class Run:
    """One run: which shards are missing or incomplete, and the making of them."""

    def __init__(self, job: Job, *, workers: int, batch: int, device: str) -> None:
        assert job.plan is not None
        self.job, self.out, self.plan = job, job.out, job.plan
        self.format = FORMATS[job.settings["format"]]
        self.workers, self.batch, self.device = workers, batch, device
        step = shards.IDENTITIES_A_SHARD
        places = job.pool.places
        count = -(-len(places) // step)
        self.shards = {
            shards.name(index, count): places[index * step : (index + 1) * step]
            for index in range(count)
        }
        self.rows_each = len(job.sources) * len(LABELS)
        self.kept = [place for place in places if not _is_redacted(place, job.redacted)]
        self.first_row = {place.identity: n * self.rows_each for n, place in enumerate(self.kept)}

    def make_missing(self) -> None:
        """Make every shard that is not there, and every sample that failed, in order."""
        for stale in self.out.rglob("*.partial"):
            stale.unlink()
        known = {shard: self._known(shard) for shard in self.shards}
        todo = {shard: self._missing(shard, told) for shard, told in known.items()}
        todo = {shard: missing for shard, missing in todo.items() if missing or not known[shard]}
        told = {
            "settings": self.job.settings,
            "faces": [place.told() for place in self.kept],
            "redacted": list(self.job.redacted),
            "found": self.job.pool.found,
            "left_out": [vars(failure) for failure in self.job.pool.left_out],
        }
        if manifest.begun(self.out) != told:
            manifest.unfinish(self.out)
            manifest.begin(self.out, self.plan, told)
        total, asked = len(self.first_row), sum(map(len, todo.values()))
        places = [place for missing in todo.values() for place in missing]
        made = counted(self.made(places), total, "identities", done=total - asked)
        changed = not manifest.is_finished(self.out)
        for shard, missing in todo.items():
            fresh = {place.identity: next(made) for place in missing}
            changed |= self._write(shard, known[shard], fresh)
        for _ in made:  # lets the progress line end
            pass
        if changed:
            manifest.unfinish(self.out)
            manifest.finish(self.out)

    def _planned(self, shard: str) -> list[Place]:
        """People whose samples the shard holds."""
        return [place for place in self.shards[shard] if place.identity in self.first_row]

    def _known(self, shard: str) -> dict[str, Any] | None:
        """What the shard's record tells; None where it, or a file beside it, is not there."""
        path = self.out / self.format.RECORDS / f"{shard}.parquet"
        if not path.exists():
            return None
        told = shards.footer(path)
        there = [face[0] for face in told["faces"]]
        if there != [place.identity for place in self._planned(shard)]:
            raise shards.Unusable(f"{path} holds other people than are planned for it; delete it")
        return told if all((self.out / name).exists() for name in told["files"]) else None

    def _missing(self, shard: str, told: Mapping[str, Any] | None) -> list[Place]:
        """People of the shard whose samples are to be made, or tried again."""
        mine = self._planned(shard)
        if told is None:
            return mine
        failed = {f.identity for f in shards.failures_of(told) if f.missing}
        return [place for place in mine if place.identity in failed]

    def _write(self, shard: str, told: Mapping[str, Any] | None, fresh: Mapping[str, Made]) -> bool:
        """Write a shard with its FRESH identities among those that it holds; False: no change."""
        format = self.job.settings["format"]
        mine = self._planned(shard)
        rows: dict[str, list[dict[str, Any]]] = {}
        failures: dict[str, list[dict[str, Any]]] = {}
        now, earlier = made_with(self.device), []
        if told is not None:
            for one in told["failures"]:
                failures.setdefault(one["identity"], []).append(one)
            if all(
                not made.rows and [vars(one) for one in made.failures] == failures.get(identity)
                for identity, made in fresh.items()
            ):
                return False
            earlier = told["made_with"]
            for row in read_shard(self.out, format, shard):
                rows.setdefault(row["identity"], []).append(row)
            manifest.unfinish(self.out)
        rows |= {identity: made.rows for identity, made in fresh.items()}
        failures |= {name: [vars(one) for one in made.failures] for name, made in fresh.items()}
        write_shard(
            self.out,
            format,
            shard,
            [row for place in mine for row in rows.get(place.identity, [])],
            frames=self.job.settings["frames"],
            footer={
                "settings": self.job.settings,
                "made_with": earlier + [now] * (now not in earlier),
                "faces": [place.told() for place in mine],
                "failures": [one for place in mine for one in failures.get(place.identity, [])],
            },
        )
        return True

    def made(self, places: Sequence[Place]) -> Iterator[Made]:
        """Make the samples of PLACES, in their order."""
        if self.device.startswith("cuda"):
            return self.made_in_groups(places)
        make = functools.partial(
            make_identity,
            weights=self.job.weights,
            sha256=self.job.settings["weights"]["sha256"],
            unsafe_pickle=self.job.unsafe_pickle,
            settings=self._told,
            batch=self.batch,
            main=os.getpid(),
        )
        parallel = joblib.Parallel(
            n_jobs=self.workers,
            return_as="generator",
            batch_size=1,
            pre_dispatch="2*n_jobs",
            max_nbytes=None,  # tasks hold no arrays: no folder for shared memory is needed
        )
        with without_interrupts():  # the call starts the workers
            made: Any = parallel(joblib.delayed(make)(place, self._rows(place)) for place in places)
        return iter(made)

    def made_in_groups(self, places: Sequence[Place]) -> Iterator[Made]:
        """The same with one generator in this process, as a GPU wants it.

        Worker processes load faces ahead and encode frames behind; a thread of its own feeds the
        generator with the faces of many identities at a time, and is one group ahead of encoding.
        """
        from ganimation.animation import animate

        size = -(-self.batch // FRAMES_AN_IDENTITY)
        groups = [places[first : first + size] for first in range(0, len(places), size)]
        workers = ProcessPoolExecutor(self.workers)
        sha256 = self.job.settings["weights"]["sha256"]
        generator = _generator(self.job.weights, sha256, self.job.unsafe_pickle)

        def load(group: Sequence[Place]) -> list[Future[Frames | shards.Failure]]:
            return [workers.submit(load_face, place, os.getpid()) for place in group]

        def draw(group: Sequence[Place], faces: Sequence[Frames | shards.Failure]) -> list[Drawn]:
            needed = [wanted(self._rows(place)) for place in group]
            there = [n for n, face in enumerate(faces) if not isinstance(face, shards.Failure)]
            if not there:
                return [(one, face, face) for one, face in zip(needed, faces, strict=True)]
            whose = np.concatenate(
                [np.full(len(needed[n].vectors), k) for k, n in enumerate(there)]
            )
            frames = animate(
                generator,
                np.stack([np.asarray(faces[n]) for n in there]),
                np.concatenate([needed[n].vectors for n in there]),
                whose,
                batch=self.batch,
                device=self.device,
            )
            own = {n: frames[whose == k] for k, n in enumerate(there)}
            return [(needed[n], face, own.get(n, face)) for n, face in enumerate(faces)]

        with without_interrupts():  # the first task starts the workers
            loading = collections.deque(load(group) for group in groups[:GROUPS_AHEAD])
        drawing: collections.deque[Future[list[Drawn]]] = collections.deque()
        encoding: collections.deque[Future[Made]] = collections.deque()
        feeder = ThreadPoolExecutor(1)
        try:
            for number in range(len(groups) + 1):
                if number < len(groups):
                    faces = [face.result() for face in loading.popleft()]
                    drawing.append(feeder.submit(draw, groups[number], faces))
                    if number + GROUPS_AHEAD < len(groups):
                        loading.append(load(groups[number + GROUPS_AHEAD]))
                if number > 0:
                    drawn = drawing.popleft().result()
                    encoding.extend(
                        workers.submit(encode, place, *one, self._told)
                        for place, one in zip(groups[number - 1], drawn, strict=True)
                    )
                while len(encoding) > 2 * size or (number == len(groups) and encoding):
                    yield encoding.popleft().result()
        finally:
            feeder.shutdown(cancel_futures=True)
            workers.shutdown(kill_workers=True)

    @property
    def _told(self) -> Told:
        settings = self.job.settings
        sources = settings["sources"].items()
        return Told(
            {name: source["stand_in"] for name, source in sources},
            settings["measured_with"] is not None,
            settings["min_fidelity"],
        )

    def _rows(self, place: Place) -> list[dict[str, Any]]:
        """The planned rows of one of the people."""
        first = self.first_row[place.identity]
        rows: list[dict[str, Any]] = self.plan.slice(first, self.rows_each).to_pylist()
        return rows


@dataclass(frozen=True)
class Made:
    """What became of one identity: the rows of its samples, and the samples that failed."""

    rows: list[dict[str, Any]]
    failures: list[shards.Failure]


@functools.lru_cache(maxsize=1)
def _generator(weights: Path | None, sha256: str, unsafe_pickle: bool) -> Generator:
    """Load the generator once a process."""
    from ganimation.checkpoints import load_generator

    loaded = load_generator(weights, unsafe_pickle=unsafe_pickle)
    if loaded.sha256 != sha256:
        raise ValueError(f"{weights or 'the shipped weights'} changed while the run was going on")
    return loaded.generator.eval()


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Do without Ctrl-C inside, for some hundredths of a second; processes started here always do.

    A terminal tells every process of a run; workers would die of it with a traceback each, and
    they are to leave it to this one. (A blocked signal would be inherited as well, but loky's
    resource tracker unblocks it.)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@functools.lru_cache(maxsize=1)
def _settle(main: int) -> None:
    """Make a worker process end when the run's own process is gone, however it went."""
    if os.getpid() == main:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    parent = os.getppid()
    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True, eq=False)
class Wanted:
    """The frames that an identity's rows need, each once.

    ``vectors`` (U, 17) float32 are their AUs, ``index`` says for each row which frames are its.
    """

    rows: list[dict[str, Any]]
    vectors: Aus
    index: list[list[int]]


@dataclass(frozen=True)
class Told:
    """What a row tells beside its plan, and whether its frames are measured."""

    stand_in: dict[str, bool]
    measure: bool
    min_fidelity: float | None


Drawn = tuple[Wanted, Frames | shards.Failure, Frames | shards.Failure]
"""What is wanted of an identity, its face, and the frames, or twice why there is no face."""


def wanted(rows: list[dict[str, Any]]) -> Wanted:
    """Which frames ROWS need: those that samples share (the same AUs of the same face) once."""
    clips = [row.get("frame_aus") or [row["onset_aus"], row["apex_aus"]] for row in rows]
    aus = np.array(clips, np.float32)
    vectors, index = np.unique(aus.reshape(-1, aus.shape[2]), axis=0, return_inverse=True)
    return Wanted(rows, vectors, [list(map(int, own)) for own in index.reshape(aus.shape[:2])])


@one_thread()
def make_identity(
    place: Place,
    rows: list[dict[str, Any]],
    *,
    weights: Path | None,
    sha256: str,
    unsafe_pickle: bool,
    settings: Told,
    batch: int,
    main: int,
) -> Made:
    """Make the samples of one identity, on the CPU; MAIN is the run's own process."""
    from ganimation.animation import animate

    needed = wanted(rows)
    face = load_face(place, main)
    if isinstance(face, shards.Failure):
        return encode(place, needed, face, face, settings)
    generator = _generator(weights, sha256, unsafe_pickle)
    frames = animate(generator, face[None], needed.vectors, batch=batch)
    return encode(place, needed, face, frames, settings)


@one_thread()
def load_face(place: Place, main: int) -> Frames | shards.Failure:
    """The face (128, 128, 3) of one of the people, or why there is none any more."""
    _settle(main)
    if place.face is None:
        return _failure(place, "face", place.reason, place.detail)
    try:
        return place.face.image()
    except (OSError, ValueError) as error:
        return _failure(place, "frames", "unreadable", str(error))


def _failure(place: Place, stage: str, reason: str, detail: str) -> shards.Failure:
    return shards.Failure(stage, place.identity, place.path, None, reason, detail)


@one_thread()
def encode(
    place: Place,
    needed: Wanted,
    face: Frames | shards.Failure,
    frames: Frames | shards.Failure,
    settings: Told,
) -> Made:
    """The rows of an identity's samples with their FRAMES (U, 128, 128, 3) as PNG files."""
    if isinstance(frames, shards.Failure) or isinstance(face, shards.Failure):
        failure = frames if isinstance(frames, shards.Failure) else face
        assert isinstance(failure, shards.Failure)
        keys = [row["sample_key"] for row in needed.rows]
        return Made([], [dataclasses.replace(failure, sample_key=key) for key in keys])
    assert place.face is not None
    encoded = [(png(frame), pixel_sha256(frame)) for frame in frames]
    made, failures = [], []
    for row, own, found in zip(
        needed.rows, needed.index, _measures(needed, face, frames, settings), strict=True
    ):
        key = row["sample_key"]
        if settings.min_fidelity is not None:
            seen = fidelity(row, found["measured_delta_aus"])
            if seen < settings.min_fidelity:
                detail = f"{seen:.2f} of the asked movement was measured"
                told = ("fidelity", place.identity, place.path, key, "too little movement", detail)
                failures.append(shards.Failure(*told))
                continue
        files = [with_words(encoded[n][0], key, number) for number, n in enumerate(own)]
        hashes = [encoded[n][1] for n in own]
        named: dict[str, Any] = {"frame_sha256": hashes}
        if "frame_aus" not in row:
            named = {"onset_sha256": hashes[0], "apex_sha256": hashes[1]}
        about = {"face_sha256": place.face.sha256, "rendered_face": place.face.rendered}
        about["stand_in_motion"] = settings.stand_in[row["source"]]
        made.append({**row, **about, **named, **found, "frames": files})
    return Made(made, failures)


def _measures(needed: Wanted, face: Frames, frames: Frames, settings: Told) -> list[dict[str, Any]]:
    """What was measured of each sample; nothing where nothing was to be."""
    if not settings.measure:
        return [dict.fromkeys(name for name, _ in shards.MEASURED) for _ in needed.rows]
    clips = [frames[own] for own in needed.index]
    return measured(face, clips, needed.rows, differences=estimator.differences)


def made_with(device: str) -> dict[str, str]:
    """Versions that can change a byte: of the network's arithmetic and of the encoders."""
    names = ("torch", "numpy", "pillow", "pyarrow")
    return {name: version(name) for name in names} | {
        "device": device.split(":")[0],
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def summary(job: Job) -> str:
    """Say in a few lines what a job makes, and what of it is a stand-in."""
    people, sources = len(job.pool.places), len(job.settings["sources"])
    lines = [
        f"{people} identities x {sources} sources x {len(LABELS)} labels = "
        f"{people * sources * len(LABELS)} samples"
    ]
    if job.redacted:
        lines.append(f"{len(job.redacted)} identities were taken out and stay out")
    invented = [
        f"motions of {name}"
        for name, source in job.settings["sources"].items()
        if source["stand_in"]
    ]
    if job.pool.settings["kind"] == "rendered":
        invented.insert(0, "faces (rendered)")
    else:
        found = job.pool.found
        lines.insert(
            0,
            f"{found['pictures']} pictures of {found['people_in_pictures']} people (told by "
            "--identities, or else by the name of the file)",
        )
    return "\n".join(lines + ([f"not real: {', '.join(invented)}"] if invented else []))
