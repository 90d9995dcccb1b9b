"""The kernel distance against double loops."""

from __future__ import annotations

import numpy as np
import pytest

from raysweep.errors import InputError
from raysweep.objectives import kid
from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.kid import KernelReference, score_kid
from raysweep.objectives.ranking import probability_best


def draw(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def slow_mmd(sample: np.ndarray, y: np.ndarray, same: np.ndarray) -> float:
    """The definition as loops; `same` [N] names each row's example, and pairs of one example are left out.

    With only one example there are no pairs; the pairs of that example with the whole sample's others stand in.
    """

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    x = sample[same]
    xx = [k(sample[i], sample[j]) for i in same for j in same if i != j]
    if not xx:
        xx = [k(sample[same[0]], sample[j]) for j in range(len(sample)) if j != same[0]]
    yy = [k(y[i], y[j]) for i in range(len(y)) for j in range(len(y)) if i != j]
    return float(np.mean(xx) + np.mean(yy) - 2 * np.mean([k(a, b) for a in x for b in y]))


def test_value_and_replicates_are_the_double_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kid, "BLOCK", 5)
    x, y, indices = draw(10, 3), draw(12, 3, seed=1) + 0.5, resamples(0, 10, 4)
    score = score_kid(x, KernelReference.fit(y), indices)
    assert score.value == pytest.approx(slow_mmd(x, y, np.arange(10)))
    np.testing.assert_allclose(score.replicates, [slow_mmd(x, y, row) for row in indices])


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_resamples_of_one_example_alone_leave_interval_and_pairing_whole(n: int) -> None:
    x, y, indices = draw(n, 3), draw(12, 3, seed=1) + 0.5, resamples(0, n, 4000)
    assert (indices == indices[:, :1]).all(axis=1).any()
    score, worse = (score_kid(rows, KernelReference.fit(y), indices) for rows in (x, x - 1))
    np.testing.assert_allclose(score.replicates[:40], [slow_mmd(x, y, row) for row in indices[:40]])
    assert np.isfinite(score.replicates).all()
    assert score.low < score.value < score.high
    assert probability_best({0: score.replicates, 1: worse.replicates})[0] > 0.5


def test_a_resample_of_one_example_alone_has_the_expectation_of_the_estimate() -> None:
    x, reference = draw(5, 3), KernelReference.fit(draw(12, 3, seed=1))
    alone = np.repeat(np.arange(5)[:, None], 5, axis=1)
    score = score_kid(x, reference, alone)
    assert score.replicates.mean() == pytest.approx(score.value)
    assert len(set(score.replicates)) == 5


def test_estimate_is_unbiased_at_few_examples() -> None:
    reference, one = KernelReference.fit(draw(2000, 8, seed=1)), resamples(0, 10, 1)
    values = [score_kid(draw(10, 8, seed), reference, one).value for seed in range(10, 1010)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(1000) + 0.005
    assert min(values) < 0


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (1, 1), (3, 1), (0, 2)])
def test_interval_covers_its_expectation(shift: float, scale: float) -> None:
    reference = KernelReference.fit(draw(500, 8, seed=1))
    samples = [draw(50, 8, seed) * scale + shift / 8**0.5 for seed in range(10, 1510)]
    true = np.mean([score_kid(x, reference, resamples(0, 50, 1)).value for x in samples])
    scores = [score_kid(x, reference, resamples(0, 50)) for x in samples[:200]]
    assert np.mean([s.low <= true <= s.high for s in scores]) >= 0.90


def test_features_that_do_not_fit_are_refused_and_not_finite_ones_give_nan() -> None:
    reference = KernelReference.fit(draw(20, 3))
    with pytest.raises(InputError, match="reference's 3 dimensions"):
        score_kid(draw(10, 4), reference, resamples(0, 10, 4))
    assert np.isnan(score_kid(np.full((10, 3), np.nan), reference, resamples(0, 10, 4)).value)
