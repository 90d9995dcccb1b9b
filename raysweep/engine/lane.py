"""A lane: a fixed number of slots, stepped together; rows of any trajectory come and go between steps.

The shape never changes. Empty slots are padding, so a row's numbers do not depend on who shares the lane with it: a row
in its home slot (`trajectory`) is bitwise the same among any co-tenants of a batch of the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raysweep.engine.occupancy import Occupancy
from raysweep.engine.trajectory import Segment
from raysweep.methods import Method, Rows, State, by_row
from raysweep.methods.method import Turn


@dataclass(frozen=True)
class Occupant:
    """Row `index` of `segment`, sitting in a slot."""

    segment: Segment
    index: int


@dataclass(frozen=True)
class NonFinite:
    """A row whose loss stopped being a number, at the step that was to be made."""

    occupant: Occupant
    step: int
    seen: dict[str, float]


class Lane:
    """`slots` rows of one method, side by side on one device."""

    def __init__(self, method: Method, slots: int, device: torch.device | None = None) -> None:
        self.method, self.slots = method, slots
        self.device = device or torch.device("cpu")
        self.occupants: list[Occupant | None] = [None] * slots
        self.state: State = {}
        self.seed, self.example, self.step, self.draw, self.end = (
            torch.zeros(slots, dtype=torch.int64, device=self.device) for _ in range(5)
        )
        self.values: dict[str, Tensor] = {}
        self._partial: dict[str, Tensor] = {}
        """What the turns of the step that each row is making have left."""
        self.occupancy = Occupancy()
        self._fresh = False
        """Whether a row that has not made a step yet may be here."""
        self.alone: Segment | None = None
        """The suspect whose rows are the only ones here, until a step with them has succeeded."""

    @property
    def free(self) -> list[int]:
        """Slots nobody sits in."""
        return [slot for slot, occupant in enumerate(self.occupants) if occupant is None]

    @property
    def occupied(self) -> list[int]:
        """Slots with a row."""
        return [slot for slot, occupant in enumerate(self.occupants) if occupant is not None]

    def admit(self, slot: int, occupant: Occupant) -> None:
        """Seat a row with the state its segment holds for it."""
        segment, index = occupant.segment, occupant.index
        trajectory = segment.trajectory
        for name, value in segment.state.items():
            self._array(self.state, name, value)[slot] = value[index].to(self.device)
        for name, number in trajectory.values.items():
            self._array(self.values, name, torch.zeros(1, dtype=self.method.dtype))[slot] = number
        self.seed[slot] = trajectory.seed
        self.example[slot] = trajectory.examples[index]
        self.step[slot] = segment.row_step[index]
        self.end[slot] = segment.end
        self._blank(slot, self.draw, *self._partial.values())  # a step that was interrupted is made again
        self._fresh = True
        self.occupants[slot] = occupant

    def release(self, slot: int) -> Occupant:
        """Write a row's state back to its segment and free its slot."""
        occupant = self.occupants[slot]
        assert occupant is not None
        segment, index = occupant.segment, occupant.index
        for name, value in self.state.items():
            if name not in segment.state:
                segment.state[name] = torch.zeros((len(segment.row_step), *value.shape[1:]), dtype=value.dtype)
            segment.state[name][index] = value[slot].cpu()
        segment.row_step[index] = self.step[slot].cpu()
        self.vacate(slot)
        return occupant

    def copy(self, slot: int) -> State:
        """The state of a row that goes on."""
        return {name: value[slot : slot + 1].cpu().clone() for name, value in self.state.items()}

    def vacate(self, slot: int) -> None:
        """Free a slot and blank it: padding must not go on with what its last row did."""
        self.occupants[slot] = None
        self._blank(slot, *self.state.values(), *self.values.values(), self.seed, self.example, self.step)

    def advance(self) -> tuple[list[int], list[NonFinite]]:
        """Give every slot its turn; name the slots whose rows arrived, and free those that are no longer finite.

        When the method raises, no slot has changed.
        """
        rows = Rows(self.seed, self.example, self.step, self.draw, self.values)
        turn = self.method.turn(self.state, self._partial, rows, self._fresh)
        with torch.no_grad():
            broken = self._broken(turn)
            if turn.made is None:
                self.state |= turn.state
                self.step, self._fresh = self.step + 1, False
            else:
                made = turn.made
                self.state |= {name: by_row(made, new, self.state.get(name, new)) for name, new in turn.state.items()}
                self._partial = {name: by_row(made, torch.zeros_like(one), one) for name, one in turn.partial.items()}
                self.step, self.draw = self.step + made, torch.where(made, 0, self.draw + 1)
        for failure in broken:
            self.vacate(self.occupants.index(failure.occupant))
        arrived = (self.step >= self.end).tolist()
        return [slot for slot in self.occupied if arrived[slot]], broken

    def _broken(self, turn: Turn) -> list[NonFinite]:
        found = []
        for slot in () if turn.finite is None else (~turn.finite).nonzero().flatten().tolist():
            occupant = self.occupants[slot]
            if occupant is not None:
                scalars = {name: float(value[slot]) for name, value in turn.seen.items() if value.dim() == 1}
                found.append(NonFinite(occupant, int(self.step[slot]), scalars))
        return found

    @staticmethod
    def _blank(slot: int, *arrays: Tensor) -> None:
        for array in arrays:
            array[slot] = 0

    def _array(self, arrays: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
        if name not in arrays or (self.slots == 1 and arrays[name].shape[1:] != like.shape[1:]):
            arrays[name] = torch.zeros((self.slots, *like.shape[1:]), dtype=like.dtype, device=self.device)
        return arrays[name]
