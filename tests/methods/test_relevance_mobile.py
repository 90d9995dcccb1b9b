"""LRP through inverted residuals: depthwise convolutions, ReLU6, merged batch norm, and sums of branches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from raysweep.methods.relevance import BIASES, COMPOSITES, RelevanceNetwork
from raysweep.models.readout import Readout
from raysweep.zoo.cutouts.networks import MEAN, STD, InvertedResidual, Standardise, rectified
from tests.methods.slow_lrp import Stage, slow_lrp

VALUES = {"alpha": 2.0, "epsilon": 0.05, "gamma": 0.3}
RULES = ("epsilon", "gamma", "alpha_beta", "z_plus", "box")


def mobile(bias: bool) -> Any:
    """A small network of the zoo's parts, weights of both signs, some values above 6."""
    net = nn.Sequential(
        Standardise(),
        rectified(3, 3, 3, 2),
        InvertedResidual(3, 3, expansion=1),
        InvertedResidual(3, 4, expansion=2, stride=2),
        InvertedResidual(4, 4, expansion=2),
        rectified(4, 5, 1),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(5, 3, bias=bias),
    )
    generator = torch.Generator().manual_seed(4)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) if bias else torch.zeros_like(tensor))
        elif name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
        elif name.endswith("weight"):
            tensor.copy_(1.5 * torch.randn(tensor.shape, generator=generator))
    return net.double().eval().requires_grad_(False)


def images(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 7, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def values(count: int, **changes: float) -> dict[str, Tensor]:
    return {name: torch.full((count,), value, dtype=torch.float64) for name, value in (VALUES | changes).items()}


def stages(net: Any, rule: str) -> list[Stage]:
    """The network for the slow loop: batch norm merged by hand, z^B on the first layer alone."""
    other = "alpha_beta" if rule == "box" else rule

    def linear(module: nn.Module) -> Stage:
        return Stage("linear", module, other, values=VALUES)

    def merged(chain: Any) -> list[Stage]:
        found = [linear(fuse_conv_bn_eval(chain[0], chain[1]))]
        return [*found, Stage("elementwise", chain[2])] if len(chain) > 2 else found

    def block(part: InvertedResidual) -> list[Stage]:
        *first, convolution, norm = part.conv
        inside = [stage for chain in (*first, [convolution, norm]) for stage in merged(chain)]
        return [Stage("residual", rule=other, values=VALUES, branches=((), tuple(inside)))] if part.adds else inside

    found = [Stage("elementwise", net[0])]
    for part in net[1:6]:
        found += block(part) if isinstance(part, InvertedResidual) else merged(part)
    if rule == "box":
        low, high = (((end - torch.tensor(MEAN)) / torch.tensor(STD)).double().view(3, 1, 1) for end in (0.0, 1.0))
        bounds = low.expand(3, 7, 7), high.expand(3, 7, 7)
        found[1] = Stage("linear", found[1].module, "box", values={**VALUES, "bounds": bounds})
    return [*found, linear(net[6]), linear(net[7])]


@pytest.mark.parametrize("biases", BIASES)
@pytest.mark.parametrize("rule", RULES)
def test_inverted_residuals_agree_with_a_loop_over_neurons(rule: str, biases: str) -> None:
    net, x, unit = mobile(bias=True), images(), torch.tensor([2, 0])
    composite = COMPOSITES["alpha_beta_box" if rule == "box" else rule]
    found, response = RelevanceNetwork(Readout(net), composite, x, biases, (0, 1)).relevance(x, unit, values(2))
    torch.testing.assert_close(response, net(x)[torch.arange(2), unit])
    for row in range(2):
        top = torch.zeros(3, dtype=torch.float64)
        top[unit[row]] = response[row]
        slow = slow_lrp(stages(net, rule), x[row], top, biases)
        torch.testing.assert_close(found[row], slow, rtol=1e-5, atol=1e-5 * float(slow.abs().max()))


def test_the_toy_network_has_what_is_tested() -> None:
    net, x = mobile(bias=True), images()
    seen: list[Tensor] = []
    for part in net.modules():
        if isinstance(part, nn.ReLU6):
            part.register_forward_hook(lambda *args: seen.append(args[2]))
    net(x)
    assert any((value == 6).any() for value in seen)  # a ceiling that counts
    maps = [value for value in seen if value.shape[1] > 1]
    assert any((value.flatten(2).amax(2) == 0).any() for value in maps)  # a channel without contributions to the next
    assert {part.groups for part in net.modules() if isinstance(part, nn.Conv2d)} == {1, 3, 6, 8}


@pytest.mark.parametrize("name", list(COMPOSITES))
def test_relevance_is_the_score_without_biases(name: str) -> None:
    net, x = mobile(bias=False), images(3)
    network = RelevanceNetwork(Readout(net), COMPOSITES[name], x, bounds=(0, 1))
    for alpha in (1.0, 2.0, 3.0):
        found, response = network.relevance(x, torch.tensor([0, 1, 2]), values(3, alpha=alpha, epsilon=0.0))
        torch.testing.assert_close(found.flatten(1).sum(dim=1), response, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["epsilon", "gamma", "alpha_beta", "z_plus"])
def test_biases_that_are_spread_lose_no_relevance_where_channels_are_dead(name: str) -> None:
    net, x = mobile(bias=True), images(3)
    network = RelevanceNetwork(Readout(net), COMPOSITES[name], x, "spread")
    found, response = network.relevance(x, torch.tensor([0, 1, 2]), values(3, epsilon=0.0))
    torch.testing.assert_close(found.flatten(1).sum(dim=1), response, rtol=1e-4, atol=0)
