"""Which trial is best, how surely, and by how much. Lower is better throughout; trials with nan take no part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def rank(values: Mapping[int, float]) -> list[int]:
    """Trial numbers from the lowest value to the highest; of equals the lower number first."""
    return sorted((number for number, value in values.items() if not np.isnan(value)), key=lambda n: (values[n], n))


def margin(values: Mapping[int, float]) -> float | None:
    """How far the second lowest value lies above the lowest; None with fewer than two."""
    order = rank(values)
    return values[order[1]] - values[order[0]] if len(order) > 1 else None


def probability_best(replicates: Mapping[int, NDArray[np.float64]]) -> dict[int, float]:
    """The share of resamples in which each trial is lowest; ties are split. Sums to 1; 0 for a trial with nan.

    Args:
        replicates: by trial number, `Score.replicates` [R] over the same resamples. They are bias-corrected: raw
            resamples of a Fréchet distance lie too high, and the more so the wider a trial's examples spread.
    """
    sound = [number for number, row in replicates.items() if len(row) and not np.isnan(row).any()]
    shares = dict.fromkeys(replicates, 0.0)
    if sound:
        table = np.stack([replicates[number] for number in sound])
        lowest = table == table.min(axis=0)
        shares |= dict(zip(sound, (lowest / lowest.sum(axis=0)).mean(axis=1).tolist(), strict=True))
    return shares


def pareto_front(points: Mapping[int, Sequence[float]]) -> list[int]:
    """The trials that no other matches in every objective and beats in one, by ascending number."""
    sound = {number: np.asarray(point, float) for number, point in points.items() if not np.isnan(point).any()}

    def beaten(point: NDArray[np.float64]) -> bool:
        return any((other <= point).all() and (other < point).any() for other in sound.values())

    return sorted(number for number, point in sound.items() if not beaten(point))
