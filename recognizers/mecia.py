"""MECIA-Net: is this frame part of a micro-expression, and of which kind?

Wang et al., "Micro-Expression Key Frame Inference" (MECIA): the network that grows one labelled
frame a clip into onset, apex and offset. A backbone and one layer to 1024 features, three heads:
annotation (a micro-expression or not), identification (which of 4 kinds), and the features scaled
to length 1, which a contrastive loss draws together. Layers and losses as published; ours:

- grey frames are given to all three channels of the backbone (by the view);
- AlexNet goes up to its last but one layer, as ResNet-18 does (the paper names it alone);
- a set with no other member, or none at all, adds 0 to a loss;
- as a recognizer the network is shown onset and apex, annotated as what they are: the former is
  not of a micro-expression, the latter is, of the sample's class. Its answer is the apex's class.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognizers.backbones import Trunk
from recognizers.settings import Batch, Settings

NEUTRAL = -1
"""The label of a frame that is not part of a micro-expression."""

FEATURES = 1024
TEMPERATURE = 0.07


class Heads(NamedTuple):
    """What MECIA-Net says of N frames.

    ``annotation`` (N,), the logit of a micro-expression; ``identification`` (N, classes) logits;
    ``contrast`` (N, 1024), of length 1, or 0 where no feature is seen.
    """

    annotation: Tensor
    identification: Tensor
    contrast: Tensor


class MECIANet(nn.Module):
    """11,706,949 parameters with ResNet-18 and the 4 classes of the paper's SAMM.

    BACKBONE is one of ``backbones.TORCHVISION``. WEIGHTS is None or "imagenet"; which one was
    published is not said.
    """

    def __init__(
        self, *, classes: int = 4, backbone: str = "resnet18", weights: str | None = None
    ) -> None:
        super().__init__()
        self.trunk = Trunk(backbone, weights=weights)
        self.features = nn.Linear(self.trunk.width, FEATURES)
        self.annotation = nn.Linear(FEATURES, 1)
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, pairs: Tensor) -> Tensor:
        """(N, 2, 3, 224, 224) grey, in [-1, 1], onset first -> (N, classes) logits of the apex."""
        return self.heads(pairs[:, 1]).identification

    def heads(self, frames: Tensor) -> Heads:
        """(N, 3, 224, 224), the same grey thrice, in [-1, 1] -> what all heads say of each."""
        seen = F.relu(self.features(self.trunk(frames)))
        return Heads(self.annotation(seen).squeeze(1), self.head(seen), F.normalize(seen))


def annotation_loss(annotation: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy, the mean over micro-expressions plus the mean over the other frames.

    ANNOTATION (N,) logits; LABELS (N,) int64, ``NEUTRAL`` or a class -> ().
    """
    neutral = labels == NEUTRAL
    return mean(-F.logsigmoid(annotation[~neutral])) + mean(-F.logsigmoid(-annotation[neutral]))


def identification_loss(identification: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the frames of micro-expressions; (N, classes), (N,) -> ()."""
    of_expression = labels != NEUTRAL
    return mean(
        F.cross_entropy(identification[of_expression], labels[of_expression], reduction="none")
    )


def contrastive_loss(contrast: Tensor, labels: Tensor) -> Tensor:
    """How much less alike the frames of one set are than all: micro-expressions, and the others.

    CONTRAST (N, D) of length 1, LABELS (N,) as in ``annotation_loss`` -> (), the sum over frames of
    ``-1 / n * log(sum of the n others of its set / sum of all others)``, of ``exp(cosine / 0.07)``.
    The first sum stands inside of the logarithm, as printed; the usual form has it outside.
    """
    likeness = contrast @ contrast.T / TEMPERATURE
    other = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    neutral = labels == NEUTRAL
    alike = other & (neutral[:, None] == neutral)
    number = alike.sum(dim=1)
    has = number > 0  # rows without would be the logarithm of 0
    least = -torch.inf
    ratio = likeness[has].masked_fill(~alike[has], least).logsumexp(dim=1)
    ratio = ratio - likeness[has].masked_fill(~other[has], least).logsumexp(dim=1)
    return -(ratio / number[has]).sum()


def frames_loss(heads: Heads, labels: Tensor) -> Tensor:
    """The sum of all three, equal weights; LABELS (N,) int64, ``NEUTRAL`` or a class -> ()."""
    return (
        annotation_loss(heads.annotation, labels)
        + identification_loss(heads.identification, labels)
        + contrastive_loss(heads.contrast, labels)
    )


def pairs_loss(network: MECIANet, batch: Batch) -> Tensor:
    """``frames_loss`` of all onsets, which are neutral, and all apexes, of their class -> ()."""
    (pairs,) = batch.inputs
    neutral = torch.full_like(batch.labels, NEUTRAL)
    heads = network.heads(pairs.transpose(0, 1).flatten(0, 1))  # all onsets, then all apexes
    return frames_loss(heads, torch.cat([neutral, batch.labels]))


def mean(terms: Tensor) -> Tensor:
    """Their mean; 0 of none."""
    return terms.sum() / max(1, len(terms))


SETTINGS = Settings(
    source="the paper's rate and batch, and its 200 epochs of later rounds; ours as a recognizer",
    views=("onset_apex_gray",),
    rate=1e-4,
    epochs=200,
    batch=128,
    loss=pairs_loss,
)

FIRST_ROUND_EPOCHS = 2000
ENOUGH = 0.01  # a round of key frame inference ends at this loss
