"""Which tracking URIs a sweep takes: those that MLflow can write to."""

from __future__ import annotations

import pytest

from raysweep.errors import InputError
from raysweep.record.store import check_uri


@pytest.mark.parametrize(
    "uri",
    [
        None,
        "http://localhost:5000",
        "https://user:secret@mlflow.example.org/prefix",
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
