"""Grad-CAM: where in its pictures a network saw what speaks for a class.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, equations 1 and 2: the maps of the last convolution, each weighed by the
mean of the gradient that the class's logit has in it, summed; what is below 0 is left out. Ours:
a picture's maps are divided by their largest, so that they tell where and not how much; a
network's streams that look at one picture are summed before (their maps are of one size); so are
the moments of a sequence, whose weights are means over time as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mie_x.records import Frames
from recognizers.apexme import ApexME
from recognizers.branches import EMR, Branches
from recognizers.dtscnn import DTSCNN
from recognizers.mean import MEAN
from recognizers.mecia import MECIANet
from recognizers.off_apexnet import OFFApexNet
from recognizers.ststnet import STSTNet

Heat = NDArray[np.float32]

STRENGTH = 0.6  # share of the colour where the heat is 1

LOOKS: dict[type[nn.Module], Callable[[Any], list[list[nn.Module]]]] = {
    Branches: lambda network: [[network.onset.maps], [network.apex.maps]],
    EMR: lambda network: [[network.trunk.maps]],
    ApexME: lambda network: [[network.trunk.maps]],
    DTSCNN: lambda network: [[stream[0][10]] for stream in network.streams],
    MEAN: lambda network: [[network.head[1]]],
    MECIANet: lambda network: [[network.trunk.maps]],
    STSTNet: lambda network: [[stream[1] for stream in network.streams]],
    OFFApexNet: lambda network: [[stream[4] for stream in network.streams]],
}
"""For each picture that a network looks at, the layers whose answers are its last maps, after their
ReLU. Branches looks at two, onset and apex; a DTSCNN at its sequences; all others at one. MECIA's
answer is that of the apex, and so is its picture."""


def grad_cam(network: nn.Module, inputs: tuple[Tensor, ...], label: int) -> list[Heat]:
    """Where NETWORK sees the class LABEL in one sample: (H, W) float32 in [0, 1] for each picture.

    INPUTS are its views without a batch's axis, and H, W their last two. A picture is one of
    ``LOOKS``; its largest is 1, or all are 0 where nothing speaks for the class. The network is
    asked in eval mode, and left in the mode it was in. ValueError for a network not in ``LOOKS``.
    """
    if type(network) not in LOOKS:
        known = ", ".join(kind.__name__ for kind in LOOKS)
        raise ValueError(f"{type(network).__name__}: its last maps are not known, only of {known}")
    pictures = LOOKS[type(network)](network)
    seen: dict[nn.Module, Tensor] = {}

    def keep(layer: nn.Module, _: Any, answer: Tensor) -> None:
        seen[layer] = answer

    hooks = [layer.register_forward_hook(keep) for layers in pictures for layer in layers]
    training = network.training
    try:
        network.eval()
        with torch.enable_grad():
            # A gradient reaches the maps even where the weights before them want none.
            logits = network(*(view[None].detach().requires_grad_() for view in inputs))
        if not 0 <= label < logits.shape[1]:
            raise ValueError(f"class {label} of {logits.shape[1]}, which count from 0")
        gradients = dict(
            zip(seen, torch.autograd.grad(logits[0, label], list(seen.values())), strict=True)
        )
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    # As many inputs as pictures, but for Branches' pair, whose two are of one size.
    sizes = [view.shape[-2:] for view in inputs] * (len(pictures) // len(inputs))
    with torch.no_grad():
        return [
            _heat([(seen[layer][0], gradients[layer][0]) for layer in layers], tuple(size))
            for layers, size in zip(pictures, sizes, strict=True)
        ]


def _heat(maps: list[tuple[Tensor, Tensor]], size: tuple[int, ...]) -> Heat:
    """MAPS and gradients, each (C, [T,] h, w) -> (H, W) of SIZE."""
    parts = []
    for answer, gradient in maps:
        weights = gradient.flatten(1).mean(dim=1)  # (C,)
        weighted = torch.tensordot(weights, answer, dims=1)  # ([T,] h, w)
        parts.append(weighted.reshape(-1, *weighted.shape[-2:]).sum(dim=0))
    heat = torch.stack(parts).sum(dim=0).relu()
    resized = F.interpolate(heat[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    found: Heat = (resized / resized.max().clamp(min=torch.finfo(torch.float32).tiny)).cpu().numpy()
    return found


def overlay(frame: Frames, heat: Heat) -> Frames:
    """FRAME (H, W, 3) uint8 RGB under HEAT (h, w) in [0, 1], resized to it: (H, W, 3) uint8.

    The more heat, the more of matplotlib's colour "inferno" and the less of the frame. FRAME is
    what the network saw: for trunks the middle of a face (``views.augment``), for flow the face.
    """
    import matplotlib
    from PIL import Image

    size = (frame.shape[1], frame.shape[0])
    large = np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))
    share = STRENGTH * large[..., None].clip(0, 1)
    colour = 255 * matplotlib.colormaps["inferno"](large)[..., :3]
    mixed: Frames = np.rint((1 - share) * frame + share * colour).astype(np.uint8)
    return mixed
