"""Radio maps: which elements a building and a measurement are, what Φ_gt fills in, and pursuit against a slow loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import kept
from raysweep.methods.components import FILLED, KEPT, Components
from raysweep.methods.fills import Constant
from raysweep.methods.masking import Explained, Masking
from raysweep.methods.pursuit import MatchingPursuit
from raysweep.methods.radio import Estimated, estimates, label_both, label_buildings, label_measurements
from raysweep.models.area import AreaReadout

SIDE = 8
CITY, SENDER, SIGNAL, MEASURED = range(4)


def city() -> Tensor:
    """The whole cities of two maps: buildings 1, 2 and 5, and building 3 alone."""
    found = torch.zeros(2, SIDE, SIDE, dtype=torch.int64)
    found[0, 0:2, 0:2], found[0, 0, 5:8], found[0, 5:7, 5:7] = 1, 2, 5
    found[1, 3:5, 3:5] = 3
    return found


def samples() -> Tensor:
    """What a network is told of them: building 2 is missing; three cells and one are measured."""
    x = torch.zeros(2, 4, SIDE, SIDE, dtype=torch.float64)
    x[:, CITY] = ((city() > 0) & (city() != 2)).double()
    x[:, SENDER, 4, 1] = 1
    for row, place, signal in ((0, (3, 3), 0.5), (0, (7, 0), 0.0), (0, (2, 6), 0.9), (1, (6, 6), 0.7)):
        x[row, SIGNAL, place[0], place[1]], x[row, MEASURED, place[0], place[1]] = signal, 1
    return x


def taken_away(x: Tensor, building: int | None = None, cell: tuple[int, int] | None = None, row: int = 0) -> Tensor:
    """One map without a building, or without a measurement, by hand."""
    x = x.clone()
    if building is not None:
        x[CITY][city()[row] == building] = 0
    if cell is not None:
        x[SIGNAL][cell] = x[MEASURED][cell] = 0
    return x


PARTS: dict[int, list[dict[str, Any]]] = {
    0: [{"building": 1}, {"building": 5}, {"cell": (2, 6)}, {"cell": (3, 3)}, {"cell": (7, 0)}],
    1: [{"building": 3}, {"cell": (6, 6)}],
}
"""The components of both maps, in the order of their labels: cells row by row."""


class Maker(nn.Module):
    """A network that makes a map of a map, in which everything counts everywhere."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(4, 6, 7, padding=3), nn.Tanh(), nn.Conv2d(6, 1, 7, padding=3)).double()
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.net(x)
        return made


AREA = {"rows": [1, 6], "columns": [2, 7]}


def pursuit(net: nn.Module | None = None, rises_only: bool = False, **parts: Any) -> MatchingPursuit:
    keys: dict[str, Any] = {
        "scores": AreaReadout(net or Maker(), AREA),
        "fill": Constant(torch.tensor(0.0)),
        "explained": Explained(samples(), torch.arange(2), torch.ones(2, dtype=torch.int64), None),
        "components": Components(label_both(samples(), city()), (4, SIDE, SIDE)),
        "dtype": torch.float64,
        "rises_only": rises_only,
    }
    return MatchingPursuit(Masking(**(keys | parts)), width=3)


def advance(one: MatchingPursuit, steps: int, noises: float = 1.0) -> dict[str, Tensor]:
    found: list[Any] = []
    engine = Engine([one], 2)
    engine.advance("a", {"noise_samples": noises, "tolerance": 0.0}, 7, range(2), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return kept(found[0])


def test_a_building_that_the_map_shows_is_a_component_and_all_else_is_kept() -> None:
    labels = label_buildings(samples(), city())
    assert labels[0, CITY].unique().tolist() == [KEPT, 0, 1]
    assert torch.equal(labels[0, CITY] == 0, city()[0] == 1)
    assert torch.equal(labels[0, CITY] == 1, city()[0] == 5)
    assert (labels[:, 1:] == KEPT).all()


def test_a_measurement_is_its_signal_and_that_it_was_made() -> None:
    labels = label_measurements(samples(), None)
    assert torch.equal(labels[:, SIGNAL], labels[:, MEASURED])
    assert [int(labels[0, SIGNAL, row, column]) for row, column in ((2, 6), (3, 3), (7, 0))] == [0, 1, 2]  # row by row
    assert (labels[0, SIGNAL] == FILLED).sum() == SIDE * SIDE - 3
    assert (labels[:, [CITY, SENDER]] == KEPT).all()


def test_of_both_each_component_taken_away_is_one_building_or_one_measurement() -> None:
    components = Components(label_both(samples(), city()), (4, SIDE, SIDE))
    assert components.count == 5
    assert components.most == 5
    assert components.present(torch.arange(2)).sum(dim=1).tolist() == [5, 2]
    for row, parts in PARTS.items():
        present = components.present(torch.tensor([row]))[0].nonzero().flatten().tolist()
        for place, part in zip(present, parts, strict=True):
            mask = torch.ones(1, components.count, dtype=torch.float64)
            mask[0, place] = 0
            without = samples()[row] * components.spread(mask, torch.tensor([row]))[0]
            assert torch.equal(without, taken_away(samples()[row], row=row, **part))


def slow_pursuit(row: int, steps: int, rises_only: bool) -> tuple[list[int], list[float]]:
    """Which parts are given back first to a map that has lost all of them, and the distortion on the way."""
    net, x, parts = Maker(), samples()[row], PARTS[row]
    chosen: list[int] = []
    trace: list[float] = []

    def distortion(mask: list[int]) -> float:
        z = x
        for place, part in enumerate(parts):
            z = z if place in mask else taken_away(z, row=row, **part)
        rise = (net(z[None]) - net(x[None]))[0, 0, 1:6, 2:7].flatten().tolist()
        return sum(0.5 * change**2 for change in rise if change > 0 or not rises_only) / len(rise)

    for _ in range(steps):
        trace.append(distortion(chosen))
        left = [place for place in range(len(parts)) if place not in chosen]
        chosen.append(min(left, key=lambda place: distortion([*chosen, place])))
    return chosen, [*trace, distortion(chosen)]


@pytest.mark.parametrize("rises_only", [False, True], ids=["darken and brighten", "darken"])
def test_pursuit_over_buildings_and_measurements_chooses_what_a_slow_loop_chooses(rises_only: bool) -> None:
    one = pursuit(rises_only=rises_only)
    found = advance(one, 2)
    for row in (0, 1):
        chosen, trace = slow_pursuit(row, 2, rises_only)
        present = one.masking.components.present(torch.tensor([row]))[0].nonzero().flatten()
        importance = found["importance"][row, present]
        assert importance.argsort(descending=True)[:2].tolist() == chosen
        np.testing.assert_allclose(found["trace"][row, :3], trace, atol=1e-15)


class ReadsKnown(nn.Module):
    """A map whose left half building 5 darkens, whose right half the measurement in (2, 6) brightens; no more."""

    def forward(self, x: Tensor) -> Tensor:
        left, right = -4 * x[:, CITY, 5, 5], 3 * x[:, SIGNAL, 2, 6] * x[:, MEASURED, 2, 6]
        halves = torch.stack([left, right], dim=1).repeat_interleave(SIDE // 2, dim=1)
        return halves[:, None, None].expand(-1, 1, SIDE, -1)


@pytest.mark.parametrize(("rises_only", "expected"), [(False, [1, 2]), (True, [1])])
def test_exactly_the_parts_that_a_network_reads_are_found(rises_only: bool, expected: list[int]) -> None:
    """To stay as dark as it is the map needs the building, and no measurement that brightens it."""
    found = advance(pursuit(ReadsKnown(), rises_only), 5)
    assert found["mask"][0].nonzero().flatten().tolist() == expected
    assert found["distortion"][0] == 0
    assert found["mask"][1].sum() == 0  # nothing that it reads is there


def test_phi_gt_is_told_the_whole_city_and_no_measurement() -> None:
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x[:, :1] + 0.25

    found = estimates(Watching(), samples(), city())
    told = torch.cat(seen)
    assert torch.equal(told[:, CITY], (city() > 0).double())
    assert torch.equal(told[:, SENDER], samples()[:, SENDER])
    assert (told[:, [SIGNAL, MEASURED]] == 0).all()
    assert torch.equal(found, told[:, CITY] + 0.25)


def test_what_is_not_chosen_is_measured_by_phi_gt_in_every_cell() -> None:
    signal = torch.rand(2, SIDE, SIDE, dtype=torch.float64)
    one = pursuit(fill=Estimated(signal, 1.0))
    mask = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0]], dtype=torch.float64)  # building 5 and the measurement in (3, 3)
    zero = torch.zeros(1, dtype=torch.int64)
    z = one.masking.obfuscation(zero, mask, (zero,))[0]
    expected = signal[0].clone()
    expected[3, 3] = samples()[0, SIGNAL, 3, 3]
    assert torch.equal(z[SIGNAL], expected)
    assert (z[MEASURED] == 1).all()
    assert torch.equal(z[CITY], (city()[0] == 5).double())
    assert torch.equal(z[SENDER], samples()[0, SENDER])


def test_a_share_of_the_cells_is_chosen_by_the_example_and_the_noise_sample_alone() -> None:
    one = pursuit(fill=Estimated(torch.full((2, SIDE, SIDE), 0.5), 0.25))
    zero, ones = torch.zeros(1, dtype=torch.int64), torch.ones(1, 5, dtype=torch.float64)

    def cells(mask: Tensor, draw: int) -> Tensor:
        return one.masking.obfuscation(zero, mask, (zero, zero + draw))[0, MEASURED]

    nothing = cells(0 * ones, 3)
    assert nothing.sum() == SIDE * SIDE / 4
    assert torch.equal(nothing, cells(0 * ones, 3))
    assert not torch.equal(nothing, cells(0 * ones, 4))
    assert torch.equal(cells(ones, 3), torch.maximum(nothing, samples()[0, MEASURED]))
