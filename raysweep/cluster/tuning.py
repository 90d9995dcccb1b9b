"""Ray Tune's two plugs, a searcher and a scheduler; both only carry out what the conductor decides."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysweep.errors import OutOfMemory, StorageError
from raysweep.record.trial import Stage
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


class Driver:
    """The conductor as the two plugs see it.

    Tune would take an error of ours for one of its trials', and run that trial again. So the first error is kept, all
    trials are stopped, and `run_trials` raises it.
    """

    def __init__(self, conductor: Conductor, plan_of: Callable[[int], dict[str, Any]]) -> None:
        self.conductor, self.plan_of = conductor, plan_of
        self.error: Exception | None = None
        self.interrupted = False

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Remember Ctrl-C: Python drops the KeyboardInterrupt of one that arrives while it runs a finaliser."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(number: int, frame: Any) -> None:
            self.interrupted = True
            raise KeyboardInterrupt

        before = signal.getsignal(signal.SIGINT)
        if before != signal.SIG_IGN:  # a job put in the background
            signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def ask(self, what: Callable[[], Any], otherwise: Any) -> Any:
        """`what()`, or `otherwise` from the first error on."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self.error is None:
            try:
                return what()
            except Exception as error:
                self.error = error
        return otherwise


class ConductorSearcher(_NotPickled, Searcher):
    """Hands out the conductor's trials as Tune configurations: the config of a `TrialActor` each."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def suggest(self, trial_id: str) -> Any:
        """The next trial's config, None while there is none yet, FINISHED at the end."""
        return self._driver.ask(self._next, Searcher.FINISHED)

    def _next(self) -> Any:
        trial = self._driver.conductor.next_trial()
        if trial == "wait":
            return None
        return Searcher.FINISHED if trial == "finished" else self._driver.plan_of(trial.number)

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: results reach the conductor through the scheduler."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the durable state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the durable state."""


class ConductorScheduler(_NotPickled, FIFOScheduler):
    """Reports milestones to the conductor; continues, pauses and stops trials as it says."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver, self._conductor = driver, driver.conductor
        self._waiting: dict[int, TuneTrial] = {}
        """Trials that Tune has paused, or is about to, until their cohort decides."""
        self._doomed: set[str] = set()
        """Those that are to be stopped; Tune cannot stop a trial before it has finished pausing it."""

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """A trial is about to run on its preferred host."""
        config = trial.config
        self._driver.ask(lambda: self._conductor.leased(config["number"], config["hosts"][0], trial.trial_id), None)

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """Take a milestone, and carry out what it decides for this trial and for those that waited for it."""
        return str(self._driver.ask(lambda: self._take(trial, result), self.STOP))

    def _take(self, trial: TuneTrial, result: dict[str, Any]) -> str:
        number, answer = trial.config["number"], json.loads(result["answer"])
        if "out_of_memory" in answer:
            raise OutOfMemory(answer["out_of_memory"])
        self._conductor.leased(number, result["host"], trial.trial_id)
        if "failed" in answer:
            self._conductor.failed(number, answer["failed"])
            decision = "stop"
        else:
            decision = self._conductor.scored(number, Stage(result["step"], result["examples"]), **answer)
        if decision == "wait":
            self._waiting[number] = trial
        self._resolve()
        if decision == "wait" and number not in self._waiting:
            decision = "stop" if trial.trial_id in self._doomed else "continue"
            self._doomed.discard(trial.trial_id)
        return {"continue": self.CONTINUE, "stop": self.STOP, "wait": self.PAUSE}[decision]

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        """Tune reports a trial's last milestone here only."""
        self.on_trial_result(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Its actor died too often."""
        reason = f"its trial actor died {TRIAL_FAILURES + 1} times"
        self._driver.ask(lambda: self._conductor.failed(trial.config["number"], reason), None)

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """Trials that never ran first; a paused one only when it need not wait any more."""
        self._driver.ask(self._resolve, None)
        trials = tune_controller.get_trials()
        for trial in trials:
            doomed = trial.trial_id in self._doomed and trial.status == TuneTrial.PAUSED
            if doomed or (self._driver.error and trial.status in (TuneTrial.PENDING, TuneTrial.PAUSED)):
                self._doomed.discard(trial.trial_id)
                tune_controller.stop_trial(trial)
        if self._driver.error:
            return None
        held = {trial.trial_id for trial in self._waiting.values()} | self._doomed
        for status in (TuneTrial.PENDING, TuneTrial.PAUSED):
            for trial in trials:
                if trial.status == status and trial.trial_id not in held:
                    return trial  # type: ignore[no-any-return]
        return None

    def debug_string(self) -> str:
        """What Tune's table would say."""
        return "raysweep"

    def _resolve(self) -> None:
        for number, decision in self._conductor.resolved().items():
            trial = self._waiting.pop(number, None)
            if trial is not None and decision == "stop":
                self._doomed.add(trial.trial_id)


def run_trials(conductor: Conductor, plan_of: Callable[[int], dict[str, Any]], folder: Path) -> None:
    """Run trials until the conductor has no more; returns when the last has ended.

    Raises:
        RaysweepError: whatever the conductor raised, as the journal's StorageError.
        OutOfMemory: the hosts' lanes do not fit; the trials that have not ended are to run again in narrower ones.
        StorageError: Tune ended before all trials did.
    """
    driver = Driver(conductor, plan_of)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(conductor.concurrency)  # a custom searcher gets 1 otherwise
    tuner = tune.Tuner(
        tune.with_resources(TrialActor, tune.PlacementGroupFactory([{"CPU": TRIAL_CPUS}])),
        tune_config=TuneConfig(
            search_alg=ConductorSearcher(driver),
            scheduler=ConductorScheduler(driver),
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
    with driver.interruptible():
        tuner.fit()
    if driver.error is not None:
        raise driver.error
    if conductor.ledger.running:
        numbers = ", ".join(str(trial.number) for trial in conductor.ledger.running)
        raise StorageError(f"Ray Tune ended, but trials {numbers} did not; run the sweep again to continue them")
