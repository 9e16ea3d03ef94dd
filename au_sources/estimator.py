"""The built-in estimator: the 17 action units of an aligned face, measured by a small network.

The instrument of last resort, where neither OpenFace nor py-feat is at hand, and a judge of what a
generator does. ``intensities`` tells what a face shows; ``differences`` what changed between two
frames of the same face, which is far more exact at the intensity of micro-expressions, where the
difference of two absolute answers is mostly noise.

The weights that ship are described, with their errors, in ``weights/estimator.md``: learned from
rendered faces and a few photographs, they are no replacement of OpenFace. Weights are safetensors,
which can hold nothing that runs; the header's entry ``mie-x estimator`` is a JSON object::

    {"version": 1, "width": 32, "aus": [1, ...], "steps": 3000, "data": "...", "licence": "..."}
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mie_x.records import AUS, SIZE, Aus, Frames
from mie_x.threads import one_thread
from mie_x.whole import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from au_sources.estimator_network import Estimator

SHIPPED = Path(__file__).parent / "weights" / "estimator.safetensors"
SHIPPED_SHA256 = "b7e9c990c0861f48c87996b5eb93c2b471dc1994ca46f3803b574c4e83dc6330"
ENTRY = "mie-x estimator"
VERSION = 1
WIDEST = 256  # beyond it a header is a mistake or an attack
LARGEST = 64 << 20  # bytes
AT_ONCE = 32  # frames


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """An estimator with the SHA-256 of its file, and what the file says of it."""

    estimator: Estimator
    sha256: str
    metadata: dict[str, Any]


def intensities(frames: Frames, *, weights: Path | None = None) -> Aus:
    """AUs of aligned faces (N, 128, 128, 3) uint8 RGB: (N, 17) float32 in [0, 1], order of AUS.

    WEIGHTS: a file that ``save_estimator`` wrote; None for the one shipped.
    """
    _check(frames, "frames")
    estimator = _known(weights).estimator
    return _measured(estimator.intensities, [frames], low=0)


def differences(onsets: Frames, apexes: Frames, *, weights: Path | None = None) -> Aus:
    """How much each AU rose from onset to apex of the same face: (N, 17) float32 in [-1, 1].

    Both are (N, 128, 128, 3) uint8 RGB, aligned alike: best by the same matrix.
    """
    _check(onsets, "onsets")
    _check(apexes, "apexes")
    if len(onsets) != len(apexes):
        raise ValueError(f"{len(onsets)} onsets and {len(apexes)} apexes; give one for the other")
    estimator = _known(weights).estimator
    return _measured(estimator.differences, [onsets, apexes], low=-1)


def _check(frames: Frames, name: str) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (SIZE, SIZE, 3):
        raise ValueError(
            f"{name} are {frames.dtype} of shape {frames.shape}; give uint8 RGB of shape "
            f"(N, {SIZE}, {SIZE}, 3), aligned as mie_x.faces does"
        )


@one_thread()
def _measured(answer: Any, clips: list[Frames], *, low: float) -> Aus:
    """ANSWER to the frames of CLIPS side by side, AT_ONCE at a time, in [LOW, 1]."""
    import torch

    out = np.zeros((len(clips[0]), len(AUS)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(out), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            found: Tensor = answer(*(to_planes(frames[rows]) for frames in clips))
            out[rows] = found.clamp(low, 1).numpy()
    return out


def to_planes(frames: Frames) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in [0, 1]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).contiguous() / 255


@lru_cache(maxsize=2)
def _known(weights: Path | None) -> Loaded:
    return load_estimator(weights)


def save_estimator(path: Path, estimator: Estimator, *, steps: int, data: str, licence: str) -> str:
    """Write ESTIMATOR to PATH as float16, whole or not at all; returns the file's SHA-256.

    DATA says what it was trained on.
    """
    import torch
    from safetensors.torch import save

    metadata = {
        "version": VERSION,
        "width": estimator.width,
        "aus": AUS,
        "steps": steps,
        "data": data,
        "licence": licence,
    }
    tensors = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in _weights(estimator).items()
    }
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{path}: {name} holds numbers that are not finite; not written")
    content = save(tensors, metadata={ENTRY: json.dumps(metadata, sort_keys=True)})
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def _weights(estimator: Estimator) -> dict[str, Tensor]:
    """Name -> tensor, without the counters that batch norms keep for training."""
    return {
        name: tensor
        for name, tensor in estimator.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def load_estimator(path: Path | None) -> Loaded:
    """Read an estimator; None is the one shipped with the package. On the CPU, in eval mode.

    Raises FileNotFoundError, or ValueError naming the file and the remedy.
    """
    import safetensors
    import torch

    from au_sources.estimator_network import Estimator

    shipped = path is None
    path = path or SHIPPED
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; check the path")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: more than {LARGEST >> 20} MiB; not an estimator's weights")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if shipped and sha256 != SHIPPED_SHA256:
        raise ValueError(
            f"{path}: damaged or replaced, its SHA-256 is {sha256[:16]}... and not "
            f"{SHIPPED_SHA256[:16]}...; install mie-x again"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = _parse_metadata((file.metadata() or {}).get(ENTRY), path)
            with torch.device("meta"):
                wanted = _weights(Estimator(width=metadata["width"]))
            headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: (tuple(h.get_shape()), h.get_dtype()) for name, h in headers.items()}
            if found != {name: (tuple(tensor.shape), "F16") for name, tensor in wanted.items()}:
                raise ValueError(f"{path}: not the tensors of an estimator; fetch it again")
            weights = {name: file.get_tensor(name).float() for name in headers}
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: not safetensors, or cut short ({error})") from None
    for name, tensor in weights.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{path}: {name} holds numbers that are not finite; fetch it again")
    estimator = Estimator(width=metadata["width"])
    estimator.load_state_dict(weights, strict=False)  # the counters are not there
    return Loaded(estimator.eval(), sha256, metadata)


def _parse_metadata(entry: str | None, path: Path) -> dict[str, Any]:
    if entry is None:
        raise ValueError(f"{path}: safetensors, but not a mie-x estimator (no '{ENTRY}' entry)")
    try:
        metadata = json.loads(entry)
        width = metadata["width"]
        known = metadata["version"] == VERSION and metadata["aus"] == list(AUS)
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ValueError(f"{path}: its '{ENTRY}' entry cannot be read; fetch it again") from None
    if not known or type(width) is not int or not 1 <= width <= WIDEST:
        raise ValueError(f"{path}: an estimator of another version or other AUs; update mie-x")
    parsed: dict[str, Any] = metadata
    return parsed
