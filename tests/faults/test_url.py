"""A sweep whose storage is an object store: its machine is lost with all that was on it, then the store loses all."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import raysweep
from raysweep.cluster.runtime import ray_runtime
from raysweep.control import status
from raysweep.errors import InputError, StorageError
from raysweep.outcome import SweepResult
from raysweep.record.driver import storage_folder
from raysweep.record.ledger import Ledger
from raysweep.record.store import local_store
from raysweep.recording import sync
from tests.cluster.own_home import write_home
from tests.faults.aftermath import nothing_lost_or_doubled
from tests.faults.breaking import DEADLINE, Once, undisturbed
from tests.faults.drivers import DiesFarAway, Drivers
from tests.faults.object_store import BUCKET, ObjectStore

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
ONE = ("hosts.cpus=1", "concurrency=2", "space.steps.choice=[500, 1500]")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """Where the environment of this process says."""
    server = ObjectStore(tmp_path_factory.mktemp("store"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server
    server.kill()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, store: ObjectStore) -> Iterator[Path]:
    """A user's folder, and a Ray whose hosts have a cache of their own."""
    folder = write_home(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache-of-hosts"))
        with ray_runtime(1):
            yield folder


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache-here"))
    return home / "cache-here"


def milestones(ledger: Ledger) -> int:
    return sum(len(trial.milestones) for trial in ledger.trials.values())


def test_a_sweep_in_an_object_store_outlives_its_machine_and_all_that_the_store_had(
    home: Path, here: Path, store: ObjectStore
) -> None:
    url, uri = f"s3://{BUCKET}/runs", local_store(home)
    again = {"storage": url, "overrides": (*ONE, f"mlflow={uri}")}
    far_away = DiesFarAway("milestone", 4, {**store.environment, "XDG_CACHE_HOME": str(home / "cache-far-away")})
    assert Drivers(home).finish(url, again["overrides"], far_away) == -signal.SIGKILL
    shutil.rmtree(home / "cache-far-away")
    shipped = milestones(SweepResult.load("own", storage_folder(url)).ledger)
    assert shipped
    with pytest.raises(StorageError, match=r"not said that it ended \(.*, last heard \d+ s ago\); if it is gone, add"):
        raysweep.run(home / "sweep.yaml", **again)

    empty, said = Once(store.kill, due=lambda ledger: milestones(ledger) > shipped), list[str]()

    def hear(line: str) -> None:
        said.append(line)
        if "the sweep goes on, and is shipped when the URL takes it" in line:
            store.start()

    storm = raysweep.run(home / "sweep.yaml", **again, take_over=True, on_event=empty, notify=hear)
    assert f"{url} answers again; shipping what it missed" in said
    calm = undisturbed(home, *ONE)
    nothing_lost_or_doubled("machine lost, then all that S3 had", storm, calm, injected=2, at=empty.at, mlflow=uri)

    shutil.rmtree(here)
    elsewhere = SweepResult.load("own", storage_folder(url))
    deadline = time.monotonic() + DEADLINE
    while not all(elsewhere.tensors(trial) for trial in elsewhere.finished):  # the host sends them
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert elsewhere.best_json() == calm.best_json()
    assert [row["trials"] for row in status(None, None, storage_folder(url), Path())] == [{"done": 8}]
    assert sync("own", storage_folder(url), uri, print)["complete"]


def test_what_is_missing_is_told_at_the_start(home: Path, here: Path) -> None:
    with pytest.raises(InputError, match="--mlflow: must be given, or mlflow in the sweep file"):
        raysweep.run(home / "sweep.yaml", storage=f"s3://{BUCKET}/unused")
    no_bucket = r"^s3://nowhere/runs/own/driver.json: cannot be written \(The specified bucket does not exist"
    with pytest.raises(StorageError, match=no_bucket):
        raysweep.run(home / "sweep.yaml", storage="s3://nowhere/runs", mlflow=local_store(home / "unused"))
