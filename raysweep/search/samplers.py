"""The samplers a sweep file can name: which spaces each can serve, and the Optuna sampler behind it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from raysweep.errors import InputError, did_you_mean
from raysweep.search.domains import Choice
from raysweep.search.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

ADAPTIVE = ("tpe", "gp", "cmaes", "nsga2")
SAMPLERS = ("grid", "random", *ADAPTIVE)
POPULATION = 20  # of NSGA-II; Optuna's 50 is more than most sweeps have trials
CMAES_SOURCE = 10  # warm trials from which CMA-ES can start: it takes the best tenth, rounded down


def check_sampler(space: Space, sampler: str, objectives: int = 1, key: str = "search.sampler") -> None:
    """Refuse a sampler that cannot serve this space or this number of objectives.

    Raises:
        InputError: says what the sampler needs and which sampler to use instead.
    """
    if sampler not in SAMPLERS:
        raise InputError("is no sampler", key=key, value=sampler, suggestion=did_you_mean(sampler, SAMPLERS))
    if sampler == "grid":
        space.grid()
    if sampler in ("gp", "cmaes") and space.conditional:
        names = [parameter.name for parameter in space.parameters if parameter.when]
        raise InputError("cannot serve conditional parameters (when)", key=key, value=names, suggestion="Use tpe")
    if sampler != "cmaes":
        return
    if choices := [parameter.name for parameter in space.free if isinstance(parameter.domain, Choice)]:
        raise InputError("cmaes cannot serve choices", key=key, value=choices, suggestion="Use tpe, or give ranges")
    if len(space.free) < 2:
        names = [parameter.name for parameter in space.free]
        raise InputError("cmaes needs two ranges or more", key=key, value=names, suggestion="Use gp or tpe")
    if objectives > 1:
        raise InputError("cmaes serves one objective", key=key, value=objectives, suggestion="Use nsga2")


def seed_of(base: int, number: int) -> int:
    """The 32-bit seed of trial `number`: any two (base, number) are unrelated, on every machine and Python."""
    digest = hashlib.sha256(f"raysweep suggestion {base} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def build_sampler(sampler: str, space: Space, seed: int, *, startup: int, warm: list[FrozenTrial]) -> BaseSampler:
    """The Optuna sampler for one trial. What it learns over trials must lie in the study, for it is used only once."""
    from optuna import samplers

    if sampler == "random":
        return samplers.RandomSampler(seed=seed)
    if sampler == "tpe":
        grouped: dict[str, Any] = {"multivariate": True, "group": True} if space.conditional else {}
        return samplers.TPESampler(seed=seed, n_startup_trials=startup, **grouped)
    if sampler == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
    if sampler == "cmaes":
        source = warm if len(warm) >= CMAES_SOURCE else None
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False, source_trials=source)
    return samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
