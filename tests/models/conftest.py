"""Scripted networks, saved without torch's notice that TorchScript is deprecated."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[nn.Module, str], Path]:
    """A function that saves a module as TorchScript under a name and returns the file."""

    def save(module: nn.Module, name: str) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.script(module).save(str(tmp_path / name))
        return tmp_path / name

    return save
