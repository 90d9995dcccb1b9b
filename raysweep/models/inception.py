"""The Inception network of 2015-12-05, whose features alone make a Fréchet distance "FID".

Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium, NeurIPS 2017. The
file cannot be shipped: the user points to `inception-2015-12-05.pt`, the TorchScript of StyleGAN2-ADA's metrics, called
as `module(images, return_features=True)` with uint8 [N, 3, H, W]; it resizes by itself.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from raysweep.errors import InputError

NAME = "inception-2015-12-05"
FEATURES = 2048


class InceptionFID(nn.Module):
    """Images [B, 1 or 3, H, W] in [0, 1] -> FID features [B, 2048], float32. Not differentiable: images are rounded."""

    def __init__(self, scripted: nn.Module, *, key: str = "models") -> None:
        super().__init__()
        self.scripted = scripted
        try:
            with torch.no_grad():
                shape = list(self(torch.zeros(2, 3, 32, 32)).shape)
        except (RuntimeError, TypeError) as error:
            hint = f"It must take (uint8 images, return_features=True): {str(error).splitlines()[0]}"
            raise InputError(f"must be the network of {NAME}", key=key, suggestion=hint) from error
        if shape != [2, FEATURES]:
            raise InputError(f"must give {FEATURES} features an image", key=key, value=shape)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = (images.float() * 255).round().clamp(0, 255).to(torch.uint8)
        if pixels.shape[1] == 1:
            pixels = pixels.expand(-1, 3, -1, -1)
        return self.scripted(pixels, return_features=True)


def is_inception_file(path: Path) -> bool:
    """Whether the file's name says that it is that network."""
    return NAME in path.name
