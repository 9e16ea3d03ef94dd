"""What was spotted: intervals from scores, what they are worth, tables, pictures, a sheet.

The post-processing is MEAN's (``recognizers.spotting``), the scores are of ``mie_x.intervals``: of
all videos together. In the same table, with nothing learned, and post-processed alike:

- "flow length": the mean length of the flow about brows, eyes and mouth as the score of a frame;
- "at random": as many intervals of the same length in each video, at random places; means of
  ``DRAWS`` draws;
- "everywhere": intervals of that length, end to end.

What was falsely found is called after what is known to happen there: an expression of another kind,
of this kind where it was met by too little or found already, and in a stand-in blinks, movements of
head and mouth. A video that could not be looked at has nothing found: what is true in it is missed.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mie_x import __version__, intervals
from mie_x.cells import inert
from mie_x.folds import Person
from mie_x.intervals import Interval, Spread, Video
from mie_x.markdown import plain, table
from mie_x.records import LABELS, Clip, Origin
from mie_x.report import STAND_IN
from mie_x.whole import safe, write_json, write_text
from pipelines import timeline
from pipelines.examples import LeftOut
from pipelines.progress import counted
from pipelines.recordings import Recording
from pipelines.spotters import LIBRARIES, Said, classes_of, lost
from pipelines.timeline import Mark
from recognizers import spotting
from recognizers.spotting import SMOOTHINGS, P, flow_step

DRAWS = 200  # of intervals at random places
PLACED = 1  # what a random choice is for: the first of its seeds

COLUMNS = (
    "video", "corpus", "subject", "seed", "first", "apex", "last",
    "first_seconds", "apex_seconds", "last_seconds", "score", "threshold", "class", "right",
)  # fmt: skip
SHOWN = {
    "TP": "TP", "FP": "FP", "FN": "FN", "precision": "precision", "recall": "recall", "F1": "F1",
    "F1_interval": "95 %", "AP": "AP@[.5:.95]", "analysis_F1": "F1 of emotions", "STRS": "STRS",
}  # fmt: skip
"""Column of ``results.json`` -> head of the report's."""


@dataclass(frozen=True, slots=True)
class How:
    """How scores become intervals: names and number of ``recognizers.spotting``."""

    way: str = "offline"
    smoothing: str = "paper"
    bounds: str = "paper"
    p: float = P


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """A recording of n frames as one network scores it, and the simple score beside.

    ``said`` and ``strength``, px of 128, have a row for each of the n - k frames, NaN where nothing
    was seen; none of a recording that could not be looked at. ``half`` is k', ``step`` k.
    """

    recording: Recording
    seed: int
    half: int
    step: int
    said: Said
    strength: NDArray[np.float32]
    odd: tuple[str, ...] = ()

    @property
    def delay(self) -> float:
        """Seconds after a peak until it is known, online, at the latest but for a level top."""
        return (2 * self.half + self.step) / self.recording.fps


class Found(NamedTuple):
    """An interval, and the threshold that its peak has reached."""

    interval: Interval
    threshold: float


@dataclass(frozen=True, slots=True, eq=False)
class Spotted:
    """What was found in a recording; ``right`` (found,) whether it is true, None if not known."""

    scored: Scored
    found: tuple[Found, ...]
    right: tuple[bool, ...] | None


def found_by(
    scores: ArrayLike,
    one: Scored,
    how: How,
    *,
    kind: str,
    classes: NDArray[np.int8] | None = None,
) -> tuple[Found, ...]:
    """Expressions of KIND by SCORES of the recording of ONE; labels by CLASSES, one a frame.

    ValueError where smoothing leaves no score.
    """
    each = np.asarray(scores, np.float64)
    if not len(each):
        return ()
    rules: dict[str, Any] = {"way": how.way, "smoothing": how.smoothing, "p": how.p}
    peaks = spotting.peaks(each, half=one.half, gaps=True, **rules)
    found = spotting.spot(
        each, frames=len(one.recording.numbers), half=one.half, gaps=True, bounds=how.bounds,
        **rules,
    )  # fmt: skip
    made = []
    for interval, peak in zip(found, peaks, strict=True):
        label = None
        if classes is not None:
            label = spotting.emotion(classes.tolist(), peak.frame, half=one.half)
        made.append(Found(replace(interval, kind=kind, label=label), peak.threshold))
    return tuple(made)


def video(one: Scored, found: Iterable[Interval], *, kind: str, labels: Mapping[int, int]) -> Video:
    """ONE with what is true of KIND and what was FOUND; LABELS are of the collection -> classes.

    Truths of other classes have none: they are spotted, not recognized.
    """
    truths = tuple(
        replace(truth, label=labels.get(truth.label) if truth.label is not None else None)
        for truth in one.recording.truths
        if truth.kind == kind
    )
    recording = one.recording
    return Video(recording.name, recording.subject, recording.fps, truths, tuple(found))


def scores_of(
    videos: Sequence[Video], *, seed: int, classes: Sequence[str] | None, ranked: bool = True
) -> dict[str, Any]:
    """What VIDEOS are worth, JSON-able; None for what cannot be told.

    CLASSES are those that were recognized, None if none. RANKED: whether what was found has scores.
    """
    counts = intervals.counted(videos)
    told: dict[str, Any] = {
        "TP": counts.right,
        "FP": counts.found - counts.right,
        "FN": counts.truths - counts.right,
        "precision": counts.precision,
        "recall": counts.recall,
        "F1": counts.f1,
        "F1_interval": _spread(lambda: intervals.f1_spread(videos, seed=seed)),
        "AP": intervals.average_precision(videos) if ranked else None,
    }
    if classes is None:
        return told
    confusion = intervals.recognized(videos, classes=len(classes))
    recalls = confusion.diagonal() / np.maximum(confusion.sum(axis=1), 1)
    told |= {
        "confusion": confusion.tolist(),
        "analysis_F1": float(intervals.analysis_f1(confusion)),
        "UF1_of_spotted": float(intervals.mean_class_f1(confusion)),
        "UAR_of_spotted": float(recalls.mean()),
    }
    labels = {truth.label for one in videos for truth in one.truths}
    if labels >= set(range(len(classes))):
        told["STRS"] = counts.f1 * told["analysis_F1"]
        told["STRS_interval"] = _spread(
            lambda: intervals.strs_spread(videos, classes=len(classes), seed=seed)
        )
    return told


def _spread(measure: Callable[[], Spread]) -> list[float] | None:
    try:
        spread = measure()
    except ValueError:  # fewer than two people, or most resamples without an expression
        return None
    return [spread.low, spread.high]


def apexes_of(videos: Sequence[Video]) -> dict[str, Any] | None:
    """ASR and how far apexes are off, of videos of one expression whose apex was coded."""
    short = [
        one
        for one in videos
        if len(one.truths) == 1 and one.truths[0].apex is not None and len(one.found) < 2
    ]
    return intervals.apexes(short)._asdict() if short else None


def at_random(
    given: Sequence[Spotted], *, kind: str, seed: int, bounds: str = "paper", draws: int = DRAWS
) -> dict[str, Any]:
    """Means over DRAWS of as many intervals as were GIVEN, as long, at random places."""
    rng = np.random.default_rng([PLACED, seed])
    rows = []
    for _ in range(draws):
        videos = []
        for spotted in given:
            one = spotted.scored
            length, frames = _length(one, bounds), len(one.recording.numbers)
            firsts = rng.integers(0, max(1, frames - length + 1), len(spotted.found)).tolist()
            found = (Interval(n, min(frames, n + length) - 1, kind=kind) for n in firsts)
            videos.append(video(one, found, kind=kind, labels={}))
        rows.append(intervals.counted(videos))
    means: dict[str, list[float]] = {
        "TP": [row.right for row in rows],
        "FP": [row.found - row.right for row in rows],
        "FN": [row.truths - row.right for row in rows],
        "precision": [row.precision for row in rows],
        "recall": [row.recall for row in rows],
        "F1": [row.f1 for row in rows],
    }
    told: dict[str, Any] = {name: float(np.mean(values)) for name, values in means.items()}
    return told | {"F1_sd": float(np.std(means["F1"])), "draws": draws}


def everywhere(one: Scored, *, kind: str, bounds: str = "paper") -> Iterator[Interval]:
    """Intervals as long as those about a peak, end to end; the last ends with the video."""
    frames, length = len(one.recording.numbers), _length(one, bounds)
    for first in range(0, frames, length) if one.half else ():
        yield Interval(first, min(frames, first + length) - 1, kind=kind)


def _length(one: Scored, bounds: str) -> int:
    """Frames of an interval about a peak: 2 k', or one more."""
    first, last = spotting.BOUNDS[bounds](0, one.half)
    return last - first + 1


def mistaken(
    given: Iterable[Spotted], marks: Mapping[str, Sequence[Mark]], kind: str
) -> Counter[str]:
    """What happened where something was found that is not true: the most of its frames, else
    "nothing known". MARKS are what else is known of a recording, by its name."""
    counts: Counter[str] = Counter()
    for spotted in given:
        recording = spotted.scored.recording
        if spotted.right is None:
            continue
        known = [*marks.get(recording.name, ())]
        half = {kind: ", met by less than half, or again"}
        known += [
            (f"{one.kind}-expression{half.get(one.kind, '')}", one.first, one.last)
            for one in recording.truths
        ]
        for (interval, _), right in zip(spotted.found, spotted.right, strict=True):
            if right:
                continue
            shared = [
                (min(interval.last, last) - max(interval.first, first) + 1, what)
                for what, first, last in known
            ]
            frames, what = max(shared, key=lambda one: one[0], default=(0, ""))
            counts[what if frames > 0 else "nothing known"] += 1
    return counts


@dataclass(frozen=True, eq=False)
class Done:
    """What ``pipelines.spot`` has found and written, the seeds one after the other.

    ``results`` is ``results.json``. ``left_out`` are no recordings, ``failed`` those that could not
    be looked at or scored. ``classes`` are names of labels, empty where nothing was recognized.
    """

    out: Path
    spotted: tuple[Spotted, ...]
    classes: tuple[str, ...]
    kind: str
    results: Mapping[str, Any]
    left_out: tuple[LeftOut, ...]
    failed: tuple[LeftOut, ...]

    @property
    def odd(self) -> list[tuple[str, str]]:
        """Videos that were looked at, with what is strange about them."""
        first = self.spotted[0].scored.seed
        looked_at = [one.scored for one in self.spotted if one.scored.seed == first]
        return [
            (one.recording.name, remark)
            for one in looked_at
            for remark in (*one.recording.odd, *one.odd)
        ]

    def clips(self, seed: int) -> list[Clip]:
        """What was found with SEED as clips; their emotion is the class, "" where there is none."""
        made = []
        for spotted in self.spotted:
            if spotted.scored.seed != seed:
                continue
            recording = spotted.scored.recording
            numbers = recording.numbers
            video = recording.footage.name.rpartition("/")[2]
            for count, (one, _) in enumerate(spotted.found, 1):
                name = video if self.results["settings"]["way"] == "highest" else f"{video}_{count}"
                made.append(
                    Clip(
                        origin=Origin(*owner(recording), name),
                        footage=recording.footage,
                        onset=numbers[one.first],
                        apex=None if one.apex is None else numbers[one.apex],
                        offset=numbers[one.last],
                        emotion="" if one.label is None else self.classes[one.label],
                        label=None if one.label is None else LABELS[self.classes[one.label]],
                        kind=one.kind,
                        fps=recording.fps,
                        stand_in=recording.stand_in,
                    )
                )
        return made


def assess(
    out: Path,
    scored: Sequence[Scored],
    given: Sequence[Recording],
    *,
    settings: Mapping[str, Any],
    classes: tuple[str, ...],
    how: How,
    marks: Mapping[str, Sequence[Mark]],
    remarks: Sequence[str],
    left_out: Sequence[LeftOut],
    failed: Sequence[LeftOut],
) -> Done:
    """Intervals of SCORED, what they are worth, and the files of OUT.

    GIVEN are all recordings: those that were not scored have nothing found. CLASSES are () where
    no emotion is told. MARKS are what else is known of a recording, by its name.
    """
    kind = settings["kind"]
    places = {one.name: place for place, one in enumerate(given)}
    there = [*scored, *_unseen(scored, given)]
    made: list[Spotted] = []
    short: dict[str, LeftOut] = {}
    for one in sorted(there, key=lambda one: (one.seed, places[one.recording.name])):
        found: tuple[Found, ...] = ()
        try:
            found = found_by(
                one.said.scores, one, how, kind=kind, classes=one.said.classes if classes else None
            )
        except ValueError as error:
            short[one.recording.name] = lost(one.recording.name, error)
        made.append(Spotted(one, found, _right(one, found, kind)))
    failed = (*failed, *short.values())
    coded = [one for one in made if one.scored.recording.told]
    delays = [one.delay for one in there if len(one.said.scores)]
    results = {
        "title": f"{kind.capitalize()}-expressions spotted in {', '.join(settings['what'])[:200]} "
        f"({len(places)} videos), {settings['protocol']}, {how.way}",
        "stand_in": bool(settings["trained_stand_in"])
        or any(one.recording.stand_in for one in there),
        "online": how.way == "online",
        "delay_seconds": round(max(delays), 3) if how.way == "online" and delays else None,
        "settings": dict(settings),
        "classes": list(classes),
        "versions": {"mie-x": __version__} | {name: version(name) for name in LIBRARIES},
        "remarks": [*_remarks(made, how, kind, max(delays, default=0.0)), *remarks],
        "scores": _table(coded, how, kind, classes),
        "apexes": _apexes(coded, kind) if how.way == "highest" else [],
        "false": [
            {"seed": seed, "counts": dict(sorted(mistaken(own, marks, kind).items()))}
            for seed, own in _by_seed(coded)
        ],
        "videos": [_told(one) for one in made],
        "left_out": [one._asdict() for one in left_out],
        "failed": [one._asdict() for one in failed],
    }
    done = Done(out, tuple(made), classes, kind, results, tuple(left_out), tuple(failed))
    write(done, marks, how)
    return done


def _unseen(there: Sequence[Scored], given: Iterable[Recording]) -> Iterator[Scored]:
    """Coded recordings that no network could be asked about, once a seed."""
    scored = {one.recording.name for one in there}
    nothing = Said(np.zeros(0, np.float32), np.zeros(0, np.int8))
    for one in given:
        if one.told and one.name not in scored:
            for seed in sorted({other.seed for other in there}):
                yield Scored(one, seed, 0, flow_step(one.fps), nothing, nothing.scores)


def _right(one: Scored, found: Sequence[Found], kind: str) -> tuple[bool, ...] | None:
    if not one.recording.told:
        return None
    truths = [truth for truth in one.recording.truths if truth.kind == kind]
    pairs = intervals.greedy(truths, [interval for interval, _ in found])
    claimed = {f for _, f in pairs}
    return tuple(n in claimed for n in range(len(found)))


def _by_seed(given: Sequence[Spotted]) -> Iterator[tuple[int, list[Spotted]]]:
    for seed in sorted({one.scored.seed for one in given}):
        yield seed, [one for one in given if one.scored.seed == seed]


def _videos(given: Iterable[Spotted], kind: str, labels: Mapping[int, int]) -> list[Video]:
    return [
        video(one.scored, [found.interval for found in one.found], kind=kind, labels=labels)
        for one in given
    ]


def _table(
    given: Sequence[Spotted], how: How, kind: str, classes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The rows of scores: MEAN by seed and the mean of all, then what learned nothing."""
    rows: list[dict[str, Any]] = []
    if not any(t.kind == kind for one in given for t in one.scored.recording.truths):
        return rows
    labels = classes_of(classes)
    parts = list(_by_seed(given))
    for seed, own in parts:
        told = scores_of(_videos(own, kind, labels), seed=seed, classes=classes or None)
        rows.append({"what": "MEAN", "seed": seed, **told})
    if len(parts) > 1:
        mean: dict[str, Any] = {"what": "MEAN", "seed": "mean"}
        for name in ("precision", "recall", "F1", "AP", "analysis_F1", "STRS"):
            values = [row[name] for row in rows if row.get(name) is not None]
            if len(values) == len(parts):
                mean |= {name: float(np.mean(values)), f"{name}_sd": float(np.std(values, ddof=1))}
        rows.append(mean)
    seed, own = parts[0]
    simple = []
    for spotted in own:
        one = spotted.scored
        try:
            found = found_by(one.strength, one, how, kind=kind)
        except ValueError:  # too short: counted as failed for the network, too
            found = ()
        simple.append(video(one, [found.interval for found in found], kind=kind, labels={}))
    rows.append({"what": "flow length", **scores_of(simple, seed=seed, classes=None)})
    for each, some in parts:
        rows.append(
            {
                "what": "at random",
                "seed": each,
                **at_random(some, kind=kind, seed=each, bounds=how.bounds),
            }
        )
    tiled = [
        video(s.scored, everywhere(s.scored, kind=kind, bounds=how.bounds), kind=kind, labels={})
        for s in own
    ]
    told = scores_of(tiled, seed=seed, classes=None, ranked=False)
    return [*rows, {"what": "everywhere", **told}]


def _apexes(given: Sequence[Spotted], kind: str) -> list[dict[str, Any]]:
    told = [(seed, apexes_of(_videos(own, kind, {}))) for seed, own in _by_seed(given)]
    return [{"seed": seed, "apexes": apexes} for seed, apexes in told if apexes is not None]


def _remarks(given: Sequence[Spotted], how: How, kind: str, delay: float) -> Iterator[str]:
    yield {
        "offline": "Offline: each peak is judged by mean and maximum of its whole video.",
        "online": f"Online: each peak is judged by what was seen until it is known, {delay:.2f} s "
        "after it at the latest.",
        "highest": "One interval a video, about its highest peak, whether there is one or not.",
    }[how.way]
    first = [one for one in given if one.scored.seed == given[0].scored.seed]
    missed = [one for one in first if not len(one.scored.said.scores)]
    if missed:
        truths = [t for one in missed for t in one.scored.recording.truths if t.kind == kind]
        yield (
            f"{len(missed)} videos could not be scored: the {len(truths)} {kind}-expressions in "
            "them count as missed."
        )
    if any(not one.scored.recording.told for one in first):
        yield "Nobody coded these videos: whether what was found is right is not known."


def _told(spotted: Spotted) -> dict[str, Any]:
    one = spotted.scored
    return {
        "video": one.recording.name,
        "seed": one.seed,
        "frames": len(one.recording.numbers),
        "fps": one.recording.fps,
        "k": one.step,
        "half": one.half,
        "seen": int(np.isfinite(one.said.scores).sum()),
        "found": len(spotted.found),
        "right": None if spotted.right is None else sum(spotted.right),
        "odd": [*one.recording.odd, *one.odd],
    }


def owner(recording: Recording) -> Person:
    """Corpus and subject of RECORDING, as its collection has them; a lone video is of "clips", and
    who is seen in it is called after it."""
    if not recording.told:
        return Person("clips", recording.name)
    return Person(recording.name.partition("/")[0], recording.subject.subject)


def rows_of(done: Done) -> Iterator[list[Any]]:
    """The rows of ``intervals.csv``, in the order of ``COLUMNS``, frames by their numbers."""
    for spotted in done.spotted:
        one = spotted.scored
        recording, numbers = one.recording, one.recording.numbers
        corpus, subject = owner(recording) if recording.told else ("", "")
        for n, (interval, threshold) in enumerate(spotted.found):
            at = (interval.first, interval.apex, interval.last)
            yield [
                *map(inert, (recording.name, corpus, subject)),
                one.seed,
                *("" if place is None else numbers[place] for place in at),
                *("" if place is None else f"{place / recording.fps:.3f}" for place in at),
                f"{interval.score:.6g}",
                f"{threshold:.6g}",
                "" if interval.label is None else inert(done.classes[interval.label]),
                "" if spotted.right is None else int(spotted.right[n]),
            ]


def write(done: Done, marks: Mapping[str, Sequence[Mark]], how: How) -> None:
    """Write intervals.csv, results.json, pictures of the first seed and, last, report.md."""
    file = io.StringIO()
    if done.results["stand_in"]:
        file.write(f"# {STAND_IN}\n")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows_of(done))
    write_text(done.out / "intervals.csv", file.getvalue())
    folder = done.out / "pictures"
    folder.mkdir(exist_ok=True)
    first = [s for s in done.spotted if s.scored.seed == done.spotted[0].scored.seed]
    drawn = {f"{safe(one.scored.recording.name)}.png": one for one in first}
    for name in _drawn_before(done.out):
        if name not in drawn:
            (folder / Path(name).name).unlink(missing_ok=True)
    for name, one in counted(drawn.items(), len(drawn), "pictures"):
        _draw(one, folder / name, marks.get(one.scored.recording.name, ()), how, done.results)
    write_json(done.out / "results.json", dict(done.results) | {"pictures": sorted(drawn)})
    write_text(done.out / "report.md", "\n".join(_report(done, drawn)) + "\n")


def _drawn_before(out: Path) -> list[str]:
    """Names of the pictures of an earlier call, which are ours to take away."""
    try:
        names = json.loads((out / "results.json").read_text()).get("pictures", [])
        return [name for name in names if isinstance(name, str)]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def _draw(
    spotted: Spotted, path: Path, marks: Sequence[Mark], how: How, results: Mapping[str, Any]
) -> None:
    one = spotted.scored
    values = one.said.scores.astype(np.float64)
    curve, least = None, None
    if len(values):
        curve = SMOOTHINGS[how.smoothing](values, one.half)
        if how.way != "online" and not np.isnan(curve.values).all():
            least = spotting.threshold(curve.values, how.p)
    recording = one.recording
    learned = "; learned from a stand-in" if results["settings"]["trained_stand_in"] else ""
    figure = timeline.draw(
        f"{recording.name}, {how.way}, k' {one.half}, seed {one.seed}{learned}",
        fps=recording.fps,
        scores=values,
        smoothed=curve,
        threshold=least,
        found=[found.interval for found in spotted.found],
        truths=recording.truths if recording.told else None,
        marks=marks,
        stand_in=recording.stand_in,
    )
    timeline.write(figure, path)


def _report(done: Done, drawn: Mapping[str, Spotted]) -> Iterator[str]:
    results = done.results
    yield f"# {plain(results['title'])}\n"
    if results["stand_in"]:
        yield f"**{STAND_IN}**\n"
    for line in results["remarks"]:
        yield f"- {plain(line)}"
    if scores := results["scores"]:
        heads = [name for name in SHOWN if any(row.get(name) is not None for row in scores)]
        lines = [["score of a frame", "seed", *(SHOWN[name] for name in heads)]]
        for row in scores:
            lines.append(
                [row["what"], str(row.get("seed", "")), *(_cell(row, name) for name in heads)]
            )
        yield f"\n{table(lines)}\n"
        yield "± is the standard deviation: of MEAN's seeds, of draws at random.\n"
        if results["apexes"]:
            lines = [["seed", *results["apexes"][0]["apexes"]]]
            lines += [
                [str(one["seed"]), *map(_shown, one["apexes"].values())]
                for one in results["apexes"]
            ]
            yield f"## Apexes of videos with one expression\n\n{table(lines)}\n"
        if any(one["counts"] for one in results["false"]):
            names = sorted({name for one in results["false"] for name in one["counts"]})
            lines = [["what happened there", *(f"seed {one['seed']}" for one in results["false"])]]
            lines += [
                [name, *(str(one["counts"].get(name, 0)) for one in results["false"])]
                for name in names
            ]
            yield f"## What was falsely found\n\n{table(lines)}\n"
    yield "\n## Videos\n"
    lines = [["video", "seconds", "fps", "k", "k'", "found", "true"]]
    for one in drawn.values():
        recording = one.scored.recording
        true = sum(truth.kind == done.kind for truth in recording.truths)
        lines.append(
            [
                recording.name,
                f"{len(recording.numbers) / recording.fps:.1f}",
                f"{recording.fps:g}",
                str(one.scored.step),
                str(one.scored.half),
                str(len(one.found)),
                str(true) if recording.told else "not known",
            ]
        )
    yield f"{table(lines)}\n"
    if done.odd:
        yield "## What is odd\n"
        yield from (f"- {plain(name)}: {plain(remark)}" for name, remark in done.odd)
        yield ""
    yield "## What was left out, and what failed\n"
    for what, some in (("left out", done.left_out), ("failed", done.failed)):
        yield f"- {what}: {len(some)}"
        for name, reason in some:
            yield f"  - {plain(name)}: {plain(reason)}"
    yield ""
    for name in drawn:
        yield f"![{name}](pictures/{name})"


def _cell(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    said = _shown(value)
    sd = row.get(f"{name}_sd")
    return said if sd is None or value is None else f"{said} ± {sd:.4f}"


def _shown(value: Any) -> str:
    """A number as a table has it."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"{value[0]:.3f} to {value[1]:.3f}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
