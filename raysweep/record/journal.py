"""The journal: an append-only log of events, one line each with a checksum, fsynced; the sweep's source of truth.

A line is `crc32 json`. A torn last line (a crash in mid-write) is dropped when the journal is opened; a damaged line
anywhere else is an error, because what follows it may depend on it.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from raysweep.errors import StorageError
from raysweep.record.checkouts import remote_of
from raysweep.record.lease import Lease
from raysweep.record.shipped import Author
from raysweep.record.shipping import ESSENTIAL, Shipper
from raysweep.whole_files import whole

FORMAT = 1
Event = dict[str, Any]


class Journal:
    """The one writer of a sweep's journal; a second one is refused while this one lives (`lease`).

    A driver that was taken for gone, and is not, finds out when it next writes: nothing counts as written unless the
    lease was still held after it. Its late words go into a file that has no name any more.

    Args:
        folder: the sweep's folder; made when absent. In the checkout of a URL the journal is also shipped there.
        on_event: called with every event, first those already written, then each new one once it is on disk. Where it
            raises StorageError the event contradicts the journal, and is taken back.
        take_over: at a URL, continue also where another machine's driver has not said that it ended.
        notify: called, in a thread, with a line when a URL takes the journal no more, and when it does again.

    Raises:
        StorageError: the folder cannot be written, another process holds the journal, or a line is damaged.
    """

    def __init__(
        self,
        folder: Path,
        on_event: Callable[[Event], None],
        take_over: bool = False,
        notify: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.path = folder / "journal.jsonl"
        self._on_event = on_event
        self._file: Any = None
        self._shipper: Shipper | None = None
        self._lock = threading.RLock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be written ({error.strerror})") from error
        self._lease = Lease(folder)
        try:
            if self._lease.taken_over:
                _copy(self.path)
            remote = remote_of(folder)
            if remote is not None:
                self._shipper = Shipper(folder, *remote, take_over, notify)
            self._file = self.path.open("a+b", buffering=0)  # a buffer would bring back what was taken back
            self._file.truncate(_whole_length(self.path))
            for event in read_events(self.path):
                on_event(event)
            if self._shipper is not None:
                self._shipper.begin(self.path.stat().st_size)
        except BaseException:
            self.close()
            raise

    def append(self, event: str, **fields: Any) -> Event:
        """Write one event durably, then hand it on. Events of several threads are written one after the other."""
        with self._lock:
            entry = {"event": event, "time": time.time(), **fields}
            body = json.dumps(entry, separators=(",", ":"), allow_nan=True)
            end = self._file.seek(0, os.SEEK_END)
            line = b"%08x %s\n" % (zlib.crc32(body.encode()), body.encode())
            try:
                self._write(line)
            except OSError as error:
                self._file.truncate(end)
                raise StorageError(f"{self.path}: cannot be written ({error.strerror})") from error
            if not self.held:
                owner = self._successor or self._lease.owner
                lost = f"another driver has taken over ({owner})" if owner else "its journal.lock is gone"
                raise StorageError(f"{self.path.parent}: {lost}")
            written: Event = json.loads(body)
            try:
                self._on_event(written)
            except StorageError:
                self._file.truncate(end)
                raise
            if self._shipper is not None:
                self._shipper.ship(end + len(line), event in ESSENTIAL)
            return written

    def _write(self, line: bytes) -> None:
        """All of it, which a disk that is nearly full may not take at once."""
        while line:
            line = line[self._file.write(line) :]
        os.fsync(self._file.fileno())

    @property
    def held(self) -> bool:
        """Whether no other driver has taken over."""
        return self._lease.held and self._successor is None

    @property
    def _successor(self) -> Author | None:
        """Who has taken over at the URL."""
        return self._shipper.lost if self._shipper is not None else None

    def close(self) -> None:
        """Give the journal back for another driver to continue."""
        if self._file is not None:
            self._file.close()
        try:
            if self._shipper is not None:
                self._shipper.close()
        finally:
            self._lease.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except StorageError:
            if kind is None:  # else the block's own error says more
                raise


def read_events(path: Path) -> Iterator[Event]:
    """Every event of a journal in order; a torn last line is passed over.

    Raises:
        StorageError: names the damaged line.
    """
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if number == len(lines):
            return
        event = _parse(line)
        if event is None:
            if number == len(lines) - 1:
                return
            raise StorageError(f"{path}:{number}: this line is damaged (its checksum does not match)")
        yield event


def _copy(path: Path) -> None:
    """Put a copy in a file's place."""
    if path.exists():
        with whole(path, lasting=True) as partial:
            partial.write_bytes(path.read_bytes())


def _whole_length(path: Path) -> int:
    """Bytes of the file up to and without a torn last line."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    start = content.rfind(b"\n", 0, max(end - 1, 0)) + 1
    return end if end == 0 or _parse(content[start : end - 1]) is not None else start


def _parse(line: bytes) -> Event | None:
    checksum, _, body = line.partition(b" ")
    try:
        event = json.loads(body) if int(checksum, 16) == zlib.crc32(body) else None
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
