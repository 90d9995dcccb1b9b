"""Three ways of activation maximisation on Fashion-MNIST at a reduced scale, in one sweep through Ray and MLflow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.preflight import check_workloads
from raysweep.record.trial import Trial
from raysweep.sweep import run
from raysweep.sweepfile import load_sweep
from raysweep.winner import write_best

SMALL = (
    "examples=4",
    "space={prior_weight: 0.003, expert: {lr: 0.1, jitter: 1, scale: 0.1, variation_weight: 0.01,"
    " steps: {choice: [2, 8]}}, simple: {lr: 0.1, steps: 2}, code: {lr: 0.1, steps: 2}}",
    "precision=float32",
    "slots=4",
)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> SweepResult:
    return run(jobs / "am-three-ways.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=SMALL)


def of_method(result: SweepResult, method: str) -> list[Trial]:
    return [trial for trial in result.ledger.trials.values() if trial.config["method"] == method]


def test_more_steps_make_the_class_more_probable(result: SweepResult) -> None:
    by_steps = {trial.config["steps"]: trial.result for trial in of_method(result, "expert")}
    before, after = by_steps[2], by_steps[8]
    assert before is not None
    assert after is not None
    assert after.metrics["log_probability"] > before.metrics["log_probability"]


def test_all_ways_are_measured_alike(result: SweepResult) -> None:
    for trial in result.ledger.trials.values():
        assert trial.result is not None
        assert set(trial.result.objectives) == {"feature_fd", "kid", "response_fd"}
        assert {"recognition", "response"} <= set(trial.result.metrics)
        found = result.tensors(trial)["explanation"]
        assert 0 <= found.min() < found.max() <= 1


def test_explaining_again_gives_the_very_digits_of_the_sweep(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    known = result.tensors(best)
    again = explain(write_best(result, tmp_path / "best.yaml"), examples=4)
    for part in ("explanation", "response"):
        np.testing.assert_array_equal(again[part], known[part])


def test_the_job_holds_and_compares_with_the_class_alone(jobs: Path) -> None:
    workloads = check_workloads(load_sweep(jobs / "am-three-ways.yaml"))
    assert {name: one.spec.method for name, one in workloads.items()} == {
        "simple": "am_input",
        "expert": "am_expert",
        "code": "am",
    }
    assert {len(one.real("feature_fd")) for one in workloads.values()} == {1000}
