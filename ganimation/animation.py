"""Faces and action units in, frames out (MiE-X's generation loop).

The reference rounds by truncation and stores JPEG; here the nearest grey level is taken, because a
micro-expression is only a few of them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganimation.networks import Generator, mix
from mie_x.records import AUS, SIZE, Aus, Frames


def animate(
    generator: Generator,
    faces: Frames,
    aus: Aus,
    whose: NDArray[np.integer] | None = None,
    *,
    batch: int = 16,
    device: str = "cpu",
) -> Frames:
    """Render FACES (F, 128, 128, 3) uint8 RGB with AUS (N, 17) float32 -> (N, 128, 128, 3) uint8.

    WHOSE (N,) says of which face each row of AUS is; without it, row n is of face n, or every row
    of the only face. A generator that moves its source looks at a face once, whatever N.

    Moves GENERATOR to DEVICE, and works on BATCH faces and BATCH rows at a time. The same input
    gives the same frames. Another BATCH, or other faces beside a face, may round a pixel the other
    way: on a CPU, in float32, never by more than one grey level; on CUDA, where the convolutions
    run in bfloat16, it can be more.
    """
    if faces.dtype != np.uint8 or faces.shape != (len(faces), SIZE, SIZE, 3):
        raise ValueError(f"faces are (F, {SIZE}, {SIZE}, 3) uint8, not {faces.shape} {faces.dtype}")
    if aus.shape != (len(aus), len(AUS)):
        raise ValueError(f"action units are (N, {len(AUS)}), not {aus.shape}")
    if not np.isfinite(aus).all():
        row = int(np.flatnonzero(~np.isfinite(aus).all(axis=1))[0])
        raise ValueError(f"the action units of row {row} are not finite")
    if whose is None:
        if len(faces) not in (1, len(aus)):
            raise ValueError(f"{len(aus)} rows of action units for {len(faces)} faces; say whose")
        whose = np.arange(len(aus)) % max(1, len(faces))
    if whose.shape != (len(aus),) or not np.isin(whose, np.arange(len(faces))).all():
        raise ValueError(f"whose names one of {len(faces)} faces for each of {len(aus)} rows")
    generator = generator.to(device).to(memory_format=torch.channels_last).eval()
    kind = torch.device(device).type
    on_gpu = kind == "cuda"

    def sent(array: NDArray[np.generic]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        # Pinned memory is copied while this thread goes on.
        return tensor.pin_memory().to(device, non_blocking=True) if on_gpu else tensor

    made: list[tuple[NDArray[np.intp], Tensor]] = []
    with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=on_gpu):
        for first in range(0, len(faces), batch):
            theirs = np.flatnonzero((first <= whose) & (whose < first + batch))
            if not len(theirs):
                continue
            features = generator.features(to_signed(sent(faces[first : first + batch])))
            for start in range(0, len(theirs), batch):
                rows = theirs[start : start + batch]
                of = sent(whose[rows].astype(np.int64) - first)
                colour, mask = generator.frames(features, sent(aus[rows].astype(np.float32)), of)
                source = features.image.index_select(0, of)
                made.append((rows, to_levels(mix(source, colour, mask))))
    frames = np.empty((len(aus), SIZE, SIZE, 3), np.uint8)
    for rows, levels in made:  # only now: until here a GPU is never waited for
        frames[rows] = levels.cpu().numpy()
    return frames


def to_signed(levels: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [-1, 1], channels last in memory."""
    return levels.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1


def to_levels(signed: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, H, W, 3) uint8, rounded to the nearest grey level."""
    return ((signed + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
