"""A user's folder that holds, and `raysweep` run in this process: for tests to spoil the one and read the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from raysweep.cli import main
from raysweep.sources import call

NETS = """\
from torch import nn

def generator(side=8):
    layers = nn.Linear(4, side * side), nn.Sigmoid(), nn.Unflatten(1, (1, side, side))
    return nn.Sequential(*layers)

def classifier(channels=6):
    return nn.Sequential(nn.Conv2d(1, channels, 3), nn.ReLU(), nn.Flatten(), nn.Linear(channels * 36, 3))

def coloured():
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 3))

def squashed():
    return nn.Sequential(classifier(), nn.Softmax(1))

def broken():
    raise OSError("no such network")
"""
SWEEP = """\
name: own
method: am
models:
  generator:
    source: nets:generator
    weights: generator.safetensors
  classifier:
    source: nets:classifier
    weights: classifier.safetensors
data: images.npz
target: bar
examples: 6
space:
  lr:
    choice: [0.1, 0.01]
  prior_weight: 0.1
  steps: {choice: [9, 27]}
objective: response_fd
"""
LINES = len(SWEEP.splitlines())
Refusal = Callable[..., str]


def write_files(folder: Path) -> None:
    """Networks with their weights, data, and a sweep file."""
    (folder / "nets.py").write_text(NETS)
    torch.manual_seed(0)
    for name in ("generator", "classifier"):
        save_file(call(f"nets:{name}", folder=folder, key="k").state_dict(), folder / f"{name}.safetensors")
    x = np.random.default_rng(0).uniform(0, 1, (60, 1, 8, 8)).astype(np.float32)
    np.savez(folder / "images.npz", x=x, y=np.arange(60) % 3, classes=np.array(["ring", "bar", "dot"]))
    (folder / "sweep.yaml").write_text(SWEEP)


def exit_code() -> int:
    """What `raysweep` ends with, run in this process."""
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
