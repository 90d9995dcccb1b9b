"""Do 95 % intervals cover? Simulated at N = 50, the reference known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from raysweep.objectives.bootstrap import inverted, multiplicities, resamples, score
from raysweep.objectives.frechet import Reference, frechet_distance, score_frechet

N = 50
INDICES = resamples(0, N)


def standard(d: int) -> Reference:
    """An infinite standard normal reference."""
    return Reference(10**6, np.zeros(d), np.eye(d))


def simulate(d: int, shift: float, scale: float, times: int, seed: int = 0) -> np.ndarray:
    """Samples [times, N, D] at the true squared distance shift² + D (scale − 1)²."""
    noise = np.random.default_rng(seed).standard_normal((times, N, d))
    return scale * noise + shift / np.sqrt(d)


# With 4000 samples each .925-.963; the sampling error of 600 is .01.
@pytest.mark.parametrize(
    ("shift", "scale"),
    [(0, 1), (0.1, 1), (0.2, 1), (0.5, 1), (3, 1), (0, 1.3), (0, 0.7), (0, 0.2), (0.2, 0.8), (3, 3), (30, 10)],
)
def test_response_interval_covers_the_true_distance_from_zero_up(shift: float, scale: float) -> None:
    true = shift**2 + (scale - 1) ** 2
    scores = [score_frechet(x, standard(1), INDICES) for x in simulate(1, shift, scale, 600)]
    assert np.mean([s.low <= true <= s.high for s in scores]) >= 0.90


# With 500 (d = 16) or 1000 samples each .929-.986; the sampling error of 120 is .02.
@pytest.mark.parametrize(("d", "times"), [(2, 300), (3, 300), (8, 150), (16, 120)])
@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (3, 1)])
def test_interval_covers_the_true_distance_while_examples_suffice(
    d: int, times: int, shift: float, scale: float
) -> None:
    true = shift**2 + d * (scale - 1) ** 2
    scores = [score_frechet(x, standard(d), INDICES) for x in simulate(d, shift, scale, times)]
    assert np.mean([s.low <= true <= s.high for s in scores]) >= 0.90


@pytest.mark.parametrize("d", [20, 64])
@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (3, 1), (0, 2)])
def test_interval_covers_the_distance_expected_at_n_when_examples_are_few(d: int, shift: float, scale: float) -> None:
    many = simulate(d, shift, scale, 200, seed=1)
    expected = np.mean([frechet_distance(x, standard(d)) for x in many])
    scores = [score_frechet(x, standard(d), INDICES[:100]) for x in many[:30]]
    assert np.mean([s.low <= expected <= s.high for s in scores]) >= 0.90


def test_percentiles_of_raw_resamples_never_cover_zero() -> None:
    for x in simulate(1, 0, 1, 20)[:, :, 0]:
        raw = x[INDICES]
        distances = raw.mean(1) ** 2 + (raw.std(1, ddof=1) - 1) ** 2
        assert np.quantile(distances, 0.025) > 0


def test_inverted_replicate_is_the_distance_that_explains_the_observed_one() -> None:
    x = simulate(1, 1, 1.5, 1)[0, :, 0]
    at = np.array([x.mean(), x.std(ddof=1) - 1])
    draws = x[INDICES]
    error = np.stack([draws.mean(1), draws.std(1, ddof=1) - 1], axis=1) - at
    value, direction = at @ at, at / np.linalg.norm(at)
    deltas = inverted(value, np.square(at + error).sum(1), np.square(error).sum(1)) ** 0.5
    np.testing.assert_allclose(np.linalg.norm(error + deltas[:, None] * direction, axis=1) ** 2, value)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_a_resample_beyond_float64_is_nan_and_never_a_distance_of_zero() -> None:
    indices = resamples(0, 6)
    result = score_frechet(np.array([1.7e154, 0, 0, 0, 0, 0]), standard(1), indices)
    assert np.isfinite(result.value)
    assert np.isnan([result.low, result.high]).all()
    assert np.isnan(result.replicates[(indices == 0).sum(axis=1) >= 4]).all()


def test_resamples_depend_on_seed_and_number_of_examples_alone() -> None:
    np.testing.assert_array_equal(resamples(3, 20), resamples(3, 20))
    assert resamples(3, 20).shape == (400, 20)
    assert resamples(3, 20).dtype == np.int64
    assert (resamples(3, 20) != resamples(4, 20)).any()
    np.testing.assert_array_equal(resamples(3, 20, 10), resamples(3, 20)[:10])
    assert set(np.unique(resamples(3, 20))) == set(range(20))


def test_replicates_of_two_trials_are_paired() -> None:
    x = simulate(1, 2, 1, 1)[0]
    first, second = (score_frechet(y, standard(1), INDICES).replicates for y in (x, x + 0.05))
    assert np.corrcoef(first, second)[0, 1] > 0.99
    assert (second > first).all()


def test_multiplicities_count_each_example() -> None:
    np.testing.assert_array_equal(multiplicities(np.array([[0, 0, 2], [1, 1, 1]]), 3), [[2, 0, 1], [0, 3, 0]])


def test_interval_holds_its_value() -> None:
    result = score(5.0, np.linspace(0, 1, 400), 50)
    assert result.low <= result.value <= result.high
