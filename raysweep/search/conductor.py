"""The conductor: which trial starts next and what becomes of one that reports. Pure but for the journal it writes.

It is the one place where decisions are made; Tune's searcher and scheduler only carry them out. Each decision rests on
what the ledger holds and is journaled before it is acted on, so a restarted driver goes on as if it had never stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from raysweep.errors import InputError, StorageError
from raysweep.record.ledger import Ledger
from raysweep.record.trial import ENDED, Stage, Trial
from raysweep.search.budget import Budget, Covered, Used
from raysweep.search.domains import Choice
from raysweep.search.outcomes import Outcome
from raysweep.search.policies import Decision, Policy, TrialView
from raysweep.search.space import BESIDE_THE_WAY, Config, Space, steps_of
from raysweep.search.suggest import Finished, Suggestions, Waiting

Next = Trial | Literal["wait", "finished"]


class Conductor:
    """Runs one sweep's search over a ledger.

    Args:
        ledger: what is known; changed only through `append`.
        append: writes one event to the journal (which applies it to the ledger).
        space, suggestions, policy, budget: the search.
        concurrency: trials in flight.
        examples: rows of a trial, for the budget of row-steps.
        key_of: a configuration's result key.

    Raises:
        StorageError: the journal's configurations are not those that the search suggests.
    """

    def __init__(
        self,
        ledger: Ledger,
        append: Callable[..., Any],
        space: Space,
        suggestions: Suggestions,
        policy: Policy,
        budget: Budget,
        concurrency: int,
        examples: int,
        key_of: Callable[[Config], str],
    ) -> None:
        self.ledger, self._append = ledger, append
        self.space, self.suggestions, self.policy, self.budget = space, suggestions, policy, budget
        self.concurrency, self.examples, self._key_of = concurrency, examples, key_of
        self._began = time.monotonic()
        self._exhausted = False
        self._waiting: dict[int, Stage] = {}
        """Trials at a milestone whose decision is not taken yet, and that milestone."""
        self._parked: set[int] = set()
        """Those of them that no actor holds, because an earlier session brought them there."""
        self._replay()
        self._resumed = [trial.number for trial in ledger.running if not self._settled(trial)]

    @property
    def has_work(self) -> bool:
        """Whether any trial is to be run; answers from the journal alone do not count."""
        if not self._resumed:
            following = self.next_trial()
            if isinstance(following, Trial):
                self._resumed.append(following.number)
        return bool(self._resumed or self._parked)

    def next_trial(self) -> Next:
        """The trial to start now; "wait" until a result is in; or "finished" when no further one will start."""
        self._unpark()
        following = self._suggest() if not self._resumed else None
        if following == "finished":  # so the cohorts of the last trials are complete as they are
            self._unpark()
        if self._resumed:
            return self.ledger.trials[self._resumed.pop(0)]
        return "wait" if following == "finished" and self._parked else following or "wait"

    def _suggest(self) -> Next:
        while True:
            if self._exhausted or self.budget.exhausted(self._spent):
                self._exhausted = True
                return "finished"
            if len(self.ledger.running) >= self.concurrency or not self._budget_is_known:
                return "wait"
            if self._repeats_itself:
                self._exhausted = True
                return "finished"
            suggestion = self.suggestions.next(self.outcomes())
            if isinstance(suggestion, Finished):
                self._exhausted = True
                return "finished"
            if isinstance(suggestion, Waiting):
                return "wait"
            trial = self._plan(suggestion)
            if trial.state not in ENDED:
                return trial

    def milestones(self, trial: Trial) -> tuple[Stage, ...]:
        """Where a trial is still to be scored."""
        reached = {milestone.stage for milestone in trial.milestones}
        return tuple(stage for stage in self._way(trial.number) if stage not in reached)

    def blocks(self, trial: Trial) -> tuple[int, ...]:
        """The counts of examples with which a trial is scored: each block of examples ends at one of them."""
        return tuple(sorted({self._rows(stage) for stage in self._way(trial.number)}))

    @property
    def step_counts(self) -> tuple[int, ...]:
        """The steps that trials of one trajectory can differ in, ascending; none where `steps` is a range."""
        domain = self.space.steps
        steps = domain.values if isinstance(domain, Choice) else ()
        return tuple(sorted(int(step) for step in steps if isinstance(step, (int, float))))

    def leased(self, number: int, host: str, tune_trial: str) -> None:
        """A host works on the trial."""
        trial = self.ledger.trials[number]
        if trial.state not in ENDED and (trial.host, trial.tune_trial) != (host, tune_trial):
            self._append("leased", number=number, host=host, tune_trial=tune_trial)

    def scored(
        self,
        number: int,
        stage: Stage,
        objectives: Mapping[str, Sequence[Any]],
        metrics: Mapping[str, float],
        explanations: str | None,
    ) -> Decision:
        """Take a milestone into account and say whether the trial goes on. A second report of it changes nothing."""
        trial = self.ledger.trials[number]
        if trial.state in ENDED:
            return "stop"
        if all(milestone.stage != stage for milestone in trial.milestones):
            self._append(
                "milestone",
                number=number,
                **_fields(stage),
                objectives={name: list(measured) for name, measured in objectives.items()},
                metrics=dict(metrics),
                explanations=explanations,
            )
        if stage == Stage(self.ledger.targets[number]):
            self._append("ended", number=number, state="done", reason=None)
            return "stop"
        self._waiting[number] = stage
        return self._decide(number)

    def failed(self, number: int, reason: str) -> None:
        """The trial cannot give a result; the sweep goes on without it."""
        if self.ledger.trials[number].state not in ENDED:
            self._waiting.pop(number, None)
            self._append("ended", number=number, state="failed", reason=reason)

    def again(self, number: int) -> None:
        """The trial was handed out and did not begin: it is the next to be handed out."""
        if self.ledger.trials[number].state not in ENDED:
            self._resumed.insert(0, number)

    def resolved(self) -> dict[int, Decision]:
        """Trials that waited for others and need wait no longer, each with its decision."""
        decisions = {number: self._decide(number) for number in list(self._waiting) if number not in self._parked}
        return {number: decision for number, decision in decisions.items() if decision != "wait"}

    @property
    def used(self) -> Used:
        """What the sweep has spent, over all its sessions.

        Of the last `concurrency` trials all steps count that they may make, of earlier ones those that they made: so
        this does not depend on which trial ended first.
        """
        covered: dict[str, Covered] = {}
        for trial in self.ledger.trials.values():
            recent = trial.number >= len(self.ledger.trials) - self.concurrency
            reached = trial.result.stage if trial.result else Stage(0)
            last = Stage(self.ledger.targets[trial.number]) if recent else reached
            covered.setdefault(trajectory_key(trial.config), Covered()).add(last.step, self._rows(last))
        return Used(
            trials=len(self.ledger.trials),
            seconds=self._seconds,
            row_steps=sum(one.row_steps for one in covered.values()),
        )

    @property
    def _spent(self) -> Used:
        """What the budget asks for: counting row-steps takes long when there are many trials."""
        return self.used if self.budget.row_steps is not None else Used(len(self.ledger.trials), self._seconds)

    @property
    def _seconds(self) -> float:
        return self.ledger.earlier_seconds + time.monotonic() - self._began

    def outcomes(self) -> dict[int, Outcome]:
        """How each ended trial ended, as the sampler is told."""
        return {trial.number: outcome(trial) for trial in self.ledger.trials.values() if trial.state in ENDED}

    def _way(self, number: int) -> tuple[Stage, ...]:
        """Where a trial is scored, from its start to its end."""
        return self.policy.milestones(self.ledger.targets[number])

    def _rows(self, stage: Stage) -> int:
        return self.examples if stage.examples is None else stage.examples

    @property
    def _budget_is_known(self) -> bool:
        """Row-steps are counted when all trials but the last ones have ended, as an adaptive search waits for them."""
        earlier = range(len(self.ledger.trials) - self.concurrency)
        return self.budget.row_steps is None or all(self.ledger.trials[number].state in ENDED for number in earlier)

    @property
    def _repeats_itself(self) -> bool:
        """Whether the search would only repeat configurations, and no number of trials bounds it."""
        size = _size(self.space) if self.budget.trials is None else None
        if size is None or len(self.ledger.trials) < size:
            return False
        tried = {trial.key for trial in self.ledger.trials.values() if self.space.contains(trial.config)}
        return len(tried) >= size

    def _settled(self, trial: Trial) -> bool:
        """End or park a trial that an earlier session left at a milestone; False when it is to run on."""
        stage = trial.result.stage if trial.result else None
        if stage == Stage(self.ledger.targets[trial.number]):
            self._append("ended", number=trial.number, state="done", reason=None)
            return True
        if stage and self.ledger.decisions.get((trial.number, stage)) != "continue":
            self._waiting[trial.number] = stage
            self._parked.add(trial.number)
            return True
        return False

    def _unpark(self) -> None:
        """Let parked trials whose cohorts are complete go on, or stop them."""
        for number in sorted(self._parked):
            decision = self._decide(number)
            if decision != "wait":
                self._parked.discard(number)
            if decision == "continue":
                self._resumed.append(number)

    def _decide(self, number: int) -> Decision:
        stage = self._waiting[number]
        trial = self.ledger.trials[number]
        known = self.ledger.decisions.get((number, stage))
        decision: Any = known or self.policy.decide(number, stage, self._table(), self._exhausted)
        if decision == "wait":
            return "wait"
        del self._waiting[number]
        if known is None:
            self._append("decision", number=number, **_fields(stage), decision=decision)
        if decision == "stop" and trial.state not in ENDED:
            self._append("ended", number=number, state="pruned", reason=f"stopped at {stage}")
        return "stop" if decision == "stop" else "continue"

    def _plan(self, config: Config) -> Trial:
        number, key = len(self.ledger.trials), self._key_of(config)
        twin = self.ledger.twin(key)
        self._append("planned", number=number, key=key, config=config, target=steps_of(config))
        if twin is not None:
            for milestone in twin.milestones:
                self._append(
                    "milestone",
                    number=number,
                    **_fields(milestone.stage),
                    objectives={name: measured.to_json() for name, measured in milestone.objectives.items()},
                    metrics=milestone.metrics,
                    explanations=milestone.explanations,
                )
            self._append("ended", number=number, state="done", reason=f"the same configuration as trial {twin.number}")
        return self.ledger.trials[number]

    def _replay(self) -> None:
        """Ask for the journaled suggestions again, so that the next one is what it would have been."""
        outcomes = self.outcomes()
        while self.suggestions.number < len(self.ledger.trials):
            trial = self.ledger.trials[self.suggestions.number]
            found = self.suggestions.next(outcomes, replay=True)
            if found != trial.config:
                raise StorageError(
                    f"trial {trial.number} was journaled as {trial.config}, but the search now suggests {found}: "
                    "the journal was made with another version of raysweep or Optuna"
                )

    def _table(self) -> dict[int, TrialView]:
        return {
            trial.number: TrialView(
                number=trial.number,
                target=self.ledger.targets[trial.number],
                milestones={m.stage: next(iter(m.objectives.values())) for m in trial.milestones},
                ended=trial.state in ENDED,
            )
            for trial in self.ledger.trials.values()
        }


def trajectory_key(config: Config) -> str:
    """Equal for configurations whose rows go the same way, as far as each goes; also of a space that was narrowed."""
    kept = {name: config[name] for name in sorted(config) if name not in BESIDE_THE_WAY}
    return json.dumps({name: float(value) if type(value) is int else value for name, value in kept.items()})


def _size(space: Space) -> int | None:
    try:
        return space.size
    except InputError:
        return None


def outcome(trial: Trial) -> Outcome:
    """An ended trial as the sampler is told."""
    if trial.state == "failed" or trial.result is None:
        return Outcome(None)
    values = tuple(measured.value for measured in trial.result.objectives.values())
    stage = trial.result.stage
    return Outcome(values, pruned_at=(stage.examples or stage.step) if trial.state == "pruned" else None)


def _fields(stage: Stage) -> dict[str, int]:
    """A stage as an event has it."""
    return {"step": stage.step, **({} if stage.examples is None else {"examples": stage.examples})}
