"""Ray Tune's two plugs, a searcher and a scheduler; both only carry out what the conductor decides."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raysweep.search.conductor import Conductor

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")
os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

from ray import tune
from ray.tune import CheckpointConfig, FailureConfig, RunConfig, TuneConfig
from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from raysweep.cluster.trial_actor import TrialActor

TRIAL_CPUS = 0.001
"""A trial actor only waits; Tune does not take 0."""
TRIAL_FAILURES = 3
"""How often Tune starts a trial again whose actor died."""


class _NotPickled:
    """Tune pickles its parts for a restore that we never make: the journal is the durable state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class ConductorSearcher(_NotPickled, Searcher):
    """Hands out the conductor's trials as Tune configurations.

    Args:
        conductor: decides.
        plan_of: a planned trial's number -> the config of its `TrialActor`.
    """

    def __init__(self, conductor: Conductor, plan_of: Callable[[int], dict[str, Any]]) -> None:
        super().__init__()
        self._conductor, self._plan_of = conductor, plan_of

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config, None while there is none yet, FINISHED at the end."""
        trial = self._conductor.next_trial()
        if trial == "wait":
            return None
        if trial == "finished":
            return Searcher.FINISHED
        return self._plan_of(trial.number)

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: results reach the conductor through the scheduler."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the durable state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the durable state."""


class ConductorScheduler(_NotPickled, FIFOScheduler):
    """Reports milestones to the conductor; continues, pauses and stops trials as it says."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor
        self._paused: dict[int, TuneTrial] = {}

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """A trial is about to run on its preferred host."""
        self._conductor.leased(trial.config["number"], trial.config["hosts"][0], trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """Take a milestone, and carry out what it decides for this trial and for those that waited for it."""
        number, answer = trial.config["number"], json.loads(result["answer"])
        self._conductor.leased(number, result["host"], trial.trial_id)
        if "failed" in answer:
            self._conductor.failed(number, answer["failed"])
            decision = "stop"
        else:
            decision = self._conductor.scored(number, result["step"], **answer)
        if decision == "wait":
            self._paused[number] = trial
        self._act_on_resolved(tune_controller)
        if decision == "wait" and number not in self._paused:
            decision = "continue"
        return {"continue": self.CONTINUE, "stop": self.STOP, "wait": self.PAUSE}[decision]

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        """Tune reports a trial's last milestone here only."""
        self.on_trial_result(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Its actor died too often."""
        self._conductor.failed(trial.config["number"], f"its trial actor died {TRIAL_FAILURES + 1} times")
        self._act_on_resolved(tune_controller)

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """Trials that never ran first; a paused one only when it need not wait any more."""
        self._act_on_resolved(tune_controller)
        waiting = {trial.trial_id for trial in self._paused.values()}
        trials = tune_controller.get_trials()
        for status in (TuneTrial.PENDING, TuneTrial.PAUSED):
            for trial in trials:
                if trial.status == status and trial.trial_id not in waiting:
                    return trial  # type: ignore[no-any-return]
        return None

    def debug_string(self) -> str:
        """What Tune's table would say."""
        return "raysweep"

    def _act_on_resolved(self, tune_controller: Any) -> None:
        for number, decision in self._conductor.resolved().items():
            trial = self._paused.pop(number, None)
            if trial is not None and decision == "stop" and trial.status == TuneTrial.PAUSED:
                tune_controller.stop_trial(trial)


def run_trials(conductor: Conductor, plan_of: Callable[[int], dict[str, Any]], folder: Path) -> None:
    """Run trials until the conductor has no more; returns when the last has ended."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(conductor.concurrency)  # a custom searcher gets 1 otherwise
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, tune.PlacementGroupFactory([{"CPU": TRIAL_CPUS}])),
        tune_config=TuneConfig(
            search_alg=ConductorSearcher(conductor, plan_of),
            scheduler=ConductorScheduler(conductor),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=RunConfig(
            name="tune",
            storage_path=str(folder.resolve() / "logs"),
            failure_config=FailureConfig(max_failures=TRIAL_FAILURES),
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False, num_to_keep=1),
            verbose=0,
        ),
    )
    tuner.fit()
