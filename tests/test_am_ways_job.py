"""Activation maximisation with an expert on Fashion-MNIST at a reduced scale, through Ray and MLflow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.preflight import check_workload
from raysweep.sweep import run
from raysweep.sweepfile import load_sweep
from raysweep.winner import write_best

SMALL = (
    "examples=4",
    "space={lr: 0.1, prior_weight: 0.003, steps: {choice: [2, 8]}, jitter: 1, scale: 0.1, variation_weight: 0.01}",
    "precision=float32",
    "slots=4",
)
OTHERS = {
    "am_input": ("method=am_input", "models.expert=null"),
    "am": ("method=am", "models.expert=null", "models.generator=zoo://fashion/generator"),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> SweepResult:
    return run(jobs / "am-three-ways.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=SMALL)


def test_more_steps_make_the_class_more_probable(result: SweepResult) -> None:
    by_steps = {trial.config["steps"]: trial.result for trial in result.ledger.trials.values()}
    before, after = by_steps[2], by_steps[8]
    assert before is not None
    assert after is not None
    assert after.metrics["log_probability"] > before.metrics["log_probability"]
    assert set(after.objectives) == {"feature_fd", "kid", "response_fd"}
    assert {"recognition", "response", "prior_term"} <= set(after.metrics)


def test_explaining_again_gives_the_very_digits_of_the_sweep(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    known = result.tensors(best)
    again = explain(write_best(result, tmp_path / "best.yaml"), examples=4)
    for part in ("explanation", "response"):
        np.testing.assert_array_equal(again[part], known[part])
    assert 0 <= known["explanation"].min() < known["explanation"].max() <= 1


@pytest.mark.parametrize("name", list(OTHERS))
def test_the_other_ways_of_the_job_hold(jobs: Path, name: str) -> None:
    workload = check_workload(load_sweep(jobs / "am-three-ways.yaml", OTHERS[name]))
    assert workload.spec.method == name
    assert len(workload.real("feature_fd")) == 1000
