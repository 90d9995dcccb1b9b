"""Heat maps through the engine: trials in one lane, against each sample for itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.errors import InputError
from raysweep.methods.attribution import Attribution
from raysweep.methods.components import Components, elements
from raysweep.methods.fills import Constant
from raysweep.methods.lrp import Lrp
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.relevance import COMPOSITES
from raysweep.methods.sensitivity import Sensitivity
from raysweep.models.readout import Readout

SHAPE = (1, 6, 6)
UNITS = (0, 2, 1, 2, 0)


def network() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, 2, 1), nn.LeakyReLU(0.1), nn.Flatten(), nn.Linear(27, 3))
    return net.double().eval().requires_grad_(False)


def masking(count: int = 5) -> Masking:
    x = torch.randn(count, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    explained = Explained(x, torch.arange(count), torch.ones(count, dtype=torch.int64), torch.tensor(UNITS))
    components = Components(elements(SHAPE), SHAPE)
    return Masking(Readout(network()), Constant(torch.zeros(())), explained, components, dtype=torch.float64)


def heated(one: Attribution, *configs: dict[str, float], slots: int = 4) -> list[dict[str, Tensor]]:
    """What trials of these configurations keep, all in the lanes of one engine."""
    found: list[Any] = [None] * len(configs)
    engine = Engine([one], slots)
    for place, config in enumerate(configs):

        def done(outcome: Any, place: int = place) -> None:
            found[place] = outcome

        engine.advance(str(place), config, 7, range(5), 1, done)
    engine.run()
    for one_found in found:
        assert isinstance(one_found, dict), one_found
    return [kept(state) for state in found]


def test_sensitivity_is_the_squared_slope_of_the_score() -> None:
    one = masking()
    (found,) = heated(Sensitivity(one), {})
    net, x, little = network(), one.explained.x, 1e-6
    for example, unit in enumerate(UNITS):
        for row, column in ((0, 0), (2, 3), (5, 5)):
            moved = x[example : example + 1].repeat(2, 1, 1, 1)
            moved[0, 0, row, column] += little
            moved[1, 0, row, column] -= little
            rise = net(moved)[:, unit]
            slope = float(rise[0] - rise[1]) / (2 * little)
            assert float(found["heat"][example, 0, row, column]) == pytest.approx(slope**2, rel=1e-5, abs=1e-9)


def test_trials_in_one_lane_have_the_heat_maps_that_they_have_alone() -> None:
    method = Lrp(masking(), COMPOSITES["epsilon_alpha_beta"])
    configs = [{"alpha": alpha, "epsilon": eps} for alpha, eps in ((1.0, 0.1), (2.0, 0.0), (3.0, 1.0))]
    for config, together in zip(configs, heated(method, *configs, slots=6), strict=True):
        (alone,) = heated(Lrp(masking(), COMPOSITES["epsilon_alpha_beta"]), config, slots=1)
        torch.testing.assert_close(together["heat"], alone["heat"], rtol=1e-10, atol=1e-12)
        assert together["example"].tolist() == [0, 1, 2, 3, 4]


def test_padding_and_co_tenants_change_no_bit_of_a_lane_of_one_shape() -> None:
    method = Lrp(masking(), COMPOSITES["alpha_beta"])
    first, *_ = heated(method, {"alpha": 2.0}, {"alpha": 3.0}, slots=8)
    (alone,) = heated(method, {"alpha": 2.0}, slots=8)
    assert torch.equal(first["heat"], alone["heat"])


def test_one_step_is_all_that_a_heat_map_takes() -> None:
    method, found = Sensitivity(masking()), list[Any]()
    engine = Engine([method], 5)
    engine.advance("a", {}, 7, range(5), 1, found.append)
    engine.run()
    assert engine.row_steps == 5
    assert kept(found[0])["heat"].shape == (5, *SHAPE)


def test_a_heat_map_that_is_not_finite_fails_its_trial_and_says_which() -> None:
    one = masking()
    one.explained.x[3, 0, 0, 0] = torch.inf
    found: list[Any] = []
    engine = Engine([Sensitivity(one)], 5)
    engine.advance("a", {}, 7, range(5), 1, found.append)
    engine.run()
    assert "example 3" in str(found[0])


def test_relevance_of_scores_that_are_no_networks_is_refused() -> None:
    one = masking()
    one.scores = network()
    with pytest.raises(InputError, match="must be a network's own scores"):
        Lrp(one, COMPOSITES["epsilon"])


@pytest.mark.parametrize(
    ("composite", "names"),
    [
        ("epsilon_gamma_box", {"epsilon", "gamma"}),
        ("z_plus", set()),
        ([{"dense": "epsilon"}, {"any": "alpha_beta"}], {"epsilon", "alpha"}),
    ],
)
def test_the_hyper_parameters_are_those_of_the_composites_rules(composite: Any, names: set[str]) -> None:
    assert set(Lrp.hyperparameters_of({"composite": composite})) == names
