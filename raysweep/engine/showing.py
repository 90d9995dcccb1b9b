"""What rows found, as it is shown and scored: in full precision and batches of one fixed shape.

Rows may have been stepped in bfloat16; what they found is made and read in float32 or better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.engine.explainers import Found
from raysweep.engine.workload import Workload


class Showing:
    """A workload's method, to look at rows with.

    Args:
        slots: rows of a batch.
        lap: is called after each batch.
    """

    def __init__(
        self, workload: Workload, slots: int, device: torch.device, lap: Callable[[], None] = lambda: None
    ) -> None:
        self.explainer = workload.explainer
        self.slots, self.device, self.lap = self.explainer.batch or slots, device, lap
        self.method: Any = workload.methods(1, device, workload.spec.scoring_precision)[0]

    def found(self, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """What N rows with these hyper-parameters' values found, from what they keep."""
        return self.explainer.found(self, kept, self.method.complete(values))

    def batched(self, function: nn.Module | Callable[[Any], Tensor], inputs: Any) -> np.ndarray:
        """`function` over all rows in batches of one fixed shape, padded, so that a row's numbers are its own.

        Args:
            function: inputs -> [B, ...].
            inputs: [N, ...], or several such by name, of which `function` gets a dict.

        Returns:
            [N, ...] float64.
        """
        rows = inputs if isinstance(inputs, dict) else {"": inputs}
        count = len(next(iter(rows.values())))
        found = []
        with torch.no_grad():
            for start in range(0, count, self.slots):
                batch = {name: _padded(value[start : start + self.slots], self.slots) for name, value in rows.items()}
                batch = {name: self._placed(value, function) for name, value in batch.items()}
                out = function(batch if isinstance(inputs, dict) else batch[""])
                found.append(out[: min(self.slots, count - start)].double().cpu())
                self.lap()
        return torch.cat(found).numpy()

    def _placed(self, value: Tensor, function: Any) -> Tensor:
        weight = next(function.parameters(), value) if isinstance(function, nn.Module) else value
        return value.to(self.device, weight.dtype if weight.is_floating_point() else value.dtype)


def _padded(rows: Tensor, size: int) -> Tensor:
    missing = size - len(rows)
    return rows if missing == 0 else torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])
