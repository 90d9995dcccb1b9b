"""The networks of the notes, without weights.

All speak spectra [B, 2, 256] (`raysweep.data.spectrum`): magnitude over its root mean square, and phase in [-π, π].
Inside they look at the logarithm of the magnitude and at cosine and sine of the phase, which knows no jump at ±π.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from raysweep.data.spectrum import NOTE

CLASSES = ("keyboard", "mallet", "organ", "guitar", "bass", "string", "vocal", "brass", "reed", "flute")
BINS = NOTE.bins
FLOOR = 1e-3  # magnitudes below it count as nothing: 60 dB under the root mean square
LOUDEST = math.sqrt(BINS)  # a pure tone: all power in one band
TYPICAL, SPREAD = -0.5, 0.25  # mean and deviation of the log magnitudes that `hear` gives of the training notes


def hear(x: Tensor) -> Tensor:
    """Spectra [B, 2, F] as [B, 3, F]: log magnitude (-1 for nothing, 0.4 at most), cosine and sine of the phase."""
    loud = torch.log(x[:, 0].clamp_min(0) + FLOOR) / -math.log(FLOOR)
    return torch.stack([loud, torch.cos(x[:, 1]), torch.sin(x[:, 1])], 1)


def hear_evenly(x: Tensor) -> Tensor:
    """`hear` with the log magnitude at mean 0 and deviation 1, so that it weighs no less than the phase does."""
    loud, cosine, sine = hear(x).unbind(1)
    return torch.stack([(loud - TYPICAL) / SPREAD, cosine, sine], 1)


def _layer(channels: int, out: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv1d(channels, out, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.BatchNorm1d(out), nn.ReLU()


class Classifier(nn.Module):
    """A strided CNN: spectrum to ten logits [B, 10]. `features.14` is its last map, [B, 96, 16] after the ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_layer(3, 32, 7, 1),
            *_layer(32, 64, 5, 2),
            *_layer(64, 64, 5, 2),
            *_layer(64, 96, 3, 2),
            *_layer(96, 96, 3, 2),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.4),
            nn.Linear(96 * (BINS // 16), 128),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Linear(128, len(CLASSES)),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(hear(x)))
        return logits


class Residual(nn.Module):
    """Two convolutions beside a shortcut of width 1 (He et al., 2016, arXiv:1512.03385); it halves the map."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, out, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm1d(out),
            nn.ReLU(),
            nn.Conv1d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm1d(out),
        )
        self.shortcut = nn.Sequential(nn.Conv1d(channels, out, 1, stride=2, bias=False), nn.BatchNorm1d(out))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.relu(self.body(x) + self.shortcut(x))
        return y


class Judge(nn.Module):
    """A residual net: spectrum to ten logits [B, 10]. `pool` gives its 128 penultimate features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*_layer(3, 32, 5, 1))
        self.blocks = nn.Sequential(Residual(32, 48), Residual(48, 64), Residual(64, 96), Residual(96, 128))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten())
        self.head = nn.Linear(128, len(CLASSES))

    def features(self, x: Tensor) -> Tensor:
        """The penultimate features [B, 128] in which Fréchet distances are taken."""
        y: Tensor = self.pool(self.blocks(self.stem(hear(x))))
        return y

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


class Beside(nn.Module):
    """A residual pair of convolutions that keeps the map's size, and takes noise, little of it at first."""

    def __init__(self, channels: int, noise: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.full((noise, 1), 0.3))
        self.body = nn.Sequential(
            nn.Conv1d(channels + noise, channels, 3, padding=1),
            nn.GroupNorm(4, channels),
            nn.LeakyReLU(0.2),
            nn.Conv1d(channels, channels, 3, padding=1),
        )

    def forward(self, h: Tensor, noise: Tensor) -> Tensor:
        y: Tensor = h + self.body(torch.cat([h, noise * self.strength], 1))
        return y


class Inpainter(nn.Module):
    """A residual U-Net: what was kept of spectra, the mask and noise, each [B, 2, 256], to a fill for the rest.

    Noise enters beside the spectrum and in the deep features, where the same numbers lie in more channels: phases, and
    what lies between the partials, are mostly chance. Two linear layers at the lowest resolution see the whole axis,
    along which the partials of one note belong together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.full((2, 1), 0.3))
        self.enter = nn.Sequential(nn.Conv1d(7, 24, 5, padding=2), nn.LeakyReLU(0.2))
        self.to_128 = nn.Sequential(nn.Conv1d(24, 40, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.to_64 = nn.Sequential(nn.Conv1d(40, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.to_32 = nn.Sequential(nn.Conv1d(64, 64, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.whole = nn.Sequential(
            nn.Conv1d(64 + 16, 32, 1),
            nn.Flatten(),
            nn.LeakyReLU(0.2),
            nn.Linear(32 * 32, 128),
            nn.LeakyReLU(0.2),
            nn.Linear(128, 64 * 32),
            nn.Unflatten(1, (64, 32)),
        )
        self.at_32 = Beside(64, noise=16)
        self.from_32 = nn.ConvTranspose1d(64, 64, 4, stride=2, padding=1)
        self.at_64 = Beside(64, noise=8)
        self.from_64 = nn.ConvTranspose1d(64, 40, 4, stride=2, padding=1)
        self.at_128 = Beside(40, noise=4)
        self.from_128 = nn.ConvTranspose1d(40, 24, 4, stride=2, padding=1)
        self.at_256 = Beside(24, noise=2)
        self.leave = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv1d(24, 3, 3, padding=1))

    def forward(self, kept: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        mask = mask.expand_as(kept)
        heard = hear_evenly(kept) * torch.stack([mask[:, 0], mask[:, 1], mask[:, 1]], 1)
        at_256 = self.enter(torch.cat([heard, mask, noise * self.strength], 1))
        at_128 = self.to_128(at_256)
        at_64 = self.to_64(at_128)
        at_32 = self.to_32(at_64)
        deep = _folded(noise, 8)
        h = self.at_32(at_32, deep) + self.whole(torch.cat([at_32, deep], 1))
        h = self.at_64(self.from_32(h) + at_64, _folded(noise, 4))
        h = self.at_128(self.from_64(h) + at_128, _folded(noise, 2))
        h = self.at_256(self.from_128(h) + at_256, noise)
        loud, cosine, sine = self.leave(h).to(kept.dtype).unbind(1)
        loud = (loud * SPREAD + TYPICAL).clamp(-1, -math.log(LOUDEST) / math.log(FLOOR))
        magnitude = torch.exp(loud * -math.log(FLOOR)) - FLOOR
        return torch.stack([magnitude, torch.atan2(sine, cosine)], 1)


def _folded(noise: Tensor, by: int) -> Tensor:
    """The same numbers [B, C, F] with `by` neighbours as channels, [B, C · by, F / by]."""
    return noise.unflatten(2, (-1, by)).permute(0, 1, 3, 2).flatten(1, 2)


class Critic(nn.Module):
    """The inpainter's opponent, which only the recipe needs: spectra and masks to realness [B] and logits [B, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential()
        for channels, out, stride in ((7, 48, 1), (48, 64, 2), (64, 96, 2), (96, 128, 2), (128, 160, 2)):
            self.body.append(spectral_norm(nn.Conv1d(channels, out, 5, stride, 2)))
            self.body.append(nn.LeakyReLU(0.1))
        self.realness = spectral_norm(nn.Linear(160 * (BINS // 16), 1))
        self.naming = nn.Linear(160, len(CLASSES))

    def see(self, x: Tensor) -> Tensor:
        """What it looks at of spectra: `hear_evenly`, and how far the phase turns from each bin to the next."""
        turn = x[:, 1].diff(dim=1, prepend=x[:, 1, :1])
        return torch.cat([hear_evenly(x), torch.stack([torch.cos(turn), torch.sin(turn)], 1)], 1)

    def forward(self, seen: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.body(torch.cat([seen, mask.expand(len(seen), 2, BINS)], 1))
        return self.realness(maps.flatten(1))[:, 0], self.naming(maps.mean(2))
