"""Files that are whole or not there: "there" means "complete"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def partial(path: Path) -> Path:
    """The name of PATH until it is whole."""
    return path.with_name(path.name + ".partial")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give another name to write PATH under; it gets its own when the block ends without error."""
    yield partial(path)
    partial(path).replace(path)
