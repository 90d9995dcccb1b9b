"""How a disturbed sweep is compared with an undisturbed one: what it lost, what it doubled, how soon it went on."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from raysweep.outcome import SweepResult
from raysweep.record.journal import read_events
from tests.cluster.own_home import recorded_runs

HEADER = ("fault", "injected", "results lost", "results doubled", "longest pause")


@dataclass(frozen=True)
class Aftermath:
    """What a fault did to a sweep.

    Args:
        fault: in words.
        injected: how often.
        lost: results of the undisturbed sweep that the disturbed one lacks, or has otherwise.
        doubled: trials that ended twice, and MLflow runs beyond one a trial and one of the sweep.
        pause: the longest between two results from the last fault on, in seconds, where the sweep went on by itself.
    """

    fault: str
    injected: int
    lost: int
    doubled: int
    pause: float | None

    @property
    def cells(self) -> tuple[str, ...]:
        """As a row of the table."""
        pause = "" if self.pause is None else f"{self.pause:.1f} s"
        return (self.fault, str(self.injected), str(self.lost), str(self.doubled), pause)


FOUND: list[Aftermath] = []
"""By the test that runs."""


def results(sweep: SweepResult) -> dict[int, Any]:
    """Of every trial: configuration, state, objective with its interval."""
    trials = sweep.ledger.trials.values()
    return {t.number: (json.dumps(t.config, sort_keys=True), t.state, t.objective) for t in trials}


def nothing_lost_or_doubled(
    fault: str,
    storm: SweepResult,
    calm: SweepResult,
    injected: int = 1,
    at: float | None = None,
    mlflow: str | None = None,
) -> None:
    """Compare, note it for the table, and fail unless both are the same.

    Args:
        fault: in words.
        storm, calm: the disturbed sweep and the undisturbed one.
        injected: faults.
        at: time of the last fault, where the sweep was to go on by itself.
        mlflow: where it was recorded, if not in its storage.
    """
    events = list(read_events(storm.folder / "journal.jsonl"))
    found, wanted = results(storm), results(calm)
    lost = sum(found.get(number) != result for number, result in wanted.items())
    ended = Counter(event["number"] for event in events if event["event"] == "ended")
    runs = recorded_runs(storm.folder.parent, storm.name, mlflow)
    doubled = sum(count > 1 for count in ended.values()) + max(0, len(runs) - 1 - len(found))
    times = [event["time"] for event in events if event["event"] == "milestone" and at and event["time"] > at]
    pause = max((after - before for before, after in pairwise([at, *times])), default=None) if at else None
    FOUND.append(Aftermath(fault, injected, lost, doubled, pause))

    assert found == wanted
    assert storm.best is not None
    assert calm.best is not None
    assert storm.best.number == calm.best.number
    assert set(ended.values()) == {1}
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    assert sorted(run.info.run_id for run in runs) == sorted(
        [str(storm.ledger.sweep_run), *(str(trial.mlflow_run) for trial in storm.ledger.trials.values())]
    )
    by_run = {trial.mlflow_run: trial for trial in storm.ledger.trials.values()}
    for run in runs:
        trial = by_run.get(run.info.run_id)
        if trial is not None and trial.objective is not None:
            assert run.data.metrics[storm.objective_names[0]] == trial.objective.value
