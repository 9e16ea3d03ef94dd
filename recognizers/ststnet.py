"""STSTNet: three shallow streams of one convolution each (Liong et al., FG 2019).

Layers and settings as in the paper's table and the authors' code: u, v and strain of the flow from
onset to apex, all three seen by each stream; 1,651 parameters at 3 classes, 1,683 with the batch
norms, which the code has and the paper's table has not. Padding of 1, as in the table; the Python
port pads by 2. Channels are u, v, strain; the port reads strain, v, u.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recognizers.settings import Settings

SETTINGS = Settings(
    source="FG 2019 and its code (the port: 800 epochs, not shuffled); last epoch",
    views=("flow_28",),
    rate=5e-5,
    epochs=500,
    batch=256,
)


class STSTNet(nn.Module):
    """3, 5 and 8 filters; NORM says whether batch norms follow them."""

    def __init__(self, *, classes: int = 3, norm: bool = True) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(3, filters, 3, padding=1),
                nn.ReLU(),
                *([nn.BatchNorm2d(filters)] if norm else []),
                nn.MaxPool2d(3, stride=3, padding=1),  # 28 -> 10
                nn.Dropout(0.5),
            )
            for filters in (3, 5, 8)
        )
        self.pool = nn.Sequential(nn.AvgPool2d(2), nn.Flatten())  # 16 x 5 x 5
        self.head = nn.Linear(400, classes)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, 3, 28, 28), u, v and strain, normalised by the view -> (N, classes) logits."""
        seen = torch.cat([stream(maps) for stream in self.streams], dim=1)  # (N, 16, 10, 10)
        logits: Tensor = self.head(self.pool(seen))
        return logits
