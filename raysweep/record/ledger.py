"""The ledger: what the journal's events add up to. A pure state machine; replaying a journal rebuilds it exactly.

| event | fields | what it says |
| --- | --- | --- |
| sweep | format, id, sweep, identity, versions, chapter | the sweep file as resolved, the fingerprints that make |
| | | it this sweep, and where its present search began |
| session | driver, about | a driver opened the sweep, to run or continue it; what a reader wants to know |
| numerics | numerics, measured | precision, slots, threads that all hosts use from here on, and why; trials that have |
| | | not ended are stepped again from the start, but what was decided stays (a trial keeps its planned key) |
| planned | number, key, config, target | a trial was suggested; it will end `done`, `pruned` or `failed` |
| leased | number, host, tune_trial | a host works on it |
| milestone | number, step, examples, objectives, metrics, explanations | it was scored |
| decision | number, step, examples, decision | the stopping policy's word |
| ended | number, state, reason | its end |
| run | number, run | its MLflow run exists (number −1: the sweep's own) |
| synced | number, state | MLflow holds everything of it |

`examples` stands only where the first rows of a trial were scored, not all of them.
"""

from __future__ import annotations

from typing import Any

from raysweep.errors import StorageError
from raysweep.record.journal import FORMAT, Event
from raysweep.record.trial import ENDED, Measured, Milestone, Stage, Trial

SWEEP = -1
"""The number under which the sweep's own MLflow run is journaled."""


class Ledger:
    """State of one sweep, event by event."""

    def __init__(self) -> None:
        self.sweep: dict[str, Any] | None = None
        self.sweep_id: str | None = None
        self.chapter: dict[str, Any] = {}
        self.about: dict[str, Any] = {}
        self.identity: dict[str, Any] = {}
        self.versions: dict[str, str] = {}
        self.numerics: dict[str, Any] = {}
        self.first_numerics: dict[str, Any] = {}
        """Those that the sweep was started with, before any host ran out of memory."""
        self.trials: dict[int, Trial] = {}
        self.targets: dict[int, int] = {}
        self.decisions: dict[tuple[int, Stage], str] = {}
        self.sweep_run: str | None = None
        self.session: tuple[float, float] | None = None
        """When the present session began and when it last journaled something, seconds since the epoch."""
        self.earlier_seconds = 0.0
        """How long the sessions before it ran."""

    def apply(self, event: Event) -> None:
        """Take one event into account.

        Raises:
            StorageError: the event is of a later format or contradicts what came before.
        """
        handler = getattr(self, f"_{event['event']}", None)
        if handler is None:
            raise StorageError(f"the journal has an event that this version does not know: {event['event']}")
        handler(event)
        if self.session is not None:
            self.session = (self.session[0], max(self.session[1], event["time"]))

    @property
    def home(self) -> str | None:
        """The folder that the sweep file's relative paths start from."""
        return self.about.get("home")

    @property
    def media(self) -> str:
        """How explanations are shown."""
        return str(self.about.get("media", "array"))

    @property
    def mel(self) -> list[float] | None:
        """How log-mels become sounds, as `data.audio.MelSpec.of` reads it; None for other media."""
        return self.about.get("mel")

    @property
    def objectives_in_words(self) -> list[str]:
        """What each objective compares."""
        return list(self.about.get("objectives", []))

    @property
    def running(self) -> list[Trial]:
        """Trials that have not ended."""
        return [trial for trial in self.trials.values() if trial.state not in ENDED]

    @property
    def unsynced(self) -> list[Trial]:
        """Trials of which MLflow does not hold everything yet."""
        return [trial for trial in self.trials.values() if not trial.synced]

    def twin(self, key: str) -> Trial | None:
        """A trial with the same result key that has its result already."""
        return next((t for t in self.trials.values() if t.key == key and t.state == "done"), None)

    def _sweep(self, event: Event) -> None:
        if event["format"] > FORMAT:
            raise StorageError(f"the journal has format {event['format']}; this version reads up to {FORMAT}")
        self.sweep, self.identity, self.versions = event["sweep"], event["identity"], event["versions"]
        self.sweep_id, self.chapter = event["id"], event["chapter"]

    def _session(self, event: Event) -> None:
        if self.session is not None:
            self.earlier_seconds += self.session[1] - self.session[0]
        self.session, self.about = (event["time"], event["time"]), event.get("about", self.about)

    def _numerics(self, event: Event) -> None:
        self.numerics = event["numerics"]
        self.first_numerics = self.first_numerics or self.numerics
        for trial in self.running:
            trial.numerics = self.numerics

    def _planned(self, event: Event) -> None:
        number = event["number"]
        if number != len(self.trials):
            raise StorageError(f"the journal plans trial {number} after {len(self.trials)} trials")
        self.trials[number] = Trial(
            number, event["key"], event["config"], planned=event["time"], numerics=self.numerics
        )
        self.targets[number] = event["target"]

    def _leased(self, event: Event) -> None:
        trial = self._open_trial(event)
        trial.state, trial.host, trial.tune_trial = "running", event["host"], event["tune_trial"]
        trial.started = trial.started or event["time"]
        trial.synced = False

    def _milestone(self, event: Event) -> None:
        trial = self._open_trial(event)
        stage = _stage(event)
        if any(known.stage == stage for known in trial.milestones):
            raise StorageError(f"the journal scores trial {trial.number} twice at {stage}")
        trial.milestones.append(
            Milestone(
                step=stage.step,
                examples=stage.examples,
                time=event["time"],
                objectives={name: Measured.from_json(measured) for name, measured in event["objectives"].items()},
                metrics=event["metrics"],
                explanations=event["explanations"],
            )
        )
        trial.synced = False

    def _decision(self, event: Event) -> None:
        self.decisions[event["number"], _stage(event)] = event["decision"]

    def _ended(self, event: Event) -> None:
        trial = self._open_trial(event)
        trial.state, trial.reason, trial.ended = event["state"], event["reason"], event["time"]
        trial.synced = False

    def _run(self, event: Event) -> None:
        if event["number"] == SWEEP:
            self.sweep_run = event["run"]
        else:
            self.trials[event["number"]].mlflow_run = event["run"]

    def _synced(self, event: Event) -> None:
        trial = self.trials[event["number"]]
        trial.synced = trial.state == event["state"] and trial.state in ENDED

    def _open_trial(self, event: Event) -> Trial:
        trial = self.trials[event["number"]]
        if trial.state in ENDED:
            raise StorageError(f"the journal has '{event['event']}' for trial {trial.number}, which is {trial.state}")
        return trial


def _stage(event: Event) -> Stage:
    return Stage(event["step"], event.get("examples"))
