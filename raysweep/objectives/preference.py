"""Which trial is best when there are several objectives: the knee of the Pareto front, or what a person prefers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raysweep.objectives.ranking import pareto_front, rank

Array = NDArray[np.float64]
KNEE = "knee"


class Preference:
    """Orders trials by one cost; lower is better.

    Where one objective counts, the cost is its value. Else each is scaled to go from 0 to 1 over the Pareto front, and
    the cost is the weighted distance from the ideal point, which has the best value of each (Yu, *A class of solutions
    for group decision problems*, Management Science 1973). What another trial dominates never costs least, so the best
    lies on the front: with equal weights where the front bends, at its knee.

    Args:
        names: the objectives, in order.
        stated: "knee"; the name of the one objective that counts; or a weight, at least 0, for each that does.
    """

    def __init__(self, names: Sequence[str], stated: str | Mapping[str, float] = KNEE) -> None:
        self.names = list(names)
        if isinstance(stated, str):
            stated = dict.fromkeys(self.names, 1.0) if stated == KNEE else {stated: 1.0}
        self.weights = np.array([float(stated.get(name, 0.0)) for name in self.names])

    @property
    def counting(self) -> list[str]:
        """The objectives that count."""
        return [name for name, weight in zip(self.names, self.weights, strict=True) if weight > 0]

    @property
    def single(self) -> str | None:
        """The one objective that counts, or None when there are several."""
        return self.counting[0] if len(self.counting) == 1 else None

    def order(self, points: Mapping[int, Sequence[float]]) -> list[int]:
        """Trial numbers by what their objectives cost, best first; those with nan are left out."""
        return rank(self.costs(points))

    def costs(self, points: Mapping[int, Sequence[float]]) -> dict[int, float]:
        """What each trial costs, by number."""
        cost = self.cost(points)
        return {number: float(cost(np.asarray(point, np.float64))) for number, point in points.items()}

    def cost(self, points: Mapping[int, Sequence[float]]) -> Callable[[Array], Array]:
        """The cost of objectives [M, ...], an array [...], on the scale that the `points` of all trials set."""
        if self.single is not None:
            place = self.names.index(self.single)
            return lambda values: values[place]
        front = np.array([points[number] for number in pareto_front(points)] or np.zeros((1, len(self.names))))
        ideal, worst = front.min(axis=0), front.max(axis=0)
        span = np.where(worst > ideal, worst - ideal, 1.0)

        def distance(values: Array) -> Array:
            with np.errstate(over="ignore"):  # a span may be so small that what lies beyond it is infinitely far
                return np.sqrt(np.square((values.T - ideal) / span * self.weights).sum(axis=-1)).T

        return distance
