"""The median rule within cohorts (Golovin et al., "Google Vizier", 2017, section 3.2.2; here on the latest result)."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from raysweep.record.trial import Stage
from raysweep.search.policies.cohort import Decision, Table, badness, cohort_at


@dataclass(frozen=True)
class Median:
    """A trial worse than the median of its cohort at the same milestone stops.

    Args:
        steps: step counts at which trials report, ascending.
        grace: how many of the first ones decide nothing.
        concurrency: size of a cohort.
        maximise: whether a higher objective is better.
    """

    steps: tuple[int, ...]
    grace: int
    concurrency: int
    maximise: bool = False

    def milestones(self, target: int) -> tuple[Stage, ...]:
        return tuple(Stage(step) for step in (*(step for step in self.steps if step < target), target))

    def decide(self, number: int, stage: Stage, table: Table, exhausted: bool) -> Decision:
        if stage.step not in self.steps[self.grace :] or stage.step >= table[number].target:
            return "continue"
        reported = cohort_at(number, lambda _: stage, table, self.concurrency, exhausted)
        if reported is None:
            return "wait"
        values = {view.number: badness(view.milestones[stage].value, self.maximise) for view in reported}
        return "stop" if values[number] > statistics.median(values.values()) else "continue"
