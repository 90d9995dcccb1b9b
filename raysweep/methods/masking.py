"""Masks over samples: what a network still sees, z = x ⊙ s + fill ⊙ (1 − s), and how far its score moves.

Heiß, Levie, Resnick, Kutyniok, Bruna, *In-distribution interpretability for challenging modalities*, 2020
(arXiv:2007.00758).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raysweep.methods.components import Components
from raysweep.methods.noise import fresh_normal, fresh_uniform

Key = tuple[Tensor, ...]
"""What noise depends on, int64 [B] each."""


@dataclass(frozen=True)
class Explained:
    """What is explained: for each example the samples that its mask is for, and which score it is to keep.

    Args:
        x: samples [K, *shape].
        first, count: example e is for the `count[e]` samples from `first[e]` on, int64 [E] each: one sample, or all of
            a class. Example E is the first one again.
        unit: the explained unit of each sample, int64 [K]; None: all of them at once, as the cells of an area are.
    """

    x: Tensor
    first: Tensor
    count: Tensor
    unit: Tensor | None

    def to(self, device: torch.device) -> Explained:
        """The same on a device."""
        x, first, count = (part.to(device) for part in (self.x, self.first, self.count))
        return Explained(x, first, count, None if self.unit is None else self.unit.to(device))

    def sample(self, example: Tensor, key: Key) -> Tensor:
        """One sample's index for each row [B], any of its example's with the same probability."""
        example = example % len(self.first)
        count = self.count[example]
        drawn = fresh_uniform(key, 1, stream="sample")[:, 0] * count
        return self.first[example] + torch.minimum(drawn.long(), count - 1)


class Masking:
    """Samples under masks over their components, seen by a network.

    Args:
        scores: Φ, sample [B, *shape] -> pre-softmax scores [B, U].
        fill: `(x, mask, noise, sample) -> fill`; see `fills`.
        explained: the samples, on the networks' device.
        components: what a mask keeps or removes as a whole.
        batch: samples that Φ(x) is computed of at a time.
        dtype: of masks and scores; the networks may have another.
        rises_only: whether only a score that the mask makes higher is a distortion; else one that it makes lower, too.
    """

    def __init__(
        self,
        scores: nn.Module,
        fill: nn.Module,
        explained: Explained,
        components: Components,
        batch: int = 16,
        dtype: torch.dtype = torch.float32,
        rises_only: bool = False,
    ) -> None:
        self.scores, self.fill, self.explained, self.components = scores, fill, explained, components
        self.dtype, self.rises_only = dtype, rises_only
        self.network_dtype = next((p.dtype for p in scores.parameters()), dtype)
        self.wanted = self._wanted(batch)
        """Φ(x) of every sample [K, A]: of its unit, or of all A of an area."""

    def distortion(self, sample: Tensor, mask: Tensor, key: Key) -> Tensor:
        """½ (Φ(x) − Φ(z))² [B] of the samples [B] under masks [B, C], with the noise of `key`; of an area the mean."""
        rise = self.score(self.obfuscation(sample, mask, key), sample) - self.wanted[sample]
        return 0.5 * (rise.clamp(min=0) if self.rises_only else rise).square().mean(dim=1)

    def obfuscation(self, sample: Tensor, mask: Tensor, key: Key) -> Tensor:
        """z = x ⊙ s + G(x, s, n) ⊙ (1 − s), [B, *shape]."""
        x = self.explained.x[sample].to(mask)
        keep = self.components.spread(mask, sample)
        with torch.no_grad():
            fill = self.fill(x, keep.detach().round(), lambda: self._noise(x, key), sample)
        return x * keep + fill * (1 - keep)

    def score(self, x: Tensor, sample: Tensor) -> Tensor:
        """Φ of inputs [B, *shape] for the units of the samples [B], in the masks' precision, [B, A]."""
        scores: Tensor = self.scores(x.to(self.network_dtype)).to(self.dtype)
        unit = self.explained.unit
        return scores if unit is None else scores.gather(1, unit[sample][:, None])

    def shown(self, mask: Tensor, example: Tensor, drawn: bool) -> Tensor:
        """One obfuscation z [B, *shape] of each example's sample (of a class, its first); see `evaluated`."""
        sample = self.explained.first[example % len(self.explained.first)]
        key = (example, torch.zeros_like(sample))
        return self.obfuscation(sample, draw_mask(mask, key) if drawn else mask, key)

    def evaluated(
        self, mask: Tensor, example: Tensor, seed: int, draw: int, drawn: bool, share: float | None = None
    ) -> Tensor:
        """½ (Φ(x) − Φ(z))² [B] of found masks [B, C] at one draw, keyed so that no step has seen its noise.

        Args:
            example: of each row, int64 [B].
            drawn: whether masks are probabilities, of which s is drawn.
            share: None for the mask as it was found; else the binary mask of this share of the components, those with
                the largest values.
        """
        key = (torch.full_like(example, seed), example, torch.full_like(example, draw))
        sample = self.explained.sample(example, key)
        if share is not None:
            mask = self.largest(mask, sample, share)
        elif drawn:
            mask = draw_mask(mask, key)
        return self.distortion(sample, mask, key)

    def dropped(self, mask: Tensor, example: Tensor, seed: int, draw: int) -> Tensor:
        """Φ(x) − Φ(z) [B] of one score of the examples' samples under masks [B, C], at a draw as in `evaluated`."""
        key = (torch.full_like(example, seed), example, torch.full_like(example, draw))
        sample = self.explained.sample(example, key)
        return (self.wanted[sample] - self.score(self.obfuscation(sample, mask, key), sample))[:, 0]

    def largest(self, mask: Tensor, sample: Tensor, share: float, least: int = 0) -> Tensor:
        """The binary masks [B, C] of the `share` of each sample's components, or `least`, with the largest values."""
        present = self.components.present(sample)
        order = torch.where(present, mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
        wanted = (share * present.sum(dim=1)).round().clamp(min=least)[:, None]
        place = torch.arange(mask.shape[1], device=mask.device)
        return torch.zeros_like(mask).scatter_(1, order, (place < wanted).to(mask))

    def batches(self, batch: int) -> Iterator[Tensor]:
        """Indices of all samples in batches of one shape, the last of which repeats the last sample.

        So what a sample gives does not depend on how many there are.
        """
        count, device = len(self.explained.x), self.explained.x.device
        yield from torch.arange(-(-count // batch) * batch, device=device).clamp(max=count - 1).split(batch)

    def _wanted(self, batch: int) -> Tensor:
        with torch.no_grad():
            scores = [self.score(self.explained.x[part], part) for part in self.batches(batch)]
        return torch.cat(scores)[: len(self.explained.x)]

    @staticmethod
    def _noise(x: Tensor, key: Key) -> Tensor:
        return fresh_normal(key, x[0].numel(), stream="fill").to(x).view_as(x)


def draw_mask(mask: Tensor, key: Key) -> Tensor:
    """s ~ Bernoulli(θ) of probabilities θ [B, C]."""
    return (fresh_uniform(key, mask.shape[1], stream="mask").to(mask) < mask).to(mask)
