"""Heat maps of a user's own images: which layers they are made of, what is recorded of them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.engine.engine import Engine
from raysweep.engine.explainers.images import ImageExplainer
from raysweep.engine.scoring import Scored, Scorer
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.errors import InputError
from raysweep.methods.blurring import blurred
from raysweep.models.model import ModelSource
from raysweep.rules import OBJECTIVES, OF_MAPS, OF_MAPS_MADE_AGAIN

NETS = """
import torch
from torch import nn

class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(160, 3)
    def forward(self, x):
        return self.dense(x.flatten(1))

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.relu = nn.Conv2d(5, 5, 3, padding=1), nn.ReLU(inplace=True)
    def forward(self, x):
        return self.relu(self.relu(self.body(x)) + x)

def classifier(outputs=3):
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.AvgPool2d(2))
    last = nn.Linear(5, outputs)
    last.weight.data.mul_(20)
    return nn.Sequential(first, Block(), nn.Dropout2d(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last).train()

def dense():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
"""
COMPONENTS = {"components": "pixels", "patch": 4, "fill": "gaussian", "fill_value": 0.0, "fill_share": 1.0, "blur": 1.0}
CAM, PERTURBATION = {"layers": None}, {"mask_size": 8, "score": "softmax"}
GFI = {"layers": None, "guides": None, "norm": "l1", "score": "logit", "error": "sum"}
CPU = torch.device("cpu")
Make = Callable[..., Workload]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A workload on 30 images of 2 × 8 × 10; `options` are the method's."""
    (tmp_path / "nets_i.py").write_text(NETS)
    random = np.random.default_rng(0)
    x, boxes = random.random((30, 2, 8, 10), dtype=np.float32), np.tile([2, 1, 8, 7], (30, 1))
    np.savez(tmp_path / "images.npz", x=x, y=np.arange(30) % 3, boxes=boxes)
    np.savez(tmp_path / "vectors.npz", x=random.random((30, 12), dtype=np.float32), y=np.arange(30) % 3)

    def build(method: str, options: dict[str, Any], source: str = "classifier", **changes: Any) -> Workload:
        keys: dict[str, Any] = {
            "method": method,
            "options": COMPONENTS | options,
            "classifier": ModelSource(f"nets_i:{source}", args=changes.pop("args", {})),
            "judge": None,
            "data": "images.npz",
            "media": None,
            "target": None,
            "each": "predicted",
            "layer": None,
            "unit": None,
            "direction": "maximise",
            "examples": 5,
            "objectives": (ObjectiveSpec("rate_distortion"),),
            "seed": 0,
            "precision": "float64",
            "folder": str(tmp_path),
        }
        return Workload(WorkloadSpec(**{**keys, **changes}))

    return build


def scored(workload: Workload, values: dict[str, float], folder: Path, steps: int = 1) -> Scored:
    """What the rows are worth after so many steps."""
    found: list[Any] = []
    (method,) = workload.methods(1, CPU)
    engine = Engine([method], 4)
    engine.advance("a", method.complete(values), 0, range(workload.spec.examples), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return Scorer(workload, 4, CPU, folder).score(found[0], values)


def explainer(workload: Workload) -> ImageExplainer:
    assert isinstance(workload.explainer, ImageExplainer)
    return workload.explainer


def refusal(workload: Workload) -> str:
    with pytest.raises(InputError) as caught:
        workload.check()
    return str(caught.value)


def test_the_scores_of_what_a_mask_shows_and_of_what_it_hides_are_recorded(make: Make, tmp_path: Path) -> None:
    workload = make("gfi", GFI | {"score": "softmax"})
    workload.check()
    values = {"lr": 0.1, "inversion_steps": 2, "inversion_norm_weight": 0.01, "norm_weight": 0.01, "blur": 1.5}
    values |= {"initial_weight": 1.0}
    found = scored(workload, values, tmp_path, steps=6)
    heat, x = (torch.from_numpy(found.tensors[name]).double() for name in ("heat", "sample"))
    assert heat.shape == (5, 1, 8, 10)
    assert 0 <= float(heat.min()) < float(heat.max()) <= 1
    net = workload.classifier.module.double()
    unit, hidden = net(x).argmax(dim=1), blurred(x, torch.full((5,), 1.5, dtype=torch.float64))
    for name, mask in (("kept_score", heat), ("background_score", 1 - heat)):
        scores = net(x * mask + hidden * (1 - mask)).softmax(dim=1).gather(1, unit[:, None])
        assert found.metrics[name] == pytest.approx(float(scores.mean()), rel=1e-6)
    assert found.metrics["collapsed"] == 0
    assert found.objectives["rate_distortion"].value == pytest.approx(found.tensors["rate_distortion"].mean())


def test_a_mask_that_covers_nothing_is_told_of_and_fails_nothing(make: Make, tmp_path: Path) -> None:
    values = {"lr": 5.0, "inversion_steps": 9, "inversion_norm_weight": 1e6}
    found = scored(make("gfi", GFI), values, tmp_path, steps=4)
    assert found.metrics["collapsed"] == 1
    assert np.isfinite(found.objectives["rate_distortion"].value)


def test_by_default_the_layer_is_the_last_one_with_maps_on_the_way_to_what_is_explained(make: Make) -> None:
    assert explainer(make("gfi", GFI)).layers("guides") == ["2"]
    assert explainer(make("cam", CAM)).layers("layers") == ["2"]
    assert explainer(make("gfi", GFI, layer="1.relu")).layers("guides") == ["1.relu"]
    assert explainer(make("gfi", GFI, layer="0")).layers("guides") == ["0.3"]


@pytest.mark.parametrize(
    ("method", "options", "values", "steps"),
    [
        ("cam", {"layers": ["0.0", "1"]}, {"layer": 1}, 1),
        ("centre_box", {}, {"size": 0.5}, 1),
        ("meaningful_perturbation", PERTURBATION, {"lr": 0.2, "blur": 2.0}, 5),
    ],
)
def test_one_heat_for_all_channels_of_a_place_ranks_them(
    make: Make, tmp_path: Path, method: str, options: dict[str, Any], values: dict[str, float], steps: int
) -> None:
    workload = make(method, options)
    workload.check()
    found = scored(workload, values, tmp_path, steps)
    assert found.tensors["heat"].shape == (5, 1, 8, 10)
    assert found.tensors["heat"].max() > 0
    assert found.metrics["collapsed"] == 0
    assert ("background_score" in found.metrics) == (method == "meaningful_perturbation")
    curve = found.tensors["curve"]
    assert (curve[:, 0] > curve[:, -1]).all()
    assert curve[:, -1] == pytest.approx(0, abs=1e-9)
    net, x = workload.classifier.module.double(), torch.from_numpy(found.tensors["sample"]).double()
    assert found.tensors["response"] == pytest.approx(net(x).amax(dim=1).numpy(), rel=1e-6)


@pytest.mark.parametrize(
    ("method", "options", "values", "again"),
    [
        ("cam", CAM, {}, True),
        ("centre_box", {}, {"size": 0.6}, True),
        ("meaningful_perturbation", PERTURBATION, {"lr": 0.2, "blur": 2.0}, False),
        ("gfi", GFI | {"norm": "squared", "error": "relative"}, {"lr": 0.05, "blur": 2.0}, False),
    ],
)
def test_every_objective_of_maps_is_theirs(
    make: Make, tmp_path: Path, method: str, options: dict[str, Any], values: dict[str, float], again: bool
) -> None:
    names = [name for name in OBJECTIVES[method] if again or name not in OF_MAPS_MADE_AGAIN]
    assert {*OF_MAPS, "rate_distortion"} <= set(names)
    workload = make(method, options, objectives=tuple(ObjectiveSpec(name) for name in names))
    workload.check()
    found = scored(workload, values, tmp_path, steps=1 if again else 4)
    assert set(found.objectives) == set(names)
    if method == "centre_box":
        worth = {name: score.value for name, score in found.objectives.items()}
        assert worth["localisation_error"] == worth["max_sensitivity"] == 0
        assert worth["randomisation"] == pytest.approx(1)


def test_a_norm_is_not_folded_into_a_layer_that_is_read(make: Make) -> None:
    workload = make("cam", {"layers": ["0.0"]})
    (method,) = workload.methods(1, CPU)
    x = torch.from_numpy(workload.data.x[:2]).double()
    wanted = workload.classifier.module.double()[0][0](x)
    torch.testing.assert_close(method.taps(x)[0]["0.0"], wanted)


def test_a_network_in_training_mode_is_explained_in_eval_mode(make: Make) -> None:
    (method,) = make("gfi", GFI).methods(1, CPU)
    assert not any(part.training for part in method.masking.scores.module.modules())


@pytest.mark.parametrize(
    ("method", "options", "changes", "message"),
    [
        ("gfi", GFI | {"guides": ["1", "5"]}, {}, "method.guides.1: must be a layer with maps, of more than one place"),
        ("gfi", GFI | {"guides": ["3"]}, {}, "(found '3 gives [5, 1, 1]')"),
        (
            "gfi",
            GFI | {"layers": ["1.boddy"]},
            {},
            "method.layers.0: layer must be one of the network's (found '1.boddy')",
        ),
        ("gfi", GFI | {"layers": ["1.boddy"]}, {}, "Did you mean '1.body'?"),
        (
            "gfi",
            GFI | {"layers": ["1"]},
            {"layer": "0"},
            "method.layers: must be a layer that runs before the explained",
        ),
        (
            "gfi",
            GFI | {"score": "softmax"},
            {"args": {"outputs": 1}},
            "method.score: must be logit: the softmax of one",
        ),
        ("cam", {"layers": ["4"]}, {}, "method.layers.0: must be a layer with maps, of more than one place"),
        ("cam", CAM, {"source": "Flat"}, "models.classifier: must have a layer with maps, of more than one place"),
        ("meaningful_perturbation", {"mask_size": 9, "score": "logit"}, {}, "method.mask_size: must be at most 8, the"),
        ("centre_box", {}, {"data": "vectors.npz", "source": "dense"}, "centre_box explains no others (found [12])"),
        (
            "gfi",
            GFI,
            {"data": "vectors.npz", "source": "dense"},
            "data.source: must be images, or other maps [C, H, W]",
        ),
    ],
)
def test_what_no_heat_map_can_be_made_of_is_refused(
    make: Make, method: str, options: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    assert message in refusal(make(method, options, **changes))
