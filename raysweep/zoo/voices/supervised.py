"""How the recipe trains classifiers and judge: cross-entropy on recoloured excerpts, one learning-rate cycle.

With an attack, each batch is first moved away from its classes: adversarial training (Madry et al., 2018), with the
projected gradient descent of the zoo's clothes. That moves inputs of [0, 1], so log-mels are scaled for it.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.pgd import Attack, perturb
from raysweep.zoo.voices.networks import BANDS, Classifier, Judge

log = logging.getLogger(__name__)
BATCH, CHUNK = 64, 300


@dataclass(frozen=True)
class Schedule:
    """One training; `attack`, in units of the log-mels' whole range, moves its excerpts."""

    seed: int
    epochs: int
    lr: float = 3e-3
    weight_decay: float = 2e-2
    smoothing: float = 0.05
    attack: Attack | None = None


@dataclass(frozen=True)
class Range:
    """Log-mels as numbers in [0, 1], and back."""

    low: float
    high: float

    def scaled(self, x: Tensor) -> Tensor:
        """Of log-mels; those outside are clipped."""
        return ((x - self.low) / (self.high - self.low)).clamp(0, 1)

    def log_mels(self, x: Tensor) -> Tensor:
        """Of what was scaled."""
        return self.low + x * (self.high - self.low)


class OfScaled(nn.Module):
    """A network that reads scaled log-mels."""

    def __init__(self, net: nn.Module, span: Range) -> None:
        super().__init__()
        self.net, self.span = net, span

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(self.span.log_mels(x))
        return logits


def train(net: Classifier | Judge, x: Tensor, y: Tensor, schedule: Schedule, span: Range) -> float:
    """Train `net` in place on log-mels x [N, 1, 32, 32] and y [N], leave it in eval mode, return the CPU seconds."""
    start = time.process_time()
    random = torch.Generator().manual_seed(schedule.seed)
    x = x.float()
    net.standardise.mean.copy_(x.mean())
    net.standardise.std.copy_(x.std())
    net.train()
    scaled = OfScaled(net, span)
    optimiser = torch.optim.AdamW(net.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
    steps = schedule.epochs * (len(x) // BATCH)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.lr, steps, pct_start=0.2)
    for epoch in range(schedule.epochs):
        order = torch.randperm(len(x), generator=random)
        for index in order[: len(order) // BATCH * BATCH].split(BATCH):
            sounds = span.scaled(recolour(x[index], random))
            if schedule.attack is not None:
                sounds = perturb(scaled, sounds, y[index], schedule.attack, random)
            loss = functional.cross_entropy(scaled(sounds), y[index], label_smoothing=schedule.smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
        log.info("epoch %d/%d loss %.3f, %.0f s", epoch + 1, schedule.epochs, loss.item(), time.process_time() - start)
    net.eval()
    return time.process_time() - start


def recolour(x: Tensor, random: torch.Generator) -> Tensor:
    """A smooth equaliser and a shift in time for each log-mel, as of another microphone and another beginning."""
    n, frames = len(x), x.shape[3]
    curve = functional.interpolate(torch.randn(n, 1, 5, generator=random) * 0.4, size=BANDS, mode="linear")
    shift = torch.randint(frames, (n, 1), generator=random)
    place = ((torch.arange(frames) + shift) % frames)[:, None, None].expand_as(x)
    return x.gather(3, place) + curve[:, :, :, None]


@torch.no_grad()
def read(net: nn.Module, x: Tensor) -> Tensor:
    """The logits [N, 3] of log-mels."""
    return torch.cat([net(part.float()) for part in x.split(CHUNK)])


def standing(net: nn.Module, x: Tensor, y: Tensor, attack: Attack, restarts: int, seed: int, span: Range) -> float:
    """Share of log-mels that a network in eval mode names rightly, as they are and after each of so many attacks."""
    random, scaled = torch.Generator().manual_seed(seed), OfScaled(net, span).eval()
    left, truth = span.scaled(x.float()), y
    for restart in range(restarts + 1):
        moved = perturb(scaled, left, truth, attack, random) if restart else left
        right = read(scaled, moved).argmax(1) == truth
        left, truth = left[right], truth[right]
    return len(left) / len(x)
