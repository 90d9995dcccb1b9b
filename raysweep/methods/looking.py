"""Hyper-parameters of objectives: they say how what was found is looked at, so they are the same for every method."""

from __future__ import annotations

from collections.abc import Iterable

from raysweep.methods.method import Bound

LOOKING = {"localisation_error": {"threshold": Bound(0, open=True, default=1.1)}}
"""Of each objective that has some; `search.space.BESIDE_THE_WAY` names them too."""


def hyperparameters_of(objectives: Iterable[str]) -> dict[str, Bound]:
    """Those of all the objectives of a sweep."""
    return {name: bound for one in objectives for name, bound in LOOKING.get(one, {}).items()}
