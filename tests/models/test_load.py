"""`models:` finds the network, frozen, or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from raysweep.errors import InputError
from raysweep.models.load import load_model
from raysweep.models.model import Model, ModelSource, fingerprint
from raysweep.models.prepare import prepare
from raysweep.zoo import ModelEntry, fashion

NETS = """
import torch
from torch import nn

def classifier(classes=3):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, classes))

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 64), nn.Sigmoid())
    def forward(self, z):
        return self.net(z).view(-1, 1, 8, 8)

class Stated(Generator):
    latent_dim = 5
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Embedding(3, 3), self.net)

def unclear():
    return nn.Sequential(nn.Conv1d(1, 1, 1))

def deconvolution():
    return nn.Sequential(nn.Unflatten(1, (7, 1, 1)), nn.ConvTranspose2d(7, 1, 4))

def number():
    return 3

def normed():
    return nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, 3)))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nets_l.py").write_text(NETS)
    return tmp_path


def load(folder: Path, source: str, generator: bool = False, **options: object) -> Model:
    return load_model(
        ModelSource(source, **options),  # type: ignore[arg-type]
        key="models.net",
        folder=folder,
        generator=generator,
    )


def refusal(folder: Path, source: str, generator: bool = False, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, source, generator, **options)
    assert str(caught.value).startswith("models.net")
    return str(caught.value)


def test_a_built_network_is_frozen_and_in_eval_mode(folder: Path) -> None:
    model = load(folder, "nets_l:classifier", args={"classes": 4})
    assert not any(part.training for part in model.module.modules())
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    assert model.module(torch.zeros(2, 1, 8, 8)).shape == (2, 4)


def test_random_weights_are_the_same_each_time_and_leave_the_global_generator_alone(folder: Path) -> None:
    before = torch.random.get_rng_state()
    assert load(folder, "nets_l:classifier").fingerprint == load(folder, "nets_l:classifier").fingerprint
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_from_a_file_are_the_ones_used(folder: Path) -> None:
    state = {
        name: torch.ones_like(value) for name, value in load(folder, "nets_l:classifier").module.state_dict().items()
    }
    save_file(state, folder / "net.safetensors")
    model = load(folder, "nets_l:classifier", weights="net.safetensors")
    assert all(torch.equal(value, state[name]) for name, value in model.module.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_network_whose_weights_hooks_make_can_be_prepared_before_it_has_run(folder: Path) -> None:
    module, x = load(folder, "nets_l:normed").module, torch.rand(2, 1, 8, 8)
    prepared = prepare(module, example=x)
    torch.testing.assert_close(prepared(x), module(x))


@pytest.mark.parametrize("source", ["nets_l:Generator", "nets_l:Stated"])
def test_a_generator_s_latent_is_found_out(folder: Path, source: str) -> None:
    assert load(folder, source, generator=True).latent == 5


def test_a_generator_that_starts_with_a_transposed_convolution_has_its_channels_as_latent(folder: Path) -> None:
    assert load(folder, "nets_l:deconvolution", generator=True).latent == 7


def test_a_given_latent_wins(folder: Path) -> None:
    assert load(folder, "nets_l:unclear", generator=True, latent=9).latent == 9


def test_a_classifier_has_no_latent(folder: Path) -> None:
    assert load(folder, "nets_l:classifier").latent is None


def test_a_generator_that_does_not_tell_its_latent_is_refused(folder: Path) -> None:
    message = refusal(folder, "nets_l:unclear", generator=True)
    assert message.startswith("models.net.latent: the length of the latent must be given")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("nets_l:number", {}, "must return a torch.nn.Module (found 'nets_l:number returned a int')"),
        ("nets_l:classifier", {"args": {"clases": 3}}, "unexpected keyword argument 'clases'"),
        ("nets_l:clasifier", {}, "(found 'nets_l:clasifier'). Did you mean 'classifier'?"),
        ("nets_l:classifier", {"latent": 0}, "latent: latent must be at least 1 (found 0)"),
        ("nets_l:classifier", {"trust": "pickle"}, "trust: trust must be torchscript or left out (found 'pickle')"),
        ("nets_l:classifier", {"weights": "no.safetensors"}, "weights: must be a file or folder that exists"),
        ("nets_l.py", {}, "must be a network that can be loaded (found 'nets_l.py')"),
        ("zoo://fashon/classifier", {}, "(found 'zoo://fashon/classifier'). Did you mean 'fashion'?"),
    ],
)
def test_what_cannot_be_loaded_is_refused(folder: Path, source: str, options: dict, message: str) -> None:
    assert message in refusal(folder, source, **options)


@pytest.mark.parametrize(("source", "hint"), [("nets_l.classifier", "nets_l:classifier"), ("torch.nn.X", "torch.nn:X")])
def test_a_dot_in_place_of_the_colon_is_told_of_and_not_the_weights_beside_it(
    folder: Path, source: str, hint: str
) -> None:
    message = refusal(folder, source, weights="net.safetensors")
    rule = "must be module:callable, or a file that exists"
    assert message == f"models.net: {rule} (found '{source}'). Write {hint}"


@pytest.mark.parametrize("source", ["nets_l.pt", "net.onnx"])
def test_a_file_that_is_not_there_is_no_callable(folder: Path, source: str) -> None:
    assert "must be a file or folder that exists" in refusal(folder, source)


def test_weights_alone_are_refused_as_a_network(folder: Path) -> None:
    save_file({"a": torch.zeros(1)}, folder / "net.safetensors")
    message = refusal(folder, "net.safetensors")
    assert "weights alone are no network (found 'net.safetensors'). Give module:callable" in message


def test_the_zoo_s_own_classifier_loads_with_the_names_of_its_units(folder: Path) -> None:
    model = load(folder, "zoo://fashion/classifier")
    assert model.units is not None
    assert model.module(torch.zeros(2, 1, 28, 28)).shape == (2, len(model.units))


def test_a_classifier_of_the_zoo_is_refused_as_a_generator(folder: Path) -> None:
    message = refusal(folder, "zoo://fashion/classifier", generator=True)
    assert message == (
        "models.net: must be a generator, and this network takes no latent (found 'zoo://fashion/classifier')"
    )


@pytest.fixture
def zoo_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny generator put into the zoo's list for the length of a test."""

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 16), nn.Unflatten(1, (1, 4, 4)))

    save_file(build().state_dict(), tmp_path / "tiny.safetensors")
    monkeypatch.setitem(fashion.MODELS, "tiny", ModelEntry(build, tmp_path / "tiny.safetensors", latent=5))


@pytest.mark.usefixtures("zoo_net")
def test_the_zoo_tells_latent_and_medium(folder: Path) -> None:
    model = load(folder, "zoo://fashion/tiny", generator=True)
    assert (model.latent, model.media, model.units) == (5, "image", None)


@pytest.mark.usefixtures("zoo_net")
def test_a_latent_other_than_the_zoo_s_is_refused(folder: Path) -> None:
    message = refusal(folder, "zoo://fashion/tiny", latent=6, generator=True)
    assert message == "models.net.latent: the latent of zoo://fashion/tiny is 5 (found 6)"


@pytest.mark.usefixtures("zoo_net")
@pytest.mark.parametrize(
    ("source", "option", "value"),
    [
        ("zoo://fashion/tiny", "weights", "other.safetensors"),
        ("zoo://fashion/tiny", "trust", "torchscript"),
        ("zoo://fashion/tiny", "args", {"classes": 4}),
        ("nets_l:classifier", "trust", "torchscript"),
        ("nets_l:classifier", "latent", 5),
        ("net.pt", "weights", "net.safetensors"),
    ],
)
def test_a_key_that_would_change_nothing_is_refused(folder: Path, source: str, option: str, value: object) -> None:
    message = refusal(folder, source, **{option: value})
    assert message.startswith(f"models.net.{option}: has no use with")
    assert message.endswith(f"(found {value!r}). Leave it out")


PLAIN = """
from torch import nn
{extra}

class Times(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.k = k
    def forward(self, x):
        return scaled(x, self.k)

def scaled(x, k):
    return {body}

def build(k=1):
    return nn.Sequential(nn.Linear(2, 2), Times(k))
"""


def test_arguments_count_in_the_fingerprint_though_no_weight_holds_them(tmp_path: Path) -> None:
    (tmp_path / "nets_p.py").write_text(PLAIN.format(extra="", body="k * x"))
    prints = [load(tmp_path, "nets_p:build", args={"k": k}).fingerprint for k in (1, 9, 1)]
    assert prints[0] == prints[2]
    assert prints[0] != prints[1]


@pytest.mark.parametrize("defined", ["beside", "in another file"])
def test_the_code_around_the_classes_counts_but_not_its_comments(tmp_path: Path, defined: str) -> None:
    found = []
    for number, (extra, body) in enumerate([("", "k * x"), ("# a comment", "k * x"), ("", "k + x")]):
        home = tmp_path / str(number)
        home.mkdir()
        name = "nets_q" if defined == "beside" else "layers_q"
        (home / f"{name}.py").write_text(PLAIN.format(extra=extra, body=body))
        if defined == "in another file":
            (home / "nets_q.py").write_text("from layers_q import Times\ndef build():\n    return Times(2)\n")
        found.append(load(home, "nets_q:build").fingerprint)
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_other_files_of_the_folder_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "nets_r.py").write_text(PLAIN.format(extra="", body="k * x"))
    before = load(tmp_path, "nets_r:build").fingerprint
    (tmp_path / "plots.py").write_text("x = 1\n")
    assert load(tmp_path, "nets_r:build").fingerprint == before


def test_the_zoo_s_fingerprints_are_those_of_the_networks_alone(folder: Path) -> None:
    model = load(folder, "zoo://fashion/classifier")
    assert model.fingerprint == fingerprint(model.module)
