"""Drivers that share a cluster's hosts: whose rows meet in a lane, that it changes no digit, and that hosts end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import yaml

import raysweep
from raysweep.cluster.runtime import ray_runtime
from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.record.occupancy import read_occupancy
from raysweep.record.trial import Trial
from tests.cluster.own_home import write_home

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
HOST = "host-1-0-0"
DEADLINE = 300  # a watchdog, not a measurement
UNENDING = (
    "name=first",
    "space.lr={log: [0.001, 0.1]}",
    "space.steps.choice=[50, 200]",
    "search.sampler=random",
    "budget.trials=100000",
    "hosts.cpus=1",
)
SECOND = ("name=second", "seed=1", "space.steps.choice=[50, 200]", "hosts.cpus=1")
THIRD = ("name=third", "direction=minimise", "hosts.cpus=1")


@dataclass
class Shared:
    """What three drivers left that met on one host.

    `first` ran before, during and after the others and was killed; `second` has the same networks and method; `third`
    minimises, so its rows are stepped in another way. `pids` are the host's process, asked before and after.
    """

    home: Path
    first: SweepResult
    second: SweepResult
    third: SweepResult
    pids: list[int]


def until(holds: Callable[[], Any], driver: subprocess.Popen[bytes] | None = None) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (found := holds()):
        assert time.monotonic() < deadline
        assert driver is None or driver.poll() is None
        time.sleep(0.2)
    return found


def start(home: Path, *overrides: str) -> subprocess.Popen[bytes]:
    """A driver of its own, on the Ray of this process."""
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-m", "raysweep.cli", "run", str(home / "sweep.yaml"), "--storage", str(home / "runs")]
    command += [f"--set={override}" for override in overrides]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def done(home: Path, name: str) -> list[Trial]:
    if not (home / "runs" / name / "journal.jsonl").exists():
        return []
    trials = SweepResult.load(name, home / "runs").ledger.trials.values()
    return [trial for trial in trials if trial.state == "done"]


def host_pid() -> int:
    return int(ray.get(ray.get_actor(HOST, namespace="raysweep").alive.remote()))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Ray has room for one host only, so that who does not share would wait for ever."""
    home = write_home(tmp_path_factory.mktemp("home"))
    with ray_runtime(1):
        first = start(home, *UNENDING)
        try:
            until(lambda: done(home, "first"), first)
            pids = [host_pid()]
            second = start(home, *SECOND)
            try:
                third = raysweep.run(home / "sweep.yaml", storage=home / "runs", overrides=THIRD)
                assert second.wait(DEADLINE) == 0
            finally:
                second.kill()
                second.wait()
            count = len(done(home, "first"))
            until(lambda: len(done(home, "first")) > count, first)
            pids.append(host_pid())
        finally:
            first.kill()
            first.wait()
        yield Shared(home, *(SweepResult.load(name, home / "runs") for name in ("first", "second")), third, pids)


def log(result: SweepResult) -> list[dict[str, Any]]:
    return read_occupancy(result.folder)


def explained(result: SweepResult, trial: Trial) -> dict[str, np.ndarray]:
    """One trial of a sweep by itself, in this process."""
    sweep = yaml.safe_load((result.folder / "sweep.yaml").read_text())
    sweep["space"] = trial.config
    sweep["slots"] = result.ledger.numerics["slots"]
    file = result.folder.parent.parent / "one.yaml"
    file.write_text(json.dumps(sweep))
    return explain(file, examples=sweep["examples"])


def test_rows_of_two_sweeps_share_a_lane_as_their_occupancy_logs_show(shared: Shared) -> None:
    assert shared.pids[0] == shared.pids[1]
    names = [f"{one.name}-{str(one.ledger.sweep_id)[:8]}" for one in (shared.first, shared.second)]
    for result in (shared.first, shared.second):
        assert {(line["host"], line["lane"], line["slots"]) for line in log(result)} == {(HOST, 0, 8)}
        mixed = [line for line in log(result) if line["shared_steps"]]
        assert mixed
        assert all(list(line["sweeps"]) == names for line in mixed)
        assert all(0 < line["occupancy"] <= 1 for line in log(result))
    own = [line["sweeps"][names[1]] for line in log(shared.second)]
    assert sum(own) == 6 * 200 * 4  # each of its four trajectories, once
    assert shared.second.occupancy is not None
    assert shared.second.occupancy["shared"] > 0


def test_a_sweep_that_is_stepped_in_another_way_has_lanes_of_its_own(shared: Shared) -> None:
    names = {name for line in log(shared.third) for name in line["sweeps"]}
    assert names == {f"third-{str(shared.third.ledger.sweep_id)[:8]}"}
    assert sum(line["row_steps"] for line in log(shared.third)) == 6 * 27 * 4


def test_whoever_shares_a_host_gets_every_digit_that_it_gets_alone(shared: Shared) -> None:
    latest = sorted(done(shared.home, "first"), key=lambda trial: trial.ended or 0.0)[-3:]
    wanted = [(shared.first, trial) for trial in latest]
    wanted += [(result, trial) for result in (shared.second, shared.third) for trial in result.finished]
    assert len(wanted) == 3 + 8 + 8
    for result, trial in wanted:
        found, alone = result.tensors(trial), explained(result, trial)
        for name, value in alone.items():
            np.testing.assert_array_equal(found[name], value, err_msg=f"{result.name} {trial.number} {name}")


def test_a_host_ends_itself_when_the_last_driver_was_killed(shared: Shared) -> None:
    def gone() -> bool:
        try:
            ray.get_actor(HOST, namespace="raysweep")
        except ValueError:
            return True
        return False

    until(gone)
    until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])
