"""Matching pursuit against a slow loop that tries one mask at a time, and on planted features."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.methods.components import Components, elements
from raysweep.methods.fills import Constant, Gaussian
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.method import State
from raysweep.methods.noise import fresh_normal
from raysweep.methods.pursuit import MatchingPursuit

SHAPE = (2, 4)
CONFIG = {"noise_samples": 3.0, "tolerance": 0.0}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3)).double().requires_grad_(False)


def samples(count: int) -> Tensor:
    return torch.randn(count, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def method(width: int = 5, count: int = 3, **changes: Any) -> MatchingPursuit:
    index, ones = torch.arange(count), torch.ones(count, dtype=torch.int64)
    spread = torch.tensor([0.1, 0.7], dtype=torch.float64)[:, None, None].expand(2, *SHAPE)
    parts: dict[str, Any] = {
        "scores": network(),
        "fill": Gaussian(*spread),
        "explained": Explained(samples(count), index, ones, index % 3),
        "components": Components(elements(SHAPE), SHAPE),
        "dtype": torch.float64,
    }
    return MatchingPursuit(Masking(**(parts | changes)), width)


def advance(one: MatchingPursuit, config: dict[str, float], to: int, examples: range, slots: int = 2) -> State:
    found: list[State | Exception] = []
    engine = Engine([one], slots)
    engine.advance("a", config, 7, examples, to, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return found[0]


def slow_pursuit(example: int, steps: int, noises: int) -> tuple[list[int], list[float]]:
    """The components in the order of choice, and the distortion with none, one, two … of them."""
    phi, x = network(), samples(3)[example].flatten()
    chosen: list[int] = []
    trace: list[float] = []

    def distortion(mask: list[int], step: int) -> float:
        total = 0.0
        for noise in range(noises):
            key = tuple(torch.tensor([number]) for number in (7, example, step, noise))
            fill = 0.1 + 0.7 * fresh_normal(key, 8, stream="fill")[0].double()
            z = torch.stack([x[i] if i in mask else fill[i] for i in range(8)])
            change = phi(x.view(1, *SHAPE))[0, example % 3] - phi(z.view(1, *SHAPE))[0, example % 3]
            total += 0.5 * float(change) ** 2
        return total / noises

    for step in range(steps):
        tried = {i: distortion([*chosen, i], step) for i in range(8) if i not in chosen}
        trace.append(distortion(chosen, step))
        chosen.append(min(tried, key=lambda i: tried[i]))
    return chosen, [*trace, tried[chosen[-1]]]


@pytest.mark.parametrize("width", [1, 5, 64])
def test_batched_candidates_choose_what_one_at_a_time_chooses(width: int) -> None:
    state = advance(method(width), CONFIG, 4, range(3))
    for example in range(3):
        chosen, trace = slow_pursuit(example, 4, 3)
        importance = state["params"][example]
        assert importance.argsort(descending=True)[:4].tolist() == chosen
        assert sorted(importance.unique().tolist()) == pytest.approx([0, 5 / 8, 6 / 8, 7 / 8, 1])
        np.testing.assert_allclose(kept(state)["trace"][example, :5], trace, rtol=1e-10)


def test_rows_of_different_noise_share_a_lane_and_stay_what_they_are_alone() -> None:
    configs = {"few": CONFIG | {"noise_samples": 1.0}, "many": CONFIG | {"noise_samples": 4.0}}
    found: dict[str, Any] = {}
    engine = Engine([method()], 6)
    for name, config in configs.items():
        engine.advance(name, config, 7, range(3), 3, lambda state, name=name: found.update({name: state}))  # type: ignore[misc]
    engine.run()
    for name, config in configs.items():
        alone = advance(method(), config, 3, range(3))
        assert torch.equal(found[name]["params"], alone["params"])
        torch.testing.assert_close(found[name]["kept.trace"], alone["kept.trace"], rtol=0, atol=1e-12)


def test_more_steps_go_on_from_fewer() -> None:
    engine, found = Engine([method()], 4), dict[int, Any]()
    for to in (2, 5):
        engine.advance("a", CONFIG, 7, range(3), to, lambda state, to=to: found.update({to: state}))  # type: ignore[misc]
    engine.run()
    assert (found[2]["params"] > 0).sum(dim=1).tolist() == [2] * 3
    assert torch.equal(found[5]["params"], advance(method(), CONFIG, 5, range(3), slots=4)["params"])


class Reads(nn.Module):
    """A network that provably reads three numbers, the first most, and nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return (4 * flat[:, 6] + 2 * flat[:, 1] + flat[:, 3])[:, None].expand(-1, 3)


def planted(**changes: Any) -> MatchingPursuit:
    ones = torch.ones(2, dtype=torch.int64)
    explained = Explained(torch.ones(2, *SHAPE, dtype=torch.float64), torch.arange(2), ones, 0 * ones)
    return method(scores=Reads(), fill=Constant(torch.zeros(SHAPE)), explained=explained, **changes)


def test_exactly_the_components_that_the_network_reads_are_chosen_first_and_in_their_order() -> None:
    state = advance(planted(), CONFIG | {"noise_samples": 1.0}, 3, range(2))
    assert state["params"].argsort(dim=1, descending=True)[:, :3].tolist() == [[6, 1, 3]] * 2
    np.testing.assert_allclose(kept(state)["trace"][:, :4], [[24.5, 4.5, 0.5, 0.0]] * 2, atol=1e-12)


def test_nothing_is_added_once_the_distortion_is_within_the_tolerance() -> None:
    state = advance(planted(), {"noise_samples": 1.0, "tolerance": 0.5}, 6, range(2))
    assert [row.nonzero().flatten().tolist() for row in state["params"]] == [[1, 6]] * 2
    assert kept(state)["distortion"].tolist() == [0.5, 0.5]
    assert kept(state)["trace"][0].tolist() == [24.5, 4.5, 0.5] + [0.0] * 6


def test_a_pursuit_that_has_every_component_ends() -> None:
    state = advance(method(), CONFIG | {"noise_samples": 1.0}, 11, range(3))
    assert (state["params"] > 0).all()
    assert kept(state)["distortion"].tolist() == pytest.approx([0.0] * 3, abs=1e-20)


def test_components_that_a_sample_does_not_have_are_never_chosen() -> None:
    labels = torch.stack([torch.tensor([[0, 0, 1, 1], [2, 2, 3, 3]]), torch.tensor([[0, 0, 0, 0], [3, 3, 3, 3]])])
    one = planted(components=Components(labels, SHAPE))
    state = advance(one, CONFIG | {"noise_samples": 1.0}, 4, range(2))
    assert [row.nonzero().flatten().tolist() for row in state["params"]][1] == [0, 3]
    assert sorted(state["params"][1].tolist()) == [0, 0, 0.5, 1]  # importance is of the two that it has
    assert bool(state["ended"][1])


def test_the_estimate_counts_every_turn_that_a_pursuit_takes() -> None:
    one = method(width=5)
    engine = Engine([one], 1)
    engine.advance("a", CONFIG, 7, range(1), 4, lambda state: None)
    engine.run()
    assert engine.row_steps == one.turns(CONFIG, 4)
    assert all(fewer < more for fewer, more in pairwise(one.turns(CONFIG, steps) for steps in range(1, 8)))
