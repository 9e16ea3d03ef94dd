"""The network behind ``au_sources.estimator``: what is in a face, and what changed between two.

Both branches see 128 x 96 px, the face without most of its background, in a few planes at half
that resolution, and end in a grid of 4 x 3 places, because an action unit has its place in an
aligned face.

- ``absolute`` sees one frame, its brightness and contrast taken out, and what stays of it when
  light is taken out as well.
- ``relative`` sees two frames of the same face: what they have in common, their difference
  amplified, and how far the skin moved between them, by least squares over small windows (Lucas
  and Kanade, 1981). At micro intensity that movement is a fraction of a pixel, which the difference
  of two absolute answers does not tell, and it looks the same in a drawn face and in a photograph.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mie_x.records import AUS

SIDES = slice(16, 112)  # columns of a 128 px frame that are looked at
PLACES = (4, 3)  # rows, columns of the last grid
LUMA = (0.299, 0.587, 0.114)
SHADE = 17  # px: slower changes of brightness are light, not skin
AMPLIFIED = 8.0
WINDOW = 5  # px: of the movement, and once more for a wider one
STILL = 2e-3  # added to the squared gradients: smooth skin has no movement to be seen
DARKEST = 0.02  # least standard deviation that contrast is divided by


class Estimator(nn.Module):
    """Frames (N, 3, 128, 128) in [0, 1] -> AUs (N, 17), as the branches give them: unclipped."""

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.absolute = Branch(16, width)
        self.relative = Branch(15, width)

    def intensities(self, frames: Tensor) -> Tensor:
        """AUs of each frame."""
        answer: Tensor = self.absolute(look(frames))
        return answer

    def differences(self, onsets: Tensor, apexes: Tensor) -> Tensor:
        """AUs of each apex less those of its onset; the negative when the two change places."""
        return (self.rise(onsets, apexes) - self.rise(apexes, onsets)) / 2

    def rise(self, onsets: Tensor, apexes: Tensor) -> Tensor:
        """The same, looked at in one direction only: what is trained."""
        answer: Tensor = self.relative(compare(onsets, apexes))
        return answer


class Branch(nn.Module):
    """Planes (N, C, 64, 48) -> (N, 17)."""

    def __init__(self, planes: int, width: int) -> None:
        super().__init__()
        widths = [width, 2 * width, 3 * width, 4 * width]
        layers: list[nn.Module] = [convolution(planes, width), nn.ReLU()]  # (64, 48)
        for before, after in pairwise(widths):  # ... (8, 6)
            layers += [convolution(before, after, stride=2), nn.ReLU(), Residual(after)]
        self.features = nn.Sequential(*layers)
        # Without a norm here all hidden units die within a few steps: most AUs of a face are 0.
        self.hidden = nn.Sequential(
            nn.Linear(PLACES[0] * PLACES[1] * widths[-1], 4 * width, bias=False),
            nn.BatchNorm1d(4 * width),
        )
        self.answer = nn.Linear(4 * width, len(AUS))
        with torch.no_grad():
            self.answer.weight.mul_(0.1)  # AUs are small numbers: begin there

    def forward(self, planes: Tensor) -> Tensor:
        features = self.features(planes.contiguous(memory_format=torch.channels_last))
        features = F.adaptive_avg_pool2d(features, PLACES)
        answer: Tensor = self.answer(F.relu(self.hidden(features.flatten(1))))
        return answer.float()


class Residual(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(features + self.second(F.relu(self.first(features))))


def convolution(before: int, after: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after)
    )


def look(frames: Tensor) -> Tensor:
    """(N, 3, 128, 128) in [0, 1] -> (N, 16, 64, 48): pixels of 2 x 2, of mean 0 and deviation 1.

    Of the three colours, then of the luma without what changes slowly.
    """
    seen = frames[..., SIDES]
    colours = seen - seen.mean(dim=(2, 3), keepdim=True)
    deviation = colours.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    skin, contrast = _skin(seen[:, None])
    planes = [colours / deviation.clamp(min=DARKEST), skin / contrast]
    return F.pixel_unshuffle(torch.cat(planes, dim=1), 2)


def _skin(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Lumas (N, K, H, W) of FRAMES (N, K, 3, H, W) without slow changes; their deviation."""
    luma = (frames * torch.tensor(LUMA, device=frames.device)[:, None, None]).sum(dim=2)
    shade = F.avg_pool2d(luma, (SHADE, 1), 1, (SHADE // 2, 0), count_include_pad=False)
    luma = luma - F.avg_pool2d(shade, (1, SHADE), 1, (0, SHADE // 2), count_include_pad=False)
    deviation = luma.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return luma, deviation.clamp(min=DARKEST)


def compare(onsets: Tensor, apexes: Tensor) -> Tensor:
    """Pairs of (N, 3, 128, 128) in [0, 1] -> (N, 15, 64, 48): what they share and what changed.

    Four planes of their mean (pixels of 2 x 2), four of their difference, its three colours, and
    the movement (x, y) over windows of two sizes. When the two change places, the first four
    planes stay and the others are the negatives, to the bit.
    """
    pair = torch.stack([onsets, apexes], dim=1)[..., SIDES]
    luma, deviation = _skin(pair)
    luma = luma / deviation
    mean, difference = (luma[:, :1] + luma[:, 1:]) / 2, luma[:, 1:] - luma[:, :1]
    colours = F.avg_pool2d((pair[:, 1] - pair[:, 0]) / deviation, 2)
    change = [F.pixel_unshuffle(difference, 2), colours]
    planes = [torch.tanh(AMPLIFIED * plane) for plane in change]
    return torch.cat([F.pixel_unshuffle(mean, 2), *planes, movement(mean, difference)], dim=1)


def movement(mean: Tensor, difference: Tensor) -> Tensor:
    """Where DIFFERENCE says that MEAN (N, 1, H, W) moved: (N, 4, H/2, W/2), x and y in (-1, 1).

    tanh of pixels, over WINDOW and over a window of twice its reach, less what the whole picture
    moved: two frames are never framed quite alike.
    """
    padded = F.pad(F.avg_pool2d(mean, 3, 1, 1, count_include_pad=False), (1, 1, 1, 1), "replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    change = F.avg_pool2d(difference, 3, 1, 1, count_include_pad=False)
    products = torch.cat(
        [right * right, down * down, right * down, right * change, down * change], dim=1
    )
    near = F.avg_pool2d(products, WINDOW, 2, WINDOW // 2, count_include_pad=False)
    wide = F.avg_pool2d(near, WINDOW, 1, WINDOW // 2, count_include_pad=False)
    whole = near.mean(dim=(2, 3), keepdim=True)
    moved = _solved(near), _solved(wide)
    return torch.tanh(torch.cat(moved, dim=1) - _solved(whole).repeat(1, 2, 1, 1))


def _solved(products: Tensor) -> Tensor:
    """Least squares movement (N, 2, H, W) of the five mean products xx, yy, xy, xt, yt."""
    xx, yy, xy, xt, yt = products.unbind(dim=1)
    xx, yy = xx + STILL, yy + STILL
    scale = -1 / (xx * yy - xy * xy)
    return torch.stack([scale * (yy * xt - xy * yt), scale * (xx * yt - xy * xt)], dim=1)
