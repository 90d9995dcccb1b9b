"""Activation maximisation against METHODS' formula and against sequences worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.errors import InputError
from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.method import Rows
from raysweep.methods.noise import normal

LATENT = 3


class Doubled(nn.Module):
    """f_g: latent [B, 3] -> sample [B, 3]."""

    def forward(self, z: Tensor) -> Tensor:
        return 2 * z


class Cubes(nn.Module):
    """f_a ∘ f_n: sample [B, 3] -> response [B]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.pow(3).sum(dim=1) + 1


def method(**options: Any) -> ActivationMaximisation:
    return ActivationMaximisation(Doubled(), Cubes(), LATENT, dtype=torch.float64, **options)


def rows(**values: float) -> Rows:
    return Rows.of(7, range(4), {"lr": 0.1, "prior_weight": 0.3, **values})


@pytest.mark.parametrize(("direction", "sign"), [("maximise", 1), ("minimise", -1)])
@pytest.mark.parametrize(("prior", "half"), [("log_density", 0.5), ("squared_norm", 1.0)])
def test_loss_is_the_papers_formula(direction: str, sign: int, prior: str, half: float) -> None:
    latents = [[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [-0.1, 0.3, 0.0]]
    found = method(direction=direction, prior=prior).loss(torch.tensor(latents, dtype=torch.float64), rows())
    for row, z in enumerate(latents):
        response = sum((2 * number) ** 3 for number in z) + 1
        log_density = -half * sum(number**2 for number in z)
        assert float(found.total[row]) == pytest.approx(-(sign * response + 0.3 * log_density), abs=1e-12)
        assert float(found.seen["response"][row]) == pytest.approx(response, abs=1e-12)
        assert float(found.seen["prior"][row]) == pytest.approx(-log_density, abs=1e-12)


def test_log_density_is_the_standard_normals_up_to_a_constant() -> None:
    latents = torch.tensor([[0.5, -1.0, 2.0], [0.1, 0.2, 0.3]], dtype=torch.float64)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(latents).sum(dim=1)
    prior = method().loss(latents, Rows.of(0, range(2), {"prior_weight": 1.0})).seen["prior"]
    torch.testing.assert_close(prior[0] - prior[1], density[1] - density[0])


def test_each_row_has_its_own_prior_weight() -> None:
    latents = torch.ones(2, LATENT, dtype=torch.float64)
    mixed = Rows.of(0, range(2), {"prior_weight": 0.0})
    mixed.values["prior_weight"] = torch.tensor([0.0, 10.0], dtype=torch.float64)
    assert method().loss(latents, mixed).total.tolist() == [-25.0, -25.0 + 10 * 0.5 * 3]


@pytest.mark.parametrize("direction", ["maximise", "minimise"])
def test_gradient_pulls_towards_the_response_asked_for_and_towards_the_prior(direction: str) -> None:
    z = torch.full((4, LATENT), 0.5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(method(direction=direction).loss(z, rows()).total.sum(), z)
    of_response = 3 * (2 * 0.5) ** 2 * 2
    expected = 0.3 * 0.5 + (-of_response if direction == "maximise" else of_response)
    torch.testing.assert_close(gradient, torch.full_like(z, expected))


def test_start_is_standard_normal_by_seed_and_example_and_the_same_for_every_configuration() -> None:
    first, second = method().start(rows()), method(direction="minimise", record="last").start(rows(lr=9.0))
    assert torch.equal(first, second)
    assert first.shape == (4, LATENT)
    seeds = torch.full((4,), 7)
    assert torch.equal(first, normal(seeds, torch.arange(4), (LATENT,), stream="latent"))
    assert not torch.equal(first, method().start(Rows.of(8, range(4), {})))


@pytest.mark.parametrize(
    ("options", "responses", "recorded"),
    [
        ({}, [1, 3, 2, 4, 0], [0, 1, 1, 3, 3]),
        ({}, [-5, -7, -5, -4], [0, 0, 0, 3]),
        ({"direction": "minimise"}, [1, 3, 0, -2, 5], [0, 0, 2, 3, 3]),
        ({"record": "last"}, [1, 3, 2], [0, 1, 2]),
        ({"record": "last", "direction": "minimise"}, [1, 3, 2], [0, 1, 2]),
        ({"record": "last", "min_improvement": 9.0}, [1, 3, 2], [0, 1, 2]),
        ({"min_improvement": 0.5}, [1, 1.25, 1.5, 1.75, 2.5], [0, 0, 2, 2, 4]),
        ({"min_improvement": 0.5, "direction": "minimise"}, [1, 0.75, 0.5, 0.25, -3, 9], [0, 0, 2, 2, 4, 4]),
    ],
)
def test_recorded_step_is_the_one_worked_out_by_hand(
    options: dict[str, Any], responses: list[float], recorded: list[int]
) -> None:
    am, kept, found = method(**options), None, []
    for step, value in enumerate(responses):
        seen = {name: torch.tensor([number]) for name, number in (("response", value), ("prior", 10.0 * step))}
        kept = am.remember(kept, torch.full((1, LATENT), float(step)), seen)
        found.append(kept)
    assert [int(one["latent"][0, 0]) for one in found] == recorded
    assert [one["latent"].unique().numel() for one in found] == [1] * len(responses)
    assert [float(one["response"]) for one in found] == [responses[step] for step in recorded]
    assert [float(one["prior"]) for one in found] == [10.0 * step for step in recorded]


def test_of_equal_responses_the_first_is_recorded_and_rows_are_recorded_apart() -> None:
    am = method()
    before = am.remember(None, torch.zeros(3, LATENT), {"response": torch.tensor([1.0, 1.0, 1.0])})
    after = am.remember(before, torch.ones(3, LATENT), {"response": torch.tensor([1.0, 2.0, 0.0])})
    assert after["latent"].tolist() == [[0.0] * LATENT, [1.0] * LATENT, [0.0] * LATENT]


def test_explanation_is_the_generators_sample_of_the_recorded_latent() -> None:
    latent = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    assert method().explain({"latent": latent, "response": torch.tensor([0.0])}).tolist() == [[2.0, 4.0, 6.0]]


@pytest.mark.parametrize(
    ("option", "value", "nearest"),
    [("direction", "maximize", "maximise"), ("prior", "log_densty", "log_density"), ("record", "bets", "best")],
)
def test_an_unknown_option_is_refused_and_the_nearest_suggested(option: str, value: str, nearest: str) -> None:
    with pytest.raises(InputError, match=nearest) as caught:
        method(**{option: value})
    assert (caught.value.key, caught.value.value) == (option, value)
