"""A user's own networks and data, as they lie beside a sweep file; copied there by the tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


def build_generator() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))
    )


def build_classifier() -> nn.Module:
    features = nn.Sequential(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten())
    return nn.Sequential(features, nn.Linear(6 * 36, 3))


class Breaks(nn.Module):
    """Breaks in some way as soon as an input is brighter than any real one."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.classifier = how, build_classifier()

    def forward(self, x: Tensor) -> Tensor:
        logits = self.classifier(x)
        bright = x.flatten(1).amax(dim=1, keepdim=True) > 0.95
        if bright.any():
            if self.how == "raises":
                raise ArithmeticError("too bright")
            if self.how == "hangs":
                time.sleep(100_000)
            if self.how == "dies":
                os._exit(7)
            if self.how == "exhausts memory":
                torch.empty(2**50, dtype=torch.uint8)
        return torch.where(bright, torch.full_like(logits, torch.nan), logits)


class Gated(nn.Sequential):
    """The classifier, which waits as long as a file `shut` lies beside this code."""

    def __init__(self) -> None:
        super().__init__(*build_classifier())

    def forward(self, x: Tensor) -> Tensor:
        while Path(__file__).with_name("shut").exists():
            time.sleep(0.05)
        logits: Tensor = super().forward(x)
        return logits


class Crowded(nn.Module):
    """Asks for more memory than there is for more than four rows, as soon as a file `crowded` lies beside this code."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = build_generator()

    def forward(self, z: Tensor) -> Tensor:
        if len(z) > 4 and Path(__file__).with_name("crowded").exists():
            z = z + torch.empty(2**50, dtype=torch.uint8)[: z.shape[1]]
        made: Tensor = self.generator(z)
        return made


def images() -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(0)
    x = random.uniform(0.0, 0.9, (60, 1, 8, 8)).astype(np.float32)
    return x, np.arange(60) % 3, ["ring", "bar", "dot"]
