"""A driver that is killed at any point is continued by the next: nothing is lost, nothing counts twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from raysweep.cluster.runtime import ray_runtime
from raysweep.outcome import SweepResult
from raysweep.record.journal import read_events
from tests.cluster.own_home import recorded_runs, write_home

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
DEADLINE = 300  # a watchdog, not a measurement
TRANSITIONS = ("sweep", "session", "numerics", "planned", "leased", "run", "milestone", "ended", "synced")
DRIVER = """
import os, signal, sys, time
import raysweep

file, storage, transition = sys.argv[1:]
began = time.time()

def kill(event, ledger):
    if event["event"] == transition and event["time"] >= began:
        os.kill(os.getpid(), signal.SIGKILL)

many = ["hosts.cpus=1", "space.lr.choice=[0.3, 0.1, 0.03, 0.01, 0.003]"]
raysweep.run(file, storage=storage, overrides=many, on_event=kill)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, and a Ray that outlives the drivers."""
    with ray_runtime(1):
        yield write_home(tmp_path_factory.mktemp("home"))


def drive(home: Path, storage: str, transition: str = "never") -> int:
    """The exit code of a driver that kills itself as soon as it has journaled such an event."""
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-c", DRIVER, str(home / "sweep.yaml"), str(home / storage), transition]
    return subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=DEADLINE).returncode


def test_a_driver_killed_at_every_transition_loses_nothing_and_doubles_nothing(home: Path) -> None:
    for transition in TRANSITIONS:
        assert drive(home, "storm", transition) == -signal.SIGKILL, transition
    assert drive(home, "storm") == 0
    assert drive(home, "calm") == 0
    disturbed, undisturbed = (SweepResult.load("own", home / storage) for storage in ("storm", "calm"))

    assert disturbed.ledger.trials.keys() == undisturbed.ledger.trials.keys()
    for number, trial in undisturbed.ledger.trials.items():
        other = disturbed.ledger.trials[number]
        assert (other.config, other.state, other.objective) == (trial.config, "done", trial.objective)
    assert disturbed.best is not None
    assert undisturbed.best is not None
    assert disturbed.best.number == undisturbed.best.number

    ended = Counter(e["number"] for e in read_events(disturbed.folder / "journal.jsonl") if e["event"] == "ended")
    assert set(ended.values()) == {1}
    runs = recorded_runs(home / "storm")
    assert len(runs) == 1 + len(disturbed.ledger.trials)
    assert {run.info.status for run in runs} == {"FINISHED"}
    recorded = {run.info.run_id for run in runs}
    assert recorded == {disturbed.ledger.sweep_run, *(t.mlflow_run for t in disturbed.ledger.trials.values())}
