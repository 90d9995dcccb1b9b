"""A sweep's line of the log, from steps that a lane made for several."""

from __future__ import annotations

from raysweep.engine.occupancy import Occupancy, occupancy_of


def test_a_sweeps_line_covers_the_steps_that_its_rows_took_part_in() -> None:
    lane = Occupancy()
    one, two, both = frozenset({"one"}), frozenset({"two"}), frozenset({"one", "two"})
    for rows in ({one: 3}, {one: 1, two: 2}, {both: 2}, {two: 4}):
        lane.count(rows, 0.5)
    shares = lane.take()
    assert occupancy_of("one", shares, slots=4) == {
        "slots": 4,
        "steps": 3,
        "row_steps": 8,
        "seconds": 1.5,
        "occupancy": 8 / 12,
        "sweeps": {"one": 6, "two": 4},
        "shared_steps": 2,
    }
    assert occupancy_of("three", shares, slots=4) is None
    assert lane.take() == {}
