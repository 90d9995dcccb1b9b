"""When to stop a trial early: pure functions of journaled results, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from raysweep.errors import InputError, did_you_mean
from raysweep.record.trial import Measured, Stage
from raysweep.search.domains import Domain
from raysweep.search.policies.asha import Asha
from raysweep.search.policies.cohort import Decision, Table, TrialView
from raysweep.search.policies.ladder import counts, reports, rungs
from raysweep.search.policies.median import Median
from raysweep.search.policies.race import Race

__all__ = [
    "SCHEDULERS",
    "Decision",
    "Measured",
    "NoStopping",
    "Policy",
    "Stage",
    "Table",
    "TrialView",
    "make_policy",
]

SCHEDULERS = ("none", "asha", "median", "race")


class Policy(Protocol):
    """Where trials report, and what becomes of them there."""

    def milestones(self, target: int) -> tuple[Stage, ...]:
        """Where a trial of `target` steps is scored, in order; the last is `Stage(target)`, with all examples."""

    def decide(self, number: int, stage: Stage, table: Table, exhausted: bool) -> Decision:
        """What trial `number`, which has reported at `stage`, does next.

        The answer, once it is not "wait", stays the same as other results come in. At its last stage a trial is done:
        "continue" has nothing to say there.

        Args:
            table: every admitted trial by number, `number` with its result at `stage` among them.
            exhausted: no further trial will be admitted.
        """


@dataclass(frozen=True)
class NoStopping:
    """Every trial runs to its end and reports there."""

    def milestones(self, target: int) -> tuple[Stage, ...]:
        return (Stage(target),)

    def decide(self, number: int, stage: Stage, table: Table, exhausted: bool) -> Decision:
        return "continue"


def make_policy(
    scheduler: str,
    steps: Domain,
    concurrency: int,
    examples: int,
    *,
    maximise: bool = False,
    min_steps: int | None = None,
    eta: int = 3,
    every: int | None = None,
    grace: int = 1,
    min_examples: int | None = None,
    confidence: float = 0.85,
    key: str = "stop",
) -> Policy:
    """The policy a sweep file's `stop` names.

    Args:
        steps: domain of the parameter `steps` (`Fixed((S,))` when the space has none).
        examples: N, rows of a trial.
        min_steps, eta: of asha; see `ladder.rungs`.
        every: of median; see `ladder.reports`.
        grace: of median: how many of the first milestones decide nothing.
        min_examples: of race; see `ladder.counts`.
        confidence: of race: the share of resamples that must find a trial worse than the leader.

    Raises:
        InputError: for an unknown scheduler or a setting that cannot work.
    """
    if scheduler not in SCHEDULERS:
        hint = did_you_mean(scheduler, SCHEDULERS)
        raise InputError("is no scheduler", key=f"{key}.scheduler", value=scheduler, suggestion=hint)
    if scheduler == "none":
        return NoStopping()
    if scheduler == "asha":
        return Asha(rungs(steps, min_steps, eta, key), eta, concurrency, maximise)
    if scheduler == "race":
        if not 0.5 < confidence < 1:
            raise InputError("must lie between 0.5 and 1", key=f"{key}.confidence", value=confidence)
        return Race(counts(examples, min_examples, key), concurrency, confidence, maximise)
    if grace < 0:
        raise InputError("must be 0 or more", key=f"{key}.grace", value=grace)
    return Median(reports(steps, every, key), grace, concurrency, maximise)
