"""Whole sweeps over a user's own small networks, on a real Ray: scheduling changes no result, and faults lose none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from safetensors.torch import save_file

import raysweep
from raysweep.cluster.model_sets import KEPT
from raysweep.cluster.runtime import ray_runtime
from raysweep.outcome import SweepResult
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from raysweep.record.occupancy import read_occupancy
from tests.cluster.own_home import write_home

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """One Ray for the module; sweeps join it."""
    with ray_runtime(4):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_home(tmp_path)


def sweep(home: Path, storage: str, *overrides: str, **options: Any) -> SweepResult:
    return raysweep.run(home / "sweep.yaml", storage=home / storage, overrides=overrides, **options)


def scores(result: SweepResult) -> dict[str, float | None]:
    """Objective by configuration."""
    trials = result.ledger.trials.values()
    return {json.dumps(t.config, sort_keys=True): t.objective.value if t.objective else None for t in trials}


def test_two_hosts_give_bitwise_what_one_gives(home: Path) -> None:
    one = sweep(home, "one", "hosts.cpus=2")
    two = sweep(home, "two", "hosts.count=2", "hosts.cpus=1")
    assert scores(one) == scores(two)
    assert {trial.host for trial in two.ledger.trials.values()} == {"host-1-0-0", "host-1-0-1"}
    assert one.trials["response_fd"].notna().all()


def test_asha_prunes_the_same_trials_however_they_are_scheduled(home: Path) -> None:
    asha = ("stop.scheduler=asha", "stop.min_steps=9", "space.steps=81", "space.lr.choice=[0.3, 0.1, 0.01, 0.001]")
    one = sweep(home, "one", *asha, "hosts.cpus=1")
    two = sweep(home, "two", *asha, "hosts.count=2", "hosts.cpus=1")
    states = [trial.state for trial in one.ledger.trials.values()]
    assert {"done", "pruned"} == set(states)
    assert states == [trial.state for trial in two.ledger.trials.values()]
    assert scores(one) == scores(two)
    pruned = [trial for trial in one.ledger.trials.values() if trial.state == "pruned"]
    assert all(trial.reason and trial.reason.startswith("stopped at step") for trial in pruned)


RACE = ("examples=24", "space.lr.choice=[0.3, 0.01, 0.001]", "concurrency=6")


def test_a_race_gives_the_unraced_winner_bitwise_and_makes_fewer_row_steps(home: Path) -> None:
    plain = sweep(home, "plain", *RACE)
    one = sweep(home, "one", *RACE, "stop.scheduler=race", "hosts.cpus=1")
    two = sweep(home, "two", *RACE, "stop.scheduler=race", "hosts.count=2", "hosts.cpus=1")
    trials = one.ledger.trials
    assert {trial.state for trial in trials.values()} == {"done", "pruned"}
    assert scores(one) == scores(two)
    assert [t.state for t in trials.values()] == [t.state for t in two.ledger.trials.values()]
    for number, trial in trials.items():
        counts = [milestone.examples for milestone in trial.milestones]
        assert counts == [5, 10, None][: len(counts)]
        assert trial.result is not None
        assert trial.result.metrics["examples"] == (counts[-1] or 24)
        unraced = plain.ledger.trials[number]
        if trial.state == "pruned":
            assert trial.reason == f"stopped at step {trial.config['steps']} of the first {counts[-1]} examples"
            rows, whole = one.tensors(trial), plain.tensors(unraced)
            assert all((rows[k] == whole[k][: counts[-1]]).all() for k in ("latent", "response", "explanation"))
        else:
            assert trial.objective == unraced.objective
            rows, whole = one.tensors(trial), plain.tensors(unraced)
            assert all((rows[name] == whole[name]).all() for name in whole)
    assert one.best is not None
    assert plain.best is not None
    assert (one.best.state, one.best.config) == ("done", plain.best.config)
    assert set(one.probability) == {number for number, trial in trials.items() if trial.state == "done"}


def test_an_interrupted_race_continues_to_the_decisions_of_an_undisturbed_one(home: Path) -> None:
    race = (*RACE, "stop={scheduler: race, min_examples: 3}")
    undisturbed = sweep(home, "calm", *race)
    stops: list[int] = []

    def interrupt(event: Event, ledger: Ledger) -> None:
        seen = sum(len(trial.milestones) for trial in ledger.trials.values())
        if event["event"] == "milestone" and seen in (4, 9, 13) and seen not in stops:
            stops.append(seen)
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            sweep(home, "storm", *race, on_event=interrupt)
    resumed = sweep(home, "storm", *race)
    assert stops == [4, 9, 13]
    assert scores(resumed) == scores(undisturbed)
    assert resumed.ledger.decisions == undisturbed.ledger.decisions
    assert {trial.state for trial in resumed.ledger.trials.values()} == {"done", "pruned"}


def test_an_interrupted_sweep_continues_to_the_scores_of_an_undisturbed_one(home: Path) -> None:
    undisturbed = sweep(home, "calm", "search.sampler=tpe", "budget.trials=10")

    def interrupt(event: Event, ledger: Ledger) -> None:
        if event["event"] == "ended" and event["number"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(home, "storm", "search.sampler=tpe", "budget.trials=10", on_event=interrupt)
    resumed = sweep(home, "storm", "search.sampler=tpe", "budget.trials=10")
    assert scores(resumed) == scores(undisturbed)
    assert [t.config for t in resumed.ledger.trials.values()] == [t.config for t in undisturbed.ledger.trials.values()]


def row_steps(home: Path) -> int:
    """What the hosts have stepped for the sweep, in all its sessions."""
    return sum(line["row_steps"] for line in read_occupancy(home / "runs" / "own"))


def test_an_extended_sweep_goes_on_from_the_rows_of_an_earlier_session(home: Path) -> None:
    sweep(home, "runs", "space.steps=20")
    first = row_steps(home)
    assert first == 4 * 6 * 20
    extended = sweep(home, "runs", "space.steps.choice=[20, 50]")
    second = row_steps(home)
    assert second - first == 4 * 6 * 30
    shutil.rmtree(home / "runs" / "own" / "rows")
    again = sweep(home, "runs", "space.steps.choice=[20, 50, 60]")
    assert row_steps(home) - second == 4 * 6 * 60
    assert scores(extended).items() <= scores(again).items()
    assert scores(again) == scores(sweep(home, "at-once", "space.steps.choice=[20, 50, 60]"))


def test_out_of_memory_narrows_the_lanes_and_fails_no_trial(home: Path) -> None:
    weights = {f"generator.{name}": value for name, value in _load(home / "generator.safetensors").items()}
    save_file(weights, home / "crowded.safetensors")
    crowded = ("models.generator={source: 'own_models:Crowded', weights: crowded.safetensors}",)
    events: list[Event] = []
    said: list[str] = []
    roomy = sweep(home, "runs", *crowded, "slots=16", "space.steps=9")
    narrow = sweep(home, "narrow", *crowded, "slots=4")
    (home / "crowded").touch()
    result = sweep(
        home, "runs", *crowded, "slots=16", notify=said.append, on_event=lambda event, _: events.append(event)
    )
    assert {trial.state for trial in result.ledger.trials.values()} == {"done"}
    numerics = [event["numerics"]["slots"] for event in events if event["event"] == "numerics"]
    assert numerics == [16, 8, 4]
    assert [line for line in said if "out of memory" in line] == [
        "out of memory with lanes of 16 rows: what has not ended starts again in lanes of 8",
        "out of memory with lanes of 8 rows: what has not ended starts again in lanes of 4",
    ]
    for trial in result.ledger.trials.values():
        key = json.dumps(trial.config, sort_keys=True)
        assert trial.numerics["slots"] == (16 if key in scores(roomy) else 4)
        assert scores(result)[key] == scores(roomy if key in scores(roomy) else narrow)[key]
    assert not result.ledger.unsynced


def test_two_objectives_are_both_scored_with_intervals(home: Path) -> None:
    result = sweep(
        home,
        "pareto",
        "search.sampler=nsga2",
        "budget.trials=6",
        "objective=[response_fd, {name: feature_fd, layer: '0.2'}, kid]",
        "target={layer: '0.0', unit: 2}",
        "direction=minimise",
    )
    for trial in result.ledger.trials.values():
        assert trial.result is not None
        assert list(trial.result.objectives) == ["response_fd", "feature_fd", "kid"]
        assert all(m.low <= m.value <= m.high for m in trial.result.objectives.values())
    found = result.best_json()
    assert found is not None
    front = {row["number"] for row in found["pareto"]}
    assert found["number"] in front
    points = [(n, [m.value for m in t.result.objectives.values()]) for n, t in result.ledger.trials.items() if t.result]
    for number, point in points:
        beaten = any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for _, other in points)
        assert (number in front) is not beaten


def test_a_new_sweep_starts_from_an_old_ones_results(home: Path) -> None:
    sweep(home, "runs", "search.sampler=random", "budget.trials=5")
    warm = sweep(home, "runs", "name=second", "search={sampler: tpe, from: own, startup: 5}", "budget.trials=3")
    assert len(warm.ledger.chapter["warm"]) == 5
    assert len(warm.ledger.trials) == 3


def test_a_host_keeps_the_model_sets_used_last_and_they_give_the_same(home: Path) -> None:
    def one(number: int, storage: str) -> SweepResult:
        return sweep(
            home, storage, f"method={{name: am, min_improvement: {number / 100}}}", "space.steps=9", "hosts.cpus=1"
        )

    first = [one(number, f"first-{number}") for number in range(KEPT + 1)]
    host = ray.get_actor("host-1-0-0", namespace="raysweep")
    assert ray.get(host.renew.remote("nobody"))["sets"] == KEPT
    assert scores(one(KEPT, "again")) == scores(first[KEPT])


def _load(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)
