"""OFF-ApexNet: u and v of the flow from onset to apex, a stream of two convolutions for each.

Gan et al., "OFF-ApexNet on micro-expression recognition system", 2019. The widths of the hidden
layers are from later accounts (2,664,475 parameters at 3 classes; the literature says 2.77 M); the
rate and the 3,000 epochs are those of the micro-expression benchmark MEB, the batch is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recognizers.settings import Settings

SETTINGS = Settings(
    source="MEB (rate, epochs), ours (batch); last epoch",
    views=("flow_28",),
    rate=1e-4,
    epochs=3000,
    batch=256,
)


class OFFApexNet(nn.Module):
    """Two streams to 784 features each, two hidden layers of 1024."""

    def __init__(self, *, classes: int = 3) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, 6, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(6, 16, 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),  # 16 x 7 x 7
            )
            for _ in ("u", "v")
        )
        self.hidden = nn.Sequential(
            nn.Linear(1568, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU()
        )
        self.head = nn.Linear(1024, classes)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, 3, 28, 28) -> (N, classes) logits.

        The maps are u, v and strain, normalised by the view; strain is not looked at.
        """
        u, v = self.streams
        seen = torch.cat([u(maps[:, :1]), v(maps[:, 1:2])], dim=1)  # (N, 1568)
        logits: Tensor = self.head(self.hidden(seen))
        return logits
