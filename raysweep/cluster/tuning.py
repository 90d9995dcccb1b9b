"""Ray Tune's two plugs, a searcher and a scheduler; both only carry out what the conductor decides."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import HostLost, OutOfMemory, StorageError
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
TRIAL_FAILURES = 20
"""How often Tune starts a trial again whose actor died: never the trial's fault, no code of the user's runs there."""


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
        if not isinstance(trial, str):
            return self._driver.plan_of(trial.number)
        over = trial == "finished" and not self._driver.conductor.ledger.running
        return Searcher.FINISHED if over else None  # one of those that run may have to be handed out again

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Nothing: results reach the conductor through the scheduler."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the durable state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the durable state."""


@dataclass(frozen=True)
class Held:
    """A trial that waits for others, and how often it had lost its actor when it began to."""

    trial: TuneTrial
    failures: int

    @property
    def restarted(self) -> bool:
        """Whether Tune has started it again meanwhile: then it reports again by itself."""
        return self.trial.status != TuneTrial.RUNNING or bool(self.trial.num_failures != self.failures)


class ConductorScheduler(_NotPickled, FIFOScheduler):
    """Reports milestones to the conductor; continues, holds and stops trials as it says.

    A trial that waits for others is not paused: Tune would give its actor away and start another process for it later,
    which takes longer than many a milestone. It gets no further call instead, until its decision is made.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver, self._conductor = driver, driver.conductor
        self._keeps_actors = False
        self._dropped: Counter[int] = Counter()
        """How often Tune dropped a trial before it began."""
        self._waiting: dict[int, Held] = {}
        """Trials that have reported, and have no call under way until their cohort decides."""
        self._decided: dict[int, tuple[Held, str]] = {}
        """Those of them whose decision is made and has not been carried out."""

    def on_trial_add(self, tune_controller: Any, trial: TuneTrial) -> None:
        """A trial is about to run on its preferred host."""
        config = trial.config
        self._keep_actors(tune_controller, trial)
        self._driver.ask(lambda: self._conductor.leased(config["number"], config["hosts"][0], trial.trial_id), None)

    def _keep_actors(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Let Tune keep the actors of all trials that end for those that come.

        By itself it keeps as many as trials wait, and one. Ours come when others have ended, so of several that end at
        once all but one would lose their process, and starting another takes longer than many a trial.
        """
        if not self._keeps_actors:
            self._keeps_actors = True
            tune_controller._tune_controller._actor_cache.increase_max(
                trial.placement_group_factory, self._conductor.concurrency
            )

    def on_trial_result(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> str:
        """Take a milestone and say how its trial goes on."""
        return str(self._driver.ask(lambda: self._take(trial, result), self.STOP))

    def _take(self, trial: TuneTrial, result: dict[str, Any]) -> str:
        number, answer = trial.config["number"], json.loads(result["answer"])
        if "out_of_memory" in answer:
            raise OutOfMemory(answer["out_of_memory"])
        if "lost" in answer:
            raise HostLost(f"{answer['lost']}; run the sweep again to continue it")
        self._conductor.leased(number, result["host"], trial.trial_id)
        if "failed" in answer:
            self._conductor.failed(number, answer["failed"])
            decision = "stop"
        else:
            decision = self._conductor.scored(number, Stage(result["step"], result["examples"]), **answer)
        if decision == "wait":
            self._waiting[number] = Held(trial, trial.num_failures)
        self._resolve()
        if decision == "wait" and number in self._decided:
            _, decision = self._decided.pop(number)
        return {"continue": self.CONTINUE, "stop": self.STOP, "wait": self.NOOP}[decision]

    def on_trial_complete(self, tune_controller: Any, trial: TuneTrial, result: dict[str, Any]) -> None:
        """Tune reports a trial's last milestone here only."""
        self.on_trial_result(tune_controller, trial, result)

    def on_trial_error(self, tune_controller: Any, trial: TuneTrial) -> None:
        """Its actor died too often; or it was handed a kept one that was dead already.

        Tune starts a trial again that ran (then its status is ERROR here), but drops one that was about to.
        """
        number = trial.config["number"]
        if trial.status == TuneTrial.ERROR:
            return
        self._dropped[number] += 1
        if trial.status == TuneTrial.PENDING and self._dropped[number] <= TRIAL_FAILURES + self._conductor.concurrency:
            self._driver.ask(lambda: self._conductor.again(number), None)
            return
        self._driver.ask(lambda: self._give_up(number), None)

    def _give_up(self, number: int) -> None:
        raise HostLost(
            f"the actor of trial {number} died {TRIAL_FAILURES + 1} times: the cluster loses processes or nodes; run "
            "the sweep again to continue it"
        )

    def choose_trial_to_run(self, tune_controller: Any) -> TuneTrial | None:
        """Carry out what was decided about trials that waited; then the first trial for which no actor was started.

        Not one whose actor is still starting: Tune would give it the next that is free, kill its own half-started, and
        start another for the trial after it, and so on.
        """
        self._driver.ask(self._resolve, None)
        decided, self._decided = self._decided, {}
        for held, decision in decided.values():
            if decision == "stop":
                tune_controller.stop_trial(held.trial)
            elif not held.restarted:
                tune_controller._tune_controller._schedule_trial_train(held.trial)
        pending = [trial for trial in tune_controller.get_trials() if trial.status == TuneTrial.PENDING]
        if self._driver.error is None:
            actors = tune_controller._tune_controller._trial_to_actor
            return next((trial for trial in pending if trial not in actors), None)
        for trial in (*pending, *(held.trial for held in self._waiting.values())):
            tune_controller.stop_trial(trial)
        self._waiting.clear()
        return None

    def debug_string(self) -> str:
        """What Tune's table would say."""
        return "raysweep"

    def _resolve(self) -> None:
        for number, decision in self._conductor.resolved().items():
            if number in self._waiting:
                self._decided[number] = self._waiting.pop(number), decision


def run_trials(conductor: Conductor, plan_of: Callable[[int], dict[str, Any]], folder: Path) -> None:
    """Run trials until the conductor has no more; returns when the last has ended.

    Raises:
        RaysweepError: whatever the conductor raised, as the journal's StorageError.
        HostLost: no host answers any more; what was found is kept.
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
