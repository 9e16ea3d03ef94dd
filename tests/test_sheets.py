"""Label sheets are read as they are: old and new workbooks, exports of them, and what is broken."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mie_x.datasets import sheets
from mie_x.datasets.sheets import Row, find_sheet, find_sheets, read_sheet, tables, write_sheet

HEADER = ("Subject", "Filename", "Onset")
SUFFIXES = (".xlsx", ".xls", ".csv")


def write(path: Path, lines: Sequence[Sequence[object]]) -> Path:
    """LINES as a workbook of one sheet, old (.xls) or new, or as CSV."""
    if path.suffix != ".xls":
        write_sheet(path, {"codes": lines})
        return path
    import xlwt

    book = xlwt.Workbook()
    page = book.add_sheet("codes")
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            page.write(row, column, cell)
    book.save(str(path))
    return path


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [row.all for row in rows]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("preamble", [0, 9, 13])
def test_the_header_is_found_by_its_names_below_any_preamble(
    tmp_path: Path, suffix: str, preamble: int
) -> None:
    above: list[list[object]] = [
        [f"Release notes, line {count}", None, None] for count in range(preamble)
    ]
    lines: list[list[object]] = [
        *above,
        [" subject", "Filename ", "ONSET"],
        ["006", "006_1_2", 562],
    ]
    found = read_sheet(write(tmp_path / f"sheet{suffix}", lines), header=HEADER)
    assert found.columns == ("subject", "filename", "onset")
    (row,) = found.rows
    assert (row["subject"], row["filename"], row["onset"]) == ("006", "006_1_2", "562")
    assert found.at(row) == f"{found.path}: row {preamble + 2}"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("cell", "read"),
    [
        (12, "12"),
        (12.0, "12"),
        ("12", "12"),
        ("012", "012"),
        (0.5, "0.5"),
        (-1, "-1"),
        (" a ", "a"),
    ],
)
def test_cells_are_stripped_text_and_whole_numbers_have_no_point(
    tmp_path: Path, suffix: str, cell: object, read: str
) -> None:
    if suffix == ".csv" and isinstance(cell, float):
        cell = f"{cell:g}"  # a CSV holds text: "12.0" there is what somebody wrote
    path = write(tmp_path / f"sheet{suffix}", [HEADER, ["a", "b", cell]])
    assert cells(read_sheet(path, header=HEADER).rows) == [("a", "b", read)]


def test_text_that_looks_like_a_number_stays_text_in_the_workbooks_we_write(tmp_path: Path) -> None:
    from openpyxl import load_workbook

    path = write(tmp_path / "sheet.xlsx", [HEADER, ["006", "'007", 8]])
    page = load_workbook(path)["codes"]
    assert [page.cell(2, column).value for column in (1, 2, 3)] == ["006", "007", 8]
    assert [page.cell(2, column).number_format for column in (1, 2)] == ["@", "@"]
    assert [page.cell(2, column).quotePrefix for column in (1, 2)] == [False, True]


def test_a_quote_prefix_of_a_workbook_and_an_apostrophe_in_a_csv_read_alike(tmp_path: Path) -> None:
    lines = [HEADER, ["'006", "'006_1_2", 1]]
    of_workbook = read_sheet(write(tmp_path / "sheet.xlsx", lines), header=HEADER)
    of_csv = read_sheet(write(tmp_path / "sheet.csv", lines), header=HEADER)
    assert "'006" in (tmp_path / "sheet.csv").read_text()
    assert cells(of_workbook.rows) == cells(of_csv.rows) == [("006", "006_1_2", "1")]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("cell", "text"),
    [("4\n12", "4 12"), ("4\r\n+ 12\n", "4 + 12"), ("4\t12", "4 12"), ("''\xa04", "4")],
)
def test_lines_within_a_cell_become_one(suffix: str, cell: str, text: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"sheet{suffix}", [HEADER, ["006", cell, 1], ["007", "x", 2]])
    assert cells(read_sheet(path, header=HEADER).rows) == [("006", text, "1"), ("007", "x", "2")]


def test_a_formula_that_nobody_calculated_is_an_empty_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "sheet.xlsx", [HEADER, ["006", "=C2-A2+1", 5]])
    assert cells(read_sheet(path, header=HEADER).rows) == [("006", "", "5")]


def test_empty_lines_and_remarks_below_the_data_are_no_rows(tmp_path: Path) -> None:
    lines = [HEADER, ["a", "b", 1], [None, None, None], ["Counted by nobody"], ["c", None, 2]]
    found = read_sheet(write(tmp_path / "sheet.xlsx", lines), header=HEADER)
    assert [row.number for row in found.rows] == [2, 5]


def test_blank_columns_are_passed_over_and_of_two_alike_the_first_counts(tmp_path: Path) -> None:
    header = ["Subject", None, "Filename", None, "Onset", "Onset"]
    path = write(tmp_path / "sheet.xlsx", [header, ["a", "x", "b", "y", 1, 2]])
    (row,) = read_sheet(path, header=HEADER).rows
    assert (row["subject"], row["filename"], row["onset"]) == ("a", "b", "1")
    assert row[("start", "onset")] == "1" and row["start"] == ""


@pytest.mark.parametrize("order", [("codes", "ghost", "empty"), ("empty", "ghost", "codes")])
def test_sheets_of_blanks_are_passed_over(tmp_path: Path, order: tuple[str, ...]) -> None:
    pages: dict[str, list[Sequence[object]]] = {
        "codes": [HEADER, ["a", "b", 1]],
        "ghost": [[" ", ""], [None] * 40, [None, " "]],
        "empty": [],
    }
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, {name: pages[name] for name in order})
    assert cells(read_sheet(path, header=HEADER).rows) == [("a", "b", "1")]


def test_a_workbook_that_tells_a_wrong_size_of_its_sheet_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "sheet.xlsx", [HEADER, ["a", "b", 1], ["c", "d", 2]])
    wrong = tmp_path / "wrong.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(wrong, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            assert b'ref="A1:C3"' in content or "sheet1" not in name
            target.writestr(name, content.replace(b'ref="A1:C3"', b'ref="A1"'))
    assert cells(read_sheet(wrong, header=HEADER).rows) == [("a", "b", "1"), ("c", "d", "2")]


def test_a_sheet_can_be_asked_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "sheet.xlsx"
    write_sheet(path, {"old ": [HEADER, ["a", "b", 1]], "new": [HEADER, ["a", "b", 2]]})
    assert read_sheet(path, header=HEADER, sheet="old").rows[0]["onset"] == "1"
    assert read_sheet(path, header=HEADER, sheet="new").rows[0]["onset"] == "2"
    with pytest.raises(ValueError, match=r"sheet\.xlsx: no sheet 'newer'"):
        read_sheet(path, header=HEADER, sheet="newer")


def test_a_sheet_without_header_is_read_line_by_line(tmp_path: Path) -> None:
    path = write(tmp_path / "sheet.xlsx", [[1, "anger1_1", 557], [1, "anger1_2", 0]])
    assert list(tables(path)) == [("codes", [["1", "anger1_1", "557"], ["1", "anger1_2", "0"]])]


@pytest.mark.parametrize(
    "text",
    [
        "Subject,Filename,Onset\na,b,1",  # no newline at the end
        "Subject,Filename,Onset\r\na,b,1\r\n",
        "\ufeffSubject, Filename, Onset\na, b, 1\n",  # byte order mark, blanks
        "Subject;Filename;Onset\na;b;1\n",
        "Subject\tFilename\tOnset\na\tb\t1\n",
        "Coded by two; and a third\n\nSubject,Filename,Onset\na,b,1\n",  # a preamble's semicolon
    ],
)
def test_every_usual_csv_is_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(text.encode())
    assert cells(read_sheet(path, header=HEADER).rows) == [("a", "b", "1")]


def test_a_cell_of_a_csv_may_hold_commas_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text('Subject,Filename,Onset\n"4,24，6","two\nlines",1\n', "utf-8")
    assert cells(read_sheet(path, header=HEADER).rows) == [("4,24，6", "two lines", "1")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("Subject,Filename,Onset\nä,b,1\n".encode("latin-1"), r"not UTF-8 text; export it as CSV"),
        ("Subject,Filename,Onset\na,b,1\n".encode("utf-16"), r"not UTF-8 text; export it as CSV"),
        ("Subject,Filename,Onset\na,b,1\n".encode("utf-16-le"), r"no line with the columns"),
        (b'Subject,Filename,Onset\n"a,b,1\nc,d,2\n', r"not a CSV table"),  # swallows a row
        (b"Subject,Filename,Onset\n" + b"a" * 200_000, r"not a CSV table"),
        (b"", r"no line with the columns Subject, Filename, Onset"),
        (b"Subject,Filename\na,b\n", r"no line with the columns Subject, Filename, Onset"),
    ],
)
def test_text_that_is_no_such_table_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"sheet\.csv: {why}"):
        read_sheet(path, header=HEADER)


@pytest.mark.parametrize("suffix", [".xlsx", ".xls"])
def test_a_damaged_workbook_is_read_or_refused_by_name_and_nothing_else(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = [HEADER, *([f"{row:03d}", f"clip {row}", row] for row in range(20))]
    sound = write(tmp_path / f"sound{suffix}", lines).read_bytes()
    path = tmp_path / f"damaged{suffix}"
    rng = np.random.default_rng(6)
    refused = 0
    for count in range(90):
        content = np.frombuffer(sound, np.uint8).copy()
        if count % 3 == 0:
            content = content[: rng.integers(8, len(content))]
        else:  # the first 8 bytes say what it is
            content[rng.integers(8, len(content), 1 + count % 20)] = rng.integers(256)
        path.write_bytes(content.tobytes())
        try:
            read_sheet(path, header=HEADER)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
            refused += 1
    assert refused > 30
    assert capfd.readouterr() == ("", "")


def test_a_workbook_that_unpacks_to_too_much_is_not_unpacked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("xl/worksheets/sheet1.xml", "w") as entry:
            for _ in range(sheets.MAX_UNPACKED // 2**22):
                entry.write(bytes(2**22))
        archive.writestr("one more", "byte")
    assert path.stat().st_size < 2**20
    with pytest.raises(ValueError, match=r"bomb\.xlsx: unpacks to 512 MiB; not a label sheet"):
        read_sheet(path, header=HEADER)


def test_a_file_of_more_than_64_mib_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    with path.open("wb") as file:
        file.truncate(sheets.MAX_BYTES + 1)
    with pytest.raises(ValueError, match=r"sheet\.csv: more than 64 MiB; not a label sheet"):
        read_sheet(path, header=HEADER)


def test_rows_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    path.write_text("Subject,Filename,Onset\n" + "a,b,1\n" * sheets.MAX_ROWS)
    with pytest.raises(ValueError, match=r"sheet\.csv: more than 100,000 rows"):
        read_sheet(path, header=HEADER)


def test_the_same_pages_give_the_same_bytes(tmp_path: Path) -> None:
    pages = {"codes": [HEADER, ["'006", "=C2", 1]], "Sheet2": []}
    for name in ("one.xlsx", "other.xlsx"):
        write_sheet(tmp_path / name, pages)
    one, other = (tmp_path / name for name in ("one.xlsx", "other.xlsx"))
    assert one.read_bytes() == other.read_bytes()
    assert {entry.date_time for entry in zipfile.ZipFile(one).infolist()} == {(2000, 1, 1, 0, 0, 0)}


def test_sheets_of_a_machine_are_found_where_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "sheet").mkdir()
    for name in ("codes_mie-x.xlsx", "sheet/codes_mie-x.csv"):
        (tmp_path / name).touch()
    found = find_sheets(tmp_path, "*codes*", what="it")
    assert [path.name for path in found] == ["codes_mie-x.xlsx", "codes_mie-x.csv"]
    (tmp_path / "codes_V1.csv").touch()
    assert find_sheets(tmp_path, "*.csv", "*codes*", what="it") == [tmp_path / "codes_V1.csv"] * 2


def test_the_newest_release_is_found_and_lock_files_are_not(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in ("codes_V1.xlsx", "below/codes_V2.csv", "~$codes_V3.xlsx", ".codes_V4.xlsx",
                 "codes_V5.pdf"):  # fmt: skip
        (tmp_path / name).touch()
    assert find_sheet(tmp_path, "*codes*", what="it") == tmp_path / "codes_V1.xlsx"
    (tmp_path / "codes_V1.xlsx").unlink()
    assert find_sheet(tmp_path, "*codes*", what="it") == tmp_path / "below/codes_V2.csv"
    (tmp_path / "below/codes_V2.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"no label sheet \*codes\* of the thing; put it"):
        find_sheet(tmp_path, "*codes*", what="the thing")
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such folder; give the folder of it"):
        find_sheet(tmp_path / "nowhere", "*codes*", what="it")
