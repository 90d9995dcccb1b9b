"""Whether a row's result depends on the rows beside it: it must not, or fused trials would change each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.model import like
from raysweep.models.readout import Readout


def check_rows_independent(module: nn.Module, x: torch.Tensor, *, key: str = "models") -> None:
    """Run two rows together, then the first beside itself: same shape, so its result must be the same.

    Args:
        module: in the mode in which it will be used; of a `Readout`, only what is read counts.
        x: [2 or more, ...] inputs in any precision; the first two must differ.

    Raises:
        InputError: the module couples rows (batch statistics) or gives another result each time (noise of its own);
            the first submodule that does is named.
    """
    pair = like(x[:2], module)
    together = _outputs(module, pair)
    again = _outputs(module, pair)
    beside_itself = _outputs(module, pair[[0, 0]])
    if noisy := _first_difference(module, together, again, _same):
        rule = "a network must give the same output for the same input"
        raise InputError(rule, key=key, value=noisy, suggestion="Take the noise out or fix its seed in forward")
    if coupling := _first_difference(module, together, beside_itself, _same_first_row):
        rule = "a network's output for one row must not depend on the other rows"
        hint = "Use running statistics (track_running_stats=True, eval mode) or a norm over the row"
        raise InputError(rule, key=key, value=coupling, suggestion=hint)


def _outputs(module: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Each submodule's first output by name, in the order of running; the whole module's under ""."""
    network = _network(module)
    seen: dict[str, torch.Tensor] = {}

    def keep(name: str, _: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            seen.setdefault(name, output.detach().clone())

    parts = [] if isinstance(network, torch.jit.ScriptModule) else [(n, m) for n, m in network.named_modules() if n]
    hooks = [
        part.register_forward_hook(partial(keep, name))
        for name, part in parts
        if not isinstance(part, torch.jit.ScriptModule)
    ]
    try:
        with torch.no_grad():
            seen[""] = module(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _first_difference(
    module: nn.Module,
    one: dict[str, torch.Tensor],
    other: dict[str, torch.Tensor],
    same: Callable[[torch.Tensor, torch.Tensor], bool],
) -> str | None:
    """None when the whole module's outputs agree, else the first submodule to differ, with its name."""
    if same(one[""], other[""]):
        return None
    network = _network(module)
    for name, output in one.items():
        if name and name in other and not same(output, other[name]):
            return f"{name}: {network.get_submodule(name)}".splitlines()[0]
    return type(network).__name__


def _network(module: nn.Module) -> nn.Module:
    return module.module if isinstance(module, Readout) else module


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)


def _same_first_row(a: torch.Tensor, b: torch.Tensor) -> bool:
    return _same(a[:1], b[:1])
