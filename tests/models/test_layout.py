"""Linear layers beside maps write and read channels last, and the network computes the same."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from raysweep.models.layout import FlattenChannelsLast, UnflattenChannelsLast, lay_out_channels_last
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout
from tests.models.test_prepare import norms, trained


def generator() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(5, 3 * 4 * 2, bias=False),
        nn.Unflatten(1, (3, 4, 2)),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.ConvTranspose2d(3, 2, 4, 2, 1),
    )


def classifier() -> nn.Sequential:
    head = nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(4 * 6 * 2, 7), nn.ReLU(), nn.Linear(7, 3))
    return nn.Sequential(nn.Conv2d(2, 4, 3), head)


CASES = {
    "generator": (generator(), (3, 5)),
    "classifier": (classifier(), (3, 2, 8, 4)),
    "norm over the vector": (nn.Sequential(nn.Linear(5, 24), nn.BatchNorm1d(24), *generator()[1:2]), (3, 5)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_turned_network_computes_the_same(case: str) -> None:
    module, shape = CASES[case]
    module, x = trained(module), torch.randn(shape, dtype=torch.float64)
    prepared = prepare(module, torch.float64, example=x)
    kinds = (FlattenChannelsLast, UnflattenChannelsLast)
    assert sum(isinstance(part, kinds) for part in prepared.modules()) == 1
    assert norms(prepared) == 0
    torch.testing.assert_close(prepared(x), module(x), atol=1e-12, rtol=1e-12)


def test_maps_stay_channels_last_forwards_and_backwards() -> None:
    network = nn.Sequential(prepare(trained(generator()), example=torch.randn(2, 5)))
    strides = []
    for part in network.modules():
        if isinstance(part, (nn.ReLU, UnflattenChannelsLast)):
            part.register_forward_hook(lambda part, inputs, output: strides.append(output.stride()))
    network(torch.randn(2, 5))
    assert strides == [(24, 1, 6, 3)] * 2


def test_a_layer_that_is_read_keeps_its_order() -> None:
    module, x = trained(generator()), torch.randn(2, 5, dtype=torch.float64)
    assert lay_out_channels_last(module, x, keep=["0"]) == 0
    assert norms(prepare(module, torch.float64, keep=["1"])) == 1
    module, x = trained(classifier()), torch.randn(2, 2, 8, 4, dtype=torch.float64)
    prepared = prepare(module, torch.float64, example=x, read=lambda network: Readout(network, "1.1", 9))
    torch.testing.assert_close(Readout(prepared, "1.1", 9)(x), Readout(module, "1.1", 9)(x))


class Headed(nn.Module):
    """A head that a Sequential shows, used once more in a way that it does not show."""

    def __init__(self, again: Callable[[nn.Sequential, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.head, self.again = nn.Sequential(nn.Flatten(), nn.Linear(24, 2)), again

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x) + self.again(self.head, x)


def test_a_flatten_of_maps_of_several_shapes_or_of_vectors_is_left() -> None:
    module = Headed(lambda head, x: head(x.permute(0, 2, 3, 1)))
    assert lay_out_channels_last(module, torch.randn(2, 2, 3, 4)) == 0
    assert lay_out_channels_last(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), torch.randn(2, 2, 3)) == 0


def test_a_linear_layer_that_is_also_used_elsewhere_is_left() -> None:
    module = Headed(lambda head, x: head[1](torch.arange(24).to(x).expand(len(x), 24))).double()
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    assert lay_out_channels_last(copy.deepcopy(module), x) == 1
    prepared = prepare(module, torch.float64, example=x)
    assert not any(isinstance(part, FlattenChannelsLast) for part in prepared.modules())
    torch.testing.assert_close(prepared(x), module(x))
