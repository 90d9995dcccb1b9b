"""A journal whose storage is at a URL: written here, and shipped there segment by segment, within a second (`shipped`).

A URL has no lock that could expire, so a sweep whose driver has not said that it ended is continued by a driver of
another machine only when a person says that the first is gone (`--take-over`). That one, if it lives, learns of it when
it next sends something. What is lost with a machine is what it had not shipped: steps that are made again, with the
same results. What a result depends on (`ESSENTIAL`) is there before anything else happens.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from raysweep.errors import StorageError
from raysweep.record.remote import Remote
from raysweep.record.sharing import send_missing
from raysweep.record.shipped import Author, author_of, bring_journal, driver_elsewhere, sign_of
from raysweep.whole_files import write_whole

ESSENTIAL = ("sweep", "numerics")
PERIOD = 0.5
"""Seconds in which lines are gathered for a segment."""
SIGNS = 10.0
"""Seconds between two signs of life."""
CLOSING = 60.0
"""Seconds that a driver waits at its end for the URL to take the rest."""


class Shipper:
    """Sends what is appended to a journal, in a thread of its own, from `begin` on.

    Args:
        folder: the sweep's, in a checkout. Its journal becomes what the URL has, unless it has more itself.
        take_over: continue also where another machine's driver has not said that it ended.
        notify: called in the thread with a line when the URL takes nothing more, and when it does again.

    Raises:
        StorageError: another driver has the sweep, or the URL cannot be read.
    """

    def __init__(self, folder: Path, remote: Remote, name: str, take_over: bool, notify: Callable[[str], None]) -> None:
        self._folder, self._remote, self._name, self._notify = folder, remote, name, notify
        other = driver_elsewhere(folder)
        if other is not None and not take_over:
            raise StorageError(
                f"{remote.url}/{name}: a driver has begun this sweep and not said that it ended ({other}); "
                "if it is gone, add --take-over to raysweep run"
            )
        bring_journal(folder, driving=True)
        self._me = Author(uuid.uuid4().hex, socket.gethostname(), os.getpid())
        self._changed = threading.Condition()
        self._written = self._shipped = self._segments = 0
        """Bytes of the journal that count, those of them that are there, and in how many pieces."""
        self._signed = float("-inf")
        self._closing = self._hurry = False
        self._thread: threading.Thread | None = None
        self.failure: StorageError | None = None
        """Why nothing is shipped at present."""
        self.lost: Author | None = None
        """Who has taken over."""

    def begin(self, length: int) -> None:
        """Send the journal, which is `length` bytes long, and say whose it is from now on.

        Raises:
            StorageError: the URL does not take it.
        """
        self._written = length
        self._send_all()
        self._thread = threading.Thread(target=self._run, daemon=True, name="shipper")
        self._thread.start()

    def ship(self, length: int, essential: bool) -> None:
        """Send the journal up to a length soon; if what it ends with is essential, return when it is there.

        Raises:
            StorageError: the URL does not take it.
        """
        with self._changed:
            self._written = length
            self._hurry = self._hurry or essential
            self._changed.notify_all()
            if essential:
                self._changed.wait_for(lambda: not self._behind or self.failure or self.lost)
                if self.failure:
                    raise self.failure

    def close(self) -> None:
        """Send the rest, also what the URL had not taken of the explanations, and say that this driver has ended.

        Raises:
            StorageError: the URL does not take it; all is whole on this machine.
        """
        if self._thread is None:
            return
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSING)
        if self.lost:
            return
        try:
            if self._behind:
                raise self.failure or StorageError("it does not answer")
            send_missing(self._folder / "explanations")
            self._check()
            if not self.lost:
                self._me = replace(self._me, ended=True)
                self._announce()
        except StorageError as error:
            raise StorageError(
                f"{self._remote.url}/{self._name} lacks the end of the sweep ({error}); it is kept in {self._folder}: "
                "run the sweep again on this machine"
            ) from error

    @property
    def _behind(self) -> bool:
        return self._shipped < self._written

    def _run(self) -> None:
        while not self.lost:
            with self._changed:
                self._changed.wait_for(lambda: self._behind or self._closing, SIGNS)
                if self._closing and not self._behind:
                    return
                if self._behind:
                    self._changed.wait_for(lambda: self._hurry or self._closing, PERIOD)
                self._hurry = False
            before, self.failure = self.failure, self._attempt()
            with self._changed:
                self._changed.notify_all()
            if self.failure:
                time.sleep(PERIOD)
            if self.failure and not before:
                self._notify(f"{self.failure}; the sweep goes on, and is shipped when the URL takes it")
            elif before and not self.failure:
                self._notify(f"{self._remote.url} answers again; shipping what it missed")

    def _attempt(self) -> StorageError | None:
        """Send what there is; why not."""
        try:
            self._send()
            self._check()
            self._sign()
        except (OSError, StorageError) as error:
            return StorageError(str(error))
        return None

    def _send(self) -> None:
        """Put what the URL lacks of the journal into one segment."""
        end = self._written
        if end > self._shipped:
            with (self._folder / "journal.jsonl").open("rb") as journal:
                journal.seek(self._shipped)
                lines = journal.read(end - self._shipped)
            self._remote.put(f"{self._name}/journal/{self._me.token}-{self._segments:06d}.jsonl", lines)
            self._segments, self._shipped = self._segments + 1, end

    def _send_all(self) -> None:
        """Put the whole journal there under a token of its own, then say whose it is."""
        self._me = replace(self._me, token=uuid.uuid4().hex)
        self._segments = self._shipped = 0
        self._send()
        self._announce()
        self._sign()

    def _check(self) -> None:
        """See that the sweep is still ours."""
        there = author_of(self._remote, self._name)
        if there is None:  # somebody has emptied the URL
            self._send_all()
        elif there.token != self._me.token:
            self.lost = there

    def _announce(self) -> None:
        """Say there, and note here, whose journal it is."""
        data = json.dumps(asdict(self._me)).encode()
        self._remote.put(f"{self._name}/driver.json", data)
        write_whole(self._folder / "driver.json", data)

    def _sign(self) -> None:
        """Give a sign of life, if it is time; in a file of its own, because `driver.json` may be another's by now."""
        if time.monotonic() - self._signed >= SIGNS:
            self._remote.put(sign_of(self._name, self._me), str(time.time()).encode())
            self._signed = time.monotonic()
