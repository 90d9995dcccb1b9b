"""Suggestions as a replayable sequence: asked again in order, with the same results, it gives the same configurations.

Suggestion n of an adaptive sampler sees exactly the results of trials 0...n-c-1 (c is the sweep's `concurrency`), told
in order of number, while trials n-c...n-1 count as running, whether or not they have ended. The sampler is made anew
for each trial from (seed, number). So neither the order of completion nor a restart changes what is suggested.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raysweep.search.outcomes import Outcome
from raysweep.search.projection import Projection
from raysweep.search.samplers import ADAPTIVE, check_sampler
from raysweep.search.space import Config, Space


@dataclass(frozen=True)
class Waiting:
    """The next suggestion cannot be made before these trials have ended."""

    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Finished:
    """There is no further suggestion: the grid is done or the budget of trials is reached."""


class Suggestions:
    """The configurations of a sweep, one after another.

    A larger `trials` continues the same sequence. A widened space needs a new object, whose `first` is the number of
    the next trial, with what was known by then in `warm` (Optuna's samplers) and `known` (the grid).

    Args:
        space: what may be suggested.
        sampler: one of `samplers.SAMPLERS`.
        seed: of the sweep.
        concurrency: trials in flight; how far suggestions run ahead of results.
        directions: "minimise" or "maximise" for each objective.
        trials: no suggestion has a number of this or above; None for no such limit.
        first: number of the first suggestion.
        startup: results that TPE and GP want before they stop drawing at random.
        warm: finished trials, of this sweep or another, to learn from; those outside `space` are left out.
        known: `space.config_key` of configurations that a grid need not repeat.

    Raises:
        InputError: when the sampler cannot serve the space.
    """

    def __init__(
        self,
        space: Space,
        sampler: str,
        seed: int,
        concurrency: int,
        directions: Sequence[str] = ("minimise",),
        *,
        trials: int | None = None,
        first: int = 0,
        startup: int = 10,
        warm: Sequence[tuple[Config, Outcome]] = (),
        known: Collection[str] = (),
    ) -> None:
        check_sampler(space, sampler, len(directions))
        self.space, self.concurrency, self.trials = space, concurrency, trials
        self.number = self._first = first
        self._lag: int | None = concurrency if sampler in ADAPTIVE else None
        self._told = first
        self._grid = _unknown(space, frozenset(known)) if sampler == "grid" else None
        if self._grid is None:
            self._projection = Projection(space, sampler, seed, directions, startup=startup, warm=warm)

    @property
    def needs(self) -> range:
        """Numbers of the trials whose outcomes the next suggestion sees."""
        return range(self._first, self.number - self._lag if self._lag is not None else self._first)

    def next(self, results: Mapping[int, Outcome], replay: bool = False) -> Config | Waiting | Finished:
        """The configuration of trial `self.number`, which then counts one up; or why there is none.

        Args:
            results: outcomes by number; those not in `needs` are not looked at.
            replay: ask for what was suggested before, whatever number of trials is allowed now.
        """
        if self.trials is not None and self.number >= self.trials and not replay:
            return Finished()
        if missing := tuple(number for number in self.needs if number >= self._told and number not in results):
            return Waiting(missing)
        if self._grid is not None:
            config = next(self._grid, None)
            if config is None:
                return Finished()
        else:
            for number in range(self._told, self.needs.stop):
                self._projection.tell(number, results[number])
                self._told = number + 1
            config = self._projection.ask(self.number)
        self.number += 1
        return config


def _unknown(space: Space, known: Collection[str]) -> Iterator[Config]:
    return (config for config in space.grid() if space.config_key(config) not in known)
