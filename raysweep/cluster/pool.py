"""The hosts of a sweep: started once, found by name, put in order of preference for each trajectory."""

from __future__ import annotations

import time
from typing import Any

import ray

from raysweep.cluster.calling import NAMESPACE
from raysweep.cluster.host import Host, HostPlan
from raysweep.errors import HostLost

START_DEADLINE = 300.0
CLOSE_DEADLINE = 10.0


class HostPool:
    """The host actors of one sweep; a context manager that ends them.

    Args:
        sweep: what tells this sweep from others on the cluster; hosts are called `SWEEP/host-0`, ….
        plan: what each host is started with.
        count: how many.
        cpus, gpus: what Ray reserves for each.

    Raises:
        InputError: a host could not load what the sweep file names.
        HostLost: a host did not start in time.
    """

    def __init__(self, sweep: str, plan: HostPlan, count: int, cpus: int, gpus: int) -> None:
        self.names = [f"{sweep}/host-{index}" for index in range(count)]
        self._placed: dict[str, int] = {}
        actor: Any = ray.remote(Host)
        self.handles = [
            actor.options(
                name=name,
                namespace=NAMESPACE,
                num_cpus=cpus,
                num_gpus=gpus,
                max_restarts=-1,
                max_task_retries=0,
                max_concurrency=1000,
                scheduling_strategy="SPREAD",
                runtime_env={"env_vars": {"OMP_NUM_THREADS": "1"}} if plan.device == "cpu" else {},
            ).remote(plan)
            for name in self.names
        ]
        try:
            self._await_hosts(count, cpus, gpus)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> HostPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _await_hosts(self, count: int, cpus: int, gpus: int) -> None:
        try:
            self.about = ray.get([handle.ready.remote() for handle in self.handles], timeout=START_DEADLINE)
        except ray.exceptions.GetTimeoutError:
            wanted = f"{count} × ({cpus} CPUs, {gpus} GPUs)"
            raise HostLost(f"no host started within {START_DEADLINE:g} s; the cluster must offer {wanted}") from None
        for answer in self.about:
            if "error" in answer:
                raise answer["error"]

    def preference(self, trajectory: str) -> list[str]:
        """Host names for a trajectory, its own first: the same for all its trials, evenly spread over trajectories."""
        index = self._placed.setdefault(trajectory, len(self._placed) % len(self.names))
        return self.names[index:] + self.names[:index]

    def close(self) -> None:
        """End the hosts and wait until their names are free again."""
        for handle in self.handles:
            ray.kill(handle)
        deadline = time.monotonic() + CLOSE_DEADLINE
        while time.monotonic() < deadline and any(_exists(name) for name in self.names):
            time.sleep(0.05)


def _exists(name: str) -> bool:
    try:
        ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return False
    return True
