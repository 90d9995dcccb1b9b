"""Scores of several classes against loops over classes and resamples, and the coverage of their intervals."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.frechet import Reference, frechet_distance, score_frechet
from raysweep.objectives.kid import KernelReference, score_kid, score_kid_together
from raysweep.objectives.per_class import score_classes, score_frechet_together
from raysweep.objectives.score import Score
from tests.objectives.test_frechet import slow_distance


def draw(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def of_latents(n: int, seed: int, classes: int = 3, d: int = 2) -> list[np.ndarray]:
    """What one generator makes of n latents in each class: a latent's samples of all classes are alike."""
    latents = draw(n, d, seed)
    own = [draw(n, d, 100_000 + 10 * seed + label) for label in range(classes)]
    return [0.8 * latents + 0.6 * own[label] + 1.5 * label for label in range(classes)]


def interval(replicates: np.ndarray, n: int) -> np.ndarray:
    """Percentiles whose levels are Student's t with n - 1 degrees of freedom, widened by √(n / (n - 1))."""
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1))
    return np.quantile(replicates, [tail, 1 - tail])


def test_the_mean_over_classes_its_replicates_and_interval_are_a_loops() -> None:
    indices = resamples(0, 20, 50)
    each = [score_frechet(draw(20, 2, seed), Reference.fit(draw(40, 2, 9) + seed), indices) for seed in range(3)]
    found = score_classes(each)
    assert found.value == pytest.approx(sum(one.value for one in each) / 3)
    wanted = np.zeros(50)
    for r in range(50):
        for one in each:
            wanted[r] += one.replicates[r] / 3
    np.testing.assert_allclose(found.replicates, wanted)
    low, high = interval(wanted, 20)
    assert (found.low, found.high) == pytest.approx((min(low, found.value), max(high, found.value)))
    assert found.n == 20


def test_an_interval_of_the_mean_is_narrower_than_the_mean_of_intervals() -> None:
    indices = resamples(0, 50)
    each = [score_frechet(draw(50, 1, seed) + 3, Reference.fit(draw(900, 1, 99)), indices) for seed in range(9)]
    found = score_classes(each)
    assert found.high - found.low < np.mean([one.high - one.low for one in each]) / 2


def test_of_a_class_that_is_not_finite_the_mean_is_undefined() -> None:
    indices = resamples(0, 8, 6)
    whole = score_frechet(draw(8, 2, 0), Reference.fit(draw(40, 2, 9)), indices)
    found = score_classes([whole, Score.undefined(8, 6), whole])
    assert np.isnan([found.value, found.low, found.high]).all()
    assert np.isnan(found.replicates).all()
    assert (found.n, found.replicates.shape) == (8, (6,))


def test_all_classes_together_are_one_set_and_a_latent_is_drawn_with_all_its_samples() -> None:
    made, real, indices = of_latents(6, 0, d=8), draw(30, 8, 9) - 3, resamples(0, 6, 5)
    found = score_frechet_together(made, Reference.fit(real), indices)
    assert found.value == pytest.approx(slow_distance(np.concatenate(made), real))
    resampled = []
    for row in indices:
        pool = [made[label][example] for example in row for label in range(3)]
        resampled.append(slow_distance(np.array(pool), real))
    wanted = np.array(resampled) - np.mean(resampled) + found.value  # 18 examples of 8 features: too few for the bias
    np.testing.assert_allclose(found.replicates, wanted)
    low, high = interval(wanted, 6)  # of 6 latents, not of 18 samples
    assert (found.low, found.high) == pytest.approx((min(low, found.value), max(high, found.value)))
    assert found.n == 6


def test_together_with_a_class_that_is_not_finite_nothing_is_defined() -> None:
    made, real, indices = of_latents(6, 0), draw(30, 2, 9), resamples(0, 6, 5)
    made[1][3] = np.inf
    for found in (
        score_frechet_together(made, Reference.fit(real), indices),
        score_kid_together(made, KernelReference.fit(real), indices),
    ):
        assert np.isnan([found.value, found.low, found.high]).all()
        assert (found.n, found.replicates.shape) == (6, (5,))


def test_one_class_together_is_that_class() -> None:
    made, real, indices = draw(20, 2, 0), draw(40, 2, 9), resamples(0, 20, 30)
    one, other = (
        score_frechet_together([made], Reference.fit(real), indices),
        score_frechet(made, Reference.fit(real), indices),
    )
    assert (one.value, one.low, one.high) == (other.value, other.low, other.high)
    kernel = KernelReference.fit(real)
    alone, same = score_kid_together([made], kernel, indices), score_kid(made, kernel, indices)
    assert (alone.value, alone.low, alone.high) == (same.value, same.low, same.high)


def test_the_kernel_distance_to_few_of_each_class_is_unbiased() -> None:
    one, values = resamples(0, 5, 1), []
    for seed in range(300):
        made, real = (
            [draw(5, 2, 1000 * seed + 10 * side + label) + 1.5 * label for label in range(3)] for side in (0, 1)
        )
        values.append(score_kid_together(made, KernelReference.fit_together(real), one).value)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)  # made as the real ones are: the distance is 0


def test_latents_too_few_for_the_bias_cover_what_is_expected_of_so_many() -> None:
    reference = Reference.fit(np.concatenate(of_latents(20_000, 1, d=8)))
    indices = resamples(0, 20, 200)  # 20 latents < 3 · 8 features ≤ 60 samples
    scores = [score_frechet_together(of_latents(20, seed, d=8), reference, indices) for seed in range(10, 110)]
    expected = np.mean([one.value for one in scores])
    assert np.mean([one.low <= expected <= one.high for one in scores]) >= 0.9


@pytest.mark.parametrize("shift", [0, 1])
def test_the_interval_of_all_together_covers_the_true_distance(shift: float) -> None:
    reference = Reference.fit(np.concatenate(of_latents(20_000, 1)) + shift)
    truth = frechet_distance(np.concatenate(of_latents(20_000, 2)), reference)
    indices = resamples(0, 50, 200)
    scores = [score_frechet_together(of_latents(50, seed), reference, indices) for seed in range(10, 210)]
    assert np.mean([one.low <= truth <= one.high for one in scores]) >= 0.9


def slow_kid(made: list[np.ndarray], real: list[np.ndarray], examples: np.ndarray) -> float:
    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [
        k(one[i], other[j]) for i in examples for j in examples if i != j for one in made for other in made
    ]  # pairs of one latent are left out
    among = [
        np.mean([k(a, b) for i, a in enumerate(one) for j, b in enumerate(other) if one is not other or i != j])
        for one in real
        for other in real
    ]
    across = [k(one[i], b) for i in examples for one in made for other in real for b in other]
    return float(np.mean(within) + np.mean(among) - 2 * np.mean(across))


def test_the_kernel_distance_of_all_together_is_the_loops() -> None:
    made, real, indices = of_latents(6, 0), of_latents(4, 9), resamples(0, 6, 5)
    found = score_kid_together(made, KernelReference.fit_together(real), indices)
    assert found.value == pytest.approx(slow_kid(made, real, np.arange(6)))
    np.testing.assert_allclose(found.replicates, [slow_kid(made, real, row) for row in indices])
    assert found.n == 6


def test_the_kernel_distance_of_all_together_is_unbiased_at_few_latents() -> None:
    made, reference, one = of_latents(6, 0), KernelReference.fit(draw(9, 2, 9)), resamples(0, 2, 1)
    pairs = [
        score_kid_together([rows[list(pair)] for rows in made], reference, one).value
        for pair in itertools.combinations(range(6), 2)
    ]
    assert np.mean(pairs) == pytest.approx(score_kid_together(made, reference, resamples(0, 6, 1)).value)
