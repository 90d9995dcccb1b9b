"""The user's own loader: `module:callable`, called without arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raysweep.data.dataset import Dataset
from raysweep.errors import InputError
from raysweep.sources import call


def read_callable(source: str, *, folder: Path | None, key: str) -> Dataset | tuple[Any, Any, Any]:
    """What the callable returns: a Dataset as it is, (x, y) or (x, y, classes) as three raw values.

    Raises:
        InputError: it cannot be imported, raises, or returns something else.
    """
    found = call(source, folder=folder, key=key)
    if isinstance(found, Dataset):
        return found
    if isinstance(found, tuple) and len(found) in (2, 3):
        x, y, *classes = found
        return x, y, classes[0] if classes else None
    raise InputError("must return (x, y), (x, y, classes) or a Dataset", key=key, value=f"{source}: {_kind(found)}")


def _kind(found: Any) -> str:
    return f"tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
