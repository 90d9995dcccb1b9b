"""Whether removing what is hot costs as much of the score as the heat says.

Pixel flipping: Bach et al., *On pixel-wise explanations for non-linear classifier decisions by layer-wise relevance
propagation*, PLOS ONE 2015; Samek et al., *Evaluating the visualization of what a deep neural network has learned*,
IEEE TNNLS 2017. Faithfulness correlation: Bhatt, Weller, Moura, *Evaluating and aggregating feature-based model
explanations*, IJCAI 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raysweep.objectives.correlation import correlations


def area_under_kept(drop: Tensor, scale: float) -> Tensor:
    """Most relevant first: the area under what is left of the score while more and more is removed, float64 [B].

    What is left is 1 − (Φ(x) − Φ(z)) / `scale`: 1 at first and, in the mean over the examples, about 0 in the end. Low
    where what was removed first carried the score.

    Args:
        drop: Φ(x) − Φ(z), [B, K] at K equidistant shares removed, from nothing to all.
        scale: what removing everything changes the score by. One number for all examples, so that an example whose
            score hardly changes does not outweigh the others.
    """
    return 1 - area_under_lost(drop, scale)


def area_under_lost(drop: Tensor, scale: float) -> Tensor:
    """Least relevant first: the area under what is lost of the score, (Φ(x) − Φ(z)) / `scale`, float64 [B].

    Low where what was removed first did not matter; below 0 where it spoke against the class. See `area_under_kept`.
    """
    return torch.trapezoid(drop.double() / scale, dx=1 / (drop.shape[1] - 1), dim=1)


def unfaithfulness(heat: Tensor, drop: Tensor) -> Tensor:
    """1 − r of the heat in random parts and of what the score loses without them, float64 [B], from 0 to 2.

    It is 1 where either is the same for all parts, so for a map without any heat.

    Args:
        heat, drop: of P parts, [B, P] each.
    """
    return 1 - correlations(heat, drop)
