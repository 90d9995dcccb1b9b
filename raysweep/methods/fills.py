"""Fills: what stands where a mask has removed a part.

A fill gives numbers for a whole sample; the obfuscation z = x ⊙ s + fill ⊙ (1 − s) uses those that the mask removed.
All are functions of the sample, the binary mask, keyed noise and the sample's index, each row for itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Noise = Callable[[], Tensor]
"""Standard normal numbers of the samples' shape [B, *shape]; drawn only when a fill asks for them."""


class Constant(nn.Module):
    """The same numbers for every sample: one value, or the data's mean.

    Args:
        value: a number's tensor, or [*shape].
    """

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, x: Tensor, mask: Tensor, noise: Noise, sample: Tensor) -> Tensor:
        return self.value.expand_as(x)


class Gaussian(nn.Module):
    """Noise with the data's mean and standard deviation, element by element.

    Args:
        mean, deviation: [*shape].
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, x: Tensor, mask: Tensor, noise: Noise, sample: Tensor) -> Tensor:
        return self.mean + self.deviation * noise()


class Blur(nn.Module):
    """The sample itself, blurred by a Gaussian over its last two axes (its last one, of [C, F]); edges are repeated.

    Args:
        sigma: standard deviation in elements.
        axes: 1 or 2.
    """

    kernel: Tensor

    def __init__(self, sigma: float, axes: int) -> None:
        super().__init__()
        reach = max(1, round(3 * sigma))
        weight = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
        self.register_buffer("kernel", weight / weight.sum())
        self.axes, self.reach = axes, reach

    def forward(self, x: Tensor, mask: Tensor, noise: Noise, sample: Tensor) -> Tensor:
        for axis in range(x.dim() - self.axes, x.dim()):
            x = self._along(x, axis)
        return x

    def _along(self, x: Tensor, axis: int) -> Tensor:
        lines = x.movedim(axis, -1)
        flat = lines.reshape(-1, 1, lines.shape[-1])
        padded = functional.pad(flat, (self.reach, self.reach), mode="replicate")
        blurred = functional.conv1d(padded, self.kernel.to(x.dtype).view(1, 1, -1))
        return blurred.view(lines.shape).movedim(-1, axis)


class Inpainted(nn.Module):
    """What a network paints into the gaps: G(x ⊙ s, s, n).

    Args:
        inpainter: kept, mask and noise as [B, 3, *shape] -> fill [B, *shape]; it never sees what the mask removed.
    """

    def __init__(self, inpainter: nn.Module) -> None:
        super().__init__()
        self.inpainter = inpainter
        self.dtype = next((p.dtype for p in inpainter.parameters()), torch.float32)

    def forward(self, x: Tensor, mask: Tensor, noise: Noise, sample: Tensor) -> Tensor:
        kept = x * mask
        painted: Tensor = self.inpainter(torch.stack([kept, mask, noise()], dim=1).to(self.dtype))
        return painted.to(x.dtype)
