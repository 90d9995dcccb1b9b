"""How the recipes train an inpainter: a GAN between obfuscations and real samples (Heiß et al., 2020).

    z = x ⊙ s + G(x ⊙ s, s, n) ⊙ (1 − s),   x real, s a random binary mask, n ~ N(0, I)

- The critic sees (z, s) against (x, s) and tells which is real. As s is drawn without looking at x, it is deceived only
  by fills distributed as x is, given what was kept. Hinge loss, spectral norm: SN-PatchGAN without the patches
  (Yu et al., 2019, arXiv:1806.03589).
- The critic also names the classes of the real samples (Salimans et al., 2016, arXiv:1606.03498).
- Where much was kept, the fill must also be near what was removed; the weight of that is the mask's density.
- Where next to nothing was kept, two fills of one sample may be asked to differ as much as two samples do (after Yang
  et al., 2019, arXiv:1901.09024): against a fill that is always the same, whatever the noise.
- What ships is a running average of the inpainter's weights.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.zoo.masks import varied_masks
from raysweep.zoo.resumable import Resumable

BARE = 0.1  # a mask that keeps less than this share keeps next to nothing

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The training's constants; `cells` are the masks' (`varied_masks`), in the last share, `cooldown`, rates fall."""

    seed: int
    steps: int
    cells: tuple[int, ...]
    batch: int = 64
    lr_inpainter: float = 4e-4
    lr_critic: float = 4e-4
    betas: tuple[float, float] = (0.0, 0.99)
    average: float = 0.998
    naming: float = 0.5
    resemblance: float = 1.0
    diversity: float = 0.0
    cooldown: float = 0.3
    save_every: int = 250


def obfuscate(fill: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
    """x where `mask` is 1, elsewhere the fill of what is left of it; all [B, ...]."""
    kept = x * mask
    return kept + fill(kept, mask, noise) * (1 - mask)


@dataclass
class Training(Resumable):
    """The whole state of one training, so that it can be saved and continued exactly.

    Args:
        settings: its constants.
        build: makes the inpainter.
        build_critic: makes the critic: `see(x)` [B, C, ...] is what it looks at of samples, and it maps (seen, mask) to
            realness [B] and class logits [B, K].
    """

    parts = ("inpainter", "critic", "averaged", "of_inpainter", "of_critic")
    numbers = ("step", "seconds", "history")

    settings: Settings
    build: Callable[[], nn.Module]
    build_critic: Callable[[], Any]
    step: int = 0
    seconds: float = 0.0
    history: list[tuple[int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(self.settings.seed)
        self.random = torch.Generator().manual_seed(self.settings.seed)
        self.inpainter = self.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.critic = self.build_critic().to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.inpainter).requires_grad_(False)
        s = self.settings
        self.of_inpainter = torch.optim.Adam(self.inpainter.parameters(), s.lr_inpainter, s.betas)
        self.of_critic = torch.optim.Adam(self.critic.parameters(), s.lr_critic, s.betas)

    def run(self, x: Tensor, y: Tensor, file: Path) -> None:
        """Train on samples x [N, ...] of classes y [N] to the last step, saving to `file` every `save_every` steps."""
        start, s = time.process_time() - self.seconds, self.settings
        while self.step < s.steps:
            losses = self._update(x, y)
            self.step += 1
            if self.step % s.save_every == 0 or self.step == s.steps:
                self.seconds = time.process_time() - start
                self.history.append((self.step, *losses))
                log.info("step %d/%d critic %.3f inpainter %.3f, %.0f s", self.step, s.steps, *losses, self.seconds)
                self.save(file)

    def _update(self, x: Tensor, y: Tensor) -> tuple[float, float]:
        s = self.settings
        rest = max(0.02, min(1.0, (1 - self.step / s.steps) / s.cooldown))
        for optimiser, lr in ((self.of_inpainter, s.lr_inpainter), (self.of_critic, s.lr_critic)):
            optimiser.param_groups[0]["lr"] = lr * rest
        index = torch.randint(len(x), (s.batch,), generator=self.random)
        real = x[index].float()
        mask = varied_masks(s.batch, real.shape[1:], s.cells, self.random)
        noise = torch.randn(real.shape, generator=self.random)
        with torch.autocast("cpu", torch.bfloat16):
            made = obfuscate(self.inpainter, real, mask, noise)
        critic = self._improve_critic(real, y[index], made.detach(), mask)
        losses = critic, self._improve_inpainter(real, made, mask)
        for mean, now in zip(self.averaged.parameters(), self.inpainter.parameters(), strict=True):
            mean.lerp_(now.detach(), 1 - min(s.average, self.step / (self.step + 10)))
        return losses

    def _improve_critic(self, real: Tensor, y: Tensor, made: Tensor, mask: Tensor) -> float:
        n = len(real)
        with torch.autocast("cpu", torch.bfloat16):
            realness, names = self.critic(self.critic.see(torch.cat([real, made])), torch.cat([mask, mask]))
        loss = functional.relu(1 - realness[:n].float()).mean() + functional.relu(1 + realness[n:].float()).mean()
        loss = loss + self.settings.naming * functional.cross_entropy(names[:n].float(), y)
        self.of_critic.zero_grad()
        loss.backward()
        self.of_critic.step()
        return loss.item()

    def _improve_inpainter(self, real: Tensor, made: Tensor, mask: Tensor) -> float:
        self.critic.requires_grad_(False)
        seen, wanted = self.critic.see(made), self.critic.see(real)
        with torch.autocast("cpu", torch.bfloat16):
            realness, _ = self.critic(seen, mask)
        apart = (seen - wanted).abs().flatten(1).mean(1) * mask.flatten(1).mean(1)
        loss = self.settings.resemblance * apart.mean() - realness.float().mean()
        if self.settings.diversity:
            loss = loss + self.settings.diversity * self._sameness(real, seen, mask)
        self.of_inpainter.zero_grad()
        loss.backward()
        self.of_inpainter.step()
        self.critic.requires_grad_(True)
        return loss.item()

    def _sameness(self, real: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
        """How much less two fills of a bare sample differ than two samples do: the mean over what the critic sees."""
        bare = mask.flatten(1).mean(1) < BARE
        noise = torch.randn(real.shape, generator=self.random)
        if not bare.any():
            return torch.zeros(())
        with torch.autocast("cpu", torch.bfloat16):
            other = self.critic.see(obfuscate(self.inpainter, real[bare], mask[bare], noise[bare]))
        wanted = self.critic.see(real)
        typical = (wanted - wanted.roll(1, 0)).abs().flatten(2).mean((0, 2))
        found = (seen[bare] - other).abs().flatten(2).mean(2)
        return functional.relu(typical - found).mean()
