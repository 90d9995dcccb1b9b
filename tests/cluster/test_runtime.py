"""Ray started for the length of a sweep, and left again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_the_token_that_ray_makes_is_for_its_owner_alone(tmp_path: Path) -> None:
    code = "from raysweep.cluster.runtime import ray_runtime\nwith ray_runtime(1): pass"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    subprocess.run([sys.executable, "-c", code], check=True, env={**environment, "HOME": str(tmp_path)}, timeout=300)
    token = tmp_path / ".ray" / "auth_token"
    assert token.read_text()
    assert token.stat().st_mode & 0o777 == 0o600
