"""Projected gradient descent (Madry et al., 2018, arXiv:1706.06083): images changed so that a network misses them.

    x' ← Π(x' + α g / ‖g‖₂),   g = ∇ log(1 / p(y | x')),   Π: onto ‖x' − x‖₂ ≤ ε, then onto [0, 1]

The recipe trains one network on what comes out (Madry et al.'s minimax problem) and measures two with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.fashion.source import Images

CHUNK = 500


@dataclass(frozen=True)
class Attack:
    """ε, the L2 radius in units of a pixel's range, and how many steps seek the worst image within it."""

    radius: float
    steps: int

    @property
    def step(self) -> float:
        """α: 2.5 times what reaches the ball's edge from its centre, as in Madry et al."""
        return 2.5 * self.radius / self.steps


def perturb(net: nn.Module, x: Tensor, y: Tensor, attack: Attack, random: torch.Generator) -> Tensor:
    """The images x [B, 1, 28, 28] in [0, 1], moved away from their classes y [B], each from a random place in its ball.

    The network is attacked in eval mode, so that its running statistics see nothing of it, and is left as it was.
    """
    training = net.training
    net.eval()
    start = torch.randn(x.shape, generator=random)
    share = torch.rand(len(x), 1, 1, 1, generator=random)
    moved = (x + attack.radius * share * start / _norm(start)).clamp(0, 1)
    for _ in range(attack.steps):
        moved.requires_grad_()
        loss = functional.cross_entropy(net(moved).float(), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, moved)
        change = moved.detach() + attack.step * gradient / _norm(gradient) - x
        moved = (x + change * (attack.radius / _norm(change)).clamp(max=1)).clamp(0, 1)
    net.train(training)
    return moved


def accuracy_under(attack: Attack, net: nn.Module, images: Images, restarts: int, seed: int) -> float:
    """Share of `images` that a network in eval mode names rightly, as they are and after each of `restarts` attacks."""
    random = torch.Generator().manual_seed(seed)
    standing = 0
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        x, y = part.pixels(), part.y
        right = _right(net, x, y)
        for _ in range(restarts):
            x, y = x[right], y[right]
            right = _right(net, perturb(net, x, y, attack, random), y)
        standing += int(right.sum())
    return standing / len(images)


@torch.no_grad()
def _right(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return net(x).argmax(1) == y


def _norm(x: Tensor) -> Tensor:
    """Each image's L2 norm [B, 1, 1, 1], never 0."""
    return x.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
