"""py-feat (Cheong et al., Affective Science 2023) asked for the AUs of frames, within our process.

What ``feat.Detectorv2`` computes, without its RetinaFace: py-feat's crop around a given box,
and py-feat's network behind it. So the box of the onset frame serves a whole clip, where one found
anew on every frame would move the crop, and the AUs with it; and one file of weights is needed
instead of two. The box is MTCNN's, which learned from the same photographs
(WIDER FACE) as RetinaFace, but is not the same.

py-feat answers 20 AUs, each with the *probability* that it is there, in [0, 1]. That is no
intensity: it is steep where the network begins to be sure, and how strong a movement is it does not
say. AU45 (blink) is its AU43 (eyes closed); AU11, AU24 and AU28 are left out.

The weights come from py-feat's own place on the Hugging Face hub, for non-commercial research; the
hub's cache is py-feat's folder ``resources``, whatever HF_HOME says.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mie_x.records import AUS, Aus, Frames
from mie_x.threads import one_thread

NAMES = tuple(f"AU{43 if au == 45 else au:02d}" for au in AUS)
"""What py-feat calls the AUs of ``AUS``."""
LICENCE = "py-feat's multitask weights: non-commercial research only"
PATIENCE = 5.0
"""Seconds to wait for the hub's first answer. Left to itself its client tries for 47 s."""


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """py-feat's network, the file that its weights came from, and that file's SHA-256."""

    network: Any
    path: Path
    sha256: str


def probabilities(frames: Sequence[Frames], box: Sequence[float], *, device: str = "cpu") -> Aus:
    """How probable each AU is in FRAMES, (H, W, 3) uint8 RGB: (T, 17) float32 in [0, 1], as AUS.

    BOX is (left, top, right, bottom) of the face in px, the same in all frames: what a frame shows
    there is taken for a face. Raises as ``load_pyfeat`` does.
    """
    import torch

    network = load_pyfeat(device).network
    from feat.multitask.inference import CHIP_SIZE, EXPAND_BBOX
    from feat.utils.image_operations import extract_face_square_pad_torch

    out = np.zeros((len(frames), len(AUS)), np.float32)
    with one_thread(), torch.inference_mode():
        for row, frame in enumerate(frames):
            planes = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None]
            chip, _ = extract_face_square_pad_torch(
                planes.to(device) / 255,
                torch.tensor([box], device=device),
                face_size=CHIP_SIZE,
                expand_bbox=EXPAND_BBOX,
            )
            found = network(chip)
            out[row] = [found.au[0, found.au_names.index(name)] for name in NAMES]
    return out.clip(0, 1)


def load_pyfeat(device: str = "cpu") -> Loaded:
    """py-feat's network with its weights, once in a process; fetches these if it has to and may.

    Weights are FEAT_MULTITASK_WEIGHTS, or what py-feat's cache holds, or come from the hub; not
    where MIEX_OFFLINE or HF_HUB_OFFLINE is set. Raises ValueError where py-feat cannot be imported
    or the weights are damaged, FileNotFoundError where there are none, each with the remedy.
    """
    module = _feat()
    return _loaded(_weights(module), device, module)


def _feat() -> Any:
    """``feat.multitask.inference``."""
    try:
        import feat.multitask.inference
    except (ImportError, OSError, RuntimeError) as error:  # the last: torchcodec without FFmpeg
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"py-feat cannot be used here ({said}): pip install 'py-feat>=2.1.3,<3', and FFmpeg "
            "if it is torchcodec that fails"
        ) from error
    return feat.multitask.inference


@lru_cache(maxsize=1)
def _loaded(path: Path, device: str, module: Any) -> Loaded:
    from safetensors import SafetensorError

    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        network = module.MultitaskModel(device=device, weights_path=str(path))
        absent = [name for name in NAMES if name not in network.au_names]
    except (SafetensorError, RuntimeError, ValueError, LookupError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path}: not weights of py-feat's multitask network ({said}); fetch them again"
        ) from error
    if absent:
        raise ValueError(f"{path}: weights that do not measure {', '.join(absent)}; update py-feat")
    return Loaded(network, path, sha256)


def _weights(module: Any) -> Path:
    """The weights file that the installed py-feat wants; FileNotFoundError with the remedy."""
    if named := os.environ.get("FEAT_MULTITASK_WEIGHTS"):
        path = Path(named)
        if path.suffix != ".safetensors":  # py-feat would unpickle it, which can run anything
            raise ValueError(f"FEAT_MULTITASK_WEIGHTS: {path}: give a .safetensors file")
        if not path.is_file():
            raise FileNotFoundError(f"FEAT_MULTITASK_WEIGHTS: {path}: no such file")
        return path

    from feat.utils.io import get_resource_path
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )

    wanted, cache = (module.HF_REPO, module.HF_WEIGHTS_FILE), get_resource_path()
    cached = try_to_load_from_cache(*wanted, cache_dir=cache)
    if isinstance(cached, str):
        return Path(cached)
    if os.environ.get("MIEX_OFFLINE", "") not in ("", "0"):
        reason = "MIEX_OFFLINE is set"
    else:
        try:
            get_hf_file_metadata(hf_hub_url(*wanted), timeout=PATIENCE)
            return Path(hf_hub_download(*wanted, cache_dir=cache))
        except Exception as error:  # its kinds change with the hub's HTTP library
            reason = f"the hub cannot be asked: {' '.join(str(error).split())[:100]}"
    raise FileNotFoundError(
        f"py-feat's weights {'/'.join(wanted)} are neither in {cache} nor named by "
        f"FEAT_MULTITASK_WEIGHTS ({reason}): on a machine with internet run 'hf download "
        f"{' '.join(wanted)}', carry the file over and set FEAT_MULTITASK_WEIGHTS to it, or carry "
        f"over py-feat's own folder models--{wanted[0].replace('/', '--')} (licence: "
        "non-commercial research only)"
    )
