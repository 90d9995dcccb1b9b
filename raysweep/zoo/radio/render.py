"""Renders windows of cities: which cells are buildings, a transmitter at a random open place, and the signal around it.

Window i of a district depends on (district, i) only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from raysweep.errors import InputError
from raysweep.zoo.radio.networks import SIDE
from raysweep.zoo.radio.scenes import CELL, City
from raysweep.zoo.radio.situations import Maps

log = logging.getLogger(__name__)

FLOOR, TOP = -127.0, -62.0  # dB: the noise floor of RadioMapSeer, and a little above the strongest gain
BORDER = 0.65  # of a city's width: windows of its west train, windows of its east are held out
MIDDLE = np.pad(np.ones((SIDE // 2, SIDE // 2), bool), SIDE // 4)  # where transmitters stand
BUILDINGS, SHARE, LIT = 6, (0.2, 0.65), 0.15  # at least so many, taking so much room, and so many cells reached


@dataclass(frozen=True)
class District:
    """Windows that lie wholly between two shares of a city's width."""

    city: str
    west: float
    east: float
    windows: int
    seed: int


SPLITS = {
    "train": (District("munich", 0.0, BORDER, 240, 1), District("florence", 0.0, BORDER, 170, 2)),
    "known": (District("munich", BORDER, 1.0, 16, 3), District("florence", BORDER, 1.0, 16, 4)),
    "other": (District("etoile", 0.0, 1.0, 32, 5),),
}


@dataclass(frozen=True)
class Window:
    """Where a map is rendered.

    Args:
        centre: x and y in metres.
        angle: its turn in radians.
        buildings: [64, 64], 0 outdoors, the buildings from 1.
        cell: the transmitter's row and column.
    """

    centre: NDArray[np.float64]
    angle: float
    buildings: NDArray[np.int16]
    cell: tuple[int, int]


def windows(district: District, folder: Path) -> Maps:
    """All of a district. Windows in `folder` are read, the others rendered and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    planes = []
    for index in range(district.windows):
        file = folder / f"{district.city}-{district.seed}-{index}.npz"
        if not file.exists():
            window, gain = render(district, index)
            here = np.zeros((SIDE, SIDE), np.float32)
            here[window.cell] = 1
            unfinished = file.with_suffix(".part")
            with unfinished.open("wb") as out:
                np.savez_compressed(out, buildings=window.buildings, transmitter=here, gain=gain)
            unfinished.rename(file)
            log.info("%s %d/%d", district.city, index + 1, district.windows)
        with np.load(file) as kept:
            planes.append((kept["buildings"], kept["transmitter"], grey(kept["gain"], kept["buildings"])))
    buildings, here, truth = (np.stack(plane) for plane in zip(*planes, strict=True))
    return Maps(torch.from_numpy(buildings).long(), torch.from_numpy(here), torch.from_numpy(truth))


def render(district: District, index: int, tries: int = 500) -> tuple[Window, NDArray[np.float32]]:
    """Window `index` of a district, and the gain [64, 64] in dB around its transmitter."""
    city, rng = open_city(district.city), np.random.default_rng([district.seed, index])
    for _ in range(tries):
        window = draw(district, city.extent, city.built, rng)
        if window is None:
            continue
        gain = city.gain(window.centre, window.angle, window.cell)
        if (grey(gain, window.buildings) > 0)[window.buildings == 0].mean() >= LIT:
            return window, gain
    raise InputError("no window of this district has enough buildings and signal", value=district.city)


def draw(
    district: District,
    extent: NDArray[np.float64],
    built: Callable[[NDArray[np.float64], float], NDArray[np.float64]],
    rng: np.random.Generator,
) -> Window | None:
    """A random window, or None where it does not fit, has too few or too large buildings, or no open place.

    Args:
        district: where it must lie.
        extent: of the city, [2, 2]: the least and the greatest x and y.
        built: the share of each cell [64, 64] under roofs, given centre and angle.
        rng: decides.
    """
    angle = rng.uniform(0, np.pi / 2)
    reach = SIDE * CELL / 2 * (np.cos(angle) + np.sin(angle))
    west, east = extent[0, 0] + np.array([district.west, district.east]) * (extent[1, 0] - extent[0, 0])
    if east - west < 2 * reach:
        return None
    centre = np.array([rng.uniform(west + reach, east - reach), rng.uniform(*extent[:, 1])])
    buildings = label(built(centre, angle) >= 0.5)
    open_places = np.argwhere(ndimage.binary_erosion(buildings == 0, np.ones((3, 3))) & MIDDLE)
    if buildings.max() < BUILDINGS or not SHARE[0] <= (buildings > 0).mean() <= SHARE[1] or not len(open_places):
        return None
    row, column = open_places[rng.integers(len(open_places))]
    return Window(centre, float(angle), buildings, (int(row), int(column)))


def label(built: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Int16 [64, 64]: 0 outdoors, each connected group of built cells a number from 1; a lone cell is no building."""
    groups, count = ndimage.label(built)
    sizes = ndimage.sum_labels(built, groups, np.arange(count + 1))
    numbers = np.cumsum(sizes > 1) * (sizes > 1)
    return numbers[groups].astype(np.int16)


def grey(gain: NDArray[np.float32], buildings: NDArray[np.int16]) -> NDArray[np.float32]:
    """Signal [64, 64] in [0, 1] of gain in dB: 0 at the noise floor and indoors, 1 at the strongest."""
    scaled = np.clip((gain - FLOOR) / (TOP - FLOOR), 0, 1)
    return np.where(buildings == 0, scaled, 0).astype(np.float32)


@lru_cache(maxsize=1)
def open_city(name: str) -> City:
    """The scene; the last one stays open."""
    return City(name)
