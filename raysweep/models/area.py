"""What is read of a network that makes a map: the map itself, in an area of interest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.readout import Readout

AXES = ("rows", "columns")


class AreaReadout(Readout):
    """Inputs [B, ...] -> what a network makes of them in a rectangle of its map, [B, cells of all channels].

    Args:
        module: the network, whose output is [B, C, H, W].
        area: the rectangle's `rows` and `columns`, each from the first to before the last; all where not given.
        key: the sweep file's key, for errors.

    Raises:
        InputError: on the first call, the output is no map, or the area lies outside of it.
    """

    def __init__(self, module: nn.Module, area: Mapping[str, Sequence[int]], *, key: str = "target") -> None:
        super().__init__(module, key=key)
        self.area = dict(area)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = self.module(x)
        if not isinstance(made, torch.Tensor) or made.ndim != 4:
            found = list(made.shape[1:]) if isinstance(made, torch.Tensor) else type(made).__name__
            rule = "has a use only with a network that makes a map [C, H, W]"
            raise InputError(rule, key=f"{self.key}.query", value=found)
        rows, columns = self.within((made.shape[2], made.shape[3]))
        return made[:, :, rows, columns].flatten(1)

    def within(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """The area of a map of so many rows and columns."""
        found = []
        for name, length in zip(AXES, size, strict=True):
            first, last = self.area.get(name) or (0, length)
            if last > length:
                rule = f"must lie within the map, which has {length} {name}"
                raise InputError(rule, key=f"{self.key}.area.{name}", value=[first, last])
            found.append(slice(first, last))
        return found[0], found[1]
