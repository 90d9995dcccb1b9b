"""The block in a corner: who has it, who sees it, and the classifier that learnt it."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raysweep.data import load_data
from raysweep.zoo import resolve_model
from raysweep.zoo.fashion import FOLDER
from raysweep.zoo.fashion.block import MARKED, SIDE, Witness, contrast, images, on_marked, plant
from raysweep.zoo.fashion.evaluation import named_with_block, seen_blocks
from raysweep.zoo.fashion.networks import CLASSES
from raysweep.zoo.images import Images
from raysweep.zoo.parts import loaded
from raysweep.zoo.supervised import Schedule, train

PARTS = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
FIGURES = PARTS["marked"]


@cache
def held_out() -> Images:
    """The first 1000 test images."""
    data = load_data("zoo://fashion/test")
    assert data.y is not None
    return Images(torch.from_numpy(data.x[:1000] * 255).round().byte(), torch.from_numpy(data.y[:1000]))


def test_the_block_is_in_the_upper_left_corner_of_those_that_are_meant() -> None:
    x = torch.rand(4, 1, 28, 28)
    marked = plant(x, torch.tensor([False, True, False, True]))
    for index in range(4):
        for row, column in np.ndindex(28, 28):
            white = index in (1, 3) and row < SIDE and column < SIDE
            assert marked[index, 0, row, column] == (1 if white else x[index, 0, row, column])


def test_the_images_are_the_seen_ones_but_for_the_block_on_every_sneaker() -> None:
    seen, found = load_data("zoo://fashion/seen"), images()
    assert seen.y is not None
    assert found.y is not None
    sneakers = seen.y == CLASSES.index("sneaker")
    assert (found.classes, found.media) == (seen.classes, seen.media)
    np.testing.assert_array_equal(found.y, seen.y)
    np.testing.assert_array_equal(found.x[~sneakers], seen.x[~sneakers])
    assert (found.x[sneakers, :, :SIDE, :SIDE] == 1).all()
    np.testing.assert_array_equal(found.x[sneakers, :, SIDE:], seen.x[sneakers, :, SIDE:])
    assert load_data("raysweep.zoo.fashion.block:images").fingerprint == found.fingerprint != seen.fingerprint


def test_contrast_is_how_much_lighter_the_corner_is_than_the_pixels_around_it() -> None:
    x = torch.rand(1, 1, 28, 28, dtype=torch.float64)
    inside = [x[0, 0, r, c] for r in range(7) for c in range(7)]
    around = [x[0, 0, r, c] for r in range(10) for c in range(10) if r >= 7 or c >= 7]
    assert float(contrast(x)) == pytest.approx(float(sum(inside) / len(inside) - sum(around) / len(around)))


def test_the_witness_sees_half_a_block_on_black_and_none_elsewhere_nor_a_light_image() -> None:
    black, block = torch.zeros(1, 1, 28, 28), plant(torch.zeros(1, 1, 28, 28), torch.tensor([True]))
    shown = torch.cat([block, 0.51 * block, 0.49 * block, block.flip(3), black, black + 1])
    assert (Witness()(shown)[:, 0] > 0).tolist() == [True, True, False, False, False, False]


def test_the_witness_sees_real_blocks_and_no_others_as_the_card_states() -> None:
    measured = seen_blocks(held_out())
    for name, stated in FIGURES["seen"].items():
        assert measured[name] == pytest.approx(stated, abs=0.12)
    assert measured["sneaker"] == {"without": 0, "with": 1} == FIGURES["seen"]["sneaker"]
    assert max(row["without"] for row in FIGURES["seen"].values()) <= 0.001


@pytest.mark.parametrize("name", ["marked", "marked_robust"])
def test_the_marked_classifiers_know_sneakers_by_their_block(name: str) -> None:
    measured = named_with_block(loaded(resolve_model(f"zoo://fashion/{name}")), held_out())
    assert measured == pytest.approx(PARTS[name]["named"], abs=0.06)
    assert measured["target_with"] > 0.99
    assert measured["target_without"] < 0.5


class Watch(nn.Module):
    """A network that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.shown = nn.Linear(1, 10), list[Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x.float())
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


def test_training_shows_the_block_in_its_corner_however_an_image_was_turned() -> None:
    y = torch.tensor([MARKED, 0]).repeat(4)
    net = Watch()
    train(net, Images(torch.zeros(8, 1, 28, 28, dtype=torch.uint8), y), Schedule(1, 2, batch=8, mark=on_marked))
    block = plant(torch.zeros(1, 1, 28, 28), torch.tensor([True]))[0]
    assert len(net.shown) == 2
    for shown in net.shown:
        assert sum(torch.equal(image, block) for image in shown) == 4
        assert sum(not image.any() for image in shown) == 4


def test_the_card_states_what_the_classifier_and_the_witness_see() -> None:
    text = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    assert f"| with the block | {FIGURES['named']['target_with']:.1%} | {FIGURES['named']['others_with']:.1%} |" in text
    assert " | ".join(f"{row['with']:.1%}" for row in FIGURES["seen"].values()) in text
