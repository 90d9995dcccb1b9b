"""What a host needs to work for a sweep: networks, real data, the method's settings and its objectives.

`WorkloadSpec` is plain data and travels; `Workload` is what it loads to, on a host or, to check it, in the driver.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raysweep.data import Dataset, load_data
from raysweep.data.dataset import class_index
from raysweep.errors import InputError
from raysweep.methods import RowMethod
from raysweep.methods.am import ActivationMaximisation
from raysweep.models.fit import check_data_fit, check_features, check_fit
from raysweep.models.inception import InceptionFID
from raysweep.models.independence import check_rows_independent
from raysweep.models.load import load_model
from raysweep.models.model import Model, ModelSource
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout, features_readout

DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ObjectiveSpec:
    """One objective, and whose features it compares (None: the classifier's)."""

    name: str
    model: ModelSource | None = None
    layer: str | None = None


@dataclass(frozen=True)
class WorkloadSpec:
    """A sweep without its search: everything that a trial's result depends on beside its configuration.

    Args:
        method, options: the method's name and its named variants.
        generator, classifier, judge: the networks.
        data, media: the real data, and how explanations are shown (None: as generator and data say).
        target: a class by name or index; None when `layer` and `unit` say what is explained.
        direction: "maximise" or "minimise" the response.
        examples: N, rows of a trial.
        precision: of the networks; latents and optimiser are never below float32.
        folder: the sweep file's own folder.
    """

    method: str
    options: dict[str, Any]
    generator: ModelSource
    classifier: ModelSource
    judge: ModelSource | None
    data: str
    media: str | None
    target: str | int | None
    layer: str | None
    unit: int | None
    direction: str
    examples: int
    objectives: tuple[ObjectiveSpec, ...]
    seed: int
    precision: str
    folder: str

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the networks."""
        return DTYPES[self.precision]


class Workload:
    """A loaded `WorkloadSpec`.

    Raises:
        InputError: on construction, whatever does not load or fit.
    """

    def __init__(self, spec: WorkloadSpec) -> None:
        self.spec, self.folder = spec, Path(spec.folder)
        self.generator = self._load(spec.generator, "models.generator", generator=True)
        self.classifier = self._load(spec.classifier, "models.classifier")
        self.judge = self._load(spec.judge, "models.judge") if spec.judge else None
        self.feature_models = {
            objective.name: self._load(objective.model, f"objective.{index}.model") if objective.model else None
            for index, objective in enumerate(spec.objectives)
        }

    @cached_property
    def data(self) -> Dataset:
        """The real data; loaded when first asked for."""
        return load_data(self.spec.data, folder=self.folder, key="data.source", media=self.spec.media)

    @cached_property
    def media(self) -> str:
        """How explanations are shown."""
        return self.spec.media or self.generator.media or self.data.media

    @cached_property
    def unit(self) -> int:
        """The explained unit of the layer, or the class's output unit."""
        if self.spec.unit is not None:
            return self.spec.unit
        assert self.spec.target is not None
        names = self.classifier.units or self.data.classes
        return class_index(self.spec.target, names, "target.class")

    @cached_property
    def judged_unit(self) -> int | None:
        """The judge's output unit for the target; None without a judge or a class to recognise."""
        if self.judge is None or self.spec.judge is None or self.spec.target is None:
            return None
        try:
            return class_index(self.spec.target, self.judge.units or self.data.classes, "models.judge")
        except InputError as error:
            rule = f"the judge must know the target '{self.spec.target}'"
            raise InputError(rule, key=error.key, value=self.spec.judge.source, suggestion=error.suggestion) from None

    @cached_property
    def identity(self) -> dict[str, str]:
        """Fingerprints of everything that is loaded: the same identity gives the same results."""
        models = {"generator": self.generator, "classifier": self.classifier, "judge": self.judge}
        models |= {f"objective.{name}": model for name, model in self.feature_models.items()}
        found = {f"models.{name}": model.fingerprint for name, model in models.items() if model is not None}
        return {**found, "data": self.data.fingerprint}

    def check(self) -> None:
        """Try on two rows that everything fits, before anything is started.

        Raises:
            InputError: names key, rule and value of what does not.
        """
        readout = self.readout(self.classifier.module)
        check_data_fit(self.data, readout, key="data.source")
        shape = check_fit(self.generator, readout, data=self.data)
        latents = torch.randn(2, self.generator.latent or 0, generator=torch.Generator().manual_seed(1))
        check_rows_independent(self.generator.module, latents, key="models.generator")
        check_rows_independent(self.classifier.module, torch.from_numpy(self.data.x[:2]), key="models.classifier")
        if self.judge is not None:
            judge = Readout(self.judge.module, None, self.judged_unit, key="models.judge")
            check_fit(self.generator, judge, data=self.data, role="judge")
        for index, one in enumerate(self.spec.objectives):
            if one.name != "response_fd":
                check_features(self.features(one.name), shape, key=f"objective.{index}.model")
        if self.spec.examples > len(self.data.x):
            raise InputError(
                f"N larger than the reference: the data have {len(self.data.x)} examples to compare with",
                key="examples",
                value=self.spec.examples,
            )

    def readout(self, module: nn.Module) -> Readout:
        """The explained response of a classifier module."""
        return Readout(module, self.spec.layer, self.unit, key="target")

    def features(self, objective: str) -> nn.Module:
        """The network whose output an objective compares, in full precision."""
        model = self.feature_models[objective]
        index, layer = next((i, one.layer) for i, one in enumerate(self.spec.objectives) if one.name == objective)
        if objective == "fid" and not (model is not None and isinstance(model.module, InceptionFID)):
            raise InputError(
                "must be given the Inception weights of 2015-12-05 as its model",
                key=f"objective.{index}",
                value="fid",
                suggestion="Any other features: feature_fd",
            )
        if model is not None and isinstance(model.module, InceptionFID):
            return model.module
        module = (model or self.classifier).module
        return features_readout(copy.deepcopy(module), layer, key=f"objective.{index}")

    def methods(self, count: int, device: torch.device) -> list[RowMethod]:
        """The method once per lane, on the device: networks of their own, because reading a layer hooks them."""
        return [self._method(device) for _ in range(count)]

    def _method(self, device: torch.device) -> RowMethod:
        dtype = self.spec.dtype
        keep = (self.spec.layer,) if self.spec.layer else ()
        assert self.generator.latent is not None
        return ActivationMaximisation(
            generator=prepare(self.generator.module, dtype).to(device),
            response=self.readout(prepare(self.classifier.module, dtype, keep=keep).to(device)),
            latent=self.generator.latent,
            direction=self.spec.direction,  # type: ignore[arg-type]
            dtype=torch.float64 if dtype == torch.float64 else torch.float32,
            **self.spec.options,
        )

    def _load(self, source: ModelSource, key: str, generator: bool = False) -> Model:
        return load_model(source, key=key, folder=self.folder, generator=generator)


def spec_to_plain(spec: WorkloadSpec) -> dict[str, Any]:
    """The spec as plain data, for the journal and for hashing."""
    return asdict(spec)
