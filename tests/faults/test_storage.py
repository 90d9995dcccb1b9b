"""The storage fails, or the machine that wrote to it is gone: what was accepted is there, and the sweep continues."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.cluster.runtime import ray_runtime
from raysweep.errors import StorageError
from raysweep.outcome import SweepResult
from raysweep.record import lease
from tests.cluster.own_home import write_home
from tests.faults.aftermath import nothing_lost_or_doubled, results
from tests.faults.breaking import sweep, undisturbed
from tests.faults.drivers import DiesElsewhere, Drivers, FillsTheDisk

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
ONE = ("hosts.cpus=1", "concurrency=2")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, and a Ray that outlives the drivers."""
    with ray_runtime(1):
        yield write_home(tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("left", [0, 60])
def test_a_full_disk_ends_the_sweep_with_all_that_was_accepted_and_it_continues(home: Path, left: int) -> None:
    storage, drivers = f"full-{left}", Drivers(home)
    journal = home / storage / "own" / "journal.jsonl"
    assert drivers.finish(storage, ONE, FillsTheDisk(journal, count=3, left=left)) == 1
    assert f"{journal}: cannot be written (File too large)" == drivers.complaint(storage)
    accepted = SweepResult.load("own", home / storage)
    calm = undisturbed(home, *ONE)
    assert sum(len(trial.milestones) for trial in accepted.ledger.trials.values()) == 3
    done = {number: result for number, result in results(accepted).items() if result[1] == "done"}
    assert done.items() <= results(calm).items()
    storm = sweep(home, storage, *ONE)
    nothing_lost_or_doubled(f"disk full, {left} bytes into a record" if left else "disk full", storm, calm)


def test_a_sweep_whose_machine_is_gone_continues_on_another(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXPIRY", 20.0)
    assert Drivers(home).finish("gone", ONE, DiesElsewhere("milestone", 3)) == -signal.SIGKILL
    with pytest.raises(StorageError, match=r"another driver runs this sweep \(.*, pid \d+, alive \d+ s ago; if that"):
        lease.Lease(home / "gone" / "own")
    while lease.living_owner(home / "gone" / "own"):
        time.sleep(0.2)
    storm = sweep(home, "gone", *ONE)
    nothing_lost_or_doubled("SIGKILL of the driver on another machine", storm, undisturbed(home, *ONE))


def test_a_storage_that_cannot_be_written_is_named_and_nothing_is_started(home: Path) -> None:
    command = [sys.executable, "-m", "raysweep.cli", "run", str(home / "sweep.yaml"), "--storage", "/proc/runs"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert "/proc/runs" in done.stderr
    assert len(done.stderr.splitlines()) == 1
