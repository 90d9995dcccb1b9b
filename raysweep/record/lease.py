"""Who may write a sweep's journal: one driver at a time, also among machines that share its folder.

On one machine the kernel's lock decides; it ends with its process, however that dies. Other machines may not see that
lock, so the owner also touches its file every few seconds, and a driver elsewhere takes a sweep over only when that has
stopped for long. Ages are told by the clock of the file system, because the machines' own may differ.

Whoever takes over puts a new file in the old one's place. The former owner, if it was only slow, finds its name gone
when it next asks `held`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import tempfile
import threading
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from raysweep.errors import StorageError

EXPIRY = 30.0
"""Seconds without a sign of life after which a driver on another machine is taken for gone."""
RENEWAL = 5.0


@dataclass(frozen=True)
class Owner:
    """A driver: its machine, by name and by its boot's id, its process id, and a name that no other driver has."""

    host: str
    pid: int
    boot: str
    token: str

    def __str__(self) -> str:
        return f"{self.host}, pid {self.pid}"

    @property
    def here(self) -> bool:
        """Whether it runs, or ran, on this machine since its last start."""
        return self.boot == _boot()


class Lease:
    """The right to write in a folder, kept alive by a thread until `release`.

    `taken_over` says that the owner before was on another machine, where it may still live, and write.

    Raises:
        StorageError: a living driver has it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "journal.lock"
        self._me = Owner(socket.gethostname(), os.getpid(), _boot(), uuid.uuid4().hex)
        try:
            self._file, self.taken_over = self._claim()
        except OSError as error:
            raise StorageError(f"{folder}: cannot be written ({error.strerror})") from error
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="lease")
        self._thread.start()

    @property
    def held(self) -> bool:
        """Whether nobody has taken over."""
        owner = _read(self._path)
        return owner is not None and owner.token == self._me.token

    @property
    def owner(self) -> Owner | None:
        """Who has it now."""
        return _read(self._path)

    def release(self) -> None:
        """Give it back."""
        self._released.set()
        self._thread.join()
        with suppress(OSError):
            if self.held:
                self._file.truncate(0)
        self._file.close()

    def _claim(self) -> tuple[IO[str], bool]:
        file = self._path.open("a+", encoding="utf-8")
        try:
            alive = living_owner(self._path.parent)
            if alive is not None:
                raise StorageError(
                    f"{self._path.parent}: another driver runs this sweep ({_sign_of(alive, self._path)})"
                )
            before = _read(self._path)
            if before is not None and not before.here:
                file.close()
                return self._replace(), True
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.truncate(0)
            self._write(file)
        except BlockingIOError:
            file.close()
            raise StorageError(f"{self._path.parent}: another driver runs this sweep (it has just begun)") from None
        except BaseException:
            file.close()
            raise
        return file, False

    def _replace(self) -> IO[str]:
        """A file of our own in the place of one whose lock we cannot judge."""
        fresh = self._path.with_name(f"journal.lock.{self._me.token}")
        file = fresh.open("w+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        self._write(file)
        os.replace(fresh, self._path)
        return file

    def _write(self, file: IO[str]) -> None:
        file.write(json.dumps(asdict(self._me)))
        file.flush()
        os.fsync(file.fileno())

    def _renew(self) -> None:
        while not self._released.wait(RENEWAL):
            with suppress(OSError):  # of our own file, whoever has taken its place
                os.utime(self._file.fileno())


def living_owner(folder: Path) -> Owner | None:
    """The driver that writes in a folder; None when there is none, or it has given no sign of life for long."""
    path = folder / "journal.lock"
    owner = _read(path)
    if owner is None:
        return None
    if not owner.here:
        return owner if _age(path) < EXPIRY else None
    try:
        with path.open(encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return owner
    except OSError:
        pass
    return None


def _sign_of(owner: Owner, path: Path) -> str:
    if owner.here:
        return str(owner)
    age = _age(path)
    return f"{owner}, alive {age:.0f} s ago; if that machine is gone, run again in {max(EXPIRY - age, 0.0) + 1:.0f} s"


def _read(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _age(path: Path) -> float:
    """Seconds since a file was touched, by the clock of its file system where we may write there."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as now:
            return os.fstat(now.fileno()).st_mtime - path.stat().st_mtime
    except OSError:
        return float("inf") if not path.exists() else 0.0


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return socket.gethostname()
