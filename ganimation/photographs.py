"""Photographed people at rest, moved by the renderer's own field: true texture, known motion.

A person is drawn in the reference view, at rest and in each frame's action units. The field of
displacement that the renderer knows is laid on the photograph by the five points of both faces (an
affine map, least squares), and the photograph is warped by it. What the skin's motion does to
light, and what lids and lips cover or uncover, is taken over as a ratio of brightness: that of the
drawn frame to the drawn neutral face, warped alike.

Good up to the intensity of a micro-expression; beyond, the mouth would have to show teeth, and the
lids a skin, that are in no neutral photograph.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ganimation.animation import to_levels, to_signed
from ganimation.drawings import Clip, draw_aus, identity_seed
from ganimation.networks import warp
from mie_x.faces.detection import TEMPLATE, Detector
from mie_x.records import AUS, Aus, Frames

STRONGEST = 0.4  # intensity
REACH = 3.0  # px; deviation of the Gaussian that continues the field where no skin is seen
FAINT = 0.05  # of a weight of 1: farther from skin than this tells, the field falls to nothing
ROUNDS = 4  # of the fixed point that inverts the field; its slope is far below 1
SOFT = 0.8  # px; the light's ratio is blurred by it, because lids and lips never fit exactly
STRONGEST_LIGHT = 0.4  # of the ratio's logarithm
DARK = 8.0  # grey levels added to both sides of the ratio

Points = NDArray[np.float64]


class Laid(NamedTuple):
    """What N AU vectors do to a drawn person, laid on another face at rest."""

    field: NDArray[np.float32]  # (N, 2, H, W) px: where each point of the face goes, dx then dy
    light: NDArray[np.float32]  # (N, 1, H, W) logarithm of the brightness' ratio, as moved
    skin: NDArray[np.bool_]  # (H, W): where the field is known, and not continued


def find_points(faces: Frames) -> Points:
    """The five points of each aligned face (N, 128, 128, 3) uint8 RGB: (N, 5, 2) px.

    Where the detector is not certain of the aligned face, the template's.
    """
    detector = Detector()
    found = [detector(face).points for face in faces]
    return np.array([points if len(points) == len(TEMPLATE) else TEMPLATE for points in found])


def move_person(faces: Frames, points: Points, number: int) -> Clip:
    """Clip NUMBER of FACES at rest (N, H, W, 3), taken in turn, whose five POINTS are (N, 5, 2).

    The AUs are those of drawn people (``drawings.draw_aus``), at most STRONGEST.
    """
    seed = identity_seed("photographs", number)
    aus = draw_aus(np.random.default_rng(seed), number)
    aus *= (STRONGEST / np.maximum(aus.max(axis=1, keepdims=True), STRONGEST)).astype(np.float32)
    which = number % len(faces)
    return move(faces[which], points[which], aus, seed=seed), aus


def move(face: Frames, points: Points, aus: Aus, *, seed: int) -> Frames:
    """FACE (H, W, 3) with its five POINTS (5, 2), moved as the person of SEED is by AUS (N, 17)."""
    laid = lay(points, aus, seed=seed)
    image = to_signed(torch.from_numpy(face)[None]).expand(len(aus), -1, -1, -1)
    moved = warp(image, inverse(torch.from_numpy(laid.field))) + 1
    moved = moved * torch.from_numpy(laid.light).exp() - 1
    frames = to_levels(moved.clamp(-1, 1)).numpy()
    frames[~aus.any(axis=1)] = face
    return frames


def lay(points: Points, aus: Aus, *, seed: int) -> Laid:
    """What AUS (N, 17) do to the person of SEED, laid on a face with the five POINTS (5, 2)."""
    from mie_x.renderer import draw_person, reference_view, render

    person, view = draw_person(seed), reference_view()
    # The last row moves everything: where not even that does, no skin is seen.
    rows = np.concatenate([np.zeros((1, len(AUS))), aus, np.full((1, len(AUS)), 0.1)])
    drawn = render([person] * len(rows), [view] * len(rows), rows, flow=True)
    assert drawn.flow is not None
    skin = torch.from_numpy(np.hypot(*drawn.flow[-1]) > 0).float()[None, None]
    known = torch.from_numpy(drawn.flow[1:-1])
    reached = blur(skin, REACH)
    field = torch.where(skin > 0, known, blur(known * skin, REACH) / (reached + FAINT))
    grey = to_signed(torch.from_numpy(drawn.images[:-1])).mean(dim=1, keepdim=True)
    grey = (grey + 1) * 127.5 + DARK
    still = warp(grey[:1].expand(len(aus), -1, -1, -1), inverse(field))
    light = (
        (blur(grey[1:], SOFT) / blur(still, SOFT)).log().clamp(-STRONGEST_LIGHT, STRONGEST_LIGHT)
    )
    light = light * (reached / (reached + FAINT)) * (field != 0).any(dim=1, keepdim=True)
    turn, shift = affine(drawn.landmarks[0, : len(points)].astype(float), points)
    field, light, skin = (look_up(planes, turn, shift) for planes in (field, light, skin))
    field = torch.einsum("ij,njhw->nihw", torch.from_numpy(turn).float(), field)
    return Laid(field.numpy(), light.numpy(), skin[0, 0].numpy() > 0.5)


def affine(source: Points, target: Points) -> tuple[Points, Points]:
    """The matrix (2, 2) and the shift (2,) that bring SOURCE (K, 2) to TARGET: least squares.

    >>> corners = np.array([[0.0, 0], [1, 0], [0, 1]])
    >>> turn, shift = affine(corners, 2 * corners + [3, 4])
    >>> turn.round(9).tolist(), shift.round(9).tolist()
    ([[2.0, 0.0], [0.0, 2.0]], [3.0, 4.0])
    """
    rows = np.column_stack([source, np.ones(len(source))])
    found = np.asarray(np.linalg.lstsq(rows, target, rcond=None)[0], np.float64)  # (3, 2)
    return found[:2].T, found[2]


def look_up(planes: Tensor, turn: Points, shift: Points) -> Tensor:
    """PLANES (N, C, H, W) as they lie after x -> TURN x + SHIFT; zero beyond their border."""
    height, width = planes.shape[2:]
    back = np.linalg.inv(turn)
    y, x = np.mgrid[:height, :width] + 0.5
    at = np.einsum("ij,jhw->hwi", back, np.stack([x, y]) - shift[:, None, None])
    grid = torch.from_numpy(at / (width / 2, height / 2) - 1).float()
    grid = grid.expand(len(planes), -1, -1, -1)
    return F.grid_sample(planes, grid, padding_mode="zeros", align_corners=False)


def inverse(field: Tensor) -> Tensor:
    """What ``warp`` needs so that each point goes where the FIELD (N, 2, H, W) at rest sends it."""
    shift = field
    for _ in range(ROUNDS):
        shift = warp(field, shift)
    return shift


def blur(planes: Tensor, deviation: float) -> Tensor:
    """Gaussian, over (N, C, H, W)."""
    reach = round(3 * deviation)
    line = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * deviation**2))
    line = (line / line.sum())[None, None, None]
    number, channels, height, width = planes.shape
    flat = planes.reshape(number * channels, 1, height, width)
    flat = F.conv2d(F.pad(flat, (reach, reach, 0, 0), mode="replicate"), line)
    flat = F.conv2d(F.pad(flat, (0, 0, reach, reach), mode="replicate"), line.mT)
    return flat.reshape(planes.shape)
