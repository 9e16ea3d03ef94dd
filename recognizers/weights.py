"""What was fitted, on disk: safetensors, which can hold nothing that runs.

The header's entry ``mie-x recognizer`` is a JSON object::

    {"version": 1, "recognizer": "ststnet", "classes": ["negative", ...], "views": ["flow_28"],
     "settings": {...}, "seed": 0, "epoch": 500, "steps": 1000, "replaced": [],
     "pretrained_on": null, "trained_on": "...", "stand_in": true}

The tensors are a network's, float32, without the counters of batch norms; or an SVM's planes
(``descriptor_svm.Planes``), so that it answers the same to the bit. There is no time in it: the
same fit gives the same file.

One that spots (``pipelines.spotters``) has the entry ``spotter`` beside these, see ``Spotter``.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from mie_x.flow import FLOWS
from mie_x.folds import Person
from mie_x.intervals import KINDS
from mie_x.records import LABELS
from mie_x.whole import write_bytes
from recognizers import DESCRIPTORS, RECOGNIZERS
from recognizers.descriptor_svm import DescriptorSvm, Planes
from recognizers.spotting import NEGATIVES
from recognizers.training import COUNTER, Fitted

ENTRY = "mie-x recognizer"
VERSION = 1
LARGEST = 1 << 30  # bytes; the largest network here takes 90 MB
MOST_CLASSES = 1000  # beyond it a header is a mistake or an attack

# What else the entry holds, and of which types.
FACTS: dict[str, tuple[type, ...]] = {
    "settings": (dict,),
    "seed": (int,),
    "epoch": (int,),
    "steps": (int,),
    "replaced": (list,),
    "pretrained_on": (str, type(None)),
    "trained_on": (str,),
    "flow": (str, type(None)),
    "stand_in": (bool,),
}


@dataclass(frozen=True, slots=True)
class Spotter:
    """How a network learned to spot: to look at other videos alike, and at nobody it knows.

    ``people`` are all whom it was shown, by the names of ``mie_x.folds``. ``half`` is k' in frames
    at ``fps``, of the expressions of this ``kind`` that it learned from. ``recipe`` is one of
    ``spotting.NEGATIVES``, ``epochs`` those of both steps, ``face_every`` the seconds after which a
    face was looked for again, None: never. Where it ``recognizes``, its head has learned the
    classes of its file, else nothing.
    """

    people: tuple[Person, ...]
    half: int
    fps: float
    kind: str
    recipe: str
    epochs: tuple[int, int]
    face_every: float | None
    recognizes: bool


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What was fitted, with the SHA-256 of its file, and what the file says of its data."""

    fitted: Fitted
    sha256: str
    trained_on: str
    stand_in: bool
    flow: str | None = None
    spotter: Spotter | None = None


def save(
    path: Path,
    fitted: Fitted,
    *,
    trained_on: str,
    stand_in: bool,
    flow: str | None = None,
    spotter: Spotter | None = None,
) -> str:
    """Write FITTED to PATH, whole or not at all; returns the file's SHA-256.

    TRAINED_ON says all that it has learned from, STAND_IN that this was no real person's
    micro-expressions. FLOW is the kind that it was shown, one of ``mie_x.flow.FLOWS``: of another
    kind it would see another movement.
    """
    tensors = _tensors(fitted)
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{path}: {name} holds numbers that are not finite; not written")
    metadata = {
        "version": VERSION,
        "recognizer": fitted.recognizer,
        "classes": fitted.classes,
        "views": fitted.settings["views"],
        "settings": dict(fitted.settings),
        "seed": fitted.seed,
        "epoch": fitted.epoch,
        "steps": fitted.steps,
        "replaced": fitted.replaced,
        "pretrained_on": fitted.pretrained_on,
        "trained_on": trained_on,
        "stand_in": stand_in,
        "flow": flow,
    }
    if spotter is not None:
        metadata["spotter"] = asdict(spotter)
    content = to_bytes(tensors, metadata={ENTRY: json.dumps(metadata, sort_keys=True)})
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def load(path: Path) -> Loaded:
    """Read what ``save`` wrote. Raises FileNotFoundError, or ValueError naming file and remedy."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; check the path")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: more than {LARGEST >> 20} MiB; not a recognizer's weights")
    with path.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            told = _parse(path, (file.metadata() or {}).get(ENTRY))
            headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: (tuple(h.get_shape()), h.get_dtype()) for name, h in headers.items()}
            name, classes = told["recognizer"], told["classes"]
            if name in DESCRIPTORS:
                wanted = _of_planes(name, len(classes), found)
            else:
                with torch.device("meta"):
                    network = RECOGNIZERS[name].build(classes=len(classes))
                wanted = {
                    key: (tuple(tensor.shape), "F32") for key, tensor in _weights(network).items()
                }
            if found != wanted:
                raise ValueError(f"{path}: not the tensors of {name}; fetch it again")
            tensors = {key: file.get_tensor(key) for key in headers}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not safetensors, or cut short ({error})") from None
    for key, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{path}: {key} holds numbers that are not finite; fetch it again")
    fitted = Fitted(
        recognizer=name,
        network=_svm(path, told, tensors) if name in DESCRIPTORS else _filled(network, tensors),
        classes=tuple(classes),
        seed=told["seed"],
        settings=told["settings"],
        pretrained_on=told["pretrained_on"],
        epoch=told["epoch"],
        steps=told["steps"],
        replaced=tuple(told["replaced"]),
    )
    return Loaded(
        fitted,
        sha256,
        told["trained_on"],
        told["stand_in"],
        told["flow"],
        _spotter(path, told) if "spotter" in told else None,
    )


def _spotter(path: Path, entry: dict[str, Any]) -> Spotter:
    """What ENTRY says of how its network spots; the rest of it is known to be as ``_parse`` says.

    Only MEAN spots, by some kind of flow, and the emotions that it tells are our LABELS.
    """
    told = entry["spotter"]
    try:
        people = tuple(Person(corpus, subject) for corpus, subject in told["people"])
        spotter = Spotter(**told | {"people": people, "epochs": tuple(told["epochs"])})
        seconds = (spotter.fps, *([] if spotter.face_every is None else [spotter.face_every]))
        true = (
            len(people) > 0
            and all(isinstance(word, str) for one in people for word in one)
            and all(type(count) is int and count > 0 for count in (spotter.half, *spotter.epochs))
            and len(spotter.epochs) == 2
            and all(0 < float(value) < math.inf for value in seconds)
            and spotter.kind in KINDS
            and spotter.recipe in NEGATIVES
            and type(spotter.recognizes) is bool
            and (not spotter.recognizes or LABELS.keys() >= set(entry["classes"]))
            and entry["recognizer"] == "mean"
            and entry["flow"] in FLOWS
        )
    except (TypeError, ValueError, LookupError):
        true = False
    if not true:
        raise ValueError(f"{path}: what it says of how it spots is not true; fetch it again")
    return spotter


def _tensors(fitted: Fitted) -> dict[str, Tensor]:
    if isinstance(fitted.network, nn.Module):
        return {
            name: tensor.detach().to("cpu", torch.float32).contiguous()
            for name, tensor in _weights(fitted.network).items()
        }
    if fitted.network.planes is None:
        raise ValueError(f"{fitted.recognizer}: this SVM has learned nothing: fit it first")
    planes = fitted.network.planes._asdict()
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in planes.items()}


def _weights(network: nn.Module) -> dict[str, Tensor]:
    """Name -> tensor, without the counters that batch norms keep for training."""
    return {
        name: tensor for name, tensor in network.state_dict().items() if not name.endswith(COUNTER)
    }


def _filled(network: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """NETWORK, made without memory, with TENSORS for its weights."""
    counters = {
        name: torch.zeros((), dtype=torch.int64)
        for name in network.state_dict()
        if name.endswith(COUNTER)
    }
    network.load_state_dict(tensors | counters, assign=True)
    return network.eval()


def _of_planes(name: str, classes: int, found: dict[str, Any]) -> dict[str, Any]:
    """The shapes and dtypes of a fit of the descriptor NAME to as many classes as FOUND has."""
    shape, _ = found.get("classes", ((), ""))
    learned = min(shape[0], classes) if shape else 0
    pairs = learned * (learned - 1) // 2
    return {
        "classes": ((learned,), "I64"),
        "normals": ((pairs, DESCRIPTORS[name].length), "F64"),
        "offsets": ((pairs,), "F64"),
    }


def _svm(path: Path, told: dict[str, Any], tensors: dict[str, Tensor]) -> DescriptorSvm:
    planes = Planes(**{name: tensor.numpy() for name, tensor in tensors.items()})
    learned = planes.classes
    if (
        len(learned) < 2
        or (np.diff(learned) < 1).any()
        or not 0 <= learned[0] <= learned[-1] < len(told["classes"])
    ):
        raise ValueError(
            f"{path}: learned classes {learned.tolist()} are not of its own; fetch it again"
        )
    return DescriptorSvm(DESCRIPTORS[told["recognizer"]], planes=planes)


def _parse(path: Path, entry: str | None) -> dict[str, Any]:
    if entry is None:
        raise ValueError(f"{path}: safetensors, but not a mie-x recognizer (no '{ENTRY}' entry)")
    try:
        told: dict[str, Any] = json.loads(entry)
        version, name, classes, views = (
            told[key] for key in ("version", "recognizer", "classes", "views")
        )
        facts = {key: told[key] for key in FACTS}
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ValueError(f"{path}: its '{ENTRY}' entry cannot be read; fetch it again") from None
    if version != VERSION:
        raise ValueError(f"{path}: version {version} of '{ENTRY}', not {VERSION}; update mie-x")
    if not isinstance(name, str) or name not in {*RECOGNIZERS, *DESCRIPTORS}:
        known = ", ".join((*RECOGNIZERS, *DESCRIPTORS))
        raise ValueError(f"{path}: a recognizer {name!r}, of which there is none ({known})")
    known_views = (
        [DESCRIPTORS[name].view] if name in DESCRIPTORS else list(RECOGNIZERS[name].settings.views)
    )
    wrong = [key for key, value in facts.items() if type(value) not in FACTS[key]]
    if not wrong and [views, told["settings"].get("views")] != [known_views, known_views]:
        wrong.append("views")
    if not _names(classes) or not 2 <= len(classes) <= MOST_CLASSES:
        wrong.append("classes")
    if not wrong and not _names(told["replaced"]):
        wrong.append("replaced")
    if wrong:
        raise ValueError(f"{path}: what it says of {wrong[0]} is not true; fetch it again")
    return told


def _names(value: Any) -> bool:
    """Whether VALUE is a list of different texts."""
    return (
        isinstance(value, list)
        and all(isinstance(name, str) for name in value)
        and len(set(value)) == len(value)
    )
