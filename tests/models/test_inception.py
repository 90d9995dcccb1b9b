"""The 2015-12-05 Inception file by its calling convention, with a tiny network that follows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.inception import InceptionFID
from raysweep.models.load import load_model
from raysweep.models.model import Model, ModelSource
from raysweep.models.readout import features_readout

Script = Callable[[nn.Module, str], Path]


class StandIn(nn.Module):
    """uint8 images in; with return_features the mean of each channel, repeated to `features` numbers."""

    def __init__(self, features: int = 2048) -> None:
        super().__init__()
        self.features = features

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        if img.dtype != torch.uint8 or img.shape[1] != 3:
            raise RuntimeError("wrong input")
        if not return_features:
            return torch.zeros(img.shape[0], 1008)
        return img.float().mean((2, 3))[:, :1].repeat(1, self.features)


def load(path: Path) -> Model:
    return load_model(ModelSource(path.name, trust="torchscript"), key="models.features", folder=path.parent)


def test_the_file_s_name_makes_it_the_fid_network(scripted: Script) -> None:
    assert isinstance(load(scripted(StandIn(), "inception-2015-12-05.pt")).module, InceptionFID)
    assert not isinstance(load(scripted(nn.Sequential(nn.Linear(1, 1)), "other.pt")).module, InceptionFID)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_between_0_and_1_become_rounded_bytes_and_features_come_out(scripted: Script, channels: int) -> None:
    read = features_readout(load(scripted(StandIn(), "inception-2015-12-05.pt")).module)
    images = torch.tensor([0.0, 0.2, 1.0]).view(3, 1, 1, 1).expand(3, channels, 6, 6)
    features = read(images)
    assert read.reads == "the output"
    assert features.shape == (3, 2048)
    assert features[:, 5].tolist() == [0.0, 51.0, 255.0]


def test_a_network_with_other_features_is_refused(scripted: Script) -> None:
    with pytest.raises(InputError) as caught:
        load(scripted(StandIn(8), "inception-2015-12-05.pt"))
    assert str(caught.value) == "models.features: must give 2048 features an image (found [2, 8])"


def test_a_network_with_another_calling_convention_is_refused(scripted: Script) -> None:
    with pytest.raises(InputError, match=r"models.features: must be the network of inception-2015-12-05"):
        load(scripted(nn.Sequential(nn.Conv2d(3, 1, 3)), "inception-2015-12-05.pt"))
