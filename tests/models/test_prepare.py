"""A prepared network computes what the original does."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from raysweep.models.load import load_model
from raysweep.models.model import ModelSource
from raysweep.models.prepare import beside, prepare
from raysweep.models.readout import Readout


def trained(module: nn.Module) -> nn.Module:
    """The module in eval mode and float64, with batch statistics and affine weights that are not the defaults."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) and part.running_mean is not None:
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            if part.affine:
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
    return module.double().eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


CASES = {
    "convolution": (nn.Sequential(nn.Conv2d(3, 4, 3, groups=1, bias=False), nn.BatchNorm2d(4)), (2, 3, 8, 8)),
    "grouped": (nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4, affine=False)), (2, 4, 8, 8)),
    "transposed": (nn.Sequential(nn.ConvTranspose2d(3, 4, 4, 2, 1), nn.BatchNorm2d(4)), (2, 3, 8, 8)),
    "one-dimensional": (nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4)), (2, 3, 9)),
    "volume": (nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2)), (2, 1, 5, 5, 5)),
    "linear": (nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU()), (3, 5)),
    "nested": (nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), nn.ReLU()), (2, 1, 6, 6)),
}
UNFOLDABLE = {
    "grouped transposed": (
        nn.Sequential(nn.ConvTranspose2d(4, 4, 4, groups=2), nn.BatchNorm2d(4)),
        (2, 4, 8, 8),
    ),
    "norm first": (nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3)), (2, 3, 8, 8)),
    "norm over tokens": (nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(3)), (2, 3, 5)),
    "weight norm": (
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 2, 3)), nn.BatchNorm2d(2)),
        (2, 1, 6, 6),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_folded_equals_unfolded_in_float64(case: str) -> None:
    module, shape = CASES[case]
    module, x = trained(module), torch.randn(shape, dtype=torch.float64)
    prepared = prepare(module, torch.float64)
    assert norms(prepared) == 0
    torch.testing.assert_close(prepared(x), module(x), atol=1e-10, rtol=0)


@pytest.mark.parametrize("case", UNFOLDABLE)
def test_what_does_not_fold_exactly_is_left_alone(case: str) -> None:
    module, shape = UNFOLDABLE[case]
    module, x = trained(module), torch.randn(shape, dtype=torch.float64)
    prepared = prepare(module, torch.float64)
    assert norms(prepared) == 1
    torch.testing.assert_close(prepared(x), module(x), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["generator", "classifier", "judge"])
def test_the_fashion_zoo_computes_the_same_when_prepared(name: str) -> None:
    model = load_model(ModelSource(f"zoo://fashion/{name}"), key="models")
    module = copy.deepcopy(model.module).double()
    torch.manual_seed(0)
    x = torch.randn(4, model.latent) if model.latent else torch.rand(4, 1, 28, 28)
    prepared = prepare(model.module, torch.float64)
    assert norms(prepared) < norms(module)
    torch.testing.assert_close(prepared(x.double()), module(x.double()), atol=1e-10, rtol=0)
    torch.testing.assert_close(prepare(model.module)(x), model.module(x), atol=1e-4, rtol=1e-4)


def test_a_layer_used_twice_is_not_folded() -> None:
    shared = nn.Conv2d(2, 2, 3, padding=1)
    module = trained(nn.Sequential(shared, nn.BatchNorm2d(2), shared))
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(prepare(module, torch.float64)(x), module(x), atol=1e-10, rtol=0)


def test_a_layer_that_is_read_keeps_its_own_output() -> None:
    module = trained(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()))
    x = torch.randn(2, 1, 6, 6, dtype=torch.float64)
    prepared = prepare(module, torch.float64, keep=["0"])
    torch.testing.assert_close(prepared.get_submodule("0")(x), module.get_submodule("0")(x), atol=1e-10, rtol=0)


def test_the_original_is_left_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = copy.deepcopy(module.state_dict())
    prepare(module, torch.bfloat16)
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_the_copy_is_frozen_in_its_precision_and_channels_last() -> None:
    prepared = prepare(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), torch.bfloat16)
    weight = prepared.get_submodule("0").weight
    assert isinstance(weight, torch.Tensor)
    assert (weight.dtype, weight.requires_grad, prepared.training) == (torch.bfloat16, False, False)
    assert weight.is_contiguous(memory_format=torch.channels_last)


class Residual(nn.Module):
    """A Sequential of which the parts are run one by one, so that folding would change the sum."""

    def __init__(self, two: bool = False) -> None:
        super().__init__()
        self.b, self.two = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), two

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        h = self.b[0](x)
        h = h + self.b[1](h)
        return (h, x) if self.two else h


def test_nothing_is_folded_when_parts_of_a_sequential_are_run_by_themselves() -> None:
    module, x = trained(Residual()), torch.randn(2, 1, 6, 6, dtype=torch.float64)
    prepared = prepare(module, torch.float64, example=x)
    assert norms(prepared) == 1
    torch.testing.assert_close(prepared(x), module(x), atol=1e-10, rtol=0)


def test_fresh_statistics_do_not_hide_the_difference() -> None:
    module, x = Residual().eval(), torch.randn(2, 1, 6, 6)
    assert norms(prepare(module, example=x)) == 1


def test_an_example_that_agrees_leaves_the_folding() -> None:
    module, shape = CASES["convolution"]
    assert norms(prepare(trained(module), example=torch.randn(shape))) == 0


def test_what_is_read_is_what_is_compared() -> None:
    module, x = trained(Residual(two=True)), torch.randn(2, 1, 6, 6, dtype=torch.float64)
    prepared = prepare(module, torch.float64, example=x, read=lambda network: Readout(network, "b.1", 0))
    assert norms(prepared) == 0
    torch.testing.assert_close(Readout(prepared, "b.1", 0)(x), Readout(module, "b.1", 0)(x), atol=1e-10, rtol=0)


def test_a_network_that_runs_in_one_precision_only_is_not_folded() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(x.float())

    x = torch.randn(2, 1, 6, 6)
    module = Single().eval()
    prepared = prepare(module, example=x)
    assert norms(prepared) == 1
    torch.testing.assert_close(prepared(x), module(x))


def test_one_beside_another_computes_the_same_with_buffers_of_its_own() -> None:
    network = prepare(trained(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 3))))
    other, x = beside(network), torch.randn(2, 2, 4)
    assert torch.equal(network(x), other(x))
    for mine, theirs in zip(network.buffers(), other.buffers(), strict=True):
        assert mine.data_ptr() != theirs.data_ptr()
