"""What an objective says of one trial: a number, how sure it is, and what trials are compared by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Score:
    """One objective of one trial.

    Args:
        value: the estimate; nan when an example is not finite.
        low, high: 95 % interval, low ≤ value ≤ high; what it covers is said where the score is made.
        n: examples it was computed from.
        replicates: [R] float64, the value under resample r of the examples, corrected for the bootstrap's bias. All
            trials of a sweep share the resamples, so replicate r of two trials can be compared.
    """

    value: float
    low: float
    high: float
    n: int
    replicates: NDArray[np.float64]

    @classmethod
    def undefined(cls, n: int, replicates: int) -> Score:
        """The score of examples that are not finite: nan throughout."""
        return cls(np.nan, np.nan, np.nan, n, np.full(replicates, np.nan))
