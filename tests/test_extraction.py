"""From a collection's folder to a table of AUs, and from there, or without it, to an AU source."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import au_sources
from au_sources import frame_table
from au_sources.extract import BuiltIn, Measured, OpenFaceCsv
from mie_x import cli
from mie_x.datasets import COLLECTIONS, standin
from mie_x.records import AUS, Clip, Origin
from pipelines.extract import au_clips, extract, named_collection, openface_csv
from pipelines.inputs import make_sources
from tests.test_casme2 import lay_out, row

CASME2 = COLLECTIONS["casme2"]
AU12 = AUS.index(12)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three clips, a class each, of the frames 95 to 104; AU12 is the frame's number / 1000."""
    lay_out(
        tmp_path / "casme2",
        row(onset=95, apex=101, offset=104),
        row(name="EP03_02", onset=96, apex=100, offset=104, emotion="surprise"),
        row("02", "EP01_01", onset=95, apex=99, offset=103, emotion="disgust"),
        frames=range(95, 105),
    )
    for clip in CASME2.read(tmp_path / "casme2"):
        write_table(tmp_path / "casme2", clip)
    return tmp_path / "casme2"


def write_table(root: Path, clip: Clip) -> None:
    """What OpenFace would write of a clip's folder: rows in the order of the names as text."""
    ordered = sorted(zip(clip.footage.names, clip.footage.numbers, strict=True))
    head = ["frame", "face_id", "timestamp", "confidence", "success"]
    lines = [", ".join([*head, *(f"AU{au:02d}_r" for au in AUS)])]
    for count, (_, number) in enumerate(ordered, 1):
        values = [f"{number / 200:.3f}" if au == 12 else "0.5" for au in AUS]
        lines.append(", ".join([str(count), "0", "0.0", "0.98", "1", *values]))
    path = root / "openface" / f"{clip.footage.name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def test_rows_go_to_the_frames_whose_names_openface_sorted_as_text(root: Path) -> None:
    out = root / "aus.parquet"
    extracted = extract(CASME2, root, out, OpenFaceCsv())
    assert (extracted.clips, extracted.rows) == (3, 10 + 9 + 9)
    assert (extracted.left_out, extracted.failed) == ((), ())
    for line in pq.read_table(out).to_pylist():
        assert line["AU12"] == pytest.approx(line["frame"] / 1000)  # 95 is after 104 as text
        assert line["onset"] <= line["frame"] <= line["offset"]
    assert not out.with_name("aus.parquet.parts").exists()


def test_the_table_and_the_folder_give_the_same_clips(root: Path) -> None:
    extract(CASME2, root, root / "aus.parquet", OpenFaceCsv())
    by_table = au_sources.read_clips(root / "aus.parquet", source="mie")
    by_folder = sorted(au_clips("casme2", root, source="mie"), key=lambda clip: clip.origin)
    for one, other in zip(by_table, by_folder, strict=True):
        assert one.origin == other.origin
        assert (one.label, one.onset, one.apex, one.offset) == (
            (other.label, other.onset, other.apex, other.offset)
        )
        assert (one.aus == other.aus).all()
    sources = make_sources(["mie"], mie=[Path(f"casme2={root}")])
    told = sources["mie"].settings
    assert told["clips_by_label"] == {"negative": 1, "positive": 1, "surprise": 1}
    assert told["corpora"] == ["casme2"] and not told["stand_in"]
    motion = sources["mie"].draw(1, np.random.default_rng(0))
    assert motion.origin == ("casme2", "sub01", "EP02_01f")
    assert motion.apex[AU12] - motion.onset[AU12] == pytest.approx(0.006)  # 101 - 95


@pytest.mark.parametrize("emotion", ["sadness", "others", "helpless", ""])
def test_what_the_merging_rule_gives_no_class_has_none_in_the_table_either(
    tmp_path: Path, emotion: str
) -> None:
    """CASME II's sadness is in no class by MEGC 2019's rule, though sadness is negative elsewhere;
    266 sequences of CK+ have no emotion at all."""
    (clip,) = lay_out(tmp_path, row(emotion=emotion))
    assert clip.label is None
    table = frame_table.rows(clip, clip.numbers, Measured(np.zeros((10, 17), np.float32), None))
    pq.write_table(table, tmp_path / "aus.parquet")
    (read,) = au_sources.read_clips(tmp_path / "aus.parquet", source="mie")
    assert (read.label, read.emotion) == (None, emotion or "no class")


def test_a_stand_in_stays_one_in_the_table_and_in_the_source(root: Path) -> None:
    standin.mark(root, "CASME II", list(CASME2.read(root)), seed=0)
    extract(CASME2, root, root / "aus.parquet", OpenFaceCsv())
    for given in (root / "aus.parquet", Path(f"casme2={root}")):
        assert make_sources(["mie"], mie=[given])["mie"].settings["stand_in"]


def test_the_command_says_stand_in_and_tells_many_alike_in_one_line(tmp_path: Path) -> None:
    names = [f"EP{number:02d}_01f" for number in range(8)]
    lay_out(tmp_path, *(row(name=name, onset="/" if name > names[1] else 46) for name in names))
    clips = list(CASME2.read(tmp_path))
    for clip in clips:
        write_table(tmp_path, clip)
    standin.mark(tmp_path, "CASME II", clips, seed=0)
    out = ["--out", str(tmp_path / "aus.parquet"), "--workers", "1"]
    done = CliRunner().invoke(
        cli.main, ["extract", "casme2", str(tmp_path), "--with", "openface-csv", *out]
    )
    assert done.exit_code == 0
    told = done.stderr.splitlines()
    assert told[-3].startswith("6 times: its onset is not annotated ('/') (casme2/sub01/EP02_01f, ")
    assert told[-2].startswith("STAND-IN: rendered people")
    assert told[-1] == "2 clips measured, 20 frames; 6 left out, 0 failed"


def test_a_clip_that_failed_is_told_and_the_next_run_measures_it_alone(root: Path) -> None:
    out, lost = root / "aus.parquet", root / "openface/sub02/EP01_01.csv"
    kept = lost.read_bytes()
    lost.unlink()
    extracted = extract(CASME2, root, out, OpenFaceCsv())
    failed = (("casme2/sub02/EP01_01", "no OpenFace table sub02/EP01_01.csv"),)
    assert (extracted.clips, extracted.failed) == (2, failed)
    told = frame_table.read_told(out)
    assert told is not None and told["failed"] == [list(failed[0])]
    parts = {path: path.stat().st_mtime_ns for path in (root / "aus.parquet.parts").iterdir()}
    lost.write_bytes(kept)
    assert extract(CASME2, root, out, OpenFaceCsv()).failed == ()
    assert len([path for path in parts if path.suffix == ".parquet"]) == 2

    fresh = root / "fresh.parquet"
    extract(CASME2, root, fresh, OpenFaceCsv(), workers=2)
    assert pq.read_table(out).equals(pq.read_table(fresh))
    assert out.read_bytes() == fresh.read_bytes()


def test_what_is_done_is_not_done_again(root: Path) -> None:
    """Parts of a stopped run are taken as they are: here one of them says something else."""
    out = root / "aus.parquet"
    (root / "openface/sub02/EP01_01.csv").rename(root / "away.csv")
    extract(CASME2, root, out, OpenFaceCsv())
    parts = sorted((root / "aus.parquet.parts").glob("*.parquet"))
    clip = next(iter(CASME2.read(root)))
    marked = Measured(np.full((10, 17), 0.75, np.float32), None)
    for part in parts:
        if pq.read_table(part)["clip"][0].as_py() == clip.origin.clip:
            pq.write_table(frame_table.rows(clip, clip.numbers, marked), part)
    (root / "away.csv").rename(root / "openface/sub02/EP01_01.csv")
    extract(CASME2, root, out, OpenFaceCsv())
    assert set(pq.read_table(out)["AU12"].to_pylist()[:10]) == {0.75}


def test_a_finished_table_is_left_alone_until_a_clip_of_it_changes(root: Path) -> None:
    out = root / "aus.parquet"
    first = extract(CASME2, root, out, OpenFaceCsv())
    written = out.stat().st_mtime_ns
    assert extract(CASME2, root, out, OpenFaceCsv()) == first
    assert out.stat().st_mtime_ns == written
    lay_out(
        root, row(onset=95, apex=102, offset=104), row("02", "EP01_01", onset=95, apex=99,
        offset=103, emotion="disgust"), frames=range(95, 105),
    )  # fmt: skip
    assert extract(CASME2, root, out, OpenFaceCsv()).rows == 10 + 9
    assert set(pq.read_table(out)["apex"].to_pylist()) == {102, 99}


def test_rows_that_cannot_be_used_are_left_out_with_the_reason(root: Path) -> None:
    shutil.rmtree(root / "CASME2_RAW_selected/sub02")
    extracted = extract(CASME2, root, root / "aus.parquet", OpenFaceCsv())
    assert extracted.left_out == (("casme2/sub02/EP01_01", "no frames"),)
    assert extracted.failed == ()


def test_a_table_made_otherwise_is_not_overwritten(root: Path) -> None:
    out = root / "aus.parquet"
    extract(CASME2, root, out, OpenFaceCsv())
    before = out.read_bytes()
    with pytest.raises(ValueError, match="was not measured so"):
        extract(CASME2, root, out, OpenFaceCsv(order="numbers"))
    assert out.read_bytes() == before


def test_macro_expressions_end_at_their_apex(tmp_path: Path) -> None:
    """The source of early frames takes a clip's end for its apex; this one goes on to an offset."""
    rise_and_fall = np.zeros((9, 17), np.float32)
    rise_and_fall[:, AU12] = [0, 0.2, 0.4, 0.6, 0.8, 0.6, 0.4, 0.2, 0]
    footage = next(iter(lay_out(tmp_path, row()))).footage
    clip = Clip(Origin("casme-sq", "s15", "a"), footage, 46, 50, 54, "happiness", 1, kind="macro")
    micro = Clip(Origin("casme-sq", "s15", "b"), footage, 46, 50, 54, "happiness", 1)
    for part in (clip, micro):
        table = frame_table.rows(part, range(46, 55), Measured(rise_and_fall, None))
        pq.write_table(table, tmp_path / f"{part.origin.clip}.parquet")
    parts = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    frame_table.write_parts(tmp_path / "aus.parquet", parts, {"measured": {}})
    (macro,) = au_sources.read_clips(tmp_path / "aus.parquet", source="mae")
    assert macro.aus[:, AU12].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    (only,) = au_sources.read_clips(tmp_path / "aus.parquet", source="mie")
    assert (only.origin.clip, len(only.aus), only.apex) == ("b", 9, 4)


def test_a_failed_frame_is_a_row_without_aus(tmp_path: Path) -> None:
    clip = next(iter(lay_out(tmp_path, row())))
    aus = np.full((10, 17), 0.25, np.float32)
    aus[3] = np.nan
    table = frame_table.rows(clip, clip.numbers, Measured(aus, np.full(10, 0.95, np.float32)))
    assert table["success"].to_pylist() == [1, 1, 1, 0, *[1] * 6]
    frame_table.write_parts(tmp_path / "aus.parquet", [], {"measured": {}})
    pq.write_table(table, tmp_path / "aus.parquet")
    (read,) = au_sources.read_clips(tmp_path / "aus.parquet", source="mie")
    assert read.failed.tolist() == [False] * 3 + [True] + [False] * 6


@pytest.mark.parametrize("nested", [False, True])
def test_openface_tables_are_found_flat_or_in_a_folder_each(root: Path, nested: bool) -> None:
    clip = next(iter(CASME2.read(root)))
    flat = root / "openface/sub01/EP02_01f.csv"
    if nested:
        (root / "openface/sub01/EP02_01f").mkdir()
        flat = flat.rename(root / "openface/sub01/EP02_01f/EP02_01f.csv")
    assert openface_csv(root, clip.footage) == flat
    elsewhere = shutil.move(root / "openface", root.parent / "elsewhere")
    assert openface_csv(root, clip.footage) is None
    found = openface_csv(root, clip.footage, Path(elsewhere))
    assert found is not None and found.name == flat.name


def test_a_path_with_an_equals_sign_in_it_is_a_path(tmp_path: Path) -> None:
    table = tmp_path / "a=b.csv"
    table.touch()
    assert named_collection(str(table)) is None
    with pytest.raises(ValueError, match="no collection 'casme9'; there are casme2"):
        named_collection("casme9=/somewhere")


def test_the_command_tells_bad_input_in_one_sentence(root: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    out = ["--out", str(tmp_path / "x.parquet"), "--workers", "1"]
    good = ["extract", "casme2", str(root), "--with", "openface-csv", *out]
    assert run(cli.main, good).exit_code == 0
    again = run(cli.main, good)
    assert again.exit_code == 0
    shutil.rmtree(root / "openface")
    for bad in (
        ["casme9", str(root), "--with", "estimator", *out],
        ["casme2", str(root / "nowhere"), "--with", "estimator", *out],
        ["casme2", str(root), "--with", "openface-csv", *out],
        ["casme2", str(root), "--with", "estimator", "--openface", str(root), *out],
        ["casme2", str(root), "--with", "openface-csv", "--out", str(root)],
    ):
        done = run(cli.main, ["extract", *bad])
        assert done.exit_code == 2, bad
        assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
    done = run(cli.main, ["plan", "--ids", "1", "--mie", f"casme2={root}"])
    assert done.exit_code == 2 and "mie-x extract casme2" in done.stderr
    done = run(cli.main, ["plan", "--ids", "1", "--mae", f"casme2={root}"])
    assert done.exit_code == 2 and "no macro-expressions" in done.stderr


@pytest.mark.slow
def test_the_estimator_sees_the_smile_of_a_stand_in(tmp_path: Path) -> None:
    (clip,) = CASME2.write_standin(tmp_path, subjects=1, clips=1, seed=1)
    assert clip.emotion == "happiness"
    extract(CASME2, tmp_path, tmp_path / "aus.parquet", BuiltIn())
    (read,) = au_sources.read_clips(tmp_path / "aus.parquet", source="mie")
    assert read.onset is not None and read.apex is not None
    rise = read.aus[read.apex] - read.aus[read.onset]
    assert rise[AU12] > 0.03
