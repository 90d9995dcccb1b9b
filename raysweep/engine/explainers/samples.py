"""Which samples of a sweep's data masks are for: drawn by the seed, the same for every configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from raysweep.data import Dataset
from raysweep.data.dataset import class_index
from raysweep.errors import InputError

if TYPE_CHECKING:
    from raysweep.engine.workload_spec import WorkloadSpec


def choose(spec: WorkloadSpec, data: Dataset) -> np.ndarray:
    """Indices of the explained samples, of the target's class or of all.

    Raises:
        InputError: there are not as many, or no class to take them by.
    """
    order = np.random.Generator(np.random.Philox(key=spec.seed)).permutation(len(data.x))
    order = order[np.argsort(order >= data.heard, kind="stable")]  # those that can be heard come first
    return _classes(order, spec, data) if spec.options.get("per") == "class" else _examples(order, spec, data)


def label_of(spec: WorkloadSpec, data: Dataset) -> int | None:
    """The class whose samples are explained; None for all."""
    if spec.target is None or data.y is None:
        return None
    return class_index(spec.target, data.classes, "target.class")


def _examples(order: np.ndarray, spec: WorkloadSpec, data: Dataset) -> np.ndarray:
    """One sample an example; of several classes, these by turns."""
    label, count = label_of(spec, data), spec.examples
    if label is not None and data.y is not None:
        order = order[data.y[order] == label]
    elif data.y is not None:
        order = order[np.argsort(_place_in_class(data.y[order]), kind="stable")]
    if count > len(order):
        what = f"samples of '{spec.target}'" if label is not None else "samples"
        raise InputError(f"must be at most {len(order)}: the data have no more {what}", key="examples", value=count)
    return order[:count]


def _classes(order: np.ndarray, spec: WorkloadSpec, data: Dataset) -> np.ndarray:
    """All samples of a class an example."""
    if data.y is None or spec.each != "label":
        rule = "must be {each: label} with one mask per class, and the data must have labels"
        raise InputError(rule, key="target", value=spec.target)
    counts = np.bincount(data.y, minlength=len(data.classes))
    if spec.examples != len(counts):
        rule = f"must be {len(counts)}, the number of classes: there is one mask per class"
        raise InputError(rule, key="examples", value=spec.examples)
    if counts.min() == 0:
        rule = "must have samples of every class, as there is one mask for each"
        raise InputError(rule, key="data.source", value=data.classes[int(counts.argmin())])
    return order[np.argsort(data.y[order], kind="stable")]


def _place_in_class(y: np.ndarray) -> np.ndarray:
    """How many of its class come before each label."""
    order = np.argsort(y, kind="stable")
    counts = np.bincount(y)
    place = np.empty(len(y), np.int64)
    place[order] = np.arange(len(y)) - np.repeat(np.cumsum(counts) - counts, counts)
    return place
