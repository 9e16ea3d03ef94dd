"""Every collection's reader finds in its stand-in exactly what its writer says that it wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from mie_x import cli
from mie_x.datasets import COLLECTIONS, standin
from mie_x.datasets.check import check
from mie_x.datasets.collection import MARK, counts, place
from mie_x.folds import person
from mie_x.records import Clip

NAMES = sorted(COLLECTIONS)
FIELDS = [name for name in Clip.__slots__ if name != "footage"]


@pytest.fixture(scope="module", params=NAMES)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[Clip]]:
    root = tmp_path_factory.mktemp("standins") / request.param
    made = COLLECTIONS[request.param].write_standin(root, subjects=2, clips=3, seed=4, workers=2)
    return request.param, root, made


@pytest.mark.slow
def test_what_was_written_is_read(written: tuple[str, Path, list[Clip]]) -> None:
    name, root, made = written
    found = list(COLLECTIONS[name].read(root))
    assert [{f: getattr(clip, f) for f in FIELDS} for clip in found] == [
        {f: getattr(clip, f) for f in FIELDS} for clip in made
    ]
    for one, other in zip(found, made, strict=True):
        assert one.footage.name == other.footage.name
        assert list(one.footage.numbers) == list(other.footage.numbers)
        assert list(one.footage.names) == list(other.footage.names)


@pytest.mark.slow
def test_a_stand_in_says_so_everywhere(written: tuple[str, Path, list[Clip]]) -> None:
    name, root, made = written
    assert "STAND-IN" in (root / MARK).read_text("utf-8")
    assert all(clip.stand_in for clip in COLLECTIONS[name].read(root))
    told = standin.told_counts(root)
    assert {kind: counts(made, kind=kind) for kind in told} == told


@pytest.mark.slow
def test_subjects_are_spelled_as_folds_spell_them(written: tuple[str, Path, list[Clip]]) -> None:
    for clip in written[2]:
        assert person(clip.origin.corpus, clip.origin.subject).subject == clip.origin.subject


@pytest.mark.slow
def test_a_stand_in_has_no_fault_until_a_clip_is_lost(
    written: tuple[str, Path, list[Clip]],
) -> None:
    name, root, made = written
    assert check(COLLECTIONS[name], root).faults == ()
    folder = next(place(clip.footage) for clip in made if not clip.problem)
    kept = folder.rename(root / "kept")
    lost = check(COLLECTIONS[name], root)
    kept.rename(folder)
    assert lost.faults and lost.stand_in


@pytest.mark.slow
def test_the_apex_differs_from_the_onset_and_frames_decode(
    written: tuple[str, Path, list[Clip]],
) -> None:
    name, root, _ = written
    clip = next(c for c in COLLECTIONS[name].read(root) if not c.repaired and not c.odd)
    assert clip.onset is not None and clip.apex is not None
    onset, apex = clip.footage.frames([clip.onset, clip.apex])
    assert onset.dtype == np.uint8 and onset.ndim == 3 and onset.shape[2] == 3
    assert onset.shape == apex.shape
    assert np.abs(onset.astype(int) - apex).mean() > 0.5


def test_every_collection_tells_its_folders_and_who_gives_it_out() -> None:
    run = CliRunner().invoke
    listed = run(cli.main, ["collections"]).stdout
    for name, collection in COLLECTIONS.items():
        assert collection.name == name
        assert name in listed and collection.access and collection.merging
        told = run(cli.main, ["collections", name])
        assert told.exit_code == 0 and "ROOT/" in told.stdout
    assert run(cli.main, ["collections", "casme9"]).exit_code == 2
