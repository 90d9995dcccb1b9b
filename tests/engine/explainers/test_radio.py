"""Explanations of a user's own radio maps: what is asked, what is taken away, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raysweep.champion import carry
from raysweep.data.load import load_arrays, load_data
from raysweep.engine.engine import Engine
from raysweep.engine.explainers import PursuitExplainer
from raysweep.engine.scoring import Scored, Scorer
from raysweep.engine.workload import Workload
from raysweep.errors import InputError
from raysweep.preflight import check_workload, located
from raysweep.sweepfile import load_sweep

SIDE = 8
NETS = """
import numpy as np
import torch
from torch import nn

class Maker(nn.Module):
    def __init__(self, out=1):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(4, 6, 7, padding=3), nn.Tanh(), nn.Conv2d(6, out, 7, padding=3))
    def forward(self, x):
        return self.net(x)

def scores():
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 3))

def own():
    labels = np.full((6, 4, 8, 8), -2)
    for sample in range(6):
        labels[sample, 0, : sample + 1] = 0
        labels[sample, 0, sample + 1 :] = 1
    return labels

def few():
    return own()[:4]
"""
SWEEP = """\
name: mine
method: {name: rde_pursuit, components: buildings+measurements, fill: constant}
models:
  classifier: nets_radio:Maker
data: {source: maps.npz, media: radio}
target:
  query: darken
  area: {rows: [1, 5], columns: [2, 8]}
examples: 4
space:
  steps: 3
  noise_samples: 1
objective: [distortion, sparsity]
precision: float32
"""
PHI_GT = ("method.fill=phi_gt", "models.inpainter=nets_radio:Maker", "space.noise_samples=2")
Make = Callable[..., Workload]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Six maps of three buildings, of which the networks are told two, with five measurements."""
    random = np.random.default_rng(0)
    buildings = np.zeros((6, SIDE, SIDE), np.int16)
    buildings[:, :2, :3], buildings[:, 4:6, 1:3], buildings[:, 6:, 6:] = 1, 2, 4
    x = np.zeros((6, 4, SIDE, SIDE), np.float32)
    x[:, 0] = (buildings > 0) & (buildings != 2)
    x[:, 1, 3, 3] = 1
    for row in x:
        places = random.permutation(np.flatnonzero(buildings[0] == 0))[:5]
        row[2].flat[places], row[3].flat[places] = random.random(5), 1
    arrays = {"x": x, "y": np.arange(6) % 2}
    np.savez(tmp_path / "maps.npz", **arrays, buildings=buildings)
    np.savez(tmp_path / "bare.npz", **arrays)
    np.savez(tmp_path / "short.npz", **arrays, buildings=buildings[:5])
    np.savez(tmp_path / "narrow.npz", **arrays, buildings=buildings[:, :7])
    np.savez(tmp_path / "empty.npz", **{**arrays, "x": x * (np.arange(4) == 1)[:, None, None]}, buildings=buildings)
    np.savez(tmp_path / "images.npz", x=x[:, :1], y=arrays["y"])
    (tmp_path / "nets_radio.py").write_text(NETS)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return tmp_path


def workload_of(home: Path, *overrides: str) -> Workload:
    file = load_sweep(home / "sweep.yaml", overrides)
    with located(file):
        return check_workload(file)


def scored(workload: Workload, values: dict[str, float], steps: int = 3) -> Scored:
    found: list[Any] = []
    engine = Engine(workload.methods(1, torch.device("cpu")), 4)
    engine.advance("a", {"tolerance": 0.0, **values}, 0, range(workload.spec.examples), steps, found.append)
    engine.run()
    assert isinstance(found[0], dict), found[0]
    return Scorer(workload, 4, torch.device("cpu"), workload.folder).score(found[0], values)


@pytest.mark.parametrize("query", ["darken", "darken_and_brighten"])
def test_a_query_is_worth_the_mean_over_its_area(home: Path, query: str) -> None:
    workload = workload_of(home, f"target.query={query}")
    result = scored(workload, {"noise_samples": 1.0})
    net = workload.classifier.module
    with torch.no_grad():
        told, kept = (
            net(torch.from_numpy(result.tensors[name]).float())[:, 0, 1:5, 2:8] for name in ("sample", "explanation")
        )
    rise = (kept - told).clamp(min=0) if query == "darken" else kept - told
    expected = (0.5 * rise.square()).mean(dim=(1, 2))
    np.testing.assert_allclose(result.tensors["distortion"], expected, rtol=1e-4, atol=1e-9)
    assert result.objectives["sparsity"].value == pytest.approx(3 / 7)


def test_what_a_network_makes_is_kept_to_be_looked_at_beside_where_it_is_asked(home: Path) -> None:
    workload = workload_of(home)
    found = scored(workload, {"noise_samples": 1.0}).tensors
    net = workload.classifier.module
    for name, x in (("map", found["sample"]), ("obfuscation_map", found["explanation"])):
        with torch.no_grad():
            np.testing.assert_allclose(found[name], net(torch.from_numpy(x).float()), atol=1e-5)
    area = np.zeros((4, SIDE, SIDE))
    area[:, 1:5, 2:8] = 1
    np.testing.assert_array_equal(found["area"], area)


def test_obfuscations_show_the_chosen_parts_and_lose_the_others(home: Path) -> None:
    found = scored(workload_of(home), {"noise_samples": 1.0}).tensors
    x, z, mask = found["sample"], found["explanation"], found["mask"] > 0
    np.testing.assert_array_equal(z, x * mask)
    assert (z[:, 1] == x[:, 1]).all()
    assert ((z[:, 0] != x[:, 0]).any(axis=(1, 2)) | (z[:, 3] != x[:, 3]).any(axis=(1, 2))).all()


def test_phi_gt_of_the_whole_city_stands_in_for_what_is_not_chosen(home: Path) -> None:
    workload = workload_of(home, *PHI_GT)
    found = scored(workload, {"noise_samples": 2.0}).tensors
    x, z = torch.from_numpy(found["sample"]).float(), torch.from_numpy(found["explanation"])
    told = x.clone()
    told[:, 0, 4:6, 1:3] = 1  # the building that the map lacks
    told[:, 2:] = 0
    assert workload.inpainter is not None
    with torch.no_grad():
        expected = workload.inpainter.module(told)[:, 0]
    assert (z[:, 3] == 1).all()
    chosen = torch.from_numpy(found["mask"])[:, 3] > 0
    np.testing.assert_allclose(z[:, 2], torch.where(chosen, x[:, 2], expected), atol=1e-5)


def test_labels_may_be_each_samples_own(home: Path) -> None:
    workload = workload_of(home, "method.components=nets_radio:own", "space.steps=1")
    explainer = workload.explainer
    assert isinstance(explainer, PursuitExplainer)
    sample = torch.arange(4)
    spread = explainer.components.spread(torch.tensor([[1.0, 0.0]]).expand(4, -1), sample)
    rows = spread[:, 0, :, 0].sum(dim=1).long() - 1
    assert rows.tolist() == explainer.chosen.tolist()  # sample n keeps its first n + 1 rows
    assert (spread[:, 1:] == 1).all()


def test_another_city_is_another_sweep(home: Path) -> None:
    before = workload_of(home)
    with np.load(home / "maps.npz") as known:
        arrays = dict(known)
    arrays["buildings"][:, 4:6, 1:3] = 0
    np.savez(home / "maps.npz", **arrays)
    after = workload_of(home)
    assert before.identity["data"] == after.identity["data"]
    assert before.identity["data.buildings"] != after.identity["data.buildings"]


def test_a_winner_takes_its_cities_along(home: Path, tmp_path: Path) -> None:
    sweep = load_sweep(home / "sweep.yaml", PHI_GT).sweep
    found = carry(sweep.plain(), "radio", home, tmp_path / "champion")
    data = load_data(found["data"]["source"], folder=tmp_path / "champion", media="radio")
    carried = load_arrays(found["data"]["source"], ("buildings",), 6, folder=tmp_path / "champion")
    with np.load(home / "maps.npz") as known:
        np.testing.assert_array_equal(data.x, known["x"])
        np.testing.assert_array_equal(carried["buildings"], known["buildings"])


PAINTED = "fill: phi_gt}\nmodels:\n  inpainter: nets_radio:Maker"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("maps.npz", "bare.npz", "5: data.source: must have an array named buildings, which the method reads (found '"),
        ("maps.npz", "bare.npz", "bare.npz'). It has x, y"),
        (
            "maps.npz",
            "short.npz",
            "5: data.source: buildings must have a row for each of the 6 samples of x (found [5,",
        ),
        (
            "maps.npz",
            "narrow.npz",
            "5: data.source: must have buildings as whole numbers [N, 8, 8], for the method rea",
        ),
        (
            "maps.npz",
            "empty.npz",
            "2: method.components: must leave a mask something to choose from: each sample needs a component (found "
            "'4 of 4 samples have none')",
        ),
        (
            "buildings+measurements",
            '"nets_radio:few"',
            "2: method.components: must label each of the 6 samples, or all alike (found 4)",
        ),
        (
            "steps: 3",
            "steps: {choice: [3, 8]}",
            "11: space.steps: must be at most 7, as many components as a sample has: each step of a pursuit adds one "
            "(found 8)",
        ),
        ("[1, 5]", "[4, 9]", "8: target.area.rows: must lie within the map, which has 8 rows (found [4, 9])"),
        (
            "[1, 5]",
            "[4, 4]",
            "8: target.area.rows: must be [first, last], the last of the rows not among them, and 0 ≤",
        ),
        ("[2, 8]", "[1, 2, 3]", "8: target.area.columns: must be [first, last], the last of the columns not among"),
        ("[2, 8]", "[-1, 3]", "8: target.area.columns: must be [first, last]"),
        ("rows:", "rosw:", "8: target.area.rosw: unknown key. Did you mean 'rows'?"),
        ("query: darken", "query: darkn", "7: target.query: no such choice (found 'darkn'). Did you mean 'darken'?"),
        ("query: darken", "class: 1", "8: target.area: has a use only with a query: darken or darken_and_brighten"),
        (
            "query: darken",
            "query: darken\n  class: 1",
            "6: target: must be either a class, or a layer with a unit, or e",
        ),
        ("query: darken", "query: darken\n  layer: net", "8: target.layer: has no use with a query, which asks for"),
        (
            "nets_radio:Maker",
            "nets_radio:scores",
            "7: target.query: has a use only with a network that makes a map [C,",
        ),
        (
            "fill: constant",
            "fill: phi_gt",
            "3: models.inpainter: must be given: rde_pursuit with fill: phi_gt needs one",
        ),
        ("constant", "constant, fill_share: 0.5", "2: method.fill_share: has a use only with fill: phi_gt (found 0.5)"),
        ("constant", "phi_gt, fill_share: 0", "2: method.fill_share: must be above 0 (found 0"),
        (
            "+measurements, fill: constant}\nmodels:",
            f", {PAINTED}",
            "2: method.components: must be measurements or buildings+measurements with fill: phi_gt, which fills in",
        ),
        (
            "fill: constant}\nmodels:",
            PAINTED.replace("nets_radio:Maker", "{source: nets_radio:Maker, args: {out: 2}}"),
            "4: models.inpainter: the network that estimates must take samples [4, 8, 8] and make maps [1, 8, 8] "
            "(found [2, 8, 8])",
        ),
        (
            "fill: constant}\nmodels:",
            PAINTED.replace("Maker", "scores"),
            "4: models.inpainter: the network that estimates must take samples [4, 8, 8] and make maps [1, 8, 8]",
        ),
    ],
)
def test_what_does_not_fit_is_refused_at_its_line(home: Path, old: str, new: str, message: str) -> None:
    assert old in SWEEP
    (home / "sweep.yaml").write_text(SWEEP.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        workload_of(home)
    found = str(caught.value).replace(f"{home}/sweep.yaml", "sweep.yaml")
    assert message in found
    assert found.startswith("sweep.yaml:")


def test_buildings_of_samples_that_are_no_radio_maps_are_refused(home: Path) -> None:
    (home / "nets_radio.py").write_text(NETS.replace("Conv2d(4,", "Conv2d(1,"))
    with pytest.raises(InputError, match=r"method\.components: must be of radio maps \[4, H, W\].* are \[1, 8, 8\]"):
        workload_of(home, "data.source=images.npz", "method.components=measurements")


def test_a_file_of_ones_own_that_is_called_as_the_grouping_needs_no_city(home: Path) -> None:
    np.save(home / "my_buildings.npy", np.arange(4 * SIDE * SIDE).reshape(4, SIDE, SIDE) // SIDE)
    workload = workload_of(home, "data.source=bare.npz", "method.components=my_buildings.npy")
    assert workload.arrays == {}


def test_arrays_beside_the_samples_need_an_npz(home: Path) -> None:
    with pytest.raises(InputError, match=r"must be an \.npz file that has beside x an array named buildings"):
        load_arrays("nets_radio:maps", ("buildings",), 6, folder=home, key="data.source")
