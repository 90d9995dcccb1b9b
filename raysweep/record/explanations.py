"""What a trial left behind at a milestone, as one safetensors file (memory-safe to read, from any language)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from raysweep.errors import StorageError
from raysweep.record.sharing import present
from raysweep.whole_files import whole


def write_explanations(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """Write `explanation` [N, ...], `latent` [N, d], `response` [N] …; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, partial)
    return path


def read_explanations(path: Path) -> dict[str, np.ndarray]:
    """All tensors of such a file, by name."""
    try:
        present(path)
        return dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise StorageError(f"{path}: the explanations cannot be read ({error})") from error
