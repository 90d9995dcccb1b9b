"""What the fault suite found, as a table after the tests: faults injected, results lost, results doubled, recovery."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.aftermath import ALL, HEADER


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if ALL:
        terminalreporter.section("faults")
        for row in (HEADER, *(one.cells for one in ALL)):
            terminalreporter.write_line(f"{row[0]:<58}" + "".join(f"{cell:>17}" for cell in row[1:]))


@pytest.fixture(autouse=True)
def quick_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent host is given up in seconds, as no machine of these tests stalls for longer."""
    monkeypatch.setattr("raysweep.cluster.pool.SILENCE", 8.0)
