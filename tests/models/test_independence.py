"""Networks that couple rows, or draw noise of their own, are refused by the name of the part that does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.independence import check_rows_independent
from raysweep.models.readout import Readout


def net(norm: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


def refusal(module: nn.Module) -> str:
    with pytest.raises(InputError) as caught:
        check_rows_independent(module, torch.rand(2, 1, 8, 8), key="models.classifier")
    return str(caught.value)


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4), nn.Dropout()])
def test_norms_over_a_row_and_running_statistics_pass_in_eval_mode(norm: nn.Module) -> None:
    module = net(norm).eval()
    check_rows_independent(module, torch.rand(2, 1, 8, 8))
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.parametrize(
    "module", [net(nn.BatchNorm2d(4)).train(), net(nn.BatchNorm2d(4, track_running_stats=False)).eval()]
)
def test_batch_statistics_are_refused_by_the_name_of_the_norm(module: nn.Module) -> None:
    message = refusal(module)
    assert message.startswith("models.classifier: a network's output for one row must not depend on the other rows")
    assert "(found '1: BatchNorm2d(4" in message


def test_noise_is_refused_by_the_name_of_its_layer() -> None:
    message = refusal(net(nn.Dropout()).train())
    assert "same output for the same input (found '1: Dropout(p=0.5" in message


def test_coupling_outside_any_layer_is_refused_by_the_network_s_name() -> None:
    class Centred(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean(0)

    assert "(found 'Centred')" in refusal(Centred())


class Both(nn.Module):
    """Logits and, beside them, features of which the first is noise."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.noise = nn.Linear(64, 2), nn.Dropout()
        self.noise.train()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.fc(x), self.noise(x)


def test_of_a_network_with_several_outputs_what_is_read_counts() -> None:
    x = torch.rand(2, 64)
    check_rows_independent(Readout(Both(), "fc", 0), x)
    with pytest.raises(InputError, match="same output for the same input \\(found 'noise: Dropout"):
        check_rows_independent(Readout(Both(), "noise"), x)


def test_inputs_are_brought_into_the_network_s_precision() -> None:
    check_rows_independent(net(nn.BatchNorm2d(4)).double().eval(), torch.rand(2, 1, 8, 8))
