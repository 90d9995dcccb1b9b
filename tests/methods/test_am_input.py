"""Activation maximisation in input space, with and without an expert, against plain torch.optim.Adam on one input."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.methods.am_expert import ExpertMaximisation
from raysweep.methods.am_input import InputMaximisation
from raysweep.methods.method import Rows
from raysweep.methods.noise import normal
from raysweep.methods.row_method import RowMethod
from raysweep.methods.smoothness import moved, total_variation

SHAPE, UNIT, SEED = (1, 5, 6), 2, 7


def classifier() -> nn.Module:
    """[B, 1, 5, 6] -> scores [B, 4]."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(36, 4))
    return net.double().requires_grad_(False)


class Bump(nn.Module):
    """log p(x) of a density with its only mode at 0.3 everywhere, [B]."""

    def forward(self, x: Tensor) -> Tensor:
        return -(x - 0.3).pow(4).flatten(1).sum(dim=1)


def parts(**changes: Any) -> dict[str, Any]:
    mean = torch.full((1, *SHAPE), 0.5, dtype=torch.float64)
    spread = torch.full(SHAPE, 0.2, dtype=torch.float64)
    usual = {"scores": classifier(), "unit": UNIT, "first": mean, "spread": spread, "dtype": torch.float64}
    return {**usual, **changes}


def values(**changes: float) -> dict[str, float]:
    off = {"variation_weight": 0.0, "jitter": 0.0, "scale": 0.0}
    return {"lr": 0.05, "prior_weight": 0.02, **off, **changes}


def walked(method: RowMethod, steps: int, examples: range = range(3), **changes: float) -> dict[str, Tensor]:
    """The rows' state after so many steps, as a lane makes them."""
    rows = Rows.of(SEED, examples, values(**changes))
    state = method.begin(rows)
    for step in range(steps):
        now = Rows(rows.seed, rows.example, torch.full_like(rows.step, step), rows.draw, rows.values)
        state = method.turn(state, {}, now, step == 0).state
    return state


def by_hand(example: int, steps: int, penalty: Any, response: bool = False) -> Tensor:
    """One input, moved by torch's own Adam and clamped into [0, 1]."""
    net = classifier()
    noise = normal(torch.tensor([SEED]), torch.tensor([example]), SHAPE, stream="input")[0]
    x = (0.5 + 0.2 * noise).clamp(0, 1).requires_grad_()
    optimiser = torch.optim.Adam([x], lr=0.05)
    for _ in range(steps):
        scores = net(x[None])[0]
        wanted = scores[UNIT] if response else scores[UNIT] - scores.exp().sum().log()
        optimiser.zero_grad()
        (penalty(x) - wanted).backward()
        optimiser.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach()


def variation_by_hand(x: Tensor) -> Tensor:
    """Every pair of neighbours, one by one."""
    image, total = x[0], torch.zeros((), dtype=x.dtype)
    for i, j in itertools.product(range(5), range(6)):
        total = total + (abs(image[i + 1, j] - image[i, j]) if i < 4 else 0)
        total = total + (abs(image[i, j + 1] - image[i, j]) if j < 5 else 0)
    return total


def test_rows_go_the_way_of_torchs_adam_on_one_input() -> None:
    found = walked(InputMaximisation(**parts(low=0.0, high=1.0)), 12)["params"]
    for example in range(3):
        expected = by_hand(example, 12, lambda x: 0.02 * (x**2).sum())
        torch.testing.assert_close(found[example], expected, rtol=0, atol=1e-12)


def test_the_response_may_be_maximised_and_total_variation_kept_low() -> None:
    method = InputMaximisation(**parts(low=0.0, high=1.0, quantity="response"))
    found = walked(method, 6, variation_weight=0.1)["params"]
    expected = by_hand(1, 6, lambda x: 0.02 * (x**2).sum() + 0.1 * variation_by_hand(x), response=True)
    torch.testing.assert_close(found[1], expected, rtol=0, atol=1e-12)


def test_an_expert_takes_the_priors_place() -> None:
    found = walked(ExpertMaximisation(expert=Bump(), **parts(low=0.0, high=1.0)), 8, prior_weight=3.0)["params"]
    expected = by_hand(2, 8, lambda x: 3 * ((x - 0.3) ** 4).sum())
    torch.testing.assert_close(found[2], expected, rtol=0, atol=1e-12)


def test_minimising_makes_the_response_low_and_keeps_the_prior_a_penalty() -> None:
    method = InputMaximisation(**parts(quantity="response", sign=-1.0))
    x = method.start(Rows.of(SEED, range(3), {}))
    loss = method.loss(x, Rows.of(SEED, range(3), values()))
    expected = classifier()(x)[:, UNIT] + 0.02 * x.square().sum((1, 2, 3))
    torch.testing.assert_close(loss.total, expected)


def test_bounds_hold_at_the_start_and_after_every_step() -> None:
    method = InputMaximisation(**parts(low=0.4, high=0.6, quantity="response"))
    for steps in range(4):
        x = walked(method, steps, lr=0.3)["params"]
        assert (float(x.min()), float(x.max())) == (0.4, 0.6)


def test_examples_start_from_samples_in_turn_without_noise() -> None:
    samples = torch.rand(2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    method = InputMaximisation(**parts(first=samples, spread=torch.zeros(SHAPE, dtype=torch.float64)))
    x = method.start(Rows.of(SEED, range(3), {}))
    assert torch.equal(x, samples[[0, 1, 0]])


def test_what_a_row_becomes_does_not_depend_on_the_rows_beside_it() -> None:
    method = InputMaximisation(**parts(low=0.0, high=1.0))
    restless = {"jitter": 2.0, "scale": 0.3, "variation_weight": 0.05}
    together = walked(method, 5, range(4), **restless)["params"]
    apart = torch.cat([walked(method, 5, range(e, e + 1), **restless)["params"] for e in range(4)])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


def test_a_row_that_stays_sees_itself_beside_one_that_moves() -> None:
    method, x = InputMaximisation(**parts()), torch.rand(2, *SHAPE, dtype=torch.float64)
    rows = Rows.of(SEED, range(2), values())
    rows.values["jitter"] = torch.tensor([0.0, 3.0], dtype=torch.float64)
    shown = method.shown(x, rows)
    assert torch.equal(shown[0], x[0])
    assert not torch.equal(shown[1], x[1])


def test_jitter_is_new_with_each_step_and_reaches_every_place_that_it_may() -> None:
    method = InputMaximisation(**parts(first=torch.zeros(1, 1, 9, 9), spread=torch.zeros(1, 9, 9)))
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[0, 0, 4, 4] = 1
    seen = set()
    for step in range(200):
        rows = Rows.of(SEED, range(1), values(jitter=1.0))
        shown = method.shown(x, Rows(rows.seed, rows.example, rows.step + step, rows.draw, rows.values))
        assert shown.sum() == 1
        seen.add(tuple((shown[0, 0] == 1).nonzero()[0].tolist()))
    assert seen == set(itertools.product((3, 4, 5), repeat=2))


def test_shifted_rows_repeat_their_edge() -> None:
    x = torch.arange(12.0).view(1, 1, 3, 4).expand(2, 1, 3, 4)
    found = moved(x, torch.tensor([[1.0, 0.0], [0.0, -2.0]]), torch.ones(2))
    assert found[0, 0].tolist() == [[0, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 7]]
    assert found[1, 0].tolist() == [[2, 3, 3, 3], [6, 7, 7, 7], [10, 11, 11, 11]]


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.3])
def test_scaling_reads_between_places_as_torch_does(factor: float) -> None:
    x = torch.rand(2, 3, 7, 6, dtype=torch.float64)
    found = moved(x, torch.zeros(2, 2, dtype=torch.float64), torch.full((2,), factor, dtype=torch.float64))
    turn = torch.tensor([[1 / factor, 0, 0], [0, 1 / factor, 0]], dtype=torch.float64).expand(2, 2, 3)
    grid = nn.functional.affine_grid(turn, [2, 3, 7, 6], align_corners=True)
    expected = nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=True)
    torch.testing.assert_close(found, expected)


def test_inputs_without_rows_and_columns_are_moved_along_their_only_axis() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0]])
    assert moved(x, torch.ones(1, 1), torch.ones(1)).tolist() == [[1, 1, 2]]
    assert total_variation(x).tolist() == [3]
    channels = torch.tensor([[[1.0, 2.0], [9.0, 9.0]]])
    assert total_variation(channels).tolist() == [1]
    assert moved(channels, torch.ones(1, 1), torch.ones(1)).tolist() == [[[1, 1], [9, 9]]]


def test_an_unknown_quantity_is_refused() -> None:
    with pytest.raises(InputError, match="log_probability") as caught:
        InputMaximisation(**parts(quantity="log_probabilty"))
    assert caught.value.key == "method.quantity"
