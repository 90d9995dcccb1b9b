"""What a session journals before its first trial: what the sweep is, where its search starts, and the numerics.

A name stands for one thing. What a result depends on beside its configuration must be as it was when the name was first
used; a search that changed begins a new chapter, which knows from the start what the earlier ones found.
"""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from raysweep.errors import InputError, SweepConflict
from raysweep.outcome import SweepResult
from raysweep.preflight import Prepared, cpus_of, describe_objectives, slots_to_try
from raysweep.record.journal import FORMAT, Journal
from raysweep.record.ledger import Ledger
from raysweep.record.trial import ENDED, Trial
from raysweep.search.conductor import outcome
from raysweep.sweepfile import Sweep

if TYPE_CHECKING:
    from raysweep.engine.workload import Workload


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
            "mel": None if prepared.workload.mel is None else prepared.workload.mel.numbers.tolist(),
            "objectives": list(describe_objectives(prepared.workload)),
        },
    )


def settle_numerics(journal: Journal, prepared: Prepared, say: Callable[[str], None]) -> None:
    """Choose what every host must do alike, because it changes the last digits; kept for as long as the sweep lives."""
    from raysweep.cluster.pool import measure_numerics

    sweep, device = prepared.sweep, "cuda" if prepared.sweep.hosts.gpus else "cpu"
    precision: str = sweep.precision
    slots, measured = sweep.slots, None
    if sweep.trains:  # nothing to choose
        precision, slots = "float32" if precision == "auto" else precision, 1
    if precision == "auto" or slots is None:
        precision, slots, measured = measure_numerics(
            prepared.workload.spec, slots_to_try(sweep, device), device, cpus_of(sweep), sweep.hosts.gpus, say
        )
        say(measured["text"])
    numerics = {"precision": precision, "slots": slots, "device": device, "threads": 1}
    journal.append("numerics", numerics=numerics, measured=measured)


def identity_of(sweep: Sweep, workload: Workload) -> dict[str, Any]:
    """What must not change under one name: everything that a result depends on beside the configuration."""
    plain = sweep.plain()
    kept = ("method", "target", "direction", "examples", "objective", "seed", "stop")
    return {**{key: plain[key] for key in kept if key in plain}, **workload.identity}


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
    result = SweepResult.load(name, prepared.storage)
    objectives = [one.name for one in prepared.sweep.objective]
    if result.objective_names != objectives:
        rule = f"must be a sweep with the same objectives, not {', '.join(result.objective_names)}"
        raise prepared.file.located(InputError(rule, key="search.from", value=name))
    ended = [trial for trial in result.ledger.trials.values() if trial.state in ENDED]
    return [[trial.config, *_told(trial)] for trial in ended]


def versions() -> dict[str, str]:
    """Of everything that a result may depend on."""
    return {name: version(name) for name in ("raysweep", "torch", "numpy", "scipy", "ray", "optuna", "mlflow")}


def _told(trial: Trial) -> list[Any]:
    told = outcome(trial)
    return [list(told.values) if told.values else None, told.pruned_at]
