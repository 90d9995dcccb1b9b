"""Which sweeps look at what their generator is not to be shown: they are labelled, wherever their results are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysweep.rules import GANS
from raysweep.search.space import METHOD

SHOWN = ("probegan_oracle",)
"""Methods that train on images of the target class."""
LOOKS = ("feature_fd", "kid", "fid")
"""Objectives of a trained generator that compare what it makes of the target class with real samples of that."""


def is_oracle(sweep: Mapping[str, Any]) -> bool:
    """Whether a sweep, as plain data, trains a generator or chooses among them by real samples of the target class."""
    method = sweep.get(METHOD, {}).get("name")
    objectives = [one["name"] for one in sweep.get("objective", [])]
    return method in SHOWN or (method in GANS and any(name in LOOKS for name in objectives))
