"""The CIFAR-10 networks, without weights. All read images [B, 3, 32, 32] float32 in [0, 1] and standardise inside."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

CLASSES = 10
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
"""Of the training images, by channel."""


class Standardise(nn.Module):
    """(x − mean) / deviation by channel, kept as buffers so that they travel with the weights."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.deviation


class Residual(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut, which is a 1 × 1 convolution where the shape changes."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Sequential()
        if stride > 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return y


class Classifier(nn.Module):
    """A residual network (He et al., 2016, arXiv:1512.03385) as usual for CIFAR-10: image to logits [B, 10].

    Args:
        width: channels of the first of four stages; each other has twice as many, at half the size.
        blocks: of each stage; ResNet-18 has two.
    """

    def __init__(self, width: int = 64, blocks: int = 2) -> None:
        super().__init__()
        wide = [width << stage for stage in range(4)]
        self.standardise = Standardise()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.stages = nn.Sequential()
        for channels, out in pairwise([width, *wide]):
            self.stages.append(Residual(channels, out, 1 if out == width else 2))
            self.stages.extend(Residual(out, out, 1) for _ in range(blocks - 1))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(wide[-1], CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.stages(self.stem(self.standardise(x)))))
        return logits


class Judge(nn.Module):
    """Plain convolutions (Simonyan, Zisserman, 2015, arXiv:1409.1556) with batch norm: image to logits [B, 10].

    `pool` gives its penultimate features, four times `width`.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.body = nn.Sequential()
        for channels, out in pairwise([3, width, 2 * width, 4 * width, 4 * width]):
            for before in (channels, out):
                self.body.extend([nn.Conv2d(before, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()])
            self.body.append(nn.MaxPool2d(2))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(4 * width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.body(self.standardise(x))))
        return logits
