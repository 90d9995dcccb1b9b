"""A sweep by raysweep, timed as `peer.py` times its own.

The clock starts with a Ray that runs and the libraries imported, so the driver's checks and the hosts' loading are
inside, and stops when the last trial is in MLflow. Stepping is what the hosts' lanes count: the time in their steps,
without waiting for rows and without scoring, as a mean over lanes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from common import cpus, parser_of, write_json

from raysweep.sweepfile import load_sweep


class Clock:
    """Watches a sweep's journal: when its last trial was in MLflow, and what its hosts counted until its last one."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.recorded = 0.0
        self.counted: list[dict[str, float]] = []

    def on_event(self, event: dict[str, Any], ledger: Any) -> None:
        """Called in the driver with each journaled event."""
        if event["event"] == "synced":
            self.recorded = time.perf_counter() - self.began
        if event["event"] == "ended" and not ledger.running:  # so also at the last one, when the hosts still live
            self.counted = [_status(name) for name in sorted({t.host for t in ledger.trials.values() if t.host})]


def _status(host: str) -> dict[str, float]:
    import ray

    from raysweep.cluster.calling import NAMESPACE

    return dict(ray.get(ray.get_actor(host, namespace=NAMESPACE).status.remote()))


def run(job: Path, overrides: list[str]) -> dict[str, Any]:
    """Seconds of the whole sweep without starting Ray, seconds of stepping alone, and each trial's score."""
    import mlflow  # noqa: F401
    import torch  # noqa: F401

    import raysweep.cluster.tuning  # noqa: F401
    from raysweep.cluster.runtime import ray_runtime
    from raysweep.sweep import run as run_sweep

    asked = load_sweep(job, overrides).sweep.hosts
    with tempfile.TemporaryDirectory() as storage, ray_runtime(asked.cpus * asked.count if asked.cpus else cpus()):
        clock = Clock()
        result = run_sweep(job, storage=storage, overrides=overrides, on_event=clock.on_event)
        whole = time.perf_counter() - clock.began
        best = result.best_json()
        trials = [{**t.config, "response_fd": t.objective.value} for t in result.finished if t.objective]
    hosts = len(clock.counted) or 1
    return {
        "seconds": clock.recorded,
        "seconds_with_registering_the_winner": whole,
        "stepping": sum(host["stepping"] for host in clock.counted) / hosts,
        "row_steps": sum(host["row_steps"] for host in clock.counted),
        "occupancy": sum(host["occupancy"] for host in clock.counted) / hosts,
        "numerics": result.ledger.numerics,
        "best": best,
        "trials": trials,
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("job", type=Path)
    arguments = parser.parse_args()
    found = run(arguments.job, arguments.set)
    print(f"{found['seconds']:.1f} s, {found['stepping']:.1f} s stepping, {found['row_steps']:.0f} row-steps")
    write_json(arguments.json, found)


if __name__ == "__main__":
    main()
