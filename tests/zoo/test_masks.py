"""Random masks: binary, of the density and the cells that were asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from raysweep.zoo.masks import random_masks, varied_masks

SHAPES = [(1, 28, 28), (2, 256)]


def _random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _borders(masks: Tensor) -> Tensor:
    """How often neighbours along the last axis differ."""
    return (masks[..., 1:] != masks[..., :-1]).float().mean()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", [1, 5, 16])
@pytest.mark.parametrize("density", [0.05, 0.5, 0.9])
def test_masks_are_binary_and_of_the_density_asked_for(shape: tuple[int, ...], cell: int, density: float) -> None:
    masks = random_masks(400, shape, cell, density, _random())
    assert masks.shape == (400, *shape)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert masks.mean() == pytest.approx(density, abs=0.04)


@pytest.mark.parametrize(("density", "value"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_extreme_densities_keep_nothing_and_everything(density: float, value: float) -> None:
    assert (random_masks(8, (2, 256), 4, density, _random()) == value).all()


def test_wider_cells_make_fewer_borders() -> None:
    rates = [float(_borders(random_masks(200, (1, 28, 28), cell, 0.5, _random()))) for cell in (1, 4)]
    assert rates == pytest.approx([0.5, 0.5 / 4], rel=0.1)


def test_a_cell_as_wide_as_the_sample_keeps_or_removes_whole_channels() -> None:
    masks = random_masks(100, (2, 256), 256, 0.5, _random())
    assert (masks == masks[:, :, :1]).all()
    kinds = {tuple(row) for row in masks[:, :, 0].int().tolist()}
    assert kinds == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_each_channel_may_have_a_density_of_its_own() -> None:
    masks = random_masks(300, (2, 256), 1, torch.tensor([[0.1, 0.8]]), _random())
    torch.testing.assert_close(masks.mean((0, 2)), torch.tensor([0.1, 0.8]), atol=0.01, rtol=0)


def test_varied_masks_cover_all_densities_and_half_of_them_keep_under_a_quarter() -> None:
    density = varied_masks(2000, (1, 28, 28), (1, 2, 4), _random()).mean((1, 2, 3))
    assert density.min() < 0.001
    assert density.max() > 0.97
    assert (density < 0.25).float().mean() == pytest.approx(0.5, abs=0.05)
    assert density.histc(10, 0, 1).min() > 50


def test_varied_masks_are_of_each_cell_in_turn() -> None:
    masks = varied_masks(600, (2, 256), (1, 16, 256), _random())
    rates = [float(_borders(masks[first::3])) for first in range(3)]
    assert rates[0] > 8 * rates[1] > 0
    assert rates[2] == 0


def test_in_half_of_the_varied_masks_the_channels_are_masked_alike() -> None:
    masks = varied_masks(600, (2, 256), (1, 16), _random())
    assert (masks[:, 0] == masks[:, 1]).all(1).float().mean() == pytest.approx(0.5, abs=0.06)


def test_the_same_seed_gives_the_same_masks() -> None:
    first, again, other = (varied_masks(9, (2, 256), (1, 16, 256), _random(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
