"""How long the work under way has been under way: what does not end cannot say so itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Times pieces of work, of any threads."""

    def __init__(self) -> None:
        self._began: dict[object, float] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """A piece of work, for as long as the block lasts."""
        piece = object()
        self._began[piece] = time.monotonic()
        try:
            yield
        finally:
            del self._began[piece]

    @property
    def longest(self) -> float:
        """Seconds since the oldest piece of work still under way began; 0 when there is none."""
        return max((time.monotonic() - began for began in list(self._began.values())), default=0.0)
