"""What is read from a network: the response of one unit, or features for a Fréchet distance."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from raysweep.errors import InputError, nearest

PENULTIMATE = "penultimate"
CHANNELS_LAST = (nn.Linear, nn.LayerNorm)


class _Reached(Exception):
    """The layer's value is known; the rest of the network need not run."""


class Readout(nn.Module):
    """Inputs [B, ...] -> one unit's response [B], or all units [B, D]. Differentiable.

    Units of a map are its channels, averaged over space; of a Linear or LayerNorm, its last axis.

    Args:
        module: the network; it is shared, and left without hooks between calls.
        layer: a name from `named_modules()` (`features.8`), "penultimate" (the input of the last Linear), or None for
            the output. A layer that runs several times is read the first time, and nothing after it runs.
        unit: index of the unit; None for all of them.
        key: the sweep file's key, for errors.

    Raises:
        InputError: unknown layer, or, on the first call, a unit that the layer does not have.
    """

    def __init__(
        self, module: nn.Module, layer: str | None = None, unit: int | None = None, *, key: str = "target"
    ) -> None:
        super().__init__()
        self.module, self.layer, self.unit, self.key = module, layer, unit, key
        self._name, self._takes_input = layer, False
        if layer is not None:
            self._name, self._takes_input = self._find(layer)

    @property
    def watched(self) -> tuple[str | None, bool]:
        """The layer that is read by its full name (None: the output), and whether it is the layer's input."""
        return self._name, self._takes_input

    @property
    def reads(self) -> str:
        """What is read, in words."""
        what = "the output" if self._name is None else f"{'the input of ' * self._takes_input}{self._name}"
        return what if self.unit is None else f"unit {self.unit} of {what}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value, last_axis = (self.module(x), False) if self._name is None else self._capture(x, self._name)
        if not isinstance(value, torch.Tensor) or value.ndim == 0:
            raise InputError("must give one tensor", key=self.key, value=f"{self.reads}: {type(value).__name__}")
        units = per_unit(value, last_axis)
        if self.unit is None:
            return units
        count = units.shape[1]
        if not 0 <= self.unit < count:
            rule = f"unit must lie between 0 and {count - 1}, as {self.layer or 'the output'} has {count} units"
            raise InputError(rule, key=f"{self.key}.unit", value=self.unit)
        return units[:, self.unit]

    def _capture(self, x: torch.Tensor, name: str) -> tuple[Any, bool]:
        """The layer's value and whether its units are its last axis; runs the network up to there."""
        layer = self.module.get_submodule(name)
        found: list[Any] = []

        def keep(_: nn.Module, inputs: tuple[Any, ...], *output: Any) -> None:
            found.append(output[0] if output else inputs[0])
            raise _Reached

        hook = layer.register_forward_pre_hook(keep) if self._takes_input else layer.register_forward_hook(keep)
        try:
            self.module(x)
        except _Reached:
            return found[0], isinstance(layer, CHANNELS_LAST)
        finally:
            hook.remove()
        raise InputError("layer must be one that runs", key=f"{self.key}.layer", value=name)

    def _find(self, layer: str) -> tuple[str, bool]:
        """The full name of the module to watch, and whether its input is what is read."""
        last = last_linear(self.module)
        if layer == PENULTIMATE and last is not None and layer not in dict(self.module.named_modules()):
            return last, True
        check_layer(self.module, layer, key=f"{self.key}.layer")
        return layer, False


def check_layer(module: nn.Module, name: str, *, key: str) -> None:
    """Whether a network has a layer of this name, and lets it be read.

    Raises:
        InputError: it does not; the nearest one is suggested.
    """
    if isinstance(module, torch.jit.ScriptModule):
        rule = "a TorchScript network gives its output units only, so layer must be left out"
        raise InputError(rule, key=key, value=name)
    layers = {known: part for known, part in module.named_modules() if known}
    if name not in layers:
        close = nearest(name, layers)
        shown = [known for known, part in layers.items() if not any(part.children())]
        shown = [*shown[:3], "…", *shown[-2:]] if len(shown) > 5 else shown
        hint = (f"Did you mean '{close}'? " if close else "") + f"Layers: {', '.join(shown)}"
        raise InputError("layer must be one of the network's", key=key, value=name, suggestion=hint)


class Unit(nn.Module):
    """Units' responses [B, U] -> one's, [B]."""

    def __init__(self, unit: int) -> None:
        super().__init__()
        self.unit = unit

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        return units[:, self.unit]


class TwoLogits(nn.Module):
    """One logit ℓ for two classes [B, 1] -> a logit for each [B, 2], (0, ℓ): softmax(0, ℓ) = (1 − σ(ℓ), σ(ℓ))."""

    def forward(self, logit: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


def features_readout(module: nn.Module, layer: str | None = None, *, key: str = "features") -> Readout:
    """All units of `layer`. By default the input of the last Linear; the output, when the network has no Linear."""
    if layer is None and last_linear(module) is not None:
        layer = PENULTIMATE
    return Readout(module, layer, None, key=key)


def last_linear(module: nn.Module) -> str | None:
    """The name of the last Linear, in the order of definition; None without one (a lone Linear has no name)."""
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Linear) and name]
    return names[-1] if names else None


def per_unit(value: torch.Tensor, last_axis: bool) -> torch.Tensor:
    """What is read of a layer [B, ...], all of its units [B, D]."""
    if value.ndim == 1:
        return value[:, None]
    if value.ndim == 2:
        return value
    return value.flatten(1, -2).mean(dim=1) if last_axis else value.flatten(2).mean(dim=2)
