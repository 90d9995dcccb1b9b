"""The sweep file: YAML, checked whole by a schema before anything starts.

Every key that a sweep file accepts is a field below; `load_sweep` is the one way in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from raysweep.errors import InputError, RaysweepError, did_you_mean
from raysweep.search.samplers import check_sampler
from raysweep.search.space import Space, parse_space
from raysweep.yaml_source import Path_, parse_scalar, parse_yaml


def _short(name: str) -> BeforeValidator:
    """Let a bare value stand for a mapping with the one key `name`."""
    return BeforeValidator(lambda value: value if isinstance(value, (dict, BaseModel)) else {name: value})


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelKeys(_Keys):
    """A network: `zoo://…`, `module:callable` or a TorchScript file; a bare string is its `source`."""

    source: str
    weights: str | None = None
    trust: Literal["torchscript"] | None = None
    args: dict[str, Any] = {}
    latent: int | None = Field(None, ge=1)


class DataKeys(_Keys):
    """Real data: `zoo://…`, .npz, .parquet, a folder of class folders or `module:callable`."""

    source: str
    media: Literal["image", "logmel", "array"] | None = None


class TargetKeys(_Keys):
    """What is explained: a class by name or index, or unit `unit` of the named layer `layer` (spatial mean)."""

    class_: str | int | None = Field(None, alias="class")
    layer: str | None = None
    unit: int | None = Field(None, ge=0)
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class MethodKeys(_Keys):
    """The method and its named variants (METHODS of the documentation); a bare string is its `name`."""

    name: Literal["am"]
    prior: Literal["log_density", "squared_norm"] = "log_density"
    record: Literal["best", "last"] = "best"
    min_improvement: float = Field(0.0, ge=0)


class ObjectiveKeys(_Keys):
    """A score: `model` and `layer` say whose features (default: the classifier's penultimate layer)."""

    name: Literal["response_fd", "feature_fd", "kid", "fid"]
    model: Annotated[ModelKeys, _short("source")] | None = None
    layer: str | None = None


class ModelsKeys(_Keys):
    """The networks of a sweep; `judge` is an independent classifier that only measures recognition."""

    generator: Annotated[ModelKeys, _short("source")]
    classifier: Annotated[ModelKeys, _short("source")]
    judge: Annotated[ModelKeys, _short("source")] | None = None


class SearchKeys(_Keys):
    """How configurations are suggested; `from` names a finished sweep whose results are learnt from."""

    sampler: Literal["grid", "random", "tpe", "gp", "cmaes", "nsga2"] = "grid"
    startup: int = Field(10, ge=1)
    from_: str | None = Field(None, alias="from")
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class StopKeys(_Keys):
    """When a trial is stopped early, and at which step counts that is decided."""

    scheduler: Literal["none", "asha", "median"] = "none"
    min_steps: int | None = Field(None, ge=1)
    eta: int = Field(3, ge=2)
    every: int | None = Field(None, ge=1)
    grace: int = Field(1, ge=0)


class BudgetKeys(_Keys):
    """What a sweep may use; when one of them is used up, running trials finish and no further one starts."""

    trials: int | None = Field(None, ge=1)
    seconds: float | None = Field(None, gt=0)
    row_steps: int | None = Field(None, ge=1)


class HostKeys(_Keys):
    """Hosts: how many, and what each takes. On CPUs a host steps one lane per CPU."""

    count: int = Field(1, ge=1)
    cpus: int | None = Field(None, ge=1)
    gpus: int = Field(0, ge=0)


class Sweep(_Keys):
    """One study, as its sweep file says it, all defaults filled in.

    `folder` is where relative paths and modules are looked up, itself relative to the sweep file; by default there.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    method: Annotated[MethodKeys, _short("name")]
    models: ModelsKeys
    data: Annotated[DataKeys, _short("source")]
    target: Annotated[TargetKeys, _short("class")]
    direction: Literal["maximise", "minimise"] = "maximise"
    examples: int = Field(50, ge=2)
    space: dict[str, Any]
    search: SearchKeys = SearchKeys()
    stop: StopKeys = StopKeys()
    budget: BudgetKeys = BudgetKeys()
    concurrency: int = Field(8, ge=1)
    objective: Annotated[list[Annotated[ObjectiveKeys, _short("name")]], BeforeValidator(_listed), Field(min_length=1)]
    seed: int = Field(0, ge=0)
    precision: Literal["float32", "float64", "bfloat16"] = "float32"
    hosts: HostKeys = HostKeys()
    mlflow: str | None = None
    folder: str | None = None

    @property
    def parsed_space(self) -> Space:
        """The search space; it was checked when the file was."""
        return parse_space(self.space)

    def plain(self) -> dict[str, Any]:
        """The sweep as plain data, as it is journaled and written to `sweep.yaml`."""
        return self.model_dump(by_alias=True, mode="json", exclude_none=True)


class SweepFile:
    """A checked sweep together with where each of its keys stands.

    Args:
        sweep: what the file says.
        folder: the file's own folder: what its relative paths and its modules are looked up from.
        path: the file, None for a sweep given as plain data.
        lines: line of each key.
    """

    def __init__(self, sweep: Sweep, folder: Path, path: Path | None = None, lines: dict[Path_, int] | None = None):
        self.sweep, self.folder, self.path, self.lines = sweep, folder, path, lines or {}

    def located(self, error: InputError) -> InputError:
        """The same error with the file and the line of its key filled in."""
        return _located(error, str(self.path) if self.path else None, self.lines)


class SweepFileErrors(InputError):
    """All that is wrong with a sweep file, one line each."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        self.errors = list(errors)
        super().__init__(errors[0].rule, key=errors[0].key, file=errors[0].file, line=errors[0].line)

    def _message(self) -> str:
        return "\n".join(str(error) for error in self.errors)

    def __reduce__(self) -> tuple[Any, ...]:
        return (SweepFileErrors, (self.errors,))


def load_sweep(path: str | Path, overrides: Sequence[str] = ()) -> SweepFile:
    """Read and check a sweep file.

    Args:
        path: the YAML file.
        overrides: `key=value` with dotted keys and YAML values, as `--set` takes them.

    Raises:
        InputError: names file, line, key, rule and value of everything that does not hold.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError("must be a text file in UTF-8", file=str(path)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None
    raw, lines = parse_yaml(text, str(path))
    if not isinstance(raw, dict):
        raise InputError("must be a mapping of keys, as in jobs/quickstart.yaml", file=str(path), line=1, value=raw)
    for override in overrides:
        _override(raw, override, lines)
    return check_sweep(raw, file.resolve().parent, file, lines)


def check_sweep(
    raw: dict[str, Any], folder: Path, path: Path | None = None, lines: dict[Path_, int] | None = None
) -> SweepFile:
    """The sweep that plain data describes; see `load_sweep`."""
    where = str(path) if path else None
    try:
        sweep = Sweep.model_validate(raw)
    except ValidationError as error:
        found = [_from_pydantic(detail, raw) for detail in error.errors()]
        raise SweepFileErrors([_located(one, where, lines or {}) for one in found]) from None
    file = SweepFile(sweep, (folder / (sweep.folder or ".")).resolve(), path, lines)
    try:
        _check_search(sweep)
    except InputError as error:
        raise file.located(error) from None
    return file


def _check_search(sweep: Sweep) -> None:
    """The rules that hold between keys."""
    space = sweep.parsed_space
    check_sampler(space, sweep.search.sampler, len(sweep.objective))
    if sweep.search.sampler != "grid" and sweep.budget == BudgetKeys():
        raise InputError(
            f"must be given with the {sweep.search.sampler} sampler, which never ends by itself",
            key="budget",
            suggestion="Write budget: {trials: 50}",
        )
    target = sweep.target
    if (target.class_ is None) == (target.layer is None or target.unit is None):
        raise InputError(
            "must be a class, or a layer with a unit", key="target", value=target.model_dump(exclude_none=True)
        )
    names = [objective.name for objective in sweep.objective]
    for name in names:
        if names.count(name) > 1:
            raise InputError("must not name an objective twice", key="objective", value=name)


def _from_pydantic(detail: Any, raw: Any) -> InputError:
    location = tuple(part for part in detail["loc"] if part != "class_")
    key = ".".join(str(part) for part in location)
    kind = detail["type"]
    if kind == "extra_forbidden":
        fields = _fields_at(location[:-1])
        return InputError("unknown key", key=key, suggestion=did_you_mean(str(location[-1]), fields))
    if kind == "missing":
        return InputError("must be given", key=key)
    if kind == "literal_error":
        choices = [choice.strip("'") for choice in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return InputError(
            "no such choice", key=key, value=detail["input"], suggestion=did_you_mean(str(detail["input"]), choices)
        )
    rule = detail["msg"].removeprefix("Input ").replace("should", "must")
    return InputError(rule, key=key, value=detail["input"])


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """The keys that a sweep file may have below `location`."""
    schema: Any = Sweep.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    for part in location:
        schema = schema["items"] if isinstance(part, int) else schema["properties"][part]
        options = schema.get("anyOf", [schema])
        schema = next((o for o in options if "$ref" in o or "items" in o), schema)
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    return list(schema.get("properties", {}))


def _located(error: InputError, file: str | None, lines: dict[Path_, int]) -> InputError:
    if isinstance(error, SweepFileErrors) or error.file:
        return error
    path: Path_ = tuple(int(p) if p.isdigit() else p for p in (error.key or "").split(".") if p)
    while path and path not in lines:
        path = path[:-1]
    error.file, error.line = file, lines.get(path) or None
    return error


def _override(raw: dict[str, Any], override: str, lines: dict[Path_, int]) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise InputError("must read key=value", key="--set", value=override)
    *parents, last = key.split(".")
    place: Any = raw
    for parent in parents:
        place = place.setdefault(parent, {}) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            raise InputError(f"cannot set a key below '{parent}', which is no mapping", key="--set", value=override)
    place[last] = parse_scalar(value)


__all__ = ["RaysweepError", "Sweep", "SweepFile", "SweepFileErrors", "check_sweep", "load_sweep"]
