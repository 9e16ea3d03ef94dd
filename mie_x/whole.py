"""Files that are whole or not there: "there" means "complete"."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def stays_below(name: str) -> bool:
    """Whether a file's NAME, as a data file tells it, can only lie below the folder it is told of.

    >>> stays_below("data/a.tar"), stays_below("../a"), stays_below("/a"), stays_below("C:a")
    (True, False, False, False)
    """
    odd = set(name) & set("\\:\0") or not name.isprintable()
    return not odd and not {"", ".", ".."} & set(name.split("/"))


def safe(name: str) -> str:
    """NAME from outside as that of a file, another for every name: letters, digits and ._- stay.

    >>> safe("samm-lv/006_1"), safe("../x")
    ('samm-lv+006_1', '+x-d6b96a97')
    """
    made = re.sub(r"[^A-Za-z0-9._+-]", "_", name.replace("/", "+"))
    if made.replace("+", "/") == name and not made.startswith(".") and len(made) <= 80:
        return made
    return f"{made.lstrip('.')[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def hashed(told: Mapping[str, Any]) -> str:
    """The name of a file by all that it depends on, which is JSON-able.

    >>> hashed({"a": 1, "b": [2]}) == hashed({"b": [2], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give another name to write PATH under; it gets its own when the block ends without error.

    Its bytes are on the disk before its name says that they are. After an error nothing is left;
    what a writer that was killed leaves ends in ".partial". No two writers have the same name: of
    those that write PATH together, the last to end is there, whole.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    with whole(path) as unfinished:
        unfinished.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
