"""What a trial asks of a host, on a real Ray: a host that was replaced has no say any more."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import RayError

import raysweep
from raysweep.cluster.calling import Advance, advance_somewhere, begin_epoch, epoch_of
from raysweep.cluster.pool import HostPool
from raysweep.cluster.runtime import ray_runtime
from raysweep.errors import HostLost
from raysweep.preflight import prepare
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from raysweep.sweep import host_plan
from raysweep.sweepfile import load_sweep
from tests.cluster.own_home import write_home

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
HOST = "host-1-0-0"
NUMERICS = {"precision": "float32", "slots": 8, "device": "cpu", "threads": 1}
DEADLINE = 120.0  # a watchdog, not a measurement


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with ray_runtime(1):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_home(tmp_path)


def test_an_answer_from_a_host_that_was_replaced_is_refused(home: Path) -> None:
    prepared = prepare(load_sweep(home / "sweep.yaml", ["hosts.cpus=1"]), home / "runs")
    plan = host_plan("own", prepared.sweep, prepared.workload, prepared.folder, NUMERICS)
    values = {"lr": 0.1, "prior_weight": 0.1}
    with HostPool(plan, 1, 1, 0) as pool:
        request = Advance(pool.session, 0, "key", "trajectory", values, 9, (6,))
        host, answer = advance_somewhere([HOST], request)
        assert (host, sorted(answer)) == (HOST, ["explanations", "metrics", "objectives"])
        successor = begin_epoch(HOST)
        with pytest.raises(HostLost, match="host-1-0-0 was replaced before it answered"):
            advance_somewhere([HOST], request, deadline=1.0)
        assert epoch_of(HOST) == successor


def pid() -> int | None:
    """The process that is the host now, if one answers."""
    try:
        found: dict[str, Any] = ray.get(ray.get_actor(HOST, namespace="raysweep").renew.remote("nobody"), timeout=5)
    except (RayError, ValueError):
        return None
    return int(found["pid"])


def test_a_host_that_sleeps_too_long_and_wakes_up_changes_no_score(home: Path) -> None:
    long = ("space.steps.choice=[200, 2000]", "hosts.cpus=1")
    stopped: list[int] = []
    woken = threading.Event()

    def wake() -> None:
        """When another process is the host."""
        deadline = time.monotonic() + DEADLINE
        while pid() in (None, stopped[0]):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.kill(stopped[0], signal.SIGCONT)
        woken.set()

    def stop_once(event: Event, ledger: Ledger) -> None:
        if event["event"] == "milestone" and not stopped:
            found = pid()
            assert found is not None
            stopped.append(found)
            os.kill(found, signal.SIGSTOP)
            threading.Thread(target=wake, daemon=True).start()

    disturbed = raysweep.run(home / "sweep.yaml", storage=home / "storm", overrides=long, on_event=stop_once)
    assert woken.wait(DEADLINE)
    calm = raysweep.run(home / "sweep.yaml", storage=home / "calm", overrides=long)
    for number, trial in calm.ledger.trials.items():
        assert (trial.state, trial.objective) == ("done", disturbed.ledger.trials[number].objective)
