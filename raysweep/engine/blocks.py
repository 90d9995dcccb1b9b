"""A trajectory in blocks of examples: rows that were stepped for a first look are not stepped again for all.

What the blocks give together is bitwise what one block of all examples gives: a row's slot, noise and numbers depend on
its example and its trajectory, never on its block.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch

from raysweep.engine.engine import Engine
from raysweep.engine.row_store import RowStore
from raysweep.methods.method import State


class Blocks:
    """The rows 0 … n − 1 of a trajectory on their way to one step, block by block.

    Args:
        engine: steps them.
        key, values, seed, to, owner, store, via: see `Engine.advance`.
        ends: where each block ends, ascending; the last is n.
        done: called once, in the thread in which the last block arrives, with the state of all n rows; or with the
            first error.
    """

    def __init__(
        self,
        engine: Engine,
        key: str,
        values: dict[str, float],
        seed: int,
        ends: Sequence[int],
        to: int,
        done: Callable[[State | Exception], None],
        owner: str = "",
        store: RowStore | None = None,
        via: Sequence[int] = (),
    ) -> None:
        self._engine, self._done = engine, done
        self._lock = threading.Lock()
        self._blocks = [range(begin, end) for begin, end in pairwise((0, *ends))]
        self._arrived: dict[int, State] = {}
        self._told = False
        self._tickets = [
            engine.advance(key, values, seed, block, to, partial(self._arrive, block), owner, store, via)
            for block in self._blocks
        ]

    def cancel(self) -> None:
        """Nobody waits any more: rows that only this wanted leave at once."""
        for ticket in self._tickets:
            self._engine.cancel(ticket)

    def _arrive(self, block: range, outcome: State | Exception) -> None:
        with self._lock:
            if isinstance(outcome, dict):
                self._arrived[block.start] = outcome
            complete = isinstance(outcome, Exception) or len(self._arrived) == len(self._blocks)
            if self._told or not complete:
                return
            self._told = True
        self._done(outcome if isinstance(outcome, Exception) else self._joined())

    def _joined(self) -> State:
        states = [self._arrived[block.start] for block in self._blocks]
        return {name: torch.cat([state[name] for state in states]) for name in states[0]}
