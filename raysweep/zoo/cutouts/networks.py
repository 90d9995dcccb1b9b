"""The cut-outs' network, without weights: images [B, 3, 112, 112] float32 in [0, 1] to logits [B, 7]."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLASSES = ("bird", "fish", "flower", "fruit", "instrument", "mammal", "vehicle")
SIDE = 112
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images, red, green and blue."""
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Of MobileNetV2 (its table 2): expansion, channels, blocks, stride of the first of them."""
FINE = 5
"""The stage whose stride is left out: the last maps are 7 × 7, as those of images twice as large, and the blocks behind
it see things at the scale that they know.
"""


class Standardise(nn.Module):
    """(x − mean) / std of each colour."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class InvertedResidual(nn.Module):
    """1 × 1 to more channels, 3 × 3 of each by itself, 1 × 1 to fewer; what came in is added where the shape is its."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int = 1) -> None:
        super().__init__()
        wide = channels * expansion
        parts: list[nn.Module] = [] if expansion == 1 else [rectified(channels, wide, 1)]
        parts.append(rectified(wide, wide, 3, stride, wide))
        self.conv = nn.Sequential(*parts, nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return x + made if self.adds else made


class Classifier(nn.Module):
    """MobileNetV2 (Sandler et al., CVPR 2018), its last stride left out, with a head of its own behind the mean.

    The features' names and shapes are those that ImageNet's weights have, `features.0` to `features.18`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.features = nn.Sequential(rectified(3, 32, 3, 2))
        channels = 32
        for stage, (expansion, out, blocks, stride) in enumerate(STAGES):
            for block in range(blocks):
                first = stride if block == 0 and stage != FINE else 1
                self.features.append(InvertedResidual(channels, out, expansion, first))
                channels = out
        self.features.append(rectified(channels, 1280, 1))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(1280, len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.pool(self.features(self.standardise(x))))
        return logits


def rectified(channels: int, out: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution that keeps the size, up to its stride, batch norm, and what lets 0 to 6 pass."""
    convolution = nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU6())
