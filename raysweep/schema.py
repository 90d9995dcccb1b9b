"""What a sweep file may say: every key is a field below, or of a method in `method_keys`."""

from __future__ import annotations

from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from raysweep.keys import Keys, short
from raysweep.method_keys import GanKeys, MethodKeys, SeveralKeys
from raysweep.rules import networks_of
from raysweep.search.space import METHOD, Space, parse_space, space_of


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class ModelKeys(Keys):
    """A network: `zoo://…`, `module:callable` or a TorchScript file; a bare string is its `source`."""

    source: str
    weights: str | None = None
    trust: Literal["torchscript"] | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    latent: int | None = Field(None, ge=1)


class DataKeys(Keys):
    """Real data: `zoo://…`, .npz, .parquet, a folder of class folders or `module:callable`."""

    source: str
    media: Literal["image", "logmel", "spectrum", "radio", "array"] | None = None


class AreaKeys(Keys):
    """A rectangle of a map: `[first, last]`, the last not among them; all rows, or columns, where it does not say."""

    rows: list[int] | None = None
    columns: list[int] | None = None


class TargetKeys(Keys):
    """What is explained: a class by name or index, or unit `unit` of the named layer `layer` (spatial mean).

    A class with a `layer` is the class's unit of that layer: the logits of a network that ends in a softmax. Of methods
    that explain samples, `each` sample may have a class of its own, and of a network that makes a map a `query` may ask
    for an `area` of it.
    """

    class_: str | int | None = Field(None, alias="class")
    each: Literal["predicted", "label"] | None = None
    layer: str | None = None
    unit: int | None = Field(None, ge=0)
    query: Literal["darken", "darken_and_brighten"] | None = None
    area: AreaKeys | None = None


WitnessName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
"""Part of the names of what is recorded."""


class ObjectiveKeys(Keys):
    """A score: `model` and `layer` say whose features (default: the classifier's penultimate layer).

    `reference` says of methods that excite a unit what real samples they are compared with: those of the target's class
    (default: all of the data).
    """

    name: Literal[
        "response_fd",
        "feature_fd",
        "kid",
        "fid",
        "distortion",
        "sparsity",
        "rate_distortion",
        "localisation_error",
        "pointing_error",
        "flipping_morf",
        "flipping_lerf",
        "unfaithfulness",
        "diffuseness",
        "max_sensitivity",
        "randomisation",
        "seen_fd",
        "overall_fd",
        "overall_kid",
        "classifier_loss",
    ]
    model: Annotated[ModelKeys, short("source")] | None = None
    layer: str | None = None
    reference: Literal["class"] | None = None


class WitnessKeys(ModelKeys):
    """A network that says something of the explanations; of several outputs, that `class` is the highest."""

    class_: str | int | None = Field(None, alias="class")


class ModelsKeys(Keys):
    """The networks of a sweep; `judge` is an independent classifier that only measures recognition.

    Instead of a `classifier` there may be named `classifiers`, of which `classifier` in the space chooses one.
    `witnesses` are further classifiers that only measure, each something of its own.
    """

    generator: Annotated[ModelKeys, short("source")] | None = None
    inpainter: Annotated[ModelKeys, short("source")] | None = None
    expert: Annotated[ModelKeys, short("source")] | None = None
    classifier: Annotated[ModelKeys, short("source")] | None = None
    classifiers: dict[str, Annotated[ModelKeys, short("source")]] | None = Field(None, min_length=1)
    judge: Annotated[ModelKeys, short("source")] | None = None
    witnesses: dict[WitnessName, Annotated[WitnessKeys, short("source")]] | None = Field(None, min_length=1)

    @property
    def named(self) -> dict[str, ModelKeys]:
        """Each network by its key."""
        roles = {role: getattr(self, role) for role in ("generator", "inpainter", "expert", "classifier", "judge")}
        roles |= {f"classifiers.{name}": model for name, model in (self.classifiers or {}).items()}
        roles |= {f"witnesses.{name}": model for name, model in (self.witnesses or {}).items()}
        return {f"models.{role}": model for role, model in roles.items() if model is not None}


class SearchKeys(Keys):
    """How configurations are suggested; `from` names a finished sweep whose results are learnt from."""

    sampler: Literal["grid", "random", "tpe", "gp", "cmaes", "nsga2"] = "grid"
    startup: int = Field(10, ge=1)
    from_: str | None = Field(None, alias="from")


class StopKeys(Keys):
    """When a trial is stopped early, and at which step counts, or with how many examples, that is decided."""

    scheduler: Literal["none", "asha", "median", "race"] = "none"
    min_steps: int | None = Field(None, ge=1)
    eta: int = Field(3, ge=2)
    every: int | None = Field(None, ge=1)
    grace: int = Field(1, ge=0)
    min_examples: int | None = Field(None, ge=2)
    confidence: float = Field(0.85, gt=0.5, lt=1)


class BudgetKeys(Keys):
    """What a sweep may use; when one of them is used up, running trials finish and no further one starts."""

    trials: int | None = Field(None, ge=1)
    seconds: float | None = Field(None, gt=0)
    row_steps: int | None = Field(None, ge=1)


class HostKeys(Keys):
    """Hosts: how many, and what each takes. On CPUs a host steps one lane per CPU.

    A sweep starts with `min` of them and uses up to `max` as they find room; `count` is the same as `max`.
    """

    count: int | None = Field(None, ge=1)
    min: int = Field(1, ge=1)
    max: int | None = Field(None, ge=1)
    cpus: int | None = Field(None, ge=1)
    gpus: int = Field(0, ge=0)

    @property
    def most(self) -> int:
        """How many the sweep asks for."""
        return self.max or self.count or self.min


class Sweep(Keys):
    """What every sweep file says, all defaults filled in: of one method a `SingleSweep`, of several a `ComparingSweep`.

    `folder` is where relative paths and modules are looked up, itself relative to the sweep file; by default there.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    method: Any
    models: ModelsKeys
    data: Annotated[DataKeys, short("source")]
    images: Annotated[DataKeys, short("source")] | None = None
    target: Annotated[TargetKeys, short("class")]
    direction: Literal["maximise", "minimise"] = "maximise"
    examples: int = Field(50, ge=2)
    space: dict[str, Any]
    search: SearchKeys = SearchKeys()
    stop: StopKeys = StopKeys()
    budget: BudgetKeys = BudgetKeys()
    concurrency: int = Field(8, ge=1)
    objective: Annotated[list[Annotated[ObjectiveKeys, short("name")]], BeforeValidator(_listed), Field(min_length=1)]
    prefer: str | dict[str, float] | None = None
    seed: int = Field(0, ge=0)
    precision: Literal["auto", "float32", "float64", "bfloat16"] = "auto"
    slots: int | None = Field(None, ge=1)
    hosts: HostKeys = HostKeys()
    trial_timeout: float = Field(600.0, gt=0)
    mlflow: str | None = None
    folder: str | None = None

    def plain(self) -> dict[str, Any]:
        """The sweep as plain data, as it is journaled and written to `sweep.yaml`."""
        return self.model_dump(by_alias=True, mode="json", exclude_none=True)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods that it compares; none where there is one."""
        return ()

    @property
    def method_keys(self) -> dict[str, Any]:
        """What is said of each method, by its key."""
        return {METHOD: self.method}

    @property
    def names(self) -> dict[str, list[str]]:
        """What each hyper-parameter that is chosen by name chooses from, of a sweep of one method."""
        return {}

    def numbers(self, config: dict[str, Any]) -> dict[str, float]:
        """A configuration's hyper-parameters without its method and steps, as numbers: of names their place."""
        names = self.names
        return {
            name: float(names[name].index(value) if isinstance(value, str) else value)
            for name, value in config.items()
            if name not in (METHOD, "steps")
        }

    @property
    def parsed_space(self) -> Space:
        """The search space; it was checked when the file was."""
        return parse_space(self.space, methods=self.methods)

    @property
    def trains(self) -> bool:
        """Whether a trial is one generator, which makes all explanations."""
        return isinstance(self.method, GanKeys)

    @property
    def rows(self) -> int:
        """Rows of a trial."""
        return 1 if self.trains else self.examples


class SingleSweep(Sweep):
    """A sweep of one method."""

    method: Annotated[MethodKeys, short("name")]

    @property
    def names(self) -> dict[str, list[str]]:
        """None where the file lists no names."""
        listed: dict[str, Any] = {
            name: reduce(getattr, key.split("."), self) for name, key in self.method.named.items()
        }
        return {name: list(found or ()) for name, found in listed.items()}


class ComparingSweep(Sweep):
    """A sweep that compares methods."""

    method: SeveralKeys

    @property
    def methods(self) -> tuple[str, ...]:
        """Their names, which the space's first parameter chooses between."""
        return tuple(self.method.choice)

    @property
    def method_keys(self) -> dict[str, Any]:
        """What is said of each method, by its key."""
        return {f"{METHOD}.choice.{name}": method for name, method in self.method.choice.items()}

    def of(self, method: str) -> SingleSweep:
        """The sweep of one of them alone: with its own part of the space, and the networks that it works with."""
        plain = self.plain()
        own = {"method": plain["method"]["choice"][method], "space": space_of(plain["space"], method, self.methods)}
        single = SingleSweep.model_validate({**plain, **own})
        idle = {role: None for role, needed in networks_of(single.method).items() if not needed}
        return single.model_copy(update={"models": single.models.model_copy(update=idle)})

    def numbers(self, config: dict[str, Any]) -> dict[str, float]:
        """As one of its method alone."""
        return self.of(config[METHOD]).numbers(config)


def sweep_of(known: dict[str, Any], config: dict[str, Any]) -> SingleSweep:
    """The sweep of the one method that a configuration is of, from a sweep as plain data."""
    if "choice" in known["method"]:
        return ComparingSweep.model_validate(known).of(config[METHOD])
    return SingleSweep.model_validate(known)
