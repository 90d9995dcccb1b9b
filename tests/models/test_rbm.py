"""The restricted Boltzmann machine against sums over all its hidden states."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from raysweep.errors import InputError
from raysweep.models.density import check_density
from raysweep.models.rbm import GaussianBernoulliRBM

VISIBLE, HIDDEN, DEVIATION = 3, 4, 0.7
STATES = torch.tensor(list(itertools.product((0.0, 1.0), repeat=HIDDEN)), dtype=torch.float64)


@pytest.fixture
def machine() -> GaussianBernoulliRBM:
    rbm = GaussianBernoulliRBM(VISIBLE, HIDDEN, DEVIATION).double()
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in rbm.parameters():
            parameter.normal_(generator=random)
    return rbm


def energy(rbm: GaussianBernoulliRBM, v: Tensor, h: Tensor) -> Tensor:
    """E(v, h) of one input and one hidden state, term by term."""
    variance = rbm.deviation.double() ** 2
    total = sum((v[i] - rbm.visible_bias[i]) ** 2 / (2 * variance) for i in range(VISIBLE))
    total -= sum(rbm.hidden_bias[j] * h[j] for j in range(HIDDEN))
    pairs = itertools.product(range(VISIBLE), range(HIDDEN))
    return total - sum(v[i] * rbm.weight[i, j] * h[j] / variance for i, j in pairs)


def likelihood(rbm: GaussianBernoulliRBM, v: Tensor) -> Tensor:
    """log Σ_h exp(−E(v, h)) over all 2^H states."""
    return torch.logsumexp(torch.stack([-energy(rbm, v, h) for h in STATES]), dim=0)


INPUTS = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.0, 0.0], [-3.0, 0.2, 0.1]], dtype=torch.float64)


def test_free_energy_is_the_sum_over_all_hidden_states(machine: GaussianBernoulliRBM) -> None:
    for v, found in zip(INPUTS, machine.free_energy(INPUTS), strict=True):
        torch.testing.assert_close(found, -likelihood(machine, v), rtol=1e-10, atol=0)
    torch.testing.assert_close(machine(INPUTS), -machine.free_energy(INPUTS))


def test_its_gradient_is_that_of_the_sum_and_of_finite_differences(machine: GaussianBernoulliRBM) -> None:
    for one in INPUTS:
        v = one.clone().requires_grad_()
        (found,) = torch.autograd.grad(machine(v[None]).sum(), v)
        (expected,) = torch.autograd.grad(likelihood(machine, v), v)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        for i, nudge in enumerate(torch.eye(VISIBLE, dtype=torch.float64) * 1e-5):
            slope = (likelihood(machine, one + nudge) - likelihood(machine, one - nudge)) / 2e-5
            assert float(found[i]) == pytest.approx(float(slope.detach()), rel=1e-5)


def test_conditionals_are_those_of_the_energy(machine: GaussianBernoulliRBM) -> None:
    v = INPUTS[0]
    weights = torch.softmax(torch.stack([-energy(machine, v, h) for h in STATES]), dim=0)
    torch.testing.assert_close(machine.hidden_probability(v[None])[0], weights @ STATES, rtol=1e-10, atol=0)
    h = STATES[5]
    mean = machine.visible_mean(h[None])[0].detach().requires_grad_()
    (slope,) = torch.autograd.grad(energy(machine, mean, h), mean)  # a normal density is highest at its mean
    torch.testing.assert_close(slope, torch.zeros(VISIBLE, dtype=torch.float64), rtol=0, atol=1e-6)


def test_chains_reach_the_moments_that_the_energy_has(machine: GaussianBernoulliRBM) -> None:
    """p(h) ∝ ∫ exp(−E(v, h)) dv = exp(cᵀh + (‖b + Wh‖² − ‖b‖²) / 2σ²), up to a constant."""
    with torch.no_grad():
        machine.weight.mul_(0.3)
    means = machine.visible_mean(STATES)
    exponent = STATES @ machine.hidden_bias + (means.square().sum(1)) / (2 * machine.deviation.double() ** 2)
    weights = torch.softmax(exponent, dim=0)
    expected = weights @ means
    random, v = torch.Generator().manual_seed(0), torch.zeros(4000, VISIBLE, dtype=torch.float64)
    for _ in range(40):
        v = machine.gibbs(v, random).detach()
    variance = machine.deviation.double() ** 2 + weights @ (means - expected).square()
    assert ((v.mean(0) - expected).abs() < 4 * (variance / 4000).sqrt()).all()
    torch.testing.assert_close(v.var(0), variance, rtol=0.12, atol=0)


class Means(torch.nn.Module):
    """Not a density of rows: it looks at all of them."""

    def forward(self, v: Tensor) -> Tensor:
        return (v - v.mean(0)).flatten(1).square().sum(1)


def test_a_density_is_tried_before_it_is_used(machine: GaussianBernoulliRBM) -> None:
    check_density(machine, INPUTS[:2], key="models.expert")
    for module, samples, rule in (
        (machine, torch.zeros(2, VISIBLE + 1), r"must take inputs \[B, 4\] and give log p of each"),
        (torch.nn.Flatten(), INPUTS[:2], "give log p of each"),
        (Means(), INPUTS[:2], "must not depend on the other rows"),
    ):
        with pytest.raises(InputError, match=rule) as caught:
            check_density(module, samples, key="models.expert")
        assert caught.value.key == "models.expert"
