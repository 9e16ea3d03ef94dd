"""Does a clip show what was asked of it? Measures of an onset and an apex that need no download.

Frames are (128, 128, 3) uint8 RGB, aligned to the template of ``mie_x.faces``. Drawn faces in
poses of their own are near enough: of 20 of them, animated by the renderer itself, .4 % of the
change of an AU at 0.3 fell outside of the bands used here (.25 % where the face was aligned first,
.2 % outside of each face's own bands).

1. T. Ahonen, A. Hadid, M. Pietikäinen, "Face Description with Local Binary Patterns", TPAMI 2006.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mie_x.faces.detection import similarity
from mie_x.faces.pictures import warp
from mie_x.records import AUS, SIZE, Aus, Frames
from mie_x.threads import one_thread

Differences = Callable[[Frames, Frames], Aus]
"""Onsets and apexes (N, 128, 128, 3) uint8 -> how much each AU rose, (N, 17) in [-1, 1]."""

NEAR_COPY = 0.01
"""Mean change in grey levels below which nothing was animated: less than one value in a hundred by
one level. The renderer's own frames of single AUs at 0.1, of 20 people, change by .03 (AU7) to .29
(AU26) on average, and by .018 at least."""

FACE = (slice(20, 116), slice(22, 106))  # of the template: brow to chin, without most background
CELL = 12  # px: 8 x 7 cells
PATTERNS = 59  # uniform patterns of 8 neighbours, and one for all others
RADIUS = 2  # px
BLUR = 1.0  # px: patterns of skin, not of the sensor
PEOPLE = 12  # drawn people that make up the usual face
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

HASH = 16  # lowest frequencies each way
NEAR_HASH = 24
"""Bits of 255 by which hashes of one picture may differ. Photographs of one face saved as JPEG 70,
halved in size, or a seventh brighter differed by 6 at most, drawn ones by 22; frontal photographs
of two people (72 of them, all pairs) by 54 and more, drawn people by 46 and more."""

Vector = NDArray[np.float32]


def asked_aus(onset: ArrayLike, apex: ArrayLike) -> list[int]:
    """The AUs in which two vectors (17,) differ, by number.

    >>> asked_aus(np.zeros(17), 0.2 * (np.array(AUS) == 12))
    [12]
    """
    different = np.asarray(onset) != np.asarray(apex)
    return [au for au, differs in zip(AUS, different, strict=True) if differs]


@cache
@one_thread()
def bands() -> NDArray[np.bool_]:
    """(17, 128, 128): the pixels of an aligned face that each AU, in the order of AUS, may change.

    Those of a drawn face in the reference view, brought to the template by its five points.
    """
    from mie_x.renderer import band_mask, draw_person, reference_view, render  # torch

    person, view = draw_person(0), reference_view()
    points = render([person], [view], np.zeros((1, len(AUS)))).landmarks[0, :5]
    matrix = similarity(points)
    masks = [band_mask(person, view, au).astype(np.uint8) * np.uint8(255) for au in AUS]
    return np.stack([warp(np.stack([mask] * 3, axis=2), matrix)[:, :, 0] > 127 for mask in masks])


def changed_inside(onset: Frames, apex: Frames, asked: Collection[int]) -> float:
    """Mean absolute change, in grey levels, where the AUs ASKED (numbers, at least one) may act."""
    if not asked:
        raise ValueError("no AU was asked for: nothing is inside its part of the face")
    return float(_change(onset, apex)[_may_change(asked)].mean())


def changed_outside(onset: Frames, apex: Frames, asked: Collection[int]) -> float:
    """Mean absolute change, in grey levels, where none of the AUs ASKED (numbers) may act."""
    return float(_change(onset, apex)[~_may_change(asked)].mean())


def _may_change(asked: Collection[int]) -> NDArray[np.bool_]:
    chosen = [AUS.index(au) for au in asked]
    return np.asarray(bands()[chosen].any(axis=0))


def _change(onset: Frames, apex: Frames) -> NDArray[np.float32]:
    """(128, 128): absolute change, mean of the three channels."""
    change: NDArray[np.float32] = np.abs(apex.astype(np.float32) - onset).mean(axis=2)
    return change


def motion(onset: Frames, apex: Frames) -> float:
    """Mean absolute change of the whole frame, in grey levels.

    >>> grey = np.full((128, 128, 3), 100, np.uint8)
    >>> motion(grey, grey + np.uint8(3))
    3.0
    """
    return float(_change(onset, apex).mean())


def is_near_copy(onset: Frames, apex: Frames) -> bool:
    """Whether the apex differs from the onset by less than ``NEAR_COPY`` grey levels."""
    return motion(onset, apex) < NEAR_COPY


def identity_cosine(face: Frames, frame: Frames) -> float:
    """How much FRAME looks like the person of FACE, in [-1, 1]: cosine of ``identity_vector``.

    Measured on 72 people neutral and smiling, each photographed twice in one session (London set):
    .75 on average for the same person, .42 for others; every smile's nearest neutral face is its
    own (rank 1: 100 %), AUC 1.000. On 60 drawn people at rest and smiling (AU 6, 12, 25 at 0.5), in
    one pose and light: .83 and .12, 100 %, 1.000. In another pose and light: .40 and .13, 52 %,
    .88. A blur of 0.7 px costs .07 to .09, noise of 3 grey levels .06 to .12.

    So it tells whether animation kept a face that is otherwise seen the same; it does not recognise
    people across photographs.
    """
    return float(identity_vector(face) @ identity_vector(frame))


def identity_vector(face: Frames) -> Vector:
    """The texture of a face, cell by cell, less that of the usual face: (3304,) of length 1.

    Roots of the cells' histograms of local binary patterns [1].
    """
    vector = (_texture(face) - _usual()).ravel()
    unit: Vector = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit


def _texture(face: Frames) -> Vector:
    """(56, 59): root of the share of each pattern in each cell."""
    from skimage.feature import local_binary_pattern
    from skimage.filters import gaussian

    grey: Vector = gaussian(face @ LUMA, sigma=BLUR, preserve_range=True)  # type: ignore[no-untyped-call]
    fine = np.rint(64 * grey).astype(np.int32)  # whole numbers: no pattern of rounding errors
    found: Vector = local_binary_pattern(fine, 8, RADIUS, "nri_uniform")  # type: ignore[no-untyped-call]
    patterns = found[FACE].astype(np.intp)
    rows, columns = (side // CELL for side in patterns.shape)
    cells = patterns.reshape(rows, CELL, columns, CELL).swapaxes(1, 2).reshape(-1, CELL * CELL)
    places = np.arange(len(cells))[:, None] * PATTERNS + cells
    counts = np.bincount(places.ravel(), minlength=len(cells) * PATTERNS)
    texture: Vector = np.sqrt(counts.reshape(-1, PATTERNS) / CELL**2).astype(np.float32)
    return texture


@cache
@one_thread()
def _usual() -> Vector:
    """Mean texture of ``PEOPLE`` drawn faces on the template: what all faces have in common."""
    from mie_x.renderer import draw_person, reference_view, render  # torch

    textures = []
    for seed in range(PEOPLE):
        drawn = render([draw_person(seed)], [reference_view()], np.zeros((1, len(AUS))))
        textures.append(_texture(warp(drawn.images[0], similarity(drawn.landmarks[0, :5]))))
    mean: Vector = np.mean(textures, axis=0, dtype=np.float32)
    return mean


def perceptual_hash(frame: Frames) -> NDArray[np.bool_]:
    """(255,) bool that small changes of a picture leave alone: its lowest frequencies' signs.

    Each against the median, the mean brightness left out. See ``NEAR_HASH``.
    """
    small = (frame @ LUMA).reshape(4 * HASH, SIZE // (4 * HASH), 4 * HASH, -1).mean(axis=(1, 3))
    place = np.arange(4 * HASH) + 0.5
    waves = np.cos(np.pi / (4 * HASH) * np.arange(HASH)[:, None] * place)
    waves[0] /= np.sqrt(2)
    coefficients = (waves @ small @ waves.T).ravel()[1:]
    bits: NDArray[np.bool_] = coefficients > np.median(coefficients)
    return bits


def measured(
    face: Frames,
    clips: Sequence[Frames],
    rows: Sequence[Mapping[str, Any]],
    *,
    differences: Differences,
) -> list[dict[str, Any]]:
    """What the CLIPS (T, 128, 128, 3) of one person's FACE show: a dict for each of their ROWS.

    ``measured_delta_aus`` (17,) in [-1, 1]; ``identity_cosine`` of face and apex;
    ``changed_outside`` of the AUs that the row's ``onset_aus`` and ``apex_aus`` differ in. Plain
    numbers that float32 holds: a table and a JSON file tell them alike.
    """
    own = identity_vector(face)
    onsets = np.stack([clip[0] for clip in clips])
    apexes = np.stack(
        [clip[row.get("apex_frame", -1)] for clip, row in zip(clips, rows, strict=True)]
    )
    answer = []
    for row, onset, apex, deltas in zip(
        rows, onsets, apexes, differences(onsets, apexes), strict=True
    ):
        asked = asked_aus(row["onset_aus"], row["apex_aus"])
        answer.append(
            {
                "measured_delta_aus": deltas.astype(np.float32).tolist(),
                "identity_cosine": float(np.float32(own @ identity_vector(apex))),
                "changed_outside": float(np.float32(changed_outside(onset, apex, asked))),
            }
        )
    return answer


def fidelity(row: Mapping[str, Any], measured_delta_aus: ArrayLike) -> float:
    """The share of the asked movement that was measured: 1 as asked, 0 none, below 0 the other way.

    The measured change of all AUs, projected on the change that ROW asks for.

    >>> asked = {"onset_aus": [0.0] * 17, "apex_aus": [0.2] + [0.0] * 16}
    >>> round(fidelity(asked, [0.1] + [0.3] * 16), 6)
    0.5
    """
    wanted = np.subtract(row["apex_aus"], row["onset_aus"], dtype=np.float64)
    return float(wanted @ np.asarray(measured_delta_aus, np.float64) / (wanted @ wanted))
