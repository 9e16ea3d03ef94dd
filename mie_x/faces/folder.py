"""Which pictures a folder holds and whose they are; no picture is opened here."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
COLUMNS = ("file", "identity")
LONGEST = 1024  # characters of a path or identity in the table
MAX_BYTES = 512 * 2**20  # of the table: room for millions of rows

# Besides what steers a terminal: what breaks lines, and what turns the direction of writing round,
# so that a name reads as another.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass
class Listing:
    """What a folder holds: posix paths below it, sorted by code point."""

    pictures: list[str] = field(default_factory=list)
    unnameable: list[str] = field(default_factory=list)
    """Names that are not Unicode or hold control characters, escaped for showing."""
    links: int = 0
    """Links that were not followed: to folders, or to files outside."""


def listing(root: Path) -> Listing:
    """All pictures by extension at any depth, hidden files and folders left out.

    Raises FileNotFoundError or NotADirectoryError, naming the path.
    """
    if not root.exists():
        raise FileNotFoundError(
            f"{root}: no such folder; give the folder that holds the photographs"
        )
    if not root.is_dir():
        raise NotADirectoryError(
            f"{root} is a file; give the folder that holds the photographs, unpacked"
        )
    found = Listing()
    inside = root.resolve()
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        here = Path(folder)
        kept = [name for name in folders if not name.startswith(".")]
        found.links += sum((here / name).is_symlink() for name in kept)
        folders[:] = [name for name in kept if not (here / name).is_symlink()]
        for name in files:
            path = here / name
            if name.startswith(".") or path.suffix.lower() not in EXTENSIONS:
                continue
            if path.is_symlink() and _leaves(path, inside):
                found.links += 1
            elif path.is_file():  # a pipe or a socket would never end
                shown = path.relative_to(root).as_posix()
                if _nameable(shown):
                    found.pictures.append(shown)
                else:
                    found.unnameable.append(_escaped(shown))
    found.pictures.sort()
    found.unnameable.sort()
    return found


def _leaves(link: Path, inside: Path) -> bool:
    try:
        return not link.resolve().is_relative_to(inside)
    except (OSError, RuntimeError):  # a loop of links, which leads nowhere
        return True


def _unreadable(error: OSError) -> None:
    raise PermissionError(
        f"{_escaped(str(error.filename))}: cannot be listed ({error.strerror}); give yourself the "
        "right to read it, or move it out of the folder"
    ) from error


def _nameable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return _CONTROL.search(text) is None


def _escaped(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode()
    return _CONTROL.sub(_code, text)


def _code(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def identity_of(path: str) -> str:
    """The file's name without folder and extension, in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", PurePosixPath(path).stem)


def people(pictures: list[str]) -> dict[str, list[str]]:
    """Identity, in code point order -> that person's pictures by path."""
    groups: dict[str, list[str]] = {}
    for path in pictures:
        groups.setdefault(identity_of(path), []).append(path)
    return dict(sorted(groups.items()))


def people_listed(pictures: list[str], table: Path) -> dict[str, list[str]]:
    """The same, as a CSV table with the columns ``file`` and ``identity`` tells it.

    ``file`` is a posix path below the folder. Pictures that the table leaves out are not used.
    Raises ValueError, naming table and row, for whatever else a row holds.
    """
    exact = set(pictures)
    composed = {unicodedata.normalize("NFC", path): path for path in pictures}
    groups: dict[str, list[str]] = {}
    seen: set[str] = set()
    for line, file, identity in _rows(table):
        wrong = _wrong_path(file)
        if wrong:
            raise ValueError(f"{table}, row {line}: file {_short(file)} {wrong}")
        wanted = PurePosixPath(file).as_posix()
        path = wanted if wanted in exact else composed.get(unicodedata.normalize("NFC", wanted))
        if path is None:
            raise ValueError(
                f"{table}, row {line}: file {_short(file)} is not among the folder's pictures "
                f"({' '.join(EXTENSIONS)})"
            )
        if path in seen:
            raise ValueError(f"{table}, row {line}: file {_short(file)} is listed twice")
        seen.add(path)
        if not identity or len(identity) > LONGEST or not _nameable(identity):
            raise ValueError(
                f"{table}, row {line}: identity {_short(identity)} must be 1 to {LONGEST} "
                "printable characters"
            )
        groups.setdefault(unicodedata.normalize("NFC", identity), []).append(path)
    return {identity: sorted(groups[identity]) for identity in sorted(groups)}


def _rows(table: Path) -> list[tuple[int, str, str]]:
    """(line, file, identity) of each row of the table."""
    if not table.is_file():
        raise FileNotFoundError(f"{table}: no such table; it needs the columns file,identity")
    if table.stat().st_size > MAX_BYTES:
        raise ValueError(f"{table}: more than {MAX_BYTES // 2**20} MiB; split the table")
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{table}: no column {missing[0]}; it needs file,identity")
            return [
                (reader.line_num, (row["file"] or "").strip(), (row["identity"] or "").strip())
                for row in reader
            ]
    except UnicodeDecodeError as error:
        raise ValueError(f"{table}: not UTF-8 text; save it as CSV (UTF-8)") from error
    except csv.Error as error:
        raise ValueError(
            f"{table}, row {reader.line_num}: {error}; save it as CSV (UTF-8) again"
        ) from error


def _wrong_path(text: str) -> str | None:
    """What is wrong with a path of the table; None when nothing is."""
    if not text:
        return "is empty"
    if len(text) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if not _nameable(text):
        return "holds control characters"
    if "\\" in text:
        return "holds a backslash: write folders with /"
    if text.startswith(("/", "~")) or _SCHEME.match(text):
        return "is not relative to the folder of the photographs"
    if ".." in text.split("/"):
        return "leaves the folder of the photographs"
    return None


def _short(text: str) -> str:
    text = _escaped(text)
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
