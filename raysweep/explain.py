"""Explanations by one configuration: the winner of a sweep, run again for as many examples as wanted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import InputError, RaysweepError

if TYPE_CHECKING:
    import numpy as np

    from raysweep.engine.workload import Workload
    from raysweep.sweepfile import Sweep, SweepFile

SLOTS = 16


def explain(best: str | Path, examples: int, first_example: int = 0) -> dict[str, np.ndarray]:
    """Run the configuration of a `best.yaml` in this process, on a GPU if its hosts had one and there is one here.

    Args:
        best: what `raysweep best -o` wrote: a sweep file whose space holds one value for each hyper-parameter.
        examples: how many.
        first_example: index of the first; the sweep itself used 0 to N − 1.

    Returns:
        `explanation` [N, ...] float32, `latent` [N, d], `response` [N] float64.

    Raises:
        InputError: the file does not hold one configuration, or what it names does not load.
        TrialFailed: the configuration gives no finite result.
    """
    import torch

    from raysweep.engine.engine import Engine
    from raysweep.engine.trajectory import kept
    from raysweep.preflight import check_space, located
    from raysweep.sweepfile import load_sweep

    file = load_sweep(best)
    with located(file):
        check_space(file.sweep)
        config = only_configuration(file.sweep)
        workload = explaining_workload(file)
        check_networks(workload)
    device = torch.device("cuda" if file.sweep.hosts.gpus and torch.cuda.is_available() else "cpu")
    method = workload.methods(1, device)[0]
    engine = Engine([method], SLOTS, device)
    outcomes: list[Any] = []
    values = {name: float(value) for name, value in config.items() if name != "steps"}
    wanted = range(first_example, first_example + examples)
    engine.advance("explain", values, file.sweep.seed, wanted, int(config["steps"]), outcomes.append)
    engine.run()
    if isinstance(outcomes[0], RaysweepError):
        raise outcomes[0]
    seen = kept(outcomes[0])
    with torch.no_grad():
        parts = [
            method.explain({name: value[i : i + SLOTS].to(device) for name, value in seen.items()}).float().cpu()
            for i in range(0, examples, SLOTS)
        ]
    return {
        "explanation": torch.cat(parts).numpy(),
        "latent": seen["latent"].float().numpy(),
        "response": seen["response"].double().numpy(),
    }


def media_of(best: str | Path) -> str:
    """How the explanations of a `best.yaml` are shown."""
    from raysweep.preflight import located
    from raysweep.sweepfile import load_sweep

    file = load_sweep(best)
    with located(file):
        return explaining_workload(file).media


def explaining_workload(file: SweepFile) -> Workload:
    """Generator and classifier, without what only scores: no judge, no features.

    The data are read only for what they alone say: which unit a class stands for, or how explanations are shown.
    """
    from raysweep.engine.workload import Workload
    from raysweep.preflight import workload_spec

    return Workload(replace(workload_spec(file), judge=None, objectives=()))


def check_networks(workload: Workload) -> None:
    """What a sweep checks about its networks, as far as it can be tried without the data.

    Raises:
        InputError: they do not fit each other, or one lets a row depend on the rows beside it.
    """
    import torch

    from raysweep.models.fit import check_fit
    from raysweep.models.independence import check_rows_independent

    generator, response = workload.generator, workload.readout(workload.classifier.module)
    check_fit(generator, response)
    latents = torch.randn(2, generator.latent or 0, generator=torch.Generator().manual_seed(1))
    check_rows_independent(generator.module, latents, key="models.generator")
    with torch.no_grad():
        made = generator.module(latents)
    check_rows_independent(response, made, key="models.classifier")


def only_configuration(sweep: Sweep) -> dict[str, Any]:
    """The one configuration of a space without choices."""
    space = sweep.parsed_space
    if space.free:
        raise InputError(
            "must hold one value: explain runs a single configuration",
            key=f"space.{space.free[0].name}",
            suggestion="Let raysweep best NAME -o best.yaml write one",
        )
    return next(space.grid())
