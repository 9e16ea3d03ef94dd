"""The networks are the published ones: sizes, ranges, and what mask and border do."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from ganimation.checkpoints import load_generator, save_generator
from ganimation.networks import (
    NORMS,
    Discriminator,
    Generator,
    convolve_constant,
    enlarge,
    mix,
    warp,
    weigh,
)


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def meta_count(kind: type[torch.nn.Module], **options: str) -> int:
    with torch.device("meta"):
        return count(kind(**options))


def test_the_authors_generator_has_the_published_size() -> None:
    assert meta_count(Generator) == 8_471_296


def test_the_reimplementations_generator_has_the_published_size() -> None:
    assert meta_count(Generator, norm="plain") == 8_467_584


def test_the_critic_has_the_published_size() -> None:
    assert meta_count(Discriminator) == 44_860_352


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("motion", [False, True])
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("side", [32, 44])
def test_generator_keeps_the_image_size_and_its_ranges(
    norm: str, motion: bool, number: int, side: int
) -> None:
    generator = Generator(width=4, blocks=1, norm=norm, motion=motion)
    colour, mask = generator(torch.rand(number, 3, side, side) * 2 - 1, torch.rand(number, 17))
    assert colour.shape == (number, 3, side, side)
    assert mask.shape == (number, 1, side, side)
    assert colour.abs().max() <= 1
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_motion_adds_heads_and_takes_only_the_au_planes_from_the_papers_layers() -> None:
    paper = dict(Generator(width=4).named_parameters())
    moving = dict(Generator(width=4, motion=True).named_parameters())
    assert paper.pop("first.weight").shape == (4, 3 + 17, 7, 7)
    assert moving.pop("first.weight").shape == (4, 3, 7, 7)
    assert {name: weight.shape for name, weight in moving.items() if name in paper} == {
        name: weight.shape for name, weight in paper.items()
    }
    assert {name.split(".")[0] for name in moving.keys() - paper.keys()} == {"motion", "shade"}


def test_a_file_with_planes_of_the_aus_is_read_without_them(tmp_path: Path) -> None:
    generator, path = Generator(width=2, blocks=0, motion=True), tmp_path / "older.safetensors"
    expected = generator.first.weight.detach().half().float()
    planes = torch.ones(2, 17, 7, 7)
    generator.first.weight = torch.nn.Parameter(torch.cat([expected, planes], dim=1))
    save_generator(path, generator, steps=0, data="none", licence="CC0-1.0")
    assert torch.equal(load_generator(path).generator.first.weight, expected)


def test_reading_weights_does_not_load_pytorchs_compiler() -> None:
    """It takes a second, in every process, and is never used."""
    code = (
        "import sys; from ganimation.checkpoints import load_generator; load_generator(None); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_before_training_a_moving_generator_copies_its_source() -> None:
    image = torch.rand(2, 3, 32, 40) * 2 - 1
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        colour, mask = Generator(width=4, motion=True)(image, torch.rand(2, 17))
    torch.testing.assert_close(colour, image, rtol=0, atol=1e-4)
    assert mask.dtype == torch.float32
    assert (mask == 0.5).all()


def test_motion_grows_with_the_intensity_of_its_au_alone() -> None:
    """A head that answers 3 px for AU 4 everywhere shifts by .1 x 3 x its intensity."""
    generator = Generator(width=4, blocks=0, motion=True)
    assert generator.motion is not None and generator.motion.bias is not None
    with torch.no_grad():
        generator.motion.bias[2 * 2] = 30.0  # AU 4 is the third; first its right, then its down
        image = torch.linspace(-0.5, 0.5, 40).expand(1, 3, 40, 40).contiguous()
        aus = torch.zeros(1, 17)
        aus[0, 2], aus[0, 5] = 0.5, 0.9
        colour, _ = generator(image, aus)
    moved = image[..., 8:-8] - colour[..., 8:-8]
    torch.testing.assert_close(moved, torch.full_like(moved, 1.5 / 39), rtol=0, atol=1e-4)


def strong(motion: bool) -> Generator:
    """Drawn weights, in the heads too, so that faces and AUs tell in the answer."""
    torch.manual_seed(0)
    generator = Generator(width=4, blocks=1, motion=motion)
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.startswith(("colour", "mask", "motion", "shade")):
                weight.normal_(0, 0.3)
    return generator


@pytest.mark.parametrize("motion", [False, True])
def test_frames_of_several_faces_in_any_order_are_those_of_each_face_alone(motion: bool) -> None:
    generator, faces, aus = strong(motion), torch.rand(3, 3, 32, 32) * 2 - 1, torch.rand(5, 17)
    whose = torch.tensor([2, 0, 0, 2, 1])
    with torch.no_grad():
        together = generator.frames(generator.features(faces), aus, whose)
        alone = generator(faces[whose], aus)
    for made, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert (together[0][1] - together[0][2]).abs().max() > 1e-3  # one face, two expressions


@pytest.mark.parametrize("norm", NORMS)
def test_the_norm_is_instance_norm_whatever_the_memory_layout(norm: str) -> None:
    layer, x = NORMS[norm](5), torch.rand(2, 5, 8, 6)
    scale, shift = torch.rand(5), torch.rand(5)
    if norm == "affine":
        layer.load_state_dict({"weight": scale, "bias": shift})
        expected = F.instance_norm(x, weight=scale, bias=shift)
    else:
        expected = F.instance_norm(x)
    for laid_out in (x, x.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(layer(laid_out), expected)


def test_answers_are_weighed_by_intensity_and_the_last_in_full() -> None:
    answers = torch.tensor([[1.0, 10.0, 2.0, 20.0, 3.0, 30.0], [4.0, 40.0, 5.0, 50.0, 6.0, 60.0]])
    aus, whose = torch.tensor([[0.5, 0.0], [0.0, 0.0], [0.0, 0.5]]), torch.tensor([0, 1, 1])
    weighed = weigh(answers.view(2, 6, 1, 1), aus, whose)
    assert weighed.flatten(1).tolist() == [[0.5 + 3, 5.0 + 30], [6, 60], [0.5 * 5 + 6, 25 + 60]]


def test_a_whole_pixel_of_shift_is_exact() -> None:
    image = torch.rand(1, 3, 9, 12)
    shift = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 9, 12)
    moved = warp(image, shift)
    torch.testing.assert_close(moved[..., :-1, 2:], image[..., 1:, :-2])
    torch.testing.assert_close(warp(image, torch.zeros_like(shift)), image)


def test_an_enlarged_field_is_pytorchs_bicubic_one() -> None:
    field = torch.randn(2, 3, 8, 11)
    expected = F.interpolate(field, size=(32, 44), mode="bicubic", align_corners=False)
    torch.testing.assert_close(enlarge(field, 32, 44), expected, rtol=0, atol=1e-5)


def test_critic_keeps_a_batch_of_one() -> None:
    scores, aus = Discriminator(width=2)(torch.zeros(1, 3, 128, 128))
    assert scores.shape == (1, 2, 2)
    assert aus.shape == (1, 17)


def test_critic_refuses_a_size_that_does_not_halve_to_two() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Discriminator(size=100)


def test_a_mask_of_one_is_the_source_exactly() -> None:
    source, colour = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    assert torch.equal(mix(source, colour, torch.ones(2, 1, 8, 8)), source)
    assert torch.equal(mix(source, colour, torch.zeros(2, 1, 8, 8)), colour)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (8, 12), (32, 16)])
def test_constant_planes_convolve_as_tiled_planes_do(height: int, width: int) -> None:
    values, weight = torch.rand(2, 5), torch.randn(3, 5, 7, 7)
    tiled = values[:, :, None, None].expand(-1, -1, height, width)
    direct = F.conv2d(tiled, weight, padding=3)
    torch.testing.assert_close(convolve_constant(values, weight, height, width), direct)


def test_an_image_smaller_than_the_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="4 x 8 px"):
        Generator(width=2, blocks=0)(torch.zeros(1, 3, 4, 8), torch.zeros(1, 17))
