"""Real collections as they are handed out, and stand-ins of them: a file a layout.

Every collection has a reader that hands out every row of its label sheet as a ``Clip``, mended
where that can be told and marked where it cannot, and a writer of rendered clips in the same
layout, quirks included, so that all that is built on a collection runs without a licence.
``flow_images`` reads what is no clip: flow pictures that others have computed.
"""

from __future__ import annotations

import sys

from mie_x.datasets import casme2, casme_sq, flow_images, own_clips, samm, samm_lv
from mie_x.datasets.casme2 import CASME2
from mie_x.datasets.casme3 import CASME3
from mie_x.datasets.casme_sq import CASME_SQ
from mie_x.datasets.ckplus import CKPLUS
from mie_x.datasets.coded import Export
from mie_x.datasets.collection import Collection
from mie_x.datasets.dfme import DFME
from mie_x.datasets.megc2019 import MEGC2019
from mie_x.datasets.mmew import MMEW
from mie_x.datasets.own_clips import CLIPS
from mie_x.datasets.samm import SAMM
from mie_x.datasets.samm_lv import SAMM_LV
from mie_x.datasets.smic import HS, NIR, VIS

COLLECTIONS: dict[str, Collection] = {
    "casme2": CASME2,
    "casme-sq": CASME_SQ,
    "ckplus": CKPLUS,
    "mmew": MMEW,
    "casme3": CASME3,
    "dfme": DFME,
    "smic-hs": HS,
    "smic-vis": VIS,
    "smic-nir": NIR,
    "samm": SAMM,
    "samm-lv": SAMM_LV,
    "megc2019": MEGC2019,
    "clips": CLIPS,
}

EXPORTS: dict[str, Export] = {
    "casme2": casme2.write_coded,
    "casme-sq": casme_sq.write_coded,
    "samm": samm.write_coded,
    "samm-lv": samm_lv.write_coded,
    "clips": own_clips.write_coded,
}
"""What writes clips as a sheet of the collection's own layout to a folder: ``coded``."""


def layout(collection: Collection) -> str:
    """What the reader of COLLECTION says of its folders, sheets and classes."""
    read = getattr(collection.read, "func", collection.read)  # of SMIC's cameras: a partial
    return sys.modules[read.__module__].__doc__ or ""


__all__ = ["COLLECTIONS", "EXPORTS", "Collection", "flow_images", "layout"]
