"""A video as a picture of time: what every frame scored, what was found, what is true.

One picture for both that look for micro-expressions: ``pipelines.spot`` in long videos,
``pipelines.keyframes`` in clips. Time goes from left to right and, where a video is long, row by
row like text; all rows are equally long and share one scale. Below the scores are lanes of bars:
found, true, and what else is known to happen. Positions are counted from the first frame, 0.
"""

from __future__ import annotations

import math
import textwrap
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mie_x.datasets.standin import Event
from mie_x.intervals import KINDS, Interval
from mie_x.report import STAND_IN
from mie_x.whole import whole
from recognizers.key_frames import runs

if TYPE_CHECKING:  # matplotlib takes a second
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from recognizers.spotting import Curve

SECONDS = 60.0  # of a row: half a second of expression is then a tenth of an inch
MOST_SECONDS = 120.0
ROWS = 12  # so 12 minutes are drawn at their best, 24 at all

Mark = tuple[str, int, int]
"""What else happens, from its first to its last position, both included."""

SCORE, SMOOTHED, UNSEEN = "#9aa5b1", "#1f3b57", "#eeeeee"
FOUND, TRUE = "#d55e00", "#009e73"  # told apart by everybody (Okabe and Ito)
OTHERS = ("#0072b2", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f")
WIDTH = 14.0  # inches


def draw(
    title: str,
    *,
    fps: float,
    scores: ArrayLike,
    smoothed: Curve | None = None,
    threshold: float | None = None,
    found: Sequence[Interval],
    truths: Sequence[Interval] | None,
    marks: Sequence[Mark] = (),
    stand_in: bool,
    score: str = "score",
) -> Figure:
    """Draw a video of FPS frames a second; what each colour is, the legend tells.

    SCORES (n,) are NaN where nothing was seen; SCORE is what they are called. TRUTHS None are not
    known, which is said, () are none. Apexes are strokes across the bars; macro-expressions are
    hatched. Of a video longer than ``ROWS`` rows the beginning is drawn, and the title says so.
    """
    from matplotlib.figure import Figure

    values = np.asarray(scores, np.float64)
    ends = [one.last for one in (*found, *(truths or ()))] + [last for _, _, last in marks]
    count = max([len(values), *(end + 1 for end in ends)])
    if not count or not fps > 0:
        raise ValueError(f"{title}: {count} frames at {fps} a second; nothing to draw")
    rows, seconds = layout(count / fps)
    figure = Figure(figsize=(WIDTH, 1.3 + 1.6 * rows), layout="constrained")
    lines = textwrap.wrap(title, 130)
    if stand_in:
        lines.append(STAND_IN)
    if rows * seconds < count / fps - 0.5 / fps:
        lines.append(
            f"the first {rows * seconds:.0f} s of {count / fps:.0f} s; the rest is not drawn"
        )
    figure.suptitle("\n".join(lines), fontsize=10, parse_math=False)
    lanes = _lanes(found, truths, marks)
    shares = [3.0, 0.45 * len(lanes)]
    grid = figure.subplots(
        2 * rows, 1, squeeze=False, gridspec_kw={"height_ratios": shares * rows, "hspace": 0}
    )[:, 0]
    seen = values[np.isfinite(values)]
    if smoothed is not None:
        seen = np.concatenate([seen, smoothed.values[np.isfinite(smoothed.values)]])
    if threshold is not None:
        seen = np.append(seen, threshold)
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    space = 0.08 * (high - low or 1)
    for row in range(rows):
        above, below = grid[2 * row], grid[2 * row + 1]
        start, end = row * seconds, (row + 1) * seconds
        for axes in (above, below):
            axes.set_xlim(start, end)
        above.set_ylim(low - space, high + space)
        above.tick_params(labelbottom=False, labelsize=8)
        above.grid(axis="x", color="#dddddd", linewidth=0.5)
        _curves(above, values, smoothed, threshold, fps, score, (start, end))
        _bars(below, lanes, fps, (start, end))
    grid[-1].set_xlabel("seconds", fontsize=9)
    _legend(figure, grid.tolist())
    return figure


def marks_of(events: Iterable[Event], numbers: Sequence[int]) -> list[Mark]:
    """EVENTS of a stand-in that are no expressions, by position in NUMBERS, where they show."""
    return [
        (event.what, first, last)
        for event in events
        for first in [bisect_left(numbers, event.first)]
        for last in [bisect_right(numbers, event.last) - 1]
        if event.what not in KINDS and first <= last
    ]


def write(figure: Figure, path: Path) -> None:
    """Write FIGURE as PNG."""
    with whole(path) as unfinished:
        figure.savefig(unfinished, format="png", dpi=100)


def layout(duration: float) -> tuple[int, float]:
    """How many rows of how many seconds a video of DURATION seconds has, as equal as can be.

    >>> layout(35), layout(90), layout(600), layout(3600)
    ((1, 35.0), (2, 45.0), (10, 60.0), (12, 120.0))
    """
    rows = min(ROWS, max(1, math.ceil(duration / SECONDS)))
    return rows, min(MOST_SECONDS, duration / rows)


def _curves(
    axes: Axes,
    values: NDArray[np.float64],
    smoothed: Curve | None,
    threshold: float | None,
    fps: float,
    score: str,
    shown: tuple[float, float],
) -> None:
    first, last = max(0, int(shown[0] * fps) - 1), int(shown[1] * fps) + 2
    part = values[first:last]
    few: dict[str, Any] = {"marker": "o", "markersize": 3} if len(values) <= 200 else {}
    axes.plot((first + np.arange(len(part))) / fps, part, color=SCORE, lw=0.7, label=score, **few)
    for start, end in runs(~np.isfinite(values)):
        if start <= last and end >= first:
            across = (start - 0.5) / fps, (end + 0.5) / fps
            axes.axvspan(*across, color=UNSEEN, lw=0, label="nothing seen")
    if smoothed is not None:
        begin = max(0, first - smoothed.first)
        smooth = smoothed.values[begin : max(0, last - smoothed.first)]
        times = (smoothed.first + begin + np.arange(len(smooth))) / fps
        axes.plot(times, smooth, color=SMOOTHED, lw=1.6, label="smoothed")
    if threshold is not None:
        axes.axhline(threshold, color="black", lw=0.9, ls="--", label="threshold")


Bar = tuple[str, int, int, int | None, str, bool]
"""What it is, first and last position, apex, colour, whether it is hatched."""


def _lanes(
    found: Sequence[Interval], truths: Sequence[Interval] | None, marks: Sequence[Mark]
) -> dict[str, list[Bar]]:
    """The lanes from the top, by name."""

    def bars(name: str, intervals: Sequence[Interval], colour: str) -> list[Bar]:
        return [
            (
                f"{name} {one.kind}-expression",
                one.first,
                one.last,
                one.apex,
                colour,
                one.kind == "macro",
            )
            for one in intervals
        ]

    lanes = {"found": bars("found", found, FOUND)}
    if truths is None:
        lanes["true: not known"] = []
    else:
        lanes["true"] = bars("true", truths, TRUE)
    if marks:
        colours = {
            what: OTHERS[number % len(OTHERS)]
            for number, what in enumerate(dict.fromkeys(what for what, _, _ in marks))
        }
        lanes["other"] = [
            (what, first, last, None, colours[what], False) for what, first, last in marks
        ]
    return lanes


def _bars(axes: Axes, lanes: dict[str, list[Bar]], fps: float, shown: tuple[float, float]) -> None:
    axes.set_ylim(len(lanes) - 0.5, -0.5)
    axes.set_yticks(range(len(lanes)), list(lanes), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    for lane, (name, bars) in enumerate(lanes.items()):
        tall = 0.4 if name == "other" else 0.8
        for what, first, last, apex, colour, hatched in bars:
            start, length = (first - 0.5) / fps, (last - first + 1) / fps
            if start > shown[1] or start + length < shown[0]:
                continue
            axes.broken_barh(
                [(start, length)],
                (lane - tall / 2, tall),
                facecolor="white" if hatched else colour,
                edgecolor=colour,
                hatch="////" if hatched else None,
                linewidth=1,  # a bar is seen however short it is
                label=what,
            )
            if apex is not None:
                at = apex / fps
                axes.plot([at, at], [lane - 0.5, lane + 0.5], color="black", lw=1.2, label="apex")


def _legend(figure: Figure, grid: Sequence[Axes]) -> None:
    told: dict[str, Any] = {}
    for axes in grid:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            told.setdefault(label, handle)
    legend = figure.legend(
        list(told.values()), list(told), loc="outside lower center", ncols=6, fontsize=8
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
