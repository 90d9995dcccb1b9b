"""A host: a Ray actor that holds networks on one device and steps the rows of many trials at once.

Hosts are the cluster's, not a sweep's. Any number of sweeps join one; those whose rows are stepped by the same networks
in the same way have one engine, so that their rows share lanes. A host that no living driver has joined ends itself.

The actor is asynchronous: any number of trials wait in `advance` while the lanes' threads do the work. Sweeps come and
go one at a time (`_loading`), the others' rows being stepped meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from raysweep.cluster.calling import ABSENT, Advance
from raysweep.engine.occupancy import occupancy_of
from raysweep.errors import InputError, RaysweepError

if TYPE_CHECKING:
    from raysweep.engine.engine import Engine
    from raysweep.engine.scoring import Scorer
    from raysweep.engine.turns import Turns
    from raysweep.engine.workload import WorkloadSpec

LEASE = 30.0
"""Seconds after which a driver that does not renew is taken for dead."""
IDLE = 10.0
"""Seconds that a host waits for another sweep when the last has left."""
LOG_PERIOD = 5.0
"""Seconds that a line of the occupancy log covers, while a sweep is at work."""
WATCH = 1.0


@dataclass(frozen=True)
class HostPlan:
    """What a sweep joins a host with.

    Args:
        sweep: what tells the sweep from others, for a person too.
        spec: its workload.
        folder: the sweep's folder, reachable from every host.
        slots: rows of a lane.
        lanes: lanes stepped at once, a thread each.
        device: "cpu" or "cuda".
    """

    sweep: str
    spec: WorkloadSpec
    folder: str
    slots: int
    lanes: int
    device: str


@dataclass(eq=False)
class Member:
    """A sweep that has joined: its plan, its scorer, and the engine that it may share.

    `lease` is the time until which its driver counts as alive; `waiting` are the answers that its trials wait for,
    `lines` those of its occupancy log that its driver has not fetched yet.
    """

    plan: HostPlan
    engine: Engine
    scorer: Scorer
    lease: float
    waiting: set[asyncio.Future[dict[str, Any]]] = field(default_factory=set)
    lines: list[dict[str, Any]] = field(default_factory=list)


class Host:
    """The actor's class; `pool` makes it an actor."""

    def __init__(self) -> None:
        self._me, self._name = ray.get_runtime_context().current_actor, ray.get_runtime_context().get_actor_name()
        self._members: dict[str, Member] = {}
        self._engines: dict[tuple[str, int, int, str], Engine] = {}
        self._loading = asyncio.Lock()
        self._turns: Turns | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._used = self._logged = time.monotonic()
        threading.Thread(target=self._watch, daemon=True, name="watch").start()

    async def renew(self, session: str) -> dict[str, Any]:
        """A driver lives and may join: {"joined": whether it has, "node": Ray's id of it, "pid", "occupancy"}.

        `occupancy` are the new lines of its log.
        """
        self._loop, self._used = asyncio.get_running_loop(), time.monotonic()
        member = self._members.get(session)
        if member is not None:
            member.lease = self._used + LEASE
        if self._used - self._logged > LOG_PERIOD:
            self._log()
        node, lines = ray.get_runtime_context().get_node_id(), self._new_lines(session)
        return {"joined": member is not None, "node": node, "pid": os.getpid(), "occupancy": lines}

    async def join(self, session: str, plan: HostPlan) -> dict[str, Any]:
        """Load what a sweep needs, for the session of its driver.

        Returns:
            {}, or {"error": InputError} for what the user can mend.
        """
        async with self._loading:
            if session not in self._members:
                try:
                    loaded = await asyncio.get_running_loop().run_in_executor(None, self._load, plan)
                except InputError as error:
                    return {"error": error}
                finally:
                    self._used = time.monotonic()
                self._members[session] = Member(plan, *loaded, lease=self._used + LEASE)
        return {}

    async def leave(self, session: str) -> list[dict[str, Any]]:
        """Release what only this session needed; the last lines of its occupancy log."""
        async with self._loading:
            self._log()
            lines = self._new_lines(session)
            member = self._members.pop(session, None)
            if member is not None:
                for answer in member.waiting:
                    answer.cancel()
                if all(other.engine is not member.engine for other in self._members.values()):
                    self._release(member.engine)
            self._used = time.monotonic()
        return lines

    async def _expire(self, session: str) -> None:
        member = self._members.get(session)
        if member is not None and member.lease < time.monotonic():
            await self.leave(session)

    async def advance(self, request: Advance) -> dict[str, Any]:
        """{"objectives", "metrics", "explanations"} at the milestone, {"failed": reason}, or `ABSENT`."""
        member = self._members.get(request.session)
        if member is None:
            return ABSENT
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        member.waiting.add(answer)

        def done(outcome: Any) -> None:
            scored = _score(member, request, outcome)
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(scored))

        plan = member.plan
        wanted = (request.trajectory, request.values, plan.spec.seed, range(plan.spec.examples), request.to, done)
        ticket = await loop.run_in_executor(None, member.engine.advance, *wanted, plan.sweep)  # it may score at once
        try:
            return await answer
        except asyncio.CancelledError:  # nobody waits any more: rows that only this trial wanted leave at once
            member.engine.cancel(ticket)
            if self._members.get(request.session) is member:
                raise
            return ABSENT
        finally:
            member.waiting.discard(answer)

    def _load(self, plan: HostPlan) -> tuple[Engine, Scorer]:
        from raysweep.engine.device import open_device
        from raysweep.engine.engine import Engine
        from raysweep.engine.scoring import Scorer
        from raysweep.engine.turns import Turns
        from raysweep.engine.workload import Workload
        from raysweep.sources import forget_own_modules

        forget_own_modules()
        device = open_device(plan.device)
        workload = Workload(plan.spec)
        scorer = Scorer(workload, workload.methods(1, device)[0], plan.slots, device, Path(plan.folder))
        key = (workload.stepping, plan.slots, plan.lanes, plan.device)
        if key not in self._engines:
            self._turns = self._turns or Turns()
            engine = Engine(workload.methods(plan.lanes, device), plan.slots, device, self._turns.changed)
            self._engines[key] = engine
            self._turns.add(engine)
        return self._engines[key], scorer

    def _release(self, engine: Engine) -> None:
        """Free an engine that nobody uses."""
        import torch

        self._engines = {key: one for key, one in self._engines.items() if one is not engine}
        if self._turns is not None:
            self._turns.remove(engine)
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _new_lines(self, session: str) -> list[dict[str, Any]]:
        member = self._members.get(session)
        if member is None:
            return []
        lines, member.lines = member.lines, []
        return lines

    def _log(self) -> None:
        """Give each sweep its lines about the lanes that it had rows in."""
        self._logged = time.monotonic()
        for engine in list(self._engines.values()):
            for lane, shares in enumerate(engine.take_occupancy()):
                for member in self._members.values():
                    line = occupancy_of(member.plan.sweep, shares, engine.slots) if member.engine is engine else None
                    if line is not None:
                        member.lines.append({"time": time.time(), "host": self._name, "lane": lane, **line})

    def _watch(self) -> None:
        """Let go sweeps whose drivers are gone, and end this actor when nobody needs it; in a thread of its own."""
        while True:
            time.sleep(WATCH)
            now = time.monotonic()
            for session, member in list(self._members.items()):
                if member.lease < now and self._loop is not None:
                    asyncio.run_coroutine_threadsafe(self._expire(session), self._loop)
            if not self._members and not self._loading.locked() and now - self._used > IDLE:
                with suppress(RayError):  # tried again
                    ray.kill(self._me)


def _score(member: Member, request: Advance, outcome: Any) -> dict[str, Any]:
    """Score a state (in the lane's thread), write the tensors, and answer in plain data."""
    from raysweep.record.explanations import write_explanations

    if isinstance(outcome, Exception):
        return {"failed": str(outcome)}
    try:
        scored = member.scorer.score(outcome, request.values)
        name = f"explanations/{request.key}-{request.to:06d}.safetensors"
        write_explanations(Path(member.plan.folder) / name, scored.tensors)
    except Exception as error:
        return {"failed": str(error) if isinstance(error, RaysweepError) else f"{type(error).__name__}: {error}"}
    objectives = {n: [float(s.value), float(s.low), float(s.high)] for n, s in scored.objectives.items()}
    return {"objectives": objectives, "metrics": scored.metrics, "explanations": name}
