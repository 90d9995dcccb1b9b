"""What data hold, and whether the probed classifiers name their classes: else scores would be of something else.

A class is found by its place among the data's classes, weights may be forgotten, and samples may have another range
than a network was trained on. All of these run, so what shows them is said before anything starts.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from raysweep.data.dataset import class_units
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import classifier_key
from raysweep.models.fit import tried
from raysweep.models.model import Model
from raysweep.models.readout import Readout, TwoLogits

MOST = 64
"""Samples that are looked at."""
_AT_ONCE = 4
_KINDS = {"image": "images", "logmel": "log-mels", "spectrum": "spectra", "radio": "radio maps", "array": "arrays"}


def describe_data(workload: Workload) -> str:
    """One line: how many samples of which shape and range there are, and how many each classifier names as labelled.

    Where that is no more than guessing gives, it says what may be wrong.
    """
    x, media = workload.data.x, workload.data.media
    parts = [f"data: {len(x)} {_KINDS[media]} {list(x.shape[1:])} from {x.min():.4g} to {x.max():.4g}"]
    for name, model in workload.classifiers.items():
        right, shown, classes = named_as_labelled(workload, model, classifier_key(name))
        if shown:
            who = f"the classifier {name}" if name else "the classifier"
            parts.append(f"{who} names {right} of {shown} as they are labelled")
            if classes > 1 and right <= most_by_guessing(shown, classes):
                parts[-1] += (
                    f", no more than guessing does of {classes} classes: are these in the order of its outputs, are "
                    "its weights given, and is this the range that it was trained on?"
                )
    return "; ".join(parts)


def named_as_labelled(workload: Workload, model: Model, key: str = "models.classifier") -> tuple[int, int, int]:
    """(right, shown, classes): of samples spread over the data, those whose highest output is their label's.

    `shown` counts samples of the `classes` that the network has an output for; 0 where that cannot be known, as of
    data without labels or with another number of classes than outputs.

    Raises:
        InputError: the network raises on one of them.
    """
    data = workload.data
    if data.y is None:
        return 0, 0, 0
    chosen = np.linspace(0, len(data.x) - 1, min(MOST, len(data.x))).astype(int)
    samples = torch.tensor(data.x[chosen]).split(_AT_ONCE)
    network: nn.Module = Readout(model.module, key=key)
    rule = "the classifier must take every sample of the data"
    outputs = torch.cat([tried(network, part, rule, key=key) for part in samples])
    if outputs.shape[1] == 1 and len(data.classes) == 2:
        outputs = TwoLogits()(outputs)
    units = class_units(data.classes, model.units or data.classes, outputs.shape[1])
    named = outputs.argmax(dim=1).tolist()
    pairs = [(units[label], unit) for label, unit in zip(data.y[chosen].tolist(), named, strict=True) if label in units]
    return sum(label == unit for label, unit in pairs), len(pairs), len(units)


def most_by_guessing(shown: int, classes: int) -> float:
    """The mean and two standard deviations of how many of so many samples are guessed."""
    chance = 1 / classes
    return shown * chance + 2 * math.sqrt(shown * chance * (1 - chance))
