"""The networks are the published ones: sizes, ranges, and what mask and border do."""

import pytest
import torch
from torch.nn import functional as F

from ganimation.networks import (
    NORMS,
    Discriminator,
    Generator,
    carry_inputs,
    convolve_constant,
    mix,
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
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("side", [32, 44])
def test_generator_keeps_the_image_size_and_its_ranges(norm: str, number: int, side: int) -> None:
    generator = Generator(width=4, blocks=1, norm=norm)
    colour, mask = generator(torch.rand(number, 3, side, side) * 2 - 1, torch.rand(number, 17))
    assert colour.shape == (number, 3, side, side)
    assert mask.shape == (number, 1, side, side)
    assert colour.abs().max() <= 1
    assert mask.min() >= 0
    assert mask.max() <= 1


def test_a_carried_picture_is_the_colour_before_training() -> None:
    generator = Generator(width=24, blocks=2, norm="none")
    carry_inputs(generator, mask=0.9)
    with torch.no_grad():
        image = (torch.rand(2, 3, 32, 40) * 2 - 1) * 0.96
        colour, mask = generator(image, torch.rand(2, 17))
    torch.testing.assert_close(colour, image, rtol=0, atol=5 / 127.5)
    torch.testing.assert_close(mask, torch.full_like(mask, 0.9))


def test_a_mask_is_finer_than_bfloat16() -> None:
    generator = Generator(width=24, blocks=1, norm="none")
    carry_inputs(generator, mask=0.999)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        _, mask = generator(torch.zeros(1, 3, 16, 16), torch.zeros(1, 17))
    assert mask.dtype == torch.float32
    assert mask.mean().item() == pytest.approx(0.999, abs=1e-4)


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
