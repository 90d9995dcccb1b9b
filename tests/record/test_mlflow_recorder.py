"""One sweep in a real SQLite store: every trial once, however often and by whomever it is recorded."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raysweep.data.audio import VOCAL
from raysweep.record.explanations import write_explanations
from raysweep.record.mlflow_recorder import MlflowRecorder
from raysweep.record.recorder import Recorder
from raysweep.record.store import local_store
from raysweep.record.trial import Measured, Milestone, Trial

_DEAD = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep's folder; its storage holds one MLflow store for the whole module, as making one takes seconds."""
    folder = tmp_path_factory.mktemp("storage") / "shoes"
    for number in range(4):
        for step in (100, 300):
            images = np.random.default_rng([number, step]).random((6, 1, 28, 28), dtype=np.float32)
            write_explanations(folder / f"explanations/k{number}-{step}.safetensors", {"explanation": images})
    return folder


def _milestone(number: int, step: int, value: float = 2.5) -> Milestone:
    file = f"explanations/k{number}-{step}.safetensors"
    when = 1_700_000_000.0 + step
    return Milestone(step, when, {"response_fd": Measured(value, value - 1, value + 1)}, {"recognition": 0.75}, file)


def _trial(number: int, steps: tuple[int, ...] = (100, 300), state: str = "done") -> Trial:
    return Trial(
        number,
        f"k{number}",
        {"lr": 0.1, "prior_weight": 0.001, "layers": [1, 2]},
        state,  # type: ignore[arg-type]
        [_milestone(number, step) for step in steps],
        host="host-0",
        tune_trial=f"tune_{number}",
        started=1_700_000_000.0,
        ended=1_700_000_400.0 if state != "running" else None,
    )


def _recorder(folder: Path, sweep: str, uri: str | None = None) -> MlflowRecorder:
    recorder = MlflowRecorder(uri, "shoes", sweep, None, folder, media="image")
    recorder.open_sweep()
    return recorder


def _children(recorder: MlflowRecorder) -> list:  # type: ignore[type-arg]
    query = f"tags.`raysweep.sweep` = '{recorder.sweep_id}' and tags.`raysweep.kind` = 'trial'"
    return list(recorder._client.search_runs([recorder._experiment], query))


def _points(recorder: MlflowRecorder, run_id: str, name: str) -> list[tuple[int, int, float]]:
    return [(m.step, m.timestamp, m.value) for m in recorder._client.get_metric_history(run_id, name)]


def test_a_sweeps_labels_are_tags_of_all_its_runs(folder: Path) -> None:
    recorder = MlflowRecorder(None, "shoes", "labelled", None, folder, labels={"raysweep.oracle": "true"})
    runs = [recorder.open_sweep(), recorder.record(_trial(0, (100,)))]
    assert [recorder._client.get_run(run).data.tags["raysweep.oracle"] for run in runs] == ["true", "true"]


def test_a_trial_is_a_finished_child_with_parameters_objective_interval_and_pictures(folder: Path) -> None:
    recorder = _recorder(folder, "whole")
    run = recorder._client.get_run(recorder.record(_trial(0)))
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (1_700_000_000_000, 1_700_000_400_000)
    assert run.data.params == {"lr": "0.1", "prior_weight": "0.001", "layers": "[1, 2]"}
    assert run.data.metrics["response_fd"] == 2.5
    assert (run.data.metrics["response_fd.low"], run.data.metrics["response_fd.high"]) == (1.5, 3.5)
    assert run.data.tags["mlflow.parentRunId"] == recorder._parent
    assert run.data.tags["raysweep.host"] == "host-0"
    assert run.data.tags["raysweep.tune_trial"] == "tune_0"
    files = {file.path for file in recorder._client.list_artifacts(run.info.run_id, "explanations/step-000300")}
    names = ("k0-300.png", "k0-300.safetensors")
    assert files == {f"explanations/step-000300/{name}" for name in names}


def test_metrics_lie_at_the_journals_own_steps_and_times(folder: Path) -> None:
    recorder = _recorder(folder, "times")
    run_id = recorder.record(_trial(0))
    assert _points(recorder, run_id, "response_fd") == [
        (100, 1_700_000_100_000, 2.5),
        (300, 1_700_000_300_000, 2.5),
    ]


def test_a_grown_trial_adds_only_what_is_new_and_a_repeat_adds_nothing(folder: Path) -> None:
    recorder = _recorder(folder, "grown")
    first = recorder.record(_trial(0, (100,), "running"))
    assert recorder._client.get_run(first).info.status == "RUNNING"
    assert {recorder.record(_trial(0)), recorder.record(_trial(0))} == {first}
    assert [step for step, _, _ in _points(recorder, first, "response_fd")] == [100, 300]
    assert len(_children(recorder)) == 1


def test_another_process_finds_the_run_and_doubles_nothing(folder: Path) -> None:
    one = _recorder(folder, "again")
    run_id = one.record(_trial(0, (100,), "running"))
    other = _recorder(folder, "again")
    assert other._parent == one._parent
    assert other.record(_trial(0)) == run_id
    assert _recorder(folder, "again").record(_trial(0)) == run_id
    assert [step for step, _, _ in _points(other, run_id, "response_fd")] == [100, 300]
    assert other._client.get_run(run_id).info.status == "FINISHED"


def test_a_run_whose_writer_died_before_the_tags_is_completed(folder: Path) -> None:
    recorder = _recorder(folder, "died")
    run_id = recorder.record(_trial(0))
    recorder._client.set_tag(run_id, "raysweep.milestones", "0")
    recorder._client.set_tag(run_id, "raysweep.state", "running")
    assert _recorder(folder, "died").record(_trial(0)) == run_id
    assert [step for step, _, _ in _points(recorder, run_id, "response_fd")] == [100, 300]


def test_an_older_copy_changes_nothing(folder: Path) -> None:
    recorder = _recorder(folder, "older")
    run_id = recorder.record(_trial(0))
    recorder.record(_trial(0, (100,), "running"))
    assert recorder._client.get_run(run_id).info.status == "FINISHED"
    assert recorder._client.get_run(run_id).data.tags["raysweep.state"] == "done"


def test_two_trials_with_one_result_key_are_two_runs(folder: Path) -> None:
    recorder = _recorder(folder, "twins")
    assert recorder.record(_trial(0)) != recorder.record(replace(_trial(1), key="k0"))


@pytest.mark.parametrize(("state", "status"), [("pruned", "FINISHED"), ("failed", "FAILED")])
def test_how_a_trial_ended_and_why_is_kept(folder: Path, state: str, status: str) -> None:
    recorder = _recorder(folder, state)
    run = recorder._client.get_run(recorder.record(replace(_trial(0, (100,), state), reason="stopped at 100")))
    assert run.info.status == status
    assert run.data.tags["raysweep.state"] == state
    assert run.data.tags["raysweep.reason"] == "stopped at 100"


def test_a_reading_that_is_not_finite_is_a_tag_and_not_a_number(folder: Path) -> None:
    recorder = _recorder(folder, "infinite")
    bad = replace(_milestone(0, 100), metrics={"response": float("inf")})
    run = recorder._client.get_run(recorder.record(replace(_trial(0), milestones=[bad])))
    assert "response" not in run.data.metrics
    assert run.data.tags["raysweep.not_finite.response"] == "inf at step 100"


def test_readings_of_classes_named_in_another_script_lie_apart(folder: Path) -> None:
    recorder = _recorder(folder, "scripts")
    named = {"fd.кот": 1.0, "fd.пёс": 2.0, "fd.鞋": 3.0, "fd.包": 4.0}
    run = recorder._client.get_run(
        recorder.record(replace(_trial(0), milestones=[replace(_milestone(0, 100), metrics=named)]))
    )
    assert {name: value for name, value in run.data.metrics.items() if name.startswith("fd.")} == named


def test_more_metrics_and_parameters_than_one_request_takes_all_arrive(folder: Path) -> None:
    recorder = _recorder(folder, "many")
    wide = replace(_milestone(0, 100), metrics={f"m{index}": float(index) for index in range(1203)})
    trial = replace(_trial(0), milestones=[wide], config={f"p{index}": index for index in range(250)})
    run = recorder._client.get_run(recorder.record(trial))
    assert (len(run.data.metrics), len(run.data.params)) == (1203 + 3, 250)


def test_a_lost_explanation_file_costs_the_pictures_and_nothing_else(folder: Path) -> None:
    recorder = _recorder(folder, "lost")
    run = recorder._client.get_run(recorder.record(_trial(9, (100,))))
    assert run.data.metrics["response_fd"] == 2.5
    assert "k9-100" in run.data.tags["raysweep.no_pictures.step-100"]


def test_the_counts_of_examples_of_a_race_lie_apart_at_one_step(folder: Path) -> None:
    recorder = _recorder(folder, "race")
    first = replace(_milestone(0, 100, 3.5), examples=4, time=1_700_000_050.0)
    trial = replace(_trial(0, (100,)), milestones=[first, _milestone(0, 100)])
    run = recorder._client.get_run(recorder.record(trial))
    assert run.data.metrics["response_fd"] == 2.5
    assert sorted(_points(recorder, run.info.run_id, "response_fd")) == [
        (100, 1_700_000_050_000, 3.5),
        (100, 1_700_000_100_000, 2.5),
    ]
    folders = {file.path for file in recorder._client.list_artifacts(run.info.run_id, "explanations")}
    assert folders == {"explanations/step-000100", "explanations/step-000100-first-004"}


@pytest.mark.parametrize("drawn", [True, False])
def test_what_cannot_be_heard_or_drawn_costs_neither_the_tensors_nor_the_rest(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, drawn: bool
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    tensors = tmp_path / "mels" / "explanations" / "k0-100.safetensors"
    write_explanations(tensors, {"explanation": np.zeros((2, 1, 64, 40), np.float32)})
    if not drawn:
        monkeypatch.setattr(Image.Image, "save", full)
    uri = local_store(folder.parent)
    recorder = MlflowRecorder(uri, "mels", f"drawn {drawn}", None, tmp_path / "mels", media="logmel", audio=VOCAL)
    recorder.open_sweep()
    run = recorder._client.get_run(recorder.record(_trial(0, (100,))))
    files = recorder._client.list_artifacts(run.info.run_id, "explanations/step-000100")
    assert {Path(file.path).suffix for file in files} == ({".safetensors", ".png"} if drawn else {".safetensors"})
    assert ("raysweep.no_pictures.step-100" in run.data.tags) == (not drawn)
    assert run.data.metrics["response_fd"] == 2.5


def test_the_parent_keeps_the_sweep_file_versions_settings_and_summary(folder: Path) -> None:
    recorder = MlflowRecorder(None, "shoes", "parent", "an experiment", folder)
    sweep_file = folder / "sweep.yaml"
    sweep_file.write_text("name: shoes\n")
    run_id = recorder.open_sweep({"method": "am", "models": {"classifier": "c"}}, sweep_file, {"torch": "2.13"})
    recorder.close_sweep("FINISHED", {"best": 1.5, "worst": float("nan")})
    run = recorder._client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"method": "am", "models.classifier": "c"}
    assert run.data.metrics == {"best": 1.5}
    stored = Path(run.info.artifact_uri.removeprefix("file://"))
    assert stored.is_relative_to(folder.parent / "mlartifacts")
    assert (stored / "sweep.yaml").read_text() == "name: shoes\n"
    assert json.loads((stored / "versions.json").read_text()) == {"torch": "2.13"}
    assert recorder.open_sweep() == run_id
    assert recorder._client.get_run(run_id).info.status == "RUNNING"


def test_the_thread_records_the_newest_copy_of_every_trial(folder: Path) -> None:
    synced: dict[int, str] = {}
    recorder = Recorder(lambda: _recorder(folder, "thread"), lambda trial, run: synced.update({trial.number: run}))
    for number in range(4):
        recorder.submit(_trial(number, (100,), "running"))
        recorder.submit(_trial(number))
    assert recorder.close(60, summary={"best": 2.5}) == []
    assert recorder.closed_sweep
    sink = _recorder(folder, "thread")
    assert {run.info.run_id for run in _children(sink)} == set(synced.values())
    assert {run.info.status for run in _children(sink)} == {"FINISHED"}


def test_a_dead_server_blocks_nothing_and_a_later_store_gets_everything_once(folder: Path) -> None:
    notices: list[str] = []
    trials = [_trial(number) for number in range(4)]
    submitted = threading.Event()

    def open_sink() -> MlflowRecorder:
        submitted.wait()  # submit that waited for the server would wait for ever
        return _recorder(folder, "outage", _DEAD)

    recorder = Recorder(open_sink, lambda *_: None, notices.append)
    for trial in trials:
        recorder.submit(trial)
    submitted.set()
    assert recorder.close(4) == [0, 1, 2, 3]
    assert len(notices) == 1
    assert "\n" not in notices[0]
    assert not recorder.closed_sweep

    later = Recorder(lambda: _recorder(folder, "outage"), lambda *_: None)
    for trial in trials:
        later.submit(trial)
    assert later.close(60) == []
    sink = _recorder(folder, "outage")
    assert sorted(run.data.tags["raysweep.trial"] for run in _children(sink)) == ["0", "1", "2", "3"]
    for run in _children(sink):
        assert [step for step, _, _ in _points(sink, run.info.run_id, "response_fd")] == [100, 300]


def test_one_trial_that_cannot_be_recorded_does_not_hold_up_the_others() -> None:
    recorded: list[int] = []

    class Sink:
        def record(self, trial: Trial) -> str:
            if trial.number == 0:
                raise RuntimeError("parameter changed")
            recorded.append(trial.number)
            return "run"

        def close_sweep(self, *_: object) -> None: ...

    recorder = Recorder(Sink, lambda *_: None)
    for number in range(4):
        recorder.submit(_trial(number))
    assert recorder.close(2) == [0]
    assert recorded == [1, 2, 3]


def test_importing_the_recorder_does_not_import_mlflow() -> None:
    rooms = "raysweep.record.recorder, raysweep.record.mlflow_recorder, raysweep.record.registry"
    code = f"import raysweep, {rooms}, sys; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
