"""Takedown: a person leaves a dataset, and every file that told of them is written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mie_x import manifest, shards
from mie_x.formats import read_shard, record_paths, write_shard
from pipelines.lock import alone


def redact(folder: Path, identity: str) -> int:
    """Take IDENTITY out of the finished dataset in FOLDER; return how many samples went.

    Samples, frames, planned rows, failures and counts go; of the name a hash stays, so that
    ``mie-x generate`` does not make the person again. A redaction that was stopped is gone on with
    by the same call. Raises ValueError where nobody of that name is there.
    """
    told = manifest.begun(folder) if folder.is_dir() else None
    if told is None:
        manifest.read_manifest(folder)  # says what is wrong
        raise ValueError(f"{folder} holds no {manifest.PLAN}; make the dataset again")
    name = manifest.redacted_name(identity)
    if name in told["redacted"] and manifest.is_finished(folder):
        raise ValueError(f"{folder}: identity {identity!r} was taken out already")
    plan = manifest.planned(folder)
    if name not in told["redacted"]:
        if not (folder / manifest.MANIFEST).exists():
            manifest.read_manifest(folder)  # an unfinished dataset is completed first
        known = {*plan["identity"].to_pylist(), *map(_whose, told["left_out"])}
        if identity not in known:
            raise ValueError(f"{folder}: nobody is called {identity!r} there; see column identity")
    _refuse_gaps(folder, plan, told["settings"]["format"])
    with alone(folder):
        # Where this stops, the manifest or the name among the redacted lets the same call go on.
        (folder / manifest.SUMS).unlink(missing_ok=True)
        told["redacted"] = sorted({*told["redacted"], name})
        for entry in ("faces", "left_out"):
            told[entry] = [one for one in told[entry] if _whose(one) != identity]
        manifest.begin(folder, plan.filter(pc.not_equal(plan["identity"], identity)), told)
        manifest.unfinish(folder)
        for stale in folder.rglob("*.partial"):  # may hold the person's frames
            stale.unlink()
        format = told["settings"]["format"]
        gone = sum(
            _take_out(folder, path, identity, format) for path in record_paths(folder, format)
        )
        manifest.finish(folder)
    return gone


def _refuse_gaps(folder: Path, plan: pa.Table, format: str) -> None:
    """What is missing must not be certified."""
    held = {
        face[0] for path in record_paths(folder, format) for face in shards.footer(path)["faces"]
    }
    if missing := set(plan["identity"].to_pylist()) - held:
        raise shards.Unusable(
            f"{folder}: the shards of {len(missing)} identities are missing; "
            "run the same mie-x generate command again to complete it"
        )


def _whose(entry: Any) -> Any:
    return entry["identity"] if isinstance(entry, dict) else entry[0]


def _take_out(folder: Path, path: Path, identity: str, format: str) -> int:
    """Write a shard without IDENTITY; its samples' number, 0 where the shard never held them."""
    told = shards.footer(path)
    if identity not in {face[0] for face in told["faces"]}:
        return 0
    before = len(shards.rows_of(path, ["identity"]))
    rows = read_shard(folder, format, path.stem, without=[identity])
    footer = {name: value for name, value in told.items() if name != "files"}
    for entry in ("faces", "failures"):
        footer[entry] = [one for one in told[entry] if _whose(one) != identity]
    frames = told["settings"]["frames"]
    write_shard(folder, format, path.stem, rows, frames=frames, footer=footer)
    return before - len(rows)
