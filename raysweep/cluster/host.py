"""A host: a Ray actor that holds a sweep's networks on one device and steps the rows of many trials at once.

The actor is asynchronous: any number of trials wait in `advance` while lane threads do the work. It loads when it is
first asked, so one that Ray restarted after a crash serves again without being told anything.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.cluster.calling import Advance
from raysweep.errors import InputError, OutOfMemory, RaysweepError
from raysweep.record.trial import Stage

if TYPE_CHECKING:
    from raysweep.engine.workload import WorkloadSpec


@dataclass(frozen=True)
class HostPlan:
    """What a host is started with.

    Args:
        spec: the sweep's workload.
        folder: the sweep's folder, reachable from every host.
        slots: rows of a lane.
        lanes: lanes stepped at once, a thread each.
        device: "cpu" or "cuda".
    """

    spec: WorkloadSpec
    folder: str
    slots: int
    lanes: int
    device: str


def lanes_of(device: str, cpus: int) -> int:
    """How many lanes a host steps at once."""
    return cpus if device == "cpu" else 1


class Host:
    """The actor's class; `pool` makes it an actor."""

    def __init__(self, plan: HostPlan) -> None:
        self._plan = plan
        self._loading = asyncio.Lock()
        self._engine: Any = None
        self._scorer: Any = None
        self._rows: Any = None

    async def ready(self) -> dict[str, Any]:
        """Load everything and say what this host is, or {"error": …}: what the user can mend, or too little memory."""
        try:
            await self._load()
        except (InputError, OutOfMemory) as error:
            return {"error": error}
        import torch

        device = torch.cuda.get_device_name() if self._plan.device == "cuda" else platform.processor() or "CPU"
        return {"node": platform.node(), "pid": os.getpid(), "device": device, "torch": torch.__version__}

    async def advance(self, request: Advance) -> dict[str, Any]:
        """{"objectives", "metrics", "explanations"} there, {"failed": reason} or {"out_of_memory": slots}."""
        try:
            await self._load()
        except OutOfMemory as error:
            return {"out_of_memory": error.slots}
        except RaysweepError as error:
            return {"failed": str(error)}
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[dict[str, Any]] = loop.create_future()

        def done(outcome: Any) -> None:
            scored = self._score(request, outcome)
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(scored))

        from raysweep.engine.blocks import Blocks

        seed = self._plan.spec.seed
        wanted = (self._engine, request.trajectory, request.values, seed, request.blocks, request.to, done)
        blocks = await loop.run_in_executor(None, Blocks, *wanted)  # it may score at once
        try:
            scored = await answer
        finally:  # cancelled, or one block has failed: rows that only this trial wanted leave at once
            blocks.cancel()
        await asyncio.wrap_future(self._rows.settled())  # a journaled milestone's rows outlive this host
        return scored

    async def status(self) -> dict[str, float]:
        """Row-steps made so far, the share of slots filled, and the seconds of stepping (a mean over its lanes)."""
        if self._engine is None:
            return {"row_steps": 0, "occupancy": 0.0, "stepping": 0.0}
        done = self._engine.counters
        stepping = done.seconds / len(self._engine.lanes)
        return {"row_steps": done.row_steps, "occupancy": done.occupancy, "stepping": stepping}

    async def _load(self) -> None:
        async with self._loading:
            if self._engine is None:
                try:
                    await asyncio.get_running_loop().run_in_executor(None, self._load_now)
                except Exception as error:
                    raise self._told(error) from None

    def _load_now(self) -> None:
        from raysweep.engine.device import open_device
        from raysweep.engine.engine import Engine
        from raysweep.engine.row_store import RowStore
        from raysweep.engine.scoring import Scorer
        from raysweep.engine.workload import Workload

        plan = self._plan
        device = open_device(plan.device)
        workload = Workload(plan.spec)
        methods = workload.methods(plan.lanes, device)
        self._scorer = Scorer(workload, plan.slots, device, Path(plan.folder))
        depends_on = {**workload.stepping, "slots": plan.slots, "device": device.type}
        self._rows = RowStore(Path(plan.folder) / "rows", depends_on)
        engine = Engine(methods, plan.slots, device, self._rows)
        for lane in range(plan.lanes):
            threading.Thread(target=engine.work, args=(lane,), daemon=True, name=f"lane-{lane}").start()
        self._engine = engine

    def _score(self, request: Advance, outcome: Any) -> dict[str, Any]:
        """Score a state (in the lane's thread), write the tensors, and answer in plain data."""
        from raysweep.record.explanations import write_explanations

        rows, all_rows = request.blocks[-1], self._plan.spec.examples
        stage = Stage(request.to, rows if rows < all_rows else None)
        try:
            if isinstance(outcome, Exception):
                raise outcome
            scored = self._scorer.score(outcome, request.values)
            name = f"explanations/{request.key}-{stage.name}.safetensors"
            write_explanations(Path(self._plan.folder) / name, scored.tensors)
        except Exception as raised:
            error = self._told(raised)
            if isinstance(error, OutOfMemory) and error.slots > 1:
                return {"out_of_memory": error.slots}
            return {"failed": str(error) if isinstance(error, RaysweepError) else f"{type(error).__name__}: {error}"}
        objectives = {n: [float(s.value), float(s.low), float(s.high)] for n, s in scored.objectives.items()}
        metrics = scored.metrics if request.blocks == (all_rows,) else {"examples": float(rows), **scored.metrics}
        return {"objectives": objectives, "metrics": metrics, "explanations": name}

    def _told(self, error: Exception) -> Exception:
        """The error, as `OutOfMemory` when that is what it says."""
        from raysweep.engine.device import out_of_memory

        return OutOfMemory(self._plan.slots) if out_of_memory(error) else error
