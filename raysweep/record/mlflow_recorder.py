"""The journal's projection into MLflow: parent run = sweep, child run = trial.

A run is found by its tags and created only when absent, metrics carry the journal's own timestamps (MLflow keeps equal
points once), and a tag says how many milestones a run holds. So `record` may be called again at any time, by this
process or a later one, with the same or a grown trial: only what is new is added.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import RaysweepError
from raysweep.record.explanations import read_explanations
from raysweep.record.mlflow_terms import (
    flatten,
    millis,
    not_finite,
    plain_name,
    readings,
    run_name,
    sheet_title,
    text_of,
    trial_tags,
)
from raysweep.record.overlay import looked_at
from raysweep.record.sharing import present
from raysweep.record.sheets import contact_sheet, write_audio
from raysweep.record.store import artifact_folder, local_store, open_client
from raysweep.record.trial import ENDED, Milestone, Trial

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

    from raysweep.data.audio import MelSpec

_STATUS = {"planned": "SCHEDULED", "running": "RUNNING", "done": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
_METRICS, _LABELS = 500, 100  # a server takes up to 1000 entries in one request, of them 100 params and 100 tags


class MlflowRecorder:
    """Writes one sweep into one MLflow store. Not for several threads: `Recorder` is its only caller.

    Args:
        uri: MLflow's tracking URI; None is the SQLite store in the sweep's storage.
        sweep_name: names the parent run (and the experiment, when none is given).
        sweep_id: tells this sweep's runs from those of another of the same name.
        experiment: MLflow's experiment; None is the sweep's name.
        folder: the sweep's folder, where explanation files are found; its parent is the storage.
        media: "image", "logmel" or "array": how explanations are drawn.
        audio: the mel features, when explanations can be heard.
        labels: tags of the parent run and of every child run.
    """

    def __init__(
        self,
        uri: str | None,
        sweep_name: str,
        sweep_id: str,
        experiment: str | None,
        folder: Path,
        *,
        media: str = "array",
        audio: MelSpec | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.uri = uri or local_store(folder.parent)
        self.sweep_name, self.sweep_id, self.folder = sweep_name, sweep_id, folder
        self.media, self.audio, self.labels = media, audio, dict(labels or {})
        self._client = open_client(self.uri)
        self._experiment = self._find_experiment(experiment or sweep_name)
        self._parent: str | None = None
        self._runs: dict[int, str] = {}
        self._recorded: dict[int, tuple[int, str]] = {}

    def open_sweep(
        self,
        config: Mapping[str, Any] | None = None,
        sweep_file: Path | None = None,
        versions: Mapping[str, Any] | None = None,
    ) -> str:
        """Find or create the parent run, mark it as running, and return its id.

        Args:
            config: the sweep's settings, as parameters of the parent run.
            sweep_file: the resolved sweep file, kept as the artifact `sweep.yaml`.
            versions: software versions and weight hashes, kept as `versions.json`.
        """
        found = self._find({"raysweep.sweep": self.sweep_id, "raysweep.kind": "sweep"})
        run = found or self._create(self.sweep_name, {"raysweep.kind": "sweep"}, started=None)
        self._parent = run.info.run_id
        if run.info.status != "RUNNING":
            self._client.update_run(self._parent, status="RUNNING")
        known = run.data.params
        new = {name: value for name, value in flatten(config or {}).items() if name not in known}
        self._send(self._parent, params=new, tags=self.labels)
        if sweep_file is not None:
            self._client.log_text(self._parent, sweep_file.read_text(encoding="utf-8"), "sweep.yaml")
        if versions is not None:
            self._client.log_text(self._parent, json.dumps(dict(versions), indent=2, default=str), "versions.json")
        return self._parent

    def record(self, trial: Trial) -> str:
        """Bring the trial's child run up to date and return its id; calling again adds only what is new."""
        run_id = self._runs.get(trial.number) or self._adopt(trial)
        sent, state = self._recorded[trial.number]
        if len(trial.milestones) < sent or (state in ENDED and trial.state not in ENDED):
            return run_id  # an older copy than the one that MLflow has
        if (len(trial.milestones), trial.state) == (sent, state):
            return run_id
        new = trial.milestones[sent:]
        unseen: dict[str, str] = {}
        for milestone in new:
            unseen |= self._send_pictures(run_id, trial, milestone)
        points = [point for milestone in new for point in readings(milestone)]
        tags = {
            "raysweep.milestones": str(len(trial.milestones)),
            **trial_tags(trial),
            **self.labels,
            **unseen,
            **not_finite(points),
        }
        # MLflow writes a batch's metrics before its tags: the tag says that they arrived.
        self._send(run_id, metrics=points, params={k: text_of(v) for k, v in trial.config.items()}, tags=tags)
        if trial.state in ENDED:
            self._client.set_terminated(run_id, _STATUS[trial.state], end_time=millis(trial.ended or time.time()))
        elif trial.state != state:
            self._client.update_run(run_id, status=_STATUS[trial.state])
        self._client.set_tag(run_id, "raysweep.state", trial.state)
        self._recorded[trial.number] = (len(trial.milestones), trial.state)
        return run_id

    def close_sweep(
        self, status: str, summary: Mapping[str, float] | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """End the parent run: `status` is MLflow's ("FINISHED", "FAILED", "KILLED"), `summary` its metrics."""
        now = time.time()
        points = [(name, value, now, 0) for name, value in (summary or {}).items()]
        self._send(self._opened(), metrics=points, tags={**(tags or {}), **not_finite(points)})
        self._client.set_terminated(self._opened(), status, end_time=millis(now))

    def _opened(self) -> str:
        return self._parent or self.open_sweep()

    def _adopt(self, trial: Trial) -> str:
        """The trial's run, found by its tags or created; what it already holds is read from its tags."""
        identity = {
            "raysweep.sweep": self.sweep_id,
            "raysweep.trial_key": trial.key,
            "raysweep.trial": str(trial.number),
        }
        parent = self._opened()
        run = self._find(identity)
        if run is None:
            tags = {**identity, "raysweep.kind": "trial", "mlflow.parentRunId": parent}
            run = self._create(run_name(trial), tags, started=trial.started or trial.planned)
        has = run.data.tags
        self._runs[trial.number] = run.info.run_id
        self._recorded[trial.number] = (int(has.get("raysweep.milestones", "0")), has.get("raysweep.state", ""))
        return run.info.run_id

    def _find(self, tags: Mapping[str, str]) -> Run | None:
        query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        runs = self._client.search_runs([self._experiment], query, max_results=1, order_by=["attributes.start_time"])
        return runs[0] if runs else None

    def _create(self, name: str, tags: Mapping[str, str], started: float | None) -> Run:
        tags = {"mlflow.source.name": "raysweep", "raysweep.sweep": self.sweep_id, **tags}
        return self._client.create_run(
            self._experiment, start_time=millis(started or time.time()), tags=tags, run_name=name
        )

    def _find_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return self._client.create_experiment(name, artifact_location=artifact_folder(self.uri))
            except MlflowException:  # another sweep has just made it
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def _send(
        self,
        run_id: str,
        metrics: Iterable[tuple[str, float, float, int]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        points: list[Metric] = [
            Metric(plain_name(name), float(value), millis(when), step)
            for name, value, when, step in metrics
            if math.isfinite(value)
        ]
        settings = [Param(plain_name(name), value[:6000]) for name, value in (params or {}).items()]
        labels = [RunTag(plain_name(name), value[:5000]) for name, value in (tags or {}).items()]
        while len(points) > _METRICS or len(settings) > _LABELS:
            self._client.log_batch(run_id, metrics=points[:_METRICS], params=settings[:_LABELS])
            points, settings = points[_METRICS:], settings[_LABELS:]
        self._client.log_batch(run_id, metrics=points, params=settings, tags=labels[:_LABELS])
        for start in range(_LABELS, len(labels), _LABELS):
            self._client.log_batch(run_id, tags=labels[start : start + _LABELS])

    def _send_pictures(self, run_id: str, trial: Trial, milestone: Milestone) -> dict[str, str]:
        """Send the explanations of one milestone; a tag says so when they could not be read or drawn."""
        if milestone.explanations is None:
            return {}
        tensors = self.folder / milestone.explanations
        files = [tensors] if present(tensors) else []
        unseen = {}
        try:
            files += self._draw(trial, milestone, tensors)
        except (RaysweepError, OSError, ValueError, KeyError) as error:
            unseen = {f"raysweep.no_pictures.{str(milestone.stage).replace(' ', '-')}": str(error)}
        for file in files:
            self._client.log_artifact(run_id, str(file), f"explanations/step-{milestone.stage.name}")
        return unseen

    def _draw(self, trial: Trial, milestone: Milestone, tensors: Path) -> list[Path]:
        """Contact sheet, and sound where it can be heard; drawn once, kept beside the tensors."""
        found = read_explanations(tensors)
        explanations = found["explanation"]
        sheet, sound = tensors.with_suffix(".png"), tensors.with_suffix(".wav")
        if not sheet.exists():
            title = sheet_title(self.sweep_name, trial, milestone)
            contact_sheet(looked_at(found, self.media), self.media, sheet, title=title)
        heard = self.audio is not None and (sound.exists() or write_audio(explanations, sound, self.audio) is not None)
        return [sheet, sound] if heard else [sheet]
