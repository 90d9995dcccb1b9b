"""Status, logs, stop and best: of a cluster's jobs when an address is given, else of the sweeps in a folder here."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from raysweep.errors import InputError
from raysweep.outcome import SweepResult
from raysweep.record.driver import driver_log, standing, stop_driver, sweep_folder, sweep_folders
from raysweep.record.occupancy import occupancy_in_words
from raysweep.search.space import METHOD

ENDS = ("done", "pruned", "failed")


def status(
    sweep: str | None, address: str | None, storage: Path | None, here: Path, trust_network: bool = False
) -> list[dict[str, Any]]:
    """A row each: id, name, state, started, ended, trials by state, the best so far, lanes' occupancy, storage.

    Args:
        sweep: a job's id or a sweep's name; None: all.
        address: the cluster's; None: sweeps that run on this machine.
        storage: where the sweeps' folders are on this machine, if the user said so.
        here: where they are otherwise, for sweeps of this machine.
        trust_network: see `Jobs`.
    """
    if address is not None:
        from raysweep.cluster.jobs import Jobs

        return Jobs(address, trust_network).status(sweep, storage)
    folder = storage or here
    return [standing(one) for one in ([sweep_folder(sweep, folder)] if sweep else sweep_folders(folder))]


def logs(
    sweep: str,
    address: str | None,
    storage: Path,
    follow: bool,
    write: Callable[[str], None],
    trust_network: bool = False,
) -> None:
    """Hand on what a sweep's driver has printed, piece by piece; with `follow` until it ends."""
    if address is None:
        for piece in driver_log(sweep_folder(sweep, storage), follow):
            write(piece)
        return
    from raysweep.cluster.jobs import Jobs

    jobs = Jobs(address, trust_network)
    jobs.follow(sweep, write) if follow else write(jobs.logs(sweep))


def stop(sweep: str, address: str | None, storage: Path, trust_network: bool = False) -> dict[str, Any]:
    """End a sweep as Ctrl-C does and wait for it; its row, with `stopped` saying whether it ran."""
    if address is not None:
        from raysweep.cluster.jobs import Jobs

        return Jobs(address, trust_network).stop(sweep)
    folder = sweep_folder(sweep, storage)
    return {"stopped": stop_driver(folder), **standing(folder)}


def best(
    sweep: str, address: str | None, storage: Path, output: Path | None = None, trust_network: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """A sweep's winner, as `best --json` has it, and the names of the objectives; written to `output`, if given.

    Raises:
        InputError: no trial is done yet, or `output` cannot be written.
    """
    from raysweep.winner import write_best, writing

    if address is None:
        result = SweepResult.load(sweep, storage)
        found = result.best_json()
        if found is None:
            raise InputError("no trial of this sweep is done yet", value=sweep)
        if output is not None:
            write_best(result, output)
        return found, result.objective_names
    from raysweep.cluster.jobs import Jobs

    answer = Jobs(address, trust_network).best(sweep)
    if output is not None:
        with writing(output, "-o"):
            output.write_text(answer["file"], encoding="utf-8")
    return answer["best"], answer["objectives"]


def best_of_each(
    name: str, sweep: str, address: str | None, storage: Path, output: Path | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The best trial with each value of a hyper-parameter, or of each method, and the names of the objectives.

    Raises:
        InputError: no trial is done yet, or has such a hyper-parameter; or `output` cannot be written.
    """
    from raysweep.winner import write_finalists

    if address is not None:
        raise InputError("has a use only with a storage that this machine sees", key="--each", value=name)
    result = SweepResult.load(sweep, storage)
    if result.best is None:
        raise InputError("no trial of this sweep is done yet", value=sweep)
    found = result.each_json(name)
    if output is not None:
        if name != METHOD:
            raise InputError("must be method, to write the best of each", key="--each", value=name)
        write_finalists(result, output)
    return found, result.objective_names


def in_words(row: dict[str, Any]) -> str:
    """A row of `status` as a line."""
    since = datetime.fromtimestamp(row["started"]).strftime("%Y-%m-%d %H:%M:%S") if row["started"] else ""
    parts = [row["id"], f"{row['state']:<8}", since]
    if row["trials"] is not None:
        counted = [f"{row['trials'][state]} {state}" for state in ENDS if state in row["trials"]]
        open_ = sum(count for state, count in row["trials"].items() if state not in ENDS)
        if open_:
            counted.append(f"{open_} {'in flight' if row['state'] == 'running' else 'unfinished'}")
        parts.append(", ".join(counted))
    if row["best"]:
        low, high = row["best"]["interval"]
        parts.append(f"best {row['best']['objective']:.4g} [{low:.4g}, {high:.4g}] (trial {row['best']['number']})")
    if row["occupancy"]:
        parts.append(occupancy_in_words(row["occupancy"]))
    return "  ".join(part for part in [*parts, row.get("message")] if part)


def submitted_in_words(row: dict[str, Any], address: str) -> str:
    """What `submit` says of its row."""
    lines = [f"not tried here, because this machine lacks it: {path}" for path in row["unchecked"]]
    lines.append(f"{'submitted' if row['submitted'] else 'already ' + row['state']}: {row['id']}")
    verbs = "   ".join(f"raysweep {verb} {row['id']} --address {address}" for verb in ("logs", "status", "stop"))
    return "\n".join([*lines, f"next: {verbs}"])
