"""A sweep's results: the trials, the best of them and how sure that is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raysweep.errors import InputError, StorageError, did_you_mean
from raysweep.objectives.preference import KNEE, Preference
from raysweep.objectives.ranking import margin, pareto_front, probability_best
from raysweep.oracle import is_oracle
from raysweep.record.driver import sweep_folder
from raysweep.record.explanations import read_explanations
from raysweep.record.journal import read_events
from raysweep.record.ledger import Ledger
from raysweep.record.occupancy import mean_occupancy
from raysweep.record.sharing import present
from raysweep.record.trial import ENDED, Trial
from raysweep.search.space import METHOD

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SweepResult:
    """What a sweep has found so far.

    Args:
        name: of the sweep.
        folder: where its journal and explanations lie.
        ledger: its state.
    """

    name: str
    folder: Path
    ledger: Ledger

    @classmethod
    def load(cls, name: str, storage: Path) -> SweepResult:
        """Read a sweep's journal.

        Raises:
            InputError: there is none of that name; the nearest one is suggested.
        """
        folder = sweep_folder(name, storage)
        ledger = Ledger()
        for event in read_events(folder / "journal.jsonl"):
            ledger.apply(event)
        return cls(name, folder, ledger)

    @property
    def finished(self) -> list[Trial]:
        """Trials that ran to their end, best first."""
        return [self.ledger.trials[number] for number in self.preference.order(self._points)]

    @property
    def best(self) -> Trial | None:
        """The trial that the preference puts first, or None before one is done."""
        finished = self.finished
        return finished[0] if finished else None

    def best_of_each(self, name: str) -> dict[Any, Trial]:
        """The best finished trial with each value of a hyper-parameter, or of each method; best first.

        Raises:
            InputError: no trial has one of that name; the nearest one is suggested.
        """
        known = {known for trial in self.ledger.trials.values() for known in trial.config}
        if name not in known:
            rule = f"must be a hyper-parameter of {self.name}, or {METHOD} where it compares several"
            raise InputError(rule, key="--each", value=name, suggestion=did_you_mean(name, known))
        found: dict[Any, Trial] = {}
        for trial in self.finished:
            if name in trial.config:
                found.setdefault(trial.config[name], trial)
        return found

    def probability_of(self, name: str, value: Any) -> float | None:
        """How probably the best trial is one with this value, as `probability` has it of each; None when unknown."""
        trials = {number: trial for number, trial in self.ledger.trials.items() if number in self.probability}
        chances = [self.probability[number] for number, trial in trials.items() if trial.config.get(name) == value]
        return sum(chances) if chances else None

    @property
    def pareto(self) -> list[Trial]:
        """The finished trials that no other matches in every objective and beats in one; best first."""
        front = set(pareto_front(self._points))
        return [trial for trial in self.finished if trial.number in front]

    @property
    def margin(self) -> float | None:
        """How far the second best lies behind: in the objective, or in distance from the ideal point."""
        return margin(self.preference.costs(self._points))

    @cached_property
    def probability(self) -> dict[int, float]:
        """How probably each finished trial is the best, over paired resamples of the examples.

        Empty when what one of them left is not there: it might be the best.
        """
        replicates, cost = {}, self.preference.cost(self._points)
        names = [f"replicates.{name}" for name in self.objective_names]
        for trial in self.finished:
            found = self.tensors(trial)
            if not found:
                return {}
            if all(name in found for name in names):
                replicates[trial.number] = cost(np.stack([found[name] for name in names]))
        return probability_best(replicates) if replicates else {}

    @property
    def preference(self) -> Preference:
        """What makes a trial the best."""
        return Preference(self.objective_names, (self.ledger.sweep or {}).get("prefer", KNEE))

    @property
    def _points(self) -> dict[int, list[float]]:
        """The objectives of each trial that is done."""
        done = [trial for trial in self.ledger.trials.values() if trial.state == "done" and trial.result]
        return {t.number: [m.value for m in t.result.objectives.values()] for t in done if t.result}

    @property
    def objective_names(self) -> list[str]:
        """In the sweep file's order."""
        return [one["name"] for one in (self.ledger.sweep or {}).get("objective", [])]

    @property
    def trials(self) -> pd.DataFrame:
        """One row a trial: number, state, the configuration, objectives with intervals, metrics."""
        import pandas as pd

        return pd.DataFrame([_flat(trial) for trial in self.ledger.trials.values()])

    @property
    def oracle(self) -> bool:
        """Whether it looked at real samples of the class that its generators are not shown, or showed them that."""
        return is_oracle(self.ledger.sweep or {})

    def tensors(self, trial: Trial) -> dict[str, np.ndarray]:
        """What the trial left at its last milestone: explanation, latent, response, replicates."""
        result = trial.result
        if result is None or result.explanations is None or not present(self.folder / result.explanations):
            return {}
        return read_explanations(self.folder / result.explanations)

    def best_json(self) -> dict[str, Any] | None:
        """What `raysweep best --json` prints."""
        best = self.best
        if best is None:
            return None
        sure = self.probability.get(best.number)
        found = {**best.to_json(), "margin": self.margin, "probability_best": sure, "oracle": self.oracle}
        found["unfinished"] = sum(trial.state not in ENDED for trial in self.ledger.trials.values())
        if len(self.objective_names) > 1:
            found["prefer"] = (self.ledger.sweep or {}).get("prefer", KNEE)
            found["pareto"] = [trial.to_json() for trial in self.pareto]
        return found

    def each_json(self, name: str) -> list[dict[str, Any]]:
        """What `raysweep best --each NAME --json` prints: the best trial of each, best first."""
        return [
            {**trial.to_json(), "probability_best": self.probability_of(name, value)}
            for value, trial in self.best_of_each(name).items()
        ]

    @property
    def occupancy(self) -> dict[str, float] | None:
        """How full its lanes were and how much of the time it shared them, as its log says; None before it has."""
        return mean_occupancy(self.folder)

    def summary(self) -> dict[str, float]:
        """The parent run's metrics."""
        states = [trial.state for trial in self.ledger.trials.values()]
        counts = {f"trials.{state}": float(states.count(state)) for state in ("done", "pruned", "failed")}
        best = self.best
        if best is None or best.objective is None:
            return counts
        found = {"best.objective": best.objective.value}
        with suppress(StorageError):  # what the others left may be at a URL that does not answer
            chance = self.probability.get(best.number)
            found |= {} if chance is None else {"best.probability": chance}
        return {**counts, **found}

    def tags(self) -> dict[str, str]:
        """The parent run's tags."""
        best = self.best
        return {"raysweep.best_trial": str(best.number)} if best else {}


def _flat(trial: Trial) -> dict[str, Any]:
    row: dict[str, Any] = {"number": trial.number, "state": trial.state, **trial.config}
    if trial.result is not None:
        for name, measured in trial.result.objectives.items():
            row |= {name: measured.value, f"{name}.low": measured.low, f"{name}.high": measured.high}
        row |= trial.result.metrics
    return {**row, "reason": trial.reason, "key": trial.key}
