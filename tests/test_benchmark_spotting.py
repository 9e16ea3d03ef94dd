"""The benchmark of spotting runs, and tells everything that it is said to measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.benchmark import table
from pipelines.benchmark_spotting import PUBLISHED, main


@pytest.mark.slow
def test_a_second_of_video_gives_every_row_of_the_table(tmp_path: Path) -> None:
    out = tmp_path / "spotting.json"
    options = ["--seconds", "1", "--lengths", "", "--kind", "tvl1", "--repeats", "1"]
    done = CliRunner().invoke(main, ["--out", str(out), *options])
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text())
    assert told["frames"] == 30
    assert {*told["frames a second"]} == {"decoding", "tvl1, 1 worker", "tvl1, 2 workers"}
    alone = told["network, frames a second"]
    assert told["ratios"]["network, 32 together / published"] == alone["32 together"] / PUBLISHED
    assert alone["32 together"] > told["frames a second"]["tvl1, 1 worker"]  # the flow takes it
    assert done.stdout.splitlines() == list(table(told))
