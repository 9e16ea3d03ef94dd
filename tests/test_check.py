"""A truncated or mixed-up copy: every fault is named, and nothing else is called one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from mie_x import cli
from mie_x.datasets import COLLECTIONS
from mie_x.datasets.check import Checked, Finding, check, lines, write_findings
from mie_x.datasets.collection import MARK, Collection, Published
from mie_x.datasets.standin import mark
from tests.test_casme2 import lay_out, row

CLIPS = Path("CASME2_RAW_selected")
PUBLISHED = Published(
    "an invented sheet",
    clips=3,
    subjects=2,
    emotions={"happiness": 2, "surprise": 1},
    labels={"positive": 2, "surprise": 1},
    by_subject={"sub01": (0, 1, 1), "sub02": (0, 1, 0)},
)


@pytest.fixture
def collection() -> Collection:
    return replace(COLLECTIONS["casme2"], published=(PUBLISHED,))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three clips of two subjects, frames 46 to 55 each, as ``PUBLISHED`` counts them."""
    lay_out(tmp_path, row(), row(name="EP03_02", emotion="surprise"), row("02", "EP01_01", apex=51))
    return tmp_path


def told(found: tuple[Finding, ...]) -> list[str]:
    return [f"{finding.where}: {finding.what}" for finding in found]


def test_a_sound_copy_has_no_fault(collection: Collection, root: Path) -> None:
    checked = check(collection, root, deep=True)
    assert checked.findings == ()
    assert checked.counted["micro"]["by_subject"] == {"sub01": (0, 1, 1), "sub02": (0, 1, 0)}
    assert list(lines(collection, checked))[-1] == "no fault"
    assert checked.coded == {"micro": {4: 3, 7: 3, 10: 3}}  # each cell is 4+7+L10


def cut_off(clips: Path) -> None:
    (clips / "sub01/EP02_01f/img55.jpg").unlink()


def hole(clips: Path) -> None:
    for number in (47, 48, 52, 53):
        (clips / f"sub01/EP02_01f/img{number}.jpg").unlink()


def lost_apex(clips: Path) -> None:
    (clips / "sub02/EP01_01/img51.jpg").unlink()


def lost_clip(clips: Path) -> None:
    shutil.rmtree(clips / "sub02/EP01_01")


def moved_clip(clips: Path) -> None:
    (clips / "sub02/EP01_01").rename(clips / "sub01/EP01_01")


def copied_over(clips: Path) -> None:
    shutil.copytree(clips / "sub02/EP01_01", clips / "sub01/EP03_02", dirs_exist_ok=True)


def copied_in_part(clips: Path) -> None:
    for number in range(46, 49):
        shutil.copy(clips / f"sub02/EP01_01/img{number}.jpg", clips / "sub01/EP03_02")


def before_the_onset(clips: Path) -> None:
    (clips / "sub01/EP03_02/img45.jpg").write_bytes(b"")


def fetched_twice(clips: Path) -> None:
    shutil.copy(clips / "sub01/EP03_02/img50.jpg", clips / "sub01/EP03_02/img50 (1).jpg")


def emptied(clips: Path) -> None:
    (clips / "sub01/EP03_02/img50.jpg").write_bytes(b"")


def truncated(clips: Path) -> None:
    path = clips / "sub01/EP03_02/img49.jpg"
    path.write_bytes(path.read_bytes()[:200])


def other_size(clips: Path) -> None:
    Image.new("RGB", (10, 6)).save(clips / "sub01/EP03_02/img50.jpg")


def same_number_twice(clips: Path) -> None:
    shutil.copy(clips / "sub01/EP03_02/img50.jpg", clips / "sub01/EP03_02/img050.jpg")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            cut_off,
            [
                "casme2/sub01/EP02_01f: 1 frames missing from onset to offset: 55",
                "casme2/sub01/EP02_01f: frame 55, its offset, is not there (46 to 54 are)",
            ],
        ),
        (
            hole,
            ["casme2/sub01/EP02_01f: 4 frames missing from onset to offset: 47, 48, 52 and 1 more"],
        ),
        (
            lost_apex,
            [
                "casme2/sub02/EP01_01: 1 frames missing from onset to offset: 51",
                "casme2/sub02/EP01_01: frame 51, its apex, is not there (46 to 55 are)",
            ],
        ),
        (lost_clip, ["casme2/sub02/EP01_01: no frames in sub02/EP01_01"]),
        (moved_clip, ["casme2/sub02/EP01_01: no frames in sub02/EP01_01"]),
        (
            copied_over,
            [
                "casme2/sub02/EP01_01: its frames are those of casme2/sub01/EP03_02: one was "
                "copied over the other"
            ],
        ),
        (
            copied_in_part,
            [
                "casme2/sub02/EP01_01: some of its frames are those of casme2/sub01/EP03_02: "
                "copied over its own"
            ],
        ),
        (before_the_onset, ["casme2/sub01/EP03_02: 1 empty files: img45.jpg"]),
        (fetched_twice, ["casme2/sub01/EP03_02: number of another file in img50 (1).jpg"]),
        (
            emptied,
            [
                "casme2/sub01/EP03_02: 1 empty files: img50.jpg",
                "casme2/sub01/EP03_02: 1 unreadable: frame 50",
            ],
        ),
        (truncated, ["casme2/sub01/EP03_02: 1 unreadable: frame 49"]),
        (
            other_size,
            ["casme2/sub01/EP03_02: frames of several sizes: 9 of 6 x 8, 1 of 6 x 10"],
        ),
        (
            same_number_twice,
            ["casme2/sub01/EP03_02: number of another file in img50.jpg"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_copy_has_exactly_these_faults(
    collection: Collection, root: Path, damage: Callable[[Path], None], expected: list[str]
) -> None:
    damage(root / CLIPS)
    faults = told(check(collection, root, deep=True).faults)
    assert [fault.partition(" (/")[0] for fault in faults] == expected


def test_clips_cut_from_one_recording_may_share_frames(collection: Collection, root: Path) -> None:
    for number in (46, 47):
        name = f"img{number}.jpg"
        shutil.copy(root / CLIPS / "sub01/EP02_01f" / name, root / CLIPS / "sub01/EP03_02" / name)
    checked = check(collection, root)
    (odd,) = checked.findings
    assert (checked.faults, odd.where) == ((), "casme2/sub01/EP03_02")
    assert odd.what == "shares frames with casme2/sub01/EP02_01f: cut from one recording, or copied"


def test_what_was_found_of_many_is_one_line(collection: Collection) -> None:
    many = tuple(Finding("excluded", f"c{n}", "a still picture") for n in range(900))
    few = tuple(Finding("odd", f"c{n}", "no date") for n in range(2))
    checked = Checked(900, False, {}, {}, {}, (*many, *few))
    assert list(lines(collection, checked))[2:] == [
        "excluded: 900",
        "  900 times: a still picture (c0, c1, c2 and 897 more)",
        "odd: 2",
        "  c0: no date",
        "  c1: no date",
        "no fault",
    ]


def test_a_moved_folder_is_told_where_it_lies_now(collection: Collection, root: Path) -> None:
    moved_clip(root / CLIPS)
    (odd,) = (f for f in check(collection, root).findings if f.level == "odd")
    assert odd.where == "CASME2_RAW_selected/sub01/EP01_01"
    assert odd.what.startswith("10 pictures that no row of the sheet names: img46.jpg")


def test_a_sheet_with_other_counts_is_a_fault_cell_by_cell(
    collection: Collection, root: Path
) -> None:
    lay_out(root, row(emotion="disgust"), row(name="EP03_02", emotion="surprise"))
    shutil.rmtree(root / CLIPS / "sub02")
    assert told(check(collection, root).faults) == [
        "micro clips: 2 found, 3 in an invented sheet",
        "micro disgust clips: 1 found, 0 in an invented sheet",
        "micro happiness clips: 0 found, 2 in an invented sheet",
        "micro negative clips: 1 found, 0 in an invented sheet",
        "micro positive clips: 0 found, 2 in an invented sheet",
        "micro subject sub01 (negative/positive/surprise): 1/0/1 found, 0/1/1 in an invented sheet",
        "micro subject sub02 (negative/positive/surprise): 0/0/0 found, 0/1/0 in an invented sheet",
        "micro subjects: 1 found, 2 in an invented sheet",
    ]


def test_of_two_releases_the_nearer_one_is_meant(root: Path) -> None:
    other = replace(PUBLISHED, source="another release", emotions={"happiness": 3})
    collection = replace(COLLECTIONS["casme2"], published=(other, PUBLISHED))
    assert check(collection, root).faults == ()


def test_what_the_collection_itself_brings_is_no_fault(collection: Collection, root: Path) -> None:
    lay_out(
        root,
        row(apex="/"),
        row(name="EP03_02", emotion="surprise", onset="/"),
        row("02", "EP01_01", apex=46),
    )
    levels = {f.level: (f.where, f.what) for f in check(collection, root).findings}
    assert levels == {
        "excluded": ("casme2/sub01/EP03_02", "its onset is not annotated ('/')"),
        "repaired": (
            "casme2/sub01/EP02_01f",
            "apex '/' is not annotated: the middle frame 50 taken",
        ),
        "odd": ("casme2/sub02/EP01_01", "apex and onset are one frame"),
    }


def test_gaps_are_odd_where_the_collection_is_handed_out_with_them(
    collection: Collection, root: Path
) -> None:
    hole(root / CLIPS)
    checked = check(replace(collection, gaps=True), root)
    assert (checked.faults, [f.level for f in checked.findings]) == ((), ["odd"])


def test_a_slip_of_a_digit_in_a_sheet_is_told_and_takes_no_time(
    collection: Collection, root: Path
) -> None:
    lay_out(root, row(offset=555555555))
    faults = told(check(collection, root).faults)
    assert (
        "casme2/sub01/EP02_01f: 555555500 frames missing from onset to offset: 56, 57, 58 and "
        "555555497 more" in faults
    )


def test_a_stand_in_is_held_against_what_it_says_of_itself(root: Path) -> None:
    clips = list(COLLECTIONS["casme2"].read(root))
    mark(root, "CASME II", clips, seed=0)
    assert check(COLLECTIONS["casme2"], root).faults == ()
    mark(root, "CASME II", clips[:2], seed=0)
    checked = check(COLLECTIONS["casme2"], root)
    assert checked.stand_in
    assert "micro clips: 3 found, 2 in STAND-IN.txt" in told(checked.faults)


def test_a_stand_in_stays_one_through_the_folder_above_and_through_links(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read = COLLECTIONS["casme2"].read
    mark(root, "CASME II", list(read(root)), seed=0)
    above = tmp_path_factory.mktemp("above")
    shutil.copytree(root, above / "CASME2")
    checked = check(COLLECTIONS["casme2"], above)
    assert checked.stand_in and checked.faults == ()
    real = tmp_path_factory.mktemp("real")
    shutil.copy(next(root.glob("*.xlsx")), real)
    (real / CLIPS).symlink_to(root / CLIPS)
    assert [clip.stand_in for clip in read(real)] == [True] * 3
    (real / CLIPS).unlink()
    shutil.copytree(root / CLIPS, real / CLIPS)
    assert [clip.stand_in for clip in read(real)] == [False] * 3


def test_workers_change_nothing(collection: Collection, root: Path) -> None:
    emptied(root / CLIPS)
    assert check(collection, root, workers=2) == check(collection, root)


def test_whatever_cells_hold_a_line_is_one_line_and_of_some_length(
    collection: Collection, root: Path
) -> None:
    lay_out(root, row(emotion="joy\n0 faults\n"), row(name="EP03_02", emotion="x" * 30_000))
    told = list(lines(collection, check(collection, root)))
    assert not any("\n" in line or len(line) > 604 for line in told)
    assert any(line.startswith("  joy 0 faults") for line in told)


@pytest.mark.parametrize(
    "told",
    ["", "[1]", '{"micro": {}}', '{"micro": {"by_subject": {"a": 5}}}',
     '{"micro": {"clips": "3", "subjects": 1, "emotions": {}, "labels": {}, "by_subject": {}}}',
     '{"micro": {"clips": 3, "subjects": 1, "emotions": 5, "labels": {}, "by_subject": {}}}'],
)  # fmt: skip
def test_a_mark_that_was_tampered_with_is_refused(root: Path, told: str) -> None:
    (root / MARK).write_text(f"STAND-IN\n{told}\n")
    with pytest.raises(ValueError, match=r"cannot be read .* write the stand-in again"):
        check(COLLECTIONS["casme2"], root)


def test_names_that_are_not_text_are_written_nevertheless(tmp_path: Path) -> None:
    write_findings(tmp_path / "f.csv", [Finding("odd", "a\udcffb", "strange")])
    assert "a\\udcffb" in (tmp_path / "f.csv").read_text("utf-8")


def test_findings_are_a_table(tmp_path: Path) -> None:
    write_findings(tmp_path / "f.csv", [Finding("odd", "a/b", 'says "no", twice')])
    assert (tmp_path / "f.csv").read_text().splitlines() == [
        "level,where,what",
        'odd,a/b,"says ""no"", twice"',
    ]


def test_a_folder_s_name_is_no_formula_in_the_table(tmp_path: Path) -> None:
    write_findings(tmp_path / "f.csv", [Finding("odd", "=1+1/b", "strange")])
    assert (tmp_path / "f.csv").read_text().splitlines()[1] == "odd,'=1+1/b,strange"


def test_the_command_ends_with_1_on_a_fault_and_2_on_bad_input(root: Path) -> None:
    run = CliRunner().invoke
    mark(root, "CASME II", list(COLLECTIONS["casme2"].read(root)), seed=0)
    assert run(cli.main, ["check", "casme2", str(root), "--workers", "1"]).exit_code == 0
    lost_clip(root / CLIPS)
    out = root / "findings.csv"
    done = run(cli.main, ["check", "casme2", str(root), "--workers", "1", "--out", str(out)])
    assert done.exit_code == 1
    assert "no frames in sub02/EP01_01" in done.stdout and "STAND-IN" in done.stdout
    assert out.read_text().splitlines()[1].startswith("fault,casme2/sub02/EP01_01,")
    for bad in (["casme9", str(root)], ["casme2", str(root / "nowhere")]):
        done = run(cli.main, ["check", *bad])
        assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1


def test_a_stand_in_is_not_written_over_anything(root: Path) -> None:
    done = CliRunner().invoke(cli.main, ["standin", "casme2", str(root)])
    assert done.exit_code == 2 and "not empty" in done.stderr
