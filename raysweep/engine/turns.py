"""The threads that step lanes: as many as the device has lanes, however many engines there are."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from raysweep.engine.engine import Engine
from raysweep.engine.shares import Shares
from raysweep.engine.stopwatch import Stopwatch

_log = logging.getLogger(__name__)


class Turns:
    """Worker threads that several engines share, so that a CPU is never given two busy threads.

    Thread i steps lane i of whichever engine has had the least of its time. What an engine's step takes is shared among
    the sweeps whose rows it steps, so that each sweep gets as much time, however long its steps are.

    Args:
        stopwatch: times each step of a lane, together with what is done with its rows that arrive.
        clock: seconds.
        broken: is told what ended a lane's thread, which no trial is to blame for.
    """

    def __init__(
        self,
        stopwatch: Stopwatch | None = None,
        clock: Callable[[], float] = time.perf_counter,
        broken: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self.stopwatch = stopwatch or Stopwatch()
        self.clock, self.broken = clock, broken
        self.changed = threading.Condition()
        """What every engine here is to be made with."""
        self._shares: defaultdict[int, Shares[Engine]] = defaultdict(Shares)
        """Of each lane's thread."""
        self._threads: list[threading.Thread] = []
        self._closed = False

    def add(self, engine: Engine) -> None:
        """Let an engine take part."""
        with self.changed:
            for index in range(len(engine.lanes)):
                self._shares[index].join(engine)
            for index in range(len(self._threads), len(engine.lanes)):
                thread = threading.Thread(target=self._work, args=(index,), daemon=True, name=f"lane-{index}")
                self._threads.append(thread)
                thread.start()
            self.changed.notify_all()

    def remove(self, engine: Engine) -> None:
        """Step an engine no more; its memory is free once its last step is over."""
        with self.changed:
            for shares in self._shares.values():
                shares.leave(engine)

    def close(self) -> None:
        """Let the threads end, and wait until they have."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, index: int) -> None:
        try:
            while not self._closed:
                if not self._round(index):
                    with self.changed:
                        self.changed.wait_for(lambda: self._closed or self._has_work(index), timeout=1.0)
        except Exception as error:
            _log.exception("lane %d is stepped no more", index)
            self.broken(error)

    def _round(self, index: int) -> bool:
        """Step lane `index` of the engine whose turn it is; False when none had anything to do."""
        with self.changed:
            order = self._shares[index].order()
        for engine in order:
            began = self.clock()
            with self.stopwatch.running():
                sweeps = engine.step_lane(index)
            if sweeps:
                with self.changed:
                    self._shares[index].charge(engine, (self.clock() - began) / sweeps)
                return True
        return False

    def _has_work(self, index: int) -> bool:
        return any(engine.has_work(index) for engine in self._shares[index].order())
