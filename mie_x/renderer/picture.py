"""From a person, a view and action units to a picture, landmarks and optical flow.

Each frame is made alone, on one thread's worth of elementwise kernels: its bits depend on nothing
but its own person, view, action units and size. What no action unit changes is kept between
frames (``Stage``), so that a clip costs little more than its moving skin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mie_x.records import AUS, SIZE
from mie_x.renderer import geometry
from mie_x.renderer.action_units import (
    BANDS,
    Action,
    Opening,
    advance,
    lean,
    undo_lids,
    undo_lips,
    undo_pulls,
    unlean,
)
from mie_x.renderer.camera import Turn, View, plane, project, unproject
from mie_x.renderer.geometry import Lids, fold_sides, lids
from mie_x.renderer.identity import Person
from mie_x.renderer.layers import Layers, layers
from mie_x.renderer.light import Light, cast_shadow, halve, normals, occlusion
from mie_x.renderer.shapes import bell, blur, colour, inside, mix, resize, ridge, sample, step
from mie_x.renderer.skin import EDGE, GLOSS, HEIGHT, RED, skin_maps, strands
from mie_x.threads import one_thread

LUMA = (0.299, 0.587, 0.114)
SATURATION = 0.86  # of the developed picture: skin is less colourful than paint
NECK_DEPTH = -75.0  # mm: what shadows see beside the face

Slice2 = tuple[slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """Frames and what is known about them.

    ``images`` (N, H, W, 3) uint8 RGB. ``landmarks`` (N, K, 2) float32 pixels, x right, y down,
    pixel centres at +0.5, in the order of ``LANDMARKS``. ``flow`` (N, 2, H, W) float32 pixels or
    None: where the surface point seen at each pixel of the same face at rest goes, dx then dy; 0
    where no skin is seen.
    """

    images: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    flow: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """All of a person and a view that no action unit changes; fields of the face's box only."""

    person: Person
    view: View
    size: int
    supersample: int
    mm: float  # a grid pixel
    box: Slice2  # of the face in the grid
    eyes: Slice2  # in the box
    mouth: Slice2  # in the box
    qx: Tensor
    qy: Tensor
    dome: Tensor
    still: Tensor  # whole picture without the face, camera-ready, (3, size, size)
    layers: Layers  # cut to the box
    sensor: Tensor  # noise (3, size, size)
    gray: Tensor  # of each box pixel: falling off of the lens


def _cut(field: Tensor, box: Slice2) -> Tensor:
    return field[(..., *box)]


def _around(mask: Tensor, multiple: int) -> Slice2:
    """The box of a mask's true pixels, its sides multiples of MULTIPLE."""
    out = []
    for axis in (1, 0):
        line = mask.any(axis).nonzero()
        if len(line) == 0:
            out.append(slice(0, multiple))
            continue
        first, last = int(line[0]), int(line[-1]) + 1
        first -= first % multiple
        last += -last % multiple
        out.append(slice(first, min(last, mask.shape[1 - axis])))
    return out[0], out[1]


@lru_cache(maxsize=16)
def stage(person: Person, view: View, size: int, supersample: int) -> Stage:
    """Set the scene of a person and a view on a grid of size * supersample pixels."""
    pixels = size * supersample
    mm = view.span / pixels
    qx, qy = unproject(person, view, pixels)
    bx, by = plane(view, pixels)
    s = person.skull
    # the jaw drops below the chin, hair hides the top of all but bald heads
    edge = geometry.skull(person, qx.abs(), qy - 13 * step(20, 100, qy))[1]
    seen = edge < 1.09
    everything = layers(person, view, qx, qy, bx, by, mm)
    seen &= everything.hair_cover < 0.999
    box = _around(seen, 4 * supersample)
    px, py = _cut(qx, box), _cut(qy, box)
    ax = fold_sides(px)
    e, m = person.eyes, person.mouth
    eyes = (ax - e.x).abs() < e.half_width + 5
    eyes &= (py - e.y).abs() < 17
    mouth = (ax < m.half_width + 16) & (py > m.y - 34) & (py < s.middle + s.bottom + 14)
    lens = _lens(pixels)
    still = _expose(person, view, _front(everything, everything.behind)) * lens
    return Stage(
        person=person,
        view=view,
        size=size,
        supersample=supersample,
        mm=mm,
        box=box,
        eyes=_around(eyes, 1),
        mouth=_around(mouth, 1),
        qx=px.clone(),
        qy=py.clone(),
        dome=geometry.eyeball_dome(person, *lean(person, px, py)),
        still=_shrink(_shoulder(still), supersample),
        layers=everything.cut(box),
        sensor=_sensor(view, size),
        gray=_cut(lens, box),
    )


def _lens(pixels: int) -> Tensor:
    line = (torch.arange(pixels, dtype=torch.float32) + 0.5) / pixels * 2 - 1
    return 1 - 0.06 * (line * line + (line * line)[:, None])


def _sensor(view: View, size: int) -> Tensor:
    """Sensor noise of a view, correlated over pixels and channels as a camera's is."""
    rng = np.random.default_rng((view.seed, 3))
    white = torch.from_numpy(rng.standard_normal((4, size, size), dtype=np.float32))
    grain = 0.8 * white[:1] + 0.5 * white[1:]
    return view.noise * (0.6 * grain + 0.7 * blur(grain, 0.6))


def _expose(person: Person, view: View, picture: Tensor) -> Tensor:
    """White balance, and exposure by the luminance of the skin as a portrait camera meters it."""
    r, g, b = person.skin.colour
    skin = 0.3 * r + 0.59 * g + 0.11 * b
    gain = (0.26 / skin) ** (0.42 if skin > 0.26 else 0.22)
    gain *= 0.92 * float(np.exp(view.exposure))
    warm = float(np.exp(view.warmth))
    return picture * colour((gain * warm, gain, gain / warm))


def _shoulder(picture: Tensor) -> Tensor:
    """Soft roll-off of the highlights."""
    picture = picture.clamp(min=0)
    return picture * (1 + 0.22 * picture) / (1 + 0.55 * picture) * 1.12


def _shrink(picture: Tensor, times: int) -> Tensor:
    """Mean over TIMES x TIMES pixels."""
    if times == 1:
        return picture
    rows = picture[..., 0::times, :].clone()
    for k in range(1, times):
        rows += picture[..., k::times, :]
    out = rows[..., 0::times].clone()
    for k in range(1, times):
        out += rows[..., k::times]
    return out / times**2


def _develop(view: View, picture: Tensor, sensor: Tensor) -> NDArray[np.uint8]:
    """Linear camera picture (3, size, size) -> what the camera's file holds, (size, size, 3)."""
    size = picture.shape[-1]
    picture = blur(picture, max(0.25, view.blur * size / 128)).clamp_(0, 1) ** (1 / 2.2)
    picture = picture + 0.32 * (picture * picture * (3 - 2 * picture) - picture)
    r, g, b = picture
    luma = LUMA[0] * r + LUMA[1] * g + LUMA[2] * b
    picture = luma + SATURATION * blur(picture - luma, 0.8)
    picture = (picture + sensor).clamp_(0, 1)
    return (picture * 255).round_().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def _front(layer: Layers, picture: Tensor) -> Tensor:
    """Hair and glasses before a picture of the rest."""
    picture = mix(picture, layer.hair, layer.hair_cover)
    if layer.glasses is not None:
        picture = mix(picture, layer.glasses, layer.glasses_cover) + layer.reflection
    return picture


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """Where the skin of the box rests: symmetric face coordinates, and the openings."""

    x: Tensor  # of the symmetric face
    y: Tensor  # at rest
    mouth: Opening
    lids: Lids


def _pose(s: Stage, action: Action) -> Posed:
    """Undo what the action units did to the points of the box."""
    px, py = s.qx, s.qy
    if action.units:
        # the pulls are smooth: half the resolution is enough
        hx, hy = halve(px), halve(py)
        rx, ry = undo_pulls(s.person, action, hx, hy)
        px = px + resize(rx - hx, *px.shape)
        py = py + resize(ry - hy, *py.shape)
    x, y = lean(s.person, px, py)
    rest = y.clone() if action.units else y
    raised, low = action.lid_scale()
    ex, ey = _cut(x, s.eyes), _cut(y, s.eyes)
    eax = fold_sides(ex)
    posed = lids(s.person.eyes, eax, ey, raised=raised, low=low, shut=action[45])
    opening = undo_lips(s.person, action, fold_sides(_cut(x, s.mouth)), _cut(y, s.mouth))
    if action.units:
        rest[s.mouth] = opening.y
        rest[s.eyes] = undo_lids(s.person, action, eax, ey)
    return Posed(x, rest, opening, posed)


def _eye(s: Stage, light: Light, at: Posed, skin: Tensor, shadow: Tensor) -> Tensor:
    """The eyes' box (3, h, w): eyeball between the lids, lashes, over SKIN."""
    p, view, e, lid = s.person, s.view, s.person.eyes, at.lids
    mm = s.mm
    px, py = lean(p, _cut(s.qx, s.eyes), _cut(s.qy, s.eyes))
    side = torch.sign(px)
    x = fold_sides(px) - e.x
    y = py - e.y + e.tilt * x
    soft = 0.6 * mm
    open_ = inside(lid.y - lid.upper, soft) * inside(lid.lower - lid.y, soft)
    open_ = open_ * inside((1 - lid.across.abs()) * e.half_width, soft)

    gaze = side * view.gaze_x
    ix, iy = x - gaze + 0.4, y - view.gaze_y + 1.2 - e.tilt * x
    radius = torch.sqrt(ix * ix + iy * iy + 1e-4)
    ring = 5.75  # mm, the iris of everybody
    iris = inside(ring - radius, 0.35 + 0.4 * mm)
    pupil = inside(2.0 - radius, 0.3 + 0.35 * mm)
    unit = 0.55 / radius
    spokes = sample(strands(p), ix * unit + 0.3 * side, iy * unit)[0]
    glow = (1.05 + 0.28 * spokes + 0.55 * step(0, ring, iy + 2)) * 0.45
    shade = glow * (1 - 0.72 * step(0.66 * ring, ring, radius))
    s3 = lid.across.abs().clamp(max=1.2)
    white = (1 - 0.42 * p.tone) * (1 - 0.20 * s3 * s3 * torch.sqrt(s3))
    ball = colour((0.56, 0.49, 0.455)) * white
    bloody = (0.8 * step(0.6, 1.0, -lid.across) + 0.25 * s3**3 + 0.08).clamp(0, 1)
    ball = ball * (1 - bloody * (1 - colour((0.85, 0.48, 0.46))))
    ball = mix(ball, colour(e.iris) * shade, iris)
    ball = mix(ball, 0.006, pupil)
    nx, ny = x * side / 13, y / 13
    nz = torch.sqrt((1 - nx * nx - ny * ny).clamp(min=0.05))
    lit = light.irradiance(0.8 * nx, 0.8 * ny - 0.1, nz, shadow=1 + 0.6 * (shadow - 1))
    below = ((lid.y - lid.upper) / 2.6).clamp(min=1e-3)
    roofed = 1 - 0.62 * torch.exp(-torch.exp(torch.log(below) * 1.3))
    roofed = roofed - 0.20 * torch.exp(-((lid.lower - lid.y) / 1.3).clamp(min=0))
    ball = ball * lit * (0.87 * roofed)
    spot = bell(x - gaze, y - view.gaze_y, side * light.x * 3.0, -2.6, 0.95, 0.85)
    spot2 = bell(x - gaze, y - view.gaze_y, -side * light.x * 2.6, 2.2, 1.5, 0.8)
    gleam = 1.1 * view.key * (1 - 0.3 * p.tone) * spot + 0.10 * spot2
    ball = ball + gleam * step(0, 2.2, lid.y - lid.upper)
    out = mix(skin, ball, open_)

    along = inside((1.10 - lid.across.abs()) * e.half_width, 1.4)
    thick = (1.15 + 0.44 * p.fem + 0.6 * p.makeup) * (0.62 + 0.38 * step(-1, 0.7, lid.across))
    upper = ridge(lid.y + 0.15 * thick, lid.upper, 0.85 * thick + 0.2 * mm)
    lower = ridge(lid.y, lid.lower + 0.15, 0.65 + 0.25 * mm)
    lash = (0.80 + 0.15 * p.makeup) * upper + (0.20 + 0.28 * p.makeup) * lower
    dark = (colour(p.brows.colour) * 0.25).clamp(max=0.02)
    return mix(out, dark, (lash * along).clamp(0, 0.95))


def _gap(s: Stage, at: Posed, skin: Tensor) -> Tensor:
    """The mouth's box (3, h, w): teeth, tongue and dark between parted lips, over SKIN."""
    m, view, o = s.person.mouth, s.view, at.mouth
    x = _cut(at.x, s.mouth)
    ax = fold_sides(x)
    seen = inside(o.within, 0.38 * s.mm) * step(0, 0.9, o.gap)
    y = _cut(s.qy, s.mouth)  # of the skull
    depth = (o.from_upper / (o.gap + 0.4)).clamp(0, 1)
    dark = colour((0.085, 0.022, 0.019)) * (0.5 + 0.9 * depth)
    tongue = 0.85 * step(0.4, 0.9, depth) * step(4, 8, o.gap) * ridge(x, 0, 16)
    dark = mix(dark, colour((0.27, 0.09, 0.08)), tongue)
    # upper teeth are fixed to the skull; each has a rounded edge and a gap to the next
    place = torch.remainder(x + 4, 8) - 4
    bottom = o.line + 2.6 - 0.05 * place * place - 1.6 * (ax / m.half_width) ** 2
    tooth = inside(bottom - y, 0.5) * inside(0.74 * m.half_width - ax, 2)
    enamel = 1 - 0.45 * (ax / m.half_width).clamp(0, 1) ** 2 - 0.14 * ridge(place.abs(), 4, 0.5)
    # the exposure follows the skin; teeth do not
    enamel = enamel * (1.12 - 0.4 * s.person.tone)
    enamel = enamel * (0.72 + 0.28 * step(0, 2.5, o.from_upper))
    within = mix(dark, colour((0.76, 0.67, 0.55)) * enamel, tooth)
    return mix(skin, within * (0.8 * view.ambient + 0.5 * view.key), seen)


def _draw(s: Stage, action: Action) -> NDArray[np.uint8]:
    """One frame (size, size, 3) uint8."""
    p, view = s.person, s.view
    light, turn = Light.of(view), Turn.of(view)
    at = _pose(s, action)
    maps = skin_maps(p).at(action, at.x, at.y)
    edge = maps[EDGE]
    face = geometry.face_alpha(edge)
    depth = blur(turn.depth(s.qx, s.qy, maps[HEIGHT] + s.dome), 0.6)
    nx, ny, nz = normals(depth, s.mm)
    ao, crease = occlusion(depth)
    shadow = cast_shadow(mix(NECK_DEPTH, depth, face), light, s.mm)
    shadow = 1 - 0.72 * (1 - view.softness) * shadow
    albedo = maps[RED : RED + 3]
    lines = ((-crease).clamp(0, 2.5) * 0.22).clamp(0, 0.6)
    albedo = albedo * (1 - lines * (1 - colour((0.80, 0.55, 0.50))))
    lit = light.irradiance(nx, ny, nz, shadow, ao)
    # red light travels further in skin, green a little
    half = resize(blur(halve(lit[:1]), 0.8), *depth.shape)
    lit[0] = 0.45 * lit[0] + 0.55 * half[0]
    lit[1] = 0.8 * lit[1] + 0.2 * blur(lit[1], 1.0)
    picture = albedo * lit
    hx, hy, hz = light.x, light.y, light.z + 1
    norm = (hx * hx + hy * hy + hz * hz) ** -0.5
    shine = ((nx * hx + ny * hy + nz * hz) * norm).clamp_(min=0)
    s2 = shine * shine
    s8 = (s2 * s2) ** 2
    s32 = (s8 * s8) ** 2
    gleam = (0.095 * s8 * shine + 0.16 * s32 * s2) * maps[GLOSS] * shadow * view.key
    gleam = gleam * (0.6 + 0.4 * ao)
    picture = picture + gleam * colour((1.0, 0.97, 0.94))
    picture = picture + (0.025 * view.ambient) * (1 - nz).clamp(0, 1) ** 3
    if action[25] or action[26]:
        picture[(slice(None), *s.mouth)] = _gap(s, at, _cut(picture, s.mouth))
    cut = _cut(shadow, s.eyes)
    picture[(slice(None), *s.eyes)] = _eye(s, light, at, _cut(picture, s.eyes), cut)
    layer = s.layers
    if p.hair.shaved:
        picture = mix(picture, layer.shaved_colour, layer.shaved)
    picture = picture * (layer.shade * (1 - 0.30 * step(0.8, 1.0, edge)))
    picture = _front(layer, mix(layer.behind, picture, face))
    picture = _shoulder(_expose(p, view, picture) * s.gray)
    whole = s.still.clone()
    k = s.supersample
    rows, columns = (slice(b.start // k, b.stop // k) for b in s.box)
    whole[:, rows, columns] = _shrink(picture, k)
    return _develop(view, whole, s.sensor)


def _tensor(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


LANDMARKS = (
    "left_pupil", "right_pupil", "nose_tip", "left_mouth", "right_mouth",
    "left_brow_outer", "left_brow_mid", "left_brow_inner",
    "right_brow_inner", "right_brow_mid", "right_brow_outer",
    "left_eye_outer", "left_eye_upper", "left_eye_inner", "left_eye_lower",
    "right_eye_inner", "right_eye_upper", "right_eye_outer", "right_eye_lower",
    "nose_bridge", "left_nose_wing", "right_nose_wing", "nose_base",
    "upper_lip_top", "upper_lip_bottom", "lower_lip_top", "lower_lip_bottom",
    "left_cheek", "right_cheek", "chin",
)  # fmt: skip
"""Names of the landmarks; left and right are the picture's. The first five are MTCNN's."""


def _rest_points(person: Person) -> tuple[Tensor, Tensor]:
    """The landmarks after the pupils, as rest points of the symmetric face (mm)."""
    e, b, n, m, s = person.eyes, person.brows, person.nose, person.mouth, person.skull
    brow_mid = 0.5 * (b.inner + b.outer)

    def brow_y(x: float) -> float:
        t = (x - b.inner) / (b.outer - b.inner) - 0.63
        return b.y - b.arch * (1 - (t / (0.63 if t < 0 else 0.34)) ** 2) + 2.2

    middle = lids(e, _tensor([e.x]), _tensor([e.y]))
    upper, lower = e.y + float(middle.upper), e.y + float(middle.lower)
    slant = e.tilt * e.half_width
    lip = geometry.lips(m, fold_sides(_tensor([0.0])))
    line, top, bottom = float(lip.line), float(lip.upper), float(lip.lower)
    corner = float(geometry.lips(m, _tensor([m.half_width])).line)
    wing = (0.95 * n.half_width, n.length + 4.0)
    points = {
        "nose_tip": (0.0, n.length),
        "mouth": (m.half_width, corner),
        "brow_outer": (b.outer, brow_y(b.outer)),
        "brow_mid": (brow_mid, brow_y(brow_mid)),
        "brow_inner": (b.inner, brow_y(b.inner)),
        "eye_outer": (e.x + e.half_width, e.y - slant),
        "eye_inner": (e.x - e.half_width, e.y + slant),
        "eye_upper": (e.x, upper - 1e-3),
        "eye_lower": (e.x, lower + 1e-3),
        "nose_bridge": (0.0, 12.0),
        "nose_wing": wing,
        "nose_base": (0.0, n.length + 11.0),
        "upper_lip_top": (0.0, line - top),
        "upper_lip_bottom": (0.0, line - 1e-3),
        "lower_lip_top": (0.0, line + 1e-3),
        "lower_lip_bottom": (0.0, line + bottom),
        "cheek": (40.0, 34.0),
        "chin": (0.0, s.middle + s.bottom - 3),
    }
    xs, ys = [], []
    for name in LANDMARKS[2:]:
        side, _, part = name.partition("_")
        x, y = points[part if side in ("left", "right") else name]
        xs.append(-x if side == "left" else x)
        ys.append(y)
    return _tensor(xs), _tensor(ys)


def _landmarks(person: Person, view: View, action: Action, size: int) -> NDArray[np.float32]:
    """(K, 2) float32 pixels."""
    e = person.eyes
    # the pupils' centres, as the iris is drawn: gaze moves both the same way in the picture
    right = e.x - 0.4 + view.gaze_x
    left = -(e.x - 0.4) + view.gaze_x
    height = e.y + view.gaze_y - 1.2
    px, py = unlean(person, _tensor([left, right]), _tensor([height, height]))
    fx, fy = _rest_points(person)
    qx, qy = advance(person, action, fx, fy)
    x, y = torch.cat([px, qx]), torch.cat([py, qy])
    u, v = project(view, x, y, geometry.camera_surface(person, x, y), size)
    return torch.stack([u, v], -1).numpy()


def _flow(s: Stage, action: Action) -> NDArray[np.float32]:
    """(2, size, size) float32 pixels: the skin's way from its place at rest."""
    k, size = s.supersample, s.size
    out = torch.zeros(2, size, size)
    if not action.units:
        return out.numpy()
    qx, qy = _shrink(s.qx, k), _shrink(s.qy, k)
    fx, fy = lean(s.person, qx, qy)
    x0, y0 = unlean(s.person, fx, fy)
    x1, y1 = advance(s.person, action, fx, fy)
    x1, y1 = qx + (x1 - x0), qy + (y1 - y0)
    u0, v0 = project(s.view, qx, qy, geometry.camera_surface(s.person, qx, qy), size)
    u1, v1 = project(s.view, x1, y1, geometry.camera_surface(s.person, x1, y1), size)
    rest = _pose(s, Action({}))
    edge = geometry.skull(s.person, fold_sides(rest.x), rest.y)[1]
    skin = (edge < 1) & (s.layers.hair_cover < 0.5) & (s.layers.glasses_cover < 0.5)
    lid = rest.lids
    ball = (lid.y > lid.upper) & (lid.y < lid.lower) & (lid.across.abs() < 1)
    skin[s.eyes] &= ~ball
    shown = _shrink(skin.float(), k) > 0.5
    rows, columns = (slice(b.start // k, b.stop // k) for b in s.box)
    out[:, rows, columns] = torch.stack([u1 - u0, v1 - v0]) * shown
    return out.numpy()


@torch.no_grad()
@one_thread()
def render(
    people: Sequence[Person],
    views: Sequence[View],
    aus: NDArray[np.floating] | Tensor,
    *,
    size: int = SIZE,
    supersample: int = 2,
    flow: bool = False,
    device: str = "cpu",
) -> Rendering:
    """Render N people in N views with action units (N, 17) in [0, 1], in the order of ``AUS``.

    Frames of one person and view after one another are cheap: the rest is kept. SIZE is a
    multiple of 8. Only the CPU is served, on one thread: for more, use processes.
    """
    if device != "cpu":
        raise ValueError(f"the renderer runs on the CPU, not on {device}")
    if size % 8 or size < 32 or supersample < 1:
        raise ValueError(f"size must be a multiple of 8 from 32 up, not {size} x {supersample}")
    given = aus.detach().cpu().numpy() if isinstance(aus, Tensor) else aus
    vectors = torch.from_numpy(np.array(given, np.float32))
    if vectors.shape != (len(people), len(AUS)) or len(views) != len(people):
        raise ValueError(
            f"{len(people)} people need as many views and AUs of shape (N, {len(AUS)}), "
            f"not {len(views)} and {tuple(vectors.shape)}"
        )
    if not bool(((vectors >= 0) & (vectors <= 1)).all()):
        raise ValueError("action units lie in [0, 1]: divide OpenFace's by 5")
    images, points, flows = [], [], []
    for person, view, vector in zip(people, views, vectors, strict=True):
        action = Action.of(vector)
        scene = stage(person, view, size, supersample)
        images.append(_draw(scene, action))
        points.append(_landmarks(person, view, action, size))
        if flow:
            flows.append(_flow(scene, action))
    return Rendering(
        np.stack(images) if images else np.zeros((0, size, size, 3), np.uint8),
        np.stack(points) if points else np.zeros((0, len(LANDMARKS), 2), np.float32),
        (np.stack(flows) if flows else np.zeros((0, 2, size, size), np.float32)) if flow else None,
    )


@torch.no_grad()
def band_mask(person: Person, view: View, au: int, size: int = SIZE) -> NDArray[np.bool_]:
    """(size, size) bool: the pixels that AU may change in this person's picture."""
    qx, qy = unproject(person, view, size)
    ax = qx.abs()
    mask = torch.zeros(size, size, dtype=torch.bool)
    for x0, x1, y0, y1 in BANDS[au]:
        mask |= (ax >= x0) & (ax <= x1) & (qy >= y0) & (qy <= y1)
    return mask.numpy()
