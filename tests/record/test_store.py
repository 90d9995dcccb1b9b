"""Which tracking URIs a sweep takes, those that MLflow can write to; and how a SQLite store comes about."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.errors import InputError
from raysweep.record.store import check_uri, local_store, open_client


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "http://localhost:5000",
        "https://user@mlflow.example.org/prefix",
        "https://mlflow.example.org:5000/@prefix",
        "sqlite:////data/mlflow.db",
        "sqlite:///mlflow.db",
        "postgresql://host/db",
        "mysql+pymysql://host/db",
        "databricks",
        "databricks://profile",
    ],
)
def test_servers_databases_and_the_default_are_taken(uri: str | None) -> None:
    check_uri(uri, "mlflow")


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("localhost:5000", "Write http://localhost:5000"),
        ("127.0.0.1:5000/prefix", "Write http://127.0.0.1:5000/prefix"),
        ("mlruns", "MLflow no longer writes plain folders"),
        ("/data/mlruns", "MLflow no longer writes plain folders"),
        ("file:///data/mlruns", "MLflow no longer writes plain folders"),
        ("", "For example http://localhost:5000 or sqlite:////data/mlflow.db"),
        ("htp://localhost:5000", "For example http://localhost:5000 or sqlite:////data/mlflow.db"),
        ("http://", "For example http://localhost:5000"),
        ("sqlite://", "For example http://localhost:5000"),
        ("sqlite:///", "For example http://localhost:5000"),
        ("databricks-uc", "For example http://localhost:5000"),
    ],
)
def test_any_other_form_is_refused_with_one_that_works(uri: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        check_uri(uri, "mlflow")
    rule = f"mlflow: must be the URI of an MLflow server or of a database (found {uri!r}). "
    assert str(caught.value).startswith(rule)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown", "hint"),
    [
        ("https://me:hunter2@host/p", "https://me:***@host/p", "MLFLOW_TRACKING_PASSWORD"),
        ("https://:hunter2@host", "https://:***@host", "MLFLOW_TRACKING_PASSWORD"),
        ("https://me:hunter2@2@host", "https://me:***@host", "MLFLOW_TRACKING_PASSWORD"),
        ("https://me:hunter/2@host", "https://me:***@host", "MLFLOW_TRACKING_PASSWORD"),
        ("postgresql+psycopg2://me:hunter2@host/db", "postgresql+psycopg2://me:***@host/db", "PGPASSWORD"),
    ],
)
def test_a_password_is_refused_and_not_repeated(uri: str, shown: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        check_uri(uri, "mlflow")
    assert shown in str(refused.value)
    assert hint in str(refused.value)
    assert "hunter2" not in str(refused.value)


KILLED_WHILE_IT_MAKES_THE_TABLES = """
import os, signal, sys
from sqlalchemy import Engine, event
from raysweep.record.store import open_client

@event.listens_for(Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *rest):
    if "CREATE TABLE trace_info" in statement:
        os.kill(os.getpid(), signal.SIGKILL)

open_client(sys.argv[1]).search_experiments()
"""


def test_a_store_whose_making_was_interrupted_is_made_again(tmp_path: Path) -> None:
    uri = local_store(tmp_path)
    maker = subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_MAKES_THE_TABLES, uri])
    assert maker.returncode == -signal.SIGKILL
    experiment = open_client(uri).create_experiment("again")
    assert open_client(uri).get_experiment(experiment).name == "again"


def test_a_store_is_made_where_its_uri_says_whatever_options_follow(tmp_path: Path) -> None:
    open_client(f"{local_store(tmp_path)}?timeout=5").search_experiments()
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]
