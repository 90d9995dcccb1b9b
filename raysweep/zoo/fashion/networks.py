"""The three Fashion-MNIST networks, without weights.

All read or make images [B, 1, 28, 28] float32 in [0, 1] and standardise inside. Generator and classifier together
take about 11 million multiply-adds an example, so that a sweep of half a million row-steps is minutes on two cores;
the judge looks only at what a sweep made, and may cost more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LATENT = 64
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class Standardise(nn.Module):
    """(x − mean) / std with the training images' two numbers, kept as buffers so that they travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float = 0.2860, std: float = 0.3530) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Generator(nn.Module):
    """A DCGAN (Radford et al., 2016, arXiv:1511.06434): latent [B, 64] ~ N(0, 1) to image [B, 1, 28, 28] in [0, 1].

    Two linear layers make the 7 × 7 map, because global shape is where a shallow decoder is weakest and multiply-adds
    there are cheap.
    """

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(LATENT, 128, bias=False),
            nn.BatchNorm1d(128),
            nn.ReLU(),
            nn.Linear(128, 96 * 7 * 7, bias=False),
            nn.Unflatten(1, (96, 7, 7)),
            nn.BatchNorm2d(96),
            nn.ReLU(),
        )
        self.decode = nn.Sequential(
            nn.ConvTranspose2d(96, 48, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.ConvTranspose2d(48, 16, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 1, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.decode(self.project(z))
        return image


class Classifier(nn.Module):
    """A strided CNN: image to logits [B, 10]. `features.8` is its last feature map, [B, 64, 7, 7] after the ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(48),
            nn.ReLU(),
            nn.Conv2d(48, 64, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 7 * 7, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10)
        )

    def hidden(self, x: Tensor) -> Tensor:
        """The penultimate activations [B, 64]."""
        y: Tensor = self.head[:-1](self.features(self.standardise(x)))
        return y

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(self.standardise(x)))
        return logits


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a 1 × 1 shortcut (He et al., 2016, arXiv:1512.03385); it halves the map."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride=2, bias=False), nn.BatchNorm2d(out))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return y


class Judge(nn.Module):
    """A small residual net: image to logits [B, 10]. `pool` gives its 128 penultimate features."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Residual(16, 32), Residual(32, 64), Residual(64, 128))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(128, 10)

    def features(self, x: Tensor) -> Tensor:
        """The penultimate features [B, 128] in which Fréchet distances are taken."""
        y: Tensor = self.pool(self.blocks(self.stem(self.standardise(x))))
        return y

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
