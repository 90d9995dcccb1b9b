"""Rate-distortion explanations: the sparsest mask that keeps a network's answer.

z = x ⊙ s + G(x, s, n) ⊙ (1 − s),   L(s) = ½ E_n[(Φ(x) − Φ(z))²] + λ ‖s‖₁,   Φ the pre-softmax score.

Heiß, Levie, Resnick, Kutyniok, Bruna, *In-distribution interpretability for challenging modalities*, 2020
(arXiv:2007.00758). The mask s lies over components of x. It is either relaxed to [0, 1], or s ~ Bernoulli(θ) by the
concrete distribution (Maddison, Mnih, Teh, ICLR 2017), and θ is optimised. The ℓ₁ norm is a sum over components. G
paints from the rounded mask, through which no gradient goes.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from raysweep.errors import check_choice
from raysweep.methods.masking import Masking
from raysweep.methods.method import Bound, Rows
from raysweep.methods.noise import fresh_uniform
from raysweep.methods.row_method import Loss, RowMethod

Mask = Literal["concrete", "relaxed"]
SUREST = 7.0
"""Bound of a mask's logits: θ stays within [0.001, 0.999], from where a gradient leads back."""


class RateDistortion(RowMethod):
    """One mask per row, moved until little of the sample keeps the score.

    Args:
        masking: the samples, and the network that sees them masked.
        mask: "concrete" or "relaxed".
    """

    name = "rde"
    needs_samples = True
    hyperparameters = {  # noqa: RUF012
        "lr": Bound(0, open=True),
        "sparsity_weight": Bound(0),
        "temperature": Bound(0, open=True, default=0.1, usual=0.1),
        "initial_mask": Bound(0, 1, open=True, default=0.5, usual=0.5),
        "noise_samples": Bound(1, whole=True, default=16, usual=1),
    }
    draws = "noise_samples"

    def __init__(self, masking: Masking, mask: Mask = "concrete") -> None:
        check_choice(mask, get_args(Mask), key="method.mask")
        self.masking, self.concrete, self.dtype = masking, mask == "concrete", masking.dtype

    @classmethod
    def hyperparameters_of(cls, options: dict[str, Any]) -> dict[str, Bound]:
        """A relaxed mask is not drawn, so it has no temperature."""
        relaxed = options["mask"] == "relaxed"
        return {name: bound for name, bound in cls.hyperparameters.items() if not (relaxed and name == "temperature")}

    def start(self, rows: Rows) -> Tensor:
        """The initial mask, the same for every component."""
        mask = rows["initial_mask"].to(self.dtype)[:, None].expand(-1, self.masking.components.count).clone()
        return torch.logit(mask).clamp(-SUREST, SUREST) if self.concrete else mask

    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """½ (Φ(x) − Φ(z))² + λ ‖s‖₁ at one draw of the noise; a step takes the mean over n draws."""
        sample = self.masking.explained.sample(rows.example, rows.key)
        mask = self.concrete_mask(params, rows) if self.concrete else params
        distortion = self.masking.distortion(sample, mask, rows.key)
        rate = (mask * self.masking.components.present(sample)).sum(dim=1)
        seen = {"distortion": distortion, "rate": rate, "example": rows.example}
        return Loss(distortion + rows["sparsity_weight"] * rate, seen)

    def project(self, params: Tensor) -> Tensor:
        """Into [0, 1]; logits to where a gradient leads back from."""
        return params.clamp(-SUREST, SUREST) if self.concrete else params.clamp(0, 1)

    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The last mask, θ of the concrete one, and what was seen with it."""
        return {"mask": torch.sigmoid(params) if self.concrete else params, **seen}

    def concrete_mask(self, logits: Tensor, rows: Rows) -> Tensor:
        """s = σ((log θ/(1 − θ) + log u/(1 − u)) / t), u uniform: Bernoulli(θ) as the temperature t goes to 0."""
        uniform = fresh_uniform(rows.key, logits.shape[1], stream="mask").to(logits)
        return torch.sigmoid((logits + torch.logit(uniform)) / rows["temperature"].to(logits)[:, None])

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """One obfuscation z of each row's sample (of a class, its first)."""
        return self.masking.shown(kept["mask"], kept["example"], drawn=self.concrete)
