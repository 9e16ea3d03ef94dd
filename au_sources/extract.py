"""AUs of every frame of a clip, by the user's choice of instrument: ``EXTRACTORS``.

Two look at pixels: ``PyFeat`` and ``BuiltIn`` (the estimator that ships). Their ``measure`` takes a
clip's frames and its onset frame; the face is found on that one and framed alike in all. A frame in
which the detector then sees no face is *failed*: its AUs are NaN, since either network names AUs of
a bare wall, too. ``OpenFaceCsv`` looks at what OpenFace wrote: its ``read`` takes a file, and the
frames that OpenFace was given. Each is a frozen record, small, picklable; a network is loaded once
in a process, when first needed. ``settings`` is what a measurement depends on, JSON-able, and of
the same keys for all; asking for it loads the network, so that what is missing is told early::

    extractor = EXTRACTORS["estimator"]()
    extractor.measure(clip.footage.frames(clip.numbers), clip.footage.frame(clip.onset))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from au_sources import estimator, pyfeat, tables
from mie_x import __version__
from mie_x.faces.aligned import Alignment, aligned, find_alignment, sureness
from mie_x.faces.detection import PROBABILITY, Detector
from mie_x.records import AUS, Aus, Frames

AT_ONCE = 16  # frames in memory


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """AUs (T, 17) float32 in [0, 1], as ``AUS``, a row NaN where its frame failed.

    ``confidence`` (T,) float32 in [0, 1] is the detector's, or OpenFace's; None where not told.
    """

    aus: Aus
    confidence: NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class OpenFaceCsv:
    """What OpenFace's FeatureExtraction wrote of a clip: intensities, 0 to 5, / 5.

    ``order`` says which frame a row is of. Given a folder (-fdir), OpenFace takes its pictures in
    the order of their names as text, so that img100.jpg comes before img46.jpg: "names". Given a
    video, or frames that were renamed, it takes them in time: "numbers". ``face`` and
    ``min_confidence`` as ``tables.read_openface`` has them.
    """

    looks_at_pixels: ClassVar[bool] = False

    order: Literal["names", "numbers"] = "names"
    face: int | None = None
    min_confidence: float = tables.MIN_CONFIDENCE

    def __post_init__(self) -> None:
        if self.order not in ("names", "numbers"):
            raise ValueError(f"order is {self.order!r}; rows can be in order of names or numbers")

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "tool": "OpenFace 2.x CSV, version not told by the file",
            "version": None,
            "weights_sha256": None,
            "licence": None,
            "unit": "intensities 0 to 5, / 5",
            "alignment": "OpenFace's own, frame by frame",
            "order": self.order,
            "face": self.face,
            "min_confidence": self.min_confidence,
        }

    def read(self, path: Path, numbers: Sequence[int], names: Sequence[str]) -> Measured:
        """The rows of the CSV file at PATH, in order of NUMBERS: those of all frames it was given.

        NUMBERS ascend; NAMES are the frames' file names, a name a number, or empty where the
        frames are a video's, whose rows are in time. Raises FileNotFoundError, or ValueError where
        the rows are not as many as the frames, or else naming file, row, column and remedy.
        """
        if names and len(names) != len(numbers):
            raise ValueError(f"{path}: {len(names)} names of {len(numbers)} frames")
        table = tables.read_table(path)
        tables.au_unit(table)
        for column in ("AU01_r", "frame"):
            if column not in table.columns:
                raise ValueError(
                    f"{path}: no column {column}; run OpenFace's FeatureExtraction with -aus over "
                    "the clip's frames"
                )
        rows = tables.one_face(
            table, range(len(table)), face=self.face, min_confidence=self.min_confidence
        )
        part = table.part(rows)
        if len(part) != len(numbers):
            raise ValueError(
                f"{path}: {len(part)} rows, but the clip has {len(numbers)} frames, so that nobody "
                "knows which row is which frame's; run OpenFace again over the same frames"
            )
        counted = tables.whole_numbers(part, "frame")
        aus = tables.intensities(part, min_confidence=self.min_confidence)
        told = "confidence" in part.columns
        confidence = tables.numbers(part, "confidence") if told else np.zeros(len(part))
        both = np.column_stack([aus, confidence]).astype(np.float32)
        counted, both = tables.in_order(part, counted, both)
        if len(counted) and counted[-1] - counted[0] != len(counted) - 1:
            raise ValueError(
                f"{path}: frames {counted[0]} to {counted[-1]} in {len(counted)} rows; some are "
                "lost: use the file as OpenFace wrote it"
            )
        if names and self.order == "names":
            given = sorted(range(len(names)), key=names.__getitem__)  # how OpenFace was given them
            both = both[np.argsort(given)]
        return Measured(both[:, : len(AUS)], both[:, -1] if told else None)


@dataclass(frozen=True, slots=True)
class PyFeat:
    """py-feat's network: probabilities of AUs, which are no intensities (see ``pyfeat``)."""

    looks_at_pixels: ClassVar[bool] = True

    device: str = "cpu"

    @property
    def settings(self) -> dict[str, Any]:
        """Raises as ``pyfeat.load_pyfeat`` does."""
        loaded = pyfeat.load_pyfeat(self.device)
        return {
            "tool": f"py-feat, {loaded.path.name}",
            "version": version("py-feat"),
            "weights_sha256": loaded.sha256,
            "licence": pyfeat.LICENCE,
            "unit": "probabilities in [0, 1], not intensities; AU45 is py-feat's AU43",
            "alignment": "the box of the onset frame's face in all frames, as py-feat crops it",
            "detector": Detector(self.device).settings,
        }

    def measure(self, frames: Iterable[Frames], onset_frame: Frames) -> Measured:
        """AUs of FRAMES, (H, W, 3) uint8 RGB in order of time, as many as there are.

        Raises ``UnusablePicture``, a ValueError, where the onset frame shows no face; ValueError
        where a frame is not of its size; and as ``pyfeat.load_pyfeat`` does.
        """

        def look(seen: list[Frames], _: Frames, face: Alignment) -> Aus:
            return pyfeat.probabilities(seen, face.box, device=self.device)

        return _measured(frames, onset_frame, look, self.device)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """The estimator that ships with mie-x, or one of the user's: intensities (``estimator``)."""

    looks_at_pixels: ClassVar[bool] = True

    weights: Path | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Raises as ``estimator.load_estimator`` does."""
        loaded = estimator.load_estimator(self.weights)
        return {
            "tool": "mie-x estimator",
            "version": __version__,
            "weights_sha256": loaded.sha256,
            "licence": loaded.metadata.get("licence"),
            "unit": "intensities in [0, 1], OpenFace's 0 to 5, / 5",
            "alignment": "five points of the onset frame's face, one similarity for all frames",
            "detector": Detector().settings,
        }

    def measure(self, frames: Iterable[Frames], onset_frame: Frames) -> Measured:
        """AUs of FRAMES, (H, W, 3) uint8 RGB in order of time, as many as there are.

        Raises ``UnusablePicture``, a ValueError, where the onset frame shows no face; ValueError
        where a frame is not of its size; and as ``estimator.load_estimator`` does.
        """

        def look(_: list[Frames], pictures: Frames, __: Alignment) -> Aus:
            return estimator.intensities(pictures, weights=self.weights)

        return _measured(frames, onset_frame, look, "cpu")


def _measured(
    frames: Iterable[Frames],
    onset_frame: Frames,
    look: Callable[[list[Frames], Frames, Alignment], Aus],
    device: str,
) -> Measured:
    """What LOOK answers to frames, the same aligned, and where the onset frame's face is."""
    face = find_alignment(onset_frame, device=device)
    rest = iter(frames)
    aus = [np.empty((0, len(AUS)), np.float32)]
    confidence = [np.empty(0, np.float32)]
    while seen := list(islice(rest, AT_ONCE)):
        pictures = aligned(seen, face)
        sure = sureness(pictures, device=device)
        aus.append(np.where(sure[:, None] >= PROBABILITY, look(seen, pictures, face), np.nan))
        confidence.append(sure)
    return Measured(np.concatenate(aus).astype(np.float32), np.concatenate(confidence))


EXTRACTORS: dict[str, type[OpenFaceCsv] | type[PyFeat] | type[BuiltIn]] = {
    "openface-csv": OpenFaceCsv,
    "pyfeat": PyFeat,
    "estimator": BuiltIn,
}
