"""All that no action unit moves: background, neck and clothes, ears, hair, glasses.

Drawn once for a person and a view, as pictures (3, n, n) in linear light and coverages (n, n).
``qx, qy`` are head coordinates, ``bx, by`` body coordinates (the face plane without the head's
turn), both mm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mie_x.renderer import geometry
from mie_x.renderer.camera import View
from mie_x.renderer.identity import Person
from mie_x.renderer.light import Light, normals
from mie_x.renderer.shapes import bell, blur, colour, inside, mix, ridge, sample, step
from mie_x.renderer.skin import noise, strands


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """Pictures behind and before the face. ``shade`` darkens the face under hair and glasses."""

    behind: Tensor
    hair: Tensor
    hair_cover: Tensor
    shaved: Tensor  # coverage of shaved stubble on the skull
    shaved_colour: Tensor  # (3, 1, 1)
    shade: Tensor
    glasses: Tensor | None  # colour of the frame, (3, 1, 1)
    glasses_cover: Tensor
    reflection: Tensor

    def cut(self, box: tuple[slice, slice]) -> Layers:
        """The part of every layer in a box of rows and columns."""

        def part(field: Tensor) -> Tensor:
            return field[(..., *box)]

        return Layers(
            behind=part(self.behind),
            hair=part(self.hair),
            hair_cover=part(self.hair_cover),
            shaved=part(self.shaved),
            shaved_colour=self.shaved_colour,
            shade=part(self.shade),
            glasses=self.glasses,
            glasses_cover=part(self.glasses_cover),
            reflection=part(self.reflection),
        )


def _screen(pixels: int) -> tuple[Tensor, Tensor]:
    line = (torch.arange(pixels, dtype=torch.float32) + 0.5) / pixels * 2 - 1
    return line.expand(pixels, pixels), line[:, None].expand(pixels, pixels)


def _rows(mask: Tensor) -> slice:
    """The rows that hold true pixels of a mask, at least two."""
    lines = mask.any(1).nonzero()
    return slice(int(lines[0]), int(lines[-1]) + 1) if len(lines) > 1 else slice(0, 2)


def background(person: Person, view: View, pixels: int) -> Tensor:
    x, y = _screen(pixels)
    way = ((x * math.cos(view.slant) + y * math.sin(view.slant)) * 0.5 + 0.5).clamp(0, 1)
    clouds = noise(person, 7, 1, 6)
    cloud = 1.2 * sample(clouds, x * 0.8, y * 0.5)[0]
    level = torch.exp(0.25 * view.pattern * cloud) * (0.9 + 0.2 * view.key)
    return mix(colour(view.near), colour(view.far), way) * level


def _neck(
    person: Person, view: View, light: Light, bx: Tensor, by: Tensor, below: Tensor, mm: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Neck and shirt: colour and coverage of each.

    The neck's upper end follows the jaw, its lower end stays with the shoulders. BELOW is how far
    (mm) beyond the outline of the face: the jaw shades the neck.
    """
    s = person.skull
    chin = s.middle + s.bottom
    # where the turn takes the root of the neck, and how little of that is left at the collar
    turn = 45 * math.sin(math.radians(view.yaw))
    centre = turn * (1 - step(70, person.collar + 25, by))
    x = bx - centre
    root = 0.62 * s.half_width + 9 * (1 - person.fem) + 3 * s.fatness
    half = root + 8 * step(106, 50, by) + 8 * step(chin + 2, chin + 40, by)
    slope = step(chin - 2, chin + 62, by)
    half = half + 70 * slope * slope
    cover = inside(half - x.abs(), 1.0) * inside(by - 40, 2)
    across = (x / (0.9 * s.half_width + 40 * slope)).clamp(-0.95, 0.95)
    depth = 60 * torch.sqrt(1 - across * across)
    # the two muscles from behind the ear to the notch of the breastbone, and the larynx between
    down = ((by - chin + 10) / 70).clamp(0, 1.2)
    muscle = ridge(x.abs(), 44 - 34 * down, 7) * step(0, 0.3, down)
    depth = depth + 3.0 * muscle + (2.2 - 1.4 * person.fem) * bell(x, by, 0, chin + 22, 6, 12)
    depth = depth - 3.0 * bell(x, by, 0, chin + 52, 9, 8)
    nx, ny, nz = normals(depth, mm)
    dark = 0.16 + 0.70 * step(-2, 38, below)
    lit = light.irradiance(nx, ny + 0.10, nz, ao=dark * 0.92)
    wide = noise(person, 8, 1, 24)
    mottled = torch.exp(0.05 * sample(wide, bx / 130, by / 130)[0])
    skin = colour(person.skin.colour) * colour((0.92, 0.85, 0.84)) * lit * mottled

    neckline = person.collar + 12 - 0.055 * x.abs() ** 1.15 + 14 * ridge(x, 0, 34)
    shirt = inside(by - neckline, 1.2)
    shirt = shirt * inside(half + 13 + 0.8 * (by - neckline).clamp(min=0) - x.abs(), 1.5)
    folds = sample(wide, bx / 160 + by / 400, by / 220)[0]
    bump = depth * 0.5 + 2.5 * folds
    nx, ny, nz = normals(bump, mm)
    cloth = colour(person.cloth) * light.irradiance(nx, ny - 0.25, nz)
    return skin, cover, cloth * (0.75 + 0.25 * step(0, 10, by - neckline)), shirt


def _ears(person: Person, light: Light, qx: Tensor, qy: Tensor, mm: float) -> tuple[Tensor, Tensor]:
    """Ears with rim, hollow and lobe, lit by the normals of their relief."""
    p = person
    size = p.ear_size
    dy = (qy - p.ear_y) / (29 * size)
    out = p.skull.half_width - 0.2 + 2.8 * p.ear_out - 4.0 * dy
    dx = (qx.abs() - out) / ((8.8 + 2.8 * p.ear_out) * size * (1 - 0.22 * dy))
    rho = torch.sqrt(dx * dx + dy * dy + 1e-4)
    cover = inside(1 - rho, 0.09)
    relief = 3.4 * ridge(rho, 0.86, 0.16) * (1 - 0.5 * step(0.4, 0.9, dy))
    relief = relief - 4.5 * bell(dx, dy, -0.05, 0.10, 0.42, 0.40)
    relief = (
        relief + 1.4 * bell(dx, dy, -0.2, 0.75, 0.6, 0.25) + 1.6 * ridge(dx - 0.25 * dy, 0.3, 0.2)
    )
    relief = relief - 7 * (1 - dx).clamp(0, 2) * 0.4
    nx, ny, nz = normals(relief, mm)
    nx = nx + 0.35 * torch.sign(qx)
    length = torch.rsqrt(nx * nx + ny * ny + nz * nz)
    ao = 1 - 0.55 * bell(dx, dy, -0.1, 0.1, 0.5, 0.5) - 0.25 * bell(dx, dy, -0.9, 0, 0.5, 1.2)
    lit = light.irradiance(nx * length, ny * length, nz * length, ao=ao)
    flesh = colour(p.skin.colour) * colour((0.98, 0.80, 0.78))
    return flesh * lit * 0.92, cover


def _hair(
    person: Person, light: Light, qx: Tensor, qy: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colour, outer coverage, coverage in front of the face, and the hairline's y."""
    h, s = person.hair, person.skull
    hairs = strands(person)
    long = h.style in ("long", "bangs")
    curly = float(h.style == "curly")
    warp = sample(hairs, qx / 1500 + 0.1, qy / 1500)
    wx, wy = qx + 0.9 * h.wave * warp[0], qy + 0.9 * h.wave * warp[1]
    up = (wy - s.middle + 10).clamp(max=0)
    # strands: noise in coordinates across and along the hair, 2 mm by 40 mm (curls: 3.5 by 3.5)
    if curly:
        across, along, ka, kl = wx, wy, 1 / 330, 1 / 330
    elif h.back:
        across = torch.atan2(wx - h.part, (s.middle - 10 - wy).clamp(min=4) + 20) * 95
        along, ka, kl = torch.sqrt(wx * wx + up * up + 1), 1 / 170, 1 / 3600
    else:
        across = torch.sqrt(wx * wx + up * up + 1)
        angle = torch.atan2((wx - h.part).abs(), (-up).clamp(min=1e-3))
        along = torch.where(up < 0, 80 * angle, 40 * math.pi + wy - s.middle + 10)
        along = along + torch.tanh((wx - h.part) / 6) * 50
        ka, kl = 1 / 170, 1 / 3600
    first = sample(hairs, across * ka, along * kl)
    second = sample(hairs, across * (2.3 * ka) + 0.37, along * (2 * kl) + 0.1)
    rough = 0.6 * first[0] + 0.55 * second[1]
    streak = 0.8 * first[2]
    clump = sample(hairs, across * (0.35 * ka) + 0.5, along * (0.8 * kl))[1]

    half, high = s.half_width + h.side + 1.5 * clump, s.top + h.top + 2 * clump
    y = qy - s.middle
    round_x, round_y = (qx / half).abs(), (y / high).abs()
    outline = torch.exp(torch.log((round_x**2.4 + round_y**2.4).clamp(min=1e-4)) / 2.4)
    outline = torch.where(y < 0, outline, round_x)
    end = h.length if long else 12 + 1.2 * h.side * curly
    outer = inside((1 - outline) * 80 + 1.4 * rough, 1.3) * inside(end - qy + 4 * rough, 3.0)
    nx = (qx / (1.02 * half)).clamp(-0.97, 0.97)
    ny = torch.where(y < 0, y / (1.02 * high), 0.0).clamp(-0.97, 0.97)
    nz = torch.sqrt((1 - nx * nx - ny * ny).clamp(min=0.03))
    facing = light.facing(nx, ny, nz).clamp(min=0)
    lit = light.ambient * 0.9 * (0.75 - 0.35 * ny) + light.key * (0.75 * facing**0.9 + 0.12)
    band = ridge(ny + 0.62 + 0.10 * clump, 0, 0.16)
    band = band + 0.24 * ridge(nx.abs(), 0.55, 0.14) * (y < 0)
    texture = torch.exp(0.26 * rough + 0.18 * streak + 0.14 * clump)
    tone = colour(h.colour)
    shine = light.key * 0.040 * band * (0.7 + 0.6 * rough).clamp(0, 2) * (1 - 0.6 * curly)
    shine = shine * facing.clamp(min=0.1)
    picture = tone * (1.15 * lit * texture) + (tone.sqrt() * 1.4 + 0.12) * shine

    ax = qx.abs()
    line = h.line + 7 * (ax / 42) ** 2 + h.sweep * torch.tanh((qx - h.part) / 22)
    temple = s.half_width - 9 - 0.05 * (qy + 40).clamp(-40, 40)
    line = line + h.sideburn * inside(ax - temple, 3.2)
    line = line - h.recede * ridge(ax, 33, 13) - 3.5 * (1 - curly) * ridge(qx, h.part, 7)
    ragged = (2.6 + 3 * curly + 3.5 * long) * 0.8 * rough
    front = inside(line - qy + ragged, 1.6) * inside(11 + 0.12 * h.sideburn - qy, 3)
    if long:
        curtain = h.curtain + 3 * torch.sin(qy / 24 + 3 * person.ear_out)
        side = inside(ax - curtain + 1.8 * rough, 1.6) * inside(qy + 75, 5)
        front = 1 - (1 - front) * (1 - side)
    grown = float(h.style != "bald")
    outer = outer * grown
    return picture, outer, front * outer, line


def _glasses(person: Person, qx: Tensor, qy: Tensor, mm: float) -> tuple[Tensor, Tensor]:
    """Coverage of the frame, and the lenses."""
    g, e = person.glasses, person.eyes
    if g is None:
        return torch.zeros_like(qx), torch.zeros_like(qx)
    ax = qx.abs()
    dx, dy = ax - e.x - 0.5, qy - e.y - 4
    a, b = (dx / g.width).abs().clamp(min=1e-3), (dy / g.height).abs().clamp(min=1e-3)
    rim = (torch.exp(torch.log(a**g.power + b**g.power) / g.power) - 1) * min(g.width, g.height)
    wire = ridge(rim, 0, 0.7 * g.wire + 0.27 * mm)
    bridge = ridge(qy, e.y - 1.5, 0.7 * g.wire + 0.3 * mm) * inside(e.x - g.width + 1 - ax, 0.6)
    arm = ridge(qy, e.y - 3, 0.7 * g.wire + 0.4 * mm) * inside(ax - e.x - g.width, 0.8)
    arm = arm * inside(person.skull.half_width + 4 - ax, 1.0)
    frame = torch.maximum(torch.maximum(wire, bridge), arm).clamp(0, 0.95)
    gleam = inside(-rim, 0.8) * (0.008 + 0.035 * ridge(0.6 * dx + dy, -6, 6))
    return frame, gleam


def shifted_down(field: Tensor, pixels: int) -> Tensor:
    return torch.cat([field[:1].repeat(pixels, 1), field[:-pixels]])


def layers(
    person: Person, view: View, qx: Tensor, qy: Tensor, bx: Tensor, by: Tensor, mm: float
) -> Layers:
    """Draw every layer on the grid of these head and body coordinates (n, n), MM apart."""
    light = Light.of(view)
    pixels = qx.shape[-1]
    picture, outer, front, line = _hair(person, light, qx, qy)
    long = person.hair.style in ("long", "bangs")
    back = outer if long else outer * inside(person.skull.middle + 15 - qy, 4)
    behind = mix(background(person, view, pixels), 0.45 * picture, back)
    rows = _rows(by > 25)
    below = 85 * (geometry.skull(person, qx[rows].abs(), qy[rows])[1] - 1)
    skin, neck, cloth, shirt = _neck(person, view, light, bx[rows], by[rows], below, mm)
    behind[:, rows] = mix(mix(behind[:, rows], skin, neck), cloth, shirt)
    if not long:
        rows = _rows((qy - person.ear_y).abs() < 44)
        ear, cover = _ears(person, light, qx[rows], qy[rows], mm)
        behind[:, rows] = mix(behind[:, rows], ear, cover)
    # hair throws a soft shadow 3 pixels down a 256 grid
    unit = pixels / 256
    under = shifted_down(blur(front, 5 * unit), max(1, round(3 * unit)))
    shade = 1 - 0.48 * (1 - 0.5 * view.softness) * under
    shaved = person.hair.shaved * inside(line + 48 - qy, 9)
    facing = light.ambient * 0.7 + light.key * 0.6
    frame, gleam = _glasses(person, qx, qy, mm)
    glasses = None
    if person.glasses is not None:
        glasses = colour(person.glasses.colour) * (0.5 + 0.6 * view.key)
        cast = shifted_down(blur(frame, 1.5 * unit), max(1, round(4 * unit)))
        shade = shade * (1 - 0.30 * cast * (1 - frame))
    return Layers(
        behind=behind,
        hair=picture,
        hair_cover=front,
        shaved=shaved,
        shaved_colour=(colour(person.hair.colour) * 0.9 + 0.02) * facing,
        shade=shade,
        glasses=glasses,
        glasses_cover=frame,
        reflection=gleam * view.key,
    )
