"""What a session journals before its first trial: what the sweep is, where its search starts, and the numerics.

A name stands for one thing. What a result depends on beside its configuration must be as it was when the name was first
used; a search that changed begins a new chapter, which knows from the start what the earlier ones found.
"""

from __future__ import annotations

import os
import platform
import re
import uuid
from collections.abc import Callable, Container, Sequence
from importlib.metadata import version
from typing import Any

from raysweep.errors import InputError, SweepConflict
from raysweep.outcome import SweepResult
from raysweep.preflight import Prepared, cpus_of, describe_objectives, slots_to_try
from raysweep.record.journal import FORMAT, Journal
from raysweep.record.ledger import Ledger
from raysweep.record.trial import ENDED, Trial
from raysweep.schema import Sweep
from raysweep.search.conductor import outcome
from raysweep.search.space import METHOD

CHOICE = f"{METHOD}.choice."
"""Before the name of each method that a sweep compares."""
_HASH = re.compile("[0-9a-f]{64}")
FINER = ("bfloat16", "float32", "float64")


def open_chapter(journal: Journal, ledger: Ledger, prepared: Prepared) -> None:
    """Journal the sweep, this session and, when the search changed, the start of a new study.

    Raises:
        SweepConflict: a sweep of this name explains something else.
    """
    sweep = prepared.sweep
    identity = identity_of(prepared)
    refuse_another(ledger, identity, prepared)
    plain = sweep.plain()
    search = {key: plain[key] for key in ("space", "search", "concurrency")}
    if sweep.methods:
        search["methods"] = list(sweep.methods)
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
        found = {}
        for name, workload in prepared.workloads.items():
            wanted = (slots_to_try(sweep, device), device, cpus_of(sweep), sweep.hosts.gpus, say)
            found[name] = measure_numerics(workload.spec, *wanted)
            say(f"{name}: {found[name][2]['text']}" if name else found[name][2]["text"])
        precision, slots = shared_numerics([(one, size) for one, size, _ in found.values()])
        measured = {name: one for name, (_, _, one) in found.items()} if sweep.methods else found[""][2]
    numerics = {"precision": precision, "slots": slots, "device": device, "threads": 1}
    journal.append("numerics", numerics=numerics, measured=measured)


def shared_numerics(chosen: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Precision and lane size of all methods of a sweep, from what suits each: the finest, and the smallest."""
    finest = max((precision for precision, _ in chosen), key=FINER.index)
    return finest, min(slots for _, slots in chosen)


def identity_of(prepared: Prepared) -> dict[str, Any]:
    """What must not change under one name: everything that a result depends on beside the configuration.

    Where methods are compared, what only concerns one stands under its key, so that another may join them.
    """
    plain, workloads = prepared.sweep.plain(), prepared.workloads
    kept: list[str] = [key for key in ("target", "direction", "examples", "objective", "seed", "stop") if key in plain]
    found: dict[str, Any] = {key: plain[key] for key in kept}
    if not prepared.sweep.methods:
        return {METHOD: plain[METHOD], **found, **workloads[""].identity}
    for name, workload in workloads.items():
        found[f"{CHOICE}{name}"] = {METHOD: plain[METHOD]["choice"][name], **workload.identity}
    return found


def identity_behind(identity: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The part of an identity that a configuration's result depends on."""
    own = f"{CHOICE}{config.get(METHOD)}"
    return {key: value for key, value in identity.items() if key == own or not key.startswith(CHOICE)}


def _apart(identity: dict[str, Any], shared: Container[str]) -> dict[tuple[str, str], Any]:
    """Each thing that must not change, by the key of the method that it concerns and its own; of shared methods."""
    found = {("", key): value for key, value in identity.items() if not key.startswith(CHOICE)}
    for method in (key for key in identity if key.startswith(CHOICE) and key in shared):
        found |= {(method, key): value for key, value in identity[method].items()}
    return found


def refuse_another(ledger: Ledger, identity: dict[str, Any], prepared: Prepared) -> None:
    """A name stands for one thing: whatever a result depends on must be as it was."""
    if ledger.sweep is None:
        return
    for method in (key for key in ledger.identity if key.startswith(CHOICE) and key not in identity):
        rule = f"must keep {method.removeprefix(CHOICE)}, of which the sweep '{prepared.sweep.name}' has trials"
        hint = "Narrow its part of the space instead, or give the sweep another name"
        raise prepared.file.located(SweepConflict(rule, key=CHOICE.rstrip("."), suggestion=hint))
    given = given_numerics(prepared.sweep) if ledger.numerics else {}
    numerics = {name: value for name, value in ledger.first_numerics.items() if name in given}
    shared = ledger.identity.keys() & identity.keys()
    known, found = _apart({**ledger.identity, **numerics}, shared), _apart({**identity, **given}, shared)
    for method, key in sorted({*known, *found}):
        was, now = known.get((method, key)), found.get((method, key))
        if was != now:
            where = method if key == METHOD and method else key
            raise prepared.file.located(_conflict(where, was, now, prepared.sweep.name))


def _conflict(key: str, was: Any, now: Any, name: str) -> SweepConflict:
    """What differs, of a mapping its first key that does; of networks and data, known by a hash, what it is made of."""
    while isinstance(was, dict) and isinstance(now, dict):
        part = min(part for part in {*was, *now} if was.get(part) != now.get(part))
        key, was, now = f"{key}.{part}", was.get(part), now.get(part)
    rule = f"differs from what the sweep '{name}' was started with"
    hint = "Give the sweep another name"
    if not all(isinstance(one, str) and _HASH.fullmatch(one) for one in (was, now)):
        return SweepConflict(f"{rule} ({was})", key=key, value=now, suggestion=hint)
    made_of = "weights, args, or the code of its module" if key.startswith("models.") else "samples, labels or classes"
    return SweepConflict(f"{rule}: other {made_of}", key=key, suggestion=f"{hint}, or take the change back")


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
