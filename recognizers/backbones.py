"""Trunks made for photographs (torchvision's ResNet-18 and AlexNet), and the head that MiE-X uses.

ImageNet weights are read from torch's hub cache, or fetched into it once when they are asked for;
a file is only believed when its SHA-256 begins as its name says. Nothing is fetched unasked, and
who asked for weights gets them or an error: ``pretrained_on`` tells which.

All trunks see pixels in [-1, 1], as MiE-X feeds them, not torchvision's ImageNet mean and spread.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

IMAGENET = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "alexnet": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
}
"""torchvision's IMAGENET1K_V1 weights, the ones that papers before 2022 mean."""

WEIGHTS = (None, "imagenet")


class Trunk(nn.Module):
    """A torchvision network without its last layer.

    NAME is "resnet18" (11,176,512 parameters, ``width`` 512) or "alexnet" (57,003,840, 4096, its
    two hidden layers included). WEIGHTS is None, torchvision's random start, or "imagenet".
    """

    def __init__(self, name: str, *, weights: str | None) -> None:
        super().__init__()
        if name not in TORCHVISION:
            raise ValueError(f"trunk {name!r}: choose one of {', '.join(TORCHVISION)}")
        if weights not in WEIGHTS:
            raise ValueError(f"weights {weights!r}: choose None or 'imagenet'")
        network = TORCHVISION[name]()
        if weights is not None:
            network.load_state_dict(imagenet_weights(name))
        self.pretrained_on = None if weights is None else "ImageNet-1k"
        self.maps, self.vector, self.width = PARTS[name](network)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, 224, 224) in [-1, 1] -> (N, width), at least 0.

        ``maps`` alone answers with (N, 512, 7, 7) for ResNet-18, (N, 256, 6, 6) for AlexNet.
        """
        vector: Tensor = self.vector(self.maps(image))
        return vector


def resnet18() -> nn.Module:
    """torchvision's ResNet-18, its weights drawn at random."""
    from torchvision import models

    network: nn.Module = models.resnet18(weights=None)
    return network


def alexnet() -> nn.Module:
    """torchvision's AlexNet, its weights drawn at random."""
    from torchvision import models

    network: nn.Module = models.alexnet(weights=None)
    return network


def parts_of_resnet18(network: nn.Module) -> tuple[nn.Module, nn.Module, int]:
    """Layers up to the maps, from there to the vector, the vector's length."""
    layers = dict(network.named_children())
    last, pool = layers.pop("fc"), layers.pop("avgpool")
    assert isinstance(last, nn.Linear)
    return nn.Sequential(*layers.values()), nn.Sequential(pool, nn.Flatten()), last.in_features


def parts_of_alexnet(network: nn.Module) -> tuple[nn.Module, nn.Module, int]:
    """Layers up to the maps, from there to the vector, the vector's length."""
    layers = dict(network.named_children())
    *hidden, last = layers["classifier"].children()
    assert isinstance(last, nn.Linear)
    vector = nn.Sequential(layers["avgpool"], nn.Flatten(), *hidden)
    return layers["features"], vector, last.in_features


TORCHVISION: dict[str, Callable[[], nn.Module]] = {"resnet18": resnet18, "alexnet": alexnet}
PARTS: dict[str, Callable[[nn.Module], tuple[nn.Module, nn.Module, int]]] = {
    "resnet18": parts_of_resnet18,
    "alexnet": parts_of_alexnet,
}


def imagenet_weights(name: str) -> dict[str, Tensor]:
    """The published weights of NAME, from torch's hub cache, or fetched into it.

    FileNotFoundError where they are not there and cannot be fetched, ValueError where the file is
    another one; both name the path and the remedy.
    """
    url = IMAGENET[name]
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    digest = path.stem.rpartition("-")[2]  # the first digits of the SHA-256
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=digest, progress=False)
        except (OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"{path}: not there, and {url} could not be fetched ({error}); put that file "
                f"there, or train from scratch with weights=None"
            ) from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(digest):
        raise ValueError(f"{path}: SHA-256 begins with {found[:8]}; delete it, fetch {url} anew")
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}; delete it, fetch {url} anew") from error
    return weights


def pretrained_on(network: nn.Module) -> str | None:
    """What NETWORK's trunks have learned from before any clip was seen; None for nothing."""
    for module in network.modules():
        if isinstance(module, Trunk):
            return module.pretrained_on
    return None


def three_layer_head(width: int, classes: int) -> nn.Sequential:
    """MiE-X's head, (N, WIDTH) -> (N, CLASSES): 128, 32, CLASSES; ReLU and dropout 0.5 between.

    Xavier's start and biases at 0; that it is the uniform one is ours.
    """
    head = nn.Sequential(
        nn.Linear(width, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 32),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(32, classes),
    )
    for layer in head:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return head
