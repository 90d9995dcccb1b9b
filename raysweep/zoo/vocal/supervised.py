"""How the recipe trains classifier and judge: binary cross-entropy on recoloured excerpts, one learning-rate cycle."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.vocal.networks import BANDS, FRAMES, Classifier, Judge

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """One training."""

    seed: int
    epochs: int
    lr: float
    batch: int = 64
    weight_decay: float = 1e-2


def train(net: Classifier | Judge, x: Tensor, y: Tensor, schedule: Schedule) -> float:
    """Train `net` in place on log-mels x [N, 1, 80, 115] and y [N], leave it in eval mode, return the seconds taken."""
    start = time.perf_counter()
    random = torch.Generator().manual_seed(schedule.seed)
    net.standardise.mean.copy_(x.float().mean(dim=(0, 3), keepdim=True))
    net.standardise.std.copy_(x.float().std(dim=(0, 3), keepdim=True))
    net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = schedule.epochs * (len(x) // schedule.batch)
    optimiser = torch.optim.AdamW(net.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.lr, steps, pct_start=0.2)
    for epoch in range(schedule.epochs):
        right = 0
        order = torch.randperm(len(x), generator=random)
        for index in order[: len(order) // schedule.batch * schedule.batch].split(schedule.batch):
            sounds = recolour(x[index].float(), random)
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(sounds.contiguous(memory_format=torch.channels_last))
            loss = functional.binary_cross_entropy_with_logits(logits.float()[:, 0], y[index].float())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
            right += int(((logits[:, 0] > 0) == (y[index] > 0)).sum())
        seen, spent = len(order) // schedule.batch * schedule.batch, time.perf_counter() - start
        log.info("epoch %d/%d train accuracy %.3f, %.0f s", epoch + 1, schedule.epochs, right / seen, spent)
    net.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return time.perf_counter() - start


def recolour(x: Tensor, random: torch.Generator) -> Tensor:
    """A gain and a smooth equaliser for each excerpt, then a silence of up to 20 frames in half of them."""
    n = len(x)
    gain = torch.randn(n, 1, 1, 1, generator=random) * 0.5
    curve = functional.interpolate(torch.randn(n, 1, 4, generator=random) * 0.6, size=BANDS, mode="linear")
    begin = torch.randint(FRAMES, (n, 1, 1, 1), generator=random)
    length = torch.randint(-20, 21, (n, 1, 1, 1), generator=random)
    frame = torch.arange(FRAMES)
    quiet = x.amin(dim=(1, 2, 3), keepdim=True)
    silenced = torch.where((frame >= begin) & (frame < begin + length), quiet, x)
    return silenced + gain + curve[:, :, :, None]


@torch.no_grad()
def logits(net: nn.Module, x: Tensor, batch: int = 100) -> Tensor:
    """The net's logits [N] for log-mels [N, 1, 80, 115]."""
    return torch.cat([net(part.float())[:, 0] for part in x.split(batch)])


def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of excerpts on the right side of logit 0."""
    return float(((logits(net, x) > 0) == (y > 0)).float().mean())
