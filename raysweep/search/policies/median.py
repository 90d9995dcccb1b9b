"""The median rule within cohorts (Golovin et al., "Google Vizier", 2017, section 3.2.2; here on the latest result)."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

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

    def milestones(self, target: int) -> tuple[int, ...]:
        return (*(step for step in self.steps if step < target), target)

    def decide(self, number: int, step: int, table: Table, exhausted: bool) -> Decision:
        if step not in self.steps[self.grace :] or step >= table[number].target:
            return "continue"
        reported = cohort_at(number, step, table, self.concurrency, exhausted)
        if reported is None:
            return "wait"
        values = {view.number: badness(view.milestones[step], self.maximise) for view in reported}
        return "stop" if values[number] > statistics.median(values.values()) else "continue"
