"""Where MLflow's data lies, and the one place that opens it: quietly, without pickles, without waiting long."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SETTINGS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # One connection an operation: several writers on SQLite's pool lock each other out.
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool",
    # The recorder retries by itself; MLflow's own seven retries would hold it for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def local_store(storage: Path) -> str:
    """The URI of the SQLite store in a storage folder."""
    return f"sqlite:///{storage.resolve() / 'mlflow.db'}"


def artifact_folder(uri: str) -> str | None:
    """Where a SQLite store's artifacts go: `mlartifacts` beside the file; None lets a server decide."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()


def quiet_mlflow() -> None:
    """Set MLflow's switches (what the user has set stays) and keep its and alembic's chatter off the terminal."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET or logger.level < logging.ERROR:
            logger.setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(mlflow|alembic)\.")  # deprecations that only MLflow's authors can mend


def open_client(uri: str) -> MlflowClient:
    """A client of the store at `uri`; importing MLflow and making a new SQLite store take some seconds."""
    quiet_mlflow()
    from mlflow import MlflowClient

    quiet_mlflow()
    return MlflowClient(tracking_uri=uri, registry_uri=uri)
