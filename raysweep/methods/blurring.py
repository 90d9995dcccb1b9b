"""Images that a classifier sees through a mask, blurred where the mask hides them, and what it says of a class.

Φ(x, m) = x ⊙ m + p ⊙ (1 − m),   p the image under a Gaussian.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from raysweep.errors import InputError, check_choice
from raysweep.methods.masking import Masking

Score = Literal["logit", "softmax"]


class Blurring:
    """The samples of a method, each explained for its unit.

    Args:
        masking: samples [K, C, H, W], the network that sees them, and the unit of each.
        score: f_c, "logit" or "softmax".
    """

    def __init__(self, masking: Masking, score: Score) -> None:
        check_choice(score, get_args(Score), key="method.score")
        self.masking, self.softmax = masking, score == "softmax"

    def image(self, example: Tensor) -> Tensor:
        """Which sample each row's example [B] is of, [B]."""
        first = self.masking.explained.first
        return first[example % len(first)]

    def through(self, mask: Tensor, image: Tensor, blur: Tensor) -> Tensor:
        """Φ(x, m) [B, C, H, W] of the samples [B] and masks [B, 1, H, W], with Gaussians of standard deviation `blur`
        [B]."""
        x = self.masking.explained.x[image].to(mask)
        return x * mask + blurred(x, blur.to(mask)) * (1 - mask)

    def score(self, x: Tensor, image: Tensor) -> Tensor:
        """f_c [B] of inputs [B, C, H, W] that are made of the samples [B]."""
        masking = self.masking
        return self.of_class(masking.scores(x.to(masking.network_dtype)).to(masking.dtype), image)

    def of_class(self, scores: Tensor, image: Tensor) -> Tensor:
        """f_c [B] of the network's scores [B, U] of such inputs."""
        unit = self.masking.explained.unit
        assert unit is not None
        scores = scores.softmax(dim=1) if self.softmax else scores
        return scores.gather(1, unit[image][:, None])[:, 0]


def check_score(score: str, outputs: int) -> None:
    """Whether a network with so many outputs has such a score."""
    if score == "softmax" and outputs == 1:
        rule = "must be logit: the softmax of one output is always 1"
        raise InputError(rule, key="method.score", value=score)


def blurred(x: Tensor, radius: Tensor) -> Tensor:
    """Images [B, C, H, W] under Gaussians of standard deviation `radius` [B], whose weights sum to 1 at edges too."""
    rows, columns = (_gaussian(size, radius) for size in x.shape[2:])
    return rows[:, None] @ x @ columns[:, None].mT


def _gaussian(size: int, radius: Tensor) -> Tensor:
    """[B, size, size]: each row the weights of one place."""
    place = torch.arange(size, device=radius.device, dtype=radius.dtype)
    distance = (place[:, None] - place).square()
    return torch.softmax(-distance / (2 * radius.clamp(min=0.01).square()[:, None, None]), dim=2)
