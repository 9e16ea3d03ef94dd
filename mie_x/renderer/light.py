"""How surfaces are lit: a key light with a soft edge, a fill, a bounce from below, and the sky."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mie_x.renderer.camera import View
from mie_x.renderer.shapes import Number, blur, resize, sample

# How far light wraps around an edge, per channel: cheap subsurface scattering, red the furthest.
WRAP = (0.42, 0.26, 0.20)
MARCH = (4.0, 8.0, 13.0, 19.0, 27.0, 38.0)  # mm along the light at which shadows are looked for


@dataclass(frozen=True, slots=True)
class Light:
    x: float
    y: float
    z: float
    key: float
    ambient: float
    fill: float
    softness: float

    @classmethod
    def of(cls, view: View) -> Light:
        azimuth, elevation = math.radians(view.azimuth), math.radians(view.elevation)
        return cls(
            math.sin(azimuth) * math.cos(elevation),
            -math.sin(elevation),
            math.cos(azimuth) * math.cos(elevation),
            view.key,
            view.ambient,
            view.fill,
            view.softness,
        )

    def facing(self, nx: Tensor, ny: Tensor, nz: Tensor) -> Tensor:
        return nx * self.x + ny * self.y + nz * self.z

    def irradiance(
        self, nx: Tensor, ny: Tensor, nz: Tensor, shadow: Number = 1.0, ao: Number = 1.0
    ) -> Tensor:
        """(3, h, w) light on surfaces of these normals; ny > 0 faces the ground."""
        facing = self.facing(nx, ny, nz)
        lit = self.key * (0.7 + 0.3 * ao) * shadow
        other = (0.5 * nz - 0.9 * self.x * nx).clamp(min=0)
        rest = (self.ambient * (0.72 - 0.28 * ny) + self.fill * other) * ao
        rest = rest + 0.30 * self.key * ny.clamp(min=0)
        return torch.stack([((facing + w) / (1 + w)).clamp_(min=0) * lit + rest for w in WRAP])


def normals(depth: Tensor, mm: float) -> tuple[Tensor, Tensor, Tensor]:
    """Unit normals of a depth map (h, w) whose pixels are MM apart."""
    wide = torch.cat([depth[:, :1], depth, depth[:, -1:]], 1)
    high = torch.cat([depth[:1], depth, depth[-1:]], 0)
    dx = (wide[:, 2:] - wide[:, :-2]) / (2 * mm)
    dy = (high[2:] - high[:-2]) / (2 * mm)
    nz = torch.rsqrt(dx * dx + dy * dy + 1)
    return -dx * nz, -dy * nz, nz


def halve(field: Tensor) -> Tensor:
    """Mean over 2 x 2 pixels of (..., h, w) with even sides."""
    rows = field[..., 0::2, :] + field[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) * 0.25


def occlusion(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Ambient light that reaches each point of a depth map, and how far it lies in a crease."""
    size = depth.shape
    half = halve(depth)
    near = depth - resize(blur(half, 1.1), *size)
    quarter = halve(half)
    far = depth - resize(blur(quarter, 2.4), *size)
    ao = (1 + 0.16 * near.clamp(-3, 1.2)).clamp_(0.35, 1.12)
    ao = ao * (1 + 0.04 * far.clamp(-14, 4)).clamp_(0.45, 1.12)
    return ao, near


def cast_shadow(depth: Tensor, light: Light, mm: float) -> Tensor:
    """0..1 shadow on a depth map (h, w) from its own relief, marched at half resolution."""
    small = halve(depth)
    height, width = small.shape
    gy = ((torch.arange(height, dtype=torch.float32) + 0.5) / height * 2 - 1)[:, None]
    gx = ((torch.arange(width, dtype=torch.float32) + 0.5) / width * 2 - 1)[None]
    gx, gy = gx.expand(height, width), gy.expand(height, width)
    shadow = torch.zeros_like(small)
    for far in MARCH:
        x = gx + light.x * far / (mm * width)
        y = gy + light.y * far / (mm * height)
        above = sample(small[None], x, y, edge="border")[0] - small - light.z * far
        shadow = torch.maximum(shadow, ((above - 1.0) / (1.5 + 0.22 * far)).clamp_(0, 1))
    return resize(blur(shadow, 0.8), *depth.shape)
