"""How few places have the heat of a map.

Chalasani, Chen, Chowdhury, Jha, Wu, *Concise explanations of neural networks using adversarial training*, ICML 2020;
the Gini index as in Hurley, Rickard, *Comparing measures of sparsity*, IEEE Transactions on Information Theory 2009.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gini(heat: Tensor) -> Tensor:
    """The Gini index of |heat| over the n elements of maps [B, ...], float64 [B].

    0 where all elements are as hot (or all are 0), 1 − 1/n where one has all the heat:
    1 − 2 Σ_k (a_k / ‖a‖₁) (n − k + ½) / n, with a_1 ≤ … ≤ a_n.
    """
    rising = heat.double().abs().flatten(1).sort(dim=1).values
    count, total = rising.shape[1], rising.sum(dim=1)
    weight = (torch.arange(count, 0, -1, dtype=torch.float64, device=heat.device) - 0.5) / count
    share = (rising * weight).sum(dim=1) / torch.where(total > 0, total, 1.0)
    return torch.where(total > 0, 1 - 2 * share, 0.0)


def diffuseness(heat: Tensor) -> Tensor:
    """1 − the Gini index, float64 [B]: lower for maps that are hot in fewer places."""
    return 1 - gini(heat)
