"""The threads that step lanes: as many as the device has lanes, however many engines there are."""

from __future__ import annotations

import threading

from raysweep.engine.engine import Engine
from raysweep.engine.stopwatch import Stopwatch


class Turns:
    """Worker threads that several engines share, so that a CPU is never given two busy threads.

    Thread i steps lane i of one engine, then of the next, each once a round: whoever has work gets its turn.
    """

    def __init__(self, stopwatch: Stopwatch | None = None) -> None:
        self.stopwatch = stopwatch or Stopwatch()
        """Times each step of a lane, together with what is done with its rows that arrive."""
        self.changed = threading.Condition()
        """What every engine here is to be made with."""
        self._engines: list[Engine] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    def add(self, engine: Engine) -> None:
        """Let an engine take part."""
        with self.changed:
            self._engines.append(engine)
            for index in range(len(self._threads), len(engine.lanes)):
                thread = threading.Thread(target=self._work, args=(index,), daemon=True, name=f"lane-{index}")
                self._threads.append(thread)
                thread.start()
            self.changed.notify_all()

    def remove(self, engine: Engine) -> None:
        """Step an engine no more; its memory is free once its last step is over."""
        with self.changed:
            self._engines.remove(engine)

    def close(self) -> None:
        """Let the threads end, and wait until they have."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, index: int) -> None:
        while not self._closed:
            if not self._round(index):
                with self.changed:
                    self.changed.wait_for(lambda: self._closed or self._has_work(index), timeout=1.0)

    def _round(self, index: int) -> bool:
        """Step lane `index` of every engine that has one; False when there was nothing to do."""
        return sum(self._step(engine, index) for engine in list(self._engines) if index < len(engine.lanes)) > 0

    def _step(self, engine: Engine, index: int) -> bool:
        with self.stopwatch.running():
            return engine.step_lane(index)

    def _has_work(self, index: int) -> bool:
        return any(engine.has_work(index) for engine in self._engines if index < len(engine.lanes))
