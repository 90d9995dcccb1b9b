"""What a host works with for a sweep: networks, real data, the method and its objectives, loaded and checked."""

from __future__ import annotations

import copy
import hashlib
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from raysweep.data import Dataset, load_arrays, load_data
from raysweep.data.audio import VOCAL, MelSpec
from raysweep.data.dataset import class_unit, class_units
from raysweep.engine.explainers import EXPLAINERS
from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.engine.explainers.samples import label_of
from raysweep.engine.workload_spec import WorkloadSpec, classifier_key
from raysweep.errors import InputError
from raysweep.methods import Method
from raysweep.methods.radio import arrays_read
from raysweep.models.area import AreaReadout
from raysweep.models.fit import check_data_fit, check_features, check_fit
from raysweep.models.inception import InceptionFID
from raysweep.models.independence import check_rows_independent
from raysweep.models.load import load_model
from raysweep.models.model import Model, ModelSource
from raysweep.models.readout import Readout, TwoLogits, features_readout
from raysweep.models.squashed import check_unsquashed
from raysweep.objectives.localisation import BOXES, check_boxes

DTYPES = {"auto": torch.float32, "float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
"""Of the networks; "auto" stands for the usual one until a sweep has chosen."""


COMPARE_TOGETHER = ("overall_fd", "overall_kid")
"""Objectives that compare all classes that images show, as one set."""
COMPARE_FEATURES = ("feature_fd", "seen_fd", "kid", "fid", *COMPARE_TOGETHER)
"""Objectives that compare a network's features of explanations and of real samples."""

COMPARE_BOXES = ("localisation_error", "pointing_error")
"""Objectives that compare maps with the true boxes of the samples."""


class Workload:
    """A loaded `WorkloadSpec`.

    Raises:
        InputError: on construction, whatever does not load or fit.
    """

    def __init__(self, spec: WorkloadSpec) -> None:
        self.spec, self.folder = spec, Path(spec.folder)
        self.generator = self._load(spec.generator, "models.generator", generator=True) if spec.generator else None
        self.inpainter = self._load(spec.inpainter, "models.inpainter") if spec.inpainter else None
        self.expert = self._load(spec.expert, "models.expert") if spec.expert else None
        named = spec.classifiers or (("", spec.classifier),)
        self.classifiers = {name: self._load(source, classifier_key(name)) for name, source in named}
        self.classifier = next(iter(self.classifiers.values()))
        self._judge = self._load(spec.judge, "models.judge") if spec.judge else None
        self.witnesses = {one.name: self._load(one.model, f"models.witnesses.{one.name}") for one in spec.witnesses}
        self.feature_models = {
            objective.name: self._load(objective.model, f"objective.{index}.model") if objective.model else None
            for index, objective in enumerate(spec.objectives)
        }
        self.explainer = EXPLAINERS[spec.method](self)

    @cached_property
    def data(self) -> Dataset:
        """The real data; loaded when first asked for."""
        return load_data(self.spec.data, folder=self.folder, key="data.source", media=self.spec.media)

    @cached_property
    def images(self) -> Dataset:
        """What networks are trained on."""
        assert self.spec.images is not None
        return load_data(self.spec.images, folder=self.folder, key="images.source", media=self.spec.media)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """What the method reads of the data beside the samples, [N, ...] each, by name."""
        names = arrays_read(self.spec.options)
        return load_arrays(self.spec.data, names, len(self.data.x), folder=self.folder, key="data.source")

    @cached_property
    def boxes(self) -> np.ndarray | None:
        """The true boxes [N, 4] of the samples, where an objective compares with them.

        Raises:
            InputError: there are none, or they are no boxes in the samples.
        """
        reader = next((one.name for one in self.spec.objectives if one.name in COMPARE_BOXES), None)
        if reader is None:
            return None
        key, x = "data.source", self.data.x
        found = load_arrays(self.spec.data, (BOXES,), len(x), folder=self.folder, key=key, reader=reader)[BOXES]
        check_boxes(found, x.shape[1:], key=key)
        return found

    @cached_property
    def media(self) -> str:
        """How explanations are shown."""
        return self.spec.media or (self.generator.media if self.generator else None) or self.data.media

    @cached_property
    def mel(self) -> MelSpec | None:
        """How explanations that are log-mels become sounds: as the data say, or the default; None for other media."""
        if self.media != "logmel":
            return None
        try:
            return self.data.mel or VOCAL
        except InputError:  # a winner is explained where its data are gone, and nothing else needs them
            return VOCAL

    @cached_property
    def unit(self) -> int:
        """The explained unit of the layer, or the class's output unit."""
        if self.spec.unit is not None:
            return self.spec.unit
        assert self.spec.target is not None
        names, layer = self.classifier.units, self.spec.layer
        outputs = len(names) if names is not None and layer is None else self.outputs(layer)
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
    def judged_classes(self) -> dict[int, int]:
        """The judge's logit for each of the data's classes that it knows, by label; none without a judge."""
        if self.judge is None:
            return {}
        outputs = self._outputs(self.judge.module, "models.judge")
        return class_units(self.data.classes, self.judge.units or self.data.classes, outputs)

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

    def outputs(self, layer: str | None) -> int:
        """The number of units of a layer of the classifier."""
        return self._outputs(self.classifier.module, "models.classifier", layer)

    def _outputs(self, module: nn.Module, reader: str, layer: str | None = None) -> int:
        """The number of units that the network `reader` gives for the data."""
        read = Readout(module, layer, key="target" if layer else reader)
        return check_data_fit(self.data, read, key="data.source", reader=reader).shape[1]

    def real(self, objective: str) -> np.ndarray:
        """The samples that an objective compares explanations with, [M, *shape].

        Raises:
            InputError: they are to be those of a class, and the data have no labels.
        """
        index, spec = next((i, one) for i, one in enumerate(self.spec.objectives) if one.name == objective)
        if spec.reference is None:
            return self.explainer.real
        label = label_of(self.spec, self.data)
        if label is None or self.data.y is None:
            rule = "has a use only with data that have labels"
            raise InputError(rule, key=f"objective.{index}.reference", value=spec.reference)
        return self.data.x[self.data.y == label]

    @cached_property
    def identity(self) -> dict[str, str]:
        """Fingerprints of everything that is loaded: the same identity gives the same results."""
        roles = ("generator", "inpainter", "expert", "classifier")
        models = {role: getattr(self, role) for role in roles} | {"judge": self._judge}
        models |= {f"classifiers.{name}": model for name, model in self.classifiers.items() if name}
        models |= {f"witnesses.{name}": model for name, model in self.witnesses.items()}
        models |= {f"objective.{name}": model for name, model in self.feature_models.items()}
        found = {f"models.{name}": model.fingerprint for name, model in models.items() if model is not None}
        found |= {"images": self.images.fingerprint} if self.spec.images else {}
        found |= {f"data.{name}": hashlib.sha256(array.tobytes()).hexdigest() for name, array in self.arrays.items()}
        found |= {"data.boxes": hashlib.sha256(self.boxes.tobytes()).hexdigest()} if self.boxes is not None else {}
        found |= {f"witnesses.{one.name}.class": str(one.class_) for one in self.spec.witnesses}
        return {**found, "data": self.data.fingerprint}

    @cached_property
    def stepping(self) -> dict[str, Any]:
        """What a row's way depends on beside its configuration, seed, example and lane, in plain data.

        Workloads of the same may have their rows in the same lanes, and kept rows are named by it.
        """
        spec = self.spec
        return {
            **self.explainer.stepping,
            "classifier": self.classifier.fingerprint,
            "method": [spec.method, spec.options],
            "precision": spec.precision,
            "versions": [version("raysweep"), torch.__version__],
        }

    def check(self) -> None:
        """Try on a few rows that everything fits, before anything is started.

        Raises:
            InputError: names key, rule and value of what does not.
        """
        if not self.spec.images:
            readout = self.readout(self.classifier.module)
            check_data_fit(self.data, readout, key="data.source")
            if self.spec.query is None:  # a map is no score
                check_unsquashed(readout, self.data, key="models.classifier")
        self.explainer.check(self.data)
        self._check_judge()
        self._check_witnesses()
        for index, one in enumerate(self.spec.objectives):
            if one.name in COMPARE_FEATURES:
                self._check_features(one.name, f"objective.{index}")
        fewest = min([len(self.explainer.real), *(self._compared(one.name) for one in self.spec.objectives)])
        if self.spec.examples > fewest:
            raise InputError(
                f"N larger than the reference: the data have {fewest} examples to compare with",
                key="examples",
                value=self.spec.examples,
            )

    def _compared(self, objective: str) -> int:
        """How many real samples an objective compares so many examples with; of one of several classes, of each."""
        if objective in COMPARE_TOGETHER and isinstance(self.explainer, GanExplainer):
            return len(self.explainer.together()[0])
        return len(self.real(objective))

    def _check_judge(self) -> None:
        if self._judge is not None:
            read = Readout(self._judge.module, key="models.judge")
            if self.generator is not None:
                check_fit(self.generator, read, data=self.data, role="judge")
            check_data_fit(self.data, read, key="data.source", reader="models.judge")
            check_unsquashed(read, self.data, key="models.judge")
            check_rows_independent(read, self.explainer.example, key="models.judge")
            _ = self.judged_unit  # refused now, when the judge does not know it
        if self.judges_features:
            self._check_judge_features()

    def _check_judge_features(self) -> None:
        try:
            check_features(self.judge_features(), tuple(self.explainer.example.shape[1:]), key="models.judge")
        except InputError as error:
            hint = "Classes are compared in what the judge's last Linear reads: define none after it that does not run"
            raise InputError(error.rule, key="models.judge", value=error.value, suggestion=hint) from None

    @cached_property
    def witnessed(self) -> dict[str, tuple[Readout, int]]:
        """Each witness and the output that it is asked for; of one output, 0."""
        found = {}
        for one in self.spec.witnesses:
            model, key = self.witnesses[one.name], f"models.witnesses.{one.name}"
            read = Readout(model.module, key=key)
            outputs = self._outputs(model.module, key)
            if one.class_ is None and outputs > 1:
                raise InputError(f"must say which of {outputs} outputs is looked for", key=f"{key}.class")
            if one.class_ is not None and outputs == 1:
                raise InputError("must be left out: there is one output", key=f"{key}.class", value=one.class_)
            unit = 0 if one.class_ is None else class_unit(one.class_, model.units or (), outputs, f"{key}.class")
            found[one.name] = read, unit
        return found

    def _check_witnesses(self) -> None:
        for name, (read, _) in self.witnessed.items():
            check_unsquashed(read, self.data, key=f"models.witnesses.{name}")
            check_rows_independent(read, self.explainer.example, key=f"models.witnesses.{name}")

    def _check_features(self, objective: str, key: str) -> None:
        features, made = self.features(objective), self.explainer.example
        if isinstance(features, InceptionFID) and self.media != "image":
            rule = "the Inception network takes images in [0, 1], so media must be image"
            raise InputError(rule, key=key, value=self.media, suggestion="Any other features: feature_fd")
        check_features(features, tuple(made.shape[1:]), key=f"{key}.model")
        check_rows_independent(features, made, key=f"{key}.model")

    def readout(self, module: nn.Module) -> Readout:
        """The explained response of a classifier module; all of the layer's units where each example has its own."""
        if self.spec.query is not None:
            return AreaReadout(module, self.spec.area, key="target")
        return Readout(module, self.spec.layer, None if self.spec.each else self.unit, key="target")

    @property
    def judges_features(self) -> bool:
        """Whether classes that are made are compared in the judge's features, as no objective says in which."""
        named = any(one.name == "seen_fd" for one in self.spec.objectives)
        return self._judge is not None and not named and isinstance(self.explainer, GanExplainer)

    def judge_features(self) -> Readout:
        """What the judge's last Linear reads, of a copy of its own."""
        assert self.judge is not None
        return features_readout(copy.deepcopy(self.judge.module), None, key="models.judge")

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

    def methods(self, count: int, device: torch.device, precision: str | None = None) -> list[Method]:
        """The method once per lane, on the device: networks of their own, because reading a layer hooks them.

        Args:
            precision: of the networks; by default as the spec says.
        """
        dtype = DTYPES[precision or self.spec.precision]
        return [self.explainer.build(device, dtype) for _ in range(count)]

    def _load(self, source: ModelSource, key: str, generator: bool = False) -> Model:
        return load_model(source, key=key, folder=self.folder, generator=generator)
