"""A sweep's driver as its folder shows it: whether one runs, how far it is, and how to end it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.errors import InputError, StorageError, did_you_mean
from raysweep.record.checkouts import checkout, is_url, remote_of, shown
from raysweep.record.journal import read_events
from raysweep.record.lease import living_owner
from raysweep.record.ledger import Ledger
from raysweep.record.occupancy import mean_occupancy
from raysweep.record.sharing import listed
from raysweep.record.shipped import bring_journal, driver_elsewhere

STOP_PATIENCE = 60.0
"""Seconds that `stop_driver` waits for a driver to end."""


def standing(folder: Path) -> dict[str, Any]:
    """Where a sweep stands, also while it runs: state, trials by state, the best so far, how full its lanes were.

    `state` is `running` while a driver holds the journal, `stopped` when trials are left, else `done`; `message` names
    a driver of another machine that runs it, or that may be gone.
    """
    ledger, started = Ledger(), None
    for event in read_events(folder / "journal.jsonl"):
        started = started or event["time"]
        ledger.apply(event)
    trials = ledger.trials.values()
    best = min(
        (trial for trial in trials if trial.state == "done" and trial.objective),
        key=lambda trial: (trial.objective.value if trial.objective else 0.0, trial.number),
        default=None,
    )
    left = ledger.running or not ledger.trials
    runs, message = _driver(folder)
    return {
        "id": folder.name,
        "name": folder.name,
        "state": "running" if runs else "stopped" if left else "done",
        "started": started,
        "ended": None if left else max(trial.ended or 0.0 for trial in trials),
        "trials": dict(Counter(trial.state for trial in trials)),
        "best": best.to_json() if best else None,
        "occupancy": mean_occupancy(folder),
        "storage": shown(folder.parent),
        "sweep": sweep_digest(ledger.sweep),
        "message": message,
    }


def _driver(folder: Path) -> tuple[bool, str | None]:
    """Whether a sweep's driver runs, and what is to be said of one that is on another machine."""
    owner = living_owner(folder)
    if owner is not None:
        return True, None if owner.here else f"on {owner}"
    elsewhere = driver_elsewhere(folder)
    if elsewhere is None:
        return False, None
    if elsewhere.alive:
        return True, f"on {elsewhere}"
    return False, f"its driver has not said that it ended ({elsewhere})"


def sweep_digest(plain: Any) -> str:
    """Short name of what a sweep file says, all defaults filled in."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]


def storage_folder(named: str | Path) -> Path:
    """The folder of all sweeps that a person names; of a URL, its checkout on this machine.

    Raises:
        InputError: it is no URL that fsspec can open.
    """
    return checkout(str(named)) if is_url(named) else Path(named)


def sweep_folder(name: str, storage: Path) -> Path:
    """The folder of a sweep that has a journal.

    Raises:
        InputError: there is none of that name; the nearest one is suggested.
    """
    if living_owner(storage / name) is None and name in listed(storage):
        bring_journal(storage / name)
    if (storage / name / "journal.jsonl").is_file():
        return storage / name
    known = [folder.name for folder in sweep_folders(storage)]
    hint = did_you_mean(name, known) if known else "Run one first: raysweep run SWEEP_FILE"
    raise InputError(f"no sweep of this name in {shown(storage)}", value=name, suggestion=hint)


def sweep_folders(storage: Path) -> list[Path]:
    """Every sweep's folder in a storage."""
    for name in listed(storage):
        bring_journal(storage / name)
    return sorted(path.parent for path in storage.glob("*/journal.jsonl"))


def stop_driver(folder: Path, patience: float = STOP_PATIENCE) -> bool:
    """End the driver of a sweep as Ctrl-C does and wait for it; False when none runs.

    Raises:
        StorageError: it runs on another machine, belongs to somebody else, or does not end.
    """
    runs, away = _driver(folder)
    if runs and away is not None:
        raise StorageError(f"{folder.name} runs {away}: stop it there")
    found = living_owner(folder)
    if found is None:
        return False
    pid = found.pid
    try:
        # A driver put in the background by a script ignores SIGINT; Ray ends one on SIGTERM in the same order.
        os.kill(pid, signal.SIGTERM if _ignores_interrupt(pid) else signal.SIGINT)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise StorageError(f"{folder.name} is run by another user's process (pid {pid})") from None
    deadline = time.monotonic() + patience
    while living_owner(folder) == found:
        if time.monotonic() > deadline:
            raise StorageError(f"{folder.name} was asked to stop, but pid {pid} still runs after {patience:g} s")
        time.sleep(0.1)
    return True


def driver_log(folder: Path, follow: bool = False) -> Iterator[str]:
    """What the driver logged, piece by piece; with `follow`, until it ends.

    Raises:
        StorageError: the storage is at a URL, and no driver has run on this machine.
    """
    path = folder / "logs" / "driver.log"
    if not path.is_file():
        if remote_of(folder) is not None:
            raise StorageError(f"{shown(folder)}: its log is not here, but on the machine that ran it")
        return
    with path.open(encoding="utf-8", errors="replace") as log:
        while True:
            running = follow and living_owner(folder) is not None
            if piece := log.read():
                yield piece
            if not running:
                return
            time.sleep(0.5)


def _ignores_interrupt(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    ignored = re.search(r"^SigIgn:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return ignored is not None and bool(int(ignored[1], 16) >> (signal.SIGINT - 1) & 1)
