"""The benchmark of clips runs, and tells everything that it is said to measure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipelines.benchmark import table
from pipelines.benchmark_clips import main


@pytest.mark.slow
def test_two_clips_give_every_row_of_the_table(tmp_path: Path) -> None:
    pytest.importorskip("cv2.optflow", reason="needs the extra opencv")
    out = tmp_path / "clips.json"
    done = CliRunner().invoke(
        main, ["--out", str(out), "--clips", "2", "--counts", "2", "--repeats", "1"]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(out.read_text())
    for kind in ("estimator", "openface-csv", "tvl1", "tvl1-opencv"):
        for name in ("1 worker", "2 workers"):
            assert sum(f"{kind}, {name}" in row for row in told["clips a second"]) == 1
        assert sum(f"{kind}: 2 workers / 1 worker" in row for row in told["ratios"]) == 1
    assert sum(told["shares of the estimator"].values()) == pytest.approx(1)
    for what in ("extract --with estimator", "flow, tvl1"):
        assert told["memory"][f"{what}, peak MB"]["2 clips"] > 100  # torch alone takes more
    assert done.stdout.splitlines() == list(table(told))
