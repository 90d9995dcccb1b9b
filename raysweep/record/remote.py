"""What lies at a storage's URL: objects to write, read and list, through whatever package fsspec has for it.

No call waits long. A URL that did not answer is `silent` for a while, and who can do without it does not ask.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from importlib.metadata import metadata
from pathlib import PurePosixPath
from typing import Any

from raysweep.errors import InputError, StorageError

TRIES = 4
SHORT = 5.0
"""Seconds after which a failure is no hiccup, as the package has tried long enough itself."""
PATIENCE = 30.0
"""Seconds that an answer may take, besides one for each MiB that is sent."""
SILENT = 30.0
"""Seconds that nobody asks who can do without."""
_REFUSALS = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
"""What a URL says that does answer."""


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
        self._silent_until = 0.0
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise InputError(
                "must be a URL that fsspec can open", key="--storage", value=url, suggestion=_remedy(url, error)
            ) from None
        except Exception as error:  # some connect at once
            raise StorageError(f"{url}: cannot be opened ({_reason(error)})") from error

    @property
    def silent(self) -> bool:
        """Whether it did not answer lately."""
        return time.monotonic() < self._silent_until

    def put(self, name: str, data: bytes) -> None:
        """Write an object, in the place of one of the same name."""

        def write() -> None:
            if "file" in _protocols(self._files):
                self._files.makedirs(str(PurePosixPath(self._path(name)).parent), exist_ok=True)
            self._files.pipe_file(self._path(name), data)

        self._ask(write, f"{self.url}/{name}: cannot be written", PATIENCE + len(data) / 2**20)

    def get(self, name: str) -> bytes | None:
        """An object's content; None when there is none."""

        def read() -> bytes | None:
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

        found: bytes | None = self._ask(read, f"{self.url}/{name}: cannot be read")
        return found

    def get_all(self, folder: str, names: Sequence[str]) -> list[bytes]:
        """The contents of objects of one folder, which are there; asked for all at once where the package can."""

        def read() -> list[bytes]:
            paths = [self._path(f"{folder}/{name}") for name in names]
            return [bytes(data) for data in self._files.cat_ranges(paths, None, None, on_error="raise")]

        found: list[bytes] = self._ask(read, f"{self.url}/{folder}: cannot be read", PATIENCE + len(names))
        return found

    def names(self, folder: str) -> list[str]:
        """Names of what lies in a folder, ascending."""

        def look() -> list[str]:
            try:
                return sorted(PurePosixPath(found).name for found in self._files.ls(self._path(folder), detail=False))
            except (FileNotFoundError, NotADirectoryError):
                return []

        found: list[str] = self._ask(look, f"{self.url}/{folder}".rstrip("/") + ": cannot be read")
        return found

    def _path(self, name: str) -> str:
        if ".." in PurePosixPath(name).parts:
            raise StorageError(f"{name}: leads out of {self.url}")
        return f"{self._root}/{name}".rstrip("/")

    def _ask(self, what: Callable[[], Any], complaint: str, patience: float = PATIENCE) -> Any:
        try:
            found = _within(patience, lambda: _tried(what))
        except StorageError:
            raise
        except Exception as error:  # of whatever package serves the URL
            self._silent_until = 0.0 if isinstance(error, _REFUSALS) else time.monotonic() + SILENT
            raise StorageError(f"{complaint} ({_reason(error)})") from error
        self._silent_until = 0.0
        return found


def _tried(what: Callable[[], Any]) -> Any:
    began = time.monotonic()
    for attempt in range(TRIES):
        try:
            return what()
        except (StorageError, *_REFUSALS):
            raise
        except Exception:
            if attempt == TRIES - 1 or time.monotonic() - began > SHORT:
                raise
        time.sleep(0.3 * 2**attempt)
    raise AssertionError


def _within(seconds: float, what: Callable[[], Any]) -> Any:
    """Do something in a thread, which is left to itself when it does not end: not all packages know a time limit."""
    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            answer.set_result(what())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True, name="remote").start()
    wait([answer], seconds)
    if not answer.done():
        raise TimeoutError(f"no answer in {seconds:.0f} s")
    return answer.result()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _remedy(url: str, error: Exception) -> str:
    """What fsspec complains of and, where it names the packages for such URLs, how to install them."""
    scheme = url.partition(":")[0]
    if isinstance(error, ImportError) and scheme in (metadata("fsspec").get_all("Provides-Extra") or ()):
        return f"{error}: pip install 'fsspec[{scheme}]'"
    return str(error)


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)
