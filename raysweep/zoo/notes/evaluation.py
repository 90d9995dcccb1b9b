"""What the card says about classifier and judge, measured: accuracy, by family, and without one of the two channels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from raysweep.zoo.notes.networks import CLASSES
from raysweep.zoo.notes.supervised import accuracy, logits


def recall(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, float]:
    """Share of each family's notes that the net names rightly."""
    named = logits(net, x).argmax(1)
    return {name: float((named[y == k] == k).float().mean()) for k, name in enumerate(CLASSES)}


def without_phase(net: nn.Module, x: Tensor, y: Tensor, seed: int) -> float:
    """Accuracy when every phase is replaced by a random one."""
    phase = (torch.rand(x[:, 1].shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * math.pi
    return accuracy(net, torch.stack([x[:, 0].float(), phase], 1), y)


def without_magnitude(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Accuracy when every magnitude is the same."""
    return accuracy(net, torch.stack([torch.ones_like(x[:, 0]).float(), x[:, 1].float()], 1), y)


def multiply_adds(net: nn.Module, *example: Tensor) -> int:
    """Multiply-adds of one forward pass of one example: all of the network's inputs, each [1, ...]."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(*example)
    return int(counter.get_total_flops()) // 2
