"""How many candidates a second matching pursuit compares, against a loop that tries them one by one, on radio maps.

    python benchmarks/pursuit.py [--job jobs/rde-radio.yaml] [--slots 1 2 6] [--threads 1 2] [--repeats 5] [--steps 2]
        [--json out.json] [--set key=value …]

Alternately: *pursuit* is the engine as a host runs it, a lane for each CPU and one thread a lane, networks prepared;
*one by one* is a user's loop over the candidates of the first example: it takes components away (so the job's fill must
be the constant 0), asks the network as it was loaded, and keeps the best, with one thread or with one for each CPU. A
candidate is one mask that the network was asked about, the one as it is among them. The last column says how many of
the first row's components were chosen. CPU time tells less of what else the machine does.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported. The loop sets its own

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from common import JOBS, cpus, median, parser_of, say, table, write_json

from raysweep.engine.engine import Engine
from raysweep.engine.explainers.rde import PursuitExplainer
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import Workload
from raysweep.methods import Method
from raysweep.preflight import workload_spec
from raysweep.sweepfile import load_sweep

VALUES = {"noise_samples": 1.0, "tolerance": 0.0}

Chosen = list[list[int]]
"""Each example's components, in the order of their choice."""


def pursuit(methods: list[Method], slots: int, steps: int, examples: range) -> Chosen:
    """A host's engine, a thread for each lane."""
    engine, ended = Engine(methods, slots), list[Any]()
    engine.advance("pursuit", VALUES, 0, examples, steps, ended.append)

    def work(lane: int) -> None:
        while not ended:
            if not engine.step_lane(lane):
                time.sleep(0.0005)

    with ThreadPoolExecutor(len(methods)) as pool:
        list(pool.map(work, range(len(methods))))
    if isinstance(ended[0], Exception):
        raise ended[0]
    importance = kept(ended[0])["importance"]
    return [row.argsort(descending=True)[: int((row > 0).sum())].tolist() for row in importance]


def one_by_one(explainer: PursuitExplainer, steps: int, examples: range) -> Chosen:
    """A loop over the candidates of every step of every example."""
    readout = explainer.workload.readout(explainer.workload.classifier.module)
    components, chosen = explainer.components, list[list[int]]()
    for example in examples:
        x = explainer.explained.x[example : example + 1]
        labels = components.labels[example].view(x.shape)
        left = components.present(torch.tensor([example]))[0].nonzero().flatten().tolist()
        mine = list[int]()
        with torch.no_grad():
            wanted = readout(x)
            for _ in range(steps):
                tried = {}
                for one in (None, *left):
                    keep = torch.zeros(components.count + 2)
                    keep[[*mine, components.count] if one is None else [*mine, one, components.count]] = 1
                    tried[one] = float(0.5 * (readout(x * keep[labels]) - wanted).square().mean())
                best = min(left, key=lambda component: tried[component])
                left.remove(best)
                mine.append(best)
        chosen.append(mine)
    return chosen


def timed(work: Callable[[], Chosen]) -> tuple[tuple[float, float], Chosen]:
    """Seconds, seconds of CPU time, and what was found."""
    began = time.perf_counter(), time.process_time()
    found = work()
    return (time.perf_counter() - began[0], time.process_time() - began[1]), found


def same(one: Chosen, other: Chosen) -> float:
    """The share of one's components that the other has chosen too."""
    both = sum(len({*a} & {*b}) for a, b in zip(one, other, strict=True))
    return both / sum(map(len, one))


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--job", type=Path, default=JOBS / "rde-radio.yaml")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 6])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cpus()}))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    given = parser.parse_args()
    workload = Workload(workload_spec(load_sweep(given.job, given.set)))
    explainer = workload.explainer
    assert isinstance(explainer, PursuitExplainer)
    lanes = {one: workload.methods(cpus(), torch.device("cpu"), one) for one in ("float32", "bfloat16")}
    many, few = range(workload.spec.examples), range(1)
    sizes = explainer.components.present(torch.tensor(many)).sum(dim=1).tolist()
    candidates = [sum(size + 1 - step for step in range(given.steps)) for size in sizes]
    rates: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}
    agree: dict[str, float] = {}

    def note(name: str, count: int, seconds: tuple[float, float]) -> None:
        rates.setdefault(name, []).append(count / seconds[0])
        costs.setdefault(name, []).append(1000 * seconds[1] / count)
        figures = {"candidates_per_second": rates, "cpu_ms_per_candidate": costs}
        write_json(given.json, {"job": str(given.job), "steps": given.steps, **figures})

    for _ in range(given.repeats):
        ours: Chosen = []
        for (precision, methods), slots in product(lanes.items(), given.slots):
            torch.set_num_threads(1)
            work = partial(pursuit, methods, slots, given.steps, many)
            seconds, found = timed(work)
            ours = ours or found
            name = f"pursuit, {precision}, lanes of {slots}"
            agree[name] = same(ours, found)
            note(name, sum(candidates), seconds)
        for threads in given.threads:
            name = f"one by one, threads: {threads}"
            torch.set_num_threads(threads)
            seconds, found = timed(partial(one_by_one, explainer, given.steps, few))
            agree[name] = same(ours[:1], found)
            note(name, candidates[0], seconds)
        say(", ".join(f"{name} {found[-1]:.0f}" for name, found in rates.items()))
    loop = max(median(found) for name, found in rates.items() if name.startswith("one by one"))
    rows = [
        [name, median(found), median(found) / loop, median(costs[name]), f"{agree[name]:.0%}"]
        for name, found in rates.items()
    ]
    print(table(["", "candidates a second", "of the faster loop's", "CPU ms each", "same components"], rows))


if __name__ == "__main__":
    main()
