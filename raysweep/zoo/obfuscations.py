"""How near obfuscations are to real samples in a network's features: an inpainter's, a noise's and a constant's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.frechet import Reference, score_frechet
from raysweep.zoo.inpainting import obfuscate
from raysweep.zoo.masks import random_masks

Fill = Callable[[Tensor, Tensor, Tensor], Tensor]
DENSITIES = (0.05, 0.2, 0.5)
CHUNK = 250


@dataclass(frozen=True)
class Gaussian:
    """Each component normal by itself, with the mean and deviation [C, ...] that it has in the data."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Gaussian:
        """That of samples [N, C, ...]."""
        return cls(x.float().mean(0), x.float().std(0))

    def __call__(self, kept: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        return self.mean + self.std * noise


@dataclass(frozen=True)
class Constant:
    """One number for each channel: its mean in the data."""

    value: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Constant:
        """That of samples [N, C, ...]."""
        mean = x.float().transpose(0, 1).flatten(1).mean(1)
        return cls(mean.view(-1, *[1] * (x.ndim - 2)))

    def __call__(self, kept: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        return self.value.expand_as(kept)


def fills(inpainter: Fill, x: Tensor) -> dict[str, Fill]:
    """The three fills that the cards compare; x [N, ...] are training samples."""
    return {"inpainter": inpainter, "Gaussian noise": Gaussian.of(x), "constant": Constant.of(x)}


def trial_masks(n: int, shape: Sequence[int], cells: dict[int, str], seed: int) -> dict[str, Tensor]:
    """By name the masks [n, C, ...] that the cards try: nothing kept, then 5, 20 and 50 % of each kind of cell."""
    random = torch.Generator().manual_seed(seed)
    named = {"nothing": torch.zeros(n, *shape)}
    for cell, kind in cells.items():
        for density in DENSITIES:
            named[f"{density:.0%} of {kind}"] = random_masks(n, shape, cell, density, random)
    return named


@torch.no_grad()
def fill_in(fill: Fill, x: Tensor, mask: Tensor, seed: int) -> Tensor:
    """Samples x [N, ...] obfuscated with noise drawn by `seed`, a part at a time."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    parts = zip(*(tensor.split(CHUNK) for tensor in (x, mask, noise)), strict=True)
    return torch.cat([obfuscate(fill, *part) for part in parts])


@torch.no_grad()
def distances(
    features: Callable[[Tensor], Tensor],
    named: dict[str, Fill],
    x: Tensor,
    others: Tensor,
    masks: dict[str, Tensor],
    seed: int,
) -> dict[str, Any]:
    """Squared Fréchet distance of obfuscations of x to `others`, by fill and masks, each with a 95 % interval.

    Args:
        features: samples [B, ...] to [B, D].
        named: the fills.
        x: samples [N, ...] to obfuscate, among which none trained a network that is measured here.
        others: real samples to compare with, none of them in x. They are held fixed, so the interval leaves them out.
        masks: by name, [N, ...].
        seed: of noise and resamples.

    Returns:
        {"n", "references", "floor": [value, low, high] of x itself, "kept": {masks: {fill: [value, low, high]}}}
    """

    def measured(samples: Tensor) -> list[float]:
        score = score_frechet(_read(features, samples), reference, indices)
        return [score.value, score.low, score.high]

    reference, indices = Reference.fit(_read(features, others)), resamples(seed, len(x))
    return {
        "n": len(x),
        "references": len(others),
        "floor": measured(x),
        "kept": {
            kind: {name: measured(fill_in(fill, x, mask, seed)) for name, fill in named.items()}
            for kind, mask in masks.items()
        },
    }


def table(figures: dict[str, Any]) -> str:
    """The distances as a Markdown table, a row for each kind of masks."""
    names = list(next(iter(figures["kept"].values())))
    lines = [f"| kept | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for kind, row in figures["kept"].items():
        lines.append(f"| {kind} | {' | '.join(interval(row[name]) for name in names)} |")
    return "\n".join(lines)


def interval(found: list[float]) -> str:
    """A distance and its interval to three figures."""
    value, low, high = (f"{number:.3g}" for number in found)
    return f"{value} [{low}, {high}]"


def _read(features: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([features(part) for part in x.split(CHUNK)])
