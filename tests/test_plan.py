"""A plan row depends on (seed, identity, source, label) and on nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import au_sources
from mie_x.plan import (
    SCHEMA,
    Source,
    draw_seed,
    make_plan,
    plan_sha256,
    read_plan,
    sample_key,
    without_origins,
    write_plan,
)
from mie_x.records import AUS, LABELS, SOURCES
from tests.conftest import blobs


@pytest.fixture(scope="module")
def sources() -> dict[str, Source]:
    return {
        "mie": au_sources.RealMie(au_sources.stand_in_clips("mie")),
        "mae": au_sources.EarlyMae(au_sources.stand_in_clips("mae")),
        "exp": au_sources.Expert(),
    }


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


def test_a_test_subjects_movements_are_left_out(sources: dict[str, Source]) -> None:
    plan = make_plan(blobs("abcdefgh"), sources, seed=0)
    first = next(row for row in plan.to_pylist() if row["source"] == "mie")
    banned = (first["origin_corpus"], first["origin_subject"])
    kept = without_origins(plan, [banned]).to_pylist()
    assert 0 < len(kept) < len(plan)
    owners = {(row["origin_corpus"], row["origin_subject"]) for row in plan.to_pylist()}
    assert {(row["origin_corpus"], row["origin_subject"]) for row in kept} == owners - {banned}
    assert sum(row["source"] == "exp" for row in kept) == 8 * 3


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
