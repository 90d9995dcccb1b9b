"""Activation maximisation with networks of a few neurons, and someone who waits for its rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.method import State

LATENT = 6


def networks(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(LATENT, 24), nn.LeakyReLU(0.2), nn.Linear(24, 10), nn.Sigmoid())
    classifier = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3), Unit(1))
    return generator.to(dtype).eval(), classifier.to(dtype).eval()


class Unit(nn.Module):
    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index]


def method(dtype: torch.dtype = torch.float64, **options: Any) -> ActivationMaximisation:
    generator, response = networks(dtype)
    return ActivationMaximisation(generator, response, LATENT, dtype=dtype, **options)


class Waiter:
    def __init__(self) -> None:
        self.outcome: State | Exception | None = None

    def __call__(self, outcome: State | Exception) -> None:
        self.outcome = outcome

    @property
    def state(self) -> State:
        assert isinstance(self.outcome, dict), self.outcome
        return self.outcome


def ask(
    engine: Engine, lr: float, weight: float, to: int, examples: range = range(5), via: tuple[int, ...] = ()
) -> Waiter:
    waiter = Waiter()
    values = {"lr": lr, "prior_weight": weight}
    engine.advance(f"{lr}/{weight}/{examples}", values, 7, examples, to, waiter, via=via)
    return waiter
