"""Recognizers of micro-expressions, a paper a file.

``RECOGNIZERS`` are networks, built by ``RECOGNIZERS[name].build(classes=3)`` and trained by one
loop as their ``settings`` say; ``DESCRIPTORS`` are hand-made features for ``DescriptorSvm``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from recognizers import apexme, branches, dtscnn, mean, mecia, off_apexnet, ststnet
from recognizers.bi_woof import bi_woof
from recognizers.descriptor_svm import Descriptor
from recognizers.lbp_top import lbp_top
from recognizers.settings import Settings


class Recognizer(NamedTuple):
    """A network and how it is trained.

    ``build(classes=...)`` makes it; those with a trunk take ``weights`` as well (``backbones``).
    ``settings`` are for real clips, ``pretraining`` for synthetic ones before them, None where
    nobody published such: then it is done as on real clips.
    """

    build: Callable[..., nn.Module]
    settings: Settings
    pretraining: Settings | None = None


RECOGNIZERS = {
    "branches": Recognizer(branches.Branches, branches.SETTINGS, branches.PRETRAINING),
    "emr": Recognizer(branches.EMR, branches.EMR_SETTINGS),
    "apexme": Recognizer(apexme.ApexME, apexme.SETTINGS, apexme.PRETRAINING),
    "dtscnn": Recognizer(dtscnn.DTSCNN, dtscnn.SETTINGS),
    "dtscnn-light": Recognizer(
        functools.partial(dtscnn.DTSCNN, frames=(10,)), dtscnn.LIGHT_SETTINGS
    ),
    "mean": Recognizer(mean.MEAN, mean.SETTINGS),
    "mecia": Recognizer(mecia.MECIANet, mecia.SETTINGS),
    "ststnet": Recognizer(ststnet.STSTNet, ststnet.SETTINGS),
    "off-apexnet": Recognizer(off_apexnet.OFFApexNet, off_apexnet.SETTINGS),
}

DESCRIPTORS = {
    "lbp-top": Descriptor(lbp_top, view="gray_10", length=1200),
    "bi-woof": Descriptor(bi_woof, view="flow_raw", length=512),
}
