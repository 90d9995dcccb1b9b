"""Draws heat maps of the zoo's classifiers for results.md, and says how much of the scores they account for.

    python docs/heat_maps.py docs/heat-maps.png

Of each classifier the same images, one of each class, explained for the class that it predicts: squared gradients, and
LRP with αβ on all layers, biases left out (`bias: ignore`), in float32.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from pictures import Column, side_by_side, stacked

from raysweep.data.load import load_data
from raysweep.methods.relevance import COMPOSITES, RelevanceNetwork
from raysweep.models.load import load_model
from raysweep.models.model import ModelSource
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout
from raysweep.record.overlay import signed_colours
from raysweep.record.sheets import pictures

CLASSIFIERS = {"zoo://fashion/classifier": "sequential", "zoo://fashion/judge": "residual"}
ALPHAS = (1, 2, 3)


def columns_of(source: str, kind: str, x: torch.Tensor) -> list[Column]:
    """Images, their squared gradients, and their relevance with each α."""
    module = load_model(ModelSource(source), key="models.classifier").module
    readout = Readout(prepare(module, torch.float32, example=x[:2]))
    leaf = x.clone().requires_grad_()
    scores = readout(leaf)
    unit = scores.argmax(dim=1)
    (gradient,) = torch.autograd.grad(scores.gather(1, unit[:, None]).sum(), leaf)
    network = RelevanceNetwork(readout, COMPOSITES["alpha_beta"], x[:2], "ignore")
    found = [Column(source.rpartition("/")[2], kind, pictures(x.numpy(), "image"))]
    found.append(Column("sensitivity", "", drawn(gradient.square().numpy())))
    for alpha in ALPHAS:
        heat, response = network.relevance(x, unit, {"alpha": torch.full((len(x),), float(alpha))})
        total = heat.flatten(1).double().sum(dim=1)
        worst = float(((total - response) / response).abs().max())
        print(f"{source}, α = {alpha}: ΣR is f(x) to {worst:.1e} of it; responses from {float(response.min()):.2f}")
        found.append(Column("LRP", f"alpha {alpha}", drawn(heat.numpy())))
    return found


def drawn(heat: np.ndarray) -> np.ndarray:
    """Heat maps in red and blue."""
    return pictures(signed_colours(heat), "image")


def main() -> None:
    (out,) = sys.argv[1:]
    data = load_data("zoo://fashion/test")
    assert data.y is not None
    first = [int(np.flatnonzero(data.y == label)[0]) for label in (0, 1, 5, 7, 8, 9)]
    x = torch.from_numpy(data.x[first])
    sheet = stacked([side_by_side(columns_of(source, kind, x)) for source, kind in CLASSIFIERS.items()])
    sheet.quantize(128, method=2).save(Path(out), optimize=True)


if __name__ == "__main__":
    main()
