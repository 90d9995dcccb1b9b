"""Breaks a running sweep: kills and stops its processes, at a moment of its journal."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import ray

import raysweep
from raysweep.cluster.calling import epoch_of
from raysweep.outcome import SweepResult
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger

HOST = "host-1-0-0"
DEADLINE = 120  # a watchdog, not a measurement
LONG = ("space.steps.choice=[1000, 3000]", "hosts.cpus=1")


class Once:
    """Breaks something at the first event for which it is time, and remembers when that was.

    Args:
        fault: what to do.
        due: whether it is time, of the ledger after a milestone.
    """

    def __init__(self, fault: Callable[[], Any], due: Callable[[Ledger], bool] = lambda ledger: True) -> None:
        self._fault, self._due = fault, due
        self.at: float | None = None

    def __call__(self, event: Event, ledger: Ledger) -> None:
        if event["event"] == "milestone" and self.at is None and self._due(ledger):
            self.at = time.time()
            self._fault()


def sweep(home: Path, storage: str, *overrides: str, **options: Any) -> SweepResult:
    return raysweep.run(home / "sweep.yaml", storage=home / storage, overrides=overrides, **options)


def host_process(name: str = HOST) -> int:
    return int(ray.get(ray.get_actor(name, namespace="raysweep").alive.remote()))


def trial_actors() -> list[int]:
    """Processes of this Ray's, as Ray titles them: while they wait, and while they are called."""
    titles = (b"ray::TrialActor", b"ray::ResourceTrainable")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it ends in this very moment
            if (folder / "cmdline").read_bytes().startswith(titles) and parent(parent(int(folder.name))) == os.getpid():
                found.append(int(folder.name))
    return found


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def kill(*processes: int) -> None:
    for process in processes:
        os.kill(process, signal.SIGKILL)


def resume_when_replaced(processes: list[int], epoch: str | None) -> None:
    """Let stopped processes go on as soon as another host counts; in a thread."""
    deadline = time.monotonic() + DEADLINE
    while epoch_of(HOST) == epoch and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in processes:
        try:
            os.kill(process, signal.SIGCONT)
        except ProcessLookupError:  # Ray has ended it
            continue


def stop_until_replaced(*processes: int) -> None:
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    threading.Thread(target=resume_when_replaced, args=(list(processes), epoch_of(HOST)), daemon=True).start()


@contextmanager
def no_trial_actors() -> Iterator[list[int]]:
    """Kill each as soon as it is there; yields those that were killed."""
    killed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            for process in set(trial_actors()) - set(killed):
                with suppress(ProcessLookupError):  # Ray was quicker
                    kill(process)
                    killed.append(process)

    killer = threading.Thread(target=watch, daemon=True)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


@cache
def undisturbed(home: Path, *overrides: str) -> SweepResult:
    """The sweep of the same overrides that nothing happens to."""
    return sweep(home, f"calm-{abs(hash(overrides))}", *overrides)
