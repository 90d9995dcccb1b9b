"""Activation maximisation with an expert, a model of what inputs look like.

x* = argmax_x log p(ω_c | x) + λ log p(x),   λ = 1 in the survey, its expert a Gaussian–Bernoulli RBM (`models.rbm`).

Montavon, Samek, Müller, *Methods for interpreting and understanding deep neural networks*, Digital Signal Processing 73
(2018), section 3.2.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from raysweep.methods.am_input import InputMaximisation
from raysweep.methods.method import Bound


class ExpertMaximisation(InputMaximisation):
    """One input per row, moved until a class is probable and the expert finds the input likely.

    Args:
        expert: input [B, *shape] -> log p(x) [B], up to a constant; in the rows' precision.
        of_input: what `InputMaximisation` takes.
    """

    name = "am_expert"
    hyperparameters = InputMaximisation.hyperparameters | {"prior_weight": Bound(0, default=1, usual=1)}

    def __init__(self, expert: nn.Module, **of_input: Any) -> None:
        super().__init__(**of_input)
        self.expert = expert

    def prior(self, x: Tensor) -> Tensor:
        """−log p(x), [B]; of an RBM the free energy."""
        likelihood: Tensor = self.expert(x)
        return -likelihood
