"""Recognition: how often does a judge, a classifier never used in the search, see the target in the explanations?"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from raysweep.objectives.score import Score


def recognised(
    judge_logits: ArrayLike, target: int, direction: Literal["maximise", "minimise"] = "maximise"
) -> NDArray[np.bool_]:
    """Which of N examples the judge sees as what the search asked for, [N].

    Args:
        judge_logits: [N, C] before the softmax; with C = 1 (or [N]) before the sigmoid, the target being logit > 0.
        target: index of the target class; with C = 1 it is not looked at.
        direction: "minimise" asks for anything but the target.

    An example with a logit that is not a number is never recognised.
    """
    logits = np.asarray(judge_logits, np.float64)
    logits = logits[:, None] if logits.ndim == 1 else logits
    sees = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(axis=1) == target
    return (sees if direction == "maximise" else ~sees) & ~np.isnan(logits).any(axis=1)


def wilson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for k successes of n, each in [0, 1]; (0, 1) when n = 0.

    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
    """
    if n == 0:
        return 0.0, 1.0
    z = float(special.ndtri((1 + confidence) / 2))
    share, weight = k / n, z**2 / n
    middle = (share + weight / 2) / (1 + weight)
    half = z * np.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    return (0.0 if k == 0 else max(0.0, float(middle - half))), (1.0 if k == n else min(1.0, float(middle + half)))


def score_recognition(
    judge_logits: ArrayLike,
    target: int,
    indices: NDArray[np.int64],
    direction: Literal["maximise", "minimise"] = "maximise",
) -> Score:
    """The share of examples recognised, with Wilson's interval and paired replicates. Higher is better."""
    seen = recognised(judge_logits, target, direction)
    low, high = wilson(int(seen.sum()), len(seen))
    return Score(float(seen.mean()), low, high, len(seen), seen[indices].mean(axis=1))
