"""Objectives that are the mean of one number an example: distortion, sparsity, the area under a curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysweep.objectives.bootstrap import score
from raysweep.objectives.score import Score


def score_mean(numbers: ArrayLike, indices: NDArray[np.int64]) -> Score:
    """The mean of numbers [N] with a 95 % bootstrap interval of the *true* mean; lower is better.

    A mean has no bias, so its resamples need no correction.

    Args:
        numbers: [N]; with one that is not finite the score is nan.
        indices: [R, N] from `bootstrap.resamples`.
    """
    rows = np.asarray(numbers, np.float64)
    if not np.isfinite(rows).all():
        return Score.undefined(len(rows), len(indices))
    return score(float(rows.mean()), rows[indices].mean(axis=1), len(rows))
