"""How many more heat maps a second do lanes make than a loop over single images?

    python benchmarks/heat_maps.py [--job jobs/lrp-fashion.yaml] [--examples 256] [--rounds 3] [--slots 8 16 32]
        [--json out.json] [--set key=value …]

The *script* is what a user would write for this network, one image after the other, all four signed passes of each
layer (`heat_maps_peer.py`); the *loop* calls raysweep's own rules on one image after the other; the *lanes* are the
engine's, one for each CPU, with rows of all the job's configurations. All take all configurations of the grid on the
same images, in float32; loading and scoring are left out. What they find is compared too. On a busy machine look at the
heat maps per CPU second, of which script and loop use one a second and the lanes as many as there are CPUs.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import JOBS, cpus, parser_of, say, table, write_json
from heat_maps_peer import Script
from torch import Tensor

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import Workload
from raysweep.methods.attribution import Attribution
from raysweep.methods.method import Rows
from raysweep.models.load import load_model
from raysweep.preflight import workload_spec
from raysweep.sweepfile import load_sweep

CPU = torch.device("cpu")


Heat = Callable[[int, dict[str, float]], Tensor]
"""The heat map of an example by a configuration."""


def one_by_one(
    heat: Heat, method: Attribution, configs: list[dict[str, float]], examples: int
) -> tuple[Tensor, tuple[float, float]]:
    """Heat maps [configurations, N, ...] one image at a time, and the seconds that they took, and of the CPUs."""
    began = time.perf_counter(), time.process_time()
    found = [heat(example, values) for values in map(method.complete, configs) for example in range(examples)]
    seconds = time.perf_counter() - began[0], time.process_time() - began[1]
    return torch.stack(found).detach().unflatten(0, (len(configs), examples)), seconds


def of_rules(method: Attribution, example: int, values: dict[str, float]) -> Tensor:
    """One image's by raysweep's own rules."""
    explained = method.masking.explained
    assert explained.unit is not None
    rows = Rows.of(0, range(example, example + 1), values, method.dtype)
    sample = explained.first[example : example + 1]
    return method.heat(explained.x[sample], explained.unit[sample], rows)[0][0]


def of_script(script: Script, method: Attribution, example: int, values: dict[str, float]) -> Tensor:
    """One image's by the script."""
    explained = method.masking.explained
    assert explained.unit is not None
    sample = int(explained.first[example])
    image, unit = explained.x[sample : sample + 1], int(explained.unit[sample])
    return script.heat(image, unit, values["alpha"], values["epsilon"])[0]


def in_lanes(
    methods: list[Attribution], configs: list[dict[str, float]], examples: int, slots: int
) -> tuple[Tensor, tuple[float, float]]:
    """The same by the engine."""
    engine = Engine(methods, slots)
    found: list[Any] = [None] * len(configs)
    began = time.perf_counter(), time.process_time()
    for place, config in enumerate(configs):
        engine.advance(str(place), config, 0, range(examples), 1, partial(found.__setitem__, place))

    def work(lane: int) -> None:
        while engine.step_lane(lane):
            pass

    with ThreadPoolExecutor(len(methods)) as pool:
        list(pool.map(work, range(len(methods))))
    seconds = time.perf_counter() - began[0], time.process_time() - began[1]
    return torch.stack([kept(state)["heat"] for state in found]), seconds


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--job", type=Path, default=JOBS / "lrp-fashion.yaml")
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slots", type=int, nargs="+", default=[8, 16, 32])
    args = parser.parse_args()
    file = load_sweep(args.job, [*args.set, f"examples={args.examples}"])
    workload = Workload(workload_spec(file))
    configs = [file.sweep.numbers(config) for config in file.sweep.parsed_space.grid()]
    built: list[Any] = workload.methods(cpus(), CPU, "float32")
    count = len(configs) * args.examples
    script = Script(load_model(workload.spec.classifier, key="models.classifier", folder=workload.folder).module)
    rules: Heat = partial(of_rules, built[0])
    plainly: Heat = partial(of_script, script, built[0])
    for heat in (rules, plainly):
        one_by_one(heat, built[0], configs[:1], 4)
    speeds: dict[str, list[tuple[float, float]]] = {"script": [], "loop": []} | {
        f"lanes of {slots}": [] for slots in args.slots
    }
    furthest = {"script": 0.0, "lanes": 0.0}
    for one in range(args.rounds):
        plain, seconds = one_by_one(plainly, built[0], configs, args.examples)
        speeds["script"].append((count / seconds[0], count / seconds[1]))
        alone, seconds = one_by_one(rules, built[0], configs, args.examples)
        furthest["script"] = max(furthest["script"], apart(plain, alone))
        speeds["loop"].append((count / seconds[0], count / seconds[1]))
        for slots in args.slots:
            made, seconds = in_lanes(built, configs, args.examples, slots)
            speeds[f"lanes of {slots}"].append((count / seconds[0], count / seconds[1]))
            furthest["lanes"] = max(furthest["lanes"], apart(made, alone))
        say(
            f"round {one + 1}: "
            + ", ".join(f"{name} {each[-1][0]:,.0f} ({each[-1][1]:,.0f})" for name, each in speeds.items())
        )
        write_json(args.json, {"speeds": speeds, "furthest": furthest, "examples": args.examples, "cpus": cpus()})
    medians = {name: [statistics.median(kind) for kind in zip(*each, strict=True)] for name, each in speeds.items()}
    script_wall, script_cpu = medians["script"]
    loop_wall, loop_cpu = medians["loop"]
    rows = [
        [
            name,
            *(f"{wall:,.0f}", f"{wall / script_wall:.1f}", f"{wall / loop_wall:.1f}"),
            *(f"{cpu:,.0f}", f"{cpu / script_cpu:.1f}", f"{cpu / loop_cpu:.1f}"),
        ]
        for name, (wall, cpu) in medians.items()
    ]
    against = ["times the script", "times the loop"]
    print(table(["", "heat maps a second", *against, "per CPU second", *against], rows))
    found = ", ".join(f"of the {name} by {by:.1e}" for name, by in furthest.items())
    print(f"\n{count} heat maps each, {cpus()} CPUs. From the loop's differ, of the largest heat at most: {found}.")


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, of the largest heat."""
    return float((one - other).abs().max() / other.abs().max())


if __name__ == "__main__":
    main()
