"""TorchScript files run code of their own, so they load only when trusted, and give output units only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from raysweep.errors import InputError
from raysweep.models.load import load_model
from raysweep.models.model import Model, ModelSource
from raysweep.models.prepare import beside, prepare
from raysweep.models.readout import Readout

Script = Callable[[nn.Module, str], Path]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))


def load(path: Path, trust: str | None = "torchscript", generator: bool = False) -> Model:
    source = ModelSource(path.name, trust=trust)
    return load_model(source, key="models.classifier", folder=path.parent, generator=generator)


def refusal(path: Path, trust: str | None = "torchscript", generator: bool = False) -> str:
    with pytest.raises(InputError) as caught:
        load(path, trust, generator)
    assert str(caught.value).startswith("models.classifier")
    return str(caught.value)


@pytest.mark.parametrize("name", ["net.pt", "net.ts"])
def test_a_trusted_file_computes_what_was_saved_and_passes_gradients(scripted: Script, name: str) -> None:
    module = net()
    model = load(scripted(module, name))
    x = torch.rand(2, 1, 8, 8, requires_grad=True)
    torch.testing.assert_close(model.module(x), module(x))
    Readout(model.module, unit=1)(x).sum().backward()
    assert x.grad is not None
    assert not any(parameter.requires_grad for parameter in model.module.parameters())


def test_preparing_it_converts_its_precision(scripted: Script) -> None:
    module = net()
    prepared = prepare(load(scripted(module, "net.ts")).module, torch.float64)
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(prepared(x), module.double()(x), atol=1e-10, rtol=0)


def test_it_computes_the_same_beside_itself(scripted: Script) -> None:
    prepared, x = prepare(load(scripted(net(), "net.ts")).module), torch.rand(2, 1, 8, 8)
    assert torch.equal(beside(prepared)(x), prepared(x))


def test_without_trust_it_is_refused(scripted: Script) -> None:
    message = refusal(scripted(net(), "net.pt"), trust=None)
    assert "must be trusted explicitly (found 'net.pt')" in message
    assert "trust: torchscript" in message


def test_pickled_weights_are_refused_even_when_trusted(tmp_path: Path) -> None:
    torch.save(net().state_dict(), tmp_path / "net.pt")
    assert "weights must be safetensors, not a pickle (found 'net.pt')" in refusal(tmp_path / "net.pt")


@pytest.mark.parametrize("keep", [0.5, 0.0])
def test_a_truncated_file_is_refused(scripted: Script, keep: float) -> None:
    path = scripted(net(), "net.ts")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    assert "must be a whole TorchScript file (found 'net.ts')" in refusal(path)


def test_naming_a_layer_is_refused(scripted: Script) -> None:
    model = load(scripted(net(), "net.ts"))
    with pytest.raises(InputError) as caught:
        Readout(model.module, "0", 1)
    assert str(caught.value) == (
        "target.layer: a TorchScript network gives its output units only, so layer must be left out (found '0')"
    )


def test_as_a_generator_it_needs_its_latent_given(scripted: Script) -> None:
    message = refusal(scripted(nn.Sequential(nn.Linear(3, 4)), "net.ts"), generator=True)
    assert message.startswith("models.classifier.latent: the length of the latent must be given")


class Times(nn.Module):
    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.k * x


def test_the_file_is_its_fingerprint_so_that_constants_in_its_code_count(scripted: Script) -> None:
    one, nine = scripted(Times(1), "one.ts"), scripted(Times(9), "nine.ts")
    assert load(one).fingerprint != load(nine).fingerprint
    copy = one.with_name("copy.ts")
    copy.write_bytes(one.read_bytes())
    assert load(copy).fingerprint == load(one).fingerprint
