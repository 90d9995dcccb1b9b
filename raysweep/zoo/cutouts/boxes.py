"""Boxes [N, 4]: left, top, right, bottom in pixels, the last two exclusive."""

from __future__ import annotations

import torch
from torch import Tensor

CENTRE = 0.7
"""Of each side, that of the box which knows nothing of an image."""
ENOUGH = 0.5
"""From which overlap on a box is found."""


def overlap(one: Tensor, other: Tensor) -> Tensor:
    """What two boxes have in common, of what they cover together, [N]."""
    corner, end = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
    common = (end - corner).clamp(min=0).prod(1)
    return common / (_area(one) + _area(other) - common)


def centre_error(boxes: Tensor, side: int) -> float:
    """The share of boxes in images of a side that a box in the middle does not find."""
    margin = side * (1 - CENTRE) / 2
    centre = torch.tensor([[margin, margin, side - margin, side - margin]], dtype=torch.float64)
    return float((overlap(boxes.double(), centre.expand(len(boxes), -1)) < ENOUGH).double().mean())


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)
