"""A storage at a URL (s3://…, whatever fsspec knows): worked on in a folder of this machine, and written through.

Object stores neither append nor lock. So all rooms work on a folder, the URL's checkout on their machine, as they do on
any other storage; what must outlive the machine is put at the URL as well, under the same name: explanations and row
states as they are (`sharing`), the journal in segments (`shipping`).
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote

from raysweep.record.remote import Remote
from raysweep.record.store import refuse_password


def is_url(named: str | Path) -> bool:
    """Whether a storage is an address, and no folder."""
    return re.match(r"[A-Za-z][\w+.-]*:/", str(named)) is not None  # one slash: a Path has lost the second


def checkouts() -> Path:
    """Where this machine keeps the checkouts of all URLs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "raysweep" / "storages"


def checkout(url: str) -> Path:
    """The folder in which this machine works on a storage.

    Raises:
        InputError: fsspec does not know such a URL, or lacks the package for it.
    """
    scheme, _, rest = url.partition(":")
    url = f"{scheme}:{'///' if scheme == 'file' else '//'}{rest.strip('/')}"
    refuse_password(
        url, "--storage", "Give it in the environment, where the package that serves such URLs looks for it"
    )
    _remote(url, os.getpid())
    return checkouts() / quote(url, safe="")


def remote_of(path: Path) -> tuple[Remote, str] | None:
    """The URL's side of a file or folder in a checkout, and its name there; None for any other path."""
    try:
        place = path.resolve().relative_to(checkouts())
    except ValueError:
        return None
    root, *rest = place.parts
    return _remote(unquote(root), os.getpid()), "/".join(rest)


@cache
def _remote(url: str, process: int) -> Remote:
    """The one of a process: its connections serve all threads, and do not survive a fork."""
    return Remote(url)


def place_of(folder: Path) -> str:
    """What another machine finds a folder by: its URL, or its path where that is shared."""
    found = remote_of(folder)
    return f"{found[0].url}/{found[1]}".rstrip("/") if found else str(folder.resolve())


def shown(storage: Path) -> str:
    """What a person calls a storage: its URL, or the folder as it was given."""
    return place_of(storage) if remote_of(storage) else str(storage)


def folder_at(place: str) -> Path:
    """The folder of this machine for a sweep's place: itself, or where its URL is checked out, made when absent."""
    if not is_url(place):
        return Path(place)
    storage, _, name = place.rpartition("/")
    folder = checkout(storage) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
