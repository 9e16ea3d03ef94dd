"""DTSCNN-like: sequences of flow at one or two lengths in time, a shallow 3-D CNN for each.

After Peng et al., "Dual Temporal Scale Convolutional Neural Network for Micro-Expression
Recognition", Frontiers in Psychology 2017: flow of clips that are interpolated to 64 and to 128
frames, two streams that differ in pooling over time, their features concatenated for a linear SVM.
The paper's own table of layers was not to be had. The stream for 64 frames is that of a public
third-party port (1,026,163 parameters with a head of 3 classes). Ours:

- the stream for 128 frames is the same, but that its first pooling halves the time too;
- a stream for clips of 10 frames (MiE-X's length), whose layers keep the time as it is: strides and
  pools of 1 in time, kernels of 3 x 3 x 3. It takes any number of frames;
- a softmax head, learned with the streams, instead of the SVM; rate, epochs and batch.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from recognizers.settings import Settings

SETTINGS = Settings(
    source="ours; the paper pre-trains on macro-expressions (CK+, SPOS) and ends with an SVM",
    views=("flow_sequence_64", "flow_sequence_128"),
    rate=1e-4,
    epochs=80,
    batch=16,
    augmentation="flip, jitter in time",
)

LIGHT_SETTINGS = dataclasses.replace(
    SETTINGS, source="ours, for the 10-frame clips of MiE-X", views=("flow_sequence_10",)
)


def stream_64(*, first_pool: int = 1) -> nn.Sequential:
    """The port's convolutions: (N, 3, 64, 128, 128) -> (N, 128).

    FIRST_POOL is how many steps in time the first pooling joins: with 2, for 128 frames.
    """
    return nn.Sequential(
        nn.Conv3d(3, 16, (8, 3, 3), stride=(4, 2, 2), padding=(2, 1, 1)),  # 16 x 64 x 64
        nn.ReLU(),
        nn.MaxPool3d((first_pool, 2, 2)),  # 16 x 32 x 32
        nn.Conv3d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool3d(2),  # 8 x 16 x 16
        nn.Conv3d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool3d(2),  # 4 x 8 x 8
        nn.Conv3d(64, 128, (4, 3, 3), padding=(0, 1, 1)),  # 1 x 8 x 8
        nn.ReLU(),
        nn.MaxPool3d((1, 2, 2)),
        nn.AdaptiveMaxPool3d(1),
        nn.Flatten(),
    )


def stream_128() -> nn.Sequential:
    """(N, 3, 128, 128, 128) -> (N, 128)."""
    return stream_64(first_pool=2)


def stream_10() -> nn.Sequential:
    """(N, 3, T, 128, 128) -> (N, 128): the same without any step in time longer than a frame."""
    layers: list[nn.Module] = []
    for channels, stride in ((16, 2), (32, 1), (64, 1), (128, 1)):
        layers += [
            nn.Conv3d(max(3, channels // 2) if layers else 3, channels, 3, (1, stride, stride), 1),
            nn.ReLU(),
            nn.MaxPool3d((1, 2, 2)),
        ]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool3d(1), nn.Flatten())


STREAMS = {10: stream_10, 64: stream_64, 128: stream_128}


class DTSCNN(nn.Module):
    """A stream for each number of FRAMES (``STREAMS``), concatenated; logits from a linear layer.

    2,052,323 parameters at 3 classes with both streams; 1,026,163 with that of 64 frames, 950,275
    with that of 10.
    """

    def __init__(self, *, classes: int = 3, frames: tuple[int, ...] = (64, 128)) -> None:
        super().__init__()
        if not frames or not set(frames) <= STREAMS.keys():
            raise ValueError(
                f"frames {frames}: there are streams for {', '.join(map(str, STREAMS))}"
            )
        self.streams = nn.ModuleList(
            nn.Sequential(
                STREAMS[number](), nn.Linear(128, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU()
            )
            for number in frames
        )
        self.head = nn.Linear(512 * len(frames), classes)

    def forward(self, *sequences: Tensor) -> Tensor:
        """A sequence a stream, in their order, (N, 3, T, 128, 128) -> (N, classes) logits.

        The three maps are u, v and magnitude of the flow in pixels; T is the stream's frames.
        """
        seen = [stream(sequence) for stream, sequence in zip(self.streams, sequences, strict=True)]
        logits: Tensor = self.head(torch.cat(seen, dim=1))
        return logits
