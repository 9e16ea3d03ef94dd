"""AU_MaE: the early frames of a macro-expression look like a micro-expression (MiE-X, section 3).

The premise is a clip that starts at rest and reaches its apex at or near its end, as in CK+,
Oulu-CASIA or MMEW's macro-expressions. Fed with clips of another habit, it yields something else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from au_sources.clips import AuClip, Pool, sort_out
from mie_x.records import Motion, Origin


@dataclass(frozen=True, eq=False)
class EarlyMae:
    """Motions that stop where a macro-expression has only begun.

    Of a clip of n frames, the onset is the first frame whose AUs did not fail, the apex frame
    int(u * n), counted from 0, with u uniform between ``alpha`` and ``beta``
    (0 <= alpha < beta <= 1; (0.25, 0.5) is what the MiE-X code uses). u is drawn again until that
    frame comes after the onset, did not fail, and has other AUs than the onset. n counts failed
    frames too; in ``rise`` they are bridged. There is no ``fall``: what follows is not micro.

    Clips without such a frame are left out, and listed in ``settings`` with the reason. Raises
    ValueError on another alpha or beta.
    """

    clips: tuple[AuClip, ...]
    alpha: float = 0.25
    beta: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < self.beta <= 1:
            raise ValueError(
                f"alpha {self.alpha}, beta {self.beta}: need 0 <= alpha < beta <= 1, "
                "parts of a clip's length"
            )

    @cached_property
    def _pool(self) -> Pool:
        return sort_out(self.clips, self._why_not)

    @property
    def stand_in(self) -> bool:
        """Whether any clip that is drawn from is invented."""
        return self._pool.stand_in

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-able: alpha, beta, the clips, their files, and what was left out.

        ``frames_drawn_again`` counts frames in reach of alpha and beta that are never taken, over
        the clips that are drawn from.
        """
        skipped = {"failed": 0, "not after the onset": 0, "same AUs as the onset": 0}
        for clip in self._pool.clips:
            in_reach, _ = early_frames(len(clip.aus), self.alpha, self.beta)
            first = _first(clip)
            for index in in_reach.tolist():
                if clip.failed[index]:
                    skipped["failed"] += 1
                elif index <= first:
                    skipped["not after the onset"] += 1
                elif (clip.aus[index] == clip.aus[first]).all():
                    skipped["same AUs as the onset"] += 1
        return {
            "alpha": float(self.alpha),
            "beta": float(self.beta),
            **self._pool.settings(),
            "frames_drawn_again": skipped,
        }

    def missing_labels(self) -> tuple[str, ...]:
        """Names of the classes without a clip to draw from."""
        return self._pool.missing_labels()

    def draw(self, label: int, rng: np.random.Generator) -> Motion:
        """Draw a motion of class LABEL; all its clips are equally likely, whoever's they are.

        The result depends on the clips and on RNG alone, not on the clips' order. Raises ValueError
        where there is no clip of the class, or no such class.
        """
        clip = self._pool.draw(label, rng)
        first, frames, up_to = self._reaches[clip.origin]
        # what rng.choice(frames, p=chances) does: it consumes and gives the same
        apex = int(frames[up_to.searchsorted(rng.random(), side="right")])
        onset, rise = clip.aus[first].copy(), clip.between(first, apex)
        return Motion(onset, clip.aus[apex].copy(), label, clip.emotion, "mae", clip.origin, rise)

    @cached_property
    def _reaches(self) -> dict[Origin, tuple[int, NDArray[np.int64], NDArray[np.float64]]]:
        """Of every clip: its onset, the frames that can be its apex, their summed chances."""
        reaches = {}
        for clip in self._pool.clips:
            frames, chances = self._apexes(clip)
            sums = chances.cumsum()
            reaches[clip.origin] = (_first(clip), frames, sums / sums[-1])
        return reaches

    def _apexes(self, clip: AuClip) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Frames that can be the apex, and how likely each is: "drawn again", without a loop."""
        frames, chances = early_frames(len(clip.aus), self.alpha, self.beta)
        first = _first(clip)
        fits = ~clip.failed[frames] & (frames > first)
        fits &= (clip.aus[frames] != clip.aus[first]).any(axis=1)
        return frames[fits], chances[fits] / max(chances[fits].sum(), np.finfo(np.float64).tiny)

    def _why_not(self, clip: AuClip) -> str:
        if clip.failed.all():
            return "the AUs of all its frames failed"
        frames, _ = early_frames(len(clip.aus), self.alpha, self.beta)
        later = frames[frames > _first(clip)]
        early = f"between {self.alpha:g} and {self.beta:g} of the clip"
        if not len(later):
            return f"no frame {early} comes after its onset"
        if clip.failed[later].all():
            return f"the AUs of all its frames {early} failed"
        if not len(self._apexes(clip)[0]):
            return f"all its frames {early} have the same AUs as its onset"
        return ""


def early_frames(
    n: int, alpha: float, beta: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Values of int(u * n) for u uniform between ALPHA and BETA, and their probabilities.

    10 frames, 0.25 to 0.5: u * n lies between 2.5 and 5, so that frames 2, 3, 4 have the
    probabilities 0.2, 0.4, 0.4.
    """
    low, high = alpha * n, beta * n
    frames = np.arange(math.floor(low), min(math.ceil(high), n), dtype=np.int64)
    shares = np.minimum(frames + 1, high) - np.maximum(frames, low)
    there = shares > 1e-9  # 0.29 * 100 is a little below 29: that is rounding, not frame 28
    return frames[there], shares[there] / shares[there].sum()


def _first(clip: AuClip) -> int:
    """Index of the first frame whose AUs did not fail; there is one."""
    return int(np.argmin(clip.failed))
