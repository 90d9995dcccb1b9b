"""The waterbirds' zoo: composites from pictures made here, group DRO by its definition, and what the card says."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from raysweep.errors import InputError
from raysweep.zoo import resolve_data, resolve_model
from raysweep.zoo.parts import loaded
from raysweep.zoo.pgd import Attack
from raysweep.zoo.waterbirds import FOLDER, MODELS
from raysweep.zoo.waterbirds.composites import STRIPS, Composites, compose, scenes
from raysweep.zoo.waterbirds.networks import BACKGROUNDS, BIRDS
from raysweep.zoo.waterbirds.source import Pictures, read_birds, read_photographs
from raysweep.zoo.waterbirds.supervised import Schedule, accuracies, augment, drawn, train, worst_group

FIGURES = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
RED, WHITE = (250, 0, 0), (240, 240, 240)


def painted() -> tuple[Pictures, Pictures]:
    """A red land bird, a white water bird; photographs whose three strips are dark, mid and light, of land in green."""
    birds = [Image.new("RGBA", (40, 30), (*colour, 255)) for colour in (RED, WHITE)]
    photographs = []
    for channel in (1, 2):
        picture = np.zeros((100, 300, 3), np.uint8)
        for place, (low, high) in enumerate(STRIPS.values()):
            picture[:, round(300 * low) : round(300 * high), channel] = 60 * (place + 1)
        photographs.append(Image.fromarray(picture))
    return ((birds[0],), (birds[1],)), ((photographs[0],), (photographs[1],))


def made(strip: str = "train", agreeing: float = 0.9, seed: int = 3) -> Composites:
    return compose(*painted(), strip, 40, agreeing, seed)


@pytest.mark.parametrize(("agreeing", "groups"), [(0.95, [19, 1, 1, 19]), (0.5, [10, 10, 10, 10]), (1, [20, 0, 0, 20])])
def test_the_stated_share_of_each_kind_is_on_its_own_background(agreeing: float, groups: list[int]) -> None:
    assert made(agreeing=agreeing).group.bincount(minlength=4).tolist() == groups


def test_an_image_shows_the_bird_and_the_background_that_it_says() -> None:
    found = made(agreeing=0.5)
    assert found.x.dtype == torch.uint8
    assert found.x.shape == (40, 3, 32, 32)
    middle, edge = found.x[:, :, 13:19, 13:19].float().mean((2, 3)), found.x[:, :, :2].float().mean((2, 3))
    assert ((middle[:, 1] > 100).long() == found.bird).all()  # white has green, red has none
    assert (edge.argmax(1) == 1 + found.background).all()


@pytest.mark.parametrize(("strip", "shade"), list(zip(STRIPS, (60, 120, 180), strict=True)))
def test_no_background_lies_in_two_strips(strip: str, shade: int) -> None:
    edge = made(strip).x[:, :, 0].float().amax((1, 2))
    assert ((edge >= 0.74 * shade) & (edge <= 1.21 * shade)).all()  # in another light


def test_a_scene_has_no_bird() -> None:
    _, (land, water) = painted()
    for channel, photographs in ((1, land), (2, water)):
        found = scenes(photographs, "judge", 20, 5)
        assert found.shape == (20, 3, 32, 32)
        assert (found.flatten(2).amin(2) == found.flatten(2).amax(2)).all()  # one colour
        assert (found[:, channel, 0, 0] >= 0.74 * 120).all()


def test_images_follow_from_the_seed() -> None:
    assert torch.equal(made().x, made().x)
    assert torch.equal(made().group, made().group)
    assert not torch.equal(made().x, made(seed=4).x)


def test_the_worst_group_counts_as_its_definition_says() -> None:
    losses, groups = torch.tensor([0.2, 0.4, 3.0, 1.0, 0.5]), torch.tensor([0, 0, 1, 3, 3])
    before = torch.tensor([0.1, 0.2, 0.3, 0.4])
    loss, after = worst_group(losses, groups, before, 0.5)
    means = [0.3, 3.0, 0.0, 0.75]
    raised = [q * math.exp(0.5 * mean) for q, mean in zip(before.tolist(), means, strict=True)]
    expected = [q / sum(raised) for q in raised]
    assert after.tolist() == pytest.approx(expected)
    assert float(loss) == pytest.approx(sum(q * mean for q, mean in zip(expected, means, strict=True)))


def test_weights_of_groups_are_no_way_for_the_gradient() -> None:
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    loss, after = worst_group(losses, torch.tensor([0, 3]), torch.full((4,), 0.25), 1.0)
    loss.backward()
    assert losses.grad is not None
    assert losses.grad.tolist() == pytest.approx([float(after[0]), float(after[3])])


def test_batches_of_group_dro_have_as_many_of_a_rare_group() -> None:
    groups = torch.tensor([0] * 950 + [1] * 50 + [2] * 50 + [3] * 950)
    random = torch.Generator().manual_seed(0)
    counts = [
        groups[drawn(groups, Schedule(1, 1, group_step=step, batch=4000), random)].bincount(minlength=4)
        for step in (0.01, 0.0)
    ]
    assert all(abs(count - 1000) < 150 for count in counts[0].tolist())
    assert counts[1][1] < 150


def test_images_are_mirrored_and_shifted_by_two_pixels_at_most() -> None:
    x = torch.zeros(50, 3, 32, 32)
    x[:, :, 10, 20] = 1
    places = {tuple(place) for place in augment(x, torch.Generator().manual_seed(0))[:, 0].nonzero()[:, 1:].tolist()}
    assert {row for row, _ in places} == set(range(8, 13))
    assert {column for _, column in places} == set(range(18, 23)) | set(range(9, 14))


@pytest.mark.parametrize("attack", [None, Attack(radius=0.25, steps=2)], ids=["as they are", "attacked"])
@pytest.mark.parametrize("step", [0.0, 0.1])
def test_training_learns_the_birds_of_a_painted_world(step: float, attack: Attack | None) -> None:
    images = made(agreeing=0.9)
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(48, 2))
    train(net, images, Schedule(1, 40, group_step=step, batch=40, lr=0.1, attack=attack))
    assert min(accuracies(net, images)) == 1


def test_a_picture_that_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the pictures must be there.*install tuxpaint-stamps-default"):
        read_birds(tmp_path)
    with pytest.raises(InputError, match=r"mate.*install mate-backgrounds"):
        read_photographs(tmp_path)


@cache
def shipped(name: str) -> Composites:
    with np.load(resolve_data(f"zoo://waterbirds/{name}").file) as archive:
        assert tuple(archive["classes"]) == BIRDS
        return Composites(*(torch.from_numpy(archive[key]) for key in ("x", "y", "background")))


@pytest.mark.parametrize("name", ["seen", "test"])
def test_shipped_images_are_balanced_and_small(name: str) -> None:
    found = shipped(name)
    assert found.x.dtype == torch.uint8
    assert found.x.shape[1:] == (3, 32, 32)
    counts = found.group.bincount(minlength=4)
    assert counts.tolist() == FIGURES["data"]["groups"][name] == [len(found) // 4] * 4
    assert resolve_data(f"zoo://waterbirds/{name}").file.stat().st_size < 5e6


def test_no_image_to_train_with_is_one_to_compare_with() -> None:
    tested = {image.numpy().tobytes() for image in shipped("test").x}
    assert sum(image.numpy().tobytes() in tested for image in shipped("seen").x) == 0


@pytest.mark.parametrize("name", list(MODELS))
def test_a_network_names_each_groups_test_images_as_often_as_was_measured(name: str) -> None:
    entry = resolve_model(f"zoo://waterbirds/{name}")
    names = "background" if name == "background" else "bird"
    assert entry.units == (BACKGROUNDS if name == "background" else BIRDS)
    assert accuracies(loaded(entry), shipped("test"), names) == pytest.approx(FIGURES[name]["test"], abs=0.02)


def test_the_mean_loss_learns_backgrounds_and_the_worst_groups_loss_birds() -> None:
    erm, dro = FIGURES["erm"]["accuracy"], FIGURES["dro"]["accuracy"]
    assert min(erm[0], erm[3]) > 0.9
    assert max(erm[1], erm[2]) < 0.6
    assert min(dro) > min(erm) + 0.3
    assert min(FIGURES["background"]["accuracy"]) > 0.97
    assert max(FIGURES["erm_robust"]["accuracy"][1:3]) < 0.1
    assert min(FIGURES["dro_robust"]["accuracy"]) > 0.8


@pytest.mark.parametrize("loss", ["erm", "dro"])
def test_adversarial_training_withstands_an_attack_that_the_regular_one_does_not(loss: str) -> None:
    left = FIGURES["attacks"]["left"]
    assert left[f"{loss}_robust"] > left[loss]


def test_the_card_states_the_accuracies_of_every_group() -> None:
    text = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    for name in MODELS:
        assert " | ".join(f"{share:.1%}" for share in FIGURES[name]["accuracy"]) in text
    for name in BACKGROUNDS:
        assert f"| {name} | " + " | ".join(f"{share:.1%}" for share in FIGURES["bare"][name].values()) + " |" in text
