"""A journal whose storage is at a URL, seen from the machine that writes it and from another."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.control import in_words, status
from raysweep.errors import StorageError
from raysweep.record import sharing, shipping
from raysweep.record.checkouts import shown
from raysweep.record.driver import driver_log, standing, stop_driver, storage_folder, sweep_folder, sweep_folders
from raysweep.record.explanations import write_explanations
from raysweep.record.journal import Journal, read_events
from raysweep.record.remote import Remote
from raysweep.record.sharing import present, send_later, share, unsent

DEADLINE = 60  # a watchdog, not a measurement
PLANNED: dict[str, Any] = {"key": "k", "config": {"lr": 0.1}, "target": 5}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried again soon, and given up soon."""
    for name, seconds in {"PERIOD": 0.01, "SIGNS": 0.1, "CLOSING": 1.0}.items():
        monkeypatch.setattr(shipping, name, seconds)
    monkeypatch.setattr(sharing, "AGAIN", 0.01)
    monkeypatch.setattr(sharing, "_OUTBOX", sharing._Outbox())


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


@pytest.fixture
def on(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """The folder of the sweep `mine` on a machine of some name, which is this one from then on."""

    def machine(name: str) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        return storage_folder(url) / "mine"

    return machine


def read(folder: Path) -> bytes:
    """A sweep's journal as this machine finds it."""
    return (sweep_folder("mine", folder.parent) / "journal.jsonl").read_bytes()


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def numbers(folder: Path) -> list[int]:
    return [event["number"] for event in read_events(folder / "journal.jsonl")]


def forget(event: Any) -> None:
    """Nobody listens."""


def test_another_machine_reads_what_was_written_here(on: Callable[[str], Path]) -> None:
    folder = on("here")
    with Journal(folder, forget) as journal:
        for number in range(3):
            journal.append("planned", number=number, **PLANNED)
            time.sleep(0.02)  # several segments
    written = (folder / "journal.jsonl").read_bytes()
    assert read(on("there")) == written


def test_a_segment_whose_arrival_was_not_confirmed_is_not_there_twice(
    on: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, get = on("here"), Remote.get
    failing: list[str] = []

    def sometimes(self: Remote, name: str) -> bytes | None:
        if failing:
            raise StorageError(failing.pop())
        return get(self, name)

    monkeypatch.setattr(Remote, "get", sometimes)
    with Journal(folder, forget) as journal:
        for number in range(3):
            failing.append("timeout")  # asked whose journal it is, after the segment was put
            journal.append("planned", number=number, **PLANNED)
            until(lambda: not failing)
    assert [json.loads(line.split(b" ", 1)[1])["number"] for line in read(on("there")).splitlines()] == [0, 1, 2]


def test_a_torn_last_line_is_not_shipped(on: Callable[[str], Path]) -> None:
    folder = on("here")
    with Journal(folder, forget) as journal:
        journal.append("planned", number=0, **PLANNED)
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b"0000000")
    with Journal(folder, forget) as journal:
        journal.append("planned", number=1, **PLANNED)
    read(on("there"))
    assert numbers(on("there")) == [0, 1]


def test_a_url_that_lost_what_it_had_gets_it_again(on: Callable[[str], Path], tmp_path: Path) -> None:
    folder = on("here")
    with Journal(folder, forget) as journal:
        journal.append("planned", number=0, **PLANNED)
        until(lambda: list((tmp_path / "bucket/mine/journal").glob("*.jsonl")))
        (tmp_path / "bucket").rename(tmp_path / "lost")
        journal.append("planned", number=1, **PLANNED)
        until(lambda: (tmp_path / "bucket/mine/driver.json").exists())
        journal.append("planned", number=2, **PLANNED)
    read(on("there"))
    assert numbers(on("there")) == [0, 1, 2]


def test_a_url_that_takes_nothing_is_told_of_and_the_rest_is_shipped_the_next_time(
    on: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, said = on("here"), list[str]()

    def fail(self: Remote, name: str, data: bytes) -> None:
        raise StorageError("no route to host")

    journal = Journal(folder, forget, notify=said.append)
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "put", fail)
        journal.append("planned", number=0, **PLANNED)
        with pytest.raises(
            StorageError, match=r"no route to host\); it is kept in .*mine: run the sweep again on this"
        ):
            journal.close()
    assert said == ["no route to host; the sweep goes on, and is shipped when the URL takes it"]
    Journal(folder, forget).close()
    read(on("there"))
    assert numbers(on("there")) == [0]


def test_a_driver_says_who_has_taken_over_from_it(on: Callable[[str], Path], tmp_path: Path) -> None:
    with Journal(on("here"), forget) as journal:
        with pytest.raises(StorageError, match=r"not said that it ended \(.*, last heard \d+ s ago\); if it is gone"):
            Journal(on("there"), forget)
        other = {"token": "theirs", "host": "elsewhere", "pid": 7, "ended": False}
        (tmp_path / "bucket/mine/driver.json").write_text(json.dumps(other))
        on("here")
        until(lambda: not journal.held)
        with pytest.raises(StorageError, match=r"another driver has taken over \(elsewhere, pid 7\)"):
            journal.append("planned", number=0, **PLANNED)


def test_a_sweep_that_another_machine_runs_is_running_there(on: Callable[[str], Path]) -> None:
    me = rf"on {socket.gethostname()}, pid {os.getpid()}, last heard \d+ s ago"
    with Journal(on("here"), forget):
        there = on("there")
        (row,) = status(None, None, there.parent, Path("unused"))
        assert row["state"] == "running"
        assert re.search(f"  {me}$", in_words(row))
        with pytest.raises(StorageError, match=f"mine runs {me}: stop it there"):
            stop_driver(there)
        with pytest.raises(StorageError, match="its log is not here, but on the machine that ran it"):
            next(driver_log(there))
        on("here")
    (row,) = status("mine", None, on("there").parent, Path("unused"))
    assert (row["state"], row["message"], row["storage"]) == ("stopped", None, shown(there.parent))


@pytest.mark.parametrize(("silence", "words"), [(80.0, r"\d\d s"), (600.0, "10 min"), (7200.0, "2 h")])
def test_a_driver_that_is_silent_for_long_may_be_gone(
    on: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silence: float, words: str
) -> None:
    monkeypatch.setattr(shipping, "SIGNS", 1e6)
    me = f"{socket.gethostname()}, pid {os.getpid()}"
    with Journal(on("here"), forget):
        (sign,) = (tmp_path / "bucket/mine/journal").glob("*.alive")
        sign.write_text(str(time.time() - silence))
        row = standing(sweep_folder("mine", on("there").parent))
        assert row["state"] == "stopped"
        assert re.fullmatch(rf"its driver has not said that it ended \({me}, last heard {words} ago\)", row["message"])
        on("here")


def test_a_reader_leaves_a_journal_alone_that_is_being_written_here(on: Callable[[str], Path], tmp_path: Path) -> None:
    folder = on("here")
    with Journal(folder, forget) as journal:
        journal.append("planned", number=0, **PLANNED)
        written = (folder / "journal.jsonl").read_bytes()
        (tmp_path / "bucket/mine/driver.json").write_text(json.dumps({"token": "theirs"}))
        (tmp_path / "bucket/mine/journal/theirs-000000.jsonl").write_bytes(b"another")
        assert sweep_folders(folder.parent) == [folder]
        assert (folder / "journal.jsonl").read_bytes() == written


def test_a_sweep_that_runs_here_is_known_also_when_its_url_does_not_answer(
    on: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = on("here")
    with Journal(folder, forget), monkeypatch.context() as patch:
        patch.setattr(Remote, "silent", True)
        assert status("mine", None, folder.parent, Path("unused"))[0]["state"] == "running"


def test_explanations_that_the_url_did_not_take_are_sent_when_it_does(
    on: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = on("here") / "explanations/k-5.safetensors"
    write_explanations(path, {"explanation": np.ones(3, np.float32)})
    put, tries = Remote.put, list[str]()

    def later(self: Remote, name: str, data: bytes) -> None:
        tries.append(name)
        if len(tries) < 3:
            raise StorageError("no route to host")
        put(self, name, data)

    monkeypatch.setattr(Remote, "put", later)
    share(path)
    assert len(tries) < 3
    until(lambda: not unsent())
    assert present(on("there") / "explanations/k-5.safetensors")


def test_what_the_url_has_lost_is_sent_again(on: Callable[[str], Path], tmp_path: Path) -> None:
    path = on("here") / "explanations/k-5.safetensors"
    write_explanations(path, {"explanation": np.ones(3, np.float32)})
    share(path)
    (tmp_path / "bucket").rename(tmp_path / "lost")
    send_later(path.parent)
    until(lambda: not unsent())
    assert present(on("there") / "explanations/k-5.safetensors")


def test_a_driver_sends_at_its_end_what_the_url_lacks_of_the_explanations(on: Callable[[str], Path]) -> None:
    folder = on("here")
    with Journal(folder, forget):
        write_explanations(folder / "explanations/k-5.safetensors", {"explanation": np.ones(3, np.float32)})
    assert present(on("there") / "explanations/k-5.safetensors")


def test_a_silent_url_is_not_asked_for_what_can_wait(
    on: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Remote, "silent", True)
    with pytest.raises(StorageError, match="did not answer a moment ago"):
        present(on("here") / "explanations/k-5.safetensors")
