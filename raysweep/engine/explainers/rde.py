"""Masks over real samples in a sweep: which samples are explained, what a mask groups, what fills the gaps.

What masks are worth is measured with noise that no step has seen: keyed by the example and the draw alone.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.data import Dataset
from raysweep.data.dataset import class_index, class_unit
from raysweep.engine.explainers.explainer import Explainer, Found
from raysweep.errors import InputError
from raysweep.methods import Method, fills
from raysweep.methods.components import GROUPINGS, Components, grouping
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.pursuit import MatchingPursuit
from raysweep.methods.rde import RateDistortion
from raysweep.models.fit import check_gradient
from raysweep.models.independence import check_rows_independent
from raysweep.models.inpainter import Packed, check_inpainter
from raysweep.models.model import like
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout
from raysweep.sources import call, is_callable_name, locate

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
        return {
            "samples": [workload.data.fingerprint, spec.seed, spec.examples],
            "target": [spec.target, spec.layer, spec.each, None if spec.each else workload.unit],
            "inpainter": workload.inpainter.fingerprint if workload.inpainter else None,
            "components": hashlib.sha256(self.components.labels.numpy().tobytes()).hexdigest(),
        }

    @property
    def real(self) -> np.ndarray:
        """Samples of the classes that are explained."""
        data, label = self.workload.data, self._label
        return data.x if label is None or data.y is None else data.x[data.y == label]

    def check(self, data: Dataset | None) -> None:
        """Read a score and pass its gradient back, each row for itself; paint; group."""
        readout, two = self._readout(self.workload.classifier.module), self.example
        check_rows_independent(readout, two, key="models.classifier")
        check_gradient(readout, two, key="models.classifier")
        if self.workload.inpainter is not None:
            check_inpainter(self.workload.inpainter.module, two, key="models.inpainter")
        _ = self.components, self.explained

    @abstractmethod
    def masked(self, masking: Masking) -> Method:
        """The method that finds the masks."""

    def build(self, device: torch.device, dtype: torch.dtype) -> Method:
        """The method, with networks of its own."""
        module, layer = self.workload.classifier.module, self.workload.spec.layer
        keep = (layer,) if layer else ()
        classifier = prepare(module, dtype, keep=keep, example=self.example, read=self._readout)
        masking = Masking(
            scores=self._readout(classifier.to(device)),
            fill=self._fill(dtype).to(device),
            explained=self.explained.to(device),
            components=self.components.to(device),
            dtype=torch.float64 if dtype == torch.float64 else torch.float32,
        )
        return self.masked(masking)

    def found(self, show: Showing, kept: dict[str, Tensor], values: dict[str, float]) -> Found:
        """Obfuscations, masks over the samples' elements, and what the masks cost and keep."""
        masking, seed = show.method.masking, self.workload.spec.seed
        example, mask = kept["example"], kept["mask"]
        importance = kept.get("importance", mask)

        def expected(draws: int, of: Tensor, share: float | None = None) -> np.ndarray:
            """The mean distortion [N] of so many draws."""

            def evaluated(row: dict[str, Tensor], draw: int) -> Tensor:
                distortion: Tensor = masking.evaluated(**row, seed=seed, draw=draw, drawn=self.drawn, share=share)
                return distortion

            rows = {"mask": of, "example": example}
            return np.mean([show.batched(partial(evaluated, draw=draw), rows) for draw in range(draws)], axis=0)

        first = self.explained.first[example]
        curve = np.stack([expected(CURVE_DRAWS, importance, share) for share in np.linspace(0, 1, RATES)], axis=1)
        numbers = {
            "distortion": expected(DRAWS, mask),
            "sparsity": self.components.share(mask, first).double().numpy(),
            "rate_distortion": np.trapezoid(curve, dx=1 / (RATES - 1), axis=1),
            "collapsed": collapsed(mask).numpy(),
        }
        tensors = {
            "mask": self.components.spread(importance, first).float().numpy(),
            "sample": self.explained.x[first].numpy(),
            "curve": curve,
            **numbers,
        }
        return Found(show.batched(show.method.explain, {"mask": mask, "example": example}), tensors, numbers)

    @cached_property
    def components(self) -> Components:
        """What a mask keeps or removes as a whole."""
        options, shape, key = self.workload.spec.options, tuple(self.example.shape[1:]), "method.components"
        name = options["components"]
        if name in GROUPINGS or name == "patches":
            return Components(grouping(name, shape, options["patch"]), shape)
        if is_callable_name(name):
            labels = np.asarray(call(name, folder=self.workload.folder, key=key, args={}))
        else:
            labels = _stored(locate(name, folder=self.workload.folder, key=key), key)
        if not np.issubdtype(labels.dtype, np.integer):
            raise InputError("must be whole numbers, the component of each element", key=key, value=str(labels.dtype))
        return Components(torch.from_numpy(labels.astype(np.int64)), shape)

    @cached_property
    def explained(self) -> Explained:
        """The samples, of the target's class or of all, drawn by the sweep's seed: the same for every configuration."""
        spec, count = self.workload.spec, len(self.workload.data.x)
        order = np.random.Generator(np.random.Philox(key=spec.seed)).permutation(count)
        order = order[
            np.argsort(order >= self.workload.data.heard, kind="stable")
        ]  # those that can be heard come first
        return self._classes(order) if spec.options["per"] == "class" else self._examples(order)

    def _examples(self, order: np.ndarray) -> Explained:
        """One sample an example; with `each`, classes by turns."""
        data, count = self.workload.data, self.workload.spec.examples
        if self._label is not None and data.y is not None:
            order = order[data.y[order] == self._label]
        elif data.y is not None:
            order = order[np.argsort(_place_in_class(data.y[order]), kind="stable")]
        if count > len(order):
            what = f"samples of '{self.workload.spec.target}'" if self._label is not None else "samples"
            raise InputError(f"must be at most {len(order)}: the data have no more {what}", key="examples", value=count)
        index = torch.arange(count)
        x = torch.from_numpy(data.x[order[:count]])
        return Explained(x, index, torch.ones_like(index), self._units(x, order[:count]))

    def _classes(self, order: np.ndarray) -> Explained:
        """All samples of a class an example."""
        data, spec = self.workload.data, self.workload.spec
        if data.y is None or spec.each != "label":
            rule = "must be {each: label} with one mask per class, and the data must have labels"
            raise InputError(rule, key="target", value=spec.target)
        counts = np.bincount(data.y, minlength=len(data.classes))
        if spec.examples != len(counts):
            rule = f"must be {len(counts)}, the number of classes: there is one mask per class"
            raise InputError(rule, key="examples", value=spec.examples)
        if counts.min() == 0:
            rule = "must have samples of every class, as there is one mask for each"
            raise InputError(rule, key="data.source", value=data.classes[int(counts.argmin())])
        order = order[np.argsort(data.y[order], kind="stable")]
        x, count = torch.from_numpy(data.x[order]), torch.from_numpy(counts)
        return Explained(x, count.cumsum(0) - count, count, self._units(x, order))

    def _units(self, x: Tensor, index: np.ndarray) -> Tensor:
        """The explained unit of each sample."""
        workload, spec = self.workload, self.workload.spec
        if spec.each is None:
            return torch.full((len(x),), workload.unit)
        scores = self._readout(workload.classifier.module)
        if spec.each == "predicted":
            with torch.no_grad():
                return torch.cat([scores(like(part, scores.module)).argmax(dim=1).cpu() for part in x.split(BATCH)])
        outputs, names = workload.outputs(spec.layer), workload.classifier.units or workload.data.classes
        assert workload.data.y is not None
        units = [class_unit(label, names, outputs, "target.each") for label in workload.data.classes]
        return torch.tensor(units)[torch.from_numpy(workload.data.y[index])]

    @cached_property
    def _label(self) -> int | None:
        """The class whose samples are explained; None for all."""
        data, target = self.workload.data, self.workload.spec.target
        if target is None or data.y is None:
            return None
        return class_index(target, data.classes, "target.class")

    def _readout(self, module: nn.Module) -> Readout:
        """All scores of a classifier."""
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

    def masked(self, masking: Masking) -> MatchingPursuit:
        """Matching pursuit."""
        return MatchingPursuit(masking)


def collapsed(mask: Tensor) -> Tensor:
    """Which masks [B, C] keep nothing or everything, as 0 and 1 [B]: they tell no component from another."""
    return ((mask < EDGE).all(dim=1) | (mask > 1 - EDGE).all(dim=1)).double()


def _place_in_class(y: np.ndarray) -> np.ndarray:
    """How many of its class come before each label."""
    order = np.argsort(y, kind="stable")
    counts = np.bincount(y)
    place = np.empty(len(y), np.int64)
    place[order] = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place


def _stored(path: Path, key: str) -> np.ndarray:
    """The array in a .npy file."""
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"must be a .npy file of whole numbers ({error})", key=key, value=path.name) from error
