"""What a judge sees, and how sure its rate is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.recognition import recognised, score_recognition, wilson


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(counts: tuple[int, int]) -> None:
    k, n = counts
    expected = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_nothing_seen_of_nothing_says_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_target_is_recognised_by_the_highest_logit() -> None:
    logits = [[1.0, 3, 2], [5, 0, 1]]
    assert recognised(logits, 1).tolist() == [True, False]
    assert recognised(logits, 1, "minimise").tolist() == [False, True]


@pytest.mark.parametrize("logits", [[[0.5], [-0.5]], [0.5, -0.5]])
@pytest.mark.parametrize("target", [0, 1])
def test_one_logit_is_recognised_above_zero(logits: list, target: int) -> None:
    assert recognised(logits, target).tolist() == [True, False]
    assert recognised(logits, target, "minimise").tolist() == [False, True]


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_logits_that_are_not_numbers_recognise_nothing(direction: str) -> None:
    assert recognised([[np.nan, 1.0], [np.nan, np.nan]], 1, direction).tolist() == [False, False]


def test_score_is_the_rate_with_wilsons_interval() -> None:
    logits = np.array([[2.0]] * 30 + [[-2.0]] * 10)
    score = score_recognition(logits, 0, resamples(0, 40))
    assert (score.value, score.low, score.high, score.n) == (0.75, *wilson(30, 40), 40)
    assert score.replicates.mean() == pytest.approx(0.75, abs=0.02)
