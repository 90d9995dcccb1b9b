"""A cohort: the c trials with numbers k*c...(k+1)*c-1, which are in flight together and are compared with each other.

A decision is made when the cohort is complete at that step, so it depends on results and never on who came first. Since
c trials can be in flight at once, every member that others wait for is running or can be admitted: none waits forever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from raysweep.record.trial import Measured, Stage

Decision: TypeAlias = Literal["continue", "stop", "wait"]


@dataclass(frozen=True)
class TrialView:
    """What a policy may know about an admitted trial.

    Args:
        number: of the trial.
        target: the step count at which it is done.
        milestones: its (first) objective by stage, as journaled.
        ended: done, pruned or failed.
    """

    number: int
    target: int
    milestones: Mapping[Stage, Measured] = field(default_factory=dict)
    ended: bool = False


Table: TypeAlias = Mapping[int, TrialView]


def cohort_at(
    number: int, stage_of: Callable[[TrialView], Stage], table: Table, concurrency: int, exhausted: bool
) -> list[TrialView] | None:
    """The members of `number`'s cohort that reported at their stage; None while one that will has not.

    Args:
        stage_of: the stage at which a member is compared; one with fewer steps to make than that never gets there.
        table: every admitted trial by number.
        exhausted: no further trial will be admitted, so a member missing from `table` is not waited for.
    """
    first = cohort_start(number, concurrency)
    reported = []
    for member in range(first, first + concurrency):
        view = table.get(member)
        if view is None:
            if not exhausted:
                return None
        elif stage_of(view) in view.milestones:
            reported.append(view)
        elif not view.ended and view.target >= stage_of(view).step:
            return None
    return reported


def cohort_start(number: int, concurrency: int) -> int:
    """The lowest number in `number`'s cohort."""
    return number - number % concurrency


def badness(value: float, maximise: bool) -> float:
    """Lower is better; what is not finite is worst."""
    if not math.isfinite(value):
        return math.inf
    return -value if maximise else value
