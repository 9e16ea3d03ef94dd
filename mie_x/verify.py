"""Does a dataset hold what it says it holds? Every fault is named, with its file and row.

``verify`` compares every byte with SHA256SUMS, and counts with the manifest. Its deep mode also
decodes every frame, and holds every row against the plan: who, whose movement, label, AUs, pixels,
and that no planned sample is missing without a word.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mie_x import manifest, shards
from mie_x.formats import FORMATS, Format, record_paths
from mie_x.frames import pixel_sha256, read_png_and_words, words
from mie_x.plan import draw_seed, plan_sha256, sample_key
from mie_x.records import LABELS

_NAME = re.compile(r"train-(\d{5})-of-(\d{5})")
MOST = 8  # missing shards named

# What content that is not ours at all makes of its reading.
_ODD = (ValueError, KeyError, TypeError, IndexError, AttributeError, OSError, pa.ArrowException)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file, or with one row of a record (counted from 0)."""

    file: str
    what: str
    row: int | None = None

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.what}"


def verify(
    folder: Path,
    *,
    deep: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Fault]:
    """Return every fault of the dataset in FOLDER, none where all is well.

    DEEP decodes every frame, in WORKERS processes; PROGRESS is told shards done and in all.
    Raises ValueError where FOLDER is no finished dataset at all.
    """
    _recognise(folder)
    faults = _files(folder)
    try:
        listed = manifest.read_manifest(folder)
    except ValueError as error:
        said = {manifest.MANIFEST, manifest.SUMS} & {fault.file for fault in faults}
        return faults if said else [*faults, Fault(manifest.MANIFEST, str(error))]
    faults += _numbering(folder, listed)
    ill = {fault.file for fault in faults}
    try:
        faults += _counts(folder, listed, ill)
    except _ODD as error:
        if not faults:
            faults.append(Fault(manifest.MANIFEST, f"does not fit the shards ({error})"))
    if deep:
        found = list(_rows(folder, listed, workers, progress))
        faults += [fault for fault in found if fault.row is not None or fault.file not in ill]
    return faults


def _recognise(folder: Path) -> None:
    """Refuse what is no dataset of ours; one of its describing files may be missing, not all."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the --out of mie-x generate")
    if not (folder / manifest.SUMS).exists() and not (folder / manifest.MANIFEST).exists():
        raise ValueError(
            f"{folder} holds no {manifest.MANIFEST}, so it is no finished dataset; "
            "run the same mie-x generate command again to complete it"
        )


def _files(folder: Path) -> list[Fault]:
    """Compare names and bytes with SHA256SUMS."""
    try:
        sums = manifest.read_sums(folder)
    except FileNotFoundError:
        return [Fault(manifest.SUMS, "is missing; no byte can be checked without it")]
    except ValueError as error:
        return [Fault(manifest.SUMS, str(error))]
    there = manifest.present(folder)
    kinds = {name: os.lstat(folder / name).st_mode for name in there}
    links = {name for name, kind in kinds.items() if stat.S_ISLNK(kind)}
    faults = [Fault(name, "is a link; put the file itself there") for name in sorted(links)]
    odd = {name for name, kind in kinds.items() if not stat.S_ISREG(kind)} - links
    faults += [Fault(name, "is no file, but a pipe, a socket or a device") for name in sorted(odd)]
    partial = {name for name in there if name.endswith(".partial")} - links - odd
    faults += [Fault(name, "left over from a run") for name in sorted(partial)]
    found = manifest.sha256_of(folder, sorted(set(there) - links - odd - partial))
    owner = {sha256: name for name, sha256 in sums.items()}
    for name in sorted(sums.keys() - found.keys() - links - odd):
        faults.append(Fault(name, "is missing"))
    for name, sha256 in sorted(found.items()):
        whose = owner.get(sha256)
        if name not in sums:
            other = "" if whose is None else f"; it is a copy of {whose}"
            if whose is not None and whose not in found:
                other = f"; it is {whose} under another name"
            faults.append(Fault(name, f"does not belong here{other}"))
        elif sha256 != sums[name]:
            what = "its SHA-256 is not that of SHA256SUMS: it is damaged or was changed"
            if whose is not None:
                what = f"holds what belongs into {whose}"
            faults.append(Fault(name, what))
    return faults


def _numbering(folder: Path, listed: Mapping[str, Any]) -> Iterator[Fault]:
    """Shards are numbered without a gap, and all say the same number of them."""
    names = [path.stem for path in record_paths(folder, listed["settings"]["format"])]
    where = FORMATS[listed["settings"]["format"]].RECORDS
    parts = [match.groups() for name in names if (match := _NAME.fullmatch(name))]
    count = max((int(total) for _, total in parts), default=0)
    missing = [n for n in range(count) if (f"{n:05d}", f"{count:05d}") not in parts]
    for number in missing[:MOST]:
        name = shards.name(number, count)
        yield Fault(f"{where}/{name}.parquet", "is missing: there is a gap in the numbering")
    if len(missing) > MOST:
        yield Fault(where, f"{len(missing) - MOST} more shards are missing")


def _counts(folder: Path, listed: Mapping[str, Any], ill: set[str]) -> list[Fault]:
    """What the manifest counts is what the records hold; records that are ILL are passed over."""
    faults = []
    settings = listed["settings"]
    rows = {entry["file"]: entry["rows"] for entry in listed["shards"]}
    count: Counter[tuple[str, int]] = Counter()
    keys: Counter[str] = Counter()
    identities: set[str] = set()
    paths = {
        name: path
        for path in record_paths(folder, settings["format"])
        if (name := path.relative_to(folder).as_posix()) not in ill
    }
    for name, path in paths.items():
        table = shards.table_of(path, ["sample_key", "identity", "source", "label"])
        if len(table) != rows.get(name):
            faults.append(Fault(name, f"has {len(table)} rows, the manifest says {rows.get(name)}"))
        if (other := shards.footer(path)["settings"]) != settings:
            faults.append(Fault(name, f"made with other settings: {_difference(other, settings)}"))
        keys.update(table["sample_key"].to_pylist())
        identities.update(table["identity"].to_pylist())
        count.update(zip(table["source"].to_pylist(), table["label"].to_pylist(), strict=True))
    faults += [
        Fault(manifest.MANIFEST, f"the sample {key} is there {n} times")
        for key, n in keys.items()
        if n > 1
    ]
    if ill & set(rows):  # then the numbers cannot fit, and that has been said
        return faults
    said: dict[str, int] = {
        "samples": listed["samples"],
        "identities": listed["identities"],
        "shards": len(rows),
    }
    here = {
        "samples": sum(count.values()),
        "identities": len(identities),
        "shards": len(paths),
    }
    for source, by_label in listed["samples_by_source_and_label"].items():
        for label, n in by_label.items():
            said[f"samples of {source}, {label}"] = n
            here[f"samples of {source}, {label}"] = count[source, LABELS[label]]
    if manifest.FAILURES not in ill:
        failures = shards.read_failures(folder)
        said["samples missing"] = listed["samples_missing"]
        here["samples missing"] = sum(failure.missing for failure in failures)
        said["entries left out"], here["entries left out"] = listed["left_out"], len(failures)
    faults += [
        Fault(manifest.MANIFEST, f"says {said[what]} {what}, there are {n}")
        for what, n in here.items()
        if said[what] != n
    ]
    return faults


def _difference(there: Any, here: Any) -> str:
    """The first entries in which two settings differ, in words."""
    name = ""
    while isinstance(there, dict) and isinstance(here, dict):
        keys = [*there, *here]
        key = next(k for k in keys if there.get(k, "absent") != here.get(k, "absent"))
        name = f"{name}.{key}".strip(".")
        there, here = there.get(key, "absent"), here.get(key, "absent")
    return f"{name} is {there!r}, not {here!r}"


def _rows(
    folder: Path,
    listed: Mapping[str, Any],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Fault]:
    """Every row of every record against the plan and its frames."""
    import joblib

    records = record_paths(folder, listed["settings"]["format"])
    try:
        plan, begun = manifest.planned(folder), manifest.begun(folder)
        assert begun is not None
        known = {face[0]: face for face in begun["faces"]}
        failures = [shards.Failure(**entry) for entry in begun["left_out"]]
        if plan_sha256(plan) != listed["plan_sha256"]:
            yield Fault(manifest.PLAN, "is not the plan that the manifest names")
        if begun["settings"] != listed["settings"]:
            yield Fault(manifest.MANIFEST, "its settings are not those of the plan")
        owners = plan["identity"].to_pylist()
    except _ODD as error:
        yield Fault(manifest.PLAN, f"cannot be read ({error})")
        return
    places: dict[str, list[int]] = {}
    for place, identity in enumerate(owners):
        places.setdefault(identity, []).append(place)
    held: Counter[str] = Counter()
    tasks = []
    for path in records:
        name = path.relative_to(folder).as_posix()
        try:
            told = shards.footer(path)
            mine = [face[0] for face in told["faces"]]
            failed = shards.failures_of(told)
        except _ODD as error:
            yield Fault(name, f"cannot be read ({error})")
            continue
        held.update(mine)
        failures += failed
        without = {failure.identity for failure in failed}  # a retry may find another face
        for face in told["faces"]:
            if face != known.get(face[0]) and face[0] not in without:
                yield Fault(name, f"the face of {face[0]!r} is not the one it was begun with")
        own = plan.take(pa.array([n for name in mine for n in places.get(name, [])], pa.int64()))
        tasks.append((path, own))
    for identity in places:
        if identity not in held:
            yield Fault(manifest.PLAN, f"identity {identity!r} is planned, but in no shard")
    yield from (
        Fault(manifest.PLAN, f"identity {identity!r} is in {n} shards")
        for identity, n in held.items()
        if n > 1
    )
    layout = FORMATS[listed["settings"]["format"]]
    try:
        yield from [Fault(name, what) for name, what in layout.faults(folder, records)]
    except _ODD as error:
        yield Fault(layout.RECORDS, f"what tells of them again cannot be compared ({error!r})")
    if _failures(folder) != failures:
        yield Fault(manifest.FAILURES, "its entries are not those of the plan and the shards")
    done = joblib.Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs")(
        joblib.delayed(check_record)(folder, path, own, dict(listed["settings"]))
        for path, own in tasks
    )
    for number, faults in enumerate(done, start=1):
        yield from faults
        if progress is not None:
            progress(number, len(tasks))


def _failures(folder: Path) -> list[shards.Failure] | None:
    try:
        return shards.read_failures(folder)
    except _ODD:
        return None


def check_record(
    folder: Path, path: Path, plan: pa.Table, settings: Mapping[str, Any]
) -> list[Fault]:
    """Faults of one shard: its record, its rows against their PLAN, its frames."""
    try:
        return list(_record_faults(folder, path, plan, settings))
    except _ODD as error:
        return [Fault(path.relative_to(folder).as_posix(), f"cannot be checked ({error!r})")]


def _record_faults(
    folder: Path, path: Path, plan: pa.Table, settings: Mapping[str, Any]
) -> Iterator[Fault]:
    name = path.relative_to(folder).as_posix()
    layout = FORMATS[settings["format"]]
    try:
        table, told = shards.table_of(path), shards.footer(path)
    except ValueError as error:
        yield Fault(name, str(error))
        return
    expected = shards.schema(settings["frames"])
    if not table.schema.remove_metadata().equals(expected.remove_metadata()):
        yield Fault(name, "has other columns than this version of mie-x writes")
        return
    if table.schema.metadata.get(b"huggingface") != expected.metadata[b"huggingface"]:
        yield Fault(name, "its description for Hugging Face is another")
    rows = table.to_pylist()
    planned = {row["sample_key"]: row for row in plan.to_pylist()}
    failed = {f.sample_key for f in shards.failures_of(told)}
    there = Counter(row["sample_key"] for row in rows)
    for key in planned:
        if key not in there and key not in failed:
            yield Fault(name, f"sample {key} is planned, but neither there nor a failure")
        if key in there and key in failed:
            yield Fault(name, f"sample {key} is there, and a failure")
    faces = {face[0]: face for face in told["faces"]}
    for number, (row, files) in enumerate(
        zip(rows, _files_of(folder, path, layout, rows), strict=True)
    ):
        try:
            what = [
                *_row_faults(row, planned.get(row["sample_key"]), faces, settings),
                *_frame_faults(row, files, settings["frames"]),
            ]
        except _ODD as error:
            what = [f"does not hold what rows of mie-x hold ({error})"]
        if there[row["sample_key"]] > 1:
            what.append(f"sample {row['sample_key']} is there more than once")
        yield from (Fault(name, one, number) for one in what)


def _files_of(
    folder: Path, path: Path, layout: Format, rows: Sequence[Mapping[str, Any]]
) -> Iterator[list[bytes] | Exception]:
    """Each row's frames, or why they cannot be read; a bad row does not hide those after it."""
    done = 0
    while done < len(rows):
        try:
            for files in layout.load(folder, path.stem, rows[done:]):
                yield files
                done += 1
        except _ODD as error:
            yield error
            done += 1


def _row_faults(
    row: Mapping[str, Any],
    planned: Mapping[str, Any] | None,
    faces: Mapping[str, list[Any]],
    settings: Mapping[str, Any],
) -> Iterator[str]:
    key, identity = row["sample_key"], row["identity"]
    if planned is None:
        yield f"sample {key} is not planned"
    else:
        for column, value in planned.items():
            if row[column] != value:
                yield f"{column} is {row[column]!r}, planned was {value!r}"
    if row["label"] not in LABELS.values():
        yield f"label {row['label']} is none of {LABELS}"
    elif key != sample_key(identity, row["source"], row["label"]):
        yield f"sample key {key!r} does not name its identity, source and label"
    elif row["draw_seed"] != draw_seed(settings["seed"], identity, row["source"], row["label"]):
        yield f"draw seed {row['draw_seed']} is not that of seed {settings['seed']} and this sample"
    if row["source"] not in settings["sources"]:
        yield f"source {row['source']!r} is none of the settings'"
    elif row["stand_in_motion"] != settings["sources"][row["source"]]["stand_in"]:
        yield "stand_in_motion is not what the settings say of its source"
    if row["rendered_face"] != (settings["faces"]["kind"] == "rendered"):
        yield "rendered_face is not what the settings say of the faces"
    face = faces.get(identity)
    if face is None:
        yield f"identity {identity!r} is not one of this shard's"
    elif [row["face"], row["face_sha256"]] != list(face[1:3]):
        yield "face and face_sha256 are not those of its identity"
    yield from _measure_faults(row, settings)
    vectors = np.array([row["onset_aus"], row["apex_aus"], *row.get("frame_aus", [])], np.float64)
    if not ((vectors >= 0) & (vectors <= 1)).all():  # NaN is neither
        yield "AUs outside [0, 1]"
    elif (vectors[0] == vectors[1]).all():
        yield "onset and apex have the same AUs: a label without a motion"


def _measure_faults(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    told = [row[name] for name, _ in shards.MEASURED]
    if settings["measured_with"] is None:
        if any(value is not None for value in told):
            yield "has measures, though nothing was measured"
        return
    if any(value is None for value in told):
        yield "lacks the measures that the settings tell of"
        return
    deltas, cosine, outside = (np.asarray(value, np.float64) for value in told)
    if not ((np.abs(deltas) <= 1).all() and abs(cosine) <= 1 + 1e-6 and 0 <= outside <= 255):
        yield "measures out of their range"


def _frame_faults(
    row: Mapping[str, Any], files: list[bytes] | Exception, count: int
) -> Iterator[str]:
    expected = shards.frame_hashes(row)
    apex = row.get("apex_frame", 1)
    if isinstance(files, Exception):
        yield f"its frames cannot be read ({files})"
        return
    if not len(files) == len(expected) == count:
        yield f"has {len(files)} frames and {len(expected)} hashes of them, not {count} each"
        return
    hashes = []
    for number, (data, sha256) in enumerate(zip(files, expected, strict=True)):
        try:
            frame, said = read_png_and_words(data)
        except (ValueError, OSError) as error:
            yield f"frame {number} cannot be decoded ({error})"
            continue
        hashes.append(pixel_sha256(frame))
        if hashes[-1] != sha256:
            yield f"frame {number} has other pixels than its SHA-256 says"
        if said != words(row["sample_key"], number):
            yield f"frame {number} says of itself {said!r}"
    if len(hashes) == len(expected) and hashes[0] == hashes[apex]:
        yield "onset and apex frame are the same picture"
