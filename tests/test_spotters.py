"""Spotters: what their files may say, and what is looked at and kept for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mie_x.records import Frames
from pipelines import courses
from pipelines.courses import Look
from pipelines.spot import refuse_known, spot
from pipelines.spotters import PLACES, Array, Gathered, gather, kept
from recognizers import RECOGNIZERS, weights
from recognizers.training import Fitted
from recognizers.weights import Spotter
from tests.test_courses import BLANK, SMILE
from tests.test_footage import record
from tests.test_recordings import HEAD
from tests.test_spot import CLASSES, SPOTTER, recording

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


@pytest.mark.parametrize("learned", [False, True])
def test_people_of_a_stand_in_are_not_those_of_their_names(tmp_path: Path, learned: bool) -> None:
    weights.save(
        tmp_path / "w", untrained(), trained_on="", stand_in=learned, flow="tvl1", spotter=SPOTTER
    )
    loaded = weights.load(tmp_path / "w")
    known = replace(recording("x", []), subject=SPOTTER.people[0])
    assert refuse_known(loaded, [replace(known, stand_in=not learned)]) == []
    assert refuse_known(loaded, [recording("x", [], stand_in=not learned)]) == []
    with pytest.raises(ValueError, match="these weights have learned from samm/006"):
        refuse_known(loaded, [replace(known, stand_in=learned)])


# -- what is looked at ---------------------------------------------------------------------------


def looked_at(
    root: Path, films: Mapping[str, Sequence[Frames]], *rows: str, look: Look, **options: Any
) -> Gathered:
    """FILMS of 10 frames a second, and the ROWS of expressions in them."""
    for name, frames in films.items():
        record(root / f"{name}.mkv", frames)
    (root / "clips.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    return gather(
        "clips", root, kind="micro", look=look, fps=None, store=root / "store", workers=1, **options
    )


def test_an_expression_whose_onset_shows_no_face_costs_its_own_pair_alone(tmp_path: Path) -> None:
    """A second with a face, one without, one with; an expression begins in each."""
    film = [SMILE[0]] * 10 + [BLANK] * 10 + [*SMILE, *SMILE[:4]]
    rows = (
        "s1,a,film.mkv,3,5,8,10,,negative,,micro",
        "s1,b,film.mkv,13,15,18,10,,negative,,micro",
        "s1,c,film.mkv,22,24,26,10,,positive,,micro",
    )
    look = Look("farneback", face_every=1)
    for _ in ("made", "taken from the store"):
        (one,) = (found := looked_at(tmp_path, {"film": film}, *rows, look=look)).watched
        assert (found.failed, found.classes) == ([], CLASSES)
        assert (len(one.lesson.truths), one.lesson.labels.tolist()) == (3, [0, 1])
        for pair, ends in zip(one.lesson.pairs, ((2, 4), (21, 23)), strict=True):
            np.testing.assert_array_equal(pair, courses.pair(one.recording, look, *ends))
        assert one.odd == (
            "frames 11 to 20: no face",
            "frame 13, the onset of an expression: no face, so that nothing is learned of its "
            "emotion",
        )


def test_who_looked_in_another_way_is_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a network is shown hangs on code and libraries that it is no part of."""
    row = "s1,a,film.mkv,3,5,8,10,,negative,,micro"

    def mark() -> str:
        (one,) = looked_at(tmp_path, {}, row, look=Look("farneback")).watched
        return one.mark

    record(tmp_path / "film.mkv", SMILE * 2)
    before = mark()
    assert mark() == before
    monkeypatch.setattr("cv2.__version__", "0")  # as after an update
    assert mark() != before


def test_without_an_extra_nothing_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)  # as where it is not installed
    films = {"film": SMILE[:3], "other": SMILE[:3]}
    rows = [f"s1,{name},{name}.mkv,1,2,3,10,,negative,,micro" for name in films]
    with pytest.raises(ValueError, match=r"^this kind of flow needs OpenCV"):
        looked_at(tmp_path, films, *rows, look=Look("farneback"))
    assert not (tmp_path / "store").exists()


def spotted(root: Path, films: Mapping[str, Sequence[Frames]], people: Mapping[str, str]) -> None:
    """Spot in FILMS of PEOPLE, by name, leaving one out."""
    for name, frames in films.items():
        record(root / f"{name}.mkv", frames)
    rows = [f"{who},{name},{name}.mkv,2,3,4,10,,negative,,micro" for name, who in people.items()]
    (root / "clips.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    spot([f"clips={root}"], root / "out", weights=None, look=Look("farneback"), epochs=(1, 1))


@pytest.mark.parametrize(
    ("people", "said"),
    [
        ({"a": "s1", "b": "s1"}, "to leave one person out takes two, and there is clips/s1$"),
        ({"a": "s1", "b": "S01"}, "clips/S01 and clips/s1 look like one person"),
    ],
)
def test_people_who_cannot_be_left_out_in_turn_are_told_before_anything_is_looked_at(
    tmp_path: Path, people: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        spotted(tmp_path, {"a": [BLANK] * 9, "b": [BLANK] * 9}, people)
    assert not (tmp_path / "out").exists()


def test_where_too_little_could_be_looked_at_the_reason_is_told(tmp_path: Path) -> None:
    blank, people = [BLANK] * 9, {"a": "s1", "b": "s2"}
    with pytest.raises(ValueError, match=r"nothing could be looked at; the first: clips/a: no f"):
        spotted(tmp_path, {"a": blank, "b": blank}, people)
    with pytest.raises(
        ValueError,
        match=r"nobody but clips/s2 could be looked at, .* takes two; the first: clips/a",
    ):
        spotted(tmp_path, {"a": blank, "b": SMILE}, people)


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
