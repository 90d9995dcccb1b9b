"""How near stepping comes to what this machine can multiply, and where the rest of the time goes.

    python benchmarks/limits.py [--job SWEEP_FILE …] [--slots 4 8 …] [--seconds 3] [--device cuda] [--json out.json]

First the limit: the rate of square matrix products in float32 and bfloat16, on all CPUs at once with one thread each,
as a host steps its lanes; of several sizes the best, of several repeats the median. Then the engine itself, its lanes
full, one in a thread of its own for each CPU. A row-step's operations are torch's count of one forward and backward
pass to the latents (input gradients only), so whatever the engine does beside them lowers the share.

The parts: *networks* is the loss and its gradient alone, *Adam* the update alone, both at the lane's shape and with all
lanes at once; *rest* is what remains of a step: remembering the best, checks, seating rows.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common import JOBS, cpus, median, parser_of, say, table, write_json
from torch.utils.flop_counter import FlopCounterMode

from raysweep.engine.device import keep_freed_memory, open_device
from raysweep.engine.engine import Engine
from raysweep.engine.workload import DTYPES, Workload
from raysweep.methods import RowMethod, Rows
from raysweep.methods.adam import adam_step
from raysweep.preflight import workload_spec
from raysweep.sweepfile import load_sweep

PRECISIONS = ("float32", "bfloat16")
SIZES = {"cpu": (512, 1024, 2048, 3072), "cuda": (2048, 4096, 8192, 16384)}
SLOTS = {"cpu": (4, 8, 16, 25, 32, 50), "cuda": (64, 128, 256, 450, 512, 1024)}
VALUES = {"lr": 0.01, "prior_weight": 0.01}
FOREVER = 10**9
Call = Callable[[], Any]


def rate(calls: list[Call], seconds: float, device: torch.device) -> float:
    """Calls a second, summed over threads that each repeat one of `calls` at once, after a first one to warm up.

    A thread goes on until all have passed `seconds`, so that none is timed with the machine to itself.
    """
    ready, passed = threading.Barrier(len(calls)), [False] * len(calls)

    def work(index: int) -> float:
        call, made, found = calls[index], 0, 0.0
        try:
            call()
            _finish(device)
            ready.wait()
            began = time.perf_counter()
            while not all(passed):
                call()
                _finish(device)
                elapsed, made = time.perf_counter() - began, made + 1
                if elapsed >= seconds and not passed[index]:
                    found, passed[index] = made / elapsed, True
        except BaseException:  # let the others end
            passed[index] = True
            ready.abort()
            raise
        return found

    with ThreadPoolExecutor(len(calls)) as pool:
        return sum(pool.map(work, range(len(calls))))


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gemm(dtype: torch.dtype, size: int, lanes: int, seconds: float, device: torch.device) -> float:
    """GFLOP/s of products of two matrices [size, size], one in each of `lanes` threads."""

    def product() -> Call:
        one, other, out = (torch.rand(size, size, device=device).to(dtype) for _ in range(3))
        return lambda: torch.mm(one, other, out=out)

    return rate([product() for _ in range(lanes)], seconds, device) * 2 * size**3 / 1e9


def flops(method: RowMethod, slots: int, device: torch.device) -> float:
    """Floating point operations of one row-step's forward and backward pass."""
    rows, params = rows_of(method, slots, device)
    with FlopCounterMode(display=False) as counter:
        method.loss(params.requires_grad_(), rows).total.sum().backward()  # grad() of a leaf it does not support
    return float(counter.get_total_flops()) / slots


def gradient_of(method: RowMethod, slots: int, device: torch.device) -> Call:
    """The loss of a lane's rows and its gradient, as one call."""
    rows, params = rows_of(method, slots, device)

    def call() -> None:
        leaf = params.detach().requires_grad_()
        torch.autograd.grad(method.loss(leaf, rows).total.sum(), leaf)

    return call


def update_of(method: RowMethod, slots: int, device: torch.device) -> Call:
    """Adam's update of a lane's rows, as one call."""
    rows, params = rows_of(method, slots, device)
    gradient = torch.randn_like(params)
    first, second = torch.zeros_like(params), torch.zeros_like(params)
    return lambda: adam_step(params, gradient, first, second, rows["lr"], rows.step)


def rows_of(method: RowMethod, slots: int, device: torch.device) -> tuple[Rows, torch.Tensor]:
    """Rows that fill a lane, and their first parameters, on the device."""
    drawn = Rows.of(0, range(slots), VALUES)
    params = method.start(drawn).to(device)
    moved = drawn.to(device)
    return replace(moved, values={name: value.to(params.dtype) for name, value in moved.values.items()}), params


def steps_of(methods: list[RowMethod], slots: int, device: torch.device) -> list[Call]:
    """One step of each lane of an engine that is full for ever, as calls."""
    engine = Engine(methods, slots, device)
    for lane in range(len(methods)):
        engine.advance(f"trial {lane}", VALUES, 0, range(slots), FOREVER, _unexpected)

    def call(lane: int) -> Call:
        return lambda: engine.step_lane(lane)

    return [call(lane) for lane in range(len(methods))]


def _unexpected(outcome: Any) -> None:
    raise outcome if isinstance(outcome, Exception) else AssertionError("a trial without end ended")


def parts(methods: list[RowMethod], slots: int, seconds: float, device: torch.device) -> dict[str, float]:
    """Row-steps a second, and microseconds of the machine's time for a row-step and for each of its parts."""
    step = rate(steps_of(methods, slots, device), seconds, device) * slots
    networks = rate([gradient_of(method, slots, device) for method in methods], seconds, device) * slots
    adam = rate([update_of(method, slots, device) for method in methods], min(seconds, 0.5), device) * slots
    found = {"row_steps_per_second": step, "step_us": 1e6 / step, "networks_us": 1e6 / networks, "adam_us": 1e6 / adam}
    return {**found, "rest_us": found["step_us"] - found["networks_us"] - found["adam_us"]}


def measured(arguments: Any, device: torch.device, limits: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Each sweep file's networks in each precision and lane shape."""
    lanes = cpus() if device.type == "cpu" else 1
    for job in arguments.job:
        spec = workload_spec(load_sweep(job, arguments.set))
        operations = flops(Workload(replace(spec, precision="float32")).methods(1, device)[0], 8, device)
        for precision in arguments.precision:
            methods = Workload(replace(spec, precision=precision)).methods(lanes, device)
            for slots in arguments.slots or SLOTS[device.type]:
                found = [parts(methods, slots, arguments.seconds, device) for _ in range(arguments.repeats)]
                medians = {name: median(one[name] for one in found) for name in found[0]}
                achieved = medians["row_steps_per_second"] * operations / 1e9
                say(f"{job.stem} {precision} {slots} slots: {achieved:.0f} GFLOP/s")
                yield {
                    "job": job.stem,
                    "precision": precision,
                    "slots": slots,
                    "mflop_per_row_step": operations / 1e6,
                    "gflops": achieved,
                    "share": achieved / limits[precision],
                    **medians,
                }


def main() -> None:
    parser = parser_of(__doc__)
    jobs = [JOBS / "quickstart.yaml", JOBS / "am-vocal.yaml"]
    parser.add_argument("--job", type=Path, nargs="+", default=jobs, help="sweep files whose networks are stepped")
    parser.add_argument("--slots", type=int, nargs="+", help="rows of a lane")
    parser.add_argument("--precision", nargs="+", default=PRECISIONS, choices=PRECISIONS)
    parser.add_argument("--sizes", type=int, nargs="+", help="of the matrices")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="of each, for the median")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    device = open_device(arguments.device)
    keep_freed_memory()
    lanes = cpus() if device.type == "cpu" else 1
    rates: dict[str, dict[int, float]] = {}
    rows: list[dict[str, Any]] = []
    found: dict[str, Any] = {"device": str(device), "lanes": lanes, "gemm_gflops": rates, "rows": rows}
    for precision in arguments.precision:
        rates[precision] = {}
        for size in arguments.sizes or SIZES[device.type]:
            repeats = [
                gemm(DTYPES[precision], size, lanes, arguments.seconds, device) for _ in range(arguments.repeats)
            ]
            rates[precision][size] = median(repeats)
            say(f"{precision} matrices of {size}: {rates[precision][size]:.0f} GFLOP/s")
    limits = {precision: max(by_size.values()) for precision, by_size in rates.items()}
    found["limits"] = limits
    for row in measured(arguments, device, limits):
        rows.append(row)
        write_json(arguments.json, found)
    print(table(["precision", "best GEMM, GFLOP/s"], limits.items()), end="\n\n")
    header = ["networks", "MFLOP", "precision", "slots", "GFLOP/s", "share %", "µs a row-step"]
    print(table([*header, "networks", "Adam", "rest", "rest and Adam %"], [_figures(row) for row in rows]))


def _figures(row: dict[str, Any]) -> list[Any]:
    """One row of the table."""
    beside = 100 * (1 - row["networks_us"] / row["step_us"])
    named = [row["job"], row["mflop_per_row_step"], row["precision"], row["slots"], row["gflops"], 100 * row["share"]]
    return [*named, row["step_us"], row["networks_us"], row["adam_us"], row["rest_us"], beside]


if __name__ == "__main__":
    main()
