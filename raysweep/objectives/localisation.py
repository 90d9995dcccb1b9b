"""Whether a map finds the object: the box around what is hot against the true box, and where its hottest place lies.

The heat of a place is the sum over its channels, and heat below 0, which speaks against a class, counts as none. As in
Fong, Vedaldi, *Interpretable explanations of black boxes by meaningful perturbation*, ICCV 2017, and Du, Liu, Song, Hu,
*Towards explanation of DNN-based prediction with guided feature inversion*, KDD 2018; the pointing game is that of
Zhang et al., *Top-down neural attention by excitation backprop*, ECCV 2016, without a margin.

Boxes are int64 [B, 4]: left, top, right and bottom in places, right and bottom not among them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raysweep.errors import InputError

BOXES = "boxes"
"""The data's array of the true boxes."""
ENOUGH = 0.5
"""Intersection over union from which a box counts as found."""


def found_boxes(heat: Tensor, threshold: float) -> Tensor:
    """The tight boxes [B, 4] around all places of maps [B, C, H, W] hotter than `threshold` × the map's mean heat.

    A map that covers nothing (it has no heat above 0, or is the same everywhere and the threshold at least 1) has the
    box [0, 0, 0, 0].
    """
    warm = heat.double().sum(dim=1).clamp(min=0)
    hot = warm > threshold * warm.mean(dim=(1, 2), keepdim=True)
    left, right = _ends(hot.any(dim=1))
    top, bottom = _ends(hot.any(dim=2))
    return torch.stack([left, top, right, bottom], dim=1) * hot.flatten(1).any(dim=1, keepdim=True)


def _ends(hot: Tensor) -> tuple[Tensor, Tensor]:
    """The first hot place along an axis, and the one after the last, of bool [B, L]."""
    place = torch.arange(hot.shape[1], device=hot.device)
    return torch.where(hot, place, hot.shape[1]).amin(dim=1), torch.where(hot, place + 1, 0).amax(dim=1)


def overlap(found: Tensor, true: Tensor) -> Tensor:
    """Intersection over union of boxes, float64 [B]; 0 for a found box without an area."""
    low, high = torch.maximum(found[:, :2], true[:, :2]), torch.minimum(found[:, 2:], true[:, 2:])
    common = _area(low, high)
    union = _area(found[:, :2], found[:, 2:]) + _area(true[:, :2], true[:, 2:]) - common
    return common.double() / union.clamp(min=1)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(dim=1)


def localisation_errors(overlaps: Tensor) -> Tensor:
    """1 for each image whose box was not found, else 0, float64 [B]."""
    return (overlaps < ENOUGH).double()


def pointing_errors(heat: Tensor, true: Tensor) -> Tensor:
    """1 for each map [B, C, H, W] whose hottest place lies outside the true box, else 0, float64 [B].

    Of several equally hot places it is the share of those outside, as if one were drawn. A map without heat above 0
    points nowhere, which is an error.
    """
    warm = heat.double().sum(dim=1)
    highest = warm.amax(dim=(1, 2), keepdim=True)
    hottest = warm == highest
    inside = hottest & _within(true, *warm.shape[1:])
    missed = 1 - inside.sum(dim=(1, 2)).double() / hottest.sum(dim=(1, 2))
    return torch.where(highest[:, 0, 0] > 0, missed, 1.0)


def _within(boxes: Tensor, height: int, width: int) -> Tensor:
    """Which places lie in boxes, bool [B, H, W]."""
    row = torch.arange(height, device=boxes.device)[:, None]
    column = torch.arange(width, device=boxes.device)
    left, top, right, bottom = boxes[:, :, None, None].unbind(dim=1)
    return (left <= column) & (column < right) & (top <= row) & (row < bottom)


def check_boxes(boxes: np.ndarray, shape: tuple[int, ...], *, key: str = "data.source") -> None:
    """Boxes [N, 4] are boxes in samples of a shape [C, H, W].

    Raises:
        InputError: samples that are no maps, numbers that are not whole, or a box without an area or not in its sample.
    """
    if len(shape) != 3:
        rule = f"must be samples [C, H, W] that {BOXES} can lie in"
        raise InputError(rule, key=key, value=list(shape))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.issubdtype(boxes.dtype, np.integer):
        rule = f"{BOXES} must be whole numbers [N, 4]: left, top, right, bottom"
        raise InputError(rule, key=key, value=f"{boxes.dtype} {list(boxes.shape)}")
    _, height, width = shape
    left, top, right, bottom = boxes.T.astype(np.int64)
    sound = (left >= 0) & (left < right) & (right <= width) & (top >= 0) & (top < bottom) & (bottom <= height)
    if not sound.all():
        bad = int(sound.argmin())
        rule = f"{BOXES} must have 0 ≤ left < right ≤ {width} and 0 ≤ top < bottom ≤ {height}"
        raise InputError(rule, key=key, value=f"{boxes[bad].tolist()}, the box of sample {bad}")
