"""The values one parameter can take: a list of choices, an interval, a range of integers, or a single fixed value.

The grammar is `{choice: [...]}`, `{uniform: [a, b]}`, `{log: [a, b]}`, `{int: [a, b]}` (both ends belong) or a scalar.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from raysweep.errors import InputError, did_you_mean

Scalar: TypeAlias = "str | int | float | bool | None"
KINDS = ("choice", "uniform", "log", "int")
LARGEST = 2**63 - 1
"""Of the whole numbers that a tensor can count to."""
_UNREAD_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # YAML 1.1 reads 1e-3 as text: it wants 1.0e-3


@dataclass(frozen=True)
class Choice:
    """One of some scalars, in the sweep file's order. Numbers are all floats as soon as one of them is."""

    values: tuple[Scalar, ...]

    def contains(self, value: Any) -> bool:
        return any(same(value, own) for own in self.values)

    def canonical(self, value: Any) -> Scalar:
        return self.values[self.index(value)]

    def index(self, value: Any) -> int:
        return next(i for i, own in enumerate(self.values) if same(value, own))


@dataclass(frozen=True)
class Fixed(Choice):
    """A choice of one, written as a bare scalar."""


@dataclass(frozen=True)
class Interval:
    """Floats in [low, high], spread evenly or, with `log`, evenly in their logarithm."""

    low: float
    high: float
    log: bool = False

    def contains(self, value: Any) -> bool:
        return is_number(value) and self.low <= value <= self.high

    def canonical(self, value: Any) -> Scalar:
        return float(value)


@dataclass(frozen=True)
class Integers:
    """Integers from low to high, both included."""

    low: int
    high: int

    def contains(self, value: Any) -> bool:
        return is_number(value) and float(value).is_integer() and self.low <= value <= self.high

    def canonical(self, value: Any) -> Scalar:
        return int(value)


Domain: TypeAlias = "Choice | Interval | Integers"


def parse_domain(raw: Any, key: str) -> Domain:
    """The domain that `raw` (without its `when`) describes; `key` is its dotted place in the sweep file.

    Raises:
        InputError: with the rule that `raw` breaks.
    """
    if not isinstance(raw, dict):
        if isinstance(raw, (list, tuple)):
            raise InputError(
                "must be a scalar or a distribution", key=key, value=raw, suggestion=f"Write {{choice: {list(raw)}}}"
            )
        return Fixed((_scalar(raw, key),))
    for kind in raw:
        if kind not in KINDS:
            raise InputError(
                "is no distribution", key=f"{key}.{kind}", value=kind, suggestion=did_you_mean(str(kind), KINDS)
            )
    if len(raw) != 1:
        raise InputError(f"must name exactly one of {', '.join(KINDS)}", key=key, value=raw)
    ((kind, body),) = raw.items()
    return _choice(body, f"{key}.choice") if kind == "choice" else _range(kind, body, f"{key}.{kind}")


def same(one: Any, other: Any) -> bool:
    """Equal as parameters: 1 is 1.0, but True is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _choice(body: Any, key: str) -> Choice:
    if not isinstance(body, (list, tuple)):
        raise InputError("must be a list", key=key, value=body, suggestion=f"Write [{body}]")
    if not body:
        raise InputError("must not be empty", key=key, value=body)
    values: list[Scalar] = []
    for raw in body:
        value = _scalar(raw, key)
        if any(same(value, seen) for seen in values):
            raise InputError("must not list a value twice", key=key, value=value)
        values.append(value)
    if any(isinstance(value, float) for value in values):
        values = [float(value) if isinstance(value, int) and is_number(value) else value for value in values]
    return Choice(tuple(values))


def _range(kind: str, body: Any, key: str) -> Domain:
    if not isinstance(body, (list, tuple)) or len(body) != 2:
        raise InputError("must be a list of two numbers, [low, high]", key=key, value=body)
    for bound in body:
        if not is_number(_scalar(bound, key)):
            raise InputError("must have numbers as bounds", key=key, value=bound)
    low, high = body
    if not low < high:
        raise InputError("must have its low bound below its high bound", key=key, value=list(body))
    if kind == "int":
        if not (float(low).is_integer() and float(high).is_integer()):
            raise InputError("must have integers as bounds", key=key, value=list(body), suggestion="Or use uniform")
        return Integers(int(low), int(high))
    if kind == "log" and low <= 0:
        raise InputError("must have bounds above 0", key=key, value=list(body), suggestion="Or use uniform")
    return Interval(float(low), float(high), log=kind == "log")


def _scalar(value: Any, key: str) -> Scalar:
    if value is not None and not isinstance(value, (str, int, float)):
        raise InputError("must hold scalars only (text, numbers, true, false, null)", key=key, value=value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError("must be finite", key=key, value=value)
    if isinstance(value, int) and abs(value) > LARGEST:
        raise InputError(f"must lie between -{LARGEST} and {LARGEST}", key=key, value=value)
    if isinstance(value, str) and _UNREAD_NUMBER.fullmatch(value):
        raise InputError(
            "is read as text, not as a number", key=key, value=value, suggestion=f"Write {float(value)!r} in decimals"
        )
    return value
