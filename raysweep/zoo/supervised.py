"""How recipes train networks that name images: cross-entropy on flipped, shifted images, one learning-rate cycle.

With an attack, each batch is first moved away from its classes (`pgd.py`): adversarial training. A mark is put on
images after they were flipped and shifted, so that it stays where it belongs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.images import Images
from raysweep.zoo.pgd import Attack, perturb

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """One training; images are shifted by up to `shift` pixels, a square of side `erase` is blanked in each (0: none),
    `mark` changes images [B, C, H, W] of classes [B] then, and `attack` moves them.
    """

    seed: int
    epochs: int
    erase: int = 0
    shift: int = 2
    batch: int = 128
    lr: float = 0.1
    weight_decay: float = 5e-4
    smoothing: float = 0.05
    attack: Attack | None = None
    mark: Callable[[Tensor, Tensor], Tensor] | None = None


def train(net: nn.Module, images: Images, schedule: Schedule) -> float:
    """Train `net` in place, leave it in eval mode, return the CPU seconds it took."""
    start = time.process_time()
    random = torch.Generator().manual_seed(schedule.seed)
    device = next(net.parameters()).device
    net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = schedule.epochs * (len(images) // schedule.batch)
    optimiser = torch.optim.SGD(net.parameters(), schedule.lr, 0.9, nesterov=True, weight_decay=schedule.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.lr, steps, pct_start=0.2)
    for epoch in range(schedule.epochs):
        order = torch.randperm(len(images), generator=random)
        for index in order[: len(order) // schedule.batch * schedule.batch].split(schedule.batch):
            batch = images[index]
            x, y = augment(batch.pixels(), schedule.erase, random, schedule.shift), batch.y.to(device)
            x = (x if schedule.mark is None else schedule.mark(x, batch.y)).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                if schedule.attack is not None:
                    x = perturb(net, x, y, schedule.attack, random)
                logits = net(x)
            loss = functional.cross_entropy(logits.float(), y, label_smoothing=schedule.smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            cycle.step()
        log.info("epoch %d/%d loss %.3f, %.0f s", epoch + 1, schedule.epochs, loss.item(), time.process_time() - start)
    net.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return time.process_time() - start


def augment(x: Tensor, erase: int, random: torch.Generator, shift: int = 2) -> Tensor:
    """Mirror half of the images, shift each by up to `shift` pixels, blank an `erase`-sized square in each."""
    n, _, height, width = x.shape
    mirrored = torch.rand(n, 1, 1, 1, generator=random) < 0.5
    x = functional.pad(torch.where(mirrored, x.flip(3), x), (shift, shift, shift, shift))
    dy, dx = torch.randint(2 * shift + 1, (2, n, 1), generator=random)
    rows, columns = dy + torch.arange(height), dx + torch.arange(width)
    x = x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if erase:
        top, left = torch.randint(1 - erase, height, (2, n, 1), generator=random)
        inside_y = (torch.arange(height) >= top) & (torch.arange(height) < top + erase)
        inside_x = (torch.arange(width) >= left) & (torch.arange(width) < left + erase)
        x = x.masked_fill((inside_y[:, :, None] & inside_x[:, None, :])[:, None], 0.0)
    return x


@torch.no_grad()
def accuracy(net: nn.Module, images: Images) -> float:
    """Share of `images` whose highest logit is their class."""
    device = next(net.parameters()).device
    right = sum(int((net(part.pixels().to(device)).argmax(1).cpu() == part.y).sum()) for part in _parts(images))
    return right / len(images)


def _parts(images: Images, size: int = 500) -> list[Images]:
    return [images[i : i + size] for i in range(0, len(images), size)]
