"""The report's charts as inline SVG; colours come from the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

from raysweep.record.report.axes import Axis, axis_of, label, number_axis

LETTER = 6.2
"""Width of a letter of a tick's label, about."""


@dataclass(frozen=True)
class Point:
    """One trial in a chart.

    Args:
        number: the trial's; the page's script links it across charts and table.
        config: its hyper-parameters.
        objectives: value, low and high of each objective by name.
        role: "best", "median", "worst" or "".
        rank: 0 for the best to 1 for the worst.
        tip: what is shown on hovering.
    """

    number: int
    config: dict[str, Any]
    objectives: dict[str, tuple[float, float, float]]
    role: str
    rank: float
    tip: str


def scatter(points: Sequence[Point], parameter: str, objective: str, width: int = 340, height: int = 250) -> Markup:
    """The objective against one hyper-parameter, with interval bars and the median at each choice."""
    shown = [point for point in points if parameter in point.config]
    across = axis_of([_hashable(point.config[parameter]) for point in shown])
    up = number_axis([point.objectives[objective][0] for point in points])
    left, right, top, bottom = 52, 8, 8, 30
    longest = max((len(text) for _, text in across.ticks()), default=0)
    crowded = longest * LETTER * len(across.ticks()) > width - left - right
    if crowded:
        bottom += int(0.5 * longest * LETTER)
    plot = _Frame(left, top, width - left - right, height - top - bottom)
    parts = [plot.grid(across, up, upright=across.kind != "choice", slanted=crowded)]
    beside = _spread(shown, parameter) if across.kind == "choice" else {}
    slot = plot.width / max(len(across.choices), 1) * 0.62
    parts += _medians(shown, parameter, objective, across, up, plot, slot) if across.kind == "choice" else []
    for point in _best_last(shown):
        value, low, high = point.objectives[objective]
        x = plot.x(across.place(_hashable(point.config[parameter]))) + beside.get(point.number, 0.0) * slot
        low, high = (end if math.isfinite(end) else value for end in (low, high))
        bar = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{plot.y(up.place(low)):.1f}" y2="{plot.y(up.place(high)):.1f}"/>'
        parts.append(_mark(point, f'{bar}<circle cx="{x:.1f}" cy="{plot.y(up.place(value)):.1f}" r="4"/>'))
    name = f"{objective} against {parameter}"
    return _svg(width, height, name, parts)


def parallel(points: Sequence[Point], parameters: Sequence[str], objective: str, width: int = 1080) -> Markup:
    """Parallel coordinates: one line a trial through its hyper-parameters to its objective."""
    height, top, bottom, side = 330, 34, 14, 64
    axes: list[tuple[str, Axis]] = []
    for parameter in parameters:
        values = [_hashable(p.config[parameter]) for p in points if parameter in p.config]
        axes.append((parameter, axis_of(values, margin=0.03)))
    axes.append((objective, number_axis([point.objectives[objective][0] for point in points], margin=0.03)))
    gap = (width - 2 * side) / (len(axes) - 1) if len(axes) > 1 else 0.0
    places = [side + index * gap for index in range(len(axes))]
    parts = []
    lanes = {name: _spread(points, name) for name, axis in axes[:-1] if axis.kind == "choice"}
    for point in _best_last(points):
        stops = []
        for (name, axis), x in zip(axes, places, strict=True):
            if name != objective and name not in point.config:
                continue
            at = axis.place(point.objectives[objective][0] if name == objective else _hashable(point.config[name]))
            at += lanes.get(name, {}).get(point.number, 0.0) * 0.42 / max(len(axis.choices), 1)
            stops.append((x, top + (height - top - bottom) * (1 - at)))
        parts.append(_mark(point, f'<path d="{_curve(stops)}" style="--rank:{point.rank:.3f}"/>', kind="strand"))
    for (name, axis), x in zip(axes, places, strict=True):
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom}"/>')
        parts.append(f'<text class="name" x="{x:.1f}" y="{top - 14}" text-anchor="middle">{escape(name)}</text>')
        for place, text in axis.ticks():
            y = top + (height - top - bottom) * (1 - place)
            parts.append(f'<text class="tick halo" x="{x + 7:.1f}" y="{y + 4:.1f}">{escape(text)}</text>')
    return _svg(width, height, "parallel coordinates", parts)


def pareto(
    points: Sequence[Point], first: str, second: str, front: set[int], width: int = 620, height: int = 380
) -> Markup:
    """Two objectives against each other; the front is drawn as a line."""
    across, up = (number_axis([point.objectives[name][0] for point in points]) for name in (first, second))
    plot = _Frame(58, 8, width - 70, height - 56)
    parts = [plot.grid(across, up, upright=True)]
    parts.append(f'<text class="name" x="{width / 2}" y="{height - 8}" text-anchor="middle">{escape(first)}</text>')
    parts.append(
        f'<text class="name" transform="translate(12 {height / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(second)}</text>"
    )
    where = {
        p.number: (plot.x(across.place(p.objectives[first][0])), plot.y(up.place(p.objectives[second][0])))
        for p in points
    }
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in sorted(where[number] for number in front if number in where))
    parts.append(f'<polyline class="front" points="{line}"/>')
    for point in _best_last(points):
        x, y = where[point.number]
        kind = "dot onfront" if point.number in front else "dot"
        parts.append(_mark(point, f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>', kind=kind))
    return _svg(width, height, f"{second} against {first}", parts)


@dataclass(frozen=True)
class _Frame:
    left: float
    top: float
    width: float
    height: float

    def x(self, place: float) -> float:
        return self.left + self.width * place

    def y(self, place: float) -> float:
        return self.top + self.height * (1 - place)

    def grid(self, across: Axis, up: Axis, *, upright: bool, slanted: bool = False) -> str:
        """Tick labels, horizontal rules, and upright ones where the lower axis is numeric.

        Labels below are slanted where they would not all fit side by side.
        """
        parts = []
        right, bottom = self.left + self.width, self.top + self.height
        for place, text in up.ticks():
            y = self.y(place)
            parts.append(f'<line class="rule" x1="{self.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 7}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
            )
        for place, text in across.ticks():
            x = self.x(place)
            if upright:
                parts.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{self.top}" y2="{bottom}"/>')
            place_of = f'x="{x:.1f}" y="{bottom + 18}" text-anchor="middle"'
            if slanted:
                place_of = f'transform="translate({x + 4:.1f} {bottom + 14}) rotate(-32)" text-anchor="end"'
            parts.append(f'<text class="tick" {place_of}>{escape(text)}</text>')
        parts.append(f'<line class="axis" x1="{self.left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
        return "".join(parts)


def _medians(
    points: Sequence[Point], parameter: str, objective: str, across: Axis, up: Axis, plot: _Frame, slot: float
) -> list[str]:
    parts = []
    for choice in across.choices:
        values = sorted(p.objectives[objective][0] for p in points if _hashable(p.config[parameter]) == choice)
        y, x = plot.y(up.place(values[len(values) // 2])), plot.x(across.place(choice))
        half = slot * 0.62
        parts.append(f'<line class="median" x1="{x - half:.1f}" x2="{x + half:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return parts


def _spread(points: Sequence[Point], parameter: str) -> dict[int, float]:
    """Side by side within a choice, best first, in [-0.5, 0.5], so that no point hides another."""
    groups: dict[Any, list[Point]] = {}
    for point in points:
        if parameter in point.config:
            groups.setdefault(_hashable(point.config[parameter]), []).append(point)
    beside = {}
    for group in groups.values():
        for place, point in enumerate(sorted(group, key=lambda p: p.rank)):
            beside[point.number] = (place + 0.5) / len(group) - 0.5
    return beside


def _curve(stops: Sequence[tuple[float, float]]) -> str:
    """A smooth line through the stops, level at each of them."""
    path = f"M{stops[0][0]:.1f} {stops[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(stops):
        middle = (x0 + x1) / 2
        path += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return path


def _mark(point: Point, shape: str, kind: str = "dot") -> str:
    tip = escape(point.tip)
    return f'<g class="{kind} {point.role}" data-trial="{point.number}" data-tip="{tip}">{shape}</g>'


def _best_last(points: Sequence[Point]) -> list[Point]:
    """Drawn last is seen on top."""
    return sorted(points, key=lambda point: (bool(point.role), -point.rank))


def _svg(width: int, height: int, name: str, parts: Sequence[str]) -> Markup:
    return Markup(f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">{"".join(parts)}</svg>')


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool) else label(value)
