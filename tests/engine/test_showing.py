"""Showing rows that were stepped in bfloat16: explanation and response are those of the float32 networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from raysweep.engine.engine import Engine
from raysweep.engine.showing import Showing
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import Workload
from raysweep.methods.method import State
from tests.engine.specs import FASHION

CPU = torch.device("cpu")
VALUES = {"lr": 0.05, "prior_weight": 0.01}
SPEC = replace(FASHION, precision="bfloat16")


def stepped(workload: Workload) -> State:
    found: list[State] = []
    engine = Engine(workload.methods(1, CPU), 4)
    engine.advance("a", VALUES, 0, range(7), 6, found.append)  # type: ignore[arg-type]
    engine.run()
    return found[0]


def test_rows_of_low_precision_are_shown_and_read_by_the_float32_networks() -> None:
    workload = Workload(SPEC)
    seen = kept(stepped(workload))
    found = Showing(workload, 4, CPU).found(seen, VALUES)
    assert workload.generator is not None
    with torch.no_grad():
        made = workload.generator.module(seen["latent"])
        read = workload.classifier.module(made)[:, 7]
    np.testing.assert_allclose(found.explanation, made.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.numbers["response"], read.numpy(), atol=1e-4)
    assert not np.allclose(
        found.numbers["response"], seen["response"].numpy(), atol=1e-4
    )  # what bfloat16 read on the way


def test_shown_rows_do_not_depend_on_how_many_there_are() -> None:
    workload = Workload(replace(SPEC, precision="float32"))
    seen = kept(stepped(workload))
    show = Showing(workload, 4, CPU)
    whole, part = show.found(seen, VALUES), show.found({name: value[:5] for name, value in seen.items()}, VALUES)
    np.testing.assert_array_equal(whole.explanation[:5], part.explanation)
    np.testing.assert_array_equal(whole.numbers["response"][:5], part.numbers["response"])
