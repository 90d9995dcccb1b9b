"""What a network is told: a city map that lacks buildings, the transmitter, and the signal at the cells measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raysweep.zoo.radio.networks import CHANNELS, CITY, MEASURED, SIGNAL, TRANSMITTER


@dataclass(frozen=True)
class Maps:
    """Rendered windows, all [N, 64, 64].

    Args:
        buildings: int64; 0 outdoors, the buildings from 1.
        transmitter: float32, 1 in the transmitter's cell.
        truth: float32, the signal: 0 the noise floor (and indoors), 1 the strongest.
    """

    buildings: Tensor
    transmitter: Tensor
    truth: Tensor

    def __len__(self) -> int:
        return len(self.truth)

    def __getitem__(self, index: Tensor | slice) -> Maps:
        return Maps(self.buildings[index], self.transmitter[index], self.truth[index])

    @property
    def outdoors(self) -> Tensor:
        """Bool [N, 64, 64]: cells without a building."""
        return self.buildings == 0


def join(parts: list[Maps]) -> Maps:
    """All rows of all parts, in order."""
    return Maps(*(torch.cat([getattr(p, name) for p in parts]) for name in ("buildings", "transmitter", "truth")))


def compose(maps: Maps, missing: Tensor, measured: Tensor) -> Tensor:
    """The input x [N, 4, 64, 64] of a network.

    Args:
        maps: the windows.
        missing: bool [N, 64, 64]: cells of the buildings that the city map lacks.
        measured: bool [N, 64, 64]: cells whose signal is known.
    """
    x = maps.truth.new_zeros(len(maps), CHANNELS, *maps.truth.shape[1:])
    x[:, CITY] = (~maps.outdoors & ~missing).float()
    x[:, TRANSMITTER] = maps.transmitter
    x[:, SIGNAL] = maps.truth * measured
    x[:, MEASURED] = measured.float()
    return x


def leave_out(buildings: Tensor, count: Tensor, random: torch.Generator) -> Tensor:
    """Bool [N, 64, 64]: the cells of count[n] random buildings of map n, or of all that it has."""
    flat = buildings.flatten(1)
    present = torch.zeros(len(flat), int(flat.max()) + 1, dtype=torch.bool)
    present.scatter_(1, flat, True)
    present[:, 0] = False
    return _pick(present, count, random).gather(1, flat).view_as(buildings)


def measure(outdoors: Tensor, count: Tensor, random: torch.Generator) -> Tensor:
    """Bool [N, 64, 64]: count[n] random outdoor cells of map n."""
    return _pick(outdoors.flatten(1), count, random).view_as(outdoors)


def few_to_many(n: int, most: int, random: torch.Generator) -> Tensor:
    """n counts from 0 to `most`, about evenly in the logarithm: few are as frequent as many."""
    return ((most + 1.0) ** torch.rand(n, generator=random) - 0.5).long().clamp(0, most)


def turn(maps: Maps, random: torch.Generator) -> Maps:
    """Each window mirrored and turned at random: the physics has no direction."""
    quarters = torch.randint(4, (len(maps),), generator=random).tolist()
    mirrored = torch.randint(2, (len(maps),), generator=random).tolist()

    def turned(planes: Tensor) -> Tensor:
        rows = zip(planes, quarters, mirrored, strict=True)
        return torch.stack([torch.rot90(p.flip(1) if flipped else p, quarter) for p, quarter, flipped in rows])

    return Maps(turned(maps.buildings), turned(maps.transmitter), turned(maps.truth))


def _pick(allowed: Tensor, count: Tensor, random: torch.Generator) -> Tensor:
    """Bool like `allowed` [N, K]: count[n] random ones among those allowed in row n."""
    draw = torch.rand(allowed.shape, generator=random).masked_fill(~allowed, 2.0)
    rank = draw.argsort(dim=1).argsort(dim=1)
    return (rank < count[:, None]) & allowed
