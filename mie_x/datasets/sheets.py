"""Label sheets as they are: Excel workbooks, old and new, and CSV exports of them, as text.

Every cell becomes stripped text of one line ("" where empty): in these sheets a lone action unit is
a number, a number may be stored as text, and a subject ``006`` may have become 6 or '006. The line
of the header is found by the names that it must hold, wherever it stands: the originals have 0, 9
or 13 lines of preamble, exports have none. Formulas give what the last program that saved the sheet
had calculated, "" where none had: so what a formula tells is always computed again.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from mie_x.whole import whole

SUFFIXES = (".xlsx", ".xlsm", ".xls", ".csv")
MAX_BYTES = 64 * 2**20
MAX_UNPACKED = 512 * 2**20  # of a workbook: it is a zip archive
MAX_ROWS = 100_000
MAX_COLUMNS = 1_000
HEADER_WITHIN = 40  # lines
MACHINES = "mie-x"  # in the names of sheets that tell what a machine found
BREAKS = re.compile("[\0-\x1f\x7f\x85\u2028\u2029]+")  # lines and control characters
_PREFIX = re.compile(r"^[\s']+")
STAMP = datetime(2000, 1, 1)  # of every stand-in: no hour of anybody's


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a sheet: ``cells`` by stripped, lower-case name of the column, first come first."""

    number: int
    cells: Mapping[str, str]
    all: tuple[str, ...]

    def __getitem__(self, names: str | tuple[str, ...]) -> str:
        """The cell of the first of NAMES that is a column; "" where none is."""
        for name in (names,) if isinstance(names, str) else names:
            if name in self.cells:
                return self.cells[name]
        return ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows below a header, of one sheet of a file; ``columns`` as the header has them."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def at(self, row: Row) -> str:
        """Where a row stands, for a message."""
        return f"{self.path}: row {row.number}"


def find_sheet(root: Path, *patterns: str, what: str) -> Path:
    """The newest of ``find_sheets``: the last by name, as the collections number their releases."""
    return find_sheets(root, *patterns, what=what)[-1]


def find_sheets(root: Path, *patterns: str, what: str) -> list[Path]:
    """The files of PATTERNS (glob) right in ROOT or one folder below, by pattern, then by name.

    Office programs' lock files (``~$``) and hidden files do not count, nor do sheets that
    ``coded`` wrote, where there is another. FileNotFoundError where there is none, with WHAT was
    looked for.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; give the folder of {what}")
    found = [
        path
        for pattern in patterns
        for path in sorted({*root.glob(pattern), *root.glob("*/" + pattern)})
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(("~$", "."))
    ]
    if not found:
        raise FileNotFoundError(
            f"{root}: no label sheet {' or '.join(patterns)} of {what}; "
            "put it there as it was given to you, or as CSV"
        )
    by_people = [path for path in found if MACHINES not in path.name]
    return by_people or found


def read_sheet(path: Path, *, header: Sequence[str], sheet: str | None = None) -> Sheet:
    """Rows of PATH below the line that holds all names of HEADER (stripped, any case).

    SHEET is a workbook's sheet by name; else the first sheet with such a line. A line with less
    than two of these cells is empty, or a remark, and no row. ValueError where there is no such
    line, or the file cannot be read.
    """
    wanted = {name.lower() for name in header}
    tried = []
    for name, lines in tables(path, sheet=sheet):
        tried.append(name)
        for at, line in enumerate(lines[:HEADER_WITHIN]):
            names = [" ".join(cell.split()).lower() for cell in line]
            if not wanted <= set(names):
                continue
            rows = []
            for number, cells in enumerate(lines[at + 1 :], at + 2):
                named = dict(reversed([*zip(names, cells, strict=False)]))
                if sum(bool(named[name]) for name in wanted) > 1:
                    rows.append(Row(number, named, tuple(cells)))
            return Sheet(path, tuple(names), tuple(rows))
    raise ValueError(
        f"{path}: no line with the columns {', '.join(header)} in {' or '.join(tried) or 'it'}; "
        "give the collection's own sheet"
    )


def tables(path: Path, *, sheet: str | None = None) -> Iterator[tuple[str, list[list[str]]]]:
    """(name, lines of text cells, all as long) of every sheet of PATH, or of SHEET alone."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such sheet; check the path")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path}: more than {MAX_BYTES >> 20} MiB; not a label sheet")
    with path.open("rb") as file:
        magic = file.read(8)
    if magic.startswith(b"PK"):
        found = _xlsx(path, sheet)
    elif magic.startswith(b"\xd0\xcf\x11\xe0"):
        found = _xls(path, sheet)
    else:
        found = iter([(path.name, _csv(path))])
    any_found = False
    for name, lines in found:
        any_found = True
        texts = [[_text(cell) for cell in line] for line in lines]
        width = max((at for line in texts for at, cell in enumerate(line, 1) if cell), default=0)
        yield name, [(line + [""] * width)[:width] for line in texts]
    if sheet is not None and not any_found:
        raise ValueError(f"{path}: no sheet {sheet!r}; give the collection's own file")


def _text(cell: object) -> str:
    """A cell as text that ``coded`` can write again: of one line, stripped, without quote prefix.

    Whole numbers have no point.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return _PREFIX.sub("", BREAKS.sub(" ", str(cell))).rstrip()


def _xlsx(path: Path, sheet: str | None) -> Iterator[tuple[str, list[list[Any]]]]:
    from openpyxl import load_workbook

    with path.open("rb") as file:
        with _whatever_it_raises(path), zipfile.ZipFile(file) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_UNPACKED:
            raise ValueError(f"{path}: unpacks to {unpacked >> 20} MiB; not a label sheet")
        with _whatever_it_raises(path):
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
            pages: list[Any] = list(book.worksheets)
        for page in pages:
            if sheet not in (None, page.title.strip()):
                continue
            with _whatever_it_raises(path):
                page.reset_dimensions()  # some programs write a size that is not the sheet's
                rows = islice(page.iter_rows(values_only=True), MAX_ROWS + 1)
                lines = [list(line[:MAX_COLUMNS]) for line in rows]
            _check_rows(path, len(lines))
            yield page.title, lines


def _xls(path: Path, sheet: str | None) -> Iterator[tuple[str, list[list[Any]]]]:
    import xlrd

    with _whatever_it_raises(path):
        # xlrd prints what it thinks of a file
        book = xlrd.open_workbook(file_contents=path.read_bytes(), logfile=io.StringIO())
        pages = [page for page in book.sheets() if sheet in (None, page.name.strip())]
    for page in pages:
        _check_rows(path, page.nrows)
        yield page.name, [page.row_values(row)[:MAX_COLUMNS] for row in range(page.nrows)]


@contextmanager
def _whatever_it_raises(path: Path) -> Iterator[None]:
    """Damaged bytes raise whatever they please inside a parser: here a ValueError with PATH."""
    try:
        yield
    except Exception as error:
        raise ValueError(f"{path}: a damaged workbook ({error}); fetch it again") from error


def _csv(path: Path) -> list[list[Any]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text; export it as CSV (UTF-8)") from error
    told = list(io.StringIO(text, newline=""))  # cells may hold lines
    head = "\n".join(told[:HEADER_WITHIN])
    separator = max(",;\t", key=head.count)
    lines: list[list[Any]] = []
    try:
        # strict: a quote that nobody closes would swallow the rows below it
        for line in csv.reader(told, delimiter=separator, skipinitialspace=True, strict=True):
            lines.append(list(line[:MAX_COLUMNS]))
            _check_rows(path, len(lines))
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV table ({error}); export it again") from error
    return lines


def _check_rows(path: Path, count: int) -> None:
    if count > MAX_ROWS:
        raise ValueError(f"{path}: more than {MAX_ROWS:,} rows; not a label sheet")


def positive(cell: str) -> float:
    """A cell as a number above 0, as rates are; ValueError on anything else."""
    value = float(cell)
    if not 0 < value < float("inf"):
        raise ValueError(f"{cell!r} is no number above 0")
    return value


def write_sheet(path: Path, pages: Mapping[str, Sequence[Sequence[object]]]) -> None:
    """Write PAGES (name -> lines) as PATH, a workbook (.xlsx), or the first page as CSV.

    Text stays text, however much it looks like a number. A cell that begins with "=" is a formula
    that nobody calculated; one that begins with ' has Excel's quote prefix.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as unfinished:
        if path.suffix == ".csv":
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(next(iter(pages.values())))
        else:
            _write_workbook(unfinished, pages)


def _write_workbook(path: Path, pages: Mapping[str, Sequence[Sequence[object]]]) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.worksheets[0])
    for name, lines in pages.items():
        page = book.create_sheet(name)
        for row, line in enumerate(lines, 1):
            for column, value in enumerate(line, 1):
                if value is None:
                    continue
                cell = page.cell(row, column)
                if isinstance(value, str) and not value.startswith("="):
                    cell.value = value.removeprefix("'")
                    cell.data_type = "s"
                    cell.number_format = "@"
                    cell.quotePrefix = value.startswith("'")
                else:
                    cell.value = value
    book.properties.created = book.properties.modified = STAMP
    unpacked = io.BytesIO()
    book.save(unpacked)
    # The same pages give the same bytes: openpyxl writes the hour into the archive.
    with zipfile.ZipFile(unpacked) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2000-01-01T00:00:00Z", content)
            told = zipfile.ZipInfo(entry.filename, STAMP.timetuple()[:6])
            told.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(told, content)
