"""A sweep without networks: events of a real journal, as a test tells them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from raysweep.record.journal import Journal
from raysweep.record.ledger import Ledger

Watcher = Callable[[Any, Ledger], None]


class Sweep:
    """A sweep of which the test says what happens; everything goes through a journal and a ledger."""

    def __init__(self, folder: Path, *watchers: Watcher) -> None:
        self.ledger = Ledger()
        self._watchers = watchers
        self.journal = Journal(folder, self._apply)

    def start(self, number: int, lr: float = 0.1, steps: int = 100) -> None:
        config = {"lr": lr, "steps": steps}
        self.journal.append("planned", number=number, key=f"k{number}", config=config, target=steps)
        self.journal.append("leased", number=number, host="host", tune_trial="t")

    def score(self, number: int, value: float, step: int = 100, **examples: int) -> None:
        measured = {"objectives": {"response_fd": [value, value, value]}, "metrics": {}, "explanations": None}
        self.journal.append("milestone", number=number, step=step, **examples, **measured)

    def end(self, number: int, state: str = "done", reason: str | None = None) -> None:
        self.journal.append("ended", number=number, state=state, reason=reason)

    def _apply(self, event: Any) -> None:
        self.ledger.apply(event)
        for watcher in self._watchers:
            watcher(event, self.ledger)
