"""The winner in MLflow's model registry: a version of the sweep's name, under the alias `champion`."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep.record.store import open_client, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

ALIAS = "champion"
_MODEL_CODE = Path(__file__).with_name("champion_model.py")
_REQUIRED = ("raysweep", "torch", "numpy", "safetensors")


def register_champion(
    uri: str,
    name: str,
    run_id: str,
    best_yaml: Path,
    *,
    files: Mapping[str, Path] | None = None,
    code: Sequence[Path] = (),
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> str:
    """Register the winner as the next version of `name`, move the alias to it, and return the version.

    The same champion again (equal files, same run) makes no new version.

    Args:
        uri: MLflow's tracking URI.
        name: the sweep's name; the registered model is called the same.
        run_id: the winner's child run, which keeps the model's files.
        best_yaml: the winning configuration; it travels as `best.yaml`.
        files: further files that `best.yaml` names, by the relative path it uses (weights, data).
        code: the user's code files or folders, importable when the model is loaded.
        description, tags: of the version.
    """
    client = open_client(uri)
    _create_registered_model(client, name)
    digest = _digest([best_yaml, *(files or {}).values(), *code])
    for known in client.search_model_versions(f"name='{name}'"):
        if known.run_id == run_id and known.tags.get("raysweep.digest") == digest:
            client.set_registered_model_alias(name, ALIAS, known.version)
            return str(known.version)
    with tempfile.TemporaryDirectory() as scratch:
        model = _save_model(Path(scratch), best_yaml, files or {}, code)
        client.log_artifacts(run_id, str(model), ALIAS)
    source = f"{client.get_run(run_id).info.artifact_uri}/{ALIAS}"
    made = client.create_model_version(
        name, source, run_id=run_id, tags={**(tags or {}), "raysweep.digest": digest}, description=description
    )
    client.set_registered_model_alias(name, ALIAS, made.version)
    client.set_tag(run_id, "raysweep.champion", f"models:/{name}@{ALIAS}")
    return str(made.version)


def _save_model(scratch: Path, best_yaml: Path, files: Mapping[str, Path], code: Sequence[Path]) -> Path:
    """An MLflow model folder: champion_model.py, the artifact folder `champion`, the user's code; no pickles."""
    quiet_mlflow()
    import mlflow.pyfunc

    staged = scratch / "staged" / "champion"
    staged.mkdir(parents=True)
    shutil.copyfile(best_yaml, staged / "best.yaml")
    for relative, source in files.items():
        target = staged / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    model = scratch / "model"
    mlflow.pyfunc.save_model(
        path=str(model),
        python_model=str(_MODEL_CODE),
        artifacts={"champion": str(staged)},
        code_paths=[str(path) for path in code] or None,
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


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
