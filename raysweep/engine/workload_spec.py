"""What a host needs to know to work for a sweep, as plain data that travels; `Workload` is what it loads to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raysweep.methods import METHODS
from raysweep.models.model import ModelSource


@dataclass(frozen=True)
class ObjectiveSpec:
    """One objective, whose features it compares (None: the classifier's), and with what.

    A `reference` "class" stands for the samples of the target's class, None for those that the method compares with.
    """

    name: str
    model: ModelSource | None = None
    layer: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class WitnessSpec:
    """A network that says of explanations whether `class_` is its highest output; of one output, whether it is > 0."""

    name: str
    model: ModelSource
    class_: str | int | None = None


@dataclass(frozen=True)
class WorkloadSpec:
    """A sweep without its search: everything that a trial's result depends on beside its configuration.

    Args:
        method, options: the method's name and its named variants.
        generator, inpainter, expert, classifier, judge, witnesses: the networks; of the first three those that the
            method works with.
        data, media: the real data, and how explanations are shown (None: as generator and data say).
        target: a class by name or index; None when `layer` and `unit`, `each`, or `query` say what is explained.
        each: "predicted" or "label": each example's own class, as the classifier sees it or as the data say.
        query, area: "darken" or "darken_and_brighten" what the classifier makes in these `rows` and `columns` of a map.
        direction: "maximise" or "minimise" the response.
        examples: N, explanations of a trial.
        precision: of the networks while rows are stepped, "auto" until chosen; latents and optimiser never below
            float32.
        folder: the sweep file's own folder.
        images: real data that networks are trained on.
        trained: file of a generator that a method searches in.
        classifiers: named ones that a trial's configuration chooses from; `classifier` is the first.
    """

    method: str
    options: dict[str, Any]
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
    generator: ModelSource | None = None
    inpainter: ModelSource | None = None
    expert: ModelSource | None = None
    each: str | None = None
    query: str | None = None
    area: dict[str, list[int]] = field(default_factory=dict)
    images: str | None = None
    trained: str | None = None
    classifiers: tuple[tuple[str, ModelSource], ...] = ()
    witnesses: tuple[WitnessSpec, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of a trial."""
        return 1 if METHODS[self.method].trains else self.examples

    @property
    def scoring_precision(self) -> str:
        """Of the networks that show and score what was found: never below float32."""
        return "float64" if self.precision == "float64" else "float32"


def classifier_key(name: str) -> str:
    """The sweep file's key of one of several classifiers, or, without a name, of the only one."""
    return f"models.classifiers.{name}" if name else "models.classifier"
