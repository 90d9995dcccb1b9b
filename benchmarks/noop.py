"""What Ray Tune costs by itself: trials that do nothing, with reused actors and the settings that raysweep gives it."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from common import cpus, parser_of, write_json


def run(trials: int, concurrency: int) -> dict[str, Any]:
    """Seconds of so many trials that report once, `concurrency` at a time, without starting Ray."""
    import raysweep.cluster.tuning as tuning  # sets Tune's switches
    from raysweep.cluster.runtime import ray_runtime

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(concurrency)

    class Nothing(tuning.tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            pass

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def step(self) -> dict[str, Any]:
            return {"done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
            return {}

        def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
            pass

    with tempfile.TemporaryDirectory() as folder, ray_runtime(cpus()):
        began = time.perf_counter()
        tuning.tune.Tuner(
            tuning.tune.with_resources(Nothing, tuning.tune.PlacementGroupFactory([{"CPU": tuning.TRIAL_CPUS}])),
            tune_config=tuning.TuneConfig(num_samples=trials, max_concurrent_trials=concurrency, reuse_actors=True),
            run_config=tuning.RunConfig(
                storage_path=folder,
                checkpoint_config=tuning.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
                verbose=0,
            ),
        ).fit()
        return {"seconds": time.perf_counter() - began, "trials": trials}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("trials", type=int)
    parser.add_argument("--concurrency", type=int, default=8)
    arguments = parser.parse_args()
    found = run(arguments.trials, arguments.concurrency)
    print(f"{found['seconds']:.1f} s")
    write_json(arguments.json, found)


if __name__ == "__main__":
    main()
