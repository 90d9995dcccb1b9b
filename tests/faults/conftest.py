"""What all fault tests share; the table of what they found is printed by the `conftest` above."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.aftermath import FOUND


@pytest.fixture(autouse=True)
def quick_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent host is given up in seconds, as no machine of these tests stalls for longer."""
    monkeypatch.setattr("raysweep.cluster.pool.SILENCE", 8.0)


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """Send what a test found to the process that prints the table."""
    yield
    request.node.user_properties += [("fault", one.cells) for one in FOUND]
    FOUND.clear()
