"""Rate-distortion explanations of a user's own networks and data: what is explained, and what a mask is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.engine.engine import Engine
from raysweep.engine.explainers import RdeExplainer
from raysweep.engine.scoring import Scored, Scorer
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.errors import InputError
from raysweep.methods.method import State
from raysweep.methods.noise import fresh_normal, fresh_uniform
from raysweep.models.model import ModelSource
from raysweep.objectives.frechet import Reference, frechet_distance

NETS = """
import torch
from torch import nn

def classifier(outputs=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 4 * 6, outputs))

class Paints(nn.Module):
    def __init__(self, crop=0):
        super().__init__()
        self.crop, self.weight = crop, nn.Parameter(torch.tensor(0.5))
    def forward(self, kept, mask, noise):
        painted = self.weight * kept.mean(dim=(1, 2, 3), keepdim=True) + 0.1 * noise
        return painted[..., : painted.shape[-1] - self.crop]

class Couples(Paints):
    def forward(self, kept, mask, noise):
        return super().forward(kept, mask, noise) + kept.mean()

def grouping():
    return torch.arange(6 * 8).view(1, 6, 8).numpy() // 16
"""
SHAPES = ("ring", "bar", "dot")
VALUES = {"lr": 0.2, "sparsity_weight": 0.01, "noise_samples": 2.0}
OPTIONS = {
    "mask": "concrete",
    "per": "example",
    "components": "patches",
    "patch": 4,
    "fill": "gaussian",
    "fill_value": 0.0,
    "fill_share": 1.0,
    "blur": 1.0,
}
CPU = torch.device("cpu")
Make = Callable[..., Workload]


def network(source: str, **args: Any) -> ModelSource:
    return ModelSource(f"nets_r:{source}", args=args)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A workload on 60 maps of 6 × 8; `options` are the method's."""
    (tmp_path / "nets_r.py").write_text(NETS)
    x = np.random.default_rng(0).random((60, 1, 6, 8), dtype=np.float32)
    np.savez(tmp_path / "images.npz", x=x, y=np.arange(60) // 20, classes=np.array(SHAPES))

    def build(options: dict[str, Any] | None = None, **changes: Any) -> Workload:
        keys: dict[str, Any] = {
            "method": "rde",
            "options": OPTIONS | (options or {}),
            "classifier": network("classifier"),
            "judge": None,
            "data": "images.npz",
            "media": None,
            "target": "bar",
            "layer": None,
            "unit": None,
            "direction": "maximise",
            "examples": 6,
            "objectives": (ObjectiveSpec("distortion"), ObjectiveSpec("feature_fd"), ObjectiveSpec("rate_distortion")),
            "seed": 0,
            "precision": "float64",
            "folder": str(tmp_path),
        }
        return Workload(WorkloadSpec(**{**keys, **changes}))

    return build


def explainer(workload: Workload) -> RdeExplainer:
    assert isinstance(workload.explainer, RdeExplainer)
    return workload.explainer


def stepped(workload: Workload, steps: int = 8) -> State:
    found: list[Any] = []
    engine = Engine(workload.methods(1, CPU), 4)
    engine.advance("a", VALUES, 0, range(workload.spec.examples), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def scored(workload: Workload) -> tuple[State, Scored]:
    state = stepped(workload)
    return state, Scorer(workload, 4, CPU, workload.folder).score(state, VALUES)


def refusal(workload: Workload) -> str:
    with pytest.raises(InputError) as caught:
        workload.check()
    return str(caught.value)


def test_samples_of_the_target_are_explained_in_an_order_of_the_seed(make: Make) -> None:
    few, more, other = (explainer(make(**keys)).explained.x for keys in ({}, {"examples": 9}, {"seed": 1}))
    data = make().data
    bars = {row.tobytes() for row in data.x[data.y == 1]}
    assert {row.numpy().tobytes() for row in more} <= bars
    assert torch.equal(more[:6], few)  # a larger sweep explains the same samples first
    assert not torch.equal(other, few)


def test_samples_that_can_be_heard_are_explained_first(make: Make) -> None:
    for keys in ({}, {"target": None, "each": "label"}):
        before, workload = explainer(make(**keys)).explained.x, make(**keys)
        data = workload.data
        assert data.y is not None
        heard = np.flatnonzero(np.arange(60) % 20 < 3)  # three of each class
        order = np.concatenate([heard, np.setdiff1d(np.arange(60), heard)])
        known = replace(data, x=data.x[order], y=data.y[order], waves=np.zeros((len(heard), 1), np.int16))
        workload.__dict__["data"] = known  # where it is kept once it was loaded
        first = {row.numpy().tobytes() for row in explainer(workload).explained.x}
        wanted = [row.tobytes() for row, label in zip(known.x[:9], known.y, strict=False) if keys or label == 1]
        assert len(first & set(wanted)) == min(6, len(wanted))
        assert len({row.numpy().tobytes() for row in before} & set(wanted)) < min(6, len(wanted))


def test_each_sample_may_be_explained_for_its_own_class(make: Make) -> None:
    labelled = explainer(make(target=None, each="label")).explained
    units = labelled.unit.tolist()
    assert sorted(units[:3]) == sorted(units[3:]) == [0, 1, 2]  # by turns
    predicted = make(target=None, each="predicted")
    found = explainer(predicted).explained
    scores = predicted.classifier.module(found.x)
    assert found.unit.tolist() == scores.argmax(dim=1).tolist()


def test_a_mask_of_a_class_is_of_all_its_samples(make: Make) -> None:
    found = explainer(make({"per": "class"}, target=None, each="label", examples=3)).explained
    assert found.first.tolist() == [0, 20, 40]
    assert found.count.tolist() == [20, 20, 20]
    assert found.unit.tolist() == [0] * 20 + [1] * 20 + [2] * 20


def test_masks_are_scored_as_one_would_by_hand(make: Make) -> None:
    workload = make()
    workload.check()
    state, result = scored(workload)
    classifier, data = workload.classifier.module.double(), workload.data.x
    mean, deviation = (
        torch.from_numpy(one).double()
        for one in (data.mean(axis=0, dtype=np.float64), data.std(axis=0, dtype=np.float64))
    )
    x = explainer(workload).explained.x.double()
    expected = []
    for example in range(6):
        theta, distortions = state["kept.mask"][example], []
        for draw in range(16):
            key = tuple(torch.tensor([number]) for number in (0, example, draw))
            drawn = (fresh_uniform(key, 4, stream="mask")[0] < theta).double()
            mask = torch.stack([drawn[2 * (row // 4) + column // 4] for row in range(6) for column in range(8)])
            noise = mean.float() + deviation.float() * fresh_normal(key, 48, stream="fill").view(1, 6, 8)
            z = x[example] * mask.view(1, 6, 8) + noise * (1 - mask.view(1, 6, 8))
            change = classifier(x[example][None])[0, 1] - classifier(z[None])[0, 1]
            distortions.append(0.5 * float(change) ** 2)
        expected.append(np.mean(distortions))
    np.testing.assert_allclose(result.tensors["distortion"], expected, rtol=1e-5)
    assert result.objectives["distortion"].value == pytest.approx(np.mean(expected), rel=1e-5)
    assert result.metrics["sparsity"] == pytest.approx(float(state["kept.mask"].mean()))
    assert result.objectives["distortion"].low < result.objectives["distortion"].value


def test_the_curve_goes_from_nothing_kept_to_no_distortion_at_all(make: Make) -> None:
    _, result = scored(make({"fill": "constant"}))
    curve = result.tensors["curve"]
    assert curve.shape == (6, 17)
    np.testing.assert_allclose(curve[:, -1], 0, atol=1e-20)
    workload = make()
    x = explainer(workload).explained.x
    with torch.no_grad():
        scores, blank = workload.classifier.module(x)[:, 1], workload.classifier.module(0 * x)[:, 1]
    np.testing.assert_allclose(curve[:, 0], 0.5 * (scores - blank).square().numpy(), rtol=1e-4)
    areas = [np.trapezoid(row, np.linspace(0, 1, 17)) for row in curve]
    assert result.objectives["rate_distortion"].value == pytest.approx(np.mean(areas))


def test_obfuscations_are_compared_with_real_samples_of_what_is_explained(make: Make) -> None:
    workload = make()
    _, result = scored(workload)
    features = workload.features("feature_fd")
    bars = workload.data.x[workload.data.y == 1]
    with torch.no_grad():
        made, real = (features(torch.from_numpy(x).float()).numpy() for x in (result.tensors["explanation"], bars))
    expected = frechet_distance(made, Reference.fit(real))
    assert result.objectives["feature_fd"].value == pytest.approx(expected, rel=1e-3)


def test_a_mask_that_keeps_everything_is_said_to_have_collapsed(make: Make) -> None:
    workload = make({"fill": "mean", "mask": "relaxed"})
    state = stepped(workload)
    state["kept.mask"][:] = 1.0
    state["kept.mask"][2] = 0.0
    state["kept.mask"][4, 0] = 0.0
    found = Scorer(workload, 4, CPU, workload.folder).score(state, VALUES)
    assert found.tensors["collapsed"].tolist() == [1, 1, 1, 1, 0, 1]
    assert found.metrics["collapsed"] == pytest.approx(5 / 6)


def test_an_inpainter_paints_what_the_mask_removes(make: Make) -> None:
    workload = make({"fill": "inpainter"}, inpainter=network("Paints"))
    workload.check()
    _, result = scored(workload)
    assert np.isfinite(result.objectives["distortion"].value)
    assert workload.identity["models.inpainter"] in str(workload.stepping)


def test_components_may_be_the_users_own(make: Make, tmp_path: Path) -> None:
    np.save(tmp_path / "thirds.npy", np.arange(48).reshape(1, 6, 8) // 16)
    for source in ("thirds.npy", "nets_r:grouping"):
        assert explainer(make({"components": source})).components.count == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"components": "short.npy"}}, r"method.components: must label every element.*found [5, 8]"),
        ({"options": {"components": "gap.npy"}}, "method.components: must cover the whole input"),
        ({"options": {"components": "floats.npy"}}, "method.components: must be whole numbers"),
        ({"options": {"components": "text.npy"}}, "method.components: must be a .npy file"),
        ({"options": {"components": "none.npy"}}, "method.components:"),
        (
            {"inpainter": network("Paints", crop=1)},
            "models.inpainter: the inpainter must paint in the samples' shape [1, 6, 8] (found [1, 6, 7])",
        ),
        (
            {"inpainter": network("classifier")},
            "models.inpainter: the inpainter must take (kept, mask, noise), each [B, 1, 6, 8]",
        ),
        ({"inpainter": network("Couples")}, "models.inpainter: a network's output for one row must not depend"),
        ({"examples": 21}, "examples: must be at most 20: the data have no more samples of 'bar' (found 21)"),
        ({"options": {"per": "class"}}, "target: must be {each: label} with one mask per class"),
        ({"options": {"per": "class"}, "target": None, "each": "label"}, "examples: must be 3, the number of classes"),
        (
            {"classifier": network("classifier", outputs=4), "target": None, "each": "label"},
            "target.each: must be the index of an output",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_refused_by_its_key(make: Make, tmp_path: Path, changes: Any, message: str) -> None:
    np.save(tmp_path / "short.npy", np.zeros((5, 8), np.int64))
    np.save(tmp_path / "gap.npy", np.full((1, 6, 8), -1))
    np.save(tmp_path / "floats.npy", np.zeros((1, 6, 8)))
    (tmp_path / "text.npy").write_text("no array")
    found = refusal(make(**changes))
    for part in message.split(".*"):
        assert part in found
