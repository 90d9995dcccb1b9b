"""The response Fréchet distance: do explanations excite a unit as its most exciting real examples do?

The distance between the N final responses of a configuration and the N highest (or, minimising, lowest) responses of
the data set; for one unit (μ₁ − μ₂)² + (σ₁ − σ₂)². Mishra, Stoller, Benetos, Sturm, Dixon, *GAN-based generation and
automatic selection of explanations for neural networks*, ICLR 2019 SafeML workshop.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysweep.errors import InputError
from raysweep.objectives.frechet import Reference, score_frechet
from raysweep.objectives.score import Score


def reference_responses(
    responses: ArrayLike, n: int, direction: Literal["maximise", "minimise"]
) -> NDArray[np.float64]:
    """The n highest (maximise) or lowest (minimise) of the data set's responses [M], most extreme first.

    Responses of several units [M, U] are ranked by their mean over the units. Raises InputError when n > M.
    """
    found = np.asarray(responses, np.float64)
    if n > len(found):
        raise InputError(
            f"N larger than the reference: the data have only {len(found)} examples to compare with",
            key="examples",
            value=n,
            suggestion=f"Ask for at most {len(found)}",
        )
    if not np.isfinite(found).all():
        raise InputError("the classifier's responses to the data must be finite", key="models.classifier")
    rank = found if found.ndim == 1 else found.reshape(len(found), -1).mean(axis=1)
    return found[np.argsort(-rank if direction == "maximise" else rank, kind="stable")[:n]]


def score_response(responses: ArrayLike, reference: Reference, indices: NDArray[np.int64]) -> Score:
    """The response Fréchet distance of responses [N] (one unit) or [N, U], with the interval of the *true* distance.

    `value` is the paper's plug-in estimate, about 1.5 σ²/N too high at a true distance of 0. The interval takes the
    extreme real responses as fixed: they are the data set's own, not a sample of it. See `frechet.score_frechet`.

    Args:
        responses: final responses of the N examples.
        reference: `Reference.fit(reference_responses(...))`.
        indices: [R, N] from `bootstrap.resamples`.
    """
    return score_frechet(responses, reference, indices)
