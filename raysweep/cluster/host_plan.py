"""What a sweep joins a host with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.record.checkouts import folder_at

if TYPE_CHECKING:
    from raysweep.engine.workload_spec import WorkloadSpec


@dataclass(frozen=True)
class HostPlan:
    """What a sweep joins a host with.

    Args:
        sweep: what tells the sweep from others, for a person too.
        spec: its workload.
        place: the sweep's folder, as every host reaches it: a shared path, or a URL.
        slots: rows of a lane.
        lanes: lanes stepped at once, a thread each.
        device: "cpu" or "cuda".
        timeout: seconds that a step, or a part of a scoring, may take.
        identity: fingerprints of networks and data as the driver has them; a host's own must be the same.
    """

    sweep: str
    spec: WorkloadSpec
    place: str
    slots: int
    lanes: int
    device: str
    timeout: float
    identity: dict[str, str]

    @property
    def folder(self) -> Path:
        """Where this machine works on it."""
        return folder_at(self.place)


def lanes_of(device: str, cpus: int) -> int:
    """How many lanes a host steps at once."""
    return cpus if device == "cpu" else 1
