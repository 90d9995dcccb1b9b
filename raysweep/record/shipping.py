"""A journal whose storage is at a URL: written here, and shipped there segment by segment, within a second.

`driver.json` says whose journal it is; its segments are `journal/TOKEN-NUMBER.jsonl`, of which the first holds all that
came before. A URL has no lock that could expire, so a sweep whose driver has not said that it ended is continued by a
driver of another machine only when a person says that the first is gone (`--take-over`). That one, if it lives, learns
of it at its next segment.

What is lost with a machine is what it had not shipped: steps that are made again, with the same results. What a result
depends on (`ESSENTIAL`) is there before anything else happens.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from pathlib import Path
from typing import Any

from raysweep.errors import StorageError
from raysweep.record.checkouts import remote_of
from raysweep.record.remote import Remote
from raysweep.whole_files import write_whole

ESSENTIAL = ("sweep", "numerics")
PERIOD = 0.5
"""Seconds in which lines are gathered for a segment."""
CLOSING = 60.0
"""Seconds that a driver waits at its end for the URL to take the rest."""


class Shipper:
    """Sends what is appended to a journal, in a thread of its own.

    Args:
        folder: the sweep's, in a checkout. Its journal becomes what the URL has, unless it has more itself.
        take_over: continue also where another machine's driver has not said that it ended.

    Raises:
        StorageError: another driver has the sweep, or the URL cannot be read or written.
    """

    def __init__(self, folder: Path, remote: Remote, name: str, take_over: bool) -> None:
        self._folder, self._remote, self._name = folder, remote, name
        there = _driver(remote, name)
        if there and not (there["ended"] or take_over or there["token"] == _own_token(folder)):
            raise StorageError(
                f"{remote.url}/{name}: a driver has begun this sweep and not said that it ended ({there['host']}, pid "
                f"{there['pid']}); if it is gone, add --take-over"
            )
        whole = bring(folder, remote, name)
        self._me = {"token": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid(), "ended": False}
        self._count = 0
        self._changed = threading.Condition()
        self._lines: list[bytes] = [whole] if whole else []
        self._behind = bool(whole)
        self._closing = self._hurry = self._announced = False
        self.failure: StorageError | None = None
        """Why nothing is shipped at present."""
        self.lost = False
        """Whether another driver has taken over."""
        self._send()
        self._announce()
        self._thread = threading.Thread(target=self._run, daemon=True, name="shipper")
        self._thread.start()

    def ship(self, line: bytes, essential: bool) -> None:
        """Send a line soon; if it is essential, return when it is there.

        Raises:
            StorageError: the URL does not take it.
        """
        with self._changed:
            self._lines.append(line)
            self._behind = True
            self._hurry = self._hurry or essential
            self._changed.notify_all()
            if essential:
                self._changed.wait_for(lambda: not self._behind or self.failure or self.lost)
                if self.failure:
                    raise self.failure

    def close(self) -> None:
        """Send the rest and say that this driver has ended.

        Raises:
            StorageError: the URL does not take it; the journal is whole on this machine.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSING)
        if self.lost:
            return
        if self._behind:
            raise StorageError(
                f"{self._remote.url}/{self._name} lacks the end of the journal ({self.failure}); it is kept in "
                f"{self._folder}: run the sweep again on this machine"
            )
        if not self._is_taken():
            self._me["ended"] = True
            self._announce()

    def _run(self) -> None:
        while not self.lost:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._closing)
                if not self._lines:
                    return
                self._changed.wait_for(lambda: self._hurry or self._closing, PERIOD)
                self._hurry = False
            try:
                self._send()
                self.failure = None
            except StorageError as error:
                self.failure = error
            with self._changed:
                self._changed.notify_all()

    def _send(self) -> None:
        """Put all that waits into one segment."""
        with self._changed:
            lines = list(self._lines)
        if lines:
            segment = f"{self._name}/journal/{self._me['token']}-{self._count:06d}.jsonl"
            self._remote.put(segment, b"".join(lines))
            self._count += 1
        lost = self._is_taken()
        with self._changed:
            self.lost = lost
            self._lines = self._lines[len(lines) :]
            self._behind = bool(self._lines)

    def _is_taken(self) -> bool:
        there = _driver(self._remote, self._name) if self._announced else None
        return there is not None and there["token"] != self._me["token"]

    def _announce(self) -> None:
        """Say there, and note here, whose journal it is."""
        self._announced = True
        data = json.dumps(self._me).encode()
        self._remote.put(f"{self._name}/driver.json", data)
        write_whole(self._folder / "driver.json", data)


def bring(folder: Path, remote: Remote, name: str) -> bytes:
    """Make a checkout's journal what the URL has, unless it has more itself; its content."""
    journal = folder / "journal.jsonl"
    here = journal.read_bytes() if journal.exists() else b""
    there = _driver(remote, name)
    if there is None:
        return here
    mine = [one for one in remote.names(f"{name}/journal") if one.startswith(f"{there['token']}-")]
    found = b"".join(remote.get(f"{name}/journal/{one}") or b"" for one in mine)
    if there["token"] == _own_token(folder) and here.startswith(found):
        return here
    write_whole(journal, found)
    return found


def bring_journal(folder: Path) -> None:
    """The same for whoever only reads; does nothing where the folder is in no checkout."""
    found = remote_of(folder)
    if found is not None:
        bring(folder, *found)


def _driver(remote: Remote, name: str) -> dict[str, Any] | None:
    data = remote.get(f"{name}/driver.json")
    if data is None:
        return None
    try:
        return {"token": "", "host": "?", "pid": "?", "ended": False, **json.loads(data)}
    except ValueError as error:
        raise StorageError(f"{remote.url}/{name}/driver.json: is damaged") from error


def _own_token(folder: Path) -> str | None:
    """The token under which this machine last wrote this sweep."""
    try:
        return str(json.loads((folder / "driver.json").read_bytes())["token"])
    except (OSError, ValueError, KeyError):
        return None
