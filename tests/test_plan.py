"""A plan row depends on (seed, identity, source, label) and on nothing else."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import au_sources
from mie_x.plan import (
    COURSES,
    SCHEMA,
    Source,
    draw_seed,
    frame_aus,
    make_plan,
    plan_sha256,
    read_plan,
    sample_key,
    schema,
    write_plan,
)
from mie_x.records import AUS, LABELS, SOURCES, Aus, Motion
from tests.conftest import blobs


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    return {
        "mie": au_sources.RealMie(au_sources.stand_in_clips("mie")),
        "mae": au_sources.EarlyMae(au_sources.stand_in_clips("mae")),
        "exp": au_sources.Expert(),
    }


def curve(*au01: float) -> Aus:
    """AUs of as many frames as values: AU01 as said, the others at rest."""
    aus = np.zeros((len(au01), len(AUS)), np.float32)
    aus[:, 0] = au01
    return aus


def motion(rise: Sequence[float], fall: Sequence[float] | None = None) -> Motion:
    """A motion by its AU01."""
    up, down = curve(*rise), None if fall is None else curve(*fall)
    return Motion(up[0], up[-1], 1, "happiness", "mie", None, up, down)


UNIT = st.floats(0, 1, width=32)
COURSE_OF_FRAMES = [(c, f) for c, least in COURSES.items() for f in (least, 4, 9, 10, 33)]


def test_every_identity_has_one_sample_a_source_and_label(sources: dict[str, Source]) -> None:
    plan = make_plan(blobs("abcdefg"), sources, seed=0)
    assert plan.schema.equals(SCHEMA)
    assert len(plan) == 7 * 3 * 3
    cells = zip(*(plan[name].to_pylist() for name in ("identity", "source", "label")), strict=True)
    assert set(cells) == {(i, s, n) for i in "abcdefg" for s in SOURCES for n in LABELS.values()}
    assert len(set(plan["sample_key"].to_pylist())) == len(plan)
    assert set(plan["draw_seed"].to_pylist()) == {
        draw_seed(0, i, s, n) for i in "abcdefg" for s in SOURCES for n in LABELS.values()
    }


@given(st.permutations(list("abcdef")), st.integers(1, 6))
def test_other_faces_and_their_order_change_no_row(names: list[str], count: int) -> None:
    sources: dict[str, Source] = {"exp": au_sources.Expert()}
    alone = {r["sample_key"]: r for r in make_plan(blobs("abcdef"), sources, seed=3).to_pylist()}
    some = make_plan(blobs(names[:count]), sources, seed=3).to_pylist()
    assert [alone[row["sample_key"]] for row in some] == some


def test_leaving_a_source_out_changes_no_row_of_the_others(sources: dict[str, Source]) -> None:
    whole = make_plan(blobs("ab"), sources, seed=0)
    exp = make_plan(blobs("ab"), {"exp": sources["exp"]}, seed=0)
    assert [row for row in whole.to_pylist() if row["source"] == "exp"] == exp.to_pylist()


def test_seed_zero_is_a_seed_like_any_other(sources: dict[str, Source]) -> None:
    hashes = {plan_sha256(make_plan(blobs("ab"), sources, seed=seed)) for seed in (0, 1, 2)}
    assert len(hashes) == 3
    again = make_plan(blobs("ab"), sources, seed=0)
    assert plan_sha256(again) == plan_sha256(make_plan(blobs("ab"), sources, seed=0))


def test_plans_of_pairs_are_row_for_row_what_they_always_were(
    sources: dict[str, Source],
) -> None:
    assert plan_sha256(make_plan(blobs("abcdef"), sources, seed=0)) == (
        "872f2ae1ec919dfb96c6f4a4f6a6a0e83f2b4eed739c08fea36af94c6ef16de1"
    )


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo"}],
)
def test_hash_seed_locale_and_time_zone_change_nothing(
    sources: dict[str, Source], environment: dict[str, str]
) -> None:
    code = (
        "import locale, au_sources\n"
        "try:\n    locale.setlocale(locale.LC_ALL, '')\n"
        "except locale.Error:\n    pass\n"
        "from mie_x.plan import make_plan, plan_sha256\n"
        "from tests.conftest import blobs\n"
        "sources = {'mie': au_sources.RealMie(au_sources.stand_in_clips('mie')),\n"
        "  'mae': au_sources.EarlyMae(au_sources.stand_in_clips('mae')),\n"
        "  'exp': au_sources.Expert()}\n"
        "print(plan_sha256(make_plan(blobs('Iıab'), sources, seed=0)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == plan_sha256(make_plan(blobs("Iıab"), sources, seed=0))


def test_aus_are_intensities_and_the_apex_differs_from_the_onset(
    sources: dict[str, Source],
) -> None:
    plan = make_plan(blobs("abcdefghij"), sources, seed=0)
    onset, apex = (np.array(plan[name].to_pylist()) for name in ("onset_aus", "apex_aus"))
    assert onset.shape == apex.shape == (90, len(AUS))
    assert 0 <= min(onset.min(), apex.min()) <= max(onset.max(), apex.max()) <= 1
    assert (onset != apex).any(axis=1).all()


def test_expert_rows_have_no_origin_and_measured_rows_have_one(sources: dict[str, Source]) -> None:
    for row in make_plan(blobs("abc"), sources, seed=0).to_pylist():
        origin = [row[f"origin_{part}"] for part in ("corpus", "subject", "clip")]
        assert all(origin) if row["source"] != "exp" else origin == [None] * 3


def test_two_faces_of_one_identity_are_refused(sources: dict[str, Source]) -> None:
    with pytest.raises(ValueError, match="'b'"):
        make_plan(blobs("abb"), sources, seed=0)


def test_a_plan_is_read_as_it_was_written(sources: dict[str, Source], tmp_path: Path) -> None:
    plan = make_plan(blobs("ab"), sources, seed=0)
    write_plan(plan, tmp_path / "plan.parquet")
    assert read_plan(tmp_path / "plan.parquet").equals(plan)
    write_plan(plan, tmp_path / "plan.csv")
    head, first, *_ = (tmp_path / "plan.csv").read_text().splitlines()
    assert '"onset_AU01"' in head and '"apex_AU45"' in head
    assert first.split(",")[0].strip('"') == sample_key("a", "mie", 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.csv", "plan.parquet"]


def test_a_table_that_is_no_plan_is_refused(sources: dict[str, Source], tmp_path: Path) -> None:
    plan = make_plan(blobs("a"), sources, seed=0)
    pq.write_table(plan.drop_columns(["label"]), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="is not a plan"):
        read_plan(tmp_path / "other.parquet")


# the frames of a clip


def test_a_rise_is_linear_in_time_between_measured_frames() -> None:
    # 5 frames over 3 measured ones: every second falls half way between two
    aus, apex, fall = frame_aus(motion([0, 0.4, 0.5]), frames=5, course="rise")
    assert aus.shape == (5, len(AUS))
    assert aus.dtype == np.float32
    np.testing.assert_allclose(aus[:, 0], [0, 0.2, 0.4, 0.45, 0.5], rtol=1e-6)
    assert not aus[:, 1:].any()
    assert (apex, fall) == (4, None)


def test_an_expert_motion_of_ten_frames_is_the_line_of_the_published_code() -> None:
    drawn = au_sources.Expert().draw(2, np.random.default_rng(0))
    aus, apex, _ = frame_aus(drawn, frames=10, course="rise")
    for i in range(10):
        np.testing.assert_allclose(aus[i], drawn.apex * i / 9, rtol=1e-6)
    assert apex == 9


def test_a_measured_fall_ends_at_the_offset() -> None:
    # 6 frames: apex at 3; the rise takes 4 of them, the fall's three rows are 3, 4, 5
    aus, apex, fall = frame_aus(motion([0, 0.3], [0.3, 0.25, 0.1]), frames=6, course="full")
    np.testing.assert_allclose(aus[:, 0], [0, 0.1, 0.2, 0.3, 0.25, 0.1], rtol=1e-6)
    assert (apex, fall) == (3, "measured")


def test_a_fall_that_nobody_measured_is_the_rise_backwards() -> None:
    # 4 frames: apex at 2; one frame is left for the way back
    aus, apex, fall = frame_aus(motion([0.1, 0.2, 0.5]), frames=4, course="full")
    np.testing.assert_allclose(aus[:, 0], [0.1, 0.2, 0.5, 0.1], rtol=1e-6)
    assert (apex, fall) == (2, "mirrored")


@given(st.lists(UNIT, min_size=2, max_size=40), st.lists(UNIT, max_size=20), st.data())
def test_onset_apex_and_offset_are_exact_and_all_else_lies_between(
    rise: list[float], later: list[float], data: st.DataObject
) -> None:
    course, frames = data.draw(st.sampled_from(COURSE_OF_FRAMES))
    moves = motion(rise, [rise[-1], *later] if later else None)
    aus, apex, fall = frame_aus(moves, frames=frames, course=course)
    assert aus.shape == (frames, len(AUS))
    assert (aus[0] == moves.onset).all()
    assert (aus[apex] == moves.apex).all()
    shown = rise if course == "rise" else rise + later
    assert np.float32(min(shown)) <= aus[:, 0].min() <= aus[:, 0].max() <= np.float32(max(shown))
    if course == "rise":
        assert (apex, fall) == (frames - 1, None)
    else:
        assert (apex, fall) == (frames // 2, "measured" if later else "mirrored")
        assert aus[-1, 0] == np.float32(later[-1] if later else rise[0])


@given(st.lists(UNIT, min_size=2, max_size=40).map(sorted), st.integers(2, 50))
def test_a_rise_that_never_falls_back_does_not_in_frames_either(
    rise: list[float], frames: int
) -> None:
    aus, _, _ = frame_aus(motion(rise), frames=frames, course="rise")
    assert (np.diff(aus[:, 0]) >= 0).all()


@given(st.lists(UNIT, min_size=2, max_size=40), st.integers(1, 25))
def test_a_mirrored_clip_of_odd_length_is_symmetric(rise: list[float], half: int) -> None:
    aus, apex, _ = frame_aus(motion(rise), frames=2 * half + 1, course="full")
    assert apex == half
    assert (aus == aus[::-1]).all()


def test_two_frames_are_the_pair() -> None:
    moves = motion([0.1, 0.4, 0.3])
    aus, apex, _ = frame_aus(moves, frames=2, course="rise")
    assert (aus == [moves.onset, moves.apex]).all()
    assert apex == 1


@pytest.mark.parametrize(
    ("frames", "course", "said"),
    [
        (1, "rise", "1 frames: the course 'rise' needs 2 or more"),
        (2, "full", "2 frames: the course 'full' needs 3 or more"),
        (10, "fall", "no course 'fall': choose from rise, full"),
    ],
)
def test_a_clip_that_cannot_show_its_course_is_refused(
    sources: dict[str, Source], frames: int, course: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        frame_aus(motion([0, 0.4]), frames=frames, course=course)
    with pytest.raises(ValueError, match=said):
        make_plan(blobs("a"), sources, seed=0, frames=frames, course=course)


# plans of clips


@pytest.mark.parametrize(("course", "frames"), [("rise", 10), ("full", 10), ("full", 3)])
def test_clips_have_the_onsets_and_apexes_of_the_pairs(
    sources: dict[str, Source], course: str, frames: int
) -> None:
    pairs = make_plan(blobs("abcde"), sources, seed=0)
    clips = make_plan(blobs("abcde"), sources, seed=0, frames=frames, course=course)
    assert clips.schema.equals(schema(frames))
    assert clips.select(SCHEMA.names).equals(pairs)
    aus = np.array(clips["frame_aus"].to_pylist(), np.float32)
    assert aus.shape == (45, frames, len(AUS))
    (apex,) = set(clips["apex_frame"].to_pylist())
    assert apex == (frames - 1 if course == "rise" else frames // 2)
    assert (aus[:, 0] == np.array(pairs["onset_aus"].to_pylist(), np.float32)).all()
    assert (aus[:, apex] == np.array(pairs["apex_aus"].to_pylist(), np.float32)).all()
    falls = {(row["source"], row["fall"]) for row in clips.to_pylist()}
    words = {"mie": "measured", "mae": "mirrored", "exp": "mirrored"}
    assert falls == {(s, None if course == "rise" else word) for s, word in words.items()}


def test_a_clip_shows_what_was_measured_between_onset_and_apex(
    sources: dict[str, Source],
) -> None:
    plan = make_plan(blobs("abcde"), sources, seed=0, frames=10)
    for row in plan.to_pylist():
        aus = np.array(row["frame_aus"])
        line = np.linspace(aus[0], aus[-1], 10)
        assert np.allclose(aus, line) == (row["source"] == "exp")


def test_a_plan_of_clips_is_read_as_it_was_written(
    sources: dict[str, Source], tmp_path: Path
) -> None:
    plan = make_plan(blobs("ab"), sources, seed=0, frames=10, course="full")
    write_plan(plan, tmp_path / "plan.parquet")
    assert read_plan(tmp_path / "plan.parquet").equals(plan)
    write_plan(plan, tmp_path / "plan.csv")
    table = pd.read_csv(tmp_path / "plan.csv")
    aus = np.array(plan["frame_aus"].to_pylist())
    for frame in (0, 5, 9):
        for place, au in enumerate(AUS):
            np.testing.assert_allclose(table[f"frame{frame}_AU{au:02d}"], aus[:, frame, place])
    np.testing.assert_array_equal(table["frame5_AU12"], table["apex_AU12"])
    assert sum(name.startswith("frame") for name in table.columns) == 10 * len(AUS)


def test_the_hash_of_clips_changes_with_their_frames_and_course(
    sources: dict[str, Source],
) -> None:
    kinds = [(2, "rise"), (3, "rise"), (10, "rise"), (10, "full")]
    hashes = [
        plan_sha256(make_plan(blobs("ab"), sources, seed=0, frames=frames, course=course))
        for frames, course in kinds * 2
    ]
    assert hashes[:4] == hashes[4:]
    assert len(set(hashes)) == 4


@pytest.mark.parametrize("frames", [2, 10])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_plan_of_no_faces_is_an_empty_plan(
    sources: dict[str, Source], tmp_path: Path, frames: int, suffix: str
) -> None:
    plan = make_plan([], sources, seed=0, frames=frames)
    assert len(plan) == 0
    assert plan.schema.equals(schema(frames))
    write_plan(plan, tmp_path / f"plan.{suffix}")
    assert (tmp_path / f"plan.{suffix}").stat().st_size


def test_names_that_look_like_formulas_are_text_in_csv(tmp_path: Path) -> None:
    faces = blobs(["=cmd()", "-x", "'quoted", "plain=1"])
    write_plan(make_plan(faces, {"exp": au_sources.Expert()}, seed=0), tmp_path / "plan.csv")
    with (tmp_path / "plan.csv").open(newline="") as file:
        names = [row["identity"] for row in csv.DictReader(file)]
    assert names[::3] == ["'=cmd()", "'-x", "''quoted", "plain=1"]
