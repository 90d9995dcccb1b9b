"""Racing on examples (Maron and Moore, "Hoeffding Races", NIPS 1993; here paired, by the bootstrap that scores share).

All steps of a configuration are made on few examples first, then on more. One that almost every resample of them finds
worse than the leader is dropped. All configurations start from the same latents and share the resamples, so what the
examples have in common cancels: two whose intervals overlap widely are often told apart with a few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raysweep.record.trial import Measured, Stage
from raysweep.search.policies.cohort import Decision, Table, TrialView, badness, cohort_at, cohort_start


@dataclass(frozen=True)
class Race:
    """At each count of examples a trial races its cohort and whoever of earlier cohorts came as far.

    The leader is the best value at the same count: with fewer examples a distance in many dimensions is expected to be
    larger, so results of different counts are never compared. A cohort decides when all before it have come as far, or
    have ended.

    Args:
        counts: examples, ascending, all below N.
        concurrency: size of a cohort.
        confidence: the share of resamples that must find a trial worse than the leader.
        maximise: whether a higher objective is better.
    """

    counts: tuple[int, ...]
    concurrency: int
    confidence: float = 0.85
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
        if cohort is None or not all(view.ended or here(view) in view.milestones for view in earlier):
            return "wait"
        arrived = (view for view in (*earlier, *cohort) if here(view) in view.milestones)
        racing = {view.number: view.milestones[here(view)] for view in arrived}
        leader = min(racing.items(), key=lambda item: (badness(item[1].value, self.maximise), item[0]))[1]
        return "stop" if self._worse(racing[number], leader) >= self.confidence else "continue"

    def _worse(self, measured: Measured, leader: Measured) -> float:
        """The share of resamples in which a trial is worse than the leader; what is not finite is worst."""
        mine, best = (
            np.array([badness(value, self.maximise) for value in one.replicates]) for one in (measured, leader)
        )
        return float((mine > best).mean()) if len(mine) else 0.0
