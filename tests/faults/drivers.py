"""Drivers as processes of their own, started quickly, and what can happen to them."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import ray

import raysweep
from raysweep.errors import RaysweepError
from raysweep.record import lease
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger

ROOT = str(Path(__file__).parents[2])
DEADLINE = 300  # a watchdog, not a measurement
Disturbance = Callable[[Event, Ledger], None]


@dataclass(frozen=True)
class KillsItself:
    """As soon as the driver has journaled an event of this kind, for the `count`th time since it began."""

    kind: str
    count: int = 1

    def begin(self) -> Disturbance:
        began, seen = time.time(), 0

        def kill(event: Event, ledger: Ledger) -> None:
            nonlocal seen
            seen += event["event"] == self.kind and event["time"] >= began
            if seen >= self.count:
                os.kill(os.getpid(), signal.SIGKILL)

        return kill


@dataclass(frozen=True)
class DiesElsewhere(KillsItself):
    """The same, on a machine that is not this one."""

    def begin(self) -> Disturbance:
        lease._boot = lambda: "another machine"
        return super().begin()


@dataclass(frozen=True)
class DiesFarAway(KillsItself):
    """The same, on a machine with an environment of its own."""

    environment: dict[str, str] = field(default_factory=dict)

    def begin(self) -> Disturbance:
        os.environ.update(self.environment)
        return super().begin()


@dataclass(frozen=True)
class FillsTheDisk:
    """From the `count`th milestone on there is room for `left` more bytes of the journal at `path`."""

    path: Path
    count: int = 3
    left: int = 60

    def begin(self) -> Disturbance:
        def fill(event: Event, ledger: Ledger) -> None:
            if sum(len(trial.milestones) for trial in ledger.trials.values()) == self.count:
                size = self.path.stat().st_size + self.left
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

        return fill


class Drivers:
    """Starts drivers, each forked from a process that has imported everything and done nothing.

    Args:
        home: the user's folder.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        if ROOT not in sys.path:
            sys.path.append(ROOT)  # a forked process finds what it is to run by its name
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["raysweep.sweep", "raysweep.cluster.tuning", "raysweep.cluster.pool", "raysweep.record.mlflow_recorder"]
        )

    def start(
        self, storage: str, overrides: tuple[str, ...], fault: KillsItself | FillsTheDisk | None = None
    ) -> multiprocessing.process.BaseProcess:
        """A driver at work."""
        arguments = (self._home, storage, ray.get_runtime_context().gcs_address, overrides, fault)
        process = self._context.Process(target=_drive, args=arguments)
        process.start()
        return process

    def finish(
        self, storage: str, overrides: tuple[str, ...], fault: KillsItself | FillsTheDisk | None = None
    ) -> int | None:
        """The exit code of a driver."""
        process = self.start(storage, overrides, fault)
        process.join(DEADLINE)
        return process.exitcode

    def complaint(self, storage: str) -> str:
        """Of the last driver, when it ended with an error."""
        return (self._home / f"{storage}.error").read_text()


def _drive(
    home: Path, storage: str, cluster: str, overrides: tuple[str, ...], fault: KillsItself | FillsTheDisk | None
) -> None:
    os.environ["RAY_ADDRESS"] = cluster
    sys.stdout = sys.stderr = (home / f"{Path(storage).name}.log").open("w")
    complaint = home / f"{Path(storage).name}.error"
    complaint.unlink(missing_ok=True)
    disturbance = fault.begin() if fault else None
    try:
        place = storage if "://" in storage else home / storage
        raysweep.run(home / "sweep.yaml", storage=place, overrides=overrides, on_event=disturbance)
    except RaysweepError as error:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        complaint.write_text(str(error))
        sys.exit(1)
