"""What a host needs to work for a sweep: networks, real data, the method's settings and its objectives.

`WorkloadSpec` is plain data and travels; `Workload` is what it loads to, on a host or, to check it, in the driver.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from raysweep.data import Dataset, load_data
from raysweep.data.dataset import class_unit
from raysweep.errors import InputError
from raysweep.methods import RowMethod
from raysweep.methods.am import ActivationMaximisation
from raysweep.models.fit import (
    check_data_fit,
    check_features,
    check_fit,
    check_gradient,
    check_range,
    generate,
    latents_for,
)
from raysweep.models.inception import InceptionFID
from raysweep.models.independence import check_rows_independent
from raysweep.models.load import load_model
from raysweep.models.model import Model, ModelSource
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout, TwoLogits, features_readout
from raysweep.models.squashed import check_unsquashed

DTYPES = {"auto": torch.float32, "float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
"""Of the networks; "auto" stands for the usual one until a sweep has chosen."""


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
        precision: of the networks while rows are stepped, "auto" until chosen; latents and optimiser never below
            float32.
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
    def scoring_precision(self) -> str:
        """Of the networks that show and score what was found: never below float32."""
        return "float64" if self.precision == "float64" else "float32"


class Workload:
    """A loaded `WorkloadSpec`.

    Raises:
        InputError: on construction, whatever does not load or fit.
    """

    def __init__(self, spec: WorkloadSpec) -> None:
        self.spec, self.folder = spec, Path(spec.folder)
        self.generator = self._load(spec.generator, "models.generator", generator=True)
        self.classifier = self._load(spec.classifier, "models.classifier")
        self._judge = self._load(spec.judge, "models.judge") if spec.judge else None
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
        names, layer = self.classifier.units, self.spec.layer
        if names is not None and layer is None:
            outputs = len(names)
        else:
            outputs = self._outputs(self.classifier.module, "models.classifier", layer)
        return class_unit(self.spec.target, names or self.data.classes, outputs, "target.class")

    @cached_property
    def judge(self) -> Model | None:
        """The judge, its module reduced to logits [B, C]: a map to its mean, one logit for two classes to one for each.

        `judged_unit` is an index of these.
        """
        if self._judge is None:
            return None
        logits: nn.Module = Readout(self._judge.module, key="models.judge")
        if self._judge.units is None and len(self.data.classes) == 2 and self._outputs(logits, "models.judge") == 1:
            logits = nn.Sequential(logits, TwoLogits())
        return replace(self._judge, module=logits)

    @cached_property
    def judged_unit(self) -> int | None:
        """The judge's logit for the target; None without a judge or a class to recognise."""
        if self.judge is None or self.spec.judge is None or self.spec.target is None:
            return None
        outputs = self._outputs(self.judge.module, "models.judge")
        try:
            return class_unit(self.spec.target, self.judge.units or self.data.classes, outputs, "models.judge")
        except InputError as error:
            rule = f"the judge must know the target '{self.spec.target}': it {error.rule}"
            raise InputError(rule, key=error.key, value=self.spec.judge.source, suggestion=error.suggestion) from None

    def _outputs(self, module: nn.Module, reader: str, layer: str | None = None) -> int:
        """The number of units that the network `reader` gives for the data."""
        read = Readout(module, layer, key="target" if layer else reader)
        return check_data_fit(self.data, read, key="data.source", reader=reader).shape[1]

    @cached_property
    def identity(self) -> dict[str, str]:
        """Fingerprints of everything that is loaded: the same identity gives the same results."""
        models = {"generator": self.generator, "classifier": self.classifier, "judge": self._judge}
        models |= {f"objective.{name}": model for name, model in self.feature_models.items()}
        found = {f"models.{name}": model.fingerprint for name, model in models.items() if model is not None}
        return {**found, "data": self.data.fingerprint}

    @cached_property
    def stepping(self) -> dict[str, Any]:
        """What a row's way depends on beside its configuration, seed, example and lane, in plain data.

        Workloads of the same may have their rows in the same lanes, and kept rows are named by it.
        """
        spec = self.spec
        return {
            "generator": [self.generator.fingerprint, self.generator.latent],
            "classifier": self.classifier.fingerprint,
            "method": [spec.method, spec.options],
            "target": [spec.layer, self.unit, spec.direction],
            "precision": spec.precision,
            "versions": [version("raysweep"), torch.__version__],
        }

    def check(self) -> None:
        """Try on a few rows that everything fits, before anything is started.

        Raises:
            InputError: names key, rule and value of what does not.
        """
        readout = self.readout(self.classifier.module)
        check_data_fit(self.data, readout, key="data.source")
        check_unsquashed(readout, self.data, key="models.classifier")
        self.check_networks(self.data)
        if self.media == "image":
            check_range(self.generator, self.data)
        self._check_judge()
        for index, one in enumerate(self.spec.objectives):
            if one.name != "response_fd":
                self._check_features(one.name, f"objective.{index}")
        if self.spec.examples > len(self.data.x):
            raise InputError(
                f"N larger than the reference: the data have {len(self.data.x)} examples to compare with",
                key="examples",
                value=self.spec.examples,
            )

    def check_networks(self, data: Dataset | None = None) -> None:
        """Try what every step will do: generate, read the response, pass its gradient back, each row for itself.

        Args:
            data: names the shape that the classifier takes, in an error; nothing else needs them.
        """
        readout = self.readout(self.classifier.module)
        check_fit(self.generator, readout, data=data)
        latents, made = self._tried
        check_rows_independent(self.generator.module, latents, key="models.generator")
        check_rows_independent(readout, made, key="models.classifier")
        check_gradient(self.generator.module, latents, key="models.generator")
        check_gradient(readout, made, key="models.classifier")

    def _check_judge(self) -> None:
        if self._judge is not None:
            read = Readout(self._judge.module, key="models.judge")
            check_fit(self.generator, read, data=self.data, role="judge")
            check_data_fit(self.data, read, key="data.source", reader="models.judge")
            check_unsquashed(read, self.data, key="models.judge")
            check_rows_independent(read, self._tried[1], key="models.judge")
            _ = self.judged_unit  # refused now, when the judge does not know it

    def _check_features(self, objective: str, key: str) -> None:
        features, made = self.features(objective), self._tried[1]
        if isinstance(features, InceptionFID) and self.media != "image":
            rule = "the Inception network takes images in [0, 1], so media must be image"
            raise InputError(rule, key=key, value=self.media, suggestion="Any other features: feature_fd")
        check_features(features, tuple(made.shape[1:]), key=f"{key}.model")
        check_rows_independent(features, made, key=f"{key}.model")

    @cached_property
    def _tried(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Two latents and what the generator makes of them, to try networks on."""
        latents = latents_for(self.generator)
        return latents, generate(self.generator, latents)

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

    def methods(self, count: int, device: torch.device, precision: str | None = None) -> list[RowMethod]:
        """The method once per lane, on the device: networks of their own, because reading a layer hooks them.

        Args:
            precision: of the networks; by default as the spec says.
        """
        return [self._method(device, DTYPES[precision or self.spec.precision]) for _ in range(count)]

    def _method(self, device: torch.device, dtype: torch.dtype) -> RowMethod:
        keep = (self.spec.layer,) if self.spec.layer else ()
        assert self.generator.latent is not None
        latents, made = self._tried
        classifier = prepare(self.classifier.module, dtype, keep=keep, example=made, read=self.readout)
        return ActivationMaximisation(
            generator=prepare(self.generator.module, dtype, example=latents).to(device),
            response=self.readout(classifier.to(device)),
            latent=self.generator.latent,
            direction=self.spec.direction,  # type: ignore[arg-type]
            dtype=torch.float64 if dtype == torch.float64 else torch.float32,
            **self.spec.options,
        )

    def _load(self, source: ModelSource, key: str, generator: bool = False) -> Model:
        return load_model(source, key=key, folder=self.folder, generator=generator)
