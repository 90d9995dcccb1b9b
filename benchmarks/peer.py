"""The script that people write today: Ray Tune, one process and its own networks per trial, Adam on the latents.

It gives the same scores as raysweep for the same grid, so that the two can be timed against each other:

    python benchmarks/peer.py jobs/quickstart.yaml --frozen [--set key=value …]

Gradients of the weights stay on, as in most scripts, unless it is `--frozen`. Each trial is logged to MLflow by Ray's
own callback. What a careful author would do is done: the real data's responses are computed once, torch has as many
threads as its trial has CPUs, Ray runs without a dashboard and its workers at normal priority. The clock starts with a
Ray that runs and the libraries imported; stepping is the time of the trials' loops divided by how many run at once.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import cpus, parser_of, write_json

from raysweep.sweepfile import load_sweep

CPUS = 1  # of a trial: as many trials run at once as there are CPUs (with a GPU: as there are GPUs)


def explain(config: dict[str, Any], spec: Any, reference: tuple[float, float], frozen: bool, device: str) -> None:
    """One trial: load the networks, optimise N latents together, score them."""
    import torch
    from ray import tune

    from raysweep.engine.workload import Workload
    from raysweep.methods.noise import normal

    torch.set_num_threads(CPUS)
    workload = Workload(spec)
    generator, response = workload.generator.module.to(device), workload.readout(workload.classifier.module.to(device))
    for network in (generator, response):
        network.requires_grad_(not frozen)
    n, sign = spec.examples, 1.0 if spec.direction == "maximise" else -1.0
    seeds, examples = torch.full((n,), spec.seed, dtype=torch.int64), torch.arange(n)
    z = normal(seeds, examples, (workload.generator.latent or 0,), stream="latent").float().to(device).requires_grad_()
    optimiser = torch.optim.Adam([z], lr=config["lr"])
    best = torch.full((n,), -float("inf"), device=device)
    began = time.perf_counter()
    for _ in range(config["steps"]):
        optimiser.zero_grad()
        found = sign * response(generator(z))
        best = torch.maximum(best, found.detach())
        loss = (config["prior_weight"] / 2 * z.square().sum(dim=1) - found).sum()
        loss.backward()
        optimiser.step()
    responses = (sign * best).double().cpu()
    stepping = time.perf_counter() - began
    mean, deviation = reference
    distance = (responses.mean() - mean) ** 2 + (responses.std() - deviation) ** 2
    tune.report({"response_fd": float(distance), "response": float(responses.mean()), "stepping": stepping})


def reference_of(spec: Any) -> tuple[float, float]:
    """Mean and standard deviation of the N most extreme responses to the real data."""
    import torch

    from raysweep.engine.workload import Workload
    from raysweep.objectives.response import reference_responses

    workload = Workload(spec)
    response = workload.readout(workload.classifier.module)
    with torch.no_grad():
        real = torch.cat([response(part) for part in torch.from_numpy(workload.data.x).split(100)])
    extreme = reference_responses(real.numpy(), spec.examples, spec.direction)
    return float(extreme.mean()), float(extreme.std(ddof=1))


def run(job: Path, overrides: list[str], frozen: bool) -> dict[str, Any]:
    """Run the whole grid: seconds until the last run is in MLflow, seconds of stepping, and each trial's score."""
    from raysweep.cluster.runtime import LOCAL_SETTINGS

    os.environ.update(LOCAL_SETTINGS)
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    import mlflow  # noqa: F401
    import ray
    import torch
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback

    import raysweep.engine.workload
    from raysweep.preflight import workload_spec

    file = load_sweep(job, overrides)
    gpus = file.sweep.hosts.gpus
    at_once = gpus or cpus() // CPUS
    domains: dict[str, Any] = {one.name: one.domain for one in file.sweep.parsed_space.parameters}
    grid = {name: tune.grid_search(list(domain.values)) for name, domain in domains.items()}
    with tempfile.TemporaryDirectory() as folder:
        ray.init(
            address="local", num_cpus=cpus(), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
        torch.set_num_threads(cpus())
        began = time.perf_counter()
        spec = workload_spec(file)
        spec = replace(spec, judge=None, unit=raysweep.engine.workload.Workload(spec).unit, target=None)
        known = {"spec": spec, "reference": reference_of(spec), "frozen": frozen, "device": "cuda" if gpus else "cpu"}
        recorder = MLflowLoggerCallback(tracking_uri=f"sqlite:///{folder}/mlflow.db", experiment_name="peer")
        trial = tune.with_parameters(explain, **known)
        results: Any = tune.Tuner(
            tune.with_resources(trial, {"cpu": CPUS, "gpu": gpus and 1}),
            param_space=grid,
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[recorder]),
        ).fit()
        seconds = time.perf_counter() - began
        ray.shutdown()
    if results.errors:
        raise SystemExit(str(results.errors[0]))
    trials = [{**result.config, "response_fd": result.metrics["response_fd"]} for result in results]
    return {
        "seconds": seconds,
        "stepping": sum(result.metrics["stepping"] for result in results) / at_once,
        "row_steps": sum(trial["steps"] for trial in trials) * spec.examples,
        "trials": trials,
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("--frozen", action="store_true", help="no gradients of the weights")
    arguments = parser.parse_args()
    found = run(arguments.job, arguments.set, arguments.frozen)
    print(f"{found['seconds']:.1f} s, {found['stepping']:.1f} s stepping, {found['row_steps']:.0f} row-steps")
    write_json(arguments.json, found)


if __name__ == "__main__":
    main()
