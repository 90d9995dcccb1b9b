"""The ledger is what the events add up to, and it refuses events that cannot be true."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raysweep.errors import StorageError
from raysweep.outcome import SweepResult
from raysweep.record.journal import FORMAT, Journal
from raysweep.record.ledger import Ledger
from raysweep.record.trial import Stage


def fill(journal: Journal) -> None:
    journal.append(
        "sweep", format=1, id="a", sweep={"name": "s"}, identity={"data": "ab"}, versions={}, chapter={}, about={}
    )
    journal.append("planned", number=0, key="k0", config={"lr": 0.1, "steps": 20}, target=20)
    journal.append("leased", number=0, host="h0", tune_trial="t0", attempt=0)
    for step, value in ((10, 3.0), (20, 2.0)):
        journal.append(
            "milestone", number=0, step=step, objectives={"response_fd": [value, 1, 4]}, metrics={}, explanations=None
        )
    journal.append("ended", number=0, state="done", reason=None)
    journal.append("run", number=0, run="abc")
    journal.append("synced", number=0, state="done")


def test_a_replayed_journal_gives_the_same_ledger(tmp_path: Path) -> None:
    live, replayed = Ledger(), Ledger()
    with Journal(tmp_path, live.apply) as journal:
        fill(journal)
    with Journal(tmp_path, replayed.apply):
        pass
    assert vars(replayed) == vars(live)
    trial = replayed.trials[0]
    assert (trial.state, trial.objective and trial.objective.value, trial.mlflow_run) == ("done", 2.0, "abc")
    assert trial.synced


def test_a_journal_without_counts_of_examples_scored_all_of_them(tmp_path: Path) -> None:
    """Journals of before there were races."""
    ledger = Ledger()
    with Journal(tmp_path, ledger.apply) as journal:
        fill(journal)
        journal.append("decision", number=0, step=10, decision="continue")
    assert [milestone.stage for milestone in ledger.trials[0].milestones] == [Stage(10), Stage(20)]
    assert ledger.decisions == {(0, Stage(10)): "continue"}


def test_a_trial_is_scored_once_with_each_count_of_examples(tmp_path: Path) -> None:
    ledger = Ledger()
    measured = {"objectives": {"response_fd": [1, 0, 2]}, "metrics": {}, "explanations": None}
    with Journal(tmp_path, ledger.apply) as journal:
        journal.append("planned", number=0, key="k0", config={"lr": 0.1, "steps": 20}, target=20)
        journal.append("milestone", number=0, step=20, examples=7, **measured)
        journal.append("decision", number=0, step=20, examples=7, decision="continue")
        journal.append("milestone", number=0, step=20, **measured)
        with pytest.raises(StorageError, match="trial 0 twice at step 20 of the first 7 examples"):
            journal.append("milestone", number=0, step=20, examples=7, **measured)
    assert [milestone.stage for milestone in ledger.trials[0].milestones] == [Stage(20, 7), Stage(20)]
    assert ledger.decisions == {(0, Stage(20, 7)): "continue"}


def test_a_trial_that_ended_accepts_no_second_result(tmp_path: Path) -> None:
    with Journal(tmp_path, Ledger().apply) as journal:
        fill(journal)
        with pytest.raises(StorageError, match="trial 0, which is done"):
            journal.append("milestone", number=0, step=30, objectives={}, metrics={}, explanations=None)


def test_only_trials_that_have_not_ended_take_on_new_numerics(tmp_path: Path) -> None:
    ledger = Ledger()
    with Journal(tmp_path, ledger.apply) as journal:
        journal.append("numerics", numerics={"slots": 16})
        fill(journal)
        journal.append("planned", number=1, key="k1", config={"lr": 0.2, "steps": 20}, target=20)
        journal.append("numerics", numerics={"slots": 8})
        journal.append("planned", number=2, key="k2", config={"lr": 0.3, "steps": 20}, target=20)
    assert [trial.numerics["slots"] for trial in ledger.trials.values()] == [16, 8, 8]


def test_a_journal_of_a_later_format_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path, Ledger().apply) as journal, pytest.raises(StorageError, match="format 99"):
        journal.append("sweep", format=99, sweep={}, identity={}, versions={}, id="a", chapter={}, about={})


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_a_journal_of_every_format_is_read_and_continued(tmp_path: Path, version: int) -> None:
    """Each is of a sweep of the quickstart that was interrupted once, as a raysweep of its time wrote it."""
    (tmp_path / "old").mkdir()
    journal = tmp_path / "old" / "journal.jsonl"
    shutil.copyfile(Path(__file__).parent / "journals" / f"format-{version}.jsonl", journal)
    result = SweepResult.load("old", tmp_path)
    assert {trial.state for trial in result.ledger.trials.values()} == {"done"}
    assert len(result.ledger.trials) == 12
    assert not result.ledger.unsynced
    assert result.best is not None
    assert result.best.result is not None
    with Journal(tmp_path / "old", Ledger().apply) as continued:
        continued.append("planned", number=12, key="k", config={"lr": 1.0}, target=1)
