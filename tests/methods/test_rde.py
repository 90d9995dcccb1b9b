"""Rate-distortion explanations against a slow, obvious loop; against finite differences; and on planted features."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.errors import InputError
from raysweep.methods.components import Components, channels, elements
from raysweep.methods.fills import Constant, Gaussian
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.method import Rows, State
from raysweep.methods.noise import fresh_normal, fresh_uniform
from raysweep.methods.rde import RateDistortion

SHAPE = (2, 6)
CONFIG = {"lr": 0.05, "sparsity_weight": 0.02, "temperature": 0.3, "initial_mask": 0.6, "noise_samples": 3}


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 3))
    return net.double().eval().requires_grad_(False)


def samples(count: int) -> Tensor:
    return torch.randn(count, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def each_for_itself(count: int) -> Explained:
    units = torch.arange(count) % 3
    return Explained(samples(count), torch.arange(count), torch.ones(count, dtype=torch.int64), units)


def method(mask: Any = "concrete", explained: Explained | None = None, **changes: Any) -> RateDistortion:
    parts: dict[str, Any] = {
        "scores": network(),
        "fill": Gaussian(*torch.tensor([0.1, 0.7], dtype=torch.float64)[:, None, None].expand(2, *SHAPE)),
        "explained": explained or each_for_itself(5),
        "components": Components(elements(SHAPE), SHAPE),
        "dtype": torch.float64,
    }
    return RateDistortion(Masking(**(parts | changes)), mask)


def advance(one: RateDistortion, config: dict[str, float], to: int, examples: range, slots: int = 4) -> State:
    found: list[State | Exception] = []
    engine = Engine([one], slots)
    engine.advance("a", config, 7, examples, to, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def slow_rde(mask: str, example: int, config: dict[str, float], steps: int) -> Tensor:
    """One example, one noise sample, one component at a time, with torch's own Adam, as the paper's users write it."""
    phi, x, unit = network(), samples(5)[example], example % 3
    first = config["initial_mask"]
    params = torch.full((12,), first, dtype=torch.float64)
    params = (torch.logit(params) if mask == "concrete" else params).requires_grad_()
    optimiser = torch.optim.Adam([params], lr=config["lr"])
    for step in range(steps):
        total = torch.zeros((), dtype=torch.float64)
        for draw in range(int(config["noise_samples"])):
            key = tuple(torch.tensor([number]) for number in (7, example, step, draw))
            u = fresh_uniform(key, 12, stream="mask")[0].double()
            n = 0.1 + 0.7 * fresh_normal(key, 12, stream="fill")[0].double()
            z = []
            for i in range(12):
                s = params[i]
                if mask == "concrete":
                    s = torch.sigmoid((params[i] + torch.log(u[i] / (1 - u[i]))) / config["temperature"])
                z.append(x.flatten()[i] * s + n[i] * (1 - s))
                total = total + config["sparsity_weight"] * s
            scores = phi(torch.stack(z).view(1, *SHAPE))[0], phi(x[None])[0]
            total = total + 0.5 * (scores[1][unit] - scores[0][unit]) ** 2
        optimiser.zero_grad()
        (total / config["noise_samples"]).backward()
        optimiser.step()
        if mask == "relaxed":
            params.data.clamp_(0, 1)
    return params.detach()


@pytest.mark.parametrize("mask", ["concrete", "relaxed"])
@pytest.mark.parametrize("draws", [1, 3])
def test_fused_rows_equal_the_slow_loop_in_float64(mask: Any, draws: int) -> None:
    config = CONFIG | {"noise_samples": draws}
    state = advance(method(mask), config, 25, range(5))
    for example in range(5):
        torch.testing.assert_close(state["params"][example], slow_rde(mask, example, config, 25), rtol=0, atol=1e-10)


def test_rows_of_different_draws_share_a_lane_and_stay_what_they_are_alone() -> None:
    configs = {"few": CONFIG | {"noise_samples": 2}, "many": CONFIG | {"noise_samples": 5, "lr": 0.01}}
    found: dict[str, Any] = {}
    engine = Engine([method()], 8)
    for name, config in configs.items():
        engine.advance(name, config, 7, range(4), 9, lambda state, name=name: found.update({name: state}))
    engine.run()
    for name, config in configs.items():
        alone = advance(method(), config, 9, range(4))
        torch.testing.assert_close(found[name]["params"], alone["params"], rtol=0, atol=1e-10)
        torch.testing.assert_close(kept(found[name])["distortion"], kept(alone)["distortion"], rtol=0, atol=1e-10)


class BreaksOnce(nn.Module):
    """A network whose n-th pass raises."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.net, self.passes, self.at = network(), 0, at

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        if self.passes == self.at:
            raise RuntimeError("a cosmic ray")
        return self.net(x)


def test_a_step_that_is_interrupted_between_two_draws_is_made_again() -> None:
    found: dict[str, Any] = {}
    engine = Engine([method(scores=BreaksOnce(at=1 + 3 + 2))], 8)  # Φ(x); a step of three draws; in the middle of one
    configs = {"a": CONFIG, "b": CONFIG | {"lr": 0.01}}
    for name, config in configs.items():
        engine.advance(name, config, 7, range(3), 4, lambda state, name=name: found.update({name: state}))
    engine.run()
    for name, config in configs.items():
        expected = advance(method(), config, 4, range(3))
        torch.testing.assert_close(found[name]["params"], expected["params"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("mask", ["concrete", "relaxed"])
def test_the_gradient_is_that_of_finite_differences(mask: Any) -> None:
    one = method(mask)
    rows = Rows.of(7, range(5), CONFIG)
    params = (one.start(rows) + 0.1 * torch.linspace(-1, 1, 12, dtype=torch.float64)).requires_grad_()
    (gradient,) = torch.autograd.grad(one.loss(params, rows).total.sum(), params)
    tiny = 1e-6
    for i in range(12):
        up, down = params.detach().clone(), params.detach().clone()
        up[:, i] += tiny
        down[:, i] -= tiny
        slope = (one.loss(up, rows).total - one.loss(down, rows).total) / (2 * tiny)
        torch.testing.assert_close(gradient[:, i], slope, rtol=1e-5, atol=1e-7)


class Reads(nn.Module):
    """A classifier that provably reads three numbers of a sample, and nothing else."""

    PLACES = (1, 4, 9)

    def forward(self, x: Tensor) -> Tensor:
        read = x.flatten(1)[:, self.PLACES]
        return torch.stack([5 * read.sum(dim=1), torch.zeros(len(x), dtype=x.dtype)], dim=1)


def planted(count: int) -> Explained:
    x = 1 + samples(count).abs()
    one = torch.ones(count, dtype=torch.int64)
    return Explained(x, torch.arange(count), one, 0 * one)


@pytest.mark.parametrize("mask", ["concrete", "relaxed"])
def test_exactly_the_components_that_the_classifier_reads_are_found(mask: Any) -> None:
    one = method(mask, planted(4), scores=Reads(), fill=Constant(torch.zeros(SHAPE)))
    state = advance(one, CONFIG | {"sparsity_weight": 0.5}, 300, range(4))
    found = kept(state)["mask"] > 0.5
    assert [row.nonzero().flatten().tolist() for row in found] == [list(Reads.PLACES)] * 4


def test_a_mask_of_a_class_is_for_all_of_its_samples() -> None:
    """Two samples that need one component each, of which a mask for one sample would keep only one."""

    class ReadsEither(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 5 * (x[:, 0, 0] + x[:, 0, 1])[:, None]

    x = torch.zeros(2, *SHAPE, dtype=torch.float64)
    x[0, 0, 0] = x[1, 0, 1] = 1
    ones, zeros = torch.ones(2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    parts: dict[str, Any] = {"scores": ReadsEither(), "fill": Constant(torch.zeros(SHAPE))}
    of_all = method("concrete", Explained(x, zeros[:1], 2 * ones[:1], zeros), **parts)
    of_each = method("concrete", Explained(x, torch.arange(2), ones, zeros), **parts)
    config = CONFIG | {"sparsity_weight": 0.5, "noise_samples": 8}
    found = kept(advance(of_all, config, 300, range(1)))["mask"] > 0.5
    assert found.nonzero()[:, 1].tolist() == [0, 1]
    alone = kept(advance(of_each, config, 300, range(2)))["mask"] > 0.5
    assert alone.nonzero().tolist() == [[0, 0], [1, 1]]


def test_the_mask_of_channels_weighs_whole_channels() -> None:
    components = Components(channels(SHAPE), SHAPE)
    one = method("relaxed", components=components)
    state = advance(one, CONFIG, 3, range(5))
    assert state["params"].shape == (5, 2)


def test_components_that_a_sample_does_not_have_cost_nothing() -> None:
    labels = torch.stack([elements(SHAPE), torch.zeros(SHAPE, dtype=torch.int64)])
    one = method("relaxed", planted(2), components=Components(labels, SHAPE))
    loss = one.loss(torch.full((2, 12), 0.5, dtype=torch.float64), Rows.of(7, range(2), CONFIG))
    assert loss.seen["rate"].tolist() == [6.0, 0.5]


def test_a_mask_stays_where_a_gradient_leads_back_from() -> None:
    one = method("concrete", planted(4), scores=Reads(), fill=Constant(torch.zeros(SHAPE)))
    state = advance(one, CONFIG | {"sparsity_weight": 50.0, "lr": 2.0}, 60, range(4))
    assert float(state["params"].abs().max()) <= 7.0
    assert float(kept(state)["mask"].min()) > 0


def test_what_is_painted_depends_on_the_rounded_mask_alone() -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, x: Tensor, mask: Tensor, noise: Any, sample: Tensor) -> Tensor:
            seen.append(mask)
            return 0 * x

    one = method("relaxed", fill=Watching())
    rows = Rows.of(7, range(5), CONFIG)
    one.loss(torch.linspace(0.01, 0.99, 12, dtype=torch.float64).expand(5, -1), rows)
    assert not seen[0].requires_grad
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}


def test_an_unknown_kind_of_mask_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"method\.mask.*relaxd.*relaxed"):
        method("relaxd")
