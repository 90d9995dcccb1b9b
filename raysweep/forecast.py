"""What a sweep would cost: trials, row-steps with and without sharing, and an estimate from steps made here."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from raysweep.preflight import slots_to_try
from raysweep.sweepfile import Sweep

if TYPE_CHECKING:
    from raysweep.engine.workload import Workload


def forecast(sweep: Sweep, workload: Workload) -> dict[str, Any]:
    """What is planned, the numerics that would be chosen here, seconds a row-step with them, and the product."""
    import torch

    from raysweep.engine.device import one_thread
    from raysweep.engine.numerics import choose

    with one_thread():
        lanes = len(os.sched_getaffinity(0))
        choice = choose(workload, torch.device("cpu"), lanes, sweep.precision, slots_to_try(sweep, "cpu"))
    found, seconds = planned(sweep), choice.seconds[choice.precision, choice.slots]
    losses = found.pop("losses")
    total = losses * seconds if losses else None
    return {**found, "numerics": str(choice), "seconds_per_row_step": seconds, "seconds": total}


def planned(sweep: Sweep) -> dict[str, int | None]:
    """Trials, row-steps before and after sharing, and losses that these take; None for what is open.

    Early stopping makes it fewer.
    """
    from raysweep.methods import METHODS

    space, method = sweep.parsed_space, METHODS[sweep.method.name]
    open_ = dict.fromkeys(("row_steps_unshared", "row_steps", "losses"), None)
    found: dict[str, int | None] = {"trials": sweep.budget.trials, **open_}
    if sweep.search.sampler == "grid":
        configs = list(islice(space.grid(), sweep.budget.trials))
        furthest: dict[str, int] = {}
        draws: dict[str, int] = {}
        for config in configs:
            key = space.config_key(config, without=("steps",))
            furthest[key] = max(furthest.get(key, 0), int(config["steps"]))
            draws[key] = method.draws_of(config)
        found["trials"] = len(configs)
        found["row_steps_unshared"] = sum(int(config["steps"]) for config in configs) * sweep.examples
        found["row_steps"] = sum(furthest.values()) * sweep.examples
        found["losses"] = sum(steps * draws[key] for key, steps in furthest.items()) * sweep.examples
    return found
