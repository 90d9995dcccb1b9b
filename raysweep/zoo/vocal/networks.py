"""The vocal networks, without weights: generator and classifier of Mishra et al. (ICLR 2019 SafeML), and another judge.

All speak raw log-mel [B, 1, 80, 115], log(max(mel, 1e-7)) at 70 frames a second (`raysweep.data.audio`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from raysweep.data.audio import FLOOR

LATENT = 128
BANDS, FRAMES = 80, 115
CLASSES = ("non-vocal", "vocal")


class Standardise(nn.Module):
    """(x − mean) / std for each mel band: buffers [1, 1, 80, 1], so that they travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(1, 1, BANDS, 1))
        self.register_buffer("std", torch.ones(1, 1, BANDS, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Floor(nn.Module):
    """max(h, log 1e-7): no log-mel is quieter."""

    def forward(self, h: Tensor) -> Tensor:
        return h.clamp_min(math.log(FLOOR))


class Crop(nn.Module):
    """The first 115 of 128 frames."""

    def forward(self, h: Tensor) -> Tensor:
        return h[..., :BANDS, :FRAMES]


class Generator(nn.Module):
    """The paper's generator: latent [B, 128] ~ N(0, I) to log-mel [B, 1, 80, 115]."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(LATENT, 5 * 8 * 128), nn.LeakyReLU(0.2), nn.Unflatten(1, (128, 5, 8)))
        self.decode = nn.Sequential(
            *_double(128, 64), *_double(64, 32), *_double(32, 16), *_double(16, 8), nn.Conv2d(8, 1, 5, padding=2)
        )
        self.finish = nn.Sequential(Floor(), Crop())

    def forward(self, z: Tensor) -> Tensor:
        sound: Tensor = self.finish(self.decode(self.project(z)))
        return sound


def _double(channels: int, out: int) -> tuple[nn.Module, ...]:
    return nn.ConvTranspose2d(channels, out, 5, stride=2, padding=2, output_padding=1), nn.LeakyReLU(0.2)


class Classifier(nn.Module):
    """The paper's classifier (after Schlüter and Grill, 2015): log-mel to a pre-sigmoid logit [B, 1], > 0 = vocal."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.features = nn.Sequential(
            *_convolve(1, 64),
            *_convolve(64, 32),
            nn.MaxPool2d(3),
            *_convolve(32, 128),
            *_convolve(128, 64),
            nn.MaxPool2d(3),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(64 * 7 * 11, 256),
            nn.LeakyReLU(0.01),
            nn.Dropout(0.5),
            nn.Linear(256, 64),
            nn.LeakyReLU(0.01),
            nn.Dropout(0.5),
            nn.Linear(64, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.head(self.features(self.standardise(x)))
        return logit


def _convolve(channels: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, out, 3), nn.LeakyReLU(0.01)


class Separable(nn.Module):
    """A residual pair of depthwise 5 × 5 and pointwise convolutions (after Howard et al., 2017, arXiv:1704.04861)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.GELU(),
            nn.Conv2d(2 * channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


class Judge(nn.Module):
    """A depthwise-separable residual net: log-mel to one logit [B, 1]. `pool` gives its 128 penultimate features."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, (5, 3), stride=(2, 2), padding=(2, 1)),
            Separable(32),
            *_halve(32, 64),
            Separable(64),
            *_halve(64, 128),
            Separable(128),
            nn.BatchNorm2d(128),
            nn.GELU(),
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(128, 1)

    def features(self, x: Tensor) -> Tensor:
        """The penultimate features [B, 128] in which Fréchet distances are taken."""
        y: Tensor = self.pool(self.body(self.standardise(x)))
        return y

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.head(self.features(x))
        return logit


def _halve(channels: int, out: int) -> tuple[nn.Module, ...]:
    return nn.BatchNorm2d(channels), nn.Conv2d(channels, out, 2, stride=2)
