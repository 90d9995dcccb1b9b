"""One configuration of rate-distortion explanations as a user's script has it: `rde_peer.py JOB STEPS name=value …`.

All examples are one batch, each with the n noise samples of a step; torch's own Adam; networks as they are loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from raysweep.engine.explainers.rde import RdeExplainer
from raysweep.engine.workload import Workload
from raysweep.preflight import workload_spec
from raysweep.sweepfile import load_sweep


def main() -> None:
    job, steps = Path(sys.argv[1]), int(sys.argv[2])
    overrides = [one.removeprefix("--set=") for one in sys.argv[3:] if one.startswith("--set=")]
    config = dict(one.split("=") for one in sys.argv[3:] if not one.startswith("--set="))
    lr, weight, temperature = (float(config[name]) for name in ("lr", "sparsity_weight", "temperature"))
    draws = int(float(config["noise_samples"]))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    workload = Workload(workload_spec(load_sweep(job, overrides)))
    explainer = workload.explainer
    assert isinstance(explainer, RdeExplainer)
    assert workload.inpainter is not None
    classifier, inpainter = workload.classifier.module.requires_grad_(True), workload.inpainter.module
    x, unit, labels = explainer.explained.x, explainer.explained.unit, explainer.components.labels.flatten()
    with torch.no_grad():
        wanted = classifier(x).gather(1, unit[:, None])[:, 0].repeat_interleave(draws)
    logits = torch.zeros(len(x), explainer.components.count, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=lr)
    many, units = x.repeat_interleave(draws, dim=0), unit.repeat_interleave(draws)
    for _ in range(steps):
        uniform = torch.rand(len(many), logits.shape[1]).clamp(1e-6, 1 - 1e-6)
        mask = torch.sigmoid((logits.repeat_interleave(draws, dim=0) + torch.logit(uniform)) / temperature)
        keep = mask[:, labels].view(many.shape)
        with torch.no_grad():
            rounded = keep.round()
            fill = inpainter(many * rounded, rounded, torch.randn_like(many))
        score = classifier(many * keep + fill * (1 - keep)).gather(1, units[:, None])[:, 0]
        loss = (0.5 * (wanted - score).square() + weight * mask.sum(dim=1)).sum() / draws
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


if __name__ == "__main__":
    main()
