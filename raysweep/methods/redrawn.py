"""Networks with the structure of another and nothing that it has learnt."""

from __future__ import annotations

import copy

import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.methods.noise import normal
from raysweep.models.model import freeze


def redraw(module: nn.Module, seed: int, draw: int) -> nn.Module:
    """A frozen copy in which every weight is drawn anew: normal, with the mean and deviation of its tensor.

    So activations keep about their size, and a tensor of equal numbers (biases that are 0) stays as it is. Buffers are
    kept, such as the statistics of batch norm.

    Args:
        seed, draw: what the numbers depend on, beside the tensor's place and shape.
    """
    again = copy.deepcopy(module)
    with torch.no_grad():
        for place, weight in enumerate(weights_of(again)):
            known = weight.double()
            drawn = normal(torch.tensor([seed]), torch.tensor([place]), tuple(weight.shape), stream=f"redrawn/{draw}")
            weight.copy_(known.mean() + known.std(correction=0) * drawn[0].to(known.device))
    return freeze(again)


def weights_of(module: nn.Module) -> list[nn.Parameter]:
    """What would be drawn anew of a network."""
    return [weight for weight in module.parameters() if weight.is_floating_point()]


def check_weights(module: nn.Module, *, key: str) -> None:
    """There is something to draw anew.

    Raises:
        InputError: there is not.
    """
    if not weights_of(module):
        raise InputError("must have weights, which randomisation draws again", key=key, value=type(module).__name__)
