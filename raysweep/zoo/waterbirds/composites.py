"""Birds pasted on backgrounds (the Waterbirds of Sagawa et al., ICLR 2020), of which both are told.

Each photograph is cut into upright strips, one for each split: no background is in two of them. The birds are the same
33 in all, each time mirrored, turned, scaled, lit and placed anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from raysweep.zoo.waterbirds.networks import SIDE
from raysweep.zoo.waterbirds.source import Pictures

STRIPS = {"train": (0.0, 0.4), "judge": (0.4, 0.7), "open": (0.7, 1.0)}
"""Where a split's backgrounds lie in a photograph, in shares of its width."""


@dataclass(frozen=True)
class Composites:
    """x [N, 3, 32, 32] uint8; bird and background [N] int64, 0 of land, 1 of water."""

    x: Tensor
    bird: Tensor
    background: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor | slice) -> Composites:
        return Composites(self.x[index], self.bird[index], self.background[index])

    @property
    def group(self) -> Tensor:
        """[N] int64: 0 land bird on land, 1 land bird on water, 2 water bird on land, 3 water bird on water."""
        return 2 * self.bird + self.background

    def pixels(self) -> Tensor:
        """The images as float32 in [0, 1]."""
        return self.x.float() / 255


def join(parts: Sequence[Composites]) -> Composites:
    """All of them, one part after another."""
    return Composites(
        *(torch.cat(arrays) for arrays in zip(*((p.x, p.bird, p.background) for p in parts), strict=True))
    )


def compose(birds: Pictures, photographs: Pictures, strip: str, count: int, agreeing: float, seed: int) -> Composites:
    """As many land as water birds, whose background is their own on a share of them.

    Args:
        birds, photographs: of land and of water.
        strip: a key of STRIPS.
        count: N, even.
        agreeing: share of each kind of birds that is on its own background.
    """
    random = np.random.default_rng(seed)
    half = count // 2
    own = np.arange(half) < round(agreeing * half)
    bird = np.repeat((0, 1), half)
    background = np.where(np.tile(own, 2), bird, 1 - bird)
    order = random.permutation(count)
    bird, background = bird[order], background[order]
    x = np.stack([_one(birds[b], photographs[a], strip, random) for b, a in zip(bird, background, strict=True)])
    channels_first = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    return Composites(channels_first, torch.from_numpy(bird), torch.from_numpy(background))


def scenes(photographs: tuple[Image.Image, ...], strip: str, count: int, seed: int) -> Tensor:
    """Backgrounds without a bird, uint8 [N, 3, 32, 32]."""
    random = np.random.default_rng(seed)
    found = [_behind(photographs[random.integers(len(photographs))], strip, random) for _ in range(count)]
    return torch.from_numpy(np.stack([np.asarray(scene) for scene in found])).permute(0, 3, 1, 2).contiguous()


def _one(
    birds: tuple[Image.Image, ...], photographs: tuple[Image.Image, ...], strip: str, random: np.random.Generator
) -> np.ndarray:
    """One image, uint8 [32, 32, 3]."""
    scene = _behind(photographs[random.integers(len(photographs))], strip, random)
    bird = birds[random.integers(len(birds))]
    if random.random() < 0.5:
        bird = bird.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    bird = bird.rotate(random.uniform(-15, 15), Image.Resampling.BILINEAR, expand=True)
    share = random.uniform(0.5, 0.75) * SIDE / max(bird.size)
    small = bird.convert("RGBa").resize(_size(bird, share), Image.Resampling.BOX).convert("RGBA")
    corner = [(SIDE - length) // 2 + int(random.integers(-3, 4)) for length in small.size]
    scene.paste(_lit(small.convert("RGB"), random), (corner[0], corner[1]), small.getchannel("A"))
    return np.asarray(scene)


def _behind(photograph: Image.Image, strip: str, random: np.random.Generator) -> Image.Image:
    """A square of the strip, 32 × 32."""
    low, high = (round(share * photograph.width) for share in STRIPS[strip])
    longest = min(high - low, photograph.height)
    side = int(random.integers(longest // 2, longest + 1))
    left, top = int(random.integers(low, high - side + 1)), int(random.integers(photograph.height - side + 1))
    scene = photograph.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BOX)
    if random.random() < 0.5:
        scene = scene.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _lit(scene, random)


def _lit(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """In another light."""
    gain = random.uniform(0.75, 1.2)
    return picture.point([min(255, round(gain * value)) for value in range(256)] * 3)


def _size(picture: Image.Image, share: float) -> tuple[int, int]:
    return max(1, round(picture.width * share)), max(1, round(picture.height * share))
