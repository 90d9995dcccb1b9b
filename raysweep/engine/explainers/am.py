"""Activation maximisation in a sweep: a generator's latents, and what the explained unit says of what it makes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from raysweep.data import Dataset
from raysweep.engine.explainers.explainer import Explainer, Found
from raysweep.methods.am import ActivationMaximisation
from raysweep.models.fit import check_fit, check_gradient, check_range, generate, latents_for
from raysweep.models.independence import check_rows_independent
from raysweep.models.model import Model
from raysweep.models.prepare import prepare

if TYPE_CHECKING:
    from raysweep.engine.showing import Showing


class AmExplainer(Explainer):
    """Latents whose generated samples excite a unit."""

    @property
    def generator(self) -> Model:
        """It was loaded: a sweep of this method must name one."""
        assert self.workload.generator is not None
        return self.workload.generator

    @cached_property
    def _tried(self) -> tuple[Tensor, Tensor]:
        """Two latents and what the generator makes of them."""
        latents = latents_for(self.generator)
        return latents, generate(self.generator, latents)

    @property
    def example(self) -> Tensor:
        """What the generator makes."""
        return self._tried[1]

    @property
    def stepping(self) -> dict[str, Any]:
        """Generator and unit."""
        spec = self.workload.spec
        return {
            "generator": [self.generator.fingerprint, self.generator.latent],
            "target": [spec.layer, self.workload.unit, spec.direction],
        }

    def check(self, data: Dataset | None) -> None:
        """Generate, read the response, pass its gradient back, each row for itself."""
        readout = self.workload.readout(self.workload.classifier.module)
        check_fit(self.generator, readout, data=data)
        latents, made = self._tried
        check_rows_independent(self.generator.module, latents, key="models.generator")
        check_rows_independent(readout, made, key="models.classifier")
        check_gradient(self.generator.module, latents, key="models.generator")
        check_gradient(readout, made, key="models.classifier")
        if data is not None and self.workload.media == "image":
            check_range(self.generator, data)

    def build(self, device: torch.device, dtype: torch.dtype) -> ActivationMaximisation:
        """The method, with networks of its own."""
        workload, (latents, made) = self.workload, self._tried
        spec = workload.spec
        assert self.generator.latent is not None
        keep = (spec.layer,) if spec.layer else ()
        classifier = prepare(workload.classifier.module, dtype, keep=keep, example=made, read=workload.readout)
        return ActivationMaximisation(
            generator=prepare(self.generator.module, dtype, example=latents).to(device),
            response=workload.readout(classifier.to(device)),
            latent=self.generator.latent,
            direction=spec.direction,  # type: ignore[arg-type]
            dtype=torch.float64 if dtype == torch.float64 else torch.float32,
            **spec.options,
        )

    def found(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """Explanations, their responses and latents."""
        explanation = show.batched(show.method.explain, kept)
        response = show.batched(show.method.response, torch.from_numpy(explanation))
        tensors = {"response": response, "latent": kept["latent"].float().numpy()}
        prior_term = -kept["prior"].double().numpy() * values["prior_weight"]
        return Found(explanation, tensors, {"response": response, "prior_term": prior_term})
