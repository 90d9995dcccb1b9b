"""From a sweep file to a job: everything is checked here, on the user's machine, before anything is uploaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from raysweep.cluster.jobs import NOT_UPLOADED, STORAGE, Jobs, Submission
from raysweep.errors import InputError
from raysweep.preflight import check_workloads, located, require_mlflow
from raysweep.record.checkouts import is_url
from raysweep.record.store import check_uri
from raysweep.schema import Sweep
from raysweep.sources import is_callable_name
from raysweep.sweepfile import SweepFile, load_sweep

LIMIT = 500 * 2**20
"""Bytes that Ray takes as a job's folder."""


def submit(
    file: Path,
    address: str,
    storage: str = STORAGE,
    mlflow: str | None = None,
    overrides: Sequence[str] = (),
    trust_network: bool = False,
    take_over: bool = False,
) -> dict[str, Any]:
    """Check a sweep file and submit it as a job; the job's row, with `submitted` and what was `unchecked`.

    Args:
        file: the sweep file. Its folder is uploaded, without secrets, caches and results.
        address: `http(s)://host:port` of the cluster's dashboard.
        storage: what every node of the cluster sees: a folder, absolute or below `~`, or a URL.
        mlflow: MLflow's tracking URI as the cluster reaches it.
        overrides: `key=value`, as `--set` takes them.
        trust_network: submit also where others may read what is sent, or run what they like.
        take_over: see `raysweep.run`.

    Raises:
        InputError: something in the sweep file does not hold, or the cluster could not run it; nothing was uploaded.
        ClusterError: the cluster does not answer, or refuses.
    """
    loaded = load_sweep(file, overrides)
    storage = check_storage(storage)
    check_uri(mlflow, "--mlflow")
    with located(loaded):
        unchecked = [str(path) for path in check_paths(loaded)]
        if not unchecked:
            check_workloads(loaded)
    check_size(file.resolve().parent)
    require_mlflow(mlflow or loaded.sweep.mlflow, is_url(storage))
    made = Submission(loaded.sweep.plain(), file, tuple(overrides), storage, mlflow, take_over)
    return {**Jobs(address, trust_network).submit(made), "unchecked": unchecked}


def check_storage(storage: str) -> str:
    """A job's working folder is thrown away, so its storage must be named from the root or the home folder."""
    if not storage.startswith(("/", "~/")) and not is_url(storage):
        raise InputError("must be absolute or start with ~/, on the cluster, or a URL", key="--storage", value=storage)
    return storage.rstrip("/") or "/"


def check_paths(file: SweepFile) -> list[Path]:
    """Files that the job will find: uploaded with the folder, or by an absolute path on the cluster.

    Returns:
        Absolute paths that are not on this machine, so that the networks cannot be tried here.
    """
    uploaded = file.path.resolve().parent if file.path else file.folder
    if not file.folder.is_relative_to(uploaded):
        raise InputError(
            "must lie in the sweep file's folder, which is uploaded", key="folder", value=file.sweep.folder
        )
    elsewhere = []
    for key, name in named_paths(file.sweep):
        path = Path(name).expanduser()
        if path.is_absolute():
            elsewhere += [] if path.exists() else [path]
            continue
        place = Path(os.path.normpath(file.folder / path))
        if not place.is_relative_to(uploaded):
            raise InputError(
                "must lie in the sweep file's folder, which is uploaded, or be absolute", key=key, value=name
            )
        if not is_uploaded(place.relative_to(uploaded)):
            raise InputError("is never uploaded, because of its name", key=key, value=name)
    return elsewhere


def named_paths(sweep: Sweep) -> Iterator[tuple[str, str]]:
    """(key, value) of everything in a sweep that names a file or a folder."""
    models = dict(sweep.models.named)
    models |= {f"objective.{index}.model": one.model for index, one in enumerate(sweep.objective) if one.model}
    named = [(f"{key}.{part}", getattr(model, part)) for key, model in models.items() for part in ("source", "weights")]
    named += [("data.source", sweep.data.source), ("images.source", sweep.images.source if sweep.images else None)]
    for key, method in sweep.method_keys.items():
        components = getattr(method, "components", "")
        named += [(f"{key}.trained", getattr(method, "trained", None))]
        named += [(f"{key}.components", components if components.endswith(".npy") else None)]
    for key, value in named:
        if value and "://" not in value and not is_callable_name(value):
            yield key, value


def is_uploaded(path: Path) -> bool:
    """Whether a file of the sweep file's folder goes with it."""
    return not any(fnmatch(part, pattern) for part in path.parts for pattern in NOT_UPLOADED)


def check_size(folder: Path) -> None:
    """The folder fits into one upload; found out before Ray reads all of it."""
    total = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if is_uploaded(Path(name))]
        total += sum(_size(Path(place, name)) for name in files if is_uploaded(Path(name)))
        if total > LIMIT:
            hint = "Put the sweep file into a folder of its own, or large files on the cluster and name them absolutely"
            raise InputError(f"its folder must hold at most {LIMIT >> 20} MiB", value=str(folder), suggestion=hint)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
