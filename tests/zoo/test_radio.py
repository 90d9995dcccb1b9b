"""The radio zoo: what its windows hold, and what its card says of the networks holds when measured again."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from raysweep.data import load_data
from raysweep.errors import InputError
from raysweep.models.independence import check_rows_independent
from raysweep.zoo import resolve_data, resolve_model
from raysweep.zoo.parts import loaded
from raysweep.zoo.radio import FOLDER, scenes
from raysweep.zoo.radio.evaluation import ByDistance, distances, estimate, multiply_adds, rmse, situation
from raysweep.zoo.radio.networks import CITIES, CITY, MEASURED, SIDE, SIGNAL, TRANSMITTER, Place
from raysweep.zoo.radio.render import District, draw, grey, label
from raysweep.zoo.radio.scenes import CELL, places
from raysweep.zoo.radio.situations import Maps, compose, few_to_many, leave_out, measure, turn
from raysweep.zoo.radio.supervised import Schedule, Training

FIGURES = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
SEED = 77  # not the recipe's


@cache
def load(name: str) -> nn.Module:
    return loaded(resolve_model(f"zoo://radio/{name}"))


@cache
def shipped() -> dict[str, NDArray[Any]]:
    with np.load(resolve_data("zoo://radio/test").file) as archive:
        return {name: archive[name] for name in archive.files}


@cache
def held_out(city: str | None = None) -> Maps:
    """The shipped windows of a city, or of all."""
    data = shipped()
    here = np.zeros(data["truth"].shape, np.float32)
    here[np.arange(len(here)), data["tx"][:, 0], data["tx"][:, 1]] = 1
    chosen = torch.from_numpy((data["city"] == city) | (city is None))
    maps = Maps(*(torch.from_numpy(a) for a in (data["buildings"].astype(int), here, data["truth"].astype("f4"))))
    return maps[chosen]


def test_the_windows_load_as_radio_maps_of_three_cities() -> None:
    data = load_data("zoo://radio/test")
    windows = FIGURES["test"]["windows"]
    assert data.x.shape == (windows, 4, SIDE, SIDE)
    assert data.x.dtype == np.float32
    assert (data.classes, data.media) == (CITIES, "radio")
    assert data.y is not None
    assert np.bincount(data.y).tolist() == [FIGURES["test"]["per_city"][city] for city in CITIES]
    assert [CITIES[y] for y in data.y] == shipped()["city"].tolist()


def test_phi_is_told_of_whole_buildings_and_of_the_true_signal_where_measured() -> None:
    data = shipped()
    x, buildings = data["x"].astype(np.float32), data["buildings"]
    assert set(np.unique(x[:, [CITY, TRANSMITTER, MEASURED]])) == {0.0, 1.0}
    missing = FIGURES["test"]["missing"]
    for row, (plane, groups) in enumerate(zip(x, buildings, strict=True)):
        shares = [plane[CITY][groups == number].mean() for number in range(1, groups.max() + 1)]
        assert sorted(shares) == [0.0] * missing + [1.0] * (groups.max() - missing)
        assert not plane[CITY][groups == 0].any()
        assert plane[MEASURED].sum() == plane[MEASURED][groups == 0].sum() == FIGURES["test"]["measurements"]
        assert plane[TRANSMITTER].sum() == plane[TRANSMITTER][tuple(data["tx"][row])] == 1
    np.testing.assert_array_equal(x[:, SIGNAL], data["truth"] * x[:, MEASURED])


def test_the_truth_is_dark_indoors_and_bright_near_the_transmitter() -> None:
    maps = held_out()
    assert not maps.truth[maps.buildings > 0].any()
    assert maps.buildings[maps.transmitter > 0].max() == 0
    near, far = (maps.truth[maps.outdoors & mask].mean() for mask in (distances(maps) <= 2, distances(maps) >= 20))
    assert near > 0.85 > 0.5 > far
    assert 0.9 < maps.truth.max() < 1


@pytest.mark.parametrize("name", ["phi", "phi_gt"])
def test_a_network_is_small_and_its_rows_are_independent(name: str) -> None:
    entry = resolve_model(f"zoo://radio/{name}")
    net, x = load(name), torch.from_numpy(shipped()["x"][:6]).float()
    assert (entry.latent, entry.units, entry.media) == (None, None, "array")
    assert net(x[:2]).shape == (2, 1, SIDE, SIDE)
    assert sum(p.numel() for p in net.parameters()) == FIGURES[name]["parameters"] <= 1_500_000
    assert multiply_adds(net, x[:1]) == FIGURES[name]["multiply_adds"]
    check_rows_independent(net, x)
    torch.testing.assert_close(net(x)[2:3], net(x[2:3]), rtol=1e-4, atol=1e-5)


def test_phi_errs_on_the_shipped_windows_as_the_card_says() -> None:
    error = rmse(estimate(load("phi"), torch.from_numpy(shipped()["x"])), held_out())
    assert error == pytest.approx(FIGURES["test"]["error"], rel=0.01)
    assert f"{FIGURES['test']['error']:.3f}" in (FOLDER / "CARD.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("split", "cities"), [("known", ("munich", "florence")), ("other", ("etoile",))])
@pytest.mark.parametrize(("name", "missing"), [("phi", 2), ("phi_gt", 0)])
def test_errors_with_other_measurements_are_near_those_of_the_card(
    split: str, cities: tuple[str, ...], name: str, missing: int
) -> None:
    stated = FIGURES["card"]["errors"][split][name]
    for count in (0, 300):
        squares = []
        for city in cities:
            maps = held_out(city)
            squares += [rmse(estimate(load(name), situation(maps, missing, count, SEED)), maps) ** 2]
        assert np.sqrt(np.mean(squares)) == pytest.approx(stated[str(count)], rel=0.15)


@pytest.mark.parametrize("name", ["phi", "phi_gt"])
@pytest.mark.parametrize("split", ["known", "other"])
def test_networks_see_more_than_distance_and_measurements_help(name: str, split: str) -> None:
    errors = FIGURES["card"]["errors"][split]
    stated = list(errors[name].values())
    assert sorted(stated, reverse=True) == stated
    assert stated[0] < errors["distance"]


def test_distance_alone_errs_more_even_when_it_is_fitted_to_what_it_guesses() -> None:
    maps = held_out()
    flattered = rmse(ByDistance.fit(maps)(maps), maps)
    assert rmse(estimate(load("phi"), situation(maps, 2, 0, SEED)), maps) < flattered


def test_a_building_that_phi_is_told_of_casts_a_shadow() -> None:
    maps = held_out()
    whole, lacking = (estimate(load("phi"), situation(maps, missing, 0, SEED)) for missing in (0, 1))
    gone = leave_out(maps.buildings, torch.ones(len(maps)).long(), torch.Generator().manual_seed(SEED))
    brighter = (lacking - whole)[gone]
    assert brighter.mean() > 0.02


def test_the_collection_ships_in_a_few_megabytes() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir() if file.is_file()) < 10e6


def test_the_card_states_what_was_measured() -> None:
    card = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    for errors in FIGURES["card"]["errors"].values():
        assert f"| {errors['distance']:.3f} | " + " | ".join(f"{e:.3f}" for e in errors["phi"].values()) in card
    assert "OpenStreetMap contributors" in card


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_whole_buildings_are_left_out_as_many_as_asked_or_all_there_are() -> None:
    buildings = held_out().buildings[:20]
    gone = leave_out(buildings, torch.tensor([0, 3, 1000, *[2] * 17]), random())
    for number, (groups, cells) in enumerate(zip(buildings, gone, strict=True)):
        lost = {int(group) for group in groups[cells]}
        assert torch.equal(cells, torch.isin(groups, torch.tensor(sorted(lost))))
        assert len(lost) == {0: 0, 1: 3, 2: int(groups.max())}.get(number, 2)
        assert 0 not in lost


def test_measurements_are_outdoors_and_as_many_as_asked() -> None:
    outdoors = held_out().outdoors[:3]
    cells = measure(outdoors, torch.tensor([0, 7, 10_000]), random())
    assert cells.sum(dim=(1, 2)).tolist() == [0, 7, int(outdoors[2].sum())]
    assert not (cells & ~outdoors).any()


def test_counts_of_measurements_reach_from_none_to_all_and_are_mostly_few() -> None:
    counts = few_to_many(10_000, 300, random())
    assert (int(counts.min()), int(counts.max())) == (0, 300)
    assert 10 < counts.float().median() < 30


def test_turning_moves_buildings_transmitter_and_signal_together() -> None:
    maps = held_out()[:40]
    turned = turn(maps, random())
    assert torch.equal(turned.truth.flatten(1).sort().values, maps.truth.flatten(1).sort().values)
    assert torch.equal(turned.truth[turned.transmitter > 0], maps.truth[maps.transmitter > 0])
    assert not turned.truth[turned.buildings > 0].any()
    moved = {tuple(place) for place in (turned.transmitter[:1] > 0).nonzero()[:, 1:].tolist()}
    assert len(moved) == 1
    assert 4 < sum(not torch.equal(a, b) for a, b in zip(turned.truth, maps.truth, strict=True)) < 40


def test_place_knows_the_way_from_the_transmitter() -> None:
    x = torch.zeros(2, 4, SIDE, SIDE)
    x[0, TRANSMITTER, 10, 20] = 1
    down, right, far = Place()(x)[0, 4:]
    assert (down[10, 20], right[10, 20]) == (0, 0)
    assert (down[42, 0], right[0, 52]) == (0.5, 0.5)
    assert far.argmin() == 10 * SIDE + 20
    assert Place()(x)[1].isfinite().all()


def test_distance_alone_is_the_mean_at_that_distance() -> None:
    truth = torch.zeros(1, SIDE, SIDE)
    here, buildings = torch.zeros_like(truth), torch.zeros(1, SIDE, SIDE, dtype=torch.long)
    here[0, 0, 0] = 1
    truth[0, 0, 3], buildings[0, 2, 2] = 0.9, 1  # at distance 3 lie (0, 3), (3, 0), (1, 3), (3, 1) and, built, (2, 2)
    maps = Maps(buildings, here, truth)
    guess = ByDistance.fit(maps)(maps)
    assert guess[0, 3, 0] == pytest.approx(0.9 / 4)
    assert guess[0, 2, 2] == 0
    assert rmse(truth, maps) == 0


def test_a_training_continues_exactly_where_it_stopped(tmp_path: Path) -> None:
    schedule, maps = Schedule(seed=5, steps=4, missing=2, batch=2, save_every=2), held_out()[:8]
    straight = Training(schedule, tmp_path / "straight.pt").run(maps).state_dict()
    Training(schedule, tmp_path / "halved.pt").run(maps, until=2)
    halved = Training(schedule, tmp_path / "halved.pt")
    assert halved.step == 2
    resumed = halved.run(maps).state_dict()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    another = Training(replace(schedule, seed=6), tmp_path / "other.pt").run(maps).state_dict()
    assert not torch.equal(straight["leave.0.weight"], another["leave.0.weight"])


def test_training_lowers_the_error_on_what_it_sees(tmp_path: Path) -> None:
    schedule, maps = Schedule(seed=5, steps=30, missing=0, batch=4, warm=5), held_out()[:4]
    x = compose(maps, torch.zeros_like(maps.outdoors), torch.zeros_like(maps.outdoors))
    before = rmse(estimate(Training(schedule, tmp_path / "a.pt").net, x), maps)
    assert rmse(estimate(Training(schedule, tmp_path / "b.pt").run(maps), x), maps) < 0.6 * before


def test_connected_cells_are_one_building_and_a_lone_cell_is_none() -> None:
    built = np.zeros((SIDE, SIDE), bool)
    built[3:6, 3:6] = built[10, 10] = True
    built[6:9, 6:9] = True  # touches the first at a corner only
    groups = label(built)
    assert sorted(np.bincount(groups.ravel())[1:].tolist()) == [9, 9]
    assert groups[10, 10] == 0
    assert groups[3, 3] != groups[8, 8]


def test_grey_is_0_at_the_noise_floor_and_indoors_and_1_at_the_strongest() -> None:
    gain = np.array([[-np.inf, -127.0, -94.5, -62.0, -30.0, -62.0]], np.float32)
    indoors = np.array([[0, 0, 0, 0, 0, 3]], np.int16)
    np.testing.assert_allclose(grey(gain, indoors), [[0, 0, 0.5, 1, 1, 0]])


def test_cells_are_four_metres_apart_and_turn_with_the_window() -> None:
    x, y = places(np.array([100.0, 50.0]), 0.0)
    assert (x[0, 1] - x[0, 0], y[1, 0] - y[0, 0]) == (CELL, CELL)
    assert (x.mean(), y.mean()) == pytest.approx((100, 50))
    turned_x, turned_y = places(np.array([0.0, 0.0]), np.pi / 2)
    np.testing.assert_allclose(turned_x, -(y - 50), atol=1e-9)
    np.testing.assert_allclose(turned_y, x - 100, atol=1e-9)


def blocks(centre: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Houses of 40 m, 80 m apart."""
    x, y = places(centre, angle)
    return ((x % 80 < 40) & (y % 80 < 40)).astype(float)


def test_windows_of_the_west_never_reach_into_the_east() -> None:
    extent, west = np.array([[0.0, 0.0], [1000.0, 600.0]]), District("a grid", 0.0, 0.65, 1, 0)
    east = replace(west, west=0.65, east=1.0)
    rng = np.random.default_rng(0)
    for district, low, high in ((west, 0, 650), (east, 650, 1000)):
        found = [w for _ in range(60) if (w := draw(district, extent, blocks, rng)) is not None]
        assert len(found) > 5
        for window in found:
            x, _ = places(window.centre, window.angle)
            assert low <= x.min() < x.max() <= high
            row, column = window.cell
            assert not window.buildings[row - 1 : row + 2, column - 1 : column + 2].any()
            assert {SIDE // 4 <= place < 3 * SIDE // 4 for place in window.cell} == {True}


def test_a_window_without_enough_buildings_or_room_is_none() -> None:
    extent, district = np.array([[0.0, 0.0], [1000.0, 600.0]]), District("a grid", 0.0, 0.2, 1, 0)
    rng = np.random.default_rng(0)
    assert draw(district, extent, blocks, rng) is None  # 200 m are narrower than a window
    empty = draw(replace(district, east=1.0), extent, lambda *_: np.zeros((SIDE, SIDE)), rng)
    full = draw(replace(district, east=1.0), extent, lambda *_: np.ones((SIDE, SIDE)), rng)
    assert (empty, full) == (None, None)


def test_without_the_extra_the_recipe_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scenes.require.cache_clear()
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(scenes, "LIBRARIES", tmp_path)
    with pytest.raises(InputError, match="apt install libllvm19"):
        scenes.require()
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", "libLLVM.so.19.1")
    monkeypatch.setitem(sys.modules, "sionna.rt", None)
    with pytest.raises(InputError, match=r"pip install 'raysweep\[radio\]'"):
        scenes.require()
    scenes.require.cache_clear()


def test_nothing_but_rendering_needs_the_extra() -> None:
    assert isinstance(load("phi_gt")(torch.zeros(1, 4, SIDE, SIDE)), Tensor)
    assert "sionna" not in sys.modules
