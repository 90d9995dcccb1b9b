"""What a network makes on its way to its output, read in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.models.readout import Readout


class Taps(nn.Module):
    """Inputs [B, ...] to the values of some layers, [B, ...] each as it is, and the output's units [B, C].

    Args:
        module: the network; it is shared, and left without hooks between calls.
        layers: names from `named_modules()`; a layer that runs several times is read the first time.
        key: the sweep file's key, for errors.

    Raises:
        InputError: unknown layer, or, on a call, one that does not run or does not give one tensor.
    """

    def __init__(self, module: nn.Module, layers: Sequence[str], *, key: str = "method.layer") -> None:
        super().__init__()
        self.output, self.layers, self.key = Readout(module, key=key), tuple(dict.fromkeys(layers)), key
        for name in self.layers:
            Readout(module, name, key=key)  # refuses one that is not there

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        found: dict[str, Tensor] = {}
        hooks = [
            self.output.module.get_submodule(name).register_forward_hook(_into(found, name)) for name in self.layers
        ]
        try:
            output = self.output(x)
        finally:
            for hook in hooks:
                hook.remove()
        for name in self.layers:
            if not isinstance(found.get(name), Tensor):
                raise InputError("must be a layer that runs and gives one tensor", key=self.key, value=name)
        return found, output


def _into(found: dict[str, Any], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def keep(_: nn.Module, inputs: Any, output: Any) -> None:
        found.setdefault(name, output)

    return keep
