"""Where inputs start and what bounds them follows from a sweep's data; an expert is tried before it is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.errors import InputError
from raysweep.methods import Rows
from raysweep.models.model import ModelSource

NETS = """
import torch
from torch import nn

def classifier(outputs=3):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, outputs))

class Density(nn.Module):
    def __init__(self, across=False):
        super().__init__()
        self.across, self.at = across, nn.Parameter(torch.tensor(0.25))
    def forward(self, x):
        return -(x - (x.mean(0) if self.across else self.at)).flatten(1).square().sum(1)
"""
OPTIONS = {"quantity": "log_probability", "start": "noise", "bounds": "data"}
X = 0.1 + 0.7 * np.random.default_rng(0).random((60, 1, 8, 8), dtype=np.float32)
Make = Callable[..., Workload]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A workload of the networks above."""
    (tmp_path / "nets_i.py").write_text(NETS)

    def build(
        outputs: int = 3,
        options: dict[str, str] | None = None,
        across: bool = False,
        labels: bool = True,
        **changes: Any,
    ) -> Workload:
        names = {"y": np.arange(60) % max(outputs, 2), "classes": np.array(["ring", "bar", "dot"][: max(outputs, 2)])}
        np.savez(tmp_path / "images.npz", x=X, **(names if labels else {}))
        keys: dict[str, Any] = {
            "method": "am_expert",
            "options": {**OPTIONS, **(options or {})},
            "expert": ModelSource("nets_i:Density", args={"across": across}),
            "classifier": ModelSource("nets_i:classifier", args={"outputs": outputs}),
            "judge": None,
            "data": "images.npz",
            "media": None,
            "target": "bar" if labels else 1,
            "layer": None,
            "unit": None,
            "direction": "maximise",
            "examples": 6,
            "objectives": (ObjectiveSpec("response_fd"),),
            "seed": 3,
            "precision": "float32",
            "folder": str(tmp_path),
        }
        return Workload(WorkloadSpec(**{**keys, **changes}))

    return build


def starts(workload: Workload, count: int) -> torch.Tensor:
    method: Any = workload.methods(1, torch.device("cpu"))[0]
    found: torch.Tensor = method.start(Rows.of(3, range(count), {}))
    return found


def test_rows_start_from_noise_like_the_data_within_its_bounds(make: Make) -> None:
    x = starts(make(), 400)
    assert (float(x.min()), float(x.max())) == (float(X.min()), float(X.max()))
    free = starts(make(options={"bounds": "none"}), 400).numpy()
    error = X.std(axis=0) / np.sqrt(400)
    assert (np.abs(free.mean(axis=0) - X.mean(axis=0)) < 5 * error).all()
    np.testing.assert_allclose(free.std(axis=0), X.std(axis=0), rtol=0.2)


def test_rows_start_from_the_mean_or_from_samples_of_all_classes_no_two_alike(make: Make) -> None:
    mean = starts(make(options={"start": "mean"}), 2).numpy()
    np.testing.assert_allclose(mean, np.broadcast_to(X.mean(axis=0), mean.shape), rtol=1e-6)
    found = starts(make(options={"start": "sample"}), 60).numpy()
    assert sorted(map(tuple, found.reshape(60, -1))) == sorted(map(tuple, X.reshape(60, -1)))
    assert not np.array_equal(found, X)


def test_one_output_gives_the_probability_of_the_second_of_two_classes(make: Make) -> None:
    workload = make(outputs=1)
    workload.check()
    method: Any = workload.methods(1, torch.device("cpu"))[0]
    x = torch.from_numpy(X[:5])
    rows = Rows.of(3, range(5), {"prior_weight": 0, "variation_weight": 0, "jitter": 0, "scale": 0}, torch.float32)
    logit = workload.classifier.module(x)[:, 0]
    torch.testing.assert_close(-method.loss(x, rows).total, torch.nn.functional.logsigmoid(logit))
    torch.testing.assert_close(method.response(x), logit)


def test_the_expert_stays_in_the_precision_of_the_rows(make: Make) -> None:
    method: Any = make().methods(1, torch.device("cpu"), "bfloat16")[0]
    assert next(method.scores.parameters()).dtype == torch.bfloat16
    assert method.expert.at.dtype == torch.float32


def test_an_expert_that_looks_at_other_rows_is_refused(make: Make) -> None:
    make().check()
    with pytest.raises(InputError, match="must not depend on the other rows") as caught:
        make(across=True).check()
    assert caught.value.key == "models.expert"


def test_what_decides_a_rows_way_is_told_apart(make: Make) -> None:
    ways = [make(), make(across=True), make(options={"start": "mean"}), make(method="am_input", expert=None)]
    assert len({str(one.stepping) for one in ways}) == 4


def test_a_class_without_labels_or_with_too_few_samples_is_no_reference(make: Make) -> None:
    own = (ObjectiveSpec("response_fd", reference="class"),)
    with pytest.raises(InputError, match="the data have 20 examples to compare with"):
        make(objectives=own, examples=21).check()
    make(objectives=own, examples=20).check()
    with pytest.raises(InputError, match="has a use only with data that have labels") as caught:
        make(objectives=own, labels=False).check()
    assert caught.value.key == "objective.0.reference"
