"""A user's folder: own code, weights and a sweep file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from raysweep.record.store import local_store, open_client
from tests.cluster import own_models


def write_home(folder: Path) -> Path:
    """Make it; the sweep file is `sweep.yaml`."""
    shutil.copyfile(own_models.__file__, folder / "own_models.py")
    torch.manual_seed(0)
    save_file(own_models.build_generator().state_dict(), folder / "generator.safetensors")
    classifier = own_models.build_classifier()
    classifier(torch.rand(64, 1, 8, 8))  # batch norm's running statistics
    save_file(classifier.state_dict(), folder / "classifier.safetensors")
    sweep = {
        "name": "own",
        "method": "am",
        "models": {
            "generator": {"source": "own_models:build_generator", "weights": "generator.safetensors"},
            "classifier": {"source": "own_models:build_classifier", "weights": "classifier.safetensors"},
        },
        "data": "own_models:images",
        "target": "bar",
        "examples": 6,
        "space": {
            "lr": {"choice": [0.1, 0.01]},
            "prior_weight": {"choice": [0.1, 0.001]},
            "steps": {"choice": [9, 27]},
        },
        "concurrency": 4,
        "precision": "float32",
        "slots": 8,
        "objective": "response_fd",
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    return folder


def recorded_runs(storage: Path, name: str = "own", uri: str | None = None) -> list[Any]:
    """Every MLflow run of the sweep, its own and its trials'."""
    client = open_client(uri or local_store(storage))
    experiment = client.get_experiment_by_name(name)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], max_results=100))
