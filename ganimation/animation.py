"""Faces and action units in, frames out (MiE-X's generation loop).

The reference rounds by truncation and stores JPEG; here the nearest grey level is taken, because a
micro-expression is only a few of them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ganimation.networks import Generator, mix
from mie_x.records import AUS, SIZE, Aus, Frames


def animate(
    generator: Generator, faces: Frames, aus: Aus, *, batch: int = 16, device: str = "cpu"
) -> Frames:
    """Render FACES with AUS: (N, 128, 128, 3) uint8 RGB, (N, 17) float32 -> (N, 128, 128, 3) uint8.

    Moves GENERATOR to DEVICE. The same input gives the same frames. Another BATCH may round a pixel
    the other way: on a CPU, in float32, never by more than one grey level; on CUDA, where the
    convolutions run in bfloat16, it can be more.
    """
    if faces.dtype != np.uint8 or faces.shape != (len(faces), SIZE, SIZE, 3):
        raise ValueError(f"faces are (N, {SIZE}, {SIZE}, 3) uint8, not {faces.shape} {faces.dtype}")
    if aus.shape != (len(faces), len(AUS)):
        raise ValueError(f"action units are ({len(faces)}, {len(AUS)}), not {aus.shape}")
    if not np.isfinite(aus).all():
        row = int(np.flatnonzero(~np.isfinite(aus).all(axis=1))[0])
        raise ValueError(f"the action units of face {row} are not finite")
    on_gpu = torch.device(device).type == "cuda"
    generator = generator.to(device).to(memory_format=torch.channels_last).eval()
    frames = np.empty_like(faces)
    with torch.inference_mode():
        for start in range(0, len(faces), batch):
            rows = slice(start, start + batch)
            image = torch.from_numpy(np.ascontiguousarray(faces[rows]))
            vectors = torch.from_numpy(np.ascontiguousarray(aus[rows], dtype=np.float32))
            if on_gpu:  # pinned memory is copied faster, and one copy need not wait for the other
                image, vectors = image.pin_memory(), vectors.pin_memory()
            source = to_signed(image.to(device, non_blocking=True))
            with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
                colour, mask = generator(source, vectors.to(device, non_blocking=True))
            frame = to_levels(mix(source, colour, mask))
            frames[rows] = frame.cpu().numpy()
    return frames


def to_signed(levels: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1], channels last in memory."""
    return levels.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1


def to_levels(signed: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, H, W, 3) uint8, rounded to the nearest grey level."""
    return ((signed + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
