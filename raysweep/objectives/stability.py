"""What a map changes with: little with the input, much with the network.

Max-sensitivity: Yeh, Hsieh, Suggala, Inouye, Ravikumar, *On the (in)fidelity and sensitivity of explanations*, NeurIPS
2019. Randomisation: Adebayo et al., *Sanity checks for saliency maps*, NeurIPS 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raysweep.objectives.correlation import rank_correlations


def relative_changes(heat: Tensor, others: Tensor) -> Tensor:
    """The greatest ‖R(x + ε) − R(x)‖ / ‖R(x)‖ over some ε, float64 [B]; of a map that is 0, the change alone.

    Args:
        heat: R(x), [B, ...].
        others: R(x + ε), [B, E, ...].
    """
    clean = heat.double().flatten(1)
    change = (others.double().flatten(2) - clean[:, None]).norm(dim=2).amax(dim=1)
    length = clean.norm(dim=1)
    return change / torch.where(length > 0, length, 1.0)


def similarities(heat: Tensor, others: Tensor) -> Tensor:
    """Mean over some other maps of the same samples of |ρ|, the rank correlation with them, float64 [B], 0 to 1.

    Args:
        heat: [B, ...].
        others: [B, E, ...].
    """
    elements = heat.flatten(1)
    found = [rank_correlations(elements, other.flatten(1)).abs() for other in others.unbind(dim=1)]
    return torch.stack(found).mean(dim=0)
