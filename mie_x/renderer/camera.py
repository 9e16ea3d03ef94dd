"""How a person is seen: pose, lens, light and sensor, and the map between head and picture.

Angles are degrees, lengths millimetres. The head turns about a point 85 mm behind the face and is
followed by the photographer, so that it stays in the frame. Up to about 18 degrees of yaw; a
height field has no profile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mie_x.renderer.geometry import camera_surface
from mie_x.renderer.identity import Person, Rgb
from mie_x.renderer.shapes import resize

PIVOT = 85.0  # mm behind the face
FOLLOW = 0.25  # share of the turn's sideways motion that the framing takes out
ROLL_AT = 60.0  # y of the point that the head leans about: the upper lip


@dataclass(frozen=True, slots=True)
class View:
    """Pose, framing, light, camera and background of one clip; ``seed`` fixes its sensor noise."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    span: float = 222.0  # mm of the face plane that the picture shows
    x: float = 0.0  # head point at the middle of the picture, mm
    y: float = 7.0
    distance: float = 900.0  # mm to the camera
    azimuth: float = -20.0  # of the key light
    elevation: float = 35.0
    key: float = 1.0
    ambient: float = 0.34
    fill: float = 0.12
    softness: float = 0.3  # 0 hard shadows, 1 none
    warmth: float = 0.0  # white balance, log scale
    exposure: float = 0.0  # log scale
    gaze_x: float = 0.0  # mm at the iris
    gaze_y: float = 0.0
    blur: float = 0.40  # pixels at 128
    noise: float = 0.006  # standard deviation of the sensor, 0..1 scale
    near: Rgb = (0.30, 0.31, 0.32)  # background, from one side ...
    far: Rgb = (0.36, 0.36, 0.36)  # ... to the other
    pattern: float = 0.0
    slant: float = 0.6
    seed: int = 0


def reference_view() -> View:
    """Frontal, evenly lit, gray background: to compare faces in."""
    return View()


def draw_view(seed: int, *, spread: float = 1.0) -> View:
    """Draw a view from SEED, in [0, 2**63); SPREAD scales pose and framing (0 is frontal)."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"a view's seed lies in [0, 2**63), not {seed}")
    rng = np.random.default_rng((seed, 1))

    def normal(mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(rng.standard_normal(), -2.2, 2.2))

    def uniform(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    def backdrop(level: float) -> Rgb:
        r, g, b = (level * math.exp(normal(0, 0.07)) for _ in range(3))
        return r, g, b

    yaw, pitch, roll = normal(0, 7), normal(0, 4.5), normal(0, 3)
    span, x, y = uniform(-16, 16), normal(0, 3), normal(0, 3)
    low, high = ((0.02, 0.1), (0.15, 0.4), (0.4, 0.85), (0.05, 0.6))[int(rng.integers(4))]
    level = uniform(low, high)
    return View(
        yaw=spread * yaw,
        pitch=spread * pitch,
        roll=spread * roll,
        span=224 + min(spread, 1.0) * span,
        x=spread * x,
        y=7 + spread * y,
        distance=uniform(700, 1500),
        azimuth=normal(0, 32),
        elevation=uniform(12, 52),
        key=uniform(0.85, 1.35),
        ambient=uniform(0.20, 0.48),
        fill=uniform(0.04, 0.25),
        softness=uniform(0.15, 0.5),
        warmth=normal(0, 0.07),
        exposure=normal(0, 0.12),
        gaze_x=normal(0, 1.0),
        gaze_y=normal(0, 0.4),
        blur=uniform(0.25, 0.65),
        noise=uniform(0.002, 0.010),
        near=backdrop(level),
        far=backdrop(level * math.exp(normal(0, 0.4))),
        pattern=uniform(0, 1) ** 2,
        slant=uniform(-math.pi, math.pi),
        seed=seed,
    )


@dataclass(frozen=True, slots=True)
class Turn:
    """Sines and cosines of a view's pose: R = Rx(pitch) Ry(yaw), then the roll in the picture."""

    cos_yaw: float
    sin_yaw: float
    cos_pitch: float
    sin_pitch: float
    cos_roll: float
    sin_roll: float

    @classmethod
    def of(cls, view: View) -> Turn:
        yaw, pitch, roll = (math.radians(a) for a in (view.yaw, view.pitch, view.roll))
        return cls(
            math.cos(yaw), math.sin(yaw), math.cos(pitch),
            math.sin(pitch), math.cos(roll), math.sin(roll),
        )  # fmt: skip

    def depth(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Camera depth (mm, to the viewer) of head points."""
        return (
            self.cos_pitch * self.cos_yaw * z
            - self.cos_pitch * self.sin_yaw * x
            - (self.sin_pitch * y)
        )


def project(view: View, x: Tensor, y: Tensor, z: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Head points (mm) -> picture (pixels of a SIZE x SIZE picture; centres lie at +0.5)."""
    t = Turn.of(view)
    back = z + PIVOT
    u = t.cos_yaw * x + t.sin_yaw * back - FOLLOW * PIVOT * t.sin_yaw
    v = -t.sin_pitch * t.sin_yaw * x + t.cos_pitch * y + t.sin_pitch * t.cos_yaw * back
    v = v - FOLLOW * PIVOT * t.sin_pitch
    nearer = 1 - t.depth(x, y, z) / view.distance
    u, v = u / nearer, v / nearer - ROLL_AT
    across = t.cos_roll * u - t.sin_roll * v
    down = t.sin_roll * u + t.cos_roll * v + ROLL_AT
    return (
        ((across - view.x) / view.span + 0.5) * size,
        ((down - view.y) / view.span + 0.5) * size,
    )


def plane(view: View, pixels: int) -> tuple[Tensor, Tensor]:
    """The picture's pixel centres as mm in the face plane, the roll undone: two (pixels, pixels).

    These are body coordinates: the neck and the shoulders are drawn in them.
    """
    t = Turn.of(view)
    line = (torch.arange(pixels, dtype=torch.float32) + 0.5) / pixels - 0.5
    across = (line * view.span + view.x).expand(pixels, pixels)
    down = (line * view.span + view.y - ROLL_AT)[:, None].expand(pixels, pixels)
    return (
        t.cos_roll * across + t.sin_roll * down,
        t.cos_roll * down - t.sin_roll * across + ROLL_AT,
    )


def unproject(person: Person, view: View, pixels: int) -> tuple[Tensor, Tensor]:
    """The head point (x, y; mm) seen at each pixel centre: two (pixels, pixels) float32 fields.

    The inverse of ``project`` on the smooth ``camera_surface``, by damped fixed point at half
    resolution: the surface has no detail that a finer grid would see.
    """
    t = Turn.of(view)
    det = t.cos_yaw * t.cos_pitch

    def solve(u: Tensor, v: Tensor, z: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        nearer = 1 - depth / view.distance
        back = z + PIVOT
        a = u * nearer - t.sin_yaw * back + FOLLOW * PIVOT * t.sin_yaw
        b = v * nearer - t.sin_pitch * t.cos_yaw * back + FOLLOW * PIVOT * t.sin_pitch
        return t.cos_pitch * a / det, (t.sin_pitch * t.sin_yaw * a + t.cos_yaw * b) / det

    z = torch.full((pixels // 8, pixels // 8), -10.0)
    for coarse, rounds in ((8, 5), (2, 4)):  # a coarse answer saves rounds on the finer grid
        u, v = plane(view, pixels // coarse)
        z = resize(z, *u.shape)
        x, y = solve(u, v, z, t.depth(u, v, z))
        for _ in range(rounds):
            x, y = solve(u, v, z, t.depth(x, y, z))
            z = 0.35 * z + 0.65 * camera_surface(person, x, y)
        x, y = solve(u, v, z, t.depth(x, y, z))
    return resize(x, pixels, pixels), resize(y, pixels, pixels)
