"""What a sweep's masks keep or remove as a whole: a grouping by its name, or the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from raysweep.errors import InputError
from raysweep.methods import radio
from raysweep.methods.components import GROUPINGS, Components, grouping
from raysweep.sources import call, is_callable_name, locate

if TYPE_CHECKING:
    from raysweep.engine.workload import Workload

KEY = "method.components"


def group(workload: Workload, chosen: np.ndarray) -> Components:
    """The components of the samples with these indices.

    Raises:
        InputError: a grouping that does not fit the samples, or a user's that does not load.
    """
    options, shape = workload.spec.options, workload.data.x.shape[1:]
    name = options["components"]
    if name in GROUPINGS or name == "patches":
        return Components(grouping(name, shape, options["patch"]), shape)
    if name in radio.GROUPINGS:
        radio.check_radio(shape, workload.arrays.get(radio.BUILDINGS), key=KEY, value=name)
        x = torch.from_numpy(workload.data.x[chosen])
        return Components(radio.GROUPINGS[name](x, city_of(workload, chosen)), shape)
    labels = _own(name, workload.folder)
    if labels.ndim == len(shape) + 1:
        count = len(workload.data.x)
        if len(labels) != count:
            raise InputError(f"must label each of the {count} samples, or all alike", key=KEY, value=len(labels))
        labels = labels[chosen]
    return Components(torch.from_numpy(labels.astype(np.int64)), shape)


def city_of(workload: Workload, chosen: np.ndarray) -> Tensor | None:
    """The whole cities [K, H, W] of radio maps, where the method reads them."""
    city = workload.arrays.get(radio.BUILDINGS)
    return None if city is None else torch.from_numpy(city[chosen].astype(np.int64))


def _own(name: str, folder: Path) -> np.ndarray:
    """The user's labels, from a function or a file."""
    if is_callable_name(name):
        labels = np.asarray(call(name, folder=folder, key=KEY, args={}))
    else:
        path = locate(name, folder=folder, key=KEY)
        try:
            labels = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"must be a .npy file of whole numbers ({error})", key=KEY, value=path.name) from error
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError("must be whole numbers, the component of each element", key=KEY, value=str(labels.dtype))
    return labels
