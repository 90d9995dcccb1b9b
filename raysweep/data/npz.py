"""NumPy archives: `x` [N, ...], and optionally `y` [N], `classes`, `waves` [K, samples] of the first K, and `mel`."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.errors import InputError

_CONVERT = (
    "Pickled objects are not loaded; save plain arrays: np.savez(path, x=np.stack(list(x)).astype('float32'), "
    "y=np.asarray(y, dtype='int64'), classes=np.array(names, dtype=str))"
)


def read_npz(path: Path, *, key: str) -> tuple[Any, Any, Any, Any, Any]:
    """x, y, classes, waves and mel as they lie in the file; None for what is absent.

    Raises:
        InputError: not an .npz, truncated, without `x`, or with pickled (object) arrays.
    """
    if not zipfile.is_zipfile(path):
        raise InputError("must be a whole .npz file", key=key, value=str(path), suggestion="It is truncated or no .npz")
    with np.load(path, allow_pickle=False) as archive:
        if "x" not in archive.files:
            hint = f"It has {', '.join(archive.files) or 'nothing'}; save it with np.savez(path, x=..., y=...)"
            raise InputError("must have an array named x", key=key, value=str(path), suggestion=hint)
        return (
            _array(archive, "x", path, key),
            _array(archive, "y", path, key),
            _array(archive, "classes", path, key),
            _array(archive, "waves", path, key),
            _array(archive, "mel", path, key),
        )


def read_arrays(path: Path, names: Sequence[str], *, key: str, reader: str = "the method") -> dict[str, np.ndarray]:
    """Further arrays of a file whose x was read.

    Raises:
        InputError: one of them is not there, or not readable.
    """
    found = {}
    with np.load(path, allow_pickle=False) as archive:
        for name in names:
            array = _array(archive, name, path, key)
            if array is None:
                hint = f"It has {', '.join(archive.files)}"
                raise InputError(
                    f"must have an array named {name}, which {reader} reads",
                    key=key,
                    value=str(path),
                    suggestion=hint,
                )
            found[name] = array
    return found


def _array(archive: Any, name: str, path: Path, key: str) -> np.ndarray | None:
    if name not in archive.files:
        return None
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "allow_pickle" in str(error):
            rule = f"{name} must be a plain array, not Python objects"
            raise InputError(rule, key=key, value=str(path), suggestion=_CONVERT) from error
        raise InputError(f"{name} must be readable", key=key, value=str(path), suggestion=str(error)) from error
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{name} must be readable", key=key, value=str(path), suggestion=str(error)) from error
