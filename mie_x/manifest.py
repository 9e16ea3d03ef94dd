"""What describes a dataset as a whole: plan, failures, card, manifest, and checksums.

    OUT/
      README.md          dataset card, with its YAML head
      data/...           the shards; where their frames lie is told by mie_x.formats
      plan.parquet       who was to move how; begun with, so that a run knows what it went on with
      failures.parquet   what was left out, and why
      manifest.json      settings, versions, counts
      SHA256SUMS         of every other file, for ``sha256sum -c``; there means complete

The plan is written first and SHA256SUMS last: what was stopped in between is gone on with.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mie_x import card, shards
from mie_x.formats import FORMATS, record_paths
from mie_x.plan import plan_sha256
from mie_x.records import LABELS
from mie_x.whole import stays_below, whole, write_json, write_text

PLAN, FAILURES, CARD = "plan.parquet", "failures.parquet", "README.md"
MANIFEST, SUMS, LOCK = "manifest.json", "SHA256SUMS", "run.lock"
FORMAT = 3
TOLD = ("settings", "faces", "redacted", "found", "left_out")
ENTRIES = {"settings", "samples", "identities", "samples_by_source_and_label", "shards"}


def redacted_name(identity: str) -> str:
    """What is kept of an identity that was taken out: enough not to make it again."""
    return hashlib.sha256(f"mie-x redacted {identity}".encode()).hexdigest()


def begin(out: Path, plan: pa.Table, told: Mapping[str, Any]) -> None:
    """Write the plan, with what is TOLD of the run in its footer: ``TOLD``'s entries."""
    footer = {f"mie_x_{key}": json.dumps(value, sort_keys=True) for key, value in told.items()}
    with whole(out / PLAN) as unfinished:
        pq.write_table(
            plan.replace_schema_metadata(footer),
            unfinished,
            compression="zstd",
            write_page_checksum=True,
        )


def begun(out: Path) -> dict[str, Any] | None:
    """What the run in OUT was begun with, as ``begin`` was told; None where there is none."""
    if not (out / PLAN).exists():
        return None
    return shards.footer(out / PLAN)


def planned(out: Path) -> pa.Table:
    """The plan that lies in OUT."""
    return shards.table_of(out / PLAN).replace_schema_metadata(None)


def is_finished(out: Path) -> bool:
    """Whether every file of a finished dataset is there."""
    if not all((out / name).exists() for name in (MANIFEST, SUMS, CARD, FAILURES, PLAN)):
        return False
    return all((out / name).exists() for name in read_sums(out))


def unfinish(out: Path) -> None:
    """Take away what says that OUT is complete, before anything in it is changed."""
    for name in (SUMS, MANIFEST):
        (out / name).unlink(missing_ok=True)


def finish(out: Path) -> None:
    """Describe the shards in OUT, once all are there; SHA256SUMS last, since it means complete.

    Every page of every record, and every file beside it, is read against the hashes it was written
    with, so that what was damaged while a run was stopped is not certified: ``Unusable`` names it.
    Files that are none of the dataset's are not certified either.
    """
    told = begun(out)
    assert told is not None
    settings = told["settings"]
    records = record_paths(out, settings["format"])
    failures = [shards.Failure(**entry) for entry in told["left_out"]]
    names = [PLAN, FAILURES, CARD, MANIFEST]
    for path in records:
        footer = shards.footer(path)
        failures += shards.failures_of(footer)
        names += [path.relative_to(out).as_posix(), *footer["files"]]
    shards.write_failures(out / FAILURES, failures)
    names += FORMATS[settings["format"]].finish(out, records)
    listed = _described(out, records, failures, told)
    write_text(out / CARD, card.dataset_card(listed))
    write_json(out / MANIFEST, listed)
    write_text(out / SUMS, _lines(sha256_of(out, names)))


def _described(
    out: Path,
    records: Sequence[Path],
    failures: Sequence[shards.Failure],
    told: Mapping[str, Any],
) -> dict[str, Any]:
    settings = told["settings"]
    listed_shards, made_with, frames = [], set(), 0
    count: Counter[tuple[str, int]] = Counter()
    identities: Counter[str] = Counter()
    for path in records:
        footer, table = shards.footer(path), shards.table_of(path)
        _compare(out, footer["files"])
        count.update(zip(table["source"].to_pylist(), table["label"].to_pylist(), strict=True))
        identities.update(table["identity"].to_pylist())
        made_with |= {json.dumps(entry, sort_keys=True) for entry in footer["made_with"]}
        frames += settings["frames"] * len(table)
        listed_shards.append({"file": path.relative_to(out).as_posix(), "rows": len(table)})
    samples_each = Counter(identities.values())
    return {
        "format": FORMAT,
        "settings": settings,
        "made_with": [json.loads(entry) for entry in sorted(made_with)],
        "samples": sum(count.values()),
        "frames": frames,
        "identities": len(identities),
        "identities_by_samples": {str(n): samples_each[n] for n in sorted(samples_each)},
        "samples_by_source_and_label": {
            source: {name: count[source, label] for name, label in LABELS.items()}
            for source in settings["sources"]
        },
        "samples_missing": sum(failure.missing for failure in failures),
        "samples_below_fidelity": sum(failure.stage == "fidelity" for failure in failures),
        "left_out": len(failures),
        "redacted": told["redacted"],
        "faces_found": told["found"],
        "plan_sha256": plan_sha256(planned(out)),
        "shards": listed_shards,
    }


def _compare(out: Path, expected: Mapping[str, str]) -> None:
    try:
        found = sha256_of(out, expected)
    except OSError as error:
        raise shards.Unusable(
            f"{error.filename}: {error.strerror}; run mie-x generate again"
        ) from error
    for name, sha256 in expected.items():
        if found[name] != sha256:
            raise shards.Unusable(f"{out / name} is damaged; delete it and run again")


def present(out: Path) -> list[str]:
    """Posix paths of all files in OUT that SHA256SUMS could name, sorted; links, too."""
    found = []
    for path, folders, files in os.walk(out):
        folder = Path(path)
        below = "" if folder == out else f"{folder.relative_to(out).as_posix()}/"
        links = [name for name in folders if (folder / name).is_symlink()]
        found += [below + name for name in files + links]
    return sorted(name for name in found if name not in (SUMS, LOCK))


def sha256_of(out: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each of the files NAMES, read by as many threads as read fastest together."""
    names = list(names)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return dict(
            zip(names, pool.map(lambda name: shards.file_sha256(out / name), names), strict=True)
        )


def _lines(sums: Mapping[str, str]) -> str:
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def read_sums(out: Path) -> dict[str, str]:
    """Name -> SHA-256, as SHA256SUMS says; ``Unusable`` where a line is not as we write it."""
    try:
        text = (out / SUMS).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise shards.damaged(out / SUMS, error) from error
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        sha256, name = line[:64], line[66:-1]
        odd = line != f"{sha256}  {name}\n" or not set(sha256) <= set("0123456789abcdef")
        if odd or len(sha256) != 64 or name in sums or not stays_below(name):
            raise shards.Unusable(
                f"{out / SUMS}, line {number} is damaged; delete it and run mie-x generate again"
            )
        sums[name] = sha256
    if _lines(sums) != text:
        raise shards.Unusable(f"{out / SUMS}: lines are not in order; it was changed by hand")
    return sums


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished dataset; ValueError where there is none, with what to do."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the --out of mie-x generate")
    if not path.exists() or not (folder / SUMS).exists():
        raise ValueError(
            f"{folder} holds no {SUMS if path.exists() else MANIFEST}, so it is no finished "
            "dataset; run the same mie-x generate command again to complete it"
        )
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise shards.damaged(path, error) from error
    if not isinstance(content, dict) or not content.keys() >= ENTRIES:
        raise ValueError(f"{path} is not a manifest of mie-x; give another folder")
    settings = content["settings"]
    format = settings.get("format") if isinstance(settings, dict) else None
    if content.get("format") != FORMAT or format not in list(FORMATS):
        raise ValueError(f"{path} was written by another version of mie-x; make it again")
    return content
