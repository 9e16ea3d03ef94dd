"""The nouns of the project: AU order, labels, sources, and the records handed on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

AUS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45)
"""The 17 action units of every AU vector, in OpenFace's order; values are its / 5, in [0, 1]."""

LABELS = {"negative": 0, "positive": 1, "surprise": 2}
"""The three classes of MEGC 2019 and of MiE-X."""

SOURCES = ("mie", "mae", "exp")
"""AU sources: real micro-expressions, early macro-expressions, expert tables (MiE-X, section 3)."""

SIZE = 128
"""Side of every generated frame in pixels: the size GANimation was published at."""

# Emotion words of the collections and tables -> class. "others" and "neutral" have no class.
LABEL_OF_EMOTION = {
    "happiness": "positive",
    "surprise": "surprise",
    "sadness": "negative",
    "fear": "negative",
    "anger": "negative",
    "disgust": "negative",
    "contempt": "negative",
    "repression": "negative",
}

Aus = NDArray[np.float32]
Frames = NDArray[np.uint8]


class Origin(NamedTuple):
    """Whose movement it was: the real clip that AUs were measured on, for fold-safe training."""

    corpus: str
    subject: str
    clip: str


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How a face moves: two AU vectors, what was measured between and after them, what they mean.

    ``onset`` and ``apex`` are (17,) float32 in [0, 1], in the order of ``AUS``. ``label`` is one of
    ``LABELS``' values, ``emotion`` the source's own word, ``source`` one of ``SOURCES``;
    ``origin`` is None where nobody's face was measured (expert tables).

    ``rise`` and ``fall`` are (T, 17) float32 in [0, 1], T >= 2, a row a frame at equal times, no
    NaN; they may be read-only. ``rise`` starts with ``onset`` and ends with ``apex``; None where
    nothing in between was measured. ``fall`` starts with ``apex`` and ends with the offset; None
    where no clip tells it.
    """

    onset: Aus
    apex: Aus
    label: int
    emotion: str
    source: str
    origin: Origin | None = None
    rise: Aus | None = None
    fall: Aus | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A labelled clip, synthetic or real: frames (T, H, W, 3) uint8 RGB, onset first.

    ``subject`` is who is seen (never on both sides of a split); ``origin`` whose movement it is;
    ``aus`` (T, 17) float32 in [0, 1] or None where not measured; ``apex`` the index of the apex
    frame in ``frames``: the last, unless the clip goes on to the offset.
    """

    key: str
    frames: Frames
    label: int
    subject: str
    origin: Origin | None = None
    aus: Aus | None = None
    apex: int = -1


class Footage(Protocol):
    """The frames of a clip or of a long video, under the collection's own numbers."""

    @property
    def name(self) -> str:
        """Posix path below the collection's folder of frames: ``sub01/EP02_01f``."""

    @property
    def numbers(self) -> Sequence[int]:
        """Frame numbers, ascending; some may be missing in between."""

    @property
    def names(self) -> Sequence[str]:
        """File name of each frame, as ``numbers``; empty where there are no single files."""

    def frame(self, number: int) -> Frames:
        """(H, W, 3) uint8 RGB; KeyError where there is no such frame, ValueError if unreadable."""

    def frames(self, numbers: Sequence[int]) -> Iterator[Frames]:
        """These frames, ascending, one at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One filmed expression of a collection, as its label sheet tells it; pixels stay on the disk.

    ``origin`` names it, once in a collection. ``onset``, ``apex`` and ``offset`` are frame numbers
    of ``footage``, onset <= apex <= offset, None where nobody tells them; ``apex_from`` is "coded",
    or how the apex was set: "middle" of onset and offset, "last" frame. ``aus`` and ``emotion`` are
    as coded; ``label`` is one of ``LABELS``' values by the collection's merging rule, or None.
    ``kind`` is "micro" or "macro"; ``fps`` None where not known.

    ``repaired`` says what was mended and how, ``odd`` what is strange and was left; ``problem`` why
    the clip cannot be used at all, else "". Such clips are handed on: what is left out is data.
    """

    origin: Origin
    footage: Footage
    onset: int | None
    apex: int | None
    offset: int | None
    emotion: str
    label: int | None
    aus: str = ""
    kind: str = "micro"
    fps: float | None = None
    apex_from: str = "coded"
    repaired: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    problem: str = ""
    stand_in: bool = False

    @property
    def numbers(self) -> list[int]:
        """Frame numbers of the footage from onset to offset, both included; [] without them."""
        if self.onset is None or self.offset is None:
            return []
        return [n for n in self.footage.numbers if self.onset <= n <= self.offset]
