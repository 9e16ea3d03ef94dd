"""The face at rest as a height field: z (mm, to the viewer) over head coordinates.

``ax`` is |x| rounded off at the midline, so that each feature is written once for both sides.
Proportions follow common anthropometric drawing rules, tuned by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mie_x.renderer.identity import Eyes, Mouth, Person
from mie_x.renderer.shapes import bell, decay, inside, ridge, stamp, step


def fold_sides(x: Tensor) -> Tensor:
    """|x|, rounded within half a millimetre of the midline."""
    return torch.sqrt(x * x + 0.3)


def skull(person: Person, ax: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Height of the bare skull, and the outline value: 1 on the edge of the face, less inside."""
    s = person.skull
    t = y - s.middle
    above = t < 0
    t = torch.where(above, t / -s.top, t / s.bottom)
    low = torch.where(above, 0.0, t)
    low = low * low
    half = s.half_width * (1 - s.taper * low.clamp_(max=1.2))
    power = torch.where(above, 2.55, s.jaw_power)
    logt = torch.log(t.clamp(min=1e-3)) * power
    tp = torch.exp(logt)
    width = half * torch.exp(torch.log((1 - tp).clamp(min=0.035)) / power)
    edge = torch.exp(torch.log((ax / half).clamp(min=1e-3)) * power) + tp
    edge = torch.exp(torch.log(edge) / power)
    squared = width * width
    v = squared - ax * ax
    round_off = torch.sqrt(0.5 * (v + torch.sqrt(v * v + (0.22 * squared) ** 2)))
    z = -s.depth * (width - round_off)
    z = z - 22 * ((-y - 30).clamp(min=0) / 80) ** 2 - 26 * ((y - 88).clamp(min=0) / 26) ** 2
    return z, edge


def nose(person: Person, ax: Tensor, y: Tensor, widen: float = 1.0) -> Tensor:
    """Height of the nose above the face: a narrow ridge on a broad one."""
    n = person.nose
    side = ((ax / n.half_width).clamp(max=1.4)) ** 2
    under = y - (n.length + 12 - 4.0 * side)
    underside = ((under + 10.5 + 5 * side) / (12 + 5 * side)).clamp(0, 1)
    underside = 1 - underside * underside * (3 - 2 * underside)
    rise = ((y + 2) / (n.length + 2)).clamp(1e-3, 1.1)
    height = 15.5 * n.height * step(-16, 2, y) * (0.24 + 0.2 * n.root)
    grow = torch.exp(torch.log(rise) * 1.3) * (0.76 - 0.2 * n.root)
    height = height + 15.5 * n.height * step(-16, 2, y) * grow
    height = (height + n.hump * ridge(y, 14, 9)) * underside
    tip = step(8, n.length, y)
    narrow = (1.15 * n.bridge + (0.52 * n.half_width - 1.15 * n.bridge) * tip) * widen
    broad = (2.7 * n.bridge + (0.92 * n.half_width - 2.7 * n.bridge) * tip) * widen
    a, b = ax / narrow, ax / broad
    share = 0.22 + 0.28 * tip
    return height * (share * decay(a.mul_(a)) + (1 - share) * decay(b.mul_(b)))


def camera_surface(person: Person, x: Tensor, y: Tensor) -> Tensor:
    """The smooth surface (mm) that camera rays are met with: skull and a softened nose."""
    ax = x.abs()
    return skull(person, ax, y)[0].clamp(min=-75) + nose(person, ax, y, 1.25)


@dataclass(frozen=True, slots=True)
class Lids:
    """Lid edges over one eye, in eye coordinates: ``across`` -1 inner .. 1 outer corner."""

    x: Tensor  # mm from the eye's middle, outwards
    y: Tensor  # mm, along the tilted eye
    across: Tensor
    arc: Tensor  # 1 in the middle, 0 from the corners on
    upper: Tensor  # y of the edges
    lower: Tensor


def lids(
    eyes: Eyes, ax: Tensor, y: Tensor, *, raised: float = 1.0, low: float = 1.0, shut: float = 0.0
) -> Lids:
    """Edges of the lids: RAISED and LOW scale their heights, SHUT 1 closes the eye."""
    x = ax - eyes.x
    yy = y - eyes.y + eyes.tilt * x
    across = x / eyes.half_width
    size = across.abs().clamp(1e-3, 1)
    arc = 1 - torch.exp(torch.log(size) * 2.1)
    log_arc = torch.log(arc.clamp(min=1e-4))
    bow = torch.exp(log_arc * 0.72) * (arc > 0)
    cup = torch.exp(log_arc * 0.85) * (arc > 0)
    upper = -eyes.upper * raised * bow * (1 - 0.16 * across)
    lower = eyes.lower * low * cup * (1 + 0.22 * across)
    upper = upper + (lower + 0.5 * cup - upper) * shut
    return Lids(x, yy, across, arc, upper, lower)


@dataclass(frozen=True, slots=True)
class Lips:
    """The lips at rest: the line between them and the heights of the red above and below it."""

    across: Tensor  # 0 at the midline, 1 at the corner
    arc: Tensor  # 1 - across^2, 0 from the corner on
    line: Tensor  # y, mm
    upper: Tensor  # mm, from the line up
    lower: Tensor


def lips(mouth: Mouth, ax: Tensor) -> Lips:
    s = ax / mouth.half_width
    s2 = (s * s).clamp(max=1)
    arc = 1 - s2
    line = mouth.y + 1.2 * mouth.droop * (s2 - 0.4) - 0.9 * mouth.bow * ridge(s, 0, 0.22)
    line = line + 0.6 * ridge(s, 0.38, 0.25)
    log_arc = torch.log(arc.clamp(min=1e-4))
    upper = mouth.upper * torch.exp(log_arc * 0.8) * (arc > 0)
    upper = upper * (1 - 0.55 * mouth.bow * ridge(s, 0, 0.16)) * (1 + 0.12 * ridge(s, 0.26, 0.16))
    upper = upper * (1 - 0.22 * s.clamp(max=1))
    lower = mouth.lower * torch.exp(log_arc * 0.85) * (arc > 0) * (1 - 0.1 * s.clamp(max=1))
    return Lips(s, arc, line, upper, lower)


def nasolabial(person: Person, ax: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The fold from nose wing to mouth corner: distance from it, share of the way down, window."""
    n = person.nose
    down = (y - n.length + 1) / 30
    way = torch.exp(torch.log(down.clamp(1e-3, 1.4)) * 0.85)
    away = ax - (n.half_width + 3 + 13 * way)
    window = step(-0.12, 0.15, down) * (1 - step(0.75, 1.25, down))
    return away, down, window


def forehead_lines(person: Person, x: Tensor, ax: Tensor, y: Tensor) -> Tensor:
    """Three wavy furrows, 1 in a furrow and below 0 on the rolls between."""
    lines = torch.zeros_like(y)
    for number, level in enumerate((-35.0, -44.0, -53.5)):
        phase = 1.3 * number + 6 * person.ear_out
        at = level + 1.5 * torch.sin(x / 17 + phase) + 2.2 * ridge(ax, 0, 14)
        lines = lines + ridge(y, at, 1.7) - 0.55 * ridge(y, at + 4.3, 2.8)
    return lines


def crow_feet(person: Person, ax: Tensor, y: Tensor) -> Tensor:
    """Furrows that fan out from the outer corner of the eye."""
    e = person.eyes
    dx, dy = ax - (e.x + e.half_width + 1), y - e.y - 1
    angle = torch.atan2(dy, dx)
    away = torch.sqrt(dx * dx + dy * dy + 1e-3)
    rays = 0.5 + 0.5 * torch.cos(9.5 * angle + 1.2)
    return rays * rays * torch.sqrt(rays) * ridge(away, 10, 7) * ridge(angle, 0, 0.75)


def rest_height(person: Person, x: Tensor, y: Tensor, grain: Tensor) -> tuple[Tensor, Tensor]:
    """Height of the face at rest without the eyeball's dome, and the outline value.

    GRAIN is noise of unit size: pores.
    """
    p, s, n, e, m = person, person.skull, person.nose, person.eyes, person.mouth
    ax = fold_sides(x)
    z, edge = skull(p, ax, y)
    z = z + nose(p, ax, y)

    def mass(height: float, cx: float, cy: float, rx: float, ry: float) -> None:
        stamp(z, height, ax, y, (cx, cy, rx, ry))

    mass(-s.socket, e.x - 2, e.y - 2, 17, 11)
    mass(s.brow_ridge, e.x - 4, e.y - 17, 21, 7)
    mass(0.35 * s.brow_ridge, 0, -19, 10, 8)
    mass(s.cheekbone, 47, 19, 20, 15)
    mass(3 + s.fatness, 34, 34, 17, 15)
    mass(-s.hollow, 47, 58, 14, 20)
    mass(2.2 * s.jowl, 43, 70, 13, 14)
    mass(-2.5, 62, -28, 12, 22)
    mass(2, 22, -50, 22, 18)
    # nose: wings, the ball of the tip, the groove behind each wing, the dip above a round tip
    mass(4.6 * n.wings, 0.78 * n.half_width, n.length + 4.8, 4.6, 5.0)
    mass(3.4 * n.tip, 0, n.length + 0.5, 7.0, 6.6)
    mass(-1.9, n.half_width + 2.9, n.length + 2.8, 2.6, 6.6)
    mass(-1.1, 0.47 * n.half_width, n.length + 0.5, 2.4, 4.0)
    # mouth: barrel of the teeth, philtrum and its columns
    mass(4.5, 0, m.y - 1, 28, 19)
    mass(-1.1, 0, m.y - 13, 2.6, 6)
    mass(0.7, 5, m.y - 13, 2.4, 6.5)
    lip = lips(m, ax)
    mass(2.2, 0, m.y - 0.5 * m.upper, 20, 5)
    mass(2.8, 0, m.y + 0.55 * m.lower, 16, 0.75 * m.lower)
    window = step(0, 0.25, lip.arc)
    z.add_(window * ridge((lip.line - y) / lip.upper.clamp(min=0.5), 0.45, 0.42), alpha=1.1)
    z.add_(window * ridge((y - lip.line) / lip.lower.clamp(min=0.5), 0.45, 0.42), alpha=1.5)
    z.sub_(window * ridge(y, lip.line, 1.5), alpha=2.2)
    mass(-1.3, m.half_width + 1.5, m.y + 0.7 * m.droop, 3.5, 3)
    mass(-3.4, 0, m.y + 16.5, 17, 4.2)
    mass(s.chin, 0, m.y + 30, 15, 11)
    if s.fatness > 0:  # a second chin's fold
        mass(-1.2 * s.fatness, 0, s.middle + s.bottom - 6, 30, 3)
    # folds of age
    away, _, window = nasolabial(p, ax, y)
    fold = 1.1 * ridge(away, 7, 7.5) - 0.95 * ridge(away, 0, 3.0)
    z.add_(window * fold, alpha=0.85 * p.skin.folds)
    if p.skin.forehead:
        z.sub_(forehead_lines(p, x, ax, y) * decay((ax / 46) ** 4), alpha=p.skin.forehead)
        mass(-0.5 * p.skin.forehead, 5.5, -20, 1.8, 9)
    if p.skin.crow:
        z.sub_(crow_feet(p, ax, y), alpha=p.skin.crow)
    under = e.y + e.lower + 5.5 - 0.004 * (ax - e.x) ** 2
    groove = ridge(y, under + 1, 1.9) * ridge(ax, e.x - 3, 14)
    bulge = ridge(y, under - 3.6, 2.4) * ridge(ax, e.x, 13)
    z.add_(0.5 * bulge - 0.55 * groove, alpha=p.skin.bags)
    mass(-p.skin.bags, 24, 15, 9, 4)
    # lids: the fold, the roll above it, the rim of the lower lid
    z.add_(lid_fold(p, ax, y))
    z.add_(grain, alpha=0.055 * (0.6 + 0.6 * p.skin.mottling))
    return z, edge


def lid_crease(person: Person, ax: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Lids]:
    """The furrow of the upper lid at rest (0..1), the roll above it, and the lids."""
    e = person.eyes
    lid = lids(e, ax, y)
    window = ridge(lid.across, 0, 1.05)
    high = e.crease_height * (1 - 0.12 * lid.across) * (0.55 + 0.45 * lid.arc.clamp(min=0))
    at = lid.upper - high
    return ridge(lid.y, at, 1.15) * window, ridge(lid.y, at - 3.2, 2.2) * window, lid


def lid_fold(person: Person, ax: Tensor, y: Tensor) -> Tensor:
    crease, roll, lid = lid_crease(person, ax, y)
    rim = ridge(lid.y, lid.lower + 1.6, 1.3) * ridge(lid.across, 0, 1.05)
    return person.eyes.crease * (0.9 * roll - 1.3 * crease) + 1.1 * rim


def eyeball_dome(person: Person, ax: Tensor, y: Tensor) -> Tensor:
    """The eyeball under the lids: it stays where it is when the skin moves."""
    e = person.eyes
    x = ax - e.x
    return 4.2 * bell(x, y - e.y + e.tilt * x, 0, -1, 1.02 * e.half_width, 10.5)


def face_alpha(edge: Tensor) -> Tensor:
    """Coverage of the face from its outline value."""
    return inside(1 - edge, 0.9 / 85)
