"""What a sweep would cost, before it runs."""

from __future__ import annotations

from pathlib import Path

import torch

from raysweep.engine.workload import Workload
from raysweep.forecast import forecast, planned
from raysweep.preflight import workload_spec
from raysweep.schema import Sweep
from raysweep.sweepfile import load_sweep


def sweep(jobs: Path, *overrides: str) -> Sweep:
    return load_sweep(jobs / "quickstart.yaml", overrides).sweep


GRID = (
    "space.lr.choice=[0.1, 0.01]",
    "space.prior_weight=0.1",
    "space.steps.choice=[100, 500, 1000]",
    "examples=10",
)


def test_trials_that_differ_only_in_steps_are_planned_as_one_trajectory(jobs: Path) -> None:
    assert planned(sweep(jobs, *GRID)) == {
        "trials": 6,
        "row_steps_unshared": 2 * (100 + 500 + 1000) * 10,
        "row_steps": 2 * 1000 * 10,
    }


def test_a_budget_of_trials_cuts_the_grid(jobs: Path) -> None:
    assert planned(sweep(jobs, *GRID, "budget.trials=2")) == {
        "trials": 2,
        "row_steps_unshared": (100 + 500) * 10,
        "row_steps": 500 * 10,
    }


def test_of_a_grid_without_end_only_the_budget_is_made(jobs: Path) -> None:
    weights = [index / 1000 for index in range(1, 1001)]
    steps = [*range(1, 1001)]
    endless = (f"space.lr.choice={weights}", f"space.prior_weight.choice={weights}", f"space.steps.choice={steps}")
    found = planned(sweep(jobs, *endless, "examples=10", "budget.trials=3"))  # of a thousand million configurations
    assert found == {"trials": 3, "row_steps_unshared": 60, "row_steps": 30}


def test_row_steps_of_a_sampled_search_are_open(jobs: Path) -> None:
    found = planned(sweep(jobs, *GRID, "search.sampler=random", "budget.trials=5"))
    assert found == {"trials": 5, "row_steps_unshared": None, "row_steps": None}


def test_the_estimate_is_measured_here_and_leaves_torch_as_it_was(jobs: Path) -> None:
    file = load_sweep(jobs / "quickstart.yaml", GRID)
    threads = torch.get_num_threads()
    said = list[str]()
    found = forecast(file.sweep, {"": Workload(workload_spec(file))}, said.append)
    assert said == [found["numerics"]]
    assert torch.get_num_threads() == threads
    assert 0 < found["seconds_per_row_step"] < 1
    assert found["numerics"].startswith("numerics: ")
    assert found["seconds"] == found["row_steps"] * found["seconds_per_row_step"]
