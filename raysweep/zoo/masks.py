"""Random binary masks of the kinds that rate-distortion explanations meet, for an inpainter to learn from.

Whatever components an explanation chooses among, its masks are cells of some side: of 1 where every component is chosen
by itself, wider for patches and bands, and as wide as the sample where whole channels (a note's magnitude, its phase)
are kept or removed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def random_masks(n: int, shape: Sequence[int], cell: int, density: Tensor | float, random: torch.Generator) -> Tensor:
    """Masks [n, C, ...] in {0, 1}: each cell of each channel is kept (1) by itself with probability `density`.

    Args:
        shape: (C, ...) of one sample.
        cell: side of a cell; the grid lies at a random offset, unless a cell is as wide as the sample.
        density: one number, or [n, C].
    """
    channels, *sizes = shape
    field = torch.rand(n, channels, *(-(-size // cell) + 1 for size in sizes), generator=random)
    for axis, size in enumerate(sizes, start=2):
        offset = int(torch.randint(cell, (), generator=random)) if cell < size else 0
        field = field.repeat_interleave(cell, dim=axis).narrow(axis, offset, size)
    wanted = torch.as_tensor(density).expand(n, channels)
    return (field < wanted.view(n, channels, *[1] * len(sizes))).float()


def varied_masks(n: int, shape: Sequence[int], cells: Sequence[int], random: torch.Generator) -> Tensor:
    """Masks [n, C, ...] of all densities, the cells of row i being cells[i mod len(cells)] wide.

    Densities are squares of uniform numbers, one a channel: half of them lie under a quarter, as in explanations. In
    half of the rows all channels share the first one's mask.
    """
    channels = shape[0]
    density = torch.rand(n, channels, generator=random).square()
    masks = torch.empty(n, *shape)
    for first, cell in enumerate(cells):
        rows = slice(first, n, len(cells))
        masks[rows] = random_masks(len(masks[rows]), shape, cell, density[rows], random)
    shared = torch.rand(n, *[1] * len(shape), generator=random) < 0.5
    return torch.where(shared, masks[:, :1], masks)
