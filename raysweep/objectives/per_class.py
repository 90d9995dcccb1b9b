"""Scores of a generator of classes: the mean of one score a class, or the distance of all classes together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysweep.objectives.bootstrap import score
from raysweep.objectives.frechet import Reference, as_rows, score_frechet
from raysweep.objectives.score import Score


def score_classes(scores: Sequence[Score]) -> Score:
    """The mean over classes, each scored by the same number of examples under the same resamples.

    The interval is that of the mean: replicate r of it is the mean of the classes' replicates r.
    """
    values = np.array([one.value for one in scores])
    if not np.isfinite(values).all():
        return Score.undefined(scores[0].n, len(scores[0].replicates))
    return score(float(values.mean()), np.mean([one.replicates for one in scores], axis=0), scores[0].n)


def score_frechet_together(classes: Sequence[ArrayLike], reference: Reference, indices: NDArray[np.int64]) -> Score:
    """The Fréchet distance of all classes' samples, as one set, to the reference; see `score_frechet`.

    What was drawn is N latents, each of which makes a sample of every class: a resample has all samples of a latent,
    and the interval is that of N independent examples.

    Args:
        classes: features [N, D] of each class; row i of all of them is of one latent.
        reference: of real samples of these classes.
        indices: [R, N] from `bootstrap.resamples`.
    """
    each = [as_rows(one) for one in classes]
    n = len(each[0])
    drawn = np.concatenate([indices + n * place for place in range(len(each))], axis=1)
    found = score_frechet(np.concatenate(each), reference, drawn, independent=n)
    return score(found.value, found.replicates, n) if np.isfinite(found.value) else Score.undefined(n, len(indices))
