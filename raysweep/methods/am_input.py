"""Activation maximisation in input space: "simple AM".

x* = argmax_x log p(ω_c | x) − λ‖x‖²

Montavon, Samek, Müller, *Methods for interpreting and understanding deep neural networks*, Digital Signal Processing 73
(2018), section 3.1. Beside its prior stand what others keep such inputs smooth by, each off unless it is given: total
variation, and a shift and a scale that are new at each step (Olah, Mordvintsev, Schubert, *Feature visualization*,
Distill 2017).
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from raysweep.errors import check_choice
from raysweep.methods.method import Bound, Rows, by_row
from raysweep.methods.noise import fresh_uniform, normal
from raysweep.methods.row_method import Loss, RowMethod
from raysweep.methods.smoothness import moved, total_variation
from raysweep.models.readout import Unit

Quantity = Literal["log_probability", "response"]


class InputMaximisation(RowMethod):
    """One input per row, moved until a class is probable, or a unit's response extreme.

    Args:
        scores: input [B, *shape] -> pre-softmax scores [B, U].
        unit: the explained one.
        first: where rows start, [K, *shape]; example e from number e mod K.
        spread: deviation of the normal noise that is added there, [*shape].
        quantity: what is maximised: "log_probability", log softmax of the scores; or the "response", the score itself.
        sign: 1 to maximise it, −1 to minimise.
        low, high: what an input's numbers lie between.
        dtype: the inputs' and optimiser's precision; the network may have another.
    """

    name = "am_input"
    needs_samples = True
    hyperparameters = {  # noqa: RUF012
        "lr": Bound(0, open=True),
        "prior_weight": Bound(0),
        "variation_weight": Bound(0, default=0, usual=0),
        "jitter": Bound(0, whole=True, default=0, usual=0),
        "scale": Bound(0, default=0, usual=0),
    }

    def __init__(
        self,
        scores: nn.Module,
        unit: int,
        first: Tensor,
        spread: Tensor,
        quantity: Quantity = "log_probability",
        sign: float = 1.0,
        low: float = -math.inf,
        high: float = math.inf,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_choice(quantity, get_args(Quantity), key="method.quantity")
        self.scores, self.unit, self.first, self.spread = scores, unit, first, spread
        self.response = nn.Sequential(scores, Unit(unit))
        self.quantity, self.sign, self.low, self.high, self.dtype = quantity, sign, low, high, dtype
        self.network_dtype = next((p.dtype for p in scores.parameters()), dtype)

    def start(self, rows: Rows) -> Tensor:
        """x₀, the same for every configuration."""
        noise = normal(rows.seed, rows.example, tuple(self.spread.shape), stream="input")
        return self.project((self.first[rows.example % len(self.first)] + self.spread * noise).to(self.dtype))

    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """−(±log p(ω_c | x) − λ · prior(x)), and what total variation adds."""
        scores = self.scores(self.shown(params, rows).to(self.network_dtype)).to(self.dtype)
        response, prior = scores[:, self.unit], self.prior(params)
        wanted = response if self.quantity == "response" else torch.log_softmax(scores, dim=1)[:, self.unit]
        total = rows["prior_weight"] * prior + rows["variation_weight"] * total_variation(params) - self.sign * wanted
        return Loss(total, {"response": response, "prior": prior})

    def prior(self, x: Tensor) -> Tensor:
        """What unlikely inputs cost, [B]: ‖x‖²."""
        return x.square().flatten(1).sum(dim=1)

    def shown(self, x: Tensor, rows: Rows) -> Tensor:
        """What the network sees: x up to 1 + `scale` times as large or small, up to `jitter` places off each way."""
        restless = (rows["jitter"] > 0) | (rows["scale"] > 0)
        if not restless.any():
            return x
        drawn = fresh_uniform(rows.key, max(2, x.dim() - 1), stream="transformation").to(x)
        jitter = rows["jitter"].to(x)[:, None]
        shift = torch.minimum((drawn[:, 1:] * (2 * jitter + 1)).floor(), 2 * jitter) - jitter
        factor = torch.exp((2 * drawn[:, 0] - 1) * torch.log1p(rows["scale"].to(x)))
        return by_row(restless, moved(x, shift, factor), x)

    def project(self, params: Tensor) -> Tensor:
        """Into the bounds."""
        return params.clamp(self.low, self.high)

    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The last input, its response and its prior."""
        return {"input": params, **seen}

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """The input itself."""
        return kept["input"]
