"""Axes for the report's charts: where a value lies between 0 and 1, and where the ticks are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Axis:
    """Places values on [0, 1].

    Args:
        kind: "linear", "log" or "choice".
        low, high: the range of a numeric axis (of the logarithm when "log").
        choices: the values of a choice axis, in order.
    """

    kind: str
    low: float = 0.0
    high: float = 1.0
    choices: tuple[Any, ...] = ()

    def place(self, value: Any) -> float:
        """Where `value` lies; a numeric value outside the range is put at its edge."""
        if self.kind == "choice":
            return (self.choices.index(value) + 0.5) / len(self.choices)
        number = _log(value) if self.kind == "log" else float(value)
        return min(max((number - self.low) / (self.high - self.low), 0.0), 1.0)

    def ticks(self) -> list[tuple[float, str]]:
        """(place, label) of each tick."""
        if self.kind == "choice":
            return [(self.place(choice), label(choice)) for choice in self.choices]
        if self.kind == "log":
            return [(self.place(value), label(value)) for value in _decades(self.low, self.high)]
        return [(self.place(value), label(value)) for value in _round_steps(self.low, self.high)]


def axis_of(values: Sequence[Any], margin: float = 0.06) -> Axis:
    """The axis that suits the values: few or no numbers are choices, wide positive ranges are logarithmic."""
    distinct = list(dict.fromkeys(values))
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in distinct)
    if not numeric or len(distinct) <= 6:
        ordered = sorted(distinct) if numeric else distinct
        return Axis("choice", choices=tuple(ordered))
    return number_axis([float(value) for value in distinct], margin)


def number_axis(values: Sequence[float], margin: float = 0.06) -> Axis:
    """A linear axis, or a logarithmic one when positive values span more than a factor of 30."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    kind = "log" if low > 0 and high / low > 30 else "linear"
    if kind == "log":
        low, high = _log(low), _log(high)
    pad = (high - low) * margin or max(abs(high) * 0.1, 0.5)
    return Axis(kind, low - pad, high + pad)


def label(value: Any) -> str:
    """A value in as few characters as tell it apart: 0.001, 12.4, 60.5k, 1.2M."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-4:
        return f"{value:.2e}"
    for bound, unit, suffix in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= bound:
            return f"{float(f'{value / unit:.3g}'):g}{suffix}"
    return f"{value:.4g}"


def _log(value: float) -> float:
    return math.log10(value) if value > 0 else -math.inf


def _decades(low: float, high: float) -> list[float]:
    whole = range(math.ceil(low), math.floor(high) + 1)
    if len(whole) >= 2:
        every = max(1, round(len(whole) / 6))
        return [float(10.0**power) for power in whole[::every]]
    near = [m * 10.0**p for p in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)]
    return [value for value in near if low <= math.log10(value) <= high]


def _round_steps(low: float, high: float, about: int = 5) -> list[float]:
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [round(n * step, 12) for n in range(first, math.floor(high / step) + 1)]
