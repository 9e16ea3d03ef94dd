"""What mie-x found, as rows of a collection's own sheet: others' tools take it, and our readers.

``write_coded`` of a layout stands beside its reader, and what ``read`` finds in a folder with that
sheet and the footage are the clips that were given: origin, key frames, emotion, class, AUs, kind.
What the layout cannot hold is refused, or said in the docstring of the function.

- Every row says in its last column what of it a machine coded, and whether that is of a STAND-IN:
  sheets are sorted and cut by those who hand them on. Where the original has lines above its
  header, the first says so too; elsewhere others' tools want the header, or the rows, at once.
- An apex that was not coded (``apex_from``) is written as not annotated: the reader takes the
  middle again, and says so. What the reader had mended is written as it was mended.
- Readers take a sheet of people before one of a machine, and of such a row they say so (``odd``).
- A name that a spreadsheet would run as a formula has a quote prefix, which readers take off.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mie_x import __version__
from mie_x.cells import inert
from mie_x.datasets.footage import below
from mie_x.datasets.sheets import BREAKS, MACHINES, find_sheets, tables, write_sheet
from mie_x.records import LABELS, Clip

BY_MACHINE = f"coded by mie-x {__version__}, a machine"
"""Who coded a clip of which a machine tells all."""

KEY_FRAMES = (
    f"onset, apex and offset coded by mie-x {__version__}, a machine; "
    "emotion, class and AUs as the collection has them"
)
"""Who coded a clip of which a machine tells the key frames."""


class Export(Protocol):
    """``write_coded`` of a layout: clips as its sheet in a folder that has none; the sheet's path.

    ``by`` is who coded them, such as ``BY_MACHINE`` or ``KEY_FRAMES``.
    """

    def __call__(self, root: Path, clips: Sequence[Clip], *, by: str = ...) -> Path: ...


def write(folder: Path, export: Export, clips: Sequence[Clip], *, by: str = BY_MACHINE) -> Path:
    """EXPORT CLIPS to FOLDER, in place of the sheet that an earlier call wrote; the sheet's path.

    Other files in FOLDER stay, and where a clip is refused the earlier sheet, too. ValueError where
    a sheet of its name is there that no machine has coded.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        made = export(Path(fresh), clips, by=by)
        path = folder / made.name
        if path.exists() and not is_machines(path):
            raise ValueError(f"{path}: there already, and nothing says that it is a machine's")
        folder.mkdir(exist_ok=True)
        return made.replace(path)


def is_machines(path: Path) -> bool:
    """Whether its name or a line of it says so: the table of one's own clips is always clips.csv"""
    named = MACHINES in path.name
    return named or any(by_machine(line) for _, lines in tables(path) for line in lines)


def by_machine(cells: Iterable[str]) -> list[str]:
    """Of the CELLS of a row the one that says that a machine coded it, or none: ``Clip.odd``."""
    return [cell for cell in cells if "coded by mie-x" in cell][:1]


def byline(clips: Iterable[Clip], by: str) -> str:
    """BY whom CLIPS were coded, and of whom they are."""
    whose = "; STAND-IN: rendered people, nobody moved so" if any(c.stand_in for c in clips) else ""
    return f"{by}{whose}"


def refuse(clip: Clip, why: str) -> ValueError:
    """The error for a CLIP that a sheet cannot hold."""
    return ValueError(f"{'/'.join(clip.origin)}: {why}; leave it out, or mend it")


def text(clip: Clip, cell: str) -> str:
    """CELL, of CLIP, as it is to be written; ValueError where no reader would give it back."""
    if cell != cell.strip() or cell.startswith("'") or BREAKS.search(cell):
        raise refuse(clip, f"{cell[:60]!r} is no text that a cell can hold")
    return inert(cell)


def numbers(clip: Clip, *, untold: object, least: int = 1) -> list[object]:
    """Onset, apex and offset of CLIP as cells, UNTOLD for what nobody coded.

    ValueError where they are not in order, or below LEAST: such a number is none in the sheets.
    """
    told = (clip.onset, clip.apex if clip.apex_from == "coded" else None, clip.offset)
    some = [number for number in told if number is not None]
    if some != sorted(some) or min(some, default=least) < least:
        raise refuse(clip, f"onset, apex and offset {told} are no frames {least}, ... in order")
    return [untold if number is None else number for number in told]


def duration(clip: Clip) -> int | None:
    """Frames from onset to offset of CLIP, both counted, missing ones too; None where not coded."""
    if clip.onset is None or clip.offset is None:
        return None
    return clip.offset - clip.onset + 1


def check_class(clip: Clip, label_of: Mapping[str, str]) -> None:
    """ValueError where CLIP's class is not the one that LABEL_OF tells of its emotion."""
    label = label_of.get(clip.emotion.lower())
    if clip.label != (None if label is None else LABELS[label]):
        raise refuse(clip, f"its class {clip.label} is not told by its emotion {clip.emotion!r}")


def check_names(clip: Clip, corpus: str, *, footage: str | None = None) -> None:
    """ValueError where CLIP is not of CORPUS, or its footage is not called FOOTAGE, if given."""
    if clip.origin.corpus != corpus:
        raise refuse(clip, f"it is no clip of {corpus}")
    try:
        below(Path(), clip.footage.name)
    except ValueError as error:
        raise refuse(clip, f"{clip.footage.name[:60]!r} is no place of frames") from error
    if footage is not None and clip.footage.name != footage:
        raise refuse(clip, f"its frames are {clip.footage.name!r}, and the sheet says {footage!r}")


def write_new(
    root: Path, name: str, pages: Mapping[str, Sequence[Sequence[object]]], *patterns: str
) -> Path:
    """Write PAGES as ROOT/NAME, whole or not at all; ValueError where a sheet is there already.

    PATTERNS are those by which the reader finds its sheet: of two it would read the wrong one.
    """
    try:
        found = find_sheets(root, *patterns, what=name)
    except FileNotFoundError:
        found = []
    if found:
        raise ValueError(f"{found[-1]}: there already; give a folder without a sheet")
    write_sheet(root / name, pages)
    return root / name
