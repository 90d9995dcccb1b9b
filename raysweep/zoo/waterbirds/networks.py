"""The waterbirds' networks, without weights: images [B, 3, 32, 32] float32 in [0, 1] to logits [B, 2]."""

from __future__ import annotations

from torch import Tensor, nn

from raysweep.zoo.fashion.networks import Residual, Standardise

BIRDS, BACKGROUNDS = ("land_bird", "water_bird"), ("land", "water")
SIDE = 32


class Classifier(nn.Module):
    """A strided CNN, which ends in a mean over the image."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise(0.4, 0.25)
        self.features = nn.Sequential()
        for channels, out, stride in ((3, 24, 1), (24, 48, 2), (48, 64, 2), (64, 96, 2)):
            self.features.append(nn.Conv2d(channels, out, 3, stride, 1, bias=False))
            self.features.append(nn.BatchNorm2d(out))
            self.features.append(nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(96, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.features(self.standardise(x))))
        return logits


class Judge(nn.Module):
    """A small residual net: the judge of birds and, with other weights, the witness of backgrounds."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise(0.4, 0.25)
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Residual(16, 32), Residual(32, 48), Residual(48, 64))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.blocks(self.stem(self.standardise(x)))))
        return logits
