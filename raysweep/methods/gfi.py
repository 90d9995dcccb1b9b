"""Guided feature inversion: which part of an image a layer has kept, and which part a class is seen in.

Φ(x, m) = x ⊙ m + p ⊙ (1 − m),   p a blurred x,   m = Σ_k ω_k f_k^{l₁}(x), upsampled,   ω ≥ 0

    first  L_inv(ω) = ‖f^l(Φ(x, m)) − f^l(x)‖² + γ‖ω‖
    then   L_target(ω) = −f_c(Φ(x, m)) + λ f_c(Φ(x, 1 − m)) + δ‖ω‖

Du, Liu, Song, Hu, *Towards explanation of DNN-based prediction with guided feature inversion*, KDD 2018. ‖ω‖ is the ℓ₁
norm, f_c the pre-softmax score and the inversion's error a sum. The authors' code (`mndu/guided-feature-inversion`) has
ω's squared ℓ₂ norm, the softmax, and an error relative to ‖f^l(x)‖²: `norm`, `score` and `error` say which. As there,
one Adam makes both parts' steps, its rate halves every so many steps, and m becomes (m − min)/max of each image; where
maps are signed, (m − min)/(max − min), so that it lies in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from raysweep.errors import check_choice
from raysweep.methods.blurring import Blurring, Score
from raysweep.methods.masking import Masking
from raysweep.methods.method import Bound, Rows, by_row
from raysweep.methods.row_method import Loss, RowMethod
from raysweep.methods.upsampling import upsampled
from raysweep.models.taps import Taps, check_maps

Norm = Literal["l1", "squared"]
Error = Literal["sum", "relative"]
EPSILON = 1e-12
"""A mask that is nowhere above this covers nothing, and is 0."""


class GuidedFeatureInversion(RowMethod):
    """One vector ω of channel weights per row, moved until its mask keeps what a class is seen in.

    Args:
        masking: the samples, images [K, C, H, W], the network that is explained, and the unit of each sample.
        layers: names of layers l, of which `layer` chooses one.
        guides: names of layers l₁ with maps [K, c, h, w], of which `guide` chooses one.
        norm: of ω, "l1" or "squared".
        score: f_c, "logit" or "softmax".
        error: of the inversion, "sum" or "relative".
        batch: images that are read together.
    """

    name = "gfi"
    needs_samples = True
    hyperparameters = {  # noqa: RUF012
        "lr": Bound(0, open=True, default=0.01, usual=0.01),
        "halving": Bound(0, whole=True, default=10, usual=10),
        "inversion_steps": Bound(0, whole=True, default=11, usual=11),
        "inversion_norm_weight": Bound(0, default=5.0, usual=5.0),
        "norm_weight": Bound(0, default=2.0, usual=2.0),
        "background_weight": Bound(0, default=1.0, usual=1.0),
        "blur": Bound(0, default=11.0, usual=3.0),
        "initial_weight": Bound(0, default=0.1, usual=0.1),
        "layer": Bound(0, whole=True, default=0, usual=0),
        "guide": Bound(0, whole=True, default=0, usual=0),
    }

    def __init__(
        self,
        masking: Masking,
        layers: Sequence[str],
        guides: Sequence[str],
        norm: Norm = "l1",
        score: Score = "logit",
        error: Error = "sum",
        batch: int = 16,
    ) -> None:
        check_choice(norm, get_args(Norm), key="method.norm")
        check_choice(error, get_args(Error), key="method.error")
        self.masking, self.blurring, self.dtype = masking, Blurring(masking, score), masking.dtype
        self.layers, self.guides, self.norm, self.error = tuple(layers), tuple(guides), norm, error
        self.taps = Taps(masking.scores, [*layers, *guides])
        self.reads = self._read(batch)
        """What the layers make of every sample, [K, ...] each."""
        check_maps(self.reads, guides, key="method.guides")

    def start(self, rows: Rows) -> Tensor:
        """ω₀, the same for every channel."""
        channels = max(self.reads[name].shape[1] for name in self.guides)
        return rows["initial_weight"].to(self.dtype)[:, None].expand(-1, channels).clone()

    def rate(self, rows: Rows) -> Tensor:
        """The learning rate, which halves every `halving` steps; 0: never."""
        halvings = torch.where(rows["halving"] > 0, rows.step // rows["halving"].clamp(min=1), 0)
        return rows["lr"] * 0.5**halvings

    def loss(self, params: Tensor, rows: Rows) -> Loss:
        """L_inv of rows in their first steps, L_target of the others."""
        image = self.blurring.image(rows.example)
        mask = self.mask(params, rows, image)
        values, scores = self._network(self.blurring.through(mask, image, rows["blur"]))
        kept = self.blurring.of_class(scores, image)
        inverting = rows.step < rows["inversion_steps"]
        norm = (params.abs() if self.norm == "l1" else params.square()).sum(dim=1)
        error = torch.stack([self._distance(values[name], name, image) for name in self.layers])
        error = error.gather(0, rows["layer"].long()[None])[0]
        first = error + rows["inversion_norm_weight"] * norm
        background = torch.zeros_like(kept)
        if not inverting.all():
            background = self.blurring.score(self.blurring.through(1 - mask, image, rows["blur"]), image)
        second = -kept + rows["background_weight"] * background + rows["norm_weight"] * norm
        seen = {"heat": mask, "response": self.masking.wanted[image][:, 0], "example": rows.example}
        return Loss(torch.where(inverting, first, second), seen)

    def project(self, params: Tensor) -> Tensor:
        """ω ≥ 0."""
        return params.clamp(min=0)

    def remember(self, kept: dict[str, Tensor] | None, params: Tensor, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """The last mask [B, 1, H, W] that was looked through."""
        return {"weights": params, **seen}

    def explain(self, kept: dict[str, Tensor]) -> Tensor:
        """x ⊙ m, what the mask shows of each row's image."""
        return self.masking.explained.x[self.blurring.image(kept["example"])].to(self.dtype) * kept["heat"]

    def mask(self, weights: Tensor, rows: Rows, image: Tensor) -> Tensor:
        """m between 0 and 1, [B, 1, H, W]."""
        size = self.masking.explained.x.shape[2:]
        found = torch.empty(0)
        for place, name in enumerate(self.guides):
            maps = self.reads[name][image]
            m = torch.einsum("bk,bkhw->bhw", weights[:, : maps.shape[1]], maps)[:, None]
            m = upsampled(m, size, corners=True)
            found = by_row(rows["guide"] == place, m, found) if place else m
        low, high = found.amin(dim=(2, 3), keepdim=True), found.amax(dim=(2, 3), keepdim=True)
        span = high - low.clamp(max=0)
        return torch.where(span > EPSILON, (found - low) / span.clamp(min=EPSILON), 0.0)

    def _distance(self, value: Tensor, name: str, image: Tensor) -> Tensor:
        """‖f^l(Φ) − f^l(x)‖² [B]."""
        wanted = self.reads[name][image]
        error = (value - wanted).square().flatten(1).sum(dim=1)
        return error / wanted.square().flatten(1).sum(dim=1) if self.error == "relative" else error

    def _network(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        values, scores = self.taps(x.to(self.masking.network_dtype))
        return {name: value.to(self.dtype) for name, value in values.items()}, scores.to(self.dtype)

    def _read(self, batch: int) -> dict[str, Tensor]:
        x = self.masking.explained.x
        with torch.no_grad():
            parts = [self._network(x[part])[0] for part in self.masking.batches(batch)]
        return {name: torch.cat([part[name] for part in parts])[: len(x)] for name in self.taps.layers}
