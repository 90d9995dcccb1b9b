"""A storage at a URL (s3://…, whatever fsspec knows): worked on in a folder of this machine, and written through.

Object stores neither append nor lock. So all rooms work on a folder, the URL's checkout on their machine, as they do on
any other storage; what must outlive the machine is put at the URL as well, under the same name: explanations and row
states as they are, the journal in segments (`shipping`).
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from raysweep.errors import InputError, StorageError
from raysweep.record.store import refuse_password
from raysweep.whole_files import write_whole

TRIES = 4
_log = logging.getLogger("raysweep.storage")


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
    Remote(url)
    return checkouts() / quote(url, safe="")


def remote_of(path: Path) -> tuple[Remote, str] | None:
    """The URL's side of a file or folder in a checkout, and its name there; None for any other path."""
    try:
        place = path.resolve().relative_to(checkouts())
    except ValueError:
        return None
    root, *rest = place.parts
    return Remote(unquote(root)), "/".join(rest)


def place_of(folder: Path) -> str:
    """What another machine finds a folder by: its URL, or its path where that is shared."""
    found = remote_of(folder)
    return f"{found[0].url}/{found[1]}".rstrip("/") if found else str(folder.resolve())


def folder_at(place: str) -> Path:
    """The folder of this machine for a sweep's place: itself, or where its URL is checked out, made when absent."""
    if not is_url(place):
        return Path(place)
    storage, _, name = place.rpartition("/")
    folder = checkout(storage) / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def listed(folder: Path) -> list[str]:
    """Names that a folder of a checkout has at its URL; of any other folder none."""
    found = remote_of(folder)
    return found[0].names(found[1]) if found else []


def share(path: Path) -> None:
    """Put a file of a checkout at its URL; does nothing for other files, and only complains where the URL fails."""
    found = remote_of(path)
    if found is not None:
        remote, name = found
        try:
            remote.put(name, path.read_bytes())
        except StorageError as error:
            _log.warning("%s", error)


def present(path: Path) -> bool:
    """Whether a file is here; brought from its URL when it is only there."""
    if path.exists():
        return True
    found = remote_of(path)
    data = found[0].get(found[1]) if found else None
    if data is None:
        return False
    write_whole(path, data)
    return True


class Remote:
    """A storage's URL.

    Args:
        url: as fsspec takes it; credentials are what its package finds in the environment.

    Raises:
        InputError: fsspec does not know it, or lacks the package for it.
        StorageError: it does not answer.
    """

    def __init__(self, url: str) -> None:
        import fsspec

        self.url = url
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise InputError(
                "must be a URL that fsspec can open", key="--storage", value=url, suggestion=str(error)
            ) from None
        except OSError as error:  # some connect at once
            raise StorageError(f"{url}: cannot be opened ({error.strerror or error})") from error

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in the place of one of the same name."""

        def write() -> None:
            if "file" in _protocols(self._files):
                self._files.makedirs(str(PurePosixPath(self._path(name)).parent), exist_ok=True)
            self._files.pipe_file(self._path(name), data)

        self._try(write, f"{self.url}/{name}: cannot be written")

    def get(self, name: str) -> bytes | None:
        """An object's content; None when there is none."""

        def read() -> bytes | None:
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

        found: bytes | None = self._try(read, f"{self.url}/{name}: cannot be read")
        return found

    def names(self, folder: str) -> list[str]:
        """Names of what lies in a folder, ascending."""

        def look() -> list[str]:
            try:
                return sorted(PurePosixPath(found).name for found in self._files.ls(self._path(folder), detail=False))
            except (FileNotFoundError, NotADirectoryError):
                return []

        found: list[str] = self._try(look, f"{self.url}/{folder}: cannot be read")
        return found

    def _path(self, name: str) -> str:
        if ".." in PurePosixPath(name).parts:
            raise StorageError(f"{name}: leads out of {self.url}")
        return f"{self._root}/{name}".rstrip("/")

    def _try(self, what: Callable[[], Any], complaint: str) -> Any:
        for attempt in range(TRIES):
            try:
                return what()
            except Exception as error:  # of whatever package serves the URL
                if attempt == TRIES - 1:
                    reason = " ".join(str(error).split())[:200]
                    raise StorageError(f"{complaint} ({reason or type(error).__name__})") from error
                time.sleep(0.3 * 2**attempt)
        raise AssertionError


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)
