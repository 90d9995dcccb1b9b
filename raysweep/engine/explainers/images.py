"""Heat maps of images in a sweep: made of layers' maps, or searched by blurring what a mask hides."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from raysweep.data import Dataset
from raysweep.engine.explainers.attribution import AttributionExplainer
from raysweep.errors import InputError
from raysweep.methods.blurring import check_score
from raysweep.methods.cam import Cam
from raysweep.methods.centre_box import CentreBox
from raysweep.methods.gfi import GuidedFeatureInversion
from raysweep.methods.masking import Masking
from raysweep.methods.meaningful_perturbation import MeaningfulPerturbation
from raysweep.models.model import like
from raysweep.models.taps import Taps, check_maps, last_maps

if TYPE_CHECKING:
    from raysweep.engine.showing import Showing


class ImageExplainer(AttributionExplainer):
    """Heat maps that have one heat for all channels of a place."""

    def check(self, data: Dataset | None) -> None:
        """Also that samples have places."""
        shape = self.workload.data.x.shape[1:]
        if len(shape) != 3:
            rule = f"must be images, or other maps [C, H, W]: {self.workload.spec.method} explains no others"
            raise InputError(rule, key="data.source", value=list(shape))
        super().check(data)

    def layers(self, option: str) -> list[str]:
        """The network's layers that an option of the method names; where it names none, the last one with maps."""
        named: list[str] | None = self.workload.spec.options[option]
        if named is not None:
            return named
        output = self.scores(self.workload.classifier.module)
        with torch.no_grad():
            return [last_maps(output, like(self.example, output.module))]

    def check_layers(self, option: str, maps: bool) -> None:
        """Whether these layers are there, and can be read; and whether they have maps."""
        names, key = self.layers(option), f"method.{option}"
        output = self.scores(self.workload.classifier.module)
        with torch.no_grad():
            values, _ = Taps(output, names, key=key)(like(self.example, output.module))
        if maps:
            check_maps(values, names, key=key)


class CentreBoxExplainer(ImageExplainer):
    """The middle of every image."""

    def masked(self, masking: Masking) -> CentreBox:
        """A box."""
        return CentreBox(masking)


class CamExplainer(ImageExplainer):
    """Class activation maps."""

    @property
    def watched(self) -> tuple[str, ...]:
        """Also the layers whose maps they are of."""
        return (*super().watched, *self.layers("layers"))

    def check(self, data: Dataset | None) -> None:
        """Also that the layers are there, and have maps."""
        super().check(data)
        self.check_layers("layers", maps=True)

    def masked(self, masking: Masking) -> Cam:
        """Class activation maps."""
        return Cam(masking, self.layers("layers"))


class BlurringExplainer(ImageExplainer):
    """Heat maps that are searched by blurring an image where a mask says so."""

    def check(self, data: Dataset | None) -> None:
        """Also that the network has such a score."""
        super().check(data)
        check_score(self.workload.spec.options["score"], self.workload.outputs(self.workload.spec.layer))

    def measured(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> dict[str, np.ndarray]:
        """Also the scores of each image where heat alone is seen, and where all else is."""

        def score(row: dict[str, Tensor], background: bool) -> Tensor:
            blurring, heat = show.method.blurring, row["heat"].to(show.method.dtype)
            image = self.explained.first.to(heat.device)[row["example"] % len(self.explained.first)]
            blur = torch.full((len(heat),), values["blur"], device=heat.device)
            found: Tensor = blurring.score(blurring.through(1 - heat if background else heat, image, blur), image)
            return found

        rows = {name: kept[name] for name in ("heat", "example")}
        return {
            **super().measured(show, kept, values),
            "kept_score": show.batched(partial(score, background=False), rows),
            "background_score": show.batched(partial(score, background=True), rows),
        }


class PerturbationExplainer(BlurringExplainer):
    """What must be blurred for a score to fall."""

    def check(self, data: Dataset | None) -> None:
        """Also that a mask is no larger than the images."""
        super().check(data)
        size, most = self.workload.spec.options["mask_size"], min(self.workload.data.x.shape[2:])
        if size > most:
            rule = f"must be at most {most}, the images' shorter side: masks are small and upsampled"
            raise InputError(rule, key="method.mask_size", value=size)

    def masked(self, masking: Masking) -> MeaningfulPerturbation:
        """Meaningful perturbation."""
        options = self.workload.spec.options
        return MeaningfulPerturbation(masking, options["mask_size"], options["score"])


class GfiExplainer(BlurringExplainer):
    """Masks made of a layer's maps."""

    @property
    def watched(self) -> tuple[str, ...]:
        """Also the layers that are inverted, and those that masks are made of."""
        return (*super().watched, *self.layers("layers"), *self.layers("guides"))

    def check(self, data: Dataset | None) -> None:
        """Also that the layers are there, and that masks can be made of those that they are made of."""
        super().check(data)
        self.check_layers("layers", maps=False)
        self.check_layers("guides", maps=True)

    def masked(self, masking: Masking) -> GuidedFeatureInversion:
        """Guided feature inversion."""
        options = self.workload.spec.options
        variants = {name: options[name] for name in ("norm", "score", "error")}
        return GuidedFeatureInversion(masking, self.layers("layers"), self.layers("guides"), **variants)
