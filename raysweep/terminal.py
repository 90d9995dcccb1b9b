"""What a person sees of a running sweep: a live view in a terminal, plain lines elsewhere; chatter goes to a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from raysweep.objectives.preference import KNEE, Preference
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from raysweep.record.trial import Trial
from raysweep.search.budget import Covered
from raysweep.search.conductor import trajectory_key
from raysweep.words import configured

REFRESHES = 4
"""Of the live view, a second."""


@contextmanager
def quiet_output(log: Path) -> Iterator[tuple[TextIO, TextIO]]:
    """Send what this process and its libraries print to `log`; yield the real standard output and standard error."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    out, error = (os.fdopen(os.dup(descriptor), "w", encoding="utf-8") for descriptor in (1, 2))
    with log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield out, error
    finally:
        for descriptor, ours, real in ((1, sys.stdout, out), (2, sys.stderr, error)):
            with suppress(OSError):  # a full disk takes no more log
                ours.flush()
            os.dup2(real.fileno(), descriptor)
            with suppress(OSError):  # whoever read it is gone
                real.close()


class Tally:
    """What a sweep has done so far, counted event by event.

    Args:
        examples: rows of a trial.
    """

    def __init__(self, examples: int) -> None:
        self._examples = examples
        self._covered: dict[str, Covered] = {}
        self.planned = self.ended = self.row_steps = 0
        """Trials, ended trials, and row-steps up to the milestones: trials that differ only in steps share theirs."""
        self.best: Trial | None = None
        self._points: dict[int, list[float]] = {}
        """The objectives of trials that are done."""

    def count(self, event: Event, ledger: Ledger) -> None:
        """Take an event into account that the ledger has just applied."""
        if event["event"] == "planned":
            self.planned += 1
        elif event["event"] == "milestone":
            trajectory = trajectory_key(ledger.trials[event["number"]].config)
            covered = self._covered.setdefault(trajectory, Covered())
            self.row_steps += covered.add(event["step"], event.get("examples") or self._examples)
        elif event["event"] == "ended":
            self.ended += 1
            trial = ledger.trials[event["number"]]
            if trial.state == "done" and trial.result is not None:
                objectives = trial.result.objectives
                self._points[trial.number] = [measured.value for measured in objectives.values()]
                preference = Preference(list(objectives), (ledger.sweep or {}).get("prefer", KNEE))
                self.best = next((ledger.trials[number] for number in preference.order(self._points)), None)


class Progress:
    """Follows a sweep event by event; in a terminal the view also goes on by itself, as time does.

    Args:
        out: where to show it. When nobody reads it any more, the sweep goes on unseen.
        planned: `trials` and `row_steps` that the search will make, None for what is open.
        examples: rows of a trial.
    """

    def __init__(self, out: TextIO, planned: Mapping[str, int | None], examples: int) -> None:
        self._trials, self._row_steps = planned["trials"], planned["row_steps"]
        self._tally = Tally(examples)
        self._before = 0
        """Row-steps made before this session."""
        self._speed: float | None = None
        """Row-steps a second, from the first lease of this session to its latest milestone."""
        self._began = self._scored = time.monotonic()
        self._leased: float | None = None
        self._console = Console(file=_Lasting(out), highlight=False)  # type: ignore[arg-type]
        self._live: Live | None = None
        if out.isatty() and not self._console.is_dumb_terminal:
            self._live = Live(
                console=self._console,
                get_renderable=self._view,
                refresh_per_second=REFRESHES,
                transient=True,
                redirect_stdout=False,  # chatter is to stay in the log
                redirect_stderr=False,
            )

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """One line that stays."""
        self._console.print(line, soft_wrap=True, markup=False)

    def on_event(self, event: Event, ledger: Ledger) -> None:
        """Show what changed; events replayed from an old journal are only counted."""
        self._tally.count(event, ledger)
        now = time.monotonic()
        if event["time"] < time.time() - (now - self._began) - 0.5:
            self._before = self._tally.row_steps
        elif event["event"] == "leased":
            self._leased = self._leased or now
        elif event["event"] == "milestone" and self._leased:
            self._scored = now
            self._speed = (self._tally.row_steps - self._before) / max(now - self._leased, 1e-9)
        elif event["event"] == "ended":
            trial = ledger.trials[event["number"]]
            if trial.state == "failed" or not self._live:
                self.say(self._line(trial))

    def _line(self, trial: Trial) -> str:
        done = f"{self._tally.ended}/{self._all}" if self._trials else str(self._tally.ended)
        score = f"  {trial.objective.value:.4g}" if trial.objective else ""
        reason = f"  ({trial.reason})" if trial.reason else ""
        return f"[{done}] trial {trial.number} {trial.state}{score}  {configured(trial.config)}{reason}"

    def _view(self) -> Table:
        """What the terminal shows now; called from rich's own thread, so it reads counts and no ledger."""
        now, tally = time.monotonic(), self._tally
        table = Table.grid(padding=(0, 2))
        counted = f"{tally.ended} of {self._all}" if self._trials else str(tally.ended)
        table.add_row("trials", f"{counted} ended, {tally.planned - tally.ended} in flight")
        if best := tally.best:
            table.add_row("best so far", f"{_value(best):.4g}   trial {best.number}   {configured(best.config)}")
        table.add_row("row-steps", f"{self._speed:,.0f} per second" if self._speed else "starting")
        left = self._seconds_left(now)
        table.add_row("time", _clock(now - self._began) + (f", about {_clock(left)} left" if left > 0 else ""))
        return table

    @property
    def _all(self) -> int:
        """Trials that there will be; those of an earlier session may lie outside of what is searched now."""
        return max(self._trials or 0, self._tally.planned)

    def _seconds_left(self, now: float) -> float:
        """As foretold at the latest milestone, less the time since; 0 when nothing can be said."""
        if not self._row_steps or not self._speed:
            return 0.0
        return (self._row_steps - self._tally.row_steps) / self._speed - (now - self._scored)


class _Lasting:
    """A stream that swallows what is written to it once its reader is gone: a closed pipe, a closed terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._gone = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if not self._gone:
            try:
                self._stream.write(text)
            except OSError:
                self._gone = True
        return len(text)

    def flush(self) -> None:
        if not self._gone:
            try:
                self._stream.flush()
            except OSError:
                self._gone = True


def _value(trial: Trial) -> float:
    return trial.objective.value if trial.objective else float("inf")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
