"""Radio maps as samples: their components are buildings and measurements, and Φ_gt can say what was not measured.

Heiß, Levie, Resnick, Kutyniok, Bruna, *In-distribution interpretability for challenging modalities*, 2020
(arXiv:2007.00758), section on radio maps. A sample x [4, H, W] is what Φ is told: the city as far as it is known, the
transmitter, the signal where it was measured, and where that was (`zoo.radio.networks`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.methods.components import FILLED, KEPT
from raysweep.methods.fills import Noise
from raysweep.zoo.radio.networks import CHANNELS, CITY, MEASURED, SIGNAL

BUILDINGS = "buildings"
"""The data's array [N, H, W] of the whole city: 0 outdoors, each building a number from 1."""


def arrays_read(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the arrays, beside the samples, that a method with these options reads of its data."""
    grouped = options.get("components") in ("buildings", "buildings+measurements")
    return (BUILDINGS,) if grouped or options.get("fill") == "phi_gt" else ()


def label_buildings(x: Tensor, city: Tensor | None) -> Tensor:
    """Labels [K, 4, H, W] with a component for each building that a sample shows, all else always kept.

    Args:
        x: samples [K, 4, H, W].
        city: the whole city [K, H, W]; None where a grouping does not read it.
    """
    assert city is not None
    labels = torch.full(x.shape, KEPT)
    for row, sample, building in zip(labels, x, city, strict=True):
        shown = (sample[CITY] == 1) & (building > 0)
        row[CITY, shown] = building[shown].unique(return_inverse=True)[1]
    return labels


def label_measurements(x: Tensor, city: Tensor | None) -> Tensor:
    """Labels with a component for each measured cell, which holds what was measured and that it was.

    Cells that were not measured are left to the fill, which may put a measurement there; all else is always kept.
    """
    measured = x[:, MEASURED] == 1
    place = measured.flatten(1).cumsum(dim=1).view(measured.shape) - 1
    labels = torch.full(x.shape, KEPT)
    labels[:, [SIGNAL, MEASURED]] = torch.where(measured, place, FILLED)[:, None]
    return labels


def label_both(x: Tensor, city: Tensor | None) -> Tensor:
    """Buildings, then measurements."""
    buildings, measurements = label_buildings(x, city), label_measurements(x, city)
    later = torch.where(measurements >= 0, measurements + buildings.max().clamp(min=-1) + 1, measurements)
    return torch.where(measurements == KEPT, buildings, later)


GROUPINGS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "buildings": label_buildings,
    "measurements": label_measurements,
    "buildings+measurements": label_both,
}


def estimates(phi_gt: nn.Module, x: Tensor, city: Tensor) -> Tensor:
    """Φ_gt's signal [K, H, W], told the whole city and the transmitter of samples [K, 4, H, W], and no measurement."""
    told = x.clone()
    told[:, CITY] = (city > 0).to(x)
    told[:, [SIGNAL, MEASURED]] = 0
    with torch.no_grad():
        return torch.cat([phi_gt(one)[:, 0] for one in told.split(1)])  # one at a time: nobody's depends on how many


class Estimated(nn.Module):
    """No building, and as measured whatever Φ_gt expects: in all cells, or in a random share of them.

    Args:
        signal: what Φ_gt expects of each sample, [K, H, W].
        share: of the cells; other ones are chosen under each noise sample.
    """

    signal: Tensor

    def __init__(self, signal: Tensor, share: float) -> None:
        super().__init__()
        self.register_buffer("signal", signal)
        self.cells = max(1, round(share * signal[0].numel()))

    def forward(self, x: Tensor, mask: Tensor, noise: Noise, sample: Tensor) -> Tensor:
        signal = self.signal[sample].to(x)
        measured = torch.ones_like(signal)
        if self.cells < signal[0].numel():
            drawn = noise()[:, MEASURED]
            highest = drawn.flatten(1).kthvalue(self.cells, dim=1).values
            measured = (drawn <= highest[:, None, None]).to(x)
        fill = torch.zeros_like(x)
        fill[:, SIGNAL], fill[:, MEASURED] = signal * measured, measured
        return fill


def check_radio(shape: tuple[int, ...], city: np.ndarray | None, *, key: str, value: str) -> None:
    """Samples are radio maps, and the whole city [N, H, W] is of their size.

    Args:
        key, value: what of the sweep file asks for that, for errors.

    Raises:
        InputError: they are not.
    """
    if len(shape) != 3 or shape[0] != CHANNELS:
        rule = f"must be of radio maps [{CHANNELS}, H, W], and the samples are {list(shape)}"
        raise InputError(rule, key=key, value=value)
    if city is not None and (city.shape[1:] != shape[1:] or not np.issubdtype(city.dtype, np.integer)):
        rule = f"must have {BUILDINGS} as whole numbers [N, {shape[1]}, {shape[2]}], for the method reads them"
        raise InputError(rule, key="data.source", value=f"{city.dtype} {list(city.shape)}")
