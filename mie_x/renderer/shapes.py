"""Scalar shape functions that every part of the face is drawn with: bells, steps, blends, blurs.

Everything works on float32 fields of any shape, one face at a time, with elementwise kernels and
fixed neighbourhoods only: the same field gives the same bits whatever else is rendered, and
whatever number of threads torch uses.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Number = float | Tensor


def decay(q: Tensor) -> Tensor:
    """exp(-q) for q >= 0, as (1 - q/16)^16: four squarings cost a third of an exponential."""
    t = (1 - q * (1 / 16)).clamp_(min=0)
    for _ in range(4):
        t.mul_(t)
    return t


def bell(x: Tensor, y: Tensor, cx: Number, cy: Number, rx: Number, ry: Number) -> Tensor:
    """1 at (cx, cy), 1/e at rx mm to the side and ry mm above or below."""
    a = (x - cx) / rx
    b = (y - cy) / ry
    return decay(a.mul_(a) + b.mul_(b))


def stamp(
    field: Tensor, amount: float, x: Tensor, y: Tensor, spot: tuple[float, float, float, float]
) -> None:
    """Add AMOUNT of a bell at SPOT (cx, cy, rx, ry), in place, to a map whose rows have one y.

    Only the rows that the bell reaches are touched; ``decay`` ends at four radii.
    """
    cx, cy, rx, ry = spot
    top, pitch = float(y[0, 0]), float(y[1, 0] - y[0, 0])
    first = max(0, int((cy - 4 * ry - top) / pitch))
    last = min(len(y), int((cy + 4 * ry - top) / pitch) + 2)
    if first < last:
        rows = slice(first, last)
        field[rows].add_(bell(x[rows], y[rows], cx, cy, rx, ry), alpha=amount)


def ridge(x: Tensor, centre: Number, radius: Number) -> Tensor:
    """1 where x is CENTRE, 1/e RADIUS away from it."""
    a = (x - centre) / radius
    return decay(a.mul_(a))


def step(a: float, b: float, x: Tensor) -> Tensor:
    """Smooth step: 0 below A, 1 above B (A may be the larger one)."""
    t = ((x - a) / (b - a)).clamp_(0, 1)
    return t * t * (3 - 2 * t)


def inside(distance: Tensor, width: Number) -> Tensor:
    """1 where DISTANCE (mm, or any unit of WIDTH) is positive, 0 where negative, soft between."""
    return torch.sigmoid(distance / width)


def mix(a: Number, b: Number, t: Tensor) -> Tensor:
    """A where t is 0, B where t is 1."""
    return a + (b - a) * t


def colour(rgb: tuple[float, float, float]) -> Tensor:
    """A linear-light colour as (3, 1, 1)."""
    return torch.tensor(rgb, dtype=torch.float32).view(3, 1, 1)


def tint(picture: Tensor, mask: Tensor, rgb: tuple[float, float, float]) -> None:
    """Multiply PICTURE (3, h, w), in place, towards RGB times itself where MASK is 1."""
    for channel, factor in enumerate(rgb):
        if factor != 1:
            picture[channel].mul_(1 - mask * (1 - factor))


def blur(field: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (..., h, w) by SIGMA pixels; edges are repeated."""
    reach = max(1, math.ceil(2.5 * sigma))
    taps = [math.exp(-k * k / (2 * sigma * sigma)) for k in range(reach + 1)]
    total = taps[0] + 2 * sum(taps[1:])
    out = field
    for axis in (-1, -2):
        size = out.shape[axis]
        first = out.narrow(axis, 0, 1)
        last = out.narrow(axis, size - 1, 1)
        repeat = [reach if d == out.ndim + axis else 1 for d in range(out.ndim)]
        wide = torch.cat([first.repeat(repeat), out, last.repeat(repeat)], dim=axis)
        new = wide.narrow(axis, reach, size) * (taps[0] / total)
        for k in range(1, reach + 1):
            pair = wide.narrow(axis, reach - k, size) + wide.narrow(axis, reach + k, size)
            new.add_(pair, alpha=taps[k] / total)
        out = new
    return out


def resize(field: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resampling of (h, w) or (C, h, w) to (..., height, width)."""
    flat = field.reshape(1, -1, *field.shape[-2:])
    out = F.interpolate(flat, size=(height, width), mode="bilinear", align_corners=False)
    return out.reshape(*field.shape[:-2], height, width)


def sample(maps: Tensor, x: Tensor, y: Tensor, *, edge: str = "reflection") -> Tensor:
    """Values of (C, h, w) at x, y in [-1, 1] (fields of equal shape): (C, *x.shape)."""
    grid = torch.stack([x, y], -1).reshape(1, 1, -1, 2)
    out = F.grid_sample(maps[None], grid, mode="bilinear", padding_mode=edge, align_corners=False)
    return out.reshape(maps.shape[0], *x.shape)
