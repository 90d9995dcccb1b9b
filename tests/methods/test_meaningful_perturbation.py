"""Meaningful perturbation against a plain loop: one image at a time, by torch's own Adam."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.errors import InputError
from raysweep.methods.blurring import Score, blurred
from raysweep.methods.components import Components, pixels
from raysweep.methods.fills import Constant
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.meaningful_perturbation import MeaningfulPerturbation
from raysweep.models.readout import Readout

SHAPE = (2, 8, 10)
UNITS = (2, 0, 1)
CONFIGS: list[dict[str, float]] = [
    {"lr": 0.1, "sparsity_weight": 0.02, "smoothness_weight": 0.05, "smoothness_power": 3.0, "blur": 1.5},
    {"lr": 0.05, "sparsity_weight": 0.01, "smoothness_weight": 0.1, "smoothness_power": 1.0, "blur": 4.0},
]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 3))
    return net.double().eval().requires_grad_(False)


def samples() -> Tensor:
    return torch.rand(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def method(score: Score) -> MeaningfulPerturbation:
    explained = Explained(samples(), torch.arange(3), torch.ones(3, dtype=torch.int64), torch.tensor(UNITS))
    parts = Components(pixels(SHAPE), SHAPE)
    masking = Masking(Readout(network()), Constant(torch.zeros(())), explained, parts, dtype=torch.float64)
    return MeaningfulPerturbation(masking, 4, score)


def slow(image: int, config: dict[str, float], steps: int, score: str) -> tuple[Tensor, Tensor]:
    """The mask after so many steps, and the heat that the last of them looked at."""
    net, x, unit = network(), samples()[image], UNITS[image]
    hidden = blurred(x[None], torch.tensor([config["blur"]], dtype=torch.float64))[0]
    mask = torch.ones(4, 4, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([mask], lr=config["lr"])
    heat = torch.zeros(0)
    for _ in range(steps):
        shown = functional.interpolate(mask[None, None], size=SHAPE[1:], mode="bilinear", align_corners=True)[0]
        scores = net((x * shown + hidden * (1 - shown))[None])[0]
        loss = (scores.softmax(dim=0) if score == "softmax" else scores)[unit]
        loss = loss + config["sparsity_weight"] * (1 - mask).abs().sum()
        for i in range(4):
            for j in range(4):
                for other in [(i + 1, j)] * (i < 3) + [(i, j + 1)] * (j < 3):
                    apart = (mask[i, j] - mask[other]).abs() ** config["smoothness_power"]
                    loss = loss + config["smoothness_weight"] * apart
        heat = 1 - shown.detach()
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            mask.clamp_(0, 1)
    return mask.detach(), heat


@pytest.mark.parametrize("score", ["softmax", "logit"])
def test_trials_in_shared_lanes_give_what_each_image_gives_alone_in_a_loop(score: Score) -> None:
    found: list[Any] = [None, None]
    engine = Engine([method(score)], 4)
    for place, config in enumerate(CONFIGS):
        engine.advance(str(place), config, 7, range(3), 9, lambda state, place=place: found.__setitem__(place, state))  # type: ignore[misc]
    engine.run()
    for config, state in zip(CONFIGS, found, strict=True):
        for image in range(3):
            mask, heat = slow(image, config, 9, score)
            torch.testing.assert_close(state["params"][image, 0], mask, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(kept(state)["heat"][image], heat, rtol=1e-9, atol=1e-9)
            assert 0 < float(heat.max()) <= 1


def test_what_is_hot_lowers_the_score_when_it_is_blurred() -> None:
    one, found = method("softmax"), list[Any]()
    engine = Engine([one], 4)
    engine.advance("a", CONFIGS[0], 7, range(3), 60, found.append)
    engine.run()
    heat, images, blur = kept(found[0])["heat"], torch.arange(3), torch.full((3,), 1.5)
    plain, without = (
        one.blurring.score(one.blurring.through(mask, images, blur), images)
        for mask in (torch.ones_like(heat), 1 - heat)
    )
    assert bool((without < plain).all())


def test_a_score_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"method.score.*sofmax.*Did you mean 'softmax'"):
        method("sofmax")  # type: ignore[arg-type]
