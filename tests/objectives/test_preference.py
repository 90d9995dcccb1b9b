"""Which trial is best when there are several objectives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.objectives.preference import Preference
from raysweep.objectives.ranking import pareto_front

NAMES = ("distortion", "sparsity")
BEND = {0: (10.0, 0.0), 1: (1.0, 0.1), 2: (0.0, 1.0), 3: (5.0, 0.5)}
"""A front that bends sharply at trial 1; trial 3 is behind it."""


def test_the_knee_is_where_the_front_bends() -> None:
    assert Preference(NAMES).order(BEND) == [1, 3, 0, 2]


def test_costs_are_distances_from_the_ideal_on_the_fronts_own_scale() -> None:
    found = Preference(NAMES).costs(BEND)
    assert found == pytest.approx({0: 1.0, 1: math.hypot(0.1, 0.1), 2: 1.0, 3: math.hypot(0.5, 0.5)})


def test_weights_move_the_choice_along_the_front() -> None:
    assert Preference(NAMES, {"distortion": 100, "sparsity": 1}).order(BEND)[0] == 2
    assert Preference(NAMES, {"distortion": 1, "sparsity": 100}).order(BEND)[0] == 0


@pytest.mark.parametrize("stated", ["sparsity", {"sparsity": 3.0}, {"sparsity": 1, "distortion": 0}])
def test_one_objective_that_counts_ranks_by_its_own_values(stated: str | dict[str, float]) -> None:
    assert Preference(NAMES, stated).costs(BEND) == {0: 0.0, 1: 0.1, 2: 1.0, 3: 0.5}


def test_a_single_objective_costs_what_it_is() -> None:
    assert Preference(["kid"]).costs({4: [2.0], 5: [1.0]}) == {4: 2.0, 5: 1.0}


def test_trials_with_nan_take_no_part() -> None:
    assert Preference(NAMES).order({**BEND, 9: (math.nan, 0.0)}) == [1, 3, 0, 2]
    assert Preference(NAMES).order({9: (math.nan, 0.0)}) == []
    assert Preference(NAMES).order({}) == []


def test_replicates_cost_what_they_would_as_trials_on_the_same_scale() -> None:
    preference = Preference(NAMES)
    replicates = np.array([[1.0, 5.0], [0.1, 0.5]])  # [objectives, resamples]: the points of trials 1 and 3
    np.testing.assert_allclose(preference.cost(BEND)(replicates), [preference.costs(BEND)[n] for n in (1, 3)])


def test_an_objective_that_hardly_differs_over_the_front_keeps_the_costs_finite_there() -> None:
    table = {0: (0.0, 0.0, 1e-309), 1: (0.0, 1.0, 0.0), 2: (0.0, 2.0, 5.0)}
    assert Preference(("a", "b", "c")).costs(table) == {0: 1.0, 1: 1.0, 2: math.inf}


@given(
    points=st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 3), min_size=1, max_size=12),
    weights=st.tuples(*[st.floats(0.1, 10)] * 3),
)
def test_the_best_lies_on_the_pareto_front(
    points: list[tuple[float, float, float]], weights: tuple[float, float, float]
) -> None:
    table = dict(enumerate(points))
    names = ("a", "b", "c")
    preference = Preference(names, dict(zip(names, weights, strict=True)))
    costs = preference.costs(table)
    front = pareto_front(table)
    assert min(costs.values()) == pytest.approx(min(costs[number] for number in front))
