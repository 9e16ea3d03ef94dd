"""Spotters: what their files may say, and what is looked at and kept for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.spotters import PLACES, teach
from recognizers import RECOGNIZERS, weights
from recognizers.training import Fitted
from recognizers.weights import Spotter
from tests.test_spot import CLASSES, SPOTTER, planted


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    lesson = planted()[0].lesson
    return teach([lesson], classes=CLASSES, recipe="code", seed=0, epochs=(1, 1)).fitted


# -- weights -------------------------------------------------------------------------------------


def test_what_cannot_spot_as_it_says_is_refused_when_it_is_read(
    tmp_path: Path, fitted: Fitted
) -> None:
    def refused(fitted: Fitted, flow: str | None, spotter: Spotter = SPOTTER) -> None:
        weights.save(
            tmp_path / "w", fitted, trained_on="", stand_in=False, flow=flow, spotter=spotter
        )
        with pytest.raises(ValueError, match="w: what it says of how it spots is not true; fetch"):
            weights.load(tmp_path / "w")

    refused(fitted, None)
    refused(fitted, "horn")
    refused(replace(fitted, classes=("fear", "joy")), "tvl1")
    weights.save(
        tmp_path / "w", replace(fitted, classes=PLACES), trained_on="", stand_in=False,
        flow="tvl1", spotter=replace(SPOTTER, recognizes=False),
    )  # fmt: skip
    assert weights.load(tmp_path / "w").spotter is not None
    network = RECOGNIZERS["ststnet"].build(classes=2)
    views = {"views": list(RECOGNIZERS["ststnet"].settings.views)}
    other = replace(fitted, recognizer="ststnet", network=network, settings=views)
    refused(other, "tvl1")
