"""How long the work under way has gone without an end or a lap: what hangs cannot say so itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Times pieces of work, one at a time in each of any threads."""

    def __init__(self) -> None:
        self._began: dict[int, float] = {}
        """When each thread's piece began, or had its last lap."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """A piece of work, for as long as the block lasts."""
        self._began[threading.get_ident()] = time.monotonic()
        try:
            yield
        finally:
            del self._began[threading.get_ident()]

    def lap(self) -> None:
        """This thread's piece, if it has one, has come further, and is timed from here."""
        if threading.get_ident() in self._began:
            self._began[threading.get_ident()] = time.monotonic()

    @property
    def longest(self) -> float:
        """Seconds that the piece which has been quiet for longest has been so; 0 when there is none."""
        return max((time.monotonic() - began for began in list(self._began.values())), default=0.0)
