"""The search space: which configurations a sweep may try.

A configuration is a dict from parameter name to value. A conditional parameter (`when: {method: rde}`) is in it only if
all its conditions hold; the parameters that it depends on come before it in `Space.parameters`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from raysweep.errors import InputError, did_you_mean
from raysweep.search.domains import Choice, Domain, Fixed, Integers, Scalar, parse_domain, same

Config: TypeAlias = "dict[str, Any]"
ONE_PASS = 1
"""Steps of a configuration that says nothing of them: the one pass of a method that takes none."""


def steps_of(config: Config) -> int:
    """How many steps a configuration takes."""
    return int(config.get("steps", ONE_PASS))


@dataclass(frozen=True)
class Parameter:
    """One hyper-parameter: its values and, if it is conditional, what must hold for it to matter."""

    name: str
    domain: Domain
    when: tuple[tuple[str, Scalar], ...] = ()

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

    def __getitem__(self, name: str) -> Parameter:
        return next(parameter for parameter in self.parameters if parameter.name == name)

    def __contains__(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)

    @property
    def free(self) -> tuple[Parameter, ...]:
        """The parameters that vary."""
        return tuple(parameter for parameter in self.parameters if not isinstance(parameter.domain, Fixed))

    @property
    def steps(self) -> Domain:
        """How many steps configurations take."""
        return self["steps"].domain if "steps" in self else Fixed((ONE_PASS,))

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
        active = [parameter for parameter in self.parameters if parameter.active(config)]
        return {parameter.name for parameter in active} == set(config) and all(
            parameter.domain.contains(config[parameter.name]) for parameter in active
        )

    def canonical(self, config: Config) -> Config:
        """`config` ordered by name, each value in its parameter's own type (1 is 1.0 where floats are expected).

        Raises:
            InputError: when `config` is not one of this space.
        """
        if not self.contains(config):
            raise InputError("is not a configuration of this space", key=self.key, value=config)
        return {name: self[name].domain.canonical(config[name]) for name in sorted(config)}

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
                    key=f"{self.key}.{parameter.name}",
                    value=[domain.low, domain.high],
                    suggestion=f"Write {{choice: {span}}} with the values to try, or use the random sampler",
                )
            values.append(domain.values)
        return values


def parse_space(raw: Any, key: str = "space") -> Space:
    """The space a sweep file describes: `{name: distribution}`, with an optional `when: {parent: value}` in each.

    Raises:
        InputError: names the dotted key, the rule and the value of the first thing that does not hold.
    """
    if not isinstance(raw, dict):
        raise InputError("must be a mapping from parameter to distribution", key=key, value=raw)
    parameters = {}
    for name, body in raw.items():
        if not isinstance(name, str):
            raise InputError("must have text as names", key=key, value=name)
        when = body.get("when", {}) if isinstance(body, dict) else {}
        rest = {kind: value for kind, value in body.items() if kind != "when"} if isinstance(body, dict) else body
        if not isinstance(when, dict):
            raise InputError("must be a mapping from parameter to value", key=f"{key}.{name}.when", value=when)
        parameters[name] = Parameter(name, parse_domain(rest, f"{key}.{name}"), tuple(when.items()))
    for parameter in parameters.values():
        _check_conditions(parameter, parameters, f"{key}.{parameter.name}.when")
    return Space(_parents_first(parameters, key), key)


def _check_conditions(parameter: Parameter, parameters: dict[str, Parameter], key: str) -> None:
    for parent, value in parameter.when:
        if parent not in parameters:
            hint = did_you_mean(str(parent), set(parameters) - {parameter.name})
            raise InputError("is no parameter of this space", key=f"{key}.{parent}", value=parent, suggestion=hint)
        domain = parameters[parent].domain
        if not isinstance(domain, Choice):
            raise InputError("must depend on a choice, not on a range", key=f"{key}.{parent}", value=value)
        if not domain.contains(value):
            hint = did_you_mean(str(value), {str(known) for known in domain.values})
            raise InputError(f"is no choice of {parent}", key=f"{key}.{parent}", value=value, suggestion=hint)


def _parents_first(parameters: dict[str, Parameter], key: str) -> tuple[Parameter, ...]:
    placed: dict[str, Parameter] = {}
    while len(placed) < len(parameters):
        waiting = [parameter for name, parameter in parameters.items() if name not in placed]
        ready = next((p for p in waiting if all(parent in placed for parent, _ in p.when)), None)
        if ready is None:
            cycle = [parameter.name for parameter in waiting]
            raise InputError("must not depend on itself, not even through others", key=f"{key}.{cycle[0]}", value=cycle)
        placed[ready.name] = ready
    return tuple(placed.values())


def _whole(value: Scalar) -> Scalar:
    return int(value) if isinstance(value, float) and value.is_integer() else value
