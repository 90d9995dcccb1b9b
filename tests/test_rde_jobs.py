"""Masks over Fashion-MNIST at a reduced scale, through Ray and MLflow: optimised ones, and ones that are grown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.record.store import local_store, open_client
from raysweep.sweep import run
from raysweep.winner import write_best, write_sweep_report

SMALL = {
    "rde": (
        "examples=4",
        "space.steps.choice=[2, 12]",
        "space.temperature=0.5",
        "space.sparsity_weight.choice=[0.1, 3.0]",
        "space.noise_samples=2",
        "slots=8",
    ),
    "rde_pursuit": (
        "name=pursuit",
        "method={name: rde_pursuit, components: patches, patch: 7, fill: inpainter}",
        "space={steps: {choice: [1, 3]}, noise_samples: 2}",
        "examples=3",
        "slots=4",
    ),
}


@pytest.fixture(scope="module", params=list(SMALL))
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> SweepResult:
    overrides = ("precision=float32", *SMALL[request.param])
    return run(jobs / "rde-fashion.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=overrides)


def test_each_configuration_is_scored_by_what_its_masks_keep_and_change(result: SweepResult) -> None:
    for trial in result.ledger.trials.values():
        assert trial.state == "done"
        assert trial.result is not None
        scores = {name: measured.value for name, measured in trial.result.objectives.items()}
        assert list(scores) == ["distortion", "sparsity", "rate_distortion", "feature_fd"]
        tensors = result.tensors(trial)
        assert scores["distortion"] == pytest.approx(tensors["distortion"].mean())
        assert 0 < scores["sparsity"] < 1
        assert tensors["mask"].shape == tensors["sample"].shape == tensors["explanation"].shape


def test_the_way_is_the_one_that_its_hyper_parameters_ask_for(result: SweepResult) -> None:
    by = {tuple(trial.config.values()): result.tensors(trial) for trial in result.ledger.trials.values()}
    if result.name == "pursuit":
        one, three = (next(found for config, found in by.items() if config[0] == steps) for steps in (1, 3))
        assert one["sparsity"].tolist() == [1 / 16] * 3
        assert three["sparsity"].tolist() == [3 / 16] * 3
        assert three["distortion"].mean() < one["distortion"].mean()
    else:
        light, heavy = (
            next(found for config, found in by.items() if {weight, 12} <= set(config)) for weight in (0.1, 3.0)
        )
        assert (heavy["sparsity"] < light["sparsity"]).all()


def test_explaining_again_gives_the_very_digits_of_the_sweep(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    known = result.tensors(best)
    again = explain(write_best(result, tmp_path / "best.yaml"), examples=len(known["mask"]))
    for name in ("mask", "sample", "explanation", "distortion", "curve"):
        np.testing.assert_array_equal(again[name], known[name])


def test_pictures_show_the_masks_over_their_samples(result: SweepResult, tmp_path: Path) -> None:
    client = open_client(local_store(result.folder.parent))
    best = result.best
    assert best is not None
    assert best.mlflow_run is not None
    (folder,) = [item.path for item in client.list_artifacts(best.mlflow_run, "explanations")]
    (sheet,) = [i.path for i in client.list_artifacts(best.mlflow_run, folder) if i.path.endswith(".png")]
    pixels = np.asarray(Image.open(client.download_artifacts(best.mlflow_run, sheet, str(tmp_path)))).astype(int)
    blue = pixels[..., 2] - pixels[..., 0]
    assert (blue > 50).mean() > 0.03  # what is removed is shown in blue
    page = write_sweep_report(result).read_text(encoding="utf-8")
    assert "comes nearest to the best of distortion and sparsity at once" in page
