"""The registered champion loads by its alias and explains, from files alone, without pickles."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from raysweep.explain import explain
from raysweep.record.mlflow_recorder import MlflowRecorder
from raysweep.record.registry import register_champion
from raysweep.record.store import local_store, open_client
from raysweep.record.trial import Measured, Milestone, Trial

BEST = """
name: shoes-best
method: am
models: {generator: zoo://fashion/generator, classifier: zoo://fashion/classifier}
data: zoo://fashion/test
target: sneaker
examples: 10
space: {lr: 0.1, prior_weight: 0.01, steps: 3}
objective: response_fd
"""


@pytest.fixture(scope="module")
def winner(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    """A store's URI, the id of the winner's run, and the champion's folder."""
    folder = tmp_path_factory.mktemp("storage") / "shoes"
    recorder = MlflowRecorder(None, "shoes", "s1", None, folder)
    recorder.open_sweep()
    milestone = Milestone(100, 1.0, {"response_fd": Measured(1.0, 0.5, 1.5)}, {})
    run_id = recorder.record(Trial(0, "k0", {"lr": 0.1}, "done", [milestone], started=0.5, ended=1.5))
    champion = folder / "champion"
    champion.mkdir(parents=True)
    (champion / "best.yaml").write_text(BEST)
    return local_store(folder.parent), run_id, champion


def _register(winner: tuple[str, str, Path], champion: Path | None = None) -> str:
    uri, run_id, folder = winner
    return register_champion(uri, "shoes", run_id, champion or folder)


def test_champion_predicts_what_explain_gives_from_a_dict_and_from_a_frame(winner: tuple[str, str, Path]) -> None:
    import mlflow
    import pandas as pd

    _register(winner)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(winner[0])
    mlflow.set_registry_uri(winner[0])
    try:
        champion = mlflow.pyfunc.load_model("models:/shoes@champion")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    known = explain(winner[2] / "best.yaml", 3, 50)
    for asked in ({"examples": 3, "first_example": 50}, pd.DataFrame({"examples": [3], "first_example": [50]})):
        found = champion.predict(asked)
        np.testing.assert_array_equal(found["explanation"], known["explanation"])
        np.testing.assert_array_equal(found["response"], known["response"])
    assert len(champion.predict({})["response"]) == 1


def test_registering_the_same_champion_again_makes_no_new_version(winner: tuple[str, str, Path]) -> None:
    assert _register(winner) == _register(winner)
    assert len(open_client(winner[0]).search_model_versions("name='shoes'")) == 1


@pytest.mark.parametrize("change", ["best.yaml", "shapes/models.py", "files/0-net.safetensors"])
def test_a_change_in_any_file_of_the_champion_takes_the_alias_over(
    winner: tuple[str, str, Path], tmp_path: Path, change: str
) -> None:
    first = _register(winner)
    changed = shutil.copytree(winner[2], tmp_path / "champion")
    (changed / change).parent.mkdir(exist_ok=True)
    with (changed / change).open("a") as file:
        file.write("# changed\n")
    second = _register(winner, changed)
    assert int(second) > int(first)
    assert open_client(winner[0]).get_model_version_by_alias("shoes", "champion").version == int(second)


def test_registered_files_hold_no_pickle(winner: tuple[str, str, Path]) -> None:
    _register(winner)
    files = [path.name for path in (winner[2].parents[1] / "mlartifacts").rglob("*") if path.is_file()]
    assert "champion_model.py" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin"))]
