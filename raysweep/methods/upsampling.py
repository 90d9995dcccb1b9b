"""Small maps made as large as an image: between places linear, along both axes.

Each axis is a product with a matrix, so that a GPU adds gradients up in one order; its own interpolation does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def upsampled(maps: Tensor, size: Sequence[int], corners: bool = False) -> Tensor:
    """Maps [B, C, h, w] as [B, C, H, W], H and W being `size`.

    Args:
        corners: whether the outermost places of both lie upon each other; else what they cover does, and beyond the
            outermost places the maps are as they are there.
    """
    rows, columns = (
        _weights(small, large, corners).to(maps) for small, large in zip(maps.shape[2:], size, strict=True)
    )
    return rows @ maps @ columns.mT


def _weights(small: int, large: int, corners: bool) -> Tensor:
    """What each of `large` places takes of each of `small`, [large, small]."""
    place = torch.arange(large, dtype=torch.float64)
    source = place * (small - 1) / max(large - 1, 1) if corners else (place + 0.5) * small / large - 0.5
    distance = source.clamp(0, small - 1)[:, None] - torch.arange(small)
    return (1 - distance.abs()).clamp(min=0)
