"""Spotters: what their files may say, and what is looked at and kept for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.spotters import PLACES, Array, kept
from recognizers import RECOGNIZERS, weights
from recognizers.training import Fitted
from recognizers.weights import Spotter
from tests.test_spot import CLASSES, SPOTTER

# -- weights -------------------------------------------------------------------------------------


def untrained(recognizer: str = "mean") -> Fitted:
    build, settings = RECOGNIZERS[recognizer].build, RECOGNIZERS[recognizer].settings
    network = build(classes=len(CLASSES)).eval()
    return Fitted(recognizer, network, CLASSES, 0, {"views": list(settings.views)})


def test_what_cannot_spot_as_it_says_is_refused_when_it_is_read(tmp_path: Path) -> None:
    fitted = untrained()

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
    refused(untrained("ststnet"), "tvl1")


# -- what is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.98])
def test_what_was_kept_and_is_damaged_is_named_with_the_remedy(
    tmp_path: Path, share: float
) -> None:
    path = tmp_path / "cell.npz"

    def make() -> dict[str, Array]:
        return {"scores": np.arange(100.0)}

    kept(path, make)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"cell\.npz is damaged: delete it, and run the same"):
        kept(path, make)
    path.unlink()
    assert kept(path, make)["scores"].tolist() == kept(path, make)["scores"].tolist()
