"""What a network makes on its way to its output, read in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.models.readout import Readout, check_layer


class Taps(nn.Module):
    """Inputs [B, ...] to the values of some layers, [B, ...] each as it is, and what is read of the network, [B, U].

    Args:
        output: what is read of the network, which is shared, and left without hooks between calls.
        layers: names from `named_modules()`; a layer that runs several times is read the first time.
        key: the sweep file's key that lists the layers, for errors.

    Raises:
        InputError: scores that are no network's own, an unknown layer, or, on a call, a layer that does not run before
            what is read of the network is known, or does not give one tensor.
    """

    def __init__(self, output: nn.Module, layers: Sequence[str], *, key: str = "method.layers") -> None:
        super().__init__()
        if not isinstance(output, Readout):
            rule = "must be a network's own scores, on the way to which layers are read"
            raise InputError(rule, key="models.classifier", value=type(output).__name__)
        self.output, self.layers, self.key = output, tuple(dict.fromkeys(layers)), key
        for index, name in enumerate(layers):
            check_layer(output.module, name, key=f"{key}.{index}")

    def forward(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        found: dict[str, Any] = {}
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
                rule = "must be a layer that runs before the explained score is known, and gives one tensor"
                raise InputError(rule, key=self.key, value=name)
        return found, output


def is_maps(value: Any) -> bool:
    """Whether a layer's value is maps [B, K, H, W] of more than one place."""
    return isinstance(value, Tensor) and value.dim() == 4 and value.shape[2] * value.shape[3] > 1


def check_maps(values: Mapping[str, Tensor], layers: Sequence[str], *, key: str = "method.layers") -> None:
    """Whether the values of these layers are maps, of which a picture over the image can be made.

    Raises:
        InputError: names the first that is not.
    """
    for index, name in enumerate(layers):
        if not is_maps(values[name]):
            rule = "must be a layer with maps, of more than one place: a picture over the image is made of them"
            raise InputError(rule, key=f"{key}.{index}", value=f"{name} gives {list(values[name].shape[1:])}")


def last_maps(output: Readout, x: Tensor) -> str:
    """The name of the layer that, for inputs [B, ...], gives maps last before what is read of the network is known.

    Of a module and the parts that make its value the innermost; one that runs several times counts as `Taps` reads it.

    Raises:
        InputError: there is none.
    """
    found: dict[str, Any] = {}
    names = [name for name, _ in output.module.named_modules() if name]
    taps = [output.module.get_submodule(name).register_forward_hook(_into(found, name, copy=False)) for name in names]
    try:
        output(x)
    finally:
        for hook in taps:
            hook.remove()
    last = None
    for name, value in found.items():
        around = last is not None and last.startswith(f"{name}.") and value is found[last]
        last = name if is_maps(value) and not around else last
    if last is None:
        rule = "must have a layer with maps, of more than one place, before the explained score"
        raise InputError(rule, key="models.classifier", value=type(output.module).__name__)
    return last


def _into(found: dict[str, Any], name: str, copy: bool = True) -> Callable[[nn.Module, Any, Any], Any]:
    """A hook that keeps a layer's first value; with `copy`, later layers that work in place work on another."""

    def keep(_: nn.Module, inputs: Any, output: Any) -> Any:
        first = name not in found
        found.setdefault(name, output)
        return output.clone() if copy and first and isinstance(output, Tensor) else None

    return keep
