"""A host: a Ray actor that holds networks on one device and steps the rows of many trials at once.

Hosts are the cluster's, not a sweep's. Any number of sweeps join one, renew while their driver lives, have their trials
advanced, and leave; what they need is held in `model_sets`. A host that no living driver has joined ends itself.

The actor is asynchronous: any number of trials wait in `advance` while the lanes' threads do the work. Sweeps come and
go one at a time (`_loading`), the others' rows being stepped meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError

from raysweep.cluster.calling import ABSENT, Advance, begin_epoch
from raysweep.cluster.host_plan import HostPlan
from raysweep.cluster.model_sets import ModelSets, open_host_device
from raysweep.cluster.suspects import Room, Suspects
from raysweep.engine.occupancy import occupancy_of
from raysweep.engine.stopwatch import Stopwatch
from raysweep.errors import InputError, OutOfMemory, RaysweepError
from raysweep.record import sharing
from raysweep.record.checkouts import is_url
from raysweep.record.trial import Measured, Stage

if TYPE_CHECKING:
    from raysweep.engine.engine import Engine
    from raysweep.engine.row_store import RowStore
    from raysweep.engine.scoring import Scorer
    from raysweep.engine.workload_spec import WorkloadSpec

LEASE = 30.0
"""Seconds after which a driver that does not renew is taken for dead."""
IDLE = 10.0
"""Seconds that a host waits for another sweep when the last has left."""
UNSENT = 60.0
"""Seconds that it waits instead, while a URL has not taken all that it has to send."""
LOG_PERIOD = 5.0
"""Seconds that a line of the occupancy log covers, while a sweep is at work."""
WATCH = 1.0


@dataclass(eq=False)
class Member:
    """A sweep that has joined: its plan, its scorer, its kept rows, and the engine that it may share.

    `lease` is the time until which its driver counts as alive; `waiting` are the answers that its trials wait for,
    `lines` those of its occupancy log that its driver has not fetched yet.
    """

    plan: HostPlan
    engine: Engine
    scorer: Scorer
    rows: RowStore
    lease: float
    waiting: set[asyncio.Future[dict[str, Any]]] = field(default_factory=set)
    lines: list[dict[str, Any]] = field(default_factory=list)


class Host:
    """The actor's class; `pool` makes it an actor."""

    def __init__(self) -> None:
        context = ray.get_runtime_context()
        self._me, self._name = context.current_actor, str(context.get_actor_name())
        self._epoch = begin_epoch(self._name)
        self._suspects, self._room = Suspects(self._name), Room()
        self._stopwatch = Stopwatch()
        self._members: dict[str, Member] = {}
        self._sets = ModelSets(
            self._stopwatch,
            in_use=lambda: [member.engine for member in self._members.values()],
            broken=lambda error: self._end(f"a lane's thread ended: {type(error).__name__}: {error}"),
        )
        self._loading = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._used = self._logged = time.monotonic()
        threading.Thread(target=self._watch, daemon=True, name="watch").start()

    async def alive(self) -> int:
        """The process id; whoever answers is not stopped."""
        return os.getpid()

    async def renew(self, session: str) -> dict[str, Any]:
        """A driver lives and may join: {"joined": whether it has, "node": Ray's id of it, "sets", "occupancy"}.

        `sets` is the number of model sets here, `occupancy` are the new lines of its log.
        """
        self._loop, self._used = asyncio.get_running_loop(), time.monotonic()
        member = self._members.get(session)
        if member is not None:
            member.lease = self._used + LEASE
        if self._used - self._logged > LOG_PERIOD:
            self._log()
        node, lines = ray.get_runtime_context().get_node_id(), self._new_lines(session)
        return {"joined": member is not None, "node": node, "sets": len(self._sets), "occupancy": lines}

    async def measure(self, spec: WorkloadSpec, sizes: Mapping[int, float], device: str, lanes: int) -> dict[str, Any]:
        """Choose a sweep's numerics, before it joins: {"precision", "slots", "measured"}, or {"error": InputError}."""
        async with self._loading:
            if device != "cpu":
                self._sets.give_up(keep=0)  # lanes are to be as wide as the memory allows
            try:
                return await asyncio.get_running_loop().run_in_executor(None, _measure, spec, sizes, device, lanes)
            except InputError as error:
                return {"error": error}
            finally:
                self._used = time.monotonic()

    async def join(self, session: str, plan: HostPlan) -> dict[str, Any]:
        """Load what a sweep needs, for the session of its driver.

        Returns:
            {}, or {"error": …}: InputError for what the user can mend, or OutOfMemory.
        """
        async with self._loading:
            if session not in self._members:
                try:
                    loaded = await asyncio.get_running_loop().run_in_executor(None, self._sets.load, plan)
                except Exception as raised:
                    error = _told(raised, plan.slots)
                    if isinstance(error, (InputError, OutOfMemory)):
                        return {"error": error}
                    raise
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
                self._sets.release(member.engine)
                if is_url(member.plan.place):  # it may have lost what it took
                    sharing.send_later(member.plan.folder / "explanations")
            self._used = time.monotonic()
        return lines

    async def _expire(self, session: str) -> None:
        member = self._members.get(session)
        if member is not None and member.lease < time.monotonic():
            await self.leave(session)

    async def advance(self, request: Advance) -> dict[str, Any]:
        """{"objectives", "metrics", "explanations"} at the milestone, {"failed": reason} or {"out_of_memory": slots},
        each with the "epoch" that it was found in; or `ABSENT`."""
        if request.session not in self._members:
            return ABSENT
        charges = self._suspects.charges(request.name)
        if charges.conviction is not None:
            answer = {"failed": charges.conviction}
        else:
            async with self._room.entered(charges.alone):
                self._suspects.begin(request.name)
                try:
                    answer = await self._advance(request)
                finally:
                    self._suspects.end(request.name)
        if charges.deaths:
            self._suspects.acquit(request.name)
        return answer if answer == ABSENT else {**answer, "epoch": self._epoch}

    async def _advance(self, request: Advance) -> dict[str, Any]:
        member = self._members.get(request.session)
        if member is None:
            return ABSENT
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        member.waiting.add(answer)

        def done(outcome: Any) -> None:
            scored = _score(member, request, outcome)
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(scored))

        from raysweep.engine.blocks import Blocks

        plan = member.plan
        wanted = (request.trajectory, request.values, plan.spec.seed, request.blocks, request.to, done)
        begin = partial(Blocks, member.engine, *wanted, plan.sweep, member.rows, request.via)

        def timed() -> Blocks:
            with self._stopwatch.running():
                return begin()

        blocks = await loop.run_in_executor(None, timed)  # it may score at once
        try:
            scored = await answer
        except asyncio.CancelledError:
            if self._members.get(request.session) is member:
                raise
            return ABSENT
        finally:  # cancelled, or one block has failed: rows that only this trial wanted leave at once
            member.waiting.discard(answer)
            blocks.cancel()
        if "out_of_memory" in scored:
            self._sets.kept = 0
        if "explanations" in scored:  # a journaled milestone's explanations outlive this host, as its rows do
            await loop.run_in_executor(None, sharing.share, plan.folder / scored["explanations"])
        await asyncio.wrap_future(member.rows.settled())
        return scored

    def _new_lines(self, session: str) -> list[dict[str, Any]]:
        member = self._members.get(session)
        if member is None:
            return []
        lines, member.lines = member.lines, []
        return lines

    def _log(self) -> None:
        """Give each sweep its lines about the lanes that it had rows in."""
        self._logged = time.monotonic()
        for engine in self._sets:
            for lane, shares in enumerate(engine.take_occupancy()):
                for member in self._members.values():
                    line = occupancy_of(member.plan.sweep, shares, engine.slots) if member.engine is engine else None
                    if line is not None:
                        member.lines.append({"time": time.time(), "host": self._name, "lane": lane, **line})

    def _watch(self) -> None:
        """Let go sweeps whose drivers are gone, and end this actor when nobody needs it; in a thread of its own.

        A step that does not end cannot be ended but with the process: Ray starts another.
        """
        while True:
            time.sleep(WATCH)
            now = time.monotonic()
            patience = min((member.plan.timeout for member in list(self._members.values())), default=float("inf"))
            if self._stopwatch.longest > patience:
                self._end(f"neither step nor part of a scoring ended within trial_timeout ({patience:g} s)")
            for session, member in list(self._members.items()):
                if member.lease < now and self._loop is not None:
                    asyncio.run_coroutine_threadsafe(self._expire(session), self._loop)
            idle = 0.0 if self._members or self._loading.locked() else now - self._used
            if idle > (UNSENT if sharing.unsent() else IDLE):
                with suppress(RayError):  # tried again
                    ray.kill(self._me)

    def _end(self, reason: str) -> None:
        """End this process, in which something does not go on; Ray starts another."""
        self._suspects.hang(reason)
        os._exit(1)


def _measure(spec: WorkloadSpec, sizes: Mapping[int, float], device: str, lanes: int) -> dict[str, Any]:
    from raysweep.engine.numerics import choose
    from raysweep.engine.workload import Workload

    workload = Workload(replace(spec, judge=None, witnesses=(), objectives=()))
    choice = choose(workload, open_host_device(device), lanes, spec.precision, sizes)
    return {"precision": choice.precision, "slots": choice.slots, "measured": choice.plain()}


def _score(member: Member, request: Advance, outcome: Any) -> dict[str, Any]:
    """Score a state (in the lane's thread), write the tensors, and answer in plain data."""
    from raysweep.record.explanations import write_explanations

    plan = member.plan
    rows, all_rows = request.blocks[-1], plan.spec.rows
    stage = Stage(request.to, rows if rows < all_rows else None)
    try:
        if isinstance(outcome, Exception):
            raise outcome
        scored = member.scorer.score(outcome, request.values)
        file = f"explanations/{request.key}-{stage.name}.safetensors"
        write_explanations(plan.folder / file, scored.tensors)
    except Exception as raised:
        error = _told(raised, plan.slots)
        if isinstance(error, OutOfMemory) and error.slots > 1:
            return {"out_of_memory": error.slots}
        return {"failed": str(error) if isinstance(error, RaysweepError) else f"{type(error).__name__}: {error}"}
    objectives = {name: Measured(float(s.value), float(s.low), float(s.high)) for name, s in scored.objectives.items()}
    if stage.examples is not None:  # a race compares the first objective
        name, score = next(iter(scored.objectives.items()))
        replicates = tuple(float(f"{value:.6g}") for value in score.replicates)
        objectives[name] = replace(objectives[name], replicates=replicates)
    metrics = scored.metrics if request.blocks == (all_rows,) else {"examples": float(rows), **scored.metrics}
    plain = {name: measured.to_json() for name, measured in objectives.items()}
    return {"objectives": plain, "metrics": metrics, "explanations": file}


def _told(error: Exception, slots: int) -> Exception:
    """The error, as `OutOfMemory` when that is what it says."""
    from raysweep.engine.device import out_of_memory

    return OutOfMemory(slots) if out_of_memory(error) else error
