"""Spot expressions in long videos with MEAN, so that the result cannot flatter.

A collection is tested **leave one subject out**: everybody's videos are scored by networks that
learned from the others' alone, k' included. With weights it is tested as a whole, and refused where
they have learned from somebody who is seen in it. Videos that nobody coded need weights. Nothing is
chosen by what is tested: the last epoch counts, and the threshold is MEAN's. OUT holds::

    OUT/cells/<hash>.npz       scores of what one network was asked about
    OUT/intervals.csv          what was found, a row each
    OUT/results.json           scores, settings, what was left out and what failed
    OUT/pictures/<video>.png   scores of the first seed, what was found and what is true
    OUT/report.md              all this to be read
    OUT/sheet/                 what the first seed found, as a collection's own sheet, if asked for

Cells are named by all that they depend on, so that a stopped run goes on. How scores become
intervals is not part of them: it can be changed without training anew.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed

import recognizers
from mie_x import folds
from mie_x.datasets import COLLECTIONS, EXPORTS, coded, standin
from mie_x.folds import Person, person
from mie_x.intervals import KINDS
from mie_x.records import Clip
from mie_x.report import STAND_IN
from mie_x.threads import one_thread
from mie_x.whole import hashed
from pipelines import courses, recordings, spotters, timeline
from pipelines.courses import Look
from pipelines.evaluate import loosely
from pipelines.examples import LeftOut
from pipelines.progress import Progress
from pipelines.recordings import Recording
from pipelines.spotted import Done, How, Scored, assess
from pipelines.spotters import (
    EPOCHS,
    LIBRARIES,
    UNUSABLE,
    Array,
    Lesson,
    Said,
    Watched,
    ask,
    first_of,
    gather,
    half_at,
    kept,
    named_only,
    teach,
    usual_half,
    where_seen,
)
from pipelines.timeline import Mark
from recognizers import weights as files
from recognizers.spotting import BOUNDS, SMOOTHINGS, WAYS, P, flow_step
from recognizers.weights import Loaded

SEEDS = 3
SHORT = ("casme2", "samm")  # collections whose videos are cut to one expression each


@functools.cache
def code_sha256() -> str:
    """Of code and libraries that decide a score."""
    paths = sorted(Path(recognizers.__file__).parent.glob("*.py"))
    paths += [Path(courses.__file__), Path(spotters.__file__)]
    code = b"".join(path.read_bytes() for path in paths)
    libraries = json.dumps({name: version(name) for name in LIBRARIES})
    return hashlib.sha256(code + libraries.encode()).hexdigest()


def spot(
    what: Sequence[str],
    out: Path,
    *,
    weights: Path | None,
    recipe: str | None = None,
    seeds: int | None = None,
    seed: int | None = None,
    kind: str | None = None,
    look: Look | None = None,
    fps: float | None = None,
    way: str = "offline",
    smoothing: str | None = None,
    bounds: str | None = None,
    p: float = P,
    store: Path | None = None,
    workers: int = 1,
    device: str = "cpu",
    epochs: tuple[int, int] | None = None,
    export: str | None = None,
) -> Done:
    """Spot in WHAT, a collection NAME=ROOT or videos and folders of frames, and write OUT.

    With WEIGHTS of ``train``; without, a collection leave one subject out, with SEEDS networks a
    subject (``SEEDS``), the first from SEED (0). RECIPE ("paper"), KIND ("micro") and LOOK are
    those of WEIGHTS where None is given; SMOOTHING and BOUNDS the recipe's. FPS is for what tells
    no frame rate. Courses are kept in STORE, else in OUT/courses; with WEIGHTS scores alone are,
    in OUT, and what is for training is refused. EPOCHS replace the recipe's, of both steps. EXPORT
    names a collection whose sheet is to be written.

    ValueError where options do not go together, nothing could be looked at, or somebody is tested
    whom the weights know. What fails of single videos is in ``Done.failed``.
    """
    named = named_only(what)
    if named is None and weights is None:
        raise ValueError(f"{what[0]}: nobody coded it, so nothing can be learned; give --weights")
    if export is not None:
        _check_export(export, "clips" if named is None else named[0], way)
    loaded = None if weights is None else _loaded(weights, kind=kind, look=look)
    training = {"recipe": recipe, "epochs": epochs, "seeds": seeds, "seed": seed, "store": store}
    if loaded is not None and (
        given_too := [name for name, v in training.items() if v is not None]
    ):
        raise ValueError(f"{weights} have learned: --{given_too[0]} is for training")
    seeds, seed = SEEDS if seeds is None else seeds, seed or 0
    known = None if loaded is None else loaded.spotter
    recipe = recipe or (known.recipe if known else "paper")
    kind = kind or (known.kind if known else "micro")
    look = look or (_look_of(loaded) if loaded else Look())
    how = How(way, smoothing or recipe, bounds or recipe, p)
    _check_choices(how, recipe=recipe, kind=kind, seeds=seeds)
    if loaded is not None:
        given, left_out, failed = _given(what, named, fps, kind)
        remarks = refuse_known(loaded, given)
        scored, lost = by_weights(loaded, given, out, look=look, workers=workers, device=device)
        classes = loaded.fitted.classes if known and known.recognizes else ()
        protocol = f"weights {loaded.sha256[:12]}"
    else:
        assert named is not None
        gathered = gather(
            *named, kind=kind, look=look, fps=fps, store=store or out / "courses",
            workers=workers, check=_apart,
        )  # fmt: skip
        given, left_out, failed = gathered.recordings, gathered.left_out, gathered.failed
        if len(seen := {one.recording.subject for one in gathered.watched}) < 2:
            raise ValueError(
                f"{what[0]}: nobody but {'/'.join(*seen)} could be looked at, and to leave one out "
                f"takes two; {first_of(failed, left_out)}"
            )
        made, lost, remarks = leave_one_out(
            gathered.watched, out, classes=gathered.classes, recipe=recipe, epochs=epochs,
            seeds=range(seed, seed + seeds), workers=workers, device=device,
        )  # fmt: skip
        scored = [one for answered in made for one in answered.scored]
        classes = gathered.classes if all(answered.recognizes for answered in made) else ()
        protocol = "leave one subject out"
    failed = [*failed, *lost]
    if not scored:
        raise ValueError(f"{what[0]}: nothing could be scored; {first_of(failed, left_out)}")
    learned = list(known.epochs if known else epochs or EPOCHS[recipe])
    remarks = [
        *_how_learned(loaded, recipe, learned, kind, recognizes=bool(classes)),
        *_not_in_it(named, given, kind),
        *remarks,
    ]
    settings = {
        "what": [one.name for one in given] if named is None else [named[0]],
        "protocol": protocol,
        "kind": kind,
        "recipe": recipe,
        "epochs": learned,
        "seeds": sorted({one.seed for one in scored}),
        "flow": look.flow,
        "face_every": look.face_every,
        "way": how.way,
        "smoothing": how.smoothing,
        "bounds": how.bounds,
        "p": how.p,
        "weights_sha256": None if loaded is None else loaded.sha256,
        "trained_on": None if loaded is None else loaded.trained_on,
        "trained_stand_in": None if loaded is None else loaded.stand_in,
    }
    done = assess(
        out, scored, given, settings=settings, classes=classes, how=how,
        marks=known_events(named, given), remarks=remarks, left_out=left_out, failed=failed,
    )  # fmt: skip
    if export is not None:
        _write_sheet(export, out / "sheet", done.clips(done.spotted[0].scored.seed))
    return done


def _how_learned(
    loaded: Loaded | None, recipe: str, epochs: Sequence[int], kind: str, *, recognizes: bool
) -> Iterator[str]:
    """What a report has to say of the training, a sentence each."""
    if loaded is not None:
        stand_in = f": {STAND_IN}" if loaded.stand_in else ""
        yield f"These weights have learned from {loaded.trained_on}{stand_in}."
    published = EPOCHS[recipe]
    other = (
        ""
        if tuple(epochs) == published
        else f", not the recipe's {published[0]} and {published[1]}"
    )
    yield f"MEAN by the recipe of the {recipe}: {epochs[0]} and {epochs[1]} epochs{other}."
    if not recognizes:
        yield "There were not two emotions to learn everywhere, so that none is told."
    if kind == "macro":
        yield "MEAN was made for micro-expressions: its use on macro-expressions is ours."


def _not_in_it(
    named: tuple[str, Path] | None, given: Sequence[Recording], kind: str
) -> Iterator[str]:
    """Of a collection, which expressions and videos no score is about, a sentence each."""
    if named is None:
        return
    listed = sum(clip.kind == kind for clip in COLLECTIONS[named[0]].read(named[1]))
    there = sum(truth.kind == kind for one in given for truth in one.truths)
    if there < listed:
        yield (
            f"{listed - there} of the {listed} {kind}-expressions in the sheet are in videos that "
            "were left out: no score is about them."
        )
    yield "Videos that are not in the sheet, as those without any expression, were not looked at."


def _check_export(export: str, collection: str, way: str) -> None:
    """ValueError unless what is spotted in COLLECTION in this WAY fits the sheet of EXPORT."""
    if export not in EXPORTS:
        raise ValueError(f"no sheet of {export!r} can be written: {', '.join(EXPORTS)}")
    if export != collection:
        raise ValueError(f"a sheet of {export} holds no clips of {collection}; export {collection}")
    if export in SHORT and way != "highest":
        raise ValueError(f"a sheet of {export} has one expression a video; choose highest")


def _write_sheet(export: str, folder: Path, clips: Sequence[Clip]) -> None:
    if export in SHORT:  # their sheets tell no class but that of the emotion's own word
        clips = [replace(clip, label=None) for clip in clips]
    coded.write(folder, EXPORTS[export], clips)


def _check_choices(how: How, *, recipe: str, kind: str, seeds: int) -> None:
    for option, value, choices in (
        ("recipe", recipe, EPOCHS), ("kind", kind, KINDS), ("way", how.way, WAYS),
        ("smoothing", how.smoothing, SMOOTHINGS), ("bounds", how.bounds, BOUNDS),
    ):  # fmt: skip
        if value not in choices:
            raise ValueError(f"no {option} {value!r}: choose from {', '.join(choices)}")
    if not 0 <= how.p <= 1 or seeds < 1:
        raise ValueError(f"p {how.p}, {seeds} seeds: p is from 0 to 1, and there is 1 seed or more")


def _given(
    what: Sequence[str], named: tuple[str, Path] | None, fps: float | None, kind: str
) -> tuple[list[Recording], list[LeftOut], list[LeftOut]]:
    """The recordings of a collection or of paths, what is none of it, and what cannot be read."""
    if named is not None:
        return *recordings.of_collection(*named, fps=fps, kind=kind), []
    found: dict[str, Recording] = {}
    failed = []
    for path in what:
        try:
            one = recordings.of_path(Path(path), fps=fps)
        except UNUSABLE as error:
            failed.append(spotters.lost(path, error))
            continue
        if one.name in found:
            raise ValueError(f"{path}: another is called {one.name!r}; rename one")
        found[one.name] = one
    return list(found.values()), [], failed


def known_events(
    named: tuple[str, Path] | None, given: Iterable[Recording]
) -> dict[str, tuple[Mark, ...]]:
    """What else happens in each recording of a stand-in, by position; {} where nobody tells."""
    if named is None or not standin.is_standin(named[1]):
        return {}
    try:
        events = standin.events(named[1])
    except FileNotFoundError:  # of people who do nothing else
        return {}
    return {
        one.name: tuple(timeline.marks_of(events.get(one.footage.name, ()), one.numbers))
        for one in given
    }


# -- leave one subject out ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One person's videos and one seed; the lessons of everybody else."""

    name: str
    lessons: tuple[Lesson, ...]
    tested: tuple[Lesson, ...]
    classes: tuple[str, ...]
    recipe: str
    epochs: tuple[int, int] | None
    seed: int
    path: Path


class Answered(NamedTuple):
    """What a cell's network says of the videos of its person."""

    scored: tuple[Scored, ...]
    recognizes: bool


def leave_one_out(
    watched: Sequence[Watched],
    out: Path,
    *,
    classes: tuple[str, ...],
    recipe: str,
    epochs: tuple[int, int] | None,
    seeds: Iterable[int],
    workers: int,
    device: str,
) -> tuple[list[Answered], list[LeftOut], list[str]]:
    """Everybody's videos as networks score them that learned from the others, seed by seed.

    Beside: videos whose fold had nothing to train on, and what to know of the folds. ValueError
    where two people look like one, and where there are no two.
    """
    people = [one.recording.subject for one in watched]
    _apart(people)
    (out / "cells").mkdir(parents=True, exist_ok=True)
    lost: list[LeftOut] = []
    cells: list[tuple[Cell, list[Watched], int, float]] = []
    marks = [one.mark for one in watched]
    for fold in folds.split("loso", people):
        tested = [watched[row] for row in fold.test]
        lessons = tuple(watched[row].lesson for row in fold.train)
        try:
            spotters.frames_to_learn(lessons)
        except ValueError as error:
            lost += [LeftOut(one.recording.name, f"without {fold.name}, {error}") for one in tested]
            continue
        half, rate = usual_half(lessons)
        for seed in seeds:
            told = {
                "code": code_sha256(),
                "train": [marks[row] for row in fold.train],
                "test": [marks[row] for row in fold.test],
                "classes": classes,
                "recipe": recipe,
                "epochs": EPOCHS[recipe] if epochs is None else epochs,
                "seed": seed,
                "device": device.partition(":")[0],
            }
            cell = Cell(
                fold.name, lessons, tuple(one.lesson for one in tested), classes, recipe, epochs,
                seed, out / "cells" / f"{hashed(told)}.npz",
            )  # fmt: skip
            cells.append((cell, tested, half, rate))
    cells.sort(key=lambda one: one[0].seed)  # a seed is whole as early as it can be
    missing = [cell for cell, *_ in cells if not cell.path.is_file()]
    tell = Progress("networks", done=None)
    with Parallel(n_jobs=workers, return_as="generator") as parallel:
        for done, _ in enumerate(parallel(delayed(_run)(cell, device) for cell in missing), 1):
            tell(done, len(missing))
    answered = []
    remarks = []
    for cell, tested, half, rate in cells:
        arrays = _run(cell, device)
        recognizes = bool(arrays["recognizes"])
        scored = tuple(
            Scored(
                one.recording,
                cell.seed,
                half_at(half, rate, one.recording.fps),
                one.step,
                Said(arrays[f"scores {n}"], arrays[f"classes {n}"]),
                one.strength,
                one.odd,
            )
            for n, one in enumerate(tested)
        )
        answered.append(Answered(scored, recognizes))
        shown = dict(zip(classes, arrays["shown"].tolist(), strict=True))
        if not recognizes:
            remarks.append(
                f"without {cell.name}, there are not two emotions to learn: none is told of anybody"
            )
        elif none := [word for word, count in shown.items() if not count]:
            remarks.append(f"without {cell.name}, no {' and no '.join(none)} to learn from")
    return answered, lost, list(dict.fromkeys(remarks))


def _apart(people: Iterable[Person]) -> None:
    """ValueError unless PEOPLE are two or more, and no two of them look like one."""
    several = sorted(set(people))
    if len(several) < 2:
        known_by = ", ".join("/".join(who) for who in several) or "nobody"
        raise ValueError(f"to leave one person out takes two, and there is {known_by}")
    known: dict[tuple[str, ...], Person] = {}
    for who in several:
        if (other := known.setdefault(loosely(who), who)) != who:
            raise ValueError(
                f"{'/'.join(other)} and {'/'.join(who)} look like one person, who would be trained "
                "on and tested: spell each subject one way"
            )


def _run(cell: Cell, device: str) -> dict[str, Array]:
    """The arrays of CELL, from its file or by training."""

    def make() -> dict[str, Array]:
        with one_thread():  # the same bytes however many workers there are
            taught = teach(
                cell.lessons, classes=cell.classes, recipe=cell.recipe, seed=cell.seed,
                epochs=cell.epochs, device=device, checkpoint=cell.path,
            )  # fmt: skip
            arrays = {
                "recognizes": np.array(taught.recognizes),
                "shown": np.array(taught.shown),
                "frames": np.array([taught.positives, taught.negatives]),
            }
            for n, one in enumerate(cell.tested):
                said = ask(
                    taught.fitted, one.maps, one.seen, recognizes=taught.recognizes, device=device
                )
                arrays |= {f"scores {n}": said.scores, f"classes {n}": said.classes}
            return arrays

    arrays = kept(cell.path, make)
    for path in spotters.checkpoints(cell.path):
        path.unlink(missing_ok=True)
    return arrays


# -- with weights ---------------------------------------------------------------------------------


def _loaded(path: Path, *, kind: str | None, look: Look | None) -> Loaded:
    loaded = files.load(path)
    if loaded.spotter is None:
        raise ValueError(f"{path}: weights that never learned to spot; see mie-x train-spotter")
    if kind is not None and kind != loaded.spotter.kind:
        raise ValueError(f"{path}: learned {loaded.spotter.kind}-expressions, not {kind} ones")
    if look is not None and look != _look_of(loaded):
        raise ValueError(
            f"{path}: learned from {_look_of(loaded)}, not from {look}: what it sees has to be "
            "made in the same way"
        )
    return loaded


def _look_of(loaded: Loaded) -> Look:
    assert loaded.spotter is not None and loaded.flow is not None
    return Look(loaded.flow, loaded.spotter.face_every)


def refuse_known(loaded: Loaded, given: Iterable[Recording]) -> list[str]:
    """ValueError where LOADED has learned from somebody who is seen in one of GIVEN; remarks.

    People of a stand-in are nobody: they are called as those of the collection, and are not they.
    """
    assert loaded.spotter is not None
    people = {person(*who) for who in loaded.spotter.people}
    alike = {loosely(who): who for who in people}
    corpora = set()
    for one in given:
        if not one.told:
            return ["Who is seen here is not known: these weights might have learned from them."]
        if one.stand_in != loaded.stand_in:
            continue
        who = person(*one.subject)
        if (other := alike.get(loosely(who))) is not None:
            raise ValueError(
                f"{one.name}: these weights have learned from {'/'.join(other)}, who is seen in "
                "it; give other weights, or none: then everybody is left out in turn"
            )
        corpora.add(who.corpus)
    unknown = {who.corpus for who in people} - corpora - {*folds.APART}
    if not unknown or not corpora - {*folds.APART}:
        return []
    if unknown | corpora <= {*folds.COLLECTIONS}:
        return []
    return [
        f"whether anybody of {', '.join(sorted(corpora))} was filmed for "
        f"{', '.join(sorted(unknown))}, too, is not known here: these weights might know them"
    ]


def by_weights(
    loaded: Loaded,
    given: Sequence[Recording],
    out: Path,
    *,
    look: Look,
    workers: int,
    device: str,
) -> tuple[list[Scored], list[LeftOut]]:
    """GIVEN as LOADED scores them, part by part, no maps kept; and what could not be scored."""
    spotter = loaded.spotter
    assert spotter is not None
    (out / "cells").mkdir(parents=True, exist_ok=True)
    scored, failed = [], []
    total, before = sum(len(one.numbers) for one in given), 0
    tell = Progress("frames", done=None)
    for one in given:
        step = flow_step(one.fps)
        told = {
            "code": code_sha256(),
            "weights": loaded.sha256,
            "course": courses.told_of(one, look, step=step),
            "device": device.partition(":")[0],
        }

        def make(one: Recording = one, step: int = step, before: int = before) -> dict[str, Array]:
            parts, odd = [], list[str]()
            with one_thread():
                for part in courses.stream(one, look, step=step, workers=workers):
                    said = ask(
                        loaded.fitted, part.maps, part.seen, recognizes=spotter.recognizes,
                        device=device,
                    )  # fmt: skip
                    parts.append((*said, where_seen(part.strength, part.seen)))
                    odd.extend(part.odd)
                    tell(before + part.first + len(part.maps), total)
            scores, classes, strength = map(np.concatenate, zip(*parts, strict=True))
            return {
                "scores": scores,
                "classes": classes,
                "strength": strength,
                "odd": np.array(odd, str),
            }

        try:
            arrays = kept(out / "cells" / f"{hashed(told)}.npz", make)
        except UNUSABLE as error:
            failed.append(spotters.lost(one.name, error))
        else:
            half = half_at(spotter.half, spotter.fps, one.fps)
            said = Said(arrays["scores"], arrays["classes"])
            odd = tuple(arrays["odd"].tolist())
            scored.append(
                Scored(one, loaded.fitted.seed, half, step, said, arrays["strength"], odd)
            )
        before += len(one.numbers)
        tell(before, total)
    return scored, failed
