"""Inpainters: networks that paint what a mask removed, from what it kept and from noise.

`module(kept, mask, noise) -> fill`, all [B, *shape]: `kept` is the sample where the mask is 1 and 0 elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.models.fit import tried
from raysweep.models.independence import check_rows_independent


class Packed(nn.Module):
    """An inpainter with one input, [B, 3, *shape]: kept, mask and noise."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, packed: Tensor) -> Tensor:
        fill: Tensor = self.module(*packed.unbind(dim=1))
        return fill


def check_inpainter(module: nn.Module, samples: Tensor, *, key: str) -> None:
    """Let an inpainter paint into two samples [2, *shape], half of each removed.

    Raises:
        InputError: it does not take them, paints in another shape, or lets one row's fill depend on another row.
    """
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 2, samples.shape, generator=generator).float()
    packed = torch.stack([samples * mask, mask, torch.randn(samples.shape, generator=generator)], dim=1)
    network, shape = Packed(module), list(samples.shape[1:])
    rule = f"the inpainter must take (kept, mask, noise), each [B, {', '.join(map(str, shape))}]"
    painted = tried(network, packed, rule, key=key, name=type(module).__name__)
    if not isinstance(painted, Tensor) or painted.shape != samples.shape:
        found = list(painted.shape[1:]) if isinstance(painted, Tensor) else type(painted).__name__
        raise InputError(f"the inpainter must paint in the samples' shape {shape}", key=key, value=found)
    check_rows_independent(network, packed, key=key)


def check_estimator(module: nn.Module, samples: Tensor, *, key: str) -> None:
    """Let a network estimate the map of two samples [2, C, H, W].

    Raises:
        InputError: it does not take them, makes no map [1, H, W], or lets one row's depend on another row.
    """
    shape = list(samples.shape[1:])
    rule = f"the network that estimates must take samples {shape} and make maps {[1, *shape[1:]]}"
    made = tried(module, samples, rule, key=key)
    if not isinstance(made, Tensor) or list(made.shape) != [len(samples), 1, *shape[1:]]:
        found = list(made.shape[1:]) if isinstance(made, Tensor) else type(made).__name__
        raise InputError(rule, key=key, value=found)
    check_rows_independent(module, samples, key=key)
