"""Activation maximisation in the latent space of a generator.

ẑ = argmax_z f_a(f_n(f_g(z))) + λ log p_z(z),   p_z = N(0, I),   f_a the pre-softmax (pre-sigmoid) response.

Mishra, Stoller, Benetos, Sturm, Dixon, *GAN-based generation and automatic selection of explanations for neural
networks*, ICLR 2019 SafeML workshop. Minimising flips the sign of f_a and keeps the prior a penalty.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from raysweep.errors import check_choice
from raysweep.methods.method import Bound, Rows, by_row
from raysweep.methods.noise import normal
from raysweep.methods.row_method import Loss, RowMethod

Direction = Literal["maximise", "minimise"]
Prior = Literal["log_density", "squared_norm"]
Record = Literal["best", "last"]


class ActivationMaximisation(RowMethod):
    """One latent per row, moved until the chosen unit's response is extreme.

    Args:
        generator: f_g, latent [B, d] -> sample [B, ...].
        response: f_a ∘ f_n, sample [B, ...] -> response [B].
        latent: d.
        direction: "maximise" or "minimise" the response.
        prior: "log_density", the paper's −(λ/2)‖z‖²; or "squared_norm", the authors' code's −λ‖z‖².
        record: which latent of z₀ … z_{T−1} is the explanation: "best" response so far, or the "last".
        min_improvement: with "best", how much a response must improve to be recorded (the authors' code: 0.1).
        dtype: the latents' and optimiser's precision; the networks may have another.
    """

    name = "am"
    hyperparameters = {"lr": Bound(0, open=True), "prior_weight": Bound(0)}  # noqa: RUF012

    def __init__(
        self,
        generator: nn.Module,
        response: nn.Module,
        latent: int,
        direction: Direction = "maximise",
        prior: Prior = "log_density",
        record: Record = "best",
        min_improvement: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        check_choice(direction, get_args(Direction), key="direction")
        check_choice(prior, get_args(Prior), key="prior")
        check_choice(record, get_args(Record), key="record")
        self.generator, self.response, self.latent = generator, response, latent
        self.sign = 1.0 if direction == "maximise" else -1.0
        self.prior_scale = 0.5 if prior == "log_density" else 1.0
        self.record, self.min_improvement = record, min_improvement
        self.dtype = dtype
        self.network_dtype = next((p.dtype for p in generator.parameters()), dtype)

    def start(self, rows: Rows) -> Tensor:
        """z₀ ~ N(0, I), the same for every configuration."""
        return normal(rows.seed, rows.example, (self.latent,), stream="latent").to(self.dtype)

    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """−(±f_a(f_n(f_g(z))) + λ log p_z(z)) without the constant."""
        response = self.response(self.generator(params.to(self.network_dtype))).to(self.dtype)
        prior = self.prior_scale * params.square().sum(dim=1)
        return Loss(rows["prior_weight"] * prior - self.sign * response, {"response": response, "prior": prior})

    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The latent, its response and its prior term: of the best step so far, or of the last."""
        now = {"latent": params, **seen}
        if kept is None or self.record == "last":
            return now
        gain = self.sign * (seen["response"] - kept["response"])
        better = gain >= self.min_improvement if self.min_improvement > 0 else gain > 0
        return {name: by_row(better, new, kept[name]) for name, new in now.items()}

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """f_g(ẑ)."""
        return self.generator(kept["latent"].to(self.network_dtype))
