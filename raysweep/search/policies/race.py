"""Racing on examples (Maron and Moore, "Hoeffding Races", NIPS 1993; here with the intervals that each score has).

All steps of a configuration are made on few examples first, then on more. One whose interval lies wholly above that of
the leader is dropped: more examples would only confirm it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from raysweep.record.trial import Measured, Stage
from raysweep.search.policies.cohort import Decision, Table, TrialView, badness, cohort_at, cohort_start


@dataclass(frozen=True)
class Race:
    """At each count of examples a trial races its cohort and whoever of earlier cohorts has finished.

    The leader is the best value at the same count: with fewer examples a distance in many dimensions is expected to be
    larger, so results of different counts are never compared. A cohort decides when the ones before it have ended.

    Args:
        counts: examples, ascending, all below N.
        concurrency: size of a cohort.
        maximise: whether a higher objective is better.
    """

    counts: tuple[int, ...]
    concurrency: int
    maximise: bool = False

    def milestones(self, target: int) -> tuple[Stage, ...]:
        return (*(Stage(target, count) for count in self.counts), Stage(target))

    def decide(self, number: int, stage: Stage, table: Table, exhausted: bool) -> Decision:
        if stage.examples not in self.counts:
            return "continue"

        def here(view: TrialView) -> Stage:
            return Stage(view.target, stage.examples)

        cohort = cohort_at(number, here, table, self.concurrency, exhausted)
        earlier = [table[other] for other in range(cohort_start(number, self.concurrency))]
        if cohort is None or not all(view.ended for view in earlier):
            return "wait"
        finished = [view for view in earlier if Stage(view.target) in view.milestones and here(view) in view.milestones]
        racing = {view.number: view.milestones[here(view)] for view in (*finished, *cohort)}
        leader = min(racing.items(), key=lambda item: (badness(item[1].value, self.maximise), item[0]))[1]
        return "stop" if self._ends(racing[number])[0] > self._ends(leader)[1] else "continue"

    def _ends(self, measured: Measured) -> tuple[float, float]:
        """The better and the worse end of an interval, lower being better; a value that is not finite is worst."""
        if not math.isfinite(measured.value):
            return math.inf, math.inf
        return (-measured.high, -measured.low) if self.maximise else (measured.low, measured.high)
