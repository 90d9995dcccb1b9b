"""Adam with everything per row: learning rate, moments and bias correction.

Kingma, Ba, *Adam: a method for stochastic optimization*, ICLR 2015; constants as in torch and TensorFlow.
"""

from __future__ import annotations

import torch
from torch import Tensor

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def adam_step(
    params: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    lr: Tensor,
    step: Tensor,
    betas: tuple[float, float] = (BETA1, BETA2),
) -> tuple[Tensor, Tensor, Tensor]:
    """One update of every row; nothing is changed in place.

    Args:
        params, gradient, first, second: [B, ...]; `first` and `second` are the moments, zero before the first step.
        lr: [B].
        step: updates made before this one, int64 [B].
        betas: how slowly the moments forget.

    Returns:
        The new parameters, first and second moments.
    """
    beta1, beta2 = betas
    shape = (-1, *[1] * (params.dim() - 1))
    count = (step + 1).to(params.dtype)
    correction1 = (1 - torch.pow(beta1, count)).view(shape)
    correction2 = (1 - torch.pow(beta2, count)).view(shape)
    first = beta1 * first + (1 - beta1) * gradient
    second = beta2 * second + (1 - beta2) * gradient.square()
    denominator = (second / correction2).sqrt() + EPSILON
    return params - lr.to(params.dtype).view(shape) * (first / correction1) / denominator, first, second
