"""The winner in MLflow's model registry: a version of the sweep's name, under the alias `champion`."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.record.store import open_client, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
_MODEL_CODE = Path(__file__).with_name("champion_model.py")
_REQUIRED = ("raysweep", "torch", "numpy", "safetensors")


def register_champion(uri: str, name: str, run_id: str, champion: Path) -> str:
    """Register the winner as the next version of `name`, move the alias to it, and return the version.

    The same champion again (equal files, same run) makes no new version.

    Args:
        uri: MLflow's tracking URI.
        name: the sweep's name; the registered model is called the same.
        run_id: the winner's child run, which keeps the model's files.
        champion: a folder with `best.yaml` and everything that it names.
    """
    client = open_client(uri)
    _create_registered_model(client, name)
    digest = _digest(champion)
    for known in client.search_model_versions(f"name='{name}'"):
        if known.run_id == run_id and known.tags.get("raysweep.digest") == digest:
            client.set_registered_model_alias(name, ALIAS, known.version)
            return str(known.version)
    with tempfile.TemporaryDirectory() as scratch:
        model = _save_model(champion, Path(scratch) / "model")
        client.log_artifacts(run_id, str(model), ALIAS)
    source = f"{client.get_run(run_id).info.artifact_uri}/{ALIAS}"
    made = client.create_model_version(name, source, run_id=run_id, tags={"raysweep.digest": digest})
    client.set_registered_model_alias(name, ALIAS, made.version)
    client.set_tag(run_id, "raysweep.champion", f"models:/{name}@{ALIAS}")
    return str(made.version)


def _save_model(champion: Path, model: Path) -> Path:
    """An MLflow model folder: champion_model.py and, as its one artifact, the champion's folder; no pickles.

    The user's code travels inside that folder, not as MLflow's `code_paths`: `explain` imports it from beside
    `best.yaml`, as it does everywhere, so that two champions with modules of one name can be loaded together.
    """
    quiet_mlflow()
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(
        path=str(model),
        python_model=str(_MODEL_CODE),
        artifacts={ALIAS: str(champion)},
        pip_requirements=_requirements(),
    )
    return model


def _requirements() -> list[str]:
    """This environment's own versions; a package that is not installed as one is left out."""
    pinned = []
    for package in _REQUIRED:
        try:
            pinned.append(f"{package}=={version(package).split('+')[0]}")
        except PackageNotFoundError:
            continue
    return pinned


def _create_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
