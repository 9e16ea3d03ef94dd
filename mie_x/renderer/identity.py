"""Who is seen: the drawn parameters of one invented person.

Lengths are millimetres in head coordinates: the origin lies between the pupils, x to the right of
the picture, y down, z to the viewer; features are written once, for x > 0. Colours are linear
light. Three hidden variables steer the rest: ``fem`` and ``age`` in [0, 1] and ``tone``, 0 the
lightest and 1 the darkest skin. Spreads were set by eye to look varied; they are no statistics of
any population, and nobody who exists is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

Rgb = tuple[float, float, float]
Name = TypeVar("Name", bound=str)
Style = Literal["bald", "short", "brush", "long", "bangs", "tied", "curly"]

# sRGB, light to dark
SKIN_LADDER = np.array(
    [
        (238, 206, 188), (230, 191, 168), (216, 174, 148), (198, 155, 127),
        (168, 125, 98), (128, 92, 71), (94, 67, 53), (69, 50, 41),
    ]
) / 255  # fmt: skip

# linear light
HAIR: dict[str, Rgb] = {
    "black": (0.010, 0.009, 0.009),
    "dark": (0.028, 0.019, 0.014),
    "brown": (0.065, 0.038, 0.022),
    "auburn": (0.12, 0.045, 0.020),
    "dark blond": (0.20, 0.13, 0.07),
    "blond": (0.42, 0.30, 0.16),
    "gray": (0.30, 0.29, 0.29),
    "white": (0.58, 0.57, 0.55),
}
IRIS: dict[str, Rgb] = {
    "brown": (0.06, 0.028, 0.012),
    "dark": (0.025, 0.013, 0.008),
    "hazel": (0.12, 0.08, 0.03),
    "green": (0.12, 0.15, 0.07),
    "blue": (0.16, 0.24, 0.33),
    "gray": (0.22, 0.25, 0.27),
}
FRAMES: tuple[Rgb, ...] = ((0.01, 0.01, 0.01), (0.06, 0.03, 0.015), (0.25, 0.22, 0.18))
LIPSTICK: tuple[Rgb, ...] = ((0.38, 0.05, 0.06), (0.45, 0.12, 0.12), (0.26, 0.04, 0.07))
STYLES: tuple[Style, ...] = ("bald", "short", "brush", "long", "bangs", "tied", "curly")

# How each face shape differs from the oval: half width, top, bottom (mm), jaw power, taper.
FACE_SHAPES = {
    "oval": (0.0, 0.0, 0.0, 0.0, 0.0),
    "round": (3.0, -3.0, -6.0, 0.15, -0.04),
    "square": (1.5, -1.0, -2.0, 0.62, -0.05),
    "heart": (0.5, 1.0, 1.0, -0.22, 0.07),
    "long": (-3.0, 4.0, 6.0, 0.10, 0.0),
    "diamond": (1.0, 0.0, 2.0, -0.30, 0.02),
}


@dataclass(frozen=True, slots=True)
class Skull:
    """Outline (a superellipse, two powers) and the masses of bone and fat on it."""

    middle: float  # y of the widest point
    half_width: float
    top: float  # from the middle up
    bottom: float  # from the middle down to the chin
    jaw_power: float  # 1.7 pointed .. 2.9 square
    taper: float  # share of width lost at the chin
    depth: float  # how fast the surface falls back to the sides
    brow_ridge: float
    socket: float  # depth of the eye sockets
    cheekbone: float
    hollow: float  # below the cheekbone; negative in a full face
    jowl: float
    chin: float
    fatness: float  # about -1.5 .. 1.5
    lean: tuple[float, ...]  # 6 numbers: the left side is not the mirrored right side


@dataclass(frozen=True, slots=True)
class Nose:
    length: float  # y of the tip
    half_width: float  # at the wings
    height: float  # 1 is usual
    bridge: float  # half width of the bridge
    root: float  # 0 flat between the eyes .. 1 high
    hump: float  # bulge of the bridge, may be negative
    tip: float  # size of the tip's ball
    wings: float  # how far the wings bulge
    nostrils: float  # how much of them is seen


@dataclass(frozen=True, slots=True)
class Eyes:
    """``x, y`` is the middle of the right-hand eye; heights are of the lids above and below it."""

    x: float
    y: float
    half_width: float
    upper: float
    lower: float
    tilt: float
    crease: float  # depth of the lid fold: .2 monolid .. 1.3
    crease_height: float
    iris: Rgb


@dataclass(frozen=True, slots=True)
class Brows:
    inner: float
    outer: float
    y: float
    arch: float
    thickness: float
    density: float
    colour: Rgb


@dataclass(frozen=True, slots=True)
class Mouth:
    y: float
    half_width: float
    upper: float
    lower: float
    droop: float  # corners: below 0 they point up
    bow: float
    colour: Rgb


@dataclass(frozen=True, slots=True)
class Skin:
    colour: Rgb
    gloss: float
    mottling: float
    redness: float
    freckles: float
    folds: float  # nasolabial
    forehead: float  # lines at rest
    crow: float  # crow's feet at rest
    bags: float
    shave: float  # bluish lower face
    moles: tuple[tuple[float, float, float], ...]  # x, y, radius


@dataclass(frozen=True, slots=True)
class Hair:
    style: Style
    colour: Rgb
    top: float  # thickness above the skull
    side: float
    line: float  # y of the hairline
    recede: float
    sideburn: float
    part: float
    sweep: float
    back: float  # 1: combed back, 0: sideways
    length: float
    curtain: float
    wave: float
    shaved: float


@dataclass(frozen=True, slots=True)
class Beard:
    beard: float
    stubble: float
    moustache: float


@dataclass(frozen=True, slots=True)
class Glasses:
    width: float
    height: float
    power: float
    wire: float
    colour: Rgb


@dataclass(frozen=True, slots=True)
class Person:
    """An invented person, the same for ever from the same seed; ``glasses`` is None for most."""

    seed: int
    fem: float
    age: float
    tone: float
    makeup: float
    skull: Skull
    nose: Nose
    eyes: Eyes
    brows: Brows
    mouth: Mouth
    skin: Skin
    hair: Hair
    beard: Beard
    glasses: Glasses | None
    ear_y: float
    ear_size: float
    ear_out: float
    cloth: Rgb
    collar: float


class _Dice:
    """Draws in a fixed order from one generator."""

    def __init__(self, *key: int) -> None:
        self.rng = np.random.default_rng(key)

    def normal(self, mean: float, spread: float) -> float:
        """Normal, cut at 2.2 standard deviations so that nobody is a monster."""
        return float(mean + spread * np.clip(self.rng.standard_normal(), -2.2, 2.2))

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self) -> float:
        return float(self.rng.uniform())

    def pick(self, names: tuple[Name, ...], weights: tuple[float, ...]) -> Name:
        share = np.array(weights) / sum(weights)
        return names[int(np.searchsorted(np.cumsum(share), self.rng.uniform() * 0.999999))]


def _rgb(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Rgb:
    r, g, b = (float(v) for v in values)
    return r, g, b


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _skull(dice: _Dice, fem: float) -> Skull:
    shape = dice.pick(tuple(FACE_SHAPES), (0.3, 0.16, 0.17, 0.14, 0.13, 0.1))
    strength = dice.uniform(0.5, 1.1)
    width, top, bottom, power, taper = (strength * v for v in FACE_SHAPES[shape])
    fat = dice.normal(0, 0.7)
    return Skull(
        middle=dice.normal(8, 2.6),
        half_width=_clip(dice.normal(70.0, 2.6) - 2.0 * fem + width + 1.5 * fat, 63, 78),
        top=dice.normal(104, 3.5) + top,
        bottom=_clip(dice.normal(103, 3.2) - 4.5 * fem + bottom, 91, 114),
        jaw_power=_clip(dice.normal(2.2, 0.16) + 0.18 * (1 - fem) + power + 0.12 * fat, 1.8, 3.0),
        taper=_clip(dice.uniform(0.03, 0.12) + 0.04 * fem + taper - 0.02 * fat, 0, 0.24),
        depth=dice.normal(1.18, 0.09),
        brow_ridge=_clip(dice.normal(3.2, 1.2) + 2.2 * (1 - fem), 0, 7.5),
        socket=dice.normal(8.0, 1.4),
        cheekbone=dice.normal(4.2, 1.7),
        hollow=2.4 - 2.2 * fat + dice.normal(0, 0.8),
        jowl=1.3 * max(0.0, fat) + dice.uniform(0, 0.8),
        chin=dice.normal(5.5, 1.7) + 0.6 * (1 - fem),
        fatness=fat,
        lean=tuple(dice.normal(0, 0.8) for _ in range(6)),
    )


def _jaw(skull: Skull, y: float) -> float:
    """Half width of the face at Y below its middle, mm."""
    t = (y - skull.middle) / skull.bottom
    narrowed = skull.half_width * (1 - skull.taper * t * t)
    return float(narrowed * (1 - t**skull.jaw_power) ** (1 / skull.jaw_power))


def _nose(dice: _Dice, fem: float, tone: float) -> Nose:
    broad = _clip(0.25 + 0.6 * tone + dice.normal(0, 0.2), 0, 1)
    return Nose(
        length=38 + dice.normal(0, 2.4),
        half_width=14.6 + 4.2 * broad + dice.normal(0, 1.0) - 0.8 * fem,
        height=dice.normal(1.05, 0.14) - 0.17 * broad - 0.06 * fem,
        bridge=dice.normal(6.6, 1.1) + 1.3 * broad,
        root=_clip(dice.normal(0.5, 0.22) - 0.25 * broad, 0, 1),
        hump=dice.normal(0.2, 0.9) * (1 - 0.4 * fem),
        tip=dice.normal(1.0, 0.35),
        wings=dice.normal(1.0, 0.2),
        nostrils=dice.uniform(0.55, 1.1),
    )


def _eyes(dice: _Dice, fem: float) -> Eyes:
    monolid = dice.chance() < 0.3
    fold = dice.uniform(0.8, 1.3)
    return Eyes(
        x=dice.normal(31.8, 1.9),
        y=dice.normal(0, 1.0),
        half_width=dice.normal(15.6, 1.0) + 0.3 * fem,
        upper=dice.normal(5.15, 0.6) + 0.45 * fem,
        lower=dice.normal(3.9, 0.4),
        tilt=dice.normal(0.05, 0.055),
        crease=0.2 if monolid else fold,
        crease_height=dice.normal(3.6, 0.7),
        iris=(0.0, 0.0, 0.0),
    )


def _hair_colour(dice: _Dice, tone: float, age: float) -> str:
    if tone > 0.5:
        name = dice.pick(("black", "dark"), (0.75, 0.25))
    elif tone > 0.3:
        name = dice.pick(("black", "dark", "brown"), (0.4, 0.4, 0.2))
    else:
        name = dice.pick(
            ("black", "dark", "brown", "auburn", "dark blond", "blond"),
            (0.12, 0.25, 0.28, 0.07, 0.16, 0.12),
        )
    gray = dice.pick(("gray", "white"), (0.65, 0.35))
    return gray if dice.chance() < 0.6 and age > 0.62 else name


def _hair(dice: _Dice, fem: float, age: float, tone: float, colour: Rgb) -> Hair:
    weights = (
        (0.015, 0.06, 0.10, 0.36, 0.17, 0.23, 0.065)
        if fem > 0.5
        else (0.14, 0.44, 0.28, 0.03, 0.02, 0.0, 0.09)
    )
    style = dice.pick(STYLES, weights)
    if dice.chance() < 0.4 and tone > 0.6:
        style = "curly"
    ranges = {  # thickness on top, at the sides, mm
        "bald": (0, 0, 0, 0), "short": (7, 13, 2, 5), "brush": (12, 22, 2, 5),
        "long": (9, 16, 10, 20), "bangs": (9, 15, 10, 20), "tied": (4, 9, 1, 4),
        "curly": (10, 32, 4, 22),
    }[style]  # fmt: skip
    top, side = dice.uniform(*ranges[:2]), dice.uniform(*ranges[2:])
    line = dice.normal(-62, 4.5) - (9 * age if fem < 0.5 else 0)
    bangs, none = dice.uniform(-42, -34), dice.uniform(-120, -95)
    combed = dice.uniform(-30, 30)
    sweep = dice.uniform(-9, 9)
    return Hair(
        style=style,
        colour=colour,
        top=top,
        side=side,
        line=bangs if style == "bangs" else none if style == "bald" else line,
        recede=dice.uniform(0, 20) * age * 2 if fem < 0.5 else dice.uniform(0, 3),
        sideburn=dice.uniform(50, 82) if style != "bald" else dice.uniform(0, 40),
        part=combed if style in ("long", "short", "brush", "tied") else 0.0,
        sweep=sweep if style in ("short", "brush") else sweep / 3,
        back=float(dice.chance() < 0.6 and style in ("short", "brush")),
        length=dice.uniform(60, 190),
        curtain=dice.normal(61, 3),
        wave=14.0 if style == "curly" else dice.uniform(1, 4),
        shaved=float(dice.chance() < 0.55) * 0.55 if style == "bald" else 0.0,
    )


def _beard(dice: _Dice, fem: float) -> Beard:
    kind, full, lip, stub = dice.chance(), dice.uniform(0.5, 1), dice.uniform(0.6, 1), 0.0
    stub = dice.uniform(0.3, 1)
    if fem >= 0.45 or kind >= 0.56:
        return Beard(0.0, 0.0, 0.0)
    if kind < 0.2:
        return Beard(full, 0.0, lip)
    return Beard(0.0, stub, 0.0) if kind < 0.48 else Beard(0.0, 0.0, lip)


def _skin(dice: _Dice, colour: Rgb, fem: float, age: float, tone: float) -> Skin:
    freckled = dice.chance() < 0.3 and tone < 0.4
    moles = tuple(
        (dice.uniform(-55, 55), dice.uniform(10, 90), dice.uniform(0.6, 1.3))
        for _ in range(int(dice.rng.integers(0, 5)))
    )
    return Skin(
        colour=colour,
        gloss=dice.uniform(0.5, 1.1),
        mottling=dice.uniform(0.6, 1.25) + 0.4 * age,
        redness=dice.uniform(0.4, 1.2) * (1 - 0.55 * tone),
        freckles=dice.uniform(0.3, 1) * freckled,
        folds=0.3 + 1.3 * age + max(0.0, dice.normal(0, 0.25)),
        forehead=max(0.0, 1.3 * age - 0.25) * dice.uniform(0.3, 0.75),
        crow=0.6 * max(0.0, 1.2 * age - 0.3),
        bags=0.3 + 1.2 * age * dice.uniform(0.4, 1),
        shave=(1 - fem) * dice.uniform(0, 0.6),
        moles=moles,
    )


def draw_person(seed: int, *, glasses: bool = True, beards: bool = True) -> Person:
    """Draw a person from SEED, in [0, 2**63).

    Without ``glasses`` or ``beards`` the same person is drawn and takes them off: both hide
    action units, as in life.
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"a person's seed lies in [0, 2**63), not {seed}")
    dice = _Dice(seed, 0)
    fem = dice.uniform(0, 1)
    age = float(dice.rng.beta(1.6, 2.4))
    rung = float(dice.rng.beta(1.1, 1.5)) * (len(SKIN_LADDER) - 1)
    tone = rung / (len(SKIN_LADDER) - 1)
    low = min(int(rung), len(SKIN_LADDER) - 2)
    base = (SKIN_LADDER[low] * (low + 1 - rung) + SKIN_LADDER[low + 1] * (rung - low)) ** 2.2
    base *= np.exp([dice.normal(0, 0.03), dice.normal(0, 0.03), dice.normal(0, 0.07)])
    skull = _skull(dice, fem)
    nose = _nose(dice, fem, tone)
    eyes = _eyes(dice, fem)
    paint, wants = dice.chance(), dice.chance()
    makeup = paint if fem > 0.55 and wants > 0.5 else 0.0
    name = _hair_colour(dice, tone, age)
    hair_colour = np.array(HAIR[name]) * np.exp(dice.normal(0, 0.15))
    light_eyes = dice.pick(
        ("brown", "hazel", "green", "blue", "gray"), (0.25, 0.2, 0.15, 0.28, 0.12)
    )
    dark_eyes = dice.pick(("brown", "dark"), (0.5, 0.5))
    iris = IRIS[dark_eyes if tone > 0.38 or name == "black" else light_eyes]
    gray_brow = np.array([0.10, 0.09, 0.085]) * dice.uniform(0.5, 1.4)
    brow_colour = (
        gray_brow
        if name in ("gray", "white")
        else np.minimum(hair_colour * 0.7, [0.10, 0.075, 0.055])
    )
    brows = Brows(
        inner=dice.normal(12.6, 1.6),
        outer=dice.normal(52.5, 2.2),
        y=dice.normal(-16.6, 1.6) - 1.2 * fem + (1 - fem),
        arch=dice.normal(3.6, 1.4) + 1.5 * fem,
        thickness=_clip(dice.normal(4.5, 0.9) - 0.9 * fem + 0.7 * (1 - fem), 2.8, 6.2),
        density=_clip(dice.normal(0.84, 0.12), 0.5, 1),
        colour=_rgb(brow_colour),
    )
    lips = np.array([0.66, 0.32, 0.36]) * (1 - 0.12 * fem) + 0.12 * fem * np.array(
        [0.68, 0.23, 0.30]
    )
    lip_colour = base * lips * np.array([1.0, 0.92, 1.0])
    stick = np.array(LIPSTICK[int(dice.rng.integers(3))]) * (1 - 0.4 * tone)
    lip_colour += (stick - lip_colour) * 0.55 * makeup
    mouth = Mouth(
        y=dice.normal(70, 1.8) + 0.25 * (nose.length - 38),
        half_width=min(dice.normal(25.4, 2.2), 0.49 * _jaw(skull, 70)),
        upper=max(3.4, dice.normal(7.6, 1.3) + 2.6 * tone + 0.8 * fem - 1.3 * age),
        lower=max(5.0, dice.normal(10.2, 1.4) + 2.2 * tone + 0.8 * fem - 1.2 * age),
        droop=dice.normal(-0.7, 0.8),
        bow=dice.uniform(0.1, 0.4),
        colour=_rgb(lip_colour),
    )
    skin = _skin(dice, _rgb(base), fem, age, tone)
    hair = _hair(dice, fem, age, tone, _rgb(hair_colour))
    beard = _beard(dice, fem)
    wears = dice.chance() < 0.12
    spectacles = Glasses(
        width=dice.uniform(20, 25),
        height=dice.uniform(14, 20),
        power=dice.uniform(2.5, 6),
        wire=dice.uniform(0.8, 2),
        colour=FRAMES[int(dice.rng.integers(len(FRAMES)))],
    )
    dye = dice.rng.uniform(0, 1, 3)
    person = Person(
        seed=seed,
        fem=fem,
        age=age,
        tone=tone,
        makeup=makeup,
        skull=skull,
        nose=nose,
        eyes=replace(eyes, iris=iris),
        brows=brows,
        mouth=mouth,
        skin=skin,
        hair=hair,
        beard=beard,
        glasses=spectacles if wears else None,
        ear_y=dice.normal(14, 2),
        ear_size=dice.normal(1, 0.08),
        ear_out=dice.uniform(0, 1),
        cloth=_rgb(0.03 + 0.5 * float(dice.rng.beta(1, 2)) * (0.45 * dye + 0.55 * dye.mean())),
        collar=dice.uniform(108, 140),
    )
    if not glasses:
        person = replace(person, glasses=None)
    return person if beards else replace(person, beard=Beard(0.0, 0.0, 0.0))
