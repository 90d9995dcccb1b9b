"""A sweep's driver as its folder shows it; the drivers here hold a real journal, and do nothing else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raysweep.errors import InputError, StorageError
from raysweep.record.driver import driver_log, standing, stop_driver, sweep_folder
from raysweep.record.journal import Journal
from raysweep.record.lease import living_owner

DRIVER = """
import signal, sys, time
from pathlib import Path
from raysweep.record.journal import Journal
with Journal(Path(sys.argv[1]), lambda event: None) as journal:
    journal.append("planned", number=0, key="k", config={"lr": 0.1}, target=5)
    print("ready", flush=True)
    time.sleep(60)
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a driver of the sweep `mine` that holds its journal."""
    started: list[subprocess.Popen[str]] = []

    def begin(*, background: bool = False) -> subprocess.Popen[str]:
        handler = signal.SIG_IGN if background else signal.default_int_handler
        command = [sys.executable, "-c", DRIVER, str(tmp_path / "mine")]
        before = signal.signal(signal.SIGINT, handler)  # what a child inherits
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        finally:
            signal.signal(signal.SIGINT, before)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        threading.Thread(target=process.wait, daemon=True).start()
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_sweep_runs_while_a_driver_holds_its_journal(start: Start, tmp_path: Path) -> None:
    process = start()
    row = standing(tmp_path / "mine")
    assert (row["state"], row["trials"], row["best"]) == ("running", {"planned": 1}, None)
    owner = living_owner(tmp_path / "mine")
    assert owner is not None
    assert (owner.host, owner.pid) == (socket.gethostname(), process.pid)


def test_stopping_interrupts_the_driver_and_waits_for_it(start: Start, tmp_path: Path) -> None:
    process = start()
    assert stop_driver(tmp_path / "mine")
    assert standing(tmp_path / "mine")["state"] == "stopped"
    assert process.wait(10) == -signal.SIGINT


def test_a_driver_in_the_background_that_ignores_interrupts_is_stopped_too(start: Start, tmp_path: Path) -> None:
    process = start(background=True)
    assert stop_driver(tmp_path / "mine")
    assert process.wait(10) == -signal.SIGTERM


def test_nothing_is_stopped_where_no_driver_runs(start: Start, tmp_path: Path) -> None:
    start().kill()
    while living_owner(tmp_path / "mine"):
        pass
    assert not stop_driver(tmp_path / "mine")


def test_a_driver_of_another_machine_is_not_stopped_from_here(tmp_path: Path) -> None:
    with Journal(tmp_path / "mine", lambda event: None):
        owner = {"host": "elsewhere", "pid": os.getpid(), "boot": "another", "token": "theirs"}
        (tmp_path / "mine" / "journal.lock").write_text(json.dumps(owner), encoding="utf-8")
        with pytest.raises(StorageError, match="runs on elsewhere"):
            stop_driver(tmp_path / "mine")


def test_a_sweep_whose_trials_have_all_ended_is_done_and_names_its_best(tmp_path: Path) -> None:
    with Journal(tmp_path / "mine", lambda event: None) as journal:
        for number, value in enumerate([0.3, 0.2]):
            journal.append("planned", number=number, key=f"k{number}", config={"lr": value}, target=5)
            objectives = {"response_fd": [value, value - 0.1, value + 0.1]}
            scored = {"step": 5, "objectives": objectives, "metrics": {}, "explanations": None}
            journal.append("milestone", number=number, **scored)
            journal.append("ended", number=number, state="done", reason=None)
    row = standing(tmp_path / "mine")
    assert (row["state"], row["trials"], row["best"]["number"]) == ("done", {"done": 2}, 1)
    assert row["started"] < row["ended"]


def test_an_unknown_sweep_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    Journal(tmp_path / "quickstart", lambda event: None).close()
    with pytest.raises(InputError, match="Did you mean 'quickstart'"):
        sweep_folder("quikstart", tmp_path)


def test_a_followed_log_ends_with_its_driver(start: Start, tmp_path: Path) -> None:
    process = start()
    log = tmp_path / "mine" / "logs" / "driver.log"
    log.parent.mkdir()
    log.write_text("one\n", encoding="utf-8")
    pieces = driver_log(tmp_path / "mine", follow=True)
    assert next(pieces) == "one\n"
    with log.open("a", encoding="utf-8") as more:
        more.write("two\n")
    process.kill()
    assert list(pieces) == ["two\n"]
