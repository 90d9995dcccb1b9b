"""How much a sweep may spend before it stops suggesting."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from raysweep.errors import InputError

Limit = Literal["trials", "seconds", "row_steps"]


class Covered:
    """Row-steps that a trajectory has made: its first m examples went s steps, for each (s, m) of its milestones.

    Milestones of one trajectory overlap; the area that their rectangles cover together is what was stepped.
    """

    def __init__(self) -> None:
        self._corners: list[tuple[int, int]] = []
        """Of the covered area: ever more steps, of ever fewer examples."""
        self.row_steps = 0

    def add(self, steps: int, examples: int) -> int:
        """Cover the first `examples` rows up to `steps`; how many row-steps that adds."""
        kept = [corner for corner in self._corners if corner[0] > steps or corner[1] > examples]
        if not any(s >= steps and m >= examples for s, m in kept):
            kept.append((steps, examples))
        self._corners = sorted(kept)
        before, self.row_steps, made = self.row_steps, 0, 0
        for s, m in self._corners:
            self.row_steps += (s - made) * m
            made = s
        return self.row_steps - before


@dataclass(frozen=True)
class Used:
    """What a sweep has spent: trials suggested, seconds run (over all its sessions), row-steps made."""

    trials: int = 0
    seconds: float = 0.0
    row_steps: int = 0


@dataclass(frozen=True)
class Budget:
    """Upper limits; None is no limit. `key` is where they stand in the sweep file.

    Raises:
        InputError: when a limit is not above 0.
    """

    trials: int | None = None
    seconds: float | None = None
    row_steps: int | None = None
    key: str = "budget"

    def __post_init__(self) -> None:
        for name in _LIMITS:
            limit = getattr(self, name)
            if limit is not None and not (limit > 0 and math.isfinite(limit)):
                raise InputError("must be above 0 and finite", key=f"{self.key}.{name}", value=limit)

    def exhausted(self, used: Used) -> Limit | None:
        """The first limit that is reached, or None while there is some left."""
        for name in _LIMITS:
            limit = getattr(self, name)
            if limit is not None and getattr(used, name) >= limit:
                return name
        return None


_LIMITS: tuple[Limit, ...] = tuple(field.name for field in fields(Used))  # type: ignore[assignment, misc]
