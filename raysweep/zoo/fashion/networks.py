"""The Fashion-MNIST networks, without weights.

All read or make images [B, 1, 28, 28] float32 in [0, 1] and standardise inside. Generator and classifier together
take about 11 million multiply-adds an example, so that a sweep of half a million row-steps is minutes on two cores;
the inpainter, which every step of a rate-distortion explanation runs, takes no more than the classifier does. The judge
looks only at what a sweep made, and may cost more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

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


class Inpainter(nn.Module):
    """A small U-Net: what was kept of images, the mask and noise, each [B, 1, 28, 28], to a fill for the rest.

    Noise enters beside the image and at both halved resolutions, where the same numbers lie in more channels. Two
    linear layers between the 7 × 7 maps see the whole image, as in `Generator`: where little was kept there is a shape
    to invent.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to_14 = nn.Sequential(nn.Conv2d(3, 20, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.to_7 = nn.Sequential(nn.Conv2d(20 + 4, 36, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.whole = nn.Sequential(
            nn.Conv2d(36 + 16, 16, 1),
            nn.Flatten(),
            nn.LeakyReLU(0.2),
            nn.Linear(16 * 7 * 7, 160),
            nn.LeakyReLU(0.2),
            nn.Linear(160, 36 * 7 * 7),
            nn.Unflatten(1, (36, 7, 7)),
        )
        self.near = nn.Sequential(
            nn.Conv2d(36 + 16, 36, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(36, 36, 3, padding=1)
        )
        self.joined = nn.Sequential(nn.GroupNorm(4, 36), nn.LeakyReLU(0.2))
        self.from_7 = nn.ConvTranspose2d(36, 20, 4, stride=2, padding=1)
        self.at_14 = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(20, 20, 3, padding=1), nn.LeakyReLU(0.2))
        self.from_14 = nn.Sequential(nn.ConvTranspose2d(20, 8, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.at_28 = nn.Sequential(
            nn.Conv2d(8 + 3, 6, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(6, 1, 3, padding=1), nn.Sigmoid()
        )

    def forward(self, kept: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        mask = mask.expand_as(kept)
        at_28 = torch.cat([kept * 2 - mask, mask, noise], 1)
        at_14 = self.to_14(at_28)
        at_7 = self.to_7(torch.cat([at_14, functional.pixel_unshuffle(noise, 2)], 1))
        deep = torch.cat([at_7, functional.pixel_unshuffle(noise, 4)], 1)
        up = self.from_7(self.joined(at_7 + self.near(deep) + self.whole(deep)))
        fill: Tensor = self.at_28(torch.cat([self.from_14(self.at_14(up + at_14)), at_28], 1))
        return fill.to(kept.dtype)


class Critic(nn.Module):
    """The inpainter's opponent, which only the recipe needs: images and masks to realness [B] and logits [B, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential()
        for channels, out, stride in ((2, 32, 1), (32, 64, 2), (64, 128, 2), (128, 192, 2)):
            self.body.append(spectral_norm(nn.Conv2d(channels, out, 3, stride, 1)))
            self.body.append(nn.LeakyReLU(0.1))
        self.realness = spectral_norm(nn.Linear(192 * 4 * 4, 1))
        self.naming = nn.Linear(192, 10)

    def see(self, x: Tensor) -> Tensor:
        """What it looks at of images in [0, 1]: their grey values from -1 to 1."""
        return x * 2 - 1

    def forward(self, seen: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.body(torch.cat([seen, mask.expand_as(seen)], 1))
        return self.realness(maps.flatten(1))[:, 0], self.naming(maps.mean((2, 3)))
