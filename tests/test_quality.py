"""The report on a dataset: its arithmetic by hand, its words, and frames whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from mie_x.cli import main
from mie_x.fidelity import bands
from mie_x.manifest import read_manifest
from mie_x.records import AUS, Aus, Frames, Sample
from mie_x.renderer import draw_person, draw_view, render
from mie_x.samples import read
from pipelines.quality import (
    FIGURES,
    PICTURES,
    REPORT,
    Measured,
    _aus,
    _duplicates,
    _step,
    _thinned,
    agreement,
    escaped,
    mask_of,
    measure,
    quality,
)
from tests.conftest import make_dataset


def energy(onsets: Frames, apexes: Frames) -> Aus:
    """What changes in each AU's part of the face: crude, but an instrument, and quick."""
    change = np.abs(apexes.astype(np.float32) - onsets).mean(axis=3)
    inside = [change[:, band].mean(axis=1) for band in bands()]
    found: Aus = np.clip(np.stack(inside, axis=1) / 10, 0, 1).astype(np.float32)
    return found


def measured(
    samples: list[Sample], new: list[bool], seeds: list[int | None] | None = None
) -> list[Measured]:
    return measure(samples, new=new, seeds=seeds or [None] * len(samples), differences=energy)


def test_agreement_by_hand() -> None:
    asked = np.array([0, 0, 0.01, *[0.1] * 6, 0.2, -0.2])
    found = np.array([0.02, -0.04, -0.1, *[0.05] * 5, -0.05, 0.1, -0.1])
    told = agreement(asked, found)
    assert (told["asked"], told["clear"]) == (9, 8)
    assert told["right_sign"] == 7 / 8
    assert told["unasked"] == pytest.approx(0.03)
    slope = (5 * 0.005 - 0.005 + 2 * 0.02) / (6 * 0.01 + 2 * 0.04)
    residuals = found[3:] - slope * asked[3:]
    assert told["slope"] == pytest.approx(slope)
    assert told["slope_error"] == pytest.approx(np.sqrt((residuals**2).sum() / 7 / 0.14))
    assert told["correlation"] == pytest.approx(np.corrcoef(asked, found)[0, 1])


def test_too_few_changes_tell_no_slope() -> None:
    told = agreement(np.array([0, 0.1, 0.02]), np.array([0.0, 0.1, 0.02]))
    assert (told["slope"], told["correlation"], told["right_sign"]) == (None, None, 1)
    nothing = agreement(np.zeros(20), np.zeros(20))
    assert (nothing["slope"], nothing["right_sign"], nothing["unasked"]) == (None, None, 0)


@pytest.mark.parametrize("total", [9, 100, 45_000])
@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 7, 33, 1000])
def test_a_sample_of_rows_has_every_source_and_label_in_it(
    total: int, sources: int, count: int
) -> None:
    listed = {"samples": total, "settings": {"sources": dict.fromkeys("abc"[:sources])}}
    step = _step(listed, count)
    assert len(range(0, total, step)) >= min(count, total)
    assert {row % (3 * sources) for row in range(0, step * 9, step)} == set(range(3 * sources))
    assert _step(listed, None) == 1


def test_letters_of_markdown_are_shown_as_letters() -> None:
    hostile = "a|b\n# c <img src=x> ![d](e) `f` *g* $h$ \x1b[31m"
    shown = escaped(hostile)
    assert "\n" not in shown
    assert "\x1b" not in shown
    for letter in "|<>![]`*#$":
        assert shown.count(letter) == shown.count(f"\\{letter}")


def test_the_report_of_noise_says_what_the_data_is(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    dataset = made("parquet")
    out = quality(dataset, tmp_path / "report", differences=energy)
    assert {path.name for path in out.iterdir()} == {REPORT, FIGURES, *PICTURES}
    told = json.loads((out / FIGURES).read_text("utf-8"))
    listed = read_manifest(dataset)
    assert told["dataset"]["measured"] == listed["samples"]
    assert told["dataset"]["identities"] == listed["identities"]
    assert told["instrument"]["name"] == "tests.test_quality.energy"
    report = (out / REPORT).read_text("utf-8")
    assert "No figure here is one on micro-expressions" in report
    assert "the motions of mie are stand-ins" in report
    assert "stand-in motions (mie)" in report.splitlines()[0]
    assert told["identity"]["same"] < 0.7  # noise after noise is nobody's face
    assert told["place"]["more_outside_than_inside"] > 0.2
    assert told["motion"]["near_copies"] == 0
    for name in PICTURES:
        with Image.open(out / name) as picture:
            assert min(picture.size) > 400


@pytest.mark.slow
def test_a_part_of_the_samples_in_two_processes(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    out = quality(made("png"), tmp_path / "out", count=5, differences=energy)
    before = {name: (out / name).read_bytes() for name in (REPORT, FIGURES, *PICTURES)}
    again = quality(made("png"), tmp_path / "out", count=5, workers=2, differences=energy)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == before
    told = json.loads(before[FIGURES])["dataset"]
    assert (told["samples"], told["every"], told["measured"]) == (29, 5, 6)


def test_names_from_outside_do_not_shape_the_report(tmp_path: Path) -> None:
    people = ["<script>", "a|b", "b", "![x](y)"]
    folder = make_dataset(tmp_path / "made", "parquet", people=people)
    out = quality(folder, tmp_path / "report", differences=energy)
    report = (out / REPORT).read_text("utf-8")
    assert report.count("<script") == report.count("\\<script\\>") > 0
    assert "![x]" not in report
    tables = [line for line in report.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_clips_are_measured_at_their_apex(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "made", "parquet", frames=4, course="full")
    samples = list(read(folder))[:3]
    found = measured(samples, [True, True, False])
    for sample, one in zip(samples, found, strict=True):
        assert sample.aus is not None
        assert sample.apex == 2
        assert one.asked.tolist() == (sample.aus[2] - sample.aus[0]).tolist()
        difference = np.abs(sample.frames[2].astype(float) - sample.frames[0]).mean()
        assert one.motion == pytest.approx(difference, rel=1e-4)
    assert [one.bits is None for one in found] == [False, False, True]


def test_duplicates_are_counted_and_named(made: Callable[[str], Path]) -> None:
    found = measured(list(read(made("parquet")))[:12], [n % 6 == 0 for n in range(12)])
    assert found[0].identity != found[11].identity
    clean = _duplicates(found)
    assert clean["samples_with_the_pixels_of_another"] == 0
    assert clean["identities_that_share_a_frame"] == 0
    assert clean["pairs_of_identities_that_look_the_same"] == 0
    copy = replace(found[11], hashes=found[0].hashes, bits=found[0].bits)
    told = _duplicates([*found[:11], copy])
    assert told["samples_with_the_pixels_of_another"] == 2
    assert told["identities_that_share_a_frame"] == 2
    people = sorted([found[0].identity, found[11].identity])
    assert told["identities_that_share_a_frame_named"] == people
    assert told["pairs_of_identities_that_look_the_same"] == 1


def test_textures_are_kept_of_so_many_identities_only(made: Callable[[str], Path]) -> None:
    found = measured(list(read(made("parquet")))[:6], [True, False, True, True, False, False])
    kept = [one.textures is not None for one in _thinned(found, most=2)]
    assert kept == [True, False, True, False, False, False]


def test_places_are_not_told_of_faces_that_are_not_aligned(
    made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = read_manifest(made("parquet"))
    listed["settings"]["faces"]["align"] = "crop"
    monkeypatch.setattr("pipelines.quality.read_manifest", lambda _: listed)
    out = quality(made("parquet"), tmp_path / "report", differences=energy)
    told: dict[str, Any] = json.loads((out / FIGURES).read_text("utf-8"))
    assert told["aus"] is None
    assert told["place"] is None
    assert not (out / "aus.png").exists()
    assert (out / REPORT).read_text("utf-8").count("--align similarity") == 2


@pytest.mark.parametrize(
    ("out", "words"),
    [("made/quality", "lies in the dataset"), ("file", "is a file"), ("other", "'notes.txt'")],
)
def test_a_folder_that_is_not_the_reports_is_left_alone(
    made: Callable[[str], Path], tmp_path: Path, out: str, words: str
) -> None:
    folder = make_dataset(tmp_path / "made", "parquet") if out.startswith("made") else made("png")
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").touch()
    done = CliRunner().invoke(main, ["quality", str(folder), "--out", str(tmp_path / out)])
    assert done.exit_code == 2
    assert words in done.output
    assert done.output.count("\n") == 1


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["quality", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "finished dataset" in done.output


def test_what_truly_moves_as_asked_is_told_so() -> None:
    samples: list[Sample] = []
    seeds: list[int | None] = []
    for seed in range(70, 74):
        rng = np.random.default_rng(seed)
        aus = np.zeros((7, len(AUS)), np.float32)
        for row in aus[1:]:
            row[rng.choice([AUS.index(1), AUS.index(26)])] = rng.uniform(0.1, 0.3)
        images = render([draw_person(seed)] * 7, [draw_view(seed)] * 7, aus).images
        samples += [
            Sample(f"{seed}_exp_{n}", images[[0, n]], 0, str(seed), None, aus[[0, n]])
            for n in range(1, 7)
        ]
        seeds += [seed, *[None] * 5]
    found = measured(samples, [True] * len(samples), seeds)
    for au in ("1", "26"):
        told = _aus(found)["by_au"][au]
        assert told["correlation"] > 0.8
        assert told["right_sign"] == 1
        assert told["slope"] > 10 * told["slope_error"]
        assert told["unasked"] < 0.01
    for one, known in zip(found, seeds, strict=True):
        assert (one.drawn is None) == (known is None)
        if one.drawn is not None and one.found is not None:  # the frames are the renderer's already
            assert one.drawn.tolist() == one.found.tolist()
    assert _aus(found)["drawn"]["all"]["asked"] == 4
    assert all(one.cosine > 0.7 for one in found)
    assert all(one.outside is not None and one.outside < 0.05 for one in found)


def test_masks_are_looked_at_where_the_generator_is_at_hand(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        main,
        [*("generate", "--ids", "1", "--sources", "exp", "--no-measure"), "--out", str(tmp_path)],
    )
    assert done.exit_code == 0, done.output
    listed = read_manifest(tmp_path)
    told = mask_of(tmp_path, listed)
    assert told is not None and told["faces"] == 3
    assert 0 <= told["mean"] < 0.2  # the shipped generator moves its source, and hides nothing
    assert 0 <= told["copies"] < 0.01 and told["copies"] + told["replaces"] <= 1
    listed["settings"]["weights"]["sha256"] = "0" * 64
    assert mask_of(tmp_path, listed) is None
