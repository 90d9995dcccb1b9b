"""Densities: networks that say how likely an input is, `module(x) -> log p(x)`, up to a constant."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.models.fit import check_gradient, tried
from raysweep.models.independence import check_rows_independent


def check_density(module: nn.Module, samples: Tensor, *, key: str) -> None:
    """Let a density judge two samples [2, *shape].

    Raises:
        InputError: it does not take them, gives another shape than [2] or no numbers, passes no gradient back, or lets
            what it says of one row depend on another.
    """
    shape = list(samples.shape[1:])
    rule = f"the expert must take inputs [B, {', '.join(map(str, shape))}] and give log p of each, [B]"
    found = tried(module, samples, rule, key=key)
    if not isinstance(found, Tensor) or list(found.shape) != [len(samples)]:
        what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(rule, key=key, value=what)
    if not torch.isfinite(found).all():
        raise InputError("the expert must give finite numbers", key=key, value=found.tolist())
    check_rows_independent(module, samples, key=key)
    check_gradient(module, samples, key=key)
