"""GANimation's generator and critic (Pumarola et al., ECCV 2018, section 5; IJCV 2020).

The generator answers with a colour picture and a mask, and the frame is
``mask * source + (1 - mask) * colour``: where the mask is 1 the source stays untouched, pixel for
pixel. (The first preprint has the two swapped.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 7  # side of the first convolution and of the heads
LEAK = 0.01  # slope of the critic's LeakyReLU

# Adam moves every weight by about the learning rate, and a head sums over a thousand of them: these
# keep a step's effect on the picture below the few grey levels and tenths of a pixel to be learned.
MOTION_GAIN = 0.1  # px
SHADE_GAIN = 0.02  # of [-1, 1]
COLOUR_GAIN = 0.02


class InstanceNorm(nn.InstanceNorm2d):
    """PyTorch's, without the copies that it makes of channels-last pictures on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if x.device.type != "cpu":  # under autocast on CUDA the group norm would run in float32
            return super().forward(x)
        return F.group_norm(x, self.num_features, self.weight, self.bias, self.eps)


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "affine": functools.partial(InstanceNorm, affine=True),
    "plain": InstanceNorm,
}


class Features(NamedTuple):
    """What a generator sees in F faces whatever their action units: ``Generator.features``.

    A published network mixes the AUs in at its first layer: of it, this is the image alone.
    """

    image: Tensor  # (F, 3, H, W) in [-1, 1]
    motion: Tensor | None = None  # (F, (17 + 1) 2, H/4, W/4) px, for each AU at 1 and for none
    shade: Tensor | None = None  # (F, (17 + 1) 3, H/2, W/2), the same of colours in [-1, 1]
    colour: Tensor | None = None  # (F, 3, H, W), what the colour head adds
    mask: Tensor | None = None  # (F, 1, H, W) in [0, 1]


class Generator(nn.Module):
    """Colour and mask of a face with other action units.

    NORM is one of ``NORMS``, the instance norm of the two public implementations: "affine", the
    authors', with scale and shift, and convolutions without bias (8,471,296 parameters at width
    64); "plain", the well-known reimplementation's, and convolutions with a bias, which the norm
    cancels (8,467,584).

    MOTION is ours. Instance norm takes from each channel its mean over the image, and with it the
    brightness of the face and the constant planes of the AUs, of which only the zero padding at the
    border lets something through: the published networks need weeks to get round that. With
    MOTION, the colour picture is the source, moved: the inner layers tell for each AU, and for the
    expression that the source has already, where the skin goes (a pixel in every 4 x 4) and how it
    darkens (2 x 2), both are taken times the AU's intensity, and the colour head adds what is left.
    A face keeps its own skin, to the pore. The paper's layers stay as they are, but for the planes
    of the AUs, which are left out: the first convolution sees the three colours. So the layers run
    once a face (``features``), and any number of its frames cost little more (``frames``).
    """

    def __init__(
        self,
        *,
        width: int = 64,
        aus: int = 17,
        blocks: int = 6,
        norm: str = "affine",
        motion: bool = False,
    ) -> None:
        super().__init__()
        self.width, self.aus, self.norm = width, aus, norm
        bias = norm != "affine"
        inputs = 3 if motion else 3 + aus
        self.first = nn.Conv2d(inputs, width, KERNEL, padding=KERNEL // 2, bias=bias)
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
        self.motion = nn.Conv2d(4 * width, 2 * (aus + 1), 3, padding=1) if motion else None
        self.shade = nn.Conv2d(2 * width, 3 * (aus + 1), 3, padding=1) if motion else None
        self.apply(draw_weights)
        if self.motion is not None and self.shade is not None:  # the untrained colour is the source
            for head in (self.motion, self.shade, self.colour, self.mask):
                nn.init.zeros_(head.weight)

    def forward(self, image: Tensor, aus: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in [-1, 1], (N, 17) in [0, 1] -> colour (N, 3, H, W), mask (N, 1, H, W).

        H and W are multiples of 4. Colour is in [-1, 1], the mask in [0, 1], in IMAGE's precision.
        """
        return self.frames(self.features(image), aus, torch.arange(len(aus), device=aus.device))

    def features(self, image: Tensor) -> Features:
        """Faces (F, 3, H, W) in [-1, 1] -> what ``frames`` needs of them, for any AUs."""
        if self.motion is None or self.shade is None:
            return Features(image)
        inner, middle, heads = self.layers(self.first(image))
        # As precise as the image under autocast too: a bfloat16 mask near 1 would lose what moves.
        with torch.autocast(image.device.type, enabled=False):
            heads = heads.to(image.dtype)
            return Features(
                image,
                MOTION_GAIN * self.motion(inner.to(image.dtype)),
                SHADE_GAIN * self.shade(middle.to(image.dtype)),
                torch.tanh(COLOUR_GAIN * heads[:, :3]),
                torch.sigmoid(heads[:, 3:]),
            )

    def frames(self, faces: Features, aus: Tensor, whose: Tensor) -> tuple[Tensor, Tensor]:
        """Colour (N, 3, H, W) and mask (N, 1, H, W) for AUS (N, 17), as in ``forward``.

        WHOSE (N,) int64 says of which of the F FACES each row is.
        """
        image = faces.image.index_select(0, whose)
        if (
            faces.motion is None
            or faces.shade is None
            or faces.colour is None
            or faces.mask is None
        ):
            # The paper tiles the AU vector over the image and appends it to the colours. Constant
            # planes give the same sum at every pixel away from the border, so it is taken once.
            pixels, planes = self.first.weight[:, :3], self.first.weight[:, 3:]
            x = F.conv2d(image, pixels, self.first.bias, padding=KERNEL // 2)
            x = x + convolve_constant(aus, planes, x.shape[2], x.shape[3])  # (N, width, H, W)
            heads = self.layers(x)[2]
            with torch.autocast(image.device.type, enabled=False):
                heads = heads.to(image.dtype)
                return torch.tanh(heads[:, :3]), torch.sigmoid(heads[:, 3:])
        with torch.autocast(image.device.type, enabled=False):
            height, width = image.shape[2:]
            shift = enlarge(weigh(faces.motion, aus, whose), height, width)  # (N, 2, H, W)
            shade = enlarge(weigh(faces.shade, aus, whose), height, width)  # (N, 3, H, W)
            colour = warp(image, shift) + shade + faces.colour.index_select(0, whose)
            return colour.clamp(-1, 1), faces.mask.index_select(0, whose)

    def layers(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The paper's, after the first convolution (N, width, H, W).

        Answers with (N, 4 width, H/4, W/4), (N, 2 width, H/2, W/2), and the heads (N, 4, H, W).
        """
        x = F.relu(self.first_norm(x))
        inner = self.blocks(self.down(x))
        middle = self.up[:3](inner)
        weight = torch.cat([self.colour.weight, self.mask.weight])
        return inner, middle, F.conv2d(self.up[3:](middle), weight, padding=KERNEL // 2)


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


def weigh(answers: Tensor, aus: Tensor, whose: Tensor) -> Tensor:
    """Sum of what was answered for each AU times its intensity, and for none of them, in full.

    (F, (17 + 1) C, H, W) of F faces, (N, 17), (N,) the face of each row -> (N, C, H, W).
    """
    number, parts = aus.shape[0], aus.shape[1] + 1
    faces, _, height, width = answers.shape
    # One matrix product for all rows, in which the other faces' share is 0: no copy of ANSWERS.
    shares = aus.new_zeros(number, faces, parts)
    shares[torch.arange(number, device=aus.device), whose] = F.pad(aus, (0, 1), value=1.0)
    fields = shares.flatten(1) @ answers.reshape(faces * parts, -1)
    return fields.view(number, -1, height, width)


def enlarge(field: Tensor, height: int, width: int) -> Tensor:
    """FIELD (N, C, h, w) at HEIGHT x WIDTH, bicubic: two matrix products, far faster on a CPU."""
    down, right = (
        F.interpolate(
            torch.eye(before, device=field.device, dtype=field.dtype)[None, None],
            size=(after, before),
            mode="bicubic",
            align_corners=False,
        )[0, 0]
        for before, after in ((field.shape[2], height), (field.shape[3], width))
    )
    return down @ field @ right.mT


def warp(image: Tensor, shift: Tensor) -> Tensor:
    """IMAGE (N, 3, H, W) with each pixel moved by SHIFT (N, 2, H, W) px, right and down.

    What arrives at a pixel is looked up against the shift at that very pixel.
    """
    height, width = image.shape[2:]
    down = torch.arange(height, device=image.device)[:, None] + 0.5 - shift[:, 1]
    right = torch.arange(width, device=image.device) + 0.5 - shift[:, 0]
    grid = torch.stack([2 * right / width - 1, 2 * down / height - 1], dim=-1)
    return F.grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)


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
    # Drawing on "meta", where there is nothing to draw, would load PyTorch's compiler: a second.
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not layer.weight.is_meta:
        nn.init.normal_(layer.weight, 0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
