"""Who is next where several share one worker: whoever has had the least time (start-time fair queueing).

Goyal, Vin, Cheng, *Start-time fair queueing: a scheduling algorithm for integrated services packet switching networks*,
SIGCOMM 1996. Turns are of any length: whose turns are long gets fewer of them.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Sharer = TypeVar("Sharer")


class Shares(Generic[Sharer]):
    """The time that each has had, as far as it counts: idle time is not saved up. Not for several threads at once."""

    def __init__(self) -> None:
        self._had: dict[Sharer, float] = {}

    def join(self, one: Sharer) -> None:
        """Let one take part, as if it had had what the one with the least has had."""
        self._had[one] = min(self._had.values(), default=0.0)

    def leave(self, one: Sharer) -> None:
        """Let one take part no more."""
        self._had.pop(one, None)

    def order(self) -> list[Sharer]:
        """All, whose turn it is first."""
        return sorted(self._had, key=self._had.__getitem__)

    def charge(self, one: Sharer, time: float) -> None:
        """One took a turn of this length, after those before it in the order had nothing to do."""
        if one not in self._had:
            return  # it left meanwhile
        began = self._had[one]
        for other, had in self._had.items():
            self._had[other] = max(had, began)
        self._had[one] = began + time
