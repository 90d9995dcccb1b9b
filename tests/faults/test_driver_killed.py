"""A driver that is killed at any point is continued by the next: nothing is lost, nothing counts twice."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from raysweep.cluster.runtime import ray_runtime
from raysweep.outcome import SweepResult
from raysweep.record.journal import Event, read_events
from raysweep.record.ledger import Ledger
from tests.cluster.own_home import write_home
from tests.faults.aftermath import nothing_lost_or_doubled

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
DEADLINE = 300  # a watchdog, not a measurement
TRANSITIONS = ("sweep", "session", "numerics", "planned", "leased", "run", "milestone", "ended", "synced")
MANY = ("hosts.cpus=1", "space.lr.choice=[0.3, 0.1, 0.03, 0.01, 0.003]")
TPE = (
    "hosts.cpus=1",
    "space={lr: {log: [0.001, 0.3]}, prior_weight: {log: [0.001, 1]}, steps: {choice: [200, 600]}}",
    "search={sampler: tpe, startup: 6}",
    "stop.scheduler=asha",
    "stop.min_steps=200",
    "budget.trials=60",
    "concurrency=2",
)
KILLS = 30


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, and a Ray that outlives the drivers."""
    with ray_runtime(1):
        yield write_home(tmp_path_factory.mktemp("home"))


def run(file: Path, storage: Path, cluster: str, overrides: tuple[str, ...], transition: str | None) -> None:
    """What a driver's process does; it kills itself as soon as it has journaled an event of this kind."""
    import raysweep

    os.environ["RAY_ADDRESS"] = cluster
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    began = time.time()

    def kill(event: Event, ledger: Ledger) -> None:
        if event["event"] == transition and event["time"] >= began:
            os.kill(os.getpid(), signal.SIGKILL)

    raysweep.run(file, storage=storage, overrides=overrides, on_event=kill)


class Drivers:
    """Starts drivers quickly: each is forked from a process that has imported everything and done nothing.

    Args:
        home: the user's folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["raysweep.sweep", "raysweep.cluster.tuning", "raysweep.cluster.pool", "raysweep.record.mlflow_recorder"]
        )

    def start(
        self, storage: str, overrides: tuple[str, ...], transition: str | None = None
    ) -> multiprocessing.process.BaseProcess:
        """A driver at work."""
        cluster = ray.get_runtime_context().gcs_address
        arguments = (self._home / "sweep.yaml", self._home / storage, cluster, overrides, transition)
        process = self._context.Process(target=run, args=arguments)
        process.start()
        return process

    def finish(self, storage: str, overrides: tuple[str, ...], transition: str | None = None) -> int | None:
        """The exit code of a driver."""
        process = self.start(storage, overrides, transition)
        process.join(DEADLINE)
        return process.exitcode


def milestones(home: Path, storage: str) -> Counter[tuple[int, int]]:
    """How often each is in the journal."""
    path = home / storage / "own" / "journal.jsonl"
    events = read_events(path) if path.exists() else ()
    return Counter((event["number"], event["step"]) for event in events if event["event"] == "milestone")


def test_a_driver_killed_at_every_transition_loses_nothing_and_doubles_nothing(home: Path) -> None:
    drivers = Drivers(home)
    for transition in TRANSITIONS:
        assert drivers.finish("storm", MANY, transition) == -signal.SIGKILL, transition
    assert drivers.finish("storm", MANY) == 0
    assert drivers.finish("calm", MANY) == 0
    storm, calm = (SweepResult.load("own", home / storage) for storage in ("storm", "calm"))
    nothing_lost_or_doubled("SIGKILL of the driver at every journal transition", storm, calm, len(TRANSITIONS))


def test_a_driver_killed_at_thirty_random_moments_comes_to_the_same_decisions(home: Path) -> None:
    drivers, moments = Drivers(home), random.Random(0)
    for kill in range(KILLS):
        before = milestones(home, "hail").total()
        driver = drivers.start("hail", TPE)
        deadline = time.monotonic() + DEADLINE
        while kill % 3 and milestones(home, "hail").total() == before:  # every third time before it gets that far
            assert driver.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(moments.uniform(0.0, 4.0 if kill % 3 == 0 else 0.5))
        driver.kill()
        driver.join()
        assert driver.exitcode == -signal.SIGKILL
    assert drivers.finish("hail", TPE) == 0
    assert drivers.finish("fair", TPE) == 0
    hail, fair = (SweepResult.load("own", home / storage) for storage in ("hail", "fair"))
    nothing_lost_or_doubled("SIGKILL of the driver at random moments", hail, fair, KILLS)
    assert hail.ledger.decisions == fair.ledger.decisions
    assert set(milestones(home, "hail").values()) == {1}
