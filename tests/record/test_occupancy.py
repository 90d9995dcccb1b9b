"""The occupancy log of a sweep, and what a person reads of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.record.occupancy import append_occupancy, mean_occupancy, occupancy_in_words, read_occupancy

LINES = [
    {"slots": 16, "steps": 100, "row_steps": 1600, "shared_steps": 0},
    {"slots": 16, "steps": 300, "row_steps": 1600, "shared_steps": 100},
]


def test_the_mean_weighs_lines_by_their_slots(tmp_path: Path) -> None:
    for line in LINES:
        append_occupancy(tmp_path, [line])
    assert read_occupancy(tmp_path) == LINES
    mean = mean_occupancy(tmp_path)
    assert mean == {"occupancy": 0.5, "shared": 0.25}
    assert occupancy_in_words(mean) == "lanes 50 % full, shared with other sweeps in 25 % of the steps"
    assert occupancy_in_words({"occupancy": 0.873, "shared": 0.0}) == "lanes 87 % full"


@pytest.mark.parametrize("torn", ['{"slots": 16, "st', '{"slots": 16, "steps": 3}{"slots"'])
def test_a_line_that_a_killed_driver_tore_is_passed_over(tmp_path: Path, torn: str) -> None:
    append_occupancy(tmp_path, LINES[:1])
    with (tmp_path / "logs" / "occupancy.jsonl").open("a", encoding="utf-8") as file:
        file.write(f"{torn}\n")
    append_occupancy(tmp_path, LINES[1:])
    assert read_occupancy(tmp_path) == LINES


def test_without_a_log_there_is_no_mean(tmp_path: Path) -> None:
    assert mean_occupancy(tmp_path) is None
