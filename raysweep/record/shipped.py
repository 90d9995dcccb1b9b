"""A sweep as its URL shows it: whose it is, when that driver was last heard of, and the journal.

`driver.json` says whose journal counts; its segments are `journal/TOKEN-NUMBER.jsonl`, of which the first holds all
that came before. `journal/TOKEN.alive` says when that driver last gave a sign of life, by its machine's clock.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import StorageError
from raysweep.record.checkouts import remote_of
from raysweep.record.lease import EXPIRY, living_owner
from raysweep.record.remote import Remote
from raysweep.whole_files import write_whole


@dataclass(frozen=True)
class Author:
    """The driver whose journal counts: its machine, its process, and whether it has said that it ended."""

    token: str = ""
    host: str = "?"
    pid: int = 0
    ended: bool = False

    def __str__(self) -> str:
        return f"{self.host}, pid {self.pid}"


@dataclass(frozen=True)
class Elsewhere:
    """A driver of another machine that has not said that it ended; `silence` in seconds, None when it gave no sign."""

    author: Author
    silence: float | None

    @property
    def alive(self) -> bool:
        """Whether it gave a sign of life lately."""
        return self.silence is not None and self.silence < EXPIRY

    def __str__(self) -> str:
        heard = "never heard of since" if self.silence is None else f"last heard {_in_words(self.silence)} ago"
        return f"{self.author}, {heard}"


def author_of(remote: Remote, name: str) -> Author | None:
    """Whose journal a URL has of a sweep; None before the first.

    Raises:
        StorageError: the URL does not answer, or has nonsense there.
    """
    data = remote.get(f"{name}/driver.json")
    if data is None:
        return None
    try:
        return Author(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise StorageError(f"{remote.url}/{name}/driver.json: is damaged") from error


def driver_elsewhere(folder: Path) -> Elsewhere | None:
    """The driver of another machine, or of another checkout, that has a sweep; None for a folder in no checkout."""
    found = remote_of(folder)
    author = author_of(*found) if found else None
    if found is None or author is None or author.ended or author.token == _own_token(folder):
        return None
    remote, name = found
    sign = remote.get(sign_of(name, author))
    try:
        silence = max(0.0, time.time() - float(sign)) if sign else None
    except ValueError:
        silence = None
    return Elsewhere(author, silence)


def sign_of(name: str, author: Author) -> str:
    """Where an author's signs of life are."""
    return f"{name}/journal/{author.token}.alive"


def bring_journal(folder: Path, *, driving: bool = False) -> None:
    """Make a checkout's journal what its URL has, unless it has more itself; does nothing in any other folder.

    Args:
        folder: the sweep's.
        driving: whether this process may write the journal. Who only reads leaves one alone that is being written here.
    """
    found = remote_of(folder)
    if found is None or (not driving and living_owner(folder)):
        return
    remote, name = found
    author = author_of(remote, name)
    if author is None:
        return
    segments = [one for one in remote.names(f"{name}/journal") if one.startswith(f"{author.token}-")]
    shipped = b"".join(remote.get_all(f"{name}/journal", segments))
    journal = folder / "journal.jsonl"
    here = journal.read_bytes() if journal.exists() else b""  # read last: a driver writes here before it ships
    if author.token == _own_token(folder) and here.startswith(shipped):
        return
    if driving or not living_owner(folder):  # one may have begun meanwhile
        write_whole(journal, shipped)


def _own_token(folder: Path) -> str | None:
    """The token under which this machine last wrote this sweep."""
    try:
        return str(json.loads((folder / "driver.json").read_bytes())["token"])
    except (OSError, ValueError, KeyError):
        return None


def _in_words(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
