"""LRP of the job lrp-fashion as a user's script has it: one image after the other, every signed pass of every layer.

ε on dense layers, z^B on the first, αβ on the other convolutions by four passes, (x⁺, W⁺) and (x⁻, W⁻) for α, (x⁺, W⁻)
and (x⁻, W⁺) for β; batch norm is merged once, before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

Linear = Callable[[Tensor, Tensor], Tensor]


class Script:
    """The classifier's layers, ready to be walked through and back."""

    def __init__(self, classifier: Any) -> None:
        self.standardise: nn.Module = classifier.standardise
        features, head = list(classifier.features), list(classifier.head)
        self.convolutions = [fuse_conv_bn_eval(*features[at : at + 2]) for at in range(0, len(features), 3)]
        self.dense = [layer for layer in head if isinstance(layer, nn.Linear)]

    def heat(self, image: Tensor, unit: int, alpha: float, epsilon: float) -> Tensor:
        """Relevance [1, 1, 28, 28] of one image [1, 1, 28, 28]."""
        x = self.standardise(image)
        entered = []
        for layer in self.convolutions:
            entered.append(x)
            x = layer(x).relu()
        shape, x = x.shape, x.flatten(1)
        for layer in self.dense:
            entered.append(x)
            x = layer(x) if layer is self.dense[-1] else layer(x).relu()
        relevance = torch.zeros_like(x)
        relevance[0, unit] = x[0, unit]
        for layer in reversed(self.dense):
            relevance = of_epsilon(layer, entered.pop(), relevance, epsilon)
        relevance = relevance.view(shape)
        for layer in reversed(self.convolutions[1:]):
            relevance = of_alpha_beta(layer, entered.pop(), relevance, alpha)
        low, high = (self.standardise(torch.full_like(image, end)) for end in (0.0, 1.0))
        return of_box(self.convolutions[0], entered.pop(), relevance, low, high)


def of_epsilon(layer: nn.Linear, x: Tensor, relevance: Tensor, epsilon: float) -> Tensor:
    """x_i w_ij / (z_j + ε sign z_j) R_j."""
    z = layer(x)
    return x * ((relevance / (z + torch.where(z < 0, -epsilon, epsilon))) @ layer.weight)


def of_alpha_beta(layer: nn.Conv2d, x: Tensor, relevance: Tensor, alpha: float) -> Tensor:
    """α of the positive contributions, 1 − α of the negative ones."""
    rise, fall, up, down = x.clamp(min=0), x.clamp(max=0), layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    bias = torch.zeros_like(relevance[0, :, 0, 0]) if layer.bias is None else layer.bias
    bias = bias[:, None, None]
    found = torch.zeros_like(x)
    for share, offset, passes in (
        (alpha, bias.clamp(min=0), ((rise, up), (fall, down))),
        (1 - alpha, bias.clamp(max=0), ((rise, down), (fall, up))),
    ):
        parts = [(part.detach().requires_grad_(), weight) for part, weight in passes]
        outputs = [convolve(layer, part, weight) for part, weight in parts]
        total = outputs[0] + outputs[1] + offset
        other = torch.where(total == 0, 0.0, share * relevance / torch.where(total == 0, 1.0, total)).detach()
        for (part, _), output in zip(parts, outputs, strict=True):
            found = found + part.detach() * torch.autograd.grad(output, part, other)[0]
    return found


def of_box(layer: nn.Conv2d, x: Tensor, relevance: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """x_i w_ij − l_i w_ij⁺ − h_i w_ij⁻ over its sum."""
    weights = layer.weight, layer.weight.clamp(min=0), layer.weight.clamp(max=0)
    ends = [end.detach().requires_grad_() for end in (x, low, high)]
    made = [convolve(layer, end, weight) for end, weight in zip(ends, weights, strict=True)]
    total = made[0] - made[1] - made[2]
    share = torch.where(total == 0, 0.0, relevance / torch.where(total == 0, 1.0, total)).detach()
    parts = [end.detach() * torch.autograd.grad(one, end, share)[0] for end, one in zip(ends, made, strict=True)]
    return parts[0] - parts[1] - parts[2]


def convolve(layer: nn.Conv2d, x: Tensor, weight: Tensor) -> Tensor:
    """The layer with other weights and no bias."""
    return functional.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)  # type: ignore[arg-type]
