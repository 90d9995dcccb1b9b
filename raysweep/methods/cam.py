"""Class activation maps: where the maps of a layer speak for a class.

R = ReLU(Σ_k α_k A_k), upsampled,   α_k the mean over all places of ∂f_c/∂A_k

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra, *Grad-CAM: visual explanations from deep networks via gradient-based
localization*, ICCV 2017. Where the layer is followed by global average pooling and one dense layer, α_k is that layer's
weight over the number of places: Zhou, Khosla, Lapedriza, Oliva, Torralba, *Learning deep features for discriminative
localization*, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from raysweep.methods.attribution import Attribution
from raysweep.methods.masking import Masking
from raysweep.methods.method import Bound, Rows, by_row
from raysweep.methods.upsampling import upsampled
from raysweep.models.taps import Taps, check_maps


class Cam(Attribution):
    """One heat for all channels of a place.

    Args:
        masking: as of every attribution; samples are images [K, C, H, W].
        layers: names of layers with maps [B, k, h, w], of which `layer` chooses one.
    """

    name = "cam"
    hyperparameters = {"layer": Bound(0, whole=True, default=0, usual=0)}  # noqa: RUF012

    def __init__(self, masking: Masking, layers: Sequence[str]) -> None:
        super().__init__(masking)
        self.layers, self.taps = tuple(layers), Taps(masking.scores, layers)

    def heat(self, x: Tensor, unit: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """[B, 1, H, W]."""
        with torch.enable_grad():
            values, scores = self.taps(x.detach().requires_grad_())
            check_maps(values, self.layers)
            response = scores.gather(1, unit[:, None])[:, 0]
            maps = [values[name] for name in self.layers]
            slopes = torch.autograd.grad(response.sum(), maps, allow_unused=True, materialize_grads=True)
        found = torch.empty(0)
        for place, (one, slope) in enumerate(zip(maps, slopes, strict=True)):
            weights = slope.mean(dim=(2, 3), keepdim=True)
            heat = upsampled((weights * one).sum(dim=1, keepdim=True).relu(), x.shape[2:])
            found = by_row(rows["layer"] == place, heat, found) if place else heat
        return found, response
