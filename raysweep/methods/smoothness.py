"""What keeps an input smooth: its total variation, and looking at it shifted and scaled.

Axes are those after the first, the channels: rows and columns of images [C, H, W], frames of [C, L]. A vector [L] is
its own axis.
"""

from __future__ import annotations

import torch
from torch import Tensor


def total_variation(x: Tensor, power: Tensor | None = None) -> Tensor:
    """Σ |x_i − x_j|^β over all neighbours i, j along every axis of each row [B, ...], [B].

    Args:
        power: β of each row [B], at least 1; None: 1.
    """
    steps = [x.diff(dim=axis).abs().flatten(1) for axis in _axes(x)]
    if power is not None:
        steps = [step ** power[:, None] for step in steps]
    return torch.stack([step.sum(dim=1) for step in steps]).sum(dim=0)


def moved(x: Tensor, shift: Tensor, factor: Tensor) -> Tensor:
    """Rows [B, ...] scaled about their middle, then shifted; between places linear, beyond an edge like the edge.

    Each axis is a product with a matrix of its row's own, so no row looks at another, and a GPU adds up in one order.

    Args:
        shift: places along each axis, [B, axes].
        factor: how many times as large, [B].
    """
    for index, axis in enumerate(_axes(x)):
        size = x.shape[axis]
        place = torch.arange(size, device=x.device, dtype=x.dtype)
        middle = (size - 1) / 2
        source = (place - middle - shift[:, index, None]) / factor[:, None] + middle
        share = (1 - (source.clamp(0, size - 1)[:, None, :] - place[:, None]).abs()).clamp(min=0)
        along = x.movedim(axis, -1)
        x = (along.flatten(1, -2) @ share if along.dim() > 2 else (along[:, None] @ share)[:, 0]).view_as(along)
        x = x.movedim(-1, axis)
    return x


def _axes(x: Tensor) -> range:
    return range(min(2, x.dim() - 1), x.dim())
