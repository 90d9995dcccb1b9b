"""Cut-outs on photographs: what each shows, and the box that it lies in, are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from raysweep.zoo.cutouts.networks import SIDE
from raysweep.zoo.cutouts.source import OPAQUE, Cutouts

SHARES = (0.08, 0.5)
"""Of an image's area, its box's: the least and the greatest that are drawn. A narrow cut-out may get less."""
SHADES = 4
"""Values of colours are its multiples, and 2: archives are a third smaller so."""


@dataclass(frozen=True)
class Composites:
    """x [N, 3, 112, 112] uint8, y [N] int64, and boxes [N, 4] int64: left, top, right, bottom, the last two exclusive;
    `cutout` and `photograph` [N] say which of those given each image is made of.
    """

    x: Tensor
    y: Tensor
    boxes: Tensor
    cutout: Tensor
    photograph: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def pixels(self) -> Tensor:
        """The images as float32 in [0, 1]."""
        return self.x.float() / 255


def compose(cutouts: Cutouts, photographs: Sequence[Image.Image], count: int, seed: int) -> Composites:
    """As many images of each class, of each of its cut-outs, and of each photograph, up to one.

    Args:
        cutouts: of each class.
        count: N, a multiple of the classes.

    The area of an image's box is drawn evenly from `SHARES`, its place evenly from all where it lies within the image.
    """
    random = np.random.default_rng(seed)
    each = count // len(cutouts)
    y = np.repeat(np.arange(len(cutouts)), each)
    cutout = np.concatenate([_dealt(len(of_class), each, random) for of_class in cutouts])
    order = random.permutation(count)
    y, cutout, photograph = y[order], cutout[order], _dealt(len(photographs), count, random)
    made = [
        _one(cutouts[label][one], behind(photographs[scene], random), random)
        for label, one, scene in zip(y, cutout, photograph, strict=True)
    ]
    x = _images([image for image, _ in made])
    boxes = torch.tensor([box for _, box in made])
    return Composites(x, torch.from_numpy(y), boxes, torch.from_numpy(cutout), torch.from_numpy(photograph))


def scenes(photographs: Sequence[Image.Image], count: int, seed: int) -> Tensor:
    """Backgrounds without a cut-out, uint8 [N, 3, 112, 112]."""
    random = np.random.default_rng(seed)
    found = [behind(photographs[place], random) for place in _dealt(len(photographs), count, random)]
    return _images(found)


def behind(photograph: Image.Image, random: np.random.Generator) -> Image.Image:
    """A square of a photograph, from half of its height to all of it, 112 × 112."""
    longest = min(photograph.size)
    side = int(random.integers(longest // 2, longest + 1))
    left, top = (int(random.integers(length - side + 1)) for length in photograph.size)
    scene = photograph.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BOX)
    if random.random() < 0.5:
        scene = scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _lit(scene, random)


def _one(cutout: Image.Image, scene: Image.Image, random: np.random.Generator) -> tuple[Image.Image, list[int]]:
    """One image, and the box of what is opaque in it."""
    if random.random() < 0.5:
        cutout = cutout.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    cutout = cutout.rotate(random.uniform(-15, 15), Image.Resampling.BICUBIC, expand=True)
    cutout = cutout.crop(_opaque(cutout))
    side = SIDE * np.sqrt(random.uniform(*SHARES) / (cutout.width * cutout.height))
    side = min(side, SIDE / max(cutout.size))
    small = cutout.resize(tuple(max(1, round(length * side)) for length in cutout.size), Image.Resampling.BICUBIC)
    corner = [int(random.integers(SIDE - length + 1)) for length in small.size]
    scene.paste(_lit(small.convert("RGB"), random), (corner[0], corner[1]), small.getchannel("A"))
    left, top, right, bottom = _opaque(small)
    return scene, [corner[0] + left, corner[1] + top, corner[0] + right, corner[1] + bottom]


def _images(made: Sequence[Image.Image]) -> Tensor:
    """uint8 [N, 3, 112, 112]."""
    shades = np.stack([np.asarray(image) for image in made]) // SHADES * SHADES + SHADES // 2
    return torch.from_numpy(shades).permute(0, 3, 1, 2).contiguous()


def _opaque(cutout: Image.Image) -> tuple[int, int, int, int]:
    """The tight box of the pixels that are at least half the cut-out's."""
    found = cutout.getchannel("A").point(lambda alpha: 255 * (alpha >= OPAQUE)).getbbox()
    assert found is not None
    return found


def _dealt(things: int, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of them, each as often as any other up to one, in any order."""
    rounds = [random.permutation(things) for _ in range(-(-count // things))]
    return np.concatenate(rounds)[:count]


def _lit(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """In another light."""
    gain = random.uniform(0.75, 1.2)
    return picture.point([min(255, round(gain * value)) for value in range(256)] * 3)
