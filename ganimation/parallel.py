"""Training on several GPUs, or processes, that ``torchrun`` has started: each takes its own batch.

Weights begin alike everywhere, and the gradients' mean is taken before every step, so they stay
alike: rank 0 writes for all. The mean is taken by hand rather than by DistributedDataParallel: a
step calls its networks several times, and the gradient penalty differentiates twice. Without
torchrun everything here does nothing.

``torchrun --nproc-per-node 2 -m mie_x train-generator OUT --steps N``
"""

from __future__ import annotations

import os

import torch
from torch import distributed, nn


def join(device: str) -> str:
    """Meet the other processes, if torchrun has started this one; answers with its own device."""
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
    return distributed.get_rank() if _together() else 0


def size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if _together() else 1


def wait() -> None:
    """Go on when all have come here."""
    if _together():
        distributed.barrier()


def leave() -> None:
    """Part from the others."""
    if _together():
        distributed.destroy_process_group()


def share_gradients(network: nn.Module) -> None:
    """Replace each gradient by its mean over the processes."""
    if not _together():
        return
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])  # one message instead of many
    distributed.all_reduce(flat)
    flat /= size()
    means = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()
