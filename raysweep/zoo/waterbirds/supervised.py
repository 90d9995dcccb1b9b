"""How the recipe trains: the mean loss (ERM), or the worst group's (group DRO; Sagawa et al., ICLR 2020, algorithm 1).

    q_g ← q_g exp(η ℓ_g), q ← q / Σ q,   loss = Σ_g q_g ℓ_g,   ℓ_g: the mean cross-entropy of group g in a batch

The groups are bird × background. As in Sagawa et al.'s code, DRO's batches have as many of each group. With an attack,
each batch is first moved away from its classes (`pgd.py`): adversarial training, of either loss.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.pgd import Attack, perturb
from raysweep.zoo.waterbirds.composites import Composites

log = logging.getLogger(__name__)
GROUPS = 4


@dataclass(frozen=True)
class Schedule:
    """One training; `group_step` is η of group DRO (0: ERM), `names` what is learnt, bird or background, and `attack`
    moves images.
    """

    seed: int
    epochs: int
    group_step: float = 0.0
    names: str = "bird"
    batch: int = 128
    lr: float = 2e-3
    weight_decay: float = 5e-2
    attack: Attack | None = None


def train(net: nn.Module, images: Composites, schedule: Schedule) -> float:
    """Train `net` in place, leave it in eval mode, return the CPU seconds it took."""
    start = time.process_time()
    random = torch.Generator().manual_seed(schedule.seed)
    net.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = schedule.epochs * (len(images) // schedule.batch)
    optimiser = torch.optim.AdamW(net.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.lr, steps, pct_start=0.2)
    weights = torch.full((GROUPS,), 1 / GROUPS)
    for step in range(steps):
        batch = images[drawn(images.group, schedule, random)]
        x, y = augment(batch.pixels(), random), getattr(batch, schedule.names)
        with torch.autocast("cpu", torch.bfloat16):
            if schedule.attack is not None:
                x = perturb(net, x, y, schedule.attack, random)
            logits = net(x)
        losses = functional.cross_entropy(logits.float(), y, reduction="none")
        loss = losses.mean()
        if schedule.group_step:
            loss, weights = worst_group(losses, batch.group, weights, schedule.group_step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        cycle.step()
        if (step + 1) % 100 == 0:
            log.info("step %d/%d loss %.3f, %.0f s", step + 1, steps, loss.item(), time.process_time() - start)
    net.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return time.process_time() - start


def drawn(groups: Tensor, schedule: Schedule, random: torch.Generator) -> Tensor:
    """A batch's places in groups [N], [B]: any alike, or, of group DRO, those of each group together as often."""
    if not schedule.group_step:
        return torch.randint(len(groups), (schedule.batch,), generator=random)
    rare = 1 / groups.bincount(minlength=GROUPS)[groups]
    return torch.multinomial(rare, schedule.batch, replacement=True, generator=random)


def worst_group(losses: Tensor, groups: Tensor, weights: Tensor, step: float) -> tuple[Tensor, Tensor]:
    """Group DRO's loss, and the groups' weights [G] after its step; a group without images keeps its own.

    Args:
        losses, groups: of each image, [B].
        weights: q, [G].
        step: η.
    """
    counts = groups.bincount(minlength=len(weights))
    means = losses.new_zeros(len(weights)).index_add(0, groups, losses) / counts.clamp(min=1)
    weights = weights * (step * means.detach()).exp()
    weights = weights / weights.sum()
    return (weights * means).sum(), weights


def augment(x: Tensor, random: torch.Generator) -> Tensor:
    """Mirror half of the images, shift each by up to two pixels."""
    n, _, height, width = x.shape
    mirrored = torch.rand(n, 1, 1, 1, generator=random) < 0.5
    x = functional.pad(torch.where(mirrored, x.flip(3), x), (2, 2, 2, 2), mode="replicate")
    dy, dx = torch.randint(5, (2, n, 1), generator=random)
    rows, columns = dy + torch.arange(height), dx + torch.arange(width)
    moved = x.permute(0, 2, 3, 1)[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


@torch.no_grad()
def named(net: nn.Module, images: Composites, size: int = 500) -> Tensor:
    """The highest logit of each image, [N] int64."""
    return torch.cat([net(images[i : i + size].pixels()).argmax(1) for i in range(0, len(images), size)])


def accuracies(net: nn.Module, images: Composites, names: str = "bird") -> list[float]:
    """The share of each group's images that a network names rightly, [land on land, land on water, water on …]."""
    right = named(net, images) == getattr(images, names)
    return [float(right[images.group == group].double().mean()) for group in range(GROUPS)]
