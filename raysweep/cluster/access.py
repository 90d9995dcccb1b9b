"""The way to a cluster's job server: one where nobody else listens and no stranger is let in, or none.

What goes wrong on it is said in our words, as `ClusterError`.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from raysweep.errors import InputError, RaysweepError

ANSWER_DEADLINE = 10.0
"""Seconds in which a cluster must answer."""
_OUTRANKING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


class ClusterError(RaysweepError):
    """A cluster does not answer, or does not do what it was asked."""


def check_address(address: str, trust_network: bool) -> None:
    """Fail early and plainly: Ray's client has no time limit of its own.

    Raises:
        InputError: it is no URL of a cluster; or others could listen, and the network is not trusted.
        ClusterError: nothing answers there.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise InputError("must read http(s)://host:port, as in http://localhost:8265", key="--address", value=address)
    if parts.scheme == "http" and not trust_network and not _is_loopback(host):
        hint = f"Use a tunnel (ssh -L {port}:localhost:{port} {host}) and http://localhost:{port}, or --trust-network"
        rule = "must be https or on this machine: over http others can read the token and what is sent"
        raise InputError(rule, key="--address", value=address, suggestion=hint)
    try:
        socket.create_connection((host, port), timeout=ANSWER_DEADLINE).close()
    except OSError as error:
        raise ClusterError(f"no Ray cluster answers at {address} ({error.strerror or error})") from None


def refuse_open(address: str) -> None:
    """Ask for the jobs as a stranger would: a cluster that answers lets anyone run anything.

    Raises:
        InputError: it does.
    """
    try:
        urlopen(f"{address.rstrip('/')}/api/jobs/", timeout=ANSWER_DEADLINE).close()
    except (URLError, OSError, ValueError):  # not let in; or no Ray, of which its client will tell
        return
    hint = "Start it with RAY_AUTH_MODE=token (docs/security.md), or add --trust-network"
    rule = "must ask for a token: this cluster lets anyone who reaches it run code"
    raise InputError(rule, key="--address", value=address, suggestion=hint)


@contextmanager
def talking(address: str) -> Iterator[None]:
    """Ask Ray's client for what was asked of us, and say what went wrong in our words.

    Ray lets RAY_ADDRESS outrank the address given, and leaves out what git ignores, which weights often are.
    """
    before = dict(os.environ)
    for name in _OUTRANKING:
        os.environ.pop(name, None)
    os.environ |= {"RAY_RUNTIME_ENV_IGNORE_GITIGNORE": "1", "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": ""}
    try:
        yield
    except (RaysweepError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise ClusterError(_explain(error, address)) from None
    finally:
        os.environ.clear()
        os.environ.update(before)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _explain(error: Exception, address: str) -> str:
    text = (str(error).strip().splitlines() or [""])[0]
    if type(error).__name__ == "AuthenticationError":
        hint = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file with the cluster's token"
        return f"the cluster at {address} refuses this token ({text}): {hint}"
    if type(error).__name__ in ("JSONDecodeError", "HTTPError", "KeyError"):
        return f"what answers at {address} is no Ray dashboard ({text})"
    return f"the cluster at {address} could not do it: {text or type(error).__name__}"
