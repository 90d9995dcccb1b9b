"""Successive halving within cohorts, at the rungs of ASHA (Li et al., "A System for Massively Parallel Hyperparameter
Tuning", 2020). Theirs promotes on what has arrived so far; here a rung decides when its cohort is complete.
"""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.record.trial import Stage
from raysweep.search.policies.cohort import Decision, Table, badness, cohort_at


@dataclass(frozen=True)
class Asha:
    """At each rung the best 1/eta of the cohort, and always one that has steps left, go on.

    Args:
        rungs: step counts, ascending.
        eta: halving rate.
        concurrency: size of a cohort.
        maximise: whether a higher objective is better.
    """

    rungs: tuple[int, ...]
    eta: int
    concurrency: int
    maximise: bool = False

    def milestones(self, target: int) -> tuple[Stage, ...]:
        return tuple(Stage(step) for step in (*(rung for rung in self.rungs if rung < target), target))

    def decide(self, number: int, stage: Stage, table: Table, exhausted: bool) -> Decision:
        if stage.step not in self.rungs or stage.step >= table[number].target:
            return "continue"
        reported = cohort_at(number, lambda _: stage, table, self.concurrency, exhausted)
        if reported is None:
            return "wait"
        ranked = sorted(reported, key=lambda view: (badness(view.milestones[stage].value, self.maximise), view.number))
        kept = {view.number for view in ranked[: len(ranked) // self.eta]}
        kept.add(next(view.number for view in ranked if view.target > stage.step))
        return "continue" if number in kept else "stop"
