"""ApexME: a micro-expression recognized from its apex frame alone (Li, Huang, Zhao, ICIP 2018).

The paper fine-tunes a VGG-16 on magnified apex frames. The classifier here is the one that MiE-X
compares under this name (Liu et al., ECCV 2022; layers as in its public code): an ImageNet
ResNet-18 and a three-layer head. MiE-X's scripts for fine-tuning feed it pictures of flow; we feed
it the apex, as the paper says. There the rate is not set back after pre-training, whose linear fall
leaves next to nothing of it: ours starts at 1e-4 again, as that of Branches does.
"""

from __future__ import annotations

import dataclasses
import functools

from torch import Tensor, nn

from recognizers import branches
from recognizers.backbones import Trunk, three_layer_head
from recognizers.settings import steps

SETTINGS = dataclasses.replace(
    branches.SETTINGS,
    source="MiE-X, public code, fine-tuning (batch 96); last epoch; rate reset, which is ours",
    views=("apex",),
    batch=96,
    schedule=functools.partial(steps, factor=0.9, every=10),
)

PRETRAINING = dataclasses.replace(
    branches.PRETRAINING,
    source="MiE-X, public code, pre-training for the three folds of CompMiE (batch 96)",
    views=("apex",),
    batch=96,
)


class ApexME(nn.Module):
    """One trunk: 11,246,403 parameters at 3 classes.

    WEIGHTS is "imagenet" as published, or None; see ``backbones``.
    """

    def __init__(self, *, classes: int = 3, weights: str | None = None) -> None:
        super().__init__()
        self.trunk = Trunk("resnet18", weights=weights)
        self.head = three_layer_head(self.trunk.width, classes)

    def forward(self, apex: Tensor) -> Tensor:
        """(N, 3, 224, 224) in [-1, 1] -> (N, classes) logits."""
        logits: Tensor = self.head(self.trunk(apex))
        return logits
