"""What a sweep would cost: trials, row-steps with and without sharing, and an estimate from steps made here."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from raysweep.preflight import slots_to_try
from raysweep.search.domains import Choice
from raysweep.search.space import Config, steps_of
from raysweep.sweepfile import Sweep

if TYPE_CHECKING:
    from raysweep.engine.workload import Workload


def forecast(sweep: Sweep, workload: Workload) -> dict[str, Any]:
    """What is planned, the numerics that would be chosen here, seconds a row-step with them, and the product."""
    import torch

    from raysweep.engine.device import one_thread
    from raysweep.engine.numerics import choose

    with one_thread():
        lanes, device = len(os.sched_getaffinity(0)), torch.device("cpu")
        choice = choose(workload, device, lanes, sweep.precision, slots_to_try(sweep, "cpu"), _first(sweep))
        (method,) = workload.methods(1, device)
    seconds, configs = choice.seconds[choice.precision, choice.slots], furthest(sweep)
    turns = sum(method.turns(sweep.numbers(config), steps_of(config)) for config in configs) * sweep.rows
    total = turns * seconds if configs else None
    return {**planned(sweep), "numerics": str(choice), "seconds_per_row_step": seconds, "seconds": total}


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
    """Of the grid's configurations that differ only in steps the one of the most; none of another search."""
    space, found = sweep.parsed_space, dict[str, Config]()
    for config in _grid(sweep) if sweep.search.sampler == "grid" else ():
        key = space.config_key(config, without=("steps",))
        if key not in found or steps_of(found[key]) < steps_of(config):
            found[key] = config
    return list(found.values())


def _first(sweep: Sweep) -> dict[str, float]:
    """The first value of each hyper-parameter: what a step costs may depend on them."""
    domains = {one.name: one.domain for one in sweep.parsed_space.parameters}
    return sweep.numbers({name: one.values[0] if isinstance(one, Choice) else one.low for name, one in domains.items()})


def _grid(sweep: Sweep) -> list[Config]:
    return list(islice(sweep.parsed_space.grid(), sweep.budget.trials))
