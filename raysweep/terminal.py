"""What a person sees of a running sweep: a live view in a terminal, plain lines elsewhere; chatter goes to a log."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from raysweep.record.trial import ENDED, Trial


@contextmanager
def quiet_output(log: Path) -> Iterator[TextIO]:
    """Send whatever this process and its libraries print to `log`; yield the real standard output."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out, log.open("a", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield out
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            out.flush()
            for descriptor, original in enumerate(kept, start=1):
                os.dup2(original, descriptor)
                os.close(original)


class Progress:
    """Follows a sweep event by event.

    Args:
        out: where to show it.
        planned: `trials` and `row_steps` that the search will make, None for what is open.
        examples: rows of a trial.
    """

    def __init__(self, out: TextIO, planned: Mapping[str, int | None], examples: int) -> None:
        self._total, self._row_steps_planned = planned["trials"], planned["row_steps"]
        self._examples = examples
        self._console = Console(file=out, highlight=False)
        self._live = (
            Live("starting", console=self._console, refresh_per_second=4, transient=True) if out.isatty() else None
        )
        self._began = time.monotonic()
        self._before = 0
        """Row-steps made before this session."""

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
        if event["time"] < time.time() - (time.monotonic() - self._began) - 0.5:
            self._before = _row_steps(ledger, self._examples)
            return
        if event["event"] == "ended":
            trial = ledger.trials[event["number"]]
            if trial.state == "failed" or not self._live:
                self.say(self._line(trial, ledger))
        if self._live:
            self._live.update(self._view(ledger))

    def _line(self, trial: Trial, ledger: Ledger) -> str:
        done = f"{len(_ended(ledger))}/{self._total}" if self._total else f"{len(_ended(ledger))}"
        config = "  ".join(f"{name} {value:g}" for name, value in trial.config.items())
        score = f"  {trial.objective.value:.4g}" if trial.objective else ""
        reason = f"  ({trial.reason})" if trial.reason else ""
        return f"[{done}] trial {trial.number} {trial.state}{score}  {config}{reason}"

    def _view(self, ledger: Ledger) -> Table:
        ended = _ended(ledger)
        elapsed = time.monotonic() - self._began
        made = _row_steps(ledger, self._examples)
        speed = (made - self._before) / max(elapsed, 1e-9)
        table = Table.grid(padding=(0, 2))
        counted = f"{len(ended)} of {self._total}" if self._total else str(len(ended))
        table.add_row("trials", f"{counted} ended, {len(ledger.running)} in flight")
        best = min((t for t in ended if t.state == "done" and t.objective), key=_value, default=None)
        if best is not None and best.objective is not None:
            config = "  ".join(f"{name} {value:g}" for name, value in best.config.items())
            table.add_row("best so far", f"{best.objective.value:.4g}   trial {best.number}   {config}")
        table.add_row("row-steps", f"{speed:,.0f} per second" if speed else "starting")
        left = ""
        if self._row_steps_planned and speed:
            left = f", about {_clock(max(self._row_steps_planned - made, 0) / speed)} left"
        table.add_row("time", _clock(elapsed) + left)
        return table


def _ended(ledger: Ledger) -> list[Trial]:
    return [trial for trial in ledger.trials.values() if trial.state in ENDED]


def _value(trial: Trial) -> float:
    return trial.objective.value if trial.objective else float("inf")


def _row_steps(ledger: Ledger, examples: int) -> int:
    """Row-steps of the trajectories scored so far: trials that differ only in steps count once."""
    furthest: dict[str, int] = {}
    for trial in ledger.trials.values():
        key = repr(sorted((name, value) for name, value in trial.config.items() if name != "steps"))
        furthest[key] = max(furthest.get(key, 0), trial.result.step if trial.result else 0)
    return sum(furthest.values()) * examples


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
