"""Do optimised masks keep a score better than masks of equal size from gradients, and from chance?

    python benchmarks/masks.py [--job jobs/rde-fashion.yaml] [--config lr=0.1 …] [--examples 50] [--seed 7]
        [--fills gaussian blur mean] [--json out.json] [--set key=value …]

Samples that no sweep of the job has explained (another seed draws others) get a mask each by the job's method, with its
own fill. Of each mask the components with the largest values are kept, as many as the mask's values sum to; the
*gradient* keeps as many with the largest sum of squared derivatives of the score, *chance* as many at random. What they
cost is measured under other fills than the one that was optimised with, and under noise that no step has seen: the mean
of 32 draws of ½ (Φ(x) − Φ(z))².
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # as on a host; read when torch is imported

from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import JOBS, parser_of, say, table, write_json
from torch import Tensor

from raysweep.engine.engine import Engine
from raysweep.engine.explainers.rde import MaskExplainer
from raysweep.engine.trajectory import kept
from raysweep.engine.workload import Workload
from raysweep.methods.masking import Masking
from raysweep.objectives.recognition import wilson
from raysweep.preflight import workload_spec
from raysweep.sweepfile import load_sweep

CPU = torch.device("cpu")
DRAWS = 32
CONFIG = ("lr=0.1", "sparsity_weight=0.3", "temperature=0.5", "steps=300", "noise_samples=8")


def found_masks(job: Path, overrides: list[str], config: dict[str, float], slots: int = 25) -> Tensor:
    """The values that the job's method finds for each component, [N, C]."""
    workload = Workload(workload_spec(load_sweep(job, overrides)))
    outcomes: list[Any] = []
    engine = Engine(workload.methods(1, CPU, "float32"), slots)
    values = {name: value for name, value in config.items() if name != "steps"}
    spec = workload.spec
    engine.advance("masks", values, spec.seed, range(spec.examples), int(config["steps"]), outcomes.append)
    engine.run()
    if isinstance(outcomes[0], Exception):
        raise outcomes[0]
    state = kept(outcomes[0])
    return state.get("importance", state["mask"])


def masking_of(job: Path, overrides: list[str]) -> Masking:
    """The samples as the network sees them masked."""
    explainer = Workload(workload_spec(load_sweep(job, overrides))).explainer
    assert isinstance(explainer, MaskExplainer)
    method: Any = explainer.build(CPU, torch.float32)
    masking: Masking = method.masking
    return masking


def gradients(masking: Masking) -> Tensor:
    """The sum of (∂Φ/∂x)² over each component, [N, C]."""
    sample = torch.arange(len(masking.explained.first))
    x = masking.explained.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(masking.score(x, sample).sum(), x)
    labels = masking.components.labels.expand(len(x), -1)
    return torch.zeros(len(x), masking.components.count).scatter_add_(1, labels, slope.square().flatten(1))


def largest(values: Tensor, sizes: Tensor) -> Tensor:
    """Binary masks [N, C] of as many components as `sizes` [N] says, those with the largest values."""
    order = values.argsort(dim=1, descending=True, stable=True)
    place = torch.arange(values.shape[1])
    return torch.zeros_like(values).scatter_(1, order, (place < sizes[:, None]).float())


def costs(masking: Masking, mask: Tensor, seed: int) -> np.ndarray:
    """The mean distortion [N] of masks."""
    example = torch.arange(len(mask))
    with torch.no_grad():
        draws = [masking.evaluated(mask, example, seed + 1000, draw, drawn=False) for draw in range(DRAWS)]
    return torch.stack(draws).mean(dim=0).numpy()


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--job", type=Path, default=JOBS / "rde-fashion.yaml")
    parser.add_argument("--config", nargs="*", default=CONFIG)
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--fills", nargs="*", default=["gaussian", "blur", "mean"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    overrides = [*given.set, f"examples={given.examples}", f"seed={given.seed}"]
    config = {name: float(value) for name, value in (one.split("=") for one in given.config)}
    values = found_masks(given.job, overrides, config)
    sizes = values.sum(dim=1).round().clamp(min=1)
    say(f"masks found: {float(sizes.mean()):.1f} of {values.shape[1]} components")
    random = torch.rand(values.shape, generator=torch.Generator().manual_seed(given.seed))
    rows = []
    for fill in given.fills:
        masking = masking_of(given.job, [*overrides, f"method.fill={fill}", "models.inpainter=null"])
        ways = {"masks": values, "gradient": gradients(masking), "chance": random}
        found = {name: costs(masking, largest(one, sizes), given.seed) for name, one in ways.items()}
        better = (found["masks"] < found["gradient"]) & (found["masks"] < found["chance"])
        low, high = wilson(int(better.sum()), len(better))
        share = f"{better.mean():.0%} [{low:.0%}, {high:.0%}]"
        rows.append([fill, *(float(one.mean()) for one in found.values()), share])
        each = {name: one.tolist() for name, one in found.items()}
        write_json(given.json, {"config": config, "sizes": sizes.tolist(), "fill": fill, "distortion": each})
    print(table(["fill", "masks", "gradient²", "chance", "lowest of the three in"], rows))


if __name__ == "__main__":
    main()
