"""What every method has: hyper-parameters, a start, turns that step its rows, and an explanation."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

State = dict[str, Tensor]
"""Rows' whole state by name, each `[B, ...]`: `params`, what a method adds, and `kept.*`, what explaining needs."""


@dataclass(frozen=True)
class Rows:
    """B independent optimisations and everything that sets one apart from another.

    Args:
        seed: sweep seed of each row, int64 [B].
        example: example index of each row, int64 [B].
        step: updates already made to each row, int64 [B].
        draw: which of the step's losses this is, int64 [B]; 0 where a step takes one (`RowMethod.draws`).
        values: each hyper-parameter's value per row, [B]; `rows["lr"]` reads one.
    """

    seed: Tensor
    example: Tensor
    step: Tensor
    draw: Tensor
    values: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.example)

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]

    @property
    def key(self) -> tuple[Tensor, ...]:
        """What noise that is new with each loss is keyed by."""
        return self.seed, self.example, self.step, self.draw

    def to(self, device: torch.device) -> Rows:
        """The same rows on a device."""
        values = {name: value.to(device) for name, value in self.values.items()}
        seed, example, step, draw = (part.to(device) for part in self.key)
        return Rows(seed, example, step, draw, values)

    @staticmethod
    def of(seed: int, examples: range, values: dict[str, float], dtype: torch.dtype = torch.float64) -> Rows:
        """The rows of one configuration at step 0: one per example, all with the same `values`."""
        count = len(examples)
        return Rows(
            seed=torch.full((count,), seed, dtype=torch.int64),
            example=torch.tensor(list(examples), dtype=torch.int64),
            step=torch.zeros(count, dtype=torch.int64),
            draw=torch.zeros(count, dtype=torch.int64),
            values={name: torch.full((count,), float(value), dtype=dtype) for name, value in values.items()},
        )


def by_row(mask: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """The rows of `one` where `mask` [B] holds, else those of `other`; both [B, ...]."""
    return torch.where(mask.view(-1, *[1] * (one.dim() - 1)), one, other)


@dataclass(frozen=True)
class Bound:
    """What numbers a hyper-parameter may be.

    Args:
        low, high: it lies between these.
        open: it is neither of them.
        whole: it is an integer.
        default: what it is where a sweep file says nothing; None: it must say it.
        usual: a value to try a method's speed and precision with, where 0.01, or of whole numbers the default or else
            the least, will not do.
    """

    low: float
    high: float = math.inf
    open: bool = False
    whole: bool = False
    default: float | None = None
    usual: float | None = None

    def __post_init__(self) -> None:
        if self.whole and not float(self.tried).is_integer():
            raise ValueError(f"the usual value of a whole number must be whole (found {self.tried})")

    @property
    def tried(self) -> float:
        """What a method's speed and precision are tried with."""
        if self.usual is not None:
            return self.usual
        if self.whole:
            return self.low if self.default is None else self.default
        return 0.01

    def holds(self, value: float) -> bool:
        """Whether `value` lies within."""
        return self.low < value < self.high if self.open else self.low <= value <= self.high

    def __str__(self) -> str:
        low = f"{'above' if self.open else 'at least'} {self.low:g}"
        high = f" and {'below' if self.open else 'at most'} {self.high:g}" if math.isfinite(self.high) else ""
        return f"must be {low}{high}"


@dataclass(frozen=True)
class Turn:
    """What a lane's turn made of its rows.

    Args:
        state: of rows that made their step; of the others it does not count.
        partial: what rows that have not made it yet go on from in the next turn, `{name: [B, ...]}`.
        made: which rows made their step, bool [B]; None for all.
        finite: which rows are still numbers, bool [B]; None for all.
        seen: numbers a row [B], by name, to tell of a row that is none.
    """

    state: State
    partial: dict[str, Tensor]
    made: Tensor | None
    finite: Tensor | None
    seen: dict[str, Tensor]


class Method(ABC):
    """An explanation that is found step by step, one set of parameters a row.

    No method may let a row depend on another: no batch statistics, no means over rows, no joint stopping.
    `hyperparameters` names what a configuration must give beside `steps`, which are left out where a method takes none;
    each is a number within its bound.
    """

    name: str
    hyperparameters: dict[str, Bound]
    draws: str | None = None
    """The hyper-parameter that says how many turns a step takes; None: one."""
    needs_samples: bool = False
    """Whether it needs samples of the data: to explain them, or to start from."""
    takes_steps: bool = True
    """Whether it goes on step by step, so that a space says how many; else one turn of a lane is all that it makes."""
    refused: ClassVar[Mapping[str, str]] = {}
    """Names that a space may not give, and what to tell who gives them."""
    trains: bool = False
    """Whether it trains networks, a row being a whole training, and explanations what these make."""
    shows_target: bool = False
    """Whether the images that it trains on show the target class."""
    dtype: torch.dtype
    """The precision of its rows' state and values."""

    @classmethod
    def hyperparameters_of(cls, options: dict[str, Any]) -> dict[str, Bound]:
        """Those that the method with these named variants has."""
        return cls.hyperparameters

    @classmethod
    def complete(cls, values: Mapping[str, float]) -> dict[str, float]:
        """A configuration's values, with the default of each hyper-parameter that it does not give."""
        defaults = {name: bound.default for name, bound in cls.hyperparameters.items() if bound.default is not None}
        return defaults | dict(values)

    @property
    def usual_values(self) -> dict[str, float]:
        """A configuration to try it with."""
        return {name: bound.tried for name, bound in self.hyperparameters.items()}

    def turns(self, values: Mapping[str, float], steps: int) -> int:
        """How many turns a row of a configuration takes for so many steps, at most."""
        return steps if self.draws is None else steps * int(self.complete(values)[self.draws])

    @abstractmethod
    def begin(self, rows: Rows) -> State:
        """Every row's state before its first step; random numbers from (seed, example) alone."""

    @abstractmethod
    def turn(self, state: State, partial: dict[str, Tensor], rows: Rows, fresh: bool) -> Turn:
        """One turn of every row: a step, or a part of one.

        Args:
            state: the rows' after their last step.
            partial: what the turns of the step that is being made have left; zeros, or nothing, at its first.
            rows: `rows.draw` counts these turns.
            fresh: whether a row that has not made a step yet may be among them.
        """

    @abstractmethod
    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """What feature distances compare and a judge looks at, `[B, ...]`."""
