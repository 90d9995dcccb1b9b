"""A trial in MLflow's terms: names, tags, parameters and readings, as plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from raysweep.record.trial import Milestone, Trial

_SIGNS = set("_-. ")


def readings(milestone: Milestone) -> list[tuple[str, float, float, int]]:
    """All numbers of a milestone as (name, value, time, step): objectives, their intervals, and metrics."""
    values: dict[str, float] = dict(milestone.metrics)
    for name, measured in milestone.objectives.items():
        values |= {name: measured.value, f"{name}.low": measured.low, f"{name}.high": measured.high}
    return [(name, float(value), milestone.time, milestone.step) for name, value in values.items()]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted parameters; lists are written as JSON."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = text_of(value)
    return flat


def trial_tags(trial: Trial) -> dict[str, str]:
    known = {"reason": trial.reason, "host": trial.host, "tune_trial": trial.tune_trial}
    return {f"raysweep.{name}": str(value) for name, value in known.items() if value}


def not_finite(points: Iterable[tuple[str, float, float, int]]) -> dict[str, str]:
    """MLflow stores an infinity as 1.8e308, which ruins every chart: such a reading becomes a tag."""
    return {
        f"raysweep.not_finite.{name}": f"{value} at step {step}"
        for name, value, _, step in points
        if not math.isfinite(value)
    }


def run_name(trial: Trial) -> str:
    settings = " ".join(f"{name}={text_of(value)}" for name, value in trial.config.items())
    return f"{trial.number:03d} {settings}"[:120].rstrip()


def sheet_title(sweep: str, trial: Trial, milestone: Milestone) -> str:
    settings = "  ".join(f"{name} {text_of(value)}" for name, value in trial.config.items())
    scores = "  ".join(f"{name} {measured.value:.4g}" for name, measured in milestone.objectives.items())
    return f"{sweep} #{trial.number}   {settings}   |   {milestone.stage}   {scores}"


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def plain_name(name: str) -> str:
    """A name that MLflow accepts for a metric, a parameter or a tag: letters and digits of all scripts, some signs."""
    return "".join(letter if letter.isalnum() or letter in _SIGNS else "_" for letter in name)[:250]


def millis(seconds: float) -> int:
    return round(seconds * 1000)
