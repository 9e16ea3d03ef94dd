"""The drift guard: a run goes on only with what it was begun with.

Everything that changes a sample is in a run's settings, and everybody's face with its hash in the
plan's and the shards' footers. Workers, batch and device are in neither: they may change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mie_x import manifest, shards
from mie_x.formats import record_paths
from pipelines.inputs import Place

MOST = 8  # differences named


def refuse(out: Path, settings: Mapping[str, Any], places: Sequence[Place]) -> None:
    """Raise ValueError where OUT was begun with other settings or faces; it names what differs."""
    footers = {
        path: shards.footer(path)
        for folder in {"data", "records"}
        for path in sorted((out / folder).glob("train-*.parquet"))
    }
    told = manifest.begun(out)
    for there in [told, *footers.values()]:
        if there is not None and there["settings"] != settings:
            found = sorted(differences(there["settings"], settings), key=_depth)
            more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
            raise ValueError(
                f"{out} was begun with other settings: {'; '.join(found[:MOST])}{more}; "
                "give another --out, or the settings it was begun with"
            )
    failed = {
        failure.identity
        for there in footers.values()
        for failure in shards.failures_of(there)
        if failure.sample_key is not None
    }
    if told is not None:
        _refuse_faces(out, told["faces"], [place.told() for place in places], failed)
    for path in record_paths(out, settings["format"]):
        here = {place.identity: place.told() for place in places}
        there = footers[path]["faces"]
        redacted = set(told["redacted"]) if told is not None else set()
        if any(manifest.redacted_name(face[0]) in redacted for face in there):
            raise ValueError(
                f"{path} holds a person who was to be taken out; run the same mie-x redact again"
            )
        _refuse_faces(out, there, [here.get(face[0], [None] * 4) for face in there], failed)


def differences(there: Any, here: Any, name: str = "") -> Iterator[str]:
    """Name every entry in which two settings differ, with both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *(key for key in here if key not in there)]:
            old, new = there.get(key, "absent"), here.get(key, "absent")
            yield from differences(old, new, f"{name}.{key}".strip("."))
    elif there != here:
        yield f"{name} was {_short(there)}, is {_short(here)}"


def _depth(difference: str) -> int:
    """What is named by fewer words tells more: a table's name more than its numbers."""
    return difference.split(" ")[0].count(".")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _refuse_faces(
    out: Path, there: Sequence[list[Any]], here: Sequence[list[Any]], failed: set[str]
) -> None:
    """Faces may come in where there was none; whatever else changed is refused."""
    if len(there) != len(here):
        raise ValueError(
            f"{out} was begun with {len(there)} identities, and {len(here)} are asked for now; "
            "give another --out, or the faces it was begun with"
        )
    for old, new in zip(there, here, strict=True):
        what = None
        if old[0] != new[0]:
            what = f"identity {old[0]!r} was there, {new[0]!r} is in its place"
        elif old[2] is not None and old[0] not in failed:
            if new[2] is None:
                what = f"the face of {old[0]!r} on {old[1]!r} can no longer be used"
            elif old[1] != new[1]:
                what = f"identity {old[0]!r} was seen on {old[1]!r}, and now on {new[1]!r}"
            elif old[2] != new[2]:
                what = f"the file {old[1]!r} has changed (SHA-256 {old[2][:12]}, now {new[2][:12]})"
            elif old[3] != new[3]:
                what = f"the face on {old[1]!r} is framed otherwise"
        if what is not None:
            raise ValueError(
                f"{out} was begun with other faces: {what}; "
                "give another --out, or the faces it was begun with"
            )
