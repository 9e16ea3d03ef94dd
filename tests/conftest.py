"""One tiny world: three faces, an AU table drawn from nobody, a generator that is quick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mie_x.records import SIZE, Frames


@dataclass(frozen=True)
class Blob:
    """A face that takes no time: a picture drawn from its identity's letters."""

    identity: str
    rendered: bool = True

    @property
    def path(self) -> str:
        return f"render:{self.identity}"

    @property
    def sha256(self) -> str:
        return f"{sum(self.identity.encode()):064x}"

    def image(self) -> Frames:
        rng = np.random.default_rng(list(self.identity.encode()))
        small = rng.integers(0, 256, (SIZE // 16, SIZE // 16, 3), dtype=np.uint8)
        return small.repeat(16, axis=0).repeat(16, axis=1)


def blobs(names: Sequence[str]) -> list[Blob]:
    return [Blob(name) for name in names]


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a very small generator, untrained: enough to move pixels."""
    from ganimation.checkpoints import save_generator
    from ganimation.networks import Generator

    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_generator(path, Generator(width=4, blocks=1), steps=0, data="untrained", licence="none")
    return path
