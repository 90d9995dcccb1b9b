"""The conductor over a real journal: what starts, what ends it, what a restart and a duplicate do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import StorageError
from raysweep.record.journal import Journal
from raysweep.record.ledger import Ledger
from raysweep.record.trial import Stage
from raysweep.search.budget import Budget
from raysweep.search.conductor import Conductor
from raysweep.search.policies import make_policy
from raysweep.search.space import parse_space
from raysweep.search.suggest import Suggestions

SPACE = {"lr": {"choice": [0.1, 0.2, 0.3]}, "steps": {"choice": [10, 100]}}
Build = Callable[..., Conductor]


@contextmanager
def opened(
    folder: Path,
    space: Any = None,
    sampler: str = "grid",
    scheduler: str = "none",
    concurrency: int = 2,
    trials: int | None = None,
    seconds: float | None = None,
    row_steps: int | None = None,
    first: int = 0,
    examples: int = 5,
) -> Iterator[Conductor]:
    """A driver's view of the sweep in `folder`: its journal replayed, its search at the same place."""
    parsed, ledger = parse_space(space or SPACE), Ledger()
    with Journal(folder, ledger.apply) as journal:
        journal.append("session", driver={})
        suggestions = Suggestions(parsed, sampler, 0, concurrency, trials=trials, first=first, startup=2)
        policy = make_policy(scheduler, parsed.steps, concurrency, examples)
        budget = Budget(trials, seconds, row_steps)
        yield Conductor(
            ledger, journal.append, parsed, suggestions, policy, budget, concurrency, examples, lambda c: json.dumps(c)
        )


def finish(conductor: Conductor, number: int, value: float = 1.0) -> None:
    trial = conductor.ledger.trials[number]
    for stage in conductor.milestones(trial):
        conductor.scored(number, stage, {"response_fd": (value, value, value)}, {}, None)


def start(conductor: Conductor) -> int:
    trial = conductor.next_trial()
    assert not isinstance(trial, str), trial
    return trial.number


def test_no_more_trials_run_than_the_concurrency(tmp_path: Path) -> None:
    with opened(tmp_path) as conductor:
        assert [start(conductor), start(conductor)] == [0, 1]
        assert conductor.next_trial() == "wait"
        finish(conductor, 1)
        assert start(conductor) == 2


def test_a_grid_is_finished_when_every_point_was_suggested(tmp_path: Path) -> None:
    with opened(tmp_path, concurrency=9) as conductor:
        assert [start(conductor) for _ in range(6)] == list(range(6))
        assert conductor.next_trial() == "finished"
        assert len(conductor.ledger.trials) == 6


def test_a_trial_that_did_not_begin_is_handed_out_again_also_after_the_last(tmp_path: Path) -> None:
    with opened(tmp_path, concurrency=9) as conductor:
        for _ in range(6):
            start(conductor)
        finish(conductor, 1)
        assert conductor.next_trial() == "finished"
        conductor.again(3)
        conductor.again(1)  # it has ended
        assert start(conductor) == 3
        assert conductor.next_trial() == "finished"


def test_a_restarted_driver_runs_what_was_running_and_then_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path, concurrency=3) as conductor:
        for _ in range(3):
            start(conductor)
        finish(conductor, 1)
    with opened(tmp_path, concurrency=3) as conductor:
        assert [start(conductor), start(conductor), start(conductor)] == [0, 2, 3]


def test_a_trial_stopped_between_milestones_has_only_the_later_ones_left(tmp_path: Path) -> None:
    space = {**SPACE, "steps": 100}
    with opened(tmp_path, space, scheduler="asha") as conductor:
        number = start(conductor)
        first, *later = conductor.milestones(conductor.ledger.trials[number])
        conductor.scored(number, first, {"response_fd": (1, 1, 1)}, {}, None)
        assert list(conductor.milestones(conductor.ledger.trials[number])) == later


def test_a_second_report_of_a_milestone_changes_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as conductor:
        number = start(conductor)
        finish(conductor, number, 1.0)
        finish(conductor, number, 7.0)
        assert conductor.scored(number, Stage(10), {"response_fd": (7, 7, 7)}, {}, None) == "stop"
        objective = conductor.ledger.trials[number].objective
        assert objective is not None
        assert objective.value == 1.0


def test_a_duplicate_is_answered_from_the_journal_and_told_so(tmp_path: Path) -> None:
    space = {"lr": {"choice": [0.1, 0.2]}, "steps": 10}
    with opened(tmp_path, space, sampler="random", concurrency=1, trials=8) as conductor:
        started = []
        while (trial := conductor.next_trial()) != "finished":
            assert not isinstance(trial, str)
            started.append(trial.number)
            finish(conductor, trial.number, trial.config["lr"])
        trials = conductor.ledger.trials
        assert len(trials) == 8
        assert len(started) == 2
        for trial in trials.values():
            assert trial.objective is not None
            assert trial.objective.value == trial.config["lr"]
        answered = [trials[number] for number in trials if number not in started]
        assert all(str(trial.reason).startswith("the same configuration as trial") for trial in answered)


def test_a_search_that_can_only_repeat_itself_is_finished(tmp_path: Path) -> None:
    space = {"lr": {"choice": [0.1, 0.2]}, "steps": 10}
    with opened(tmp_path, space, sampler="random", row_steps=10**9) as conductor:
        while (trial := conductor.next_trial()) != "finished":
            assert not isinstance(trial, str)
            finish(conductor, trial.number)
        assert {trial.config["lr"] for trial in conductor.ledger.trials.values()} == {0.1, 0.2}


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_what_was_tried_outside_a_changed_space_does_not_count_as_its_configurations(
    tmp_path: Path, sampler: str
) -> None:
    first, changed = ({"lr": {"choice": choices}, "steps": 10} for choices in ([0.1, 0.2, 0.3], [0.3, 0.4]))
    begins = 0
    for space in (first, changed):
        with opened(tmp_path, space, sampler, first=begins, seconds=10**6) as conductor:
            while (trial := conductor.next_trial()) != "finished":
                assert not isinstance(trial, str)
                finish(conductor, trial.number)
            begins = len(conductor.ledger.trials)
            tried = {trial.config["lr"] for trial in conductor.ledger.trials.values()}
    assert tried == {0.1, 0.2, 0.3, 0.4}


def test_a_budget_of_row_steps_admits_the_same_trials_whichever_ends_first(tmp_path: Path) -> None:
    space = {"lr": {"uniform": [0.1, 1]}, "steps": {"choice": [10, 1000]}}
    counts = []
    for order in (0, -1):
        with opened(tmp_path / str(order), space, sampler="random", concurrency=3, row_steps=20_000) as conductor:
            running: list[int] = []
            while (trial := conductor.next_trial()) != "finished" or running:
                if isinstance(trial, str):
                    finish(conductor, running.pop(order))
                else:
                    running.append(trial.number)
            counts.append(len(conductor.ledger.trials))
    assert counts[0] == counts[1]


def test_a_restart_decides_what_waited_for_its_cohort(tmp_path: Path) -> None:
    space = {"lr": {"choice": [0.1, 0.2, 0.3]}, "steps": 27}
    with opened(tmp_path, space, scheduler="asha", concurrency=3) as conductor:
        for _ in range(3):
            start(conductor)
        first = conductor.milestones(conductor.ledger.trials[0])[0]
        for number, value in ((0, 3.0), (1, 1.0)):
            assert conductor.scored(number, first, {"response_fd": (value,) * 3}, {}, None) == "wait"
    with opened(tmp_path, space, scheduler="asha", concurrency=3) as conductor:
        assert conductor.has_work
        assert start(conductor) == 2
        assert conductor.next_trial() == "wait"
        assert conductor.scored(2, first, {"response_fd": (2.0,) * 3}, {}, None) == "stop"
        assert conductor.resolved() == {}
        assert start(conductor) == 1
        assert conductor.ledger.trials[0].state == "pruned"


def test_a_restart_ends_what_was_about_to_end(tmp_path: Path) -> None:
    """The driver was killed between two events of one transition."""
    space = {"lr": {"choice": [0.1, 0.2]}, "steps": 27}
    with opened(tmp_path, space, scheduler="asha", concurrency=2) as conductor:
        assert [start(conductor), start(conductor)] == [0, 1]
        measured = {"objectives": {"response_fd": [1, 1, 1]}, "metrics": {}, "explanations": None}
        conductor._append("milestone", number=0, step=27, **measured)
        conductor._append("milestone", number=1, step=1, **measured)
        conductor._append("decision", number=1, step=1, decision="stop")
    with opened(tmp_path, space, scheduler="asha", concurrency=2) as conductor:
        assert conductor.next_trial() == "finished"
        assert [trial.state for trial in conductor.ledger.trials.values()] == ["done", "pruned"]


def test_a_narrowed_space_and_a_smaller_budget_keep_what_is_known(tmp_path: Path) -> None:
    wide, narrow = ({"lr": {"choice": choices}, "steps": 10} for choices in ([0.1, 0.2, 0.3], [0.1]))
    with opened(tmp_path, wide, sampler="random", concurrency=1, trials=4) as conductor:
        while (trial := conductor.next_trial()) != "finished":
            assert not isinstance(trial, str)
            finish(conductor, trial.number)
    with opened(tmp_path, wide, sampler="random", concurrency=1, trials=2) as conductor:
        assert conductor.next_trial() == "finished"
    with opened(tmp_path, narrow, sampler="random", concurrency=1, first=4) as conductor:
        assert conductor.used.trials == 4


def test_a_failed_trial_ends_with_its_reason_and_another_starts(tmp_path: Path) -> None:
    with opened(tmp_path, concurrency=1) as conductor:
        conductor.failed(start(conductor), "the response is NaN at step 3")
        assert start(conductor) == 1
        assert conductor.ledger.trials[0].reason == "the response is NaN at step 3"


def test_seconds_add_up_over_sessions(tmp_path: Path) -> None:
    ledger = Ledger()
    for second, event in ((0, "session"), (50, "numerics"), (1000, "session"), (1030, "numerics"), (5000, "session")):
        ledger.apply({"event": event, "time": second, "numerics": {}})
    assert ledger.earlier_seconds == 80  # 50 and 30: the time between sessions is nobody's
    with opened(tmp_path, seconds=79) as conductor:
        conductor.ledger.earlier_seconds = ledger.earlier_seconds
        assert conductor.next_trial() == "finished"


def test_an_exhausted_budget_of_row_steps_ends_the_suggestions(tmp_path: Path) -> None:
    space = {"lr": {"uniform": [0.1, 1]}, "steps": 10}
    with opened(tmp_path, space, sampler="random", concurrency=1, row_steps=120) as conductor:
        while (trial := conductor.next_trial()) != "finished":
            assert not isinstance(trial, str)
            finish(conductor, trial.number)
        assert len(conductor.ledger.trials) == 3  # 5 examples × 10 steps each: the third passes 120


def test_steps_shared_by_trials_are_counted_once(tmp_path: Path) -> None:
    space = {"lr": 0.1, "steps": {"choice": [10, 100]}}
    with opened(tmp_path, space) as conductor:
        for number in (start(conductor), start(conductor)):
            finish(conductor, number)
        assert conductor.used.row_steps == 100 * 5


def test_a_cohort_is_decided_when_it_is_complete_and_the_decision_is_kept(tmp_path: Path) -> None:
    space = {"lr": {"choice": [0.1, 0.2, 0.3]}, "steps": 27}
    with opened(tmp_path, space, scheduler="asha", concurrency=3) as conductor:
        numbers = [start(conductor) for _ in range(3)]
        first = conductor.milestones(conductor.ledger.trials[0])[0]
        said = [
            conductor.scored(n, first, {"response_fd": (value,) * 3}, {}, None)
            for n, value in zip(numbers, (3.0, 1.0, 2.0), strict=True)
        ]
        assert said[:2] == ["wait", "wait"]
        decisions = {**conductor.resolved(), 2: said[2]}
        assert decisions == {0: "stop", 1: "continue", 2: "stop"}
        assert conductor.ledger.trials[0].state == "pruned"
    with opened(tmp_path, space, scheduler="asha", concurrency=3) as conductor:
        assert conductor.ledger.decisions == {(0, first): "stop", (1, first): "continue", (2, first): "stop"}
        assert start(conductor) == 1


def test_a_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path) as conductor:
        start(conductor)
    with pytest.raises(StorageError, match="trial 0 was journaled as"), opened(tmp_path, {"lr": 5, "steps": 10}):
        pass


RACED = {"lr": {"choice": [0.1, 0.2, 0.3, 0.4]}, "steps": 100}
RACING: dict[str, Any] = {"space": RACED, "scheduler": "race", "concurrency": 2, "examples": 16}


def report(conductor: Conductor, number: int, stage: Stage, value: float) -> str:
    replicates = [value - 1, value, value + 1]
    return conductor.scored(number, stage, {"response_fd": (value, value - 1, value + 1, replicates)}, {}, None)


def test_a_race_ends_only_with_all_examples_and_counts_the_rows_that_it_stepped(tmp_path: Path) -> None:
    first, second, whole = Stage(100, 5), Stage(100, 10), Stage(100)
    with opened(tmp_path, **RACING) as conductor:
        assert [start(conductor), start(conductor)] == [0, 1]
        assert conductor.milestones(conductor.ledger.trials[0]) == (first, second, whole)
        assert conductor.blocks(conductor.ledger.trials[0]) == (5, 10, 16)
        assert report(conductor, 0, first, 1.0) == "wait"
        assert report(conductor, 1, first, 9.0) == "stop"
        assert conductor.resolved() == {0: "continue"}
        assert conductor.ledger.trials[1].reason == "stopped at step 100 of the first 5 examples"
        assert [report(conductor, 0, stage, 1.0) for stage in (second, whole)] == ["continue", "stop"]
        assert {n: trial.state for n, trial in conductor.ledger.trials.items()} == {0: "done", 1: "pruned"}
        assert conductor.outcomes()[1].pruned_at == 5
        assert [start(conductor), start(conductor)] == [2, 3]
        assert conductor.used.row_steps == 100 * (16 + 5 + 2 * 16)  # the last two may still make all of theirs


def test_a_restarted_race_parks_who_waits_for_an_earlier_cohort(tmp_path: Path) -> None:
    first, second, whole = Stage(100, 5), Stage(100, 10), Stage(100)
    with opened(tmp_path, **RACING) as conductor:
        assert [start(conductor), start(conductor)] == [0, 1]
        assert [report(conductor, n, first, value) for n, value in ((1, 9.0), (0, 1.0))] == ["wait", "continue"]
        assert conductor.resolved() == {1: "stop"}
        assert start(conductor) == 2
        assert report(conductor, 2, first, 5.0) == "wait"
    with opened(tmp_path, **RACING) as conductor:
        assert conductor.has_work
        assert start(conductor) == 0
        assert conductor.next_trial() == "wait"
        assert report(conductor, 0, second, 1.0) == "continue"
    with opened(tmp_path, **RACING) as conductor:
        assert start(conductor) == 0
        assert conductor.milestones(conductor.ledger.trials[0]) == (whole,)
        assert report(conductor, 0, whole, 1.0) == "stop"
        assert start(conductor) == 3
        assert conductor.next_trial() == "wait"
        assert report(conductor, 3, first, 0.5) == "continue"
        assert conductor.next_trial() == "finished"
        assert conductor.ledger.trials[2].state == "pruned"
        assert [report(conductor, 3, stage, 0.5) for stage in (second, whole)] == ["continue", "stop"]
        assert [trial.state for trial in conductor.ledger.trials.values()] == ["done", "pruned", "pruned", "done"]


def test_a_duplicate_in_a_race_has_the_whole_way_of_its_twin(tmp_path: Path) -> None:
    space = {"lr": {"choice": [0.1, 0.2]}, "steps": 100}
    with opened(tmp_path, **{**RACING, "space": space}, sampler="random", trials=8) as conductor:
        while (trial := conductor.next_trial()) != "finished":
            if isinstance(trial, str):
                continue
            for stage in conductor.milestones(trial):
                if report(conductor, trial.number, stage, trial.config["lr"]) == "stop":
                    break
        twins = [trial for trial in conductor.ledger.trials.values() if "same configuration" in str(trial.reason)]
        assert twins
        assert all([m.examples for m in twin.milestones] == [5, 10, None] for twin in twins)
