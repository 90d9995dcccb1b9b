"""Files of a checkout that its URL is to have as well, and those of the URL that are brought here when they are needed.

A URL that does not answer holds nobody up: what it has not taken is sent again, by a thread, until it has.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from raysweep.errors import StorageError
from raysweep.record.checkouts import remote_of
from raysweep.record.remote import Remote
from raysweep.whole_files import write_whole

KIND = "*.safetensors"
"""The files that are shared."""
AGAIN = 5.0
"""Seconds until a URL is tried again that did not take something."""
_log = logging.getLogger("raysweep.storage")


def listed(folder: Path) -> list[str]:
    """Names that a folder of a checkout has at its URL; of any other folder none."""
    found = remote_of(folder)
    return _answering(found[0]).names(found[1]) if found else []


def present(path: Path) -> bool:
    """Whether a file is here; brought from its URL when it is only there."""
    if path.exists():
        return True
    found = remote_of(path)
    data = _answering(found[0]).get(found[1]) if found else None
    if data is None:
        return False
    write_whole(path, data)
    return True


def share(path: Path) -> None:
    """Put a file of a checkout at its URL, later if that does not take it now; does nothing for other files."""
    found = remote_of(path)
    if found is None:
        return
    remote, name = found
    try:
        _answering(remote).put(name, path.read_bytes())
    except StorageError as error:
        if not unsent():
            _log.warning("%s; the sweep goes on, and it is sent when the URL takes it", error)
        send_later(path.parent)


def send_later(folder: Path) -> None:
    """Send what the URL lacks of a folder (`send_missing`) in the background, as often as it takes."""
    _OUTBOX.keep(folder)


def unsent() -> bool:
    """Whether this process has something to share that a URL has not taken yet."""
    return _OUTBOX.full


def send_missing(folder: Path) -> None:
    """Put at its URL what a folder of a checkout has to share and the URL lacks; does nothing for other folders.

    Raises:
        StorageError: the URL does not take it.
    """
    found = remote_of(folder)
    if found is None:
        return
    remote, name = found
    there = set(remote.names(name))
    for path in sorted(folder.glob(KIND)):
        if path.name not in there:
            remote.put(f"{name}/{path.name}", path.read_bytes())


def _answering(remote: Remote) -> Remote:
    if remote.silent:
        raise StorageError(f"{remote.url}: did not answer a moment ago")
    return remote


class _Outbox:
    """Folders of which their URL may lack something, and the thread that sees to it."""

    def __init__(self) -> None:
        self._folders: dict[Path, None] = {}  # in the order in which they wait
        self._changed = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def full(self) -> bool:
        """Whether there are any, or one is being sent."""
        return self._thread is not None

    def keep(self, folder: Path) -> None:
        """Take a folder in."""
        with self._changed:
            self._folders[folder] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True, name="outbox")
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._folders:
                    self._thread = None
                    return
                folder = next(iter(self._folders))
                del self._folders[folder]
            try:
                send_missing(folder)
            except (OSError, StorageError):
                with self._changed:
                    self._folders[folder] = None
                time.sleep(AGAIN)


_OUTBOX = _Outbox()
