"""Processes of a running sweep are killed or stopped: hosts and trial actors. It goes on, and no score changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.cluster import tuning
from raysweep.cluster.runtime import ray_runtime
from raysweep.errors import HostLost
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from tests.cluster.own_home import write_home
from tests.faults.aftermath import nothing_lost_or_doubled
from tests.faults.breaking import (
    HOST,
    LONG,
    Once,
    host_process,
    kill,
    no_trial_actors,
    stop_until_replaced,
    sweep,
    trial_actors,
    undisturbed,
)

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
RACE = ("examples=24", "space.lr.choice=[0.3, 0.01, 0.001]", "concurrency=6", "stop.scheduler=race", "hosts.cpus=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, and one Ray for all tests."""
    with ray_runtime(2):
        yield write_home(tmp_path_factory.mktemp("home"))


def test_trials_of_a_killed_host_go_on_with_another(home: Path) -> None:
    two = (*LONG, "hosts.count=2")
    fault = Once(lambda: kill(host_process()), lambda ledger: any(t.host == HOST for t in ledger.running))
    storm = sweep(home, "moved", *two, on_event=fault)
    assert {trial.host for trial in storm.ledger.trials.values()} >= {"host-1-0-1"}
    nothing_lost_or_doubled("SIGKILL of one of two hosts", storm, undisturbed(home, *two), at=fault.at)


def test_a_sweep_joins_its_only_host_again_after_it_was_killed(home: Path) -> None:
    fault = Once(lambda: kill(host_process()))
    storm = sweep(home, "again", *LONG, on_event=fault)
    nothing_lost_or_doubled("SIGKILL of the only host", storm, undisturbed(home, *LONG), at=fault.at)


def test_a_host_that_is_stopped_is_replaced_and_changes_nothing_when_it_comes_back(home: Path) -> None:
    said: list[str] = []
    fault = Once(lambda: stop_until_replaced(host_process()))
    storm = sweep(home, "stopped", *LONG, on_event=fault, notify=said.append)
    assert f"{HOST} gives no sign of life for 8 s; it is started again" in said
    nothing_lost_or_doubled("SIGSTOP of a host, then SIGCONT", storm, undisturbed(home, *LONG), at=fault.at)


def test_trials_whose_actors_are_killed_in_a_race_come_to_the_same_decisions(home: Path) -> None:
    def some_wait(ledger: Ledger) -> bool:
        """Some of them for their cohort, others for a host."""
        return sum(bool(trial.milestones) for trial in ledger.trials.values()) == 2 and not ledger.decisions

    fault = Once(lambda: kill(*trial_actors()), some_wait)
    storm, calm = sweep(home, "actors", *RACE, on_event=fault), undisturbed(home, *RACE)
    nothing_lost_or_doubled("SIGKILL of all six trial actors of a race", storm, calm, 6, at=fault.at)
    assert storm.ledger.decisions == calm.ledger.decisions


def test_a_sweep_whose_trial_actors_all_die_ends_saying_that_it_can_be_continued(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gated = ("models.classifier.source=own_models:Gated", "space.steps=9", "hosts.cpus=1", "concurrency=1")

    def shut(event: Event, ledger: Ledger) -> None:
        """From the first trial on, so that none gets its answer between two deaths."""
        if event["event"] == "leased":
            (home / "shut").touch()

    monkeypatch.setattr(tuning, "TRIAL_FAILURES", 2)  # 20 take more than a minute
    with (
        no_trial_actors() as killed,
        pytest.raises(HostLost, match=r"the actor of trial 0 died 3 times: .*; run the sweep again to continue it"),
    ):
        sweep(home, "hopeless", *gated, on_event=shut)
    (home / "shut").unlink()
    storm = sweep(home, "hopeless", *gated)
    nothing_lost_or_doubled("SIGKILL of every trial actor, then none", storm, undisturbed(home, *gated), len(killed))
