"""AU intensities out of tables: OpenFace's CSV files, and anybody's with the same columns.

Column names are stripped, in any order and case. The unit is in the name: ``AU01_r`` is OpenFace's
intensity, 0 to 5, and is divided by 5; ``AU01`` or ``AU1`` is 0 to 1 already. A value that cannot
be right is an error that names its place and the likely cause, never a guess: a lost decimal point
makes a micro-expression a grimace, and the zeros of a failed frame look like a face at rest.

A frame is *failed*, its AUs NaN, where ``success`` is 0, where ``confidence`` is below
``MIN_CONFIDENCE``, or where all its AU cells are empty.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mie_x.records import AUS, Aus

MAX_BYTES = 512 * 2**20
"""Largest file that is read. OpenFace with every column on writes some 5 kB a frame."""
MAX_ROWS = 5_000_000
"""Most rows that are read: Parquet packs far more than MAX_BYTES of them."""
MIN_CONFIDENCE = 0.8
"""Our choice: OpenFace names no bar for its ``confidence``, in [0, 1], beside ``success``."""
SLACK = 1e-3
"""What a value may overshoot its range, on its own scale, and be clipped: rounding, no more."""

COLUMNS = (
    *("corpus", "subject", "clip", "frame", "label", "emotion", "onset", "apex", "offset"),
    *("openface", "face", "face_id", "confidence", "success", "kind", "stand_in"),
)
"""Columns that are read beside the AUs; OpenFace's 700 others are not."""

# also what C++ prints for NaN on Windows
BLANK = ("", "nan", "na", "n/a", "none", "null", "-nan", "nan(ind)", "-nan(ind)")
_AU = re.compile(r"au0?(\d{1,2})(_r)?")

Cell = str | float | int | None


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows of a file, by column; cells as they were written, None where there is none.

    ``columns`` holds only those of ``COLUMNS`` and AUs (``AU01_r`` or ``AU01``). ``lines`` says
    where a row stands, for messages. ``decimal_comma`` is set where cells are not parted by commas,
    so that 0,41 can only mean 0.41. ``sha256`` is the file's; ``measured`` what its footer says of
    how the AUs came about, "" where it says nothing.
    """

    path: Path
    columns: dict[str, list[Cell]]
    lines: list[str]
    sha256: str
    decimal_comma: bool = False
    measured: str = ""

    def __len__(self) -> int:
        return len(self.lines)

    def at(self, row: int, column: str = "") -> str:
        """Where a cell is, for a message: file, line, column."""
        return f"{self.path}: {self.lines[row]}" + (f", column {column}" if column else "")

    def part(self, rows: Sequence[int]) -> Table:
        """The table of these rows, in this order."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        lines = [self.lines[row] for row in rows]
        return replace(self, columns=columns, lines=lines)


def read_openface(
    path: Path, *, face: int | None = None, min_confidence: float = MIN_CONFIDENCE
) -> tuple[NDArray[np.int64], Aus]:
    """OpenFace CSV -> frame numbers (T,) int64, ascending, and AUs (T, 17) float32 in [0, 1].

    AUs are in the order of ``AUS``, NaN in failed frames (see the head of this module). A file of
    FeatureExtraction holds a sequence; one of FaceLandmarkImg, without a column ``frame``, a single
    picture: frame 0. Several faces are an error unless FACE says which ``face_id`` (``face``) is
    meant: the surest face need not be the person filmed. Rows of a face that failed everywhere do
    not count. Raises FileNotFoundError, or ValueError naming file, row, column and remedy.
    """
    return openface_frames(read_table(Path(path)), face=face, min_confidence=min_confidence)


def openface_frames(
    table: Table, *, face: int | None = None, min_confidence: float = MIN_CONFIDENCE
) -> tuple[NDArray[np.int64], Aus]:
    """``read_openface`` of a table that is already read."""
    au_unit(table)
    is_picture = "frame" not in table.columns
    if not len(table):
        if is_picture:  # how FaceLandmarkImg says that it found no face
            return np.zeros(1, np.int64), np.full((1, len(AUS)), np.nan, np.float32)
        raise ValueError(f"{table.path}: no rows below the header; run OpenFace again")
    rows = one_face(table, range(len(table)), face=face, min_confidence=min_confidence)
    part = table.part(rows)
    aus = intensities(part, min_confidence=min_confidence)
    if is_picture:
        if len(part) > 1:
            raise ValueError(
                f"{table.path}: {len(part)} rows, but no column frame or face to tell them apart; "
                "use the file as OpenFace wrote it"
            )
        return np.zeros(1, np.int64), aus
    return in_order(part, whole_numbers(part, "frame"), aus)


def in_order(table: Table, frames: NDArray[np.int64], aus: Aus) -> tuple[NDArray[np.int64], Aus]:
    """FRAMES and AUS of TABLE's rows by ascending frame; ValueError where one is there twice."""
    order = np.argsort(frames, kind="stable")
    twice = np.flatnonzero(np.diff(frames[order]) == 0)
    if len(twice):
        first, second = sorted((int(order[twice[0]]), int(order[twice[0] + 1])))
        raise ValueError(
            f"{table.at(second, 'frame')}: frame {frames[second]} is already in "
            f"{table.lines[first]}; keep one row a frame"
        )
    return frames[order], aus[order]


def read_table(path: Path) -> Table:
    """Read a CSV (comma, semicolon or tab; UTF-8, with or without BOM) or Parquet file.

    Raises FileNotFoundError, or ValueError on what is no such table, has no or an ambiguous header,
    rows of unequal length, or more than ``MAX_BYTES`` or ``MAX_ROWS``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; check the path")
    size = path.stat().st_size
    if not size:
        raise ValueError(f"{path}: an empty file; export it again")
    if size > MAX_BYTES:
        raise ValueError(
            f"{path}: {size / 2**20:.0f} MiB, but only {MAX_BYTES // 2**20} MiB are read; leave "
            "out OpenFace's landmarks (-aus), or split the table"
        )
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        head = file.read(4096)
    if head.startswith(b"PAR1"):
        return _read_parquet(path, sha256)
    if head.startswith(b"PK\3\4"):
        raise ValueError(f"{path}: an Excel workbook or archive; export the sheet as CSV (UTF-8)")
    if b"\0" in head:
        raise ValueError(f"{path}: not a UTF-8 text table; export it as CSV (UTF-8) or Parquet")
    try:
        return _read_csv(path, sha256)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text; export it as CSV (UTF-8)") from error
    except csv.Error as error:
        raise ValueError(f"{path}: not a CSV table ({error}); export it again") from error


def _read_csv(path: Path, sha256: str) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        separator = max(",;\t", key=first.count)
        file.seek(0)
        rows = csv.reader(file, delimiter=separator, skipinitialspace=True)
        header = next(rows, None)
        if header is None:  # a byte order mark and nothing behind it
            raise ValueError(f"{path}: an empty file; export it again")
        places = _places(path, header)
        names, wanted = list(places), list(places.values())
        cells: list[list[Cell]] = [[] for _ in names]
        lines: list[str] = []
        known: dict[str, str] = {}  # few different values, many cells: keep each once
        for row in rows:
            if not any(row):
                continue
            at = f"{path}: line {rows.line_num}"
            _check_width(at, row, len(header), separator)
            if len(lines) == MAX_ROWS:
                raise ValueError(f"{path}: more than {MAX_ROWS} rows; split the table")
            for column, place in zip(cells, wanted, strict=True):
                column.append(known.setdefault(row[place], row[place]))
            lines.append(f"line {rows.line_num}")
    return Table(path, dict(zip(names, cells, strict=True)), lines, sha256, separator != ",")


def _check_width(at: str, row: list[str], width: int, separator: str) -> None:
    if len(row) < width:
        raise ValueError(
            f"{at}: {len(row)} cells, the header has {width}; the file was cut off or edited: "
            "export it again"
        )
    if any(cell.strip() for cell in row[width:]):
        cause = (
            "probably decimal commas in a comma-separated file: export with decimal points, or "
            "with semicolons between the cells"
            if separator == ","
            else "export it again"
        )
        raise ValueError(f"{at}: {len(row)} cells, the header has {width}; {cause}")


def _read_parquet(path: Path, sha256: str) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Without pandas, whose notes in a file may say anything; what repeats is kept once.
        with pq.ParquetFile(path, read_dictionary=_dictionaries(path)) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise ValueError(f"{path}: more than {MAX_ROWS} rows; split the table")
            header = file.schema_arrow.names
            places = _places(path, header)
            chosen = [header[place] for place in places.values()]
            _check_unpacked(path, file.metadata)
            table = file.read(columns=chosen)
            table.validate(full=True)
            measured = _measured(file.schema_arrow.metadata)
        columns = {
            name: [_cell(path, name, value) for value in _values(table[original])]
            for name, original in zip(places, chosen, strict=True)
        }
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: a damaged Parquet file ({said!r}); write it again") from error
    lines = [f"row {row + 1}" for row in range(table.num_rows)]
    return Table(path, columns, lines, sha256, measured=measured)


def _measured(footer: dict[bytes, bytes] | None) -> str:
    """The instrument that a table of ``mie-x extract`` names (``au_sources.frame_table``)."""
    try:
        told = json.loads((footer or {})[b"mie_x"])["measured"]
        tool = f"{told['tool']} {told['version'] or ''}".strip()
        return " ".join(f"{tool}: {told['unit']}".split())[:500]
    except (LookupError, TypeError, ValueError):
        return ""


def _dictionaries(path: Path) -> list[str]:
    """The columns of text, each different cell of which is read once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary)
    return [field.name for field in pq.read_schema(path) if any(is_(field.type) for is_ in texts)]


def _check_unpacked(path: Path, metadata: Any) -> None:
    """Refuse a table that says that it unpacks to more than is read of a text table.

    It is asked for whole groups of rows: on a damaged file pyarrow's ``column`` ends the process.
    """
    groups = range(metadata.num_row_groups)
    unpacked = sum(metadata.row_group(index).total_byte_size for index in groups)
    if unpacked > MAX_BYTES:
        raise ValueError(
            f"{path}: unpacks to {unpacked / 2**20:.0f} MiB, but only {MAX_BYTES // 2**20} MiB are "
            "read; leave out columns that are not AUs, or split the table"
        )


def _values(column: Any) -> Iterator[object]:
    """The cells of a column of a Parquet table; equal texts are one object."""
    import pyarrow as pa

    for part in column.chunks:
        if pa.types.is_dictionary(part.type):
            known = part.dictionary.to_pylist()
            yield from (None if i is None else known[i] for i in part.indices.to_pylist())
        else:
            yield from part.to_pylist()


def _cell(path: Path, name: str, value: object) -> Cell:
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | int | float):
        return value
    raise ValueError(
        f"{path}: column {name} holds {type(value).__name__} values; write numbers or text"
    )


def _places(path: Path, header: Sequence[str]) -> dict[str, int]:
    """Our name of a column -> its place in HEADER, for the columns that are read."""
    places: dict[str, int] = {}
    for place, written in enumerate(header):
        name = written.strip().lower()
        if match := _AU.fullmatch(name):
            name = f"AU{int(match[1]):02d}{match[2] or ''}"
        elif name not in COLUMNS:
            continue
        if name in places:
            raise ValueError(f"{path}: two columns {name}; remove one")
        places[name] = place
    if not places:
        raise ValueError(
            f"{path}: no column that is known here in its first line; export a table with a header"
        )
    return places


def au_unit(table: Table) -> str:
    """ "AU01_r .. AU45_r / 5" or "AU01 .. AU45": which AU columns TABLE has, and their unit.

    Raises ValueError unless it has all 17 of exactly one kind.
    """
    raw = [f"AU{au:02d}_r" for au in AUS]
    plain = [f"AU{au:02d}" for au in AUS]
    has_raw = any(name in table.columns for name in raw)
    if has_raw and any(name in table.columns for name in plain):
        raise ValueError(
            f"{table.path}: both AU columns with _r (0 to 5) and without (0 to 1); keep one kind"
        )
    absent = [name for name in (plain if not has_raw else raw) if name not in table.columns]
    if len(absent) == len(AUS):
        raise ValueError(f"{table.path}: no column AU01_r; run OpenFace with -aus")
    if absent:
        raise ValueError(
            f"{table.path}: no column {', '.join(absent)}; all 17 AUs of OpenFace are needed: run "
            "OpenFace with -aus (py-feat does not measure AU45)"
        )
    return "AU01_r .. AU45_r / 5" if has_raw else "AU01 .. AU45"


def intensities(table: Table, *, min_confidence: float = MIN_CONFIDENCE) -> Aus:
    """AUs of TABLE's rows: (T, 17) float32 in [0, 1], in the order of AUS, NaN in failed frames."""
    au_unit(table)
    raw = "AU01_r" in table.columns
    names = [f"AU{au:02d}_r" if raw else f"AU{au:02d}" for au in AUS]
    top = 5.0 if raw else 1.0
    values = np.stack([numbers(table, name) for name in names], axis=1)
    values[failed(table, min_confidence=min_confidence)] = np.nan
    absent = np.isnan(values)
    for row in np.flatnonzero(absent.any(axis=1) & ~absent.all(axis=1)):
        name = names[int(absent[row].argmax())]
        raise ValueError(
            f"{table.at(int(row), name)}: empty, while other AUs of the frame are there; fill it "
            "in, or empty all 17 (a failed frame)"
        )
    for row, column in np.argwhere((values < -SLACK) | (values > top + SLACK)):
        raise ValueError(
            f"{table.at(int(row), names[column])}: {values[row, column]:g} is not in 0 to "
            f"{top:g}; {_cause(values, top, names[column])}"
        )
    return (np.clip(values, 0, top) / top).astype(np.float32)


def _cause(values: NDArray[np.float64], top: float, name: str) -> str:
    """What most likely happened to VALUES, some of which are out of range, and the remedy."""
    there = values[~np.isnan(values)]
    most = there.max()
    if there.min() < -SLACK:
        return "intensities are never negative: extract them again with OpenFace 2.2"
    if top == 1 and most <= 5 + SLACK:
        return f"looks like OpenFace's 0-5 scale: name the columns {name}_r"
    if (there == np.round(there)).all():
        return (
            "all values are whole numbers, which happens when a program with decimal commas drops "
            "the points (x100): export again with decimal points"
        )
    if most <= 100:
        return f"looks like a percent scale: divide by {100 / top:g}"
    return "check the scale: AU01_r is 0 to 5, AU01 is 0 to 1"


def failed(table: Table, *, min_confidence: float = MIN_CONFIDENCE) -> NDArray[np.bool_]:
    """(T,) bool: rows whose ``success`` is 0 or whose ``confidence`` is below the bar."""
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"least confidence {min_confidence}: OpenFace's confidence is in 0 to 1")
    bad = np.zeros(len(table), np.bool_)
    for name in ("success", "confidence"):
        if name not in table.columns:
            continue
        values = numbers(table, name)
        allowed = np.isin(values, (0, 1)) if name == "success" else (values >= 0) & (values <= 1)
        if name == "confidence" and "success" in table.columns:
            allowed |= np.isnan(values)  # not told; success is
        for row in np.flatnonzero(~allowed):
            raise ValueError(
                f"{table.at(int(row), name)}: {_shown(table.columns[name][row])} is not "
                + ("0 or 1" if name == "success" else "in 0 to 1")
                + "; export the table as OpenFace wrote it, with decimal points"
            )
        bad |= values < (1 if name == "success" else min_confidence)
    return bad


def one_face(
    table: Table,
    rows: Sequence[int],
    *,
    face: int | None = None,
    min_confidence: float = MIN_CONFIDENCE,
) -> list[int]:
    """Those of ROWS that show one face: FACE, or the only one that did not fail everywhere.

    Raises ValueError where several faces were measured and FACE does not say which one.
    """
    name = next((name for name in ("face_id", "face") if name in table.columns), None)
    if name is None:
        if face is not None:
            raise ValueError(f"{table.path}: no column face_id or face to find face {face} by")
        return list(rows)
    part = table.part(rows)
    faces = whole_numbers(part, name)
    measured = np.unique(faces[~failed(part, min_confidence=min_confidence)])
    if face is None and len(measured) > 1:
        second = int(np.flatnonzero(faces == measured[1])[0])
        raise ValueError(
            f"{part.at(second, name)}: {len(measured)} faces ({', '.join(map(str, measured))}) in "
            "one clip; keep the rows of the one that is meant, or name it in a column face of the "
            "index"
        )
    if face is not None and face not in faces:
        raise ValueError(f"{table.path}: no face {face}; there are {sorted(set(faces.tolist()))}")
    if face is None:
        face = int(measured[0] if len(measured) else faces[0])
    return [row for row, of in zip(rows, faces, strict=True) if of == face]


def numbers(table: Table, column: str) -> NDArray[np.float64]:
    """Cells of COLUMN as (T,) float64, NaN where empty; ValueError on text and on infinity."""
    cells = table.columns[column]
    try:
        values = np.array(list(_numerals(cells, table.decimal_comma)), np.float64)
    except ValueError:
        for row, cell in enumerate(cells):
            try:
                np.array(list(_numerals([cell], table.decimal_comma)), np.float64)
            except ValueError as error:
                remedy = "write a number"
                if isinstance(cell, str) and "," in cell:
                    remedy = (
                        "thousands separators are not read: export plain numbers"
                        if table.decimal_comma
                        else "a decimal comma, from an export in a locale that uses them: export "
                        "with decimal points, or with semicolons between the cells"
                    )
                raise ValueError(
                    f"{table.at(row, column)}: {_shown(cell)} is not a number; {remedy}"
                ) from error
        raise
    if np.isinf(values).any():
        first = int(np.isinf(values).argmax())
        raise ValueError(f"{table.at(first, column)}: infinite; write a number")
    return values


def _shown(cell: Cell) -> str:
    """CELL for a message: short, and without what steers a terminal."""
    return repr(cell[:40] if isinstance(cell, str) else cell)


def _numerals(cells: Sequence[Cell], decimal_comma: bool) -> Iterator[str | float]:
    for cell in cells:
        if cell is None:
            yield np.nan
        elif not isinstance(cell, str):
            yield cell
        elif (text := cell.strip()).lower() in BLANK:
            yield np.nan
        elif "_" in text:  # Python would read 1_0 as 10
            raise ValueError(text)
        elif decimal_comma and "," in text and "." not in text:
            yield text.replace(",", ".")
        else:
            yield text


def whole_numbers(table: Table, column: str) -> NDArray[np.int64]:
    """Cells of COLUMN as (T,) int64; ValueError where one is empty or has a fraction."""
    values = whole_or_none(table, column)
    if None in values:
        raise ValueError(f"{table.at(values.index(None), column)}: empty; write a whole number")
    return np.array(values, np.int64)


def whole_or_none(table: Table, column: str) -> list[int | None]:
    """Cells of COLUMN, None where empty; ValueError where one has a fraction."""
    values = numbers(table, column)
    there = ~np.isnan(values)
    wrong = there & ((np.abs(values) >= 2**53) | (values != np.round(values)))
    if wrong.any():
        raise ValueError(
            f"{table.at(int(wrong.argmax()), column)}: {values[wrong][0]:g} is not a whole number; "
            "write one"
        )
    return [int(value) if is_there else None for value, is_there in zip(values, there, strict=True)]
