"""The localisation job on its own network and images: every one of its methods explains them, and finds boxes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raysweep.engine.engine import Engine
from raysweep.engine.showing import Showing
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import Workload
from raysweep.preflight import check_space, workload_spec
from raysweep.search.space import steps_of
from raysweep.sweepfile import load_sweep

METHODS = ("gradient", "guided_backprop", "lrp", "cam", "occlusion", "mask", "rde", "gfi", "centre")
FEW = ("examples=2", "slots=2", *(f"space.{name}.steps=1" for name in ("mask", "rde", "gfi")))


@pytest.mark.parametrize("method", METHODS)
def test_each_method_of_the_job_marks_a_box(jobs: Path, method: str) -> None:
    file = load_sweep(jobs / "localise.yaml", FEW)
    assert file.sweep.methods == METHODS
    part = file.of_methods[method]
    check_space(part.single)
    workload = Workload(workload_spec(part))
    config = next(part.single.parsed_space.grid())
    values, found, device = part.single.numbers(config), list[object](), torch.device("cpu")
    engine = Engine(workload.methods(1, device), 2)
    engine.advance("one", values, 0, range(2), steps_of(config), found.append)
    engine.run()
    shown = Showing(workload, 2, device).found(kept(found[0]), values)  # type: ignore[arg-type]
    assert set(shown.numbers["localisation_error"]) <= {0.0, 1.0}
    assert shown.tensors["found_box"].shape == shown.tensors["box"].shape == (2, 4)
