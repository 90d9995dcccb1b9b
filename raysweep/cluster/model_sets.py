"""The model sets that a host holds: the networks of a plan, loaded once for all sweeps that step their rows alike.

A set is an engine with its networks. Sweeps share it whose networks, way of stepping, lanes and device are the same, so
that their rows share lanes. The last ones that no sweep uses any more stay loaded for the next; all of those are given
up where memory runs out.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

import ray

from raysweep.cluster.host_plan import HostPlan
from raysweep.engine.stopwatch import Stopwatch
from raysweep.errors import InputError
from raysweep.record import sharing
from raysweep.record.checkouts import is_url

if TYPE_CHECKING:
    import torch

    from raysweep.engine.engine import Engine
    from raysweep.engine.row_store import RowStore
    from raysweep.engine.scoring import Scorer
    from raysweep.engine.turns import Turns

KEPT = 3
"""Model sets that stay loaded when no sweep uses them any more, for the next that does; the least recently used go."""


class ModelSets:
    """The engines of one process, the one used last being the last. Whoever calls lets sweeps come and go one by one.

    Args:
        stopwatch: times each step of theirs.
        in_use: says which of them sweeps use now.
        broken: is told what ended a thread that steps them.
    """

    def __init__(
        self,
        stopwatch: Stopwatch,
        in_use: Callable[[], Collection[Engine]],
        broken: Callable[[Exception], None],
    ) -> None:
        self.kept = KEPT
        """How many unused ones stay loaded when a sweep leaves."""
        self._stopwatch, self._in_use, self._broken = stopwatch, in_use, broken
        self._engines: dict[tuple[str, int, int, str], Engine] = {}
        self._turns: Turns | None = None

    def __len__(self) -> int:
        return len(self._engines)

    def __iter__(self) -> Iterator[Engine]:
        return iter(list(self._engines.values()))  # others may be loaded meanwhile

    def load(self, plan: HostPlan) -> tuple[Engine, Scorer, RowStore]:
        """What a plan needs; where memory runs out, what nobody uses is given up first.

        Raises:
            InputError: something that the plan names does not load, or is another one than the driver has.
        """
        from raysweep.engine.device import out_of_memory

        try:
            return self._load(plan)
        except Exception as error:
            if not out_of_memory(error) or not self.give_up(keep=0):
                raise
        return self._load(plan)

    def release(self, engine: Engine) -> None:
        """A sweep uses an engine no more."""
        self._touch(engine)
        self.give_up(self.kept)

    def give_up(self, keep: int) -> int:
        """Free the engines that nobody uses, but for the `keep` used last; how many."""
        import torch

        used = self._in_use()
        idle = [key for key, engine in self._engines.items() if engine not in used]
        gone = idle[: max(0, len(idle) - keep)]
        for key in gone:
            engine = self._engines.pop(key)
            if self._turns is not None:
                self._turns.remove(engine)
            del engine
        if gone:
            gc.collect()
            if torch.cuda.is_initialized():
                torch.cuda.empty_cache()
        return len(gone)

    def _load(self, plan: HostPlan) -> tuple[Engine, Scorer, RowStore]:
        from raysweep.engine.engine import Engine
        from raysweep.engine.row_store import RowStore
        from raysweep.engine.scoring import Scorer
        from raysweep.engine.turns import Turns
        from raysweep.engine.workload import Workload
        from raysweep.sources import forget_own_modules

        forget_own_modules()
        device = open_host_device(plan.device)
        workload = Workload(plan.spec)
        _check_identity(workload.identity, plan.identity)
        folder = plan.folder
        scorer = Scorer(workload, plan.slots, device, folder, self._stopwatch.lap)
        depends_on = {**workload.stepping, "slots": plan.slots, "device": device.type}
        rows = RowStore(folder / "rows", depends_on, elsewhere=sharing if is_url(plan.place) else None)
        key = (json.dumps(workload.stepping, sort_keys=True), plan.slots, plan.lanes, plan.device)
        if key not in self._engines:
            self._turns = self._turns or Turns(self._stopwatch, broken=self._broken)
            methods = workload.methods(plan.lanes, device)
            self._engines[key] = Engine(methods, plan.slots, device, changed=self._turns.changed)
            self._turns.add(self._engines[key])
        self._touch(self._engines[key])
        return self._engines[key], scorer, rows

    def _touch(self, engine: Engine) -> None:
        """Make an engine the one that was used last."""
        for key in [key for key, one in self._engines.items() if one is engine]:
            self._engines[key] = self._engines.pop(key)


def open_host_device(kind: str) -> torch.device:
    """The device "cpu" or "cuda" for a process that does nothing but step rows, and reuses what memory it frees."""
    from raysweep.engine.device import keep_freed_memory, open_device

    keep_freed_memory()
    return open_device(kind)


def _check_identity(here: dict[str, str], wanted: dict[str, str]) -> None:
    """Files of one name may differ from node to node."""
    for key, fingerprint in wanted.items():
        if here.get(key) != fingerprint:
            node = ray.util.get_node_ip_address()
            rule = f"is another one on the node {node} than where the sweep runs: every node must have the same"
            raise InputError(rule, key=key, value=here.get(key, "")[:12])
