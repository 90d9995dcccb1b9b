"""Meaningful perturbation: the smallest, smoothest part of an image without which a class is seen no more.

L(m) = f_c(Φ(x, m)) + λ₁ ‖1 − m‖₁ + λ₂ Σ |m_i − m_j|^β,   Φ(x, m) = x ⊙ m + p ⊙ (1 − m),   p a blurred x

Fong, Vedaldi, *Interpretable explanations of black boxes by meaningful perturbation*, ICCV 2017 (arXiv:1704.03296).
m is small and upsampled; both norms are sums over its own places, the second over neighbours i, j. Without the paper's
jitter of the image and blur of the mask; m starts where nothing is blurred.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raysweep.methods.blurring import Blurring, Score
from raysweep.methods.masking import Masking
from raysweep.methods.method import Bound, Rows
from raysweep.methods.row_method import Loss, RowMethod
from raysweep.methods.smoothness import total_variation
from raysweep.methods.upsampling import upsampled


class MeaningfulPerturbation(RowMethod):
    """One mask per row; what it blurs is hot.

    Args:
        masking: the samples, images [K, C, H, W], the network that is explained, and the unit of each sample.
        mask_size: rows and columns of the mask before it is upsampled.
        score: f_c, "softmax" or "logit".
    """

    name = "meaningful_perturbation"
    needs_samples = True
    hyperparameters = {  # noqa: RUF012
        "lr": Bound(0, open=True, default=0.1, usual=0.1),
        "sparsity_weight": Bound(0, default=1e-4, usual=1e-4),
        "smoothness_weight": Bound(0, default=1e-2, usual=1e-2),
        "smoothness_power": Bound(1, default=3.0, usual=3.0),
        "blur": Bound(0, default=10.0, usual=3.0),
    }

    def __init__(self, masking: Masking, mask_size: int = 28, score: Score = "softmax") -> None:
        self.masking, self.blurring, self.dtype = masking, Blurring(masking, score), masking.dtype
        self.mask_size = mask_size

    def start(self, rows: Rows) -> Tensor:
        """A mask that blurs nothing."""
        size = self.mask_size
        return torch.ones(len(rows), 1, size, size, dtype=self.dtype, device=rows.example.device)

    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """L(m)."""
        image = self.blurring.image(rows.example)
        mask = upsampled(params, self.masking.explained.x.shape[2:], corners=True)
        left = self.blurring.score(self.blurring.through(mask, image, rows["blur"]), image)
        blurs = (1 - params).abs().flatten(1).sum(dim=1)
        rough = total_variation(params, rows["smoothness_power"].to(params))
        total = left + rows["sparsity_weight"] * blurs + rows["smoothness_weight"] * rough
        return Loss(total, {"heat": 1 - mask, "response": self.masking.wanted[image][:, 0], "example": rows.example})

    def project(self, params: Tensor) -> Tensor:
        """Between 0 and 1."""
        return params.clamp(0, 1)

    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The last 1 − m, upsampled, [B, 1, H, W]."""
        return seen

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """The heat map itself."""
        return kept["heat"]
