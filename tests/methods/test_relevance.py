"""LRP through whole networks against a slow loop over single neurons, on inputs and weights of both signs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.data.load import load_data
from raysweep.errors import InputError
from raysweep.methods.relevance import BIASES, COMPOSITES, RelevanceNetwork, composite_of
from raysweep.models.load import load_model
from raysweep.models.model import ModelSource
from raysweep.models.prepare import prepare
from raysweep.models.readout import Readout
from tests.methods.slow_lrp import Stage, slow_lrp

VALUES = {"alpha": 2.0, "epsilon": 0.05, "gamma": 0.3}
BOUNDS = (-4.0, 4.0)


class Residual(nn.Module):
    """A sum that is no module, a functional ReLU, and a shortcut."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.one = nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=bias)
        self.two = nn.Conv2d(3, 3, 3, padding=1, bias=bias)
        self.shortcut = nn.Conv2d(2, 3, 1, stride=2, bias=bias)
        self.head = nn.Linear(3, 4, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.one(x))
        y = self.two(y)
        y += self.shortcut(x)
        y = torch.relu(y)
        return self.head((y + self.two(y)).mean(dim=(2, 3)))


def seeded(net: nn.Module) -> Any:
    """Weights and biases of both signs."""
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        parameter.data = 0.6 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return net.double().eval().requires_grad_(False)


def samples(*shape: int, count: int = 3) -> Tensor:
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def values(count: int, **changes: float) -> dict[str, Tensor]:
    found = VALUES | changes
    return {name: torch.full((count,), value, dtype=torch.float64) for name, value in found.items()}


def chain(net: nn.Sequential, rule: str, x: Tensor, **changes: float) -> list[Stage]:
    """A sequential network for the slow loop, with one rule for all."""
    bounds = torch.full_like(x, BOUNDS[0]), torch.full_like(x, BOUNDS[1])
    told: dict[str, Any] = {**VALUES, **changes, "bounds": bounds}
    found = []
    for part in net:
        linear = isinstance(part, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.AvgPool2d, nn.BatchNorm2d))
        way = "max" if isinstance(part, nn.MaxPool2d) else "way"
        kind = "linear" if linear else way if isinstance(part, (nn.MaxPool2d, nn.Flatten)) else "elementwise"
        first = rule != "box" or not found
        found.append(Stage(kind, part, (rule if first else "alpha_beta") if linear else "", values=told))
    return found


def nets(bias: bool) -> dict[str, tuple[nn.Sequential, tuple[int, ...]]]:
    return {
        "dense": (nn.Sequential(nn.Linear(7, 6, bias), nn.ReLU(), nn.Linear(6, 4, bias)), (7,)),
        "convolution": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1, stride=2, bias=bias),
                nn.LeakyReLU(0.2),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(4, 4, bias),
            ),
            (2, 6, 6),
        ),
        "transposed": (
            nn.Sequential(
                nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=bias),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Flatten(),
                nn.Linear(36, 4, bias),
            ),
            (2, 3, 3),
        ),
    }


def composite(rule: str) -> Any:
    return COMPOSITES["alpha_beta_box" if rule == "box" else rule]


@pytest.mark.parametrize("biases", BIASES)
@pytest.mark.parametrize("rule", ["epsilon", "gamma", "alpha_beta", "z_plus", "box"])
@pytest.mark.parametrize("kind", ["dense", "convolution", "transposed"])
def test_agrees_with_a_loop_over_neurons(kind: str, rule: str, biases: str) -> None:
    net, shape = nets(bias=True)[kind]
    net, x, unit = seeded(net), samples(*shape), torch.tensor([2, 0, 3])
    fast = RelevanceNetwork(Readout(net), composite(rule), x[:2], biases, BOUNDS)
    found, response = fast.relevance(x, unit, values(3))
    torch.testing.assert_close(response, net(x)[torch.arange(3), unit])
    for row in range(2):
        top = torch.zeros(4, dtype=torch.float64)
        top[unit[row]] = response[row]
        slow = slow_lrp(chain(net, rule, x[row]), x[row], top, biases)
        torch.testing.assert_close(found[row], slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("biases", BIASES)
@pytest.mark.parametrize("rule", ["epsilon", "gamma", "alpha_beta", "z_plus"])
def test_agrees_with_the_loop_where_branches_meet(rule: str, biases: str) -> None:
    net, x = seeded(Residual(bias=True)), samples(2, 6, 6, count=2)
    found, response = RelevanceNetwork(Readout(net), composite(rule), x, biases).relevance(
        x, torch.tensor([1, 3]), values(2)
    )
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def linear(module: nn.Module) -> Stage:
        return Stage("linear", module, rule, values=VALUES)

    relu = Stage("elementwise", nn.ReLU())
    stages = [
        Stage("residual", rule=rule, values=VALUES, branches=(
            (linear(net.one), relu, linear(net.two)), (linear(net.shortcut),),
        )),
        relu,
        Stage("residual", rule=rule, values=VALUES, branches=((), (linear(net.two),))),
        linear(pool),
        linear(net.head),
    ]  # fmt: skip
    for row, unit in enumerate((1, 3)):
        top = torch.zeros(4, dtype=torch.float64)
        top[unit] = response[row]
        torch.testing.assert_close(found[row], slow_lrp(stages, x[row], top, biases), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", list(COMPOSITES))
@pytest.mark.parametrize("kind", ["dense", "convolution", "transposed", "residual"])
def test_relevance_is_conserved_without_biases(kind: str, name: str) -> None:
    net, shape = (Residual(bias=False), (2, 6, 6)) if kind == "residual" else nets(bias=False)[kind]
    net, x = seeded(net), samples(*shape)
    network = RelevanceNetwork(Readout(net), COMPOSITES[name], x[:2], bounds=BOUNDS)
    for alpha in (1.0, 2.0, 3.0):
        found, response = network.relevance(x, torch.tensor([0, 1, 2]), values(3, alpha=alpha, epsilon=0.0))
        torch.testing.assert_close(found.flatten(1).sum(dim=1), response, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", list(COMPOSITES))
def test_biases_that_are_ignored_or_spread_lose_no_relevance(name: str) -> None:
    net, x = seeded(Residual(bias=True)), samples(2, 6, 6)
    for biases in ("ignore", "spread"):
        network = RelevanceNetwork(Readout(net), COMPOSITES[name], x[:2], biases, BOUNDS)
        found, response = network.relevance(x, torch.tensor([0, 1, 2]), values(3, epsilon=0.0))
        torch.testing.assert_close(found.flatten(1).sum(dim=1), response, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("source", ["zoo://fashion/classifier", "zoo://fashion/judge"])
def test_relevance_of_the_zoos_classifiers_is_their_score_in_float32(source: str) -> None:
    x = torch.from_numpy(load_data("zoo://fashion/test").x[:4])
    readout = Readout(prepare(load_model(ModelSource(source), key="models.classifier").module, example=x[:2]))
    unit = readout(x).argmax(dim=1)
    for alpha in (1.0, 2.0, 3.0):
        network = RelevanceNetwork(readout, COMPOSITES["alpha_beta"], x[:2], "ignore")
        found, response = network.relevance(x, unit, {"alpha": torch.full((4,), alpha)})
        torch.testing.assert_close(found.flatten(1).sum(dim=1), response, rtol=1e-4, atol=0)
        assert (found < 0).any() == (alpha > 1)


def test_rows_have_values_of_their_own() -> None:
    net, shape = nets(bias=True)["convolution"]
    net, x = seeded(net), samples(*shape)
    network = RelevanceNetwork(Readout(net), COMPOSITES["epsilon_alpha_beta"], x[:2])
    mixed = {name: torch.tensor(each, dtype=torch.float64) for name, each in
             {"alpha": [1.0, 2.0, 3.0], "epsilon": [0.1, 0.0, 1.0]}.items()}  # fmt: skip
    unit = torch.tensor([0, 1, 2])
    together, _ = network.relevance(x, unit, mixed)
    for row in range(3):
        own = {name: each[row : row + 1] for name, each in mixed.items()}
        alone, _ = network.relevance(x[row : row + 1], unit[row : row + 1], own)
        torch.testing.assert_close(together[row], alone[0], rtol=1e-10, atol=1e-12)


def test_batch_norm_is_merged_wherever_it_follows_a_layer_with_weights() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3)
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(self.norm(self.conv(x))))

    net = seeded(Normed())
    net.norm.running_mean.copy_(torch.tensor([0.3, -0.2, 0.1]))
    net.norm.running_var.copy_(torch.tensor([0.5, 2.0, 1.5]))
    x = samples(2, 4, 4)
    merged = nn.Sequential(torch.nn.utils.fusion.fuse_conv_bn_eval(net.conv, net.norm), nn.ReLU(), *net.head).eval()
    unit = torch.tensor([0, 1, 1])
    found, _ = RelevanceNetwork(Readout(net), COMPOSITES["alpha_beta"], x).relevance(x, unit, values(3))
    wanted, _ = RelevanceNetwork(Readout(merged), COMPOSITES["alpha_beta"], x).relevance(x, unit, values(3))
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


def test_batch_norm_before_a_layer_is_a_layer_of_its_own() -> None:
    net = seeded(nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4)))
    x = samples(2, 4, 4)
    found, response = RelevanceNetwork(Readout(net), COMPOSITES["alpha_beta"], x).relevance(
        x, torch.tensor([0, 1, 2]), values(3)
    )
    top = torch.zeros(4, dtype=torch.float64)
    top[0] = response[0]
    torch.testing.assert_close(found[0], slow_lrp(chain(net, "alpha_beta", x[0]), x[0], top, "absorb"))


def test_a_unit_of_any_layer_can_be_explained() -> None:
    net, shape = nets(bias=True)["convolution"]
    net, x = seeded(net), samples(*shape)
    found, response = RelevanceNetwork(Readout(net, "1"), COMPOSITES["epsilon"], x).relevance(
        x, torch.tensor([3, 0, 1]), values(3, epsilon=0.0)
    )
    maps = net[1](net[0](x))
    torch.testing.assert_close(response, maps.mean(dim=(2, 3))[torch.arange(3), torch.tensor([3, 0, 1])])
    top = torch.zeros_like(maps[0])
    top[3] = maps[0, 3] / maps[0, 3].numel()
    slow = slow_lrp(chain(net, "epsilon", x[0], epsilon=0.0)[:2], x[0], top, "absorb")
    torch.testing.assert_close(found[0], slow, rtol=1e-9, atol=1e-12)


def test_the_box_of_the_first_layer_goes_through_what_standardises() -> None:
    class Standardised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.body((x - 0.3) / -0.5)

    net, x = seeded(Standardised()), samples(5).sigmoid()
    found, response = RelevanceNetwork(Readout(net), COMPOSITES["alpha_beta_box"], x, bounds=(0, 1)).relevance(
        x, torch.tensor([0, 1, 2]), values(3)
    )
    stages = chain(net.body, "box", x[0])
    told = {**VALUES, "bounds": (torch.full_like(x[0], (1 - 0.3) / -0.5), torch.full_like(x[0], 0.3 / 0.5))}
    stages[0] = Stage("linear", net.body[0], "box", values=told)
    top = torch.tensor([float(response[0]), 0, 0], dtype=torch.float64)
    torch.testing.assert_close(found[0], slow_lrp(stages, (x[0] - 0.3) / -0.5, top, "absorb"), rtol=1e-9, atol=1e-12)


def test_the_first_entry_of_a_composite_that_fits_a_layer_counts() -> None:
    net, shape = nets(bias=True)["convolution"]
    ordered = composite_of([{"first": "z_plus"}, {"4": "gamma"}, {"dense": "epsilon"}, {"any": "alpha_beta"}])
    network = RelevanceNetwork(Readout(seeded(net)), ordered, samples(*shape))
    assert {network.places[node].path: rule for node, rule in network.rules.items()} == {"0": "z_plus", "4": "gamma"}


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(x) * x


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


BAD: list[tuple[nn.Module, str]] = [
    (nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.LayerNorm(4))), "LayerNorm at '1.0'.*Supported: Linear"),
    (nn.Sequential(nn.Linear(4, 4), Gated()), "mul of 2 .* at '1'.*Supported: Linear"),
    (nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=1)), "Softmax at '1'.*Supported"),
    (Branching(), "torch.fx can trace.*Branching"),
]


@pytest.mark.parametrize(("net", "message"), BAD)
def test_what_lrp_has_no_rule_for_is_named(net: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RelevanceNetwork(Readout(seeded(net)), COMPOSITES["epsilon"], samples(4))


def test_a_network_in_train_mode_is_refused() -> None:
    with pytest.raises(InputError, match="must be in eval mode"):
        RelevanceNetwork(Readout(seeded(nn.Linear(4, 2)).train()), COMPOSITES["epsilon"], samples(4))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("epsilon_alpha", "no such composite.*epsilon_alpha_beta"),
        ([{"dense": "epsilon"}], "must end with"),
        ([{"dense": "epsilom"}, {"any": "epsilon"}], "no such rule.*epsilon"),
        ([{"any": "box"}], "must be first with box"),
        ([{"dense": "epsilon", "any": "epsilon"}], "must be one"),
    ],
)
def test_a_composite_that_is_none_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        composite_of(given)


def test_a_path_that_no_layer_has_is_refused_with_the_paths_there_are() -> None:
    net, shape = nets(bias=True)["convolution"]
    with pytest.raises(InputError, match=r"must fit a linear layer.*Layers: dense.*0, 4"):
        RelevanceNetwork(Readout(seeded(net)), composite_of([{"feat*": "gamma"}, {"any": "epsilon"}]), samples(*shape))


def test_box_without_bounds_is_refused() -> None:
    net, shape = nets(bias=True)["dense"]
    with pytest.raises(InputError, match="needs the least and the greatest input"):
        RelevanceNetwork(Readout(seeded(net)), COMPOSITES["alpha_beta_box"], samples(*shape))
