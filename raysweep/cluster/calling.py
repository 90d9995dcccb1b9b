"""How a trial asks a host: the request, and trying the other hosts when one is gone.

Trial actors import this and Tune, and no torch: a sweep has as many of them as trials in flight.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put

from raysweep.errors import HostLost

NAMESPACE = "raysweep"
CALL_DEADLINE = 300.0
PAUSE = 0.5
ABSENT = {"absent": True}
"""What a host answers that the sweep has not joined, or not any more."""


@dataclass(frozen=True)
class Advance:
    """Bring rows of a trial to a milestone and score them there.

    Args:
        session: the driver's, as it has joined the hosts.
        trial: its number.
        key: its result key; names the file its explanations go to.
        trajectory: key that trials share which differ only in `steps`.
        values: its hyper-parameters without `steps`.
        to: the milestone's step.
        blocks: where the blocks of its rows end; the last end is the number of rows. Trials that share a trajectory
            share it block by block.
        via: steps that other trials of the trajectory may ask for; what is passed on the way is kept there.
    """

    session: str
    trial: int
    key: str
    trajectory: str
    values: dict[str, float]
    to: int
    blocks: tuple[int, ...]
    via: tuple[int, ...]

    @property
    def name(self) -> str:
        """The same for the same milestone, also of a later session."""
        return f"{self.trial}/{self.key}/{self.to}/{self.blocks[-1]}"


def advance_somewhere(
    hosts: list[str], request: Advance, deadline: float = CALL_DEADLINE
) -> tuple[str, dict[str, Any]]:
    """Ask the preferred host to advance a trial, and the others when it is gone; (host name, its answer).

    Calls wait as long as their host lives: who made it, in `pool`, ends one that gives no sign of life.

    A host that was started again does not know the sweep; the driver joins it anew within seconds. One that was taken
    for dead, and replaced, may still live and answer: what it says is refused.

    Raises:
        HostLost: no host answered before the deadline.
    """
    lost_since: float | None = None
    reason = ""
    while True:
        for name in hosts:
            try:
                handle = ray.get_actor(name, namespace=NAMESPACE)
                answer: dict[str, Any] = ray.get(handle.advance.remote(request))  # type: ignore[assignment]
                if answer == ABSENT:
                    reason = f"{name} does not hold the sweep's networks"
                elif answer.pop("epoch") != epoch_of(name):
                    reason = f"{name} was replaced before it answered"
                else:
                    return name, answer
                lost_since = lost_since or time.monotonic()
            except (RayActorError, ValueError) as error:
                lost_since = lost_since or time.monotonic()
                reason = (str(error).splitlines() or [""])[0]
        if lost_since is not None and time.monotonic() - lost_since > deadline:
            raise HostLost(f"no host answered for {deadline:g} s ({reason})")
        time.sleep(PAUSE)


def begin_epoch(host: str) -> str:
    """Let a host's new process be the one that counts; the name of its epoch."""
    epoch = uuid.uuid4().hex
    _internal_kv_put(_epoch_key(host), epoch, namespace=NAMESPACE)
    return epoch


def epoch_of(host: str) -> str | None:
    """The epoch of the latest process that was started as this host."""
    found = _internal_kv_get(_epoch_key(host), namespace=NAMESPACE)
    return found.decode() if found else None


def _epoch_key(host: str) -> str:
    return f"epoch of {host}"
