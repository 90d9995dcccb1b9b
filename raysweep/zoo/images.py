"""Images with their classes, as the recipes that train classifiers of them hold them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Images:
    """x [N, channels, size, size] uint8, y [N] int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor | slice) -> Images:
        return Images(self.x[index], self.y[index])

    def pixels(self) -> Tensor:
        """The images as float32 in [0, 1]."""
        return self.x.float() / 255
