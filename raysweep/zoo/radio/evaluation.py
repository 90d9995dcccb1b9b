"""What the card says about the networks, measured: errors in grey outdoors, beside a guess that sees only distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from raysweep.zoo.radio.networks import SIDE
from raysweep.zoo.radio.situations import Maps, compose, leave_out, measure

CHUNK = 64


@torch.no_grad()
def estimate(net: nn.Module, x: Tensor) -> Tensor:
    """The signal [N, 64, 64] that a network expects for x [N, 4, 64, 64], in chunks."""
    return torch.cat([net(part)[:, 0] for part in x.float().split(CHUNK)])


def rmse(signal: Tensor, maps: Maps) -> float:
    """Root mean squared error in grey, over all outdoor cells of all windows."""
    return float((signal - maps.truth)[maps.outdoors].square().mean().sqrt())


def situation(maps: Maps, missing: int, measurements: int, seed: int) -> Tensor:
    """Inputs x [N, 4, 64, 64] that lack `missing` buildings and know `measurements` cells."""
    random = torch.Generator().manual_seed(seed)
    lacking = leave_out(maps.buildings, torch.full((len(maps),), missing), random)
    return compose(maps, lacking, measure(maps.outdoors, torch.full((len(maps),), measurements), random))


@dataclass(frozen=True)
class ByDistance:
    """The trivial predictor: the mean signal of the training windows' outdoor cells at the same distance.

    Args:
        means: [D], by the distance to the transmitter in cells, rounded.
    """

    means: Tensor

    @classmethod
    def fit(cls, maps: Maps) -> ByDistance:
        cells = distances(maps)[maps.outdoors]
        counts = torch.bincount(cells, minlength=2 * SIDE)
        sums = torch.bincount(cells, maps.truth[maps.outdoors].double(), minlength=2 * SIDE)
        return cls((sums / counts.clamp_min(1)).float())

    def __call__(self, maps: Maps) -> Tensor:
        """The signal [N, 64, 64], 0 indoors."""
        return self.means[distances(maps)] * maps.outdoors


def distances(maps: Maps) -> Tensor:
    """Int64 [N, 64, 64]: each cell's distance to the transmitter in cells, rounded."""
    places = maps.transmitter.flatten(1).argmax(dim=1)
    rows, columns = places // SIDE, places % SIDE
    cells = torch.arange(SIDE)
    down, right = cells - rows[:, None], cells - columns[:, None]
    return (down.square()[:, :, None] + right.square()[:, None, :]).sqrt().round().long()


def multiply_adds(net: Callable[[Tensor], Tensor], example: Tensor) -> int:
    """Multiply-adds of one forward pass of one example."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(example)
    return int(counter.get_total_flops()) // 2
