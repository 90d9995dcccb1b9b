"""Ray itself: joined where a job runs inside a cluster, else started here for the length of a sweep, quietly."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import ray

LOCAL_SETTINGS = {
    # A lost node is noticed within seconds instead of the default's quarter of a minute.
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "5",
    # Ray starts workers at niceness 15: beside any other busy process a sweep would get a thirtieth of the machine.
    "RAY_worker_niceness": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
RAYS_OWN = {"period": 3000, "timeout": 10_000, "failure_threshold": 5}
"""Ray's health checks unless it is told otherwise, in milliseconds and failures."""
OBJECT_STORE_BYTES = 200 * 2**20


@contextmanager
def ray_runtime(cpus: int) -> Iterator[None]:
    """A Ray to run on: the cluster of the job we are in (`RAY_ADDRESS`), one already joined, or a local one.

    Args:
        cpus: what a local Ray offers.
    """
    if ray.is_initialized():
        yield
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    else:
        for name, value in LOCAL_SETTINGS.items():
            os.environ.setdefault(name, value)
        ray.init(
            address="local",
            num_cpus=cpus + 1,  # hosts take `cpus`; trial actors share the one more
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
        )
        _hide_token()
    try:
        yield
    finally:
        _shut_down()


def node_patience() -> float:
    """Seconds after which Ray takes a silent node for dead, as far as this process's surroundings tell."""
    period, timeout, failures = (_setting(name, default) for name, default in RAYS_OWN.items())
    return failures * max(period, timeout) / 1000


def _setting(name: str, default: int) -> int:
    unit = "" if name == "failure_threshold" else "_ms"
    return int(os.environ.get(f"RAY_health_check_{name}{unit}", default))


def _hide_token() -> None:
    """Ray writes a token that lets one run code, for everybody to read."""
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    with suppress(OSError):
        if token.stat().st_mode & 0o077:
            token.chmod(0o600)


def _shut_down() -> None:
    """Leave Ray, with no garbage of Ray's about: another thread that collected it meanwhile would end the process."""
    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        if collecting:
            gc.enable()
