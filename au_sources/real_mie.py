"""AU_MiE: AUs of real, annotated micro-expressions, from onset to apex (MiE-X, section 3).

The paper draws a random clip of the wanted class; the published code takes them in turn. This
follows the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from au_sources.clips import AuClip, Pool, sort_out
from mie_x.records import Motion


@dataclass(frozen=True, eq=False)
class RealMie:
    """Motions of real micro-expressions: the AUs of a clip's annotated onset and apex frames.

    ``rise`` holds the frames between them too, ``fall`` those from the apex to the annotated
    offset; frames that failed are bridged. A clip has no ``fall`` where its offset is not
    annotated, does not come after its apex, or failed.

    Clips are left out, and listed in ``settings`` with the reason, where the emotion has no class,
    onset or apex is not annotated or its AUs failed, the apex does not come after the onset, or
    both frames have the same AUs: a label without a motion.
    """

    clips: tuple[AuClip, ...]

    @cached_property
    def _pool(self) -> Pool:
        return sort_out(self.clips, _why_not)

    @property
    def stand_in(self) -> bool:
        """Whether any clip that is drawn from is invented."""
        return self._pool.stand_in

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-able: the clips, their files, and what was left out."""
        return self._pool.settings()

    def missing_labels(self) -> tuple[str, ...]:
        """Names of the classes without a clip to draw from."""
        return self._pool.missing_labels()

    def draw(self, label: int, rng: np.random.Generator) -> Motion:
        """Draw a motion of class LABEL; all its clips are equally likely, whoever's they are.

        The result depends on the clips and on RNG alone, not on the clips' order. Raises ValueError
        where there is no clip of the class, or no such class.
        """
        clip = self._pool.draw(label, rng)
        onset, apex = clip.aus[clip.onset].copy(), clip.aus[clip.apex].copy()
        rise, fall = clip.between(clip.onset, clip.apex), clip.between(clip.apex, clip.offset)
        return Motion(onset, apex, label, clip.emotion, "mie", clip.origin, rise, fall)


def _why_not(clip: AuClip) -> str:
    onset, apex = clip.onset, clip.apex
    if onset is None or apex is None:
        return f"its {'onset' if onset is None else 'apex'} is not annotated"
    for name, index in (("onset", onset), ("apex", apex)):
        if clip.failed[index]:
            return f"the AUs of its {name} frame failed"
    if apex <= onset:
        return "its apex does not come after its onset"
    if (clip.aus[onset] == clip.aus[apex]).all():
        return "its apex has the same AUs as its onset"
    return ""
