"""ProbeGAN as most scripts have it: the same losses and networks, each part in the way that comes first to mind.

Blocks double before their shortcut and halve after it, as in BigGAN; spectral norms are torch's; fakes and real images
go through the discriminator one after the other, as does every parameter through Adam and the average.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from raysweep.methods.gan import RealImages
from raysweep.models.biggan import DEVIATION, narrowings, widths


class Norm(nn.Module):
    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = spectral_norm(nn.Linear(condition, channels, bias=False))
        self.bias = spectral_norm(nn.Linear(condition, channels, bias=False))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.norm(x) * (1 + self.gain(y))[:, :, None, None] + self.bias(y)[:, :, None, None]


class Upward(nn.Module):
    def __init__(self, channels: int, out: int, condition: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([Norm(channels, condition), Norm(out, condition)])
        self.first = spectral_norm(nn.Conv2d(channels, out, 3, padding=1))
        self.second = spectral_norm(nn.Conv2d(out, out, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(channels, out, 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = functional.interpolate(functional.relu(self.norms[0](x, y)), scale_factor=2)
        h = self.second(functional.relu(self.norms[1](self.first(h), y)))
        return h + self.shortcut(functional.interpolate(x, scale_factor=2))


class Generator(nn.Module):
    def __init__(self, classes: int, size: int, channels: int, width: int, latent: int, embedding: int) -> None:
        super().__init__()
        wide = widths(size)
        self.chunk, self.smallest = latent // len(wide), size >> (len(wide) - 1)
        self.shared = nn.Embedding(classes, embedding)
        self.project = spectral_norm(nn.Linear(self.chunk, wide[0] * width * self.smallest**2))
        pairs = pairwise(wide)
        self.blocks = nn.ModuleList(Upward(a * width, b * width, embedding + self.chunk) for a, b in pairs)
        self.norm = nn.BatchNorm2d(wide[-1] * width)
        self.image = spectral_norm(nn.Conv2d(wide[-1] * width, channels, 3, padding=1))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        first, *others = z.split(self.chunk, dim=1)
        x, y = self.project(first).unflatten(1, (-1, self.smallest, self.smallest)), self.shared(y)
        for block, part in zip(self.blocks, others, strict=True):
            x = block(x, torch.cat([y, part], dim=1))
        return torch.tanh(self.image(functional.relu(self.norm(x))))


class Downward(nn.Module):
    def __init__(self, channels: int, out: int, halves: bool, first: bool) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(channels, out, 3, padding=1))
        self.second = spectral_norm(nn.Conv2d(out, out, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(channels, out, 1)) if halves or channels != out else nn.Identity()
        self.halves, self.opening = halves, first

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(functional.relu(self.first(x if self.opening else functional.relu(x))))
        x = self.shortcut(x)
        return functional.avg_pool2d(h, 2) + functional.avg_pool2d(x, 2) if self.halves else h + x


class Discriminator(nn.Module):
    def __init__(self, classes: int, size: int, channels: int, width: int) -> None:
        super().__init__()
        wide = [channels, *(one * width for one in narrowings(size))]
        pairs = enumerate(pairwise(wide))
        self.blocks = nn.Sequential(*(Downward(a, b, index < 2, index == 0) for index, (a, b) in pairs))
        self.conditional = spectral_norm(nn.Linear(wide[-1], 1))
        self.embedding = spectral_norm(nn.Embedding(classes, wide[-1]))
        self.unconditional = spectral_norm(nn.Linear(wide[-1], 1))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        h = functional.relu(self.blocks(x)).sum(dim=(2, 3))
        return self.conditional(h)[:, 0] + (self.embedding(y) * h).sum(dim=1), self.unconditional(h)[:, 0]


class Script:
    """One training.

    Args:
        images: with the target class among them; it is left out here.
        classifier: as it was loaded.
        values: the hyper-parameters of `ProbeGan`.
    """

    def __init__(self, images: RealImages, classifier: nn.Module, target: int, values: dict[str, float]) -> None:
        self.images, self.classifier, self.target, self.values = images.without(target), classifier, target, values
        channels, size = images.x.shape[1:3]
        width, latent, embedding = (int(values[name]) for name in ("width", "latent", "embedding"))
        self.latent = latent // len(widths(size)) * len(widths(size))
        self.generator = Generator(images.classes, size, channels, width, latent, embedding)
        self.discriminator = Discriminator(images.classes, size, channels, width)
        for net in (self.generator, self.discriminator):
            net.apply(_start)
        self.average = copy.deepcopy(self.generator)
        betas = values["beta1"], values["beta2"]
        self.adam_g = torch.optim.Adam(self.generator.parameters(), lr=values["generator_lr"], betas=betas)
        self.adam_d = torch.optim.Adam(self.discriminator.parameters(), lr=values["discriminator_lr"], betas=betas)

    def step(self, number: int) -> dict[str, float]:
        """One update of the generator, with the discriminator's before it; its losses."""
        v, found = self.values, dict[str, Any]()
        for _ in range(int(v["discriminator_steps"])):
            fake, y = self._fakes()
            fake = fake.detach()
            index = torch.randint(len(self.images.y), (len(y),))
            real, real_y = self.images.x[index] * 2 - 1, self.images.y[index]
            fake_c, fake_u = self.discriminator(fake, y)
            real_c, real_u = self.discriminator(real, real_y)
            seen = y != self.target
            loss = functional.relu(1 - real_c[seen]).mean() + functional.relu(1 + fake_c[seen]).mean()
            loss = loss + fake_u.mean() - real_u.mean() + v["drift"] * (fake_u.square().mean() + real_u.square().mean())
            mix = torch.rand(len(y), 1, 1, 1)
            between = (mix * real + (1 - mix) * fake).requires_grad_()
            score = self.discriminator(between, real_y)[1].sum()
            (gradient,) = torch.autograd.grad(score, between, create_graph=True)
            penalty = (gradient.flatten(1).norm(dim=1) - 1).square().mean()
            self.adam_d.zero_grad()
            (loss + v["penalty_weight"] * penalty).backward()
            self.adam_d.step()
            found["discriminator.penalty"] = penalty
        fake, y = self._fakes()
        fake_c, fake_u = self.discriminator(fake, y)
        certain = functional.cross_entropy(self.classifier((fake + 1) / 2), y)
        loss = -fake_c[y != self.target].mean() - fake_u.mean() + v["drift"] * fake_u.square().mean()
        self.adam_g.zero_grad()
        (loss + v["classifier_weight"] * certain).backward()
        self.adam_g.step()
        decay = v["ema_decay"] if number >= v["ema_start"] else 0.0
        with torch.no_grad():
            for mine, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
                mine.copy_(decay * mine + (1 - decay) * now)
        found["generator.classifier"] = certain
        return {name: float(value.detach()) for name, value in found.items()}

    def _fakes(self) -> tuple[Tensor, Tensor]:
        count = int(self.values["batch"])
        y = torch.randint(self.images.classes, (count,))
        return self.generator(torch.randn(count, self.latent), y), y


def _start(layer: nn.Module) -> None:
    if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
        nn.init.normal_(layer.weight, 0.0, DEVIATION)
    if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
