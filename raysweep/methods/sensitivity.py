"""Sensitivity: what a small change of each element of a sample does to a score.

R_i = (∂f/∂x_i)².

Simonyan, Vedaldi, Zisserman, *Deep inside convolutional networks*, 2013 (arXiv:1312.6034); squared as in Montavon,
Samek, Müller, *Methods for interpreting and understanding deep neural networks*, 2017 (arXiv:1706.07979).
"""

from __future__ import annotations

import torch
from torch import Tensor

from raysweep.methods.attribution import Attribution
from raysweep.methods.method import Rows


class Sensitivity(Attribution):
    """Squared gradients."""

    name = "sensitivity"
    hyperparameters = {}  # noqa: RUF012

    def heat(self, x: Tensor, unit: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """(∂f/∂x)²."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            response = self.masking.scores(leaf).gather(1, unit[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(response.sum(), leaf)
        return gradient.square(), response
