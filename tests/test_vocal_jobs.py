"""The paper's two sweeps over the vocal networks, at a reduced scale: spectrograms, sound, both directions."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.record.store import local_store, open_client
from raysweep.sweep import run
from raysweep.winner import write_best

SMALL = (
    "examples=3",
    "space.steps.choice=[2, 8]",
    "space.lr.choice=[0.1]",
    "space.prior_weight.choice=[0.01]",
    "slots=8",
)


@pytest.fixture(scope="module", params=["am-vocal", "am-vocal-minimise"])
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> SweepResult:
    return run(jobs / f"{request.param}.yaml", storage=tmp_path_factory.mktemp("storage"), overrides=SMALL)


def test_more_steps_bring_the_response_further_in_the_sweeps_direction(result: SweepResult) -> None:
    early, late = (result.tensors(trial)["response"] for trial in result.ledger.trials.values())
    further = late - early if result.name == "am-vocal" else early - late
    assert (further > 0).all()


def test_explaining_again_gives_the_very_digits_of_the_sweep(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    again = explain(write_best(result, tmp_path / "best.yaml"), examples=3)
    known = result.tensors(best)
    for name in ("latent", "response", "explanation"):
        np.testing.assert_array_equal(again[name], known[name])


def test_explanations_are_spectrograms_judged_by_an_independent_network(result: SweepResult) -> None:
    for trial in result.ledger.trials.values():
        explanation = result.tensors(trial)["explanation"]
        assert explanation.shape == (3, 1, 80, 115)
        assert np.isfinite(explanation).all()
        assert trial.result is not None
        assert 0 <= trial.result.metrics["recognition"] <= 1


def test_mlflow_holds_a_picture_and_playable_sound_of_each_trial(result: SweepResult, tmp_path: Path) -> None:
    client = open_client(local_store(result.folder.parent))
    for trial in result.ledger.trials.values():
        assert trial.mlflow_run is not None
        (folder,) = [item.path for item in client.list_artifacts(trial.mlflow_run, "explanations")]
        files = {Path(item.path).suffix: item.path for item in client.list_artifacts(trial.mlflow_run, folder)}
        assert {".png", ".wav", ".safetensors"} <= set(files)
        with wave.open(client.download_artifacts(trial.mlflow_run, files[".wav"], str(tmp_path))) as sound:
            assert sound.getframerate() == 22050
            assert np.frombuffer(sound.readframes(sound.getnframes()), "<i2").std() > 100
