"""Training by several processes, or on several GPUs, that ``torchrun`` has started.

Weights begin alike everywhere, and the gradients' mean is taken before every step, so they stay
alike: rank 0 writes for all. The mean is taken by hand rather than by DistributedDataParallel,
which knows nothing of losses that call a network twice. Without torchrun everything here does
nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def join(device: str) -> str:
    """Meet the other processes, if torchrun has started this one; answers with its own device."""
    import torch
    from torch import distributed

    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return device
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    return device


def rank() -> int:
    """Which of the processes this one is, from 0."""
    from torch import distributed

    return distributed.get_rank() if _together() else 0


def size() -> int:
    """How many processes train together."""
    from torch import distributed

    return distributed.get_world_size() if _together() else 1


def wait() -> None:
    """Go on when all have come here."""
    from torch import distributed

    if _together():
        distributed.barrier()


def leave() -> None:
    """Part from the others."""
    from torch import distributed

    if _together():
        distributed.destroy_process_group()


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each of TENSORS by its mean over the processes; all processes give the same shapes.

    ``average(p.grad for p in network.parameters() if p.grad is not None)`` before a step.
    """
    import torch
    from torch import distributed

    parts = list(tensors)
    if not _together() or not parts:
        return
    flat = torch.cat([part.flatten() for part in parts])  # one message instead of many
    distributed.all_reduce(flat)
    flat /= size()
    means = torch.split(flat, [part.numel() for part in parts])
    for part, mean in zip(parts, means, strict=True):
        part.copy_(mean.view_as(part))


def _together() -> bool:
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()
