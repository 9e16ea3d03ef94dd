"""What is said of a long piece of work where there is no terminal."""

from __future__ import annotations

import pytest

from pipelines import progress
from pipelines.progress import Progress, counted


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_plain_line_now_and_then(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    tell = Progress("samples")
    for done in range(1, 101):
        clock.now += 1
        tell(done, 100)
    assert capsys.readouterr().err.splitlines() == [
        "30 of 100 samples, 1.00 a second, 70 s left",
        "60 of 100 samples, 1.00 a second, 40 s left",
        "90 of 100 samples, 1.00 a second, 10 s left",
        "100 of 100 samples, 1.00 a second, 0 s left",
    ]


def test_what_takes_no_time_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted("abc", 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("told", [True, False])
def test_the_rate_leaves_out_what_was_done_before(
    clock: Clock, capsys: pytest.CaptureFixture[str], told: bool
) -> None:
    tell = Progress("steps", done=1000 if told else None)
    tell(1000, 1100)
    clock.now += 40
    tell(1020, 1100)
    assert capsys.readouterr().err == "1020 of 1100 steps, 0.50 a second, 160 s left\n"


def test_counting_goes_on_from_what_was_done(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in counted(range(2), 10, "samples", done=8):
        clock.now += 30
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "9 of 10 samples, 0.03 a second, 30 s left"
    assert lines[1] == "10 of 10 samples, 0.03 a second, 0 s left"
