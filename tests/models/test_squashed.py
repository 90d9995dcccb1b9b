"""A response after a softmax or sigmoid is refused, by what ran and by what came out; hidden or unused ones are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from raysweep.data.dataset import Dataset, make_dataset
from raysweep.errors import InputError
from raysweep.models.readout import Readout
from raysweep.models.squashed import check_unsquashed
from raysweep.models.torchscript import load_torchscript


class Net(nn.Module):
    """Two linear layers with an activation defined last, and used as `how` says."""

    def __init__(self, how: str, outputs: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.how = nn.Linear(4, 5), nn.Linear(5, outputs), how
        self.act = nn.Softmax(1) if how == "softmax module" else nn.Sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "hidden":
            return self.last(self.act(self.first(x)))
        logits = self.last(self.first(x).relu())
        if self.how.endswith("module"):
            return self.act(logits)
        functions = {"sigmoid": torch.sigmoid, "softmax": lambda x: x.softmax(1), "log": lambda x: x.log_softmax(1)}
        return functions[self.how](logits) if self.how in functions else logits


def rows(scale: float = 3.0, count: int = 200) -> Dataset:
    x = scale * np.random.default_rng(0).standard_normal((count, 4))
    return make_dataset(x, None, None, media=None, key="data", source="here")


def refusal(network: nn.Module, data: Dataset | None = None) -> str:
    with pytest.raises(InputError) as caught:
        check_unsquashed(Readout(network, None, 0), data or rows(), key="models.classifier")
    assert not any(part._forward_hooks for part in network.modules())
    return str(caught.value)


@pytest.mark.parametrize("how", ["unused", "hidden"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_an_activation_that_is_defined_last_but_does_not_make_the_output_is_accepted(how: str, outputs: int) -> None:
    data = rows(100.0) if how == "hidden" else rows()
    network = Net(how, outputs)
    network.last.weight.data.mul_(10)
    check_unsquashed(Readout(network, None, 0), data, key="models.classifier")
    assert not any(part._forward_hooks for part in network.modules())


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()])
def test_a_network_that_ends_in_a_softmax_or_sigmoid_is_refused_with_the_layer_before_it(last: nn.Module) -> None:
    message = refusal(nn.Sequential(nn.Linear(4, 2), last))
    assert message.startswith("target: the response must be the one before softmax or sigmoid, and the network ends")
    assert f"(found '{last!r}')" in message
    assert message.endswith("give layer: the one before it, here '0'")


def test_a_layer_that_makes_the_output_is_found_wherever_it_was_defined() -> None:
    network = Net("sigmoid module")
    network.after = nn.Linear(2, 2)
    assert refusal(network).endswith("give layer: the one before it, here 'last'")


@pytest.mark.parametrize("how", ["softmax", "log"])
def test_probabilities_made_in_forward_are_refused(how: str) -> None:
    message = refusal(Net(how))
    assert message.startswith(
        "models.classifier: the response must be the one before softmax or sigmoid, and the outputs are (log-)prob"
    )
    assert "give layer: the one before it" in message


def test_a_sigmoid_made_in_forward_with_one_output_is_refused() -> None:
    message = refusal(Net("sigmoid", 1))
    assert message.startswith(
        "models.classifier: the response must be the one before softmax or sigmoid, and all outputs lie between 0 and 1"
    )


def test_one_example_outside_0_to_1_clears_one_output() -> None:
    network = nn.Sequential(nn.Linear(4, 1, bias=False))
    network[0].weight.data[:] = 0.1
    x = np.full((150, 4), 0.5)
    assert "all outputs lie between 0 and 1 (found '0.2 to 0.2 on the data')" in refusal(network, data_of(x))
    x[140] = -0.5
    check_unsquashed(Readout(network, None, 0), data_of(x), key="models.classifier")


def data_of(x: np.ndarray) -> Dataset:
    return make_dataset(x, None, None, media=None, key="data", source="here")


@pytest.mark.parametrize("how", ["softmax", "sigmoid module"])
def test_a_layer_that_is_named_is_taken_as_it_is(how: str) -> None:
    check_unsquashed(Readout(Net(how), "last", 0), rows(), key="models.classifier")


def test_a_torchscript_network_is_judged_by_what_comes_out(scripted: Callable[[nn.Module, str], Path]) -> None:
    network = load_torchscript(
        scripted(nn.Sequential(nn.Linear(4, 3), nn.Softmax(1)), "net.ts"), trust="torchscript", key="models"
    )
    assert "the outputs are (log-)probabilities" in refusal(network)


def test_double_precision_networks_are_tried_in_double_precision() -> None:
    check_unsquashed(Readout(Net("unused").double(), None, 0), rows(), key="models.classifier")
