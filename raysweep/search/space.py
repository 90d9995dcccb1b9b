"""The search space: which configurations a sweep may try.

A configuration is a dict from parameter name to value. A conditional parameter (`when: {method: rde}`) is in it only if
all its conditions hold; the parameters that it depends on come before it in `Space.parameters`. Where a sweep chooses
between methods, several parameters may have one name, each of another method: `space.lrp.alpha` is alpha when the
method is lrp.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from raysweep.errors import InputError, did_you_mean
from raysweep.search.domains import Choice, Domain, Fixed, Integers, Scalar, parse_domain, same

Config: TypeAlias = "dict[str, Any]"
METHOD = "method"
"""The parameter that says which method a configuration is of, where a sweep chooses between several."""
ONE_PASS = 1
"""Steps of a configuration that says nothing of them: the one pass of a method that takes none."""

BESIDE_THE_WAY = ("steps", "threshold")
"""Hyper-parameters on which the way of a configuration's rows does not depend: how far they go, and how what they find
is looked at (`methods.looking`)."""


def steps_of(config: Config) -> int:
    """How many steps a configuration takes."""
    return int(config.get("steps", ONE_PASS))


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter: its values and, if it is conditional, what must hold for it to matter.

    Args:
        name: as configurations have it.
        domain: its values.
        when: what must hold.
        path: where it stands in the space, of which no two are the same; default: its name.
    """

    name: str
    domain: Domain
    when: tuple[tuple[str, Scalar], ...] = ()
    path: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path or self.name)

    def active(self, config: Config) -> bool:
        return all(parent in config and same(config[parent], value) for parent, value in self.when)


@dataclass(frozen=True)
class Space:
    """An ordered set of parameters; made by `parse_space`.

    Args:
        parameters: in the sweep file's order, except that a parent precedes its conditional parameters.
        key: where the space stands in the sweep file, for messages.
    """

    parameters: tuple[Parameter, ...]
    key: str = "space"

    def active(self, config: Config) -> dict[str, Parameter]:
        """The parameters that a configuration has, by name."""
        return {parameter.name: parameter for parameter in self.parameters if parameter.active(config)}

    def __contains__(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)

    @property
    def free(self) -> tuple[Parameter, ...]:
        """The parameters that vary."""
        return tuple(parameter for parameter in self.parameters if not isinstance(parameter.domain, Fixed))

    @property
    def steps(self) -> Domain:
        """How many steps configurations take; where methods have their own, all that one of them may take."""
        domains = [parameter.domain for parameter in self.parameters if parameter.name == "steps"]
        if len(domains) < 2:
            return domains[0] if domains else Fixed((ONE_PASS,))
        counts = {value for domain in domains for value in (domain.values if isinstance(domain, Choice) else ())}
        return Choice(tuple(sorted(counts, key=float)))  # type: ignore[arg-type]

    @property
    def conditional(self) -> bool:
        return any(parameter.when for parameter in self.parameters)

    @property
    def size(self) -> int:
        """How many configurations a grid over this space has.

        Raises:
            InputError: when some parameter has no list of values.
        """
        if self.conditional:
            return sum(1 for _ in self.grid())
        return math.prod(len(values) for values in self._grid_values())

    def grid(self) -> Iterator[Config]:
        """Every configuration, the first parameter outermost (as `itertools.product` has it).

        Raises:
            InputError: at once, when some parameter has no list of values.
        """
        return self._branch(0, {}, self._grid_values())

    def contains(self, config: Config) -> bool:
        """Whether `config` has exactly the parameters active in it, each with a value it can take."""
        active = self.active(config)
        return active.keys() == config.keys() and all(
            parameter.domain.contains(config[name]) for name, parameter in active.items()
        )

    def canonical(self, config: Config) -> Config:
        """`config` ordered by name, each value in its parameter's own type (1 is 1.0 where floats are expected).

        Raises:
            InputError: when `config` is not one of this space.
        """
        if not self.contains(config):
            raise InputError("is not a configuration of this space", key=self.key, value=config)
        active = self.active(config)
        return {name: active[name].domain.canonical(config[name]) for name in sorted(config)}

    def config_key(self, config: Config, without: Collection[str] = ()) -> str:
        """`config` as text, equal for equal configurations, also of a space that widens this one.

        Args:
            without: names left out (`steps`, for the key of a trajectory).
        """
        canonical = {name: value for name, value in self.canonical(config).items() if name not in without}
        return json.dumps({name: _whole(value) for name, value in canonical.items()}, separators=(",", ":"))

    def _branch(self, depth: int, config: Config, values: list[tuple[Scalar, ...]]) -> Iterator[Config]:
        if depth == len(self.parameters):
            yield dict(config)
            return
        parameter = self.parameters[depth]
        if not parameter.active(config):
            yield from self._branch(depth + 1, config, values)
            return
        for value in values[depth]:
            yield from self._branch(depth + 1, {**config, parameter.name: value}, values)

    def _grid_values(self) -> list[tuple[Scalar, ...]]:
        values = []
        for parameter in self.parameters:
            domain = parameter.domain
            if not isinstance(domain, Choice):
                span = f"[{domain.low}, ..., {domain.high}]"
                kind = "an int range" if isinstance(domain, Integers) else "an interval"
                raise InputError(
                    f"must be a choice for a grid, not {kind}",
                    key=f"{self.key}.{parameter.path}",
                    value=[domain.low, domain.high],
                    suggestion=f"Write {{choice: {span}}} with the values to try, or use the random sampler",
                )
            values.append(domain.values)
        return values


def parse_space(raw: Any, key: str = "space", methods: Sequence[str] = ()) -> Space:
    """The space a sweep file describes: `{name: distribution}`, with an optional `when: {parent: value}` in each.

    Args:
        raw: what the file says.
        key: where.
        methods: names that a sweep chooses between: the first parameter is which. What stands below one of them,
            `{lrp: {alpha: distribution}}`, are parameters of that method.

    Raises:
        InputError: names the dotted key, the rule and the value of the first thing that does not hold.
    """
    if not isinstance(raw, dict):
        raise InputError("must be a mapping from parameter to distribution", key=key, value=raw)
    parameters = {METHOD: Parameter(METHOD, Choice(tuple(methods)))} if methods else {}
    for path, body, when in bodies(raw, key, methods):
        name = path.removeprefix(f"{when[METHOD]}.") if methods and METHOD in when else path
        above = parameters.get(name)
        if above is not None and path != name and dict(above.when).get(METHOD, when[METHOD]) == when[METHOD]:
            rule = f"must not be given twice, here and as {key}.{name}"
            raise InputError(rule, key=f"{key}.{path}")
        if methods and name == METHOD:
            rule = "must be left out: method.choice says between which methods a sweep chooses"
            raise InputError(rule, key=f"{key}.{path}")
        parameters[path] = Parameter(name, parse_domain(body, f"{key}.{path}"), tuple(when.items()), path)
    for parameter in parameters.values():
        _check_conditions(parameter, parameters, f"{key}.{parameter.path}.when")
    return Space(_parents_first(parameters, key), key)


def bodies(raw: dict[str, Any], key: str, methods: Sequence[str] = ()) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """(path, distribution, conditions) of each parameter of a space, those of all methods first."""
    below = {}
    for name, body in raw.items():
        if not isinstance(name, str):
            raise InputError("must have text as names", key=key, value=name)
        if name in methods:
            below[name] = body
        else:
            yield (name, *_unconditioned(body, f"{key}.{name}"))
    for method, own in below.items():
        if not isinstance(own, dict):
            raise InputError("must be a mapping from parameter to distribution", key=f"{key}.{method}", value=own)
        for path, body, when in bodies(own, f"{key}.{method}"):
            yield f"{method}.{path}", body, {METHOD: method, **when}


def shared_with(raw: dict[str, Any], method: str, methods: Sequence[str]) -> dict[str, Any]:
    """The part of a checked space that a method shares with others, without the condition that it is the one."""
    found = {}
    for name, body in raw.items():
        values, when = _unconditioned(body, name)
        if name in methods or when.get(METHOD, method) != method:
            continue
        kept = {parent: value for parent, value in when.items() if parent != METHOD}
        found[name] = {**values, "when": kept} if kept else values
    return found


def space_of(raw: dict[str, Any], method: str, methods: Sequence[str]) -> dict[str, Any]:
    """The space of one of the methods that a checked space is for."""
    return {**shared_with(raw, method, methods), **raw.get(method, {})}


def _unconditioned(body: Any, key: str) -> tuple[Any, dict[str, Any]]:
    """A distribution without its conditions, and those."""
    if not isinstance(body, dict):
        return body, {}
    when = body.get("when", {})
    if not isinstance(when, dict):
        raise InputError("must be a mapping from parameter to value", key=f"{key}.when", value=when)
    return {kind: value for kind, value in body.items() if kind != "when"}, when


def _check_conditions(parameter: Parameter, parameters: dict[str, Parameter], key: str) -> None:
    for parent, value in parameter.when:
        if (above := _parent(parameter, parent, parameters)) is None:
            hint = did_you_mean(str(parent), set(parameters) - {parameter.name})
            raise InputError("is no parameter of this space", key=f"{key}.{parent}", value=parent, suggestion=hint)
        domain = parameters[above].domain
        if not isinstance(domain, Choice):
            raise InputError("must depend on a choice, not on a range", key=f"{key}.{parent}", value=value)
        if not domain.contains(value):
            hint = did_you_mean(str(value), {str(known) for known in domain.values})
            raise InputError(f"is no choice of {parent}", key=f"{key}.{parent}", value=value, suggestion=hint)


def _parent(parameter: Parameter, name: str, parameters: Collection[str]) -> str | None:
    """The path of a parameter that another depends on: one beside it, or one of all methods."""
    beside = parameter.path.removesuffix(parameter.name) + name
    return beside if beside in parameters else name if name in parameters else None


def _parents_first(parameters: dict[str, Parameter], key: str) -> tuple[Parameter, ...]:
    placed: dict[str, Parameter] = {}
    while len(placed) < len(parameters):
        waiting = [parameter for path, parameter in parameters.items() if path not in placed]
        ready = next((p for p in waiting if all(_parent(p, parent, placed) for parent, _ in p.when)), None)
        if ready is None:
            cycle = [parameter.path for parameter in waiting]
            raise InputError("must not depend on itself, not even through others", key=f"{key}.{cycle[0]}", value=cycle)
        placed[ready.path] = ready
    return tuple(placed.values())


def _whole(value: Scalar) -> Scalar:
    return int(value) if isinstance(value, float) and value.is_integer() else value
