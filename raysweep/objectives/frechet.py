"""The Fréchet (2-Wasserstein) distance between two sets of features, each summarised by its mean and covariance.

    d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½

Dowson and Landau, *The Fréchet distance between multivariate normal distributions*, J. Multivariate Analysis 12 (1982).
Every number here is the squared distance d², as "FID" is. The last trace is the nuclear norm of X Yᵀ for any factors
XᵀX = Σ₁ and YᵀY = Σ₂, so no matrix square root is taken where there are fewer examples than features. All in float64,
variances with ddof = 1, and nothing is added to a diagonal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysweep.errors import InputError
from raysweep.objectives.bootstrap import centred, inverted, multiplicities, score
from raysweep.objectives.score import Score

Array = NDArray[np.float64]
ENOUGH = 3  # examples per feature from which the bias is known well enough to be taken off (measured: tests)
CHUNK = 2**22  # float64 numbers of what one batch of resampled covariances takes: 32 MiB


@dataclass(frozen=True)
class Reference:
    """The real data's side of the distance, computed once per sweep.

    Args:
        n: rows it was computed from.
        mean: [D].
        root: [K, D] with rootᵀ root = Σ: the centred features over √(n − 1) when n < D, else the symmetric Σ^½.
    """

    n: int
    mean: Array
    root: Array

    @classmethod
    def fit(cls, features: ArrayLike) -> Reference:
        """The reference of features [M, D] (or [M]), M ≥ 2."""
        rows = as_rows(features)
        n, d = rows.shape
        mean = rows.mean(axis=0)
        root = (rows - mean) / np.sqrt(n - 1)
        if n >= d:
            values, vectors = np.linalg.eigh(root.T @ root)
            root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
        return cls(n, mean, root)

    @property
    def trace(self) -> float:
        """tr Σ."""
        return float(np.square(self.root).sum())

    def to_arrays(self) -> dict[str, NDArray]:
        """Plain arrays, for an npz or safetensors file."""
        return {"n": np.array(self.n), "mean": self.mean, "root": self.root}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray]) -> Reference:
        """The inverse of `to_arrays`."""
        return cls(int(arrays["n"]), np.asarray(arrays["mean"], np.float64), np.asarray(arrays["root"], np.float64))


def as_rows(features: ArrayLike) -> Array:
    """Features as float64 [N, D]; responses [N] become [N, 1]. Raises InputError for fewer rows than 2."""
    rows = np.asarray(features, np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows.reshape(len(rows), -1)
    if len(rows) < 2:
        raise InputError("a distance needs at least 2 examples", key="examples", value=len(rows))
    return rows


def frechet_distance(features: ArrayLike, reference: Reference) -> float:
    """The squared Fréchet distance of features [N, D] to the reference: at least 0; nan if a feature is not finite."""
    rows = as_rows(features)
    n, d = rows.shape
    if d != len(reference.mean):
        raise InputError(f"features must have the reference's {len(reference.mean)} dimensions", value=d)
    if not np.isfinite(rows).all():
        return float("nan")
    mean = rows.mean(axis=0)
    factor = (rows - mean) / np.sqrt(n - 1)
    shift = float(np.square(mean - reference.mean).sum())
    if d == 1:
        return shift + float(np.linalg.norm(factor) - np.linalg.norm(reference.root)) ** 2
    cross = factor @ reference.root.T
    if min(n, reference.n) < d:
        nuclear = np.linalg.svd(cross, compute_uv=False).sum()
    else:
        nuclear = np.sqrt(np.linalg.eigvalsh(cross.T @ cross).clip(0)).sum()
    return max(0.0, float(shift + np.square(factor).sum() + reference.trace - 2 * nuclear))


def score_frechet(
    features: ArrayLike, reference: Reference, indices: NDArray[np.int64], independent: int | None = None
) -> Score:
    """The distance of features [N, D] to the reference, with a 95 % interval; the reference is held fixed.

    `value` is the plug-in estimate, biased upwards at small N. From N = 3 D on the interval covers the *true* distance,
    the one at infinitely many examples (`bootstrap.inverted`). With fewer examples no resampling tells the bias from
    the distance, and it covers the distance *expected at this N*, by which trials of one N are compared
    (`bootstrap.centred`).

    Args:
        features: [N, D], or [N]; with a feature that is not finite the score is nan.
        reference: the real data's side.
        indices: [R, N] from `bootstrap.resamples`.
        independent: how many of the N examples are, where they come in groups; they must be 3 D for the first.
    """
    rows = as_rows(features)
    n, d = rows.shape
    value = frechet_distance(rows, reference)
    if np.isnan(value):
        return Score.undefined(n, len(indices))
    replicates = resampled(rows, reference, indices)
    if (n if independent is None else independent) < ENOUGH * d:
        return score(value, centred(value, replicates), n)
    return score(value, inverted(value, replicates, resampled(rows, Reference.fit(rows), indices)), n)


def resampled(rows: Array, reference: Reference, indices: NDArray[np.int64]) -> Array:
    """The distance to the reference of each resample rows[indices[r]], [R], from multiplicities: none is gathered."""
    n, d = rows.shape
    counts = multiplicities(indices, n)
    mean = rows.mean(axis=0)
    centre = rows - mean
    drift = counts @ centre / n
    shift = np.square(drift + (mean - reference.mean)).sum(axis=1)
    trace = (counts @ np.square(centre).sum(axis=1) - n * np.square(drift).sum(axis=1)).clip(0) / (n - 1)
    cross = centre @ reference.root.T / np.sqrt(n - 1)
    if d == 1:
        return shift + np.square(np.sqrt(trace) - np.sqrt(reference.trace))
    step = max(1, CHUNK // (n * min(n, cross.shape[1])))
    nuclear = [_nuclear(cross, counts[first : first + step]) for first in range(0, len(counts), step)]
    return (shift + trace + reference.trace - 2 * np.concatenate(nuclear)).clip(0)


def _nuclear(cross: Array, counts: Array) -> Array:
    """The nuclear norms of diag(√c) (cross − its c-weighted mean), each c [N] of counts, by the smaller Gram matrix."""
    n, k = cross.shape
    if n <= k:
        gram = cross @ cross.T
        towards = counts @ gram / n  # [R, N]: each row's product with the resample's mean
        middle = np.einsum("rn,rn->r", towards, counts)[:, None, None] / n
        gram = gram - towards[:, :, None] - towards[:, None, :] + middle
        weight = np.sqrt(counts)
        gram *= weight[:, :, None] * weight[:, None, :]
    else:
        mean = counts @ cross / n
        gram = (counts[:, None, :] * cross.T) @ cross - n * mean[:, :, None] * mean[:, None, :]
    return np.sqrt(np.linalg.eigvalsh(gram).clip(0)).sum(axis=1)
