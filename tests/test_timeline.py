"""The picture of a video over time shows all that it was given, at its place, and says the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from mie_x.intervals import Interval
from mie_x.report import STAND_IN
from pipelines import timeline
from recognizers.spotting import Curve

FOUND = [Interval(10, 19, apex=12)]
TRUE = [Interval(15, 24), Interval(40, 59, "macro")]


def drawn(**other: object) -> Figure:
    given: dict[str, object] = {
        "fps": 10, "scores": np.linspace(0, 1, 100), "found": FOUND, "truths": TRUE,
        "stand_in": False,
    }  # fmt: skip
    return timeline.draw("a video", **(given | other))  # type: ignore[arg-type]


def legend(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def bars(figure: Figure) -> dict[str, tuple[float, float]]:
    """Of every bar its name, and its left and right end in seconds, rounded."""
    ends = {}
    for axes in figure.axes[1::2]:
        for bar in axes.collections:
            xs = np.asarray(bar.get_paths()[0].vertices)[:, 0]
            ends[str(bar.get_label())] = (round(xs.min(), 3), round(xs.max(), 3))
    return ends


def test_bars_lie_around_their_frames_in_seconds() -> None:
    assert bars(drawn(marks=[("blink", 30, 31)])) == {
        "found micro-expression": (0.95, 1.95),  # frames 10 to 19, each a tenth around its time
        "true micro-expression": (1.45, 2.45),
        "true macro-expression": (3.95, 5.95),
        "blink": (2.95, 3.15),
    }


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    assert legend(drawn(truths=[], found=[])) == {"score"}
    figure = drawn(
        smoothed=Curve(5, np.full(90, 0.5), 90),
        threshold=0.6,
        marks=[("blink", 30, 31), ("head $x$", 50, 70)],
        score="annotation",
    )
    assert legend(figure) == {
        "annotation", "smoothed", "threshold", "found micro-expression", "true micro-expression",
        "true macro-expression", "apex", "blink", "head $x$",
    }  # fmt: skip


def test_frames_where_nothing_was_seen_are_a_gap_in_the_curve_and_are_named() -> None:
    scores = np.linspace(0, 1, 100)
    scores[20:30] = np.nan
    figure = drawn(scores=scores)
    assert "nothing seen" in legend(figure)
    (line,) = (one for one in figure.axes[0].lines if one.get_label() == "score")
    assert int(np.isnan(np.asarray(line.get_ydata(), float)).sum()) == 10
    assert "nothing seen" in legend(drawn(scores=np.full(100, np.nan)))


def test_truths_that_nobody_knows_are_not_an_empty_lane() -> None:
    lanes = [label.get_text() for label in drawn(truths=None).axes[1].get_yticklabels()]
    assert lanes == ["found", "true: not known"]
    lanes = [label.get_text() for label in drawn(truths=[]).axes[1].get_yticklabels()]
    assert lanes == ["found", "true"]


@pytest.mark.parametrize(
    ("count", "rows", "seconds"),
    [(100, 1, 10), (600, 1, 60), (601, 2, 30.05), (6000, 10, 60), (9600, 12, 80)],
)
def test_a_long_video_has_rows_of_equal_length_on_one_scale(
    count: int, rows: int, seconds: float
) -> None:
    figure = drawn(scores=np.linspace(0, 1, count))
    assert len(figure.axes) == 2 * rows
    limits = [axes.get_xlim() for axes in figure.axes]
    assert np.allclose([right - left for left, right in limits], seconds)
    assert np.allclose(limits[-1][1], count / 10)
    assert len({axes.get_ylim() for axes in figure.axes[::2]}) == 1
    assert "not drawn" not in figure.get_suptitle()


def test_what_is_too_long_to_be_drawn_is_told() -> None:
    figure = drawn(scores=np.zeros(15_000))
    assert figure.get_suptitle() == "a video\nthe first 1440 s of 1500 s; the rest is not drawn"


def test_a_stand_in_is_told_in_the_title() -> None:
    assert STAND_IN in drawn(stand_in=True).get_suptitle()
    assert STAND_IN not in drawn().get_suptitle()


def test_what_happens_after_the_last_score_is_inside_of_the_picture() -> None:
    figure = drawn(scores=np.zeros(50), found=[], truths=[Interval(60, 79)])
    assert figure.axes[0].get_xlim() == (0, 8)


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="a video: 0 frames"):
        drawn(scores=[], found=[], truths=None)


def test_the_file_is_a_wide_png(tmp_path: Path) -> None:
    timeline.write(drawn(), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG" and picture.width > 3 * picture.height
