"""A box in the middle of every image: what a method that points at things must be better than.

As in the localisation tables of Fong, Vedaldi, *Interpretable explanations of black boxes by meaningful perturbation*,
ICCV 2017: photographers put what they show in the middle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raysweep.methods.attribution import Attribution
from raysweep.methods.method import Bound, Rows


class CentreBox(Attribution):
    """Heat of 1 in the box and of 0 around it; `size` is its share of each side, at least one place."""

    name = "centre_box"
    hyperparameters = {"size": Bound(0, 1, default=0.7, usual=0.7)}  # noqa: RUF012

    def heat(self, x: Tensor, unit: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """[B, 1, H, W]."""
        down, across = (self._within(side, rows["size"]) for side in x.shape[2:])
        response = self.masking.scores(x).gather(1, unit[:, None])[:, 0]
        return (down[:, None, :, None] & across[:, None, None, :]).to(x), response

    @staticmethod
    def _within(side: int, size: Tensor) -> Tensor:
        """Which of `side` places are in the box, bool [B, side]."""
        length = (size * side).round().clamp(min=1)[:, None]
        first = ((side - length) / 2).floor()
        place = torch.arange(side, device=size.device)
        return (place >= first) & (place < first + length)
