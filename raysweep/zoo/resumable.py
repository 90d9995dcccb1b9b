"""Trainings of recipes that can be saved and continued exactly."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from raysweep.whole_files import whole


class Resumable:
    """The whole state of one training: networks and optimisers, numbers, and the random numbers to come.

    Args:
        parts: names of the attributes that have a `state_dict`.
        numbers: names of those that are kept as they are.
    """

    parts: ClassVar[tuple[str, ...]]
    numbers: ClassVar[tuple[str, ...]]
    random: torch.Generator

    def save(self, file: Path) -> None:
        """Write all of it, or nothing."""
        state = {name: getattr(self, name).state_dict() for name in self.parts}
        state |= {name: getattr(self, name) for name in self.numbers}
        with whole(file) as partial:
            torch.save({**state, "random": self.random.get_state()}, partial)

    def load(self, file: Path) -> None:
        """Go on from what was saved."""
        state = torch.load(file, weights_only=True)
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name])
        for name in self.numbers:
            setattr(self, name, state[name])
        self.random.set_state(state["random"])
