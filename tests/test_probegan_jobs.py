"""ProbeGAN over Fashion-MNIST at a much reduced scale, through Ray and MLflow."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.explain import explain
from raysweep.objectives.recognition import score_recognition
from raysweep.outcome import SweepResult
from raysweep.preflight import check_workload
from raysweep.record.journal import Journal
from raysweep.record.store import local_store, open_client
from raysweep.recording import recording
from raysweep.sweep import run
from raysweep.sweepfile import load_sweep
from raysweep.winner import pack_champion, write_best, write_sweep_report

SMALL = ("examples=20", "space.width=1", "space.steps={choice: [1, 3]}", "space.batch=4", "space.ema_start=1")


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def result(storage: Path, jobs: Path) -> SweepResult:
    diverges = "space.generator_lr.choice=[2.0e-4, 1.0e+30]"
    overrides = (*SMALL, diverges, "precision=bfloat16")
    return run(jobs / "probegan-fashion-smoke.yaml", storage=storage, overrides=overrides)


def test_the_precision_that_was_asked_for_is_recorded_with_every_trial(result: SweepResult, storage: Path) -> None:
    assert {trial.numerics["precision"] for trial in result.ledger.trials.values()} == {"bfloat16"}
    best = result.best
    assert best is not None
    assert "bfloat16" in write_best(result, storage / "best.yaml").read_text(encoding="utf-8")


SHOWN = ("images=raysweep.zoo.fashion.block:images", "space.classifier=unmarked", "method=probegan_oracle")


@pytest.mark.parametrize(
    ("job", "overrides", "target"),
    [
        ("probegan-marker", (), "sneaker"),
        ("probegan-marker", SHOWN, "sneaker"),
        ("probegan-spurious", (), "water_bird"),
        ("probegan-spurious", ("target=land_bird",), "land_bird"),
    ],
)
def test_the_probes_sweeps_hold_and_their_witnesses_know_real_images(
    jobs: Path, job: str, overrides: tuple[str, ...], target: str
) -> None:
    workload = check_workload(load_sweep(jobs / f"{job}.yaml", overrides))
    explainer = workload.explainer
    assert isinstance(explainer, GanExplainer)
    assert workload.data.classes[explainer.target] == target
    ((name, (witness, unit)),) = workload.witnessed.items()
    sees = score_recognition(
        witness(torch.from_numpy(explainer.of_class(explainer.target))), unit, np.zeros((1, 1), int)
    )
    assert (name, unit) in (("block", 0), ("water", 1))
    assert sees.value == pytest.approx({"block": 0, "water": 0.5}[name], abs=0.03)


def test_trainings_that_diverge_fail_by_name_and_the_others_end(result: SweepResult) -> None:
    states = {tuple(trial.config.values()): trial.state for trial in result.ledger.trials.values()}
    for (classifier, *others), state in states.items():
        assert classifier in ("regular", "robust")
        assert state == ("failed" if 1e30 in others else "done"), others
    failed = [trial for trial in result.ledger.trials.values() if trial.state == "failed"]
    assert len(failed) == 4
    assert all("not finite" in str(trial.reason) for trial in failed)


def test_the_winner_is_one_by_the_classes_that_are_seen(result: SweepResult) -> None:
    best = result.best
    assert best is not None
    assert best.result is not None
    done = [trial for trial in result.ledger.trials.values() if trial.state == "done" and trial.result]
    scores = [trial.result.objectives["seen_fd"].value for trial in done if trial.result]
    assert best.result.objectives["seen_fd"].value == min(scores)
    assert {"target_fd", "fd.sneaker", "fd.bag", "recognition", "recognition.bag", "confidence"} <= set(
        best.result.metrics
    )


def test_the_winners_generator_goes_with_it_wherever_it_is_explained(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    known = result.tensors(best)["explanation"]
    found = explain(write_best(result, tmp_path / "best.yaml"), 5, 2)["explanation"]
    np.testing.assert_array_equal(found, known[2:7])
    with safe_open(tmp_path / "best.safetensors", "np") as beside:
        names = check_workload(load_sweep(tmp_path / "best.yaml")).data.classes
        assert [name for name, unseen in zip(names, beside.get_tensor("unseen"), strict=True) if unseen] == ["sneaker"]
    champion = pack_champion(result, tmp_path / "champion")
    np.testing.assert_array_equal(explain(champion / "best.yaml", 3)["explanation"], known[:3])


def test_the_record_and_the_report_show_every_class(result: SweepResult, storage: Path) -> None:
    client = open_client(local_store(storage))
    best = result.best
    assert best is not None
    assert best.mlflow_run is not None
    logged = client.get_run(best.mlflow_run).data
    assert logged.params["classifier"] == best.config["classifier"]
    assert "fd.ankle boot" in logged.metrics
    page = write_sweep_report(result).read_text(encoding="utf-8")
    assert "seen_fd" in page
    assert "classifier" in page


def test_an_oracle_is_labelled_in_the_record_and_in_the_report(
    result: SweepResult, storage: Path, tmp_path: Path
) -> None:
    ledger, folder, said = copy.deepcopy(result.ledger), tmp_path / "looking", "target class were looked at"
    assert ledger.sweep is not None
    ledger.sweep["method"]["name"], ledger.sweep_id = "probegan_oracle", "looking"
    looking = write_sweep_report(SweepResult("looking", result.folder, ledger), tmp_path / "looking.html")
    assert said in looking.read_text(encoding="utf-8")
    assert said not in write_sweep_report(result, tmp_path / "report.html").read_text(encoding="utf-8")
    uri = local_store(storage)
    with Journal(folder, ledger.apply) as journal, recording(journal, ledger, folder, uri, print) as recorder:
        recorder.submit(copy.deepcopy(ledger.trials[0]))
        assert recorder.close(60.0, "FINISHED") == []
    client = open_client(uri)
    assert ledger.sweep_run is not None
    assert client.get_run(ledger.sweep_run).data.tags["raysweep.oracle"] == "true"
    labelled = client.search_runs(
        [client.get_run(ledger.sweep_run).info.experiment_id], "tags.`raysweep.oracle` = 'true'"
    )
    assert {run.data.tags["raysweep.kind"] for run in labelled} == {"sweep", "trial"}
    assert {run.data.tags["raysweep.sweep"] for run in labelled} == {"looking"}
