"""What scheduling costs a grid of masks, and what sharing saves: 16 configurations of rate-distortion explanations.

    python benchmarks/rde.py [--job jobs/rde-fashion.yaml] [--steps 40] [--repeats 3] [--json out.json] [--set …]

The same rows, three ways, in turn, all with one thread a CPU and the same lane shape:

*engine* steps them as a host does, 16 configurations at once in its lanes; *ideal* gives every CPU its half of all rows
in batches of that shape and calls the method in a plain loop, with no seats, queues or trials; *processes* is a script
per configuration, as many at a time as there are CPUs, with networks as they are loaded, and gradients of the weights,
as most scripts have them. Its clock includes starting Python and loading, which is what a configuration costs there.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import torch
from common import HERE, JOBS, cpus, median, parser_of, say, table, write_json

from raysweep.engine.engine import Engine
from raysweep.engine.workload import Workload
from raysweep.methods import Method, Rows
from raysweep.preflight import workload_spec
from raysweep.search.conductor import trajectory_key
from raysweep.sweepfile import load_sweep

GRID = [
    {"lr": lr, "sparsity_weight": weight, "temperature": temperature, "noise_samples": 4.0}
    for lr, weight, temperature in product((0.03, 0.1), (0.1, 0.3, 1.0, 3.0), (0.1, 0.5))
]


def engine(methods: list[Method], slots: int, steps: int, examples: int) -> float:
    """Seconds in which a host's engine brings all rows to their last step."""
    whole, ended = Engine(methods, slots), []
    for config in GRID:
        whole.advance(trajectory_key(config), config, 0, range(examples), steps, ended.append)

    def work(lane: int) -> None:
        while len(ended) < len(GRID):
            if not whole.step_lane(lane):
                time.sleep(0.0005)

    seconds = at_once(len(methods), work)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome
    return seconds


def ideal(methods: list[Method], slots: int, steps: int, examples: int) -> float:
    """Seconds in which plain loops do, each over its share of the rows."""
    configs = [methods[0].complete(config) for config in GRID for _ in range(examples)]
    values = {name: torch.tensor([config[name] for config in configs]) for name in configs[0]}
    example = torch.arange(examples).repeat(len(GRID))
    batches = list(torch.arange(len(example)).split(slots))

    def work(lane: int) -> None:
        method = methods[lane]
        for rows_of in batches[lane :: len(methods)]:
            zeros = torch.zeros_like(rows_of)
            rows = Rows(zeros, example[rows_of], zeros, zeros, {name: value[rows_of] for name, value in values.items()})
            state, partial = method.begin(rows), {}
            for step in range(steps):
                for draw in range(int(GRID[0]["noise_samples"])):
                    now = Rows(rows.seed, rows.example, zeros + step, zeros + draw, rows.values)
                    turn = method.turn(state, partial, now, step == 0)
                    partial = turn.partial
                state, partial = turn.state, {}

    return at_once(len(methods), work)


def at_once(count: int, work: Any) -> float:
    """Seconds of so many threads' work."""
    began = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))
    return time.perf_counter() - began


def processes(job: Path, overrides: list[str], steps: int) -> float:
    """Seconds of a script per configuration, as many at a time as there are CPUs."""
    began = time.perf_counter()
    command = [sys.executable, str(HERE / "rde_peer.py"), str(job), str(steps)]

    def run(config: dict[str, float]) -> None:
        given = [f"{name}={value}" for name, value in config.items()]
        subprocess.run([*command, *given, *(f"--set={one}" for one in overrides)], check=True)

    with ThreadPoolExecutor(cpus()) as pool:
        list(pool.map(run, GRID))
    return time.perf_counter() - began


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--job", type=Path, default=JOBS / "rde-fashion.yaml")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    file = load_sweep(given.job, given.set)
    workload = Workload(workload_spec(file))
    device, examples = torch.device("cpu"), file.sweep.examples
    methods = workload.methods(cpus(), device, "float32")
    torch.set_num_threads(1)
    found: dict[str, list[float]] = {"engine": [], "ideal": [], "processes": []}
    for _ in range(given.repeats):
        for name, seconds in (
            ("engine", lambda: engine(methods, given.slots, given.steps, examples)),
            ("ideal", lambda: ideal(methods, given.slots, given.steps, examples)),
            ("processes", lambda: processes(given.job, given.set, given.steps)),
        ):
            found[name].append(seconds())
            say(f"{name}: {found[name][-1]:.1f} s")
            write_json(given.json, {"job": str(given.job), "steps": given.steps, "seconds": found})
    ours = median(found["engine"])
    rows = [[name, median(seconds), median(seconds) / ours, seconds] for name, seconds in found.items()]
    print(table(["", "seconds", "of the engine's", "each"], rows))


if __name__ == "__main__":
    main()
