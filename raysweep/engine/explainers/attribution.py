"""Heat maps of real samples in a sweep: who is asked, for which unit, and how well the heat ranks the components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from raysweep.data import Dataset
from raysweep.engine.explainers.explainer import Found
from raysweep.engine.explainers.rde import MaskExplainer, area_under
from raysweep.errors import InputError
from raysweep.methods.captum import CaptumAttribution, captum_algorithm
from raysweep.methods.lrp import Lrp
from raysweep.methods.masking import Masking
from raysweep.methods.relevance import Composite, RelevanceNetwork, composite_of
from raysweep.methods.sensitivity import Sensitivity
from raysweep.models.model import like

if TYPE_CHECKING:
    from raysweep.engine.showing import Showing


class AttributionExplainer(MaskExplainer):
    """Heat maps, and what they are worth by the objectives that a sweep asks for."""

    @property
    def drawn(self) -> bool:
        """A component is kept or not."""
        return False

    def found(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """Heat maps, their samples, and those numbers of them that are asked for, as all are dear.

        Where none is, as when a winner is explained: what keeping the hottest components alone does to the score.
        """
        heat, example = kept["heat"], kept["example"]
        first = self.explained.first[example % len(self.explained.first)]
        worth = self.components.gather(heat, first)
        numbers, tensors = self.maps.measured(show, heat, worth, example, values)
        numbers |= self.measured(show, kept, values)
        if not self.maps.asked or "rate_distortion" in self.maps.asked:
            tensors["curve"] = self.curve(show, worth, example)
            numbers["rate_distortion"] = area_under(tensors["curve"])
        tensors |= {
            "heat": heat.float().numpy(),
            "sample": self.explained.x[first].numpy(),
            "response": kept["response"].double().numpy(),
            **numbers,
        }
        return Found(heat.double().numpy(), tensors, numbers)

    def measured(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> dict[str, np.ndarray]:
        """What else is recorded of each row, [N] by name: whether its heat is the same everywhere and ranks nothing."""
        heat = kept["heat"].flatten(1)
        return {"collapsed": (heat.amin(dim=1) == heat.amax(dim=1)).double().numpy()}


class SensitivityExplainer(AttributionExplainer):
    """Squared gradients."""

    def masked(self, masking: Masking) -> Sensitivity:
        """Sensitivity."""
        return Sensitivity(masking)


class CaptumExplainer(AttributionExplainer):
    """Captum's algorithms."""

    def check(self, data: Dataset | None) -> None:
        """Also that Captum is there."""
        captum_algorithm(self.workload.spec.options["algorithm"], self.workload.classifier.module)
        super().check(data)

    def masked(self, masking: Masking) -> CaptumAttribution:
        """One of them."""
        options = self.workload.spec.options
        return CaptumAttribution(masking, options["algorithm"], options["baseline"])


class LrpExplainer(AttributionExplainer):
    """Relevance."""

    def check(self, data: Dataset | None) -> None:
        """Also that there is a rule for every layer of the network."""
        super().check(data)
        readout, options = self.scores(self.workload.classifier.module), self.workload.spec.options
        if options["bounds"] is not None and all(rule != "box" for _, rule in self.composite):
            rule = "has a use only with a composite that has the rule box"
            raise InputError(rule, key="method.bounds", value=options["bounds"])
        RelevanceNetwork(readout, self.composite, like(self.example, readout.module), options["bias"], self.bounds)

    @property
    def composite(self) -> Composite:
        """Which rule each layer gets."""
        return composite_of(self.workload.spec.options["composite"])

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest that a sample can be: of images 0 and 1, else what the data have."""
        given, x = self.workload.spec.options["bounds"], self.workload.data.x
        if given is None:
            return (0.0, 1.0) if self.workload.media == "image" else (float(x.min()), float(x.max()))
        low, high = float(given[0]), float(given[1])
        if not (low <= float(x.min()) and float(x.max()) <= high):
            rule = "must be [least, greatest], and the data lie between them"
            raise InputError(rule, key="method.bounds", value=f"{given}, and data from {x.min():g} to {x.max():g}")
        return low, high

    def masked(self, masking: Masking) -> Lrp:
        """LRP."""
        return Lrp(masking, self.composite, self.workload.spec.options["bias"], self.bounds)
