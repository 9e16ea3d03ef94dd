"""Formats that keep a file a frame: written one by one, each whole or not there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mie_x.whole import write_bytes

LARGEST = 1 << 20  # bytes of a frame's file: 128 x 128 x 3 and a few words are below 60,000

Places = Callable[[Mapping[str, Any], int], list[str]]


def store_files(
    out: Path, rows: Sequence[Mapping[str, Any]], places: Places
) -> tuple[list[list[dict[str, bytes | str | None]]], dict[str, str]]:
    """Write each row's frames where PLACES says."""
    images: list[list[dict[str, bytes | str | None]]] = []
    hashes = {}
    for row in rows:
        names = places(row, len(row["frames"]))
        (out / names[0]).parent.mkdir(parents=True, exist_ok=True)
        for name, data in zip(names, row["frames"], strict=True):
            write_bytes(out / name, data)
            hashes[name] = hashlib.sha256(data).hexdigest()
        images.append([{"bytes": None, "path": name} for name in names])
    return images, hashes


def load_files(
    out: Path, rows: Sequence[Mapping[str, Any]], places: Places
) -> Iterator[list[bytes]]:
    """Yield each row's files; OSError where one is not there, ValueError where one is no frame."""
    for row in rows:
        count = 2 if "onset" in row else len(row["frames"])
        yield [_read(out / name) for name in places(row, count)]


def _read(path: Path) -> bytes:
    if path.is_symlink():
        raise ValueError(f"{path} is a link; put the file itself there")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes: that is no frame")
    return path.read_bytes()
