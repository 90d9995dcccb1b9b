"""A folder of class folders: `shoes/sneaker/0001.png`. The folders' names, sorted, are the classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raysweep.data.dataset import as_float
from raysweep.data.images import decode, stack
from raysweep.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".npy")
_LAYOUT = f"Lay it out as class/file, with files ending in {', '.join(SUFFIXES)}"


def read_folder(path: Path, *, key: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """x float32 [N, C, H, W], y [N] and the class names; files in the order of their names.

    Raises:
        InputError: no class folders, one without images, images of two sizes, or a file that is not an image.
    """
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise InputError("must hold a folder for each class", key=key, value=str(path), suggestion=_LAYOUT)
    files = [[file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES] for folder in folders]
    for folder, inside in zip(folders, files, strict=True):
        if not inside:
            raise InputError("a class folder must not be empty", key=key, value=str(folder), suggestion=_LAYOUT)
    named = ((str(file.relative_to(path)), _read(file, key)) for inside in files for file in inside)
    x = stack(named, key=key)
    y = np.repeat(np.arange(len(folders)), [len(inside) for inside in files])
    return x, y, tuple(folder.name for folder in folders)


def _read(file: Path, key: str) -> np.ndarray:
    if file.suffix.lower() != ".npy":
        return as_float(decode(file, name=str(file), key=key))
    try:
        array = np.load(file, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise InputError("must be a whole, plain array", key=key, value=str(file), suggestion=str(error)) from error
    if array.ndim not in (2, 3):
        raise InputError("must be an array [H, W] or [C, H, W]", key=key, value=f"{file}: {list(array.shape)}")
    return as_float(array[None] if array.ndim == 2 else array)
