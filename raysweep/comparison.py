"""Sweeps side by side: what each one's winner measures, and what it makes of the same examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from raysweep.errors import InputError
from raysweep.outcome import SweepResult
from raysweep.record.overlay import glimpsed
from raysweep.record.sheets import pictures
from raysweep.record.strips import Strip, draw_strips
from raysweep.record.trial import Reading, Trial
from raysweep.search.space import METHOD
from raysweep.words import read

WRITTEN = 3
"""How many numbers stand beside the pictures of a trial."""


@dataclass(frozen=True)
class Contender:
    """A trial of a sweep, as a rule its winner."""

    sweep: SweepResult
    trial: Trial

    @classmethod
    def named(cls, wanted: str, storage: Path) -> Contender:
        """The winner of the sweep NAME, or trial NUMBER of it where NAME:NUMBER is wanted.

        Raises:
            InputError: there is no such sweep or trial, or it has measured nothing yet.
        """
        name, _, number = wanted.partition(":")
        result = SweepResult.load(name, storage)
        trials = {str(trial.number): trial for trial in result.ledger.trials.values() if trial.result}
        trial = trials.get(number) if number else result.best
        if trial is None:
            known = f": {', '.join(trials)}" if trials else "; none has yet"
            rule = "must be NAME, a sweep with a winner, or NAME:NUMBER, a trial of it that was scored"
            raise InputError(rule + (known if number else ""), value=wanted)
        return cls(result, trial)

    @property
    def name(self) -> str:
        """The sweep's; with the number of a trial that is not its winner."""
        best = self.sweep.best
        won = best is not None and best.number == self.trial.number
        return self.sweep.name if won else f"{self.sweep.name}:{self.trial.number}"

    @property
    def method(self) -> str:
        """What made it; where a sweep compares several, as it calls them."""
        return str(self.trial.config.get(METHOD) or (self.sweep.ledger.sweep or {})[METHOD]["name"])

    @property
    def readings(self) -> dict[str, Reading]:
        """All that was measured, by name."""
        return self.trial.result.readings if self.trial.result else {}

    def to_json(self) -> dict[str, Any]:
        """What `raysweep compare --json` lists."""
        return {
            "sweep": self.sweep.name,
            "trial": self.trial.number,
            "method": self.method,
            "oracle": self.sweep.oracle,
            "config": self.trial.config,
            "measured": {name: one._asdict() for name, one in self.readings.items()},
        }


def shared_readings(contenders: Sequence[Contender]) -> list[str]:
    """Names of what was measured of every one of them, in the first one's order; what has an interval first."""
    first = contenders[0].readings
    same = [name for name in first if all(name in one.readings for one in contenders)]
    return sorted(same, key=lambda name: first[name].low is None)


def comparison_sheet(contenders: Sequence[Contender], examples: int) -> Image.Image:
    """The first examples of each in a row, and what tells them apart before it.

    Raises:
        InputError: the pictures of one are not there any more.
    """
    same = shared_readings(contenders)
    strips = []
    for one in contenders:
        tensors = one.sweep.tensors(one.trial)
        if not tensors:
            raise InputError("the pictures of this trial are not there any more", value=one.name)
        media = one.sweep.ledger.media
        numbers = [f"{name} {read(one.readings[name])}" for name in (same or list(one.readings))[:WRITTEN]]
        label = ["oracle"] * one.sweep.oracle
        lines = [one.name, ", ".join([one.method, *label, *_apart(one, contenders)]), *numbers]
        strips.append(Strip(lines, pictures(glimpsed(tensors, media)[:examples], media)))
    return draw_strips(strips)


def _apart(one: Contender, contenders: Sequence[Contender]) -> list[str]:
    """The settings of a trial that some other does not have."""
    configs = [other.trial.config for other in contenders]
    return [
        f"{name} {value if isinstance(value, str) else f'{value:g}'}"
        for name, value in one.trial.config.items()
        if any(name in config and config[name] != value for config in configs)
    ]
