"""Stand-in clips: invented AU curves, for whoever has no recordings of micro- or macro-expressions.

Nothing here was measured on anybody. The emotions' AUs are what textbooks on facial expression
agree on; amplitudes, curves, noise and subjects are made up for mie-x so that the same code runs,
and shows its habits, as with real clips: 12 subjects each with AUs that are never quite at rest,
60 clips (30 negative, 15 positive, 15 surprise), measurement noise, AUs that come along unasked,
two decimals on OpenFace's scale. Origins and settings call them stand-ins. What is measured on
them says nothing about real micro-expressions.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from au_sources.clips import AuClip
from mie_x.datasets.standin import SHAPES
from mie_x.records import AUS, LABEL_OF_EMOTION, LABELS, Origin

SEED = 20221023
"""Of all stand-ins, whatever the seed of a run: they are data, not a draw."""
SUBJECTS = 12
EMOTIONS = (
    *("happiness",) * 15,
    *("surprise",) * 15,
    *("sadness", "fear", "anger", "disgust", "contempt") * 6,
)
"""Emotion of each clip; clip k belongs to subject k mod 12."""


@cache
def stand_in_clips(source: str) -> tuple[AuClip, ...]:
    """The stand-ins of SOURCE, always the same.

    "mie": 12 to 24 frames that rise from near rest to an apex of 0.05 to 0.35 and fall again, onset
    and apex annotated, the last frame as the offset. "mae": 20 to 60 frames that rise from near
    rest to 0.6 to 1 at the end. Raises ValueError on another SOURCE.
    """
    if source not in ("mie", "mae"):
        raise ValueError(f"source {source!r}: there are stand-ins for 'mie' and 'mae'")
    rng = np.random.default_rng([SEED, ("mie", "mae").index(source)])
    habits = rng.uniform(0.01, 0.06, (SUBJECTS, len(AUS))) * (
        rng.random((SUBJECTS, len(AUS))) < 0.25
    )
    clips = []
    for number, emotion in enumerate(EMOTIONS):
        subject = number % SUBJECTS
        if source == "mie":
            curve, onset, apex = _rise_and_fall(rng)
            offset = len(curve) - 1
            amplitude = rng.uniform(0.12, 0.3)
        else:
            curve, onset, apex, offset = _slow_rise(rng), None, None, None
            amplitude = rng.uniform(0.7, 0.95)
        peak = amplitude * _shape(emotion, rng)
        aus = habits[subject] + curve[:, None] * peak
        noise = rng.normal(0, 0.008, aus.shape)
        # OpenFace: a floor at zero, two decimals on 0 to 5
        aus = np.round(np.clip(aus + noise * (aus > 0), 0, 1) * 5, 2) / 5
        clips.append(
            AuClip(
                Origin(f"stand-in-{source}", f"invented-{subject + 1:02d}", f"{number + 1:02d}"),
                LABELS[LABEL_OF_EMOTION[emotion]],
                emotion,
                aus.astype(np.float32),
                onset,
                apex,
                offset,
                stand_in=True,
                measured="invented, not measured",
            )
        )
    return tuple(clips)


def _shape(emotion: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """(17,) shares of the amplitude: the emotion's AUs, somewhat varied, and a companion."""
    shape = np.zeros(len(AUS))
    for rank, (au, share) in enumerate(SHAPES[emotion].items()):
        if rank == 0 or rng.random() < 0.8:
            shape[AUS.index(au)] = min(1.0, share * rng.uniform(0.8, 1.15))
    companion = int(rng.integers(len(AUS)))
    shape[companion] = max(shape[companion], rng.uniform(0.05, 0.2))
    return shape


def _rise_and_fall(rng: np.random.Generator) -> tuple[NDArray[np.float64], int, int]:
    """(T,) in [0, 1]: rest up to the onset, 1 at the apex, partly back at the end; both indices."""
    count = int(rng.integers(12, 25))
    onset = int(rng.integers(0, 3))
    apex = int(rng.integers(count // 3 + 1, 2 * count // 3))
    time = np.arange(count)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.clip((time - onset) / (apex - onset), 0, 1))
    fall = 0.5 + 0.5 * np.cos(np.pi * np.clip((time - apex) / (count - apex), 0, 1))
    return rise * fall, onset, apex


def _slow_rise(rng: np.random.Generator) -> NDArray[np.float64]:
    """(T,) in [0, 1]: from rest with growing speed to 1, which it holds for the last tenth.

    A quarter of the way it stands at 0.08, half way at 0.31: the early part is micro-like.
    """
    count = int(rng.integers(20, 61))
    return np.clip(np.arange(count) / (0.9 * (count - 1)), 0, 1) ** 2
