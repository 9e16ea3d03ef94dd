"""Drawn faces made less alike, so that what is learned on them carries over to photographs.

Whatever is done to the source is done to its target, noise included: between the two nothing but
the face may move.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

PLAIN = 0.5  # share of pairs that stay as drawn: generation may start from drawn faces too
GREY = 0.15  # several micro-expression collections are recorded without colour
BLURRED = 0.3
NOISY = 0.5


def augment(pair: Tensor, rng: torch.Generator) -> Tensor:
    """Vary a batch of pairs (N, 2, 3, H, W) in [-1, 1] -> the same shape and range.

    Per pair, the same for both images: flip; rotation to 6 degrees, scale 0.92 to 1.1, shift to
    4 %; gain and gamma per channel, contrast and brightness; grey; blur; fixed noise.
    """
    number = len(pair)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(number, *shape, generator=rng) * (high - low) + low

    def normal(deviation: float, *shape: int) -> Tensor:
        return torch.randn(number, *shape, generator=rng) * deviation

    varied = _place(
        pair,
        angle=uniform(-6, 6) * math.pi / 180,
        scale=uniform(0.92, 1.1),
        shift=uniform(-0.08, 0.08, 2),  # of the half image
        flipped=uniform(0, 1) < 0.5,
    )
    light = (varied + 1) / 2
    per_channel = (1, 3, 1, 1)
    light = light.clamp(1e-3, 1) ** (normal(0.2, 1, 1, 1, 1) + normal(0.08, *per_channel)).exp()
    light = light * (normal(0.15, 1, 1, 1, 1) + normal(0.08, *per_channel)).exp()
    light = (light - 0.5) * normal(0.15, 1, 1, 1, 1).exp() + 0.5 + normal(0.06, 1, 1, 1, 1)
    grey = light.mean(dim=2, keepdim=True).expand_as(light)
    light = _choose(uniform(0, 1) < GREY, grey, light)
    light = _choose(uniform(0, 1) < BLURRED, _blur(light), light)
    noise = normal(1, 1, *pair.shape[2:]) * uniform(0, 4 / 255, 1, 1, 1, 1)
    light = _choose(uniform(0, 1) < NOISY, light + noise, light)
    return _choose(uniform(0, 1) < PLAIN, pair, (light * 2 - 1).clamp(-1, 1))


def _choose(first: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(first[:, None, None, None, None], yes, no)


def _place(pair: Tensor, *, angle: Tensor, scale: Tensor, shift: Tensor, flipped: Tensor) -> Tensor:
    """Turn, scale, shift and mirror both images of each pair; (N,) each, SHIFT (N, 2)."""
    number, two, channels, height, width = pair.shape
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    sign = 1 - 2 * flipped.float()
    matrix = torch.stack(
        [
            torch.stack([sign * cosine, -sine, shift[:, 0]], dim=1),
            torch.stack([sign * sine, cosine, shift[:, 1]], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(matrix, [number, channels, height, width], align_corners=False)
    # The pair lies in the channels, so that both are sampled at the same places.
    stacked = pair.reshape(number, two * channels, height, width)
    placed = F.grid_sample(stacked, grid, padding_mode="border", align_corners=False)
    return placed.reshape(pair.shape)


def _blur(pair: Tensor) -> Tensor:
    """Binomial 3 x 3."""
    number, two, channels, height, width = pair.shape
    row = torch.tensor([0.25, 0.5, 0.25])
    weight = (row[:, None] * row)[None, None]
    flat = pair.reshape(number * two * channels, 1, height, width)
    return F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), weight).reshape(pair.shape)
