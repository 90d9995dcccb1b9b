"""The contract of a row method: little more than its loss. Its rows are moved by Adam, each for itself.

Kingma, Ba, *Adam: a method for stochastic optimization*, ICLR 2015; constants as in torch and TensorFlow.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from raysweep.methods.adam import adam_step
from raysweep.methods.method import Method, Rows, State, Turn, by_row


@dataclass(frozen=True)
class Loss:
    """Each row's own loss `[B]`, and what was seen on the way to it (each `[B, ...]`, detached by the engine)."""

    total: Tensor
    seen: dict[str, Tensor]


class RowMethod(Method):
    """An explanation found by optimising one set of parameters per row.

    Where `draws` names a hyper-parameter, a step takes the mean of so many losses, each with noise of its own.
    """

    @abstractmethod
    def start(self, rows: Rows) -> Tensor:
        """First parameters, `[B, *shape]`; random ones from (seed, example) alone, so all configurations share them."""

    @abstractmethod
    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """Each row's loss at `params`."""

    def rate(self, rows: Rows) -> Tensor:
        """Each row's learning rate [B], which may depend on its own step."""
        return rows["lr"]

    def project(self, params: Tensor) -> Tensor:
        """The parameters after an update, brought back to where they may lie; by default anywhere."""
        return params

    @abstractmethod
    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a row keeps of the step just made, `{name: [B, ...]}`; `kept` is None before the first step."""

    def begin(self, rows: Rows) -> State:
        """First parameters, and Adam's moments."""
        params = self.start(rows)
        return {"params": params, "first": torch.zeros_like(params), "second": torch.zeros_like(params)}

    def turn(self, state: State, partial: dict[str, Tensor], rows: Rows, fresh: bool) -> Turn:
        """One loss and its gradient; a step of the rows that have all losses of theirs."""
        params = state["params"].detach().requires_grad_()
        loss = self.loss(params, rows)
        (gradient,) = torch.autograd.grad(loss.total.sum(), params)
        with torch.no_grad():
            seen = {name: value.detach() for name, value in loss.seen.items()}
            finite = _finite(loss.total.detach(), gradient)
            if self.draws is None:
                return Turn(self._stepped(state, gradient, seen, rows, fresh), {}, None, finite, seen)
            count = rows.draw + 1
            sums = {
                name: value + partial[name] if name in partial else value
                for name, value in {"gradient": gradient, **seen}.items()
                if value.is_floating_point()
            }
            means = {name: total / _as_long(count, total) for name, total in sums.items()}
            stepped = self._stepped(state, means.pop("gradient"), {**seen, **means}, rows, fresh)
            return Turn(stepped, sums, count >= rows[self.draws], finite, seen)

    def _stepped(self, state: State, gradient: Tensor, seen: dict[str, Tensor], rows: Rows, fresh: bool) -> State:
        params, first, second = (state[name].detach() for name in ("params", "first", "second"))
        before = {name.removeprefix("kept."): value for name, value in state.items() if name.startswith("kept.")}
        after = self.remember(before or None, params, seen)
        if before and fresh:
            new = self.remember(None, params, seen)
            after = {name: by_row(rows.step == 0, value, after[name]) for name, value in new.items()}
        params, first, second = adam_step(params, gradient, first, second, self.rate(rows), rows.step)
        kept = {f"kept.{name}": value for name, value in after.items()}
        return {"params": self.project(params), "first": first, "second": second, **kept}


def _finite(total: Tensor, gradient: Tensor) -> Tensor | None:
    """Which rows [B] have a loss and a gradient that are numbers; None when all do."""
    if math.isfinite(total.sum() + gradient.sum()):
        return None
    return torch.isfinite(total) & torch.isfinite(gradient.flatten(1)).all(dim=1)


def _as_long(count: Tensor, like: Tensor) -> Tensor:
    """Counts [B] that divide numbers [B, ...]."""
    return count.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
