"""GANimation's generator and critic (Pumarola et al., ECCV 2018, section 5; IJCV 2020).

The generator answers with a colour picture and a mask, and the frame is
``mask * source + (1 - mask) * colour``: where the mask is 1 the source stays untouched, pixel for
pixel. (The first preprint has the two swapped.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 7  # side of the first convolution and of the heads
CARRYING = 24  # width from which there is room for the picture, 17 AUs, and what is to be learned
AU_GAIN = 4.0  # on micro intensities near 0.2, so that they weigh what colours in [0, 1] do
# The inverse of tanh on [0, 0.96] in three straight pieces: where it bends, and the slopes.
KNOTS = (0.5, 0.84)
SLOPES = (1.09, 2.0, 5.7)
LEAK = 0.01  # slope of the critic's LeakyReLU


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "affine": functools.partial(nn.InstanceNorm2d, affine=True),
    "plain": nn.InstanceNorm2d,
    "none": nn.Identity,
}


class Generator(nn.Module):
    """Colour and mask of a face with other action units.

    NORM is one of ``NORMS``, what follows a convolution inside:

    - "affine", the paper's authors: instance norm with scale and shift, convolutions without bias
      (8,471,296 parameters at width 64);
    - "plain", the well-known reimplementation: instance norm alone, and convolutions with a bias,
      which the norm cancels (8,467,584);
    - "none": a bias and no norm. Instance norm takes from each channel its mean over the image,
      and with it the brightness of the face and the constant planes of the AUs, of which only the
      zero padding at the border lets something through. Networks trained for weeks get round
      that; a small one that learns from true frames is better off without.
    """

    def __init__(
        self, *, width: int = 64, aus: int = 17, blocks: int = 6, norm: str = "affine"
    ) -> None:
        super().__init__()
        self.width, self.aus, self.norm = width, aus, norm
        bias = norm != "affine"
        self.first = nn.Conv2d(3 + aus, width, KERNEL, padding=KERNEL // 2, bias=bias)
        self.first_norm = NORMS[norm](width)
        self.down = nn.Sequential()
        for channels in (width, 2 * width):  # 128 px -> 64 -> 32
            self.down.append(nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1, bias=bias))
            self.down.append(NORMS[norm](2 * channels))
            self.down.append(nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(*(Residual(4 * width, norm=norm) for _ in range(blocks)))
        self.up = nn.Sequential()
        for channels in (4 * width, 2 * width):  # 32 px -> 64 -> 128
            self.up.append(
                nn.ConvTranspose2d(channels, channels // 2, 4, stride=2, padding=1, bias=bias)
            )
            self.up.append(NORMS[norm](channels // 2))
            self.up.append(nn.ReLU(inplace=True))
        self.colour = nn.Conv2d(width, 3, KERNEL, padding=KERNEL // 2, bias=False)
        self.mask = nn.Conv2d(width, 1, KERNEL, padding=KERNEL // 2, bias=False)
        self.apply(draw_weights)
        if norm == "none":
            scale_weights(self)

    def forward(self, image: Tensor, aus: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in [-1, 1], (N, 17) in [0, 1] -> colour (N, 3, H, W), mask (N, 1, H, W).

        H and W are multiples of 4. Colour is in [-1, 1], the mask in [0, 1].
        """
        # The paper tiles the AU vector over the image and appends it to the colours. Constant
        # planes give the same sum at every pixel away from the border, so it is taken once.
        pixels, planes = self.first.weight[:, :3], self.first.weight[:, 3:]
        x = F.conv2d(image, pixels, self.first.bias, padding=KERNEL // 2)
        x = x + convolve_constant(aus, planes, x.shape[2], x.shape[3])  # (N, width, H, W)
        x = F.relu(self.first_norm(x))
        x = self.up(self.blocks(self.down(x)))  # (N, 4 width, H/4, W/4) inside
        heads = F.conv2d(x, torch.cat([self.colour.weight, self.mask.weight]), padding=KERNEL // 2)
        # Where autocast has made them bfloat16: a mask would have no value between .996 and 1.
        heads = heads.to(torch.promote_types(heads.dtype, torch.float32))
        return torch.tanh(heads[:, :3]), torch.sigmoid(heads[:, 3:])


class Residual(nn.Module):
    """Two convolutions, the input added, no activation after the sum."""

    def __init__(self, channels: int, *, norm: str) -> None:
        super().__init__()
        bias = norm != "affine"
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias),
            NORMS[norm](channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=bias),
            NORMS[norm](channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        answer: Tensor = x + self.body(x)
        return answer


class Discriminator(nn.Module):
    """The critic: how real each patch looks, and which action units it sees.

    No norm layers, because the gradient penalty is taken image by image. 44,860,352 parameters
    at width 64 and 128 px. SIZE is a power of two, at least 4; its logarithm is the depth.
    """

    def __init__(self, *, width: int = 64, size: int = 128, aus: int = 17) -> None:
        super().__init__()
        depth = size.bit_length() - 2  # 128 px -> six halvings -> 2 x 2
        if size != 2 ** (depth + 1) or depth < 1:
            raise ValueError(f"size {size}: the critic needs a power of two of at least 4")
        self.trunk = nn.Sequential()
        channels = 3
        for level in range(depth):
            self.trunk.append(nn.Conv2d(channels, width << level, 4, stride=2, padding=1))
            self.trunk.append(nn.LeakyReLU(LEAK, inplace=True))
            channels = width << level
        self.patches = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        self.aus = nn.Conv2d(channels, aus, 2, bias=False)
        self.apply(draw_weights)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, size, size) in [-1, 1] -> scores (N, 2, 2), unbounded; AUs (N, 17)."""
        x = self.trunk(image)
        # Only the axes known to be of length 1 are dropped: a batch of one stays a batch.
        return self.patches(x).squeeze(1), self.aus(x).squeeze(3).squeeze(2)


def mix(source: Tensor, colour: Tensor, mask: Tensor) -> Tensor:
    """The frame: SOURCE where MASK is 1, COLOUR where it is 0; all (N, 3 or 1, H, W)."""
    return mask * source + (1 - mask) * colour


def convolve_constant(values: Tensor, weight: Tensor, height: int, width: int) -> Tensor:
    """Convolve the (N, C) VALUES, tiled to HEIGHT x WIDTH, with WEIGHT (O, C, k, k), zero-padded.

    Equal to the convolution of the tiled planes: a k x k tile already shows all border cases, and
    its middle row and column stand for all rows and columns that see no border. -> (N, O, H, W)
    """
    side = weight.shape[2]
    if min(height, width) < side:
        raise ValueError(f"an image of {height} x {width} px is below the kernel's {side} px")
    tile = values[:, :, None, None].expand(-1, -1, side, side)
    plane = F.conv2d(tile, weight, padding=side // 2)  # (N, O, k, k)
    for axis, length in ((2, height), (3, width)):
        start, middle, end = plane.tensor_split([side // 2, side // 2 + 1], dim=axis)
        repeats = list(middle.shape)
        repeats[axis] = length - 2 * (side // 2)
        plane = torch.cat([start, middle.expand(repeats), end], dim=axis)
    return plane


def draw_weights(layer: nn.Module) -> None:
    """Convolutions N(0, 0.02), biases 0 (both public implementations)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def scale_weights(generator: Generator) -> None:
    """First weights without norms: each layer keeps the size of what it is given (He, 2015).

    The blocks start near the identity, and the AUs weigh as much as the colours do.
    """
    with torch.no_grad():
        for layer in generator.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                taps = layer.weight[0, 0].numel()
                if isinstance(layer, nn.ConvTranspose2d):
                    taps //= layer.stride[0] * layer.stride[1]
                layer.weight.mul_((2 / (taps * layer.in_channels)) ** 0.5 / 0.02)
        for name, weight in generator.blocks.named_parameters():
            if name.endswith("body.3.weight"):
                weight.mul_(0.1)
        generator.first.weight[:, 3:].mul_(4)
        for head in (generator.colour, generator.mask):
            head.weight.mul_(0.1)


def carry_inputs(generator: Generator, *, mask: float) -> None:
    """Lay out some channels so that the untrained colour picture is the source, to 5 grey levels.

    Red, green, blue and a constant 1 are carried through: going down, every 2 x 2 pixels become
    four channels, and going up, pixels again; 64 of the 4 width channels inside. What is left to
    learn is the movement, not to draw a face. The AUs are carried down too, a channel each, so
    that the blocks find them apart from the texture. The mask starts at MASK everywhere. Without
    norms only, and for a width of CARRYING or more.
    """
    if generator.norm != "none" or generator.width < CARRYING:
        raise ValueError(f"inputs are carried without norms and from a width of {CARRYING} on")
    middle = KERNEL // 2
    logit = torch.logit(torch.tensor(mask)).item()
    with torch.no_grad():
        weight, bias = generator.first.weight, generator.first.bias
        assert bias is not None
        weight[: 4 + generator.aus] = 0
        for channel in range(3):
            weight[channel, channel, middle, middle] = 0.5
        bias[:4] = torch.tensor([0.5, 0.5, 0.5, 1.0])  # (x + 1) / 2 passes the ReLU; and the 1
        for number in range(generator.aus):
            weight[4 + number, 3 + number, middle, middle] = AU_GAIN
        # A kernel of side 4 and stride 2 has its 2 x 2 pixels at taps 1 and 2.
        cells = [(channel, y, x) for channel in range(16) for y in (1, 2) for x in (1, 2)]
        for level, carried in ((0, 4), (3, 16)):
            down = generator.down[level].get_parameter("weight")
            down[: 4 * carried + generator.aus] = 0
            for number in range(generator.aus):
                down[4 * carried + number, carried + number, 1, 1] = 1
            up = generator.up[3 - level].get_parameter("weight")
            up[:, :carried] = 0
            for inside, (channel, y, x) in enumerate(cells[: 4 * carried]):
                down[inside, channel, y, x] = up[inside, channel, y, x] = 1
        for name, weight in generator.blocks.named_parameters():
            if name.endswith("body.3.weight"):
                weight[: 64 + generator.aus] = 0
        # The heads see the picture p = (x + 1) / 2 in channels 0 to 2 and the 1 in channel 3; tanh
        # of SLOPES[0] (2 p - 1), bent further at each of KNOTS to either side, is nearly x.
        colour, up = generator.colour.weight, generator.up[3].get_parameter("weight")
        up_bias = generator.up[3].get_parameter("bias")
        colour[:] = 0
        generator.mask.weight[:] = 0
        generator.mask.weight[0, 3, middle, middle] = logit
        for channel in range(3):
            colour[channel, channel, middle, middle] = 2 * SLOPES[0]
            colour[channel, 3, middle, middle] = -SLOPES[0]
            for number, knot in enumerate(KNOTS):
                bend = SLOPES[number + 1] - SLOPES[number]
                for side, sign in enumerate((1, -1)):  # relu(x - knot), relu(-x - knot)
                    bent = 4 + 4 * channel + 2 * number + side
                    up[:, bent] = 2 * sign * up[:, channel]
                    up_bias[bent] = -sign - knot
                    colour[channel, bent, middle, middle] = sign * bend
