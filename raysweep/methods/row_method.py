"""The contract of a row method: little more than its loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """B independent optimisations and everything that sets one apart from another.

    Args:
        seed: sweep seed of each row, int64 [B].
        example: example index of each row, int64 [B].
        step: updates already made to each row, int64 [B].
        values: each hyper-parameter's value per row, [B]; `rows["lr"]` reads one.
    """

    seed: Tensor
    example: Tensor
    step: Tensor
    values: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.example)

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]

    def to(self, device: torch.device) -> Rows:
        """The same rows on a device."""
        values = {name: value.to(device) for name, value in self.values.items()}
        return Rows(self.seed.to(device), self.example.to(device), self.step.to(device), values)

    @staticmethod
    def of(seed: int, examples: range, values: dict[str, float], dtype: torch.dtype = torch.float64) -> Rows:
        """The rows of one configuration at step 0: one per example, all with the same `values`."""
        count = len(examples)
        return Rows(
            seed=torch.full((count,), seed, dtype=torch.int64),
            example=torch.tensor(list(examples), dtype=torch.int64),
            step=torch.zeros(count, dtype=torch.int64),
            values={name: torch.full((count,), float(value), dtype=dtype) for name, value in values.items()},
        )


@dataclass(frozen=True)
class Loss:
    """Each row's own loss `[B]`, and what was seen on the way to it (each `[B, ...]`, detached by the engine)."""

    total: Tensor
    seen: dict[str, Tensor]


def by_row(mask: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """The rows of `one` where `mask` [B] holds, else those of `other`; both [B, ...]."""
    return torch.where(mask.view(-1, *[1] * (one.dim() - 1)), one, other)


class RowMethod(Protocol):
    """An explanation found by optimising one set of parameters per row.

    No method of it may let a row depend on another: no batch statistics, no means over rows, no joint stopping.
    `hyperparameters` names what a configuration must give beside `steps`; each is a number at or above its bound.
    """

    name: str
    hyperparameters: dict[str, Bound]

    def start(self, rows: Rows) -> Tensor:
        """First parameters, `[B, *shape]`; a function of (seed, example) alone, so all configurations share it."""
        ...

    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """Each row's loss at `params`."""
        ...

    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a row keeps of the step just made, `{name: [B, ...]}`; `kept` is None before the first step."""
        ...

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """What a person looks at and what the objective scores, `[B, ...]`."""
        ...


@dataclass(frozen=True)
class Bound:
    """A hyper-parameter's lower bound; `open` excludes the bound itself."""

    low: float
    open: bool = False

    def holds(self, value: float) -> bool:
        """Whether `value` obeys the bound."""
        return value > self.low if self.open else value >= self.low

    def __str__(self) -> str:
        return f"must be {'above' if self.open else 'at least'} {self.low:g}"
