"""TorchScript files: networks with code of their own, loaded only when the sweep file says so."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.weights import refuse_pickled

SUFFIXES = (".pt", ".ts", ".pth", ".pt2", ".pkl", ".bin")
TRUST = "torchscript"


def load_torchscript(path: Path, *, trust: str | None, key: str) -> nn.Module:
    """The TorchScript network in `path`. It takes no hooks: only its output units can be read.

    Raises:
        InputError: pickled weights, truncated, not TorchScript, or without `trust: torchscript`.
    """
    if not _is_torchscript(path):
        if path.suffix != ".ts":
            refuse_pickled(path, key=key)
        raise InputError("must be a whole TorchScript file", key=key, value=path.name)
    if trust != TRUST:
        hint = f"It runs code of its own; if you trust where it is from, add trust: {TRUST}"
        raise InputError("a TorchScript file must be trusted explicitly", key=key, value=path.name, suggestion=hint)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.load", category=DeprecationWarning)
        try:
            return torch.jit.load(path, map_location="cpu")
        except (RuntimeError, ValueError) as error:
            hint = str(error).splitlines()[0]
            raise InputError("must be a whole TorchScript file", key=key, value=path.name, suggestion=hint) from error


def _is_torchscript(path: Path) -> bool:
    """TorchScript and pickled weights share suffixes and the zip container; only the first has code in it."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())
