"""How the recipe trains Φ and Φ_gt: squared error on turned windows, other buildings and measurements in each step."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from raysweep.zoo.radio.networks import UNet
from raysweep.zoo.radio.situations import Maps, compose, few_to_many, leave_out, measure, turn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """One training. In each row 0 to `missing` buildings are left out, 0 to `measurements` cells are measured."""

    seed: int
    steps: int
    missing: int
    measurements: int = 300
    batch: int = 16
    lr: float = 2e-3
    warm: int = 200
    weight_decay: float = 1e-2
    save_every: int = 250


class Training:
    """A network on its way. Its next step depends on (schedule, step, state) only, so it continues exactly.

    Args:
        schedule: what to do.
        checkpoint: where the state is kept; what lies there is continued.
    """

    def __init__(self, schedule: Schedule, checkpoint: Path) -> None:
        torch.manual_seed(schedule.seed)
        self.schedule, self.checkpoint = schedule, checkpoint
        self.net = UNet()
        self.optimiser = torch.optim.AdamW(self.net.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
        self.step, self.seconds = 0, 0.0
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            self.net.load_state_dict(saved["net"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step, self.seconds = saved["step"], saved["seconds"]

    def run(self, maps: Maps, until: int | None = None) -> UNet:
        """Train on `maps` up to step `until` (the schedule's last); the network in eval mode."""
        last = self.schedule.steps if until is None else until
        start, total, seen = time.perf_counter() - self.seconds, 0.0, 0
        while self.step < last:
            total, seen = total + self._update(maps), seen + 1
            self.step += 1
            if self.step % self.schedule.save_every == 0 or self.step == last:
                self.seconds = time.perf_counter() - start
                error = math.sqrt(total / seen)
                log.info("step %d/%d error %.4f, %.0f s", self.step, self.schedule.steps, error, self.seconds)
                total, seen = 0.0, 0
                self._save()
        return self.net.eval()

    def _update(self, maps: Maps) -> float:
        """One step; its mean squared error."""
        schedule, n = self.schedule, self.schedule.batch
        random = torch.Generator().manual_seed(schedule.seed * 1_000_003 + self.step)
        batch = turn(maps[torch.randint(len(maps), (n,), generator=random)], random)
        missing = leave_out(batch.buildings, torch.randint(schedule.missing + 1, (n,), generator=random), random)
        measured = measure(batch.outdoors, few_to_many(n, schedule.measurements, random), random)
        x = compose(batch, missing, measured)
        for group in self.optimiser.param_groups:
            group["lr"] = schedule.lr * self._fade()
        with torch.autocast("cpu", torch.bfloat16):
            signal = self.net(x)
        loss = functional.mse_loss(signal.float()[:, 0], batch.truth)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def _fade(self) -> float:
        """The learning rate's share at this step: up over the first steps, then a cosine down to 0."""
        rise = min(1.0, (self.step + 1) / self.schedule.warm)
        return rise * (1 + math.cos(math.pi * self.step / self.schedule.steps)) / 2

    def _save(self) -> None:
        unfinished = self.checkpoint.with_suffix(".part")
        state = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}
        torch.save({"step": self.step, "seconds": self.seconds, **state}, unfinished)
        unfinished.rename(self.checkpoint)
