"""Ray started for the length of a sweep, and left again."""

from __future__ import annotations

import subprocess
import sys

COLLECT_WHILE_LEAVING = """
import gc, threading
import ray
from raysweep.cluster.runtime import ray_runtime

gc.disable()
with ray_runtime(1):
    cycle = [ray.put(1)]
    cycle.append(cycle)
    del cycle

    def collect():
        while ray.is_initialized():
            pass
        while not left.wait(0.001):
            gc.collect()

    left = threading.Event()
    collector = threading.Thread(target=collect)
    collector.start()
left.set()
collector.join()
print("alive")
"""


def test_garbage_collected_by_another_thread_while_ray_is_left_does_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", COLLECT_WHILE_LEAVING], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
