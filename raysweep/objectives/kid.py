"""The kernel distance between two sets of features: like the Fréchet distance, but unbiased at any number of examples.

    MMD² = mean_{i≠j} k(x_i, x_j) + mean_{i≠j} k(y_i, y_j) − 2 mean_{i,j} k(x_i, y_j),   k(x, y) = (xᵀy / D + 1)³

Bińkowski, Sutherland, Arbel, Gretton, *Demystifying MMD GANs*, ICLR 2018. All examples are used at once; the means over
random subsets that other packages report (100 × 1000) estimate the same number with more noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysweep.errors import InputError
from raysweep.objectives.bootstrap import multiplicities, score
from raysweep.objectives.frechet import Array, as_rows
from raysweep.objectives.score import Score

BLOCK = 1024  # reference rows of one block of the kernel matrix


@dataclass(frozen=True)
class KernelReference:
    """The real data's side of the kernel distance: features [M, D] and their own mean_{i≠j} k, computed once."""

    features: Array
    within: float

    @classmethod
    def fit(cls, features: ArrayLike) -> KernelReference:
        """The reference of features [M, D], M ≥ 2."""
        return cls.fit_together([features])

    @classmethod
    def fit_together(cls, classes: Sequence[ArrayLike]) -> KernelReference:
        """The reference of all classes' features, [M, D] each, M ≥ 2, as one set in which each has the same part.

        That part is a class's for certain, not by chance: so the mean is over pairs of classes, of each the mean over
        pairs of their examples.
        """
        each = [as_rows(one) for one in classes]
        pairs = [_mean_kernel(one, other) for one, other in itertools.product(each, repeat=2)]
        return cls(np.concatenate(each), float(np.mean(pairs)))


def _mean_kernel(x: Array, y: Array) -> float:
    """The mean of k over pairs of examples, but those of one with itself where `x` is `y`."""
    total = sum(float(kernel(x[first : first + BLOCK], y).sum()) for first in range(0, len(x), BLOCK))
    if x is not y:
        return total / (len(x) * len(y))
    own = float(((np.square(x).sum(axis=1) / x.shape[1] + 1) ** 3).sum())
    return (total - own) / (len(x) * (len(x) - 1))


def kernel(x: Array, y: Array) -> Array:
    """k(x_i, y_j) = (x_iᵀ y_j / D + 1)³, [N, M]."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def score_kid(features: ArrayLike, reference: KernelReference, indices: NDArray[np.int64]) -> Score:
    """The unbiased squared kernel distance of features [N, D]; it can be below 0.

    The interval covers its expectation against this very reference, which is not resampled. A resample holds some
    examples twice; pairs of an example with itself are left out of its mean as they are of the estimate, so that
    replicates need no correction: Σ_{i≠j} c_i c_j k_ij / Σ_{i≠j} c_i c_j for multiplicities c. A resample that is one
    example N times has no pair left, as happens at few examples; its mean is then over that example's pairs with the
    others of the sample, which has the same expectation. Which resamples those are depends on `indices` alone.
    """
    return score_kid_together([features], reference, indices)


def score_kid_together(classes: Sequence[ArrayLike], reference: KernelReference, indices: NDArray[np.int64]) -> Score:
    """The unbiased squared kernel distance of all classes' features, as one set; see `score_kid`.

    One example, a latent, makes a sample of every class. Pairs of one example, of whatever classes, are left out, and a
    resample has all its samples: each class has the same part in the mean, and only independent samples are paired.

    Args:
        classes: features [N, D] of each class; row i of all of them is of one example.
    """
    each = [as_rows(one) for one in classes]
    n, width = each[0].shape
    if width != reference.features.shape[1]:
        rule = f"features must have the reference's {reference.features.shape[1]} dimensions"
        raise InputError(rule, value=width)
    if not all(np.isfinite(rows).all() for rows in each):
        return Score.undefined(n, len(indices))
    pairs = np.zeros((n, n))
    for one, other in itertools.product(each, repeat=2):
        pairs += kernel(one, other) / len(each) ** 2
    np.fill_diagonal(pairs, 0)
    cross = np.mean([kernel(rows, reference.features).mean(axis=1) for rows in each], axis=0)

    def estimate(counts: Array) -> Array:
        towards = counts @ pairs  # [R, N]
        weight = n**2 - np.square(counts).sum(axis=1)
        alone = towards.sum(axis=1) / (n * (n - 1))
        within = np.where(weight > 0, np.einsum("rn,rn->r", towards, counts) / np.maximum(weight, 1), alone)
        return within + reference.within - 2 * (counts @ cross) / n

    return score(float(estimate(np.ones((1, n)))[0]), estimate(multiplicities(indices, n)), n)
