"""Generator steps a second of ProbeGAN against a script of the same losses and networks, and the losses of all.

    python benchmarks/probegan.py [--job jobs/probegan-fashion.yaml] [--precision float32 bfloat16] [--steps 30]
        [--repeats 3] [--replicate 0] [--no-script] [--cpu-time] [--json out.json]

All train the job's first configuration, in turn, with one thread, as a lane of a host does. The script
(`probegan_peer.py`) is the method as one writes it down, in float32; its losses, as they have been lately, are to be
like ours. With several precisions (and --no-script) it says what one costs against the other, and whether losses stay
alike; how far they may differ, another --replicate says. With --cpu-time seconds are the process's own: for a machine
that does other things too.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported

import time
from pathlib import Path
from typing import Any, Protocol

import torch
from common import JOBS, median, parser_of, table, write_json
from probegan_peer import Script

from raysweep.engine.engine import Engine
from raysweep.engine.explainers.probegan import GanExplainer
from raysweep.engine.workload import Workload
from raysweep.methods import Method
from raysweep.methods.gan import RealImages
from raysweep.methods.probegan import MEMORY
from raysweep.preflight import workload_spec
from raysweep.sweepfile import load_sweep

CPU = torch.device("cpu")


class Contender(Protocol):
    def step(self, number: int) -> None: ...

    def losses(self) -> dict[str, float]:
        """As they have been lately."""


class Ours:
    """A training in a lane."""

    def __init__(self, method: Method, values: dict[str, float], steps: int) -> None:
        self.engine = Engine([method], 1)
        outcomes: list[Any] = []
        self.engine.advance("bench", values, 0, range(1), steps + 1, outcomes.append)

    def step(self, number: int) -> None:
        self.engine.step_lane(0)

    def losses(self) -> dict[str, float]:
        begin = "kept."
        state = self.engine.lanes[0].state
        return {name.removeprefix(begin): float(one) for name, one in state.items() if name.startswith(LOSSES)}


class Theirs:
    """The script's training; its losses are averaged as the method averages its own."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.lately = dict[str, float]()

    def step(self, number: int) -> None:
        memory = min(MEMORY, number / (number + 1))
        for name, one in self.script.step(number).items():
            self.lately[name] = memory * self.lately.get(name, 0) + (1 - memory) * one

    def losses(self) -> dict[str, float]:
        return self.lately


LOSSES = ("kept.generator.", "kept.discriminator.")


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--job", type=Path, default=JOBS / "probegan-fashion.yaml")
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--replicate", type=int, default=0)
    parser.add_argument("--no-script", action="store_true")
    parser.add_argument("--cpu-time", action="store_true")
    given = parser.parse_args()
    file = load_sweep(given.job, given.set)
    workload = Workload(workload_spec(file))
    explainer = workload.explainer
    assert isinstance(explainer, GanExplainer)
    torch.set_num_threads(1)
    contenders = dict[str, Contender]()
    for precision in given.precision:
        (method,) = workload.methods(1, CPU, precision)
        values = method.complete(file.sweep.numbers(next(file.sweep.parsed_space.grid())))
        values["replicate"] = float(given.replicate)
        contenders[precision] = Ours(method, values, given.steps * (given.repeats + 1))
    if not given.no_script:
        data = explainer.images
        images = RealImages(torch.from_numpy(data.x), torch.from_numpy(data.y), len(data.classes))
        torch.manual_seed(given.replicate)
        contenders["script"] = Theirs(Script(images, workload.classifier.module.eval(), explainer.target, values))
    clock = time.process_time if given.cpu_time else time.perf_counter
    found: dict[str, list[float]] = {name: [] for name in contenders}
    curves: list[list[Any]] = []
    for repeat in range(given.repeats + 1):  # the first warms up
        for name, one in contenders.items():
            began = clock()
            for number in range(repeat * given.steps, (repeat + 1) * given.steps):
                one.step(number)
            if repeat:
                found[name].append(given.steps / (clock() - began))
            curves += [[(repeat + 1) * given.steps, name, *each] for each in sorted(one.losses().items())]
        write_json(given.json, {"job": str(given.job), "steps_a_second": found, "losses": curves})
    last = list(contenders)[-1]
    rows = [[name, median(each), median(each) / median(found[last]), each] for name, each in found.items()]
    print(table(["", "steps a second", f"of {last}'s", "each"], rows))
    print(table(["steps", "", "loss lately", ""], curves))


if __name__ == "__main__":
    main()
