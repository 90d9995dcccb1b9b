"""What a sweep would cost, before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from raysweep.engine import numerics
from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import Workload
from raysweep.forecast import forecast, longest, planned
from raysweep.preflight import workload_spec
from raysweep.schema import Sweep
from raysweep.sweepfile import load_sweep
from raysweep.words import print_estimate


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
    assert found["untimed"] is None


SMALL = "classifier: {choice: [regular, robust]}, width: 1, batch: 2, latent: 12, embedding: 4"


def training(jobs: Path, *overrides: str) -> dict[str, Any]:
    """The forecast of trainings of the smoke test, small ones."""
    file = load_sweep(jobs / "probegan-fashion-smoke.yaml", (f"space={{{SMALL}, steps: 20}}", *overrides))
    return forecast(file.sweep, {"": Workload(workload_spec(file))})


def test_a_training_is_counted_once_for_all_its_milestones_whatever_the_examples(jobs: Path) -> None:
    found = training(jobs, f"space={{{SMALL}, steps: {{choice: [5, 10, 20]}}}}", "examples=50")
    assert (found["trials"], found["row_steps_unshared"], found["row_steps"]) == (6, 70, 40)
    assert found["seconds"] == pytest.approx(40 * found["seconds_per_row_step"])


@pytest.mark.parametrize(("classifiers", "lanes"), [("regular", 1), ("{choice: [regular, robust]}", 2)])
def test_no_more_trainings_are_timed_at_once_than_there_are(
    jobs: Path, monkeypatch: pytest.MonkeyPatch, classifiers: str, lanes: int
) -> None:
    timed, measured = set[int](), numerics.seconds_per_row_step
    monkeypatch.setattr("os.sched_getaffinity", lambda of: {0, 1, 2, 3})

    def noted(methods: Any, *others: Any) -> float:
        timed.add(len(methods))
        return measured(methods, *others)

    monkeypatch.setattr(numerics, "seconds_per_row_step", noted)
    assert training(jobs, f"space.classifier={classifiers}")["seconds"] > 0
    assert timed == {lanes}


def test_a_search_in_a_trained_generator_is_estimated(jobs: Path, tmp_path: Path) -> None:
    file = load_sweep(jobs / "probegan-fashion-smoke.yaml", ("method=biggan", f"space={{{SMALL}, steps: 20}}"))
    engine, found = Engine(Workload(workload_spec(file)).methods(1, torch.device("cpu")), 1), list[Any]()
    small = {"width": 1.0, "batch": 2.0, "latent": 12.0, "embedding": 4.0}
    engine.advance("a", small, 0, range(1), 1, found.append)
    engine.run()
    generator = {name: kept(found[0])[name] for name in ("generator", "shape")}
    save_file({**generator, "unseen": torch.arange(10) == 7}, tmp_path / "trained.safetensors")
    method = f"method={{name: biggan_am, trained: {tmp_path}/trained.safetensors}}"
    searched = training(jobs, method, "objective=classifier_loss", "space={classifier: robust, steps: 20}")
    assert searched["untimed"] is None
    assert searched["seconds"] == pytest.approx(20 * searched["seconds_per_row_step"])


def test_where_nothing_can_be_timed_there_is_no_estimate_but_its_reason(
    jobs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = training(jobs, f"space={{{SMALL}, steps: 20, generator_lr: 1.0e+30}}")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["seconds"], found["seconds_per_row_step"]) == (None, None)
    assert found["untimed"].startswith("the loss is not finite at step 1")
    print_estimate(found)
    assert capsys.readouterr().out == f"estimate        none, as no step could be timed: {found['untimed']}\n"


@pytest.mark.parametrize(
    ("seconds", "each", "said"),
    [
        (1.3, 0.0332, "1.3 seconds of stepping (33200 µs a row-step here)"),
        (150.0, 45e-6, "2.5 minutes of stepping (45 µs a row-step here)"),
        (7200.0, 0.72, "2.0 hours of stepping (720000 µs a row-step here)"),
        (864_000.0, 43.2, "10.0 days of stepping (43.2 s a row-step here)"),
    ],
)
def test_an_estimate_is_told_in_units_that_can_be_read(
    capsys: pytest.CaptureFixture[str], seconds: float, each: float, said: str
) -> None:
    print_estimate({"seconds": seconds, "seconds_per_row_step": each, "untimed": None})
    assert capsys.readouterr().out == f"estimate        {said}\n"


@pytest.mark.parametrize(("trainings", "lanes", "turns"), [((3, 3, 3), 2, 6), ((3, 3), 2, 3), ((5, 1, 1, 1), 2, 5)])
def test_a_training_is_not_split_between_lanes(trainings: tuple[int, ...], lanes: int, turns: int) -> None:
    assert longest(trainings, lanes) == turns


def test_where_the_sampler_decides_how_much_there_is_a_steps_time_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_estimate({"untimed": None, "seconds": None, "seconds_per_row_step": 2.5e-3})
    told = "estimate        2500 µs a row-step here; how many there are, the sampler decides\n"
    assert capsys.readouterr().out == told
