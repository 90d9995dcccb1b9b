"""What a sweep would cost: trials, row-steps with and without sharing, and an estimate from steps made here."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from raysweep.preflight import slots_to_try
from raysweep.schema import Sweep
from raysweep.search.domains import Choice
from raysweep.search.space import BESIDE_THE_WAY, METHOD, Config, steps_of

if TYPE_CHECKING:
    from raysweep.engine.workload import Workload


def forecast(
    sweep: Sweep, workloads: Mapping[str, Workload], say: Callable[[str], object] = lambda line: None
) -> dict[str, Any]:
    """What is planned, the numerics that would be chosen here, seconds a row-step with them, and the product.

    Seconds are None where they are not known: `untimed` says why no step could be timed, if so it is.

    Args:
        sweep: what the file says.
        workloads: of each of its methods by name; of one under "".
        say: is told the numerics of each method, a line as soon as they are known: a slow one takes a minute.
    """
    configs, each, lines, untimed = furthest(sweep), list[_Cost](), list[str](), list[str]()
    for name, workload in workloads.items():
        each.append(_cost(sweep, name, workload, [config for config in configs if config.get(METHOD, "") == name]))
        of = f"{name}: " if name else ""
        lines.append(of + each[-1].numerics)
        untimed += [of + each[-1].untimed] if each[-1].untimed is not None else []
        say(lines[-1])
    seconds = sum(one.waited * one.seconds_per_turn for one in each) if configs and not untimed else None
    turns = sum(one.turns for one in each)
    slowest = None if untimed else max(one.seconds_per_turn for one in each)
    return {
        **planned(sweep),
        "numerics": "\n".join(lines),
        "seconds_per_row_step": seconds / turns if seconds else slowest,
        "seconds": seconds,
        "untimed": "; ".join(untimed) or None,
    }


@dataclass(frozen=True)
class _Cost:
    """What stepping the rows of one method costs; why that is not known where no step could be timed.

    Args:
        turns: that rows make.
        waited: as many turns as could be made meanwhile, had every lane work to the end.
    """

    numerics: str
    turns: int
    waited: int
    seconds_per_turn: float = math.nan
    untimed: str | None = None


def _cost(sweep: Sweep, name: str, workload: Workload, configs: Sequence[Config]) -> _Cost:
    import torch

    from raysweep.engine.device import one_thread
    from raysweep.engine.numerics import choose

    with one_thread():
        device = torch.device("cpu")
        first = _first(sweep, {METHOD: name} if name else {})
        sizes = slots_to_try(sweep, "cpu")
        lanes = _lanes(sweep, configs)
        choice = choose(workload, device, lanes, sweep.precision, sizes, first)
        (method,) = workload.methods(1, device)
    each = [method.turns(sweep.numbers(config), steps_of(config)) * sweep.rows for config in configs]
    turns, waited = sum(each), longest(each, lanes) * lanes if sweep.trains else sum(each)
    if choice.untimed is not None:
        return _Cost(str(choice), turns, waited, untimed=choice.untimed)
    return _Cost(str(choice), turns, waited, choice.seconds[choice.precision, choice.slots])


def longest(trainings: Sequence[int], lanes: int) -> int:
    """The turns of the lane that has most to do: a training stays in its lane, and begins in the first that is free."""
    busy = [0] * lanes
    for turns in trainings:
        busy[busy.index(min(busy))] += turns
    return max(busy)


def _lanes(sweep: Sweep, configs: Sequence[Config]) -> int:
    """Lanes at work at once: one for each CPU, but of trainings, which have one each, no more than there are."""
    cpus = len(os.sched_getaffinity(0))
    return min(cpus, sweep.concurrency, len(configs) or cpus) if sweep.trains else cpus


def planned(sweep: Sweep) -> dict[str, int | None]:
    """Trials, row-steps before and after sharing; None for what is open. Early stopping makes it fewer."""
    if sweep.search.sampler != "grid":
        return {"trials": sweep.budget.trials, "row_steps_unshared": None, "row_steps": None}
    configs = _grid(sweep)
    return {
        "trials": len(configs),
        "row_steps_unshared": sum(steps_of(config) for config in configs) * sweep.rows,
        "row_steps": sum(steps_of(config) for config in furthest(sweep)) * sweep.rows,
    }


def furthest(sweep: Sweep) -> list[Config]:
    """Of the grid's configurations whose rows go the same way the one of the most steps; none of another search."""
    space, found = sweep.parsed_space, dict[str, Config]()
    for config in _grid(sweep) if sweep.search.sampler == "grid" else ():
        key = space.config_key(config, without=BESIDE_THE_WAY)
        if key not in found or steps_of(found[key]) < steps_of(config):
            found[key] = config
    return list(found.values())


def _first(sweep: Sweep, config: Config) -> dict[str, float]:
    """The first value of each hyper-parameter, beside those that are given: what a step costs may depend on them."""
    found = dict(config)
    for one in sweep.parsed_space.parameters:
        if one.name not in found and one.active(found):
            found[one.name] = one.domain.values[0] if isinstance(one.domain, Choice) else one.domain.low
    return sweep.numbers(found)


def _grid(sweep: Sweep) -> list[Config]:
    return list(islice(sweep.parsed_space.grid(), sweep.budget.trials))
