"""AU_exp: Action Units drawn from a table of how often each takes part in an emotion (MiE-X, 3).

One draw: pick an emotion of the wanted class, let each AU of its row take part with the table's
probability, and give every AU that does its own intensity. The onset is a face at rest, 17 zeros.

Two tables, because the published code does not contain the table that the paper cites:

``miex_coded``
    The numbers in the MiE-X code; only 0.5 and 1 occur. Fear has no certain AU there, so 1 draw in
    16 has no AU at all: an apex identical to the onset, labelled negative. Here such a draw is
    drawn again, with the same emotion, and the settings say so.
``du2014``
    S. Du, Y. Tao, A. M. Martinez, "Compound facial expressions of emotion", PNAS 2014, Table 1.
    It marks AUs of more than 70 % of the subjects without an exact number: they count as 1.0 here.
    AU11 (sad, .26) and AU24 (angry, always; disgusted, .26) have no intensity in OpenFace and are
    left out. There is no row for contempt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mie_x.records import AUS, LABEL_OF_EMOTION, LABELS, Motion

TABLES: dict[str, dict[str, dict[int, float]]] = {
    "miex_coded": {
        "happiness": {6: 0.5, 12: 1.0, 25: 0.5},
        "sadness": {1: 0.5, 4: 1.0, 15: 0.5},
        "surprise": {1: 1.0, 2: 1.0, 5: 0.5, 25: 0.5, 26: 0.5},
        "fear": {5: 0.5, 20: 0.5, 25: 0.5, 26: 0.5},
        "anger": {4: 1.0, 7: 0.5, 23: 0.5},
        "disgust": {9: 1.0, 10: 0.5, 17: 1.0},
        "contempt": {14: 1.0},
    },
    "du2014": {
        "happiness": {6: 0.51, 12: 1.0, 25: 1.0},
        "sadness": {1: 0.60, 4: 1.0, 6: 0.50, 15: 1.0, 17: 0.67},
        "fear": {1: 1.0, 2: 0.57, 4: 1.0, 5: 0.63, 20: 1.0, 25: 1.0, 26: 0.33},
        "anger": {4: 1.0, 7: 1.0, 10: 0.26, 17: 0.52, 23: 0.29},
        "surprise": {1: 1.0, 2: 1.0, 5: 0.66, 25: 1.0, 26: 1.0},
        "disgust": {4: 0.31, 9: 1.0, 10: 1.0, 17: 1.0},
    },
}
"""Table name -> emotion -> AU -> probability that the AU takes part, in (0, 1]; no AU: never."""

NOTES: dict[str, tuple[str, ...]] = {
    "miex_coded": ("a draw without any active AU (1 in 16 of fear) is drawn again",),
    "du2014": (
        "'always' (more than 70 % of the subjects) counts as 1.0",
        "AU11 and AU24 are left out: OpenFace has no intensity for them",
    ),
}
"""What the tables here do differently from their sources; part of the settings."""


@dataclass(frozen=True)
class Expert:
    """Motions from an expert table.

    ``table`` is one of ``TABLES``. ``interval`` (lo, hi), 0 <= lo < hi <= 1, is where the intensity
    of every active AU is drawn from, uniformly and independently of the others: (0.1, 0.3) is
    MiE-X's micro-expression, OpenFace 0.5 to 1.5; (0.3, 0.8) its macro-expression. Raises
    ValueError on another table or interval.
    """

    table: str = "miex_coded"
    interval: tuple[float, float] = (0.1, 0.3)

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise ValueError(f"no expert table {self.table!r}: choose from {', '.join(TABLES)}")
        low, high = self.interval
        if not 0 <= low < high <= 1:
            raise ValueError(
                f"intensity interval ({low}, {high}): need 0 <= low < high <= 1, "
                "on the scale where 1 is OpenFace's 5"
            )

    @property
    def stand_in(self) -> bool:
        """False: the table is the source itself, it stands for nothing else."""
        return False

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-able: everything that decides what is drawn, the probabilities included."""
        return {
            "table": self.table,
            "interval": [float(bound) for bound in self.interval],
            "probabilities": {
                emotion: {f"AU{au:02d}": probability for au, probability in row.items()}
                for emotion, row in TABLES[self.table].items()
            },
            "notes": list(NOTES[self.table]),
            "stand_in": False,
            "left_out": [],
        }

    def missing_labels(self) -> tuple[str, ...]:
        """Names of the classes that cannot be drawn: none, both tables cover all three."""
        return ()

    def draw(self, label: int, rng: np.random.Generator) -> Motion:
        """Draw a motion of class LABEL: onset all zeros, apex with at least one active AU.

        The emotion is uniform among those of the class. A table says nothing about the time
        between: ``rise`` and ``fall`` are None. Raises ValueError on an unknown label.
        """
        emotions = _emotions(self.table, label)
        if not emotions:
            raise ValueError(f"label {label!r}: labels are {LABELS}")
        emotion, probabilities = emotions[int(rng.integers(len(emotions)))]
        apex = np.zeros(len(AUS), np.float32)
        while not apex.any():
            active = rng.random(len(AUS)) < probabilities
            intensities = rng.uniform(*self.interval, len(AUS))
            apex = np.where(active, intensities, 0).astype(np.float32)
        return Motion(np.zeros(len(AUS), np.float32), apex, label, emotion, "exp")


@cache
def _emotions(table: str, label: int) -> tuple[tuple[str, NDArray[np.float64]], ...]:
    """Emotions of class LABEL in TABLE, each with its probabilities (17,)."""
    return tuple(
        (emotion, _vector(row))
        for emotion, row in TABLES[table].items()
        if LABELS[LABEL_OF_EMOTION[emotion]] == label
    )


def _vector(row: Mapping[int, float]) -> NDArray[np.float64]:
    """Table row -> (17,) float64 in the order of AUS."""
    return np.array([row.get(au, 0.0) for au in AUS], np.float64)
