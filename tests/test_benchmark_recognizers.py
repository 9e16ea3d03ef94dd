"""The benchmark of recognizers: who waits for data is told so, and every row is there."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from pipelines.benchmark_recognizers import learn, main, pace, tables
from recognizers.training import Epoch, Fitted
from recognizers.views import Augmentation


class Slow:
    """Eight noises that take SECONDS each to be read."""

    macro = None
    labels = np.arange(8) % 3

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(
        self, index: int, augmentation: Augmentation | None
    ) -> tuple[NDArray[np.float32], ...]:
        time.sleep(self.seconds)
        return (np.random.default_rng(index).random((3, 28, 28), np.float32),)


def test_the_first_epoch_does_not_count() -> None:
    log = (Epoch(1, 1, 9, 9), Epoch(1, 1, 2, 0.5), Epoch(1, 1, 2, 0.25))
    fitted = Fitted("ststnet", learn("ststnet", Slow(0), steps=1).network, (), 0, {}, log=log)
    assert pace(fitted, 10) == (5, 0.1875)  # 20 samples in 4 s, of which .75


def test_a_small_network_waits_for_slow_data_and_is_no_faster_than_these() -> None:
    found = pace(learn("ststnet", Slow(0.05), steps=2), 8)
    assert found.waited > 0.5
    assert found.rate < 20  # samples a second that 50 ms each allow


@pytest.mark.slow
def test_own_data_give_every_row_of_the_tables(tmp_path: Path) -> None:
    out = tmp_path / "recognizers.json"
    names = ["ststnet", "bi-woof"]
    chosen = [word for name in names for word in ("--recognizer", name)]
    done = CliRunner().invoke(
        main, ["--out", str(out), "--samples", "6", "--seconds", "0.1", *chosen]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text())
    dataset, clips = told["measured"]
    for one in (dataset, clips):
        assert "stand-in" in one["data"]
        assert [row["recognizer"] for row in one["cpu"]] == names
        net, svm = one["cpu"]
        assert net["parameters"] == 1683
        for who in ("no reader", "a reader"):
            assert 0 < net[f"share waiting, {who}"] < 1
        planes = svm["parameters"] // (512 + 1)  # one for two classes, three for three
        assert svm["parameters"] == planes * 513
        assert 0 < svm["share waiting, no reader"] < 1
        assert [row["view"] for row in one["views"]] == ["flow_28", "flow_raw"]
    assert done.stdout.splitlines() == list(tables(told))
