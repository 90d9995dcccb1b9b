"""Methods on the cut-outs' network: what LRP, sensitivity and guided feature inversion need of it is there."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.data.load import load_data
from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.methods.components import Components, elements
from raysweep.methods.fills import Constant
from raysweep.methods.gfi import GuidedFeatureInversion
from raysweep.methods.lrp import Lrp
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.method import Rows, State
from raysweep.methods.relevance import COMPOSITES, RelevanceNetwork
from raysweep.methods.sensitivity import Sensitivity
from raysweep.models.load import load_model
from raysweep.models.model import ModelSource
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout

SHAPE = (3, 112, 112)


@cache
def classifier() -> Any:
    return load_model(ModelSource("zoo://cutouts/classifier"), key="models.classifier").module


@cache
def images() -> tuple[Tensor, Tensor]:
    data = load_data("zoo://cutouts/tune")
    assert data.y is not None
    return torch.from_numpy(data.x[:2]), torch.from_numpy(data.y[:2])


def masking(scores: nn.Module | None = None) -> Masking:
    x, unit = images()
    explained = Explained(x, torch.arange(2), torch.ones(2, dtype=torch.int64), unit)
    return Masking(
        scores or Readout(classifier()), Constant(torch.zeros(())), explained, Components(elements(SHAPE), SHAPE)
    )


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_relevance_is_the_score_when_biases_are_spread(alpha: float) -> None:
    x, unit = images()
    network = RelevanceNetwork(Readout(classifier()), COMPOSITES["alpha_beta"], x, "spread")
    found, response = network.relevance(x, unit, {"alpha": torch.full((2,), alpha)})
    torch.testing.assert_close(found.flatten(1).sum(dim=1), response, rtol=1e-4, atol=0)


def test_lrp_and_sensitivity_explain_the_score() -> None:
    x, unit = images()
    scores = classifier()(x).gather(1, unit[:, None])[:, 0]
    for method in (Lrp(masking(), COMPOSITES["epsilon_z_plus_box"], bounds=(0, 1)), Sensitivity(masking())):
        rows = Rows.of(0, range(2), method.complete({}))
        heat, response = method.heat(x, unit, rows)
        torch.testing.assert_close(response, scores, rtol=1e-4, atol=1e-4)
        assert heat.shape == x.shape
        assert heat.isfinite().all()
        assert (heat.abs().flatten(1).amax(dim=1) > 0).all()


def test_guided_feature_inversion_raises_what_it_shows_of_the_score_above_what_it_hides() -> None:
    network = Readout(prepare(classifier(), example=images()[0][:1]))
    layers, guides = ["features.17"], ["features.13", "features.18"]
    method = GuidedFeatureInversion(masking(network), layers, guides, batch=2)
    config = {"lr": 0.1, "inversion_steps": 0, "norm_weight": 0.0, "guide": 1, "initial_weight": 0.1, "blur": 5.0}
    engine, states = Engine([method], 2), list[State | Exception]()
    for steps in (1, 6):
        engine.advance("a", config, 7, range(2), steps, states.append)
        engine.run()
    first, last = (kept(state)["heat"] for state in states if isinstance(state, dict))
    assert last.shape == (2, 1, 112, 112)

    def margin(mask: Tensor) -> Tensor:
        x, hidden = (method.blurring.through(each, torch.arange(2), torch.full((2,), 5.0)) for each in (mask, 1 - mask))
        unit = images()[1][:, None]
        return (classifier()(x).gather(1, unit) - classifier()(hidden).gather(1, unit))[:, 0]

    assert (margin(last) > margin(first)).all()
