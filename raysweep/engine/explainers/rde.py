"""Masks over real samples in a sweep: which samples are explained, what a mask groups, what fills the gaps.

What masks are worth is measured with noise that no step has seen: keyed by the example and the draw alone.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.data import Dataset
from raysweep.data.dataset import class_unit
from raysweep.engine.explainers.explainer import Explainer, Found
from raysweep.engine.explainers.grouped import city_of, group
from raysweep.engine.explainers.maps import Maps
from raysweep.engine.explainers.samples import choose, label_of
from raysweep.methods import Method, fills
from raysweep.methods.components import Components
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.pursuit import MatchingPursuit
from raysweep.methods.radio import Estimated, estimates
from raysweep.methods.rde import RateDistortion
from raysweep.models.fit import check_gradient
from raysweep.models.independence import check_rows_independent
from raysweep.models.inpainter import Packed, check_estimator, check_inpainter
from raysweep.models.model import like
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout

if TYPE_CHECKING:
    from raysweep.engine.showing import Showing

DRAWS = 16
"""Draws of mask and noise that a row's distortion is the mean of."""
RATES, CURVE_DRAWS = 17, 4
"""Points of a row's rate–distortion curve, from nothing kept to all, and the draws that each is the mean of."""
EDGE = 0.01
"""A mask whose components are all this near to 0, or all to 1, has collapsed."""
BATCH = 100
"""Samples whose class is predicted at a time."""


class MaskExplainer(Explainer):
    """What methods that mask real samples share."""

    @property
    @abstractmethod
    def drawn(self) -> bool:
        """Whether a mask is one of probabilities, from which what is kept is drawn."""

    @property
    def example(self) -> Tensor:
        """Two real samples."""
        return torch.from_numpy(self.workload.data.x[:2])

    @property
    def stepping(self) -> dict[str, Any]:
        """The samples, the units that they are explained for, and what paints."""
        spec, workload = self.workload.spec, self.workload
        unit = None if spec.each or spec.query else workload.unit
        return {
            "samples": [workload.data.fingerprint, spec.seed, spec.examples],
            "target": [spec.target, spec.layer, spec.each, unit, spec.query, spec.area],
            "arrays": [workload.identity[f"data.{name}"] for name in workload.arrays],
            "inpainter": workload.inpainter.fingerprint if workload.inpainter else None,
            "components": hashlib.sha256(self.components.labels.numpy().tobytes()).hexdigest(),
        }

    @property
    def watched(self) -> tuple[str, ...]:
        """Layers of the classifier whose own values are read."""
        layer = self.workload.spec.layer
        return (layer,) if layer else ()

    @property
    def real(self) -> np.ndarray:
        """Samples of the classes that are explained."""
        data, label = self.workload.data, label_of(self.workload.spec, self.workload.data)
        return data.x if label is None or data.y is None else data.x[data.y == label]

    def check(self, data: Dataset | None) -> None:
        """Read a score and pass its gradient back, each row for itself; paint; group."""
        readout, two = self.scores(self.workload.classifier.module), self.example
        check_rows_independent(readout, two, key="models.classifier")
        check_gradient(readout, two, key="models.classifier")
        if self.workload.inpainter is not None:
            check = check_estimator if self.workload.spec.options["fill"] == "phi_gt" else check_inpainter
            check(self.workload.inpainter.module, two, key="models.inpainter")
        _ = self.components, self.explained
        self.maps.check()

    @cached_property
    def maps(self) -> Maps:
        """What its maps are worth by the objectives of maps."""
        return Maps(self)

    @abstractmethod
    def masked(self, masking: Masking) -> Method:
        """The method that finds the masks."""

    def build(self, device: torch.device, dtype: torch.dtype) -> Method:
        """The method, with networks of its own."""
        return self.explaining(self.workload.classifier.module, device, dtype)

    def explaining(self, module: nn.Module, device: torch.device, dtype: torch.dtype) -> Method:
        """The method for the same samples and units with another network in the classifier's place."""
        classifier = prepare(module, dtype, keep=self.watched, example=self.example, read=self.scores)
        masking = Masking(
            scores=self.scores(classifier.to(device)),
            fill=self._fill(dtype).to(device),
            explained=self.explained.to(device),
            components=self.components.to(device),
            dtype=torch.float64 if dtype == torch.float64 else torch.float32,
            rises_only=self.workload.spec.query == "darken",
        )
        return self.masked(masking)

    def found(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """Obfuscations, masks over the samples' elements, and what the masks cost and keep."""
        example, mask = kept["example"], kept["mask"]
        importance = kept.get("importance", mask)
        first = self.explained.first[example]
        curve = self.curve(show, importance, example)
        numbers = {
            "distortion": self._expected(show, mask, example, DRAWS),
            "sparsity": self.components.share(mask, first).double().numpy(),
            "rate_distortion": area_under(curve),
            "collapsed": collapsed(mask, self.components.present(first)).numpy(),
        }
        as_heat = self.components.spread(importance, first, kept=0.0)
        more, shown = self.maps.measured(show, as_heat, importance, example, values)
        numbers |= more
        explanation = show.batched(show.method.explain, {"mask": mask, "example": example})
        tensors = {
            "mask": self.components.spread(importance, first).float().numpy(),
            "sample": self.explained.x[first].numpy(),
            "curve": curve,
            **numbers,
            **shown,
        }
        if self.workload.spec.query is not None:
            tensors |= self._maps(show, tensors["sample"], explanation)
        return Found(explanation, tensors, numbers)

    def curve(self, show: Showing, importance: Tensor, example: Tensor) -> np.ndarray:
        """Distortions [N, RATES] when only the most important components are kept, from none of them to all."""
        shares = np.linspace(0, 1, RATES)
        return np.stack([self._expected(show, importance, example, CURVE_DRAWS, share) for share in shares], axis=1)

    def _expected(
        self, show: Showing, mask: Tensor, example: Tensor, draws: int, share: float | None = None
    ) -> np.ndarray:
        """The mean distortion [N] of so many draws."""
        masking, seed = show.method.masking, self.workload.spec.seed

        def evaluated(row: dict[str, Tensor], draw: int) -> Tensor:
            distortion: Tensor = masking.evaluated(**row, seed=seed, draw=draw, drawn=self.drawn, share=share)
            return distortion

        rows = {"mask": mask, "example": example}
        return np.mean([show.batched(partial(evaluated, draw=draw), rows) for draw in range(draws)], axis=0)

    def _maps(self, show: Showing, sample: np.ndarray, obfuscation: np.ndarray) -> dict[str, np.ndarray]:
        """What the network makes of samples and of their obfuscations [N, C, H, W], and where it is asked about."""
        scores, dtype = show.method.masking.scores, show.method.masking.network_dtype

        def made(x: Tensor) -> Tensor:
            found: Tensor = scores.module(x.to(dtype))
            return found

        maps = {"map": sample, "obfuscation_map": obfuscation}
        found = {name: show.batched(made, torch.from_numpy(x)).astype(np.float32) for name, x in maps.items()}
        area = np.zeros((len(sample), *found["map"].shape[2:]), np.uint8)
        area[(slice(None), *scores.within(area.shape[1:]))] = 1
        return {**found, "area": area}

    @cached_property
    def components(self) -> Components:
        """What a mask keeps or removes as a whole."""
        return group(self.workload, self.chosen)

    @cached_property
    def chosen(self) -> np.ndarray:
        """Indices of the explained samples."""
        return choose(self.workload.spec, self.workload.data)

    @cached_property
    def explained(self) -> Explained:
        """The chosen samples, each for itself or by their classes."""
        x = torch.from_numpy(self.workload.data.x[self.chosen])
        first, count = torch.arange(len(x)), torch.ones(len(x), dtype=torch.int64)
        if self.workload.spec.options.get("per") == "class":
            assert self.workload.data.y is not None
            count = torch.from_numpy(np.bincount(self.workload.data.y))
            first = count.cumsum(0) - count
        return Explained(x, first, count, self._units(x))

    def _units(self, x: Tensor) -> Tensor | None:
        """The explained unit of each sample; None for an area, of which every cell is explained."""
        workload, spec = self.workload, self.workload.spec
        if spec.query is not None:
            return None
        if spec.each is None:
            return torch.full((len(x),), workload.unit)
        scores = self.scores(workload.classifier.module)
        if spec.each == "predicted":
            with torch.no_grad():
                return torch.cat([scores(like(part, scores.module)).argmax(dim=1).cpu() for part in x.split(BATCH)])
        outputs, names = workload.outputs(spec.layer), workload.classifier.units or workload.data.classes
        assert workload.data.y is not None
        units = [class_unit(label, names, outputs, "target.each") for label in workload.data.classes]
        return torch.tensor(units)[torch.from_numpy(workload.data.y[self.chosen])]

    def scores(self, module: nn.Module) -> Readout:
        """All scores of a classifier; of a network that makes a map, the area's."""
        if self.workload.spec.query is not None:
            return self.workload.readout(module)
        return Readout(module, self.workload.spec.layer, None, key="target")

    def _fill(self, dtype: torch.dtype) -> nn.Module:
        """What stands where a mask removes something."""
        options, data, shape = self.workload.spec.options, self.workload.data.x, self.components.shape
        kind = options["fill"]
        if kind == "inpainter":
            assert self.workload.inpainter is not None
            two = self.example
            packed = Packed(self.workload.inpainter.module)
            return fills.Inpainted(prepare(packed, dtype, example=torch.stack([two, torch.ones_like(two), two], dim=1)))
        if kind == "phi_gt":
            assert self.workload.inpainter is not None
            city = city_of(self.workload, self.chosen)
            assert city is not None
            phi_gt = prepare(self.workload.inpainter.module, dtype, example=self.example)
            return Estimated(estimates(phi_gt, self.explained.x.to(dtype), city), options["fill_share"])
        if kind == "blur":
            return fills.Blur(options["blur"], axes=2 if len(shape) > 2 else 1)
        if kind == "constant":
            return fills.Constant(torch.tensor(options["fill_value"]))
        mean = torch.from_numpy(data.mean(axis=0, dtype=np.float64)).float()
        if kind == "mean":
            return fills.Constant(mean)
        return fills.Gaussian(mean, torch.from_numpy(data.std(axis=0, dtype=np.float64)).float())


class RdeExplainer(MaskExplainer):
    """Masks that are optimised."""

    @property
    def drawn(self) -> bool:
        """A concrete mask is one of probabilities."""
        return self.workload.spec.options["mask"] == "concrete"

    def masked(self, masking: Masking) -> RateDistortion:
        """Rate-distortion explanations."""
        return RateDistortion(masking, self.workload.spec.options["mask"])


class PursuitExplainer(MaskExplainer):
    """Masks that grow component by component."""

    @property
    def drawn(self) -> bool:
        """A component is chosen or not."""
        return False

    @property
    def most_steps(self) -> int:
        """Each adds a component."""
        return self.components.most

    def masked(self, masking: Masking) -> MatchingPursuit:
        """Matching pursuit."""
        return MatchingPursuit(masking)


def area_under(curve: np.ndarray) -> np.ndarray:
    """[N] of curves [N, RATES] over the share that is kept."""
    return np.asarray(np.trapezoid(curve, dx=1 / (RATES - 1), axis=1))


def collapsed(mask: Tensor, present: Tensor) -> Tensor:
    """Which masks [B, C] keep nothing or all that is present, as 0 and 1 [B]: they tell no component from another."""
    return ((mask < EDGE) | ~present).all(dim=1).logical_or(((mask > 1 - EDGE) | ~present).all(dim=1)).double()
