"""Attributions: heat maps of samples that are computed, not searched, so that there are no steps to choose.

Each row makes one turn in its lane, the pass that gives its heat map; all rows of a lane make theirs as one batch.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from raysweep.methods.masking import Masking
from raysweep.methods.method import Method, Rows, State, Turn


class Attribution(Method):
    """What each element of a sample does for the score that the sample is explained for.

    Args:
        masking: the samples, the network that is explained, and the components that heat is summed over.
    """

    needs_samples = True
    takes_steps = False
    refused: ClassVar[dict[str, str]] = {"steps": "must be left out: a heat map is computed, in no steps"}

    def __init__(self, masking: Masking) -> None:
        self.masking, self.dtype = masking, masking.dtype

    @abstractmethod
    def heat(self, x: Tensor, unit: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Heat maps [B, *shape] of inputs [B, *shape] for their units, int64 [B], and the units' responses [B]."""

    def begin(self, rows: Rows) -> State:
        """Nothing is known before the pass."""
        return {}

    def turn(self, state: State, partial: dict[str, Tensor], rows: Rows, fresh: bool) -> Turn:
        """The pass."""
        explained = self.masking.explained
        assert explained.unit is not None
        sample = explained.first[rows.example % len(explained.first)]
        x = explained.x[sample].to(self.masking.network_dtype)
        heat, response = (found.detach().to(self.dtype) for found in self.heat(x, explained.unit[sample], rows))
        finite = torch.isfinite(heat.flatten(1)).all(dim=1) & torch.isfinite(response)
        kept = {"kept.heat": heat, "kept.response": response, "kept.example": rows.example}
        return Turn(kept, {}, None, None if bool(finite.all()) else finite, {"response": response})

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """The heat map itself."""
        return kept["heat"]
