"""How many rows a lane could have, and how many of them would be there."""

from __future__ import annotations

import math

import numpy as np

CANDIDATES = {"cpu": (16, 8, 32, 64), "cuda": (512, 256, 1024, 128, 2048)}
"""Rows of a lane that are tried, about, the usual number first."""
OF_A_RACE = {"cpu": (16, 8), "cuda": (256, 128)}
"""In a race few rows are at work at a time, and a lane takes as long with empty slots as with full ones."""
DRAWS = 30
"""Sweeps that are imagined to estimate how full lanes are."""
IMAGINED = 500
"""Trials of such a sweep, at most: of more the share is nearly the same."""


def lane_sizes(device: str, examples: int, trials: int, lanes: int, racing: bool) -> dict[int, float]:
    """Rows of a lane that are tried, the usual number first, and the share of its slots that would be occupied.

    Where that can be, a trial's examples split evenly: then each slot is the home of as many rows as any other.

    Args:
        device: "cpu" or "cuda".
        examples: rows of a trial that are stepped together; in a race those of its first look.
        trials: how many are at work at a time.
        lanes: how many there are for them.
        racing: whether it is a race.
    """
    parts = {size: round(examples / size) for size in (OF_A_RACE if racing else CANDIDATES)[device]}
    sizes = dict.fromkeys(math.ceil(examples / n) if n else size for size, n in parts.items())
    return {size: occupied(size, examples, trials, lanes) for size in sizes}


def occupied(slots: int, examples: int, trials: int, lanes: int) -> float:
    """The mean share of all slots that hold a row until trials that start at once have made a step each.

    Every lane seats one row of a home at a time (`trajectory`), and homes begin anywhere: so the home that most rows
    share says how long it takes.
    """
    trials = min(trials, IMAGINED)
    everywhere, here = divmod(examples, slots)
    begins = np.random.default_rng(0).integers(slots, size=(DRAWS, trials, 1))
    homes = (begins + np.arange(here)) % slots
    most = np.array([trials * everywhere + np.bincount(one.ravel(), minlength=1).max() for one in homes])
    return float(np.mean(trials * examples / (np.ceil(most / lanes) * lanes * slots)))
