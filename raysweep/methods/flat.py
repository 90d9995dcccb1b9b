"""A network as rows of numbers: all its parameters in one vector, all its buffers in another.

So a network that is trained is a state like any other: stepped by one fused update, copied, averaged and written down
without a word about its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Net = TypeVar("Net", bound=nn.Module)


class Flat(Generic[Net]):
    """A module whose tensors are views of vectors that it is given.

    Args:
        module: its own numbers are lost when others are loaded; those that only count passes are left alone.
    """

    def __init__(self, module: Net) -> None:
        self.module = module
        self.parameters = list(module.named_parameters())
        self.buffers = [(name, one) for name, one in module.named_buffers() if one.is_floating_point()]
        self._made = _joined(one for _, one in self.parameters), _joined(one for _, one in self.buffers)
        """As it came, which it is no more once numbers were loaded."""

    def start(self, weights: Callable[[int], Tensor], directions: Callable[[int], Tensor]) -> tuple[Tensor, Tensor]:
        """Parameters [P] and buffers [Q] before the first step: as the module was made, but for what is random.

        Args:
            weights: so many numbers for the weights, which are the parameters of two or more dimensions.
            directions: so many numbers for the vectors `u` of spectral normalisation.
        """
        parameters, buffers = (made.clone() for made in self._made)
        drawn, turned = weights(len(parameters)), directions(len(buffers))
        for (_, one), place in self._places(self.parameters):
            if one.dim() > 1:
                parameters[place] = drawn[place].to(parameters)
        for (name, _), place in self._places(self.buffers):
            if name.endswith("u"):
                buffers[place] = turned[place].to(buffers)
        return parameters, buffers

    def load(self, parameters: Tensor, buffers: Tensor, learns: bool) -> None:
        """Let the module's tensors be these numbers; what a pass does to its buffers, it does to these."""
        for (_, one), place in self._places(self.parameters):
            one.data = parameters[place].view(one.shape)
            one.requires_grad_(learns)
        for (_, one), place in self._places(self.buffers):
            one.data = buffers[place].view(one.shape)

    def gradient(self, loss: Tensor) -> Tensor:
        """Of a loss, by all parameters, [P]; 0 for those that it does not depend on."""
        wanted = [one for _, one in self.parameters]
        return _joined(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))

    @staticmethod
    def _places(named: Sequence[tuple[str, Tensor]]) -> Iterator[tuple[tuple[str, Tensor], slice]]:
        begin = 0
        for name, one in named:
            yield (name, one), slice(begin, begin + one.numel())
            begin += one.numel()


def _joined(tensors: Iterable[Tensor]) -> Tensor:
    flat = [one.detach().reshape(-1) for one in tensors]
    return torch.cat(flat) if flat else torch.zeros(0)
