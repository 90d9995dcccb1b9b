"""Heat maps of Fashion-MNIST at a reduced scale, through Ray and MLflow: methods without steps are swept too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.explain import explain
from raysweep.forecast import planned
from raysweep.outcome import SweepResult
from raysweep.record.overlay import looked_at
from raysweep.sweep import run
from raysweep.sweepfile import load_sweep
from raysweep.winner import write_best, write_sweep_report

SMALL = ("examples=6", "slots=4", "precision=float32", "space={alpha: {choice: [1, 3]}}", "stop.scheduler=race")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> SweepResult:
    return run(jobs / "lrp-fashion.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=SMALL)


def test_each_configuration_is_scored_by_how_its_heat_ranks_the_parts(result: SweepResult) -> None:
    trials = list(result.ledger.trials.values())
    assert [trial.config for trial in trials] == [{"alpha": 1}, {"alpha": 3}]
    best = result.best
    assert best is not None
    for trial in trials:
        assert trial.state in ("done", "pruned")
        assert "steps" not in trial.config
    assert best.result is not None
    found = result.tensors(best)
    assert best.result.objectives["rate_distortion"].value == pytest.approx(found["rate_distortion"].mean())
    assert found["heat"].shape == found["sample"].shape == (6, 1, 28, 28)
    assert (found["curve"][:, 0] > found["curve"][:, -1]).all()  # all that is kept changes nothing


def test_explaining_again_gives_the_very_digits_of_the_sweep(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    known = result.tensors(best)
    again = explain(write_best(result, tmp_path / "best.yaml"), examples=6)
    for name in ("heat", "sample", "response", "curve"):
        np.testing.assert_array_equal(again[name], known[name])


def test_the_report_shows_heat_beside_the_samples(result: SweepResult) -> None:
    best = result.best
    assert best is not None
    seen = looked_at(result.tensors(best), "image")
    assert seen.shape == (6, 3, 28, 56)
    assert "data:image/png" in write_sweep_report(result).read_text(encoding="utf-8")


def test_layers_are_chosen_by_name_and_their_masks_scored_as_heat(
    jobs: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    small = ("examples=4", "slots=4", "precision=float32", "space.blur=3", "space.steps=4", "space.layer=features.5")
    found = run(jobs / "gfi-fashion.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=small)
    by = {trial.config["guide"]: found.tensors(trial) for trial in found.ledger.trials.values()}
    assert set(by) == {"features.5", "features.8"}
    assert by["features.5"]["heat"].shape == (4, 1, 28, 28)
    assert np.abs(by["features.5"]["heat"] - by["features.8"]["heat"]).max() > 0.1
    best = found.best
    assert best is not None
    assert looked_at(found.tensors(best), "image").shape == (4, 3, 28, 56)
    again = explain(write_best(found, tmp_path / "best.yaml"), examples=4)
    for name in ("heat", "sample", "curve", "kept_score"):
        np.testing.assert_array_equal(again[name], found.tensors(best)[name])


def test_a_heat_map_is_planned_as_one_row_step(jobs: Path) -> None:
    found = planned(load_sweep(jobs / "lrp-fashion.yaml").sweep)
    assert found == {"trials": 9, "row_steps_unshared": 450, "row_steps": 450}
