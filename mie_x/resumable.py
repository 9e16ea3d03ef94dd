"""The state of a long computation on disk, so that it can be stopped anywhere and run again.

A state is tensors, and JSON in the header of the same safetensors file: what was set, which must
be the same when it goes on, and how far it has come. There is nothing in it that runs. It is
written whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mie_x.whole import write_bytes, write_text

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ENTRY = "mie-x state"


def save_state(
    path: Path,
    tensors: Mapping[str, Tensor],
    *,
    settings: Mapping[str, Any],
    progress: Mapping[str, Any],
) -> None:
    """Write TENSORS to PATH, with SETTINGS and PROGRESS, which JSON can hold."""
    from safetensors.torch import save

    told = json.dumps({"settings": dict(settings), "progress": dict(progress)})
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, save(kept, metadata={ENTRY: told}))


def load_state(
    path: Path, *, settings: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the progress that ``save_state`` wrote to PATH, on the CPU.

    ValueError where the file is damaged, or of other SETTINGS: it says which.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="pt") as file:
            told = json.loads(file.metadata()[ENTRY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        before, progress = dict(told["settings"]), dict(told["progress"])
    except (safetensors.SafetensorError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: a damaged state ({error}); delete it to begin again") from None
    now = json.loads(json.dumps(dict(settings)))  # tuples become lists
    differences = [
        f"{name} {_shown(before.get(name))} there, {_shown(now.get(name))} now"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    if differences:
        raise ValueError(
            f"{path}: the state of another computation ({'; '.join(differences)}); "
            "do the same again, or choose another file"
        )
    return tensors, progress


def refill(
    path: Path, tensors: Mapping[str, Tensor], *, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Copy what ``save_state`` wrote to PATH into TENSORS; the progress. ValueError as it has it,
    and where PATH holds other tensors."""
    import torch

    saved, progress = load_state(path, settings=settings)
    if {name: t.shape for name, t in saved.items()} != {n: t.shape for n, t in tensors.items()}:
        raise ValueError(f"{path}: a state of other networks; delete it to begin again")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
    return progress


def adam_tensors(optimiser: torch.optim.Adam) -> dict[str, Tensor]:
    """Name -> the very tensors that Adam keeps, made as before the first step where there are none.

    Of an optimiser with one group of parameters.
    """
    import torch

    tensors: dict[str, Tensor] = {}
    for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
        state = optimiser.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        tensors |= {f"{index}.{name}": tensor for name, tensor in state.items()}
    return tensors


def cut_log(path: Path, step: int) -> None:
    """Drop the lines of a JSON log that tell of later steps than STEP, and torn ones."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, LookupError, TypeError):  # torn when the run was killed
            continue
    write_text(path, "".join(kept))


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
