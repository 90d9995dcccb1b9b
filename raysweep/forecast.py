"""What a sweep would cost: trials, row-steps with and without sharing, and an estimate from steps made here."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from raysweep.sweepfile import Sweep

if TYPE_CHECKING:
    from raysweep.engine.workload import Workload

STEPS = 5


def forecast(sweep: Sweep, workload: Workload) -> dict[str, Any]:
    """What is planned, measured seconds a row-step, and the product."""
    found, seconds = planned(sweep), seconds_per_row_step(workload)
    total = found["row_steps"] * seconds if found["row_steps"] else None
    return {**found, "seconds_per_row_step": seconds, "seconds": total}


def planned(sweep: Sweep) -> dict[str, int | None]:
    """Trials, row-steps before and after sharing; None for what is open. Early stopping makes it fewer."""
    space = sweep.parsed_space
    found: dict[str, int | None] = {"trials": sweep.budget.trials, "row_steps_unshared": None, "row_steps": None}
    if sweep.search.sampler == "grid":
        configs = list(islice(space.grid(), sweep.budget.trials))
        furthest: dict[str, int] = {}
        for config in configs:
            key = space.config_key(config, without=("steps",))
            furthest[key] = max(furthest.get(key, 0), int(config["steps"]))
        found["trials"] = len(configs)
        found["row_steps_unshared"] = sum(int(config["steps"]) for config in configs) * sweep.examples
        found["row_steps"] = sum(furthest.values()) * sweep.examples
    return found


def seconds_per_row_step(workload: Workload, slots: int = 16) -> float:
    """Wall time of a row-step when every CPU here steps a lane, from a few steps of one lane."""
    import os

    import torch

    from raysweep.engine.engine import Engine

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        method = workload.methods(1, torch.device("cpu"))[0]
        engine = Engine([method], slots)
        values = dict.fromkeys(method.hyperparameters, 0.01)
        engine.advance("forecast", values, 0, range(slots), STEPS + 1, lambda _: None)
        engine.step_lane(0)
        began = time.perf_counter()
        engine.run()
        return (time.perf_counter() - began) / (STEPS * slots) / len(os.sched_getaffinity(0))
    finally:
        torch.set_num_threads(threads)
