"""WebDataset: a tar file a shard.

    OUT/data/train-00000-of-00100.tar            <key>.onset.png, <key>.apex.png, <key>.json ...
    OUT/records/train-00000-of-00100.parquet     what each shard was made with

The files of a sample follow one another, samples in the order of the plan; longer clips have
``<key>.00.png`` and so on. ``<key>.json`` holds the sample's row. Owners and times are fixed: the
same samples give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mie_x import shards
from mie_x.formats.names import file_name
from mie_x.formats.tree import LARGEST
from mie_x.whole import whole

RECORDS = "records"
DATA_FILES = "data/train-*.tar"
HOW = """\
`webdataset` and Hugging Face's `datasets` (`load_dataset(FOLDER)`) read the shards:
`<key>.onset.png`, `<key>.apex.png` and `<key>.json` are a sample."""


def members(row: Mapping[str, Any], count: int) -> list[str]:
    """Names of a row's COUNT frames in the tar file.

    >>> members({"identity": "a.b", "source": "exp", "label": 2}, 2)
    ['a%2Eb_exp_2.onset.png', 'a%2Eb_exp_2.apex.png']
    """
    key = f"{file_name(row['identity'])}_{row['source']}_{row['label']}"
    parts = ["onset", "apex"] if count == 2 else [f"{n:02d}" for n in range(count)]
    return [f"{key}.{part}.png" for part in parts]


def store(
    out: Path, shard: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[list[dict[str, bytes | str | None]]], dict[str, str]]:
    """Write a shard's tar file."""
    path = out / "data" / f"{shard}.tar"
    path.parent.mkdir(exist_ok=True)
    images: list[list[dict[str, bytes | str | None]]] = []
    with whole(path) as unfinished:
        with tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as tar:
            for row in rows:
                names = members(row, len(row["frames"]))
                for name, data in zip(names, row["frames"], strict=True):
                    _add(tar, name, data)
                said = {key: _plain(value) for key, value in row.items() if key != "frames"}
                text = json.dumps(said, sort_keys=True, ensure_ascii=False)
                _add(tar, f"{names[0].split('.')[0]}.json", text.encode())
                images.append([{"bytes": None, "path": name} for name in names])
        digest = hashlib.sha256(unfinished.read_bytes()).hexdigest()
    return images, {f"data/{shard}.tar": digest}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # owner 0, mode 644, time 0
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def load(out: Path, shard: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[list[bytes]]:
    """Yield what ``store`` wrote; OSError or ValueError where the tar file is not whole."""
    path = out / "data" / f"{shard}.tar"
    if path.is_symlink():
        raise ValueError(f"{path} is a link; put the file itself there")
    try:
        with tarfile.open(path, "r:") as tar:
            for row in rows:
                count = 2 if "onset" in row else len(row["frames"])
                yield [_read(tar, name) for name in members(row, count)]
    except tarfile.TarError as error:
        raise ValueError(f"{path} is damaged ({error})") from error


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        member = tar.getmember(name)
    except KeyError as error:
        raise ValueError(f"{tar.name!s}: no {name} in it") from error
    file = tar.extractfile(member) if member.isreg() and member.size <= LARGEST else None
    if file is None:
        raise ValueError(f"{tar.name!s}: {name} is no frame")
    return file.read()


def finish(out: Path, records: Sequence[Path]) -> list[str]:
    """Nothing: the shards describe themselves."""
    return []


def faults(out: Path, records: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Compare the files in each shard, and what its JSON says, with its record."""
    for path in records:
        name = f"data/{path.stem}.tar"
        try:
            rows = shards.rows_of(path)
            with tarfile.open(out / name, "r:") as tar:
                names = [name for row in rows for name in _names(row)]
                if tar.getnames() != names:
                    yield name, "does not hold the files of its record, in their order"
                    continue
                for row in rows:
                    if json.loads(_read(tar, _names(row)[-1])) != _said(row):
                        yield name, f"says something else of {row['sample_key']} than its record"
        except (OSError, ValueError, tarfile.TarError) as error:
            yield name, f"cannot be read ({error})"


def _names(row: Mapping[str, Any]) -> list[str]:
    """Names of all the files of a row of a record."""
    own = members(row, 2 if "onset" in row else len(row["frames"]))
    return [*own, f"{own[0].split('.')[0]}.json"]


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("onset", "apex", "frames")}
