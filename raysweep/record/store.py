"""Where MLflow's data lies, and the one place that opens it: quietly, without pickles, without waiting long."""

from __future__ import annotations

import logging
import os
import re
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.errors import InputError
from raysweep.whole_files import whole_once

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


_SQLITE, _FILE = "sqlite:///", "mlflow.db"
_PASSWORD = re.compile(r"(?P<before>[\w+.-]+://[^/:@]*):(?!\d*(/|$)).*@(?P<after>.*)")  # a port is none
_URI = re.compile(r"https?://[^/]+.*|sqlite:///.+|(postgresql|mysql|mssql)(\+\w+)?://.+|databricks(://.+)?")


def check_uri(uri: str | None, key: str) -> None:
    """Refuse a tracking URI that MLflow cannot read, so that a sweep does not wait for it in vain; None is the default.

    Raises:
        InputError: it is neither a server, nor a database, nor of a scheme that an MLflow plugin serves; or it holds a
            password, which would be recorded with the sweep and shown in job lists.
    """
    if uri is None:
        return
    hint = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    if not uri.startswith("http"):
        hint = "Give it the way that the database's own client reads it, as PGPASSWORD or ~/.pgpass"
    refuse_password(uri, key, hint)
    if _URI.fullmatch(uri):
        return
    scheme, separator, _ = uri.partition(":")
    if separator and scheme in entry_points(group="mlflow.tracking_store").names:
        return
    hint = "For example http://localhost:5000 or sqlite:////data/mlflow.db"
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", uri):
        hint = f"Write http://{uri}"
    elif scheme == "file" or not separator:
        hint += "; MLflow no longer writes plain folders"
    raise InputError("must be the URI of an MLflow server or of a database", key=key, value=uri, suggestion=hint)


def refuse_password(uri: str, key: str, hint: str) -> None:
    """A URI is recorded, and shown in job lists; the complaint does not repeat the password."""
    found = _PASSWORD.fullmatch(uri)
    if found:
        shown = f"{found['before']}:***@{found['after']}"
        raise InputError("must not hold a password", key=key, value=shown, suggestion=hint)


def local_store(storage: Path) -> str:
    """The URI of the SQLite store in a storage folder."""
    return f"{_SQLITE}{storage.resolve() / _FILE}"


def has_store(storage: Path) -> bool:
    """Whether there is one."""
    return (storage / _FILE).is_file()


def artifact_folder(uri: str) -> str | None:
    """Where a SQLite store's artifacts go: `mlartifacts` beside the file; None lets a server decide."""
    if not uri.startswith(_SQLITE):
        return None
    return (Path(uri.removeprefix(_SQLITE)).resolve().parent / "mlartifacts").as_uri()


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
    if uri.startswith(_SQLITE):
        _make_whole(uri)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _make_whole(uri: str) -> None:
    """Make a SQLite store that is not there yet beside its place, and put it there when it is whole.

    MLflow makes its tables one by one, and opens no store again in which that was interrupted.
    """
    from mlflow import MlflowClient
    from sqlalchemy.engine import make_url

    url = make_url(uri)
    store = Path(url.database or ":memory:")
    if store.name == ":memory:" or store.exists():
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    with whole_once(store) as partial:  # another driver may be quicker
        making = url.set(database=str(partial)).render_as_string()
        MlflowClient(tracking_uri=making, registry_uri=making).search_experiments()
