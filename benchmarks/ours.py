"""A sweep by raysweep, timed as `peer.py` times its own.

    python benchmarks/ours.py SWEEP_FILE [--set key=value …] [--storage FOLDER] [--json out.json]

The clock starts with a Ray that runs and the libraries imported, so the driver's checks and the hosts' loading are
inside, and stops when the last trial is in MLflow. Stepping is what the hosts' lanes count: the time in their steps,
without waiting for rows and without scoring, as a mean over lanes.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from common import cpus, parser_of, write_json

from raysweep.sweepfile import load_sweep


class Clock:
    """Watches a sweep's journal: when its last trial was in MLflow."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.recorded = 0.0

    def on_event(self, event: dict[str, Any], ledger: Any) -> None:
        """Called in the driver with each journaled event."""
        if event["event"] == "synced":
            self.recorded = time.perf_counter() - self.began


def run(job: Path, overrides: list[str], kept: Path | None = None) -> dict[str, Any]:
    """Seconds of the whole sweep without starting Ray, seconds of stepping alone, and each trial's score.

    The sweep stays in the storage `kept`, where that is given.
    """
    import mlflow  # noqa: F401
    import torch  # noqa: F401

    import raysweep.cluster.tuning  # noqa: F401
    from raysweep.cluster.runtime import ray_runtime
    from raysweep.record.occupancy import read_occupancy
    from raysweep.sweep import run as run_sweep

    asked = load_sweep(job, overrides).sweep.hosts
    folder = nullcontext(kept) if kept else tempfile.TemporaryDirectory()
    with folder as storage, ray_runtime(asked.cpus * asked.count if asked.cpus else cpus()):
        clock = Clock()
        result = run_sweep(job, storage=storage, overrides=overrides, on_event=clock.on_event)
        whole = time.perf_counter() - clock.began
        best = result.best_json()
        trials = [{**t.config, "response_fd": t.objective.value} for t in result.finished if t.objective]
        log = read_occupancy(result.folder)
    lanes = {(line["host"], line["lane"]) for line in log}
    return {
        "seconds": clock.recorded,
        "seconds_with_registering_the_winner": whole,
        "stepping": sum(line["seconds"] for line in log) / len(lanes),
        "row_steps": sum(line["row_steps"] for line in log),
        "occupancy": sum(line["row_steps"] for line in log) / sum(line["steps"] * line["slots"] for line in log),
        "numerics": result.ledger.numerics,
        "best": best,
        "trials": trials,
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("--storage", type=Path, help="keep the sweep there, which must not have it yet")
    arguments = parser.parse_args()
    found = run(arguments.job, arguments.set, arguments.storage)
    print(f"{found['seconds']:.1f} s, {found['stepping']:.1f} s stepping, {found['row_steps']:.0f} row-steps")
    write_json(arguments.json, found)


if __name__ == "__main__":
    main()
