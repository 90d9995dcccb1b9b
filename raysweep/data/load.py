"""`load_data`: whatever a sweep file's `data:` names, as a checked Dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raysweep.data.callable import read_callable
from raysweep.data.dataset import Dataset, make_dataset
from raysweep.data.folder import read_folder
from raysweep.data.npz import read_arrays, read_npz
from raysweep.data.parquet import read_parquet
from raysweep.errors import InputError
from raysweep.sources import is_callable_name, locate
from raysweep.zoo import SCHEME, resolve_data

KINDS = "zoo://collection/name, a .npz or .parquet file, a folder of class folders, or module:callable"
_READERS = {".npz": read_npz, ".parquet": read_parquet}


def load_data(source: str, *, folder: Path | None = None, key: str = "data", media: str | None = None) -> Dataset:
    """Load the real data that `source` names.

    Args:
        source: zoo://collection/name, a .npz or .parquet file, a folder of class folders, or module:callable.
        folder: the sweep file's folder: relative paths and modules are found from there.
        key: the sweep file's key, for errors.
        media: one of `MEDIA`; found out from the data when None.

    Raises:
        InputError: no such data, or data that does not hold what it should; it names key, rule and value.
    """
    if source.startswith(SCHEME):
        return _from_zoo(source, key, media)
    if is_callable_name(source):
        found = read_callable(source, folder=folder, key=key)
        if isinstance(found, Dataset):
            return found
        return make_dataset(*found, media=media, key=key, source=source)
    path = locate(source, folder=folder, key=key)
    if path.is_dir():
        return make_dataset(*read_folder(path, key=key), media=media, key=key, source=source)
    if path.suffix not in _READERS:
        raise InputError("must be data that can be read", key=key, value=source, suggestion=f"Give {KINDS}")
    return make_dataset(*_READERS[path.suffix](path, key=key), media=media, key=key, source=source)


def load_arrays(
    source: str,
    names: Sequence[str],
    samples: int,
    *,
    folder: Path | None = None,
    key: str = "data",
    reader: str = "the method",
) -> dict[str, np.ndarray]:
    """Arrays that data have beside their samples, by name, [N, ...] each.

    Args:
        source: of the data, a .npz file or the zoo's.
        names: of the arrays; of none, nothing is read.
        samples: N.
        reader: who reads them, for errors.

    Raises:
        InputError: the data are no .npz, one of the arrays is not there, or it is not one row a sample.
    """
    if not names:
        return {}
    if source.startswith(SCHEME):
        path = resolve_data(source).file
    elif source.endswith(".npz") and not is_callable_name(source):
        path = locate(source, folder=folder, key=key)
    else:
        rule = f"must be an .npz file that has beside x an array named {' and '.join(names)}, which {reader} reads"
        raise InputError(rule, key=key, value=source)
    found = read_arrays(path, names, key=key, reader=reader)
    for name, array in found.items():
        if array.ndim < 1 or len(array) != samples:
            rule = f"{name} must have a row for each of the {samples} samples of x"
            raise InputError(rule, key=key, value=list(array.shape))
    return found


def _from_zoo(source: str, key: str, media: str | None) -> Dataset:
    try:
        entry = resolve_data(source)
    except InputError as error:
        error.key = key
        raise
    path = locate(str(entry.file), folder=None, key=key)
    x, y, _, waves, mel = read_npz(path, key=key)
    return make_dataset(x, y, entry.classes, waves, mel, media=media or entry.media, key=key, source=source)
