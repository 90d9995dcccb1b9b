"""What methods with a generator of classes share: real images, classifiers that are probed, and how it is looked at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from raysweep.methods.flat import Flat
from raysweep.methods.method import Method, Rows, State
from raysweep.methods.noise import fresh_normal
from raysweep.models.biggan import Generator
from raysweep.models.spectral import converge

STANDING, STANDING_BATCH = 16, 64
"""Batches that the generator's batch statistics are the mean of, when it is looked at, and images of each."""


@dataclass(frozen=True)
class RealImages:
    """What a discriminator compares with.

    Args:
        x: [N, channels, size, size] in [low, high].
        y: class of each, int64 [N].
        classes: how many there are.
        low, high: what black and white are.
    """

    x: Tensor
    y: Tensor
    classes: int
    low: float = 0.0
    high: float = 1.0

    def without(self, target: int) -> RealImages:
        """The images of all other classes: these themselves where there are no others, so that lanes share them."""
        kept = self.y != target
        if kept.all():
            return self
        return RealImages(self.x[kept], self.y[kept], self.classes, self.low, self.high)

    def to(self, device: torch.device) -> RealImages:
        """The same images on a device."""
        return RealImages(self.x.to(device), self.y.to(device), self.classes, self.low, self.high)


class GanMethod(Method):
    """A generator of classes; one row makes as many images as wanted.

    Args:
        images: real ones; those of the target class are left out.
        classifiers: what is probed, images as they are -> logits [B, classes]; `classifier` says which.
        target: the class y*.
        dtype: of the networks; bfloat16: of what their layers compute, and everything that is kept, summed or updated
            is float32.
    """

    trains = True
    makes: Literal["all", "seen", "target"] = "all"
    """Which classes the generator learns to make."""

    def __init__(
        self,
        images: RealImages,
        classifiers: Sequence[nn.Module],
        target: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.images = images if self.shows_target else images.without(target)
        self.classifiers, self.target, self.classes = list(classifiers), target, images.classes
        self.mixed = dtype == torch.bfloat16
        self.dtype = torch.float32 if self.mixed else dtype
        self.seen = [label for label in range(self.classes) if self.shows_target or label != target]
        """Classes that the images show."""
        self.made = {"all": list(range(self.classes)), "seen": self.seen, "target": [target]}[self.makes]
        """Classes that the generator learns to make."""
        self._generators = cache(self._generator)

    def begin(self, rows: Rows) -> State:
        """Each row for itself."""
        each = [self.started(_row(rows, index)) for index in range(len(rows))]
        return {name: torch.cat([one[name] for one in each]) for name in each[0]}

    @abstractmethod
    def started(self, rows: Rows) -> State:
        """The state of one row before its first step."""

    def looked_at(self, kept: dict[str, Tensor]) -> Generator:
        """The generator, ready to make images each for itself, its spectral norms and batch statistics its own.

        Args:
            kept: of one row.
        """
        (shape,) = kept["shape"].tolist()
        flat = self._generator(*shape)  # not the one that training goes on with
        parameters = kept["generator"][0].to(self.images.x.device, self.dtype, copy=True)
        flat.load(parameters, flat.start(torch.zeros, torch.ones)[1], learns=False)
        converge(flat.module)
        for one in flat.module.modules():
            if isinstance(one, nn.BatchNorm2d):
                one.momentum = None  # each batch counts as much as any other
        made = torch.tensor(self.made, device=parameters.device)
        with torch.no_grad():
            for index in range(STANDING):
                key = (torch.tensor([index], device=parameters.device),)
                z = self.latents(key, STANDING_BATCH, shape[1])
                flat.module(z, made[torch.arange(STANDING_BATCH, device=z.device) % len(made)])
        return flat.module.eval()

    def images_of(
        self, generator: Generator, kept: dict[str, Tensor], seed: int, label: int, examples: Tensor
    ) -> Tensor:
        """Images of a class in the data's own range, one an example: the same latents for every generator.

        Args:
            generator: `looked_at`.
            kept: of its row.
            examples: int64 [B].
        """
        latent = generator.parts * generator.chunk
        z = fresh_normal((torch.full_like(examples, seed), examples), latent, stream="look").to(self.dtype)
        return self.as_data(generator.painted(z, self.embedded(generator, kept, torch.full_like(examples, label))))

    def embedded(self, generator: Generator, kept: dict[str, Tensor], y: Tensor) -> Tensor:
        """The embeddings [B, e] of classes [B]."""
        return generator.shared(y)

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """An image of the target class."""
        first = torch.zeros(1, dtype=torch.int64, device=self.images.x.device)
        return self.images_of(self.looked_at(kept), kept, 0, self.target, first)

    def latents(self, key: tuple[Tensor, ...], count: int, latent: int) -> Tensor:
        """z ~ N(0, I), [count, latent]."""
        return fresh_normal(key, count * latent, stream="latent").view(count, latent).to(self.dtype)

    def logits(self, x: Tensor, rows: Rows) -> Tensor:
        """What the classifier that is probed says of images in [-1, 1], [B, classes]."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed):
            return self.classifiers[int(rows["classifier"])](self.as_data(x)).to(x)

    def as_data(self, x: Tensor) -> Tensor:
        """Images in [-1, 1] as the data are."""
        return self.images.low + (x + 1) * ((self.images.high - self.images.low) / 2)

    def _generator(self, width: int, latent: int, embedding: int) -> Flat[Generator]:
        channels, size = self.images.x.shape[1:3]
        made = Generator(self.classes, size, channels, width, latent, embedding, self.mixed)
        return Flat(made.to(self.images.x.device, self.dtype))


def _row(rows: Rows, index: int) -> Rows:
    """One of them."""
    seed, example, step, draw = (part[index : index + 1] for part in rows.key)
    return Rows(seed, example, step, draw, {name: value[index : index + 1] for name, value in rows.values.items()})
