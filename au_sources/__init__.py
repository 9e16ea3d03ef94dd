"""Where motions come from: pairs of onset and apex Action Units with a label.

Three sources, the finding of MiE-X (Liu et al., ECCV 2022) being that together they beat each
alone: ``mie``, real micro-expressions; ``mae``, the early frames of macro-expressions; ``exp``,
expert tables. Each is a frozen record, picklable, with

- ``draw(label, rng) -> Motion``: one motion; all randomness comes from ``rng``;
- ``missing_labels() -> tuple[str, ...]``: names of the classes that it cannot draw, to say so
  before the work begins;
- ``settings``: JSON-able, what it draws from and what it left out, for the manifest;
- ``stand_in``: whether what it draws from was invented.

``mie`` and ``mae`` draw from ``AuClip`` records, and do not ask where these come from:
``read_clips`` makes them of a user's tables, ``stand_in_clips`` invents them, and the reader of a
real collection makes them of its own label sheets and OpenFace files (``tables.read_openface``)::

    RealMie(tuple(read_clips(Path("casme2/clips.csv"), source="mie")))
    EarlyMae(stand_in_clips("mae"), alpha=0.1, beta=0.3)
    Expert("du2014", interval=(0.3, 0.8))
"""

from __future__ import annotations

from au_sources.clips import AuClip, read_clips
from au_sources.early_mae import EarlyMae
from au_sources.expert import Expert
from au_sources.real_mie import RealMie
from au_sources.stand_in import stand_in_clips

AuSource = RealMie | EarlyMae | Expert

SOURCES: dict[str, type[RealMie] | type[EarlyMae] | type[Expert]] = {
    "mie": RealMie,
    "mae": EarlyMae,
    "exp": Expert,
}

__all__ = [
    "SOURCES",
    "AuClip",
    "AuSource",
    "EarlyMae",
    "Expert",
    "RealMie",
    "read_clips",
    "stand_in_clips",
]
