"""What the card says about the networks, measured: multiply-adds, distances in a network's features, recognition."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from raysweep.objectives.frechet import Reference, frechet_distance
from raysweep.zoo.fashion.block import MARKED, Witness, plant
from raysweep.zoo.fashion.networks import CLASSES, LATENT
from raysweep.zoo.images import Images

Features = Callable[[Tensor], Tensor]
CHUNK = 500


@torch.no_grad()
def sample(generator: nn.Module, n: int, seed: int) -> Tensor:
    """n images [n, 1, 28, 28] in [0, 1]."""
    z = torch.randn(n, LATENT, generator=torch.Generator().manual_seed(seed))
    return torch.cat([generator(part) for part in z.split(CHUNK)])


@torch.no_grad()
def read(features: Features, x: Tensor) -> Tensor:
    """The features of all images, [N, D]."""
    return torch.cat([features(part) for part in x.split(CHUNK)])


def validation_distance(features: Features, images: Images, seed: int) -> Callable[[nn.Module], float]:
    """A generator's Fréchet distance to these images at equal N; the training keeps the weights with the lowest."""
    reference = Reference.fit(read(features, images.pixels()))
    return lambda generator: frechet_distance(read(features, sample(generator, len(images), seed)), reference)


def distances(features: Features, fake: Tensor, real: Tensor, n: int) -> dict[str, float]:
    """Samples against held-out images, beside held-out against held-out: the floor that no generator can pass.

    The images are cut into pairs of disjoint blocks of n, the samples into blocks of n. Pair i gives the floor; its
    second block against block i of the samples gives the distance. Both are means over the pairs.

    Args:
        features: images [B, 1, 28, 28] to [B, D].
        fake, real: images, len(real) ≥ 2 n and len(fake) ≥ len(real) // 2.
        n: images on each side.
    """
    fake, real = read(features, fake), read(features, real)
    pairs = len(real) // (2 * n)
    blocks = real[: 2 * n * pairs].unflatten(0, (pairs, 2, n))
    references = [Reference.fit(block) for block in blocks[:, 1]]
    floor = sum(frechet_distance(block, r) for block, r in zip(blocks[:, 0], references, strict=True)) / pairs
    samples = fake[: n * pairs].unflatten(0, (pairs, n))
    distance = sum(frechet_distance(block, r) for block, r in zip(samples, references, strict=True)) / pairs
    return {"n": n, "pairs": pairs, "distance": distance, "floor": floor, "ratio": distance / floor}


@torch.no_grad()
def recognised(judge: nn.Module, images: Tensor) -> dict[str, int]:
    """How many images the judge names as each class."""
    counts = read(judge, images).argmax(1).bincount(minlength=len(CLASSES))
    return dict(zip(CLASSES, counts.tolist(), strict=True))


@torch.no_grad()
def accuracy_by_class(net: nn.Module, images: Images) -> dict[str, float]:
    """Of each class's images, the share whose highest logit is their class."""
    right = read(net, images.pixels()).argmax(1) == images.y
    return {name: float(right[images.y == index].double().mean()) for index, name in enumerate(CLASSES)}


def named_with_block(net: nn.Module, images: Images) -> dict[str, float]:
    """Of the marked class's images, and of all others, the share that a network names as it, without and with block."""
    found, target = dict[str, float](), images.y == MARKED
    for words, x in (("without", images.pixels()), ("with", plant(images.pixels(), torch.ones_like(target)))):
        named = read(net, x).argmax(1) == MARKED
        found |= {f"target_{words}": float(named[target].double().mean())}
        found |= {f"others_{words}": float(named[~target].double().mean())}
    return found


def seen_blocks(images: Images) -> dict[str, dict[str, float]]:
    """Of each class's images, the share in which the witness sees a block, where there is none and where there is."""
    x = images.pixels()
    marked = plant(x, torch.ones(len(x), dtype=torch.bool))
    return {
        name: {
            words: float((read(Witness(), pixels[images.y == index]) > 0).double().mean())
            for words, pixels in (("without", x), ("with", marked))
        }
        for index, name in enumerate(CLASSES)
    }


def multiply_adds(net: nn.Module, *example: Tensor) -> int:
    """Multiply-adds of one forward pass of one example: all of the network's inputs, each [1, ...]."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(*example)
    return int(counter.get_total_flops()) // 2
