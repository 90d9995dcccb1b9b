"""A sweep of LRP by all objectives of maps, over clothes with boxes around them, through Ray and MLflow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.data import load_data
from raysweep.errors import InputError
from raysweep.explain import explain
from raysweep.forecast import planned
from raysweep.methods import METHODS
from raysweep.methods.looking import LOOKING
from raysweep.outcome import SweepResult
from raysweep.preflight import prepare
from raysweep.record.occupancy import read_occupancy
from raysweep.record.overlay import FOUND_BOX, TRUE_BOX, looked_at
from raysweep.rules import OF_MAPS, OF_MAPS_MADE_AGAIN
from raysweep.search.space import BESIDE_THE_WAY
from raysweep.sweep import run
from raysweep.sweepfile import load_sweep
from raysweep.winner import write_best, write_sweep_report
from tests.objectives.test_localisation import slow_box, slow_overlap

SWEEP = f"""\
name: clothes
method: {{name: lrp, components: patches, fill: mean}}
models: {{classifier: zoo://fashion/classifier}}
data: clothes.npz
target: {{each: label}}
examples: 6
slots: 6
precision: float32
space:
  alpha: 1
  threshold: {{choice: [1.1, 2.0]}}
objective: [{", ".join((*OF_MAPS, *OF_MAPS_MADE_AGAIN))}]
prefer: localisation_error
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty shrunk clothes, each somewhere in an otherwise black image, with their boxes, and a sweep file."""
    home = tmp_path_factory.mktemp("home")
    known, draw, boxes = load_data("zoo://fashion/test"), np.random.default_rng(0), []
    assert known.y is not None
    x = np.zeros((60, 1, 28, 28), np.float32)
    for sample, whole in zip(x, known.x, strict=False):
        top, left = draw.integers(0, 15, 2)
        sample[:, top : top + 14, left : left + 14] = whole.reshape(1, 14, 2, 14, 2).mean(axis=(2, 4))
        rows, columns = (np.flatnonzero(sample[0].max(axis=axis) > 0.1) for axis in (1, 0))
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    arrays = {"y": known.y[:60], "classes": np.array(known.classes), "boxes": np.array(boxes)}
    np.savez(home / "clothes.npz", x=x, **arrays)
    (home / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
    return home


def test_data_without_boxes_are_refused_at_their_line_before_anything_is_made(home: Path, tmp_path: Path) -> None:
    (home / "bare.yaml").write_text(SWEEP.replace("clothes.npz", "zoo://fashion/test"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        prepare(load_sweep(home / "bare.yaml"), tmp_path / "runs")
    rule = "must have an array named boxes, which localisation_error reads"
    assert str(caught.value).startswith(f"{home / 'bare.yaml'}:4: data: {rule} (found ")
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def result(home: Path) -> SweepResult:
    return run(home / "sweep.yaml", storage=home / "runs")


def test_every_objective_of_maps_is_recorded_of_every_trial(result: SweepResult) -> None:
    trials = list(result.ledger.trials.values())
    assert [trial.state for trial in trials] == ["done"] * 2
    for trial in trials:
        assert trial.result is not None
        measured, found = trial.result.objectives, result.tensors(trial)
        assert list(measured) == [*OF_MAPS, *OF_MAPS_MADE_AGAIN]
        overlaps = []
        for heat, true in zip(found["heat"].astype(float), found["box"], strict=True):
            overlaps.append(slow_overlap(slow_box(heat, trial.config["threshold"]), tuple(true)))
        assert measured["localisation_error"].value == pytest.approx(np.mean([one < 0.5 for one in overlaps]))
        assert trial.result.metrics["overlap"] == pytest.approx(np.mean(overlaps))
    best = result.best
    assert best is not None
    errors = [trial.result.objectives["localisation_error"].value for trial in trials if trial.result]
    assert best.result is not None
    assert best.result.objectives["localisation_error"].value == min(errors)


def test_configurations_that_differ_in_the_threshold_alone_share_their_maps(home: Path, result: SweepResult) -> None:
    assert sum(line["row_steps"] for line in read_occupancy(result.folder)) == 6
    expected = {"trials": 2, "row_steps_unshared": 12, "row_steps": 6}
    assert planned(load_sweep(home / "sweep.yaml").sweep) == expected
    first, other = result.ledger.trials.values()
    np.testing.assert_array_equal(result.tensors(first)["heat"], result.tensors(other)["heat"])
    assert not np.array_equal(result.tensors(first)["found_box"], result.tensors(other)["found_box"])
    one, two = (trial.result.objectives for trial in (first, other) if trial.result)
    assert all(one[name] == two[name] for name in one if name != "localisation_error")


def test_methods_that_are_compared_share_their_maps_among_thresholds_too(home: Path) -> None:
    choice = "{lrp: {name: lrp}, slopes: {name: sensitivity}, rde: {name: rde, components: patches}}"
    rde = "rde: {lr: 0.1, sparsity_weight: 1, steps: 30}"
    space = f"{{threshold: {{choice: [0.5, 1, 2]}}, lrp: {{alpha: {{choice: [1, 2]}}}}, {rde}}}"
    overrides = f"method={{choice: {choice}}}", f"space={space}", "objective=localisation_error", "prefer=null"
    sweep = load_sweep(home / "sweep.yaml", overrides).sweep
    maps = 2 + 1 + 30
    assert planned(sweep) == {"trials": 12, "row_steps_unshared": 3 * maps * 6, "row_steps": maps * 6}


def test_no_method_steps_by_a_hyper_parameter_that_only_looks() -> None:
    looking = {name for own in LOOKING.values() for name in own}
    assert set(BESIDE_THE_WAY) == {"steps", *looking}
    assert not looking & {name for method in METHODS.values() for name in method.hyperparameters}


def test_the_winner_explains_alike_and_its_picture_shows_both_boxes(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    found = result.tensors(best)
    again = explain(write_best(result, tmp_path / "best.yaml"), examples=6)
    np.testing.assert_array_equal(again["heat"], found["heat"])
    seen = looked_at(found, "image")
    assert seen.shape == (6, 3, 28, 56)
    for picture, box, own in zip(seen, found["box"], found["found_box"], strict=True):
        left, top, right, bottom = box
        for shift in (0, 28):
            assert (picture[:, top, shift + left : shift + right] == TRUE_BOX[:, None]).all()
            assert (picture[:, top:bottom, shift + right - 1] == TRUE_BOX[:, None]).all()
        if own[1] < top or own[1] >= bottom:
            assert (picture[:, own[1], own[0] : own[2]] == FOUND_BOX[:, None]).all()
    assert "data:image/png" in write_sweep_report(result).read_text(encoding="utf-8")
