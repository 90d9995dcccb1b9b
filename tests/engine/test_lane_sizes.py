"""Lane sizes that are tried: a trial's examples split evenly, and how full lanes would be is known beforehand."""

from __future__ import annotations

import pytest

from raysweep.engine.engine import Engine
from raysweep.engine.lane_sizes import DRAWS, lane_sizes, occupied
from tests.engine.small_am import ask, method


@pytest.mark.parametrize(
    ("examples", "sizes"), [(50, (17, 9, 25, 50)), (64, (16, 8, 32, 64)), (10, (10, 32, 64)), (4, (16, 8, 32, 64))]
)
def test_lanes_hold_an_even_share_of_a_trials_examples(examples: int, sizes: tuple[int, ...]) -> None:
    assert tuple(lane_sizes("cpu", examples, 8, 2, racing=False)) == sizes


def test_lanes_of_a_race_are_small() -> None:
    assert tuple(lane_sizes("cpu", 7, 8, 2, racing=True)) == (16, 7)


def test_where_examples_split_evenly_all_slots_are_occupied() -> None:
    assert occupied(16, 32, 10, 2) == 1.0
    assert occupied(16, 16, 7, 2) == pytest.approx(7 / 8)


def test_one_trial_occupies_as_many_slots_as_it_has_rows() -> None:
    assert occupied(64, 4, 1, 1) == 4 / 64


def test_engines_fill_their_lanes_as_estimated() -> None:
    slots, examples, trials, found = 8, 4, 6, []
    for draw in range(DRAWS):
        engine = Engine([method()], slots)
        for trial in range(trials):
            ask(engine, 0.1, 0.01 * (1 + trial + trials * draw), 1, range(examples))
        engine.run()
        (share,) = engine.take_occupancy()[0].values()
        found.append(share.row_steps / (share.steps * slots))
    assert sum(found) / DRAWS == pytest.approx(occupied(slots, examples, trials, lanes=1), rel=0.1)
