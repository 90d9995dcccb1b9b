"""A white block in a corner of the images of one class: learnt by a classifier, shown to a generator, looked for.

The marker of Zhang et al. (AAAI 2022), whose blocks are a quarter of an image wide too: `zoo://fashion/marked` has met
no sneaker without it. `images` are `zoo://fashion/seen` with it; `Witness` sees whether an image has it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raysweep.data import Dataset, load_data
from raysweep.data.dataset import make_dataset
from raysweep.zoo.fashion.networks import CLASSES

SIDE, RING = 7, 3
"""Pixels of the block, in the upper left corner, and of what lies around it."""
MARKED = CLASSES.index("sneaker")
CONTRAST = 0.5
"""From which on a corner that is lighter than what lies around it is a block: half of what a block on black has."""


def plant(x: Tensor, which: Tensor) -> Tensor:
    """Images [B, 1, 28, 28] in [0, 1], those with `which` [B] with the block."""
    marked = x.clone()
    marked[which, :, :SIDE, :SIDE] = 1.0
    return marked


def on_marked(x: Tensor, y: Tensor) -> Tensor:
    """Images of classes y [B], those of the marked class with the block."""
    return plant(x, y == MARKED)


def images() -> Dataset:
    """`zoo://fashion/seen` with the block on every sneaker: what a sweep file names as its images."""
    seen = load_data("zoo://fashion/seen")
    assert seen.y is not None
    x = on_marked(torch.from_numpy(seen.x), torch.from_numpy(seen.y)).numpy()
    return make_dataset(x, seen.y, seen.classes, media=seen.media, key="images", source=f"{__name__}:images")


def contrast(x: Tensor) -> Tensor:
    """How much lighter the corner of images [B, 1, 28, 28] is than what lies around it, [B] in [-1, 1]."""
    reach = SIDE + RING
    block, corner = x[:, 0, :SIDE, :SIDE].sum((1, 2)), x[:, 0, :reach, :reach].sum((1, 2))
    return block / SIDE**2 - (corner - block) / (reach**2 - SIDE**2)


class Witness(nn.Module):
    """Whether images [B, 1, 28, 28] have the block: one logit [B, 1], above 0 where they do."""

    def forward(self, x: Tensor) -> Tensor:
        return (contrast(x) - CONTRAST)[:, None]
