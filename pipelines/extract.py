"""AUs of a collection's clips: ``mie-x extract``, and ``--mie NAME=ROOT`` of ``mie-x generate``.

A clip at a time, its frames from onset to offset; each is kept in ``OUT.parts`` when it is done, so
that a stopped run goes on where it was, and one file is written at the end. What could not be
measured is told with the reason in the file's footer, and tried again by the next run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyarrow.parquet as pq
from joblib import Parallel, delayed

from au_sources import AuClip, frame_table
from au_sources.extract import EXTRACTORS, BuiltIn, Measured, OpenFaceCsv, PyFeat
from mie_x.datasets import COLLECTIONS, Collection
from mie_x.datasets.collection import place
from mie_x.records import AUS, Clip, Footage
from mie_x.shards import file_sha256
from mie_x.whole import whole, write_json

Extractor = OpenFaceCsv | PyFeat | BuiltIn
OPENFACE = "openface"  # the folder of OpenFace's tables, beside or above the frames


@dataclass(frozen=True)
class Extracted:
    """What a run came to: ``left_out`` are rows nobody can use, ``failed`` those not measured.

    ``stand_in``: whether any clip is of a stand-in.
    """

    out: Path
    clips: int
    rows: int
    left_out: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str], ...]
    stand_in: bool


def extract(
    collection: Collection,
    root: Path,
    out: Path,
    instrument: Extractor,
    *,
    openface: Path | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Extracted:
    """Measure the clips of the collection in ROOT and write the table OUT.

    OPENFACE is where OpenFace's tables lie, for ``openface-csv``; else they are looked for in the
    folders ``openface`` of ROOT. ValueError where OUT was made of something else, where no clip can
    be used, or where the extractor lacks its weights.
    """
    clips = list(collection.read(root))
    usable = [clip for clip in clips if not clip.problem]
    left_out = tuple((_name(clip), clip.problem) for clip in clips if clip.problem)
    if not usable:
        first = f"; the first: {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise ValueError(f"{root}: no clip of {collection.title} can be used{first}")
    if isinstance(instrument, OpenFaceCsv) and not any(
        openface_csv(root, clip.footage, openface) for clip in usable
    ):
        raise ValueError(
            f"{openface or root / OPENFACE}: no OpenFace table such as "
            f"{usable[0].footage.name}.csv; run OpenFace's FeatureExtraction with -aus over the "
            "clips' folders, or give --with estimator"
        )
    told: dict[str, Any] = {
        "measured": instrument.settings,
        "collection": collection.name,
        "merging": collection.merging,
    }
    wanted = hashlib.sha256(repr([_rows_name(clip) for clip in usable]).encode()).hexdigest()
    parts, done_before = _begin(out, told, wanted)
    if done_before is not None:
        return Extracted(out, len(usable), done_before, left_out, (), _any_stand_in(usable))
    job = _Job(instrument, root, openface, parts)
    failed = []
    done = Parallel(n_jobs=workers, return_as="generator")(delayed(job)(clip) for clip in usable)
    for count, (clip, reason) in enumerate(zip(usable, done, strict=True), 1):
        if reason:
            failed.append((_name(clip), reason))
        if progress is not None:
            progress(count, len(usable))
    if len(failed) == len(usable):
        name, reason = failed[0]
        raise ValueError(f"no clip could be measured; the first: {name}: {reason}")
    lost = {name for name, _ in failed}
    told |= {
        "clips": len(usable) - len(failed),
        "clips_sha256": wanted,
        "stand_in": _any_stand_in(usable),
        "left_out": [list(pair) for pair in left_out],
        "failed": [list(pair) for pair in failed],
    }
    whole_clips = [clip for clip in usable if _name(clip) not in lost]
    rows = frame_table.write_parts(out, (_part(parts, clip) for clip in whole_clips), told)
    if not failed:
        shutil.rmtree(parts)
    return Extracted(out, len(whole_clips), rows, left_out, tuple(failed), told["stand_in"])


def extractor(name: str, *, order: str | None = None) -> Extractor:
    """The instrument called NAME; ORDER is OpenFace's (``OpenFaceCsv``), None for its own."""
    if order is None:
        return EXTRACTORS[name]()
    if name != "openface-csv":
        raise ValueError(f"--openface-order is not for --with {name}")
    return OpenFaceCsv(cast(Literal["names", "numbers"], order))


def _any_stand_in(clips: Sequence[Clip]) -> bool:
    return any(clip.stand_in for clip in clips)


def _begin(out: Path, told: dict[str, Any], wanted: str) -> tuple[Path, int | None]:
    """The folder of finished clips, and the rows of OUT where that holds all WANTED already.

    ValueError where OUT, or the folder, was begun with something else.
    """
    if out.is_dir():
        raise ValueError(f"{out} is a folder; give a file, such as aus.parquet")
    parts = out.with_name(out.name + ".parts")
    same = "give another --out, or delete it"
    if out.exists():
        before = frame_table.read_told(out)
        if before is None or any(before.get(name) != value for name, value in told.items()):
            raise ValueError(f"{out} is there, and was not measured so; {same}")
        if before.get("clips_sha256") == wanted and not before["failed"]:
            return parts, pq.read_metadata(out).num_rows
    begun = parts / "begun.json"
    if begun.is_file() and json.loads(begun.read_text()) != json.loads(json.dumps(told)):
        raise ValueError(f"{parts} was begun with another extractor or collection; {same}")
    parts.mkdir(parents=True, exist_ok=True)
    write_json(begun, told)
    return parts, None


def _name(clip: Clip) -> str:
    return "/".join(clip.origin)


def _rows_name(clip: Clip) -> str:
    """What a clip's rows are called; another name once its key frames are other ones."""
    keys = (*clip.origin, clip.onset, clip.apex, clip.offset, clip.label, clip.kind, clip.numbers)
    return hashlib.sha256(repr(keys).encode()).hexdigest()[:32]


def _part(parts: Path, clip: Clip) -> Path:
    return parts / f"{_rows_name(clip)}.parquet"


@dataclass(frozen=True)
class _Job:
    """Measures a clip, in whatever process; says why not, or ""."""

    instrument: Extractor
    root: Path
    openface: Path | None
    parts: Path

    def __call__(self, clip: Clip) -> str:
        path = _part(self.parts, clip)
        if path.is_file():
            return ""
        numbers = clip.numbers
        try:
            if isinstance(self.instrument, OpenFaceCsv):
                table = openface_csv(self.root, clip.footage, self.openface)
                if table is None:
                    return f"no OpenFace table {clip.footage.name}.csv"
                measured = of_clip(clip, self.instrument, table)
            else:
                assert clip.onset is not None
                onset = clip.footage.frame(clip.onset)
                measured = self.instrument.measure(clip.footage.frames(numbers), onset)
        except (ValueError, OSError, KeyError) as error:
            return " ".join(str(error).split())
        with whole(path) as unfinished:
            pq.write_table(frame_table.rows(clip, numbers, measured), unfinished)
        return ""


def of_clip(clip: Clip, instrument: OpenFaceCsv, table: Path) -> Measured:
    """The rows of the footage's OpenFace TABLE that are CLIP's."""
    footage = clip.footage
    measured = instrument.read(table, footage.numbers, footage.names)
    rows = np.isin(np.asarray(footage.numbers), clip.numbers)
    sure = measured.confidence
    return Measured(measured.aus[rows], None if sure is None else sure[rows])


def openface_csv(root: Path, footage: Footage, folder: Path | None = None) -> Path | None:
    """OpenFace's table of FOOTAGE: ``sub01/EP01.csv``, or ``sub01/EP01/EP01.csv``, below FOLDER.

    Without FOLDER: below ``openface`` in ROOT, or in a folder between ROOT and the frames.
    """
    above = [p for p in place(footage).parents if p.is_relative_to(root)]
    name = footage.name
    for tables in [folder] if folder is not None else [p / OPENFACE for p in above]:
        for table in (tables / f"{name}.csv", tables / name / f"{name.rpartition('/')[2]}.csv"):
            if table.is_file():
                return table
    return None


def au_clips(name: str, root: Path, *, source: str) -> tuple[AuClip, ...]:
    """Clips of the collection NAME in ROOT for SOURCE, "mie" or "mae", by OpenFace's tables there.

    ValueError where there are none, with the way to make them.
    """
    collection = COLLECTIONS[name]
    kind = {"mie": "micro", "mae": "macro"}[source]
    clips = [clip for clip in collection.read(root) if clip.kind == kind]
    if not clips:
        raise ValueError(f"{root}: {collection.title} has no {kind}-expressions, for --{source}")
    if not any(openface_csv(root, clip.footage) for clip in clips):
        raise ValueError(
            f"{root / OPENFACE}: no AUs of {collection.title}: put OpenFace's tables there, or run "
            f"mie-x extract {name} {root} --out {name}.parquet --with estimator and give "
            f"--{source} {name}.parquet"
        )
    return tuple(_au_clip(root, clip) for clip in clips)


def _au_clip(root: Path, clip: Clip) -> AuClip:
    instrument = OpenFaceCsv()
    table = openface_csv(root, clip.footage)
    numbers, problem = clip.numbers, clip.problem
    files: tuple[tuple[str, str], ...] = ()
    aus = np.full((1, len(AUS)), np.nan, np.float32)
    if not problem and table is None:
        problem = f"no OpenFace table {clip.footage.name}.csv"
    if not problem and table is not None:
        try:
            aus = of_clip(clip, instrument, table).aus
            files = ((table.relative_to(root).as_posix(), file_sha256(table)),)
        except ValueError as error:
            problem = " ".join(str(error).split())
    if clip.kind == "macro" and not problem and clip.apex is not None:
        aus = aus[: numbers.index(clip.apex) + 1]  # EarlyMae takes a clip's end for its apex
    places: dict[str, int | None] = dict.fromkeys(("onset", "apex", "offset"))
    if clip.kind == "micro" and not problem:
        for what in places:
            number = getattr(clip, what)
            places[what] = numbers.index(number) if number in numbers else None
    return AuClip(
        clip.origin,
        clip.label,
        clip.emotion.lower() or "not coded",
        aus,
        **places,
        stand_in=clip.stand_in,
        problem=problem,
        files=files,
        measured=f"{instrument.settings['tool']}: {instrument.settings['unit']}",
    )


def named_collection(text: str) -> tuple[str, Path] | None:
    """``casme2=ROOT`` -> ("casme2", ROOT); None where TEXT is a plain path.

    >>> named_collection("casme2=/data/casme2")
    ('casme2', PosixPath('/data/casme2'))
    >>> named_collection("aus.parquet") is None
    True
    """
    name, equals, root = text.partition("=")
    if not equals or Path(text).exists():
        return None
    if name not in COLLECTIONS:
        raise ValueError(f"{text}: no collection {name!r}; there are {', '.join(COLLECTIONS)}")
    return name, Path(root)
