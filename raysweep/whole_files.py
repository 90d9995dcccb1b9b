"""Files that are there whole or not at all, whatever ends the process or the machine that writes them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path


def whole(path: Path, lasting: bool = False) -> AbstractContextManager[Path]:
    """Where to write a file, in a block: at its end the file is at `path`, in place of what was there.

    If the block fails, nothing has changed. Several processes and machines may write the same file: the last one stays.

    Args:
        path: where it is to be; its folder must exist.
        lasting: it is on the disk before it gets its name, so that it is whole also when the machine stops.
    """
    return _beside(path, os.replace, lasting)


def whole_once(path: Path) -> AbstractContextManager[Path]:
    """The same, lasting, for a file that never changes: of several that write it the first to finish gives it."""
    return _beside(path, _put_first, lasting=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file from memory, and its folder when that is absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        partial.write_bytes(data)


@contextmanager
def _beside(path: Path, put: Callable[[Path, Path], None], lasting: bool) -> Iterator[Path]:
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield partial
        if lasting:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        put(partial, path)
    finally:
        with suppress(OSError):  # it has its name already; or what failed says more
            partial.unlink()


def _put_first(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not path.exists():
            os.replace(partial, path)
