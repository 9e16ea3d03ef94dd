"""Weights go to disk and come back; the public formats are read exactly; bad files are named."""

import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from ganimation import checkpoints
from ganimation.checkpoints import load_generator, save_generator
from ganimation.networks import NORMS, Generator
from mie_x.records import AUS

WIDTH = 64


def draw(seed: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {key: torch.randn(shape, generator=rng) * 0.05 for key, shape in shapes.items()}


def original_state(width: int = WIDTH) -> dict[str, Tensor]:
    """The authors' checkpoint, key by key (albertpumarola/GANimation)."""
    w = width
    shapes: dict[str, tuple[int, ...]] = {}
    for index, shape in {
        0: (w, 20, 7, 7),
        3: (2 * w, w, 4, 4),
        6: (4 * w, 2 * w, 4, 4),
        15: (4 * w, 2 * w, 4, 4),
        18: (2 * w, w, 4, 4),
    }.items():
        shapes[f"main.{index}.weight"] = shape
        channels = shape[0] if index < 15 else shape[1]
        shapes[f"main.{index + 1}.weight"] = shapes[f"main.{index + 1}.bias"] = (channels,)
    for block in range(9, 15):
        for index in (0, 3):
            shapes[f"main.{block}.main.{index}.weight"] = (4 * w, 4 * w, 3, 3)
            shapes[f"main.{block}.main.{index + 1}.weight"] = (4 * w,)
            shapes[f"main.{block}.main.{index + 1}.bias"] = (4 * w,)
    shapes |= {"img_reg.0.weight": (3, w, 7, 7), "attetion_reg.0.weight": (1, w, 7, 7)}
    return draw(0, shapes)


def replicate_state(width: int = WIDTH, second: int = 3) -> dict[str, Tensor]:
    """The reimplementation's checkpoint, key by key (donydchen/ganimation_replicate)."""
    w = width
    shapes: dict[str, tuple[int, ...]] = {}
    for index, shape in {
        0: (w, 20, 7, 7),
        3: (2 * w, w, 4, 4),
        6: (4 * w, 2 * w, 4, 4),
        15: (4 * w, 2 * w, 4, 4),
        18: (2 * w, w, 4, 4),
    }.items():
        shapes[f"model.{index}.weight"] = shape
        shapes[f"model.{index}.bias"] = (shape[0] if index < 15 else shape[1],)
    for block in range(9, 15):
        for index in (0, second):
            shapes[f"model.{block}.conv_block.{index}.weight"] = (4 * w, 4 * w, 3, 3)
            shapes[f"model.{block}.conv_block.{index}.bias"] = (4 * w,)
    shapes |= {"color_top.0.weight": (3, w, 7, 7), "au_top.0.weight": (1, w, 7, 7)}
    return draw(1, shapes)


def forward_written_out(
    state: dict[str, Tensor], image: Tensor, aus: Tensor, *, original: bool
) -> tuple[Tensor, Tensor]:
    """Section 5 of the paper as a chain of functions, on a public checkpoint's own keys."""
    trunk, block = ("main", "main") if original else ("model", "conv_block")
    colour, mask = ("img_reg", "attetion_reg") if original else ("color_top", "au_top")

    def norm(x: Tensor, key: str) -> Tensor:
        if not original:
            return F.instance_norm(x)
        stem, _, index = key.rpartition(".")
        scale, shift = (state[f"{stem}.{int(index) + 1}.{name}"] for name in ("weight", "bias"))
        return F.instance_norm(x, weight=scale, bias=shift)

    def convolve(x: Tensor, key: str, stride: int, padding: int) -> Tensor:
        bias = state.get(f"{key}.bias")
        return norm(F.conv2d(x, state[f"{key}.weight"], bias, stride, padding), key)

    def expand(x: Tensor, key: str) -> Tensor:
        bias = state.get(f"{key}.bias")
        return norm(F.conv_transpose2d(x, state[f"{key}.weight"], bias, 2, 1), key)

    planes = aus[:, :, None, None].expand(-1, -1, *image.shape[2:])
    x = F.relu(convolve(torch.cat([image, planes], 1), f"{trunk}.0", 1, 3))
    x = F.relu(convolve(x, f"{trunk}.3", 2, 1))
    x = F.relu(convolve(x, f"{trunk}.6", 2, 1))
    for index in range(9, 15):
        y = F.relu(convolve(x, f"{trunk}.{index}.{block}.0", 1, 1))
        x = x + convolve(y, f"{trunk}.{index}.{block}.3", 1, 1)
    x = F.relu(expand(x, f"{trunk}.15"))
    x = F.relu(expand(x, f"{trunk}.18"))
    return (
        torch.tanh(F.conv2d(x, state[f"{colour}.0.weight"], padding=3)),
        torch.sigmoid(F.conv2d(x, state[f"{mask}.0.weight"], padding=3)),
    )


def tiny(seed: int = 0, **options: Any) -> Generator:
    torch.manual_seed(seed)
    return Generator(width=2, blocks=1, **options).eval()


def save_tiny(path: Path, generator: Generator | None = None, **options: Any) -> str:
    settings: dict[str, Any] = {"steps": 7, "data": "nothing", "licence": "CC0-1.0"} | options
    return save_generator(path, generator or tiny(), **settings)


@pytest.mark.parametrize(
    ("state", "original", "name"),
    [
        (original_state, True, "net_epoch_30_id_G.pth"),
        (replicate_state, False, "30_net_gen.pth"),
    ],
)
def test_public_formats_convert_exactly(
    tmp_path: Path, state: Callable[[], dict[str, Tensor]], original: bool, name: str
) -> None:
    weights = state()
    torch.save(weights, tmp_path / name)
    loaded = load_generator(tmp_path / name, unsafe_pickle=True)
    # In float64, where an exact conversion is far below what float32 rounds away.
    weights = {key: tensor.double() for key, tensor in weights.items()}
    image, aus = torch.rand(2, 3, 32, 32).double() * 2 - 1, torch.rand(2, 17).double()
    with torch.no_grad():
        found = loaded.generator.double()(image, aus)
        expected = forward_written_out(weights, image, aus, original=original)
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-10)
    assert expected[0].std() > 0.05  # the comparison is not one of zeros
    assert sum(p.numel() for p in loaded.generator.parameters()) == sum(
        tensor.numel() for tensor in weights.values()
    )
    assert (loaded.name, len(loaded.sha256)) == (name, 64)


def test_an_imported_generator_saved_as_ours_is_the_same(tmp_path: Path) -> None:
    torch.save(replicate_state(4), tmp_path / "1_net_gen.pth")
    imported = load_generator(tmp_path / "1_net_gen.pth", unsafe_pickle=True).generator
    save_tiny(tmp_path / "g.safetensors", imported, dtype=torch.float32)
    again = load_generator(tmp_path / "g.safetensors").generator
    for name, tensor in imported.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_wrapper_prefix_stale_statistics_and_dropout_are_understood(tmp_path: Path) -> None:
    weights = {f"module.{key}": value for key, value in original_state(2).items()}
    weights["module.main.1.running_mean"] = weights["module.main.1.running_var"] = torch.ones(2)
    torch.save(weights, tmp_path / "o.pth", _use_new_zipfile_serialization=False)
    torch.save(replicate_state(2, second=4), tmp_path / "r.pth")
    for name in ("o.pth", "r.pth"):
        assert load_generator(tmp_path / name, unsafe_pickle=True).generator.width == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("motion", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_our_format_keeps_weights_and_facts(
    tmp_path: Path, dtype: torch.dtype, motion: bool, norm: str
) -> None:
    generator = tiny(norm=norm, motion=motion)
    sha256 = save_tiny(tmp_path / "g.safetensors", generator, dtype=dtype)
    loaded = load_generator(tmp_path / "g.safetensors")
    assert loaded.sha256 == sha256
    assert not loaded.generator.training
    assert {key: loaded.metadata[key] for key in ("width", "steps", "data", "licence")} == {
        "width": 2,
        "steps": 7,
        "data": "nothing",
        "licence": "CC0-1.0",
    }
    for name, tensor in generator.state_dict().items():
        assert torch.equal(loaded.generator.state_dict()[name], tensor.to(dtype).float())
    assert [file.name for file in tmp_path.iterdir()] == ["g.safetensors"]


def test_the_same_generator_gives_the_same_bytes(tmp_path: Path) -> None:
    assert save_tiny(tmp_path / "a") == save_tiny(tmp_path / "b")


def test_a_pickle_is_read_only_on_demand(tmp_path: Path) -> None:
    torch.save(original_state(2), tmp_path / "g.pth")
    with pytest.raises(ValueError, match=r"g\.pth.*--unsafe-pickle"):
        load_generator(tmp_path / "g.pth")


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize(
    "writer", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o, protocol=2))]
)
def test_a_malicious_pickle_is_not_executed(
    tmp_path: Path, writer: Callable[[Any, Path], None]
) -> None:
    writer({"color_top.0.weight": Malicious(tmp_path / "executed")}, tmp_path / "g.pth")
    with pytest.raises(ValueError, match=r"g\.pth"):
        load_generator(tmp_path / "g.pth", unsafe_pickle=True)
    assert not (tmp_path / "executed").exists()


def run_by(text: str) -> bytes:
    """A pickle written by hand, whose reading runs a shell command."""
    return f"cposix\nsystem\n(S'{text}'\ntR.".encode()


def test_a_shell_command_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for protocol, content in ((0, b""), (2, b"\x80\x02"), (4, b"\x80\x04")):
        path = tmp_path / f"{protocol}.pth"
        path.write_bytes(content + run_by(f"touch {run}"))
        for unsafe in (False, True):
            with pytest.raises(ValueError, match=path.name):
                load_generator(path, unsafe_pickle=unsafe)
    with zipfile.ZipFile(tmp_path / "z.pth", "w") as archive:
        archive.writestr("archive/data.pkl", run_by(f"touch {run}"))
        archive.writestr("archive/version", "3\n")
    with pytest.raises(ValueError, match=r"z\.pth: holds more than weights.*nothing in it was run"):
        load_generator(tmp_path / "z.pth", unsafe_pickle=True)
    assert not run.exists()
    pickle.loads(run_by(f"touch {run}"))  # what was kept from happening does happen here
    assert run.exists()


def test_a_pickle_under_the_name_of_safetensors_is_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    torch.save(original_state(2), path)
    with pytest.raises(ValueError, match=r"g\.safetensors.*--unsafe-pickle"):
        load_generator(path)
    assert load_generator(path, unsafe_pickle=True).generator.width == 2


def test_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "inner").write_bytes(b"weights")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "inner", "../outside")
    for kind in ("tar", "gz"):
        with tarfile.open(tmp_path / f"a.{kind}", "w:gz" if kind == "gz" else "w") as tar:
            tar.add(tmp_path / "inner", "../outside")
    for name in ("a.zip", "a.tar", "a.gz"):
        with pytest.raises(ValueError, match=rf"{name}: .*fetch it again"):
            load_generator(tmp_path / name, unsafe_pickle=True)
    assert not list(tmp_path.rglob("outside")) and not (tmp_path.parent / "outside").exists()


def test_a_packed_bomb_is_refused_by_its_table_of_contents(tmp_path: Path) -> None:
    path = tmp_path / "g.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1000))
    sizes = struct.pack("<I", 1000)
    path.write_bytes(path.read_bytes().replace(sizes, struct.pack("<I", 3 << 30)))
    with pytest.raises(ValueError, match=r"unpacks to 3,221,225,472 bytes"):
        load_generator(path, unsafe_pickle=True)


def test_numbers_that_stand_for_gigabytes_are_not_copied_out(tmp_path: Path) -> None:
    """A kilobyte of file can hold a tensor of any size, all of it the same number."""
    shapes = checkpoints._shapes(width=1024, blocks=6, norm="affine", motion=False)
    names = checkpoints.public_names(original=True)
    state = {names[ours]: torch.zeros(1).expand(shape) for ours, shape in shapes.items()}
    torch.save(state, tmp_path / "g.pth")
    assert (tmp_path / "g.pth").stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"g\.pth: unpacks to \d,\d{3},\d{3},\d{3} bytes"):
        load_generator(tmp_path / "g.pth", unsafe_pickle=True)


def without(key: str) -> Callable[[dict[str, Tensor]], None]:
    def change(state: dict[str, Tensor]) -> None:
        del state[key]

    return change


def replaced(key: str, value: Any) -> Callable[[dict[str, Tensor]], None]:
    return lambda state: state.update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("main.3.weight"), r"no main\.3\.weight"),
        (without("main.0.weight"), r"no main\.0\.weight"),
        (without("main.11.main.0.weight"), r"main\.11\.main|main\.14\.main"),
        (replaced("extra", torch.ones(1)), "unknown extra"),
        (replaced("\x1b[31mred", torch.ones(1)), r"unknown '\\x1b\[31mred'"),
        (replaced("x" * 10**6, torch.ones(1)), r"unknown x{60}\.\.\.$"),
        (replaced("main.4.bias", torch.ones(4, device="meta")), "not a state_dict"),
        (replaced("main.4.bias", torch.ones(4).to_sparse()), "not a state_dict"),
        (replaced("main.4.bias", torch.ones(4, dtype=torch.int64)), "not a state_dict"),
        (
            replaced("main.3.weight", torch.ones(4, 3, 4, 4)),
            r"main\.3\.weight is \(4, 3, 4, 4\), not \(4, 2, 4, 4\)",
        ),
        (replaced("main.4.bias", torch.full((4,), torch.nan)), r"main\.4\.bias holds NaN"),
        (replaced("main.4.bias", torch.full((4,), torch.inf)), r"main\.4\.bias holds NaN or inf"),
        (replaced("main.4.bias", "text"), "not a state_dict"),
        (without("attetion_reg.0.weight"), r"not a GANimation generator.*img_reg"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], None], message: str
) -> None:
    state = original_state(2)
    change(state)
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(ValueError, match=message):
        load_generator(tmp_path / "g.pth", unsafe_pickle=True)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello, these are no weights at all", b"PK\x03\x04 cut", b"\x80\x02", b"{}" * 9],
)
def test_what_is_no_weights_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights: .*fetch it again"):
        load_generator(path, unsafe_pickle=True)


@pytest.mark.parametrize(
    "error", [AttributeError, ModuleNotFoundError, AssertionError, ValueError, struct.error]
)
def test_whatever_pytorch_raises_on_a_damaged_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise error("from deep inside")

    torch.save(original_state(2), tmp_path / "g.pth")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(ValueError, match=r"g\.pth: .*cut short; fetch it again"):
        load_generator(tmp_path / "g.pth", unsafe_pickle=True)


@pytest.mark.parametrize("name", ["g.safetensors", "g.pth"])
@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, part: float) -> None:
    path = tmp_path / name
    if name == "g.pth":
        torch.save(original_state(2), path)
    else:
        save_tiny(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ValueError, match=r"cut short"):
        load_generator(path, unsafe_pickle=True)


def test_safetensors_of_another_kind_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="not a mie-x generator"):
        load_generator(tmp_path / "a.safetensors")


def header(**changed: Any) -> str:
    sound = {"version": 1, "width": 2, "blocks": 1, "norm": "affine", "motion": False}
    return json.dumps(sound | changed)


def with_header(content: dict[str, Any] | bytes, *, length: int | None = None) -> bytes:
    """A safetensors file by hand: the length of its header, the header, eight zeros."""
    head = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(head) if length is None else length) + head + bytes(8)


@pytest.mark.parametrize(
    "content",
    [
        with_header({}, length=2**63),
        with_header({}, length=90_000_000),
        with_header(b'{"a":' + b"[" * 1_000_000),
        with_header({"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}),
        with_header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 2**40]}}),
        with_header({"a": {"dtype": "\x1b[31m", "shape": [2], "data_offsets": [0, 8]}}),
    ],
)
def test_a_header_that_lies_about_sizes_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "g.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"g\.safetensors: neither.*fetch it again") as caught:
        load_generator(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600


def test_a_header_of_countless_tensors_is_refused(tmp_path: Path) -> None:
    tensor = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    entry = {checkpoints.ENTRY: header(aus=list(AUS))}
    names = {f"t{number}": tensor for number in range(20_000)}
    path = tmp_path / "g.safetensors"
    path.write_bytes(with_header({"__metadata__": entry, **names})[:-8])
    with pytest.raises(ValueError, match=r"does not fit the generator: .* more$") as caught:
        load_generator(path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("nonsense", "not JSON"),
        ("[]", "format None"),
        ('{"version": 2}', "format 2, this mie-x reads 1"),
        ('{"version": 1, "width": "64"}', "width as '64'"),
        (header(norm="batch"), "norm 'batch' is none of"),
        (header(motion=1), "motion as 1"),
        (header(width=9999), "bounds"),
        (header(), r"other action units \(None\)"),
        (header(aus=["\x1b[31m"] * 99), r"other action units \(\['\\x1b\[31m'.*\.\.\.\)"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5000, "not JSON"),
        (header(version="x" * 10**6), r"format 'x{59}\.\.\., this"),
        (header(version="\x1b[31m"), r"format '\\x1b\[31m', this"),
        (header(norm="\x1b[31m"), r"norm as '\\x1b\[31m'; fetch"),
        (header(norm=["affine"]), r"norm as \['affine'\]"),
        (header(data="\x1b[31mmine"), r"data as '\\x1b\[31mmine'"),
        (header(data=["mine"]), "data as"),
        (header(licence={"a": 1}), "licence as"),
        (header(steps="7"), "steps as '7'"),
    ],
)
def test_a_header_that_is_wrong_is_named(tmp_path: Path, entry: str, message: str) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(1)}, path, metadata={checkpoints.ENTRY: entry})
    with pytest.raises(ValueError, match=message):
        load_generator(path)


def test_broken_weights_are_neither_written_nor_read(tmp_path: Path) -> None:
    generator = tiny()
    with torch.no_grad():
        generator.mask.weight[0, 0, 0, 0] = 1e6  # beyond float16
    with pytest.raises(ValueError, match=r"mask\.weight holds NaN or infinite"):
        save_tiny(tmp_path / "g.safetensors", generator)
    assert not list(tmp_path.iterdir())


def test_a_missing_file_names_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pth: no such weights file"):
        load_generator(tmp_path / "absent.pth")
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "compact.safetensors")
    with pytest.raises(FileNotFoundError, match="--weights"):
        load_generator(None)


def test_the_shipped_weights_are_those_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_generator(None)
    assert (loaded.name, loaded.sha256) == (checkpoints.SHIPPED.name, checkpoints.SHIPPED_SHA256)
    card = checkpoints.SHIPPED.with_suffix(".md").read_text("utf-8")
    assert checkpoints.SHIPPED_SHA256 in card

    content = bytearray(checkpoints.SHIPPED.read_bytes())
    content[len(content) // 2] ^= 1  # sound to read, and another generator
    damaged = tmp_path / "compact.safetensors"
    damaged.write_bytes(content)
    assert load_generator(damaged).name == "compact.safetensors"
    monkeypatch.setattr(checkpoints, "SHIPPED", damaged)
    with pytest.raises(ValueError, match=r"compact\.safetensors: damaged .*; install mie-x again"):
        load_generator(None)


def test_an_oversized_file_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "LARGEST", 100)
    (tmp_path / "big").write_bytes(b"\0" * 101)
    with pytest.raises(ValueError, match="101 bytes"):
        load_generator(tmp_path / "big")
