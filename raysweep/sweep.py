"""One sweep, end to end.

Sweep file → Sweep → search suggests a trial → Tune places it → a host advances its rows to the next milestone → the
objective scores them → journal → MLflow → the best configuration.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import platform
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from raysweep.errors import InputError, OutOfMemory, SweepConflict
from raysweep.explain import explain
from raysweep.outcome import SweepResult
from raysweep.preflight import Prepared, describe_objectives, prepare, slots_to_try
from raysweep.record.journal import FORMAT, Event, Journal
from raysweep.record.ledger import SWEEP, Ledger
from raysweep.record.recorder import Recorder
from raysweep.record.trial import ENDED, Trial
from raysweep.search.budget import Budget
from raysweep.search.conductor import Conductor, outcome, trajectory_key
from raysweep.search.outcomes import Outcome
from raysweep.search.policies import make_policy
from raysweep.search.suggest import Suggestions
from raysweep.sweepfile import Sweep, load_sweep

if TYPE_CHECKING:
    from raysweep.cluster.host import HostPlan
    from raysweep.cluster.pool import HostPool
    from raysweep.engine.workload import Workload

STORAGE = "raysweep-runs"
MLFLOW_PATIENCE = 120.0
"""Seconds that a finished sweep waits for an MLflow that answers to take the rest."""

Progress = Callable[[Event, Ledger], None]


def run(
    path: str | Path,
    *,
    storage: str | Path = STORAGE,
    mlflow: str | None = None,
    overrides: Sequence[str] = (),
    on_event: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> SweepResult:
    """Run a sweep file, or continue it where it stopped.

    Args:
        path: the sweep file.
        storage: folder of all sweeps; this one's journal and explanations lie in `storage/NAME`.
        mlflow: MLflow's tracking URI; default: the sweep file's, else a SQLite store in `storage`.
        overrides: `key=value`, dotted keys, YAML values.
        on_event: called with each journaled event and the ledger after it.
        notify: called with lines that a person should read.

    Raises:
        InputError: something in the sweep file does not hold; nothing was started.
        StorageError: the storage cannot be written, or another driver runs this sweep.
    """
    return run_prepared(prepare(load_sweep(path, overrides), Path(storage), mlflow), on_event, notify)


def run_prepared(
    prepared: Prepared, on_event: Progress | None = None, notify: Callable[[str], None] | None = None
) -> SweepResult:
    """Run a sweep that passed its checks; see `run`."""
    from raysweep.cluster.runtime import ray_runtime
    from raysweep.winner import register_winner

    say = notify or (lambda line: None)
    sweep, workload, folder = prepared.sweep, prepared.workload, prepared.folder
    for line in describe_objectives(workload):
        say(line)
    ledger = Ledger()
    recorders: list[Recorder] = []

    def apply(event: Event) -> None:
        ledger.apply(event)
        if recorders and event["event"] in ("planned", "leased", "milestone", "ended"):
            recorders[0].submit(copy.deepcopy(ledger.trials[event["number"]]))
        if on_event is not None:
            on_event(event, ledger)

    with Journal(folder, apply) as journal, ExitStack() as running:
        open_chapter(journal, ledger, prepared)
        if not ledger.numerics:
            running.enter_context(ray_runtime(cpus_of(sweep) * sweep.hosts.count))
            settle_numerics(journal, prepared, say)
        (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep.plain(), sort_keys=False), encoding="utf-8")
        conductor = conduct(journal, ledger, sweep)
        unsynced = [copy.deepcopy(trial) for trial in ledger.unsynced]
        with recording(prepared, ledger, journal, say) as recorder:
            recorders.append(recorder)
            for trial in unsynced:
                recorder.submit(trial)
            if conductor.has_work:
                run_on_hosts(conductor, journal, prepared, say)
            result = SweepResult(sweep.name, folder, ledger)
            late = recorder.close(MLFLOW_PATIENCE, summary=result.summary(), tags=result.tags())
        if late or not recorder.closed_sweep:
            say(f"MLflow lacks {len(late)} trials and the end of the sweep; run the sweep again to send them")
        else:
            try:
                register_winner(result, prepared.mlflow)
            except Exception as error:  # whatever MLflow raises: the results are safe in the journal
                say(f"the winner is not registered in MLflow ({_line(error)}); run the sweep again to register it")
    return result


def run_on_hosts(conductor: Conductor, journal: Journal, prepared: Prepared, say: Callable[[str], None]) -> None:
    """Run the conductor's trials. Where hosts run out of memory, go on with new ones and lanes half as wide.

    Raises:
        OutOfMemory: a host cannot load even for lanes of one row.
    """
    from raysweep.cluster.pool import HostPool
    from raysweep.cluster.runtime import ray_runtime
    from raysweep.cluster.tuning import run_trials

    sweep, folder, ledger = prepared.sweep, prepared.folder, conductor.ledger
    name, cpus = f"{sweep.name}-{str(ledger.sweep_id)[:8]}", cpus_of(sweep)
    with ray_runtime(cpus * sweep.hosts.count):
        while conductor.has_work:
            plan = host_plan(name, sweep, prepared.workload, folder, ledger.numerics)
            try:
                with HostPool(plan, sweep.hosts.count, cpus, sweep.hosts.gpus, say) as pool:
                    run_trials(conductor, partial(trial_plan, conductor, pool), folder)
                return
            except OutOfMemory as error:
                if error.slots == 1:
                    raise
                say(f"{error}: what has not ended starts again in lanes of {error.slots // 2}")
                journal.append("numerics", numerics={**ledger.numerics, "slots": error.slots // 2})
            open_session(journal, prepared)
            conductor = conduct(journal, ledger, sweep)


def identity_of(sweep: Sweep, workload: Workload) -> dict[str, Any]:
    """What must not change under one name: everything that a result depends on beside the configuration."""
    plain = sweep.plain()
    kept = ("method", "target", "direction", "examples", "objective", "seed", "stop")
    return {**{key: plain[key] for key in kept if key in plain}, **workload.identity}


def open_chapter(journal: Journal, ledger: Ledger, prepared: Prepared) -> None:
    """Journal the sweep, this session and, when the search changed, the start of a new study.

    Raises:
        SweepConflict: a sweep of this name explains something else.
    """
    sweep, workload = prepared.sweep, prepared.workload
    identity = identity_of(sweep, workload)
    refuse_another(ledger, identity, prepared)
    plain = sweep.plain()
    search = {key: plain[key] for key in ("space", "search", "concurrency")}
    if ledger.sweep is None or ledger.chapter["search"] != search or ledger.sweep != plain:
        chapter = ledger.chapter
        if ledger.sweep is None or chapter["search"] != search:
            chapter = new_chapter(ledger, search, prepared)
        journal.append(
            "sweep",
            format=FORMAT,
            id=ledger.sweep_id or uuid.uuid4().hex,
            sweep=plain,
            identity=identity,
            versions=versions(),
            chapter=chapter,
        )
    open_session(journal, prepared)


def open_session(journal: Journal, prepared: Prepared) -> None:
    """Journal that this driver runs the sweep from here on."""
    journal.append(
        "session",
        driver={"host": platform.node(), "pid": os.getpid()},
        about={
            "home": str(prepared.file.folder),
            "media": prepared.workload.media,
            "objectives": list(describe_objectives(prepared.workload)),
        },
    )


def settle_numerics(journal: Journal, prepared: Prepared, say: Callable[[str], None]) -> None:
    """Choose what every host must do alike, because it changes the last digits; kept for as long as the sweep lives."""
    from raysweep.cluster.pool import measure_numerics

    sweep, device = prepared.sweep, "cuda" if prepared.sweep.hosts.gpus else "cpu"
    precision: str = sweep.precision
    slots, measured = sweep.slots, None
    if precision == "auto" or slots is None:
        precision, slots, measured = measure_numerics(
            prepared.workload.spec, slots_to_try(sweep, device), device, cpus_of(sweep), sweep.hosts.gpus
        )
        say(measured["text"])
    numerics = {"precision": precision, "slots": slots, "device": device, "threads": 1}
    journal.append("numerics", numerics=numerics, measured=measured)


def refuse_another(ledger: Ledger, identity: dict[str, Any], prepared: Prepared) -> None:
    """A name stands for one thing: whatever a result depends on must be as it was."""
    given = given_numerics(prepared.sweep) if ledger.numerics else {}
    known, found = {**ledger.identity, **ledger.first_numerics}, {**identity, **given}
    measured = {"precision", "slots"} - given.keys()
    for key in sorted({*ledger.identity, *found} - measured if ledger.sweep else ()):
        if known.get(key) != found.get(key):
            rule = f"differs from what the sweep '{prepared.sweep.name}' was started with ({known.get(key)})"
            error = SweepConflict(rule, key=key, value=found.get(key), suggestion="Give the sweep another name")
            raise prepared.file.located(error)


def given_numerics(sweep: Sweep) -> dict[str, Any]:
    """What the sweep file itself says of them."""
    given = {"precision": None if sweep.precision == "auto" else sweep.precision, "slots": sweep.slots}
    return {key: value for key, value in given.items() if value is not None}


def new_chapter(ledger: Ledger, search: dict[str, Any], prepared: Prepared) -> dict[str, Any]:
    """Where a new study starts, and what it knows from the start: [config, values, pruned_at] of ended trials."""
    warm = [[trial.config, *_told(trial)] for trial in ledger.trials.values() if trial.state in ENDED]
    before = ledger.chapter.get("search", {}).get("search", {}).get("from")
    same = ledger.sweep is not None and before == prepared.sweep.search.from_
    kept = ledger.chapter["imported"] if same else imported(prepared)
    return {"first": len(ledger.trials), "warm": warm + kept, "imported": kept, "search": search}


def imported(prepared: Prepared) -> list[Any]:
    """What the sweep that `search.from` names has found."""
    name = prepared.sweep.search.from_
    if name is None:
        return []
    result = load_result(name, prepared.storage)
    objectives = [one.name for one in prepared.sweep.objective]
    if result.objective_names != objectives:
        rule = f"must be a sweep with the same objectives, not {', '.join(result.objective_names)}"
        raise prepared.file.located(InputError(rule, key="search.from", value=name))
    ended = [trial for trial in result.ledger.trials.values() if trial.state in ENDED]
    return [[trial.config, *_told(trial)] for trial in ended]


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
        space["steps"].domain,
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
        return _hash([space.config_key(config), ledger.identity, ledger.numerics])

    return Conductor(
        ledger, journal.append, space, suggestions, policy, budget, sweep.concurrency, sweep.examples, key_of
    )


def cpus_of(sweep: Sweep) -> int:
    """How many CPUs each host takes."""
    return sweep.hosts.cpus or max(1, len(os.sched_getaffinity(0)) // sweep.hosts.count)


def host_plan(name: str, sweep: Sweep, workload: Workload, folder: Path, numerics: dict[str, Any]) -> HostPlan:
    """What a sweep, under a name of its own, joins each host with."""
    from raysweep.cluster.host import HostPlan, lanes_of

    spec, device = replace(workload.spec, precision=numerics["precision"]), numerics["device"]
    lanes = lanes_of(device, cpus_of(sweep))
    return HostPlan(name, spec, str(folder.resolve()), numerics["slots"], lanes, device)


def trial_plan(conductor: Conductor, pool: HostPool, number: int) -> dict[str, Any]:
    """The config of a trial's actor."""
    trial = conductor.ledger.trials[number]
    trajectory = trajectory_key(trial.config)
    return {
        "session": pool.session,
        "number": number,
        "key": trial.key,
        "trajectory": trajectory,
        "values": {name: float(value) for name, value in trial.config.items() if name != "steps"},
        "milestones": [list(stage) for stage in conductor.milestones(trial)],
        "blocks": list(conductor.blocks(trial)),
        "via": list(conductor.step_counts),
        "hosts": pool.preference(trajectory),
    }


@contextmanager
def recording(prepared: Prepared, ledger: Ledger, journal: Journal, say: Callable[[str], None]) -> Iterator[Recorder]:
    """MLflow's one writer, for the length of a sweep."""
    from raysweep.data.audio import MelSpec
    from raysweep.record.mlflow_recorder import MlflowRecorder

    sweep, folder, media = prepared.sweep, prepared.folder, prepared.workload.media

    def open_sink() -> MlflowRecorder:
        sink = MlflowRecorder(
            prepared.mlflow,
            sweep.name,
            str(ledger.sweep_id),
            None,
            folder,
            media=media,
            audio=MelSpec() if media == "logmel" else None,
        )
        run_id = sink.open_sweep(sweep.plain(), folder / "sweep.yaml", {**ledger.versions, **ledger.identity})
        if ledger.sweep_run != run_id:
            journal.append("run", number=SWEEP, run=run_id)
        return sink

    def synced(trial: Trial, run_id: str) -> None:
        if ledger.trials[trial.number].mlflow_run != run_id:
            journal.append("run", number=trial.number, run=run_id)
        if trial.state in ENDED:
            journal.append("synced", number=trial.number, state=trial.state)

    recorder = Recorder(open_sink, synced, say)
    try:
        yield recorder
    except BaseException:
        recorder.close(5.0, status="KILLED")
        raise


def load_result(name: str, storage: str | Path = STORAGE) -> SweepResult:
    """A sweep's results as its journal has them, also while it runs.

    Raises:
        InputError: there is no sweep of that name in the storage.
    """
    return SweepResult.load(name, Path(storage))


def versions() -> dict[str, str]:
    """Of everything that a result may depend on."""
    return {name: version(name) for name in ("raysweep", "torch", "numpy", "scipy", "ray", "optuna", "mlflow")}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _told(trial: Trial) -> list[Any]:
    told = outcome(trial)
    return [list(told.values) if told.values else None, told.pruned_at]


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


__all__ = ["STORAGE", "SweepResult", "explain", "load_result", "run"]
