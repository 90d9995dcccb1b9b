"""What a person sees of a running sweep, through real terminals, pipes and files."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from raysweep.record.journal import read_events
from raysweep.record.ledger import Ledger
from raysweep.terminal import Progress, Tally
from tests.told_sweep import Sweep, Watcher

DEADLINE = 20  # a watchdog, not a measurement
OPEN = {"trials": None, "row_steps": None}
FOUR = {"trials": 4, "row_steps": 4000}


class Screen:
    """A terminal: `out` writes to it, `text` is all that it was told to show, without colours and cursor."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.out = os.fdopen(slave, "w", encoding="utf-8")
        self.raw = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self.raw.decode(errors="replace"))

    def wait_for(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + DEADLINE
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text[-2000:]
            time.sleep(0.02)
        return found

    def close(self) -> None:
        if not self.out.closed:
            self.out.close()
        self._reader.join(DEADLINE)
        os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                self.raw += os.read(self._master, 65536)
            except OSError:  # the other side is closed
                return


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    screen = Screen()
    yield screen
    screen.close()


Begin = Callable[..., Sweep]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a sweep that the given watchers follow."""
    begun: list[Sweep] = []

    def start(*watchers: Watcher) -> Sweep:
        begun.append(Sweep(tmp_path / "mine", *watchers))
        return begun[-1]

    yield start
    for sweep in begun:
        sweep.journal.close()


def test_a_terminal_shows_trials_the_best_speed_and_time(screen: Screen, begin: Begin) -> None:
    with Progress(screen.out, {"trials": 4, "row_steps": 10**6}, 10) as progress:
        sweep = begin(progress.on_event)
        screen.wait_for(r"0 of 4 ended, 0 in flight")
        for number, lr in enumerate((0.1, 0.01, 0.001)):
            sweep.start(number, lr)
        time.sleep(0.1)
        for number, value in enumerate((0.5, 0.25)):
            sweep.score(number, value)
            sweep.end(number)
        screen.wait_for(r"trials +2 of 4 ended, 1 in flight")
        screen.wait_for(r"best so far +0\.25 +trial 1 +lr 0\.01  steps 100")
        screen.wait_for(r"row-steps +[\d,]+ per second")
        screen.wait_for(r"time +0:0\d, about \d+:\d\d left")


def test_time_goes_on_between_events(screen: Screen) -> None:
    with Progress(screen.out, OPEN, 10):
        screen.wait_for(r"time +0:02")
    assert re.search(r"time +0:01", screen.text)


def test_a_terminal_keeps_what_failed_and_loses_the_view(screen: Screen, begin: Begin) -> None:
    with Progress(screen.out, FOUR, 10) as progress:
        sweep = begin(progress.on_event)
        progress.say("response_fd: [1-D] features")
        for number in (0, 1):
            sweep.start(number)
        sweep.score(0, 0.5)
        sweep.end(0)
        sweep.end(1, "failed", "not finite")
        screen.wait_for("1 of 4 ended|2 of 4 ended")
    screen.out.close()
    screen.wait_for(r"\[2/4\] trial 1 failed  lr 0\.1  steps 100  \(not finite\)")
    assert "response_fd: [1-D] features" in screen.text
    assert "trial 0 done" not in screen.text


@pytest.mark.parametrize("planned", [OPEN, FOUR])
def test_a_file_gets_one_plain_line_for_each_trial_that_ends(
    tmp_path: Path, planned: dict[str, Any], begin: Begin
) -> None:
    with (tmp_path / "out").open("w") as out, Progress(out, planned, 10) as progress:
        sweep = begin(progress.on_event)
        progress.say("features are [0] of a network")
        for number in (0, 1):
            sweep.start(number)
        sweep.score(0, 0.5)
        sweep.end(0)
        sweep.end(1, "failed", "not finite")
    of = "/4" if planned["trials"] else ""
    assert (tmp_path / "out").read_text().splitlines() == [
        "features are [0] of a network",
        f"[1{of}] trial 0 done  0.5  lr 0.1  steps 100",
        f"[2{of}] trial 1 failed  lr 0.1  steps 100  (not finite)",
    ]


def test_trials_outside_of_what_is_searched_now_are_among_all(tmp_path: Path, begin: Begin) -> None:
    with (tmp_path / "out").open("w") as out, Progress(out, {"trials": 1, "row_steps": 1000}, 10) as progress:
        sweep = begin(progress.on_event)
        for number in (0, 1, 2):
            sweep.start(number)
        sweep.score(2, 0.5)
        sweep.end(2)
    assert (tmp_path / "out").read_text().startswith("[1/3] trial 2 done")


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, begin: Begin
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Progress(screen.out, FOUR, 10) as progress:
        sweep = begin(progress.on_event)
        sweep.start(0)
        sweep.score(0, 0.5)
        sweep.end(0)
    screen.wait_for(r"\[1/4\] trial 0 done  0.5")
    assert b"\x1b" not in screen.raw


def test_trials_that_differ_only_in_steps_count_their_row_steps_once(begin: Begin) -> None:
    tally = Tally(examples=10)
    sweep = begin(tally.count)
    for number, (lr, steps) in enumerate([(0.1, 500), (0.1, 100), (0.01, 100)]):
        sweep.start(number, lr, steps)
        sweep.score(number, 0.5, steps)
    assert (tally.planned, tally.ended, tally.row_steps) == (3, 0, 6000)


def test_of_a_race_only_the_rows_that_were_stepped_count(begin: Begin) -> None:
    tally = Tally(examples=10)
    sweep = begin(tally.count)
    for number, steps in enumerate([500, 100]):
        sweep.start(number, 0.1, steps)
        sweep.score(number, 0.5, steps, examples=4)
    assert tally.row_steps == 500 * 4
    sweep.score(1, 0.5, 100)
    assert tally.row_steps == 500 * 4 + 100 * 6


def test_of_an_earlier_session_nothing_is_said_and_its_row_steps_are_not_this_ones_speed(
    screen: Screen, begin: Begin
) -> None:
    earlier = begin()
    earlier.start(0, 0.1)
    earlier.score(0, 0.5)
    earlier.end(0, "failed", "not finite")
    with Progress(screen.out, FOUR, 10) as progress:
        ledger = Ledger()
        for event in read_events(earlier.journal.path):
            event["time"] -= 3600
            ledger.apply(event)
            progress.on_event(event, ledger)
        screen.wait_for(r"1 of 4 ended, 0 in flight\s+row-steps +starting")
    assert "not finite" not in screen.text


def test_a_journal_of_thousands_of_trials_is_counted_in_one_pass(tmp_path: Path) -> None:
    class Trials(dict[int, Any]):
        """Looked at as a whole at every event, 4000 trials take over a minute."""

        passes = 0

        def values(self) -> Any:
            self.passes += 1
            return super().values()

    earlier = time.time() - 3600
    with (tmp_path / "out").open("w") as out, Progress(out, OPEN, 10) as progress:
        ledger = Ledger()
        ledger.trials = trials = Trials()
        for number in range(4000):
            config = {"lr": float(number), "steps": 9}
            scored = {"step": 9, "objectives": {"kid": [0.5, 0.4, 0.6]}, "metrics": {}, "explanations": None}
            for fields in (
                {"event": "planned", "key": "k", "config": config, "target": 9},
                {"event": "milestone", **scored},
                {"event": "ended", "state": "done", "reason": None},
            ):
                event = {"time": earlier, "number": number, **fields}
                ledger.apply(event)
                progress.on_event(event, ledger)
    assert trials.passes < 10


def test_a_sweep_goes_on_when_nobody_reads_its_progress_any_more(begin: Begin) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    out = os.fdopen(writer, "w")
    with Progress(out, FOUR, 10) as progress:
        sweep = begin(progress.on_event)
        sweep.start(0)
        sweep.end(0, "failed", "not finite")
        progress.say("after the reader went")
    assert sweep.ledger.trials[0].state == "failed"
    with suppress(BrokenPipeError):  # of what it still holds
        out.close()


def test_a_sweep_goes_on_when_its_terminal_is_closed(monkeypatch: pytest.MonkeyPatch, begin: Begin) -> None:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    out = os.fdopen(slave, "w")
    with Progress(out, FOUR, 10) as progress:
        sweep = begin(progress.on_event)
        os.close(master)
        sweep.start(0)
        sweep.end(0, "failed", "not finite")
        time.sleep(0.5)  # the view refreshes itself twice
    assert sweep.ledger.trials[0].state == "failed"
    with suppress(OSError):
        out.close()


DRIVER = """
import os, sys
from pathlib import Path
from raysweep.terminal import Progress, quiet_output
with quiet_output(Path("logs/driver.log")) as (out, err):
    with Progress({"out": out, "err": err}[sys.argv[1]], {"trials": 4, "row_steps": None}, 10) as progress:
        progress.say("progress")
        print("chatter of Python")
        print("chatter of Python's errors", file=sys.stderr)
        os.system("echo chatter of a process; echo chatter of its errors >&2")
print("result")
print("complaint", file=sys.stderr)
"""


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("shown", ["out", "err"])
def test_chatter_goes_to_the_log_and_progress_to_the_stream_that_was_asked_for(
    screen: Screen, tmp_path: Path, shown: str, terminal: bool
) -> None:
    streams: dict[str, Any] = {"out": subprocess.PIPE, "err": subprocess.PIPE}
    if terminal:
        streams[shown] = screen.out
    command = [sys.executable, "-c", DRIVER, shown]
    done = subprocess.run(command, cwd=tmp_path, stdout=streams["out"], stderr=streams["err"], text=True, timeout=60)
    screen.out.close()
    said = {"out": done.stdout, "err": done.stderr}
    if terminal:
        screen.wait_for({"out": "result", "err": "complaint"}[shown])
        said[shown] = screen.text
    assert "progress" in said[shown]
    assert ("0 of 4 ended" in said[shown]) == terminal
    assert "result" in said["out"]
    assert "complaint" in said["err"]
    assert said["err" if shown == "out" else "out"].splitlines() == ["complaint" if shown == "out" else "result"]
    assert "chatter" not in said["out"] + said["err"]
    log = (tmp_path / "logs" / "driver.log").read_text()
    assert sorted(log.splitlines()) == [
        "chatter of Python",
        "chatter of Python's errors",
        "chatter of a process",
        "chatter of its errors",
    ]
