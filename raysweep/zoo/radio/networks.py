"""The radio networks, without weights: one UNet (Ronneberger et al., 2015) for Φ and Φ_gt, and what channels hold.

Radio maps as in Levie, Yapar, Kutyniok and Caire (*RadioUNet*, 2021): [B, 4, 64, 64] in, signal [B, 1, 64, 64] out.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

SIDE = 64
CITY, TRANSMITTER, SIGNAL, MEASURED = range(4)  # the channels of x
CHANNELS = 4
CITIES = ("munich", "florence", "etoile")
WIDTHS = (32, 64, 96, 128)


class Place(nn.Module):
    """Appends to x [B, 4, H, W] where each cell lies from the transmitter: rows, columns, and log of the distance.

    A one-hot map tells a convolution nothing beyond its reach. Without a transmitter the middle of the map stands in.
    """

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        rows = torch.arange(height, device=x.device, dtype=torch.float32)[:, None] / SIDE
        columns = torch.arange(width, device=x.device, dtype=torch.float32) / SIDE
        here = x[:, TRANSMITTER].float()
        mass = here.sum(dim=(1, 2), keepdim=True)
        share = torch.where(mass > 0, here / mass.clamp_min(1e-6), 1 / (height * width))
        down = rows - (share * rows).sum(dim=(1, 2), keepdim=True)
        right = columns - (share * columns).sum(dim=(1, 2), keepdim=True)
        far = (down.square() + right.square() + (0.5 / SIDE) ** 2).log() / 4
        places = torch.stack([down.expand_as(far), right.expand_as(far), far], dim=1)
        return torch.cat([x, places.to(x.dtype)], dim=1)


class UNet(nn.Module):
    """City, transmitter, signal where measured, and where that is, [B, 4, 64, 64], to the signal everywhere.

    Works on maps of 32 × 32 whose channels hold 2 × 2 cells, and looks at the single cells again before it answers. A
    row depends on no other row: normalisation is over groups of channels of one map (Wu and He, 2018).
    """

    def __init__(self) -> None:
        super().__init__()
        seen = CHANNELS + 3
        self.place = Place()
        self.enter = nn.Sequential(nn.PixelUnshuffle(2), _twice(4 * seen, WIDTHS[0]))
        self.down = nn.ModuleList(nn.Sequential(nn.MaxPool2d(2), _twice(a, b)) for a, b in pairwise(WIDTHS))
        self.up = nn.ModuleList(_twice(a + b, a) for a, b in reversed(list(pairwise(WIDTHS))))
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")
        self.unfold = nn.PixelShuffle(2)
        self.leave = nn.Sequential(nn.Conv2d(WIDTHS[0] // 4 + seen, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        placed = self.place(x)
        maps = [self.enter(placed)]
        for down in self.down:
            maps.append(down(maps[-1]))
        h = maps.pop()
        for up in self.up:
            h = up(torch.cat([maps.pop(), self.grow(h)], dim=1))
        signal: Tensor = self.leave(torch.cat([placed, self.unfold(h)], dim=1))
        return signal


def _twice(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(*_convolve(channels, out), *_convolve(out, out))


def _convolve(channels: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.GroupNorm(8, out), nn.SiLU()
