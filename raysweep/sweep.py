"""One sweep, end to end.

Sweep file → Sweep → search suggests a trial → Tune places it → a host advances its rows to the next milestone → the
objective scores them → journal → MLflow → the best configuration.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.chapter import identity_behind, open_chapter, open_session, settle_numerics
from raysweep.errors import OutOfMemory
from raysweep.outcome import SweepResult
from raysweep.preflight import Prepared, cpus_of, describe, prepare
from raysweep.record.checkouts import place_of
from raysweep.record.journal import Event, Journal
from raysweep.record.ledger import Ledger
from raysweep.record.recorder import Recorder
from raysweep.recording import finish, recording
from raysweep.schema import Sweep
from raysweep.search.budget import Budget
from raysweep.search.conductor import Conductor, trajectory_key
from raysweep.search.outcomes import Outcome
from raysweep.search.policies import make_policy
from raysweep.search.space import METHOD
from raysweep.search.suggest import Suggestions
from raysweep.sweepfile import SweepFile, load_sweep

if TYPE_CHECKING:
    from raysweep.cluster.host_plan import HostPlan
    from raysweep.cluster.pool import HostPool
    from raysweep.engine.workload import Workload

STORAGE = "raysweep-runs"

Progress = Callable[[Event, Ledger], None]


def run(
    path: str | Path,
    *,
    storage: str | Path = STORAGE,
    mlflow: str | None = None,
    overrides: Sequence[str] = (),
    on_event: Progress | None = None,
    notify: Callable[[str], None] | None = None,
    take_over: bool = False,
) -> SweepResult:
    """Run a sweep file, or continue it where it stopped.

    Args:
        path: the sweep file.
        storage: folder of all sweeps, or a URL; this one's journal and explanations lie in `storage/NAME`.
        mlflow: MLflow's tracking URI; default: the sweep file's, else a SQLite store in `storage`.
        overrides: `key=value`, dotted keys, YAML values.
        on_event: called with each journaled event and the ledger after it.
        notify: called with lines that a person should read.
        take_over: of a storage at a URL, continue also where a driver of another machine has not said that it ended.

    Raises:
        InputError: something in the sweep file does not hold; nothing was started.
        StorageError: the storage cannot be written, or another driver runs this sweep.
    """
    return run_prepared(prepare(load_sweep(path, overrides), Path(storage), mlflow), on_event, notify, take_over)


def run_prepared(
    prepared: Prepared,
    on_event: Progress | None = None,
    notify: Callable[[str], None] | None = None,
    take_over: bool = False,
) -> SweepResult:
    """Run a sweep that passed its checks; see `run`."""
    from raysweep.cluster.runtime import ray_runtime

    say = notify or (lambda line: None)
    sweep, folder = prepared.sweep, prepared.folder
    for line in describe(prepared.file, prepared.workload):
        say(line)
    ledger = Ledger()
    recorders: list[Recorder] = []

    def apply(event: Event) -> None:
        ledger.apply(event)
        if recorders and event["event"] in ("planned", "leased", "milestone", "ended"):
            recorders[0].submit(copy.deepcopy(ledger.trials[event["number"]]))
        if on_event is not None:
            on_event(event, ledger)

    with Journal(folder, apply, take_over, say) as journal, ExitStack() as running:
        open_chapter(journal, ledger, prepared)
        if not ledger.numerics:
            running.enter_context(ray_runtime(cpus_of(sweep) * sweep.hosts.most))
            settle_numerics(journal, prepared, say)
        conductor = conduct(journal, ledger, sweep)
        unsynced = [copy.deepcopy(trial) for trial in ledger.unsynced]
        with recording(journal, ledger, folder, prepared.mlflow, say) as recorder:
            recorders.append(recorder)
            for trial in unsynced:
                recorder.submit(trial)
            if conductor.has_work:
                run_on_hosts(conductor, journal, prepared, say)
            result = SweepResult(sweep.name, folder, ledger)
            finish(recorder, result, prepared.mlflow, say)
    return result


def run_on_hosts(conductor: Conductor, journal: Journal, prepared: Prepared, say: Callable[[str], None]) -> None:
    """Run the conductor's trials. Where hosts run out of memory, go on with new ones and lanes half as wide.

    Raises:
        OutOfMemory: a host cannot load even for lanes of one row.
    """
    from raysweep.cluster.pool import HostPool, health_checks
    from raysweep.cluster.runtime import ray_runtime
    from raysweep.cluster.tuning import run_trials

    sweep, folder, ledger = prepared.sweep, prepared.folder, conductor.ledger
    name, cpus = f"{sweep.name}-{str(ledger.sweep_id)[:8]}", cpus_of(sweep)
    with ray_runtime(cpus * sweep.hosts.most):
        say(health_checks(sweep.trial_timeout))
        while conductor.has_work:
            try:
                with ExitStack() as joined:
                    pools = {}
                    for method, workload in prepared.workloads.items():
                        plan = host_plan(f"{name}{method and '/'}{method}", sweep, workload, folder, ledger.numerics)
                        pool = HostPool(plan, sweep.hosts.min, sweep.hosts.most, cpus, sweep.hosts.gpus, say)
                        pools[method] = joined.enter_context(pool)
                    run_trials(conductor, partial(trial_plan, prepared.file, conductor, pools), folder)
                return
            except OutOfMemory as error:
                if error.slots == 1:
                    raise
                say(f"{error}: what has not ended starts again in lanes of {error.slots // 2}")
                journal.append("numerics", numerics={**ledger.numerics, "slots": error.slots // 2})
            open_session(journal, prepared)
            conductor = conduct(journal, ledger, sweep)


def conduct(journal: Journal, ledger: Ledger, sweep: Sweep) -> Conductor:
    """The search of a sweep, brought to where the journal stands."""
    space, chapter = sweep.parsed_space, ledger.chapter
    ended = [(config, Outcome(tuple(values) if values else None, pruned)) for config, values, pruned in chapter["warm"]]
    first = [trial for trial in ledger.trials.values() if trial.number < chapter["first"]]
    suggestions = Suggestions(
        space,
        sweep.search.sampler,
        sweep.seed,
        sweep.concurrency,
        ("minimise",) * len(sweep.objective),
        trials=sweep.budget.trials,
        first=chapter["first"],
        startup=sweep.search.startup,
        warm=ended,
        known={space.config_key(trial.config) for trial in first if space.contains(trial.config)},
    )
    stop = sweep.stop
    policy = make_policy(
        stop.scheduler,
        space.steps,
        sweep.concurrency,
        sweep.examples,
        min_steps=stop.min_steps,
        eta=stop.eta,
        every=stop.every,
        grace=stop.grace,
        min_examples=stop.min_examples,
        confidence=stop.confidence,
    )
    budget = Budget(sweep.budget.trials, sweep.budget.seconds, sweep.budget.row_steps)

    def key_of(config: dict[str, Any]) -> str:
        return _hash([space.config_key(config), identity_behind(ledger.identity, config), ledger.numerics])

    return Conductor(ledger, journal.append, space, suggestions, policy, budget, sweep.concurrency, sweep.rows, key_of)


def host_plan(name: str, sweep: Sweep, workload: Workload, folder: Path, numerics: dict[str, Any]) -> HostPlan:
    """What a sweep, under a name of its own, joins each host with."""
    from raysweep.cluster.host_plan import HostPlan, lanes_of

    spec, device = replace(workload.spec, precision=numerics["precision"]), numerics["device"]
    lanes = lanes_of(device, cpus_of(sweep))
    return HostPlan(
        sweep=name,
        spec=spec,
        place=place_of(folder),
        slots=numerics["slots"],
        lanes=lanes,
        device=device,
        timeout=sweep.trial_timeout,
        identity=workload.identity,
    )


def trial_plan(file: SweepFile, conductor: Conductor, pools: Mapping[str, HostPool], number: int) -> dict[str, Any]:
    """The config of a trial's actor, which asks the hosts that its method has joined."""
    trial = conductor.ledger.trials[number]
    trajectory, method = trajectory_key(trial.config), trial.config.get(METHOD, "")
    pool, sweep = pools[method], file.of_methods[method].sweep
    return {
        "session": pool.session,
        "number": number,
        "key": trial.key,
        "trajectory": trajectory,
        "values": sweep.numbers(trial.config),
        "milestones": [list(stage) for stage in conductor.milestones(trial)],
        "blocks": list(conductor.blocks(trial)),
        "via": list(conductor.step_counts),
        "hosts": pool.preference(trajectory),
    }


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
