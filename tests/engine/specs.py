"""A sweep of the zoo's fashion networks, for tests to change."""

from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.models.model import ModelSource

FASHION = WorkloadSpec(
    method="am",
    options={},
    generator=ModelSource("zoo://fashion/generator"),
    classifier=ModelSource("zoo://fashion/classifier"),
    judge=None,
    data="zoo://fashion/test",
    media=None,
    target="sneaker",
    layer=None,
    unit=None,
    direction="maximise",
    examples=7,
    objectives=(ObjectiveSpec("response_fd"),),
    seed=0,
    precision="float32",
    folder=".",
)
