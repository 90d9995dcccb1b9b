"""A sweep's recording in MLflow: while it runs, at its end, and by hand after an outage."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from raysweep.errors import InputError
from raysweep.oracle import is_oracle
from raysweep.outcome import SweepResult
from raysweep.record.driver import sweep_folder
from raysweep.record.journal import Journal
from raysweep.record.ledger import SWEEP, Ledger
from raysweep.record.recorder import Recorder
from raysweep.record.store import check_uri, local_store
from raysweep.record.trial import ENDED, Trial

PATIENCE = 120.0
"""Seconds that a finished sweep waits for an MLflow that answers to take the rest."""


@contextmanager
def recording(
    journal: Journal, ledger: Ledger, folder: Path, uri: str, say: Callable[[str], None]
) -> Iterator[Recorder]:
    """MLflow's one writer, for as long as the block lasts.

    Args:
        journal, ledger: of the sweep, which has begun.
        folder: the sweep's.
        uri: MLflow's tracking URI.
        say: takes lines that a person should read.
    """
    from raysweep.data.audio import heard_with
    from raysweep.record.mlflow_recorder import MlflowRecorder

    plain: dict[str, Any] = ledger.sweep or {}
    audio = heard_with(ledger.media, ledger.mel)
    sweep_file = folder / "sweep.yaml"
    sweep_file.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")

    def open_sink() -> MlflowRecorder:
        name, sweep_id = plain["name"], str(ledger.sweep_id)
        labels = {"raysweep.oracle": "true"} if is_oracle(plain) else {}
        sink = MlflowRecorder(uri, name, sweep_id, None, folder, media=ledger.media, audio=audio, labels=labels)
        run_id = sink.open_sweep(plain, sweep_file, {**ledger.versions, **ledger.identity})
        if ledger.sweep_run != run_id:
            journal.append("run", number=SWEEP, run=run_id)
        return sink

    def synced(trial: Trial, run_id: str) -> None:
        if ledger.trials[trial.number].mlflow_run != run_id:
            journal.append("run", number=trial.number, run=run_id)
        if trial.state in ENDED:
            journal.append("synced", number=trial.number, state=trial.state)

    recorder = Recorder(open_sink, synced, say)
    try:
        yield recorder
    except BaseException:
        recorder.close(5.0, status="KILLED" if journal.held else None)
        raise


def finish(recorder: Recorder, result: SweepResult, uri: str, say: Callable[[str], None]) -> list[int]:
    """Send the rest, end the sweep's run and register the winner; the trials that MLflow still lacks.

    A sweep whose trials have not all ended was killed, as far as MLflow knows.
    """
    from raysweep.winner import register_winner

    over = not result.ledger.running
    late = recorder.close(PATIENCE, "FINISHED" if over else "KILLED", summary=result.summary(), tags=result.tags())
    again = f"raysweep sync {result.name} sends them"
    if late or not recorder.closed_sweep:
        say(f"MLflow lacks {len(late)} trials and the end of the sweep; {again}")
    elif over:
        try:
            register_winner(result, uri)
        except Exception as error:  # whatever MLflow raises: the results are safe in the journal
            reason = " ".join(str(error).split())[:200]
            say(f"the winner is not registered in MLflow ({reason}); raysweep sync {result.name} tries again")
    return late


def sync(name: str, storage: Path, mlflow: str | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Bring MLflow to what a sweep's journal holds.

    Returns:
        {"name", "sent": how many trials, "lacking": numbers of the others, "complete": the sweep's own end too}.

    Args:
        mlflow: the tracking URI, where the sweep was run with `--mlflow`.

    Raises:
        InputError: there is no such sweep, it has no trials yet, or the URI is none.
        StorageError: a driver runs the sweep, and records it itself.
    """
    check_uri(mlflow, "--mlflow")
    folder, ledger = sweep_folder(name, storage), Ledger()
    with Journal(folder, ledger.apply) as journal:
        uri = mlflow or (ledger.sweep or {}).get("mlflow") or local_store(storage)
        if not ledger.trials:
            raise InputError("no trial of this sweep is journaled yet", value=name)
        trials = [copy.deepcopy(trial) for trial in ledger.unsynced]
        with recording(journal, ledger, folder, uri, say) as recorder:
            for trial in trials:
                recorder.submit(trial)
            lacking = finish(recorder, SweepResult(name, folder, ledger), uri, say)
    complete = recorder.closed_sweep and not lacking
    return {"name": name, "sent": len(trials) - len(lacking), "lacking": lacking, "complete": complete}
