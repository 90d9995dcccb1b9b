"""MLflow is down, killed, slow, or refuses: the sweep does not notice, and all of it arrives later, once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raysweep.cluster.runtime import ray_runtime
from raysweep.outcome import SweepResult
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from raysweep.recording import sync
from tests.cluster.own_home import recorded_runs, write_home
from tests.faults.aftermath import nothing_lost_or_doubled
from tests.faults.breaking import sweep, undisturbed
from tests.faults.mlflow_server import Between, Server

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
ONE = ("hosts.cpus=1",)
REQUESTS = 6
"""How many go wrong before all is well again."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, and one Ray for all tests."""
    with ray_runtime(1):
        yield write_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("mlflow"))
    yield one
    one.kill()


def slow() -> None:
    time.sleep(5)


@pytest.mark.parametrize(("name", "spoil"), [("says-400", lambda: 400), ("says-500", lambda: 500), ("slow", slow)])
def test_an_mlflow_that_refuses_or_takes_long_gets_everything_once(
    home: Path, server: Server, name: str, spoil: Callable[[], int | None]
) -> None:
    with Between(server, spoil, REQUESTS) as between:
        threading.Thread(target=between.serve_forever, daemon=True).start()
        sweep(home, name, f"name={name}", *ONE, mlflow=between.uri)
        assert sync(name, home / name, between.uri, print)["complete"]  # where the outage outlasted the sweep
        between.shutdown()
    assert between.left == 0
    storm, calm = SweepResult.load(name, home / name), undisturbed(home, *ONE)
    nothing_lost_or_doubled(f"MLflow {name.replace('-', ' ')}", storm, calm, REQUESTS, mlflow=server.uri)


def test_an_mlflow_that_is_killed_and_started_again_gets_everything_once(home: Path, server: Server) -> None:
    said: list[str] = []
    scored: list[float] = []

    def kill_and_start(event: Event, ledger: Ledger) -> None:
        if event["event"] == "milestone":
            scored.append(event["time"])
            if len(scored) == 2:
                server.kill()
            if len(scored) == 6:
                server.start()

    storm = sweep(home, "killed", "name=killed", *ONE, mlflow=server.uri, on_event=kill_and_start, notify=said.append)
    assert len(scored) == 8
    assert sync("killed", home / "killed", server.uri, said.append)["complete"]  # where the outage outlasted the sweep
    nothing_lost_or_doubled("SIGKILL of MLflow's server", storm, undisturbed(home, *ONE), mlflow=server.uri)


def test_a_sweep_without_mlflow_finishes_and_is_recorded_once_by_hand(home: Path) -> None:
    said: list[str] = []
    nowhere = "http://127.0.0.1:9"
    storm = sweep(home, "without", *ONE, mlflow=nowhere, notify=said.append)
    assert any("MLflow" in line for line in said)
    numbers = sorted(storm.ledger.trials)
    assert sync("own", home / "without", nowhere, said.append)["lacking"] == numbers
    sent = {"name": "own", "sent": len(numbers), "lacking": [], "complete": True}
    assert sync("own", home / "without", None, said.append) == sent
    again = {**sent, "sent": 0}
    assert sync("own", home / "without", nowhere, said.append) == {**again, "complete": False}
    assert sync("own", home / "without", None, said.append) == again
    assert len(recorded_runs(home / "without")) == 1 + len(numbers)
    storm = SweepResult.load("own", home / "without")
    nothing_lost_or_doubled("no MLflow from the start, then sync", storm, undisturbed(home, *ONE))
