"""What each action unit does to the face: data first, then how the data moves points.

Four things happen, each linear in the intensity (0..1):

* ``PULLS`` displace the skin: bells of displacement, in mm at intensity 1.
* ``LIDS`` and ``LIPS`` scale the openings and the red of the lips; ``GAPS`` part the lips.
* ``relief`` adds folds, furrows and bulges to the height of the skin.
* the jaw (AU26) turns: a pull of its own shape.

A point of the skin goes from its rest place f through lids and lips to f', and through the pulls
to its place q in the posed head. Rendering goes the other way (``undo``), landmarks and optical
flow go forward (``advance``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mie_x.records import AUS
from mie_x.renderer import geometry
from mie_x.renderer.geometry import fold_sides, lids, lips
from mie_x.renderer.identity import Person
from mie_x.renderer.shapes import bell, decay, ridge, stamp, step


class Pull(NamedTuple):
    """Displacement (out, down) mm around (x, y) with radii (rx, ry), on both sides."""

    x: float
    y: float
    rx: float
    ry: float
    out: float
    down: float


PULLS: dict[int, tuple[Pull, ...]] = {
    1: (Pull(11, -19, 14, 13, -0.6, -7.5), Pull(14, -41, 19, 16, 0, -3.4)),
    2: (Pull(44, -20, 17, 13, 0, -7.2), Pull(46, -41, 19, 16, 0, -3.4)),
    4: (
        Pull(12, -15, 14, 11, -3.4, 5.0),
        Pull(34, -17, 17, 11, -2.2, 4.0),
        Pull(16, -35, 19, 14, -1.0, 2.0),
    ),
    5: (Pull(30, -11, 16, 6, 0, -1.3),),
    6: (Pull(40, 23, 20, 15, -1.0, -5.2), Pull(55, 2, 13, 12, -2.6, -1.0)),
    7: (Pull(31, 9, 16, 6, 0, -1.6),),
    9: (
        Pull(8, 20, 10, 18, 0, -3.4),
        Pull(15, 40, 9, 9, 1.6, -5.0),
        Pull(14, 60, 14, 8, 0, -3.6),
        Pull(12, -14, 14, 10, -2.2, 3.4),
        Pull(28, 18, 14, 12, -1.8, -2.6),
    ),
    10: (
        Pull(11, 61, 15, 9, 0, -5.4),
        Pull(16, 41, 9, 9, 1.2, -2.6),
        Pull(31, 42, 16, 16, 0, -2.8),
    ),
    12: (
        Pull(26, 69, 15, 13, 7.5, -7.5),
        Pull(38, 42, 19, 18, 2.2, -5.5),
        Pull(12, 66, 14, 10, 1.6, -1.0),
    ),
    14: (Pull(25, 70, 11, 11, 4.6, -1.0), Pull(45, 70, 12, 13, -2.8, 0)),
    15: (Pull(25, 71, 13, 11, 0.4, 5.2), Pull(28, 86, 12, 12, 0, 2.8)),
    17: (
        Pull(0, 99, 23, 14, 0, -6.4),
        Pull(0, 80, 19, 9, 0, -5.0),
        Pull(0, 68, 18, 8, 0, -1.8),
        Pull(25, 72, 10, 9, 0, 1.4),
    ),
    20: (Pull(25, 71, 15, 12, 8.0, 1.6), Pull(41, 73, 16, 18, 3.5, 0.8)),
    23: (Pull(25, 70, 13, 10, -4.2, 0),),
    26: (Pull(25, 70, 13, 12, -3.2, 0.6),),
}
"""Rest places are those of an average face; AU25, 26 and 45 have openings instead."""

JAW_DROP = 11.0  # mm the chin goes down at AU26 = 1
# Fixed-point rounds that undo the pulls. Weak actions need few: at AU12 = .2 five leave .0001 mm,
# at AU12 = 1 eleven leave .17 mm, a tenth of a pixel of a 128 picture.
FEWEST_ROUNDS, MOST_ROUNDS = 3, 13

# Share of the upper and lower lid's opening lost (below 0) or won at intensity 1.
LIDS: dict[int, tuple[float, float]] = {
    4: (-0.10, 0.0),
    5: (0.46, 0.06),
    6: (-0.18, -0.42),
    7: (-0.25, -0.58),
    9: (-0.12, -0.18),
    12: (-0.06, -0.14),
}

# Factors of the red of both lips, and of one lip only (upper, lower), as losses at intensity 1.
LIPS: dict[int, tuple[float, float]] = {
    10: (-0.12, 0.0),
    12: (0.15, 0.12),
    14: (0.16, 0.16),
    15: (0.0, 0.10),
    17: (0.10, -0.10),
    20: (0.24, 0.24),
    23: (0.50, 0.50),
}

BANDS: dict[int, tuple[tuple[float, float, float, float], ...]] = {
    1: ((0, 36, -72, -2),),
    2: ((16, 74, -72, -2),),
    4: ((0, 62, -62, 8),),
    5: ((8, 58, -26, 12),),
    6: ((10, 78, -14, 56),),
    7: ((8, 58, -14, 24),),
    9: ((0, 56, -40, 76),),
    10: ((0, 58, 20, 84),),
    12: ((0, 72, -10, 98),),
    14: ((0, 68, 34, 98),),
    15: ((0, 58, 48, 112),),
    17: ((0, 50, 54, 122),),
    20: ((0, 70, 36, 112),),
    23: ((0, 54, 46, 104),),
    25: ((0, 44, 44, 122),),
    26: ((0, 76, 40, 130),),
    45: ((8, 58, -22, 14),),
}
"""AU -> boxes (|x| from, to, y from, to; mm in head coordinates) that it may change."""


@dataclass(frozen=True, slots=True)
class Action:
    """One frame's action units, by number: intensities in [0, 1]; those at 0 are left out."""

    units: dict[int, float]

    @classmethod
    def of(cls, aus: Tensor) -> Action:
        """From a vector (17,) in the order of ``AUS``."""
        values = aus.double().tolist()
        return cls({au: v for au, v in zip(AUS, values, strict=True) if v != 0})

    def __getitem__(self, au: int) -> float:
        return self.units.get(au, 0.0)

    def lid_scale(self) -> tuple[float, float]:
        upper = 1 + sum(LIDS[au][0] * v for au, v in self.units.items() if au in LIDS)
        lower = 1 + sum(LIDS[au][1] * v for au, v in self.units.items() if au in LIDS)
        return max(upper, 0.1), max(lower, 0.05)

    def lip_scale(self) -> tuple[float, float]:
        upper = lower = 1.0
        for au, value in self.units.items():
            loss = LIPS.get(au, (0.0, 0.0))
            upper *= 1 - loss[0] * value
            lower *= 1 - loss[1] * value
        return max(upper, 0.3), max(lower, 0.3)

    def gap(self) -> tuple[float, float]:
        """How far the lips part in the middle of the mouth: up and down, mm."""
        smile = self[25] * self[12]
        up = 2.0 * self[25] + 1.2 * self[10] * self[25] + 1.4 * smile + 0.8 * self[26]
        return up, 3.6 * self[25] + 1.0 * smile + 6.5 * self[26]


def displacement(person: Person, action: Action, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(dx, dy) mm of the skin at (x, y): the pulls and the jaw, without lids and lips."""
    rows = [(v, pull) for au, v in action.units.items() for pull in PULLS.get(au, ())]
    ax = x.abs()
    dx, dy = torch.zeros_like(x), torch.zeros_like(x)
    if rows:
        columns = torch.tensor([[*pull, v] for v, pull in rows], dtype=torch.float32)
        cx, cy, rx, ry, out, down, v = columns.view(-1, 7, *(1 for _ in x.shape)).unbind(1)
        across, along = (ax - cx) / rx, (y - cy) / ry
        weight = decay(across.mul_(across) + along.mul_(along)).mul_(v)
        dx = (weight * out).sum(0)
        dy = weight.mul_(down).sum(0)
        # the lids hang on the eye socket: pulls hardly carry them
        e = person.eyes
        loose = 1 - 0.8 * bell(ax, y, e.x, e.y, e.half_width + 3, 9)
        dx, dy = dx * loose, dy * loose
    if action[26]:
        side = step(38, 72, ax) * (1 - step(80, 110, y))
        drop = JAW_DROP * step(52, 100, y) * (1 - side) + 3.2 * bell(ax, y, 26, 72, 14, 12)
        dy = dy + action[26] * drop
        dx = dx - 2 * action[26] * bell(ax, y, 45, 75, 18, 25)
    return dx * torch.tanh(x / 7), dy


def undo_pulls(person: Person, action: Action, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Where the skin seen at posed points (x, y) was before the pulls; fixed point."""
    px, py = x, y
    if any(au in PULLS for au in action.units):
        rounds = min(MOST_ROUNDS, FEWEST_ROUNDS + math.ceil(8 * sum(action.units.values())))
        for _ in range(rounds):
            dx, dy = displacement(person, action, px, py)
            px, py = x - dx, y - dy
    return px, py


def lean(person: Person, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A face is not its own mirror image: head point -> the symmetric face's point (mm)."""
    a, b, c, d, e, f = person.skull.lean
    return (
        x + 0.9 * a * torch.sin(y / 38 + b) + 0.8 * c * bell(x, y, 0, 75, 50, 40),
        y + 0.012 * d * x + 0.35 * e * torch.sin(x / 30 + f),
    )


def unlean(person: Person, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of ``lean``, by fixed point: it is a shift of about a millimetre."""
    px, py = x, y
    for _ in range(8):
        lx, ly = lean(person, px, py)
        px, py = px + (x - lx), py + (y - ly)
    return px, py


def _push(away: Tensor, edge: Tensor, reach: float) -> Tensor:
    """Displacement (mm) of skin that rests AWAY from an edge that is pushed EDGE mm towards it.

    It fades linearly over REACH: linear in the push, and never folding while the push is shorter.
    """
    return edge * (1 - away / reach).clamp(min=0)


def _unpush(away: Tensor, edge: Tensor, reach: float) -> Tensor:
    """The same displacement, of skin that is now AWAY from the pushed edge."""
    return _push(away / (1 - edge / reach), edge, reach)


# mm that an edge carries skin with it; each longer than the edge ever moves
LID_REACH, UPPER_LIP_REACH, LOWER_LIP_REACH = 8.0, 15.0, 34.0


def undo_lids(person: Person, action: Action, ax: Tensor, y: Tensor) -> Tensor:
    """Posed -> rest y around the eyes. On the eyeball itself the value has no meaning."""
    e = person.eyes
    raised, low = action.lid_scale()
    rest = lids(e, ax, y)
    posed = lids(e, ax, y, raised=raised, low=low, shut=action[45])
    above = (posed.upper - posed.y).clamp(min=0)
    below = (posed.y - posed.lower).clamp(min=0)
    raised_by = _unpush(above, rest.upper - posed.upper, LID_REACH)
    lowered_by = _unpush(below, posed.lower - rest.lower, LID_REACH)
    return y + torch.where(2 * posed.y < posed.upper + posed.lower, raised_by, -lowered_by)


def advance_lids(person: Person, action: Action, ax: Tensor, y: Tensor) -> Tensor:
    """Rest -> posed y of lid skin; points of the eyeball stay."""
    e = person.eyes
    raised, low = action.lid_scale()
    rest = lids(e, ax, y)
    posed = lids(e, ax, y, raised=raised, low=low, shut=action[45])
    above, below = rest.upper - rest.y, rest.y - rest.lower
    raised_by = _push(above, rest.upper - posed.upper, LID_REACH)
    lowered_by = _push(below, posed.lower - rest.lower, LID_REACH)
    return y - torch.where(above >= 0, raised_by, 0.0) + torch.where(below >= 0, lowered_by, 0.0)


@dataclass(frozen=True, slots=True)
class Opening:
    """The posed mouth over a field of points: rest y, and what of the gap is seen there."""

    y: Tensor
    gap: Tensor  # mm between the lips in this column
    within: Tensor  # mm from the nearer lip, positive in the gap
    from_upper: Tensor  # mm below the upper lip's lower edge
    line: Tensor


def undo_lips(person: Person, action: Action, ax: Tensor, y: Tensor) -> Opening:
    """Posed -> rest y around the mouth; inside the gap, the rest y is the mouth line's."""
    lip = lips(person.mouth, ax)
    up, down = action.gap()
    thin_up, thin_low = action.lip_scale()
    up_, down_ = up * lip.arc**0.6, down * lip.arc**0.72
    t = y - lip.line
    above = -t - up_  # mm above the upper lip's lower edge
    below = t - down_
    beyond = (above - lip.upper * thin_up).clamp(min=0)
    pushed = _unpush(beyond, up_ + lip.upper * (thin_up - 1), UPPER_LIP_REACH)
    rest_up = torch.where(beyond > 0, t + pushed, -above / thin_up)
    beyond = (below - lip.lower * thin_low).clamp(min=0)
    pushed = _unpush(beyond, down_ + lip.lower * (thin_low - 1), LOWER_LIP_REACH)
    rest_low = torch.where(beyond > 0, t - pushed, below / thin_low)
    rest = torch.where(above >= 0, rest_up, torch.where(below >= 0, rest_low, 0.0))
    within = torch.minimum(-above, -below)
    return Opening(lip.line + rest, up_ + down_, within, -above, lip.line)


def advance_lips(person: Person, action: Action, ax: Tensor, y: Tensor) -> Tensor:
    """Rest -> posed y around the mouth."""
    lip = lips(person.mouth, ax)
    up, down = action.gap()
    thin_up, thin_low = action.lip_scale()
    up_, down_ = up * lip.arc**0.6, down * lip.arc**0.72
    t = y - lip.line

    beyond = -t - lip.upper
    pushed = _push(beyond, up_ + lip.upper * (thin_up - 1), UPPER_LIP_REACH)
    moved_up = torch.where(beyond > 0, t - pushed, t * thin_up - up_)
    beyond = t - lip.lower
    pushed = _push(beyond, down_ + lip.lower * (thin_low - 1), LOWER_LIP_REACH)
    moved_low = torch.where(beyond > 0, t + pushed, t * thin_low + down_)
    return lip.line + torch.where(t < 0, moved_up, moved_low)


def advance(person: Person, action: Action, fx: Tensor, fy: Tensor) -> tuple[Tensor, Tensor]:
    """Rest point of the symmetric face -> its place (mm) in the posed head."""
    ax = fold_sides(fx)
    y = fy
    if action.units:
        y = advance_lids(person, action, ax, y)
        y = advance_lips(person, action, ax, y)
    px, py = unlean(person, fx, y)
    if not action.units:
        return px, py
    dx, dy = displacement(person, action, px, py)
    return px + dx, py + dy


def relief(person: Person, au: int, x: Tensor, y: Tensor, lumps: Tensor) -> Tensor | None:
    """Folds and bulges (mm of height) of AU at intensity 1 over rest points; None if it has none.

    LUMPS is noise of unit size (the chin's pebbles). Furrows deepen with age.
    """
    p, n, e, m = person, person.nose, person.eyes, person.mouth
    ax = fold_sides(x)
    z = torch.zeros_like(y)
    old = 0.6 + 0.7 * p.age

    def mass(height: float, cx: float, cy: float, rx: float, ry: float) -> None:
        stamp(z, height, ax, y, (cx, cy, rx, ry))

    def furrow_brow(amount: float) -> None:
        mass(1.5 * amount, 15, -18, 10, 6)
        mass(0.8 * amount, 0, -17, 3, 9)
        z.sub_(
            bell(ax, y, 5.8 - 0.07 * (y + 17), -18, 2.0, 11),
            alpha=1.9 * amount * (0.75 + 0.5 * p.age),
        )
        mass(-1.0 * amount, 0, -5, 9, 2.2)

    def fold_cheek(amount: float, fade: float) -> None:
        """Deepen the nasolabial fold, by FADE less at its lower end."""
        away, down, window = geometry.nasolabial(p, ax, y)
        shape = 1.15 * ridge(away, 7.5, 8) - 1.0 * ridge(away, 0, 2.9)
        z.add_(window * shape * (1 - fade * down.clamp(0, 1)), alpha=amount)

    def under_eye(groove: float, roll: float) -> None:
        at = e.y + e.lower + 5.5 - 0.004 * (ax - e.x) ** 2
        z.sub_(ridge(y, at + 1, 1.9) * ridge(ax, e.x - 3, 14), alpha=groove)
        z.add_(ridge(y, at - 3.6, 2.4) * ridge(ax, e.x, 13), alpha=roll)

    match au:
        case 1:
            z.sub_(geometry.forehead_lines(p, x, ax, y) * ridge(ax, 0, 22), alpha=1.3 * old)
        case 2:
            z.sub_(geometry.forehead_lines(p, x, ax, y) * ridge(ax, 42, 17), alpha=1.3 * old)
            mass(1.0, 44, -24, 14, 5)
        case 4:
            furrow_brow(1.0)
        case 6:
            mass(3.2, 38, 24, 17, 10)
            under_eye(1.0, 0.9)
            z.sub_(geometry.crow_feet(p, ax, y), alpha=1.3 * old)
            fold_cheek(0.7, 0)
        case 7:
            under_eye(0.6, 1.1)
        case 9:
            for level in (1, 6, 11):
                z.sub_(ridge(y, level + 0.35 * ax, 1.35) * decay((ax / 11) ** 4), alpha=1.7)
            mass(1.6, 13, 16, 6, 7)
            mass(2.0, n.half_width + 1, n.length, 4, 5)
            fold_cheek(2.2, 0.8)
            furrow_brow(0.5)
        case 10:
            fold_cheek(2.4, 0.5)
            mass(1.6, 14, m.y - 13, 8, 6)
            mass(1.4, n.half_width + 6, n.length + 3, 6, 8)
        case 12:
            fold_cheek(2.9, 0)
            mass(4.4, 38, 32, 16, 13)
            mass(-1.4, m.half_width + 4, m.y - 1, 3, 6)
            under_eye(0.4, 0.4)
            z.sub_(geometry.crow_feet(p, ax, y), alpha=0.4 * old)
        case 14:
            mass(-3.4, m.half_width + 6.0, m.y, 3.6, 6)
            mass(1.8, m.half_width + 13, m.y, 6.5, 9)
            fold_cheek(0.9, 0)
        case 15:
            z.sub_(
                bell(ax + 0.35 * (y - m.y - 9), y, m.half_width + 3.5, m.y + 10, 2.5, 7), alpha=2.2
            )
            mass(1.5, m.half_width - 5, m.y + 15, 7, 6)
        case 17:
            mass(4.0, 0, m.y + 28, 13, 9)
            z.add_(lumps * bell(ax, y, 0, m.y + 27, 15, 9), alpha=1.5)
            mass(2.4, 0, m.y + 7, 15, 5)
            mass(-1.5, m.half_width - 1, m.y + 9, 3, 6)
            mass(-3.0, 0, m.y + 16.5, 17, 4.2)
        case 20:
            mass(-1.7, m.half_width + 6, m.y + 2, 3, 11)
            fold_cheek(0.6, 0)
        case 23:
            mass(1.2, 0, m.y, 20, 7)
            z.add_(torch.cos(1.5 * x) * bell(ax, y, 0, m.y, 24, 9), alpha=0.5)
            mass(-1.6, 0, m.y + 13, 18, 3.5)
            mass(-1.0, m.half_width, m.y, 3, 5)
        case 45:
            crease, roll, _ = geometry.lid_crease(p, ax, y)
            z.add_(0.55 * crease - 0.35 * roll, alpha=e.crease)
        case _:
            return None
    return z
