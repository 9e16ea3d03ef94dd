"""What recognizers see of examples: computed once, kept on the disk, handed out sample by sample.

A view is made of *forms*, which are what is kept (``FORMS``): the aligned frames of a pair as they
are, since RGB views are turned and cropped anew each time; the flow, the expensive part, once for
all views that are made of it; what a small network sees as it sees it, since there a sample must
not cost more than the network. A form of a pool (a dataset, a collection, a folder of flow
pictures) is a table, a row a sample, in a folder of its own:

    CACHE/3f9c.../told.json     what it was made of and how
    CACHE/3f9c.../values.npy    the rows, in one array; a hole in the file where none was made yet
    CACHE/3f9c.../done.npy      which rows are made

The folder's name is a hash of pool, form, kind of flow, our own code and the versions of libraries:
what is found there is what would be computed. Nothing is ever deleted, and anything may be. Rows
are made for those who ask, whatever part of a pool they are, and a run that is stopped loses what
the last five seconds made. What cannot be made is told with the reason, and tried again by the next
run.

Exactness: bytes and float32 are what ``recognizers.views`` computes, to the bit. Courses of flow
alone are float16, .05 % of each value, since they are as long as the clip.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from numpy.typing import DTypeLike, NDArray

from mie_x import faces, flow
from mie_x.faces import aligned, detection, pictures, user_cache
from mie_x.faces.detection import TEMPLATE
from mie_x.records import SIZE
from mie_x.whole import whole, write_json
from pipelines import examples as sources
from pipelines.examples import Example, LeftOut, Pool, Read, Rows
from pipelines.lock import alone
from recognizers import views
from recognizers.views import FIXED, Augmentation

CODE = (flow, faces, aligned, detection, pictures, views, sources)  # and this module
LIBRARIES = ("numpy", "scipy", "scikit-image", "pillow", "torch", "facenet-pytorch")
CHUNK = 8  # rows that a process makes at a time, where they are made of another form
SECONDS_BETWEEN = 5.0  # in which rows are made sure to be on the disk


@dataclass(frozen=True, slots=True)
class Recipe:
    """The kind of flow, one of ``flow.FLOWS``, and what is done to u, v and strain at 28 px, one of
    ``flow.NORMALISED``. MEAN's maps are ``minmax`` always."""

    flow: str = "tvl1"
    normalise: str = "minmax"


class Form(NamedTuple):
    """What is kept of a sample: ``shape``, or with ``course`` that for each frame up to the apex.

    ``make`` takes what the forms ``of`` hold of a sample (none: its frames, only onset and apex
    unless ``course``) and the recipe, of which it uses ``recipe``.
    """

    shape: tuple[int, ...]
    dtype: DTypeLike
    make: Callable[..., NDArray[Any]]
    of: tuple[str, ...] = ()
    recipe: tuple[str, ...] = ()
    course: bool = False


def _at_28(moved: flow.Maps, recipe: Recipe) -> flow.Maps:
    return flow.maps_of(moved, size=28, normalise=recipe.normalise)


def _mean_roi(moved: flow.Maps, recipe: Recipe) -> flow.Maps:
    """The parts are the template's, as they are for whatever face was laid on it (five points)."""
    del recipe
    return views.mean_roi(flow.maps_of(moved, size=SIZE), views.five_to_68(TEMPLATE))


FORMS: dict[str, Form] = {
    "pair": Form((2, SIZE, SIZE, 3), np.uint8, lambda frames, recipe: frames),
    "gray": Form((SIZE, SIZE), np.uint8, lambda frames, recipe: flow.gray(frames), course=True),
    "flow": Form(  # u and v in px
        (2, SIZE, SIZE),
        np.float32,
        lambda pair, recipe: flow.FLOWS[recipe.flow](*flow.gray(pair)),
        of=("pair",),
        recipe=("flow",),
    ),
    "flow_28": Form((3, 28, 28), np.float32, _at_28, of=("flow",), recipe=("flow", "normalise")),
    "mean_roi": Form((3, 42, 42), np.float32, _mean_roi, of=("flow",), recipe=("flow",)),
    "painted": Form(
        (SIZE, SIZE, 3),
        np.uint8,
        lambda moved, pair, recipe: flow.paint(moved, pair[1]),
        of=("flow", "pair"),
        recipe=("flow",),
    ),
    "course": Form(
        (2, SIZE, SIZE),
        np.float16,
        lambda gray, recipe: views.flow_course(gray, size=SIZE, flow=recipe.flow),
        of=("gray",),
        recipe=("flow",),
        course=True,
    ),
}
"""What is kept, by name. EMR's painted flow is kept at the size that flow is computed at, and then
enlarged as an RGB picture, 128 to 256 px, like the frames of the others."""


def _pair(pair: NDArray[np.uint8], augmentation: Augmentation | None) -> views.Clip:
    return views.onset_apex(pair, 1, augmentation=augmentation or FIXED)


def _gray_pair(pair: NDArray[np.uint8], augmentation: Augmentation | None) -> views.Clip:
    return views.onset_apex(pair, 1, augmentation=augmentation or FIXED, colour="gray")


def _apex(pair: NDArray[np.uint8], augmentation: Augmentation | None) -> views.Clip:
    return views.apex(pair, 1, augmentation=augmentation or FIXED)


def _painted(picture: NDArray[np.uint8], augmentation: Augmentation | None) -> views.Clip:
    return views.apex(picture[None], 0, augmentation=augmentation or FIXED)


def _raw(moved: flow.Maps, augmentation: Augmentation | None) -> flow.Maps:
    del augmentation
    return flow.maps_of(moved, size=SIZE, normalise="raw")


def _as_kept(maps: flow.Maps, augmentation: Augmentation | None) -> flow.Maps:
    del augmentation
    return np.array(maps)


def _sequence(
    course: NDArray[np.float16], augmentation: Augmentation | None, *, count: int
) -> flow.Maps:
    del augmentation
    return views.over_time(course, count)


def _gray_10(frames: flow.Gray, augmentation: Augmentation | None) -> views.Clip:
    del augmentation
    return views.temporal(frames, 10)


VIEWS: dict[str, tuple[str, Callable[..., NDArray[np.float32]]]] = {
    "apex": ("pair", _apex),
    "onset_apex": ("pair", _pair),
    "onset_apex_gray": ("pair", _gray_pair),
    "flow_hsv": ("painted", _painted),
    "flow_28": ("flow_28", _as_kept),
    "mean_roi": ("mean_roi", _as_kept),
    "flow_sequence_10": ("course", functools.partial(_sequence, count=10)),
    "flow_sequence_64": ("course", functools.partial(_sequence, count=64)),
    "flow_sequence_128": ("course", functools.partial(_sequence, count=128)),
    "flow_raw": ("flow", _raw),
    "gray_10": ("gray", _gray_10),
}
"""View of ``recognizers.settings.VIEWS`` -> the form it is made of, and how. An augmentation is of
RGB pictures; maps of flow and gray clips are what they are."""


# -- tables --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """A form of a pool on the disk; a row is (shape), or (frames, *shape) of a course."""

    folder: Path
    form: str
    lengths: Rows

    @cached_property
    def starts(self) -> Rows:
        """Where rows begin in the array, and where the last one ends."""
        each = self.lengths if FORMS[self.form].course else np.ones_like(self.lengths)
        return np.concatenate([[0], np.cumsum(each)])

    @property
    def values(self) -> Path:
        return self.folder / "values.npy"

    def place(self, number: int) -> slice | int:
        """Where row NUMBER is in the array."""
        first, last = self.starts[number : number + 2].tolist()
        return slice(first, last) if FORMS[self.form].course else first

    def row(self, number: int) -> NDArray[Any]:
        """Row NUMBER, read-only; zeros where it was not made."""
        row: NDArray[Any] = _opened(self.values)[self.place(number)]
        return row

    def done(self) -> NDArray[np.bool_]:
        path = self.folder / "done.npy"
        if not path.exists():
            return np.zeros(len(self.lengths), bool)
        done: NDArray[np.bool_] = np.load(path)
        return done

    def begin(self, told: Mapping[str, Any]) -> None:
        """Make room, where there is none; the file takes up what is written into it."""
        if self.values.exists():
            return
        form = FORMS[self.form]
        write_json(self.folder / "told.json", dict(told))
        with whole(self.values) as unfinished:
            shape = (int(self.starts[-1]), *form.shape)
            np.lib.format.open_memmap(unfinished, "w+", dtype=form.dtype, shape=shape)

    def write(self, made: Iterable[Read]) -> Generator[Read]:
        """Keep what is MADE, a row at a time, and hand it on."""
        form, done = FORMS[self.form], self.done()
        start = _opened(self.values).offset
        size = int(np.prod(form.shape)) * np.dtype(form.dtype).itemsize
        # Written as a file: where the disk is full, a page of a memory map ends the process.
        with self.values.open("rb+") as file:
            saved = time.monotonic()
            try:
                for row, value in made:
                    if not isinstance(value, str):
                        expected = self.row(row).shape
                        if value.shape != expected:
                            raise ValueError(
                                f"row {row} is {value.shape}, not {expected}: "
                                "its files have changed while they were read; run again"
                            )
                        file.seek(start + int(self.starts[row]) * size)
                        file.write(np.ascontiguousarray(value, form.dtype).tobytes())
                        done[row] = True
                    yield row, value
                    if time.monotonic() - saved > SECONDS_BETWEEN:
                        self._sure(file, done)
                        saved = time.monotonic()
            finally:
                self._sure(file, done)

    def _sure(self, file: Any, done: NDArray[np.bool_]) -> None:
        file.flush()
        os.fsync(file.fileno())
        with whole(self.folder / "done.npy") as unfinished, unfinished.open("wb") as target:
            np.save(target, done)


@lru_cache(maxsize=64)
def _opened(path: Path) -> np.memmap[Any, Any]:
    opened: np.memmap[Any, Any] = np.load(path, mmap_mode="r")
    return opened


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Of our modules that decide what a view holds."""
    own = (*CODE, sys.modules[__name__])
    return hashlib.sha256("".join(map(inspect.getsource, own)).encode()).hexdigest()


def told_of(pool: Pool, form: str, recipe: Recipe) -> dict[str, Any]:
    """Everything that the table FORM of POOL depends on; JSON-able."""
    libraries = {name: version(name) for name in LIBRARIES}
    if "flow" in FORMS[form].recipe and recipe.flow != "tvl1" and pool.gives != form:
        with flow.opencv() as cv2:
            libraries["opencv"] = cv2.__version__
    return {
        "form": form,
        "pool_sha256": pool.sha256,
        "recipe": {name: getattr(recipe, name) for name in FORMS[form].recipe},
        "code_sha256": code_sha256(),
        "libraries": libraries,
    }


def table_of(pool: Pool, form: str, recipe: Recipe, cache: Path) -> Table:
    """The place of FORM of POOL in CACHE."""
    told = json.dumps(told_of(pool, form, recipe), sort_keys=True)
    return Table(cache / hashlib.sha256(told.encode()).hexdigest()[:32], form, pool.lengths)


def fill(
    pool: Pool,
    form: str,
    rows: Sequence[int],
    *,
    recipe: Recipe,
    cache: Path,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, str]:
    """Make what is missing of ROWS of a table, in WORKERS processes; row -> reason of what failed.

    PROGRESS is told rows done and asked for. ``Unusable`` where another run writes the same table.
    """
    table = table_of(pool, form, recipe, cache)
    wanted = np.unique(np.asarray(rows, np.int64))
    missing = wanted[~table.done()[wanted]].tolist()
    failed: dict[int, str] = {}
    of = () if pool.gives == form else FORMS[form].of
    for name in of if missing else ():
        failed |= fill(
            pool, name, missing, recipe=recipe, cache=cache, workers=workers, progress=progress
        )
    missing = [row for row in missing if row not in failed]
    if not missing:
        return failed
    table.folder.mkdir(parents=True, exist_ok=True)
    with alone(table.folder):
        table.begin(told_of(pool, form, recipe))
        done = table.done()
        missing = [row for row in missing if not done[row]]
        parts: Iterable[Callable[[], Iterator[Read]]]
        if of:
            tables = [table_of(pool, name, recipe, cache) for name in of]
            size = 1 if FORMS[form].course else CHUNK
            parts = (
                _Derived(form, recipe, tuple(chunk), tuple(_places(tables, row) for row in chunk))
                for chunk in (missing[at : at + size] for at in range(0, len(missing), size))
            )
        else:
            make = None if pool.gives == form else form
            parts = (
                _First(make, recipe, part)
                for part in pool.parts(missing, ends=not FORMS[form].course)
            )
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs")
        made = parallel(joblib.delayed(_read)(part) for part in parts)
        # Closed here, not whenever it is collected: what was made before an error is kept.
        with closing(table.write(itertools.chain.from_iterable(made))) as written:
            for count, (row, value) in enumerate(written, len(wanted) - len(missing) + 1):
                if isinstance(value, str):
                    failed[row] = value
                if progress is not None:
                    progress(count, len(wanted))
    return failed


def _read(part: Callable[[], Iterator[Read]]) -> list[Read]:
    return list(part())


@dataclass(frozen=True)
class _First:
    """A form made of what a pool's part gives; None: that itself."""

    form: str | None
    recipe: Recipe
    part: Callable[[], Iterator[Read]]

    def __call__(self) -> Iterator[Read]:
        for row, given in self.part():
            if self.form is None or isinstance(given, str):
                yield row, given
            else:
                yield row, FORMS[self.form].make(given, self.recipe)


@dataclass(frozen=True)
class _Derived:
    """A form made of rows of other forms; ``given`` says for each row where these are."""

    form: str
    recipe: Recipe
    rows: tuple[int, ...]
    given: tuple[tuple[tuple[Path, slice | int], ...], ...]

    def __call__(self) -> Iterator[Read]:
        for row, places in zip(self.rows, self.given, strict=True):
            given = [np.array(_opened(path)[place]) for path, place in places]
            yield row, FORMS[self.form].make(*given, self.recipe)


def _places(tables: Iterable[Table], row: int) -> tuple[tuple[Path, slice | int], ...]:
    return tuple((table.values, table.place(row)) for table in tables)


# -- what is seen --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Seen:
    """Examples as a recognizer sees them: ``recognizers.training.Examples``.

    ``views`` are its settings'; ``left_out`` are those that could not be seen. It goes from process
    to process without what it shows, which every process opens for itself.
    """

    examples: tuple[Example, ...]
    views: tuple[str, ...]
    tables: tuple[Mapping[str, Table], ...]
    pools: Rows
    left_out: tuple[LeftOut, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) classes."""
        return np.array([example.label for example in self.examples], np.int64)

    @cached_property
    def macro(self) -> NDArray[np.bool_]:
        """(N,) who shows a macro-expression."""
        return np.array([example.kind == "macro" for example in self.examples], bool)

    def select(self, indices: Sequence[int] | Rows) -> Seen:
        """These of them, in this order."""
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            examples=tuple(self.examples[index] for index in chosen.tolist()),
            pools=self.pools[chosen],
        )

    def inputs(
        self, index: int, augmentation: Augmentation | None
    ) -> tuple[NDArray[np.float32], ...]:
        """One sample's views, without an axis of batches; None: as they are tested."""
        tables = self.tables[int(self.pools[index])]
        row = self.examples[index].row
        return tuple(
            make(tables[form].row(row), augmentation)
            for form, make in (VIEWS[view] for view in self.views)
        )


def look(
    examples: Sequence[Example],
    wanted: Sequence[str],
    *,
    recipe: Recipe = Recipe(),
    cache: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Seen:
    """Make the views WANTED of EXAMPLES, of whatever pools, and give those that can be seen.

    CACHE is where they are kept, ``views`` in ``user_cache()`` without: shared by all runs.
    ValueError where a view cannot be had of these examples, before anything is computed.
    """
    if unknown := [name for name in wanted if name not in VIEWS]:
        raise ValueError(f"no view {unknown[0]!r}; there are {', '.join(VIEWS)}")
    cache = user_cache() / "views" if cache is None else cache
    pools = list({id(example.pool): example.pool for example in examples}.values())
    for pool in pools:
        _check(pool, wanted, recipe)
    number = {id(pool): at for at, pool in enumerate(pools)}
    of = np.array([number[id(example.pool)] for example in examples], np.int64)
    rows = np.array([example.row for example in examples], np.int64)
    forms = tuple(dict.fromkeys(VIEWS[name][0] for name in wanted))
    failed: dict[tuple[int, int], str] = {}
    tables = []
    for at, pool in enumerate(pools):
        for form in forms:
            lost = fill(
                pool, form, rows[of == at].tolist(),
                recipe=recipe, cache=cache, workers=workers, progress=progress,
            )  # fmt: skip
            failed |= {(at, row): reason for row, reason in lost.items()}
        tables.append({form: table_of(pool, form, recipe, cache) for form in forms})
    places = list(zip(of.tolist(), rows.tolist(), strict=True))
    left_out = tuple(
        LeftOut(example.key, failed[place])
        for example, place in zip(examples, places, strict=True)
        if place in failed
    )
    everything = Seen(tuple(examples), tuple(wanted), tuple(tables), of, left_out)
    return everything.select([n for n, place in enumerate(places) if place not in failed])


def _check(pool: Pool, wanted: Sequence[str], recipe: Recipe) -> None:
    for view in wanted:
        if pool.gives == "flow_28" and view != "flow_28":
            raise ValueError(
                f"{view} is made of frames; flow pictures are flow_28 and nothing else"
            )
        if pool.gives == "flow_28" and recipe.normalise != "minmax":
            raise ValueError(
                f"flow pictures are normalised by minmax, and what they were before is lost; "
                f"{recipe.normalise} on one side alone would compare two different things"
            )
        if view == "mean_roi" and not pool.on_template:
            raise ValueError(
                "mean_roi cuts brows, eyes and mouth out where the template has them; make the "
                "dataset with --align similarity"
            )


# -- how fast ------------------------------------------------------------------------------------


def flows_a_second(examples: Sequence[Example], *, workers: int, flow: str = "tvl1") -> float:
    """Pairs a second that flow is computed of, their frames at hand; for the benchmark.

    Processes that start count: take some hundred EXAMPLES, from which it hardly matters.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        look(examples, ["apex"], cache=Path(folder), workers=workers)
        start = time.perf_counter()
        seen = look(
            examples, ["flow_raw"], recipe=Recipe(flow), cache=Path(folder), workers=workers
        )
        return len(seen) / (time.perf_counter() - start)


def milliseconds_a_sample(seen: Seen, augmentation: Augmentation | None) -> float:
    """What one process takes to hand out a sample of SEEN, each once; for the benchmark."""
    start = time.perf_counter()
    for index in range(len(seen)):
        seen.inputs(index, augmentation)
    return 1e3 * (time.perf_counter() - start) / len(seen)
