"""Shared by all tests: one torch thread, and the folder of the jobs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def jobs() -> Path:
    """The sweep files that ship with the project."""
    return Path(__file__).parent.parent / "jobs"
