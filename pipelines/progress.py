"""Progress of a long loop: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")
SECONDS_A_LINE = 30.0


def progress(items: Iterable[T], total: int, unit: str, *, done: int = 0) -> Iterator[T]:
    """Yield ITEMS and say on standard error how many of TOTAL are done, the rate and time left.

    DONE were there already (a resumed run): they count as done, not towards the rate.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, initial=done, unit=f" {unit}", dynamic_ncols=True)
        return
    start = said = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - said >= SECONDS_A_LINE or done + count == total:
            said = now
            rate = count / max(now - start, 1e-9)
            left = (total - done - count) / rate
            print(
                f"{done + count} of {total} {unit}, {rate:.2f} a second, {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )
