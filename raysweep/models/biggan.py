"""BigGAN's generator and discriminator for images of 28 to 64 pixels, the discriminator with a second head.

Brock, Donahue, Simonyan, *Large scale GAN training for high fidelity natural image synthesis*, ICLR 2019; the second
head is ProbeGAN's (Zhang, Zhou, Zhang, Cox, Chang, AAAI 2022). Images are in [-1, 1] here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.errors import InputError
from raysweep.models.spectral import SpectralConv2d, SpectralEmbedding, SpectralLinear

SMALLEST, LARGEST = 28, 64
CHANNELS = (1, 2, 3)
DEVIATION = 0.02
"""Of all weights at the start (the ProbeGAN authors' setting N02); biases are 0."""


class ConditionalNorm(nn.Module):
    """Batch normalisation whose gain and bias follow from a condition (de Vries et al., NeurIPS 2017)."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = SpectralLinear(condition, channels, bias=False)
        self.bias = SpectralLinear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        return torch.addcmul(bias[:, :, None, None], self.norm(x), gain[:, :, None, None])


class Upward(nn.Module):
    """A residual block of the generator; it doubles the map."""

    def __init__(self, channels: int, out: int, condition: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = ConditionalNorm(channels, condition), ConditionalNorm(out, condition)
        self.first, self.second = SpectralConv2d(channels, out), SpectralConv2d(out, out)
        self.shortcut = SpectralConv2d(channels, out, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.first(_doubled(functional.relu(self.first_norm(x, condition))))
        h = self.second(functional.relu(self.second_norm(h, condition)))
        return h + _doubled(self.shortcut(x))  # a 1 × 1 convolution costs a quarter before the map is doubled


class Generator(nn.Module):
    """Latent [B, z] and class [B] to images [B, channels, size, size] in [-1, 1].

    The latent is hierarchical: its first part makes the smallest map, each other one conditions a block, together with
    the embedding of the class that all blocks share.

    Args:
        classes: how many.
        size, channels: of the images.
        width: channels are multiples of it.
        latent: numbers of z; what does not split evenly over the parts is not used.
        embedding: numbers of a class's embedding.
        mixed: compute layers in bfloat16; weights, their norms and the images keep their precision.
    """

    def __init__(
        self, classes: int, size: int, channels: int, width: int, latent: int, embedding: int, mixed: bool = False
    ) -> None:
        super().__init__()
        wide = widths(size)
        self.mixed = mixed
        self.parts = len(wide)
        self.chunk, self.smallest = latent // self.parts, size >> (self.parts - 1)
        condition = embedding + self.chunk
        self.shared = nn.Embedding(classes, embedding)
        self.project = SpectralLinear(self.chunk, wide[0] * width * self.smallest**2)
        self.blocks = nn.ModuleList(
            Upward(before * width, after * width, condition) for before, after in pairwise(wide)
        )
        self.norm = nn.BatchNorm2d(wide[-1] * width)
        self.image = SpectralConv2d(wide[-1] * width, channels)
        _start(self)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.painted(z, self.shared(y))

    def painted(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Images of classes given by their embeddings [B, e]."""
        first, *others = z[:, : self.parts * self.chunk].split(self.chunk, dim=1)
        with torch.autocast(z.device.type, torch.bfloat16, enabled=self.mixed):
            x = self.project(first).unflatten(1, (-1, self.smallest, self.smallest))
            for block, part in zip(self.blocks, others, strict=True):
                x = block(x, torch.cat([embedding, part], dim=1))
            x = self.image(functional.relu(self.norm(x)))
        return torch.tanh(x.to(z))


class Downward(nn.Module):
    """A residual block of the discriminator, which may halve the map; the first block takes the image as it is."""

    def __init__(self, channels: int, out: int, halves: bool, first: bool) -> None:
        super().__init__()
        self.first, self.second = SpectralConv2d(channels, out), SpectralConv2d(out, out)
        self.shortcut = SpectralConv2d(channels, out, 1) if channels != out or halves else None
        self.halves, self.opening = halves, first

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(functional.relu(self.first(x if self.opening else functional.relu(x))))
        if self.halves:  # a 1 × 1 convolution and a mean commute: the mean goes first, which is cheaper
            h, x = functional.avg_pool2d(h, 2), functional.avg_pool2d(x, 2)
        return h + (x if self.shortcut is None else self.shortcut(x))


class Discriminator(nn.Module):
    """Images [B, channels, size, size] in [-1, 1] to what both heads think of them, [B] each.

    Over one trunk a projection head D_c (Miyato, Koyama, *cGANs with projection discriminator*, ICLR 2018), which is
    told a class, and a linear head D_u, which is not.

    Args:
        mixed: compute the trunk's layers in bfloat16; weights, their norms, features and heads keep their precision.
    """

    def __init__(self, classes: int, size: int, channels: int, width: int, mixed: bool = False) -> None:
        super().__init__()
        self.mixed = mixed
        wide = [channels, *(one * width for one in narrowings(size))]
        halvings = len(widths(size)) - 1 if size == LARGEST else 2
        self.blocks = nn.Sequential(
            *(
                Downward(before, after, halves=index < halvings, first=index == 0)
                for index, (before, after) in enumerate(pairwise(wide))
            )
        )
        self.conditional = SpectralLinear(wide[-1], 1)
        self.embedding = SpectralEmbedding(classes, wide[-1])
        self.unconditional = SpectralLinear(wide[-1], 1)
        _start(self)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        projected = (self.embedding(y) * h).sum(dim=1)
        return self.conditional(h)[:, 0] + projected, self.unconditional(h)[:, 0]

    def trunk(self, x: Tensor) -> Tensor:
        """Features [B, c], summed over the map."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed):
            maps = functional.relu(self.blocks(x))
        return maps.sum(dim=(2, 3), dtype=x.dtype)

    def critic(self, x: Tensor) -> Tensor:
        """D_u alone."""
        return self.unconditional(self.trunk(x))[:, 0]


def widths(size: int) -> list[int]:
    """Channels of the generator's maps, from the smallest to the whole image, in multiples of the width."""
    if size == LARGEST:
        return [16, 16, 8, 4, 2]
    doublings = 0
    while size % 2 == 0 and size > 7:
        size, doublings = size // 2, doublings + 1
    return [4] * (doublings + 1)


def narrowings(size: int) -> list[int]:
    """Channels after each block of the discriminator, in multiples of the width."""
    return [1, 2, 4, 8, 16] if size == LARGEST else [4, 4, 4, 4]


def check_images(shape: tuple[int, ...], key: str) -> None:
    """Whether these networks make images of a shape [channels, height, width].

    Raises:
        InputError: the rule that it breaks.
    """
    fits = len(shape) == 3 and shape[0] in CHANNELS and shape[1] == shape[2]
    if not fits or not SMALLEST <= shape[1] <= LARGEST or shape[1] % 4:
        rule = f"must be square images of {SMALLEST} to {LARGEST} pixels, a multiple of 4, with 1 to 3 channels"
        raise InputError(rule, key=key, value=list(shape))


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2)


def _start(module: nn.Module) -> None:
    for one in module.modules():
        if isinstance(one, (nn.Conv2d, nn.Linear, nn.Embedding)):
            nn.init.normal_(one.weight, 0.0, DEVIATION)
        if isinstance(one, (nn.Conv2d, nn.Linear)) and one.bias is not None:
            nn.init.zeros_(one.bias)
