"""Bi-WOOF: which way each part of the face moves, weighed twice.

Liong et al., "Less is More: Micro-Expression Recognition from Video Using Apex Frame", Signal
Processing: Image Communication 2018. Of the flow from onset to apex, 8 x 8 blocks; in each a
histogram of 8 directions, to which a pixel adds the length of its flow (the local weight); the
histogram times the mean strain of its block (the global weight): 512 numbers. Ours: the first
direction begins at right (u > 0, v = 0) and they go towards down; nothing is normalised after.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray


def bi_woof(
    maps: NDArray[np.float32], *, blocks: int = 8, directions: int = 8
) -> NDArray[np.float32]:
    """MAPS (3, H, W): u and v in pixels, right and down, and strain -> (blocks^2 x directions,).

    Order: rows of blocks, directions. ValueError where there are fewer pixels than blocks. The maps
    are as flow gives them: a min-max to [0, 1] would leave no direction.
    """
    if maps.ndim != 3 or maps.shape[0] != 3 or min(maps.shape[1:]) < blocks:
        raise ValueError(f"maps of {maps.shape}: u, v and strain of at least {blocks} x {blocks}")
    u, v, strain = maps.astype(np.float64)
    turns = np.arctan2(v, u) / (2 * np.pi) % 1
    # A tiny negative angle is a turn less an epsilon, which rounds to 1: the first direction again.
    direction = (turns * directions).astype(np.int64) % directions
    length = np.hypot(u, v)
    rows, columns = (np.array_split(np.arange(side), blocks) for side in strain.shape)
    histograms = [
        np.bincount(direction[block].ravel(), length[block].ravel(), directions)
        * strain[block].mean()
        for block in (np.ix_(down, right) for down, right in itertools.product(rows, columns))
    ]
    return np.concatenate(histograms).astype(np.float32)
