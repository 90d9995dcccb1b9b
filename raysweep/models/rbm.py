"""A Gaussian–Bernoulli restricted Boltzmann machine, whose free energy says how likely an input is.

    E(v, h) = ‖v − b‖² / 2σ² − cᵀh − vᵀWh / σ²,   F(v) = ‖v − b‖² / 2σ² − Σ_j softplus(c_j + vᵀW_j / σ²)

p(v) ∝ Σ_h exp(−E(v, h)) = exp(−F(v)); given h the v are N(b + Wh, σ²), given v each h_j is 1 with probability
sigmoid(c_j + vᵀW_j / σ²). The convention of Cho, Ilin, Raiko, *Improved learning of Gaussian-Bernoulli restricted
Boltzmann machines*, ICANN 2011, with one σ for all v, which is not learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class GaussianBernoulliRBM(nn.Module):
    """Inputs [B, *shape] -> log p [B], up to a constant: −F. Differentiable; no row looks at another.

    Args:
        visible: D, the numbers of an input.
        hidden: H, units that are 0 or 1.
        deviation: σ.
    """

    deviation: Tensor

    def __init__(self, visible: int, hidden: int, deviation: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(visible, hidden))
        self.visible_bias = nn.Parameter(torch.zeros(visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("deviation", torch.tensor(deviation))

    def forward(self, v: Tensor) -> Tensor:
        """log p(v) + log Z, [B]."""
        return -self.free_energy(v)

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = −log Σ_h exp(−E(v, h)), [B]."""
        flat = v.flatten(1)
        distance = (flat - self.visible_bias).square().sum(dim=1) / (2 * self.deviation**2)
        return distance - functional.softplus(self._input(flat)).sum(dim=1)

    def hidden_probability(self, v: Tensor) -> Tensor:
        """p(h_j = 1 | v), [B, H]."""
        return torch.sigmoid(self._input(v.flatten(1)))

    def visible_mean(self, h: Tensor) -> Tensor:
        """E[v | h] = b + Wh, [B, D]."""
        return self.visible_bias + h @ self.weight.T

    def gibbs(self, v: Tensor, random: torch.Generator) -> Tensor:
        """Inputs [B, D] drawn given hidden units that were drawn given `v`."""
        h = torch.bernoulli(self.hidden_probability(v), generator=random)
        mean = self.visible_mean(h)
        return mean + self.deviation * torch.randn(mean.shape, generator=random)

    def _input(self, flat: Tensor) -> Tensor:
        return self.hidden_bias + flat @ self.weight / self.deviation**2
