"""What was inferred of clips from one labelled frame each: how near it is, and the files that tell.

Every method is scored on the same clips, from the same frames. Intervals resample people, as in
``mie_x.intervals``; what MECIA has over ``halfway``, which sees no pixel, is of pairs. All that is
written says where the truth was used, and what is a stand-in.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mie_x.cells import inert
from mie_x.datasets import standin
from mie_x.datasets.coded import is_machines
from mie_x.datasets.collection import place
from mie_x.datasets.sheets import write_sheet
from mie_x.folds import Person, person
from mie_x.intervals import (
    Interval,
    KeyFrameErrors,
    Spread,
    clip_f1,
    clip_iou,
    key_frame_errors,
    mean_spread,
    resampled,
)
from mie_x.markdown import plain, table
from mie_x.records import Clip
from mie_x.report import STAND_IN
from mie_x.whole import safe, stays_below, write_json, write_text
from pipelines import timeline
from pipelines.examples import LeftOut
from pipelines.labelled import CUTS, Cut, Marked
from recognizers.key_frames import EPOCHS, RANDOM_IOU, Inference, Inferred, overlap, random_iou

if TYPE_CHECKING:  # matplotlib takes a second
    from matplotlib.figure import Figure

VIEW = 224  # px, as published
DRAWN = 20
MOST_REASONS = 10
GOOD = 0.75  # IoU
SATURATED = 0.99  # score of a frame
FORMULA = "random, our formula for the paper's floors"
CHANCE = "random, mean of all intervals"
HALFWAY = "halfway, no pixel seen"

STOPS = {
    "unchanged": "rounds end when no label changes",
    "truth": "USES THE TRUTH: rounds end when the IoU with the coded frames stays the same",
}

TRUTH = {
    "start": "which frame is given",
    "cut": "where clips are cut",
    "stop": "when rounds end",
}
"""What the truth may decide, beside scores."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Key frames that METHOD found in a clip from the frame GIVEN; positions in the cut's numbers.

    ``iou``, ``f1`` and ``errors`` are None where nothing is coded.
    """

    method: str
    cut: Cut
    given: int
    inferred: Inferred
    iou: float | None = None
    f1: float | None = None
    errors: KeyFrameErrors | None = None

    @property
    def numbers(self) -> tuple[int, int, int]:
        """Onset, apex and offset as frame numbers of the footage."""
        onset, apex, offset = (self.cut.numbers[at] for at in self.inferred)
        return onset, apex, offset


def compare(method: str, cut: Cut, given: int, inferred: Inferred) -> Found:
    """What METHOD INFERRED, scored where the key frames of CUT are coded.

    IoU and F1 are of frames; errors of time, where the frame rate is known.
    """
    found = Found(method, cut, given, inferred)
    if not cut.told:
        return found
    truth, frames = cut.truth, np.arange(len(cut.numbers))
    said = (inferred.onset <= frames) & (frames <= inferred.offset)
    is_so = (truth.first <= frames) & (frames <= truth.last)
    errors = None
    if cut.clip.fps is not None:
        assert cut.clip.onset is not None and cut.clip.offset is not None
        onset, at, offset = found.numbers
        errors = key_frame_errors(
            Interval(onset, offset, apex=at),
            Interval(cut.clip.onset, cut.clip.offset, apex=cut.clip.apex if cut.has_apex else None),
            fps=cut.clip.fps,
        )
    return replace(found, iou=clip_iou(said, is_so), f1=clip_f1(said, is_so), errors=errors)


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What a call came to. ``found`` are MECIA's, of each set of modules in turn; ``figures`` by
    method; ``left_out`` cannot be used, ``failed`` could not be seen."""

    out: Path
    found: tuple[Found, ...]
    baselines: tuple[Found, ...]
    figures: dict[str, dict[str, Any]]
    left_out: tuple[LeftOut, ...]
    failed: tuple[LeftOut, ...]
    stand_in: bool

    def clips(self) -> list[Clip]:
        """The clips with the key frames that the last set of modules found, for ``EXPORTS``.

        Their apexes count as coded: by a machine, as each row of such a sheet says.
        """
        last = self.found[-1].method
        return [
            replace(one.cut.clip, onset=onset, apex=apex, offset=offset, apex_from="coded")
            for one in self.found
            if one.method == last
            for onset, apex, offset in [one.numbers]
        ]


# -- figures -------------------------------------------------------------------------------------

Values = list[tuple[Person, float]]
"""A number a clip, with its person."""


def median_spread(values: Values, *, seed: int) -> Spread:
    """The interval of the median of VALUES, people resampled as in ``mean_spread``."""
    ranked = np.unique([value for _, value in values])
    counts: dict[Person, NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(ranked)))
    for who, value in values:
        counts[who][np.searchsorted(ranked, value)] += 1

    def score(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        below, half = sums.cumsum(axis=1), sums.sum(axis=1, keepdims=True) / 2
        lower, upper = (below >= half).argmax(axis=1), (below > half).argmax(axis=1)
        return np.asarray((ranked[lower] + ranked[upper]) / 2)

    return resampled(counts.values(), score, seed=seed)


def figure(values: Values, *, seed: int) -> dict[str, Any]:
    """Mean and median of VALUES, None of none, and their 95 % intervals over two people or more."""
    numbers = [value for _, value in values]
    people = len({who for who, _ in values})
    mean, median = (
        (None, None)
        if people < 2
        else (mean_spread(values, seed=seed), median_spread(values, seed=seed))
    )
    return {
        "clips": len(numbers),
        "people": people,
        "mean": float(np.mean(numbers)) if numbers else None,
        "interval": mean and [mean.low, mean.high],
        "median": float(np.median(numbers)) if numbers else None,
        "median_interval": median and [median.low, median.high],
    }


MEASURES: dict[str, Callable[[Found], float | None]] = {
    "iou": lambda one: one.iou,
    "f1": lambda one: one.f1,
    "iou_good": lambda one: None if one.iou is None else float(one.iou >= GOOD),
    "onset_ms": lambda one: one.errors and one.errors.onset,
    "apex_ms": lambda one: one.errors and one.errors.apex,
    "offset_ms": lambda one: one.errors and one.errors.offset,
    "apex_share": lambda one: one.errors and one.errors.apex_share,
}
"""What is measured of a clip; None where it cannot be told."""


def _who(cut: Cut) -> Person:
    return person(cut.clip.origin.corpus, cut.clip.origin.subject)


def figures_of(
    rows: Sequence[Found], baselines: Sequence[Found], *, seed: int
) -> dict[str, dict[str, Any]]:
    """Of each method every one of ``MEASURES``; of MECIA's also the IoU less that of halfway."""
    methods: dict[str, list[Found]] = defaultdict(list)
    for one in (*rows, *baselines):
        if one.cut.told:
            methods[one.method].append(one)
    figures: dict[str, dict[str, Any]] = {}
    for method, found in methods.items():
        figures[method] = {}
        for name, measure in MEASURES.items():
            told = [(_who(one.cut), measure(one)) for one in found]
            values = [(who, value) for who, value in told if value is not None]
            figures[method][name] = figure(values, seed=seed)
    by_halfway = methods.get(HALFWAY, [])
    for method in dict.fromkeys(one.method for one in rows if one.cut.told):
        found = methods[method]
        less = [
            (_who(one.cut), (one.iou or 0) - (other.iou or 0))
            for one, other in zip(found, by_halfway, strict=True)
        ]
        figures[method]["iou_less_halfway"] = figure(less, seed=seed)
        by_formula, by_chance = [], []
        for one in found:
            truth, length = one.cut.truth, len(one.cut.numbers)
            ends = truth.first, truth.last
            formula = RANDOM_IOU[overlap(one.inferred, ends)]
            by_formula.append((_who(one.cut), formula(truth.length, length)))
            by_chance.append((_who(one.cut), random_iou(length, one.given, ends)))
        figures[f"{FORMULA}, where {method} lies"] = {"iou": figure(by_formula, seed=seed)}
        figures[CHANCE] = {"iou": figure(by_chance, seed=seed)}
    return figures


# -- files ---------------------------------------------------------------------------------------

COLUMNS = (
    "stand_in", "uses_truth", "start", "cut", "stop", "method", "corpus", "subject", "clip", "fps",
    "first_looked", "last_looked", "frame", "onset", "apex", "offset",
    "true_onset", "true_apex", "true_offset", "iou", "f1",
    "onset_ms", "apex_ms", "offset_ms", "apex_share",
)  # fmt: skip


def _line(one: Found, told: Mapping[str, Any], *, rounds: bool) -> list[object]:
    """A row of ONE, that ROUNDS have found or not."""
    clip, errors, numbers = one.cut.clip, one.errors, one.cut.numbers
    coded = clip.apex if one.cut.has_apex else None
    measured = [one.iou, one.f1]
    if errors is None:
        measured += [None] * 4
    else:
        measured += [errors.onset, errors.apex, errors.offset, errors.apex_share]
    return [
        clip.stand_in, "+".join(use for use in told["uses_truth"] if rounds or use != "stop"),
        told["start"], told["cut"], told["stop"] if rounds else "", one.method,
        *map(inert, clip.origin), clip.fps, numbers[0], numbers[-1], numbers[one.given],
        *one.numbers, clip.onset, coded, clip.offset,
        *(None if value is None else round(value, 6) for value in measured),
    ]  # fmt: skip


def write(
    done: Done,
    marked: Sequence[Marked],
    inferences: Mapping[str, Inference],
    told: Mapping[str, Any],
) -> None:
    """Write all files but the sheet, in place of an earlier call's; TOLD are settings and times."""
    _take_away(done.out)
    for name, rows in (("keyframes", done.found), ("baselines", done.baselines)):
        if rows:
            lines = [_line(one, told, rounds=name == "keyframes") for one in rows]
            write_sheet(done.out / f"{name}.csv", {name: [COLUMNS, *lines]})
    pictures = _pictures(done, inferences)
    marks: dict[str, list[timeline.Mark]] = {}
    odd = {
        one.cut.key: [*one.cut.clip.odd, *one.cut.clip.repaired]
        + [f"{one.seen.faces} faces on its first frame, the largest is taken"]
        * (one.seen.faces > 1)
        for one in marked
    }
    for one, _ in pictures.values():
        if (key := one.cut.key) not in marks:
            try:
                marks[key] = happening(one.cut)
            except ValueError as error:
                marks[key] = []
                odd[key].append(str(error))
    results = dict(told) | {
        "clips": len(marked),
        "figures": done.figures,
        "rounds": {name: [r._asdict() for r in one.log] for name, one in inferences.items()},
        "saturated": {name: _saturated(one) for name, one in inferences.items()},
        "left_out": [list(one) for one in done.left_out],
        "failed": [list(one) for one in done.failed],
        "odd": {key: remarks for key, remarks in odd.items() if remarks},
        "pictures": list(pictures),
    }
    write_json(done.out / "results.json", results)
    for place_, (one, scores) in pictures.items():
        path = done.out / place_
        path.parent.mkdir(parents=True, exist_ok=True)
        uses_truth = "stop" in told["uses_truth"]
        timeline.write(_drawn(one, scores, marks[one.cut.key], uses_truth=uses_truth), path)
    write_text(done.out / "report.md", _report(done, results))


def _take_away(out: Path) -> None:
    """Take away what an earlier call has written into OUT; files of others stay."""
    try:
        told = json.loads((out / "results.json").read_text())
        pictures, sheet = list(told["pictures"]), told["sheet"]
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        pictures, sheet = [], None
    if sheet is not None and stays_below(sheet) and (out / sheet).is_file():
        with suppress(ValueError):  # damaged: who knows whose it is
            if is_machines(out / sheet):
                (out / sheet).unlink()
    for name in ("keyframes.csv", "baselines.csv", "report.md", "results.json", *pictures):
        if stays_below(name):
            (out / name).unlink(missing_ok=True)


def _saturated(inference: Inference) -> float:
    """The share of the frames found that are scored ``SATURATED`` or more."""
    pairs = zip(inference.inferred, inference.scores, strict=True)
    scores = [seen.annotation[found.onset : found.offset + 1] for found, seen in pairs]
    return float((np.concatenate(scores) >= SATURATED).mean())


def _pictures(
    done: Done, inferences: Mapping[str, Inference]
) -> dict[str, tuple[Found, NDArray[np.float32]]]:
    """What is drawn, the first ``DRAWN`` clips of each set of modules, by its place in OUT."""
    pictures = {}
    for module, inference in inferences.items():
        rows = [one for one in done.found if one.method == f"MECIA {module}"]
        for number, (one, scores) in enumerate(zip(rows, inference.scores, strict=True), 1):
            if number <= DRAWN and one.cut.clip.fps is not None:
                name = f"pictures/{module}/{number:02d}_{safe(one.cut.key)}.png"
                pictures[name] = one, scores.annotation
    return pictures


def _drawn(
    one: Found, scores: NDArray[np.float32], marks: Sequence[timeline.Mark], *, uses_truth: bool
) -> Figure:
    title = f"{one.cut.key}: key frames by {one.method} from frame {one.cut.numbers[one.given]}"
    if one.iou is not None:
        title += f", IoU {one.iou:.2f}"
    if uses_truth:
        title += f"; {STOPS['truth']}"
    assert one.cut.clip.fps is not None
    onset, apex, offset = one.inferred
    return timeline.draw(
        title,
        fps=one.cut.clip.fps,
        scores=scores,
        threshold=0.5,
        found=[Interval(onset, offset, apex=apex)],
        truths=[one.cut.truth] if one.cut.told else None,
        marks=[("the frame given", one.given, one.given), *marks],
        stand_in=one.cut.clip.stand_in,
        score="probability of a micro-expression",
    )


def happening(cut: Cut) -> list[timeline.Mark]:
    """What else happens in CUT, where it is of a stand-in that tells; ValueError where that is
    damaged."""
    footage = cut.clip.footage
    try:
        events = standin.events(place(footage))
    except FileNotFoundError:
        return []
    names = [footage.name]
    if not cut.told:  # given by its path: of which footage of the stand-in that is the end
        lies = place(footage).absolute()
        ends = (f"/{lies.as_posix()}", f"/{lies.with_suffix('').as_posix()}")
        names = sorted(
            (name for name in events if any(end.endswith(f"/{name}") for end in ends)), key=len
        )
    return [
        mark for name in names[-1:] for mark in timeline.marks_of(events.get(name, ()), cut.numbers)
    ]


def _report(done: Done, told: Mapping[str, Any]) -> str:
    blocks = [f"# {STAND_IN}: key frames" if done.stand_in else "# Key frames"]
    if "stop" in told["uses_truth"]:
        blocks.append(f"**{STOPS['truth']}.** For comparison with the paper alone.")
    blocks.append(_how(told))
    if done.figures:
        blocks += ["## How near", _near(done.figures), _table(done.figures)]
    blocks += ["## What was found", _key_frames(done.found)]
    blocks += ["## Rounds", _rounds(told)]
    lost: dict[str, Sequence[tuple[str, str]]] = {
        "left out": done.left_out,
        "not seen": done.failed,
    }
    lost["odd"] = [(key, "; ".join(remarks)) for key, remarks in told["odd"].items()]
    for title, some in lost.items():
        if some:
            lines = [f"- {plain(key)}: {plain(why)}" for key, why in some[:MOST_REASONS]]
            if len(some) > MOST_REASONS:
                lines.append(f"- {len(some) - MOST_REASONS} more, in results.json")
            blocks += [f"## {len(some)} {title}", "\n".join(lines)]
    if told["pictures"]:
        blocks.append(f"## Pictures\n\nOf the first {DRAWN} clips at most.")
        blocks += [f"![{plain(Path(path).stem)}]({path})" for path in told["pictures"]]
    return "\n\n".join(blocks) + "\n"


def _how(told: Mapping[str, Any]) -> str:
    """What was given and how it was inferred, in a few sentences."""
    cut = "from its first to its last frame" if told["cut"] == "given" else CUTS[told["cut"]]
    first, later = told["epochs"]
    said = [
        f"{plain(told['what'])}: clips: {told['clips']}, inferred together by one network, which "
        "learns from them alone",
        f"given of each: one frame ({told['start']}) and where it is looked at ({cut})",
        f"{STOPS[told['stop']]}",
        "decided by the truth: "
        + (", ".join(TRUTH[use] for use in told["uses_truth"]) or "nothing, for it is not known"),
        f"at most {first} epochs in the first round and {later} in later ones"
        + ("" if [first, later] == list(EPOCHS["published"]) else " (published: 2000 and 200)"),
        f"faces of {told['size']} px"
        + ("" if told["size"] == VIEW else f" (published: {VIEW}; fewer are quicker, not it)"),
        f"reach as published for {told['reach']}; "
        + ("the network began with ImageNet's weights" if told["imagenet"] else
           "the network's weights were drawn")
        + f"; seed {told['seed']}",
    ]  # fmt: skip
    return "\n".join(f"- {one}" for one in said)


def _near(figures: Mapping[str, Mapping[str, Any]]) -> str:
    (first, *_) = figures.values()
    people = first["iou"]["people"]
    blocks = [
        f"Clips whose key frames are coded: {first['iou']['clips']}; people: {people}. Means, the "
        "IoU's median too, with their 95 % intervals over people; n where it is of fewer clips: "
        "errors are told where the frame rate is, those of the apex where one was coded. Halfway "
        "sees no pixel: what does not beat it has shown nothing but where the clip was cut."
    ]
    for method, of in figures.items():
        if less := of.get("iou_less_halfway"):
            mean, interval = less["mean"], less["interval"]
            blocks.append(
                f"{method} less halfway, mean IoU: {mean:+.3f}"
                + ("" if interval is None else " [{:+.3f}, {:+.3f}]".format(*interval))
            )
    return "\n\n".join(blocks)


def _table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    head = ["method", "IoU", "median", f"IoU from {GOOD} on", "F1", "onset, ms", "apex, ms"]
    rows = [[*head, "offset, ms", "apex / length"]]
    for method, of in figures.items():
        median = {"mean": of["iou"]["median"], "interval": of["iou"]["median_interval"]}
        clips = of["iou"]["clips"]
        rows.append([method, _cell(of["iou"], 3), _cell(median, 3)])
        for name, digits in (("iou_good", 2), ("f1", 3), ("onset_ms", 0), ("apex_ms", 0),
                             ("offset_ms", 0), ("apex_share", 2)):  # fmt: skip
            n = f", n {of[name]['clips']}" if name in of and of[name]["clips"] != clips else ""
            rows[-1].append(_cell(of[name], digits) + n if name in of else "-")
    return table(rows)


def _cell(of: Mapping[str, Any], digits: int) -> str:
    if of["mean"] is None:
        return "-"
    text = f"{of['mean']:.{digits}f}"
    if of["interval"] is not None:
        low, high = of["interval"]
        text += f" [{low:.{digits}f}, {high:.{digits}f}]"
    return text


def _key_frames(found: Sequence[Found]) -> str:
    rows = [["clip", "modules", "frame given", "onset", "apex", "offset", "coded", "IoU"]]
    for one in found[:DRAWN]:
        clip = one.cut.clip
        coded_apex = clip.apex if one.cut.has_apex else "-"
        coded = f"{clip.onset}, {coded_apex}, {clip.offset}" if one.cut.told else "-"
        numbers = (one.cut.numbers[one.given], *one.numbers)
        iou = "-" if one.iou is None else f"{one.iou:.3f}"
        method = one.method.removeprefix("MECIA ")
        rows.append([one.cut.key, method, *map(str, numbers), coded, iou])
    more = f"\n\n{len(found) - DRAWN} more in keyframes.csv." if len(found) > DRAWN else ""
    return table(rows) + more


def _rounds(told: Mapping[str, Any]) -> str:
    heads = ["modules", "rounds", "epochs", "last loss", "agreed, least", "saturated", "seconds"]
    rows = [heads]
    for name, log in told["rounds"].items():
        epochs, agreed = sum(one["epochs"] for one in log), min(one["agreed"] for one in log)
        numbers = [f"{log[-1]['loss']:.4f}", f"{agreed:.3f}", f"{told['saturated'][name]:.3f}"]
        rows.append([name, str(len(log)), str(epochs), *numbers, f"{told['seconds'][name]:.0f}"])
    return table(rows) + (
        "\n\nAgreed is the share of learned frames that a round then scores as they are labelled; "
        "below 1 its epochs were too few. Saturated is the share of the frames found that are "
        f"scored {SATURATED} or more. The apex is the frame with the largest score, as published; "
        "but all frames found are learned as 1: the more of them are saturated, the less it says "
        "which is the largest, and errors of the apex are large for that reason. Seconds are those "
        "of all rounds, whichever call they were done in."
    )
