"""A sweep whose storage is at a URL: its machine is lost with all that was on it, and another continues."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import raysweep
from raysweep.cluster.runtime import ray_runtime
from raysweep.control import status
from raysweep.errors import InputError, StorageError
from raysweep.outcome import SweepResult
from raysweep.record.driver import storage_folder
from raysweep.record.remote import Remote
from raysweep.record.store import local_store
from tests.cluster.own_home import write_home
from tests.faults.aftermath import nothing_lost_or_doubled
from tests.faults.breaking import undisturbed
from tests.faults.drivers import DiesFarAway, Drivers

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
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


def test_a_sweep_at_a_url_continues_on_another_machine_when_a_person_says_so(home: Path, here: Path) -> None:
    url, uri = f"file://{home}/bucket", local_store(home)
    one = ("hosts.cpus=1", "concurrency=2", "space.steps.choice=[500, 1500]", f"mlflow={uri}")
    far_away = DiesFarAway("milestone", 4, home / "cache-far-away")
    assert Drivers(home).finish(url, one, far_away) == -signal.SIGKILL
    shutil.rmtree(home / "cache-far-away")
    shipped = SweepResult.load("own", storage_folder(url))
    assert {number for number, trial in shipped.ledger.trials.items() if trial.milestones}

    again = {"storage": url, "overrides": one}
    with pytest.raises(StorageError, match=r"begun this sweep and not said that it ended \(.*\); if it is gone, add"):
        raysweep.run(home / "sweep.yaml", **again)
    assert raysweep.run(home / "sweep.yaml", **again, take_over=True).best is not None
    storm = SweepResult.load("own", storage_folder(url))
    nothing_lost_or_doubled(
        "the driver's machine lost, storage at a URL", storm, undisturbed(home, *one[:3]), mlflow=uri
    )

    shutil.rmtree(here)
    elsewhere = SweepResult.load("own", storage_folder(url))
    assert elsewhere.best_json() == storm.best_json()
    assert [row["trials"] for row in status(None, None, storage_folder(url), Path())] == [{"done": 8}]
    wider = raysweep.run(home / "sweep.yaml", storage=url, overrides=(*one, "space.steps.choice=[500, 1500, 1600]"))
    assert {trial.state for trial in wider.ledger.trials.values()} == {"done"}


def test_a_url_that_is_none_is_refused(home: Path) -> None:
    with pytest.raises(InputError, match=r"--storage: must be a URL that fsspec can open \(found 'nope://x'\)"):
        storage_folder("nope://x")
    with pytest.raises(InputError, match=r"--storage: must not hold a password \(found 'ftp://me:\*\*\*@host/x'\)"):
        storage_folder("ftp://me:hunter2@host/x")
    with pytest.raises(InputError, match="--mlflow: must be given, or mlflow in the sweep file"):
        raysweep.run(home / "sweep.yaml", storage=f"file://{home}/bucket")
    with pytest.raises(StorageError, match="leads out of"):
        Remote(f"file://{home}/bucket").get("../sweep.yaml")
