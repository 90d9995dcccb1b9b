"""The radio job at a reduced scale, through Ray and MLflow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.sweep import run
from raysweep.winner import write_best, write_explanations_to, write_sweep_report

SMALL = ("examples=3", "space.steps.choice=[1, 3]", "space.tolerance=0", "slots=3")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> SweepResult:
    return run(jobs / "rde-radio.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=SMALL)


def test_more_components_come_nearer_to_what_the_network_says_of_the_area(result: SweepResult) -> None:
    one, three = (result.tensors(trial) for trial in result.ledger.trials.values())
    assert (three["distortion"] < one["distortion"]).all()
    assert (three["sparsity"] > one["sparsity"]).all()
    area = three["area"].astype(bool)
    error = 0.5 * np.square(three["obfuscation_map"][:, 0] - three["map"][:, 0])
    np.testing.assert_allclose(
        three["distortion"], [row[at].mean() for row, at in zip(error, area, strict=True)], rtol=1e-3
    )


def test_explaining_again_gives_the_very_digits_of_the_sweep_and_more_examples(
    result: SweepResult, tmp_path: Path
) -> None:
    assert result.best is not None
    known = result.tensors(result.best)
    best = write_best(result, tmp_path / "best.yaml")
    again = explain(best, examples=3)
    for name in ("mask", "explanation", "distortion", "map"):
        np.testing.assert_array_equal(again[name], known[name])
    found = write_explanations_to(best, examples=4, first=0, out=tmp_path / "out")
    assert (tmp_path / "out" / "explanations.png") in map(Path, found["files"])


def test_the_report_says_what_was_asked(result: SweepResult) -> None:
    page = write_sweep_report(result).read_text(encoding="utf-8")
    assert "darken and brighten rows 8 to 24, columns 40 to 56" in page
