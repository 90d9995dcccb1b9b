"""A sweep's places on the cluster's hosts: found or started by name, kept while it runs, left when it ends."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raysweep.cluster.calling import NAMESPACE, PAUSE
from raysweep.cluster.host import Host
from raysweep.cluster.host_plan import HostPlan, lanes_of
from raysweep.cluster.runtime import node_patience
from raysweep.errors import HostLost, RaysweepError
from raysweep.record.occupancy import append_occupancy

if TYPE_CHECKING:
    from raysweep.engine.workload_spec import WorkloadSpec

START_DEADLINE = 900.0
"""Seconds in which a host must start; a cluster may have to start a machine for it."""
NOTICE = 15.0
"""Seconds of waiting after which a person is told what is waited for."""
ROOM_PATIENCE = 15.0
"""Seconds that a sweep with a host waits for others to find room in the cluster, before it goes on without them."""
RENEWAL = 2.0
SILENCE = 30.0
"""Seconds without a sign of life after which a host's process is ended; Ray starts another. Ray itself only notices
processes and nodes that end, not one that is stopped or holds the interpreter for good."""
CLOSE_DEADLINE = 10.0


def measure_numerics(
    spec: WorkloadSpec, sizes: Mapping[int, float], device: str, cpus: int, gpus: int, say: Callable[[str], None]
) -> tuple[str, int, dict[str, Any]]:
    """(precision, slots, what was measured to choose them), on the first host of the shape that the sweep wants.

    Args:
        spec: the workload; its precision may be "auto".
        sizes: rows of a lane to choose from, and the share of its slots that would be occupied.
        device: "cpu" or "cuda".
        cpus, gpus: what Ray reserves for a host.
        say: takes lines that a person should read.

    Raises:
        InputError: the networks do not load there.
        HostLost: no host started in time.
    """
    waiting = _Wait(f"{cpus} CPUs, {gpus} GPUs", say)
    while True:
        try:
            host = _actor(cpus, gpus)(host_name(cpus, gpus, 0))
            started = host.alive.remote()
            while not ray.wait([started], timeout=1.0)[0]:
                waiting.check()
            found = ray.get(host.measure.remote(spec, sizes, device, lanes_of(device, cpus)))
            break
        except RayActorError:  # it has just ended itself, because no sweep had joined it
            waiting.check()
            time.sleep(PAUSE)
    if "error" in found:
        raise found["error"]
    return found["precision"], found["slots"], found["measured"]


def host_name(cpus: int, gpus: int, index: int) -> str:
    """A host's name, all over the cluster."""
    return f"host-{cpus}-{gpus}-{index}"


def health_checks(trial_timeout: float) -> str:
    """Which of them are in force, as a line."""
    node = f"a silent node after {node_patience():g} s, a silent host after {SILENCE:g} s"
    return f"noticed: {node}, a step that hangs after {trial_timeout:g} s"


class HostPool:
    """A sweep's places on hosts; a context manager that leaves them.

    Hosts have cluster-wide names, so a sweep that wants hosts of a shape joins those that others have started. Those
    that find no room yet are joined when they do; a lost one is joined again wherever Ray has restarted it.

    Args:
        plan: what the sweep joins each host with.
        least: how many hosts are waited for.
        most: how many are asked for, and used as they come.
        cpus, gpus: what Ray reserves for each.
        say: takes lines that a person should read.

    Raises:
        RaysweepError: a host could not load what the sweep file names.
        HostLost: no host started in time.
    """

    def __init__(
        self,
        plan: HostPlan,
        least: int,
        most: int,
        cpus: int,
        gpus: int,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.session = f"{plan.sweep}/{uuid.uuid4().hex[:8]}"
        self._folder = plan.folder
        self._writing = threading.Lock()
        self._placed: dict[str, str] = {}
        self._seats = [
            Seat(host_name(cpus, gpus, index), self.session, plan, _actor(cpus, gpus), self._log, say)
            for index in range(most)
        ]
        try:
            self._await_hosts(least, _Wait(f"{least} × ({cpus} CPUs, {gpus} GPUs)", say))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> HostPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def preference(self, trajectory: str) -> list[str]:
        """Names of the hosts to ask about a trajectory, its own first: the same one for all its trials."""
        names = [seat.name for seat in self._seats if seat.joined] or [seat.name for seat in self._seats]
        own = self._placed.setdefault(trajectory, names[len(self._placed) % len(names)])
        return [own, *(name for name in names if name != own)]

    def close(self) -> None:
        """Leave the hosts; those that no other sweep uses end themselves."""
        for seat in self._seats:
            seat.close()
        deadline = time.monotonic() + CLOSE_DEADLINE
        for seat in self._seats:
            seat.thread.join(max(0.0, deadline - time.monotonic()))

    def _await_hosts(self, least: int, waiting: _Wait) -> None:
        """Wait for every host that there is room for, and for the least."""
        patience: float | None = None
        while not all(seat.joined for seat in self._seats):
            for seat in self._seats:
                if seat.error is not None:
                    raise seat.error
            now = time.monotonic()
            if sum(seat.joined for seat in self._seats) >= least:
                patience = patience or now + ROOM_PATIENCE
                if now > patience and all(seat.joined or not seat.started for seat in self._seats):
                    return
            waiting.check()
            time.sleep(0.05)

    def _log(self, lines: Iterable[Mapping[str, Any]]) -> None:
        with self._writing, suppress(OSError):  # a full disk costs a measurement, not the sweep
            append_occupancy(self._folder, lines)


class _Wait:
    """Waiting for room in the cluster: a word to the user in time, an error in the end."""

    def __init__(self, wanted: str, say: Callable[[str], None]) -> None:
        self._wanted, self._say = wanted, say
        self._began, self._told = time.monotonic(), False

    def check(self) -> None:
        """Raise HostLost once it has taken too long."""
        waited = time.monotonic() - self._began
        if waited > START_DEADLINE:
            raise HostLost(f"no host started within {START_DEADLINE:g} s; the cluster must offer {self._wanted}")
        if waited > NOTICE and not self._told:
            self._told = True
            self._say(f"waiting for hosts: the cluster must offer {self._wanted}")


class Seat:
    """A sweep's place on one host, held by a thread that renews it and joins again after a loss.

    Args:
        name: the host's, all over the cluster.
        session: what the sweep joins as.
        plan: what it joins with.
        actor: starts the host under a name if there is none.
        log: takes lines of the occupancy log.
        say: takes lines that a person should read.
    """

    def __init__(
        self,
        name: str,
        session: str,
        plan: HostPlan,
        actor: Callable[[str], Any],
        log: Callable[[Iterable[Mapping[str, Any]]], None],
        say: Callable[[str], None],
    ) -> None:
        self.name, self._session, self._plan = name, session, plan
        self._actor, self._log, self._say = actor, log, say
        self.started = self.joined = False
        self.error: Exception | None = None
        self._handle: Any = None
        self._ours = False
        self._answers = False
        """Whether this process of the host has answered: one that waits for room, or loads, is not silent."""
        self._over = threading.Event()
        self.thread = threading.Thread(target=self._hold, daemon=True, name=name)
        self.thread.start()

    def close(self) -> None:
        """Let the thread leave the host and end."""
        self._over.set()

    def _hold(self) -> None:
        while not self._over.is_set():
            try:
                self._renew()
            except _Closed:
                break
            except _Silent:
                self._say(f"{self.name} gives no sign of life for {SILENCE:g} s; it is started again")
                self._lose()
            except RayActorError:  # the next round finds it where Ray has restarted it, or starts another
                self._lose()
            except Exception as error:
                self.joined = False
                if self.error is None:
                    self._say(f"{self.name}: {error}")
                self.error = error
            self._over.wait(RENEWAL)
        with suppress(RayError):
            self._leave()

    def _renew(self) -> None:
        if self._handle is None:
            self._handle = self._find()
        answer = self._ask(self._handle.renew.remote(self._session))
        self.started = True
        self._log(answer["occupancy"])
        if not answer["joined"]:
            self.joined = False
            self._bring_code(answer["node"])
            found = self._ask(self._handle.join.remote(self._session, self._plan))
            if "error" in found:
                raise found["error"]
        self.joined, self.error = True, None

    def _find(self) -> Any:
        try:
            return ray.get_actor(self.name, namespace=NAMESPACE)
        except ValueError:
            self._ours = True
            return self._actor(self.name)

    def _bring_code(self, node: str) -> None:
        """Have Ray unpack our job's folder where the host is: another job, with other code, may have started it."""
        context = ray.get_runtime_context()
        if context.runtime_env.get("working_dir") and node != context.get_node_id():
            task: Any = ray.remote(_nothing)
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            self._ask(task.options(num_cpus=0, scheduling_strategy=there).remote())

    def _lose(self) -> None:
        self.joined, self._answers, self._handle = False, False, None

    def _ask(self, call: Any) -> Any:
        heard, sign = time.monotonic(), None
        while not self._over.is_set():
            if ray.wait([call], timeout=0.5)[0]:
                self._answers = True
                return ray.get(call)
            sign = sign or self._handle.alive.remote()
            if ray.wait([sign], timeout=0)[0]:
                heard, sign = time.monotonic(), None
            elif self._answers and time.monotonic() - heard > SILENCE:
                ray.kill(self._handle, no_restart=False)
                raise _Silent
        raise _Closed

    def _leave(self) -> None:
        if self._handle is None:
            return
        if self.started:
            with suppress(ray.exceptions.GetTimeoutError):
                self._log(ray.get(self._handle.leave.remote(self._session), timeout=CLOSE_DEADLINE / 2))
        elif self._ours:  # it waits for room that nobody wants any more
            ray.kill(self._handle)


class _Silent(RaysweepError):
    """The host gives no sign of life."""


class _Closed(RaysweepError):
    """The pool closes."""


def _nothing() -> None:
    """A task that only brings its environment along."""


def _actor(cpus: int, gpus: int) -> Callable[[str], Any]:
    """Starts a host of a shape under a name, or finds the one that another sweep has started meanwhile."""

    def start(name: str) -> Any:
        actor: Any = ray.remote(Host)
        return actor.options(
            name=name,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=cpus,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=100_000,  # of them most wait; a sign of life must not wait behind them
            scheduling_strategy="SPREAD",
            runtime_env={} if gpus else {"env_vars": {"OMP_NUM_THREADS": "1"}},
        ).remote()

    return start
