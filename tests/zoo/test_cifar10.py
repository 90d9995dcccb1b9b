"""The CIFAR-10 recipe on a few made-up images, and the job that reads what it makes."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from raysweep.cli import app
from raysweep.errors import InputError
from raysweep.zoo.cifar10.networks import Classifier, Judge
from raysweep.zoo.cifar10.recipe import Recipe, Size, main, schedules
from raysweep.zoo.cifar10.source import read_images, read_split
from raysweep.zoo.images import Images
from raysweep.zoo.pgd import Attack, accuracy_under, perturb
from raysweep.zoo.supervised import augment

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TINY = Size(
    schedules=schedules(1, Attack(8 / 255, steps=2, norm="linf")),
    attack=Attack(8 / 255, steps=3, norm="linf"),
    attacked=20,
    restarts=1,
    classifier={"width": 2, "blocks": 1},
    judge={"width": 2},
)


def parquet(file: Path, count: int, seed: int) -> None:
    """So many images of noise in the layout of data hubs, each class as often."""
    rows = []
    for pixels in np.random.default_rng(seed).integers(256, size=(count, 32, 32, 3), dtype=np.uint8):
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "PNG")
        rows.append({"bytes": encoded.getvalue(), "path": None})
    names = {"info": {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}}
    cells = {"img": pa.array(rows), "label": pa.array([index % 10 for index in range(count)])}
    pq.write_table(pa.table(cells).replace_schema_metadata({"huggingface": json.dumps(names)}), file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recipe has made everything, at a very small size."""
    where = tmp_path_factory.mktemp("job") / "cifar10"
    where.mkdir()
    parquet(where / "train.parquet", 500, seed=0)
    parquet(where / "test.parquet", 60, seed=1)
    recipe = Recipe(where, TINY, torch.device("cpu"))
    for stage in recipe.stages:
        recipe.make(stage)
    return where


def test_the_judge_is_trained_on_images_that_neither_classifiers_nor_generators_meet(folder: Path) -> None:
    split, shown = read_split(folder), read_images(folder / "shown.parquet")
    assert torch.equal(shown.x, split.probed.x)
    assert torch.equal(shown.y, split.probed.y)
    met, judging = ({one.numpy().tobytes() for one in part.x} for part in (shown, split.judging))
    assert (len(met), len(judging)) == (350, 150)
    assert met.isdisjoint(judging)
    assert len(split.test) == 60


def test_what_is_shown_keeps_the_names_of_its_classes(folder: Path) -> None:
    assert pq.read_schema(folder / "shown.parquet").metadata == pq.read_schema(folder / "train.parquet").metadata


def test_the_weights_are_those_of_networks_that_the_card_describes(folder: Path) -> None:
    figures = json.loads((folder / "figures.json").read_text())
    card = (folder / "CARD.md").read_text(encoding="utf-8")
    recipe = Recipe(folder, TINY, torch.device("cpu"))
    for name, left in figures["attacks"]["left"].items():
        assert 0 <= left <= 1
        assert f"| {name} | {figures[name]['accuracy']:.2%} | {left:.2%} |" in card
        assert recipe.load(name)(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    assert figures["robust"]["attack_steps"] == 2
    assert figures["regular"]["attack_steps"] == 0
    assert figures["judge"]["images"] == 150


def test_regular_and_robust_differ_in_the_attack_alone() -> None:
    regular, robust, _ = TINY.schedules.values()
    assert regular.attack is None
    assert robust.attack == Attack(8 / 255, 2, "linf")
    assert {**vars(regular), "attack": robust.attack} == vars(robust)


def test_the_job_reads_what_the_recipe_makes(folder: Path, jobs: Path) -> None:
    job = Path(shutil.copy(jobs / "probegan-cifar10.yaml", folder.parent))
    small = {f"models.classifiers.{name}.args": "{width: 2, blocks: 1}" for name in ("regular", "robust")}
    small |= {"models.judge.args": "{width: 2}", "objective.model.args": "{width: 2}", "examples": "6"}
    small |= {"space.width": "1", "space.batch": "2", "precision": "bfloat16"}
    sets = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    result = CliRunner().invoke(app, ["check", str(job), "--json", *sets])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["trials"] == 6
    assert found["row_steps"] == 2 * 100_000
    assert "bfloat16" in found["numerics"]
    assert found["described"][0].startswith("data: ")


def test_data_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must hold CIFAR-10 as train\.parquet"):
        main(["--data", str(tmp_path), "--small", "--device", "cpu", "--only", "regular"])


@pytest.mark.parametrize(("width", "blocks"), [(2, 1), (4, 2)])
def test_networks_name_images(width: int, blocks: int) -> None:
    x = torch.rand(2, 3, 32, 32)
    for net, features in ((Classifier(width, blocks), 8 * width), (Judge(width), 4 * width)):
        assert net.eval()(x).shape == (2, 10)
        assert net.head.in_features == features


def test_a_full_sized_classifier_is_resnet_18() -> None:
    with torch.device("meta"):
        count = sum(one.numel() for one in Classifier().parameters())
    assert count == 11_173_962  # as is known of it


def test_an_attack_in_the_maximum_norm_finds_what_is_worst_for_a_linear_network() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).requires_grad_(False).eval()
    x, y = 0.3 + 0.4 * torch.rand(5, 3, 2, 2), torch.tensor([0, 1, 0, 1, 0])
    moved = perturb(net, x, y, Attack(0.1, steps=10, norm="linf"), torch.Generator().manual_seed(0))
    away = net[1].weight[1 - y] - net[1].weight[y]
    torch.testing.assert_close(moved, x + 0.1 * away.sign().view_as(x))


def test_an_attack_in_the_maximum_norm_stays_in_the_unit_range() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    x = torch.rand(5, 3, 2, 2).round()
    moved = perturb(net, x, torch.zeros(5).long(), Attack(0.1, steps=3, norm="linf"), torch.Generator())
    assert 0 <= moved.min() <= moved.max() <= 1
    assert (moved - x).abs().max() <= 0.1 + 1e-6


def test_what_is_left_under_an_attack_counts_what_no_restart_deceives() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False)).requires_grad_(False).eval()
    net[1].weight.copy_(torch.tensor([[0.0, 0, 0], [1.0, 1, 1]]) - torch.tensor([[0.0, 0, 0], [0.5, 0.5, 0.5]]))
    grey = torch.tensor([3, 30, 100], dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 1, 1)
    images = Images(grey.contiguous(), torch.ones(3).long())  # of class 1 as long as a pixel is above 0
    attack = Attack(8 / 255, steps=3, norm="linf")
    assert accuracy_under(attack, net, images, restarts=2, seed=0) == pytest.approx(2 / 3)


def test_images_in_colour_are_shifted_and_mirrored_whole() -> None:
    x = torch.arange(1, 1 + 2 * 3 * 16).view(2, 3, 4, 4).float()
    moved = augment(x, erase=0, random=torch.Generator().manual_seed(3), shift=1)
    assert moved.shape == x.shape
    for one, image in zip(moved, x, strict=True):
        padded = [nn.functional.pad(way, (1, 1, 1, 1)) for way in (image, image.flip(2))]
        windows = [way[:, i : i + 4, j : j + 4] for way in padded for i in range(3) for j in range(3)]
        assert sum(torch.equal(one, window) for window in windows) == 1
