"""Objectives of heat maps and masks through the scorer, against plain loops over samples, components and draws."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.scoring import Scored, Scorer
from raysweep.engine.workload import Workload
from raysweep.engine.workload_spec import ObjectiveSpec, WorkloadSpec
from raysweep.errors import InputError, TrialFailed
from raysweep.methods.method import State
from raysweep.methods.noise import fresh_normal, fresh_uniform
from raysweep.methods.redrawn import redraw
from raysweep.models.model import ModelSource
from raysweep.rules import OF_MAPS, OF_MAPS_MADE_AGAIN
from tests.objectives.test_localisation import slow_box, slow_overlap

NETS = """
import torch
from torch import nn

def classifier():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 4 * 6, 3))

class Weightless(nn.Module):
    def forward(self, x):
        return 9 * x.flatten(1)[:, :3] ** 2 - 4
"""
HEAT = {"components": "patches", "patch": 2, "fill": "gaussian", "fill_value": 0.0, "fill_share": 1.0, "blur": 1.0}
MASK = HEAT | {"mask": "relaxed", "per": "example"}
RDE = {"lr": 0.2, "sparsity_weight": 0.01, "noise_samples": 1.0}
CPU, N, COMPONENTS = torch.device("cpu"), 6, 12
Make = Callable[..., Workload]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Maps of 6 × 8, each with a bright part and the box around it."""
    (tmp_path / "nets_maps.py").write_text(NETS)
    draw = np.random.default_rng(0)
    x, boxes = draw.random((30, 1, 6, 8)).astype(np.float32) / 2, []
    for sample in x:
        left, top = draw.integers(0, 5), draw.integers(0, 3)
        sample[0, top : top + 3, left : left + 4] += 0.5
        boxes.append([left, top, left + 4, top + 3])
    np.savez(tmp_path / "images.npz", x=x, y=np.arange(30) % 3, boxes=np.array(boxes))
    np.savez(tmp_path / "bare.npz", x=x, y=np.arange(30) % 3)
    np.savez(tmp_path / "odd.npz", x=x, y=np.arange(30) % 3, boxes=np.array(boxes) * 2)

    def build(*objectives: str, method: str = "sensitivity", **changes: Any) -> Workload:
        keys: dict[str, Any] = {
            "method": method,
            "options": MASK if method == "rde" else HEAT,
            "classifier": ModelSource("nets_maps:classifier"),
            "judge": None,
            "data": "images.npz",
            "media": None,
            "target": 1,
            "layer": None,
            "unit": None,
            "direction": "maximise",
            "examples": N,
            "objectives": tuple(ObjectiveSpec(name) for name in objectives),
            "seed": 3,
            "precision": "float64",
            "folder": str(tmp_path),
        }
        return Workload(WorkloadSpec(**{**keys, **changes}))

    return build


def stepped(workload: Workload, values: dict[str, float], steps: int = 1) -> State:
    found: list[Any] = []
    engine = Engine(workload.methods(1, CPU), 4)
    engine.advance("a", values, workload.spec.seed, range(N), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def scored(workload: Workload, values: dict[str, float] | None = None) -> Scored:
    workload.check()
    state = stepped(workload, values or {})
    return Scorer(workload, 4, CPU, workload.folder).score(state, values or {})


def network(workload: Workload) -> tuple[nn.Module, Tensor]:
    """The classifier and the explained samples in float64."""
    explainer: Any = workload.explainer
    return workload.classifier.module.double(), explainer.explained.x.double()


def gradient_squared(net: nn.Module, x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(leaf[None])[0, 1], leaf)
    return slope**2


def worth_of(heat: Tensor) -> list[float]:
    """The sum of the heat of each square of 2 × 2, row by row."""
    return [float(heat[0, r : r + 2, c : c + 2].sum()) for r in (0, 2, 4) for c in (0, 2, 4, 6)]


def slow_drop(workload: Workload, example: int, draw: int, removed: set[int]) -> float:
    """What the score loses when these squares are filled with noise like the data."""
    (net, samples), data = network(workload), workload.data.x
    mean, deviation = (torch.from_numpy(one(data, 0, np.float64)).float() for one in (np.mean, np.std))
    key = tuple(torch.tensor([number]) for number in (3, example, draw))
    noise = mean + deviation * fresh_normal(key, 48, stream="fill").view(1, 6, 8)
    z = samples[example].clone()
    for place in removed:
        r, c = 2 * (place // 4), 2 * (place % 4)
        z[0, r : r + 2, c : c + 2] = noise[0, r : r + 2, c : c + 2].double()
    with torch.no_grad():
        return float(net(samples[example][None])[0, 1] - net(z[None])[0, 1])


def slow_mean_drop(workload: Workload, example: int, removed: set[int]) -> float:
    return float(np.mean([slow_drop(workload, example, draw, removed) for draw in range(4)]))


def test_flipping_areas_are_those_of_a_plain_loop(make: Make) -> None:
    workload = make("flipping_morf", "flipping_lerf")
    result = scored(workload)
    net, x = network(workload)
    scale = np.mean([abs(slow_mean_drop(workload, example, set(range(COMPONENTS)))) for example in range(N)])
    for example in (0, 3):
        worth = worth_of(gradient_squared(net, x[example]))
        hottest_first = sorted(range(COMPONENTS), key=lambda place: -worth[place])
        for name, order in (("flipping_morf", hottest_first), ("flipping_lerf", hottest_first[::-1])):
            counts = [round(COMPONENTS * part / 16) for part in range(17)]
            counts = counts if name == "flipping_morf" else [COMPONENTS - kept for kept in counts[::-1]]
            lost = [slow_mean_drop(workload, example, set(order[:count])) / scale for count in counts]
            area = sum((one + other) / 2 / 16 for one, other in pairwise(lost))
            expected = 1 - area if name == "flipping_morf" else area
            assert float(result_of(result, name)[example]) == pytest.approx(expected, rel=1e-5)


def result_of(result: Scored, name: str) -> np.ndarray:
    """An objective's numbers, whose mean is its value."""
    numbers = result.tensors[name]
    assert result.objectives[name].value == pytest.approx(float(numbers.mean()))
    assert result.objectives[name].low <= result.objectives[name].value <= result.objectives[name].high
    return numbers


def test_faithfulness_is_the_correlation_over_random_parts(make: Make) -> None:
    workload = make("unfaithfulness")
    found = result_of(scored(workload), "unfaithfulness")
    net, x = network(workload)
    for example in (0, 5):
        worth, heat, lost = worth_of(gradient_squared(net, x[example])), [], []
        for part in range(64):
            key = tuple(torch.tensor([number]) for number in (3, example, part))
            drawn = fresh_uniform(key, COMPONENTS, stream="part")[0].tolist()
            removed = set(sorted(range(COMPONENTS), key=lambda place: -drawn[place])[:3])
            heat.append(sum(worth[place] for place in removed))
            lost.append(slow_drop(workload, example, part, removed))
        assert float(found[example]) == pytest.approx(1 - stats.pearsonr(heat, lost).statistic, rel=1e-4)


def test_max_sensitivity_is_the_greatest_change_under_small_noise(make: Make) -> None:
    workload = make("max_sensitivity")
    found = result_of(scored(workload), "max_sensitivity")
    (net, x), data = network(workload), workload.data.x
    low, high = float(data.min()), float(data.max())
    for example in range(N):
        clean, changes = gradient_squared(net, x[example]), []
        for shake in range(10):
            key = tuple(torch.tensor([number]) for number in (3, example, shake))
            noise = 0.02 * (high - low) * (2 * fresh_uniform(key, 48, stream="shake").double().view(1, 6, 8) - 1)
            other = gradient_squared(net, (x[example] + noise).clamp(low, high))
            changes.append(float((other - clean).norm() / clean.norm()))
        assert float(found[example]) == pytest.approx(max(changes), rel=1e-4)


def test_randomisation_compares_with_networks_that_have_learnt_nothing(make: Make) -> None:
    workload = make("randomisation")
    found = result_of(scored(workload), "randomisation")
    net, x = network(workload)
    strangers = [redraw(workload.classifier.module, 3, draw).double() for draw in range(3)]
    for example in range(N):
        own = gradient_squared(net, x[example]).flatten()
        others = [gradient_squared(stranger, x[example]).flatten() for stranger in strangers]
        expected = np.mean([abs(stats.spearmanr(own, other).statistic) for other in others])
        assert float(found[example]) == pytest.approx(expected, rel=1e-6)


def test_weights_are_drawn_anew_with_the_spread_of_their_tensor() -> None:
    net = nn.Sequential(nn.Linear(60, 50), nn.BatchNorm1d(50)).eval().requires_grad_(False)
    first, again, other = redraw(net, 1, 0), redraw(net, 1, 0), redraw(net, 1, 1)
    known, drawn = net[0].weight, first.get_parameter("0.weight")
    assert torch.equal(drawn, again.get_parameter("0.weight"))
    assert not torch.equal(drawn, other.get_parameter("0.weight"))
    assert float(drawn.std()) == pytest.approx(float(known.std()), rel=0.05)
    assert abs(float(np.corrcoef(known.flatten(), drawn.flatten())[0, 1])) < 0.1
    assert torch.equal(first.get_parameter("1.weight"), net[1].weight)  # all of them are 1


@pytest.mark.parametrize(("method", "values"), [("sensitivity", {}), ("rde", RDE)])
def test_boxes_are_compared_with_those_of_the_very_sample(make: Make, method: str, values: dict[str, float]) -> None:
    workload = make("localisation_error", "pointing_error", "diffuseness", method=method)
    values = {**values, "threshold": 0.8}
    result = scored(workload, values)
    with np.load(workload.folder / "images.npz") as data:
        known = {row.tobytes(): tuple(box) for row, box in zip(data["x"], data["boxes"].tolist(), strict=True)}
    heat = result.tensors["mask" if method == "rde" else "heat"]
    overlaps = []
    for example, sample in enumerate(result.tensors["sample"]):
        true: Any = known[sample.tobytes()]
        found = slow_box(heat[example].astype(float), 0.8)
        overlaps.append(slow_overlap(found, true))
        assert tuple(result.tensors["box"][example]) == true
        assert tuple(result.tensors["found_box"][example]) == found
    assert result_of(result, "localisation_error").tolist() == [float(one < 0.5) for one in overlaps]
    assert result.metrics["overlap"] == pytest.approx(np.mean(overlaps))


def test_the_threshold_has_a_default(make: Make) -> None:
    workload = make("localisation_error")
    state = stepped(workload, {})
    scorer = Scorer(workload, 4, CPU, workload.folder)
    plain, told, other = (scorer.score(state, values) for values in ({}, {"threshold": 1.1}, {"threshold": 0.2}))
    np.testing.assert_array_equal(plain.tensors["found_box"], told.tensors["found_box"])
    assert not np.array_equal(plain.tensors["found_box"], other.tensors["found_box"])


def test_what_the_first_examples_are_worth_does_not_depend_on_how_many_are_scored(make: Make) -> None:
    workload = make(*OF_MAPS, *OF_MAPS_MADE_AGAIN)
    state, scorer = stepped(workload, {}), Scorer(workload, 4, CPU, workload.folder)
    few, whole = scorer.score({name: value[:4] for name, value in state.items()}, {}), scorer.score(state, {})
    for name in (*OF_MAPS, *OF_MAPS_MADE_AGAIN):
        np.testing.assert_array_equal(few.tensors[name], whole.tensors[name][:4])


def test_nothing_is_computed_that_a_sweep_does_not_ask_for(make: Make) -> None:
    result = scored(make("diffuseness", data="bare.npz"))
    assert set(result.metrics) == {"collapsed"}
    assert set(result.objectives) == {"diffuseness"}
    assert "curve" not in result.tensors


def test_a_mask_that_is_the_same_everywhere_finds_nothing_and_is_as_diffuse_as_can_be(make: Make) -> None:
    workload = make("localisation_error", "unfaithfulness", "diffuseness", method="rde")
    state = stepped(workload, RDE)
    state["kept.mask"] = torch.full_like(state["kept.mask"], 0.7)
    found = Scorer(workload, 4, CPU, workload.folder).score(state, RDE)
    values = {name: score.value for name, score in found.objectives.items()}
    assert values == pytest.approx({"localisation_error": 1.0, "unfaithfulness": 1.0, "diffuseness": 1.0})


def test_a_fill_that_changes_nothing_leaves_nothing_to_flip(make: Make) -> None:
    workload = make("flipping_morf")
    explainer: Any = workload.explainer
    explainer.explained.x[:] = 0.5
    state = stepped(workload, {})
    workload.spec.options["fill"], workload.spec.options["fill_value"] = "constant", 0.5
    with pytest.raises(TrialFailed, match="the fill in place of all components leaves every score as it is"):
        Scorer(workload, 4, CPU, workload.folder).score(state, {})


@pytest.mark.parametrize(
    ("changes", "objective", "message"),
    [
        (
            {"data": "bare.npz"},
            "localisation_error",
            "data.source: must have an array named boxes, which localisation_error reads (found '",
        ),
        ({"data": "odd.npz"}, "pointing_error", "data.source: boxes must have 0 ≤ left < right ≤ 8 and 0 ≤ top < "),
        (
            {"data": "zoo://fashion/test", "classifier": ModelSource("zoo://fashion/classifier")},
            "pointing_error",
            "data.source: must have an array named boxes, which pointing_error reads (found '",
        ),
        (
            {"classifier": ModelSource("nets_maps:Weightless")},
            "randomisation",
            "models.classifier: must have weights, which randomisation draws again (found 'Weightless')",
        ),
    ],
)
def test_what_an_objective_lacks_is_said_before_the_start(
    make: Make, changes: dict[str, Any], objective: str, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        make(objective, **changes).check()
    assert str(caught.value).startswith(message)
