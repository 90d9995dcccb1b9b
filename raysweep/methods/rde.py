"""Rate-distortion explanations: the sparsest mask that keeps a network's answer.

z = x ⊙ s + G(x, s, n) ⊙ (1 − s),   L(s) = ½ E_n[(Φ(x) − Φ(z))²] + λ ‖s‖₁,   Φ the pre-softmax score.

Heiß, Levie, Resnick, Kutyniok, Bruna, *In-distribution interpretability for challenging modalities*, 2020
(arXiv:2007.00758). The mask s lies over components of x. It is either relaxed to [0, 1], or s ~ Bernoulli(θ) by the
concrete distribution (Maddison, Mnih, Teh, ICLR 2017), and θ is optimised. The ℓ₁ norm is a sum over components. G
paints from the rounded mask, through which no gradient goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from raysweep.errors import InputError, did_you_mean
from raysweep.methods.components import Components
from raysweep.methods.method import Bound, Rows
from raysweep.methods.noise import fresh_normal, fresh_uniform
from raysweep.methods.row_method import Loss, RowMethod

Mask = Literal["concrete", "relaxed"]
SUREST = 7.0
"""Bound of a mask's logits: θ stays within [0.001, 0.999], from where a gradient leads back."""


@dataclass(frozen=True)
class Explained:
    """What is explained: for each example the samples that its mask is for, and which score it is to keep.

    Args:
        x: samples [K, *shape].
        first, count: example e is for the `count[e]` samples from `first[e]` on, int64 [E] each: one sample, or all of
            a class. Example E is the first one again.
        unit: the explained unit of each sample, int64 [K].
    """

    x: Tensor
    first: Tensor
    count: Tensor
    unit: Tensor

    def to(self, device: torch.device) -> Explained:
        """The same on a device."""
        return Explained(*(part.to(device) for part in (self.x, self.first, self.count, self.unit)))

    def sample(self, example: Tensor, key: tuple[Tensor, ...]) -> Tensor:
        """One sample's index for each row [B], any of its example's with the same probability."""
        example = example % len(self.first)
        count = self.count[example]
        drawn = fresh_uniform(key, 1, stream="sample")[:, 0] * count
        return self.first[example] + torch.minimum(drawn.long(), count - 1)


class RateDistortion(RowMethod):
    """One mask per row, moved until little of the sample keeps the score.

    Args:
        scores: Φ, sample [B, *shape] -> pre-softmax scores [B, U].
        fill: `(x, mask, noise) -> fill`; see `fills`.
        explained: the samples, on the networks' device.
        components: what a mask keeps or removes as a whole.
        mask: "concrete" or "relaxed".
        batch: samples that Φ(x) is computed of at a time.
        dtype: the masks' and optimiser's precision; the networks may have another.
    """

    name = "rde"
    hyperparameters = {  # noqa: RUF012
        "lr": Bound(0, open=True),
        "sparsity_weight": Bound(0),
        "temperature": Bound(0, open=True, default=0.1, usual=0.1),
        "initial_mask": Bound(0, 1, open=True, default=0.5, usual=0.5),
        "noise_samples": Bound(1, whole=True, default=16, usual=1),
    }
    draws = "noise_samples"

    def __init__(
        self,
        scores: nn.Module,
        fill: nn.Module,
        explained: Explained,
        components: Components,
        mask: Mask = "concrete",
        batch: int = 16,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if mask not in get_args(Mask):
            hint = did_you_mean(mask, get_args(Mask))
            raise InputError("no such option", key="method.mask", value=mask, suggestion=hint)
        self.scores, self.fill, self.explained, self.components = scores, fill, explained, components
        self.concrete, self.dtype = mask == "concrete", dtype
        self.network_dtype = next((p.dtype for p in scores.parameters()), dtype)
        self.wanted = self._wanted(batch)
        """Φ(x) of every sample [K]."""

    @classmethod
    def hyperparameters_of(cls, options: dict[str, Any]) -> dict[str, Bound]:
        """A relaxed mask is not drawn, so it has no temperature."""
        relaxed = options["mask"] == "relaxed"
        return {name: bound for name, bound in cls.hyperparameters.items() if not (relaxed and name == "temperature")}

    def start(self, rows: Rows) -> Tensor:
        """The initial mask, the same for every component."""
        mask = rows["initial_mask"].to(self.dtype)[:, None].expand(-1, self.components.count).clone()
        return torch.logit(mask).clamp(-SUREST, SUREST) if self.concrete else mask

    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """½ (Φ(x) − Φ(z))² + λ ‖s‖₁ at one draw of the noise; a step takes the mean over n draws."""
        sample = self.explained.sample(rows.example, rows.key)
        mask = self.concrete_mask(params, rows) if self.concrete else params
        distortion = self.distortion(sample, mask, rows.key)
        rate = mask.sum(dim=1)
        seen = {"distortion": distortion, "rate": rate, "example": rows.example}
        return Loss(distortion + rows["sparsity_weight"] * rate, seen)

    def project(self, params: Tensor) -> Tensor:
        """Into [0, 1]; logits to where a gradient leads back from."""
        return params.clamp(-SUREST, SUREST) if self.concrete else params.clamp(0, 1)

    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The last mask, θ of the concrete one, and what was seen with it."""
        return {"mask": torch.sigmoid(params) if self.concrete else params, **seen}

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """One obfuscation z of each row's sample (of a class, its first)."""
        sample = self.explained.first[kept["example"]]
        key = (kept["example"], torch.zeros_like(sample))
        return self.obfuscation(sample, self.drawn_mask(kept["mask"], key), key)

    def evaluated(self, kept: dict[str, Tensor], seed: int, draw: int, share: float | None = None) -> Tensor:
        """½ (Φ(x) − Φ(z))² [B] of found masks at one draw, keyed so that no step has seen its noise.

        Args:
            kept: `mask` [B, C] and `example` [B].
            share: None for the mask as it was found, drawn from θ; else the binary mask of this share of the
                components, those with the largest values.
        """
        example = kept["example"]
        key = (torch.full_like(example, seed), example, torch.full_like(example, draw))
        sample = self.explained.sample(example, key)
        mask = self.drawn_mask(kept["mask"], key) if share is None else self.largest(kept["mask"], sample, share)
        return self.distortion(sample, mask, key)

    def largest(self, mask: Tensor, sample: Tensor, share: float) -> Tensor:
        """The binary masks [B, C] of the `share` of each sample's components with the largest values."""
        present = self.components.present(sample)
        order = torch.where(present, mask, -1).argsort(dim=1, descending=True, stable=True)
        wanted = (share * present.sum(dim=1)).round()[:, None]
        place = torch.arange(mask.shape[1], device=mask.device)
        return torch.zeros_like(mask).scatter_(1, order, (place < wanted).to(mask))

    def rate(self, mask: Tensor, sample: Tensor) -> Tensor:
        """‖s‖₁ over the number of components [B]: the share of a sample that masks [B, C] keep."""
        present = self.components.present(sample).to(mask)
        return (mask * present).sum(dim=1) / present.sum(dim=1)

    def concrete_mask(self, logits: Tensor, rows: Rows) -> Tensor:
        """s = σ((log θ/(1 − θ) + log u/(1 − u)) / t), u uniform: Bernoulli(θ) as the temperature t goes to 0."""
        uniform = fresh_uniform(rows.key, logits.shape[1], stream="mask").to(logits)
        return torch.sigmoid((logits + torch.logit(uniform)) / rows["temperature"].to(logits)[:, None])

    def drawn_mask(self, mask: Tensor, key: tuple[Tensor, ...]) -> Tensor:
        """s ~ Bernoulli(θ) of a concrete mask; a relaxed mask is s itself."""
        if not self.concrete:
            return mask
        return (fresh_uniform(key, mask.shape[1], stream="mask").to(mask) < mask).to(mask)

    def distortion(self, sample: Tensor, mask: Tensor, key: tuple[Tensor, ...]) -> Tensor:
        """½ (Φ(x) − Φ(z))² [B] of the samples [B] under masks [B, C], with the noise of `key`."""
        found = self.score(self.obfuscation(sample, mask, key), sample)
        return 0.5 * (self.wanted[sample] - found).square()

    def obfuscation(self, sample: Tensor, mask: Tensor, key: tuple[Tensor, ...]) -> Tensor:
        """z = x ⊙ s + G(x, s, n) ⊙ (1 − s), [B, *shape]."""
        x = self.explained.x[sample].to(mask)
        keep = self.components.spread(mask, sample)
        with torch.no_grad():
            fill = self.fill(x, keep.detach().round(), lambda: self._noise(x, key))
        return x * keep + fill * (1 - keep)

    def score(self, x: Tensor, sample: Tensor) -> Tensor:
        """Φ of inputs [B, *shape] for the units of the samples [B], in the masks' precision."""
        scores = self.scores(x.to(self.network_dtype))
        return scores.gather(1, self.explained.unit[sample][:, None])[:, 0].to(self.dtype)

    def _wanted(self, batch: int) -> Tensor:
        """In batches of one shape, so that a sample's score does not depend on how many there are."""
        count, device = len(self.explained.x), self.explained.x.device
        index = torch.arange(-(-count // batch) * batch, device=device).clamp(max=count - 1)
        with torch.no_grad():
            return torch.cat([self.score(self.explained.x[part], part) for part in index.split(batch)])[:count]

    @staticmethod
    def _noise(x: Tensor, key: tuple[Tensor, ...]) -> Tensor:
        return fresh_normal(key, x[0].numel(), stream="fill").to(x).view_as(x)
