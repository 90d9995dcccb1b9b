"""A user's network that breaks costs the trials in which it does, and no other, whatever it does to its process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import raysweep
from raysweep.cluster.runtime import ray_runtime
from tests.cluster.own_home import write_home

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASONS = {
    "turns nan": "the loss is not finite at step",
    "raises": "ArithmeticError: too bright",
    "hangs": "neither step nor part of a scoring ended within trial_timeout (2 s), also with nothing else on its host",
    "dies": "its host's process died, also with nothing else on its host",
    "exhausts memory": "out of memory even with one row in a lane (RuntimeError: ",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder whose classifier breaks on what no real image shows."""
    folder = write_home(tmp_path_factory.mktemp("home"))
    weights = {f"classifier.{name}": value for name, value in load_file(folder / "classifier.safetensors").items()}
    save_file(weights, folder / "breaking.safetensors")
    with ray_runtime(2):
        yield folder


@pytest.mark.parametrize("how", REASONS)
def test_a_model_that_breaks_fails_its_trials_with_the_reason_and_no_other(home: Path, how: str) -> None:
    breaking = f"{{source: 'own_models:Breaks', weights: breaking.safetensors, args: {{how: {how}}}}}"
    few = ("slots=2",) if how == "exhausts memory" else ()  # lanes are halved until they hold one row
    overrides = (f"models.classifier={breaking}", "space.lr.choice=[3.0, 0.0001]", "trial_timeout=2", *few)
    result = raysweep.run(home / "sweep.yaml", storage=home / how, overrides=overrides)
    trials = result.ledger.trials.values()
    broken = [trial for trial in trials if trial.config["lr"] == 3.0]
    assert {trial.state for trial in trials if trial not in broken} == {"done"}
    assert "failed" in {trial.state for trial in broken}
    assert all((trial.reason or "").startswith(REASONS[how]) for trial in broken if trial.state == "failed")
