"""AuClip: the AUs of one filmed expression, and the tables that users bring them in.

``read_clips`` takes what follows ``--mie`` or ``--mae``. Column names are stripped, their case and
order do not matter, and columns that are not named here are ignored.

**A table of frames** (CSV or Parquet), one row a frame::

    subject, clip, frame, emotion,   onset, apex, offset, confidence, success, AU01_r, ..., AU45_r
    s01,     c3,   17,    happiness, 17,    29,   41,     0.98,       1,       0.12,   ..., 0.00

``AU01_r`` (0 to 5, as OpenFace writes them) or ``AU01`` / ``AU1`` (0 to 1), all 17. ``label``
(0, 1, 2 or negative, positive, surprise, or "no class") or ``emotion`` (a word), or both if they
agree. ``onset`` and ``apex`` are frame numbers, as in ``frame``; ``mie`` needs them; where ``mae``
finds an ``apex``, the clip ends there.
An empty cell or ``/`` says that a frame is not annotated. Rows count as equally far apart in time:
a frame that failed should have its row, so that the motion does not run faster there.
Optional: ``offset`` (a frame number like ``apex``; only with it a clip tells how the face comes to
rest), ``kind`` (micro or macro: ``mie`` takes the ones, ``mae`` the others), ``stand_in`` (0 or 1),
``corpus`` (otherwise the name of the file, or of its folder where the file is called ``clips``;
needed where both ``mie`` and ``mae`` are given), ``confidence``, ``success``, ``face_id``. The
tables of ``mie-x extract`` (``frame_table``) are such tables.

**An index of OpenFace's CSV files** (CSV or Parquet), known by its column ``openface``::

    subject, clip, emotion,   onset, apex, offset, openface
    s01,     c3,   happiness, 17,    29,   41,     s01/c3.csv

Paths are relative to the index and stay inside its folder. A file of FeatureExtraction is a whole
clip, one index row; files of FaceLandmarkImg are single pictures, one index row a frame, with its
number in a column ``frame``. ``face`` chooses a face where a file has several.

**A folder** with one of these two in it, named ``clips.csv`` or ``clips.parquet``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from au_sources.tables import (
    BLANK,
    MIN_CONFIDENCE,
    Table,
    au_unit,
    in_order,
    intensities,
    one_face,
    openface_frames,
    read_table,
    whole_numbers,
    whole_or_none,
)
from mie_x.records import AUS, LABEL_OF_EMOTION, LABELS, Aus, Origin

Value = TypeVar("Value")

SYNONYMS = {
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "fearful": "fear",
    "disgusted": "disgust",
    "surprised": "surprise",
    "contemptuous": "contempt",
    "repressed": "repression",
}
NO_CLASS = "no class"
"""In a column label: the collection's rule gives none. Not "none", which is an empty cell."""
STAND_IN = {"1": True, "true": True, "0": False, "false": False}
WITHOUT_CLASS = ("others", "other", "neutral")
"""Words of the collections' label sheets that belong to none of the three classes."""

MAX_PATH = 1024
"""Longest path of an index, in characters; what is longer is no file name of an OpenFace run."""
MAX_NAME = 200
"""Longest corpus, subject or clip name, in characters."""


@dataclass(frozen=True, slots=True, eq=False)
class AuClip:
    """The AUs of every frame of one expression.

    ``aus`` (T, 17) float32 in [0, 1], in the order of ``AUS``; the row of a frame whose AUs could
    not be measured is NaN throughout. ``onset``, ``apex`` and ``offset`` are row indices or None.
    ``label`` is None where the ``emotion`` has no class; ``problem`` says why else the clip cannot
    be used. Such clips are handed on, so that the source can name them among the clips that it
    leaves out. ``files`` are (name, SHA-256) of what the clip was read from, ``measured`` is how
    the values came about. ``bridged`` is ``aus`` with the failed frames bridged. Raises ValueError
    where an array or an index is not as said here.
    """

    origin: Origin
    label: int | None
    emotion: str
    aus: Aus
    onset: int | None = None
    apex: int | None = None
    offset: int | None = None
    stand_in: bool = False
    problem: str = ""
    files: tuple[tuple[str, str], ...] = ()
    measured: str = ""
    bridged: Aus = field(init=False)

    def __post_init__(self) -> None:
        name = "/".join(self.origin)
        aus = np.array(self.aus, np.float32)
        if aus.ndim != 2 or aus.shape[1] != len(AUS) or not len(aus):
            raise ValueError(f"clip {name}: AUs of shape {aus.shape}, need (T, {len(AUS)}), T >= 1")
        absent = np.isnan(aus)
        if (absent.any(axis=1) != absent.all(axis=1)).any():
            raise ValueError(f"clip {name}: a frame has some AUs only; make all 17 NaN or none")
        if (aus < 0).any() or (aus > 1).any():
            raise ValueError(f"clip {name}: AUs outside [0, 1]; divide OpenFace's intensities by 5")
        if self.label is not None and self.label not in LABELS.values():
            raise ValueError(f"clip {name}: label {self.label!r}, labels are {LABELS}")
        indices = {"onset": self.onset, "apex": self.apex, "offset": self.offset}
        for what, index in indices.items():
            if index is not None and not 0 <= index < len(aus):
                raise ValueError(f"clip {name}: {what} is row {index} of {len(aus)} rows")
        aus.setflags(write=False)
        object.__setattr__(self, "aus", aus)
        object.__setattr__(self, "bridged", bridged(aus))

    @property
    def failed(self) -> NDArray[np.bool_]:
        """(T,) bool: the frames whose AUs could not be measured."""
        return np.isnan(self.aus[:, 0])

    def between(self, first: int | None, last: int | None) -> Aus | None:
        """AUs (T, 17) of the frames FIRST to LAST, T >= 2, the failed ones between them bridged.

        None where FIRST or LAST is None or failed, or LAST does not come after FIRST. Read-only.
        """
        if first is None or last is None or last <= first:
            return None
        if np.isnan(self.aus[first, 0]) or np.isnan(self.aus[last, 0]):
            return None
        return self.bridged[first : last + 1]


def bridged(aus: Aus) -> Aus:
    """AUS (T, 17) with failed frames on the straight line between their measured neighbours.

    A failed frame is a row of NaN; those before the first and after the last measured frame have
    no two neighbours and stay NaN. Returns AUS itself where nothing is to be bridged.

    >>> aus = np.full((4, 17), np.nan, np.float32)
    >>> aus[0], aus[3] = 0.0, 0.75
    >>> bridged(aus)[:, 0].tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    known = np.flatnonzero(~np.isnan(aus[:, 0]))
    if len(known) < 2 or known[-1] - known[0] == len(known) - 1:
        return aus
    between = np.arange(known[0], known[-1] + 1)
    filled = aus.copy()
    for au, values in enumerate(aus[known].T):
        filled[between, au] = np.interp(between, known, values)
    filled.setflags(write=False)
    return filled


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Clips a source can draw from, by label and in the order of their origins, and the others."""

    by_label: dict[int, tuple[AuClip, ...]]
    left_out: tuple[tuple[AuClip, str], ...]

    @property
    def clips(self) -> tuple[AuClip, ...]:
        """All clips that can be drawn."""
        return tuple(clip for clips in self.by_label.values() for clip in clips)

    @property
    def stand_in(self) -> bool:
        """Whether any of them is invented."""
        return any(clip.stand_in for clip in self.clips)

    def missing_labels(self) -> tuple[str, ...]:
        """Names of the classes without any clip to draw from."""
        return tuple(name for name, label in LABELS.items() if not self.by_label[label])

    def draw(self, label: int, rng: np.random.Generator) -> AuClip:
        """One of the clips of class LABEL, all equally likely; ValueError where there is none."""
        if label not in self.by_label:
            raise ValueError(f"label {label!r}: labels are {LABELS}")
        clips = self.by_label[label]
        if not clips:
            name = next(name for name, value in LABELS.items() if value == label)
            reasons = Counter(reason for _, reason in self.left_out)
            why = "; ".join(f"{count} left out: {reason}" for reason, count in reasons.items())
            raise ValueError(f"no clip labelled {name} to draw from" + (f" ({why})" if why else ""))
        return clips[int(rng.integers(len(clips)))]

    def settings(self) -> dict[str, Any]:
        """JSON-able: what the clips are and what they were read from.

        ``clips_sha256`` is over everything that a draw can depend on: it changes with any AU.
        """
        clips = self.clips
        digest = hashlib.sha256()
        for clip in clips:
            aus = np.where(np.isnan(clip.aus), np.float32(-1), clip.aus).astype("<f4")
            head = (*clip.origin, clip.label, clip.emotion, clip.onset, clip.apex, aus.shape)
            # a clip without an offset keeps the fingerprint that it had before there were any
            tail = () if clip.offset is None else (clip.offset,)
            digest.update(repr(head + tail).encode() + aus.tobytes())
        return {
            "stand_in": self.stand_in,
            "clips": len(clips),
            "clips_by_label": {name: len(self.by_label[label]) for name, label in LABELS.items()},
            "clips_by_emotion": dict(sorted(Counter(clip.emotion for clip in clips).items())),
            "subjects": len({clip.origin[:2] for clip in clips}),
            "corpora": sorted({clip.origin.corpus for clip in clips}),
            "clips_sha256": digest.hexdigest(),
            "measured": sorted({clip.measured for clip in clips if clip.measured}),
            "files": [
                {"file": name, "sha256": sha256}
                for name, sha256 in sorted(
                    {
                        file
                        for clip in (*clips, *(clip for clip, _ in self.left_out))
                        for file in clip.files
                    }
                )
            ],
            "left_out": [
                {"clip": "/".join(clip.origin), "reason": reason} for clip, reason in self.left_out
            ],
            "left_out_by_reason": dict(
                sorted(Counter(reason for _, reason in self.left_out).items())
            ),
        }


def sort_out(clips: Iterable[AuClip], why_not: Callable[[AuClip], str]) -> Pool:
    """Part CLIPS into those that can be drawn and those left out, each with its reason.

    WHY_NOT gives a source's own reason against a clip that has a class, or "". Raises ValueError
    where two clips have one origin.
    """
    by_label: dict[int, list[AuClip]] = {label: [] for label in LABELS.values()}
    left_out: list[tuple[AuClip, str]] = []
    in_turn = sorted(clips, key=lambda clip: clip.origin)
    for one, other in pairwise(in_turn):
        if one.origin == other.origin:
            raise ValueError(
                f"clip {'/'.join(one.origin)} is there twice; give every clip once, and two "
                "collections two names in the column corpus"
            )
    for clip in in_turn:
        if clip.label is None:
            left_out.append((clip, f"emotion {clip.emotion!r} has no class"))
        elif reason := clip.problem or why_not(clip):
            left_out.append((clip, reason))
        else:
            by_label[clip.label].append(clip)
    return Pool({label: tuple(kept) for label, kept in by_label.items()}, tuple(left_out))


def read_clips(
    path: Path, *, source: str, min_confidence: float = MIN_CONFIDENCE, need_corpus: bool = False
) -> list[AuClip]:
    """Clips of the table, the index or the folder PATH (see the head of this module), by origin.

    SOURCE is "mie" or "mae"; "mie" needs the columns ``onset`` and ``apex``. A frame with
    ``success`` 0 or a ``confidence`` below MIN_CONFIDENCE is a failed one. Clips without a class
    or without a row for their onset or apex are among the result, and say so. NEED_CORPUS makes
    the column ``corpus`` a must: file names do not tell that two tables film the same people.
    Raises FileNotFoundError where PATH is not there, ValueError on anything that cannot be read
    one way only; messages name the file, the row, the column, and what to do.
    """
    if source not in ("mie", "mae"):
        raise ValueError(f"source {source!r}: clips belong to 'mie' or 'mae'")
    path = Path(path)
    if path.is_dir():
        path = _table_in(path)
    table = read_table(path)
    # two collections' clips.csv must not look like one
    corpus = (path.stem == "clips" and path.resolve().parent.name) or path.stem
    _need(table, source)
    if need_corpus and "corpus" not in table.columns:
        raise ValueError(
            f"{path}: no column corpus; with --mie and --mae both given, name the collection in "
            "it, so that one person's micro- and macro-expressions are known to be one person's"
        )
    labels = _labels(table)
    clips = []
    for origin, rows in _rows_by_origin(table, corpus).items():
        if _flag(table, rows, "kind", {"micro": "mie", "macro": "mae"}, source) != source:
            continue
        label, emotion = _one(table, rows, labels, "label or emotion")
        if "openface" in table.columns:
            frames, aus, files, unit = _indexed(table, rows, min_confidence)
        else:
            frames, aus = _tabled(table, rows, min_confidence)
            files, unit = (), au_unit(table)
        onset, apex, offset, problem = _annotated(table, rows, frames, source)
        if source == "mae":
            aus = _up_to_apex(table, rows, frames, aus)
        clips.append(
            AuClip(
                origin,
                label,
                emotion,
                aus,
                onset,
                apex,
                offset,
                stand_in=_flag(table, rows, "stand_in", STAND_IN, False),
                problem=problem,
                files=((table.path.name, table.sha256), *files),
                measured=f"{table.measured or unit}, confidence >= {min_confidence:g} where given",
            )
        )
    if not clips:
        raise ValueError(f"{path}: no clips of the kind that {source} takes; see its column kind")
    return sorted(clips, key=lambda clip: clip.origin)


def _table_in(folder: Path) -> Path:
    for name in ("clips.csv", "clips.parquet"):
        if (folder / name).is_file():
            return folder / name
    raise ValueError(
        f"{folder}: no clips.csv or clips.parquet in this folder; write one that names the clips "
        "(columns subject, clip, emotion, openface; onset and apex for --mie), or give a table"
    )


def _need(table: Table, source: str) -> None:
    needed = ["subject", "clip"]
    if "openface" not in table.columns:
        needed.append("frame")
    if source == "mie":
        needed += ["onset", "apex"]
    absent = [name for name in needed if name not in table.columns]
    if absent and "subject" in absent and any(name.endswith("_r") for name in table.columns):
        raise ValueError(
            f"{table.path}: no column subject; this looks like OpenFace's own file of one clip: "
            "name it in an index with the columns subject, clip, emotion, openface"
            + (", onset, apex" if source == "mie" else "")
        )
    if not len(table):
        raise ValueError(f"{table.path}: no rows below the header; export it again")
    if absent:
        remedy = "add it"
        if absent[0] in ("onset", "apex"):
            remedy = (
                "real micro-expressions need the frame numbers of onset and apex: add both columns"
            )
        raise ValueError(f"{table.path}: no column {absent[0]}; {remedy}")
    if "label" not in table.columns and "emotion" not in table.columns:
        raise ValueError(
            f"{table.path}: no column label or emotion; add label ({', '.join(LABELS)}) "
            f"or emotion ({', '.join(LABEL_OF_EMOTION)})"
        )


def _rows_by_origin(table: Table, corpus: str) -> dict[Origin, list[int]]:
    """Origin -> its row indices, in the order of the table."""
    corpora = _names(table, "corpus") if "corpus" in table.columns else [corpus] * len(table)
    found: dict[Origin, list[int]] = {}
    names = zip(corpora, _names(table, "subject"), _names(table, "clip"), strict=True)
    for row, name in enumerate(names):
        found.setdefault(Origin(*name), []).append(row)
    return found


def _names(table: Table, column: str) -> list[str]:
    """Cells of COLUMN as names; 1.0, which is what a table program makes of 1, is "1"."""
    names = []
    for row, cell in enumerate(table.columns[column]):
        name = "" if cell is None else str(cell).strip()
        if isinstance(cell, float) and cell.is_integer():
            name = str(int(cell))
        if not name:
            raise ValueError(f"{table.at(row, column)}: empty; give every row a {column}")
        if len(name) > MAX_NAME or not name.isprintable():
            raise ValueError(
                f"{table.at(row, column)}: {name[:40]!r} is no name; use at most {MAX_NAME} "
                "printable characters"
            )
        names.append(name)
    return names


def _labels(table: Table) -> list[tuple[int | None, str]]:
    """(label, emotion) of every row; the emotion of a row without one is its label's name."""
    read: dict[tuple[object, object], tuple[int | None, str]] = {}
    found = []
    absent: Sequence[object] = [None] * len(table)
    cells = zip(
        table.columns.get("label", absent), table.columns.get("emotion", absent), strict=True
    )
    for row, pair in enumerate(cells):
        if pair not in read:
            read[pair] = _label(table, row, *pair)
        found.append(read[pair])
    return found


def _label(table: Table, row: int, label: object, emotion: object) -> tuple[int | None, str]:
    name = _text(label)
    word = _text(emotion)
    word = SYNONYMS.get(word, word)
    if name == NO_CLASS:  # a collection's own merging rule, whatever the word
        return None, word or name
    if word and not name and word not in LABEL_OF_EMOTION and word not in (*LABELS, *WITHOUT_CLASS):
        raise ValueError(
            f"{table.at(row, 'emotion')}: unknown emotion {word[:40]!r}; use one of "
            f"{', '.join((*LABEL_OF_EMOTION, *WITHOUT_CLASS))}"
        )
    # an emotion column may hold the names of the three classes
    of_word = LABEL_OF_EMOTION.get(word, word)
    if name.removesuffix(".0") in [str(value) for value in LABELS.values()]:
        name = list(LABELS)[list(LABELS.values()).index(int(name.removesuffix(".0")))]
    if name and name not in LABELS:
        raise ValueError(
            f"{table.at(row, 'label')}: {name[:40]!r} is no label; use 0, 1, 2 or "
            f"{', '.join(LABELS)}, and a column emotion for emotions"
        )
    if not name and not word:
        raise ValueError(f"{table.at(row)}: neither label nor emotion; fill in one of them")
    known = of_word in (*LABELS, *WITHOUT_CLASS)
    # in a table of mie-x extract the collection's merging rule has spoken, and coders may differ
    if name and word and name != of_word and known and not table.measured:
        raise ValueError(
            f"{table.at(row, 'label')}: {name}, but its emotion {word} is "
            f"{of_word if of_word in LABELS else 'without class'}; correct one of them"
        )
    return LABELS.get(name or of_word), word or name


def _text(cell: object) -> str:
    text = "" if cell is None else str(cell).strip().lower()
    return "" if text in BLANK else text


def _one(
    table: Table, rows: Sequence[int], values: Sequence[Value] | Mapping[int, Value], what: str
) -> Value:
    """The value that all ROWS of a clip have in common."""
    first = values[rows[0]]
    for row in rows:
        if values[row] != first:
            raise ValueError(
                f"{table.at(row)}: {what} {values[row]!r} differs from {first!r} in "
                f"{table.lines[rows[0]]}, the same clip; make them the same, or name two clips"
            )
    return first


def _flag(
    table: Table, rows: Sequence[int], column: str, values: dict[str, Value], absent: Value
) -> Value:
    """What COLUMN says of a clip, by VALUES; ABSENT where there is no such column."""
    if column not in table.columns:
        return absent
    cells = {row: str(table.columns[column][row]).strip().lower() for row in rows}
    cell = _one(table, rows, cells, column)
    if cell not in values:
        raise ValueError(f"{table.at(rows[0], column)}: {cell[:40]!r}; write {' or '.join(values)}")
    return values[cell]


def _up_to_apex(table: Table, rows: Sequence[int], frames: NDArray[np.int64], aus: Aus) -> Aus:
    """AUS of a clip that may go on after its apex; ``EarlyMae`` takes the apex for its end."""
    if "apex" not in table.columns:
        return aus
    part = table.part(rows)
    apex = _one(part, range(len(part)), _frame_numbers(part, "apex"), "apex")
    return aus if apex is None else aus[frames <= apex] if (frames <= apex).any() else aus


def _tabled(
    table: Table, rows: Sequence[int], min_confidence: float
) -> tuple[NDArray[np.int64], Aus]:
    """Frame numbers (T,) int64, ascending, and AUs (T, 17) of the ROWS of one clip."""
    face_rows = one_face(table, rows, min_confidence=min_confidence)
    part = table.part(face_rows)
    frames = whole_numbers(part, "frame")
    aus = intensities(part, min_confidence=min_confidence)
    return in_order(part, frames, aus)


def _indexed(
    table: Table, rows: Sequence[int], min_confidence: float
) -> tuple[NDArray[np.int64], Aus, tuple[tuple[str, str], ...], str]:
    """Frame numbers, AUs, files and unit of a clip whose OpenFace files ROWS of an index name."""
    index = table.part(rows)
    nothing: list[int | None] = [None] * len(index)
    own_numbers = whole_or_none(index, "frame") if "frame" in index.columns else nothing
    faces = whole_or_none(index, "face") if "face" in index.columns else nothing
    all_frames, all_aus, files = [], [], []
    for row in range(len(index)):
        path = _inside(index, row)
        opened = read_table(path)
        frames, aus = openface_frames(opened, face=faces[row], min_confidence=min_confidence)
        is_picture = "frame" not in opened.columns
        has_number = own_numbers[row] is not None
        if is_picture and not has_number:
            raise ValueError(
                f"{index.at(row, 'frame')}: empty or absent, but {path.name} is a single picture "
                "(FaceLandmarkImg); give each its frame number"
            )
        if not is_picture and (has_number or len(index) > 1):
            raise ValueError(
                f"{index.at(row)}: {path.name} is a whole clip with its own frame numbers; give it "
                "one row, without a frame, and a clip name of its own"
            )
        if is_picture:
            frames = whole_numbers(index.part([row]), "frame")
        all_frames.append(frames)
        all_aus.append(aus)
        files.append((_text_path(index, row), opened.sha256))
    frames, aus = np.concatenate(all_frames), np.concatenate(all_aus)
    if len(index) > 1:
        frames, aus = in_order(index, frames, aus)
    return frames, aus, tuple(files), au_unit(opened)


def _annotated(
    table: Table, rows: Sequence[int], frames: NDArray[np.int64], source: str
) -> tuple[int | None, int | None, int | None, str]:
    """Row indices of a clip's onset, apex and offset, and why it has no onset or apex.

    Only "mie" has them. A clip can do without its offset.
    """
    if source == "mae":
        return None, None, None, ""
    part = table.part(rows)
    found: dict[str, int | None] = {"offset": None}
    problem = ""
    for column in ("onset", "apex", *(["offset"] if "offset" in part.columns else [])):
        number = _one(part, range(len(part)), _frame_numbers(part, column), column)
        places = np.flatnonzero(frames == number) if number is not None else np.array([], np.int64)
        found[column] = int(places[0]) if len(places) else None
        if problem or column == "offset":
            continue
        if number is None:
            problem = f"its {column} is not annotated"
        elif not len(places):
            problem = f"its {column} frame is not among its frames"
    return found["onset"], found["apex"], found["offset"], problem


def _frame_numbers(table: Table, column: str) -> list[int | None]:
    """Cells of COLUMN as frame numbers, None where empty or "/", CASME II's sign for unknown."""
    cells = [
        None if isinstance(cell, str) and cell.strip() == "/" else cell
        for cell in table.columns[column]
    ]
    return whole_or_none(replace(table, columns={column: cells}), column)


def _text_path(index: Table, row: int) -> str:
    cell = index.columns["openface"][row]
    return "" if cell is None else str(cell).strip()


def _inside(index: Table, row: int) -> Path:
    """The file that ROW of INDEX names; ValueError unless it is a file below the index's folder."""
    cell = _text_path(index, row)
    shown = repr(cell if len(cell) <= 60 else cell[:60] + "...")
    at = f"{index.at(row, 'openface')}: {shown}"
    drive = PureWindowsPath(cell).drive
    if not cell or len(cell) > MAX_PATH or not cell.isprintable():
        raise ValueError(f"{at} is no file name; give a path relative to the index")
    if (
        PurePosixPath(cell).is_absolute()
        or ".." in PurePosixPath(cell).parts
        or cell.startswith("~")
        or "\\" in cell
        or "://" in cell
        or drive
    ):
        raise ValueError(
            f"{at} is not allowed; give a path relative to the index, inside its folder, with "
            "forward slashes and without '..', '~' or a URL"
        )
    folder = index.path.parent.resolve()
    try:
        path = (folder / cell).resolve()
        inside, there = path.is_relative_to(folder), path.is_file()
    except (OSError, RuntimeError) as error:  # a name too long for the disk, a loop of links
        raise ValueError(f"{at} cannot be opened ({error}); correct the path") from error
    if not inside:
        raise ValueError(f"{at} is a link out of the index's folder; copy the file into it")
    if not there:
        raise ValueError(f"{at} is not there; correct the path or remove the row")
    return path
