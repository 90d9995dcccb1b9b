"""Explanations by one configuration: the winner of a sweep, run again for as many examples as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import InputError, RaysweepError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from raysweep.engine.workload import Workload
    from raysweep.schema import Sweep
    from raysweep.sweepfile import SweepFile


def explain(best: str | Path, examples: int, first_example: int = 0) -> dict[str, np.ndarray]:
    """Run the configuration of a `best.yaml` in this process, on a GPU if its hosts had one and there is one here.

    Args:
        best: what `raysweep best -o` wrote: a sweep file whose space holds one value for each hyper-parameter.
        examples: how many.
        first_example: index of the first; the sweep itself used 0 to N − 1.

    Returns:
        `explanation` [N, ...] float32 and what else the method gives: `latent` [N, d] and `response` [N]; or `mask`
        and `sample` [N, ...] and `distortion` [N].

    Raises:
        InputError: the file does not hold one configuration, or what it names does not load.
        TrialFailed: the configuration gives no finite result.
    """
    import numpy as np
    import torch

    from raysweep.engine.device import SLOTS, one_thread, open_device
    from raysweep.engine.engine import Engine
    from raysweep.engine.showing import Showing
    from raysweep.engine.trajectory import kept
    from raysweep.preflight import check_space, located
    from raysweep.search.conductor import trajectory_key
    from raysweep.search.space import steps_of
    from raysweep.sweepfile import load_sweep

    file = load_sweep(best)
    with located(file):
        check_space(file.single)
        config = only_configuration(file.single)
        workload = explaining_workload(file, first_example + examples)
        workload.explainer.check(None)
    outcomes: list[Any] = []
    values = file.sweep.numbers(config)
    wanted = range(first_example, first_example + examples)
    with one_thread():
        device = open_device("cuda" if file.sweep.hosts.gpus and torch.cuda.is_available() else "cpu")
        slots = file.sweep.slots or SLOTS[device.type]
        if file.sweep.trains:
            found = Showing(workload, slots, device).found(trained_generator(file, workload), values)
            classes = {name: found.tensors[name] for name in ("classes", "unseen")}
            return {"explanation": found.explanation[first_example:].astype(np.float32), **classes}
        engine = Engine(workload.methods(1, device), slots, device)
        key = trajectory_key(config)  # the rows' slots follow from it
        engine.advance(key, values, file.sweep.seed, wanted, steps_of(config), outcomes.append)
        engine.run()
        if isinstance(outcomes[0], RaysweepError):
            raise outcomes[0]
        found = Showing(workload, slots, device).found(kept(outcomes[0]), values)
    return {"explanation": found.explanation.astype(np.float32), **found.tensors}


def trained_generator(file: SweepFile, workload: Workload) -> dict[str, Tensor]:
    """What the winner of a sweep that trains has kept.

    Raises:
        InputError: there is none, or it is no generator of such images, or a search's has not found its embedding.
    """
    from raysweep.engine.explainers.probegan import GENERATOR
    from raysweep.engine.explainers.trained import check_embedding, check_generator, check_names, read_trained
    from raysweep.preflight import located

    path = getattr(file.sweep.method, "trained", None)
    if path is None:
        rule = "must be given: the generator that a sweep has trained"
        hint = "Let raysweep best NAME -o best.yaml write one"
        raise file.located(InputError(rule, key="method.trained", suggestion=hint))
    with located(file):
        found = read_trained(path, file.folder)
        check_names(found, path, workload.images.classes)
        check_generator(found, len(workload.images.classes), tuple(workload.images.x.shape[1:]))
        if workload.spec.trained is not None:
            check_embedding(found, path)
    return {name: found[name] for name in GENERATOR if name in found}


@contextmanager
def looked_into(best: str | Path) -> Iterator[Workload]:
    """What a `best.yaml` explains with; what turns out in the block not to hold is told with the file's line."""
    from raysweep.preflight import located
    from raysweep.sweepfile import load_sweep

    file = load_sweep(best)
    with located(file):
        yield explaining_workload(file, file.sweep.examples)


def explaining_workload(file: SweepFile, examples: int) -> Workload:
    """The method's networks for so many examples, without what only scores: no judge, no features.

    The data are read only for what they alone say: the samples that are explained, which unit a class stands for, or
    how explanations are shown.
    """
    from raysweep.engine.workload import Workload
    from raysweep.preflight import workload_spec

    per_class = getattr(file.sweep.method, "per", None) == "class"
    count = file.sweep.examples if per_class else examples
    return Workload(replace(workload_spec(file), judge=None, witnesses=(), objectives=(), examples=count))


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
