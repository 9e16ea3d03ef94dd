"""MEGC 2019's list over three collections, on invented rows: one test renders a few clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from mie_x.datasets import COLLECTIONS, megc2019, standin
from mie_x.datasets.collection import counts
from mie_x.datasets.footage import Pictures
from mie_x.datasets.samm import write_codes
from mie_x.datasets.sheets import write_sheet
from mie_x.records import LABELS, Clip, Origin

HEADER = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units",
          "Estimated Emotion"]  # fmt: skip
PUBLISHED = COLLECTIONS["megc2019"].published[0]


def members(root: Path, *, emotion: str = "disgust") -> None:
    """A clip of each collection, in its layout: sub01 EP02_01f, 006 006_1_2, s1 s1_ne_01."""
    rows = [["01", "EP02_01f", 1, 2, 3, "4", emotion], ["01", "EP03_02", 1, 2, 3, "12", "others"]]
    write_sheet(root / "casme2/CASME2-coding-20190701.xlsx", {"Sheet1": [HEADER, *rows]})
    write_codes(root / "samm", [["006", "006_1_2", 1, 2, 3, "4", "Anger"]])
    for folder, name in (
        ("casme2/CASME2-RAW/sub01/EP02_01f", "img{}.jpg"),
        ("casme2/CASME2-RAW/sub01/EP03_02", "img{}.jpg"),
        ("samm/SAMM/006/006_1_2", "006_{:05d}.jpg"),
        ("smic/HS/s1/micro/negative/s1_ne_01", "image{:06d}.bmp"),
    ):
        (root / folder).mkdir(parents=True)
        for number in (1, 2, 3):
            Image.new("L", (8, 6)).save(root / folder / name.format(number))


def listed(root: Path, *rows: Sequence[object]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    text = "\r\n".join(",".join(map(str, row)) for row in rows)  # the last line does not end
    (root / megc2019.LIST).write_text(text)


def small(root: Path, *rows: tuple[str, object, str, int]) -> list[Clip]:
    """Read a list of ROWS alone: a folder that is marked as a stand-in has its own counts."""
    listed(root, *rows)
    bare = []
    for dataset, subject, name, label in rows:
        member = megc2019.MEMBERS[dataset]
        origin = Origin(member.corpus, member.subject(str(subject)), name)
        footage = Pictures(name, root, {})
        bare.append(Clip(origin, footage, None, None, None, "", label))
    standin.mark(root, "a list", bare, seed=0)
    return list(COLLECTIONS["megc2019"].read(root))


def whole_list() -> list[tuple[str, str, str, int]]:
    """442 rows with the published counts; names are invented but the two that tests look at."""
    rows = []
    for dataset, member in megc2019.MEMBERS.items():
        for subject, cells in member.cells.items():
            spelled = subject.lstrip("0") if dataset == "samm" else subject
            for label, count in enumerate(cells):
                rows += [(dataset, spelled, f"{subject}_{label}_{n}", label) for n in range(count)]
    rows[rows.index(("casme2", "sub01", "sub01_0_0", 0))] = ("casme2", "sub01", "EP02_01f", 0)
    rows[rows.index(("samm", "32", "032_0_0", 0))] = ("samm", "32", "032_3_1", 0)
    return rows


def test_the_published_cells_are_those_of_the_published_totals() -> None:
    assert (PUBLISHED.clips, PUBLISHED.subjects) == (442, 68)
    assert PUBLISHED.labels == {"negative": 250, "positive": 109, "surprise": 83}
    totals = {
        name: [sum(cells) for cells in zip(*member.cells.values(), strict=True)]
        for name, member in megc2019.MEMBERS.items()
    }
    assert totals == {"casme2": [88, 32, 25], "samm": [92, 26, 15], "smic": [70, 51, 43]}
    assert PUBLISHED.by_subject["sub17"] == (23, 7, 1)
    assert PUBLISHED.by_subject["011"] == (13, 7, 0)
    assert "sub10" not in PUBLISHED.by_subject and "sub18" not in PUBLISHED.by_subject


def test_the_whole_list_is_handed_out_also_what_no_collection_holds(tmp_path: Path) -> None:
    members(tmp_path)
    listed(tmp_path, *whole_list())
    clips = list(COLLECTIONS["megc2019"].read(tmp_path))
    found = counts(clips, kind="micro")
    assert (found["clips"], found["subjects"]) == (442, 68)
    assert found["labels"] == PUBLISHED.labels
    assert found["by_subject"] == dict(sorted(PUBLISHED.by_subject.items()))
    there = [clip for clip in clips if not clip.problem]
    assert [clip.origin for clip in there] == [("casme2", "sub01", "EP02_01f")]
    missing = next(clip for clip in clips if clip.origin.clip == "032_3_1")
    assert missing.problem == "in the list, and not in SAMM as it lies in samm"
    assert (missing.label, missing.numbers, missing.stand_in) == (0, [], False)


def test_a_list_without_samm_032_3_1_is_refused_with_a_sentence(tmp_path: Path) -> None:
    members(tmp_path)
    listed(tmp_path, *(row for row in whole_list() if row[2] != "032_3_1"))
    with pytest.raises(
        ValueError, match=r"441 clips of 68 subjects, not 442.*lacks SAMM's 032_3_1.*own list"
    ):
        list(COLLECTIONS["megc2019"].read(tmp_path))


def test_a_list_with_another_class_for_one_clip_is_refused(tmp_path: Path) -> None:
    members(tmp_path)
    rows = whole_list()
    rows[0] = (*rows[0][:3], 2)
    listed(tmp_path, *rows)
    with pytest.raises(ValueError, match=r"subject sub01 has \(1, 1, 1\), not \(2, 1, 0\)"):
        list(COLLECTIONS["megc2019"].read(tmp_path))


def test_spellings_of_the_list_find_the_folders(tmp_path: Path) -> None:
    members(tmp_path)
    clips = small(
        tmp_path,
        ("smic", "s01", "s01_ne_01", 0),
        ("samm", 6, "006_1_2", 0),
        ("casme2", "sub01", "EP02_01f", 0),
    )
    assert [clip.origin for clip in clips] == [
        ("smic-hs", "s01", "s01_ne_01"),
        ("samm", "006", "006_1_2"),
        ("casme2", "sub01", "EP02_01f"),
    ]
    assert [clip.problem for clip in clips] == ["", "", ""]
    assert [(clip.onset, clip.apex, clip.offset) for clip in clips] == [(1, 2, 3)] * 3
    assert [clip.fps for clip in clips] == [100.0, 200.0, 200.0]


def test_origins_are_those_of_the_collections_read_directly(tmp_path: Path) -> None:
    members(tmp_path)
    (clip,) = small(tmp_path, ("smic", "s01", "s01_ne_01", 0))
    (direct,) = COLLECTIONS["smic-hs"].read(tmp_path / "smic")
    assert clip.origin == direct.origin and clip.footage.name == direct.footage.name


def test_zero_is_negative(tmp_path: Path) -> None:
    members(tmp_path)
    (clip,) = small(tmp_path, ("samm", 6, "006_1_2", 0))
    assert (clip.emotion, clip.label, LABELS["negative"]) == ("Anger", 0, 0)
    assert clip.odd == ()


@pytest.mark.parametrize(
    ("emotion", "odd"),
    [
        ("happiness", "negative in the list, positive by the rule (happiness)"),
        ("sadness", "negative in the list, of no class by the rule (sadness)"),
    ],
)
def test_the_list_is_the_truth_and_another_rule_is_odd(
    tmp_path: Path, emotion: str, odd: str
) -> None:
    members(tmp_path, emotion=emotion)
    (clip,) = small(tmp_path, ("casme2", "sub01", "EP02_01f", 0))
    assert (clip.label, clip.odd, clip.problem) == (0, (odd,), "")


def test_what_is_not_in_the_list_is_not_handed_out(tmp_path: Path) -> None:
    members(tmp_path)
    (clip,) = small(tmp_path, ("casme2", "sub01", "EP02_01f", 0))
    held = [clip.origin.clip for clip in COLLECTIONS["casme2"].read(tmp_path / "casme2")]
    assert (clip.origin.clip, held) == ("EP02_01f", ["EP02_01f", "EP03_02"])


def test_collections_may_be_links(tmp_path: Path) -> None:
    members(tmp_path / "elsewhere")
    root = tmp_path / "megc"
    root.mkdir()
    for name in ("casme2", "samm", "smic"):
        (root / name).symlink_to(tmp_path / "elsewhere" / name, target_is_directory=True)
    clips = small(root, ("samm", 6, "006_1_2", 0), ("smic", "s01", "s01_ne_01", 0))
    assert [(clip.problem, len(clip.numbers)) for clip in clips] == [("", 3), ("", 3)]


def test_a_stand_in_s_list_must_have_the_stand_in_s_counts(tmp_path: Path) -> None:
    members(tmp_path)
    small(tmp_path, ("samm", 6, "006_1_2", 0), ("casme2", "sub01", "EP02_01f", 0))
    listed(tmp_path, ("samm", 6, "006_1_2", 0))
    with pytest.raises(ValueError, match=r"1 clips of 1 subjects, not 2 of 2.*sub01 has \(0, 0, 0"):
        list(COLLECTIONS["megc2019"].read(tmp_path))


@pytest.mark.parametrize(
    "row",
    [
        ("dataset", "subject", "filename", "label"),
        ("casme2", "sub01", "EP02_01f", 3),
        ("casme3", "sub01", "EP02_01f", 0),
        ("casme2", "sub01", "EP02_01f"),
    ],
)
def test_a_row_that_is_not_the_list_s_is_refused_with_its_number(
    tmp_path: Path, row: Sequence[object]
) -> None:
    listed(tmp_path, ("samm", 6, "006_1_2", 0), row)
    with pytest.raises(ValueError, match=r"row 2 is .*not dataset \(casme2, samm, smic\)"):
        list(COLLECTIONS["megc2019"].read(tmp_path))


def test_a_cell_that_leads_out_of_the_root_is_refused(tmp_path: Path) -> None:
    members(tmp_path)
    with pytest.raises(ValueError, match="is no name of a file or folder"):
        small(tmp_path, ("casme2", "sub01", "../../etc", 0))


def test_a_missing_list_or_collection_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"combined_3class_gt.csv: no such list; put"):
        list(COLLECTIONS["megc2019"].read(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"samm: no such folder"):
        small(tmp_path, ("samm", 6, "006_1_2", 0))


def test_the_whole_stand_in_has_the_published_composition() -> None:
    played = [
        (subject, COLLECTIONS[megc2019.MEMBERS[dataset].corpus], emotion)
        for dataset, cast in megc2019.casts(68, 442, seed=0).items()
        for subject, emotion in cast
    ]
    assert len(played) == 442
    rule = {"happiness": 1, "positive": 1, "surprise": 2}  # all others of the cast are negative
    cells = Counter((subject, rule.get(emotion, 0)) for subject, _, emotion in played)
    assert {
        subject: tuple(cells[subject, label] for label in range(3))
        for subject in PUBLISHED.by_subject
    } == PUBLISHED.by_subject
    words = {emotion for _, _, emotion in played}
    assert {"disgust", "repression", "anger", "contempt", "fear", "sadness", "negative"} <= words


def test_small_stand_ins_take_people_of_the_three_in_turn() -> None:
    played = megc2019.casts(4, 12, seed=1)
    who = {dataset: {subject for subject, _ in cast} for dataset, cast in played.items()}
    assert who == {"casme2": {"sub01"}, "samm": {"006"}, "smic": {"s01", "s02"}}
    with pytest.raises(ValueError, match="69 subjects: MEGC 2019 composite has 68"):
        megc2019.casts(69, 442, seed=1)


@pytest.mark.slow
def test_a_stand_in_of_all_three_is_read_and_has_its_openface_tables(tmp_path: Path) -> None:
    made = megc2019.write_standin(tmp_path, subjects=3, clips=4, seed=3, workers=1)
    found = list(COLLECTIONS["megc2019"].read(tmp_path))
    assert [clip.origin for clip in found] == [clip.origin for clip in made]
    assert {clip.origin.corpus for clip in found} == {"casme2", "samm", "smic-hs"}
    assert all(clip.stand_in and not clip.problem for clip in found)
    for clip in found:
        assert (tmp_path / "openface" / f"{clip.footage.name}.csv").is_file()
    assert "samm,6,006_" in (tmp_path / megc2019.LIST).read_text()
