"""A driver that is killed at any point is continued by the next: nothing is lost, nothing counts twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.cluster.runtime import ray_runtime
from raysweep.outcome import SweepResult
from raysweep.record.journal import read_events
from tests.cluster.own_home import write_home
from tests.faults.aftermath import nothing_lost_or_doubled
from tests.faults.drivers import DEADLINE, Drivers, KillsItself

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
TRANSITIONS = ("sweep", "session", "numerics", "planned", "leased", "milestone", "ended", "run", "synced")
"""Those of MLflow last: where it takes long, all trials have ended before."""
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


def milestones(home: Path, storage: str) -> Counter[tuple[int, int]]:
    """How often each is in the journal."""
    path = home / storage / "own" / "journal.jsonl"
    events = read_events(path) if path.exists() else ()
    return Counter((event["number"], event["step"]) for event in events if event["event"] == "milestone")


def test_a_driver_killed_at_every_transition_loses_nothing_and_doubles_nothing(home: Path) -> None:
    drivers = Drivers(home)
    for transition in TRANSITIONS:
        assert drivers.finish("storm", MANY, KillsItself(transition)) == -signal.SIGKILL, transition
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
