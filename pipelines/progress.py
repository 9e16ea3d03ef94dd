"""Progress of a long piece of work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS_A_LINE = 30.0


class Progress:
    """Says on standard error how many UNITs are done, the rate and the time left.

    DONE were there already (a resumed run): they count as done, not towards the rate. None: as
    many as the first call tells.
    """

    def __init__(self, unit: str, *, done: int | None = 0) -> None:
        self.unit, self.begun = unit, False
        if done is not None:
            self._begin(done)

    def _begin(self, done: int) -> None:
        self.begun = True
        self.already = self.done = done
        self.start = self.said = time.monotonic()
        self.bar = tqdm(initial=done, unit=f" {self.unit}") if sys.stderr.isatty() else None

    def __call__(self, done: int, total: int) -> None:
        """Tell that DONE of TOTAL are done; both may have grown since the last call."""
        if not self.begun:
            self._begin(done)
        before, self.done = self.done, done
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - before)
            if done == total:
                self.bar.close()
            return
        now = time.monotonic()
        if now - self.said >= SECONDS_A_LINE or (done == total and self.said > self.start):
            self.said = now
            rate = (done - self.already) / max(now - self.start, 1e-9)
            left = f"{(total - done) / rate:.0f} s left" if rate else "time left unknown"
            print(f"{done} of {total} {self.unit}, {rate:.2f} a second, {left}", file=sys.stderr)


def counted(items: Iterable[T], total: int, unit: str, *, done: int = 0) -> Iterator[T]:
    """Yield ITEMS, telling how many of TOTAL are done."""
    tell = Progress(unit, done=done)
    for count, item in enumerate(items, start=done + 1):
        yield item
        tell(count, total)
