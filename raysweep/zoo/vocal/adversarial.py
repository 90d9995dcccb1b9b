"""How the recipe trains the generator: hinge loss against a spectrally normalised discriminator (Miyato et al., 2018).

In training each layer is followed by batch normalisation and the log-mels have mean 0 and deviation 1; `export` folds
both into the paper's layers, so that what ships is exactly `networks.Generator`.

So that no kind of sound is forgotten, every excerpt has a code, its first 128 principal components made Gaussian, and
half of each batch is made from codes: those must resemble their excerpts coarsely. The first steps train on that alone.
The discriminator also names the classes of the real excerpts (Salimans et al., 2016), so that it listens for singing.
"""

from __future__ import annotations

import logging
import math
import time
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from raysweep.zoo.vocal.networks import BANDS, FRAMES, LATENT, Crop, Generator

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """One training: `warm` of the steps without discriminator, whose first layer has `width` channels."""

    seed: int
    steps: int
    warm: int = 800
    batch: int = 32
    width: int = 32
    lr_warm: float = 1e-3
    lr_generator: float = 5e-4
    lr_discriminator: float = 5e-4
    resemblance: float = 2.0
    naming: float = 0.5
    average: float = 0.998
    save_every: int = 200


class Normalised(nn.Module):
    """The paper's generator with batch normalisation between each layer and its activation, in normalised log-mel."""

    def __init__(self) -> None:
        super().__init__()
        plain = Generator()
        dense, relu, unflatten = plain.project
        self.project = nn.Sequential(dense, unflatten, nn.BatchNorm2d(128), relu)
        layers: list[nn.Module] = []
        for layer in plain.decode:
            layers.append(layer)
            if isinstance(layer, nn.ConvTranspose2d):
                _interpolate(layer)
                layers.append(nn.BatchNorm2d(layer.out_channels))
        self.decode = nn.Sequential(*layers)
        self.crop = Crop()

    def forward(self, z: Tensor) -> Tensor:
        h: Tensor = self.crop(self.decode(self.project(z)))
        return h


@torch.no_grad()
def _interpolate(layer: nn.ConvTranspose2d) -> None:
    """Begin as linear interpolation of random mixtures of channels, for random kernels leave a checkerboard."""
    ramp = torch.tensor([0.0, 0.5, 1.0, 0.5, 0.0])
    mixture = torch.randn(layer.in_channels, layer.out_channels, 1, 1) * math.sqrt(2 / layer.in_channels)
    layer.weight.mul_(0.3).add_(mixture * ramp[:, None] * ramp)


class Discriminator(nn.Module):
    """Four strided convolutions over (log-mel, band position), and how much the batch varies before the last layer.

    Log-mels [B, 1, 80, 115] to realness [B, 1] and a logit of being vocal [B].
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (2, width, 2 * width, 4 * width, 8 * width)
        layers = [
            (spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)) for a, b in pairwise(widths)
        ]
        self.body = nn.Sequential(*(module for pair in layers for module in pair))
        self.head = spectral_norm(nn.Linear(8 * width * 5 * 7 + 1, 1))
        self.naming = nn.Linear(8 * width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        position = torch.linspace(-1, 1, BANDS)[:, None].expand(len(x), 1, BANDS, FRAMES)
        sound = torch.cat([x, position], dim=1).contiguous(memory_format=torch.channels_last)
        maps = self.body(sound).float()
        h = maps.flatten(1)
        spread = h.std(dim=0).mean().expand(len(x), 1)
        return self.head(torch.cat([h, spread], dim=1)), self.naming(maps.mean(dim=(2, 3)))[:, 0]


def train(x: Tensor, y: Tensor, schedule: Schedule, checkpoint: Path) -> tuple[Generator, float]:
    """The generator of log-mels x [N, 1, 80, 115] of classes y [N], and the seconds taken; continues `checkpoint`."""
    torch.manual_seed(schedule.seed)
    mean, std = x.float().mean(), x.float().std()
    sounds = ((x.float() - mean) / std).to(torch.float16)
    codes = gaussian_codes(sounds)
    generator, critic = Normalised().to(memory_format=torch.channels_last), Discriminator(schedule.width)  # type: ignore[call-overload]
    averaged = deepcopy(generator).requires_grad_(False)
    nets: dict[str, Any] = {"generator": generator, "critic": critic, "averaged": averaged}
    nets["g"] = torch.optim.Adam(generator.parameters(), schedule.lr_generator, (0.5, 0.99))
    nets["d"] = torch.optim.Adam(critic.parameters(), schedule.lr_discriminator, (0.5, 0.99))
    done, spent = _restore(nets, checkpoint)
    start = time.perf_counter() - spent
    for step in range(done, schedule.steps):
        random = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
        fade = min(1.0, 2 * (1 - step / schedule.steps))
        lr = schedule.lr_warm if step < schedule.warm else schedule.lr_generator
        nets["g"].param_groups[0]["lr"] = lr * fade
        nets["d"].param_groups[0]["lr"] = schedule.lr_discriminator * fade
        index = torch.randint(len(sounds), (schedule.batch,), generator=random)
        z = torch.randn(schedule.batch, LATENT, generator=random)
        z[::2] = codes[index[::2]]
        real = (sounds[index].float(), y[index].float())
        losses = _step(nets, real, z, random, schedule, adversarial=step >= schedule.warm)
        with torch.no_grad():
            for slow, fast in zip(averaged.parameters(), generator.parameters(), strict=True):
                slow.lerp_(fast, 1 - min(schedule.average, (1 + step) / (10 + step)))
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            spent = time.perf_counter() - start
            log.info("step %d/%d critic %.3f generator %.3f, %.0f s", step + 1, schedule.steps, *losses, spent)
            _save(nets, checkpoint, step + 1, spent)
            torch.save({"mean": mean, "std": std}, checkpoint.with_suffix(".scale"))
    return export(averaged, float(mean), float(std)), spent


def _step(
    nets: dict[str, Any],
    real: tuple[Tensor, Tensor],
    z: Tensor,
    random: torch.Generator,
    schedule: Schedule,
    adversarial: bool,
) -> tuple[float, float]:
    """One update of the discriminator, then one of the generator; even rows of z are the codes of those of `real`."""
    generator, critic = nets["generator"], nets["critic"]
    sounds, vocal = real
    with torch.autocast("cpu", torch.bfloat16):
        fake = generator(z)
    fake = fake.float()
    loss_critic = torch.zeros(())
    coarse, wanted = (functional.avg_pool2d(x[::2], 5) for x in (fake, sounds))
    loss = schedule.resemblance * functional.l1_loss(coarse, wanted)
    if adversarial:
        with torch.autocast("cpu", torch.bfloat16):
            judged_real, named = critic(disturb(sounds, random))
            judged_fake, _ = critic(disturb(fake.detach(), random))
        loss_critic = functional.relu(1 - judged_real).mean() + functional.relu(1 + judged_fake).mean()
        loss_critic = loss_critic + schedule.naming * functional.binary_cross_entropy_with_logits(named, vocal)
        nets["d"].zero_grad()
        loss_critic.backward()
        nets["d"].step()
        critic.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss - critic(disturb(fake, random))[0].mean()
        critic.requires_grad_(True)
    else:
        loss = loss + functional.mse_loss(fake[::2], sounds[::2])
    nets["g"].zero_grad()
    loss.backward()
    nets["g"].step()
    return loss_critic.item(), loss.item()


def gaussian_codes(sounds: Tensor) -> Tensor:
    """For each sound its first principal components, each of them mapped to N(0, 1) by rank: [N, 128]."""
    rows = sounds.float().flatten(1)
    components, _, _ = torch.svd_lowrank(rows - rows.mean(dim=0), LATENT, niter=3)
    ranks = components.argsort(dim=0).argsort(dim=0)
    return torch.special.ndtri((ranks + 0.5) / len(rows)).float()


def disturb(x: Tensor, random: torch.Generator) -> Tensor:
    """The same gains and shifts in time for real and made (Zhao et al., 2020): the critic cannot learn by heart."""
    n = len(x)
    louder = x + 0.2 * torch.randn(n, 1, 1, 1, generator=random)
    padded = functional.pad(louder, (8, 8))
    frames = torch.randint(17, (n, 1, 1, 1), generator=random) + torch.arange(FRAMES)
    return padded.gather(3, frames.expand(n, 1, BANDS, FRAMES))


@torch.no_grad()
def export(averaged: Normalised, mean: float, std: float) -> Generator:
    """The paper's generator that makes mean + std · averaged(z): statistics measured afresh, normalisation folded."""
    averaged = deepcopy(averaged).train()
    norms = [module for module in averaged.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    random = torch.Generator().manual_seed(0)
    for _ in range(20):
        averaged(torch.randn(100, LATENT, generator=random))
    plain = Generator()
    dense, folded = averaged.project[0], plain.project[0]
    scale, shift = _affine(norms[0])
    weight, bias = dense.get_parameter("weight"), dense.get_parameter("bias")
    folded.get_parameter("weight").copy_((weight.view(128, -1, LATENT) * scale[:, None, None]).flatten(0, 1))
    folded.get_parameter("bias").copy_((bias.view(128, -1) * scale[:, None] + shift[:, None]).flatten())
    trained = [m for m in averaged.decode if isinstance(m, nn.ConvTranspose2d | nn.Conv2d)]
    target = [m for m in plain.decode if isinstance(m, nn.ConvTranspose2d | nn.Conv2d)]
    for new, old, norm in zip(target[:-1], trained[:-1], norms[1:], strict=True):
        scale, shift = _affine(norm)
        new.weight.copy_(old.weight * scale[None, :, None, None])
        new.get_parameter("bias").copy_(old.get_parameter("bias") * scale + shift)
    target[-1].weight.copy_(trained[-1].weight * std)
    target[-1].get_parameter("bias").copy_(trained[-1].get_parameter("bias") * std + mean)
    return plain.eval().requires_grad_(False)


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    return scale, norm.bias - mean * scale


def _save(nets: dict[str, Any], file: Path, step: int, spent: float) -> None:
    unfinished = file.with_suffix(".part")
    torch.save({"step": step, "spent": spent, **{name: net.state_dict() for name, net in nets.items()}}, unfinished)
    unfinished.rename(file)


def _restore(nets: dict[str, Any], file: Path) -> tuple[int, float]:
    if not file.exists():
        return 0, 0.0
    saved = torch.load(file, weights_only=True)
    for name, net in nets.items():
        net.load_state_dict(saved[name])
    return saved["step"], saved["spent"]
