"""A trial as the journal knows it: plain data, no behaviour beyond reading itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

State = Literal["planned", "running", "done", "pruned", "failed"]
ENDED: frozenset[str] = frozenset({"done", "pruned", "failed"})


class Stage(NamedTuple):
    """Where a trial is scored: after `step` steps of its first `examples` rows; None: of all of them."""

    step: int
    examples: int | None = None

    @property
    def name(self) -> str:
        """What files of this stage are called, in order."""
        return f"{self.step:06d}" + ("" if self.examples is None else f"-first-{self.examples:03d}")

    def __str__(self) -> str:
        return f"step {self.step}" + ("" if self.examples is None else f" of the first {self.examples} examples")


@dataclass(frozen=True)
class Measured:
    """One objective's value with its 95 % interval.

    `replicates` are its values over the resamples that all trials share, to six digits; only a race needs them.
    """

    value: float
    low: float
    high: float
    replicates: tuple[float, ...] = ()

    @classmethod
    def from_json(cls, measured: Sequence[Any]) -> Measured:
        """From `[value, low, high]`, or `[value, low, high, replicates]`."""
        value, low, high, *replicates = measured
        return cls(value, low, high, *map(tuple, replicates))

    def to_json(self) -> list[Any]:
        """The inverse of `from_json`."""
        return [self.value, self.low, self.high, *([list(self.replicates)] if self.replicates else [])]


class Reading(NamedTuple):
    """A number that was measured, with its 95 % interval where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Milestone:
    """A trial scored after `step` steps of its first `examples` rows.

    Args:
        step: optimiser updates so far.
        time: when it was journaled, seconds since the epoch (MLflow gets this very timestamp).
        objectives: in the sweep file's order; the first is the one that ranks.
        metrics: everything else that was measured, by name.
        explanations: file with the tensors, relative to the sweep's folder.
        examples: how many rows were scored; None: all of the sweep's.
    """

    step: int
    time: float
    objectives: dict[str, Measured]
    metrics: dict[str, float]
    explanations: str | None = None
    examples: int | None = None

    @property
    def stage(self) -> Stage:
        """Where this is on the trial's way."""
        return Stage(self.step, self.examples)

    @property
    def readings(self) -> dict[str, Reading]:
        """Every number by name, objectives first; a metric's interval stands beside it as `.low` and `.high`."""
        metrics, known = self.metrics, self.metrics.keys() | self.objectives.keys()
        bounds = {f"{name}.{end}" for name in known for end in ("low", "high")}
        found = {name: Reading(one.value, one.low, one.high) for name, one in self.objectives.items()}
        for name, value in metrics.items():
            if name not in bounds:
                found[name] = Reading(value, metrics.get(f"{name}.low"), metrics.get(f"{name}.high"))
        return found


@dataclass
class Trial:
    """One configuration of a sweep and all that is known about it."""

    number: int
    key: str
    config: dict[str, Any]
    state: State = "planned"
    milestones: list[Milestone] = field(default_factory=list)
    reason: str | None = None
    host: str | None = None
    tune_trial: str | None = None
    planned: float | None = None
    started: float | None = None
    ended: float | None = None
    mlflow_run: str | None = None
    synced: bool = False
    numerics: dict[str, Any] = field(default_factory=dict)
    """What its result was stepped with, or will be."""

    @property
    def result(self) -> Milestone | None:
        """The last milestone reached, or None."""
        return self.milestones[-1] if self.milestones else None

    @property
    def objective(self) -> Measured | None:
        """The first objective at the last milestone, or None."""
        return next(iter(self.result.objectives.values())) if self.result else None

    def to_json(self) -> dict[str, Any]:
        """The row that `raysweep trials --json` prints; objectives beside the first stand among the metrics."""
        objective = self.objective
        metrics: dict[str, float] = {}
        if self.result is not None:
            for name, measured in list(self.result.objectives.items())[1:]:
                metrics |= {name: measured.value, f"{name}.low": measured.low, f"{name}.high": measured.high}
            metrics |= self.result.metrics
        return {
            "number": self.number,
            "key": self.key,
            "state": self.state,
            "config": self.config,
            "objective": objective.value if objective else None,
            "interval": [objective.low, objective.high] if objective else None,
            "metrics": metrics,
            "reason": self.reason,
        }
