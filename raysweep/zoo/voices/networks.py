"""The networks that tell men, women and what is no voice apart, without weights.

All read log-mels [B, 1, 32, 32] (`excerpts.MEL`) and standardise inside.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BANDS, FRAMES, CLASSES = 32, 32, ("men", "women", "non-human")


class Standardise(nn.Module):
    """(x − mean) / std, with numbers of the training excerpts that travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def _convolve(channels: int, out: int, stride: int = 1) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()


class Classifier(nn.Module):
    """A strided CNN: log-mel to logits [B, 3]. Its last map is read whole, as pitch is a place on the axis of bands."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.features = nn.Sequential(*_convolve(1, 24), *_convolve(24, 48, 2), *_convolve(48, 64, 2))
        self.head = nn.Sequential(
            nn.AvgPool2d((1, 4)), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 8 * 2, 64), nn.ReLU(), nn.Linear(64, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(self.standardise(x)))
        return logits


class Judge(nn.Module):
    """Convolutions over time alone, whose channels are the bands: log-mel to logits [B, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.standardise = Standardise()
        self.layers = nn.Sequential(
            nn.Conv1d(BANDS, 96, 5, padding=2, bias=False),
            nn.BatchNorm1d(96),
            nn.GELU(),
            nn.Conv1d(96, 96, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm1d(96),
            nn.GELU(),
            nn.Conv1d(96, 96, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(96),
            nn.GELU(),
        )
        self.dropout = nn.Dropout(0.3)
        self.penultimate = nn.Sequential(nn.Linear(2 * 96, 64), nn.GELU())
        self.head = nn.Linear(64, 3)

    def features(self, x: Tensor) -> Tensor:
        """The 64 features [B, 64] in which Fréchet distances are taken: of each channel's mean and deviation."""
        y = self.layers(self.standardise(x)[:, 0])
        deviation = (y.var(dim=2, unbiased=False) + 1e-4).sqrt()
        found: Tensor = self.penultimate(self.dropout(torch.cat([y.mean(dim=2), deviation], dim=1)))
        return found

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits
