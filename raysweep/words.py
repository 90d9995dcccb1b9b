"""A sweep's results in words, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from raysweep.objectives.preference import KNEE
from raysweep.outcome import SweepResult
from raysweep.record.occupancy import occupancy_in_words
from raysweep.record.store import has_store
from raysweep.record.trial import Reading

SPANS = (86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds")
"""Seconds of what an estimate is told in, the largest of which there are two."""


def print_plan(plan: dict[str, Any]) -> None:
    """Print what `check` knows before a step is timed, so that nobody waits to hear that the file is right."""
    trials = plan["trials"] if plan["trials"] is not None else "as many as the budget allows"
    print(f"trials          {trials}", flush=True)
    if plan["row_steps_unshared"] is not None:
        asked, shared = plan["row_steps_unshared"], plan["row_steps"]
        print(f"row-steps       {asked:,} asked for, {shared:,} after sharing", flush=True)
    print("timing          some steps of each method here, for an estimate", flush=True)


def print_estimate(forecast: dict[str, Any]) -> None:
    """Print how long the stepping would take here, where it is known how much there is; or why that is not known."""
    from raysweep.engine.numerics import in_words

    seconds = forecast["seconds"]
    if forecast["untimed"] is not None:
        print(f"estimate        none, as no step could be timed: {forecast['untimed']}")
    elif seconds is None:
        each = in_words(forecast["seconds_per_row_step"])
        print(f"estimate        {each} a row-step here; how many there are, the sampler decides")
    else:
        each = f"{in_words(forecast['seconds_per_row_step'])} a row-step here"
        size, unit = next((size, unit) for size, unit in SPANS if seconds >= 2 * size or size == 1)
        print(f"estimate        {seconds / size:.1f} {unit} of stepping ({each})")


def print_best(result: SweepResult, where: str) -> None:
    """Print the winner of a sweep that has ended, and what to do next; `where` is the option that names the storage."""
    found = result.best_json()
    if found is None:
        failed = [trial for trial in result.ledger.trials.values() if trial.state == "failed"]
        print(
            f"no trial is done; {len(failed)} failed" + (f", the first because: {failed[0].reason}" if failed else "")
        )
        return
    print_winner(found, result.objective_names)
    if result.occupancy:
        print(f"  {occupancy_in_words(result.occupancy)}")
    verbs = [f"report {result.name}", f"best {result.name} -o best.yaml"]
    verbs += ["ui"] if has_store(result.folder.parent) else []
    print("next: " + "   ".join(f"raysweep {verb}{where}" for verb in verbs))


def print_winner(found: dict[str, Any], objectives: list[str]) -> None:
    """Print what `best --json` has."""
    print(f"best: trial {found['number']}   {configured(found['config'])}")
    print(f"  {objectives[0]} {measured(found)} (95 % interval)")
    if unfinished := found.get("unfinished"):
        print(f"  so far: {unfinished} more {'trial has' if unfinished == 1 else 'trials have'} started and not ended")
    if found.get("oracle"):
        print("  an oracle: real samples of the target class were looked at")
    if found.get("prefer") == KNEE:
        print("  nearest to the best of all objectives at once, each scaled over the Pareto front (prefer: knee)")
    if found["margin"] is not None:
        sure = found["probability_best"]
        print(
            f"  {found['margin']:.4g} ahead of the second"
            + (f"; the best with probability {sure:.2f}" if sure is not None else "")
        )
    if "pareto" in found:
        print(f"  Pareto front over {', '.join(objectives)}:")
        for row in found["pareto"]:
            others = "  ".join(f"{name} {row['metrics'][name]:.4g}" for name in objectives[1:])
            print(f"    trial {row['number']:<4} {measured(row)}  {others}")


def print_each(rows: list[dict[str, Any]], name: str, objectives: list[str]) -> None:
    """Print what `best --each --json` lists: a line for each value of a hyper-parameter, or for each method."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in (name, "trial", *objectives, "P(best)", "settings"):
        table.add_column(title, overflow="fold", no_wrap=title != "settings")
    for row in rows:
        config = dict(row["config"])
        chance = row["probability_best"]
        others = [_metric(row["metrics"], objective) for objective in objectives[1:]]
        sure = "" if chance is None else f"{chance:.2f}"
        table.add_row(str(config.pop(name)), str(row["number"]), measured(row), *others, sure, configured(config))
    Console().print(table)


def _metric(metrics: Mapping[str, float], name: str) -> str:
    """A number of a trial's metrics, with its interval where they have one."""
    return read(Reading(metrics[name], metrics.get(f"{name}.low"), metrics.get(f"{name}.high")))


def configured(config: Mapping[str, Any]) -> str:
    """A configuration: each hyper-parameter and its number, or name."""
    return "  ".join(f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in config.items())


def print_explained(found: dict[str, Any], examples: int, where: Path) -> None:
    """Print what `explain --json` has of so many examples, and which notes among them cannot be heard."""
    means = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if isinstance(value, float))
    print(f"{examples} explanations in {where}" + (f" (mean {means})" if means else ""))
    if "unheard" in found:
        unheard = len(found["unheard"])
        print(
            f"{examples - unheard} of them can be heard: the note, what is kept, what is removed, in {where / 'sounds'}"
        )
        if unheard:
            print(f"{unheard} cannot, as the data have no waves of their notes")


def print_comparison(rows: list[dict[str, Any]], names: list[str]) -> None:
    """Print what `compare --json` lists: a line for each number that was measured of all, a column for each trial."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("", *(f"{row['sweep']}:{row['trial']}" for row in rows)):
        table.add_column(title, overflow="fold", no_wrap=not title)
    table.add_row("method", *(row["method"] + " (oracle)" * row["oracle"] for row in rows))
    for name in names:
        table.add_row(name, *(read(Reading(**row["measured"][name])) for row in rows))
    Console().print(table)


def read(reading: Reading) -> str:
    """A number, with its interval where it has one."""
    bounds = "" if reading.low is None or reading.high is None else f" [{reading.low:.4g}, {reading.high:.4g}]"
    return f"{reading.value:.4g}{bounds}"


def measured(row: dict[str, Any]) -> str:
    """An objective with its interval."""
    if row["objective"] is None:
        return "-"
    low, high = row["interval"]
    return f"{row['objective']:.4g} [{low:.4g}, {high:.4g}]"
