"""The terms that the generator and its critic are trained with, as pure functions.

The paper's terms (Pumarola et al., section 5.2), with the weights of the authors' code, where the
two that are summed over a batch of 25 are stated for the mean. And the paired terms, which need
what photographs do not have: the same face in the wanted action units. Images are (N, 3, H, W) in
[-1, 1], masks (N, 1, H, W) in [0, 1], AUs (N, 17), a loss is a scalar tensor.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

CRITIC = 1.0  # weight of the Wasserstein terms, of either side
PENALTY = 10.0  # of the gradient penalty
AU_REGRESSION = 160.0  # 4000 / 25 in the authors' code
CYCLE = 10.0
MASK_MEAN = 0.1
MASK_SMOOTHNESS = 1e-5 * 25  # theirs is summed over the batch of 25, ours averaged

MOVED = 4 / 127.5  # a change of four grey levels counts as moving nearly in full
EMPHASIS = 15.0  # what a moving pixel counts more than a resting one


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises: scores (any shape) high on real images, low on made ones."""
    return fake.mean() - real.mean()


def adversarial_loss(fake: Tensor) -> Tensor:
    """What the generator minimises: the critic's scores of its images, negated."""
    return -fake.mean()


def gradient_penalty(
    score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, rng: torch.Generator
) -> Tensor:
    """Mean of (|gradient of SCORE| - 1)^2 at random points between REAL and FAKE images.

    One point a pair; the L2 norm is over all of an image (Gulrajani et al., 2017).
    """
    share = torch.rand(len(real), generator=rng).to(real.device)[:, None, None, None]
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    (slope,) = torch.autograd.grad(score(between).sum(), between, create_graph=True)
    lengths: Tensor = slope.flatten(1).norm(dim=1)
    return (lengths - 1).square().mean()


def au_regression(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of the AUs that the critic sees: over the batch and the 17."""
    return F.mse_loss(found, wanted)


def cycle_loss(back: Tensor, source: Tensor) -> Tensor:
    """Mean absolute difference between SOURCE and a frame that was moved and moved BACK."""
    return F.l1_loss(back, source)


def mask_mean(mask: Tensor) -> Tensor:
    """Mean of the mask: keeps it from saturating at 1, where nothing moves."""
    return mask.mean()


def mask_smoothness(mask: Tensor) -> Tensor:
    """Absolute differences of neighbouring mask pixels: summed over an image, mean over images."""
    down = (mask[:, :, 1:] - mask[:, :, :-1]).abs().sum()
    right = (mask[:, :, :, 1:] - mask[:, :, :, :-1]).abs().sum()
    return (down + right) / len(mask)


def moving_weight(target: Tensor, source: Tensor) -> Tensor:
    """What each pixel of a paired term counts: 1 at rest, up to 1 + EMPHASIS where TARGET moved.

    A micro-expression is a few grey levels in a few percent of the pixels. Counted evenly, copying
    the source is so nearly right that nothing else is learned. -> (N, 1, H, W)
    """
    change = (target - source).abs().mean(dim=1, keepdim=True)
    # Spread a little, so that what must come to rest beside the movement counts too.
    change = F.max_pool2d(change, 3, stride=1, padding=1)
    return 1 + EMPHASIS * torch.tanh(change / MOVED)


def paired_difference(generated: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean absolute difference to the true frame, each pixel counted by WEIGHT."""
    return (weight * (generated - target).abs()).mean()


def paired_gradient(generated: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The same of the differences between neighbouring pixels: edges must move, not blur."""
    error = generated - target
    down = (error[:, :, 1:] - error[:, :, :-1]).abs() * weight[:, :, 1:]
    right = (error[:, :, :, 1:] - error[:, :, :, :-1]).abs() * weight[:, :, :, 1:]
    return down.mean() + right.mean()
