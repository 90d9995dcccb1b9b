"""Shared by all tests: one torch thread, the same random examples, the jobs' folder, and the fault suite's table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from tests.faults.aftermath import HEADER

torch.set_num_threads(1)
# The same examples at every run, however slow the machine: `pytest --hypothesis-profile=default` looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


@pytest.fixture(scope="session")
def jobs() -> Path:
    """The sweep files that ship with the project."""
    return Path(__file__).parent.parent / "jobs"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the fault suite found. It is told here because the tests run in other processes."""
    known = [one for found in terminalreporter.stats.values() for one in found]
    reports = [one for one in known if isinstance(one, pytest.TestReport)]
    ended = [one for one in reports if one.when == "teardown"]
    rows = [cells for report in ended for name, cells in report.user_properties if name == "fault"]
    if rows:
        seconds = sum(one.duration for one in reports if "faults" in one.keywords)
        terminalreporter.section(f"faults, {seconds:.0f} s over all processes")
        for fault, *cells in (HEADER, *rows):
            terminalreporter.write_line(f"{fault:<58}" + "".join(f"{cell:>17}" for cell in cells))
