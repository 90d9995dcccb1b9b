"""Fréchet distances against slow, obvious references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from raysweep.errors import InputError
from raysweep.objectives import frechet
from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.frechet import Reference, frechet_distance, resampled, score_frechet

shapes = st.tuples(st.integers(2, 12), st.integers(2, 12), st.integers(1, 10), st.integers(0, 2**32 - 1))


def draw(n: int, d: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)) * scale


def slow_distance(x: np.ndarray, y: np.ndarray) -> float:
    """The formula as every script writes it, by scipy's matrix square root."""
    first, second = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
    root = linalg.sqrtm(first @ second)
    shift = np.square(x.mean(0) - y.mean(0)).sum()
    return float(shift + np.trace(first) + np.trace(second) - 2 * np.trace(root).real)


@pytest.mark.parametrize("d", [2, 8, 40])
def test_full_rank_distance_is_the_matrix_square_roots(d: int) -> None:
    x, y = draw(100, d), draw(300, d, seed=1, scale=2) + 0.3
    assert frechet_distance(x, Reference.fit(y)) == pytest.approx(slow_distance(x, y), rel=1e-10)


def test_one_dimensional_distance_is_the_closed_form() -> None:
    x, y = draw(50, 1)[:, 0], draw(80, 1, seed=1)[:, 0] * 2 + 1
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, Reference.fit(y)) == pytest.approx(expected, rel=1e-13)


@pytest.mark.filterwarnings("ignore:Metric `FrechetInceptionDistance` will save all extracted features:UserWarning")
def test_distance_is_torchmetrics() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    class Identity(torch.nn.Module):
        num_features = 12

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    x, y = draw(60, 12), draw(500, 12, seed=1) * np.linspace(0.2, 3, 12) + 0.1
    theirs = FrechetInceptionDistance(feature=Identity()).set_dtype(torch.float64)
    theirs.update(torch.from_numpy(y), real=True)
    theirs.update(torch.from_numpy(x), real=False)
    assert frechet_distance(x, Reference.fit(y)) == pytest.approx(float(theirs.compute()), rel=1e-9)


@pytest.mark.parametrize("n", [11, 12, 13, 14])
@pytest.mark.parametrize("m", [11, 12, 13, 14])
def test_low_rank_and_full_rank_paths_agree_on_either_side_of_the_boundary(n: int, m: int) -> None:
    x, y = draw(n, 13), draw(m, 13, seed=1)
    cross = (x - x.mean(0)) @ (y - y.mean(0)).T / np.sqrt((n - 1) * (m - 1))
    expected = np.square(x.mean(0) - y.mean(0)).sum() + x.var(0, ddof=1).sum() + y.var(0, ddof=1).sum()
    expected -= 2 * np.linalg.norm(cross, "nuc")
    assert frechet_distance(x, Reference.fit(y)) == pytest.approx(expected, abs=1e-6)


@given(shapes)
@settings(max_examples=60)
def test_distance_is_symmetric_shift_invariant_and_blind_to_order(shape: tuple[int, int, int, int]) -> None:
    n, m, d, seed = shape
    x, y = draw(n, d, seed), draw(m, d, seed + 1, scale=2)
    there = frechet_distance(x, Reference.fit(y))
    assert there >= 0
    assert frechet_distance(y, Reference.fit(x)) == pytest.approx(there, abs=1e-6)
    assert frechet_distance(x + 7, Reference.fit(y + 7)) == pytest.approx(there, abs=1e-6)
    order = np.random.default_rng(seed).permutation(n)
    assert frechet_distance(x[order], Reference.fit(y)) == pytest.approx(there, abs=1e-6)
    assert frechet_distance(x, Reference.fit(x)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("n", "d"), [(50, 1), (50, 6), (10, 30)])
def test_a_large_offset_costs_no_digits(n: int, d: int) -> None:
    x, y = np.round(draw(n, d) * 1024) / 1024, np.round(draw(70, d, seed=1) * 1024) / 1024
    far = frechet_distance(x + 2.0**30, Reference.fit(y + 2.0**30))
    assert far == pytest.approx(frechet_distance(x, Reference.fit(y)), rel=1e-6)


@pytest.mark.parametrize(("m", "d"), [(5, 9), (30, 4)])
def test_a_reference_survives_being_stored_as_arrays(m: int, d: int) -> None:
    reference = Reference.fit(draw(m, d))
    again = Reference.from_arrays(reference.to_arrays())
    assert frechet_distance(draw(8, d, 1), again) == frechet_distance(draw(8, d, 1), reference)


@pytest.mark.parametrize(("n", "m", "d"), [(20, 30, 1), (20, 30, 4), (20, 9, 15), (20, 60, 40), (12, 50, 12)])
@pytest.mark.parametrize("chunk", [1, frechet.CHUNK])
def test_batched_resamples_are_the_distances_of_the_gathered_rows(
    n: int, m: int, d: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frechet, "CHUNK", chunk)
    x, reference, indices = draw(n, d) + 5, Reference.fit(draw(m, d, seed=1)), resamples(3, n, 10)
    expected = [frechet_distance(x[row], reference) for row in indices]
    np.testing.assert_allclose(resampled(x, reference, indices), expected, atol=1e-5)


def test_examples_that_are_not_finite_give_nan() -> None:
    x = draw(10, 2)
    x[3, 1] = np.inf
    score = score_frechet(x, Reference.fit(draw(10, 2)), resamples(0, 10, 20))
    assert np.isnan([score.value, score.low, score.high, *score.replicates]).all()


def test_one_example_or_the_wrong_width_is_refused() -> None:
    with pytest.raises(InputError, match="at least 2 examples"):
        frechet_distance(draw(1, 3), Reference.fit(draw(5, 3)))
    with pytest.raises(InputError, match="reference's 3 dimensions"):
        frechet_distance(draw(5, 4), Reference.fit(draw(5, 3)))
