"""A trajectory: N rows of one configuration, whatever number of steps is asked of it.

Configurations that differ only in `steps` are one trajectory with several checkpoints. It moves in segments: from the
largest checkpoint at or below the smallest step count that somebody waits for, to that step count, or to one on the way
that somebody may ask for later. It lives as long as somebody waits; what it reached is kept by `row_store`.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raysweep.methods import Method, Rows, State

if TYPE_CHECKING:
    from raysweep.engine.row_store import RowStore


@dataclass(frozen=True)
class TrajectoryId:
    """What tells trajectories of one workload apart.

    Args:
        key: stands for the configuration without its `steps`.
        seed: the sweep's.
        examples: indices of its rows.
    """

    key: str
    seed: int
    examples: range


@dataclass(frozen=True)
class Checkpoint:
    """All rows of a trajectory after `step` steps."""

    step: int
    state: State


@dataclass(eq=False)
class Ticket:
    """Somebody of the sweep `owner` waits for a checkpoint at `step`; `done` gets its state, or what went wrong.

    `origin` is the nearest checkpoint below that is known, None for the start; `store` is where the sweep keeps them.
    `via` are steps below that others of the sweep may ask for, in whatever order they come.
    """

    trajectory: Trajectory
    step: int
    done: Callable[[State | Exception], None]
    origin: Checkpoint | None
    owner: str
    store: RowStore
    via: Sequence[int] = ()


@dataclass(eq=False)
class Segment:
    """The rows of a trajectory on their way from one checkpoint to the next, with their state on the CPU.

    `waiting` lists the rows that are in no lane, by their home slot. A row always sits in its home slot: elementwise
    kernels treat the tail of a batch apart, so only a fixed position in a fixed shape makes a row bitwise reproducible.
    """

    trajectory: Trajectory
    begin: int
    end: int
    state: State
    row_step: Tensor
    waiting: dict[int, list[int]]
    unfinished: int
    alive: bool = True
    suspect: bool = False
    """A step that this segment took part in raised; its rows wait until a lane has stepped them alone."""
    kept: float = field(default_factory=time.monotonic)
    """When its rows were last kept."""

    @property
    def admissible(self) -> bool:
        """Whether a lane may seat its waiting rows beside others."""
        return self.alive and not self.suspect and bool(self.waiting)

    def take(self, slot: int) -> int:
        """The next row whose home is `slot`; it waits no longer."""
        rows = self.waiting[slot]
        index = rows.pop(0)
        if not rows:
            del self.waiting[slot]
        return index


@dataclass(eq=False)
class Trajectory:
    """State of one trajectory; the engine's lock guards it."""

    id: TrajectoryId
    values: dict[str, float]
    tickets: list[Ticket] = field(default_factory=list)
    segment: Segment | None = None

    @property
    def seed(self) -> int:
        """The sweep's seed."""
        return self.id.seed

    @property
    def examples(self) -> range:
        """Example index of each row."""
        return self.id.examples

    def next_segment(self, method: Method, slots: int) -> Segment | None:
        """The segment to run now, or None while one runs or nobody waits."""
        if self.segment is not None or not self.tickets:
            return None
        first = min(ticket.step for ticket in self.tickets)
        known = [ticket.origin for ticket in self.tickets if ticket.origin is not None and ticket.origin.step <= first]
        if known:
            begin = max(known, key=lambda checkpoint: checkpoint.step)
        else:
            begin = Checkpoint(0, method.begin(self.rows()))
        between = (step for ticket in self.tickets for step in ticket.via if begin.step < step < first)
        end = min(between, default=first)
        count = len(self.examples)
        waiting: dict[int, list[int]] = {}
        for index in range(count):
            waiting.setdefault(self.home(index, slots), []).append(index)
        self.segment = Segment(
            trajectory=self,
            begin=begin.step,
            end=end,
            state={name: value.cpu().clone() for name, value in begin.state.items()},
            row_step=torch.full((count,), begin.step, dtype=torch.int64),
            waiting=waiting,
            unfinished=count,
        )
        return self.segment

    def home(self, index: int, slots: int) -> int:
        """The slot that row `index` sits in, in whatever lane of this many slots, in whatever block of examples."""
        return (self.examples[index] + zlib.crc32(self.id.key.encode())) % slots

    @property
    def owners(self) -> frozenset[str]:
        """The sweeps that wait for it."""
        return frozenset(ticket.owner for ticket in self.tickets)

    def rows(self) -> Rows:
        """This trajectory's rows at step 0."""
        return Rows.of(self.seed, self.examples, self.values)

    def arrive(self, reached: Checkpoint) -> list[Ticket]:
        """The segment is over: the tickets that waited for its end leave, those beyond go on from there."""
        self.segment = None
        ready = [ticket for ticket in self.tickets if ticket.step == reached.step]
        self.tickets = [ticket for ticket in self.tickets if ticket.step != reached.step]
        for ticket in self.tickets:
            if ticket.step > reached.step and (ticket.origin is None or ticket.origin.step < reached.step):
                ticket.origin = reached
        return ready


def kept(state: State) -> dict[str, Tensor]:
    """What the method kept of the steps so far, by its own names."""
    return {name.removeprefix("kept."): value for name, value in state.items() if name.startswith("kept.")}
