"""Upsampling as torch does it, but that it is a product with matrices."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from raysweep.methods.upsampling import upsampled


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(9, 14), (4, 5), (3, 5), (28, 28)])
def test_between_places_is_linear(size: tuple[int, int], corners: bool) -> None:
    maps = torch.randn(2, 3, 3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = functional.interpolate(maps, size=size, mode="bilinear", align_corners=corners)
    torch.testing.assert_close(upsampled(maps, size, corners), wanted)
