"""The only writer to MLflow: one background thread, apart from the scheduling loop, that an outage cannot stop.

The journal is the truth, so nothing here is durable: what MLflow has not received when the sweep ends is returned by
`close`, stays unsynced in the journal, and is sent when the sweep is next opened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from raysweep.record.trial import Trial

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_PATIENCE = 5.0
"""Seconds that closing waits for an MLflow that fails."""


class Sink(Protocol):
    """Where trials are recorded: a `MlflowRecorder`, or a fake that fails on purpose."""

    def record(self, trial: Trial) -> str: ...

    def close_sweep(self, status: str, summary: Mapping[str, float] | None, tags: Mapping[str, str] | None) -> None: ...


@dataclass
class _Closing:
    """What `close` asks of the thread."""

    deadline: float
    patience: float
    status: str | None
    summary: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Recorder:
    """Records trials in the background, the newest copy of each, retrying for as long as it takes.

    Args:
        recorder_factory: makes the sink and opens the sweep in it; called in the thread at once, because a new
            SQLite store takes some seconds, and again after a failure.
        on_synced: called in the thread with (trial copy, run id) each time MLflow holds that copy.
        on_notice: called in the thread with one line when MLflow stops answering, and when it answers again.
    """

    def __init__(
        self,
        recorder_factory: Callable[[], Sink],
        on_synced: Callable[[Trial, str], None],
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self._factory, self._on_synced, self._on_notice = recorder_factory, on_synced, on_notice
        self._changed = threading.Condition()
        self._pending: dict[int, Trial] = {}
        self._seen: set[int] = set()
        self._in_hand: int | None = None
        self._closing: _Closing | None = None
        self._sink: Sink | None = None
        self._failures = 0
        self.closed_sweep = False
        """Whether the parent run was ended by `close`."""
        self._thread = threading.Thread(target=self._run, name="raysweep-recorder", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> bool:
        """Whether MLflow refused, or did not answer, when it was last tried."""
        return self._failures > 0

    def submit(self, trial: Trial) -> None:
        """Record this copy of a trial soon; never blocks. The caller must not change the copy afterwards."""
        with self._changed:
            self._pending[trial.number] = trial
            self._changed.notify()

    def close(
        self,
        timeout: float,
        status: str | None = "FINISHED",
        summary: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> list[int]:
        """Wait at most `timeout` seconds for the rest, end the parent run, and return the trials not yet in MLflow.

        Args:
            timeout: seconds, while MLflow answers; once it fails, only some.
            status: MLflow's status of the parent run; None leaves it running.
            summary, tags: the parent run's closing metrics and tags.
        """
        with self._changed:
            patience = min(timeout, _PATIENCE)
            wait = patience if self.failing else timeout
            self._closing = _Closing(time.monotonic() + wait, patience, status, summary or {}, tags or {})
            self._changed.notify()
        self._thread.join(timeout + 0.1)
        with self._changed:
            in_hand = [] if self._in_hand is None else [self._in_hand]
            return sorted({*self._pending, *in_hand})

    def _run(self) -> None:
        while True:
            trial, closing = self._next()
            if closing is not None and time.monotonic() >= closing.deadline:
                self._put_back(trial)
                return
            try:
                self._sink = self._sink or self._factory()
                if trial is not None:
                    self._on_synced(trial, self._sink.record(trial))
                elif closing is not None:
                    self._end(self._sink, closing)
                    return
            except Exception as error:  # whatever MLflow, its store or the network raises: the sweep goes on
                self._failed(error, trial)
            else:
                self._succeeded()

    def _next(self) -> tuple[Trial | None, _Closing | None]:
        """The next trial: one that MLflow has not seen, else the one that has waited longest.

        None opens the sink, or says that everything is sent when we are closing.
        """
        with self._changed:
            while self._sink is not None and not self._pending and self._closing is None:
                self._changed.wait()
            if not self._pending:
                return None, self._closing
            new = (number for number in self._pending if number not in self._seen)
            self._in_hand = next(new, next(iter(self._pending)))
            self._seen.add(self._in_hand)
            return self._pending.pop(self._in_hand), self._closing

    def _end(self, sink: Sink, closing: _Closing) -> None:
        if closing.status is not None:
            sink.close_sweep(closing.status, closing.summary, closing.tags)
        self.closed_sweep = True

    def _put_back(self, trial: Trial | None) -> None:
        with self._changed:
            if trial is not None:
                self._pending.setdefault(trial.number, trial)  # a newer copy may have come meanwhile
            self._in_hand = None

    def _succeeded(self) -> None:
        with self._changed:
            self._in_hand = None
        if self._failures and self._on_notice:
            self._on_notice("MLflow answers again; recording what it missed")
        self._failures = 0

    def _failed(self, error: Exception, trial: Trial | None) -> None:
        """Put the trial behind the others (it may be at fault itself) and wait, longer after each failure in a row."""
        self._put_back(trial)
        self._failures += 1
        if self._closing is not None and self._failures == 1:
            self._closing.deadline = min(self._closing.deadline, time.monotonic() + self._closing.patience)
        if self._failures == 1 and self._on_notice:
            line = " ".join(str(error).split())[:200]
            self._on_notice(f"MLflow does not record ({line}); the sweep goes on, and is sent later")
        resume = time.monotonic() + min(_FIRST_WAIT * 2 ** min(self._failures - 1, 10), _LONGEST_WAIT)
        with self._changed:
            while (left := resume - time.monotonic()) > 0:
                if self._closing is not None:  # the end is near: try more often
                    left = min(left, _FIRST_WAIT, max(self._closing.deadline - time.monotonic(), 0.0))
                    resume = min(resume, time.monotonic() + left)
                    if left <= 0:
                        return
                self._changed.wait(left)
