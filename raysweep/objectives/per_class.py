"""The mean of one score a class: how well a generator makes the classes that it has seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raysweep.objectives.bootstrap import score
from raysweep.objectives.score import Score


def score_classes(scores: Sequence[Score]) -> Score:
    """The mean over classes, each scored by the same number of examples under the same resamples.

    The interval is that of the mean: replicate r of it is the mean of the classes' replicates r.
    """
    values = np.array([one.value for one in scores])
    if not np.isfinite(values).all():
        return Score.undefined(scores[0].n, len(scores[0].replicates))
    return score(float(values.mean()), np.mean([one.replicates for one in scores], axis=0), scores[0].n)
