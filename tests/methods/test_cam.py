"""Class activation maps against a loop over images and channels, and against the dense layer's weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.errors import InputError
from raysweep.methods.attribution import Attribution
from raysweep.methods.cam import Cam
from raysweep.methods.centre_box import CentreBox
from raysweep.methods.components import Components, pixels
from raysweep.methods.fills import Constant
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.method import Rows
from raysweep.models.readout import Readout

SHAPE = (2, 8, 12)
UNITS = (0, 2, 1)


def network(pooled: bool) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.LeakyReLU(0.1, inplace=True), nn.AvgPool2d(2))
    net.extend([nn.Conv2d(5, 4, 3, padding=1), nn.ReLU(inplace=True)])
    net.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten()] if pooled else [nn.MaxPool2d(2), nn.Flatten(), nn.Tanh()])
    return net.append(nn.Linear(4 if pooled else 24, 3)).double().eval().requires_grad_(False)


def masking(pooled: bool) -> Masking:
    x = torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    explained = Explained(x, torch.arange(3), torch.ones(3, dtype=torch.int64), torch.tensor(UNITS))
    parts = Components(pixels(SHAPE), SHAPE)
    return Masking(Readout(network(pooled)), Constant(torch.zeros(())), explained, parts, dtype=torch.float64)


def heated(one: Attribution, *configs: dict[str, float]) -> list[dict[str, Tensor]]:
    """What trials of these configurations keep, all in the lanes of one engine."""
    found: list[Any] = [None] * len(configs)
    engine = Engine([one], 4)
    for place, config in enumerate(configs):
        engine.advance(str(place), config, 7, range(3), 1, lambda state, place=place: found.__setitem__(place, state))  # type: ignore[misc]
    engine.run()
    return [kept(state) for state in found]


def slow_cam(one: Masking, image: int, layer: int) -> Tensor:
    """The heat [H, W] of one image, channel by channel."""
    net = network(pooled=False)
    maps = net[: layer + 1](one.explained.x[image : image + 1].clone()).clone().requires_grad_()
    net[layer + 1 :](maps.clone())[0, UNITS[image]].backward()
    heat = torch.zeros(maps.shape[2:], dtype=torch.float64)
    for channel in range(maps.shape[1]):
        heat = heat + maps.grad[0, channel].mean() * maps.detach()[0, channel]  # type: ignore[index]
    return functional.interpolate(heat.clamp(min=0)[None, None], size=SHAPE[1:], mode="bilinear")[0, 0]


def test_heat_of_every_layer_is_the_loops_in_lanes_that_mix_them() -> None:
    one = masking(pooled=False)
    found = heated(Cam(one, ["0", "2", "4"]), *({"layer": place} for place in range(3)))
    for layer, heat in zip((0, 2, 4), (each["heat"] for each in found), strict=True):
        assert heat.shape == (3, 1, 8, 12)
        for image in range(3):
            torch.testing.assert_close(heat[image, 0], slow_cam(one, image, layer), rtol=1e-9, atol=1e-12)


def test_with_average_pooling_and_a_dense_layer_it_is_the_class_activation_map() -> None:
    one = masking(pooled=True)
    (found,) = heated(Cam(one, ["4"]), {"layer": 0})
    net: Any = network(pooled=True)
    maps = net[:5](one.explained.x.clone())
    for image, unit in enumerate(UNITS):
        cam = sum(net[7].weight[unit, channel] * maps[image, channel] for channel in range(4))
        wanted = functional.interpolate(cam.clamp(min=0)[None, None] / (4 * 6), size=SHAPE[1:], mode="bilinear")[0]
        torch.testing.assert_close(found["heat"][image], wanted, rtol=1e-9, atol=1e-12)
        assert float(found["response"][image]) == pytest.approx(float(net[7](maps[image].mean(dim=(1, 2)))[unit]))


def test_a_layer_without_maps_has_none() -> None:
    with pytest.raises(InputError, match=r"must be a layer with maps.*6 gives \[4\]"):
        Cam(masking(pooled=True), ["6"]).turn({}, {}, Rows.of(0, range(3), {"layer": 0.0}), fresh=True)


@pytest.mark.parametrize(
    ("size", "down", "across"),
    [(0.7, (1, 7), (2, 10)), (0.5, (2, 6), (3, 9)), (1.0, (0, 8), (0, 12)), (0.01, (3, 4), (5, 6))],
)
def test_a_box_lies_in_the_middle(size: float, down: tuple[int, int], across: tuple[int, int]) -> None:
    found, other = heated(CentreBox(masking(pooled=True)), {"size": size}, {"size": 0.2})
    wanted = torch.zeros(3, 1, 8, 12, dtype=torch.float64)
    wanted[:, :, slice(*down), slice(*across)] = 1
    assert torch.equal(found["heat"], wanted)
    assert not torch.equal(other["heat"], wanted)
