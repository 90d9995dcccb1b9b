"""Activation maximisation in input space in a sweep: where inputs start, what bounds them, what an expert says."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.data import Dataset
from raysweep.engine.explainers.explainer import Explainer, Found
from raysweep.methods.am_expert import ExpertMaximisation
from raysweep.methods.am_input import InputMaximisation
from raysweep.models.density import check_density
from raysweep.models.fit import check_gradient
from raysweep.models.independence import check_rows_independent
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout, TwoLogits

if TYPE_CHECKING:
    from raysweep.engine.showing import Showing


class InputExplainer(Explainer):
    """Inputs that excite a unit."""

    @property
    def example(self) -> Tensor:
        """Two real samples."""
        return torch.from_numpy(self.workload.data.x[:2])

    @property
    def stepping(self) -> dict[str, Any]:
        """The data, from which rows start and which bound them, and the unit."""
        spec = self.workload.spec
        expert = self.workload.expert.fingerprint if self.workload.expert else None
        return {
            "data": [self.workload.data.fingerprint, spec.seed],
            "expert": expert,
            "target": [spec.layer, self.workload.unit, spec.direction],
        }

    def check(self, data: Dataset | None) -> None:
        """Read the scores and pass their gradient back, each row for itself."""
        scores = self._scores(self.workload.classifier.module)
        check_rows_independent(self._readout(self.workload.classifier.module), self.example, key="models.classifier")
        check_gradient(scores, self.example, key="models.classifier")

    def build(self, device: torch.device, dtype: torch.dtype) -> InputMaximisation:
        """The method, with networks of its own."""
        return InputMaximisation(**self._parts(device, dtype))

    def found(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """Inputs, and what the network says of them."""
        explanation = kept["input"].double().numpy()
        scores = show.batched(show.method.scores, torch.from_numpy(explanation))
        response = scores[:, show.method.unit]
        numbers = {"response": response, "prior_term": -kept["prior"].double().numpy() * values["prior_weight"]}
        if show.method.quantity == "log_probability":
            numbers["log_probability"] = response - np.logaddexp.reduce(scores, axis=1)
        return Found(explanation, {"response": response}, numbers)

    def _parts(self, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
        """What the method is made of."""
        spec, low, high = self.workload.spec, *self._bounds
        first, spread = self._first
        keep = (spec.layer,) if spec.layer else ()
        module = self.workload.classifier.module
        classifier = prepare(module, dtype, keep=keep, example=self.example, read=self._readout)
        return {
            "scores": self._scores(classifier.to(device)),
            "unit": 1 if self._one_logit else self.workload.unit,
            "first": torch.from_numpy(first),
            "spread": torch.from_numpy(spread),
            "quantity": spec.options["quantity"],
            "sign": 1.0 if spec.direction == "maximise" else -1.0,
            "low": low,
            "high": high,
            "dtype": torch.float64 if dtype == torch.float64 else torch.float32,
        }

    def _readout(self, module: nn.Module) -> Readout:
        """All scores of the layer of the explained unit."""
        return Readout(module, self.workload.spec.layer, None, key="target")

    def _scores(self, module: nn.Module) -> nn.Module:
        """The same, where there is one for two classes a score of each."""
        readout = self._readout(module)
        return nn.Sequential(readout, TwoLogits()) if self._one_logit else readout

    @cached_property
    def _one_logit(self) -> bool:
        return self.workload.outputs(self.workload.spec.layer) == 1

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        """What inputs lie between: the lowest and the highest number of the data, or anywhere."""
        x = self.workload.data.x
        if self.workload.spec.options["bounds"] == "none":
            return -math.inf, math.inf
        return float(x.min()), float(x.max())

    @cached_property
    def _first(self) -> tuple[np.ndarray, np.ndarray]:
        """Where rows start [K, *shape], and the deviation of the noise there [*shape]."""
        x, start = self.workload.data.x, self.workload.spec.options["start"]
        if start == "sample":
            order = np.random.Generator(np.random.Philox(key=self.workload.spec.seed)).permutation(len(x))
            return x[order], np.zeros_like(x[0])
        mean, deviation = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        return mean[None], deviation if start == "noise" else np.zeros_like(mean)


class ExpertExplainer(InputExplainer):
    """Inputs that excite a unit and that an expert finds likely."""

    def check(self, data: Dataset | None) -> None:
        """Ask the expert, too."""
        super().check(data)
        check_density(self._expert, self.example, key="models.expert")

    def build(self, device: torch.device, dtype: torch.dtype) -> ExpertMaximisation:
        """The method; the expert stays in the precision of the rows."""
        parts = self._parts(device, dtype)
        expert = prepare(self._expert, parts["dtype"], channels_last=False, example=self.example)
        return ExpertMaximisation(expert=expert.to(device), **parts)

    @property
    def _expert(self) -> nn.Module:
        """It was loaded: a sweep of this method must name one."""
        assert self.workload.expert is not None
        return self.workload.expert.module
