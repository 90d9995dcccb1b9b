"""Any unit of any layer is read as it would be by hand, with its gradient, and nothing is left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.data.load import load_data
from raysweep.errors import InputError
from raysweep.models.readout import Readout, TwoLogits, features_readout


class Net(nn.Module):
    """features (0..3) -> head (fc1, act, fc2) in float64, so that comparisons can be exact."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2))
        self.fc1 = nn.Linear(4 * 15 * 15, 6)
        self.fc2 = nn.Linear(6, 10)
        self.unused = nn.Identity()
        self.double().eval()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.tanh(self.fc1(self.features(x).flatten(1)))
        self.calls += 1
        return self.fc2(hidden)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    grey = torch.from_numpy(load_data("zoo://fashion/test").x[:12])
    return torch.nn.functional.pad(grey, (2, 2, 2, 2)).reshape(4, 3, 32, 32).double()


def refusal(module: nn.Module, layer: str | None = None, unit: int | None = None, x: torch.Tensor | None = None) -> str:
    with pytest.raises(InputError) as caught:
        Readout(module, layer, unit)(x)
    assert str(caught.value).startswith("target")
    return str(caught.value)


def test_an_output_unit_is_its_logit(images: torch.Tensor) -> None:
    net = Net()
    assert torch.equal(Readout(net, unit=7)(images), net(images)[:, 7])


def test_a_unit_of_a_map_is_its_channel_averaged_over_space(images: torch.Tensor) -> None:
    net = Net()
    expected = net.features[:2](images)[:, 2].mean((1, 2))
    torch.testing.assert_close(Readout(net, "features.1", 2)(images), expected, atol=1e-12, rtol=0)


def test_gradients_are_those_of_the_part_up_to_the_layer(images: torch.Tensor) -> None:
    net = Net()
    x, y = images.clone().requires_grad_(), images.clone().requires_grad_()
    Readout(net, "features.2", 1)(x).sum().backward()
    net.features[:3](y)[:, 1].mean((1, 2)).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-14, rtol=0)


def test_nothing_after_the_layer_runs_and_no_hook_stays(images: torch.Tensor) -> None:
    net = Net()
    Readout(net, "features.3", 0)(images)
    assert net.calls == 0
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())


def test_penultimate_features_are_the_input_of_the_last_linear(images: torch.Tensor) -> None:
    net = Net()
    read = features_readout(net)
    torch.testing.assert_close(read(images), torch.tanh(net.fc1(net.features(images).flatten(1))), atol=0, rtol=0)
    assert read.reads == "the input of fc2"


def test_features_of_a_network_without_a_linear_are_its_output(images: torch.Tensor) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3)).double()
    read = features_readout(net)
    assert read(images).shape == (4, 4)
    assert read.reads == "the output"


def test_units_of_a_linear_over_tokens_are_its_last_axis() -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.Flatten())
    x = torch.rand(2, 7, 3)
    torch.testing.assert_close(Readout(net, "0", 4)(x), net[0](x)[:, :, 4].mean(1))


def test_a_network_with_one_number_a_row_has_one_unit() -> None:
    net = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0))
    assert Readout(net)(torch.rand(2, 3)).shape == (2, 1)
    assert Readout(net, unit=0)(torch.rand(2, 3)).shape == (2,)


def test_what_is_read_is_said_in_words() -> None:
    assert Readout(Net(), "features.1", 2).reads == "unit 2 of features.1"
    assert Readout(Net(), unit=2).reads == "unit 2 of the output"


def test_an_unknown_layer_is_refused_with_the_nearest_and_a_few() -> None:
    message = refusal(Net(), "feature.1", 2)
    assert message.startswith("target.layer: layer must be one of the network's (found 'feature.1'). Did you mean 'fea")
    assert message.endswith("Layers: features.0, features.1, features.2, …, fc2, unused")


@pytest.mark.parametrize("unit", [10, -1])
def test_a_unit_that_is_not_there_is_refused_with_their_number(images: torch.Tensor, unit: int) -> None:
    message = refusal(Net(), None, unit, images)
    assert message == f"target.unit: unit must lie between 0 and 9, as the output has 10 units (found {unit})"


def test_a_layer_that_does_not_run_is_refused(images: torch.Tensor) -> None:
    assert refusal(Net(), "unused", 0, images) == "target.layer: layer must be one that runs (found 'unused')"


def test_a_layer_that_gives_no_tensor_is_refused() -> None:
    net = nn.Sequential(nn.LSTM(3, 2))
    message = refusal(net, "0", 0, torch.rand(2, 4, 3))
    assert message == "target: must give one tensor (found 'unit 0 of 0: tuple')"


def test_naming_the_layer_before_the_softmax_reads_the_logit() -> None:
    net, x = nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)), torch.rand(2, 3)
    assert torch.equal(Readout(net, "0", 1)(x), net[0](x)[:, 1])


def test_one_logit_is_two_of_which_the_softmax_is_its_sigmoid() -> None:
    logit = torch.tensor([[-1.5], [0.0], [3.0]])
    found = TwoLogits()(logit).softmax(1)
    torch.testing.assert_close(found, torch.cat([1 - logit.sigmoid(), logit.sigmoid()], 1))
