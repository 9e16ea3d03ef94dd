"""Tables of AUs: right values or an error that names file, place and remedy; never a guess."""

from __future__ import annotations

import bz2
import csv
import gzip
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from au_sources import AuClip, RealMie, read_clips, tables
from au_sources.tables import read_openface
from mie_x.records import AUS

RAW = [f"AU{au:02d}_r" for au in AUS]
PLAIN = [f"AU{au:02d}" for au in AUS]
Row = dict[str, object]


def aus(first: float, second: float = 0.0, *, names: Sequence[str] = RAW) -> Row:
    """AU cells of one row: AU01 and AU45 as said, zeros between."""
    return {**dict.fromkeys(names, 0.0), names[0]: first, names[-1]: second}


def clip_rows(
    subject: str = "s1", clip: str = "c1", *, emotion: str = "happiness", count: int = 4
) -> list[Row]:
    """An invented clip whose AU01 grows by 0.5 (OpenFace's scale) a frame from frame 10 on."""
    return [
        {
            "subject": subject,
            "clip": clip,
            "frame": 10 + step,
            "emotion": emotion,
            "onset": 10,
            "apex": 12,
            "confidence": 0.98,
            "success": 1,
            **aus(0.5 * step, 0.25),
        }
        for step in range(count)
    ]


def write(path: Path, rows: Sequence[Row], *, separator: str = ",", bom: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(rows[0])
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    text = "\n".join(separator.join(line) for line in lines) + "\n"
    path.write_text(text, encoding="utf-8-sig" if bom else "utf-8", newline="")
    return path


def sequence(path: Path, changes: Row | None = None, *, count: int = 4) -> Path:
    """A file as FeatureExtraction writes it, with blanks after the commas and landmarks."""
    rows: list[Row] = [
        {
            "frame": step + 1,
            " face_id": 0,
            " timestamp": 0.033 * step,
            " confidence": 0.98,
            " success": 1,
            " x_0": 221.5,
            " X_0": -98.7,
            **{f" {name}": value for name, value in aus(0.5 * step, 0.25).items()},
            " AU01_c": 1.0,
            **(changes or {}),
        }
        for step in range(count)
    ]
    return write(path, rows)


def picture(path: Path, *faces: tuple[int, float, float]) -> Path:
    """A file as FaceLandmarkImg writes it: (face, confidence, AU01_r) a row."""
    rows: list[Row] = [
        {"face": face, " confidence": confidence, **{f" {k}": v for k, v in aus(au01).items()}}
        for face, confidence, au01 in faces
    ]
    return write(path, rows)


def only(clips: Sequence[AuClip]) -> AuClip:
    (clip,) = clips
    return clip


def refused(path: Path, *, source: str = "mie") -> str:
    """What read_clips says against PATH; every message names the file."""
    with pytest.raises(ValueError, match=r"\S") as caught:
        read_clips(path, source=source)
    message = str(caught.value)
    assert str(path.parent) in message
    return message


def changed(column: str, value: object, row: int = 1) -> list[Row]:
    rows = clip_rows()
    rows[row][column] = value
    return rows


# OpenFace's files


def test_a_sequence_is_divided_by_five_and_numbered_from_one(tmp_path: Path) -> None:
    frames, values = read_openface(sequence(tmp_path / "c.csv"))
    assert frames.tolist() == [1, 2, 3, 4]
    assert values.shape == (4, 17)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values[:, 0], [0, 0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(values[:, 16], 0.05, rtol=1e-6)
    assert not values[:, 1:16].any()


def test_a_sequence_of_an_older_openface_has_no_face_id(tmp_path: Path) -> None:
    path = sequence(tmp_path / "c.csv")
    table = pd.read_csv(path).drop(columns=" face_id")
    table.to_csv(path, index=False)
    assert read_openface(path)[0].tolist() == [1, 2, 3, 4]


def test_a_picture_is_frame_zero(tmp_path: Path) -> None:
    frames, values = read_openface(picture(tmp_path / "p.csv", (0, 0.9, 2.5)))
    assert frames.tolist() == [0]
    assert values[0, 0] == 0.5


def test_a_picture_without_a_face_is_a_failed_frame(tmp_path: Path) -> None:
    path = picture(tmp_path / "p.csv", (0, 0.9, 2.5))
    path.write_text(path.read_text().splitlines()[0] + "\n")
    frames, values = read_openface(path)
    assert frames.tolist() == [0]
    assert np.isnan(values).all()


def test_failed_frames_are_missing_and_not_faces_at_rest(tmp_path: Path) -> None:
    path = sequence(tmp_path / "c.csv")
    table = pd.read_csv(path)
    table.loc[1, " success"] = 0
    table.loc[2, " confidence"] = 0.79
    table.to_csv(path, index=False)
    assert np.isnan(read_openface(path)[1]).all(axis=1).tolist() == [False, True, True, False]
    lenient = read_openface(path, min_confidence=0.5)[1]
    assert np.isnan(lenient).all(axis=1).tolist() == [False, True, False, False]


def test_garbage_in_a_failed_frame_does_no_harm(tmp_path: Path) -> None:
    path = sequence(tmp_path / "c.csv", {" success": 0, " AU04_r": -7})
    assert np.isnan(read_openface(path)[1]).all()


def test_a_frame_with_empty_aus_is_a_failed_one_even_as_windows_prints_it(tmp_path: Path) -> None:
    path = sequence(tmp_path / "c.csv", {f" {name}": "-nan(ind)" for name in RAW})
    assert np.isnan(read_openface(path)[1]).all()


def test_whose_face_it_is_is_never_guessed(tmp_path: Path) -> None:
    path = picture(tmp_path / "p.csv", (0, 0.99, 1.0), (1, 0.85, 2.0))
    with pytest.raises(ValueError, match=r"p\.csv: line 3, column face: 2 faces \(0, 1\).*column"):
        read_openface(path)
    assert read_openface(path, face=1)[1][0, 0] == np.float32(0.4)
    with pytest.raises(ValueError, match=r"no face 7; there are \[0, 1\]"):
        read_openface(path, face=7)


def test_a_face_that_failed_everywhere_does_not_count(tmp_path: Path) -> None:
    path = picture(tmp_path / "p.csv", (0, 0.3, 1.0), (1, 0.85, 2.0))
    assert read_openface(path)[1][0, 0] == np.float32(0.4)


def test_frames_are_sorted_as_numbers(tmp_path: Path) -> None:
    path = sequence(tmp_path / "c.csv", count=11)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *sorted(lines[1:])]) + "\n")
    frames, values = read_openface(path)
    assert frames.tolist() == list(range(1, 12))
    assert (np.diff(values[:, 0]) > 0).all()


def test_a_list_of_pictures_is_not_a_sequence(tmp_path: Path) -> None:
    path = write(tmp_path / "list.csv", [{"image": n, "confidence": 1, **aus(0.1)} for n in "ab"])
    with pytest.raises(ValueError, match=r"list\.csv: 2 rows, but no column frame"):
        read_openface(path)


def test_a_sequence_without_rows_is_an_error(tmp_path: Path) -> None:
    path = sequence(tmp_path / "c.csv")
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(ValueError, match="no rows below the header; run OpenFace again"):
        read_openface(path)


# tables of frames


def test_a_table_of_frames_gives_clips_with_onset_and_apex_as_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", [*clip_rows(), *clip_rows("s2", "c9", emotion="Sad")])
    first, second = read_clips(path, source="mie")
    assert first.origin == ("mine", "s1", "c1")
    assert (first.label, first.emotion, first.onset, first.apex) == (1, "happiness", 0, 2)
    assert (second.origin.subject, second.label, second.emotion) == ("s2", 0, "sadness")
    np.testing.assert_allclose(first.aus[:, 0], [0, 0.1, 0.2, 0.3], rtol=1e-6)
    assert first.files[0][0] == "mine.csv"
    assert len(first.files[0][1]) == 64
    assert not first.stand_in


def test_the_unit_is_in_the_column_names(tmp_path: Path) -> None:
    def named(names: Sequence[str], value: float) -> AuClip:
        rows: list[Row] = [{"subject": 1, "clip": 1, "frame": 1, "label": "surprise"}]
        rows[0].update(aus(value, names=names))
        return only(read_clips(write(tmp_path / "t.csv", rows), source="mae"))

    short = [f"au{au}" for au in AUS]
    assert named(RAW, 1).aus[0, 0] == np.float32(0.2)
    assert named(PLAIN, 1).aus[0, 0] == 1
    assert named(short, 1).aus[0, 0] == 1
    assert named(RAW, 1).measured == "AU01_r .. AU45_r / 5, confidence >= 0.8 where given"


@pytest.mark.parametrize(
    ("cell", "label"),
    [("0", 0), ("1", 1), ("2", 2), ("2.0", 2), ("Negative", 0), (" positive ", 1), ("SURPRISE", 2)],
)
def test_labels_are_numbers_or_words(tmp_path: Path, cell: str, label: int) -> None:
    rows = [{**row, "label": cell} for row in clip_rows()]
    for row in rows:
        del row["emotion"]
    clip = only(read_clips(write(tmp_path / "t.csv", rows), source="mie"))
    assert clip.label == label
    assert clip.emotion == ("negative", "positive", "surprise")[label]


@pytest.mark.parametrize(
    ("word", "emotion", "label"),
    [
        ("Happy", "happiness", 1),
        ("surprised", "surprise", 2),
        ("FEARFUL", "fear", 0),
        ("angry", "anger", 0),
        ("disgusted", "disgust", 0),
        ("repression", "repression", 0),
        ("Others", "others", None),
        ("neutral", "neutral", None),
    ],
)
def test_emotions_are_read_in_any_case_and_form(
    tmp_path: Path, word: str, emotion: str, label: int | None
) -> None:
    clip = only(read_clips(write(tmp_path / "t.csv", clip_rows(emotion=word)), source="mie"))
    assert (clip.emotion, clip.label) == (emotion, label)


def test_a_corpus_column_names_the_corpus(tmp_path: Path) -> None:
    rows = [{**row, "Corpus": "samm"} for row in clip_rows()]
    clip = only(read_clips(write(tmp_path / "t.csv", rows), source="mie"))
    assert clip.origin == ("samm", "s1", "c1")


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    rows = [*clip_rows("7", "1"), *clip_rows("8", "2", emotion="surprise")]
    table = pd.DataFrame(rows).astype({"subject": float, "clip": int, "success": bool})
    table.to_parquet(tmp_path / "t.parquet")
    write(tmp_path / "t.csv", rows)
    same_clips(
        read_clips(tmp_path / "t.parquet", source="mie"),
        read_clips(tmp_path / "t.csv", source="mie"),
    )


def parquet(path: Path, **notes: bytes) -> Path:
    """A table of frames in Parquet, with NOTES in its head."""
    table = pa.Table.from_pylist([dict(row) for row in clip_rows()])
    pq.write_table(table.replace_schema_metadata(notes or None), path)
    return path


@pytest.mark.parametrize(
    "notes",
    [b"no JSON", b"[" * 100_000, b'{"index_columns": ["gone"], "columns": [{"name": "frame"}]}'],
)
def test_what_pandas_notes_in_a_parquet_file_is_not_followed(tmp_path: Path, notes: bytes) -> None:
    path = parquet(tmp_path / "t.parquet", pandas=notes)
    same_clips(
        read_clips(path, source="mie"),
        read_clips(write(tmp_path / "t.csv", clip_rows()), source="mie"),
    )


def test_a_folder_named_like_a_column_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "clip=other").mkdir()
    path = parquet(tmp_path / "clip=other" / "t.parquet")
    assert only(read_clips(path, source="mie")).origin == ("t", "s1", "c1")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([b"c1"] * 4), "column clip holds bytes values; write numbers or text"),
        (pa.array([["c1"]] * 4), "column clip holds list values"),
        (pa.array([{"a": 1}] * 4), "column clip holds dict values"),
        (pa.array([20_000] * 4).cast(pa.timestamp("s")), "column clip holds datetime values"),
        (pa.array([None] * 4), "row 1, column clip: empty"),
        (pa.array(["\x1b[31m"] * 4), "row 1, column clip: '\\x1b[31m' is no name"),
    ],
)
def test_cells_of_other_types_are_refused(tmp_path: Path, column: pa.Array, said: str) -> None:
    table = pq.read_table(parquet(tmp_path / "t.parquet")).drop_columns("clip")
    pq.write_table(table.append_column("clip", column), tmp_path / "t.parquet")
    assert said in refused(tmp_path / "t.parquet")


def test_a_cell_of_megabytes_is_read_once_however_often_it_is_there(tmp_path: Path) -> None:
    """20 kB of file, 300 MB of text."""
    row = {**clip_rows()[0], "clip": "x" * 10_000_000}
    table = pa.Table.from_pylist([row]).take(pa.array([0] * 30))
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd")
    start = time.perf_counter()
    assert "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is no name" in refused(
        tmp_path / "t.parquet"
    )
    assert time.perf_counter() - start < 1


def test_a_table_that_unpacks_to_too_much_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.Table.from_pylist([{**clip_rows()[0], "clip": f"{n}" * 10**5} for n in range(10)])
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd")
    monkeypatch.setattr(tables, "MAX_BYTES", 10**5)
    assert "unpacks to 1 MiB, but only 0 MiB are read; leave out" in refused(tmp_path / "t.parquet")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1))
def test_a_damaged_parquet_file_is_read_or_explained(
    tmp_path: Path, flips: list[tuple[int, int]]
) -> None:
    path = parquet(tmp_path / "t.parquet")
    content = bytearray(path.read_bytes())
    for at, mask in flips:
        content[at % len(content)] ^= mask
    path.write_bytes(content)
    try:
        read_clips(path, source="mie")
    except ValueError as error:
        assert str(path) in str(error)
        assert str(error).isprintable()


def test_semicolons_and_decimal_commas_are_read_right(tmp_path: Path) -> None:
    rows = clip_rows()
    european: list[Row] = [{k: str(v).replace(".", ",") for k, v in row.items()} for row in rows]
    write(tmp_path / "a" / "t.csv", rows)
    write(tmp_path / "b" / "t.csv", european, separator=";", bom=True)
    write(tmp_path / "c" / "t.csv", european, separator="\t")
    expected = read_clips(tmp_path / "a" / "t.csv", source="mie")
    same_clips(read_clips(tmp_path / "b" / "t.csv", source="mie"), expected)
    same_clips(read_clips(tmp_path / "c" / "t.csv", source="mie"), expected)


def same_clips(left: Sequence[AuClip], right: Sequence[AuClip]) -> None:
    def described(clip: AuClip) -> tuple[object, ...]:
        return (clip.origin, clip.label, clip.emotion, clip.onset, clip.apex, clip.problem)

    assert [described(clip) for clip in left] == [described(clip) for clip in right]
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one.aus, other.aus)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), bom=st.booleans(), blanks=st.integers(0, 2), upper=st.booleans())
def test_order_bom_blanks_and_case_change_nothing(
    tmp_path: Path, data: st.DataObject, bom: bool, blanks: int, upper: bool
) -> None:
    rows = [*clip_rows(), *clip_rows("s2", emotion="fear"), *clip_rows("s1", "c2", emotion="other")]
    rows[2]["success"] = 0
    plain = write(tmp_path / "plain" / "t.csv", rows)
    names = data.draw(st.permutations(list(rows[0])))
    shuffled: list[Row] = [
        {
            " " * blanks + (name.upper() if upper else name) + " " * blanks: f" {row[name]} "
            for name in names
        }
        for row in data.draw(st.permutations(rows))
    ]
    other = write(tmp_path / "other" / "t.csv", shuffled, bom=bom)
    same_clips(read_clips(other, source="mie"), read_clips(plain, source="mie"))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(junk=st.binary(max_size=200))
def test_whatever_is_in_a_file_it_is_read_or_explained(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(junk)
    assert str(path) in refused(path)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("AU04_r", '"0,41"', ("line 3, column AU04_r", "'0,41'", "decimal comma", "export with")),
        ("AU04_r", "41", ("line 3, column AU04_r", "41 is not in 0 to 5", "percent scale")),
        ("AU04_r", "-0.3", ("line 3, column AU04_r", "-0.3 is not in 0 to 5", "extract them")),
        ("AU04_r", "-0.002", ("line 3, column AU04_r", "-0.002 is not in 0 to 5")),
        ("AU04_r", "5.002", ("line 3, column AU04_r", "5.002 is not in 0 to 5")),
        ("AU04_r", "5.01", ("line 3, column AU04_r", "5.01 is not in 0 to 5")),
        ("AU04_r", "inf", ("line 3, column AU04_r", "infinite", "write a number")),
        ("AU04_r", "0_41", ("line 3, column AU04_r", "'0_41' is not a number", "write a number")),
        ("AU04_r", "much", ("line 3, column AU04_r", "'much' is not a number", "write a number")),
        ("AU04_r", "", ("line 3, column AU04_r", "empty", "fill it in")),
        ("AU04_r", "NaN", ("line 3, column AU04_r", "empty", "fill it in")),
        ("AU04_r", "=1+1", ("line 3, column AU04_r", "'=1+1' is not a number")),
        ("AU04_r", "\x1b[2J", ("line 3, column AU04_r", r"'\x1b[2J' is not a number")),
        ("AU04_r", "9" * 10**5, ("line 3, column AU04_r", "infinite", "write a number")),
        ("AU04_r", "x" * 10**5, ("line 3, column AU04_r", "is not a number")),
        ("success", "1." + "0" * 10**5 + "x", ("line 3, column success", "is not a number")),
        ("confidence", "9." + "0" * 10**5, ("line 3, column confidence", "not in 0 to 1")),
        ("emotion", "\x1b[2J" * 99, ("line 3, column emotion", "unknown emotion")),
        ("emotion", "\u202efear", ("line 3, column emotion", "unknown emotion")),
        ("subject", "\u202es1", ("line 3, column subject", "is no name", "printable")),
        ("subject", "s\u20281", ("line 3, column subject", "is no name", "printable")),
        ("success", "2", ("line 3, column success", "not 0 or 1", "export the table")),
        ("success", "", ("line 3, column success", "not 0 or 1")),
        ("confidence", "98", ("line 3, column confidence", "not in 0 to 1", "decimal points")),
        ("frame", "10", ("line 3, column frame", "frame 10 is already in line 2", "one row")),
        ("frame", "10.5", ("line 3, column frame", "10.5 is not a whole number", "write one")),
        ("frame", "", ("line 3, column frame", "empty", "write a whole number")),
        ("onset", "11", ("line 3", "onset 11 differs from 10 in line 2", "make them the same")),
        ("apex", "12.5", ("line 3, column apex", "not a whole number")),
        ("emotion", "joyful", ("line 3, column emotion", "unknown emotion 'joyful'", "happiness")),
        ("emotion", "fear", ("line 3", "differs from", "line 2", "name two clips")),
        ("emotion", "", ("line 3", "neither label nor emotion", "fill in")),
        ("subject", "", ("line 3, column subject", "empty", "give every row a subject")),
        ("clip", "\x1b[31mred", ("line 3, column clip", "is no name", "printable")),
        ("clip", "x" * 201, ("line 3, column clip", "is no name", "200")),
    ],
)
def test_what_cannot_be_right_is_named_with_place_and_remedy(
    tmp_path: Path, column: str, value: str, said: tuple[str, ...]
) -> None:
    message = refused(write(tmp_path / "t.csv", changed(column, value)))
    for part in said:
        assert part in message
    assert message.isprintable()
    assert len(message) < 1000


def scaled(factor: float, names: Sequence[str]) -> list[Row]:
    rows = clip_rows(count=8)
    for row in rows:
        for raw, name in zip(RAW, names, strict=True):
            row[name] = f"{float(str(row.pop(raw))) * factor:g}"
    return rows


@pytest.mark.parametrize(
    ("factor", "names", "cause"),
    [
        (100, RAW, "whole numbers, which happens when a program with decimal commas drops"),
        (1, PLAIN, "looks like OpenFace's 0-5 scale: name the columns AU01_r"),
        (20.0001, RAW, "looks like a percent scale: divide by 20"),
        (20.0001, PLAIN, "looks like a percent scale: divide by 100"),
        (1000.5, RAW, "check the scale"),
    ],
)
def test_a_wrong_scale_is_explained(
    tmp_path: Path, factor: float, names: Sequence[str], cause: str
) -> None:
    assert cause in refused(write(tmp_path / "t.csv", scaled(factor, names)))


def test_rounding_above_the_scale_is_clipped(tmp_path: Path) -> None:
    rows = changed("AU01_r", 5.0009)
    rows[0]["AU01_r"] = -0.0009
    clip = only(read_clips(write(tmp_path / "t.csv", rows), source="mie"))
    assert clip.aus[:2, 0].tolist() == [0, 1]


def test_decimal_commas_between_commas_make_too_many_cells(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "t.csv", changed("AU04_r", "0,41")))
    assert "line 3: 26 cells, the header has 25; probably decimal commas" in message


def test_a_cut_off_file_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", clip_rows())
    path.write_text(path.read_text()[:-20])
    assert "line 5" in refused(path)
    assert "cut off" in refused(path)


def test_thousands_separators_are_refused(tmp_path: Path) -> None:
    rows = changed("frame", "1.234,5")
    message = refused(write(tmp_path / "t.csv", rows, separator=";"))
    assert "line 3, column frame: '1.234,5' is not a number; thousands separators" in message


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        (["AU45_r"], "no column AU45_r; all 17 AUs of OpenFace are needed: run OpenFace with -aus"),
        (RAW, "no column AU01_r; run OpenFace with -aus"),
        (["frame"], "no column frame; add it"),
        (["clip"], "no column clip; add it"),
        (["apex"], "no column apex; real micro-expressions need the frame numbers"),
        (["emotion"], "no column label or emotion; add label"),
        (["subject", "clip", "emotion"], "looks like OpenFace's own file of one clip: name it in"),
    ],
)
def test_an_absent_column_is_named_with_its_remedy(
    tmp_path: Path, absent: Sequence[str], said: str
) -> None:
    rows = [{k: v for k, v in row.items() if k not in absent} for row in clip_rows()]
    assert said in refused(write(tmp_path / "t.csv", rows))


def test_macro_expressions_need_no_onset_and_apex(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k not in ("onset", "apex")} for row in clip_rows()]
    clip = only(read_clips(write(tmp_path / "t.csv", rows), source="mae"))
    assert (clip.onset, clip.apex, clip.problem) == (None, None, "")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("apex", "", "its apex is not annotated"),
        ("onset", "", "its onset is not annotated"),
        ("apex", "99", "its apex frame is not among its frames"),
    ],
)
def test_a_clip_without_its_onset_or_apex_is_handed_on_with_the_reason(
    tmp_path: Path, column: str, value: str, problem: str
) -> None:
    rows = [{**row, column: value} for row in clip_rows()]
    clip = only(read_clips(write(tmp_path / "t.csv", rows), source="mie"))
    assert clip.problem == problem


@pytest.mark.parametrize(("column", "cell"), [("apex", "/"), ("onset", " / ")])
def test_a_slash_says_that_a_frame_is_not_annotated(tmp_path: Path, column: str, cell: str) -> None:
    rows = [{**row, column: cell} for row in clip_rows()]
    clip = only(read_clips(write(tmp_path / "t.csv", rows), source="mie"))
    assert clip.problem == f"its {column} is not annotated"


@pytest.mark.parametrize(
    ("cell", "offset"),
    [("13", 3), ("12", 2), ("11", 1), ("", None), ("/", None), ("99", None), ("0", None)],
)
def test_an_offset_is_a_row_where_there_is_one_and_never_a_problem(
    tmp_path: Path, cell: str, offset: int | None
) -> None:
    rows: list[Row] = [{**row, "offset": cell} for row in clip_rows()]
    clip = only(read_clips(write(tmp_path / "t.csv", rows), source="mie"))
    assert (clip.onset, clip.apex, clip.offset, clip.problem) == (0, 2, offset, "")
    has_fall = RealMie((clip,)).draw(1, np.random.default_rng(0)).fall is not None
    assert has_fall == (cell == "13")


def test_an_offset_that_cannot_be_right_is_named_with_its_place(tmp_path: Path) -> None:
    rows: list[Row] = [{**row, "offset": 13} for row in clip_rows()]
    rows[1]["offset"] = 12
    assert "line 3: offset 12 differs from 13 in line 2" in refused(write(tmp_path / "t.csv", rows))
    rows[1]["offset"] = "late"
    assert "line 3, column offset: 'late' is not a number" in refused(
        write(tmp_path / "t.csv", rows)
    )


def test_an_index_may_name_the_offset_and_macro_expressions_do_not_look_at_it(
    tmp_path: Path,
) -> None:
    sequence(tmp_path / "c1.csv")
    rows = [entry("c1.csv", onset=1, apex=3, offset=4)]
    assert only(read_clips(index(tmp_path, rows), source="mie")).offset == 3
    assert only(read_clips(index(tmp_path, rows), source="mae")).offset is None


def test_label_and_emotion_must_agree(tmp_path: Path) -> None:
    good: list[Row] = [{**row, "label": 1} for row in clip_rows()]
    assert only(read_clips(write(tmp_path / "t.csv", good), source="mie")).label == 1
    bad: list[Row] = [{**row, "label": 0} for row in clip_rows()]
    message = refused(write(tmp_path / "t.csv", bad))
    assert "line 2, column label: negative, but its emotion happiness is positive" in message
    odd: list[Row] = [{**row, "label": 3} for row in clip_rows()]
    assert "line 2, column label: '3' is no label; use 0, 1, 2" in refused(
        write(tmp_path / "t.csv", odd)
    )


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{**row, " au1_R": 0} for row in clip_rows()])
    assert "two columns AU01_r; remove one" in refused(path)
    path = write(tmp_path / "t.csv", [{**row, "AU01": 0} for row in clip_rows()])
    assert "both AU columns with _r (0 to 5) and without (0 to 1)" in refused(path)


def test_two_faces_in_a_table_of_frames_are_an_error(tmp_path: Path) -> None:
    rows: list[Row] = [{**row, "face_id": n % 2} for n, row in enumerate(clip_rows())]
    message = refused(write(tmp_path / "t.csv", rows))
    assert "line 3, column face_id: 2 faces (0, 1) in one clip; keep the rows of the one" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"\xef\xbb\xbf", "an empty file"),
        (b"PK\x03\x04rest", "an Excel workbook or archive; export the sheet as CSV"),
        (gzip.compress(b"subject,clip,frame\n", mtime=0), "; export it as CSV (UTF-8)"),
        (bz2.compress(b"subject,clip,frame\n"), "; export it as CSV (UTF-8)"),
        (b"inside.csv".ljust(100, b"\0") + b"0000644", "not a UTF-8 text table; export it as CSV"),
        (b"SQLite format 3\0", "not a UTF-8 text table; export it as CSV"),
        ("subject,clip".encode("utf-16"), "not a UTF-8 text table"),
        (b"subject,cl\xefp\n1,2\n", "not UTF-8 text"),
        (b"PAR1 and no more", "a damaged Parquet file"),
        (b"<html>no table</html>\n", "no column that is known here"),
        (b"subject,clip,frame,emotion,onset,apex\n", "no rows below the header"),
        (b'subject,clip\n"' + b"x" * 140_000, "not a CSV table"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    """Whatever it is called: nothing is unpacked because of a name."""
    for name in ("t.csv", "t.csv.gz", "t.zip", "t.tar", "t.parquet"):
        path = tmp_path / name
        path.write_bytes(content)
        assert said in refused(path)


def test_a_huge_file_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "t.csv", clip_rows())
    monkeypatch.setattr(tables, "MAX_ROWS", 3)
    assert "more than 3 rows; split the table" in refused(path)
    pd.DataFrame(clip_rows()).to_parquet(tmp_path / "t.parquet")
    assert "more than 3 rows; split the table" in refused(tmp_path / "t.parquet")
    monkeypatch.setattr(tables, "MAX_BYTES", 100)
    assert "only 0 MiB are read; leave out OpenFace's landmarks" in refused(path)


def test_a_path_that_is_not_there_is_an_error_and_no_reason_for_stand_ins(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv: no such file; check the path"):
        read_clips(tmp_path / "nothing.csv", source="mie")
    with pytest.raises(ValueError, match=r"no clips\.csv or clips\.parquet in this folder; write"):
        read_clips(tmp_path, source="mie")
    with pytest.raises(ValueError, match="clips belong to 'mie' or 'mae'"):
        read_clips(tmp_path, source="exp")


def test_the_corpus_can_be_made_a_must(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", clip_rows())
    with pytest.raises(ValueError, match=r"t\.csv: no column corpus; with --mie and --mae both"):
        read_clips(path, source="mie", need_corpus=True)
    path = write(path, [{**row, "Corpus": "ours"} for row in clip_rows()])
    assert only(read_clips(path, source="mie", need_corpus=True)).origin.corpus == "ours"

    sequence(tmp_path / "mine" / "c1.csv")
    path = index(tmp_path / "mine", [entry("c1.csv")])
    with pytest.raises(ValueError, match=r"clips\.csv: no column corpus"):
        read_clips(tmp_path / "mine", source="mie", need_corpus=True)
    index(tmp_path / "mine", [entry("c1.csv", corpus="ours")])
    assert only(read_clips(path, source="mie", need_corpus=True)).origin.corpus == "ours"


# indexes of OpenFace's files


def index(folder: Path, rows: Sequence[Row]) -> Path:
    return write(folder / "clips.csv", rows)


def entry(openface: object, **more: object) -> Row:
    row: Row = {"subject": "01", "clip": "c1", "emotion": "disgust", "onset": 2, "apex": 4}
    return {**row, "openface": openface, **more}


def test_an_index_names_a_file_a_clip(tmp_path: Path) -> None:
    sequence(tmp_path / "mine" / "s01" / "c1.csv")
    path = index(tmp_path / "mine", [entry("s01/c1.csv")])
    clip = only(read_clips(path, source="mie"))
    assert clip.origin == ("mine", "01", "c1")
    assert (clip.onset, clip.apex, clip.label) == (1, 3, 0)
    assert [name for name, _ in clip.files] == ["clips.csv", "s01/c1.csv"]
    folder = only(read_clips(tmp_path / "mine", source="mie"))
    assert folder.origin == clip.origin
    np.testing.assert_array_equal(folder.aus, clip.aus)


def test_an_index_names_a_picture_a_frame(tmp_path: Path) -> None:
    for number in (2, 3, 4):
        picture(tmp_path / f"{number}.csv", (0, 0.9, 0.5 * number))
    picture(tmp_path / "4.csv", (0, 0.9, 2.0), (1, 0.95, 4.0))
    rows = [entry(f"{number}.csv", frame=number, face="") for number in (4, 2, 3)]
    assert "4.csv: line 3, column face: 2 faces" in refused(index(tmp_path, rows))
    rows[0]["face"] = 0
    clip = only(read_clips(index(tmp_path, rows), source="mie"))
    np.testing.assert_allclose(clip.aus[:, 0], [0.2, 0.3, 0.4], rtol=1e-6)
    assert (clip.onset, clip.apex) == (0, 2)


def test_pictures_need_frame_numbers_and_sequences_bring_their_own(tmp_path: Path) -> None:
    picture(tmp_path / "p.csv", (0, 0.9, 0.5))
    sequence(tmp_path / "s.csv")
    assert "line 2, column frame: empty or absent, but p.csv is a single picture" in refused(
        index(tmp_path, [entry("p.csv")])
    )
    assert "line 2: s.csv is a whole clip with its own frame numbers" in refused(
        index(tmp_path, [entry("s.csv", frame=3)])
    )
    assert "line 2: s.csv is a whole clip" in refused(index(tmp_path, [entry("s.csv")] * 2))
    assert "line 3, column frame: frame 2 is already in line 2" in refused(
        index(tmp_path, [entry("p.csv", frame=2)] * 2)
    )


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "../outside.csv",
        "a/../../outside.csv",
        "/etc/hostname",
        "~/x.csv",
        "~root/x.csv",
        "file:///etc/hostname",
        "http://example.org/x.csv",
        "\\\\host\\share\\x.csv",
        "a\\b.csv",
        "C:/x.csv",
        "c:x.csv",
        "link.csv",
        "linked/outside.csv",
        "loop.csv",
        "x\0y.csv",
        "x" * 4096,
        "x" * 600 + ".csv",
        "folder",
        "not there.csv",
        "local://ok.csv",
        "https://192.0.2.1/latest/meta-data",
        "ftp://example.org/x.csv",
        "//host/share/x.csv",
        "nul",
        "con.csv",
        "ok.csv.",
        "OK.CSV",
        "%2e%2e/outside.csv",
        "..%2foutside.csv",
        "\u2025/outside.csv",  # two dots in one character
        "\uff0e\uff0e\uff0foutside.csv",  # full width
        "..\u2215outside.csv",  # a division sign
        "\u202evsc.ko",
        "'a\nb.csv'",
        "\x1b[31mok.csv",
        "$HOME/x.csv",
        "|id",
        "-",
        "pipe.csv",
    ],
)
def test_an_index_cannot_reach_out_of_its_folder(tmp_path: Path, cell: str) -> None:
    sequence(tmp_path / "outside.csv")
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (inside / "link.csv").symlink_to(tmp_path / "outside.csv")
    (inside / "linked").symlink_to(tmp_path)
    (inside / "loop.csv").symlink_to(inside / "loop.csv")
    os.mkfifo(inside / "pipe.csv")
    sequence(inside / "ok.csv")
    path = index(inside, [entry("openface")])
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([entry(cell).keys(), entry(cell).values()])
    message = refused(path)
    assert message.isprintable() and len(message) < 1000
    if "\0" not in cell:  # no text table at all
        assert f"line {3 if chr(10) in cell else 2}, column openface: " in message
        assert repr(cell)[1:50] in message


@pytest.mark.parametrize("cell", [" ok.csv ", "./ok.csv", "ok.csv/", "ok.csv/.", "x/ok.csv"])
def test_another_way_of_writing_a_path_leads_to_the_same_file(tmp_path: Path, cell: str) -> None:
    sequence(tmp_path / "ok.csv")
    (tmp_path / "x").symlink_to(tmp_path)
    clip = only(read_clips(index(tmp_path, [entry(cell)]), source="mie"))
    assert clip.origin.clip == "c1"


@pytest.mark.parametrize(
    "cell", ["a/../c1.csv", "~c1.csv", "a\\c1.csv", "c:c1.csv", "http://c1.csv", "{folder}/c1.csv"]
)
def test_a_path_of_another_form_is_refused_even_if_it_is_there(tmp_path: Path, cell: str) -> None:
    cell = cell.format(folder=tmp_path)
    sequence(tmp_path / cell)
    sequence(tmp_path / "c1.csv")
    message = refused(index(tmp_path, [entry(cell)]))
    assert "line 2, column openface: " in message
    assert "is not allowed; give a path relative to the index, inside its folder" in message


def test_an_error_in_an_indexed_file_names_that_file(tmp_path: Path) -> None:
    sequence(tmp_path / "s.csv", {" AU04_r": 7.5})
    assert "s.csv: line 2, column AU04_r: 7.5 is not in 0 to 5" in refused(
        index(tmp_path, [entry("s.csv")])
    )


def test_nothing_depends_on_where_the_folder_lies(tmp_path: Path) -> None:
    sequence(tmp_path / "a" / "mine" / "c1.csv")
    index(tmp_path / "a" / "mine", [entry("c1.csv")])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    one = only(read_clips(tmp_path / "a" / "mine", source="mie"))
    other = only(read_clips(tmp_path / "b" / "mine", source="mie"))
    assert (one.origin, one.files) == (other.origin, other.files)
