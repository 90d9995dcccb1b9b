"""Captum's attributions, in lanes, against slow loops of a few lines each."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.methods.captum import CaptumAttribution, captum_algorithm, with_relus
from raysweep.methods.components import Components, elements
from raysweep.methods.fills import Constant
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.method import Rows
from raysweep.models.readout import Readout

SHAPE = (1, 6, 6)
UNIT = torch.tensor([0, 2, 1])


def test_without_captum_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(InputError, match=r"needs Captum.*raysweep\[captum\]"):
        captum_algorithm("saliency", nn.Identity())


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, 2, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(27, 3))
    return net.double().eval().requires_grad_(False)


def samples() -> Tensor:
    return torch.randn(3, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def heat(algorithm: str, *settings: dict[str, float], baseline: float = 0.0) -> Tensor:
    """Heat maps of the three samples, with settings that differ by row where there are several."""
    explained = Explained(samples(), torch.arange(3), torch.ones(3, dtype=torch.int64), UNIT)
    components = Components(elements(SHAPE), SHAPE)
    masking = Masking(Readout(network()), Constant(torch.zeros(())), explained, components, dtype=torch.float64)
    method = CaptumAttribution(masking, algorithm, baseline)
    each: list[Any] = [method.complete(one) for one in settings or ({},)]
    rows = Rows.of(0, range(3), each[0])
    for row, values in enumerate(each):
        for name, value in values.items():
            rows.values[name][row] = value
    found, response = method.heat(samples(), UNIT, rows)
    torch.testing.assert_close(response, network()(samples()).gather(1, UNIT[:, None])[:, 0])
    return found


def slope(x: Tensor, unit: int) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(network()(leaf[None])[0, unit], leaf)[0]


def test_saliency_is_the_slope() -> None:
    wanted = torch.stack([slope(x, int(unit)) for x, unit in zip(samples(), UNIT, strict=True)])
    torch.testing.assert_close(heat("saliency"), wanted)


def test_integrated_gradients_account_for_the_difference_to_the_baseline() -> None:
    found = heat("integrated_gradients", {"path_steps": 200}, baseline=0.3)
    start = network()(torch.full((3, *SHAPE), 0.3, dtype=torch.float64))
    rise = (network()(samples()) - start).gather(1, UNIT[:, None])[:, 0]
    torch.testing.assert_close(found.flatten(1).sum(dim=1), rise, rtol=1e-2, atol=1e-3)


def test_rows_of_a_lane_have_settings_of_their_own() -> None:
    mixed = heat("occlusion", {"window": 2}, {"window": 3, "stride": 1}, {"window": 2})
    alike = heat("occlusion", *[{"window": 2.0}] * 3)
    other = heat("occlusion", *[{"window": 3.0, "stride": 1.0}] * 3)
    torch.testing.assert_close(mixed, torch.stack([alike[0], other[1], alike[2]]))
    assert not torch.equal(alike[1], other[1])


def test_occlusion_is_the_drop_under_a_window_that_moves() -> None:
    found = heat("occlusion", {"window": 2, "stride": 2}, baseline=0.5)
    for row, (x, unit) in enumerate(zip(samples(), UNIT.tolist(), strict=True)):
        for top in range(0, 6, 2):
            for left in range(0, 6, 2):
                hidden = x.clone()
                hidden[:, top : top + 2, left : left + 2] = 0.5
                drop = network()(x[None])[0, unit] - network()(hidden[None])[0, unit]
                torch.testing.assert_close(found[row, 0, top : top + 2, left : left + 2], drop.expand(2, 2))


def test_guided_backprop_stops_what_speaks_against() -> None:
    first, _, _, last = network()
    for row, (x, unit) in enumerate(zip(samples(), UNIT.tolist(), strict=True)):
        hidden = first(x[None])
        up = last.weight[unit].view_as(hidden) * (hidden > 0)
        wanted = torch.nn.functional.conv_transpose2d(up.clamp_min(0), first.weight, None, 2, 1, output_padding=1)
        torch.testing.assert_close(heat("guided_backprop")[row], wanted[0])


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
def test_guided_backprop_goes_through_relu6_as_through_a_relu_that_ends_at_6() -> None:
    pytest.importorskip("captum")
    torch.manual_seed(1)
    first, last = nn.Linear(5, 8).double(), nn.Linear(8, 2).double()
    net = nn.Sequential(first, nn.ReLU6(), last).eval().requires_grad_(False)
    x = 20 * torch.randn(4, 5, dtype=torch.float64)
    hidden = first(x)
    assert (hidden > 6).any()
    with_relus(net)
    up = (last.weight[1] * ((hidden > 0) & (hidden < 6))).clamp_min(0)
    found = captum_algorithm("guided_backprop", net)(x.requires_grad_(), target=1)
    torch.testing.assert_close(found, up @ first.weight)


def test_a_network_that_guided_backprop_finds_no_relu_in_is_refused() -> None:
    with pytest.raises(InputError, match="must have ReLU or ReLU6 modules"):
        with_relus(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
    net = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU6()))
    x = 5 * torch.randn(9, 2)
    before = net(x)
    with_relus(net)
    assert torch.equal(net(x), before)
