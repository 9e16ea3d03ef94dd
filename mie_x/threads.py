"""One thread of PyTorch where more would only wait for one another, and change sums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread inside, and as many as before afterwards.

    Pictures this small lose by threads (ten times the time where cores are shared); and with one
    thread a process computes the same bytes alone as it does among many.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
