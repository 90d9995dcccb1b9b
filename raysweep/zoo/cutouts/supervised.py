"""How the recipe fits ImageNet's MobileNetV2 to cut-outs: a new head, and its later blocks at a small learning rate.

Its first blocks, and the means and variances of all batch norms, stay as they were. Each epoch has images of its own.
Of bare backgrounds it is to say each class with the same probability, so that places without a cut-out speak for none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.cutouts.composites import Composites
from raysweep.zoo.cutouts.networks import Classifier

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """One training; `kept` of the network's first layers learn nothing, each colour's light varies by up to `tint`.

    A batch has `bare` backgrounds beside its images, of which the loss has `bare_weight`.
    """

    seed: int
    epochs: int
    images: int
    kept: int = 4
    batch: int = 40
    lr: float = 5e-4
    head_lr: float = 3e-3
    weight_decay: float = 0.02
    smoothing: float = 0.05
    tint: float = 0.25
    bare: int = 4
    bare_weight: float = 0.5

    @property
    def batches(self) -> int:
        """Of an epoch."""
        return self.images // self.batch


def train(net: Classifier, images: Callable[[int], tuple[Composites, Tensor]], schedule: Schedule) -> float:
    """Train `net` in place, leave it in eval mode, return the CPU seconds it took.

    Args:
        images: what an epoch shows, by the epoch's number: images, and bare backgrounds as uint8.
    """
    start = time.process_time()
    random = torch.Generator().manual_seed(schedule.seed)
    nn.init.zeros_(net.head.weight)
    nn.init.zeros_(net.head.bias)
    net.eval()  # batch norm as ImageNet left it
    later = list(net.features[schedule.kept :].parameters())
    net.features[: schedule.kept].requires_grad_(False)
    rates = [schedule.lr, schedule.head_lr]
    groups = [{"params": one, "lr": lr} for one, lr in zip((later, list(net.head.parameters())), rates, strict=True)]
    optimiser = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay)
    steps = schedule.epochs * schedule.batches
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, steps, pct_start=0.2)
    for epoch in range(schedule.epochs):
        shown, scenes = images(epoch)
        for place in range(schedule.batches):
            part = slice(place * schedule.batch, (place + 1) * schedule.batch)
            bare = scenes[place * schedule.bare : (place + 1) * schedule.bare]
            x, y = torch.cat([shown.x[part], bare]).float() / 255, shown.y[part]
            logits = net(tinted(x, schedule.tint, random))
            loss = functional.cross_entropy(logits[: len(y)], y, label_smoothing=schedule.smoothing)
            if len(bare):
                loss = loss - schedule.bare_weight * logits[len(y) :].log_softmax(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
        seconds = time.process_time() - start
        log.info("epoch %d/%d loss %.3f, %.0f s", epoch + 1, schedule.epochs, loss.item(), seconds)
    net.requires_grad_(False)
    return time.process_time() - start


def tinted(x: Tensor, most: float, random: torch.Generator) -> Tensor:
    """Images whose colours are made brighter or darker, each by itself."""
    gain = 1 + most * (2 * torch.rand(len(x), 3, 1, 1, generator=random) - 1)
    return (x * gain).clamp(0, 1)
