"""How a network is trained: the published settings as plain records, for one loop that trains all.

Every network of this package is called with the tensors of its views and answers with logits
(N, classes). What else sets the papers apart is said here and in the ``SETTINGS`` of each file: a
loss of network and batch, rates and weight decay of single layers, a schedule of epochs. Nowhere
is an epoch chosen by a score: the last one counts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from mie_x.records import SIZE

VIEWS = {
    "apex": (3, 224, 224),  # RGB in [-1, 1]
    "onset_apex": (2, 3, 224, 224),  # the same
    "onset_apex_gray": (2, 3, 224, 224),  # grey three times over, in [-1, 1]
    "flow_hsv": (3, 224, 224),  # direction, length and saturation painted, RGB in [-1, 1]
    "flow_28": (3, 28, 28),  # u, v, strain from onset to apex, normalised
    "mean_roi": (3, 42, 42),  # u, v, strain in [0, 1], of brows, eyes and mouth alone
    "flow_sequence_10": (3, 10, SIZE, SIZE),  # u, v, magnitude over time, in pixels
    "flow_sequence_64": (3, 64, SIZE, SIZE),
    "flow_sequence_128": (3, 128, SIZE, SIZE),
    "flow_raw": (3, SIZE, SIZE),  # u and v in pixels, strain: not normalised
    "gray_10": (10, SIZE, SIZE),  # the clip at 10 times, in 0..255
}
"""What recognizers ask to see of a clip, and the shape of that; made by ``recognizers.views``."""


class Batch(NamedTuple):
    """What a loss sees: N samples.

    ``inputs`` are the network's views, each (N, ...) float32; ``labels`` (N,) int64 classes from 0;
    ``macro`` (N,) bool, who shows a macro-expression, None where nobody tells.
    """

    inputs: tuple[Tensor, ...]
    labels: Tensor
    macro: Tensor | None = None


Loss = Callable[[Any, Batch], Tensor]
"""A network and a batch -> () float32, to be minimised; weight decay is not part of it."""

Schedule = Callable[[float, int], float]
"""First rate, number of the epoch from 1 -> rate of that epoch."""


def cross_entropy(network: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy without class weights -> ()."""
    return F.cross_entropy(network(*batch.inputs), batch.labels)


def constant(rate: float, epoch: int) -> float:
    """The same RATE in every EPOCH."""
    del epoch
    return rate


def steps(rate: float, epoch: int, *, factor: float, every: int, floor: float = 0.0) -> float:
    """RATE times FACTOR at every EPOCH that EVERY divides, but not below FLOOR.

    >>> [round(steps(1e-4, epoch, factor=0.8, every=10), 7) for epoch in (1, 9, 10, 20)]
    [0.0001, 0.0001, 8e-05, 6.4e-05]
    """
    return max(floor, rate * factor ** (epoch // every))


def fall(rate: float, epoch: int, *, flat: int, falling: int) -> float:
    """RATE for FLAT epochs, then a linear fall over FALLING ones; 0 would follow after the last.

    >>> [round(fall(1.0, epoch, flat=10, falling=10), 2) for epoch in (1, 10, 11, 12, 20)]
    [1.0, 1.0, 1.0, 0.9, 0.1]
    """
    return rate * (1 - max(0, epoch - 1 - flat) / falling)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a network is trained.

    ``source`` says who published this and what is ours. ``views`` name what the network sees of a
    clip, one name of ``VIEWS`` a tensor. ``rates`` and ``decays`` replace
    ``rate`` and ``weight_decay`` for the parameters below a name, as ``named_parameters`` has them;
    ``weight_decay`` is Adam's own, added to the gradient: twice a factor that a paper puts before
    a sum of squares. ``clip`` bounds the gradient's norm in each child of the network by itself
    (trunk, head), None not at all. ``augmentation`` is of training alone, drawn once a sample, the
    same for all of its frames.
    """

    source: str
    views: tuple[str, ...]
    rate: float
    epochs: int
    batch: int
    optimiser: str = "adam"
    weight_decay: float = 0.0
    schedule: Schedule = constant
    loss: Loss = cross_entropy
    clip: float | None = None
    augmentation: str = "none"
    rates: Mapping[str, float] = field(default_factory=dict)
    decays: Mapping[str, float] = field(default_factory=dict)


def told(settings: Settings) -> dict[str, Any]:
    """SETTINGS as JSON can hold them: functions by their names, with the options they were given.

    >>> from recognizers.branches import SETTINGS
    >>> told(SETTINGS)["schedule"]
    'recognizers.settings.steps(factor=0.8, every=10)'
    """
    return asdict(settings) | {
        "views": list(settings.views),
        "schedule": _named(settings.schedule),
        "loss": _named(settings.loss),
    }


def _named(function: Callable[..., Any]) -> str:
    if isinstance(function, functools.partial):
        options = [repr(value) for value in function.args]
        options += [f"{name}={value!r}" for name, value in function.keywords.items()]
        return f"{_named(function.func)}({', '.join(options)})"
    return f"{function.__module__}.{function.__qualname__}"


def groups(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """NETWORK's parameters by rate and decay, as ``torch.optim`` takes them: params, lr, ....

    A name in SETTINGS that no parameter has is a ValueError.
    """
    names = [name for name, _ in network.named_parameters()]
    for wanted in (*settings.rates, *settings.decays):
        if not any(below(name, wanted) for name in names):
            raise ValueError(f"no parameter {wanted} in {type(network).__name__}: see SETTINGS")
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        rate = of_layer(settings.rates, name, settings.rate)
        decay = of_layer(settings.decays, name, settings.weight_decay)
        found.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in found.items()
    ]


def of_layer(values: Mapping[str, float], name: str, default: float) -> float:
    """What VALUES say of the parameter NAME: the longest name it is below, else DEFAULT."""
    known = [wanted for wanted in values if below(name, wanted)]
    return values[max(known, key=len)] if known else default


def below(name: str, layer: str) -> bool:
    """Whether the parameter NAME is LAYER's, or is LAYER itself."""
    return name == layer or name.startswith(f"{layer}.")
