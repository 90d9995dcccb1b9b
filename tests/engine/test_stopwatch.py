"""What hangs is told from what takes long."""

from __future__ import annotations

import threading
import time

from raysweep.engine.stopwatch import Stopwatch


def test_a_piece_of_work_is_timed_from_its_last_lap_and_another_threads_is_not() -> None:
    stopwatch, lapped, over = Stopwatch(), threading.Event(), threading.Event()

    def laps() -> None:
        with stopwatch.running():
            time.sleep(0.1)
            stopwatch.lap()
            lapped.set()
            over.wait()

    thread = threading.Thread(target=laps, daemon=True)
    began = time.monotonic()
    thread.start()
    lapped.wait()
    alone, elapsed = stopwatch.longest, time.monotonic() - began
    assert 0 < alone < elapsed - 0.09
    with stopwatch.running():
        mine = time.monotonic()
        time.sleep(0.1)
        assert stopwatch.longest >= time.monotonic() - mine - 0.01
    over.set()
    thread.join()
    assert stopwatch.longest == 0


def test_a_lap_without_work_is_none() -> None:
    stopwatch = Stopwatch()
    stopwatch.lap()
    assert stopwatch.longest == 0
