"""What mie-x found, as a collection's own sheet: our readers find in it what was given."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mie_x import __version__
from mie_x.datasets import COLLECTIONS, EXPORTS, coded
from mie_x.datasets.casme_sq import FILMS
from mie_x.datasets.footage import Pictures, Video
from mie_x.datasets.sheets import tables, write_sheet
from mie_x.records import LABELS, Clip, Origin

FRAMES = range(1, 13)
PLACES = {  # a subject, a clip's name, its footage's, and where this lies
    "casme2": ("sub01", "EP02_01f", "sub01/EP02_01f", "CASME2_RAW_selected"),
    "casme-sq": ("s15", "disgust1_1", "s15/15_0101disgustingteeth", "rawpic"),
    "samm": ("006", "006_1_2", "006/006_1_2", "SAMM"),
    "samm-lv": ("006", "006_1_2", "006_1", "SAMM_longvideos"),
    "clips": ("ann", "c01", "frames/ann/c01", "."),
}
LAYOUTS = sorted(EXPORTS)
LABEL_OF = {"Happiness": 1, "Disgust": 0, "surprise": 2, "others": None, "-": None, "=1+1": None}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=8).filter(
    lambda text: not text.startswith("'")
)


def clip(layout: str, root: Path, **told: object) -> Clip:
    subject, name, place, frames = PLACES[layout]
    files = {number: f"img{number:03d}.png" for number in FRAMES}
    footage = Pictures(place, root / frames / place, files)
    has_emotion = layout != "samm-lv"
    known = Clip(
        Origin(layout, subject, name),
        footage,
        2,
        5,
        9,
        "Happiness" if has_emotion else "",
        1 if has_emotion else None,
        aus="6+12",
    )
    return replace(known, **told)  # type: ignore[arg-type]


def film(*clips: Clip) -> None:
    for one in clips:
        assert isinstance(one.footage, Pictures)
        one.footage.folder.mkdir(parents=True, exist_ok=True)
        for file in one.footage.files.values():
            Image.new("L", (4, 4)).save(one.footage.folder / file)


def told(clips: Sequence[Clip]) -> list[tuple[object, ...]]:
    return [
        (
            (c.origin, c.footage.name, list(c.footage.numbers)),
            (c.onset, c.apex, c.offset, c.apex_from),
            (c.emotion, c.label, c.aus, c.kind, c.problem),
        )
        for c in clips
    ]


def round_trip(root: Path, *clips: Clip) -> list[Clip]:
    layout = clips[0].origin.corpus
    EXPORTS[layout](root, clips)
    return list(COLLECTIONS[layout].read(root))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_was_written_is_read(layout: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.sampled_from(FRAMES), min_size=3, max_size=3).map(sorted),
        st.booleans(),
        st.sampled_from(sorted(LABEL_OF)),
        TEXT,
        st.sampled_from(["micro", "macro"]),
    )
    def holds(keys: list[int], has_apex: bool, emotion: str, aus: str, kind: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            given_ = clip(layout, Path(folder), aus=aus)
            onset, apex, offset = keys
            given_ = replace(given_, onset=onset, apex=apex, offset=offset)
            if not has_apex:
                given_ = replace(given_, apex=(onset + offset) // 2, apex_from="middle")
            if layout != "samm-lv":
                given_ = replace(given_, emotion=emotion, label=LABEL_OF[emotion])
            if layout not in ("samm", "casme2"):
                given_ = replace(given_, kind=kind)
            film(given_)
            (found,) = round_trip(Path(folder), given_)
            assert told([found]) == told([given_])

    holds()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("apex", [{"apex": None}, {"apex": 7, "apex_from": "last"}])
def test_an_apex_that_nobody_coded_is_not_annotated(
    layout: str, apex: dict[str, object], tmp_path: Path
) -> None:
    one = clip(layout, tmp_path, **apex)
    film(one)
    (found,) = round_trip(tmp_path, one)
    assert (found.apex, found.apex_from) == (5, "middle")  # (2 + 9) // 2
    assert "is not annotated: the middle frame 5 taken" in found.repaired[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sheet_says_that_a_machine_coded_it_and_of_a_stand_in_so(
    layout: str, tmp_path: Path
) -> None:
    path = EXPORTS[layout](tmp_path, [clip(layout, tmp_path)])
    lines = next(iter(tables(path)))[1]
    byline = f"coded by mie-x {__version__}, a machine"
    assert byline in lines[-1] and "STAND-IN" not in str(lines)
    path.unlink()
    mixed = [clip(layout, tmp_path), clip(layout, tmp_path, stand_in=True)]
    EXPORTS[layout](tmp_path, mixed)
    *_, real, invented = next(iter(tables(path)))[1]
    assert byline in real and any(cell.startswith(f"{byline}; STAND-IN") for cell in invented)
    if layout.startswith("samm"):  # lines above the header, as the original has
        assert "STAND-IN" in next(iter(tables(path)))[1][0][0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sheet_that_is_there_stays_as_it_is(layout: str, tmp_path: Path) -> None:
    path = EXPORTS[layout](tmp_path, [clip(layout, tmp_path)])
    before = path.read_bytes()
    with pytest.raises(ValueError, match="there already; give a folder without a sheet"):
        EXPORTS[layout](tmp_path, [])
    assert path.read_bytes() == before and [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sheet_takes_the_place_of_the_one_written_before_and_of_nothing_else(
    layout: str, tmp_path: Path
) -> None:
    folder = tmp_path / "out" / "sheet"
    one, other = clip(layout, tmp_path), clip(layout, tmp_path, offset=8)
    film(one)
    empty = coded.write(folder, EXPORTS[layout], [])
    (folder / "notes.txt").write_text("mine")
    path = coded.write(folder, EXPORTS[layout], [one])
    first = path.read_bytes()
    with pytest.raises(ValueError, match="in order"):
        coded.write(folder, EXPORTS[layout], [replace(one, onset=6)])
    assert path.read_bytes() == first
    assert coded.write(folder, EXPORTS[layout], [other]) == path == empty
    assert path.read_bytes() != first and (folder / "notes.txt").read_text() == "mine"
    assert {file.name for file in folder.iterdir()} == {path.name, "notes.txt"}
    assert [file.name for file in folder.parent.iterdir()] == ["sheet"]


def test_clips_that_people_told_stay_where_a_sheet_is_to_be_written(tmp_path: Path) -> None:
    own = "subject,clip,path,onset,offset,coded by\nann,c01,frames/ann/c01,2,9,Bea\n"
    (tmp_path / "clips.csv").write_text(own)
    with pytest.raises(ValueError, match="there already, and nothing says that it is a machine's"):
        coded.write(tmp_path, EXPORTS["clips"], [clip("clips", tmp_path)])
    assert (tmp_path / "clips.csv").read_text() == own


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "by", [coded.BY_MACHINE, coded.KEY_FRAMES, f"{coded.KEY_FRAMES}; stopped by the truth"]
)
def test_a_row_says_what_of_it_a_machine_has_coded(layout: str, by: str, tmp_path: Path) -> None:
    path = EXPORTS[layout](tmp_path, [clip(layout, tmp_path)], by=by)
    row = next(iter(tables(path)))[1][-1]
    assert row[-1] == by and coded.by_machine(row) == [by]
    assert "emotion, class and AUs as the collection has them" in coded.KEY_FRAMES


@settings(deadline=None)
@given(st.text("=+-'\"\r\n\x0b\x85\u2028\xa0 ,4B\0"))
def test_whatever_a_cell_is_read_as_can_be_written_again(cell: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.csv"
        write_sheet(path, {"codes": [["AUs", "end"], [cell, "."]]})
        ((_, (_, (found, _))),) = tables(path)
        one = clip("clips", Path(folder))
        write_sheet(path, {"codes": [["AUs", "end"], [coded.text(one, found), "."]]})
        assert [lines[1][0] for _, lines in tables(path)] == [found]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_clips_that_a_machine_coded_say_so(layout: str, tmp_path: Path) -> None:
    one = clip(layout, tmp_path)
    film(one)
    (found,) = round_trip(tmp_path, one)
    assert coded.BY_MACHINE in found.odd


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "clips"])
@pytest.mark.parametrize("below", ["", "sheet"])
def test_a_written_sheet_is_no_truth_where_the_original_is(
    layout: str, below: str, tmp_path: Path
) -> None:
    one = clip(layout, tmp_path)
    film(one)
    path = EXPORTS[layout](tmp_path, [one])
    path.rename(path.with_name(path.name.replace("mie-x", "2014")))
    coded.write(tmp_path / below, EXPORTS[layout], [replace(one, onset=4)])
    (found,) = COLLECTIONS[layout].read(tmp_path)
    assert found.onset == 2


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("strange", "why"),
    [
        ({"onset": 6}, "in order"),
        ({"onset": -1}, "in order"),
        ({"aus": " 4"}, "no text that a cell can hold"),
        ({"aus": "4\n12"}, "no text that a cell can hold"),
        ({"aus": "'4"}, "no text that a cell can hold"),
        ({"origin": Origin("smic-hs", "s01", "c_01")}, "it is no clip of"),
        ({"footage": Pictures("../x", Path("x"), {})}, "is no place of frames"),
    ],
)
def test_what_no_sheet_can_hold_is_refused_and_nothing_is_written(
    layout: str, strange: dict[str, object], why: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{why}.*leave it out"):
        EXPORTS[layout](tmp_path, [clip(layout, tmp_path), clip(layout, tmp_path, **strange)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("layout", "strange", "why"),
    [
        ("samm", {"kind": "macro"}, "micro-expressions alone"),
        ("casme2", {"kind": "macro"}, "micro-expressions alone"),
        ("samm", {"label": 0}, "class 0 is not told by its emotion 'Happiness'"),
        ("casme2", {"emotion": ""}, "class 1 is not told by its emotion ''"),
        ("clips", {"label": 0}, "class negative is not that of 'Happiness'"),
        ("samm-lv", {"origin": Origin("samm-lv", "6", "006_1_2")}, "it is of '006'"),
        ("samm-lv", {"origin": Origin("samm-lv", "006", "006_2_2")}, "the sheet says '006_2'"),
        ("casme-sq", {"origin": Origin("casme-sq", "s15", "disgust1")}, "without a _"),
        ("casme-sq", {"origin": Origin("casme-sq", "s16", "anger1_1")}, "not called as s16's"),
        (
            "casme-sq",
            {
                "origin": Origin("casme-sq", "s", "anger1_1"),
                "footage": Pictures("s/girl", Path("s/girl"), {}),
            },
            "'s/girl' is not called as s's",
        ),
        ("clips", {"footage": Video("x", Path("x.raw"))}, "'x.raw' is a folder"),
        ("clips", {"origin": Origin("clips", "", "c01")}, "one of subject, clip, path is empty"),
    ],
)
def test_what_one_layout_cannot_hold_is_refused_by_name(
    layout: str, strange: dict[str, object], why: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=why):
        EXPORTS[layout](tmp_path, [clip(layout, tmp_path, **strange)])


def test_names_that_look_like_formulas_are_none_and_are_read_as_they_are(tmp_path: Path) -> None:
    name = "=HYPERLINK(1)"
    one = clip("clips", tmp_path, origin=Origin("clips", "@ann", name), aus="+4", emotion="-2")
    one = replace(one, label=None)
    film(one)
    (found,) = round_trip(tmp_path, one)
    assert told([found]) == told([one])
    text = (tmp_path / "clips.csv").read_text("utf-8")
    assert "'@ann,'=HYPERLINK(1)," in text and ",'-2," in text and ",'+4," in text


@pytest.mark.parametrize(
    ("layout", "name", "place", "told"),
    [
        ("samm", "006_7_2", "006/006_7_2", ["7", "2", "5", "9", "8"]),
        ("samm", "006_x_2", "006/006_x_2", ["", "2", "5", "9", "8"]),
        ("samm-lv", "006_7_2", "006_7", ["7", "2", "5", "9", "8"]),
        ("casme-sq", "disgust1_1", "s15/15_0101disgustingteeth", ["2", "5", "9"]),
    ],
)
def test_stimulus_and_duration_are_told_and_missing_frames_count(
    layout: str, name: str, place: str, told: list[str], tmp_path: Path
) -> None:
    footage = Pictures(place, tmp_path / place, {n: f"{n}.png" for n in (2, 5, 9)})
    origin = Origin(layout, "s15" if layout == "casme-sq" else "006", name)
    path = EXPORTS[layout](tmp_path, [clip(layout, tmp_path, origin=origin, footage=footage)])
    line = next(iter(tables(path)))[1][-1]
    assert line[2 : 2 + len(told)] == told
    assert layout != "casme-sq" or line[9] == "8"  # 2, ..., 9


def test_the_column_of_objective_classes_holds_nothing_else(tmp_path: Path) -> None:
    path = EXPORTS["casme2"](tmp_path, [clip("casme2", tmp_path)])
    head, line = next(iter(tables(path)))[1]
    assert head[8:] == ["Estimated Emotion", "Objective Classes", "Coded by"]
    assert line[8:] == ["Happiness", "", coded.BY_MACHINE]


def test_a_formula_in_a_workbook_is_text(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    one = clip("samm", tmp_path, aus="=1+1")
    film(one)
    path = EXPORTS["samm"](tmp_path, [one])
    (cell,) = (
        cell for row in load_workbook(path)["MICRO_ONLY"] for cell in row if cell.value == "=1+1"
    )
    assert (cell.data_type, cell.quotePrefix) == ("s", True)


def test_a_macro_and_a_micro_expression_of_one_name_stay_two(tmp_path: Path) -> None:
    micro = clip("samm-lv", tmp_path)
    macro = replace(micro, origin=Origin("samm-lv", "006", "006_1_2_macro"), kind="macro")
    film(micro)
    assert told(round_trip(tmp_path, micro, macro)) == told([micro, macro])


def test_the_naming_rules_tell_what_the_paths_tell(tmp_path: Path) -> None:
    clips = [
        replace(
            clip("casme-sq", tmp_path),
            origin=Origin("casme-sq", subject, f"{word}_1"),
            footage=Pictures(place, tmp_path / "rawpic" / place, {n: f"{n}.png" for n in FRAMES}),
        )
        for subject, word, place in (
            ("s40", "anger1", "s40/40_0401girlcrashing"),
            ("s15", "disgust1", "s15/15_0101disgustingteeth"),
            ("s15", "anger1", "s15/15_0401girlcrashing"),
        )
    ]
    film(*clips)
    path = EXPORTS["casme-sq"](tmp_path, clips)
    pages = dict(tables(path))
    assert [line[:2] for line in pages["CASFEcode_final"]] == [
        ["2", "anger1_1"],
        ["1", "disgust1_1"],
        ["1", "anger1_1"],
    ]
    assert pages["naming rule1"] == [["15", "s15", "1"], ["40", "s40", "2"]]
    assert pages["naming rule2"] == [["0101", "disgust1"], ["0401", "anger1"]]
    without = {name: [line[:9] for line in lines] for name, lines in pages.items()}
    write_sheet(path, without)
    assert told(list(COLLECTIONS["casme-sq"].read(tmp_path))) == told(clips)


def test_a_video_that_lies_with_another_subject_is_still_its_owners(tmp_path: Path) -> None:
    one = clip("casme-sq", tmp_path)
    footage = Pictures("s19/15_" + FILMS[1][0], tmp_path / "rawpic/s19/15_0401", {1: "img001.png"})
    one = replace(one, footage=footage, onset=1, apex=1, offset=1)
    film(one)
    (found,) = round_trip(tmp_path, one)
    assert told([found]) == told([one])
    assert found.odd[-1] == "its video lies in the folder of s19"


@pytest.mark.parametrize("label", [*LABELS.values(), None])
def test_a_class_without_a_word_is_held_where_there_is_a_column_for_it(
    label: int | None, tmp_path: Path
) -> None:
    for layout in ("casme-sq", "clips"):
        one = clip(layout, tmp_path / layout, emotion="", label=label)
        film(one)
        (found,) = round_trip(tmp_path / layout, one)
        assert (found.label, found.emotion) == (label, "")


def test_a_video_of_your_own_keeps_its_suffix(tmp_path: Path) -> None:
    one = clip("clips", tmp_path, footage=Video("videos/ann", tmp_path / "videos/ann.mp4"))
    EXPORTS["clips"](tmp_path, [replace(one, fps=29.97)])
    ((_, (_, line)),) = tables(tmp_path / "clips.csv")
    assert (line[2], line[6]) == ("videos/ann.mp4", "29.97")
