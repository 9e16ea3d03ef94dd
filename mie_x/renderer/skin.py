"""The skin of a person at rest, drawn once as maps over the face and sampled ever after.

Colour, pores, brows, beard, lips and the height of the skin are fixed to the skin; an action unit
only moves them and adds its relief. So they are maps over rest points (x, y in mm), and a further
frame of the same person costs a lookup.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mie_x.renderer import action_units, geometry
from mie_x.renderer.geometry import fold_sides, lips
from mie_x.renderer.identity import Person
from mie_x.renderer.shapes import bell, colour, decay, inside, mix, ridge, sample, stamp, step, tint

X0, X1, Y0, Y1 = -94.0, 94.0, -128.0, 132.0  # mm that the maps cover
TEXEL = 0.75  # mm; a pixel of a 256 grid is .85
HEIGHT, RED, EDGE, GLOSS = 0, 1, 4, 5  # channels: height, r, g, b, outline, gloss


def rows_between(top: float, bottom: float) -> slice:
    """Rows of the maps between two heights on the face, mm."""
    return slice(round((top - Y0) / TEXEL), round((bottom - Y0) / TEXEL))


def noise(person: Person, key: int, channels: int, size: int) -> Tensor:
    """White noise (channels, size, size), its own for each person and KEY."""
    rng = np.random.default_rng((person.seed, 2, key))
    return torch.from_numpy(rng.standard_normal((channels, size, size), dtype=np.float32))


def _grow(field: Tensor, height: int, width: int) -> Tensor:
    out = F.interpolate(field[None], size=(height, width), mode="bicubic", align_corners=False)
    return out[0]


@lru_cache(maxsize=16)
def strands(person: Person) -> Tensor:
    """Noise that hairs are drawn with: (3, 192, 192)."""
    return _grow(noise(person, 0, 3, 96), 192, 192)


def _clouds(person: Person, key: int, layers: tuple[tuple[int, float], ...]) -> Tensor:
    """A sum of smooth noises of so many cells and weights, over the maps."""
    height, width = round((Y1 - Y0) / TEXEL), round((X1 - X0) / TEXEL)
    total = torch.zeros(1, height, width)
    for number, (cells, weight) in enumerate(layers):
        total += weight * _grow(noise(person, 16 * key + number, 1, cells), height, width)
    return total[0]


class SkinMaps:
    """Maps (6, h, w) of one person at rest, and the relief of each action unit when first used."""

    def __init__(self, person: Person) -> None:
        self.person = person
        height, width = round((Y1 - Y0) / TEXEL), round((X1 - X0) / TEXEL)
        xs = X0 + (torch.arange(width, dtype=torch.float32) + 0.5) * TEXEL
        ys = Y0 + (torch.arange(height, dtype=torch.float32) + 0.5) * TEXEL
        self.x, self.y = xs.expand(height, width), ys[:, None].expand(height, width)
        self.lumps = _clouds(person, 1, ((10, 0.45), (28, 0.5), (70, 0.6)))
        fine = _clouds(person, 2, ((190, 0.75), (128, 0.8)))
        z, edge = geometry.rest_height(person, self.x, self.y, fine)
        albedo, gloss = _paint(person, self.x, self.y, self.lumps, fine)
        self.rest = torch.cat([z[None], albedo, edge[None], gloss[None]])
        self._relief: dict[int, Tensor | None] = {}

    def relief(self, au: int) -> Tensor | None:
        if au not in self._relief:
            self._relief[au] = action_units.relief(self.person, au, self.x, self.y, self.lumps)
        return self._relief[au]

    def at(self, action: action_units.Action, x: Tensor, y: Tensor) -> Tensor:
        """Posed maps at rest points (h, w): (6, h, w)."""
        maps = self.rest
        folds = [(v, self.relief(au)) for au, v in action.units.items()]
        if any(fold is not None for _, fold in folds):
            maps = maps.clone()
            for value, fold in folds:
                if fold is not None:
                    maps[HEIGHT].add_(fold, alpha=value)
        across = (x - X0) * (2 / (X1 - X0)) - 1
        down = (y - Y0) * (2 / (Y1 - Y0)) - 1
        return sample(maps, across, down, edge="border")


@lru_cache(maxsize=16)
def skin_maps(person: Person) -> SkinMaps:
    return SkinMaps(person)


def brow_mask(person: Person, x: Tensor, ax: Tensor, y: Tensor, hairs: Tensor) -> Tensor:
    """Coverage of the brows: hairs run steeply at the inner end and flat at the outer one."""
    b = person.brows
    length = b.outer - b.inner
    t = (ax - b.inner) / length
    away = t - 0.63
    arch = 1 - torch.where(away < 0, away / 0.63, away / 0.34) ** 2
    middle = b.y - b.arch * arch + 2.2
    half = b.thickness * (0.38 + 0.62 * step(-0.05, 0.2, t)) * (1 - 0.7 * step(0.45, 1.05, t))
    side = torch.sign(x)
    rough = sample(hairs, x / 110, y / 260)[0]
    off = ((y - middle + 0.35 * rough) / half).abs().clamp(min=1e-3)
    mask = decay(torch.exp(torch.log(off) * 2.4))
    mask = mask * inside((t + 0.015) * length, 1.5) * inside((1.02 - t) * length, 2.0)
    slope = 0.8 - 0.75 * t.clamp(0, 1)
    along = (0.55 * ax + (y - middle) * slope) / 75 + 0.3 * side
    grain = sample(hairs, along, ((y - middle) * 0.6 - 0.25 * ax) / 300)[1]
    return (mask * b.density * (0.97 + 0.13 * grain)).clamp(0, 0.93)


def _whiskers(
    person: Person, x: Tensor, ax: Tensor, y: Tensor, line: Tensor, red: Tensor, lumps: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Coverage of the beard and of the moustache, and the noise of their hairs."""
    m = person.mouth
    hairs = strands(person)
    h1 = sample(hairs, x / 110, y / 260)[0]
    h2 = sample(hairs, x / 75, y / 180)[1]
    upper = m.y - 24 + 2.5 * lumps
    upper = upper + mix(30 * step(46, 16, ax), -40 * step(40, 62, ax), step(30, 42, ax))
    chin = inside(y - upper, 2.6) * (1 - red) * (1 - 0.55 * bell(ax, y, 9, m.y + 13.5, 5, 5))
    lip = inside(y - (m.y - 15 + 0.10 * ax) + 0.6 * h1, 1.8)
    lip = lip * inside(line - 3.0 - y + 0.12 * ax + 0.6 * h2, 1.3)
    lip = lip * inside(m.half_width + 4 - ax, 2.6) * (1 - 0.35 * ridge(ax, 0, 2.2))
    return chin, lip, 0.26 * h2 + 0.20 * h1


def _spots(x: Tensor, y: Tensor, *spots: tuple[float, float, float, float, float]) -> Tensor:
    """A sum of bells: amount, then cx, cy, rx, ry."""
    total = torch.zeros_like(y)
    for amount, cx, cy, rx, ry in spots:
        stamp(total, amount, x, y, (cx, cy, rx, ry))
    return total


def _complexion(person: Person, x: Tensor, y: Tensor, lumps: Tensor, fine: Tensor) -> Tensor:
    """Bare skin (3, h, w): uneven, flushed, dark around the eyes, freckled."""
    p, n, e, m, skin = person, person.nose, person.eyes, person.mouth, person.skin
    ax = fold_sides(x)
    blotches = _clouds(p, 3, ((12, 0.7), (40, 0.6), (100, 0.35)))
    albedo = colour(skin.colour) * torch.exp(skin.mottling * (0.036 * lumps + 0.024 * fine))
    flush = _spots(
        ax,
        y,
        (0.75, 40, 30, 17, 14),
        (0.8, 0, n.length, 13, 9),
        (0.35, 0, m.y + 30, 14, 10),
        (0.25, e.x, 8, 15, 5),
    )
    flush = (skin.redness * (flush + 0.30 + 0.28 * blotches)).clamp(0, 1.6)
    tint(albedo, 0.5 * flush, (1.0, 0.68, 0.70))
    dark = _spots(
        ax,
        y,
        (0.42, e.x - 2, e.y - 1, 19, 12),
        (0.25, e.x - 14, e.y, 6, 7),
        (0.5 * skin.bags, e.x - 4, e.y + 10, 13, 4.5),
    )
    tint(albedo, dark.clamp(0, 1), (0.72, 0.60, 0.60))
    tint(albedo, _spots(ax, y, (0.25 - 0.25 * p.tone, 0, -50, 45, 25)), (1.0, 1.0, 0.93))
    if skin.shave:
        jaw = inside(y - (m.y - 26) + 0.25 * (ax - 30), 6)
        jaw = jaw * (1 - _spots(ax, y, (1.0, 0, n.length, 16, 14)))
        tint(albedo, skin.shave * 0.5 * jaw, (0.72, 0.76, 0.80))
    if skin.freckles:
        spots = ((_clouds(p, 4, ((90, 1.0),)) - 0.9) * 2.2).clamp_(0, 1)
        spots = spots * ridge(y, 20, 38) * (1 - _spots(ax, y, (1.0, e.x, e.y, 16, 9)))
        tint(albedo, 0.75 * skin.freckles * spots, (0.70, 0.50, 0.38))
    moles = _spots(x, y, *((0.7, mx, my, radius, radius) for mx, my, radius in skin.moles))
    tint(albedo, moles.clamp(0, 0.8), (0.45, 0.30, 0.25))
    return albedo


def _lower_face(
    person: Person, albedo: Tensor, x: Tensor, y: Tensor, lumps: Tensor, fine: Tensor
) -> tuple[Tensor, Tensor]:
    """Paint beard, lips and nostrils on ALBEDO in place; what they take from the gloss, or give."""
    p, n, m, b = person, person.nose, person.mouth, person.beard
    ax = fold_sides(x)
    lip = lips(m, ax)
    top, bottom = lip.line - lip.upper, lip.line + lip.lower
    dull = torch.ones_like(y)
    if b.stubble or b.beard or b.moustache:
        red = inside(y - top + 1.5, 1.2) * inside(bottom + 1.5 - y, 1.2)
        red = red * inside(m.half_width + 1 - ax, 2)
        chin, moustache, grain = _whiskers(p, x, ax, y, lip.line, red, lumps)
        stubble = b.stubble * torch.maximum(chin, 0.85 * moustache)
        stubble = stubble * (0.75 + 0.25 * fine).clamp(0, 1.5)
        tint(albedo, (0.62 * stubble).clamp(0, 0.85), (0.42, 0.42, 0.45))
        full = 1.15 * b.beard * torch.maximum(chin, 0.9 * moustache)
        full = torch.maximum(full, b.moustache * moustache)
        full = (full * (0.9 + 0.4 * grain).clamp(0.55, 1.1)).clamp(0, 0.96)
        hairy = (colour(p.hair.colour) * 0.8 + 0.012) * (1.15 + grain).clamp(0.4, 2.2)
        albedo.copy_(mix(albedo, hairy, full))
        dull = dull * (1 - full)
    mouth = inside(y - top, 1.0) * inside(bottom - y, 1.05) * inside(m.half_width - ax, 0.9)
    wrinkled = 1 + 0.05 * sample(strands(p), x / 80, y / 500)[2]
    flesh = colour(m.colour) * (wrinkled * torch.where(y < lip.line, 0.86, 1.04))
    albedo.copy_(mix(albedo, flesh, 0.86 * mouth))
    seam = ridge(y, lip.line, 1.2) * inside(m.half_width + 0.5 - ax, 1.2)
    albedo.mul_(1 - 0.68 * seam)
    corner = _spots(ax, y, (0.5, m.half_width + 0.3, m.y + 0.72 * m.droop, 2.4, 2.0))
    tint(albedo, corner, (0.55, 0.42, 0.42))
    dx, dy = ax - 0.47 * n.half_width, y - n.length - 8.2
    hole = bell(0.94 * dx + 0.3 * dy, dy - 0.28 * dx, 0, 0, 0.27 * n.half_width, 2.3)
    hole = (1.15 * hole - 0.15).clamp(0, 1) * n.nostrils
    tint(albedo, (0.95 * hole).clamp(0, 0.95), (0.16, 0.08, 0.07))
    wing = _spots(ax, y, (0.6, n.half_width + 2.2, n.length + 3, 1.6, 6))
    tint(albedo, wing, (0.72, 0.55, 0.52))
    return dull * (1 - 0.8 * hole), 0.7 * mouth * (y > lip.line)


def _upper_face(person: Person, albedo: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Paint brows and lids on ALBEDO in place; what is left of the gloss."""
    p, e = person, person.eyes
    ax = fold_sides(x)
    brows = brow_mask(p, x, ax, y, strands(p))
    albedo.copy_(mix(albedo, colour(p.brows.colour), brows))
    crease, _, lid = geometry.lid_crease(p, ax, y)
    tint(albedo, (0.55 * e.crease * crease).clamp(0, 1), (0.55, 0.42, 0.40))
    if p.makeup:
        shadow = bell(lid.x, lid.y, 2, -6, 15, 6) * inside(lid.upper - lid.y, 1.0)
        tint(albedo, 0.5 * p.makeup * shadow, (0.5, 0.38, 0.38))
    return 1 - 0.7 * brows


def _paint(
    person: Person, x: Tensor, y: Tensor, lumps: Tensor, fine: Tensor
) -> tuple[Tensor, Tensor]:
    """Albedo (3, h, w) in linear light and gloss (h, w) of the skin at rest."""
    p, n, m = person, person.nose, person.mouth
    ax = fold_sides(x)
    albedo = _complexion(p, x, y, lumps, fine)
    low, high = rows_between(-14, Y1), rows_between(-48, 16)
    dull, wet = _lower_face(p, albedo[:, low], x[low], y[low], lumps[low], fine[low])
    plain = _upper_face(p, albedo[:, high], x[high], y[high])
    gloss = 0.35 + _spots(
        ax,
        y,
        (0.9, 0, n.length - 4, 9, 12),
        (0.5, 0, -45, 40, 22),
        (0.35, 42, 14, 14, 10),
        (0.3, 0, m.y + 28, 13, 9),
        (0.14, 0, 10, 6, 16),
    )
    gloss[low] += wet
    gloss = gloss * p.skin.gloss * (1 + 0.14 * fine) * (1 - 0.5 * p.tone)
    gloss[low] *= dull
    gloss[high] *= plain
    return albedo, gloss
