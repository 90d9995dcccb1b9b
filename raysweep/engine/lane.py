"""A lane: a fixed number of slots, stepped together; rows of any trajectory come and go between steps.

The shape never changes. Empty slots are padding, so a row's numbers do not depend on who shares the lane with it: a row
in its home slot (`trajectory`) is bitwise the same among any co-tenants of a batch of the same shape.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from raysweep.engine.adam import adam_step
from raysweep.engine.occupancy import Occupancy
from raysweep.engine.trajectory import Segment, State
from raysweep.methods import RowMethod, Rows, by_row


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

    def __init__(self, method: RowMethod, slots: int, device: torch.device | None = None) -> None:
        self.method, self.slots = method, slots
        self.device = device or torch.device("cpu")
        self.occupants: list[Occupant | None] = [None] * slots
        self.state: State = {}
        self.seed, self.example, self.step, self.draw, self.end = (
            torch.zeros(slots, dtype=torch.int64, device=self.device) for _ in range(5)
        )
        self.values: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        """Gradient and what was seen, over the draws of the step that each row is making."""
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
            self._array(self.values, name, segment.state["params"].new_zeros(1))[slot] = number
        self.seed[slot] = trajectory.seed
        self.example[slot] = trajectory.examples[index]
        self.step[slot] = segment.row_step[index]
        self.end[slot] = segment.end
        self._blank(slot, self.draw, *self._sums.values())  # a step that was interrupted is made again
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

    def vacate(self, slot: int) -> None:
        """Free a slot and blank it: padding must not go on with what its last row did."""
        self.occupants[slot] = None
        self._blank(slot, *self.state.values(), *self.values.values(), self.seed, self.example, self.step)

    def advance(self) -> tuple[list[int], list[NonFinite]]:
        """Take every slot's loss once, and step those that have all losses of their step.

        When the method raises, no slot has changed.

        Returns:
            The slots whose rows arrived, and the rows that are no longer finite, whose slots are free now.
        """
        rows = Rows(self.seed, self.example, self.step, self.draw, self.values)
        params = self.state["params"].detach().requires_grad_()
        loss = self.method.loss(params, rows)
        (gradient,) = torch.autograd.grad(loss.total.sum(), params)
        with torch.no_grad():
            seen = {name: value.detach() for name, value in loss.seen.items()}
            broken = self._broken(loss.total.detach(), gradient, seen)
            if self.method.draws is None:
                self.state |= self._stepped(gradient, seen)
                self.step = self.step + 1
            else:
                self._gather(gradient, seen, self.values[self.method.draws])
        for failure in broken:
            self.vacate(self.occupants.index(failure.occupant))
        arrived = (self.step >= self.end).tolist()
        return [slot for slot in self.occupied if arrived[slot]], broken

    def _gather(self, gradient: Tensor, seen: dict[str, Tensor], wanted: Tensor) -> None:
        """Add one draw, and step the rows that have as many as are `wanted` [B]."""
        count = self.draw + 1
        means = {}
        for name, value in {"gradient": gradient, **seen}.items():
            if value.is_floating_point():
                total = self._array(self._sums, name, value).add_(value)
                value = total / count.view(-1, *[1] * (total.dim() - 1)).to(total.dtype)
            means[name] = value
        ready = count >= wanted
        stepped = self._stepped(means.pop("gradient"), means)
        self.state |= {name: by_row(ready, new, self.state.get(name, new)) for name, new in stepped.items()}
        for name, total in self._sums.items():
            self._sums[name] = by_row(ready, torch.zeros_like(total), total)
        self.draw, self.step = torch.where(ready, 0, count), self.step + ready

    def _stepped(self, gradient: Tensor, seen: dict[str, Tensor]) -> State:
        """The state of every slot after a step."""
        params, first, second = (self.state[name] for name in ("params", "first", "second"))
        kept = self._remembered(params, seen)
        params, first, second = adam_step(params, gradient, first, second, self.values["lr"], self.step)
        return {"params": self.method.project(params), "first": first, "second": second, **kept}

    def _remembered(self, params: Tensor, seen: dict[str, Tensor]) -> State:
        before = {name.removeprefix("kept."): v for name, v in self.state.items() if name.startswith("kept.")}
        after = self.method.remember(before or None, params, seen)
        if before and self._fresh:
            fresh, first = self.step == 0, self.method.remember(None, params, seen)
            after = {name: by_row(fresh, new, after[name]) for name, new in first.items()}
        self._fresh = self.method.draws is not None  # a row may not have made its first step yet
        return {f"kept.{name}": value for name, value in after.items()}

    def _broken(self, total: Tensor, gradient: Tensor, seen: dict[str, Tensor]) -> list[NonFinite]:
        if math.isfinite(total.sum() + gradient.sum()):
            return []
        finite = torch.isfinite(total) & torch.isfinite(gradient.flatten(1)).all(dim=1)
        found = []
        for slot in (~finite).nonzero().flatten().tolist():
            occupant = self.occupants[slot]
            if occupant is not None:
                scalars = {name: float(value[slot]) for name, value in seen.items() if value.dim() == 1}
                found.append(NonFinite(occupant, int(self.step[slot]), scalars))
        return found

    @staticmethod
    def _blank(slot: int, *arrays: Tensor) -> None:
        for array in arrays:
            array[slot] = 0

    def _array(self, arrays: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
        if name not in arrays:
            arrays[name] = torch.zeros((self.slots, *like.shape[1:]), dtype=like.dtype, device=self.device)
        return arrays[name]
