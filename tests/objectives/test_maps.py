"""Numbers of heat maps against SciPy and plain loops: correlations, areas, changes, and how few places are hot."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from raysweep.objectives.correlation import correlations, rank_correlations
from raysweep.objectives.faithfulness import area_under_kept, area_under_lost, unfaithfulness
from raysweep.objectives.sparseness import diffuseness, gini
from raysweep.objectives.stability import relative_changes, similarities


def rows(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_correlations_are_scipys() -> None:
    one, other = rows(9, 12), rows(9, 12, seed=1)
    expected = [stats.pearsonr(a, b).statistic for a, b in zip(one, other, strict=True)]
    assert correlations(torch.tensor(one), torch.tensor(other)).tolist() == pytest.approx(expected, abs=1e-12)
    assert unfaithfulness(torch.tensor(one), torch.tensor(other)).tolist() == pytest.approx([1 - r for r in expected])


@pytest.mark.parametrize("grid", [1.0, 1000.0])  # with many ties, and with few
def test_rank_correlations_are_scipys(grid: float) -> None:
    one, other = (np.round(rows(9, 12, seed=seed) * grid) for seed in (0, 1))
    expected = [stats.spearmanr(a, b).statistic for a, b in zip(one, other, strict=True)]
    assert rank_correlations(torch.tensor(one), torch.tensor(other)).tolist() == pytest.approx(expected, abs=1e-12)


def test_what_is_the_same_throughout_correlates_with_nothing_but_its_like() -> None:
    flat, other = torch.full((1, 7), 0.1), torch.arange(7.0)[None]
    assert correlations(flat, other).tolist() == correlations(other, flat).tolist() == [0.0]
    assert unfaithfulness(flat, other).tolist() == [1.0]
    assert rank_correlations(flat, other).tolist() == [0.0]
    assert rank_correlations(flat, flat).tolist() == [1.0]


def test_flipping_areas_are_those_under_the_curve_and_over_it() -> None:
    drop = torch.tensor([[0.0, 3.0, 4.0, 4.0, 4.0], [0.0, 0.0, -2.0, 0.0, 4.0]])
    assert area_under_lost(drop, 4.0).tolist() == [(0.75 + 1 + 1 + 0.5) / 4, (-0.5 + 0.5) / 4]
    assert area_under_kept(drop, 4.0).tolist() == [1 - 3.25 / 4, 1.0]


def test_the_greatest_change_counts_in_units_of_the_map() -> None:
    heat, others = rows(5, 1, 3, 3), rows(5, 4, 1, 3, 3, seed=1)
    for found, clean, noisy in zip(
        relative_changes(torch.tensor(heat), torch.tensor(others)), heat, others, strict=True
    ):
        assert float(found) == pytest.approx(max(np.linalg.norm(one - clean) for one in noisy) / np.linalg.norm(clean))
    nothing = torch.zeros(1, 3)
    assert relative_changes(nothing, torch.tensor([[[0.0, 3.0, 4.0]]])).tolist() == [5.0]
    assert relative_changes(nothing, torch.zeros(1, 2, 3)).tolist() == [0.0]


def test_similarity_to_other_maps_is_the_mean_of_absolute_rank_correlations() -> None:
    heat, others = rows(4, 2, 3), rows(4, 3, 2, 3, seed=1)
    for found, one, more in zip(similarities(torch.tensor(heat), torch.tensor(others)), heat, others, strict=True):
        expected = np.mean([abs(stats.spearmanr(one.ravel(), other.ravel()).statistic) for other in more])
        assert float(found) == pytest.approx(expected)
    assert similarities(torch.tensor(heat), torch.tensor(-heat[:, None])).tolist() == pytest.approx([1.0] * 4)


def test_the_gini_index_is_half_the_mean_difference_in_units_of_the_mean() -> None:
    heat = rows(6, 2, 5)
    for found, one in zip(gini(torch.tensor(heat)), heat, strict=True):
        a = np.abs(one).ravel()
        assert float(found) == pytest.approx(np.abs(a[:, None] - a[None]).mean() / (2 * a.mean()))


def test_diffuseness_is_least_for_one_hot_place_and_one_for_heat_everywhere() -> None:
    maps = torch.zeros(3, 4)
    maps[0, 2], maps[1] = -5.0, 2.0
    assert diffuseness(maps).tolist() == pytest.approx([0.25, 1.0, 1.0])
