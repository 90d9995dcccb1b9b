"""Requests that a host was at work on when its process died: they may be why.

A model can end a process (a crash in its code, all memory taken) or hang in it, and then no handler of ours runs. So a
host notes in Ray's own store what it is at work on, and the process that comes after it draws the conclusions: what was
in hand at more than one death has the host to itself from then on, and what dies there too is convicted. A process that
went down with its node tells nothing about its requests.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from raysweep.cluster.calling import NAMESPACE

ALONE = 2
"""Deaths after which a request has its host to itself."""
CONVICTED = 4
"""Deaths, the last of them alone, after which it has failed."""


@dataclass(frozen=True)
class Charges:
    """Against a request: deaths of processes that had it in hand, and the cause of the last."""

    deaths: int = 0
    reason: str = ""

    @property
    def alone(self) -> bool:
        """Whether it must have its host to itself."""
        return self.deaths >= ALONE

    @property
    def conviction(self) -> str | None:
        """Why it has failed; None when it has not."""
        return f"{self.reason}, also with nothing else on its host" if self.deaths >= CONVICTED else None


class Suspects:
    """What a host is at work on, known beyond its death; not for several threads.

    Args:
        host: its name. What an earlier process of this name left in hand is charged with its death.
    """

    def __init__(self, host: str) -> None:
        self._place = f"in hand at {host}"
        self._node = ray.get_runtime_context().get_node_id()
        self._in_hand: list[str] = []
        left = _read(self._place)
        if left and _is_alive(left["node"]):
            for request in left["requests"]:
                self._charge(request, self.charges(request).deaths + 1, "its host's process died")
        self._note()

    def begin(self, request: str) -> None:
        """The host is at work on it."""
        self._in_hand.append(request)
        self._note()

    def end(self, request: str) -> None:
        """It is no more."""
        self._in_hand.remove(request)
        self._note()

    def acquit(self, request: str) -> None:
        """It came to its end; earlier deaths were not its fault."""
        _internal_kv_del(_place_of(request), namespace=NAMESPACE)

    def hang(self, reason: str) -> None:
        """This process is about to be ended, because something in hand does not go on."""
        for request in self._in_hand:
            self._charge(request, CONVICTED if self.charges(request).alone else ALONE, reason)
        self._in_hand = []
        self._note()

    def charges(self, request: str) -> Charges:
        """What there is against it, from whatever host it was at."""
        return Charges(**(_read(_place_of(request)) or {}))

    def _charge(self, request: str, deaths: int, reason: str) -> None:
        _write(_place_of(request), {"deaths": deaths, "reason": reason})

    def _note(self) -> None:
        _write(self._place, {"node": self._node, "requests": self._in_hand})


class Room:
    """A host's room: many requests share it, a suspect has it to itself. Who waits for that lets nobody in before."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = self._wanting = 0
        self._alone = False

    @asynccontextmanager
    async def entered(self, alone: bool) -> AsyncIterator[None]:
        """Be in the room, with others or alone."""
        async with self._changed:
            self._wanting += alone
            try:
                await self._changed.wait_for(lambda: not self._inside if alone else not (self._alone or self._wanting))
            finally:
                self._wanting -= alone
                self._changed.notify_all()
            self._inside += 1
            self._alone = alone
        try:
            yield
        finally:
            async with self._changed:
                self._inside -= 1
                self._alone = False
                self._changed.notify_all()


def _place_of(request: str) -> str:
    return f"charges against {request}"


def _is_alive(node: str) -> bool:
    return any(one["NodeID"] == node and one["Alive"] for one in ray.nodes())


def _read(key: str) -> dict[str, Any] | None:
    found = _internal_kv_get(key, namespace=NAMESPACE)
    return json.loads(found) if found else None


def _write(key: str, value: dict[str, Any]) -> None:
    _internal_kv_put(key, json.dumps(value), namespace=NAMESPACE)
