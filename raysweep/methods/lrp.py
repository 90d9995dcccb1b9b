"""Layer-wise relevance propagation: a score handed back through the network, to the elements that brought it about.

R_i^(l) = Σ_j (q_ij / Σ_i' q_i'j) R_j^(l+1), q_ij = x_i w_ij, as one of the rules of `relevance.rules` has it; Σ_i R_i
is the score, but for what biases and ε take.

Bach, Binder, Montavon, Klauschen, Müller, Samek, *On pixel-wise explanations for non-linear classifier decisions by
layer-wise relevance propagation*, PLoS ONE 2015.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from raysweep.errors import InputError
from raysweep.methods.attribution import Attribution
from raysweep.methods.masking import Masking
from raysweep.methods.method import Bound, Rows
from raysweep.methods.relevance.composites import Composite, composite_of
from raysweep.methods.relevance.network import RelevanceNetwork
from raysweep.methods.relevance.rules import NEEDS
from raysweep.models.readout import Readout


class Lrp(Attribution):
    """Relevance, by a composite of rules.

    Args:
        masking: as of every attribution; its scores must be a `Readout`, whose network is looked into.
        composite: which rule each layer gets.
        bias: what becomes of a bias's share, one of `relevance.BIASES`.
        bounds: the least and the greatest that samples can be, for the rule box.
    """

    name = "lrp"
    hyperparameters = {  # noqa: RUF012
        "alpha": Bound(1, default=2, usual=2),
        "epsilon": Bound(0, default=1e-6),
        "gamma": Bound(0, default=0.25),
    }
    refused: ClassVar[dict[str, str]] = {
        **Attribution.refused,
        "beta": "must be left out: α − β is 1 in LRP, so beta is alpha − 1",
    }

    def __init__(
        self,
        masking: Masking,
        composite: Composite,
        bias: str = "absorb",
        bounds: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(masking)
        if not isinstance(masking.scores, Readout):
            rule = "must be a network's own scores, which LRP goes back through"
            raise InputError(rule, key="models.classifier", value=type(masking.scores).__name__)
        example = masking.explained.x[:2].to(masking.network_dtype)
        self.network = RelevanceNetwork(masking.scores, composite, example, bias, bounds)

    @classmethod
    def hyperparameters_of(cls, options: dict[str, Any]) -> dict[str, Bound]:
        """Those of the composite's rules."""
        needed = {NEEDS.get(rule) for _, rule in composite_of(options["composite"])}
        return {name: bound for name, bound in cls.hyperparameters.items() if name in needed}

    def heat(self, x: Tensor, unit: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Relevance."""
        return self.network.relevance(x, unit, rows.values)
