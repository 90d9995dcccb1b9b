"""Measuring a sweep's numerics where its hosts will run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ray

from raysweep.cluster.host import lanes_of
from raysweep.errors import InputError

if TYPE_CHECKING:
    from raysweep.engine.workload import WorkloadSpec


def measure_numerics(
    spec: WorkloadSpec, slots: int | None, device: str, cpus: int, gpus: int
) -> tuple[str, int, dict[str, Any]]:
    """(precision, slots, what was measured to choose them) on a machine that has what a host takes.

    Args:
        spec: the workload; its precision may be "auto".
        slots: rows of a lane when they are given.
        device: "cpu" or "cuda".
        cpus, gpus: what Ray reserves for it, as for a host.

    Raises:
        InputError: the networks do not load there.
    """
    environment = {"env_vars": {"OMP_NUM_THREADS": "1"}} if device == "cpu" else {}
    measure: Any = ray.remote(_measure)
    place = measure.options(num_cpus=cpus, num_gpus=gpus, runtime_env=environment, max_retries=1)
    found = ray.get(place.remote(spec, slots, device, lanes_of(device, cpus)))
    if isinstance(found, InputError):
        raise found
    precision, chosen, measured = found
    return precision, chosen, measured


def _measure(
    spec: WorkloadSpec, slots: int | None, device: str, lanes: int
) -> tuple[str, int, dict[str, Any]] | InputError:
    from raysweep.engine.device import open_device
    from raysweep.engine.numerics import choose
    from raysweep.engine.workload import Workload

    place = open_device(device)
    try:
        workload = Workload(replace(spec, judge=None, objectives=()))
    except InputError as error:
        return error
    choice = choose(workload, place, lanes, spec.precision, slots)
    return choice.precision, choice.slots, choice.plain()
