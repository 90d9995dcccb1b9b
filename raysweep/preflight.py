"""What must hold beyond a sweep's file before it is run here; nothing is made until all of it does."""

from __future__ import annotations

from pathlib import Path

from raysweep.errors import InputError
from raysweep.outcome import SweepResult
from raysweep.record.store import check_uri
from raysweep.sweep import check_workload, located
from raysweep.sweepfile import SweepFile


def check_run(file: SweepFile, storage: Path, mlflow: str | None) -> Path:
    """Load and try what a sweep names, then make its folder in the storage; the log in there.

    Raises:
        InputError: what a network, data, an option of the command line or the storage breaks.
    """
    check_uri(mlflow, "--mlflow")
    with located(file):
        check_workload(file)
        check_source(file.sweep.search.from_, storage)
    return make_folder(storage, file.sweep.name)


def check_source(name: str | None, storage: Path) -> None:
    """The sweep that `search.from` names is there."""
    if name is not None:
        try:
            SweepResult.load(name, storage)
        except InputError as error:
            error.key = "search.from"
            raise


def make_folder(storage: Path, name: str) -> Path:
    """Make a sweep's folder and see that its log can be written; the log."""
    log = storage / name / "logs" / "driver.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.open("a", encoding="utf-8").close()
    except OSError as error:
        rule = f"must be a folder that can be written ({error.strerror}: {error.filename})"
        raise InputError(rule, key="--storage", value=str(storage)) from None
    return log
