"""The journal keeps what was written, drops what was torn, and lets one driver write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.errors import StorageError
from raysweep.record.journal import Event, Journal, read_events


def ignore(_: Event) -> None:
    pass


def test_events_are_read_back_in_order_with_their_fields(tmp_path: Path) -> None:
    with Journal(tmp_path, ignore) as journal:
        journal.append("planned", number=0, config={"lr": 0.1})
        journal.append("ended", number=0, state="done")
    events = list(read_events(tmp_path / "journal.jsonl"))
    assert [event["event"] for event in events] == ["planned", "ended"]
    assert events[0]["config"] == {"lr": 0.1}


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_dropped_and_the_journal_goes_on(tmp_path: Path, cut: int) -> None:
    with Journal(tmp_path, ignore) as journal:
        journal.append("first")
        journal.append("second", filler="x" * 40)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    seen: list[Event] = []
    with Journal(tmp_path, seen.append) as journal:
        assert [event["event"] for event in seen] == ["first"]
        journal.append("third")
    assert [event["event"] for event in read_events(path)] == ["first", "third"]


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    with Journal(tmp_path, ignore) as journal:
        for name in ("first", "second", "third"):
            journal.append(name)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"second", b"sEcond"))
    with pytest.raises(StorageError, match=r"journal\.jsonl:2: this line is damaged"):
        Journal(tmp_path, ignore)


def test_a_second_driver_is_refused_with_the_first_ones_pid(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from raysweep.record.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]), lambda e: None); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match=f"pid {holder.pid}"):
            Journal(tmp_path, ignore)
    finally:
        holder.kill()
        holder.communicate()
    with Journal(tmp_path, ignore) as journal:
        assert journal.append("taken")["event"] == "taken"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        Journal(tmp_path / "file" / "sweep", ignore)


def test_an_observer_that_fails_does_not_undo_what_is_written(tmp_path: Path) -> None:
    def full_disk(event: Event) -> None:
        raise OSError(28, "No space left on device")

    with Journal(tmp_path, full_disk) as journal, pytest.raises(OSError, match="No space"):
        journal.append("first")
    assert [event["event"] for event in read_events(tmp_path / "journal.jsonl")] == ["first"]


@pytest.mark.parametrize("room", [0, 7, 40])
def test_a_full_disk_is_named_and_costs_the_event_that_found_it_full(tmp_path: Path, room: int) -> None:
    code = """
import resource, sys
from pathlib import Path
from raysweep.errors import StorageError
from raysweep.record.journal import Journal

with Journal(Path(sys.argv[1]), lambda event: None) as journal:
    journal.append("first")
    size = journal.path.stat().st_size + int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    for name in ("second", "third"):
        try:
            journal.append(name, filler="x" * 100)
        except StorageError as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.append("fourth")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path), str(room)], capture_output=True, text=True)
    path = tmp_path / "journal.jsonl"
    assert done.stdout == f"{path}: cannot be written (File too large)\n" * 2, done.stderr
    assert [event["event"] for event in read_events(path)] == ["first", "fourth"]
