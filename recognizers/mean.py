"""MEAN: a small network that spots micro-expressions, and then recognizes what it spotted.

Liong, See, Chan, "Spot-then-Recognize: a micro-expression analysis network for seamless evaluation
of long videos", Signal Processing: Image Communication 2023; layers as in its public code and
weights (7,608 parameters at 3 classes with the batch norms' statistics, of these 3,621 for
spotting). Batch norm and dropout are in the code, not in the paper's list of layers.
Layers start as PyTorch draws them, not as Keras does.

Published is a training in two parts: ``SPOTTING`` on the frames of long videos, then
``RECOGNITION`` with the layers that both share left as they are, batch norms included. The code's
numbers of epochs are 10 and 100, the paper's 200 and 800: the paper's are here.
``SETTINGS`` is ours, for collections of pairs or short clips where there is nothing to spot:
shared layers and recognition head learn together, and the spotting head nothing.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recognizers.settings import Batch, Settings, cross_entropy

# Keras' names for the same: momentum 0.99 (what is kept, where PyTorch's is what is new), epsilon.
MOMENTUM = 0.01
EPSILON = 1e-3

FILTERS = (3, 3, 8)  # of u, v and strain


class MEAN(nn.Module):
    """Three streams, shared; a head that spots, and one that recognizes."""

    def __init__(self, *, classes: int = 3) -> None:
        super().__init__()
        self.streams = nn.ModuleList(Stream(filters) for filters in FILTERS)
        self.spotting = head(1)
        self.head = head(classes)

    def forward(self, maps: Tensor, *, frozen: bool = False) -> Tensor:
        """(N, 3, 42, 42) in [0, 1]: u, v, strain of brows, eyes and mouth -> (N, classes) logits.

        With FROZEN the shared layers pass no gradient and their batch norms use what they have
        gathered, whatever the network's mode: they are recognition's input, not part of it.
        """
        logits: Tensor = self.head(self.shared(maps, frozen=frozen))
        return logits

    def spot(self, maps: Tensor) -> Tensor:
        """MAPS as in ``forward`` -> (N,), near 1 in a micro-expression, near 0 elsewhere."""
        scores: Tensor = self.spotting(self.shared(maps, frozen=False))
        return scores.squeeze(1)

    def shared(self, maps: Tensor, *, frozen: bool) -> Tensor:
        """MAPS as in ``forward`` -> (N, 14, 14, 14): channels, height, width."""
        seen = [
            stream(channel, frozen=frozen)
            for stream, channel in zip(self.streams, maps.chunk(len(FILTERS), dim=1), strict=True)
        ]
        together = torch.cat(seen, dim=1)
        return together.detach() if frozen else together


class Stream(nn.Module):
    """One map's convolution, batch norm, pooling to a third and dropout."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, filters, 5, padding=2)
        self.norm = nn.BatchNorm2d(filters, eps=EPSILON, momentum=MOMENTUM)
        self.dropout = nn.Dropout(0.3)

    def forward(self, channel: Tensor, *, frozen: bool) -> Tensor:
        """(N, 1, 42, 42) -> (N, filters, 14, 14)."""
        x = F.relu(self.convolution(channel))
        norm = self.norm
        if frozen:
            x = F.batch_norm(
                x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        else:
            x = norm(x)
        pooled: Tensor = self.dropout(F.max_pool2d(x, 3))
        return pooled


def head(answers: int) -> nn.Sequential:
    """(N, 14, 14, 14) -> (N, ANSWERS), unbounded."""
    return nn.Sequential(
        nn.Conv2d(sum(FILTERS), 8, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),  # 8 x 7 x 7
        nn.Dropout(0.2),
        nn.Linear(392, answers),
    )


def spotting_loss(network: MEAN, batch: Batch) -> Tensor:
    """Mean squared error to the labels, 1 in a micro-expression and 0 elsewhere -> ()."""
    scores = network.spot(*batch.inputs)
    return F.mse_loss(scores, batch.labels.to(scores))


def recognition_loss(network: MEAN, batch: Batch) -> Tensor:
    """Cross-entropy, the shared layers frozen -> ()."""
    return F.cross_entropy(network(*batch.inputs, frozen=True), batch.labels)


# The published loss has 1e-3 and 0.1 times the sum of the weights' squares; see Settings.
SHARED_DECAYS = {f"streams.{stream}.convolution.weight": 2e-3 for stream in range(len(FILTERS))}
HEAD_DECAY = 0.2

SPOTTING = Settings(
    source="the paper (200 epochs; its code 10); 8 negatives, of those there are, to a positive",
    views=("mean_roi",),
    rate=5e-4,
    epochs=200,
    batch=32,
    loss=spotting_loss,
    decays=SHARED_DECAYS | {"spotting.0.weight": HEAD_DECAY},
)

RECOGNITION = dataclasses.replace(
    SPOTTING,
    source="the paper (800 epochs; its code 100), after SPOTTING; last epoch",
    epochs=800,
    loss=recognition_loss,
    decays={"head.0.weight": HEAD_DECAY},
)

SETTINGS = dataclasses.replace(
    RECOGNITION,
    source="the paper's recognition part; that it learns without spotting first is ours",
    loss=cross_entropy,
    decays=SHARED_DECAYS | {"head.0.weight": HEAD_DECAY},
)
