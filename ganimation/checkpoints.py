"""Generator weights on disk: our own format, and an importer for GANimation's two public ones.

Our format is safetensors, which can hold nothing that runs. Its header carries one metadata
entry, ``mie-x generator``, a JSON object::

    {"version": 1, "width": 32, "blocks": 6, "norm": "affine", "motion": true, "aus": [1, ...],
     "steps": 8000, "data": "...", "licence": "..."}

A moving generator's first convolution sees three colours; files in which it also has the planes of
the 17 AUs are still read, without those planes: they told little (``networks.Generator``).

The two public formats are pickles by PyTorch, named ``net_epoch_<E>_id_G.pth`` (the authors'
code) and ``<E>_net_gen.pth`` (the reimplementation that MiE-X used); they are told apart by their
keys. Importing either is a renaming, exact to the bit. A pickle is read only on demand and never
executes: ``torch.load(weights_only=True)``.

Everything that can be wrong with a file is a ``ValueError`` or ``FileNotFoundError`` that names
the file and the remedy.
"""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from ganimation.networks import NORMS, Generator
from mie_x.records import AUS
from mie_x.whole import whole

SHIPPED = Path(__file__).parent / "weights" / "compact.safetensors"
SHIPPED_SHA256 = "b41cfbb1b7f6e94dd6bdcdcd6c11c6afe7e7abc566d7d82d9918ba9fa58b2c96"
ENTRY = "mie-x generator"
VERSION = 1
LARGEST = 2 << 30  # bytes; the published networks take 34 MB
WIDEST, DEEPEST = 1024, 64  # sizes beyond which a header is a mistake or an attack

# The generator's constructor arguments in the metadata, and their types.
LAYOUT = {"width": int, "blocks": int, "norm": str, "motion": bool}

# What else the metadata may say; it is shown, and quoted in the card of a dataset.
FACTS = {"steps": int, "data": str, "licence": str}

FIRST = "first.weight"  # (width, 3 colours + AU planes, 7, 7)

# Of a safetensors header: what a generator may be stored as.
DTYPES = {"F16": torch.float16, "F32": torch.float32}

# What zipfile and torch.load raise on damaged files, besides pickle.UnpicklingError.
DAMAGED = (
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A generator with the SHA-256 of its file, the file's name, and what the file says of it."""

    generator: Generator
    sha256: str
    name: str
    metadata: dict[str, Any]


def save_generator(
    path: Path,
    generator: Generator,
    *,
    dtype: torch.dtype = torch.float16,
    steps: int,
    data: str,
    licence: str,
) -> str:
    """Write GENERATOR to PATH, whole or not at all, and return the file's SHA-256.

    DATA says what it was trained on. float16 halves the file; what it costs is below a hundredth
    of a grey level.
    """
    metadata = {
        "version": VERSION,
        "width": generator.width,
        "blocks": len(generator.blocks),
        "norm": generator.norm,
        "motion": generator.motion is not None,
        "aus": AUS,
        "steps": steps,
        "data": data,
        "licence": licence,
    }
    if dtype not in DTYPES.values():
        raise ValueError(f"weights are stored as float16 or float32, not {dtype}")
    if generator.aus != len(AUS):
        raise ValueError(f"the generator takes {generator.aus} action units, not {len(AUS)}")
    tensors = {
        name: tensor.detach().to("cpu", dtype).contiguous()
        for name, tensor in generator.state_dict().items()
    }
    _check_finite(tensors, path)
    content = save(tensors, metadata={ENTRY: json.dumps(metadata, sort_keys=True)})
    with whole(path) as partial:
        partial.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def load_generator(path: Path | None, *, unsafe_pickle: bool = False) -> Loaded:
    """Read a generator in any of the three formats; None is the one shipped with the package.

    UNSAFE_PICKLE permits the public formats. The generator is float32, on the CPU, in eval mode.
    """
    shipped = path is None
    if path is None:
        path = SHIPPED
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: this installation holds no generator weights; name a file (--weights)"
            )
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file; check the path")
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"{path}: {size:,} bytes, more than any generator; not a weights file")
    with path.open("rb") as file:
        start = file.read(9)
        # safetensors: eight bytes of length, which may look like anything, then a JSON object.
        is_pickle = start[8:] != b"{" and start.startswith((b"PK\x03\x04", b"\x80"))
        if is_pickle and not unsafe_pickle:
            raise ValueError(
                f"{path}: a PyTorch pickle, which is read only on demand; "
                "if you trust where it comes from, add --unsafe-pickle"
            )
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if shipped and sha256 != SHIPPED_SHA256:
        raise ValueError(
            f"{path}: damaged or replaced, its SHA-256 is {sha256[:16]}... and not "
            f"{SHIPPED_SHA256[:16]}...; install mie-x again, or name a file (--weights)"
        )
    generator, metadata = _read_pickle(path) if is_pickle else _read_safetensors(path)
    return Loaded(generator.eval(), sha256, path.name, metadata)


def _read_safetensors(path: Path) -> tuple[Generator, dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            # Names, shapes and types stand in the header; no weight is read before they fit.
            metadata = _parse_metadata((file.metadata() or {}).get(ENTRY), path)
            layout = {name: metadata[name] for name in LAYOUT}
            headers = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            found = {name: tuple(header.get_shape()) for name, header in headers.items()}
            shapes = _shapes(**layout)
            if layout["motion"] and found.get(FIRST) == (layout["width"], 3 + len(AUS), 7, 7):
                shapes[FIRST] = found[FIRST]
            _check_shapes(found, {name: name for name in shapes}, shapes, path)
            for name, header in headers.items():
                if header.get_dtype() not in DTYPES:
                    raise ValueError(f"{path}: {name} is {header.get_dtype()}, not F16 or F32")
            weights = {name: file.get_tensor(name) for name in headers}
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path}: neither safetensors nor a PyTorch file, or cut short "
            f"({_shown(str(error), 200)}); fetch it again"
        ) from None
    _check_finite(weights, path)
    generator = Generator(**layout)
    weights[FIRST] = weights[FIRST][:, : generator.first.in_channels]
    generator.load_state_dict(weights)
    return generator, metadata


def _parse_metadata(entry: str | None, path: Path) -> dict[str, Any]:
    if entry is None:
        raise ValueError(f"{path}: safetensors, but not a mie-x generator (no '{ENTRY}' entry)")
    try:
        metadata: dict[str, Any] = json.loads(entry)
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: its '{ENTRY}' entry is not JSON; fetch the file again") from None
    version = metadata.get("version") if isinstance(metadata, dict) else None
    if version != VERSION:
        raise ValueError(
            f"{path}: generator format {_shown(repr(version))}, this mie-x reads {VERSION}; "
            "update mie-x"
        )
    given = {name: kind for name, kind in FACTS.items() if name in metadata}
    for name, kind in (LAYOUT | given).items():
        value = metadata.get(name)
        if type(value) is not kind or (isinstance(value, str) and not value.isprintable()):
            raise ValueError(
                f"{path}: its metadata gives {name} as {_shown(repr(value))}; fetch the file again"
            )
    if metadata["norm"] not in NORMS:
        raise ValueError(
            f"{path}: norm {_shown(repr(metadata['norm']))} is none of {', '.join(NORMS)}"
        )
    if not (1 <= metadata["width"] <= WIDEST and 0 <= metadata["blocks"] <= DEEPEST):
        raise ValueError(
            f"{path}: width {metadata['width']} and {metadata['blocks']} blocks are out of bounds"
        )
    if metadata.get("aus") != list(AUS):
        raise ValueError(
            f"{path}: made for other action units ({_shown(repr(metadata.get('aus')))})"
        )
    return metadata


def _read_pickle(path: Path) -> tuple[Generator, dict[str, Any]]:
    found = _unpickle(path)
    weights = {
        name.removeprefix("module."): tensor  # saved from a model on several GPUs
        for name, tensor in found.items()
        # Files of PyTorch 0.3 keep running statistics, which no instance norm here uses.
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    original, replicate = "attetion_reg.0.weight" in weights, "color_top.0.weight" in weights
    if original == replicate:
        keys = ", ".join(map(_shown, sorted(weights)[:8])) or "none"
        raise ValueError(f"{path}: not a GANimation generator; its tensors are {keys} ...")
    trunk, block = ("main", "main") if original else ("model", "conv_block")
    blocks = sum(f"{trunk}.{9 + index}.{block}.0.weight" in weights for index in range(DEEPEST))
    # With dropout (the reimplementation's option) one more layer stands before the second half.
    second = 4 if f"{trunk}.9.{block}.4.weight" in weights and not original else 3
    first = weights.get(f"{trunk}.0.weight")
    width = first.shape[0] if first is not None and first.ndim == 4 else 64
    if not 1 <= width <= WIDEST:
        raise ValueError(f"{path}: a width of {width} is out of bounds")
    layout: dict[str, Any] = {
        "width": width,
        "blocks": blocks,
        "norm": "affine" if original else "plain",
        "motion": False,
    }
    names = public_names(original=original, blocks=blocks, second=second)
    shapes = _shapes(**layout)
    _check_shapes({key: tuple(value.shape) for key, value in weights.items()}, names, shapes, path)
    size = sum(4 * math.prod(shape) for shape in shapes.values())
    if size > LARGEST:  # a stored number may stand for any many weights
        raise ValueError(f"{path}: unpacks to {size:,} bytes; not a weights file")
    _check_finite(weights, path)
    generator = Generator(**layout)
    generator.load_state_dict({name: weights[names[name]].float() for name in shapes})
    format_ = "GANimation, authors' format" if original else "GANimation, reimplementation's format"
    return generator, {"format": format_, **layout}


def public_names(*, original: bool, blocks: int = 6, second: int = 3) -> dict[str, str]:
    """Our name of each tensor -> its name in a public file.

    ORIGINAL: the authors' layout, with the norms' scale and shift; otherwise the
    reimplementation's, with the convolutions' bias. SECOND is where a block's second half starts.
    """
    trunk, block = ("main", "main") if original else ("model", "conv_block")
    heads = ("img_reg.0", "attetion_reg.0") if original else ("color_top.0", "au_top.0")
    # (ours, our norm, theirs); their norm follows their convolution.
    convolutions = [
        ("first", "first_norm", f"{trunk}.0"),
        ("down.0", "down.1", f"{trunk}.3"),
        ("down.3", "down.4", f"{trunk}.6"),
        ("up.0", "up.1", f"{trunk}.{9 + blocks}"),
        ("up.3", "up.4", f"{trunk}.{12 + blocks}"),
    ]
    for index in range(blocks):
        ours, theirs = f"blocks.{index}.body", f"{trunk}.{9 + index}.{block}"
        convolutions += [
            (f"{ours}.0", f"{ours}.1", f"{theirs}.0"),
            (f"{ours}.3", f"{ours}.4", f"{theirs}.{second}"),
        ]
    names = {"colour.weight": f"{heads[0]}.weight", "mask.weight": f"{heads[1]}.weight"}
    for convolution, norm, theirs in convolutions:
        names[f"{convolution}.weight"] = f"{theirs}.weight"
        if original:
            stem, _, number = theirs.rpartition(".")
            for parameter in ("weight", "bias"):
                names[f"{norm}.{parameter}"] = f"{stem}.{int(number) + 1}.{parameter}"
        else:
            names[f"{convolution}.bias"] = f"{theirs}.bias"
    return names


def _unpacked_size(path: Path) -> int:
    """Bytes that the file at PATH takes when unpacked; 0 if it is no archive."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _unpickle(path: Path) -> dict[str, Tensor]:
    """A state dict from a PyTorch file of either age, without executing anything in it."""
    broken = f"{path}: not a PyTorch weights file, or cut short; fetch it again"
    try:
        size = _unpacked_size(path)
    except DAMAGED:
        raise ValueError(broken) from None
    if size > LARGEST:
        raise ValueError(f"{path}: unpacks to {size:,} bytes; not a weights file")
    try:
        # The file and not its name, by which torch.load would choose another format.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused below: other protocols, sparseness
            state = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path}: holds more than weights, or is cut short; nothing in it was run. "
            "Save its state_dict() alone, or fetch it again"
        ) from None
    except DAMAGED:
        raise ValueError(broken) from None
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) and _is_plain(value)
        for key, value in state.items()
        if not str(key).endswith("num_batches_tracked")
    ):
        raise ValueError(f"{path}: not a state_dict of floating point tensors; save that alone")
    return dict(state)


def _is_plain(tensor: Tensor) -> bool:
    """Whether TENSOR holds its own floating point numbers, all of them."""
    strided = tensor.layout == torch.strided and tensor.device.type == "cpu"
    return strided and tensor.is_floating_point()


def _shapes(*, width: int, blocks: int, norm: str, motion: bool) -> dict[str, tuple[int, ...]]:
    """Name -> shape of a generator's tensors, without allocating them."""
    with torch.device("meta"):
        generator = Generator(width=width, blocks=blocks, norm=norm, motion=motion)
    return {name: tuple(tensor.shape) for name, tensor in generator.state_dict().items()}


def _check_shapes(
    found: Mapping[str, tuple[int, ...]],
    names: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    path: Path,
) -> None:
    """Refuse FOUND unless it holds exactly the tensors NAMES (ours -> the file's) with SHAPES."""
    expected = {theirs: shapes[ours] for ours, theirs in names.items()}
    problems = [
        *(f"no {name}" for name in sorted(expected.keys() - found.keys())),
        *(f"unknown {_shown(name)}" for name in sorted(found.keys() - expected.keys())),
        *(
            f"{name} is {found[name]}, not {expected[name]}"
            for name in sorted(expected.keys() & found.keys())
            if found[name] != expected[name]
        ),
    ]
    if problems:
        more = f" and {len(problems) - 6} more" if len(problems) > 6 else ""
        raise ValueError(f"{path}: does not fit the generator: {'; '.join(problems[:6])}{more}")


def _check_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{path}: {name} holds NaN or infinite weights; the model is broken")


def _shown(text: str, longest: int = 60) -> str:
    """TEXT out of a file, for a message: short, and without what steers a terminal."""
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= longest else f"{text[:longest]}..."
