"""Whom a lane worked for: its filled slots, counted for every set of sweeps that had rows in it together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Share:
    """The steps that a lane made while exactly these sweeps had rows in it.

    Args:
        steps: of the lane.
        row_steps: slots that held a row, over those steps.
        seconds: that they took.
        by: row-steps by sweep; a row that several sweeps wait for counts for each of them.
    """

    steps: int = 0
    row_steps: int = 0
    seconds: float = 0.0
    by: Counter[str] = field(default_factory=Counter)


class Occupancy:
    """What a lane has done since it was last asked; one counter a set of sweeps, whatever the number of steps."""

    def __init__(self) -> None:
        self._shares: dict[frozenset[str], Share] = {}

    def count(self, rows: Mapping[frozenset[str], int], seconds: float) -> None:
        """One step: the number of rows by the sweeps that wait for them, and how long it took."""
        present = frozenset[str]().union(*rows)
        share = self._shares.setdefault(present, Share())
        share.steps += 1
        share.row_steps += sum(rows.values())
        share.seconds += seconds
        for sweeps, count in rows.items():
            for sweep in sweeps:
                share.by[sweep] += count

    def take(self) -> dict[frozenset[str], Share]:
        """The counters, which begin anew."""
        shares, self._shares = self._shares, {}
        return shares


def occupancy_of(sweep: str, shares: Mapping[frozenset[str], Share], slots: int) -> dict[str, Any] | None:
    """A line of a sweep's occupancy log: the steps of a lane in which it had rows; None when it had none.

    `sweeps` are the row-steps of all that shared those steps with it, `shared_steps` how many were shared.
    """
    mine = {present: share for present, share in shares.items() if sweep in present}
    steps = sum(share.steps for share in mine.values())
    if not steps:
        return None
    row_steps = sum(share.row_steps for share in mine.values())
    by: Counter[str] = Counter()
    for share in mine.values():
        by.update(share.by)
    return {
        "slots": slots,
        "steps": steps,
        "row_steps": row_steps,
        "seconds": sum(share.seconds for share in mine.values()),
        "occupancy": row_steps / (steps * slots),
        "sweeps": dict(sorted(by.items())),
        "shared_steps": sum(share.steps for present, share in mine.items() if len(present) > 1),
    }
