"""Workloads of generators that a sweep trains, on images, networks and a judge of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raysweep.engine.engine import Engine
from raysweep.engine.scoring import Scored, Scorer
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.methods.method import State
from raysweep.models.model import ModelSource

NETS = """
import torch
from torch import nn

def classifier(outputs=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, outputs))

class Lighter(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) - 0.5

def lighter():
    return Lighter()

class Loud(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = classifier()
    def forward(self, x):
        return 1e5 * self.net(x)

class Spare(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.spare = classifier(), nn.Linear(5, 3)
    def forward(self, x):
        return self.net(x)

def squashed():
    return nn.Sequential(classifier(), nn.Softmax(dim=1))
"""
SHAPES = ("ring", "bar", "dot")
VALUES = {"width": 1.0, "latent": 12.0, "embedding": 4.0, "batch": 4.0, "discriminator_steps": 1.0, "ema_start": 0.0}
CPU = torch.device("cpu")
Make = Callable[..., Workload]


def network(source: str = "classifier", **args: Any) -> ModelSource:
    return ModelSource(f"nets_p:{source}", args=args)


def images(
    path: Path, size: int = 28, y: np.ndarray | None = None, classes: tuple[str, ...] = SHAPES, seed: int = 0
) -> str:
    x = np.random.default_rng(seed).random((60, 1, size, size), dtype=np.float32)
    np.savez(path, x=x, y=np.arange(60) % 3 if y is None else y, classes=np.array(classes))
    return path.name


def gan_workloads(folder: Path) -> Make:
    """Makes workloads that train on 60 images of 28 × 28 in a folder and are compared with 60 others."""
    (folder / "nets_p.py").write_text(NETS)
    images(folder / "train.npz")
    images(folder / "test.npz", seed=1)

    def build(checked: bool = True, **changes: Any) -> Workload:
        keys: dict[str, Any] = {
            "method": "probegan",
            "options": {},
            "classifier": network(),
            "judge": network(seed=3),
            "data": "test.npz",
            "images": "train.npz",
            "media": None,
            "target": "bar",
            "layer": None,
            "unit": None,
            "direction": "maximise",
            "examples": 8,
            "objectives": (ObjectiveSpec("seen_fd", network(seed=3)), ObjectiveSpec("classifier_loss")),
            "seed": 0,
            "precision": "float32",
            "folder": str(folder),
        }
        workload = Workload(WorkloadSpec(**(keys | changes)))
        if checked:
            workload.check()
        return workload

    return build


def trained(workload: Workload, steps: int = 2, **values: float) -> State:
    engine, found = Engine(workload.methods(1, CPU), 1), list[Any]()
    engine.advance("a", {**VALUES, **values}, workload.spec.seed, range(1), steps, found.append)
    engine.run()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]  # type: ignore[no-any-return]


def scored(workload: Workload, folder: Path) -> Scored:
    folder.mkdir(exist_ok=True)
    return Scorer(workload, 1, CPU, folder).score(trained(workload), VALUES)
