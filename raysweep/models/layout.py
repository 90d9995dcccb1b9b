"""Between a Linear layer and a convolution: maps laid out channels last, as the convolutions have them.

A Linear layer that makes a map writes it channel by channel, and one that reads a map reads it so. Beside convolutions
that work channels last each costs a copy, and gradients meet activations of another layout, which is worse: torch's
elementwise kernels are many times slower there. With its weights in another order a Linear layer writes and reads
channels last itself.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import torch
from torch import Tensor, nn

_ELEMENTWISE = (
    *(nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU),
    *(nn.Tanh, nn.Sigmoid, nn.Softplus),
)


class UnflattenChannelsLast(nn.Module):
    """[B, H·W·C] to a map [B, C, H, W] that is channels last in memory; nothing is copied."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, self.shape).permute(0, 3, 1, 2)


class FlattenChannelsLast(nn.Module):
    """A map [B, C, H, W] to [B, H·W·C]; nothing is copied when it is channels last in memory."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def lay_out_channels_last(module: nn.Module, example: Tensor, keep: Collection[str] = ()) -> int:
    """Turn the Linear layers of `module` that make or read a map, in place; how many.

    Only those that a Sequential shows beside an Unflatten or Flatten, with nothing but elementwise layers between. A
    Sequential need not be run as a whole, so compare the outputs before and after.

    Args:
        example: inputs, which show how large the maps are.
        keep: names of layers whose own output is read.
    """
    turned = 0
    maps = _flattened_maps(module, example)
    for path, chain in list(module.named_modules()):
        if type(chain) is not nn.Sequential or any(name.rpartition(".")[0] == path for name in keep):
            continue
        names = [name for name, part in chain.named_children() if not isinstance(part, _ELEMENTWISE)]
        for name, following in pairwise(names):
            layer, other = chain.get_submodule(name), chain.get_submodule(following)
            if type(layer) is nn.Linear and type(other) is nn.Unflatten and _makes_map(other):
                _reorder(layer, tuple(other.unflattened_size), outputs=True)
                setattr(chain, following, UnflattenChannelsLast(*other.unflattened_size))
                turned += 1
            elif type(layer) is nn.Flatten and type(other) is nn.Linear and layer in maps:
                _reorder(other, maps[layer], outputs=False)
                setattr(chain, name, FlattenChannelsLast())
                turned += 1
    return turned


def _makes_map(unflatten: nn.Unflatten) -> bool:
    return unflatten.dim == 1 and len(unflatten.unflattened_size) == 3 and -1 not in unflatten.unflattened_size


def _reorder(linear: nn.Linear, shape: tuple[int, ...], outputs: bool) -> None:
    """Give a Linear layer's outputs, or inputs, which are a map [C, H, W], the order [H, W, C]."""
    order = torch.arange(shape[0] * shape[1] * shape[2]).view(shape).permute(1, 2, 0).flatten()
    if outputs:
        linear.weight.data = linear.weight.data[order]
        if linear.bias is not None:
            linear.bias.data = linear.bias.data[order]
    else:
        linear.weight.data = linear.weight.data[:, order].contiguous()


def _flattened_maps(module: nn.Module, example: Tensor) -> dict[nn.Module, tuple[int, ...]]:
    """The shape [C, H, W] of the map that each Flatten is given, if it is always the same."""
    seen: dict[nn.Module, set[torch.Size]] = {}
    hooks = [
        part.register_forward_pre_hook(lambda part, inputs: seen.setdefault(part, set()).add(inputs[0].shape[1:]))
        for part in module.modules()
        if type(part) is nn.Flatten and (part.start_dim, part.end_dim) == (1, -1)
    ]
    try:
        module(example)
    finally:
        for hook in hooks:
            hook.remove()
    only = {part: tuple(next(iter(shapes))) for part, shapes in seen.items() if len(shapes) == 1}
    return {part: shape for part, shape in only.items() if len(shape) == 3}
