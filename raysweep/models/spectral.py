"""Layers whose weight is divided by its largest singular value, one power iteration at each pass in training.

Miyato, Kataoka, Koyama, Yoshida, *Spectral normalization for generative adversarial networks*, ICLR 2018. The vector is
a buffer of the layer, so whoever keeps buffers keeps it; nothing is changed in place that a backward pass needs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-12


class SpectralConv2d(nn.Conv2d):
    """A convolution that keeps the map's size."""

    u: Tensor

    def __init__(self, channels: int, out: int, kernel: int = 3) -> None:
        super().__init__(channels, out, kernel, padding=kernel // 2)
        self.register_buffer("u", torch.randn(out))

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)  # which costs CPUs and GPUs less
        return functional.conv2d(x, normalised(self), self.bias, padding=self.padding)


class SpectralLinear(nn.Linear):
    """A linear layer."""

    u: Tensor

    def __init__(self, features: int, out: int, bias: bool = True) -> None:
        super().__init__(features, out, bias)
        self.register_buffer("u", torch.randn(out))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, normalised(self), self.bias)


class SpectralEmbedding(nn.Embedding):
    """A vector for each class."""

    u: Tensor

    def __init__(self, classes: int, features: int) -> None:
        super().__init__(classes, features)
        self.register_buffer("u", torch.randn(classes))

    def forward(self, y: Tensor) -> Tensor:
        return functional.embedding(y, normalised(self))


def converge(network: nn.Module) -> None:
    """Let every such layer of a network know its largest singular value exactly, as training comes near to it.

    For weights that were not trained themselves, as an average is not: their vectors are not those of any training.
    """
    for layer in network.modules():
        if isinstance(layer, SpectralConv2d | SpectralLinear | SpectralEmbedding):
            matrix = layer.weight.detach().flatten(1).double()
            layer.u.copy_(torch.linalg.svd(matrix, full_matrices=False).U[:, 0])


def normalised(layer: SpectralConv2d | SpectralLinear | SpectralEmbedding) -> Tensor:
    """A layer's weight over its largest singular value, as far as that is known from `u` [out]."""
    matrix = layer.weight.flatten(1)
    with torch.autocast(matrix.device.type, enabled=False):  # only what the layer does to x may be in less
        with torch.no_grad():
            v = functional.normalize(matrix.T @ layer.u, dim=0, eps=EPSILON)
            u = functional.normalize(matrix @ v, dim=0, eps=EPSILON)
            if layer.training:
                layer.u.copy_(u)
        return layer.weight / (u @ (matrix @ v))
