"""Generator steps a second of ProbeGAN against a script of the same losses and networks, and both their losses.

    python benchmarks/probegan.py [--job jobs/probegan-fashion.yaml] [--steps 30] [--repeats 3] [--json out.json]

Both train the job's first configuration, in turn, with one thread, as a lane of a host does. The script
(`probegan_peer.py`) is the method as one writes it down; its losses, as they have been lately, are to be like ours.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported

import time
from pathlib import Path
from typing import Any

import torch
from common import JOBS, median, parser_of, table, write_json
from probegan_peer import Script

from raysweep.engine.engine import Engine
from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.engine.workload import Workload
from raysweep.methods.gan import RealImages
from raysweep.methods.probegan import MEMORY
from raysweep.preflight import workload_spec
from raysweep.sweepfile import load_sweep

CPU = torch.device("cpu")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--job", type=Path, default=JOBS / "probegan-fashion.yaml")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    file = load_sweep(given.job, given.set)
    workload = Workload(workload_spec(file))
    explainer = workload.explainer
    assert isinstance(explainer, GanExplainer)
    torch.set_num_threads(1)
    (method,) = workload.methods(1, CPU, "float32")
    values = method.complete(file.sweep.numbers(next(file.sweep.parsed_space.grid())))
    data = explainer.images
    images = RealImages(torch.from_numpy(data.x), torch.from_numpy(data.y), len(data.classes))
    found: dict[str, list[float]] = {"raysweep": [], "script": []}
    losses = dict[str, float]()
    engine, script = Engine([method], 1), Script(images, workload.classifier.module.eval(), explainer.target, values)
    outcomes: list[Any] = []
    engine.advance("bench", values, 0, range(1), given.steps * (given.repeats + 1), outcomes.append)
    for repeat in range(given.repeats + 1):  # the first warms up
        numbers = range(repeat * given.steps, (repeat + 1) * given.steps)
        for name, step in (("raysweep", lambda number: engine.step_lane(0)), ("script", script.step)):
            began = time.perf_counter()
            for number in numbers:
                result: Any = step(number)
                if name == "script":
                    memory = min(MEMORY, number / (number + 1))  # as the method averages its own
                    losses = {key: memory * losses.get(key, 0) + (1 - memory) * one for key, one in result.items()}
            if repeat:
                found[name].append(given.steps / (time.perf_counter() - began))
        write_json(given.json, {"job": str(given.job), "steps_a_second": found})
    rows = [[name, median(each), median(each) / median(found["script"]), each] for name, each in found.items()]
    print(table(["", "steps a second", "of the script's", "each"], rows))
    ours = [[key, float(outcomes[0][f"kept.{key}"]), one] for key, one in losses.items()]
    print(table(["loss lately", "raysweep", "script"], ours))


if __name__ == "__main__":
    main()
