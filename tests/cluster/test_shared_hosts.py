"""Drivers that share a cluster's hosts: whose rows meet in a lane, that it changes no digit, and that hosts end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from raysweep.record.occupancy import read_occupancy
from raysweep.record.trial import Trial
from tests.cluster.own_home import write_home

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
HOST = "host-1-0-0"
SMOKE = "probegan-fashion-smoke.yaml"
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
MASKS = (
    "name=masks",
    "method={name: rde, components: patches, patch: 2, fill: gaussian}",
    "models.generator=null",
    "space={lr: 0.1, sparsity_weight: {choice: [0.01, 0.1]}, noise_samples: 2, steps: {choice: [50, 400]}}",
    "objective=[distortion, sparsity]",
    "hosts.cpus=1",
)
TRAININGS = (
    "name=trainings",
    "examples=20",
    "space.width=1",
    "space.batch=4",
    "space.ema_start=1",
    "space.steps={choice: [1, 40]}",
    "hosts.cpus=1",
)


@dataclass
class Shared:
    """What four drivers left that met on one host.

    `first` ran before, during and after the others and was killed; `second` has the same networks and method; `masks`
    is of another method, and `trainings` are ProbeGAN's. `sets` are the model sets that the host held while `masks`
    ran, `pids` the host's process, asked before and after.
    """

    home: Path
    first: SweepResult
    second: SweepResult
    masks: SweepResult
    trainings: SweepResult
    sets: set[int]
    pids: list[int]


def until(holds: Callable[[], Any], driver: subprocess.Popen[bytes] | None = None) -> Any:
    deadline = time.monotonic() + DEADLINE
    while not (found := holds()):
        assert time.monotonic() < deadline
        assert driver is None or driver.poll() is None
        time.sleep(0.2)
    return found


@contextmanager
def driver(file: Path, storage: Path, *overrides: str) -> Iterator[subprocess.Popen[bytes]]:
    """A driver of its own, on the Ray of this process; killed when the block ends, if it has not ended."""
    environment = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    command = [sys.executable, "-m", "raysweep.cli", "run", str(file), "--storage", str(storage)]
    command += [f"--set={override}" for override in overrides]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def done(home: Path, name: str) -> list[Trial]:
    if not (home / "runs" / name / "journal.jsonl").exists():
        return []
    trials = SweepResult.load(name, home / "runs").ledger.trials.values()
    return [trial for trial in trials if trial.state == "done"]


def host_pid() -> int:
    return int(ray.get(ray.get_actor(HOST, namespace="raysweep").alive.remote()))


def model_sets() -> int:
    return int(ray.get(ray.get_actor(HOST, namespace="raysweep").renew.remote("nobody"))["sets"])


def host_gone() -> bool:
    try:
        ray.get_actor(HOST, namespace="raysweep")
    except ValueError:
        return True
    return False


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> Iterator[Shared]:
    """Ray has room for one host only, so that who does not share would wait for ever."""
    home, sets = write_home(tmp_path_factory.mktemp("home")), set[int]()
    own, probegan, runs = home / "sweep.yaml", jobs / SMOKE, home / "runs"

    def look(event: Event, ledger: Ledger) -> None:
        if event["event"] == "milestone":
            sets.add(model_sets())

    with ray_runtime(1):
        with driver(own, runs, *UNENDING) as first:
            until(lambda: done(home, "first"), first)
            pids = [host_pid()]
            with driver(probegan, runs, *TRAININGS) as trainings:
                until(lambda: done(home, "trainings"), trainings)
                with driver(own, runs, *SECOND) as second:
                    masks = raysweep.run(own, storage=runs, overrides=MASKS, on_event=look)
                    assert second.wait(DEADLINE) == 0
                assert trainings.wait(DEADLINE) == 0
            count = len(done(home, "first"))
            until(lambda: len(done(home, "first")) > count, first)
            pids.append(host_pid())
        loaded = {name: SweepResult.load(name, runs) for name in ("first", "second", "trainings")}
        yield Shared(home, **loaded, masks=masks, sets=sets, pids=pids)


def log(result: SweepResult) -> list[dict[str, Any]]:
    return read_occupancy(result.folder)


def scores(result: SweepResult) -> dict[int, Any]:
    """Of every trial, all its objectives with their intervals."""
    return {number: trial.result and trial.result.objectives for number, trial in result.ledger.trials.items()}


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


def test_a_sweep_of_another_method_has_lanes_of_its_own_and_its_turns_beside_the_others(shared: Shared) -> None:
    assert max(shared.sets) == 3
    names = {name for line in log(shared.masks) for name in line["sweeps"]}
    assert names == {f"masks-{str(shared.masks.ledger.sweep_id)[:8]}"}
    assert sum(line["row_steps"] for line in log(shared.masks)) == 6 * 2 * 400 * 2  # with two noises each
    began = min(trial.started or 0.0 for trial in shared.masks.finished)
    ended = max(trial.ended or 0.0 for trial in shared.masks.finished)
    assert any(began < (trial.ended or 0.0) < ended for trial in done(shared.home, "first"))


def test_whoever_shares_a_host_gets_every_digit_that_it_gets_alone(shared: Shared) -> None:
    latest = sorted(done(shared.home, "first"), key=lambda trial: trial.ended or 0.0)[-3:]
    wanted = [(shared.first, trial) for trial in latest]
    wanted += [(result, trial) for result in (shared.second, shared.masks) for trial in result.finished]
    assert len(wanted) == 3 + 8 + 4
    for result, trial in wanted:
        found, alone = result.tensors(trial), explained(result, trial)
        for name, value in alone.items():
            np.testing.assert_array_equal(found[name], value, err_msg=f"{result.name} {trial.number} {name}")


def test_a_host_ends_itself_when_the_last_driver_was_killed(shared: Shared) -> None:
    until(host_gone)
    until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])


def test_sweeps_of_three_methods_that_met_on_a_host_end_with_the_scores_of_each_alone(
    shared: Shared, jobs: Path
) -> None:
    until(host_gone)
    own = shared.home / "sweep.yaml"
    for together, file, overrides in (
        (shared.second, own, SECOND),
        (shared.masks, own, MASKS),
        (shared.trainings, jobs / SMOKE, TRAININGS),
    ):
        alone = raysweep.run(file, storage=shared.home / "alone", overrides=overrides)
        assert len(together.finished) == len(together.ledger.trials)
        assert scores(together) == scores(alone)
