"""One driver writes a journal, also among machines; here another machine is one whose boot has another id."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.errors import StorageError
from raysweep.record import lease
from raysweep.record.journal import Event, Journal, read_events
from raysweep.record.lease import EXPIRY, living_owner

LOCK = "journal.lock"


def ignore(_: Event) -> None:
    pass


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """The journal of a driver on another machine, which has written one event."""
    with monkeypatch.context() as there:
        there.setattr(lease, "_boot", lambda: "another boot")
        there.setattr(lease.socket, "gethostname", lambda: "elsewhere")
        journal = Journal(tmp_path, ignore)
        journal.append("first")
    yield journal
    journal.close()


def fall_silent(folder: Path, seconds: float = EXPIRY + 1) -> None:
    """As if the owner had given its last sign of life so long ago."""
    ago = time.time() - seconds
    os.utime(folder / LOCK, (ago, ago))


def test_a_living_driver_of_another_machine_is_not_disturbed(tmp_path: Path, elsewhere: Journal) -> None:
    fall_silent(tmp_path, 10)
    with pytest.raises(
        StorageError, match=r"elsewhere, pid \d+, alive 1\d s ago; if that machine is gone, run again in"
    ):
        Journal(tmp_path, ignore)
    elsewhere.append("second")
    assert [event["event"] for event in read_events(tmp_path / "journal.jsonl")] == ["first", "second"]


def test_a_sweep_whose_machine_is_silent_is_taken_over_with_all_that_was_written(
    tmp_path: Path, elsewhere: Journal
) -> None:
    fall_silent(tmp_path)
    seen: list[Event] = []
    with Journal(tmp_path, seen.append) as journal:
        journal.append("second")
    assert [event["event"] for event in seen] == ["first", "second"]


def test_a_driver_that_was_only_slow_learns_that_it_has_lost_the_sweep_and_changes_nothing(
    tmp_path: Path, elsewhere: Journal
) -> None:
    fall_silent(tmp_path)
    with Journal(tmp_path, ignore) as journal:
        assert not elsewhere.held
        for _ in range(2):
            with pytest.raises(StorageError, match=f"another driver has taken over .*pid {os.getpid()}"):
                elsewhere.append("late")
        journal.append("second")
        elsewhere.close()
        assert journal.held
        journal.append("third")
    assert [event["event"] for event in read_events(tmp_path / "journal.jsonl")] == ["first", "second", "third"]


def test_a_driver_gives_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWAL", 0.01)
    with Journal(tmp_path, ignore):
        fall_silent(tmp_path)
        deadline = time.monotonic() + 60
        while (tmp_path / LOCK).stat().st_mtime < time.time() - EXPIRY:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_nobody_owns_a_sweep_that_was_given_back(tmp_path: Path, elsewhere: Journal) -> None:
    assert living_owner(tmp_path) is not None
    elsewhere.close()
    assert living_owner(tmp_path) is None
    with Journal(tmp_path, ignore) as journal:
        assert journal.held


def test_of_two_that_find_a_silent_machine_one_goes_on(tmp_path: Path, elsewhere: Journal) -> None:
    """Both judge before either acts; the later one has it, and the earlier one knows."""
    fall_silent(tmp_path)
    earlier = Journal(tmp_path, ignore)
    earlier.append("second")
    with pytest.MonkeyPatch.context() as there:
        there.setattr(lease, "_boot", lambda: "a third boot")
        fall_silent(tmp_path)
        with Journal(tmp_path, ignore) as later:
            with pytest.raises(StorageError, match="taken over"):
                earlier.append("lost")
            later.append("third")
    earlier.close()
    assert [event["event"] for event in read_events(tmp_path / "journal.jsonl")] == ["first", "second", "third"]


def test_a_driver_whose_lock_was_removed_says_so(tmp_path: Path) -> None:
    with Journal(tmp_path, ignore) as journal:
        (tmp_path / LOCK).unlink()
        with pytest.raises(StorageError, match=r"its journal\.lock is gone"):
            journal.append("lost")
