"""How a trial ended, as far as the search needs to know."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What a finished trial tells the sampler.

    Args:
        values: its objectives at its last milestone, in the sweep file's order; None when it failed.
        pruned_at: the step, or in a race the count of examples, at which a policy stopped it; None when it ran to its
            end.
    """

    values: tuple[float, ...] | None
    pruned_at: int | None = None

    @property
    def failed(self) -> bool:
        """No usable value: samplers then leave the trial out."""
        return self.values is None or not all(math.isfinite(value) for value in self.values)
