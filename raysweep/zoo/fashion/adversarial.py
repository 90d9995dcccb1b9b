"""How the recipe trains the generator: a GAN whose discriminator also learns the classes of the real images.

- Hinge loss, a spectrally normalised discriminator (Miyato et al., 2018, arXiv:1802.05957), and against collapse a
  minibatch-deviation channel (Karras et al., 2018, arXiv:1710.10196).
- Beside telling real from fake, the discriminator names the classes of the real images (Salimans et al., 2016,
  arXiv:1606.03498), so that its features are about clothes.
- What ships is a running average of the generator's weights, whose batch statistics are measured anew.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from raysweep.zoo.fashion.networks import LATENT, Generator
from raysweep.zoo.images import Images
from raysweep.zoo.resumable import Resumable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The training's constants; `naming` weighs the class term; in the last share, `cooldown`, both rates fall."""

    seed: int = 3
    steps: int = 12_000
    batch: int = 64
    lr_generator: float = 4e-4
    lr_discriminator: float = 4e-4
    betas: tuple[float, float] = (0.0, 0.99)
    average: float = 0.998
    naming: float = 0.5
    cooldown: float = 0.3
    check_every: int = 1000


class Discriminator(nn.Module):
    """Images to realness [B] and class logits [B, 10]; groups of 8 rows share their deviation, so 8 divides B."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential()
        for channels, out, stride in ((1, 32, 1), (32, 64, 2), (64, 128, 2), (128, 256, 2)):
            self.body.append(spectral_norm(nn.Conv2d(channels, out, 3, stride, 1)))
            self.body.append(nn.LeakyReLU(0.1))
        self.last = spectral_norm(nn.Conv2d(256 + 1, 128, 3, padding=1))
        self.realness = spectral_norm(nn.Linear(128 * 4 * 4, 1))
        self.naming = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.body(x * 2 - 1)
        hidden = functional.leaky_relu(self.last(torch.cat([maps, _deviation(maps)], 1)), 0.1)
        return self.realness(hidden.flatten(1)).float()[:, 0], self.naming(maps.mean((2, 3))).float()


def _deviation(maps: Tensor, group: int = 8) -> Tensor:
    """Each group's mean deviation from its own mean, as one more channel [B, 1, H, W] of the maps [B, C, H, W]."""
    values = maps.float().permute(0, 2, 3, 1).flatten(1).unflatten(0, (-1, group))
    spread = (values - values.mean(1, keepdim=True)).square().mean(1).add(1e-8).sqrt().mean(1)
    return spread.repeat_interleave(group)[:, None, None, None].expand(-1, 1, *maps.shape[2:]).to(maps.dtype)


@dataclass
class Training(Resumable):
    """The whole state of one training, so that it can be saved and continued."""

    parts = ("generator", "discriminator", "averaged", "of_generator", "of_discriminator")
    numbers = ("step", "seconds", "best", "best_step", "best_weights", "history")

    settings: Settings
    step: int = 0
    seconds: float = 0.0
    best: float = float("inf")
    best_step: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    history: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        torch.manual_seed(self.settings.seed)
        self.random = torch.Generator().manual_seed(self.settings.seed)
        self.generator = Generator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = Discriminator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        s = self.settings
        self.of_generator = torch.optim.Adam(self.generator.parameters(), s.lr_generator, s.betas)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), s.lr_discriminator, s.betas)

    def run(self, images: Images, distance: Callable[[nn.Module], float], file: Path) -> None:
        """Train to the last step, saving to `file` at every check; `distance` scores a generator, lower is better."""
        start = time.process_time() - self.seconds
        while self.step < self.settings.steps:
            self._update(images)
            self.step += 1
            if self.step % self.settings.check_every == 0:
                self._check(distance)
                self.seconds = time.process_time() - start
                self.save(file)

    def _update(self, images: Images) -> None:
        s = self.settings
        rest = max(0.02, min(1.0, (1 - self.step / s.steps) / s.cooldown))
        for optimiser, lr in ((self.of_generator, s.lr_generator), (self.of_discriminator, s.lr_discriminator)):
            optimiser.param_groups[0]["lr"] = lr * rest
        real = images[torch.randint(len(images), (s.batch,), generator=self.random)]
        self._improve_discriminator(real)
        self._improve_generator()
        for mean, now in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now.detach(), 1 - min(s.average, self.step / (self.step + 10)))

    def _improve_discriminator(self, real: Images) -> None:
        with torch.no_grad():
            fake = self._sample()
        with torch.autocast("cpu", torch.bfloat16):
            realness, names = self.discriminator(torch.cat([real.pixels(), fake]))
        n = len(real)
        loss = functional.relu(1 - realness[:n]).mean() + functional.relu(1 + realness[n:]).mean()
        loss = loss + self.settings.naming * functional.cross_entropy(names[:n], real.y)
        self.of_discriminator.zero_grad()
        loss.backward()
        self.of_discriminator.step()

    def _improve_generator(self) -> None:
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            realness, _ = self.discriminator(self._sample())
        loss = -realness.mean()
        self.of_generator.zero_grad()
        loss.backward()
        self.of_generator.step()
        self.discriminator.requires_grad_(True)

    def _sample(self) -> Tensor:
        z = torch.randn(self.settings.batch, LATENT, generator=self.random)
        with torch.autocast("cpu", torch.bfloat16):
            image: Tensor = self.generator(z)
        return image.float()

    def _check(self, distance: Callable[[nn.Module], float]) -> None:
        measure_statistics(self.averaged)
        value = distance(self.averaged)
        self.history.append((self.step, value))
        log.info("step %d/%d distance %.3f (best %.3f)", self.step, self.settings.steps, value, min(self.best, value))
        if value < self.best:
            self.best, self.best_step = value, self.step
            self.best_weights = {k: v.clone() for k, v in self.averaged.state_dict().items()}


@torch.no_grad()
def measure_statistics(generator: nn.Module, batches: int = 40, size: int = 256) -> None:
    """Measure every batch norm's mean and variance over fresh latents, then switch to eval mode."""
    random = torch.Generator().manual_seed(0)
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    generator.train()
    for _ in range(batches):
        generator(torch.randn(size, LATENT, generator=random))
    generator.eval()
