"""Projected gradient descent (Madry et al., 2018, arXiv:1706.06083): images changed so that a network misses them.

    x' ← Π(x' + α d(g)),   g = ∇ log(1 / p(y | x')),   Π: onto ‖x' − x‖ ≤ ε, then onto [0, 1]

d(g) is the steepest way up: g / ‖g‖₂ in an L2 ball, sign(g) in an L∞ ball. The recipes train one network on what comes
out (Madry et al.'s minimax problem) and measure two with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.images import Images

CHUNK = 500


@dataclass(frozen=True)
class Attack:
    """ε, the ball's radius in units of a pixel's range, how many steps seek the worst image within it, and its norm."""

    radius: float
    steps: int
    norm: Literal["l2", "linf"] = "l2"

    @property
    def step(self) -> float:
        """α: 2.5 times what reaches the ball's edge from its centre, as in Madry et al."""
        return 2.5 * self.radius / self.steps


@dataclass(frozen=True)
class Ball:
    """What an attack needs to know of a norm.

    Args:
        start: changes of a shape [B, ...], somewhere in the ball of a radius.
        upwards: of gradients [B, ...], the steps of a length that raise the loss most.
        within: changes [B, ...], those that leave the ball of a radius brought back to it.
    """

    start: Callable[[torch.Size, float, torch.Generator], Tensor]
    upwards: Callable[[Tensor, float], Tensor]
    within: Callable[[Tensor, float], Tensor]


def perturb(net: nn.Module, x: Tensor, y: Tensor, attack: Attack, random: torch.Generator) -> Tensor:
    """The images x [B, C, H, W] in [0, 1], moved away from their classes y [B], each from a random place in its ball.

    The network is attacked in eval mode, so that its running statistics see nothing of it, and is left as it was.
    """
    ball, training = BALLS[attack.norm], net.training
    net.eval()
    moved = (x + ball.start(x.shape, attack.radius, random).to(x)).clamp(0, 1)
    for _ in range(attack.steps):
        moved.requires_grad_()
        loss = functional.cross_entropy(net(moved).float(), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, moved)
        change = moved.detach() + ball.upwards(gradient, attack.step) - x
        moved = (x + ball.within(change, attack.radius)).clamp(0, 1)
    net.train(training)
    return moved


def accuracy_under(attack: Attack, net: nn.Module, images: Images, restarts: int, seed: int) -> float:
    """Share of `images` that a network in eval mode names rightly, as they are and after each of `restarts` attacks."""
    random = torch.Generator().manual_seed(seed)
    device = next(net.parameters()).device
    standing = 0
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        x, y = part.pixels().to(device), part.y.to(device)
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


def _somewhere(shape: torch.Size, radius: float, random: torch.Generator) -> Tensor:
    """In an L2 ball: any direction, any distance."""
    way = torch.randn(shape, generator=random)
    return radius * torch.rand(shape[0], 1, 1, 1, generator=random) * way / _norm(way)


BALLS = {
    "l2": Ball(
        start=_somewhere,
        upwards=lambda gradient, length: length * gradient / _norm(gradient),
        within=lambda change, radius: change * (radius / _norm(change)).clamp(max=1),
    ),
    "linf": Ball(
        start=lambda shape, radius, random: radius * (2 * torch.rand(shape, generator=random) - 1),
        upwards=lambda gradient, length: length * gradient.sign(),
        within=lambda change, radius: change.clamp(-radius, radius),
    ),
}
