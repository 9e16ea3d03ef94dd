"""Branches: onset and apex, a ResNet-18 for each; and EMR, which bore the name first.

``Branches`` is the classifier of MiE-X (Liu et al., ECCV 2022, section 4; layers and settings as in
its public code): two ImageNet trunks, a three-layer head, cross-entropy. Of the published schedules
``PRETRAINING`` (10 flat and 10 falling epochs on synthetic pairs) and ``SETTINGS`` (80 epochs of
fine-tuning) are kept. There onset and apex are augmented apart, in testing too, and the epoch is
the best on the test fold: none of this is repeated.

``EMR`` is the winner of MEGC 2019 (Liu et al., "A Neural Micro-Expression Recognizer", FG 2019;
layers as in its public code): the flow from onset to apex, painted as an HSV picture, in one
ResNet-18, whose maps are cut into the upper and the lower face. Three classifiers see the upper,
the lower and the whole face; a fourth tells macro- from micro-expressions behind a reversed
gradient, so that the trunk learns not to. The published trunk began with faces (VGGFace, FER);
ours begins at random or with ImageNet. Not published: the reversal's strength (1 here), and the
activation in the fourth (ReLU here). Its published scores keep the best epoch on the test subject.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognizers.backbones import Trunk, three_layer_head
from recognizers.settings import Batch, Settings, fall, steps

TOP_ROWS = 3  # of 7: brows and eyes; the other four are nose and mouth

SETTINGS = Settings(
    source="MiE-X, public code, fine-tuning; last epoch",
    views=("onset_apex",),
    rate=1e-4,
    weight_decay=5e-4,
    epochs=80,
    batch=32,
    schedule=functools.partial(steps, factor=0.8, every=10),
    clip=1.0,
    augmentation="resize 256, rotate 10 degrees, jitter 0.2, crop 224",
)

PRETRAINING = dataclasses.replace(
    SETTINGS,
    source="MiE-X, public code, pre-training for the three folds of CompMiE (batch 64)",
    epochs=20,
    batch=64,
    schedule=functools.partial(fall, flat=10, falling=10),
)


class Branches(nn.Module):
    """Two trunks, concatenated: 22,488,451 parameters at 3 classes.

    WEIGHTS is "imagenet" as published, or None; see ``backbones``.
    """

    def __init__(self, *, classes: int = 3, weights: str | None = None) -> None:
        super().__init__()
        self.onset = Trunk("resnet18", weights=weights)
        self.apex = Trunk("resnet18", weights=weights)
        self.head = three_layer_head(self.onset.width + self.apex.width, classes)

    def forward(self, pairs: Tensor) -> Tensor:
        """(N, 2, 3, 224, 224) in [-1, 1], onset first -> (N, classes) logits."""
        seen = torch.cat([self.onset(pairs[:, 0]), self.apex(pairs[:, 1])], dim=1)  # (N, 1024)
        logits: Tensor = self.head(seen)
        return logits


class Answers(NamedTuple):
    """What EMR's classifiers say: logits (N, classes), and of a macro-expression (N,)."""

    whole: Tensor
    top: Tensor
    bottom: Tensor
    macro: Tensor


class EMR(nn.Module):
    """One trunk, an upper and a lower part: 11,253,322 parameters at 3 classes."""

    def __init__(self, *, classes: int = 3, weights: str | None = None) -> None:
        super().__init__()
        self.trunk = Trunk("resnet18", weights=weights)
        self.top = part_of_face(self.trunk.width)
        self.bottom = part_of_face(self.trunk.width)
        self.head = nn.Linear(128, classes)
        self.top_head = nn.Linear(64, classes)
        self.bottom_head = nn.Linear(64, classes)
        self.domain = nn.Sequential(
            nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, flow: Tensor) -> Tensor:
        """(N, 3, 224, 224) in [-1, 1], flow painted as HSV -> (N, classes) logits, whole face."""
        return self.answers(flow).whole

    def answers(self, flow: Tensor) -> Answers:
        """What all four classifiers say of FLOW, as in ``forward``; ``macro`` is a logit too."""
        upper, lower = halves(self.trunk.maps(flow))
        top, bottom = self.top(upper), self.bottom(lower)
        whole = torch.cat([top, bottom], dim=1)  # (N, 128)
        return Answers(
            self.head(whole),
            self.top_head(top),
            self.bottom_head(bottom),
            self.domain(reverse_gradient(whole)).squeeze(1),
        )


def part_of_face(width: int) -> nn.Sequential:
    """(N, WIDTH) pooled maps -> (N, 64) in [-1, 1], or 1 / 0.9 times that under dropout."""
    return nn.Sequential(nn.Linear(width, 64), nn.Tanh(), nn.Dropout(0.1))


def halves(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Means over the upper three and the lower four rows: (N, C, 7, 7) -> twice (N, C)."""
    return maps[:, :, :TOP_ROWS].mean(dim=(2, 3)), maps[:, :, TOP_ROWS:].mean(dim=(2, 3))


def reverse_gradient(x: Tensor) -> Tensor:
    """X itself, of any shape, whose gradient is passed on with the other sign."""
    return 2 * x.detach() - x


def emr_loss(network: EMR, batch: Batch) -> Tensor:
    """Cross-entropies of whole, top and bottom, and of macro- against micro-expressions -> ().

    A batch that does not tell which are macro has nothing to tell apart: three terms.
    """
    whole, top, bottom, macro = network.answers(*batch.inputs)
    loss = sum(
        (F.cross_entropy(logits, batch.labels) for logits in (top, bottom)),
        start=F.cross_entropy(whole, batch.labels),
    )
    if batch.macro is None:
        return loss
    return loss + F.binary_cross_entropy_with_logits(macro, batch.macro.to(macro))


EMR_SETTINGS = Settings(
    source="FG 2019, public code; CK+ joins every training set; last epoch. Augmentation is ours",
    views=("flow_hsv",),
    rate=1e-3,
    rates={"trunk": 1e-5},
    weight_decay=1e-6,
    epochs=100,
    batch=32,
    schedule=functools.partial(steps, factor=0.5, every=10, floor=1e-5),
    loss=emr_loss,
    clip=1.0,
    augmentation=SETTINGS.augmentation,
)
