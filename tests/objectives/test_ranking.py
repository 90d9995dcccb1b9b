"""Which trial is best, and how surely."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.frechet import Reference
from raysweep.objectives.ranking import margin, pareto_front, probability_best, rank
from raysweep.objectives.response import score_response

nan = float("nan")


def test_rank_is_ascending_without_nan_and_prefers_the_earlier_of_equals() -> None:
    assert rank({4: 2.0, 1: nan, 3: 1.0, 2: 2.0}) == [3, 2, 4]


def test_margin_is_the_seconds_distance_from_the_best() -> None:
    assert margin({1: 5.0, 2: 2.0, 3: nan, 4: 3.5}) == 1.5
    assert margin({1: 5.0, 3: nan}) is None


def test_probability_splits_ties_and_leaves_out_nan() -> None:
    replicates = {
        1: np.array([1.0, 0, 3, 0]),
        2: np.array([2.0, 0, 1, 0]),
        3: np.full(4, nan),
        4: np.array([9.0, 9, 9, 0]),
    }
    found = probability_best(replicates)
    assert found == pytest.approx({1: (1 + 1 / 2 + 1 / 3) / 4, 2: (1 / 2 + 1 + 1 / 3) / 4, 3: 0, 4: 1 / 12})
    assert probability_best({}) == {}
    assert probability_best({1: np.full(2, nan)}) == {1: 0.0}


def test_pairing_makes_a_small_but_certain_advantage_certain() -> None:
    x, reference = np.random.default_rng(0).normal(3, 1, 50), Reference.fit(np.random.default_rng(1).normal(size=50))
    paired = {i: score_response(x + 0.02 * i, reference, resamples(0, 50)).replicates for i in (0, 1)}
    apart = {i: score_response(x + 0.02 * i, reference, resamples(i, 50)).replicates for i in (0, 1)}
    assert probability_best(paired)[0] == 1
    assert probability_best(apart)[0] < 0.7


def test_pareto_front_keeps_what_nothing_beats() -> None:
    assert pareto_front({1: (0, 3), 2: (1, 1), 3: (2, 1), 4: (3, 0), 5: (nan, 0), 6: (1, 1)}) == [1, 2, 4, 6]


@given(st.dictionaries(st.integers(0, 50), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_every_trial_off_the_pareto_front_is_beaten_by_one_on_it(points: dict[int, tuple[int, int]]) -> None:
    front = pareto_front(points)
    for number in points.keys() - set(front):
        rival = [f for f in front if all(a <= b for a, b in zip(points[f], points[number], strict=True))]
        assert any(points[f] != points[number] for f in rival)
