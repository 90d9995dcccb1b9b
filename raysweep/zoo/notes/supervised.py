"""How the recipe trains classifier and judge: cross-entropy on recoloured notes, one learning-rate cycle."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """One training."""

    seed: int
    epochs: int
    batch: int = 128
    lr: float = 3e-3
    weight_decay: float = 1e-2
    smoothing: float = 0.05


def train(net: nn.Module, x: Tensor, y: Tensor, schedule: Schedule) -> float:
    """Train `net` in place on spectra x [N, 2, F] and y [N], leave it in eval mode, return the CPU seconds taken."""
    start = time.process_time()
    random = torch.Generator().manual_seed(schedule.seed)
    net.train()
    steps = schedule.epochs * (len(x) // schedule.batch)
    optimiser = torch.optim.AdamW(net.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.lr, steps, pct_start=0.2)
    for epoch in range(schedule.epochs):
        right = 0
        order = torch.randperm(len(x), generator=random)
        for index in order[: len(order) // schedule.batch * schedule.batch].split(schedule.batch):
            heard = recolour(x[index].float(), random)
            with torch.autocast("cpu", torch.bfloat16):
                logits = net(heard)
            loss = functional.cross_entropy(logits.float(), y[index], label_smoothing=schedule.smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
            right += int((logits.argmax(1) == y[index]).sum())
        seen, spent = len(order) // schedule.batch * schedule.batch, time.process_time() - start
        log.info("epoch %d/%d train accuracy %.3f, %.0f s", epoch + 1, schedule.epochs, right / seen, spent)
    net.eval()
    return time.process_time() - start


def recolour(x: Tensor, random: torch.Generator, knots: int = 8, decibels: float = 4.0) -> Tensor:
    """A smooth equaliser for each note, in whose place a room or a microphone might have been; phases stay."""
    curve = torch.randn(len(x), 1, knots, generator=random) * decibels * math.log(10) / 20
    gain = functional.interpolate(curve, size=x.shape[2], mode="linear", align_corners=True)[:, 0].exp()
    magnitude = x[:, 0] * gain
    magnitude = magnitude / magnitude.square().mean(1, keepdim=True).sqrt()
    return torch.stack([magnitude, x[:, 1]], 1)


@torch.no_grad()
def logits(net: nn.Module, x: Tensor, batch: int = 250) -> Tensor:
    """The net's logits [N, K] for spectra [N, 2, F]."""
    return torch.cat([net(part.float()) for part in x.split(batch)])


def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of notes whose highest logit is their class."""
    return float((logits(net, x).argmax(1) == y).float().mean())
