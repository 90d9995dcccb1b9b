"""The registered champion loads by its alias and explains, from files alone, without pickles."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from raysweep.record.mlflow_recorder import MlflowRecorder
from raysweep.record.registry import register_champion
from raysweep.record.store import local_store, open_client
from raysweep.record.trial import Measured, Milestone, Trial


@pytest.fixture(scope="module")
def winner(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Path]:
    folder = tmp_path_factory.mktemp("storage") / "shoes"
    folder.mkdir()
    recorder = MlflowRecorder(None, "shoes", "s1", None, folder)
    recorder.open_sweep()
    milestone = Milestone(100, 1.0, {"response_fd": Measured(1.0, 0.5, 1.5)}, {})
    run_id = recorder.record(Trial(0, "k0", {"lr": 0.1}, "done", [milestone], started=0.5, ended=1.5))
    (folder / "best.yaml").write_text("lr: 0.1\n")
    (folder / "net.safetensors").write_bytes(b"weights")
    (folder / "user_net_of_test.py").write_text("WIDTH = 7\n")
    return local_store(folder.parent), run_id, folder


@pytest.fixture
def explain_from_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands for `raysweep.sweep.explain`: reads the files that travelled and the user's code."""

    def explain(best: Path, examples: int, first_example: int = 0) -> dict[str, np.ndarray]:
        import user_net_of_test

        assert best.read_text() == "lr: 0.1\n"
        assert (best.parent / "nets" / "net.safetensors").read_bytes() == b"weights"
        return {"explanation": np.full((examples, user_net_of_test.WIDTH), first_example)}

    module = types.ModuleType("raysweep.sweep")
    module.explain = explain  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "raysweep.sweep", module)


def _register(winner: tuple[str, str, Path]) -> str:
    uri, run_id, folder = winner
    return register_champion(
        uri,
        "shoes",
        run_id,
        folder / "best.yaml",
        files={"nets/net.safetensors": folder / "net.safetensors"},
        code=[folder / "user_net_of_test.py"],
    )


@pytest.mark.usefixtures("explain_from_files")
def test_champion_predicts_from_its_own_copy_of_weights_and_code(
    winner: tuple[str, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import pandas as pd

    _register(winner)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(winner[0])
    mlflow.set_registry_uri(winner[0])
    try:
        champion = mlflow.pyfunc.load_model("models:/shoes@champion")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    by_dict = champion.predict({"examples": 3, "first_example": 50})
    by_frame = champion.predict(pd.DataFrame({"examples": [2]}))
    assert by_dict["explanation"].shape == (3, 7)
    assert (by_dict["explanation"] == 50).all()
    assert by_frame["explanation"].shape == (2, 7)


def test_registering_the_same_champion_again_makes_no_new_version(winner: tuple[str, str, Path]) -> None:
    assert _register(winner) == _register(winner)
    assert len(open_client(winner[0]).search_model_versions("name='shoes'")) == 1


def test_another_best_configuration_takes_the_alias_over(winner: tuple[str, str, Path]) -> None:
    first = _register(winner)
    best = winner[2] / "best.yaml"
    best.write_text("lr: 0.01\n")
    try:
        second = _register(winner)
    finally:
        best.write_text("lr: 0.1\n")
    assert int(second) == int(first) + 1
    assert open_client(winner[0]).get_model_version_by_alias("shoes", "champion").version == int(second)


def test_registered_files_hold_no_pickle(winner: tuple[str, str, Path]) -> None:
    _register(winner)
    files = [path.name for path in (winner[2].parent / "mlartifacts").rglob("*") if path.is_file()]
    assert "champion_model.py" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pth", ".bin"))]
