"""The response distance and the real responses it is measured from."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from raysweep.errors import InputError
from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.frechet import Reference
from raysweep.objectives.response import reference_responses, score_response


def test_reference_is_the_highest_or_lowest_responses() -> None:
    responses = np.array([3.0, -1, 7, 2, 7])
    np.testing.assert_array_equal(reference_responses(responses, 3, "maximise"), [7, 7, 3])
    np.testing.assert_array_equal(reference_responses(responses, 2, "minimise"), [-1, 2])


def test_responses_of_several_units_are_ranked_by_their_mean() -> None:
    responses = np.array([[9.0, -9], [1, 1], [0, 3]])
    np.testing.assert_array_equal(reference_responses(responses, 2, "maximise"), [[0, 3], [1, 1]])


def test_more_examples_than_the_reference_has_are_refused() -> None:
    with pytest.raises(InputError, match="N larger than the reference") as caught:
        reference_responses(np.zeros(4), 5, "maximise")
    assert (caught.value.key, caught.value.value) == ("examples", 5)


def test_a_data_response_that_is_not_finite_is_refused() -> None:
    with pytest.raises(InputError, match="must be finite"):
        reference_responses(np.array([1.0, np.nan]), 1, "maximise")


def test_score_is_the_papers_closed_form_with_its_interval() -> None:
    rng = np.random.default_rng(0)
    real, found = reference_responses(rng.normal(size=2000), 50, "maximise"), rng.normal(3, 0.5, 50)
    score = score_response(found, Reference.fit(real), resamples(0, 50))
    assert score.value == pytest.approx((found.mean() - real.mean()) ** 2 + (found.std(ddof=1) - real.std(ddof=1)) ** 2)
    assert 0 <= score.low < score.value < score.high
    assert (score.n, score.replicates.shape) == (50, (400,))


def test_score_of_several_units_is_scipys_matrix_square_root() -> None:
    rng = np.random.default_rng(0)
    data, found = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)), rng.normal(1, 2, (50, 3))
    real = data[np.argsort(data.mean(1))[-50:]]
    first, second = np.cov(found, rowvar=False), np.cov(real, rowvar=False)
    expected = np.square(found.mean(0) - real.mean(0)).sum()
    expected += np.trace(first + second - 2 * linalg.sqrtm(first @ second).real)
    score = score_response(found, Reference.fit(reference_responses(data, 50, "maximise")), resamples(0, 50))
    assert score.value == pytest.approx(expected, rel=1e-9)
    assert score.low < score.value < score.high


def test_a_configuration_that_finds_the_real_responses_may_be_at_distance_zero() -> None:
    real = np.random.default_rng(0).normal(size=50)
    score = score_response(real[::-1], Reference.fit(real), resamples(0, 50))
    assert score.value == pytest.approx(0, abs=1e-30)
    assert score.low == 0


def test_equal_responses_of_a_stuck_search_have_a_distance() -> None:
    real = np.random.default_rng(0).normal(size=50)
    score = score_response(np.full(50, 2.0), Reference.fit(real), resamples(0, 50))
    assert score.low == pytest.approx(score.value)
    assert score.high == pytest.approx(score.value)
