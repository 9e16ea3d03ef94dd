"""One run at a time in a folder: the second is refused, and told of the first."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

from mie_x.manifest import LOCK
from mie_x.shards import Unusable


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Let no second run write into OUT.

    The system drops the lock with the process, however it ends, and the next run takes over the
    file it leaves. On Windows, where files cannot be locked so, the file itself is the lock, and a
    file that was left behind must be deleted by hand: the message says so.
    """
    path = out / LOCK
    mode = os.O_RDWR | os.O_CREAT | (os.O_EXCL if fcntl is None else 0)
    try:
        file = os.open(path, mode, 0o644)
    except FileExistsError as error:
        raise Unusable(f"{_taken(path)}; if no run is there, delete {path}") from error
    try:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Unusable(f"{_taken(path)}; wait for it, or give another --out") from error
            if not path.exists() or not os.path.samestat(os.fstat(file), path.stat()):
                raise Unusable(f"{out}: another run has just ended there; run again")
        os.truncate(file, 0)
        os.write(file, json.dumps({"host": platform.node(), "pid": os.getpid()}).encode())
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(file)


def _taken(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        who = f"process {int(holder['pid'])} on {str(holder['host'])!r}"
    except (OSError, ValueError, KeyError, TypeError):
        who = "another run"
    return f"{path.parent}: {who} writes there"
